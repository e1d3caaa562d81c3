//! Tables of the control plane: what they hold against a plain model, and that what a worker found stays as it was found.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use oko_state::{Cursor, Found, Header, Kind, Map, Shape, Update, UpdateError, pin};
use proptest::prelude::*;

fn table(kind: Kind, capacity: u32, key_size: u32, value_size: u32) -> Map {
    let header = Header::Plain { lock_offset: None };
    Map::new(Shape { kind, capacity, key_size, value_size, header }).unwrap()
}

/// A prefix as the table takes it.
fn prefix(len: u32, bytes: &[u8]) -> Vec<u8> {
    [&len.to_ne_bytes(), bytes].concat()
}

fn value_of(found: Found) -> Option<u64> {
    // SAFETY: a value of 8 bytes of a table that lives, of a thread that is pinned or alone.
    found.get().map(|value| unsafe { value.cast::<u64>().read() })
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, [u8; 3], u64, u8),
    Delete(u8, [u8; 3]),
    Find([u8; 3]),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few different bytes, so that prefixes meet.
    let bytes = || prop::array::uniform3(prop_oneof![Just(0_u8), Just(0x80), Just(0xff), any::<u8>()]);
    let step = prop_oneof![
        8 => (0..=24_u8, bytes(), any::<u64>(), 0..3_u8).prop_map(|(len, at, value, how)| Step::Put(len, at, value, how)),
        4 => (0..=24_u8, bytes()).prop_map(|(len, at)| Step::Delete(len, at)),
        6 => bytes().prop_map(Step::Find),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 0..120)
}

/// The first bits of three bytes, the others zero.
fn masked(len: u8, bytes: [u8; 3]) -> u32 {
    let all = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]);
    if len == 0 { 0 } else { all & u32::MAX << (32 - u32::from(len)) }
}

fn expected(
    model: &BTreeMap<(u8, u32), u64>,
    key: (u8, u32),
    capacity: usize,
    how: u8,
) -> Result<(), UpdateError> {
    match (model.contains_key(&key), how) {
        (true, 1) => Err(UpdateError::Exists),
        (false, 2) => Err(UpdateError::Absent),
        (false, _) if model.len() == capacity => Err(UpdateError::Full),
        _ => Ok(()),
    }
}

const HOW: [Update; 3] = [Update::Any, Update::Insert, Update::Replace];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_prefix_table_answers_like_a_list_of_prefixes(steps in steps()) {
        const CAPACITY: usize = 12;
        let table = table(Kind::Prefix, CAPACITY as u32, 7, 8);
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(len, bytes, value, how) => {
                    let key = (len, masked(len, bytes));
                    let should = expected(&model, key, CAPACITY, how);
                    let done = table.update(&prefix(len.into(), &bytes), &value.to_ne_bytes(), HOW[usize::from(how)], 0);
                    prop_assert_eq!(done, should);
                    if should.is_ok() {
                        model.insert(key, value);
                    }
                }
                Step::Delete(len, bytes) => {
                    let had = model.remove(&(len, masked(len, bytes))).is_some();
                    prop_assert_eq!(table.delete(&prefix(len.into(), &bytes)), had);
                }
                Step::Find(bytes) => {
                    let longest = (0..=24_u8).rev().find_map(|len| model.get(&(len, masked(len, bytes))).copied());
                    prop_assert_eq!(value_of(table.find(&prefix(24, &bytes))), longest);
                }
                Step::Clear => {
                    table.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(table.len() as usize, model.len());
        }
        let mut entries: Vec<_> = table.snapshot().into_iter().map(|entry| {
            let (len, bits) = entry.key.split_at(4);
            let value = u64::from_ne_bytes((*entry.value).try_into().unwrap());
            ((len[0], u32::from_be_bytes([bits[0], bits[1], bits[2], 0])), value)
        }).collect();
        entries.sort_unstable();
        prop_assert_eq!(entries, model.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
        for (&(len, bits), value) in &model {
            let read = table.read(&prefix(len.into(), &bits.to_be_bytes()[..3]));
            prop_assert_eq!(read.as_deref(), Some(&value.to_ne_bytes()[..]));
        }
    }

    #[test]
    fn an_exact_table_answers_like_a_map(steps in steps()) {
        const CAPACITY: usize = 12;
        let table = table(Kind::Exact, CAPACITY as u32, 4, 8);
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(len, bytes, value, how) => {
                    let key = (0, masked(len, bytes));
                    let should = expected(&model, key, CAPACITY, how);
                    let done = table.update(&key.1.to_ne_bytes(), &value.to_ne_bytes(), HOW[usize::from(how)], 0);
                    prop_assert_eq!(done, should);
                    if should.is_ok() {
                        model.insert(key, value);
                    }
                }
                Step::Delete(len, bytes) => {
                    let key = masked(len, bytes);
                    prop_assert_eq!(table.delete(&key.to_ne_bytes()), model.remove(&(0, key)).is_some());
                }
                Step::Find(bytes) => {
                    let key = masked(24, bytes);
                    prop_assert_eq!(value_of(table.find(&key.to_ne_bytes())), model.get(&(0, key)).copied());
                }
                Step::Clear => {
                    table.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(table.len() as usize, model.len());
        }
        let mut cursor = Cursor::START;
        let mut entries = Vec::new();
        loop {
            let batch = table.scan(&mut cursor, 5);
            prop_assert!(batch.len() <= 5);
            if batch.is_empty() {
                break;
            }
            entries.extend(batch.into_iter().map(|entry| {
                (u32::from_ne_bytes((*entry.key).try_into().unwrap()), u64::from_ne_bytes((*entry.value).try_into().unwrap()))
            }));
        }
        entries.sort_unstable();
        prop_assert_eq!(entries, model.iter().map(|(key, value)| (key.1, *value)).collect::<Vec<_>>());
    }
}

/// Workers look one key up while the control plane replaces, deletes and clears: whatever a pinned worker found is whole, of that key, and the same until
/// it unpins.
fn what_was_found_stays(kind: Kind, key_size: u32, key: impl Fn(u64) -> Vec<u8> + Sync) {
    let table = table(kind, 8, key_size, 24);
    let done = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    let value = |key: u64, n: u64| [key, n, key ^ n].map(u64::to_ne_bytes).concat();
    thread::scope(|scope| {
        for worker in 0..2_u64 {
            let (table, key, done, seen) = (&table, &key, &done, &seen);
            scope.spawn(move || {
                let mut round = worker;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    let which = round % 4;
                    let _pin = pin();
                    let Some(found) = table.find(&key(which)).get() else { continue };
                    // SAFETY: a value of 24 bytes of a table that lives, of a pinned thread.
                    let first = unsafe { found.cast::<[u64; 3]>().read_volatile() };
                    assert_eq!((first[0], first[2]), (which, which ^ first[1]), "torn or of another key");
                    thread::yield_now();
                    // SAFETY: as above.
                    let second = unsafe { found.cast::<[u64; 3]>().read_volatile() };
                    assert_eq!(first, second, "what was found has changed");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut n = 0;
        while n < 3_000 || seen.load(Ordering::Relaxed) < 200 {
            n += 1;
            match n % 50 {
                0 => table.clear(),
                25 => assert!(
                    table.delete(&key(n % 4)) || table.is_empty() || table.read(&key(n % 4)).is_none()
                ),
                _ => table.update(&key(n % 4), &value(n % 4, n), Update::Any, 0).unwrap(),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_a_worker_found_in_an_exact_table_stays_until_its_burst_ends() {
    what_was_found_stays(Kind::Exact, 8, |key| key.to_ne_bytes().to_vec());
}

#[test]
fn what_a_worker_found_in_a_prefix_table_stays_until_its_burst_ends() {
    what_was_found_stays(Kind::Prefix, 8, |key| prefix(32, &[10, 0, 0, key as u8]));
}

#[test]
fn a_pinned_writer_is_told_that_the_table_is_full_rather_than_waiting_for_itself() {
    for (kind, key) in [(Kind::Exact, vec![1; 8]), (Kind::Prefix, prefix(32, &[1, 2, 3, 4]))] {
        let table = table(kind, 4, 8, 8);
        let pinned = pin();
        let outcomes: Vec<_> =
            (0..100_u64).map(|n| table.update(&key, &n.to_ne_bytes(), Update::Any, 0)).collect();
        assert!(outcomes.contains(&Err(UpdateError::Full)), "{kind:?}: the spare records are bounded");
        drop(pinned);
        assert_eq!(table.update(&key, &7_u64.to_ne_bytes(), Update::Any, 0), Ok(()));
        assert_eq!(value_of(table.find(&key)), Some(7));
    }
}

#[test]
fn a_full_table_refuses_and_takes_new_keys_when_old_ones_go() {
    for kind in [Kind::Exact, Kind::Prefix] {
        let key = |n: u32| match kind {
            Kind::Prefix => prefix(32, &n.to_be_bytes()),
            _ => u64::from(n).to_ne_bytes().to_vec(),
        };
        let table = table(kind, 1_000, 8, 8);
        for round in 0..3_u32 {
            for n in 0..1_000 {
                table.update(&key(round * 10_000 + n), &[1; 8], Update::Insert, 0).unwrap();
            }
            assert_eq!(table.update(&key(77_777), &[1; 8], Update::Any, 0), Err(UpdateError::Full));
            assert_eq!(
                table.update(&key(round * 10_000), &[2; 8], Update::Any, 0),
                Ok(()),
                "a value may still change"
            );
            assert_eq!(table.len(), 1_000);
            for n in 0..1_000 {
                assert!(table.delete(&key(round * 10_000 + n)));
            }
            assert!(table.is_empty() && table.snapshot().is_empty());
        }
    }
}

#[test]
fn prefixes_of_wide_keys_match_bit_by_bit() {
    // An exact part of 16 bits before an IPv6 prefix.
    let table = table(Kind::Prefix, 300, 4 + 2 + 16, 8);
    let key =
        |len: u32, address: u128| prefix(len, &[&7_u16.to_be_bytes()[..], &address.to_be_bytes()].concat());
    let address: u128 = 0x2001_0db8_0123_4567_89ab_cdef_0123_4567;
    for len in 0..=128_u32 {
        table.update(&key(16 + len, address), &u64::from(len).to_ne_bytes(), Update::Any, 0).unwrap();
    }
    for len in 0..128 {
        let other = address ^ 1 << (127 - len);
        assert_eq!(value_of(table.find(&key(144, other))), Some(len), "differs in bit {len}");
    }
    assert_eq!(value_of(table.find(&key(144, address))), Some(128));
    assert_eq!(value_of(table.find(&prefix(144, &[0; 18]))), None, "the exact part differs");
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let table = table(Kind::Prefix, 4, 8, 8);
    let long = table.update(&prefix(33, &[1, 2, 3, 4]), &[0; 8], Update::Any, 0);
    assert_eq!(long, Err(UpdateError::PrefixLength { found: 33, most: 32 }));
    assert_eq!(table.find(&prefix(33, &[1, 2, 3, 4])), Found::NONE);
    assert!(!table.delete(&prefix(u32::MAX, &[1, 2, 3, 4])));
    assert_eq!(table.read(&prefix(33, &[1, 2, 3, 4])), None);
    let short = table.update(&[0; 7], &[0; 8], Update::Any, 0);
    assert_eq!(short, Err(UpdateError::Size { what: "key", found: 7, expected: 8 }));
    let wide = table.update(&[0; 8], &[0; 9], Update::Any, 0);
    assert_eq!(wide, Err(UpdateError::Size { what: "value", found: 9, expected: 8 }));
    assert_eq!(table.find(&[0; 9]), Found::NONE);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_set_of_prefixes_needs_no_values() {
    let table = table(Kind::Prefix, 4, 8, 0);
    table.update(&prefix(8, &[10, 0, 0, 0]), &[], Update::Any, 0).unwrap();
    assert!(table.find(&prefix(32, &[10, 9, 8, 7])).get().is_some());
    assert!(table.find(&prefix(32, &[11, 9, 8, 7])).get().is_none());
}
