//! What a map is made of, and what it takes in memory.

use crate::index;
use crate::key::MAX_KEY_BYTES;

/// The greatest size of a value in bytes.
pub const MAX_VALUE_BYTES: u32 = 1 << 16;

/// The most memory that one map may take.
const MAX_FOOTPRINT: u64 = 1 << 40;

/// Bookkeeping before each value of an array.
const ARRAY_VALUE_OFFSET: u64 = 16;

/// How entries are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// By key.
    Hash(WhenFull),
    /// By index: a little-endian number of `key_size` bytes (1, 2, 4 or 8). All entries below the capacity always exist.
    Array,
}

/// What happens when a new key comes, the map holds its capacity and no entry is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// An entry makes room: the one whose last write is longest ago of those that are looked at. In maps of up to 16 entries
    /// these are all, in larger ones at least 8.
    EvictOldest,
    /// The new key gets no entry.
    Refuse,
}

/// Who says what the bytes of a value mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// Values start with lock word, expiry and time of last write.
    Oko,
    /// Values are bytes.
    Plain {
        /// Where the lock word is, if there is one; a multiple of 4.
        lock_offset: Option<u32>,
    },
}

impl Header {
    /// Where the lock word is in a value.
    pub const fn lock_offset(self) -> Option<u32> {
        match self {
            Header::Oko => Some(0),
            Header::Plain { lock_offset } => lock_offset,
        }
    }
}

/// The declaration of a map. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How entries are found.
    pub kind: Kind,
    /// How many entries there can be.
    pub capacity: u32,
    /// The size of a key.
    pub key_size: u32,
    /// The size of a value.
    pub value_size: u32,
    /// What is known of the values.
    pub header: Header,
}

/// What is wrong with a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A map needs at least one entry.
    #[error("a map of capacity 0 holds nothing")]
    NoCapacity,
    /// The key is empty or too long.
    #[error("keys of {found} bytes: expected 1 to {MAX_KEY_BYTES}")]
    KeySize {
        /// Its size.
        found: u32,
    },
    /// The key of an array is no number.
    #[error("array indices of {found} bytes: expected 1, 2, 4 or 8")]
    IndexSize {
        /// Its size.
        found: u32,
    },
    /// The value is empty, too long, or shorter than its header.
    #[error("values of {found} bytes: expected {min} to {MAX_VALUE_BYTES}")]
    ValueSize {
        /// Its size.
        found: u32,
        /// The least that it may be.
        min: u32,
    },
    /// The lock word is not a whole aligned word of the value.
    #[error(
        "the lock word at byte {offset} does not lie in the value of {value_size} bytes at a multiple of 4"
    )]
    LockOffset {
        /// Where it is.
        offset: u32,
        /// The size of the value.
        value_size: u32,
    },
    /// The map would take more than a tebibyte, or the system has not that much.
    #[error("the map takes {bytes} bytes, which is more than there is")]
    TooLarge {
        /// What it takes.
        bytes: u64,
    },
}

impl Shape {
    /// Looks whether a map can be made so.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ShapeError> {
        if self.capacity == 0 {
            return Err(ShapeError::NoCapacity);
        }
        match self.kind {
            Kind::Hash(_) if self.key_size == 0 || self.key_size as usize > MAX_KEY_BYTES => {
                return Err(ShapeError::KeySize { found: self.key_size });
            }
            Kind::Array if !matches!(self.key_size, 1 | 2 | 4 | 8) => {
                return Err(ShapeError::IndexSize { found: self.key_size });
            }
            _ => {}
        }
        let min = match self.header {
            Header::Oko => 24,
            Header::Plain { .. } => 1,
        };
        if self.value_size < min || self.value_size > MAX_VALUE_BYTES {
            return Err(ShapeError::ValueSize { found: self.value_size, min });
        }
        if let Some(offset) = self.header.lock_offset()
            && (!offset.is_multiple_of(4) || u64::from(offset) + 4 > u64::from(self.value_size))
        {
            return Err(ShapeError::LockOffset { offset, value_size: self.value_size });
        }
        let bytes = self.footprint();
        if bytes > MAX_FOOTPRINT {
            return Err(ShapeError::TooLarge { bytes });
        }
        Ok(())
    }

    /// What the entries and the index take in memory, in bytes:
    ///
    /// - an array: `capacity * stride`, where `stride` is the size of a value rounded up to a multiple of 8, plus 16;
    /// - a hash table: `capacity * stride`, where `stride` is the sizes of key and value, each rounded up to a multiple
    ///   of 8, plus 16; and an index of 64 bytes for each four entries, the number of these lines rounded up to a power of
    ///   two (but two for up to 16 entries).
    pub fn footprint(&self) -> u64 {
        let records = u64::from(self.capacity) * self.stride();
        match self.kind {
            Kind::Array => records,
            Kind::Hash(_) => records + index::bytes(self.capacity),
        }
    }

    /// Bytes from one record to the next: key, bookkeeping, value.
    pub(crate) fn stride(&self) -> u64 {
        self.value_offset() + u64::from(self.value_size).next_multiple_of(8)
    }

    /// Where the value is in a record.
    pub(crate) fn value_offset(&self) -> u64 {
        match self.kind {
            Kind::Array => ARRAY_VALUE_OFFSET,
            Kind::Hash(_) => u64::from(self.key_size).next_multiple_of(8) + 16,
        }
    }
}

/// Bytes from one value of an array to the next, for values of this size.
pub fn array_stride(value_size: u32) -> u64 {
    ARRAY_VALUE_OFFSET + u64::from(value_size).next_multiple_of(8)
}
