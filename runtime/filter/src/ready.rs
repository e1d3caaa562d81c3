//! What a call about a single packet needs of a filter, put together when it is loaded.
//!
//! A small filter takes a nanosecond or two, so whatever comes before and after it counts: what engine runs it, which context is the worker's, where its counters are. Of
//! what is the same for all calls, nothing is asked here again; and whatever is not as nearly always, goes the [general way](crate::Instance::run_burst): a thread that
//! comes for the first time or is not alone, engines that interpret, states that each worker has for itself.

use std::sync::Arc;

use oko_jit::abi::{self, Context, Entry, Moment, Packet};

use crate::info::Verdict;
use crate::stats::Counters;

/// A filter as machine code for all workers alike.
#[derive(Debug)]
pub(crate) struct Ready {
    entry: Entry,
    context: *const Context,
    /// Whether there are states, for which who runs it must be pinned.
    has_states: bool,
    counters: Arc<Counters>,
}

// SAFETY: code and context are not changed any more, and threads share what they lead to.
unsafe impl Send for Ready {}
// SAFETY: as above.
unsafe impl Sync for Ready {}

impl Ready {
    /// # Safety
    ///
    /// Code and context live as long as this is [run](Self::run), and belong together as [`Entry`] demands; the counters are [few](Counters::are_few).
    pub(crate) unsafe fn new(
        entry: Entry,
        context: *const Context,
        has_states: bool,
        counters: Arc<Counters>,
    ) -> Ready {
        Ready { entry, context, has_states, counters }
    }

    /// Asks the filter about a packet and counts the answer, if that is quick.
    #[inline]
    pub(crate) fn run(&self, packet: &Packet<'_>, now: u64) -> Option<Verdict> {
        if !self.has_states {
            let counters = self.counters.own(oko_state::worker_if_known()?)?;
            let verdict = self.call(packet, now, false);
            counters.count(verdict);
            return Some(verdict);
        }
        let pin = oko_state::pin_alone()?;
        let counters = self.counters.own(pin.worker())?;
        let verdict = self.call(packet, now, true);
        counters.count(verdict);
        Some(verdict)
    }

    #[inline(always)]
    fn call(&self, packet: &Packet<'_>, now: u64, alone: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let (place, moment) = ((&raw mut verdict).cast::<u32>(), Moment { now, alone });
        // SAFETY: code and context are there and belong together, which `new` was promised; one packet, and room for one verdict, which is a transparent `u32`. The caller
        // is pinned if there are states, and alone if it says so.
        unsafe { abi::call(self.entry, self.context, std::slice::from_ref(packet), moment, place) };
        verdict
    }
}
