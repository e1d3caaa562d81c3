//! The map: what engines call, and what the control plane calls beside them.

use std::ptr::NonNull;

use crate::array::Array;
use crate::control::{Cursor, EntryCopy};
use crate::entry::Found;
use crate::key::with_words;
use crate::shape::{Kind, Shape, ShapeError};
use crate::table::Table;

/// A hash table or an array; see the crate's documentation.
#[derive(Debug)]
pub struct Map {
    shape: Shape,
    store: Store,
}

#[derive(Debug)]
pub(crate) enum Store {
    Table(Table),
    Array(Array),
}

/// Whether [`Map::update`] may insert, overwrite or both: the flags of `bpf_map_update_elem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Both (`BPF_ANY`, 0).
    Any,
    /// Only insert (`BPF_NOEXIST`, 1).
    Insert,
    /// Only overwrite (`BPF_EXIST`, 2).
    Replace,
}

/// Why [`Map::update`] changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// There is an entry already, and only inserting was allowed (`-EEXIST`).
    #[error("there is an entry under this key")]
    Exists,
    /// There is no entry, and only overwriting was allowed (`-ENOENT`); or the index is not below the capacity of an array.
    #[error("there is no entry under this key")]
    Absent,
    /// There is no room (`-E2BIG`).
    #[error("the map is full")]
    Full,
    /// Key or value have another size than the map's.
    #[error("the {what} has {found} bytes: expected {expected}")]
    Size {
        /// `key` or `value`.
        what: &'static str,
        /// Its size.
        found: usize,
        /// What the map's have.
        expected: u32,
    },
}

impl Map {
    /// Makes an empty map (an array of zeroes) with a random seed.
    ///
    /// # Errors
    ///
    /// What [`Shape::check`] finds, or that there is not so much memory.
    pub fn new(shape: Shape) -> Result<Map, ShapeError> {
        shape.check()?;
        let store = match shape.kind {
            Kind::Hash(when_full) => Table::new(&shape, when_full).map(Store::Table),
            Kind::Array => Array::new(&shape).map(Store::Array),
        };
        let store = store.ok_or(ShapeError::TooLarge { bytes: shape.footprint() })?;
        Ok(Map { shape, store })
    }

    /// What it was made from.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What it takes in memory, in bytes: [`Shape::footprint`].
    pub fn footprint(&self) -> u64 {
        self.shape.footprint()
    }

    /// How many entries there are, dead ones that were not given away yet among them. All of an array.
    pub fn len(&self) -> u32 {
        match &self.store {
            Store::Table(table) => table.len(),
            Store::Array(_) => self.shape.capacity,
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys got no entry for want of room.
    pub fn refused(&self) -> u64 {
        match &self.store {
            Store::Table(table) => table.refused(),
            Store::Array(_) => 0,
        }
    }

    /// How many live entries made room for others.
    pub fn evicted(&self) -> u64 {
        match &self.store {
            Store::Table(table) => table.evicted(),
            Store::Array(_) => 0,
        }
    }

    /// The entry under a key, dead or live. A key of another size than the map's has none.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Found {
        if key.len() != self.shape.key_size as usize {
            return Found::NONE;
        }
        with_words(key, |key| self.find_words(key))
    }

    /// As [`find`](Self::find), for a key of zero-padded words in host order.
    ///
    /// # Panics
    ///
    /// If the words are not as many as the map's keys take.
    #[inline]
    pub fn find_words(&self, key: &[u64]) -> Found {
        assert_eq!(key.len(), self.key_word_count());
        match &self.store {
            Store::Table(table) => table.find(key),
            Store::Array(array) => array.find(key),
        }
    }

    /// The entry under a key; a dead one is made if there is none. Gives none, and counts it as refused, if there is no room.
    #[inline]
    pub fn slot(&self, key: &[u8], now: u64) -> Found {
        if key.len() != self.shape.key_size as usize {
            return Found::NONE;
        }
        with_words(key, |key| self.slot_words(key, now))
    }

    /// As [`slot`](Self::slot), for a key of zero-padded words in host order.
    ///
    /// # Panics
    ///
    /// If the words are not as many as the map's keys take.
    #[inline]
    pub fn slot_words(&self, key: &[u64], now: u64) -> Found {
        assert_eq!(key.len(), self.key_word_count());
        match &self.store {
            Store::Table(table) => table.slot(key, now),
            Store::Array(array) => array.find(key),
        }
    }

    /// Words of a key.
    #[inline]
    pub fn key_word_count(&self) -> usize {
        (self.shape.key_size as usize).div_ceil(8)
    }

    /// Inserts or overwrites a whole value; its lock word stays as it is. Readers that take the lock never see it half written.
    ///
    /// # Errors
    ///
    /// See [`UpdateError`].
    pub fn update(&self, key: &[u8], value: &[u8], update: Update, now: u64) -> Result<(), UpdateError> {
        let sizes = [("key", key.len(), self.shape.key_size), ("value", value.len(), self.shape.value_size)];
        for (what, found, expected) in sizes {
            if found != expected as usize {
                return Err(UpdateError::Size { what, found, expected });
            }
        }
        with_words(key, |key| match &self.store {
            Store::Table(table) => table.update(key, value, update, now),
            Store::Array(array) => {
                let record = array.record(key).ok_or(UpdateError::Absent)?;
                if update == Update::Insert {
                    return Err(UpdateError::Exists);
                }
                array.records.write(record, value, now);
                Ok(())
            }
        })
    }

    /// Deletes an entry; says whether there was one. The entries of an array stay.
    pub fn delete(&self, key: &[u8]) -> bool {
        match &self.store {
            Store::Table(table) if key.len() == self.shape.key_size as usize => {
                with_words(key, |key| table.delete(key))
            }
            _ => false,
        }
    }

    /// Deletes all entries, or zeroes those of an array, one by one beside running workers.
    pub fn clear(&self) {
        match &self.store {
            Store::Table(table) => table.clear(),
            Store::Array(array) => array.clear(),
        }
    }

    /// Copies the value under a key at one moment, its lock word as 0. No worker waits for that.
    pub fn read(&self, key: &[u8]) -> Option<Box<[u8]>> {
        if key.len() != self.shape.key_size as usize {
            return None;
        }
        with_words(key, |words| match &self.store {
            Store::Table(table) => loop {
                // The place may change hands between look-up and copy.
                let record = table.record_of(words)?;
                if let Some(copy) = table.records.copy(record, true)
                    && *copy.key == *key
                {
                    return Some(copy.value);
                }
            },
            Store::Array(array) => array.records.copy(array.record(words)?, false).map(|copy| copy.value),
        })
    }

    /// Copies all entries, each at one moment, dead ones too. Those that come or go meanwhile may be missed.
    pub fn snapshot(&self) -> Vec<EntryCopy> {
        let mut cursor = Cursor::START;
        self.scan(&mut cursor, usize::MAX)
    }

    /// Copies up to `limit` entries from `cursor` on and moves it behind them; none means that there are no more.
    pub fn scan(&self, cursor: &mut Cursor, limit: usize) -> Vec<EntryCopy> {
        match &self.store {
            Store::Table(table) => {
                cursor.advance(table.reach(), limit, |record| table.records.copy(record, true))
            }
            Store::Array(array) => cursor.advance(self.shape.capacity, limit, |record| {
                let copy = array.records.copy(record, false)?;
                let mut key = u64::from(record).to_ne_bytes().to_vec();
                key.truncate(self.shape.key_size as usize);
                Some(EntryCopy { key: key.into_boxed_slice(), value: copy.value })
            }),
        }
    }

    /// The first value of an array and the distance from one value to the next, in bytes.
    pub fn array_values(&self) -> Option<(NonNull<u8>, usize)> {
        match &self.store {
            Store::Array(array) => Some((array.records.value(0), array.records.stride())),
            Store::Table(_) => None,
        }
    }
}
