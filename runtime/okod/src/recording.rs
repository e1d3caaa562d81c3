//! What a packet met on its way through the tables, so that the next one like it need not look it up.
//!
//! Two packets that agree in the relevant bits of the tables ([`oko_flow_cache`]) meet the same entries as long as filters answer the same. So
//! the entries, in order, are a [`Path`] that other packets can be sent along: the same actions are done with each of them, and only the
//! lookups are saved. What can change a packet's way beside its relevant bits and the filters ends the path early, and packets
//! look up again from there on:
//!
//! - a header that an action uncovered or put on, since its bits were not in view when the packet came in;
//! - a field that an action copied, since whether a packet has it, and what is in it, need not be in view;
//! - a field that was to be set in a header that is cut off, and a packet that a meter remarked: others of its path may differ;
//! - a filter that is asked about a packet that was rewritten, since it must see the rewritten one, or that a meter or the time to live
//!   might have ended before;
//! - the end of a packet before its time.

use std::sync::Arc;

use oko_flow_table::FlowEntry;
use oko_openflow::{PortNo, TableId};
use smallvec::SmallVec;

/// A lookup and what it found.
pub(crate) type Hit = (TableId, Option<Arc<FlowEntry>>);

/// The lookups of a packet, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    pub(crate) hits: SmallVec<[Hit; 2]>,
    pub(crate) then: Then,
}

/// What is done with a packet along a path, if that is known beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Then {
    /// The actions of the entries, one after the other.
    #[default]
    Act,
    /// It leaves by this port as it came, and that is all.
    Output(PortNo),
    /// It is dropped.
    Drop,
}

/// Whether two paths meet the same entries: those of one snapshot are the same only if they are one.
impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<FlowEntry>>, b: &Option<Arc<FlowEntry>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        self.then == other.then
            && self.hits.len() == other.hits.len()
            && self.hits.iter().zip(&other.hits).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
    }
}

/// How far a packet's way can be used by others.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) path: Path,
    /// The slots of the filters that were asked and their answers, in order.
    pub(crate) answers: SmallVec<[(u32, u32); 4]>,
    /// Lookups from here on depend on more than the relevant bits.
    ended: bool,
    /// The packet's bytes are not those that came in, or another packet might not have come so far.
    late: bool,
    /// Nothing was done that depends on the packet itself or on state.
    pub(crate) plain: bool,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self { path: Path::default(), answers: SmallVec::new(), ended: false, late: false, plain: true }
    }

    /// A lookup was made that asked no filter but those in `answers`.
    pub(crate) fn looked_up(&mut self, table: TableId, found: Option<&Arc<FlowEntry>>) {
        if !self.ended {
            self.path.hits.push((table, found.cloned()));
        }
    }

    /// A filter is about to be asked.
    pub(crate) fn asks(&mut self) {
        self.ended |= self.late;
    }

    /// A filter has answered.
    pub(crate) fn answered(&mut self, slot: usize, class: u32) {
        let slot = slot as u32;
        if !self.ended && !self.answers.iter().any(|(other, _)| *other == slot) {
            self.answers.push((slot, class));
        }
    }

    /// The packet's bytes are about to change, or those of another that comes here, or it may end here.
    pub(crate) fn depends_on_packet(&mut self) {
        self.late = true;
        self.plain = false;
    }

    /// A header is uncovered or put on, or what was chosen depends on more than the relevant bits.
    pub(crate) fn ends(&mut self) {
        self.ended = true;
        self.plain = false;
    }
}
