//! Packets: which headers follow one another, and what they have in common.

pub(crate) mod circles;
mod common;
pub(crate) mod graph;
