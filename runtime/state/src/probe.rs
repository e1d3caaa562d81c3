//! What generated code needs to look a key up in a hash table without a call: where index and records are, and the hash function's numbers.
//!
//! A [`Probe`] is the first thing in a [`Map`](crate::Map), so code reads it through the map's address. Code does what `Index::find` and
//! `Records::matching` do for the first place in the key's buckets that has its tag, and calls [`Map::find_words`](crate::Map::find_words) if
//! that is not the key's. If there is no such place, the key is not in the map. It may leave out the second look at the generation: who locks the entry compares it once more.
//! And it may look at the record of the key's own way first, whatever the tag there: a way that is not in use leads to a record that is nobody's.
//!
//! In steps, for a key of words `w`, with `fold(a, b)` the XOR of the halves of the 128-bit product of `a` and `b`:
//!
//! 1. The hash: the last two words are pair 0, the two before them pair 1, and so on. `sum` is the sum of `fold(w ^ start, factor ^ w')` of all
//!    pairs, where `start` is that of the pair's number modulo [`STARTS`], rotated
//!    to the left by [`ROTATION`] as often as the number holds these; and, if there is a word left in front, of `fold(w ^ last, factor)`, which is
//!    `zero` if that is 0. Then `h = fold(sum, last)`, with the bit [`TAGGED`] set.
//! 2. The first bucket: `h & mask` bytes from `index`. In it, the key's own way is `h >> OWN_WAY`: there it is most often. The bucket's eight tags of
//!    16 bits, at 0, are compared with the tag `h >> 48`. The second bucket is
//!    the XOR of that and `(h >> 32 | 1) * BUCKET_SIZE & mask` bytes from there; it counts
//!    only if the first one says so ([`BUCKET_OVERFLOWED`]).
//! 3. Where the record is, in words of 8 bytes: a `u32` at `BUCKET_RECORDS + 4 * way`.
//! 4. Its value: at `values` and so many words. The generation (`u64`, odd if it belongs to a key) is [`GENERATION`] bytes from there, the key's words end
//!    [`KEY_END`] bytes from there.

/// The bit that is set in a hash before it leads to a place: it makes the tag another one than that of an empty place, 0.
pub const TAGGED: u64 = 1 << 48;
/// How many ways a bucket has.
pub const WAYS: u32 = 8;
/// The lowest bit of a hash that says, with those above it, which way of its bucket is the key's own. They are bits of the tag, too: so keys that are in
/// their own ways of a bucket never have equal ones.
pub const OWN_WAY: u32 = u64::BITS - WAYS.ilog2();
/// The size of a bucket.
pub const BUCKET_SIZE: u32 = 64;
/// Where the distances of records are in a bucket.
pub const BUCKET_RECORDS: i32 = 16;
/// Where a bucket says (a `u32`, not 0) that one of its keys may be in the second bucket.
pub const BUCKET_OVERFLOWED: i32 = 48;
/// Where the generation is, from a value.
pub const GENERATION: i32 = -8;
/// Where the key ends, from a value.
pub const KEY_END: i32 = GENERATION;

/// The numbers of one map. One that is no hash table, or that wants to see each look-up, has a bucket with one place that is no key's: so
/// each look-up ends in a call. They lie in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Probe {
    /// The first bucket of the index.
    pub index: *const u8,
    /// The distance of the last bucket from the first one: all bits that distances have.
    pub mask: u64,
    /// What the first words of pairs are XORed with.
    pub starts: [u64; STARTS],
    /// What the second words are XORed with.
    pub factor: u64,
    /// What a word that has none beside it is XORed with, and the sum is multiplied by.
    pub last: u64,
    /// What such a word adds if it is 0.
    pub zero: u64,
    /// The value of the record that is nobody's.
    pub values: *const u8,
}

// SAFETY: the addresses are those of memory that the map owns and that is accessed atomically.
unsafe impl Send for Probe {}
// SAFETY: as above.
unsafe impl Sync for Probe {}

impl Probe {
    /// One that makes each look-up a call. The hash of every key is 0.
    pub(crate) const NONE: Probe = Probe {
        index: NOBODYS.tags.as_ptr().cast(),
        mask: 0,
        starts: [0; STARTS],
        factor: 0,
        last: 0,
        zero: 0,
        values: NOBODYS.value.as_ptr().cast(),
    };
}

/// The longest key that code may look up without a call, in words.
pub const MOST_KEY_WORDS: usize = 6;

/// How many pairs of words have a secret of their own; further ones have these, rotated.
pub const STARTS: usize = 2;
/// By how many bits.
pub const ROTATION: u32 = 11;

/// A bucket with one place, whose record is no key's: its generation is even.
#[repr(C, align(64))]
struct Nobodys {
    tags: [u16; 8],
    records: [u32; 8],
    rest_of_bucket: [u64; 2],
    key: [u64; MOST_KEY_WORDS],
    generation: u64,
    value: [u64; 1],
}

static NOBODYS: Nobodys = Nobodys {
    // That of a hash of 0.
    tags: [1, 0, 0, 0, 0, 0, 0, 0],
    records: [0; 8],
    rest_of_bucket: [0; 2],
    key: [0; MOST_KEY_WORDS],
    generation: 0,
    value: [0],
};
