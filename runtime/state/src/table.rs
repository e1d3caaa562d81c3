//! The hash table: an index over records, a list of records without key, and the policy when there are none.
//!
//! Whoever takes lock words of records is [pinned](pin) meanwhile.
//!
//! *Foreign* values have neither expiry nor a lock that their programs must take: a program reads and writes what it has found until it
//! ends. So what was taken from its key is given to another one only when every worker has ended the burst in which it may have found it.
//! For that there are more records than entries may be.

use crate::entry::Found;
use crate::free_list::FreeList;
use crate::hash::Seed;
use crate::index::{self, Guard, Index, Place, Used};
use crate::lock_word::{lock_word, try_lock_word, unlock_word};
use crate::map::{Update, UpdateError};
use crate::pool::Pool;
use crate::probe::Probe;
use crate::readers::pin;
use crate::recency::Recency;
use crate::record::Record;
use crate::records::Records;
use crate::shape::{Header, Shape, WhenFull};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many entries an eviction looks at if the key's own buckets hold fewer.
const CANDIDATES: usize = 8;
/// How many keys are looked up together.
const AHEAD: usize = 32;
/// How many buckets a full table searches for an entry to give away, beyond those of the key.
const SWEEP: u32 = 8;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) records: Records,
    index: Index,
    seed: Seed,
    capacity: u32,
    when_full: WhenFull,
    /// Of foreign values, where use decides who makes room.
    recency: Option<Recency>,
    /// The records without key of foreign values; of others, the two below.
    foreign: Option<Mutex<Pool>>,
    /// Records that had a key once.
    free: FreeList,
    /// Records from this number on never had a key.
    fresh: AtomicU32,
    /// The next bucket to sweep.
    sweep: AtomicU32,
    len: AtomicU32,
    refused: AtomicU64,
    evicted: AtomicU64,
}

impl Table {
    pub(crate) fn new(shape: &Shape, when_full: WhenFull) -> Option<Table> {
        let records = Records::new(shape)?;
        let foreign = shape.header != Header::Oko;
        Some(Table {
            index: Index::new(shape.capacity)?,
            seed: Seed::random(),
            capacity: shape.capacity,
            when_full,
            recency: shape.has_stamps().then(|| Recency::new(shape.capacity)),
            foreign: foreign.then(|| Mutex::new(Pool::new(records.distances()))),
            records,
            free: FreeList::new(),
            fresh: AtomicU32::new(0),
            sweep: AtomicU32::new(0),
            len: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        })
    }

    /// None if each use is to be seen.
    pub(crate) fn probe(&self) -> Probe {
        if self.recency.is_some() {
            return Probe::NONE;
        }
        let first = self.records.nobodys().as_ptr();
        self.seed.probe(self.index.first(), self.index.buckets(), first)
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// One past the highest number of a record that ever had a key.
    pub(crate) fn reach(&self) -> u32 {
        match &self.foreign {
            Some(pool) => locked(pool).given_out() as u32,
            None => self.fresh.load(Ordering::Acquire),
        }
    }

    /// Looks several keys up: hashes all, fetches their buckets, then the records that these lead to, and only then compares.
    pub(crate) fn find_burst(&self, keys: &[u64], words: usize, found: &mut [Found]) {
        let mut places = [self.index.place(0); AHEAD];
        for (keys, found) in keys.chunks(AHEAD * words).zip(found.chunks_mut(AHEAD)) {
            let places = &mut places[..found.len()];
            for (place, key) in places.iter_mut().zip(keys.chunks_exact(words)) {
                *place = self.index.place(self.seed.hash(key));
                self.index.fetch(*place);
            }
            for &place in &*places {
                self.fetch_hinted(place);
            }
            for ((&place, key), found) in places.iter().zip(keys.chunks_exact(words)).zip(found) {
                *found = self.find_at(place, key);
            }
        }
    }

    #[inline]
    pub(crate) fn fetch_bucket(&self, hash: u64) {
        self.index.fetch(self.index.place(hash));
    }

    #[inline]
    pub(crate) fn fetch_record(&self, hash: u64) {
        self.fetch_hinted(self.index.place(hash));
    }

    #[inline]
    fn fetch_hinted(&self, place: Place) {
        if let Some(record) = self.index.hint(place) {
            self.records.fetch(record);
        }
    }

    #[inline]
    pub(crate) fn find(&self, key: &[u64]) -> Found {
        self.find_at(self.index.place(self.seed.hash(key)), key)
    }

    #[inline]
    fn find_at(&self, place: Place, key: &[u64]) -> Found {
        match self.lookup(place, key) {
            Some((record, found)) => {
                if let Some(recency) = &self.recency {
                    self.records.used(record, recency);
                }
                found
            }
            None => Found::NONE,
        }
    }

    /// The record of a key.
    pub(crate) fn record_of(&self, key: &[u64]) -> Option<Record> {
        self.lookup(self.index.place(self.seed.hash(key)), key).map(|(record, _)| record)
    }

    #[inline]
    fn lookup(&self, place: Place, key: &[u64]) -> Option<(Record, Found)> {
        self.index.find(place, |record| Some((record, self.records.matching(record, key)?)))
    }

    #[inline]
    pub(crate) fn slot(&self, key: &[u64], now: u64) -> Found {
        let place = self.index.place(self.seed.hash(key));
        match self.lookup(place, key) {
            Some((_, found)) => found,
            None => self.make(place, key, now),
        }
    }

    #[cold]
    fn make(&self, place: Place, key: &[u64], now: u64) -> Found {
        let _pin = pin();
        let guard = self.index.lock(place.first, place.second);
        if let Some((_, found)) = self.lookup(place, key) {
            return found;
        }
        let Some(record) = self.vacancy(place, &guard, now) else {
            return Found::NONE;
        };
        self.records.reset(record, now);
        self.publish(place, record, key);
        self.records.matching(record, key).unwrap_or(Found::NONE)
    }

    fn publish(&self, place: Place, record: Record, key: &[u64]) {
        let stamp = self.recency.as_ref().map_or(0, Recency::inserted);
        self.records.assign(record, key, stamp);
        self.index.insert(place, record);
        // Foreign entries were counted before they got a record.
        if self.foreign.is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Inserts or overwrites a value.
    pub(crate) fn update(
        &self,
        key: &[u64],
        value: &[u8],
        update: Update,
        now: u64,
    ) -> Result<(), UpdateError> {
        let place = self.index.place(self.seed.hash(key));
        let _pin = pin();
        let guard = self.index.lock(place.first, place.second);
        if let Some((record, _)) = self.lookup(place, key) {
            if update == Update::Insert {
                return Err(UpdateError::Exists);
            }
            self.records.write(record, value, now);
            if let Some(recency) = &self.recency {
                self.records.used(record, recency);
            }
            return Ok(());
        }
        if update == Update::Replace {
            return Err(UpdateError::Absent);
        }
        let record = self.vacancy(place, &guard, now).ok_or(UpdateError::Full)?;
        // The record has no key yet, so no reader sees it half written.
        self.records.write(record, value, now);
        self.publish(place, record, key);
        Ok(())
    }

    pub(crate) fn delete(&self, key: &[u64]) -> bool {
        let place = self.index.place(self.seed.hash(key));
        let _pin = pin();
        let _guard = self.index.lock(place.first, place.second);
        let Some((record, _)) = self.lookup(place, key) else {
            return false;
        };
        if let Some(used) = self.index.place_of(place, record) {
            self.unlink(used);
        }
        true
    }

    /// Deletes every entry, bucket by bucket.
    pub(crate) fn clear(&self) {
        for bucket in 0..self.index.buckets() {
            // For each anew, so that workers do not wait for all.
            let _pin = pin();
            let _guard = self.index.lock(bucket, bucket);
            for used in self.index.used(bucket) {
                self.unlink(used);
            }
        }
    }

    /// Takes an entry of a locked bucket away and its record to the list of free ones.
    fn unlink(&self, used: Used) {
        let lock = self.records.lock_word(used.record);
        if let Some(word) = lock {
            lock_word(word);
        }
        self.records.retire(used.record);
        self.index.remove(used);
        if let Some(word) = lock {
            unlock_word(word);
        }
        self.len.fetch_sub(1, Ordering::Relaxed);
        match &self.foreign {
            Some(pool) => locked(pool).retire(used.record.distance()),
            None => self.push_free(used.record),
        }
    }

    /// A record that nobody looks at, for a foreign value; its entry is counted. None if there is no room, or if all that was taken from
    /// other keys may still be looked at.
    fn foreign_vacancy(
        &self,
        pool: &Mutex<Pool>,
        place: Place,
        guard: &Guard<'_>,
        now: u64,
    ) -> Option<Record> {
        let reserve = || {
            let more = |len: u32| (len < self.capacity).then_some(len + 1);
            self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
        };
        let has_room = self.index.has_room(place);
        let mut reserved = has_room && reserve();
        if !reserved && let Some((record, _)) = self.victim(place, guard, has_room, now) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
            locked(pool).retire(record.distance());
            reserved = reserve();
        }
        let distance = if reserved { locked(pool).take(|_| ()) } else { None };
        if distance.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            if reserved {
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
        distance.map(Record::at)
    }

    /// A record without key for a key both buckets of which are locked.
    fn vacancy(&self, place: Place, guard: &Guard<'_>, now: u64) -> Option<Record> {
        if let Some(pool) = &self.foreign {
            return self.foreign_vacancy(pool, place, guard, now);
        }
        let has_room = self.index.has_room(place);
        if has_room && let Some(record) = self.pop_free().or_else(|| self.take_fresh()) {
            return Some(record);
        }
        let record = self.victim(place, guard, has_room, now);
        let counter = if record.is_some() { &self.evicted } else { &self.refused };
        if record.is_none_or(|(_, live)| live) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        record.map(|(record, _)| record)
    }

    /// Takes a record from its key: that of a dead entry, or of the oldest if the policy is so. Says whether it was live.
    fn victim(&self, place: Place, guard: &Guard<'_>, has_room: bool, now: u64) -> Option<(Record, bool)> {
        let own = || self.index.used(place.first).chain(self.index.used(place.second));
        let mut best = self.best(own(), now);
        if let Some(candidate) = best.filter(|best| !best.live)
            && self.take(candidate, now)
        {
            return Some((candidate.used.record, false));
        }
        // If the key's buckets have an empty place, the record may come from anywhere.
        let evicts = self.when_full == WhenFull::EvictOldest;
        let mut looked = own().count();
        if has_room && !(evicts && looked >= CANDIDATES) {
            for step in 0..self.index.buckets() {
                // An eviction goes on until it has something to evict.
                if step >= SWEEP && (!evicts || best.is_some()) {
                    break;
                }
                let bucket = self.sweep.fetch_add(1, Ordering::Relaxed) & (self.index.buckets() - 1);
                let Some(_beside) = self.index.try_lock_beside(guard, bucket) else { continue };
                if let Some(record) = self.sweep_bucket(bucket, now) {
                    return Some((record, false));
                }
                looked += self.index.used(bucket).count();
                if !evicts || looked < CANDIDATES && step < SWEEP {
                    continue;
                }
                // This bucket is locked now only, so its oldest entry is taken now or not at all.
                let oldest = self.best(self.index.used(bucket), now);
                let older = oldest.filter(|oldest| best.is_none_or(|best| oldest.rank() < best.rank()));
                if let Some(candidate) = older
                    && self.take(candidate, now)
                {
                    return Some((candidate.used.record, candidate.live));
                }
                if best.is_some() {
                    break;
                }
            }
        }
        // The oldest may be held by a worker: then the next oldest.
        let mut passed = 0;
        while let Some(candidate) = best.filter(|_| evicts) {
            if self.take(candidate, now) {
                return Some((candidate.used.record, candidate.live));
            }
            passed += 1;
            let mut ranked: Vec<_> = own().map(|used| self.candidate(used, now)).collect();
            ranked.sort_by_key(Candidate::rank);
            best = ranked.get(passed).copied();
        }
        None
    }

    /// Frees the dead entries of the next buckets.
    pub(crate) fn sweep(&self, now: u64, budget: u32) -> u32 {
        let buckets = budget.div_ceil(index::MEAN).min(self.index.buckets());
        let mut freed = 0;
        for _ in 0..buckets {
            let bucket = self.sweep.fetch_add(1, Ordering::Relaxed) & (self.index.buckets() - 1);
            // Most buckets have nothing to free; those are not locked.
            if !self.index.used(bucket).any(|used| self.records.is_dead(used.record, now)) {
                continue;
            }
            let _pin = pin();
            let _guard = self.index.lock(bucket, bucket);
            for used in self.index.used(bucket) {
                let candidate = self.candidate(used, now);
                if !candidate.live && self.take(candidate, now) {
                    self.push_free(used.record);
                    freed += 1;
                }
            }
        }
        freed
    }

    /// Takes all dead entries of a locked bucket away; the first one's record is the answer, the others are free.
    fn sweep_bucket(&self, bucket: u32, now: u64) -> Option<Record> {
        let mut first = None;
        for used in self.index.used(bucket) {
            let candidate = self.candidate(used, now);
            if !candidate.live && self.take(candidate, now) {
                match first {
                    None => first = Some(used.record),
                    Some(_) => self.push_free(used.record),
                }
            }
        }
        first
    }

    fn candidate(&self, used: Used, now: u64) -> Candidate {
        let live = !self.records.is_dead(used.record, now);
        Candidate { used, live, age: self.records.age(used.record) }
    }

    fn best(&self, among: impl Iterator<Item = Used>, now: u64) -> Option<Candidate> {
        among.map(|used| self.candidate(used, now)).min_by_key(Candidate::rank)
    }

    /// Takes a candidate's record from its key, unless somebody holds or has just written it.
    fn take(&self, candidate: Candidate, now: u64) -> bool {
        let record = candidate.used.record;
        let lock = self.records.lock_word(record);
        if lock.is_some_and(|word| !try_lock_word(word)) {
            return false;
        }
        let unchanged = candidate.age == self.records.age(record)
            && (candidate.live || self.records.is_dead(record, now));
        if unchanged {
            self.index.remove(candidate.used);
            self.records.retire(record);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(word) = lock {
            unlock_word(word);
        }
        unchanged
    }

    fn take_fresh(&self) -> Option<Record> {
        // Most of the time the table is not full, or it is; a failed test costs a load.
        if self.fresh.load(Ordering::Relaxed) >= self.capacity {
            return None;
        }
        let more = |fresh: u32| (fresh < self.capacity).then_some(fresh + 1);
        let number = self.fresh.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok()?;
        Some(self.records.numbered(number))
    }

    fn push_free(&self, record: Record) {
        self.free.push(record.distance(), |distance, next| self.records.set_next(Record::at(distance), next));
    }

    fn pop_free(&self) -> Option<Record> {
        self.free.pop(|distance| self.records.next(Record::at(distance))).map(Record::at)
    }
}

fn locked(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry that may have to make room.
#[derive(Clone, Copy)]
struct Candidate {
    used: Used,
    live: bool,
    age: u64,
}

impl Candidate {
    /// Dead entries go before live ones, older ones before younger; of those written at one instant, the one at the lower
    /// place, so that what happens does not depend on the seed of the hash.
    fn rank(&self) -> (bool, u64, Record) {
        (self.live, self.age, self.used.record)
    }
}
