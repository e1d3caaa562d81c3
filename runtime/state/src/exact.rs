//! The exact table: written by the control plane only, read by workers without locks.
//!
//! An entry that a look-up gave stays as it is: a new value is a new record, which takes the place of the old one in the index in one store, and
//! the old one is used again only when every worker has ended the run or burst in which it may have found it ([`crate::readers`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::{Cursor, EntryCopy};
use crate::entry::Found;
use crate::hash::Seed;
use crate::index::{Index, Place};
use crate::map::{Update, UpdateError};
use crate::pool::Pool;
use crate::probe::Probe;
use crate::record::Record;
use crate::records::Records;
use crate::shape::Shape;
use crate::sync::{AtomicU32, Ordering};

#[derive(Debug)]
pub(crate) struct Exact {
    records: Records,
    index: Index,
    seed: Seed,
    capacity: u32,
    len: AtomicU32,
    /// Held by whoever changes the table or copies entries.
    writer: Mutex<Pool>,
}

impl Exact {
    pub(crate) fn new(shape: &Shape) -> Option<Exact> {
        let records = Records::new(shape)?;
        Some(Exact {
            index: Index::new(shape.capacity)?,
            seed: Seed::random(),
            capacity: shape.capacity,
            len: AtomicU32::new(0),
            writer: Mutex::new(Pool::new(records.distances())),
            records,
        })
    }

    pub(crate) fn probe(&self) -> Probe {
        let first = self.records.nobodys().as_ptr();
        self.seed.probe(self.index.first(), self.index.buckets(), first)
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u64]) -> Found {
        let place = self.index.place(self.seed.hash(key));
        self.index.find(place, |record| self.records.matching(record, key)).unwrap_or(Found::NONE)
    }

    #[inline]
    pub(crate) fn fetch_bucket(&self, hash: u64) {
        self.index.fetch(self.index.place(hash));
    }

    #[inline]
    pub(crate) fn fetch_record(&self, hash: u64) {
        if let Some(record) = self.index.hint(self.index.place(hash)) {
            self.records.fetch(record);
        }
    }

    fn writer(&self) -> MutexGuard<'_, Pool> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup(&self, place: Place, key: &[u64]) -> Option<Record> {
        self.index.find(place, |record| self.records.matching(record, key).map(|_| record))
    }

    pub(crate) fn update(&self, key: &[u64], value: &[u8], update: Update) -> Result<(), UpdateError> {
        let mut writer = self.writer();
        let place = self.index.place(self.seed.hash(key));
        let old = self.lookup(place, key);
        match (old, update) {
            (Some(_), Update::Insert) => return Err(UpdateError::Exists),
            (None, Update::Replace) => return Err(UpdateError::Absent),
            (None, _) if self.len() == self.capacity || !self.index.has_room(place) => {
                return Err(UpdateError::Full);
            }
            _ => {}
        }
        let emptied = |distance| self.records.retire(Record::at(distance));
        let record = Record::at(writer.take(emptied).ok_or(UpdateError::Full)?);
        self.records.write(record, value, 0);
        self.records.assign(record, key, 0);
        if let Some(used) = old.and_then(|old| self.index.place_of(place, old)) {
            self.index.replace(used, record);
            writer.retire(used.record.distance());
        } else {
            self.index.insert(place, record);
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn delete(&self, key: &[u64]) -> bool {
        let mut writer = self.writer();
        let place = self.index.place(self.seed.hash(key));
        let record = self.lookup(place, key);
        let Some(used) = record.and_then(|record| self.index.place_of(place, record)) else { return false };
        self.index.remove(used);
        writer.retire(used.record.distance());
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn clear(&self) {
        let mut writer = self.writer();
        for bucket in 0..self.index.buckets() {
            for used in self.index.used(bucket) {
                self.index.remove(used);
                writer.retire(used.record.distance());
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn read(&self, key: &[u64]) -> Option<Box<[u8]>> {
        let _writer = self.writer();
        let record = self.lookup(self.index.place(self.seed.hash(key)), key)?;
        self.records.copy(record, true).map(|copy| copy.value)
    }

    pub(crate) fn scan(&self, cursor: &mut Cursor, limit: usize) -> Vec<EntryCopy> {
        let _writer = self.writer();
        cursor.advance(self.index.places(), limit, |place| {
            let record = self.index.record_at(place)?;
            self.records.copy(record, true)
        })
    }
}
