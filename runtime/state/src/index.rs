//! The index of a hash table: where in the records the key with a given hash is.
//!
//! A key has two buckets, both from its hash. A bucket is one cache line of eight places; a place is empty (tag 0) or holds 15
//! bits of the hash and a one (the tag) and where a record is. There are at least two places for each record, so two buckets are
//! practically never both full: with `s_k` the share of buckets that hold `k` or more, two choices square the share at each step, and eight
//! of a mean of four come out below 10^-8, a ninth below 10^-16. Up to 16 entries there are just two buckets, which every
//! key has, so that there is always room.
//!
//! As long as no key had to go to its second bucket, a look-up ends in the first one, of a key that is not there, too.
//!
//! Three bits of the hash say which of the places is the key's own: it gets that one if it is empty. So whoever looks there first seldom has to look at
//! another one, of a table that is full in a fourth of all cases, of one that is half full in an eighth.
//!
//! Where a record is, is said by its [distance](Record::distance), so that whoever looks it up adds and need not multiply. A place that is not
//! in use leads to a record that is nobody's, so that whoever looks only there, and not at the tag, finds nothing.
//!
//! Places are read without locks, four tags at a time; what a tag promises is to be checked with the record. They are written under
//! the locks of both buckets of the key concerned, which are striped.

use crate::memory::{Memory, fetch};
use crate::probe::{self, BUCKET_OVERFLOWED, BUCKET_RECORDS, BUCKET_SIZE, OWN_WAY, TAGGED};
use crate::record::Record;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::hint::spin_loop;
use std::mem::offset_of;

const WAYS: usize = probe::WAYS as usize;
const LINE: usize = 64;
/// Tags in a word.
const LANES: usize = 4;
/// The lowest bit of each tag in a word.
const LOW_BITS: u64 = 0x0001_0001_0001_0001;

/// A bucket.
#[repr(C, align(64))]
struct Bucket {
    /// Four tags each, the first one lowest.
    tags: [AtomicU64; WAYS / LANES],
    records: [AtomicU32; WAYS],
    /// Whether a key whose first bucket this is was ever put into its second one: 1 then, and for good, for whoever takes a key away does not know its
    /// first bucket.
    overflowed: AtomicU32,
}

/// The mean number of records of a bucket when the map is full is at most this.
pub(crate) const MEAN: u32 = 4;
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

/// Where the two buckets of a key are, and its tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) first: u32,
    pub(crate) second: u32,
    /// Which of the places of a bucket is the key's own.
    own: usize,
    tag: u16,
}

/// A place that is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    bucket: u32,
    way: usize,
    /// Its record.
    pub(crate) record: Record,
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

    /// Where the first bucket is.
    pub(crate) fn first(&self) -> *const u8 {
        self.memory.at(0).as_ptr()
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> u32 {
        self.mask + 1
    }

    /// The place of a key with this hash.
    #[inline]
    pub(crate) fn place(&self, hash: u64) -> Place {
        let hash = hash | TAGGED;
        // Of these bits generated code makes the bucket's address without a shift.
        let first = (hash >> LINE.ilog2()) as u32 & self.mask;
        // Another bucket than the first: XOR with a number that is not 0 under the mask, for it is odd.
        let step = ((hash >> 32) as u32 | 1) & self.mask;
        // Not 0, which is an empty place's.
        let tag = (hash >> TAGGED.ilog2()) as u16;
        let own = (hash >> OWN_WAY) as usize % WAYS;
        Place { first, second: first ^ step, own, tag }
    }

    #[inline]
    fn bucket(&self, bucket: u32) -> &Bucket {
        const { assert!(size_of::<Bucket>() == LINE && LINE == BUCKET_SIZE as usize) };
        const { assert!(offset_of!(Bucket, tags) == 0 && offset_of!(Bucket, records) == BUCKET_RECORDS as usize) };
        const { assert!(offset_of!(Bucket, overflowed) == BUCKET_OVERFLOWED as usize) };
        // SAFETY: `bucket` is at most `mask`, and the memory holds a line for each, zeroed at first; it is only accessed atomically.
        unsafe { self.memory.at(bucket as usize * LINE).cast::<Bucket>().as_ref() }
    }

    /// Fetches the first bucket of a key.
    #[inline]
    pub(crate) fn fetch(&self, place: Place) {
        fetch(std::ptr::from_ref(self.bucket(place.first)).cast());
    }

    /// The record of the first equal tag in the first bucket, which is most often the key's; if there is none, the second bucket is fetched if it may have one.
    #[inline]
    pub(crate) fn hint(&self, place: Place) -> Option<Record> {
        let bucket = self.bucket(place.first);
        let equal = bucket.equal_tags(place.tag, Ordering::Relaxed);
        if equal != 0 {
            return Some(bucket.record(way(equal), Ordering::Relaxed));
        }
        if bucket.overflowed.load(Ordering::Relaxed) != 0 {
            fetch(std::ptr::from_ref(self.bucket(place.second)).cast());
        }
        None
    }

    /// The first record that `matches` takes among those with this tag, and perhaps a few others.
    ///
    /// One loop for both buckets, compiled into whoever looks up: the fewer instructions a look-up is, the more of the next one a processor does
    /// while it waits for this one's memory.
    #[inline(always)]
    pub(crate) fn find<T>(&self, place: Place, matches: impl Fn(Record) -> Option<T>) -> Option<T> {
        let mut bucket = self.bucket(place.first);
        loop {
            let mut equal = bucket.equal_tags(place.tag, Ordering::Acquire);
            while equal != 0 {
                // Acquire, for a table's records are replaced under an unchanged tag.
                let found = matches(bucket.record(way(equal), Ordering::Acquire));
                if found.is_some() {
                    return found;
                }
                equal &= equal - 1;
            }
            let second = self.bucket(place.second);
            // Whoever put a key of this bucket elsewhere said so before.
            if std::ptr::eq(bucket, second) || bucket.overflowed.load(Ordering::Acquire) == 0 {
                return None;
            }
            bucket = second;
        }
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
        let taken = self.stripes[stripe].compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        // A guard that is made is a lock that is given back, so there must be none without a lock.
        taken.is_ok().then(|| Some(Guard { index: self, low: stripe, high: stripe }))
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

    /// The places in use of a bucket, whose lock is held.
    pub(crate) fn used(&self, bucket: u32) -> impl Iterator<Item = Used> + '_ {
        let line = self.bucket(bucket);
        (0..WAYS).filter(move |&way| line.tag(way) != 0).map(move |way| Used {
            bucket,
            way,
            record: line.record(way, Ordering::Relaxed),
        })
    }

    /// The place of a record among those of a key whose locks are held.
    pub(crate) fn place_of(&self, place: Place, record: Record) -> Option<Used> {
        self.used(place.first).chain(self.used(place.second)).find(|used| used.record == record)
    }

    /// Empties a place whose bucket's lock is held.
    pub(crate) fn remove(&self, used: Used) {
        let bucket = self.bucket(used.bucket);
        bucket.set_tag(used.way, 0);
        bucket.set_record(used.way, Record::NOBODYS);
    }

    /// Puts another record of the same key at a place whose bucket's lock is held, in one step.
    pub(crate) fn replace(&self, used: Used, record: Record) {
        self.bucket(used.bucket).set_record(used.way, record);
    }

    /// How many places there are.
    pub(crate) fn places(&self) -> u64 {
        u64::from(self.buckets()) * WAYS as u64
    }

    /// The record at a place below their number, if the place is in use.
    pub(crate) fn record_at(&self, place: u64) -> Option<Record> {
        let (bucket, way) = (self.bucket((place / WAYS as u64) as u32), (place % WAYS as u64) as usize);
        (bucket.tag(way) != 0).then(|| bucket.record(way, Ordering::Acquire))
    }

    /// Whether a key whose locks are held has an empty place.
    pub(crate) fn has_room(&self, place: Place) -> bool {
        [place.first, place.second].into_iter().any(|bucket| self.used(bucket).count() < WAYS)
    }

    /// Publishes a record for a key whose locks are held and that has an empty place.
    pub(crate) fn insert(&self, place: Place, record: Record) {
        let first = self.used(place.first).count();
        let bucket = if first < PREFER_FIRST_BELOW || first <= self.used(place.second).count() {
            place.first
        } else {
            self.bucket(place.first).overflowed.store(1, Ordering::Release);
            place.second
        };
        let bucket = self.bucket(bucket);
        let way = std::iter::once(place.own).chain(0..WAYS).find(|&way| bucket.tag(way) == 0);
        let way = way.expect("the key has room, and the less full bucket is taken");
        // Who reads it before the tag finds a whole record.
        bucket.set_record(way, record);
        bucket.set_tag(way, place.tag);
    }
}

/// The high bit of each tag of a word that is equal to that of the other word, and of no other.
#[inline]
fn equal_lanes(tags: u64, wanted: u64) -> u64 {
    const LOWER: u64 = !(LOW_BITS << 15);
    let differing = tags ^ wanted;
    !(((differing & LOWER) + LOWER) | differing | LOWER)
}

/// The place in a bucket of the lowest bit of [equal tags](Bucket::equal_tags), of which there is one.
#[inline]
fn way(equal: u64) -> usize {
    let bit = equal.trailing_zeros() as usize;
    (1 - bit % 2) * LANES + bit / 16
}

impl Bucket {
    /// A bit for each place that has the tag: the highest of its lane for those of the first word, the one below it for those of the second. Both words
    /// are looked at before anything is decided: a processor does not foresee in which of them the tag is.
    #[inline]
    fn equal_tags(&self, tag: u16, ordering: Ordering) -> u64 {
        let wanted = u64::from(tag) * LOW_BITS;
        // Written out: a closure for both is not always compiled inline.
        let [low, high] = &self.tags;
        equal_lanes(low.load(ordering), wanted) | equal_lanes(high.load(ordering), wanted) >> 1
    }

    #[inline]
    fn record(&self, way: usize, ordering: Ordering) -> Record {
        Record::at(self.records[way].load(ordering))
    }

    /// Leads to another record; the bucket's lock is held.
    fn set_record(&self, way: usize, record: Record) {
        self.records[way].store(record.distance(), Ordering::Release);
    }

    fn tag(&self, way: usize) -> u16 {
        (self.tags[way / LANES].load(Ordering::Relaxed) >> (way % LANES * 16)) as u16
    }

    /// Writes a tag; the bucket's lock is held, so nobody else writes its neighbours.
    fn set_tag(&self, way: usize, tag: u16) {
        let (word, shift) = (&self.tags[way / LANES], way % LANES * 16);
        let others = word.load(Ordering::Relaxed) & !(0xffff << shift);
        word.store(others | u64::from(tag) << shift, Ordering::Release);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_tags_are_equal() {
        for (tags, equal) in [
            (0, 0),
            (0x0001, 0x8000),
            (0x0001_0000_0001, 0x8000_0000_8000),
            (0x0003_0000_0001, 0x8000),
            (u64::MAX, 0),
        ] {
            assert_eq!(equal_lanes(tags, LOW_BITS), equal, "{tags:#x}");
        }
        assert_eq!(equal_lanes(0x8001_0001_8001_8000, 0x8001 * LOW_BITS), 0x8000_0000_8000_0000);
    }

    #[test]
    fn keys_are_most_often_in_their_own_way() {
        const CAPACITY: u32 = 65_536;
        let index = Index::new(CAPACITY).expect("there is memory");
        let mut in_own = 0;
        for number in 1..=CAPACITY {
            let record = Record::at(number * 5);
            // Any well mixed number.
            let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let place = index.place(hash ^ hash >> 29);
            index.insert(place, record);
            let used = index.place_of(place, record).expect("it was put there");
            in_own += u32::from(used.way == place.own);
            if number == CAPACITY / 2 {
                assert!(in_own > CAPACITY / 2 / 8 * 7, "half full: {in_own}");
            }
        }
        assert!(in_own > CAPACITY / 4 * 3, "full: {in_own}");
    }
}
