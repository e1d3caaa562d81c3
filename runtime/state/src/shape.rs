//! What a map is made of, and what it takes in memory.

use crate::key::MAX_KEY_BYTES;
use crate::{bloom, index, pool, prefix, probe, ring_buffer, sketch};

/// The greatest size of a value in bytes.
pub const MAX_VALUE_BYTES: u32 = 1 << 16;

/// The most memory that one map may take.
const MAX_FOOTPRINT: u64 = 1 << 40;
/// What the records of a hash table take at most: 2^32 words.
const MAX_RECORDS: u64 = 1 << 35;

/// The greatest number of hashes of a Bloom filter, as in the kernel.
const MAX_HASHES: u32 = 15;

/// How entries are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// By key.
    Hash(WhenFull),
    /// By index: a little-endian number of `key_size` bytes (1, 2, 4 or 8). All entries below the capacity always exist. Values lie side by side,
    /// [`array_stride`] bytes apart.
    Array,
    /// By key, in a table that only the control plane writes. What a look-up gave stays unchanged while the thread is
    /// [pinned](crate::pin).
    Exact,
    /// By the longest prefix of the key, in a table as above. A key is a `u32` number of bits in host order and then the bits, in network
    /// order (`struct bpf_lpm_trie_key`); `key_size` has both.
    Prefix,
    /// A Bloom filter of `capacity` expected values; it has no keys and no entries, see [`Map::push`](crate::Map::push).
    Bloom {
        /// How many bits a value sets, 1 to 15.
        hashes: u32,
    },
    /// A sketch of the first Oko: its keys are the elements that are [put in](crate::Map::add), and a look-up tells of one by a `u32`.
    Sketch {
        /// What it tells.
        summary: Summary,
        /// How many counters or bits an element has, 1 to 15.
        hashes: u32,
    },
    /// A ring buffer of `capacity` bytes, a power of two; it has no keys and no entries, see [`Map::ring`](crate::Map::ring).
    Ring,
}

/// What a sketch tells of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Summary {
    /// 1 if it may have been put in, else 0; from `capacity` bytes of bits.
    Presence,
    /// How often it was put in at most; from `hashes` rows of `capacity` counters.
    Count,
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
    /// The key of a prefix table has no bits.
    #[error("keys of {found} bytes: expected 5 to {MAX_KEY_BYTES}, the first 4 for the number of bits")]
    PrefixSize {
        /// Its size.
        found: u32,
    },
    /// A Bloom filter or ring buffer has keys, or a ring buffer values.
    #[error("{what} of {found} bytes in a map that has none: expected 0")]
    Superfluous {
        /// `keys` or `values`.
        what: &'static str,
        /// Their size.
        found: u32,
    },
    /// The entries of a hash table would take more than 32 gibibytes.
    #[error(
        "the entries of the hash table take {bytes} bytes: expected at most {MAX_RECORDS}, which are 32 GiB"
    )]
    Entries {
        /// What they take.
        bytes: u64,
    },
    /// The value of a sketch is not the number that it tells.
    #[error("a sketch whose values have {found} bytes: expected 4")]
    Answer {
        /// Their size.
        found: u32,
    },
    /// A Bloom filter or sketch sets no bits, or too many.
    #[error("{found} hashes: expected 1 to {MAX_HASHES}")]
    Hashes {
        /// How many.
        found: u32,
    },
    /// A ring buffer's size is no power of two, or out of range.
    #[error("a ring buffer of {found} bytes: expected a power of two from 64 to 2^30")]
    RingSize {
        /// Its size.
        found: u32,
    },
    /// There would be no copy, or more than there can be cores.
    #[error("{found} copies: expected 1 to 1024")]
    Copies {
        /// How many.
        found: u32,
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
        self.check_key()?;
        let min = match (self.kind, self.header) {
            // A table's entry may be nothing but its key.
            (Kind::Exact | Kind::Prefix | Kind::Ring, _) => 0,
            (_, Header::Oko) => 24,
            (_, Header::Plain { .. }) => 1,
        };
        if self.value_size < min || self.value_size > MAX_VALUE_BYTES {
            return Err(ShapeError::ValueSize { found: self.value_size, min });
        }
        match self.kind {
            Kind::Bloom { .. } if self.value_size as usize > MAX_KEY_BYTES => {
                return Err(ShapeError::KeySize { found: self.value_size });
            }
            Kind::Bloom { hashes } | Kind::Sketch { hashes, .. } if hashes == 0 || hashes > MAX_HASHES => {
                return Err(ShapeError::Hashes { found: hashes });
            }
            Kind::Sketch { .. } if self.value_size != 4 => {
                return Err(ShapeError::Answer { found: self.value_size });
            }
            Kind::Ring if self.value_size != 0 => {
                return Err(ShapeError::Superfluous { what: "values", found: self.value_size });
            }
            Kind::Ring
                if !self.capacity.is_power_of_two() || !ring_buffer::SIZES.contains(&self.capacity) =>
            {
                return Err(ShapeError::RingSize { found: self.capacity });
            }
            _ => {}
        }
        if matches!(self.kind, Kind::Hash(_) | Kind::Array)
            && let Some(offset) = self.header.lock_offset()
            && (!offset.is_multiple_of(4) || u64::from(offset) + 4 > u64::from(self.value_size))
        {
            return Err(ShapeError::LockOffset { offset, value_size: self.value_size });
        }
        let entries = self.records_bytes();
        if self.has_nobodys() && entries > MAX_RECORDS {
            return Err(ShapeError::Entries { bytes: entries });
        }
        let bytes = self.footprint();
        if bytes > MAX_FOOTPRINT {
            return Err(ShapeError::TooLarge { bytes });
        }
        Ok(())
    }

    fn check_key(&self) -> Result<(), ShapeError> {
        let found = self.key_size;
        match self.kind {
            Kind::Hash(_) | Kind::Exact | Kind::Sketch { .. }
                if found == 0 || found as usize > MAX_KEY_BYTES =>
            {
                Err(ShapeError::KeySize { found })
            }
            Kind::Array if !matches!(found, 1 | 2 | 4 | 8) => Err(ShapeError::IndexSize { found }),
            Kind::Prefix if found <= prefix::LENGTH_BYTES || found as usize > MAX_KEY_BYTES => {
                Err(ShapeError::PrefixSize { found })
            }
            Kind::Bloom { .. } | Kind::Ring if found != 0 => {
                Err(ShapeError::Superfluous { what: "keys", found })
            }
            _ => Ok(()),
        }
    }

    /// What a map takes in memory, in bytes, but for what does not grow with it. With sizes rounded up to multiples of 8:
    ///
    /// - an array: `capacity * value`;
    /// - a hash table: `capacity * (key + 8 + value)`, and an index of 64 bytes for each four entries, the number of these lines rounded up to a
    ///   power of two (but two for up to 16 entries);
    /// - an exact table: the same, with a sixteenth more records (at least 1, at most 1,024) for versions that are being replaced;
    /// - a hash table of plain values: the same, with a sixteenth more records (at least 128, at most 1,024) for what may still be looked at, each of
    ///   8 bytes more if the oldest make room;
    /// - a prefix table: with as many spare ones, two nodes of `key - 4 + 16` bytes and a value for each entry; of addresses besides, at most 64 bytes for each
    ///   entry, and 8 bytes for each slot of the [direct table](crate::direct), or twice that if keys tell the family: as many as the capacity rounded down to a power of two,
    ///   four times, but 256 at least and 65,536 at most;
    /// - a Bloom filter: `capacity * hashes * 7 / 5` bits, rounded up to a power of two;
    /// - a sketch: 4 bytes for each counter, or its capacity in bytes, rounded up to 4, and 8,192 for answers;
    /// - a ring buffer: its capacity.
    pub fn footprint(&self) -> u64 {
        match self.kind {
            Kind::Array => self.records() * self.stride(),
            Kind::Hash(_) | Kind::Exact => self.records() * self.stride() + index::bytes(self.capacity),
            Kind::Prefix => prefix::bytes(self.capacity, self.key_size, self.value_size),
            Kind::Bloom { hashes } => bloom::bytes(self.capacity, hashes),
            Kind::Sketch { summary, hashes } => sketch::bytes(summary, self.capacity, hashes),
            Kind::Ring => u64::from(self.capacity),
        }
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> u64 {
        match self.kind {
            Kind::Exact => u64::from(self.capacity) + u64::from(pool::spare(self.capacity)),
            Kind::Hash(_) if self.header != Header::Oko => {
                u64::from(self.capacity) + u64::from(pool::spare_of_foreign(self.capacity))
            }
            _ => u64::from(self.capacity),
        }
    }

    /// Whether there is a record in front of the others that never belongs to a key: what the index says where it says nothing.
    pub(crate) fn has_nobodys(&self) -> bool {
        matches!(self.kind, Kind::Hash(_) | Kind::Exact)
    }

    /// What all records take, nobody's included.
    pub(crate) fn records_bytes(&self) -> u64 {
        (self.records() + u64::from(self.has_nobodys())) * self.stride()
    }

    /// Bytes from one record to the next: key, bookkeeping, value.
    pub(crate) fn stride(&self) -> u64 {
        self.value_offset() + u64::from(self.value_size).next_multiple_of(8)
    }

    /// Whether it is use that decides who makes room: then each record has a stamp.
    pub(crate) fn has_stamps(&self) -> bool {
        self.kind == Kind::Hash(WhenFull::EvictOldest) && self.header != Header::Oko
    }

    /// Where the value is in a record: behind stamp, key and generation.
    pub(crate) fn value_offset(&self) -> u64 {
        match self.kind {
            Kind::Hash(_) | Kind::Exact => {
                let stamp = if self.has_stamps() { 8 } else { 0 };
                let key = u64::from(self.key_size).next_multiple_of(8);
                stamp + key + u64::from(probe::KEY_END.unsigned_abs())
            }
            _ => 0,
        }
    }
}

/// Bytes from one value of an array to the next, for values of this size.
pub fn array_stride(value_size: u32) -> u64 {
    u64::from(value_size).next_multiple_of(8)
}
