//! Ring buffers, Bloom filters, per-core copies, bare words: what a program and the control plane may rely on.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use oko_state::{
    Found, Handed, Header, Kind, Map, Shape, ShapeError, Summary, Update, UpdateError, WhenFull, array_stride,
};

const PLAIN: Header = Header::Plain { lock_offset: None };

fn ring(bytes: u32) -> Map {
    Map::new(Shape { kind: Kind::Ring, capacity: bytes, key_size: 0, value_size: 0, header: PLAIN }).unwrap()
}

fn bloom(capacity: u32, hashes: u32) -> Map {
    let kind = Kind::Bloom { hashes };
    Map::new(Shape { kind, capacity, key_size: 0, value_size: 12, header: PLAIN }).unwrap()
}

#[test]
fn a_ring_gives_what_went_in_in_order_and_counts_what_did_not() {
    let map = ring(64);
    let ring = map.ring().unwrap();
    assert_eq!(ring.size(), 64);
    // A header and two words each: two fit into eight words, and the third does not.
    assert!(ring.output(b"first record") && ring.output_words(&[1, 2]));
    assert!(!ring.output(b"one too many"));
    assert_eq!((ring.dropped(), map.refused(), ring.used()), (1, 1, 48));
    assert_eq!((ring.take_dropped(), ring.take_dropped()), (1, 0));
    assert!(!ring.output(b"one too many"));
    assert_eq!((ring.take_dropped(), ring.dropped()), (1, 2));
    let words = [1_u64, 2].map(u64::to_ne_bytes).concat();
    assert_eq!(ring.drain(1), [b"first record".to_vec().into_boxed_slice()]);
    assert_eq!(ring.drain(10), [words.into_boxed_slice()]);
    assert_eq!((ring.drain(10).len(), ring.used()), (0, 0));
    // Records of every size go around the end many times.
    for round in 0..500_usize {
        let record: Vec<u8> = (0..round % 25).map(|at| (round + at) as u8).collect();
        assert!(ring.output(&record), "round {round}");
        assert_eq!(ring.drain(2), [record.into_boxed_slice()]);
    }
    assert!(!ring.output(&[0; 57]), "larger than the ring");
}

#[test]
fn a_reserved_record_is_seen_when_it_is_submitted_and_never_when_discarded() {
    let map = ring(128);
    let ring = map.ring().unwrap();
    let [first, second, third] = [8, 12, 8].map(|size| ring.reserve(size).unwrap());
    // SAFETY: reserved bytes that nobody else knows.
    unsafe {
        first.cast::<u64>().write(1);
        second.cast::<[u8; 12]>().write([2; 12]);
        third.cast::<u64>().write(3);
    }
    // SAFETY: each was reserved with this size and is handed over once.
    unsafe { ring.hand(third, 8, Handed::Over) };
    assert!(ring.drain(10).is_empty(), "order is that of reservations");
    // SAFETY: as above.
    unsafe { ring.hand(second, 12, Handed::Back) };
    // SAFETY: as above.
    unsafe { ring.hand(first, 8, Handed::Over) };
    let drained = ring.drain(10);
    assert_eq!(drained, [1_u64, 3].map(|n| n.to_ne_bytes().to_vec().into_boxed_slice()));
    assert_eq!(ring.dropped(), 0);
    assert_eq!(ring.reserve(usize::MAX), None);
    assert_eq!(ring.reserve(121), None);
}

#[test]
fn a_ring_under_several_producers_loses_nothing_and_keeps_each_ones_order() {
    let map = ring(4096);
    let ring = map.ring().unwrap();
    const EACH: u64 = 20_000;
    let done = AtomicBool::new(false);
    let (queued, mut taken) = (AtomicU64::new(0), 0_u64);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..3_u64)
            .map(|producer| {
                let queued = &queued;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let words = [producer, n, producer ^ n, n];
                        if ring.output_words(&words[..2 + (n % 3) as usize]) {
                            queued.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let done = &done;
        let consumer = scope.spawn(move || {
            let mut last = BTreeMap::new();
            let mut taken = 0_u64;
            loop {
                let end = done.load(Ordering::Acquire);
                let records = ring.drain(100);
                if records.is_empty() && end {
                    return taken;
                }
                for record in records {
                    let words: Vec<u64> =
                        record.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
                    let (producer, n) = (words[0], words[1]);
                    assert_eq!(words.len() as u64, 2 + n % 3, "of another record");
                    assert!(words.get(2).is_none_or(|&word| word == producer ^ n), "half written");
                    assert!(last.insert(producer, n).is_none_or(|last| last < n), "out of order");
                    taken += 1;
                }
            }
        });
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        done.store(true, Ordering::Release);
        taken = consumer.join().unwrap();
    });
    assert_eq!(taken, queued.load(Ordering::Relaxed));
    assert_eq!(taken + ring.dropped(), 3 * EACH);
}

/// The original's overflowed its buffer.
#[test]
fn a_bloom_filter_stays_in_its_buffer_and_never_denies_what_is_in_it() {
    for (capacity, hashes) in [(1, 1), (1, 15), (3, 5), (1_000, 5), (4_097, 7)] {
        let filter = bloom(capacity, hashes);
        let value = |n: u32| [n, !n, n.rotate_left(7)].map(u32::to_ne_bytes).concat();
        assert!(!filter.holds(&value(1)));
        (0..capacity).for_each(|n| filter.push(&value(n)).unwrap());
        assert!((0..capacity).all(|n| filter.holds(&value(n))));
        if capacity >= 1_000 {
            let wrong = (1_000_000..1_100_000).filter(|&n| filter.holds(&value(n))).count();
            // At 7/5 bits a hash and value, half the bits are set, so at most 2^-5 with five hashes; twice that is never seen by chance.
            assert!(wrong < 6_250, "{wrong} of 100000 wrongly held, of {capacity} in {hashes} hashes");
        }
        filter.clear();
        assert!(!(0..capacity).any(|n| filter.holds(&value(n))));
        assert_eq!(filter.push(&[0; 11]), Err(UpdateError::Size { what: "value", found: 11, expected: 12 }));
        assert!(!filter.holds(&[0; 13]));
        assert_eq!(filter.update(&[], &value(1), Update::Any, 0), Err(UpdateError::Kind));
    }
}

/// Runs on a thread of its own, which is another worker.
fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

#[test]
fn each_core_counts_for_itself_and_the_control_plane_sees_all() {
    let shape = Shape { kind: Kind::Array, capacity: 2, key_size: 4, value_size: 8, header: PLAIN };
    let map = Map::per_core(shape, 4).unwrap();
    let add = |n: u64| {
        let value = map.find(&1_u32.to_ne_bytes()).get().unwrap().cast::<u64>();
        // SAFETY: a value of 8 bytes that only this worker writes.
        unsafe { value.write(value.read() + n) };
    };
    add(1);
    elsewhere(|| add(10));
    // The thread's number was given again.
    elsewhere(|| add(100));
    let values: Vec<u64> = (map.copies().iter())
        .map(|copy| u64::from_ne_bytes((*copy.read(&1_u32.to_ne_bytes()).unwrap()).try_into().unwrap()))
        .collect();
    assert_eq!(values.len(), 4);
    assert_eq!(values.iter().sum::<u64>(), 111);
    assert!(values.contains(&1), "the first worker's own is apart: {values:?}");
    assert_eq!(map.footprint(), 4 * 16);
    assert!(map.array_values().is_none() && map.copy_of(3).array_values().is_some());
}

#[test]
fn a_key_of_one_core_is_found_by_all_as_zeroes_and_deleted_for_all() {
    let kind = Kind::Hash(WhenFull::Refuse);
    let map =
        Map::per_core(Shape { kind, capacity: 4, key_size: 4, value_size: 8, header: PLAIN }, 8).unwrap();
    let key = 7_u32.to_ne_bytes();
    map.update(&key, &5_u64.to_ne_bytes(), Update::Any, 0).unwrap();
    // SAFETY: values of 8 bytes of a map that lives.
    let read = |found: Found| found.get().map(|value| unsafe { value.cast::<u64>().read() });
    assert_eq!(read(map.find(&key)), Some(5));
    assert_eq!(elsewhere(|| read(map.find(&key))), Some(0));
    assert_eq!(elsewhere(|| read(map.find(&8_u32.to_ne_bytes()))), None);
    assert!(map.delete(&key));
    assert_eq!(read(map.find(&key)), None);
    assert_eq!(elsewhere(|| read(map.find(&key))), None);
    assert!(map.is_empty());
}

#[test]
fn words_lie_side_by_side_and_are_added_to_by_all() {
    let shape = Shape { kind: Kind::Array, capacity: 100, key_size: 4, value_size: 8, header: PLAIN };
    let map = Map::new(shape).unwrap();
    assert_eq!((map.footprint(), array_stride(8)), (800, 8));
    let (first, stride) = map.array_values().unwrap();
    assert_eq!(stride, 8);
    let words = first.as_ptr() as usize;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..10_000 {
                    // SAFETY: a word of the array, used atomically by all.
                    let word = unsafe { AtomicU64::from_ptr((words as *mut u64).add(n % 100)) };
                    word.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(map.snapshot().iter().all(|entry| *entry.value == 300_u64.to_ne_bytes()));
}

/// A key of the original's array was read as eight bytes, whatever its size.
#[test]
fn an_array_reads_no_more_of_a_key_than_its_size() {
    for key_size in [1_u32, 2, 4, 8] {
        let map = Map::new(Shape { kind: Kind::Array, capacity: 3, key_size, value_size: 8, header: PLAIN })
            .unwrap();
        let key = &2_u64.to_le_bytes()[..key_size as usize];
        assert!(map.update(key, &[9; 8], Update::Any, 0).is_ok());
        let junk = [0xffff_ffff_ffff_ff00 | 2_u64];
        let expected = if key_size == 1 { 9 } else { 0 };
        // SAFETY: values of 8 bytes of a map that lives.
        let found = map.find_words(&junk).get().map_or(0, |value| unsafe { value.read() });
        assert_eq!(found, expected, "a key of {key_size} bytes");
    }
}

#[test]
fn a_record_is_key_value_and_a_word_and_another_one_where_use_decides() {
    let index = 64 * 32;
    for (kind, header, records, bookkeeping) in [
        (Kind::Hash(WhenFull::Refuse), Header::Oko, 100, 8),
        (Kind::Hash(WhenFull::EvictOldest), Header::Oko, 100, 8),
        (Kind::Exact, Header::Oko, 107, 8),
        (Kind::Exact, PLAIN, 107, 8),
        (Kind::Hash(WhenFull::Refuse), PLAIN, 228, 8),
        (Kind::Hash(WhenFull::EvictOldest), PLAIN, 228, 16),
    ] {
        let shape = Shape { kind, capacity: 100, key_size: 13, value_size: 30, header };
        assert_eq!(shape.footprint(), records * (16 + bookkeeping + 32) + index, "{shape:?}");
    }
}

/// What lies side by side stays apart: keys of several words, values that end within a word, lock words, and what is noted of each.
#[test]
fn records_of_all_shapes_do_not_overlap() {
    const KEYS: u8 = 100;
    let locked = Header::Plain { lock_offset: Some(4) };
    let kinds = [Kind::Hash(WhenFull::Refuse), Kind::Hash(WhenFull::EvictOldest), Kind::Exact];
    for (kind, header) in kinds.iter().flat_map(|&kind| [(kind, PLAIN), (kind, locked)]) {
        for (key_size, value_size) in [(1, 9), (8, 8), (13, 30), (64, 12)] {
            let map = Map::new(Shape { kind, capacity: KEYS.into(), key_size, value_size, header }).unwrap();
            let key = |n: u8| vec![n; key_size as usize];
            let value = |n: u8| {
                let mut value = vec![!n; value_size as usize];
                if header == locked && kind != Kind::Exact {
                    value[4..8].fill(0);
                }
                value
            };
            // The second time over what is there; looked up between, which is noted.
            for n in (0..KEYS).chain(0..KEYS) {
                map.update(&key(n), &value(n), Update::Any, 1).unwrap();
                assert!(map.find(&key(n)).get().is_some());
            }
            for n in 0..KEYS {
                assert_eq!(map.read(&key(n)), Some(value(n).into()), "{n} of {:?}", map.shape());
            }
            (0..KEYS).step_by(2).for_each(|n| assert!(map.delete(&key(n))));
            let mut left: Vec<u8> = map.snapshot().iter().map(|entry| entry.key[0]).collect();
            left.sort_unstable();
            assert_eq!(left, (1..KEYS).step_by(2).collect::<Vec<_>>());
        }
    }
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let ring = Shape { kind: Kind::Ring, capacity: 4096, key_size: 0, value_size: 0, header: PLAIN };
    let bloom =
        Shape { kind: Kind::Bloom { hashes: 5 }, capacity: 10, key_size: 0, value_size: 4, header: PLAIN };
    let prefix = Shape { kind: Kind::Prefix, capacity: 10, key_size: 8, value_size: 4, header: PLAIN };
    for good in [ring, bloom, prefix] {
        assert!(good.check().is_ok());
    }
    let bad = [
        (Shape { capacity: 4095, ..ring }, ShapeError::RingSize { found: 4095 }),
        (Shape { capacity: 32, ..ring }, ShapeError::RingSize { found: 32 }),
        (Shape { key_size: 4, ..ring }, ShapeError::Superfluous { what: "keys", found: 4 }),
        (Shape { value_size: 4, ..ring }, ShapeError::Superfluous { what: "values", found: 4 }),
        (Shape { kind: Kind::Bloom { hashes: 0 }, ..bloom }, ShapeError::Hashes { found: 0 }),
        (Shape { kind: Kind::Bloom { hashes: 16 }, ..bloom }, ShapeError::Hashes { found: 16 }),
        (Shape { value_size: 0, ..bloom }, ShapeError::ValueSize { found: 0, min: 1 }),
        (Shape { value_size: 257, ..bloom }, ShapeError::KeySize { found: 257 }),
        (Shape { key_size: 4, ..bloom }, ShapeError::Superfluous { what: "keys", found: 4 }),
        (Shape { key_size: 4, ..prefix }, ShapeError::PrefixSize { found: 4 }),
        (Shape { key_size: 257, ..prefix }, ShapeError::PrefixSize { found: 257 }),
        (Shape { capacity: 0, ..prefix }, ShapeError::NoCapacity),
    ];
    for (shape, error) in bad {
        assert_eq!(shape.check(), Err(error), "{shape:?}");
    }
    let huge = Shape { capacity: u32::MAX, value_size: 65_536, ..prefix };
    assert!(matches!(Map::new(huge), Err(ShapeError::TooLarge { .. })));
    let exact = Shape { kind: Kind::Exact, ..huge };
    assert!(matches!(Map::new(exact), Err(ShapeError::Entries { .. })));
    // An entry is key, bookkeeping and value, 64 words in all; and one is nobody's.
    let hash = Shape {
        kind: Kind::Hash(WhenFull::Refuse),
        capacity: (1 << 26) - 1,
        key_size: 8,
        value_size: 496,
        header: Header::Oko,
    };
    assert_eq!(hash.check(), Ok(()));
    let larger = Shape { capacity: 1 << 26, ..hash };
    assert_eq!(larger.check(), Err(ShapeError::Entries { bytes: (1 << 35) + 512 }));
    assert!(matches!(Map::per_core(prefix, 0), Err(ShapeError::Copies { found: 0 })));
    assert!(matches!(Map::per_core(prefix, 5_000), Err(ShapeError::Copies { found: 5_000 })));
}

fn sketch(summary: Summary, capacity: u32, hashes: u32) -> Map {
    let kind = Kind::Sketch { summary, hashes };
    Map::new(Shape { kind, capacity, key_size: 6, value_size: 4, header: PLAIN }).unwrap()
}

/// What a program reads at the address that a look-up gave.
fn told(map: &Map, element: &[u8]) -> u32 {
    let value = map.find(element).get().unwrap();
    // SAFETY: the answer of this thread, which nobody else writes.
    unsafe { value.cast::<u32>().read() }
}

fn element(n: u32) -> [u8; 6] {
    let mut bytes = [7; 6];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// Those of the original did: its rows had the length of a column.
#[test]
fn rows_of_a_count_min_sketch_do_not_overlap() {
    // With one counter a row, every row counts every element; if rows shared counters, some would count more.
    for hashes in 1..=15 {
        let map = sketch(Summary::Count, 1, hashes);
        (0..100).for_each(|n| map.add(&element(n)).unwrap());
        assert_eq!(told(&map, &element(5)), 100, "{hashes} rows");
    }
    // One element has one counter in each row, so with as many rows as there may be it is counted once each time.
    let map = sketch(Summary::Count, 3, 15);
    (0..1_000).for_each(|_| map.add(&element(1)).unwrap());
    assert_eq!(told(&map, &element(1)), 1_000);
}

#[test]
fn a_count_min_sketch_never_tells_too_little_and_seldom_too_much() {
    let map = sketch(Summary::Count, 2_048, 4);
    let count = |n: u32| 1 + n % 7;
    for n in 0..1_000 {
        (0..count(n)).for_each(|_| map.add(&element(n)).unwrap());
    }
    let more = (0..1_000).filter(|&n| told(&map, &element(n)) > count(n)).count();
    assert!((0..1_000).all(|n| told(&map, &element(n)) >= count(n)));
    // All four counters are shared with others for 2 % of the elements at most.
    assert!(more < 100, "{more} of 1,000");
    assert_eq!(map.read(&element(3)).as_deref(), Some(&told(&map, &element(3)).to_ne_bytes()[..]));
    map.clear();
    assert_eq!(told(&map, &element(3)), 0);
}

/// The original's wrote beyond its buffer, which had an eighth of the bytes that its places went to.
#[test]
fn a_set_of_the_first_oko_stays_in_its_buffer_and_never_denies_what_is_in_it() {
    for (capacity, hashes) in [(1, 1), (3, 15), (1_000, 5)] {
        let map = sketch(Summary::Presence, capacity, hashes);
        assert_eq!(told(&map, &element(1)), 0);
        (0..capacity).for_each(|n| map.add(&element(n)).unwrap());
        assert!((0..capacity).all(|n| told(&map, &element(n)) == 1));
        if capacity >= 1_000 {
            let wrong = (1_000_000..1_001_000).filter(|&n| told(&map, &element(n)) == 1).count();
            assert!(wrong < 100, "{wrong} of 1,000 that are not in it");
        }
    }
}

#[test]
fn workers_do_not_get_each_others_answers() {
    let map = sketch(Summary::Count, 64, 4);
    (0..10).for_each(|_| map.add(&element(1)).unwrap());
    let alone = told(&map, &element(2));
    thread::scope(|scope| {
        for n in [1, 2] {
            let map = &map;
            scope.spawn(move || {
                for _ in 0..10_000 {
                    let found = told(map, &element(n));
                    assert_eq!(found, if n == 1 { 10 } else { alone });
                }
            });
        }
    });
}

#[test]
fn a_sketch_has_no_entries() {
    let map = sketch(Summary::Count, 64, 4);
    assert_eq!(map.update(&element(1), &[0; 4], Update::Any, 0), Err(UpdateError::Kind));
    assert!(!map.delete(&element(1)) && map.snapshot().is_empty() && map.is_empty());
    assert!(matches!(map.add(&[1]), Err(UpdateError::Size { .. })));
    assert_eq!(map.footprint(), 4 * 64 * 4 + 8_192);
    let shape = *map.shape();
    let shapes = [
        (
            Shape { kind: Kind::Sketch { summary: Summary::Count, hashes: 16 }, ..shape },
            ShapeError::Hashes { found: 16 },
        ),
        (Shape { value_size: 8, ..shape }, ShapeError::Answer { found: 8 }),
        (Shape { key_size: 0, ..shape }, ShapeError::KeySize { found: 0 }),
    ];
    for (shape, error) in shapes {
        assert_eq!(Map::new(shape).err(), Some(error));
    }
}
