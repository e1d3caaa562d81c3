//! The map: what engines call, and what the control plane calls beside them.

use std::ptr::NonNull;

use crate::array::Array;
use crate::bloom::Bloom;
use crate::control::{Cursor, EntryCopy};
use crate::entry::Found;
use crate::exact::Exact;
use crate::key::with_words;
use crate::prefix::Prefix;
use crate::probe::{BUCKET_SIZE, Probe};
use crate::readers::{pin, worker};
use crate::ring_buffer::RingBuffer;
use crate::shape::{Header, Kind, Shape, ShapeError};
use crate::sketch::Sketch;
use crate::table::Table;

/// A map of any [`Kind`]; see the crate's documentation.
#[derive(Debug)]
#[repr(C)]
pub struct Map {
    /// At the map's own address.
    probe: Probe,
    /// The most entries that are near: see [`is_far`](Self::is_far).
    near: u32,
    shape: Shape,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Table(Table),
    Array(Array),
    Exact(Exact),
    Prefix(Prefix),
    Bloom(Bloom),
    Sketch(Sketch),
    Ring(RingBuffer),
    /// One for each worker.
    Copies(Box<[Map]>),
}

/// The greatest number of copies.
const MAX_COPIES: u32 = 1_024;

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

/// Why [`Map::update`] or [`Map::push`] changed nothing.
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
    /// The prefix is longer than the keys of the table (`-EINVAL`).
    #[error("a prefix of {found} bits: expected at most {most}")]
    PrefixLength {
        /// Its length.
        found: u32,
        /// The bits of a key.
        most: u32,
    },
    /// Maps of this kind have no entries, or no elements to push (`-EOPNOTSUPP`).
    #[error("maps of this kind cannot do that")]
    Kind,
}

/// How many entries of this shape the caches near a core have room for.
fn near(shape: &Shape) -> u32 {
    const NEAR_BYTES: u64 = 1 << 20;
    // Of a record's index, four places are used of eight at most.
    let bytes = shape.stride() + u64::from(BUCKET_SIZE) / 4;
    (NEAR_BYTES / bytes) as u32
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
            Kind::Exact => Exact::new(&shape).map(Store::Exact),
            Kind::Prefix => Prefix::new(&shape).map(Store::Prefix),
            Kind::Bloom { hashes } => Bloom::new(shape.capacity, hashes).map(Store::Bloom),
            Kind::Sketch { summary, hashes } => {
                Sketch::new(summary, shape.capacity, hashes).map(Store::Sketch)
            }
            Kind::Ring => RingBuffer::new(shape.capacity).map(Store::Ring),
        };
        let store = store.ok_or(ShapeError::TooLarge { bytes: shape.footprint() })?;
        let probe = match &store {
            Store::Table(table) => table.probe(),
            Store::Exact(table) => table.probe(),
            Store::Prefix(table) => table.probe(),
            _ => Probe::NONE,
        };
        Ok(Map { probe, near: near(&shape), shape, store })
    }

    /// Makes a map with a copy for each of so many workers, by their [numbers](worker); with more workers than copies, some share one. Each
    /// copy has the whole capacity.
    ///
    /// Operations on keys are those of the calling worker's copy, except that [`delete`](Self::delete) and [`clear`](Self::clear) go to all copies, and
    /// that a plain value that another worker has put under a key is found by all, as zeroes by those who have not written it
    /// (`BPF_MAP_TYPE_PERCPU_HASH`). [`read`](Self::read), [`snapshot`](Self::snapshot) and [`scan`](Self::scan) are for the single [`copies`](Self::copies).
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new), or there are no copies or more than 1024.
    pub fn per_core(shape: Shape, copies: u32) -> Result<Map, ShapeError> {
        if copies == 0 || copies > MAX_COPIES {
            return Err(ShapeError::Copies { found: copies });
        }
        let copies: Box<[Map]> = (0..copies).map(|_| Map::new(shape)).collect::<Result<_, _>>()?;
        Ok(Map { probe: Probe::NONE, near: near(&shape), shape, store: Store::Copies(copies) })
    }

    /// What it was made from.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The copies of a map that has one for each worker; itself for others.
    pub fn copies(&self) -> &[Map] {
        match &self.store {
            Store::Copies(copies) => copies,
            _ => std::slice::from_ref(self),
        }
    }

    /// The copy of the worker of a number.
    #[inline]
    pub fn copy_of(&self, worker: u32) -> &Map {
        match &self.store {
            Store::Copies(copies) => &copies[worker as usize % copies.len()],
            _ => self,
        }
    }

    /// What it takes in memory, in bytes: [`Shape::footprint`], for each copy.
    pub fn footprint(&self) -> u64 {
        self.shape.footprint() * self.copies().len() as u64
    }

    /// How many entries there are, dead ones that were not given away yet among them. All of an array; of several copies together; none in a Bloom filter,
    /// sketch or ring buffer.
    pub fn len(&self) -> u32 {
        match &self.store {
            Store::Table(table) => table.len(),
            Store::Array(_) => self.shape.capacity,
            Store::Exact(table) => table.len(),
            Store::Prefix(table) => table.len(),
            Store::Bloom(_) | Store::Sketch(_) | Store::Ring(_) => 0,
            Store::Copies(copies) => copies.iter().map(Map::len).fold(0, u32::saturating_add),
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
            Store::Ring(ring) => ring.dropped(),
            Store::Copies(copies) => copies.iter().map(Map::refused).sum(),
            _ => 0,
        }
    }

    /// How many live entries made room for others.
    pub fn evicted(&self) -> u64 {
        match &self.store {
            Store::Table(table) => table.evicted(),
            Store::Copies(copies) => copies.iter().map(Map::evicted).sum(),
            _ => 0,
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
        assert!(key.len() == self.key_word_count(), "the words of a key");
        match &self.store {
            Store::Table(table) => table.find(key),
            _ => self.find_elsewhere(key),
        }
    }

    /// The same in maps of all kinds: apart from that of most look-ups, which stays short so.
    #[inline(never)]
    fn find_elsewhere(&self, key: &[u64]) -> Found {
        match &self.store {
            Store::Table(table) => table.find(key),
            Store::Array(array) => array.find(key),
            Store::Exact(table) => table.find(key),
            Store::Prefix(table) => table.find(key),
            Store::Sketch(sketch) => sketch.find(key),
            Store::Bloom(_) | Store::Ring(_) => Found::NONE,
            Store::Copies(copies) => self.find_in_copies(copies, key),
        }
    }

    /// As [`find_words`](Self::find_words) for several keys, one after the other in `keys`, whose places are fetched ahead of use: in a table that is
    /// larger than the caches, the waits for memory of all keys go on at once.
    ///
    /// # Panics
    ///
    /// If there are not as many keys, or not as many words of each, as there are places in `found`.
    pub fn find_burst(&self, keys: &[u64], found: &mut [Found]) {
        let words = self.key_word_count();
        assert_eq!(keys.len(), words * found.len());
        match &self.store {
            Store::Table(table) => table.find_burst(keys, words, found),
            _ if words == 0 => found.fill(Found::NONE),
            _ => {
                for (key, found) in keys.chunks_exact(words).zip(found) {
                    *found = self.find_words(key);
                }
            }
        }
    }

    /// Whether its entries take more memory than the caches near a core have, so that it pays to fetch what a look-up will read ahead of it.
    #[inline]
    pub fn is_far(&self) -> bool {
        match &self.store {
            Store::Table(table) => table.len() > self.near,
            Store::Exact(table) => table.len() > self.near,
            _ => false,
        }
    }

    /// Fetches the bucket in which the key with this hash is looked for first, as [`probe`](crate::probe) says.
    #[inline]
    pub fn fetch_bucket(&self, hash: u64) {
        match &self.store {
            Store::Table(table) => table.fetch_bucket(hash),
            Store::Exact(table) => table.fetch_bucket(hash),
            _ => {}
        }
    }

    /// Fetches the record that is most probably that of the key with this hash; reads its bucket.
    #[inline]
    pub fn fetch_record(&self, hash: u64) {
        match &self.store {
            Store::Table(table) => table.fetch_record(hash),
            Store::Exact(table) => table.fetch_record(hash),
            _ => {}
        }
    }

    fn find_in_copies(&self, copies: &[Map], key: &[u64]) -> Found {
        let own = self.copy_of(worker());
        let found = own.find_words(key);
        let shared = matches!(self.shape.kind, Kind::Hash(_)) && self.shape.header != Header::Oko;
        if found != Found::NONE || !shared || copies.iter().all(|copy| copy.find_words(key) == Found::NONE) {
            return found;
        }
        own.slot_words(key, 0)
    }

    /// The entry under a key; a dead one is made if there is none. Gives none, and counts it as refused, if there is no room. Tables of the
    /// control plane are only searched.
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
        assert!(key.len() == self.key_word_count(), "the words of a key");
        match &self.store {
            Store::Table(table) => table.slot(key, now),
            _ => self.slot_elsewhere(key, now),
        }
    }

    /// The same in what is no hash table.
    #[inline(never)]
    fn slot_elsewhere(&self, key: &[u64], now: u64) -> Found {
        match &self.store {
            Store::Copies(_) => self.copy_of(worker()).slot_words(key, now),
            _ => self.find_words(key),
        }
    }

    /// Words of a key.
    #[inline]
    pub fn key_word_count(&self) -> usize {
        (self.shape.key_size as usize).div_ceil(8)
    }

    /// Inserts or overwrites a whole value; its lock word stays as it is. Readers that take the lock never see it half written. In a table of the control
    /// plane, it waits for the runs and bursts of workers when all spare records may still be looked at; if the calling thread itself is pinned,
    /// the table is full then. A prefix table that a thread changes while it is pinned loses its [direct table](crate::direct).
    ///
    /// # Errors
    ///
    /// See [`UpdateError`].
    pub fn update(&self, key: &[u8], value: &[u8], update: Update, now: u64) -> Result<(), UpdateError> {
        if matches!(self.store, Store::Bloom(_) | Store::Sketch(_) | Store::Ring(_)) {
            return Err(UpdateError::Kind);
        }
        self.check_size("key", key, self.shape.key_size)?;
        self.check_size("value", value, self.shape.value_size)?;
        if let Store::Prefix(table) = &self.store {
            table.check_length(key)?;
        }
        with_words(key, |words| match &self.store {
            Store::Table(table) => table.update(words, value, update, now),
            Store::Exact(table) => table.update(words, value, update),
            Store::Prefix(table) => table.update(words, value, update),
            Store::Array(array) => {
                let record = array.record(words).ok_or(UpdateError::Absent)?;
                if update == Update::Insert {
                    return Err(UpdateError::Exists);
                }
                let _pin = pin();
                array.records.write(record, value, now);
                Ok(())
            }
            Store::Copies(_) => self.copy_of(worker()).update(key, value, update, now),
            Store::Bloom(_) | Store::Sketch(_) | Store::Ring(_) => Err(UpdateError::Kind),
        })
    }

    fn check_size(&self, what: &'static str, bytes: &[u8], expected: u32) -> Result<(), UpdateError> {
        if bytes.len() == expected as usize {
            return Ok(());
        }
        Err(UpdateError::Size { what, found: bytes.len(), expected })
    }

    /// Puts a value into a Bloom filter (`bpf_map_push_elem`).
    ///
    /// # Errors
    ///
    /// It is no Bloom filter, or the value has another size than its values.
    pub fn push(&self, value: &[u8]) -> Result<(), UpdateError> {
        let Store::Bloom(bloom) = &self.store else { return Err(UpdateError::Kind) };
        self.check_size("value", value, self.shape.value_size)?;
        bloom.push(value);
        Ok(())
    }

    /// Whether a value may have been put into a Bloom filter (`bpf_map_peek_elem`): true for each that was, and for few others as long as these are
    /// not more than the capacity. False for other maps and values of another size.
    pub fn holds(&self, value: &[u8]) -> bool {
        match &self.store {
            Store::Bloom(bloom) => value.len() == self.shape.value_size as usize && bloom.holds(value),
            _ => false,
        }
    }

    /// Puts an element into a sketch (`ubpf_map_add`).
    ///
    /// # Errors
    ///
    /// It is no sketch, or the element has another size than its keys.
    pub fn add(&self, element: &[u8]) -> Result<(), UpdateError> {
        let Store::Sketch(sketch) = &self.store else { return Err(UpdateError::Kind) };
        self.check_size("key", element, self.shape.key_size)?;
        with_words(element, |words| sketch.add(words));
        Ok(())
    }

    /// The ring buffer that it is.
    pub fn ring(&self) -> Option<&RingBuffer> {
        match &self.store {
            Store::Ring(ring) => Some(ring),
            _ => None,
        }
    }

    /// Deletes an entry; says whether there was one. The entries of an array stay.
    pub fn delete(&self, key: &[u8]) -> bool {
        if key.len() != self.shape.key_size as usize {
            return false;
        }
        match &self.store {
            Store::Table(table) => with_words(key, |key| table.delete(key)),
            Store::Exact(table) => with_words(key, |key| table.delete(key)),
            Store::Prefix(table) => with_words(key, |key| table.delete(key)),
            Store::Copies(copies) => copies.iter().map(|copy| copy.delete(key)).fold(false, |a, b| a | b),
            Store::Array(_) | Store::Bloom(_) | Store::Sketch(_) | Store::Ring(_) => false,
        }
    }

    /// Deletes all entries, or zeroes those of an array, Bloom filter or sketch, one by one beside running workers; takes all records out of a
    /// ring buffer.
    pub fn clear(&self) {
        match &self.store {
            Store::Table(table) => table.clear(),
            Store::Array(array) => array.clear(),
            Store::Exact(table) => table.clear(),
            Store::Prefix(table) => table.clear(),
            Store::Bloom(bloom) => bloom.clear(),
            Store::Sketch(sketch) => sketch.clear(),
            Store::Ring(ring) => drop(ring.drain(usize::MAX)),
            Store::Copies(copies) => copies.iter().for_each(Map::clear),
        }
    }

    /// Frees dead entries in a part of a hash table of about `budget` entries, and goes on from there the next time; gives how many. Anybody may do this at
    /// any time: look-ups never see dead entries as live, so it only makes room before it is needed. Nothing in maps of other kinds.
    pub fn sweep(&self, now: u64, budget: u32) -> u32 {
        match &self.store {
            Store::Table(table) => table.sweep(now, budget),
            Store::Copies(copies) => copies.iter().map(|copy| copy.sweep(now, budget)).sum(),
            _ => 0,
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
            Store::Exact(table) => table.read(words),
            Store::Prefix(table) => table.read(words),
            Store::Copies(_) => self.copy_of(worker()).read(key),
            Store::Sketch(sketch) => Some(sketch.read(words)),
            Store::Bloom(_) | Store::Ring(_) => None,
        })
    }

    /// Copies all entries, each at one moment, dead ones too. Those that come or go meanwhile may be missed. Of several copies, the entries of
    /// one after those of the other.
    pub fn snapshot(&self) -> Vec<EntryCopy> {
        let copies = self.copies().iter();
        let all = |copy: &Map| {
            let mut cursor = Cursor::START;
            copy.scan(&mut cursor, usize::MAX)
        };
        copies.flat_map(all).collect()
    }

    /// Copies up to `limit` entries from `cursor` on and moves it behind them; none means that there are no more. Several copies are scanned
    /// one by one.
    pub fn scan(&self, cursor: &mut Cursor, limit: usize) -> Vec<EntryCopy> {
        match &self.store {
            Store::Table(table) => cursor.advance(u64::from(table.reach()), limit, |number| {
                table.records.copy(table.records.numbered(number as u32), true)
            }),
            Store::Array(array) => cursor.advance(u64::from(self.shape.capacity), limit, |index| {
                let copy = array.records.copy(array.records.numbered(index as u32), false)?;
                let mut key = index.to_ne_bytes().to_vec();
                key.truncate(self.shape.key_size as usize);
                Some(EntryCopy { key: key.into_boxed_slice(), value: copy.value })
            }),
            Store::Exact(table) => table.scan(cursor, limit),
            Store::Prefix(table) => table.scan(cursor, limit),
            Store::Copies(_) => self.copy_of(worker()).scan(cursor, limit),
            Store::Bloom(_) | Store::Sketch(_) | Store::Ring(_) => Vec::new(),
        }
    }

    /// The first value of an array and the distance from one value to the next, in bytes.
    pub fn array_values(&self) -> Option<(NonNull<u8>, usize)> {
        match &self.store {
            Store::Array(array) => {
                Some((array.records.value(array.records.numbered(0)), array.records.stride()))
            }
            _ => None,
        }
    }
}
