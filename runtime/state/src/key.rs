//! Keys as words: hashing and comparison go eight bytes at a time.

/// The greatest size of a key in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// A key, zero-padded to whole words.
pub(crate) struct KeyWords {
    words: [u64; MAX_KEY_BYTES / 8],
    len: usize,
}

impl KeyWords {
    /// Copies a key of at most [`MAX_KEY_BYTES`].
    #[inline]
    pub(crate) fn new(key: &[u8]) -> KeyWords {
        let mut words = [0; MAX_KEY_BYTES / 8];
        let chunks = key.chunks(8);
        let len = chunks.len();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(bytes);
        }
        KeyWords { words, len }
    }

    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }
}

/// The first `size` bytes of words.
pub(crate) fn bytes_of(words: impl Iterator<Item = u64>, size: usize) -> Box<[u8]> {
    let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    bytes.truncate(size);
    bytes.into_boxed_slice()
}
