//! What sketches, Bloom filters and averages say, computed from their words and fields as filters do.
//!
//! The compiler lowers the same arithmetic to code (its module `lower/hash.rs` states the formulas); a test of the compiler compares the two.

use std::cmp::Reverse;

use oko_ir::Width;

use crate::schema::{BloomSchema, Ewma, SketchSchema};

/// The step between words and between hashes: 2^64 divided by the golden ratio.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64, with Stafford's constants: shift and xor, then multiply.
pub const MIX: [(u32, Option<u64>); 3] =
    [(30, Some(0xbf58_476d_1ce4_e5b9)), (27, Some(0x94d0_49bb_1331_11eb)), (31, None)];

/// What is added to the seed for a state: FNV-1a of its name.
pub fn salt(state: &str) -> u64 {
    state.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn mix(value: u64) -> u64 {
    MIX.iter().fold(value, |x, (shift, factor)| (x ^ x >> shift).wrapping_mul(factor.unwrap_or(1)))
}

/// The hash of a key of a state: its scalars with their widths, in declared order.
pub fn hash(seed: u64, state: &str, key: &[(u64, Width)]) -> u64 {
    let mut sorted = key.to_vec();
    sorted.sort_by_key(|(_, width)| Reverse(width.bits()));
    let mut words: Vec<u64> = Vec::new();
    let mut used = 64;
    for (scalar, width) in sorted {
        let bits = width.bits();
        if used + bits > 64 {
            words.push(0);
            used = 0;
        }
        if let Some(word) = words.last_mut() {
            *word |= (scalar & width.max()) << used;
        }
        used += bits;
    }
    let secret = seed.wrapping_add(salt(state));
    if words.is_empty() {
        return secret;
    }
    let mixed = (0_u64..).zip(&words).map(|(number, word)| mix(word ^ secret.wrapping_mul(2 * number + 1)));
    mixed.fold(0, u64::wrapping_add)
}

/// A further hash of the same key.
fn again(hash: u64, number: u64) -> u64 {
    mix(hash.wrapping_add(GOLDEN.wrapping_mul(number)))
}

fn below(bits: u64, count: u64) -> u64 {
    (bits & u64::from(u32::MAX)).wrapping_mul(count) >> 32
}

impl SketchSchema {
    /// What was counted for the key of this hash, as of `now` in nanoseconds. `word` gives a word by its index.
    pub fn estimate(&self, hash: u64, now: u64, word: impl Fn(u32) -> u64) -> u64 {
        let (rows, width) = (u64::from(self.rows), u64::from(self.width));
        let places = (0..rows).map(|row| {
            let bits = again(hash, row / 2 + 1);
            let bits = if row % 2 == 0 { bits >> 32 } else { bits };
            row * width + below(bits, width)
        });
        // Places are below the number of words, which is far below 2^32.
        let at = |place: u64| word(place as u32);
        let Some(window) = self.window.filter(|window| *window > 0) else {
            return places.map(at).min().unwrap_or(0);
        };
        let number = now / window;
        let count = |number: u64, place: u64| {
            let found = at(2 * place + (number & 1));
            if found >> 44 == number & 0xf_ffff { found & ((1 << 44) - 1) } else { 0 }
        };
        let current = places.clone().map(|place| count(number, place)).min().unwrap_or(0);
        let previous = places.map(|place| count(number.wrapping_sub(1), place)).min().unwrap_or(0);
        let part = ((window - now % window) << 16) / window;
        current + ((previous * part) >> 16)
    }
}

impl BloomSchema {
    /// Whether the key of this hash was inserted, as of `now` in nanoseconds. `word` gives a word by its index.
    pub fn contains(&self, hash: u64, now: u64, word: impl Fn(u32) -> u64) -> bool {
        let word_bits = if self.expire.is_some() { 48 } else { 64 };
        let bits = u64::from(self.words) * word_bits;
        let step = again(hash, 1);
        let mut places = (0..u64::from(self.hashes)).map(|at| {
            let bit = below(hash.wrapping_add(step.wrapping_mul(at)) >> 32, bits);
            (bit / word_bits, 1u64 << (bit % word_bits))
        });
        let at = |place: u64| word(place as u32);
        let Some(expire) = self.expire.filter(|expire| *expire > 0) else {
            return places.all(|(place, bit)| at(place) & bit != 0);
        };
        let number = now / expire;
        [number, number.wrapping_sub(1)].into_iter().any(|number| {
            places.clone().all(|(place, bit)| {
                let found = at((number & 1) * u64::from(self.words) + place);
                found >> 48 == number & 0xffff && found & bit != 0
            })
        })
    }
}

impl Ewma {
    /// The average and what is added in a second, as of `now` in nanoseconds, from the fields of an entry: sum, weight and tick. Real numbers, which differ
    /// from what filters compute by half a percent at most.
    pub fn read(&self, sum: u64, weight: u64, at: u64, now: u64) -> (f64, f64) {
        if weight == 0 || self.time_constant == 0 {
            return (0.0, 0.0);
        }
        let time_constant = self.time_constant as f64;
        let tick = ((time_constant * std::f64::consts::LN_2) as u64 / 1_024).max(1);
        let age = (now / tick).saturating_sub(at) as f64 * tick as f64;
        let rate = sum as f64 / 65_536.0 * (-age / time_constant).exp() * 1e9 / time_constant;
        (sum as f64 / weight as f64, rate)
    }
}
