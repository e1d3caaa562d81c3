//! Entries in the order of something that only grows while they are there: when they end, what they are worth.
//!
//! A heap by what was known of each entry when it was looked at last. An entry that was used since comes later, never sooner, so what is found in front is looked
//! at again until it is as it was. What is gone or was replaced stays in the heap until it is in front, or until the heap is mostly such.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::{Arc, Weak};

use crate::entry::FlowEntry;

/// Rebuilding is not worth while below so many.
const FEW: usize = 1_024;

/// What entries are ordered by. Of one entry it never becomes less.
pub(crate) trait Order: Ord + Sized {
    /// That of an entry as it is now, if it is in the order at all.
    fn of(entry: &FlowEntry) -> Option<Self>;
}

#[derive(Debug)]
struct Known<O> {
    order: O,
    entry: Weak<FlowEntry>,
}

impl<O: Ord> PartialEq for Known<O> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<O: Ord> Eq for Known<O> {}

impl<O: Ord> PartialOrd for Known<O> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<O: Ord> Ord for Known<O> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

/// The entries of a table, the first in front.
#[derive(Debug)]
pub(crate) struct EntryHeap<O>(BinaryHeap<Reverse<Known<O>>>);

impl<O: Ord> Default for EntryHeap<O> {
    fn default() -> Self {
        EntryHeap(BinaryHeap::new())
    }
}

impl<O: Order> EntryHeap<O> {
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a Arc<FlowEntry>>) -> EntryHeap<O> {
        EntryHeap(entries.filter_map(known).collect())
    }

    /// Notes an entry, if it is in the order.
    pub(crate) fn push(&mut self, entry: &Arc<FlowEntry>) {
        self.0.extend(known(entry));
    }

    /// The first of the entries that are in the table, if it is within a bound. What is known to be beyond that is not looked at.
    pub(crate) fn first(
        &mut self,
        is_within: impl Fn(&O) -> bool,
        is_there: impl Fn(&Arc<FlowEntry>) -> bool,
    ) -> Option<Arc<FlowEntry>> {
        loop {
            let mut first = self.0.peek_mut().filter(|first| is_within(&first.0.order))?;
            let entry = first.0.entry.upgrade().filter(&is_there);
            match entry.and_then(|entry| Some((O::of(&entry)?, entry))) {
                None => drop(PeekMut::pop(first)),
                Some((now, entry)) if now == first.0.order => return Some(entry),
                Some((now, _)) => first.0.order = now,
            }
        }
    }

    /// Starts anew with the entries that there are, `count` of them in the order, if the heap is mostly of others.
    pub(crate) fn tidy<'a>(&mut self, count: usize, entries: impl Iterator<Item = &'a Arc<FlowEntry>>) {
        if self.0.len() > FEW + 2 * count {
            *self = EntryHeap::of(entries);
        }
    }
}

fn known<O: Order>(entry: &Arc<FlowEntry>) -> Option<Reverse<Known<O>>> {
    O::of(entry).map(|order| Reverse(Known { order, entry: Arc::downgrade(entry) }))
}
