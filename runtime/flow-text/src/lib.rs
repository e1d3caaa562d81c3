//! The text syntax of flows that ovs-ofctl made common.
//!
//! `priority=100,tcp,nw_src=10.0.0.0/8,filter=syn_flood,actions=drop` to a typed flow-mod and back. Field names,
//! shorthands, value formats and action names are those of `ovs-ofctl`, restricted to what OpenFlow 1.3 can carry; what
//! goes beyond is `filter=NAME` and `filter=NAME:Class`, and the 1.3 actions that `ovs-ofctl` lacks.
//!
//! - [`parse_flow_mod`] and [`parse_flow_request`] read; names of ports and filters are looked up in [`Names`].
//! - [`print_flow`], [`print_match`] and [`print_instructions`] write, and what they write is read back as the same.
//! - A [`FlowError`] marks the part of the text that is wrong and says what was expected there.

mod actions;
mod error;
mod flow;
mod matching;
mod names;
mod piece;
mod print;
mod value;

pub use error::{FlowError, FlowProblem};
pub use flow::{parse_flow_mod, parse_flow_request};
pub use names::Names;
pub use print::{print_flow, print_instructions, print_match, print_value};
