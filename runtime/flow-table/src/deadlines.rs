//! When entries end: a heap by deadline, so that looking what is over costs nothing while nothing is.
//!
//! A deadline is the earliest instant at which an entry can be over. An entry that was used meanwhile gets a later one when the first has come. What
//! is gone or was replaced stays in the heap until then, or until the heap is mostly such.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};

use crate::entry::FlowEntry;

/// Rebuilding is not worth while below so many.
const FEW: usize = 1_024;

#[derive(Debug)]
struct Due {
    at: u64,
    entry: Weak<FlowEntry>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

/// The deadlines of a table's entries.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(BinaryHeap<Reverse<Due>>);

impl Deadlines {
    /// Notes an entry, if it ever ends.
    pub(crate) fn push(&mut self, entry: &Arc<FlowEntry>) {
        if let Some(at) = entry.deadline() {
            self.0.push(Reverse(Due { at, entry: Arc::downgrade(entry) }));
        }
    }

    /// An entry whose deadline has come at `now`, or one that is gone.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Weak<FlowEntry>> {
        let first = self.0.peek_mut()?;
        (first.0.at <= now).then(|| std::collections::binary_heap::PeekMut::pop(first).0.entry)
    }

    /// Starts anew with the entries that there are, `timed` of them, if the heap is mostly of others.
    pub(crate) fn tidy<'a>(&mut self, timed: usize, entries: impl Iterator<Item = &'a Arc<FlowEntry>>) {
        if self.0.len() > FEW + 2 * timed {
            self.0.clear();
            entries.for_each(|entry| self.push(entry));
        }
    }
}
