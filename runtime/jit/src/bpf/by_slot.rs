//! What is known of the instructions of a function.

use std::ops::Range;

/// Something of each of a function's instructions of which it is known.
pub(super) struct BySlot<T> {
    start: usize,
    values: Vec<Option<T>>,
}

impl<T> BySlot<T> {
    pub(super) fn new(slots: &Range<usize>) -> BySlot<T> {
        BySlot { start: slots.start, values: slots.clone().map(|_| None).collect() }
    }

    pub(super) fn slots(&self) -> Range<usize> {
        self.start..self.start + self.values.len()
    }

    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        self.values.get(slot.checked_sub(self.start)?)?.as_ref()
    }

    pub(super) fn set(&mut self, slot: usize, value: T) {
        self.values[slot - self.start] = Some(value);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }
}
