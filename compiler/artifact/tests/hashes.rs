//! Hashes of sketches are as good as random and independent, also those of keys that look alike.

use std::cell::RefCell;

use oko_artifact::SketchSchema;
use oko_artifact::sketch::{ROW, hash};
use oko_ir::Width;

const WIDTHS: [Width; 3] = [Width::W16, Width::W64, Width::W32];

/// Keys of some kind, by their number.
type Kind = (&'static str, fn(u64) -> [u64; 3]);

/// Numbers whose bits lie at the high end, four in each.
fn high_ends(number: u64) -> [u64; 3] {
    [(number & 15) << 12, (number >> 4 & 15) << 60, (number >> 8 & 15) << 28]
}

const KINDS: [Kind; 7] = [
    ("count up in the lowest bits", |number| [number, 7, 7]),
    ("count up in the middle", |number| [80, number << 26, 7]),
    ("count up at the high end", |number| [80, number << 52 | 7, 7]),
    ("count up in two parts", |number| [number & 63, 0, number >> 6]),
    ("count up and down", |number| [80, number, 10_000 - number]),
    ("differ in few bits", |number| [number >> 11, 1 << (number & 63), 1 << (number >> 6 & 31)]),
    ("differ at the high ends", high_ends),
];

fn hash_of(seed: u64, key: [u64; 3]) -> u64 {
    let parts: Vec<(u64, Width)> = key.into_iter().zip(WIDTHS).collect();
    hash(seed, "volume", &parts)
}

/// Where a key's counters are.
fn places(schema: &SketchSchema, hash: u64) -> Vec<u32> {
    let seen = RefCell::new(Vec::new());
    schema.estimate(hash, 1, |place| {
        seen.borrow_mut().push(place);
        0
    });
    seen.into_inner()
}

fn schema(rows: u32, width: u32) -> SketchSchema {
    SketchSchema { rows, width, window: None, error: 0, confidence: 0 }
}

/// How many pairs of numbers are equal.
fn equal_pairs(numbers: impl Iterator<Item = u64>) -> f64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.chunk_by(|a, b| a == b).map(|equal| equal.len() * (equal.len() - 1) / 2).sum::<usize>() as f64
}

/// Any two keys meet in one row with a probability of `1 / width`, in two and three with its square and cube.
#[test]
fn keys_that_look_alike_meet_as_often_as_chance_would_have_it() {
    const ROWS: usize = 14;
    const KEYS: u64 = 4_096;
    let schema = schema(ROWS as u32, 64);
    let pairs = (KEYS * (KEYS - 1) / 2) as f64;
    for seed in [0, u64::MAX] {
        for (kind, key) in KINDS {
            let all: Vec<Vec<u32>> =
                (0..KEYS).map(|number| places(&schema, hash_of(seed, key(number)))).collect();
            let check = |rows: &[usize]| {
                let joined = |places: &Vec<u32>| {
                    rows.iter().fold(0, |sum, &row| sum << 6 | u64::from(places[row] - 64 * row as u32))
                };
                let found = equal_pairs(all.iter().map(joined));
                let expected = pairs / 64_f64.powi(rows.len() as i32);
                let bound = 7.0 * expected.sqrt();
                assert!(
                    (found - expected).abs() < bound,
                    "keys that {kind} meet {found} times in rows {rows:?}, expected {expected} (seed {seed})"
                );
            };
            for a in 0..ROWS {
                check(&[a]);
                for b in a + 1..ROWS {
                    check(&[a, b]);
                    if b + 1 < ROWS {
                        check(&[a, b, b + 1]);
                    }
                }
            }
        }
    }
}

/// Of a few heavy keys, hardly any other meets one or another in each row. Rows that depended on each other would show here: with double hashing one of
/// thousand keys does.
#[test]
fn confidence_grows_with_each_row() {
    let (rows, width) = (14, 28);
    let schema = schema(rows, width);
    let mut heavy = vec![false; (rows * width) as usize];
    for number in 0..10 {
        for place in places(&schema, hash_of(11, [number, 0, 0])) {
            heavy[place as usize] = true;
        }
    }
    let high = |number: &u64| {
        schema.estimate(hash_of(11, [80, number << 8, 7]), 1, |place| u64::from(heavy[place as usize])) > 0
    };
    // In a row, one of 3.3 meets one: in all, one of 17 millions.
    assert_eq!((0..200_000).filter(high).count(), 0);
}

#[test]
fn keys_that_differ_have_different_hashes() {
    for seed in 0..20 {
        for (kind, key) in KINDS {
            let all = (0..4_096).map(|number| hash_of(seed, key(number)));
            assert_eq!(equal_pairs(all), 0.0, "keys that {kind}");
        }
    }
}

/// More parts than the seed has words for: each counts, and its place.
#[test]
fn every_part_of_a_long_key_counts() {
    let parts = 40;
    let key = |changed: usize| -> Vec<(u64, Width)> {
        (0..parts).map(|part| (u64::from(part == changed), Width::W64)).collect()
    };
    let mut hashes: Vec<u64> = (0..=parts).map(|changed| hash(3, "long", &key(changed))).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), parts + 1);
}

/// The spectral test in two dimensions: the lattice of two rows has no vector much shorter than in the best one, 1.07 * 2^32.
#[test]
fn any_two_rows_are_spread_evenly() {
    const MODULUS: i128 = 1 << 64;
    let length = |a: (i128, i128)| (a.0 as f64).hypot(a.1 as f64);
    let mut factor = 1_u64;
    for lag in 1..21 {
        factor = factor.wrapping_mul(ROW);
        // Gauss's reduction.
        let (mut a, mut b) = ((1, i128::from(factor)), (0, MODULUS));
        loop {
            if length(a) > length(b) {
                (a, b) = (b, a);
            }
            let product = a.0 as f64 * b.0 as f64 + a.1 as f64 * b.1 as f64;
            let times = (product / length(a).powi(2)).round() as i128;
            if times == 0 {
                break;
            }
            b = (b.0 - times * a.0, b.1 - times * a.1);
        }
        assert!(length(a) > 0.37 * (1_u64 << 32) as f64, "{lag} rows apart: {a:?}");
    }
}
