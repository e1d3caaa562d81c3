//! Packets: which headers follow one another, and what they have in common.

mod common;
pub(crate) mod graph;
