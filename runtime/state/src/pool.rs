//! Places that are given out, taken back, and given out again when no reader can look at them any more.

use std::collections::VecDeque;
use std::iter::StepBy;
use std::ops::Range;

use crate::epoch::Ticket;
use crate::readers;

/// Places beyond the capacity of a table, for new versions of entries whose old ones may still be looked at.
pub(crate) fn spare(capacity: u32) -> u32 {
    capacity.div_ceil(16).clamp(1, 1_024)
}

/// The same of a hash table of a foreign program, whose workers insert and evict within a burst.
pub(crate) fn spare_of_foreign(capacity: u32) -> u32 {
    spare(capacity).max(128)
}

#[derive(Debug)]
pub(crate) struct Pool {
    count: usize,
    /// Places that were never given out.
    fresh: StepBy<Range<u32>>,
    free: Vec<u32>,
    /// Places that were taken out lately and have no ticket yet: a ticket interrupts all readers, so it serves several.
    untimed: Vec<u32>,
    /// Places that are in no structure any more, in the order of their tickets.
    retired: VecDeque<(Ticket, u32)>,
}

/// How many places one ticket is for, at most.
const TOGETHER: usize = 16;

impl Pool {
    pub(crate) fn new(places: StepBy<Range<u32>>) -> Pool {
        let (count, fresh) = (places.len(), places);
        Pool { count, fresh, free: Vec::new(), untimed: Vec::new(), retired: VecDeque::new() }
    }

    /// How many places were ever given out: the first ones.
    pub(crate) fn given_out(&self) -> usize {
        self.count - self.fresh.len()
    }

    /// A place that nobody looks at. If there is none but retired ones, waits for the readers of the oldest; gives none if this
    /// thread itself is such a reader. `emptied` is called for every place that was retired and is free now.
    pub(crate) fn take(&mut self, emptied: impl Fn(u32)) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        if let Some(place) = self.fresh.next() {
            return Some(place);
        }
        self.time();
        let &(oldest, _) = self.retired.front()?;
        self.reclaim(&emptied);
        if self.free.is_empty() && readers::wait_for(oldest) {
            self.reclaim(&emptied);
        }
        self.free.pop()
    }

    /// The ticket to wait for if there are not so many places that nobody looks at, but retired ones.
    pub(crate) fn lacks(&mut self, places: usize) -> Option<Ticket> {
        let there = |pool: &Pool| pool.free.len() + pool.fresh.len() >= places;
        if there(self) {
            return None;
        }
        self.time();
        self.reclaim(|_| {});
        if there(self) { None } else { self.retired.front().map(|&(oldest, _)| oldest) }
    }

    /// Takes a place back that was in no structure.
    pub(crate) fn give_back(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Takes a place back that has just been taken out of a structure.
    pub(crate) fn retire(&mut self, place: u32) {
        self.untimed.push(place);
        if self.untimed.len() == TOGETHER {
            self.time();
        }
    }

    /// Gets a ticket for what has none yet.
    fn time(&mut self) {
        if !self.untimed.is_empty() {
            let ticket = readers::ticket();
            self.retired.extend(self.untimed.drain(..).map(|place| (ticket, place)));
        }
    }

    fn reclaim(&mut self, emptied: impl Fn(u32)) {
        let passed = readers::passed();
        while let Some(&(ticket, place)) = self.retired.front() {
            if ticket > passed {
                break;
            }
            self.retired.pop_front();
            emptied(place);
            self.free.push(place);
        }
    }
}
