//! Keys as words: hashing and comparison go eight bytes at a time.

/// The greatest size of a key in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// Calls `body` with a key of 1 to [`MAX_KEY_BYTES`] bytes, zero-padded to whole words. Short keys, which most are, are not paid for as
/// long ones.
#[inline]
pub(crate) fn with_words<T>(key: &[u8], body: impl FnOnce(&[u64]) -> T) -> T {
    let count = key.len().div_ceil(8);
    match count {
        0..=1 => body(&padded::<1>(key)),
        2 => body(&padded::<2>(key)),
        3..=8 => body(&padded::<8>(key)[..count]),
        _ => body(&padded::<{ MAX_KEY_BYTES / 8 }>(key)[..count]),
    }
}

#[inline]
fn padded<const N: usize>(key: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(key.chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(bytes);
    }
    words
}

/// The first `size` bytes of words.
pub(crate) fn bytes_of(words: impl Iterator<Item = u64>, size: usize) -> Box<[u8]> {
    let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    bytes.truncate(size);
    bytes.into_boxed_slice()
}
