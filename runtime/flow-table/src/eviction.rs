//! Which entry gives way when a table is full (OpenFlow 1.4.0, section 6.5): the least important, of these the one whose time is over first, of these the
//! oldest.
//!
//! A heap by what was known of an entry when it was looked at last. An entry that was used since ends later, never sooner, so what is found in front is looked at
//! again until it is as it was. What is gone or was replaced stays in the heap until it is in front, or until the heap is mostly such.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::{Arc, Weak};

use crate::entry::FlowEntry;

/// Rebuilding is not worth while below so many.
const FEW: usize = 1_024;

/// Importance, end in nanoseconds, number: the least gives way first.
type Worth = (u16, u64, u64);

fn worth(entry: &FlowEntry) -> Worth {
    let end = entry.hard_end().or(entry.idle_end()).unwrap_or(u64::MAX);
    (entry.importance, end, entry.serial)
}

#[derive(Debug)]
struct Candidate {
    worth: Worth,
    entry: Weak<FlowEntry>,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.worth == other.worth
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.worth.cmp(&other.worth)
    }
}

/// The entries of a table by what they are worth.
#[derive(Debug, Default)]
pub(crate) struct Candidates(BinaryHeap<Reverse<Candidate>>);

impl Candidates {
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a Arc<FlowEntry>>) -> Candidates {
        Candidates(entries.map(candidate).collect())
    }

    pub(crate) fn push(&mut self, entry: &Arc<FlowEntry>) {
        self.0.push(candidate(entry));
    }

    /// The entry that gives way first, of those that are in the table.
    pub(crate) fn least(&mut self, is_there: impl Fn(&Arc<FlowEntry>) -> bool) -> Option<Arc<FlowEntry>> {
        loop {
            let mut first = self.0.peek_mut()?;
            match first.0.entry.upgrade().filter(&is_there) {
                None => drop(PeekMut::pop(first)),
                Some(entry) if worth(&entry) == first.0.worth => return Some(entry),
                Some(entry) => first.0.worth = worth(&entry),
            }
        }
    }

    /// Starts anew with the entries that there are, `count` of them, if the heap is mostly of others.
    pub(crate) fn tidy<'a>(&mut self, count: usize, entries: impl Iterator<Item = &'a Arc<FlowEntry>>) {
        if self.0.len() > FEW + 2 * count {
            *self = Candidates::of(entries);
        }
    }
}

fn candidate(entry: &Arc<FlowEntry>) -> Reverse<Candidate> {
    Reverse(Candidate { worth: worth(entry), entry: Arc::downgrade(entry) })
}
