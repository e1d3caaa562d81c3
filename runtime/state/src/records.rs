//! The records of a map: key, bookkeeping and value of each place, in one block of memory.
//!
//! A record is `key words | generation | value`, each part a multiple of 8, the [generation](Generation) a word. The first record of a hash
//! table never belongs to a key. In maps where use decides who makes room there is a word in front of the key, the *stamp*: the time of the
//! last use, in insertions. The last key word of a record without key links the list of these. The records of an array are values only.
//!
//! Everything is read and written word-wise by relaxed atomics, ordered by the lock words and generations around them.

use std::iter::StepBy;
use std::ops::Range;
use std::ptr::NonNull;

use crate::control::EntryCopy;
use crate::entry::{Found, GENERATION_OFFSET};
use crate::generation::{Generation, first_lock, is_begun};
use crate::key::bytes_of;
use crate::lock_word::{begin_copy, end_copy, lock_word, unlock_word};
use crate::memory::{Memory, fetch};
use crate::probe::KEY_END;
use crate::readers::{is_pinned, pin};
use crate::recency::Recency;
use crate::record::Record;
use crate::shape::{Header, Kind, Shape};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence, pause};

const KEY_END_OFFSET: isize = KEY_END as isize;
const EXPIRES_OFFSET: isize = 8;
const WRITTEN_OFFSET: isize = 16;
/// How often a reader looks for a moment without writer before it takes the lock itself.
const COPY_ATTEMPTS: u32 = 1_000;

#[derive(Debug)]
pub(crate) struct Records {
    memory: Memory,
    /// How many have numbers, and how many are in front of these.
    count: u32,
    nobodys: usize,
    stride: usize,
    value_offset: usize,
    has_stamps: bool,
    key_size: usize,
    value_size: usize,
    header: Header,
}

impl Records {
    pub(crate) fn new(shape: &Shape) -> Option<Records> {
        Some(Records {
            memory: Memory::zeroed(shape.records_bytes())?,
            count: u32::try_from(shape.records()).ok()?,
            nobodys: usize::from(shape.has_nobodys()),
            stride: usize::try_from(shape.stride()).ok()?,
            value_offset: usize::try_from(shape.value_offset()).ok()?,
            has_stamps: shape.has_stamps(),
            key_size: shape.key_size as usize,
            value_size: shape.value_size as usize,
            header: match shape.kind {
                // Nobody writes a value of a table that can be found.
                Kind::Exact => Header::Plain { lock_offset: None },
                _ => shape.header,
            },
        })
    }

    /// The record of a number, which lies behind that of the number before.
    #[inline]
    pub(crate) fn numbered(&self, number: u32) -> Record {
        debug_assert!(number < self.count);
        Record::after((number as usize + self.nobodys) * (self.stride / 8))
    }

    /// The [distances](Record::distance) of all records that have numbers, of a hash table.
    pub(crate) fn distances(&self) -> StepBy<Range<u32>> {
        let [first, last] = [0, self.count - 1].map(|number| self.numbered(number).distance());
        (first..last + 1).step_by(self.stride / 8)
    }

    /// The value of a record, from which all that is in it is found.
    #[inline]
    pub(crate) fn value(&self, record: Record) -> NonNull<u8> {
        // SAFETY: a record is `stride` bytes and its value begins within it.
        unsafe { self.memory.at(record.offset()).add(self.value_offset) }
    }

    /// The value of the record that belongs to no key, from which distances count, in maps that have one.
    pub(crate) fn nobodys(&self) -> NonNull<u8> {
        debug_assert!(self.nobodys == 1, "an index leads to the records");
        self.value(Record::NOBODYS)
    }

    /// Fetches a record up to the first field of its value.
    #[inline]
    pub(crate) fn fetch(&self, record: Record) {
        const LINE: usize = 64;
        const HEADER: usize = 32;
        let start = self.memory.at(record.offset()).as_ptr();
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

    /// The word at so many bytes from the value.
    #[inline]
    fn word(&self, record: Record, offset: isize) -> &AtomicU64 {
        debug_assert!(offset % 8 == 0 && self.value_offset.wrapping_add_signed(offset) < self.stride);
        // SAFETY: the word lies in the record, is aligned, and is only accessed atomically by this crate and under lock words
        // by generated code.
        unsafe { self.value(record).offset(offset).cast::<AtomicU64>().as_ref() }
    }

    /// The words of the key of a record, of so many.
    #[inline]
    fn key(&self, record: Record, words: usize) -> impl Iterator<Item = &AtomicU64> {
        let begin = KEY_END_OFFSET - 8 * words as isize;
        (0..words).map(move |at| self.word(record, begin + 8 * at as isize))
    }

    #[inline]
    fn generation(&self, record: Record) -> &Generation {
        // SAFETY: as for `word`.
        unsafe { self.value(record).offset(GENERATION_OFFSET).cast::<Generation>().as_ref() }
    }

    /// The stamp of a record, if it has one: the first word.
    #[inline]
    fn stamp(&self, record: Record) -> Option<&AtomicU64> {
        self.has_stamps.then(|| self.word(record, -(self.value_offset as isize)))
    }

    fn expires(&self, record: Record) -> &AtomicU64 {
        self.word(record, EXPIRES_OFFSET)
    }

    fn written(&self, record: Record) -> &AtomicU64 {
        self.word(record, WRITTEN_OFFSET)
    }

    /// The lock word of a record, if its values have one.
    pub(crate) fn lock_word(&self, record: Record) -> Option<&AtomicU32> {
        let offset = self.header.lock_offset()? as usize;
        // SAFETY: the shape was checked: the lock word is an aligned word of the value; it is only accessed atomically.
        Some(unsafe { self.value(record).add(offset).cast::<AtomicU32>().as_ref() })
    }

    /// The record as a look-up answers it, if it belongs to this key.
    #[inline]
    pub(crate) fn matching(&self, record: Record, key: &[u64]) -> Option<Found> {
        let mut words = self.key(record, key.len()).zip(key);
        let is_wanted = || words.all(|(there, &word)| there.load(Ordering::Relaxed) == word);
        let generation = self.generation(record).of(is_wanted)?;
        Some(Found { value: self.value(record).as_ptr(), generation })
    }

    /// The key of a record whose bucket is locked.
    pub(crate) fn key_words(&self, record: Record) -> impl Iterator<Item = u64> + '_ {
        self.key(record, self.key_size.div_ceil(8)).map(|word| word.load(Ordering::Relaxed))
    }

    /// Makes the value of a record without key one that holds nothing.
    pub(crate) fn reset(&self, record: Record, now: u64) {
        match self.header {
            Header::Oko => {
                self.expires(record).store(0, Ordering::Relaxed);
                self.written(record).store(now, Ordering::Relaxed);
            }
            Header::Plain { .. } => self.zero(record),
        }
    }

    /// Gives a record without key to a key. `tick` is the time of its first use, if it has a stamp.
    pub(crate) fn assign(&self, record: Record, key: &[u64], tick: u64) {
        for (there, &word) in self.key(record, key.len()).zip(key) {
            there.store(word, Ordering::Relaxed);
        }
        if let Some(stamp) = self.stamp(record) {
            stamp.store(tick, Ordering::Relaxed);
        }
        self.generation(record).begin(self.lock_now(record));
    }

    /// What the lock word of a record is, or 0 if it has none.
    fn lock_now(&self, record: Record) -> u32 {
        self.lock_word(record).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Takes a record from its key. Its lock word, if it has one, is held.
    pub(crate) fn retire(&self, record: Record) {
        self.generation(record).end();
        if self.header == Header::Oko {
            self.expires(record).store(0, Ordering::Relaxed);
        }
    }

    /// The last word of where a key was.
    fn link(&self, record: Record) -> &AtomicU64 {
        self.word(record, KEY_END_OFFSET - 8)
    }

    /// Links a record without key to another one, by its distance, or to none by 0.
    pub(crate) fn set_next(&self, record: Record, next: u32) {
        self.link(record).store(u64::from(next), Ordering::Relaxed);
    }

    /// What [`set_next`](Self::set_next) said.
    pub(crate) fn next(&self, record: Record) -> u32 {
        self.link(record).load(Ordering::Relaxed) as u32
    }

    /// Whether a record may be given away as holding nothing: it is dead, and not just waiting for its first lock.
    pub(crate) fn is_dead(&self, record: Record, now: u64) -> bool {
        const FIRST_LOCK_WITHIN: u64 = 1_000_000_000;
        if self.header != Header::Oko || self.expires(record).load(Ordering::Relaxed) > now {
            return false;
        }
        let waits = self.lock_now(record) == first_lock(self.generation(record).load(Ordering::Relaxed));
        !waits || self.written(record).load(Ordering::Relaxed).saturating_add(FIRST_LOCK_WITHIN) < now
    }

    /// When a record was written (Oko) or used (plain) last: greater is later. Of plain ones without stamp all are as old.
    pub(crate) fn age(&self, record: Record) -> u64 {
        match self.header {
            Header::Oko => self.written(record).load(Ordering::Relaxed),
            Header::Plain { .. } => self.stamp(record).map_or(0, |stamp| stamp.load(Ordering::Relaxed)),
        }
    }

    /// Notes that a record with a stamp was used.
    #[inline]
    pub(crate) fn used(&self, record: Record, recency: &Recency) {
        if let Some(stamp) = self.stamp(record)
            && let Some(used) = recency.used(stamp.load(Ordering::Relaxed))
        {
            stamp.store(used, Ordering::Relaxed);
        }
    }

    /// Writes a value under its lock word (if it has one), which stays. Oko values that come dead are marked as written now.
    pub(crate) fn write(&self, record: Record, value: &[u8], now: u64) {
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
    pub(crate) fn zero(&self, record: Record) {
        self.with_lock(record, || {
            for at in 0..self.value_size.div_ceil(8) {
                self.write_word(record, at, 0);
            }
        });
    }

    fn with_lock(&self, record: Record, body: impl FnOnce()) {
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
    fn write_word(&self, record: Record, at: usize, word: u64) {
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
            _ => self.word(record, offset as isize).store(word, Ordering::Relaxed),
        }
    }

    /// Copies key and value of a record at one moment, with a lock word of zero; `None` if it has no key and `keyed` says it should. What is not
    /// keyed belongs to an array.
    pub(crate) fn copy(&self, record: Record, keyed: bool) -> Option<EntryCopy> {
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
                .map(|at| self.word(record, at as isize * 8).load(Ordering::Relaxed));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::WhenFull;

    #[test]
    fn records_lie_one_behind_the_other_and_behind_nobodys() {
        let plain = Header::Plain { lock_offset: None };
        for kind in [Kind::Hash(WhenFull::Refuse), Kind::Hash(WhenFull::EvictOldest), Kind::Exact] {
            let shape = Shape { kind, capacity: 100, key_size: 5, value_size: 3, header: plain };
            let records = Records::new(&shape).expect("there is memory");
            let numbered = (0..shape.records()).map(|number| records.numbered(number as u32));
            assert!(numbered.eq(records.distances().map(Record::at)), "{kind:?}");
            let ends = [records.numbered(0), records.numbered(shape.records() as u32 - 1)];
            let offsets = ends.map(|record| record.offset() as u64);
            assert_eq!(offsets, [shape.stride(), shape.records_bytes() - shape.stride()]);
            for record in ends {
                records.assign(record, &[7], 9);
                assert!(records.matching(record, &[7]).is_some() && records.matching(record, &[6]).is_none());
                assert!(records.matching(Record::NOBODYS, &[7]).is_none());
            }
        }
    }
}
