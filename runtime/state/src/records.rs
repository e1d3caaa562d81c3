//! The records of a map: key, bookkeeping and value of each place, in one block of memory.
//!
//! A record is `key words | generation | value`, each part a multiple of 8, the [generation](Generation) a word. The first record of a hash
//! table never belongs to a key. In maps where use decides who makes room there is a word in front of the key, the *stamp*: the time of the
//! last use, in insertions. The first key word of a record without key links the list of these. The records of an array are values only.
//!
//! Everything is read and written word-wise by relaxed atomics, ordered by the lock words and generations around them.

use std::ptr::NonNull;

use crate::control::EntryCopy;
use crate::entry::{Found, GENERATION_OFFSET};
use crate::generation::{Generation, first_lock, is_begun};
use crate::key::bytes_of;
use crate::lock_word::{begin_copy, end_copy, lock_word, unlock_word};
use crate::memory::{Memory, fetch};
use crate::readers::{is_pinned, pin};
use crate::recency::Recency;
use crate::shape::{Header, Kind, Shape};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence, pause};

const EXPIRES_OFFSET: usize = 8;
const WRITTEN_OFFSET: usize = 16;
/// How often a reader looks for a moment without writer before it takes the lock itself.
const COPY_ATTEMPTS: u32 = 1_000;

#[derive(Debug)]
pub(crate) struct Records {
    memory: Memory,
    /// How many records are in front of the first one.
    nobodys: usize,
    stride: usize,
    key_offset: usize,
    value_offset: usize,
    key_size: usize,
    value_size: usize,
    header: Header,
}

impl Records {
    pub(crate) fn new(shape: &Shape) -> Option<Records> {
        Some(Records {
            memory: Memory::zeroed(shape.records_bytes())?,
            nobodys: usize::from(shape.has_nobodys()),
            stride: usize::try_from(shape.stride()).ok()?,
            key_offset: usize::try_from(shape.key_offset()).ok()?,
            value_offset: usize::try_from(shape.value_offset()).ok()?,
            key_size: shape.key_size as usize,
            value_size: shape.value_size as usize,
            header: match shape.kind {
                // Nobody writes a value of a table that can be found.
                Kind::Exact => Header::Plain { lock_offset: None },
                _ => shape.header,
            },
        })
    }

    #[inline]
    fn base(&self, record: u32) -> NonNull<u8> {
        self.memory.at((record as usize + self.nobodys) * self.stride)
    }

    /// The value of a record below the capacity.
    #[inline]
    pub(crate) fn value(&self, record: u32) -> NonNull<u8> {
        // SAFETY: a record is `stride` bytes and its value begins within it.
        unsafe { self.base(record).add(self.value_offset) }
    }

    /// The value of the record that belongs to no key, from which distances count, in maps that have one.
    pub(crate) fn nobodys(&self) -> NonNull<u8> {
        debug_assert!(self.nobodys == 1, "an index leads to the records");
        // SAFETY: as above; it is the first record.
        unsafe { self.memory.at(0).add(self.value_offset) }
    }

    /// Fetches a record up to the first field of its value.
    #[inline]
    pub(crate) fn fetch(&self, record: u32) {
        const LINE: usize = 64;
        const HEADER: usize = 32;
        let start = self.base(record).as_ptr();
        let end = (self.value_offset + HEADER).min(self.stride);
        for offset in (0..end).step_by(LINE) {
            fetch(start.wrapping_add(offset));
        }
        fetch(start.wrapping_add(end - 1));
    }

    /// Bytes from one value to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    #[inline]
    fn word(&self, record: u32, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset < self.stride);
        // SAFETY: the word lies in the record, is aligned, and is only accessed atomically by this crate and under lock words
        // by generated code.
        unsafe { self.base(record).add(offset).cast::<AtomicU64>().as_ref() }
    }

    #[inline]
    fn key_word(&self, record: u32, word: usize) -> &AtomicU64 {
        self.word(record, self.key_offset + word * 8)
    }

    #[inline]
    fn generation(&self, record: u32) -> &Generation {
        let offset = self.value_offset.wrapping_add_signed(GENERATION_OFFSET);
        // SAFETY: as for `word`.
        unsafe { self.base(record).add(offset).cast::<Generation>().as_ref() }
    }

    /// The stamp of a record, if it has one.
    #[inline]
    fn stamp(&self, record: u32) -> Option<&AtomicU64> {
        (self.key_offset != 0).then(|| self.word(record, 0))
    }

    fn expires(&self, record: u32) -> &AtomicU64 {
        self.word(record, self.value_offset + EXPIRES_OFFSET)
    }

    fn written(&self, record: u32) -> &AtomicU64 {
        self.word(record, self.value_offset + WRITTEN_OFFSET)
    }

    /// The lock word of a record, if its values have one.
    pub(crate) fn lock_word(&self, record: u32) -> Option<&AtomicU32> {
        let offset = self.header.lock_offset()? as usize;
        // SAFETY: the shape was checked: the lock word is an aligned word of the value; it is only accessed atomically.
        Some(unsafe { self.value(record).add(offset).cast::<AtomicU32>().as_ref() })
    }

    /// The record as a look-up answers it, if it belongs to this key.
    #[inline]
    pub(crate) fn matching(&self, record: u32, key: &[u64]) -> Option<Found> {
        let mut words = key.iter().enumerate();
        let is_wanted = || words.all(|(at, &word)| self.key_word(record, at).load(Ordering::Relaxed) == word);
        let generation = self.generation(record).of(is_wanted)?;
        Some(Found { value: self.value(record).as_ptr(), generation })
    }

    /// The key of a record whose bucket is locked.
    pub(crate) fn key_words(&self, record: u32) -> impl Iterator<Item = u64> + '_ {
        (0..self.key_size.div_ceil(8)).map(move |word| self.key_word(record, word).load(Ordering::Relaxed))
    }

    /// Makes the value of a record without key one that holds nothing.
    pub(crate) fn reset(&self, record: u32, now: u64) {
        match self.header {
            Header::Oko => {
                self.expires(record).store(0, Ordering::Relaxed);
                self.written(record).store(now, Ordering::Relaxed);
            }
            Header::Plain { .. } => self.zero(record),
        }
    }

    /// Gives a record without key to a key. `tick` is the time of its first use, if it has a stamp.
    pub(crate) fn assign(&self, record: u32, key: &[u64], tick: u64) {
        for (at, &word) in key.iter().enumerate() {
            self.key_word(record, at).store(word, Ordering::Relaxed);
        }
        if let Some(stamp) = self.stamp(record) {
            stamp.store(tick, Ordering::Relaxed);
        }
        self.generation(record).begin(self.lock_now(record));
    }

    /// What the lock word of a record is, or 0 if it has none.
    fn lock_now(&self, record: u32) -> u32 {
        self.lock_word(record).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Takes a record from its key. Its lock word, if it has one, is held.
    pub(crate) fn retire(&self, record: u32) {
        self.generation(record).end();
        if self.header == Header::Oko {
            self.expires(record).store(0, Ordering::Relaxed);
        }
    }

    /// Links a record without key to another one.
    pub(crate) fn set_next(&self, record: u32, next: u32) {
        self.key_word(record, 0).store(u64::from(next), Ordering::Relaxed);
    }

    /// What [`set_next`](Self::set_next) said.
    pub(crate) fn next(&self, record: u32) -> u32 {
        self.key_word(record, 0).load(Ordering::Relaxed) as u32
    }

    /// Whether a record may be given away as holding nothing: it is dead, and not just waiting for its first lock.
    pub(crate) fn is_dead(&self, record: u32, now: u64) -> bool {
        const FIRST_LOCK_WITHIN: u64 = 1_000_000_000;
        if self.header != Header::Oko || self.expires(record).load(Ordering::Relaxed) > now {
            return false;
        }
        let waits = self.lock_now(record) == first_lock(self.generation(record).load(Ordering::Relaxed));
        !waits || self.written(record).load(Ordering::Relaxed).saturating_add(FIRST_LOCK_WITHIN) < now
    }

    /// When a record was written (Oko) or used (plain) last: greater is later. Of plain ones without stamp all are as old.
    pub(crate) fn age(&self, record: u32) -> u64 {
        match self.header {
            Header::Oko => self.written(record).load(Ordering::Relaxed),
            Header::Plain { .. } => self.stamp(record).map_or(0, |stamp| stamp.load(Ordering::Relaxed)),
        }
    }

    /// Notes that a record with a stamp was used.
    #[inline]
    pub(crate) fn used(&self, record: u32, recency: &Recency) {
        if let Some(stamp) = self.stamp(record)
            && let Some(used) = recency.used(stamp.load(Ordering::Relaxed))
        {
            stamp.store(used, Ordering::Relaxed);
        }
    }

    /// Writes a value under its lock word (if it has one), which stays. Oko values that come dead are marked as written now.
    pub(crate) fn write(&self, record: u32, value: &[u8], now: u64) {
        self.with_lock(record, || {
            for (at, chunk) in value.chunks(8).enumerate() {
                let mut bytes = [0; 8];
                bytes[..chunk.len()].copy_from_slice(chunk);
                self.write_word(record, at, u64::from_ne_bytes(bytes));
            }
            if self.header == Header::Oko && self.expires(record).load(Ordering::Relaxed) == 0 {
                self.written(record).store(now, Ordering::Relaxed);
            }
        });
    }

    /// Zeroes a value under its lock word.
    pub(crate) fn zero(&self, record: u32) {
        self.with_lock(record, || {
            for at in 0..self.value_size.div_ceil(8) {
                self.write_word(record, at, 0);
            }
        });
    }

    fn with_lock(&self, record: u32, body: impl FnOnce()) {
        let lock = self.lock_word(record);
        debug_assert!(lock.is_none() || is_pinned(), "who takes lock words is pinned");
        if let Some(word) = lock {
            lock_word(word);
        }
        body();
        if let Some(word) = lock {
            unlock_word(word);
        }
    }

    /// Writes eight bytes of a value, or the four beside the lock word.
    fn write_word(&self, record: u32, at: usize, word: u64) {
        let offset = at * 8;
        match self.header.lock_offset() {
            Some(lock) if lock as usize / 8 == at => {
                let other = offset + if (lock as usize).is_multiple_of(8) { 4 } else { 0 };
                let bytes = word.to_ne_bytes();
                let half = [0, 1, 2, 3].map(|byte| bytes[other - offset + byte]);
                // SAFETY: both halves of a word of the value lie in the record, which is rounded up to whole words.
                let cell = unsafe { self.value(record).add(other).cast::<AtomicU32>().as_ref() };
                cell.store(u32::from_ne_bytes(half), Ordering::Relaxed);
            }
            _ => self.word(record, self.value_offset + offset).store(word, Ordering::Relaxed),
        }
    }

    /// Copies key and value of a record at one moment, with a lock word of zero; `None` if it has no key and `keyed` says it should. What is not
    /// keyed belongs to an array.
    pub(crate) fn copy(&self, record: u32, keyed: bool) -> Option<EntryCopy> {
        let lock = self.lock_word(record);
        let generation_now = |order| if keyed { self.generation(record).load(order) } else { 1 };
        for attempt in 0..=COPY_ATTEMPTS {
            let generation = generation_now(Ordering::Acquire);
            if !is_begun(generation) {
                return None;
            }
            let forced = attempt == COPY_ATTEMPTS;
            let _pin = forced.then(pin);
            if forced && let Some(word) = lock {
                lock_word(word);
            }
            let begun = match lock {
                Some(word) if forced => Some(word.load(Ordering::Relaxed)),
                Some(word) => begin_copy(word),
                None => Some(0),
            };
            let Some(begun) = begun else {
                pause();
                continue;
            };
            let key = if keyed { bytes_of(self.key_words(record), self.key_size) } else { Box::default() };
            let words = (0..self.value_size.div_ceil(8))
                .map(|at| self.word(record, self.value_offset + at * 8).load(Ordering::Relaxed));
            let mut value = bytes_of(words, self.value_size);
            let whole = match lock {
                Some(word) => end_copy(word, begun),
                None => {
                    fence(Ordering::Acquire);
                    true
                }
            };
            let moved = generation_now(Ordering::Relaxed) != generation;
            if forced && let Some(word) = lock {
                unlock_word(word);
            }
            if whole && !moved {
                if let Some(offset) = self.header.lock_offset() {
                    value[offset as usize..offset as usize + 4].fill(0);
                }
                return Some(EntryCopy { key, value });
            }
        }
        // Only a place that changes hands faster than it can be copied comes here; its keys are not there any more.
        None
    }
}
