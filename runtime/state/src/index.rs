//! The index of a hash table: where in the records the key with a given hash is.
//!
//! A key has two buckets, both from its hash. A bucket is one cache line of eight words; a word is empty (0) or holds 32
//! bits of the hash and the number of a record. There are at least two words for each record, so two buckets are
//! practically never both full: with `s_k` the share of buckets that hold `k` or more, two choices square the share at each step, and eight
//! of a mean of four come out below 10^-8, a ninth below 10^-16. Up to 16 entries there are just two buckets, which every
//! key has, so that there is always room.
//!
//! Words are read without locks. They are written under the locks of both buckets of the key concerned, which are striped.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::memory::Memory;

const WAYS: usize = 8;
const LINE: usize = WAYS * 8;
/// The mean number of records of a bucket when the map is full is at most this.
const MEAN: u32 = 4;
/// Below this number of words in use, the first bucket of a key is preferred: look-ups then end there.
const PREFER_FIRST_BELOW: usize = 5;
const MAX_STRIPES: usize = 1024;

/// How many buckets a map of this capacity has.
fn buckets(capacity: u32) -> u32 {
    if capacity as usize <= 2 * WAYS {
        return 2;
    }
    capacity.div_ceil(MEAN).next_power_of_two().max(2)
}

/// What the index of a map of this capacity takes in memory.
pub(crate) fn bytes(capacity: u32) -> u64 {
    u64::from(buckets(capacity)) * LINE as u64
}

/// Where the two buckets of a key are, and what its words look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) first: u32,
    pub(crate) second: u32,
    tag: u32,
}

/// A word of the index that is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    bucket: u32,
    way: usize,
    /// Its record.
    pub(crate) record: u32,
}

#[derive(Debug)]
pub(crate) struct Index {
    memory: Memory,
    mask: u32,
    stripes: Box<[AtomicU32]>,
}

impl Index {
    pub(crate) fn new(capacity: u32) -> Option<Index> {
        let buckets = buckets(capacity);
        let stripes = (0..MAX_STRIPES.min(buckets as usize)).map(|_| AtomicU32::new(0)).collect();
        Some(Index { memory: Memory::zeroed(bytes(capacity))?, mask: buckets - 1, stripes })
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> u32 {
        self.mask + 1
    }

    /// The place of a key with this hash.
    #[inline]
    pub(crate) fn place(&self, hash: u64) -> Place {
        let tag = (hash >> 32) as u32;
        let first = hash as u32 & self.mask;
        // Another bucket than the first: XOR with a number that is not 0 under the mask.
        let step = (tag.wrapping_mul(0x9e37_79b1) >> 7) & self.mask;
        Place { first, second: first ^ step.max(1), tag }
    }

    #[inline]
    fn bucket(&self, bucket: u32) -> &[AtomicU64; WAYS] {
        // SAFETY: `bucket` is at most `mask`, and the memory holds a line of eight words for each; words are only accessed
        // atomically.
        unsafe { self.memory.at(bucket as usize * LINE).cast::<[AtomicU64; WAYS]>().as_ref() }
    }

    /// The first record among those with this tag that `matches` takes.
    #[inline]
    pub(crate) fn find<T>(&self, place: Place, mut matches: impl FnMut(u32) -> Option<T>) -> Option<T> {
        for bucket in [place.first, place.second] {
            for word in self.bucket(bucket) {
                let word = word.load(Ordering::Acquire);
                if (word >> 32) as u32 == place.tag
                    && let Some(record) = record_of(word)
                    && let Some(found) = matches(record)
                {
                    return Some(found);
                }
            }
        }
        None
    }

    /// Takes the locks of two buckets (which may be the same).
    pub(crate) fn lock(&self, a: u32, b: u32) -> Guard<'_> {
        let (a, b) = (self.stripe(a), self.stripe(b));
        let (low, high) = (a.min(b), a.max(b));
        self.take(low);
        if high != low {
            self.take(high);
        }
        Guard { index: self, low, high }
    }

    /// Takes the lock of another bucket while some are held, unless that would mean waiting.
    pub(crate) fn try_lock_beside(&self, held: &Guard<'_>, bucket: u32) -> Option<Option<Guard<'_>>> {
        let stripe = self.stripe(bucket);
        if stripe == held.low || stripe == held.high {
            return Some(None);
        }
        self.stripes[stripe]
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then_some(Some(Guard { index: self, low: stripe, high: stripe }))
    }

    fn stripe(&self, bucket: u32) -> usize {
        bucket as usize & (self.stripes.len() - 1)
    }

    fn take(&self, stripe: usize) {
        let lock = &self.stripes[stripe];
        while lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin_loop();
        }
    }

    /// The words in use of a bucket, whose lock is held.
    pub(crate) fn used(&self, bucket: u32) -> impl Iterator<Item = Used> + '_ {
        self.bucket(bucket).iter().enumerate().filter_map(move |(way, word)| {
            let record = record_of(word.load(Ordering::Relaxed))?;
            Some(Used { bucket, way, record })
        })
    }

    /// The word of a record at a place whose locks are held.
    pub(crate) fn word_of(&self, place: Place, record: u32) -> Option<Used> {
        self.used(place.first).chain(self.used(place.second)).find(|used| used.record == record)
    }

    /// Empties a word whose bucket's lock is held.
    pub(crate) fn remove(&self, used: Used) {
        self.bucket(used.bucket)[used.way].store(0, Ordering::Release);
    }

    /// Whether a place whose locks are held has an empty word.
    pub(crate) fn has_room(&self, place: Place) -> bool {
        [place.first, place.second].into_iter().any(|bucket| self.used(bucket).count() < WAYS)
    }

    /// Publishes a record at a place whose locks are held and that has room.
    pub(crate) fn insert(&self, place: Place, record: u32) {
        let first = self.used(place.first).count();
        let bucket = if first < PREFER_FIRST_BELOW || first <= self.used(place.second).count() {
            place.first
        } else {
            place.second
        };
        let word = u64::from(place.tag) << 32 | u64::from(record + 1);
        let free = self.bucket(bucket).iter().find(|word| word.load(Ordering::Relaxed) == 0);
        free.expect("the place has room, and the less full bucket is taken").store(word, Ordering::Release);
    }
}

fn record_of(word: u64) -> Option<u32> {
    (word as u32).checked_sub(1)
}

/// The locks of one or two stripes.
pub(crate) struct Guard<'a> {
    index: &'a Index,
    low: usize,
    high: usize,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.index.stripes[self.low].store(0, Ordering::Release);
        if self.high != self.low {
            self.index.stripes[self.high].store(0, Ordering::Release);
        }
    }
}
