//! The direct tables of prefix tables: read as generated code reads them, they answer as a list of prefixes does, and as the trie.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oko_state::direct::{FAMILIES, Form, RANGE_BYTES, RANGES, UNKNOWN};
use oko_state::probe::Probe;
use oko_state::{Header, Kind, Map, Shape, Update, pin};
use proptest::prelude::*;

fn table(capacity: u32, key_size: u32) -> Map {
    let header = Header::Plain { lock_offset: None };
    Map::new(Shape { kind: Kind::Prefix, capacity, key_size, value_size: 8, header }).unwrap()
}

/// A prefix of an address, of a family or of none, as a table takes it.
fn key(family: Option<u8>, bits: u32, address: u128, bytes: usize) -> Vec<u8> {
    let lead: &[u8] = match &family {
        Some(family) => std::slice::from_ref(family),
        None => &[],
    };
    [&(8 * lead.len() as u32 + bits).to_ne_bytes()[..], lead, &address.to_be_bytes()[..bytes]].concat()
}

/// What the direct table answers, in the steps that its documentation has: the address of a value, 0 or [`UNKNOWN`].
fn answer(table: &Map, family: Option<u8>, high: u64) -> u64 {
    let form = Form::of(table.shape().capacity, table.shape().key_size).unwrap();
    let first = match family {
        None | Some(4) => 0,
        Some(6) => 1 << form.slot_bits,
        Some(_) => return UNKNOWN,
    };
    // SAFETY: the probe is the first thing in a map; slots and ranges are as documented, and the caller is pinned.
    unsafe {
        let word = |address: u64| AtomicU64::from_ptr(address as *mut u64).load(Ordering::Acquire);
        let slots = (*std::ptr::from_ref(table).cast::<Probe>()).index as u64;
        let slot = word(slots + 8 * (first + (high >> (64 - form.slot_bits))));
        if slot & RANGES == 0 {
            return slot;
        }
        let (count, start) = (word(slot - RANGES), slot - RANGES + 8);
        let at = |range: u64| start + range * u64::from(RANGE_BYTES);
        assert!((0..count).map(at).is_sorted_by(|a, b| word(*a) < word(*b)), "in order");
        let last = (0..count).map(at).rfind(|at| word(*at) <= high);
        word(last.unwrap() + 8)
    }
}

fn value_at(address: u64) -> Option<u64> {
    // SAFETY: an answer that is neither 0 nor unknown is the address of a value of 8 bytes, of a thread that is pinned.
    (address != 0).then(|| unsafe { (address as *const u64).read() })
}

fn value_of(table: &Map, key: &[u8]) -> Option<u64> {
    // SAFETY: as above.
    table.find(key).get().map(|value| unsafe { value.cast::<u64>().read() })
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, u128),
    Delete(usize),
    Clear,
}

fn addresses() -> impl Strategy<Value = u128> {
    // Few different bytes, so that prefixes meet; some that differ only far behind.
    let byte = || prop_oneof![4 => Just(0_u8), 2 => Just(0x80), 2 => Just(0xff), 1 => any::<u8>()];
    prop::array::uniform16(byte()).prop_map(u128::from_be_bytes)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..=136_u32, addresses()).prop_map(|(bits, address)| Step::Put(bits, address)),
        4 => any::<usize>().prop_map(Step::Delete),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 0..80)
}

/// Bytes of the address and whether there are families.
const FORMS: [(usize, bool); 4] = [(4, false), (8, false), (16, false), (16, true)];

fn masked(bits: u32, address: u128) -> u128 {
    address & !u128::MAX.checked_shr(bits).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_direct_table_answers_like_a_list_of_prefixes(steps in steps(), probes in prop::collection::vec(addresses(), 20), form in 0..4_usize, large: bool) {
        let (bytes, has_family) = FORMS[form];
        let key_size = 4 + u32::from(has_family) + bytes as u32;
        let table = table(if large { 3_000 } else { 60 }, key_size);
        let all = 8 * bytes as u32;
        // By family, bits and address.
        let mut model: BTreeMap<(Option<u8>, u32, u128), u64> = BTreeMap::new();
        let mut next = 1;
        for step in &steps {
            match *step {
                Step::Put(bits, address) => {
                    let family = has_family.then(|| [4, 6, 5][address as usize % 3]);
                    let bits = bits.min(all);
                    let entry = (family, bits, masked(bits, address));
                    let done = table.update(&key(family, bits, address, bytes), &u64::to_ne_bytes(next), Update::Any, 0);
                    if done.is_ok() {
                        model.insert(entry, next);
                    }
                    next += 1;
                }
                Step::Delete(which) => {
                    let Some(&entry) = model.keys().nth(which.checked_rem(model.len()).unwrap_or(0)) else { continue };
                    model.remove(&entry);
                    prop_assert!(table.delete(&key(entry.0, entry.1, entry.2, bytes)));
                }
                Step::Clear => {
                    table.clear();
                    model.clear();
                }
            }
        }
        let _pin = pin();
        // The first and last addresses of each prefix, those beside them, and any.
        let ends = model.keys().flat_map(|&(_, bits, first)| {
            let last = first | u128::MAX.checked_shr(bits).unwrap_or(0);
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        for address in ends.chain(probes) {
            let address = masked(all, address);
            for family in if has_family { vec![Some(4), Some(6), Some(5)] } else { vec![None] } {
                let longest = (0..=all).rev().find_map(|bits| model.get(&(family, bits, masked(bits, address))));
                let known = answer(&table, family, (address >> 64) as u64);
                let from_trie = value_of(&table, &key(family, all, address, bytes));
                prop_assert_eq!(from_trie, longest.copied());
                if known == UNKNOWN {
                    let decided = model.keys().any(|&(of, bits, first)| {
                        of == family && bits > 64 && masked(64, first) == masked(64, address)
                    });
                    prop_assert!(decided || family == Some(5), "the first 64 bits decide");
                } else {
                    prop_assert_eq!(value_at(known), longest.copied());
                }
            }
        }
    }
}

#[test]
fn a_prefix_that_is_shorter_than_a_family_is_of_all_families_that_begin_so() {
    let table = table(4, 4 + 1 + 16);
    // 4 and 6 both begin with 000001.
    let short = |bits: u32| [&bits.to_ne_bytes()[..], &[4], &[0; 16]].concat();
    table.update(&short(6), &6_u64.to_ne_bytes(), Update::Any, 0).unwrap();
    let pinned = pin();
    assert_eq!(FAMILIES.map(|family| value_at(answer(&table, Some(family), 1 << 60))), [Some(6); 2]);
    drop(pinned);
    table.update(&short(7), &7_u64.to_ne_bytes(), Update::Any, 0).unwrap();
    let _pin = pin();
    assert_eq!(FAMILIES.map(|family| value_at(answer(&table, Some(family), 1 << 60))), [Some(7), Some(6)]);
}

#[test]
fn tables_of_other_keys_have_none() {
    for key_size in [5, 7, 9, 13, 19, 22, 256] {
        assert_eq!(Form::of(100, key_size), None);
    }
}

#[test]
fn slots_with_too_many_ranges_are_left_to_the_trie_and_come_back() {
    let table = table(20_000, 8);
    let of = |n: u32| key(None, 32, u128::from(0x0a00_0000 | n) << 96, 4);
    for n in 0..10_000 {
        table.update(&of(2 * n), &u64::from(n).to_ne_bytes(), Update::Any, 0).unwrap();
    }
    let at = |n: u32| answer(&table, None, u64::from(0x0a00_0000 | n) << 32);
    let pinned = pin();
    assert_eq!(at(1_000), UNKNOWN);
    drop(pinned);
    for n in 100..10_000 {
        assert!(table.delete(&of(2 * n)));
    }
    let _pin = pin();
    for n in 0..100 {
        assert_eq!((value_at(at(2 * n)), at(2 * n + 1)), (Some(n.into()), 0));
    }
    assert_eq!(at(1_000), 0);
}

#[test]
fn a_table_that_who_is_pinned_changes_is_left_to_the_trie_for_good() {
    for change in [
        |table: &Map, key: &[u8]| table.update(key, &[2; 8], Update::Any, 0).unwrap(),
        |table: &Map, key: &[u8]| assert!(table.delete(key)),
        |table: &Map, _: &[u8]| table.clear(),
    ] {
        let table = table(100, 4 + 1 + 16);
        let of = |bits| key(Some(4), bits, 0x0a00_0000 << 96, 16);
        table.update(&of(24), &[1; 8], Update::Any, 0).unwrap();
        let pinned = pin();
        assert_eq!(value_at(answer(&table, Some(4), 0x0a00_0001 << 32)), Some(u64::from_ne_bytes([1; 8])));
        change(&table, &of(24));
        let everywhere = |table: &Map| {
            for (high, family) in (0..=u64::MAX >> 56).flat_map(|high| [(high << 56, 4), (high << 56, 6)]) {
                assert_eq!(answer(table, Some(family), high), UNKNOWN, "{high:x} of family {family}");
            }
        };
        everywhere(&table);
        drop(pinned);
        table.update(&of(8), &[3; 8], Update::Any, 0).unwrap();
        table.update(&of(0), &[4; 8], Update::Any, 0).unwrap();
        let _pin = pin();
        everywhere(&table);
        assert_eq!(
            value_of(&table, &of(128)),
            Some(u64::from_ne_bytes(if table.len() == 2 { [3; 8] } else { [2; 8] }))
        );
    }
}

/// A worker that changes a table is pinned and may have to wait until the control plane has changed it; so the control plane does not wait for workers meanwhile. In one table it would
/// wait for memory of ranges, in the other one for the only spare value.
#[test]
fn workers_and_the_control_plane_may_change_one_table() {
    for (capacity, count) in [(20_000, 19_000), (3, 1)] {
        let table: &'static Map = Box::leak(Box::new(table(capacity, 8)));
        for n in 0..count {
            let address = u128::from(0x9e37_79b9_u32.wrapping_mul(n)) << 96;
            table.update(&key(None, 24, address, 4), &[0; 8], Update::Any, 0).unwrap();
        }
        let counts: &'static [AtomicU64; 2] = Box::leak(Box::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let count = |who: usize| counts[who].fetch_add(1, Ordering::Relaxed);
        // Threads that wait for each other never end: nobody waits for them.
        thread::spawn(move || {
            for n in 0..60_u64 {
                table.update(&key(None, 0, 0, 4), &n.to_ne_bytes(), Update::Any, 0).unwrap();
                count(0);
            }
        });
        thread::spawn(move || {
            for n in 0..600_u64 {
                // Bursts without a change come first, for whose ends the control plane waits.
                let _pin = pin();
                thread::sleep(Duration::from_micros(200));
                if n > 100 {
                    let _ =
                        table.update(&key(None, 32, 0x0b00_0001 << 96, 4), &n.to_ne_bytes(), Update::Any, 0);
                }
                count(1);
            }
        });
        let begin = Instant::now();
        while counts[0].load(Ordering::Relaxed) < 60 || counts[1].load(Ordering::Relaxed) < 600 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{capacity} prefixes: stuck after {counts:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Tables of all sizes of slots, prefixes at their bounds and shorter than a family, and a few changes by who is pinned; looked up at bounds, too.
#[test]
fn at_the_bounds_of_slots_and_prefixes_the_table_answers_like_the_trie() {
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % n as u64) as usize
    };
    let (mut known, mut left) = (0, 0);
    for round in 0..80 {
        let capacity = [1, 3, 64, 300, 5_000, 16_384, 20_000][below(7)];
        let key_size = [8, 12, 20, 21][below(4)];
        let table = table(capacity, key_size);
        let form = Form::of(capacity, key_size).unwrap();
        let (bytes, lead) = (key_size as usize - 4, usize::from(form.has_family));
        let pool: Vec<Vec<u8>> = (0..12)
            .map(|_| {
                let mut key: Vec<u8> = (0..bytes).map(|_| [0, 0, 0x80, 0xff, 0x7f, 1][below(6)]).collect();
                if lead > 0 {
                    key[0] = [4, 6, 4, 6, 5, 0][below(6)];
                }
                key
            })
            .collect();
        let slot = form.slot_bits;
        let lengths =
            [0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 96, 127, 128, slot - 1, slot, slot + 1];
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for n in 0..below(60) {
            let mut address = pool[below(12)].clone();
            if below(3) == 0 {
                let bit = below(8 * bytes);
                address[bit / 8] ^= 0x80 >> (bit % 8);
            }
            let bits = match below(8) {
                0 => below(10) as u32,
                _ => 8 * lead as u32 + lengths[below(21)],
            };
            let key = [&bits.min(8 * bytes as u32).to_ne_bytes()[..], &address].concat();
            match below(10) {
                0 if n % 20 == 19 => {
                    table.clear();
                    keys.clear();
                }
                1..=3 if !keys.is_empty() => {
                    table.delete(&keys.swap_remove(below(keys.len())));
                }
                way => {
                    let _pin = (way == 4 && round % 8 == 0).then(pin);
                    if table.update(&key, &n.to_ne_bytes(), Update::Any, 0).is_ok() {
                        keys.push(key);
                    }
                }
            }
        }
        let _pin = pin();
        for start in keys.iter().map(|key| &key[4..]).chain(pool.iter().map(|key| &key[..])) {
            for way in 0..4 {
                let mut address = start.to_vec();
                if way > 0 {
                    let bit = below(8 * bytes);
                    address[bit / 8] ^= 0x80 >> (bit % 8);
                    if way == 3 {
                        address[bit / 8 + 1..].fill(0xff);
                    }
                }
                let whole = [&(8 * bytes as u32).to_ne_bytes()[..], &address].concat();
                let expected =
                    table.find(&whole).get().map_or(0, |value| value.as_ptr().expose_provenance() as u64);
                let mut high = [0; 8];
                let shown = (bytes - lead).min(8);
                high[..shown].copy_from_slice(&address[lead..lead + shown]);
                let found = answer(&table, (lead > 0).then(|| address[0]), u64::from_be_bytes(high));
                if found == UNKNOWN {
                    left += 1;
                } else {
                    known += 1;
                    assert_eq!(found, expected, "capacity {capacity}, {address:02x?}, keys {keys:02x?}");
                }
            }
        }
    }
    assert!(known > left, "{known} known, {left} left to the trie");
}

/// Workers look addresses up while the control plane puts prefixes in, replaces, takes out and clears: what they find is the value of a prefix of the address, and stays
/// as long as they are pinned.
#[test]
fn what_a_worker_found_stays_until_its_burst_ends() {
    let table = table(300, 4 + 1 + 16);
    let done = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    // Prefixes of some lengths; the value tells which.
    let prefix = |n: u64| {
        let bits = 4 + (n % 15 * 4) as u32;
        (bits, masked(bits, u128::from(n / 15 % 7 * 0x1111_2222_0011_1100) << 64))
    };
    thread::scope(|scope| {
        for worker in 0..2_u64 {
            let (table, done, seen) = (&table, &done, &seen);
            scope.spawn(move || {
                let mut round = worker;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    let high = round % 7 * 0x1111_2222_0011_1100;
                    let _pin = pin();
                    let found = answer(table, Some(4), high);
                    assert_ne!(found, UNKNOWN);
                    let Some(which) = value_at(found) else { continue };
                    let (bits, first) = prefix(which);
                    assert_eq!(masked(bits, u128::from(high) << 64), first, "not a prefix of the address");
                    thread::yield_now();
                    assert_eq!(value_at(found), Some(which), "what was found has changed");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut n = 0_u64;
        while n < 20_000 || seen.load(Ordering::Relaxed) < 500 {
            n += 1;
            let (bits, first) = prefix(n.wrapping_mul(7) % 105);
            let key = key(Some(4), bits, first, 16);
            match n % 500 {
                0 => table.clear(),
                n if n % 3 == 0 => drop(table.delete(&key)),
                _ => table.update(&key, &(n.wrapping_mul(7) % 105).to_ne_bytes(), Update::Any, 0).unwrap(),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
