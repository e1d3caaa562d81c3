//! Packets: where headers follow one another, and where their fields lie.

pub(crate) mod graph;
