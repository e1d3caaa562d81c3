//! The keyed hash function of hash tables.
//!
//! Keys come from packets, so whoever sends these could aim at one bucket if he knew the function. Each map draws 128
//! random bits; two words are folded in by a 64×64→128-bit multiplication whose halves are XORed (the step of wyhash and
//! foldhash). Both factors are secret at every step, and no output of the function leaves the map.

use std::hash::{BuildHasher, RandomState};

use crate::probe::{BUCKET_SIZE, Probe};

/// The secret of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    start: u64,
    factor: u64,
}

impl Seed {
    /// From the system's randomness: two outputs of SipHash under random keys.
    pub(crate) fn random() -> Seed {
        let source = RandomState::new();
        Seed { start: source.hash_one(1_u64), factor: source.hash_one(2_u64) | 1 }
    }

    /// Hashes a key.
    #[inline]
    pub(crate) fn hash(self, key: &[u64]) -> u64 {
        // A word that has none beside it is the first one: often the high half of an address, which is 0 of IPv4, and `begun` is what comes then.
        let (alone, pairs) = key.as_rchunks();
        let state = alone.iter().fold(self.start, |state, &word| self.step(state, [word, 0]));
        let state = pairs.iter().fold(state, |state, &pair| self.step(state, pair));
        // One multiplication does not do: of keys that count up, with some factors, both halves of it count up too.
        fold(state, self.last())
    }

    #[inline]
    fn step(self, state: u64, [first, second]: [u64; 2]) -> u64 {
        fold(state ^ first, self.factor ^ second).wrapping_add(self.turn())
    }

    #[inline]
    fn turn(self) -> u64 {
        self.start.rotate_left(23)
    }

    #[inline]
    fn last(self) -> u64 {
        self.factor ^ 0x9e37_79b9_7f4a_7c15
    }

    /// The same numbers for generated code, with where index and values are.
    pub(crate) fn probe(self, index: *const u8, buckets: u32, values: *const u8) -> Probe {
        let Seed { start, factor } = self;
        Probe {
            index,
            mask: u64::from(buckets - 1) * u64::from(BUCKET_SIZE),
            start,
            factor,
            turn: self.turn(),
            last: self.last(),
            begun: self.step(start, [0, 0]),
            values,
        }
    }
}

/// Hashes bytes of any number with a seed: what a program sees of it is another number in each instance.
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u32 {
    let seed = Seed { start: seed, factor: fold(seed, 0xa076_1d64_78bd_642f) | 1 };
    let mut state = seed.start ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(state ^ u64::from_ne_bytes(word), seed.factor).wrapping_add(seed.turn());
    }
    fold(state, seed.last()) as u32
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
        let mut low = [0_u32; 256];
        let mut high = [0_u32; 256];
        for key in 0..65_536_u64 {
            let hash = seed.hash(&[key << 8]);
            low[(hash & 255) as usize] += 1;
            high[(hash >> 56) as usize] += 1;
        }
        // The mean is 256 and the deviation 16: ten deviations are never seen by chance.
        for count in low.into_iter().chain(high) {
            assert!((96..=416).contains(&count), "a bucket of {count}");
        }
    }
}
