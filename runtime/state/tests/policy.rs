//! What a map does when it is full, and that its declared capacity is what it holds.

#![allow(clippy::unwrap_used)]

use oko_state::{
    Found, Header, Kind, Map, Shape, Update, UpdateError, WhenFull, generation_of, lock, pin, unlock,
};

const SECOND: u64 = 1_000_000_000;

fn oko(when_full: WhenFull, capacity: u32) -> Map {
    let shape =
        Shape { kind: Kind::Hash(when_full), capacity, key_size: 4, value_size: 32, header: Header::Oko };
    Map::new(shape).unwrap()
}

/// What generated code does: slot, lock, write the time and expiry, unlock.
fn touch(map: &Map, key: u32, now: u64, expires: u64) -> bool {
    let Found { value, .. } = map.slot(&key.to_ne_bytes(), now);
    if value.is_null() {
        return false;
    }
    let _pin = pin();
    // SAFETY: the value is one of this map's, 32 bytes with the header of Oko, and its lock word is held.
    unsafe {
        lock(value.cast());
        value.add(8).cast::<u64>().write(expires);
        value.add(16).cast::<u64>().write(now);
        value.add(24).cast::<u64>().write(u64::from(key));
        unlock(value.cast());
    }
    true
}

fn holds(map: &Map, key: u32) -> bool {
    !map.find(&key.to_ne_bytes()).value.is_null()
}

#[test]
fn a_refusing_map_takes_exactly_its_capacity() {
    for capacity in [1, 7, 16, 17, 100, 65_536] {
        let map = oko(WhenFull::Refuse, capacity);
        for key in 0..capacity {
            assert!(touch(&map, key, 1, u64::MAX), "key {key} of {capacity}");
        }
        assert!(!touch(&map, capacity, 1, u64::MAX), "one more than {capacity}");
        assert_eq!((map.len(), map.refused(), map.evicted()), (capacity, 1, 0));
        assert!((0..capacity).all(|key| holds(&map, key)));
    }
}

#[test]
fn a_refusing_map_gives_the_place_of_a_dead_entry_away() {
    let map = oko(WhenFull::Refuse, 4);
    for key in 0..4 {
        assert!(touch(&map, key, 1, if key == 2 { 5 * SECOND } else { u64::MAX }));
    }
    assert!(!touch(&map, 10, 4 * SECOND, u64::MAX));
    assert!(touch(&map, 10, 5 * SECOND, u64::MAX));
    assert!(!holds(&map, 2));
    assert_eq!((map.len(), map.refused(), map.evicted()), (4, 1, 0));
}

#[test]
fn an_entry_waits_a_second_for_its_first_lock() {
    let map = oko(WhenFull::Refuse, 1);
    let slot = |key: u32, now: u64| !map.slot(&key.to_ne_bytes(), now).value.is_null();
    // The place has had other keys, under which it was locked.
    assert!((1..4).all(|key| touch(&map, key, key.into(), key.into())));
    let first = 4;
    assert!(slot(4, first));
    assert!(!slot(5, first + SECOND), "given away before it could be locked");
    assert!(slot(5, first + SECOND + 1), "whoever was to lock it does not come");
    // It was locked, and nothing was written.
    let found = map.find(&5_u32.to_ne_bytes());
    let pin = pin();
    // SAFETY: a value of this map, which begins with its lock word.
    unsafe {
        pin.lock(found.value.cast());
        unlock(found.value.cast());
    }
    drop(pin);
    assert!(slot(6, first + SECOND + 2), "it is dead and waits for nobody");
    assert_eq!((map.len(), map.refused(), map.evicted()), (1, 1, 0));
}

#[test]
fn a_large_refusing_map_finds_its_dead_entries_in_bounded_steps() {
    let capacity = 4_096;
    let map = oko(WhenFull::Refuse, capacity);
    for key in 0..capacity {
        touch(&map, key, 1, 2);
    }
    // A refused key swept a part of the table; a lap of it is at most 128 such parts.
    let tries = |key| (0..128).position(|_| touch(&map, key, 10, u64::MAX));
    let refused: usize = (0..capacity).map(|key| tries(100_000 + key).expect("within a lap")).sum();
    assert!(refused <= 256, "{refused} refusals");
}

#[test]
fn an_evicting_map_of_up_to_16_entries_gives_away_the_oldest() {
    for capacity in [1, 5, 16] {
        let map = oko(WhenFull::EvictOldest, capacity);
        for key in 0..100 {
            assert!(touch(&map, key, u64::from(key) + 1, u64::MAX));
            for old in 0..=key {
                assert_eq!(
                    holds(&map, old),
                    old + capacity > key,
                    "key {old} after {key}, capacity {capacity}"
                );
            }
        }
        assert_eq!((map.refused(), map.evicted()), (0, 100 - u64::from(capacity)));
    }
}

#[test]
fn an_evicting_map_prefers_dead_entries_to_old_ones() {
    let map = oko(WhenFull::EvictOldest, 3);
    touch(&map, 0, 1, u64::MAX);
    touch(&map, 1, 2, 100);
    touch(&map, 2, 3, u64::MAX);
    touch(&map, 3, 200, u64::MAX);
    assert!(holds(&map, 0) && !holds(&map, 1) && holds(&map, 2) && holds(&map, 3));
    assert_eq!(map.evicted(), 0);
}

#[test]
fn a_large_evicting_map_keeps_what_is_written_often() {
    let capacity = 10_000;
    let map = oko(WhenFull::EvictOldest, capacity);
    let mut now = 1;
    for round in 0..10 {
        for key in 0..1_000 {
            now += 1;
            touch(&map, key, now, u64::MAX);
        }
        // A scan by keys that never come again.
        for key in 0..5_000 {
            now += 1;
            touch(&map, 1_000_000 + round * 5_000 + key, now, u64::MAX);
        }
    }
    assert_eq!((map.len(), map.refused()), (capacity, 0));
    let kept = (0..1_000).filter(|&key| holds(&map, key)).count();
    assert!(kept > 900, "{kept} of 1,000");
}

#[test]
fn an_evicting_map_never_refuses() {
    // Two buckets without entry and poor neighbours are rare; with many maps and keys they come.
    for _ in 0..20 {
        let map = oko(WhenFull::EvictOldest, 257);
        for key in 0..5_000 {
            assert!(touch(&map, key, u64::from(key) + 1, u64::MAX), "key {key}");
        }
        assert_eq!((map.len(), map.refused()), (257, 0));
    }
}

#[test]
fn deleted_places_are_used_again() {
    let map = oko(WhenFull::Refuse, 100);
    for round in 0..50 {
        for key in 0..100 {
            assert!(touch(&map, round * 100 + key, 1, u64::MAX));
        }
        for key in 0..100_u32 {
            assert!(map.delete(&(round * 100 + key).to_ne_bytes()));
            assert!(!map.delete(&(round * 100 + key).to_ne_bytes()));
        }
        assert!(map.is_empty() && map.snapshot().is_empty());
    }
}

#[test]
fn clear_leaves_nothing_and_the_map_usable() {
    let map = oko(WhenFull::Refuse, 1_000);
    (0..1_000).for_each(|key| assert!(touch(&map, key, 1, u64::MAX)));
    map.clear();
    assert_eq!(map.len(), 0);
    (0..1_000).for_each(|key| assert!(!holds(&map, key)));
    (0..1_000).for_each(|key| assert!(touch(&map, 5_000 + key, 1, u64::MAX)));
}

#[test]
fn a_value_keeps_its_place_and_its_generation_until_its_key_goes() {
    let map = oko(WhenFull::EvictOldest, 1);
    touch(&map, 1, 1, u64::MAX);
    let found = map.find(&1_u32.to_ne_bytes());
    touch(&map, 1, 2, u64::MAX);
    assert_eq!(map.find(&1_u32.to_ne_bytes()), found);
    touch(&map, 2, 3, u64::MAX);
    let other = map.find(&2_u32.to_ne_bytes());
    assert_eq!(other.value, found.value);
    assert_ne!(other.generation, found.generation);
    // SAFETY: a value of a map that lives.
    let now = unsafe { generation_of(other.get().unwrap()) };
    assert_eq!(now, other.generation, "it does not move when the entry is locked");
}

/// In the original, an update freed the element that readers on other cores were looking at.
#[test]
fn an_update_leaves_the_element_where_readers_have_it() {
    let map = plain(Kind::Hash(WhenFull::Refuse), 4, None);
    let key = 1_u32.to_ne_bytes();
    map.update(&key, &[1; 12], Update::Any, 1).unwrap();
    let found = map.find(&key);
    let byte = || {
        // SAFETY: the value of a map that lives; nobody writes it meanwhile.
        unsafe { found.value.read() }
    };
    map.update(&key, &[2; 12], Update::Any, 2).unwrap();
    assert_eq!((map.find(&key), byte()), (found, 2), "the same place, the new value");
    // Other keys come and go elsewhere.
    (2..5_u32).for_each(|other| map.update(&other.to_ne_bytes(), &[9; 12], Update::Any, 3).unwrap());
    assert!((2..5_u32).all(|other| map.delete(&other.to_ne_bytes())));
    assert_eq!((map.find(&key), byte()), (found, 2));
    // And memory stays readable even when the key goes.
    assert!(map.delete(&key));
    let _ = byte();
}

fn plain(kind: Kind, capacity: u32, lock_offset: Option<u32>) -> Map {
    let header = Header::Plain { lock_offset };
    Map::new(Shape { kind, capacity, key_size: 4, value_size: 12, header }).unwrap()
}

#[test]
fn updates_of_plain_maps_follow_the_flags_of_bpf() {
    let map = plain(Kind::Hash(WhenFull::Refuse), 1, None);
    let (a, b) = (1_u32.to_ne_bytes(), 2_u32.to_ne_bytes());
    assert_eq!(map.update(&a, &[1; 12], Update::Replace, 1), Err(UpdateError::Absent));
    assert_eq!(map.update(&a, &[1; 12], Update::Insert, 1), Ok(()));
    assert_eq!(map.update(&a, &[2; 12], Update::Insert, 1), Err(UpdateError::Exists));
    assert_eq!(map.read(&a).as_deref(), Some(&[1; 12][..]));
    assert_eq!(map.update(&a, &[2; 12], Update::Any, 1), Ok(()));
    assert_eq!(map.read(&a).as_deref(), Some(&[2; 12][..]));
    assert_eq!(map.update(&b, &[3; 12], Update::Any, 1), Err(UpdateError::Full));
    assert!(map.delete(&a));
    assert_eq!(map.update(&b, &[3; 12], Update::Any, 1), Ok(()));
}

#[test]
fn an_array_has_the_indices_below_its_capacity() {
    let map = plain(Kind::Array, 3, None);
    assert_eq!(map.update(&2_u32.to_ne_bytes(), &[7; 12], Update::Any, 1), Ok(()));
    assert_eq!(map.update(&3_u32.to_ne_bytes(), &[7; 12], Update::Any, 1), Err(UpdateError::Absent));
    assert_eq!(map.update(&0_u32.to_ne_bytes(), &[7; 12], Update::Insert, 1), Err(UpdateError::Exists));
    assert!(holds(&map, 0) && holds(&map, 2) && !holds(&map, 3) && !holds(&map, u32::MAX));
    assert!(!map.delete(&2_u32.to_ne_bytes()));
    let snapshot = map.snapshot();
    assert_eq!(snapshot.len(), 3);
    assert_eq!(&*snapshot[2].key, &2_u32.to_ne_bytes());
    assert_eq!(&*snapshot[2].value, &[7; 12]);
}

#[test]
fn an_lru_map_keeps_what_was_looked_up() {
    let map = plain(Kind::Hash(WhenFull::EvictOldest), 4, None);
    for key in 0..4_u32 {
        map.update(&key.to_ne_bytes(), &[1; 12], Update::Any, 1).unwrap();
    }
    assert!(holds(&map, 0));
    for key in 4..7_u32 {
        map.update(&key.to_ne_bytes(), &[1; 12], Update::Any, 1).unwrap();
    }
    assert!(holds(&map, 0) && !holds(&map, 1) && !holds(&map, 2) && !holds(&map, 3));
}

/// As a port scan or forged sources do: keys that come once. The keys in use are a quarter of the capacity, and come again after twice as many insertions as the map
/// holds; by recency alone, none of them would stay. Here, one of twenty may go.
#[test]
fn a_scan_does_not_drive_out_what_is_used() {
    let map = plain(Kind::Hash(WhenFull::EvictOldest), 1_024, None);
    let insert = |key: u32| {
        // As programs do: looked up, inserted, looked up again.
        while map.find(&key.to_ne_bytes()).get().is_none() {
            // Full while another test of this process is in a burst and all spare places wait for its end.
            let _ = map.update(&key.to_ne_bytes(), &[1; 12], Update::Any, 1);
        }
        map.find(&key.to_ne_bytes()).get().is_some()
    };
    // In use before the scan begins.
    (0..2).for_each(|_| (0..256).for_each(|used| assert!(insert(used))));
    let mut lost = 0;
    for round in 0..20_u32 {
        for used in 0..256 {
            lost += u32::from(!holds(&map, used));
            assert!(insert(used));
            (0..8).for_each(|n| assert!(insert(1 << 20 | round << 12 | used << 3 | n)));
        }
    }
    assert!(lost * 20 < 20 * 256, "{lost} of {} were driven out", 20 * 256);
}

/// Fills a map of capacity 4 and looks a key up within a burst; then the key goes by `how`, and as many others come as there are records for. What was found
/// stays as it was until the burst ends; after that, the places are used again.
fn what_was_found_stays(when_full: WhenFull, how: impl Fn(&Map, &[u8])) {
    let map = plain(Kind::Hash(when_full), 4, None);
    let key = |n: u32| n.to_ne_bytes();
    (0..4).for_each(|n| map.update(&key(n), &[n as u8 + 1; 12], Update::Any, 1).unwrap());
    let burst = pin();
    let found = map.find(&key(0));
    // SAFETY: a value of a map that lives, which nobody writes while this thread is pinned: what is to be shown.
    let content = || unsafe { found.value.cast::<[u8; 12]>().read() };
    // The other keys are used, so that this one is the oldest.
    (1..4).for_each(|n| assert!(map.find(&key(n)).get().is_some()));
    how(&map, &key(0));
    assert!(!holds(&map, 0), "the key is gone");
    let mut last = None;
    for n in 100..1_000 {
        let _ = map.delete(&key(n - 1));
        last = Some(map.update(&key(n), &[0xee; 12], Update::Any, 1));
        assert_eq!(content(), [1; 12], "another key's value, after {n}");
    }
    assert_eq!(last, Some(Err(UpdateError::Full)), "no place is used twice in a burst");
    drop(burst);
    // Other tests of this process are readers, too, and have bursts of their own.
    let begin = std::time::Instant::now();
    for n in 2_000..4_000 {
        while map.update(&key(n), &[0xdd; 12], Update::Any, 1) == Err(UpdateError::Full) {
            assert!(begin.elapsed().as_secs() < 30, "no place is used again");
            std::thread::yield_now();
        }
        assert!(map.delete(&key(n)));
    }
    assert!(map.len() <= 4);
}

#[test]
fn what_a_foreign_program_found_stays_its_own_until_its_burst_ends() {
    what_was_found_stays(WhenFull::Refuse, |map, key| assert!(map.delete(key)));
    what_was_found_stays(WhenFull::EvictOldest, |map, key| assert!(map.delete(key)));
    // Evicted: by as many new keys as it takes.
    what_was_found_stays(WhenFull::EvictOldest, |map, key| {
        for n in 10..20_u32 {
            if map.find(key).get().is_none() {
                break;
            }
            assert!((1..4_u32).any(|n| map.find(&n.to_ne_bytes()).get().is_some()) || n > 10);
            map.update(&n.to_ne_bytes(), &[9; 12], Update::Any, 1).unwrap();
        }
        let _ = map.delete(key);
    });
}

#[test]
fn a_lock_word_is_never_overwritten_nor_shown() {
    for offset in [0, 4, 8] {
        let map = plain(Kind::Hash(WhenFull::Refuse), 1, Some(offset));
        let key = 1_u32.to_ne_bytes();
        map.update(&key, &[0xff; 12], Update::Any, 1).unwrap();
        map.update(&key, &[0xee; 12], Update::Any, 1).unwrap();
        let value = map.find(&key).value;
        let _pin = pin();
        // SAFETY: a value of this map, and a lock word in it; it hangs here if an update overwrote the word with odd bytes.
        unsafe {
            lock(value.add(offset as usize).cast());
            unlock(value.add(offset as usize).cast());
        }
        let mut expected = [0xee; 12];
        expected[offset as usize..offset as usize + 4].fill(0);
        assert_eq!(map.read(&key).as_deref(), Some(&expected[..]));
    }
}

#[test]
fn keys_of_another_size_have_no_entry() {
    let map = oko(WhenFull::Refuse, 4);
    assert!(map.find(&[0; 3]).value.is_null() && map.slot(&[0; 5], 1).value.is_null());
    assert_eq!(map.read(&[0; 300]), None);
    assert!(!map.delete(&[]));
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let good = *oko(WhenFull::Refuse, 4).shape();
    let bad = [
        Shape { capacity: 0, ..good },
        Shape { key_size: 0, ..good },
        Shape { key_size: 257, ..good },
        Shape { kind: Kind::Array, key_size: 3, ..good },
        Shape { value_size: 16, ..good },
        Shape { value_size: 1 << 20, ..good },
        Shape { header: Header::Plain { lock_offset: Some(2) }, ..good },
        Shape { header: Header::Plain { lock_offset: Some(32) }, ..good },
        Shape { capacity: u32::MAX, value_size: 65_536, ..good },
    ];
    for shape in bad {
        assert!(Map::new(shape).is_err(), "{shape:?}");
    }
}

#[test]
fn a_sweep_frees_dead_entries_in_bounded_steps_and_no_live_ones() {
    let capacity = 1_024;
    let map = oko(WhenFull::Refuse, capacity);
    for key in 0..capacity {
        assert!(touch(&map, key, 1, if key % 4 == 0 { u64::MAX } else { 5 * SECOND }));
    }
    assert_eq!(map.sweep(4 * SECOND, u32::MAX), 0);
    let first = map.sweep(6 * SECOND, 64);
    // 64 entries' worth of buckets, each of up to eight places.
    assert!((1..=128).contains(&first), "{first} freed by a step for 64");
    let mut freed = first;
    for _ in 0..capacity / 64 {
        freed += map.sweep(6 * SECOND, 64);
    }
    assert_eq!((freed, map.len()), (768, 256));
    assert!((0..capacity).all(|key| holds(&map, key) == (key % 4 == 0)));
    // A full table takes new keys at once again.
    assert!((0..700).all(|key| touch(&map, 10_000 + key, 6 * SECOND, u64::MAX)));
    assert_eq!((map.refused(), map.evicted()), (0, 0));
}

#[test]
fn a_burst_finds_what_single_look_ups_find() {
    for capacity in [10, 1_000] {
        let map = oko(WhenFull::EvictOldest, capacity);
        for key in 0..2 * capacity {
            touch(&map, key, 1 + u64::from(key), u64::MAX);
        }
        for count in [0, 1, 31, 32, 33, 100] {
            let keys: Vec<u64> = (0..count).map(|n| n * 7 % (3 * u64::from(capacity))).collect();
            let mut found = vec![Found::NONE; keys.len()];
            map.find_burst(&keys, &mut found);
            let single: Vec<_> = keys.iter().map(|&key| map.find_words(&[key])).collect();
            assert_eq!(found, single);
        }
    }
}
