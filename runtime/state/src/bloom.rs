//! The Bloom filter of BPF (`BPF_MAP_TYPE_BLOOM_FILTER`): a set that may say yes of what was not put in, and never no of what was.
//!
//! A value sets `k` bits, at `h1 + i * h2` for `i` below `k`, where both come from one keyed hash (Kirsch and Mitzenmacher, "Less
//! hashing, same performance"). The bits are as many as the kernel's: `capacity * k * 7 / 5`, rounded up to a power of two.

use crate::hash::Seed;
use crate::key::with_words;
use crate::memory::Memory;
use crate::sync::{AtomicU64, Ordering};

/// How many bits a filter has.
fn bits(capacity: u32, hashes: u32) -> u64 {
    (u64::from(capacity) * u64::from(hashes) * 7 / 5).next_power_of_two().max(64)
}

/// What a filter takes in memory.
pub(crate) fn bytes(capacity: u32, hashes: u32) -> u64 {
    bits(capacity, hashes) / 8
}

#[derive(Debug)]
pub(crate) struct Bloom {
    memory: Memory,
    mask: u64,
    hashes: u32,
    seed: Seed,
}

impl Bloom {
    pub(crate) fn new(capacity: u32, hashes: u32) -> Option<Bloom> {
        let bits = bits(capacity, hashes);
        Some(Bloom { memory: Memory::zeroed(bits / 8)?, mask: bits - 1, hashes, seed: Seed::random() })
    }

    fn word(&self, bit: u64) -> &AtomicU64 {
        // SAFETY: `bit` is at most `mask`, so its word lies in the memory, aligned; all are only accessed atomically.
        unsafe { self.memory.at(bit as usize / 64 * 8).cast::<AtomicU64>().as_ref() }
    }

    fn places(&self, value: &[u8]) -> impl Iterator<Item = u64> + use<> {
        let (hash, mask) = (with_words(value, |words| self.seed.hash(words)), self.mask);
        // Odd, so that no two of the first places are equal.
        let step = hash.rotate_left(32) | 1;
        (0..u64::from(self.hashes)).map(move |i| hash.wrapping_add(i.wrapping_mul(step)) & mask)
    }

    pub(crate) fn push(&self, value: &[u8]) {
        for bit in self.places(value) {
            let (word, one) = (self.word(bit), 1 << (bit % 64));
            // Most values of a filter that is in use are in it already: those leave the line to the others.
            if word.load(Ordering::Relaxed) & one == 0 {
                word.fetch_or(one, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn holds(&self, value: &[u8]) -> bool {
        self.places(value).all(|bit| self.word(bit).load(Ordering::Relaxed) >> (bit % 64) & 1 == 1)
    }

    pub(crate) fn clear(&self) {
        for word in 0..=self.mask / 64 {
            self.word(word * 64).store(0, Ordering::Relaxed);
        }
    }
}
