//! The keyed hash function of hash tables.
//!
//! Keys come from packets, so whoever sends these could aim at one bucket if he knew the function. Each map draws 256
//! random bits. Pairs of words are folded by a 64×64→128-bit multiplication whose halves are XORed (the step of wyhash and
//! foldhash), each pair under a secret of its own; the folds are added and the sum is folded once more. Pairs do not wait for each other: whoever looks something up
//! waits for two multiplications, however long the key is. No output of the function leaves the map.

use std::hash::{BuildHasher, RandomState};

use crate::probe::{BUCKET_SIZE, Probe, ROTATION, STARTS};

/// The secret of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    /// What the first words of pairs are XORed with.
    starts: [u64; STARTS],
    /// What the second words are XORed with.
    factor: u64,
    /// What a word that has none beside it is XORed with, and the sum is multiplied by.
    last: u64,
}

impl Seed {
    /// From the system's randomness: outputs of SipHash under random keys.
    pub(crate) fn random() -> Seed {
        let source = RandomState::new();
        let [first, second, factor, last] = [1, 2, 3, 4].map(|number: u64| source.hash_one(number) | 1);
        Seed { starts: [first, second], factor, last }
    }

    /// Hashes a key.
    #[inline]
    pub(crate) fn hash(self, key: &[u64]) -> u64 {
        // A word that has none beside it is the first one: often the high half of an address, which is 0 of IPv4, and then what it adds is known.
        let (alone, pairs) = key.as_rchunks();
        let sum = alone.iter().fold(0, |_, &word| self.fold_alone(word));
        let sum = pairs.iter().rev().enumerate().fold(sum, |sum, (pair, &[first, second])| {
            sum.wrapping_add(fold(first ^ self.start(pair), self.factor ^ second))
        });
        // One multiplication does not do: of keys that count up, with some factors, both halves of it count up too.
        fold(sum, self.last)
    }

    #[inline]
    fn fold_alone(self, word: u64) -> u64 {
        fold(word ^ self.last, self.factor)
    }

    /// What is for the pair of this number, counted from the last one: one of those that were drawn, of the others these, rotated.
    #[inline]
    fn start(self, pair: usize) -> u64 {
        self.starts[pair % STARTS].rotate_left((pair / STARTS) as u32 * ROTATION)
    }

    /// The same numbers for generated code, with where index and values are.
    pub(crate) fn probe(self, index: *const u8, buckets: u32, values: *const u8) -> Probe {
        let Seed { starts, factor, last } = self;
        let mask = u64::from(buckets - 1) * u64::from(BUCKET_SIZE);
        Probe { index, mask, starts, factor, last, zero: self.fold_alone(0), values }
    }
}

/// Hashes bytes of any number with a seed: what a program sees of it is another number in each instance.
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u32 {
    let factor = fold(seed, 0xa076_1d64_78bd_642f) | 1;
    let mut state = seed ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(state ^ u64::from_ne_bytes(word), factor).wrapping_add(seed.rotate_left(23));
    }
    fold(state, factor ^ 0x9e37_79b9_7f4a_7c15) as u32
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_maps_hash_differently() {
        assert_ne!(Seed::random().hash(&[1]), Seed::random().hash(&[1]));
    }

    #[test]
    fn counting_keys_fill_all_buckets_alike() {
        let seed = Seed::random();
        for (words, counted) in (1..=7).flat_map(|words| (0..words).map(move |counted| (words, counted))) {
            let mut low = [0_u32; 256];
            let mut high = [0_u32; 256];
            let mut key = vec![0; words];
            for number in 0..65_536_u64 {
                key[counted] = number << 8;
                let hash = seed.hash(&key);
                low[(hash & 255) as usize] += 1;
                high[(hash >> 56) as usize] += 1;
            }
            // The mean is 256 and the deviation 16: ten deviations are never seen by chance.
            for count in low.into_iter().chain(high) {
                assert!((96..=416).contains(&count), "a bucket of {count} for word {counted} of {words}");
            }
        }
    }

    #[test]
    fn every_word_counts_and_so_does_its_place() {
        let seed = Seed::random();
        for words in 2..=9 {
            let key: Vec<u64> = (1..=words).collect();
            let hash = seed.hash(&key);
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 1 << 63;
                assert_ne!(seed.hash(&other), hash);
                other.clone_from(&key);
                other.swap(at, (at + 2) % words as usize);
                assert!(other == key || seed.hash(&other) != hash, "{key:?} and {other:?}");
            }
        }
    }
}
