//! A list of places without owner, in places' own memory: any number of threads push and pop.
//!
//! Places have numbers from 1 on. The head is that of the first one, or 0, in the low half and a count in the high half, which every change
//! moves: so nobody takes a list for unchanged whose head went and came back.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct FreeList {
    head: AtomicU64,
}

impl FreeList {
    pub(crate) fn new() -> FreeList {
        FreeList { head: AtomicU64::new(0) }
    }

    /// Adds a place; `link` notes in it what follows.
    pub(crate) fn push(&self, place: u32, link: impl Fn(u32, u32)) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link(place, head as u32);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(place);
            match self.head.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes a place; `next` reads what follows it, of a place that another thread may have taken meanwhile.
    pub(crate) fn pop(&self, next: impl Fn(u32) -> u32) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let place = head as u32;
            if place == 0 {
                return None;
            }
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next(place));
            match self.head.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(place),
                Err(seen) => head = seen,
            }
        }
    }
}
