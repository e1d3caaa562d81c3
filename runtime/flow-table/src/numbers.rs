//! Hash tables by the numbers of groups and meters, which workers look up for each packet that names one.
//!
//! The standard library's hash function resists whoever chooses the keys, which takes longer than all else that a meter does. Here only controllers choose
//! them, and whoever may add entries and groups has shorter ways to make a switch slow.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by a number of 32 bits.
pub(crate) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Hashes one number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        // The folded product of two words, as in wyhash: all bits of the number are in the lowest and in the highest ones.
        let product = u128::from(self.0 ^ u64::from(number) ^ 0xa076_1d64_78bd_642f) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use oko_openflow::GroupId;

    use super::*;

    #[test]
    fn numbers_in_a_row_and_far_apart_are_spread() {
        for step in [1, 2, 256, 65_536, 1 << 22] {
            let hash = |i: u32| BuildHasherDefault::<NumberHasher>::default().hash_one(GroupId(i * step));
            // A table uses the lowest bits and the highest seven. Of 1,000 throws, 1,024 places meet 638.
            let places: HashSet<u64> = (0..1000).map(|i| hash(i) & 1023).collect();
            assert!(places.len() > 550, "{} places by steps of {step}", places.len());
            let tags: HashSet<u64> = (0..1000).map(|i| hash(i) >> 57).collect();
            assert!(tags.len() > 100, "{} tags by steps of {step}", tags.len());
        }
    }
}
