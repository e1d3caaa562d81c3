//! The array: a value for every index below the capacity, always.

use crate::entry::Found;
use crate::readers::pin;
use crate::record::Record;
use crate::records::Records;
use crate::shape::Shape;

#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) records: Records,
    capacity: u32,
    index_mask: u64,
}

impl Array {
    pub(crate) fn new(shape: &Shape) -> Option<Array> {
        let index_mask = u64::MAX >> (64 - 8 * shape.key_size);
        Some(Array { records: Records::new(shape)?, capacity: shape.capacity, index_mask })
    }

    #[inline]
    pub(crate) fn record(&self, key: &[u64]) -> Option<Record> {
        let index = key[0] & self.index_mask;
        let index = u32::try_from(index).ok().filter(|&index| index < self.capacity);
        index.map(|index| self.records.numbered(index))
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u64]) -> Found {
        self.record(key)
            .map_or(Found::NONE, |record| Found { value: self.records.value(record).as_ptr(), generation: 0 })
    }

    /// Zeroes all values.
    pub(crate) fn clear(&self) {
        for index in 0..self.capacity {
            let _pin = pin();
            self.records.zero(self.records.numbered(index));
        }
    }
}
