//! The words of a seed: secret odd numbers that `seed I` gives, made of the one number that an instance draws.
//!
//! They are the first outputs of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014; the constants of [`mix`] are Stafford's mix 13)
//! from that number on, with the lowest bit set. Engines compute them once, when a filter is loaded or meets its first packet.

/// How many words a seed has.
pub const SEED_WORDS: usize = 16;

/// What the generator goes on by: 2^64 divided by the golden ratio.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What [`mix`] does: shift and xor, then multiply.
pub const MIX: [(u32, Option<u64>); 3] =
    [(30, Some(0xbf58_476d_1ce4_e5b9)), (27, Some(0x94d0_49bb_1331_11eb)), (31, None)];

/// The finaliser of SplitMix64, a bijection.
pub fn mix(value: u64) -> u64 {
    MIX.iter().fold(value, |x, (shift, factor)| (x ^ x >> shift).wrapping_mul(factor.unwrap_or(1)))
}

/// The words of the seed that an instance drew.
pub fn seed_words(drawn: u64) -> [u64; SEED_WORDS] {
    let mut state = drawn;
    [(); SEED_WORDS].map(|()| {
        state = state.wrapping_add(GOLDEN);
        mix(state) | 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outputs of the reference implementation for the seed 0, as in many languages' tests of it.
    #[test]
    fn words_are_those_of_splitmix() {
        let words = seed_words(0);
        assert_eq!(words[..3], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4 | 1, 0x06c4_5d18_8009_454f]);
    }
}
