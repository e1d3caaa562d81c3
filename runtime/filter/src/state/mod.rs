//! The states of an instance: the maps that they are kept in, and what the control plane sees and changes of them.

mod bound;
mod carry;
mod operate;
mod scalars;
mod view;

pub(crate) use bound::{StatePlan, States, known};
pub(crate) use carry::Old;
pub use carry::{Carried, Lost};
pub use operate::{Batches, NewEntry, Owner, Written};
pub(crate) use scalars::shape;
pub use view::{StateEntry, StateInfo, StateSnapshot};
pub(crate) use view::{dump_info, from_dump};
