//! What generated code needs to look a key up in a hash table without a call: where index and records are, and the hash function's numbers.
//!
//! A [`Probe`] is the first thing in a [`Map`](crate::Map), so code reads it through the map's address. Code does what `Index::find` and
//! `Records::matching` do for the first place in the key's first bucket that has its tag, and calls [`Map::find_words`](crate::Map::find_words) if
//! that is not the key. It may leave out the second look at the generation: who locks the entry compares it once more.
//!
//! In steps, for a key of words `w`, with `fold(a, b)` the XOR of the halves of the 128-bit product of `a` and `b`:
//!
//! 1. The hash: from `start`, for each word `h = fold(h ^ w, factor) + turn`; then `h = fold(h, last)`.
//! 2. The bucket: at `index + (h & mask) * BUCKET_SIZE`. Its two words of four tags each, at 0 and 8, are compared with the tag `max(h >> 48, 1)`.
//! 3. The record: a `u32` at `BUCKET_RECORDS + 4 * way`.
//! 4. Its value: at `values + record * record_stride(…)`. The generation (`u32`, odd if it belongs to a key) is [`GENERATION`] bytes from
//!    there, the key's words end [`KEY_END`] bytes from there.

use std::ptr;

use crate::shape::Shape;

/// The size of a bucket.
pub const BUCKET_SIZE: u32 = 64;
/// Where the numbers of records are in a bucket.
pub const BUCKET_RECORDS: i32 = 16;
/// The lowest bit of each tag in a word.
pub const TAG_LOW_BITS: u64 = 0x0001_0001_0001_0001;
/// Where the generation is, from a value.
pub const GENERATION: i32 = -8;
/// Where the key ends, from a value.
pub const KEY_END: i32 = -16;

/// The numbers of one map; all 0 if it is no hash table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Probe {
    /// The first bucket of the index.
    pub index: *const u8,
    /// One less than the number of buckets.
    pub mask: u64,
    /// What the hash starts from.
    pub start: u64,
    /// What each word is multiplied by.
    pub factor: u64,
    /// What is added after each word.
    pub turn: u64,
    /// What the hash is multiplied by in the end.
    pub last: u64,
    /// The value of record 0.
    pub values: *const u8,
}

// SAFETY: the addresses are those of memory that the map owns and that is accessed atomically.
unsafe impl Send for Probe {}
// SAFETY: as above.
unsafe impl Sync for Probe {}

impl Probe {
    /// That of maps that are no hash tables.
    pub(crate) const NONE: Probe =
        Probe { index: ptr::null(), mask: 0, start: 0, factor: 0, turn: 0, last: 0, values: ptr::null() };
}

impl Shape {
    /// Bytes from the value of one record to that of the next.
    pub fn record_stride(&self) -> u64 {
        self.stride()
    }
}
