//! Several workers and a control thread on one map: no update is lost, no copy is torn.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use oko_state::{Found, Header, Kind, Map, Shape, WhenFull, generation_of, pin, unlock};

fn map(when_full: WhenFull, capacity: u32) -> Map {
    let shape =
        Shape { kind: Kind::Hash(when_full), capacity, key_size: 8, value_size: 40, header: Header::Oko };
    Map::new(shape).unwrap()
}

/// Counts in the entry of a key, as generated code does. `false` if there was no room or the entry was given away meanwhile.
fn count(map: &Map, key: u64, now: u64) -> bool {
    let Found { value, generation } = map.slot(&key.to_ne_bytes(), now);
    let Some(entry) = std::ptr::NonNull::new(value) else { return false };
    let pin = pin();
    // SAFETY: a value of this map of 40 bytes, under its lock.
    unsafe {
        pin.lock(value.cast());
        if generation_of(entry) != generation {
            unlock(value.cast());
            return false;
        }
        let word = |offset: usize| AtomicU64::from_ptr(value.add(offset).cast());
        let live = word(8).load(Ordering::Relaxed) > now;
        let old = if live { word(24).load(Ordering::Relaxed) } else { 0 };
        word(24).store(old + 1, Ordering::Relaxed);
        word(32).store((old + 1) ^ key, Ordering::Relaxed);
        word(8).store(u64::MAX, Ordering::Relaxed);
        word(16).store(now, Ordering::Relaxed);
        unlock(value.cast());
    }
    true
}

fn field(value: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(value[offset..offset + 8].try_into().unwrap())
}

#[test]
fn no_update_is_lost_while_there_is_room() {
    let map = map(WhenFull::Refuse, 64);
    const ROUNDS: u64 = 20_000;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..ROUNDS).for_each(|round| assert!(count(&map, round % 64, 1 + round))));
        }
    });
    let total: u64 = map.snapshot().iter().map(|entry| field(&entry.value, 24)).sum();
    assert_eq!(total, 4 * ROUNDS);
    assert_eq!(map.len(), 64);
}

/// Says that the workers are done, however they end.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn copies_are_never_torn_while_workers_write_and_evict() {
    // From tables where every key meets every other to ones whose buckets are so empty that evictions look elsewhere.
    for capacity in [12, 100, 257] {
        let map = map(WhenFull::EvictOldest, capacity);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let _done = Done(&done);
            let workers: Vec<_> = (0..4_u64)
                .map(|worker| {
                    let map = &map;
                    scope.spawn(move || {
                        for round in 0..15_000_u64 {
                            count(map, (round * 7 + worker) % (3 * u64::from(capacity)), 1 + round);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut seen = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    for entry in map.snapshot() {
                        if field(&entry.value, 8) == 0 {
                            continue; // made, and not written yet
                        }
                        let key = u64::from_ne_bytes((*entry.key).try_into().unwrap());
                        let (n, same) = (field(&entry.value, 24), field(&entry.value, 32));
                        assert_eq!(n ^ key, same, "torn entry of {key}");
                        seen += 1;
                    }
                    map.delete(&(seen % (3 * u64::from(capacity))).to_ne_bytes());
                }
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        });
        let mut keys: Vec<_> = map.snapshot().into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys.len() as u32, map.len());
        assert!(map.len() <= capacity);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len() as u32, map.len(), "a key has two entries");
    }
}

#[test]
fn two_workers_never_make_two_entries_of_one_key() {
    for _ in 0..200 {
        let map = map(WhenFull::Refuse, 32);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..32).for_each(|key| assert!(count(&map, key, 1))));
            }
        });
        assert_eq!(map.len(), 32);
        assert!(map.snapshot().iter().all(|entry| field(&entry.value, 24) == 3));
    }
}
