//! Grace periods: when memory that readers may still look at can be used again.
//!
//! A reader pins itself before a run or burst and unpins after it. Whoever takes something out of a shared structure asks for a [`Ticket`] afterwards.
//! Once every reader has unpinned or was pinned after that moment, the ticket has passed, and nobody looks at the thing any more. Readers never wait,
//! and share no cache line with each other.
//!
//! A pin writes the current epoch to the reader's own slot and then fences, lightly; a ticket fences, heavily, and then moves the epoch on. So
//! either the one who asks whether a ticket has passed sees the slot, or the reader sees the structure without the thing.

use crate::sync::{AtomicU64, Ordering, fence, heavy_fence, light_fence};

/// A slot of a reader that is not pinned.
pub(crate) const UNPINNED: u64 = 0;

/// The present epoch: at least 1.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU64);

/// A moment after which something is in no structure any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Epoch {
    /// From a count that is at 1. (The model checker's cannot be made in constants.)
    pub(crate) const fn from(count: AtomicU64) -> Epoch {
        Epoch(count)
    }

    /// Pins a reader by its slot.
    #[inline]
    pub(crate) fn pin(&self, slot: &AtomicU64) {
        self.mark(slot);
        light_fence();
    }

    /// Pins a reader by its slot if the light half of a fence comes next.
    #[inline]
    pub(crate) fn mark(&self, slot: &AtomicU64) {
        slot.store(self.0.load(Ordering::Acquire), Ordering::Relaxed);
    }

    /// Unpins it.
    #[inline]
    pub(crate) fn unpin(&self, slot: &AtomicU64) {
        slot.store(UNPINNED, Ordering::Release);
    }

    /// A ticket for what was taken out before.
    pub(crate) fn ticket(&self) -> Ticket {
        heavy_fence();
        Ticket(self.0.fetch_add(1, Ordering::AcqRel))
    }

    /// The latest ticket that has passed, if no readers have other slots than these.
    pub(crate) fn passed<'a>(&self, slots: impl Iterator<Item = &'a AtomicU64>) -> Ticket {
        let mut oldest = self.0.load(Ordering::Acquire);
        fence(Ordering::SeqCst);
        for slot in slots {
            let pinned = slot.load(Ordering::Acquire);
            if pinned != UNPINNED {
                oldest = oldest.min(pinned);
            }
        }
        // Who was pinned in an epoch was so after the tickets of the epochs before.
        Ticket(oldest - 1)
    }
}
