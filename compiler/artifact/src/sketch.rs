//! What sketches, Bloom filters and averages say, computed from their words and fields as filters do.
//!
//! The compiler lowers the same arithmetic to code (its module `lower/hash.rs` states the formulas); a test of the compiler compares the two.

use std::cmp::Reverse;

use oko_ir::Width;
use oko_ir::seed::{mix, seed_words};

use crate::schema::{BloomSchema, Ewma, SketchSchema};

/// What a hash is multiplied by for the next one, modulo 2^64, of which the high bits count.
///
/// For two keys whose first hashes differ by `d`, the others differ by `ROW * d`, `ROW^2 * d` and so on, so where they meet is told by the
/// lattice of the vectors `(d, ROW * d, ROW^2 * d, …)` for all `d`: those of the successive outputs of a multiplicative generator. The points of a good one fill space evenly (spectral test; Knuth: "The Art of Computer Programming", volume 2,
/// section 3.3.4; Steele, Vigna: "Computationally easy, spectrally good multipliers", 2021), so keys meet in two rows of `width` counters for `width^-2` of all `d`, as by chance. That is tested for any two of the rows that there can be; that
/// they meet in three as often as by chance, and in all as seldom as independent rows would have it, is tested by counting. Double hashing (Kirsch, Mitzenmacher: "Less hashing, same performance", 2006) is as cheap, but who meets in two rows there meets in all with a probability of about `1 / rows`, which
/// sketches of few wide counters and great confidence would notice.
pub const ROW: u64 = 0x75b5_9955;

/// What is added to the seed for a state: FNV-1a of its name.
pub fn salt(state: &str) -> u64 {
    state.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The hash of a key of a state: its scalars with their widths, in declared order.
pub fn hash(seed: u64, state: &str, key: &[(u64, Width)]) -> u64 {
    let words = seed_words(seed);
    let start = words[0].wrapping_add(salt(state));
    let factors = &words[1..];
    let mut pieces = pieces(key);
    loop {
        let (now, later) = pieces.split_at(pieces.len().min(factors.len()));
        let products = factors.iter().zip(now).map(|(factor, piece)| factor.wrapping_mul(*piece));
        let hash = mix(products.fold(start, u64::wrapping_add));
        if later.is_empty() {
            return hash;
        }
        pieces = [&[hash & HALF, hash >> 32], later].concat();
    }
}

/// 32 bits.
const HALF: u64 = 0xffff_ffff;

/// A key in as few numbers of 32 bits as it fits in.
fn pieces(key: &[(u64, Width)]) -> Vec<u64> {
    let mut sorted = key.to_vec();
    sorted.sort_by_key(|(_, width)| Reverse(width.bits()));
    let mut pieces: Vec<u64> = Vec::new();
    let mut used = 32;
    for (scalar, width) in sorted {
        let bits = width.bits();
        if width == Width::W64 {
            pieces.extend([scalar & HALF, scalar >> 32]);
            continue;
        }
        if used + bits > 32 {
            pieces.push(0);
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            *piece |= (scalar & width.max()) << used;
        }
        used += bits;
    }
    pieces
}

/// The hashes of a key, of which this is the first.
fn hashes(hash: u64) -> impl Iterator<Item = u64> + Clone {
    std::iter::successors(Some(hash), |hash| Some(hash.wrapping_mul(ROW)))
}

/// Which of `count` things, at most 2^32, a hash chooses.
fn choice(hash: u64, count: u64) -> u64 {
    (hash >> 32).wrapping_mul(count) >> 32
}

impl SketchSchema {
    /// What was counted for the key of this hash, as of `now` in nanoseconds. `word` gives a word by its index.
    pub fn estimate(&self, hash: u64, now: u64, word: impl Fn(u32) -> u64) -> u64 {
        let (rows, width) = (u64::from(self.rows), u64::from(self.width));
        let places = (0..rows).zip(hashes(hash)).map(|(row, hash)| row * width + choice(hash, width));
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
        let mut places = hashes(hash).take(self.hashes as usize).map(|hash| {
            let bit = choice(hash, bits);
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
