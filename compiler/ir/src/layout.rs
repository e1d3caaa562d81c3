//! Where the scalars of keys and entries lie in memory. Native code, BPF programs and the control plane all use these offsets.
//!
//! An entry starts with a header: the lock (4 bytes, 0 is free), 4 bytes of zero, the expiry time and the time of the last
//! write (8 bytes each, nanoseconds). Fields follow in declared order, each at its natural alignment, the scalars of one field without
//! gaps; the size is a multiple of 8. Entries of tables have no header, and take 8 bytes at least. Words are side by side.
//! A key is its parts, the widest ones first and those of a width in declared order, so without gaps; behind them it is filled up with zeroes to a multiple of the widest: the fewer words it
//! has, the faster it is hashed and compared. All in host byte order. A key of a prefix table is as Linux has it (`struct
//! bpf_lpm_trie_key`): 4 bytes that say how many bits count, in host order, and then the parts without gaps, in network byte order.

use crate::module::{Match, StateDecl, StateKind, Width};

/// Offset of the lock word in an entry.
pub const LOCK_OFFSET: u32 = 0;
/// Offset of the expiry time in an entry: nanoseconds, 0 if the entry holds nothing, [`NEVER`](crate::NEVER) if it stays.
pub const EXPIRES_OFFSET: u32 = 8;
/// Offset of the time of the last write in an entry, nanoseconds.
pub const WRITTEN_OFFSET: u32 = 16;
/// Where the fields start.
pub const HEADER_SIZE: u32 = 24;

/// Where the parts of a prefix table's key start: behind the number of bits that count.
pub const PREFIX_BITS_SIZE: u32 = 4;
/// The size of a word.
pub const WORD_SIZE: u64 = 8;

/// What the switch notes of each entry of a hash table.
const RECORD_HEADER: u64 = 8;
/// The same for the nodes of a prefix table.
const TRIE_NODE_HEADER: u64 = 16;
/// How many slots the direct table of a prefix table has at least and at most, and what ranges take at most for each of its entries.
const DIRECT_SLOTS: (u64, u64) = (256, 65_536);
const RANGES_OF_PREFIX: u64 = 64;
/// A line of the index of a hash table.
const INDEX_LINE: u64 = 64;

/// Where scalars lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The offset of each scalar, in bytes; of a field of several scalars, that of the first.
    pub offsets: Vec<u32>,
    /// The size of the whole, in bytes.
    pub size: u32,
}

impl Layout {
    /// Lays scalars out behind `start` bytes and rounds the size up to a multiple of `align` and of the widest scalar.
    fn of(start: u32, align: u32, scalars: impl Iterator<Item = (Width, u32)>) -> Layout {
        let (mut at, mut align) = (start, align);
        let offsets = scalars
            .map(|(width, count)| {
                let bytes = width.bytes();
                align = align.max(bytes);
                let offset = at.next_multiple_of(bytes);
                // Counts and numbers of scalars are limited; where they are not yet checked, nothing must go wrong.
                at = offset.saturating_add(bytes.saturating_mul(count)).min(u32::MAX - 64);
                offset
            })
            .collect();
        Layout { offsets, size: at.next_multiple_of(align) }
    }
}

impl StateDecl {
    /// Where the parts of a key lie.
    pub fn key_layout(&self) -> Layout {
        if self.kind == StateKind::Table(Match::Prefix) {
            let mut at = PREFIX_BITS_SIZE;
            let mut offsets = Vec::new();
            for part in &self.key {
                offsets.push(at);
                at += part.width.bytes();
            }
            return Layout { offsets, size: at };
        }
        let mut order: Vec<usize> = (0..self.key.len()).collect();
        order.sort_by_key(|&part| std::cmp::Reverse(self.key[part].width.bytes()));
        let Layout { offsets: sorted, size } =
            Layout::of(0, 1, order.iter().map(|&part| (self.key[part].width, 1)));
        let mut offsets = vec![0; order.len()];
        for (part, offset) in order.into_iter().zip(sorted) {
            offsets[part] = offset;
        }
        Layout { offsets, size }
    }

    /// Where the fields of an entry lie; the header is before them, if it has one.
    pub fn entry_layout(&self) -> Layout {
        let fields = self.fields.iter().map(|field| (field.width, field.count));
        match self.kind {
            StateKind::Table(_) => {
                let layout = Layout::of(0, 8, fields);
                Layout { size: layout.size.max(8), ..layout }
            }
            StateKind::Hash(_) | StateKind::Array | StateKind::Words => Layout::of(HEADER_SIZE, 8, fields),
        }
    }

    /// What it takes in memory in the switch, in bytes: its entries or words with their keys and what tables need to find them, as the book says
    /// under "State in memory". Of a state that each worker has for itself, that of one copy.
    pub fn bytes(&self) -> u64 {
        let entry = u64::from(self.entry_layout().size);
        let key = u64::from(self.key_layout().size).next_multiple_of(8);
        let capacity = u64::from(self.capacity);
        let record = key + RECORD_HEADER + entry;
        // Where sizes are not yet checked, nothing must go wrong.
        let records = |count: u64| count.saturating_mul(record).saturating_add(self.index_bytes());
        match self.kind {
            StateKind::Words => capacity * WORD_SIZE,
            StateKind::Array => capacity.saturating_mul(entry),
            StateKind::Hash(_) => records(capacity),
            StateKind::Table(Match::Exact) => records(capacity + self.spare()),
            StateKind::Table(Match::Prefix) => {
                let node = TRIE_NODE_HEADER + u64::from(self.key_bits() / 8).next_multiple_of(8);
                (capacity + self.spare()).saturating_mul(2 * node + entry) + self.direct_bytes()
            }
        }
    }

    /// A hash table's index: a line for each four entries, or two in all.
    fn index_bytes(&self) -> u64 {
        let lines =
            if self.capacity <= 16 { 2 } else { u64::from(self.capacity.div_ceil(4)).next_power_of_two() };
        lines * INDEX_LINE
    }

    /// What a table of addresses takes besides: slots for each family that keys tell, and ranges of addresses.
    fn direct_bytes(&self) -> u64 {
        let families = match self.key_bits() / 8 {
            4 | 8 | 16 => 1,
            17 => 2,
            _ => return 0,
        };
        let slots = 4_u64 << u64::from(self.capacity.max(1)).ilog2();
        let slots = slots.clamp(DIRECT_SLOTS.0, DIRECT_SLOTS.1);
        families * slots * WORD_SIZE + u64::from(self.capacity) * RANGES_OF_PREFIX
    }

    /// Entries of a table that are being replaced.
    fn spare(&self) -> u64 {
        u64::from(self.capacity.div_ceil(16).clamp(1, 1_024))
    }

    /// Where the scalars of each field start among all scalars of an entry, and behind the last how many there are.
    pub fn field_starts(&self) -> Vec<usize> {
        let mut at = 0_usize;
        let starts = self.fields.iter().map(|field| {
            let start = at;
            at = at.saturating_add(field.count as usize);
            start
        });
        let mut starts: Vec<usize> = starts.collect();
        starts.push(at);
        starts
    }

    /// The greatest value of each scalar of an entry; of words, that of the word under an index.
    pub fn scalar_limits(&self) -> Vec<u64> {
        match self.kind {
            StateKind::Words => vec![u64::MAX],
            StateKind::Hash(_) | StateKind::Array | StateKind::Table(_) => {
                let fields = self.fields.iter();
                fields
                    .flat_map(|field| std::iter::repeat_n(field.width.max(), field.count as usize))
                    .collect()
            }
        }
    }

    /// How many bits a key has.
    pub fn key_bits(&self) -> u32 {
        self.key.iter().map(|part| part.width.bits()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{FieldDecl, KeyPart, WhenFull};

    #[test]
    fn scalars_lie_at_their_natural_alignment() {
        let state = StateDecl {
            name: "s".into(),
            kind: StateKind::Hash(WhenFull::Refuse),
            key: vec![
                KeyPart { name: "port".into(), width: Width::W16 },
                KeyPart { name: "addr".into(), width: Width::W32 },
                KeyPart { name: "proto".into(), width: Width::W8 },
            ],
            capacity: 1,
            fields: vec![
                FieldDecl { name: "a".into(), width: Width::W8, count: 1 },
                FieldDecl { name: "b".into(), width: Width::W64, count: 1 },
                FieldDecl { name: "c".into(), width: Width::W16, count: 5 },
                FieldDecl { name: "d".into(), width: Width::W32, count: 1 },
            ],
            per_core: None,
        };
        // The address, the port, the protocol, a byte of nothing.
        assert_eq!(state.key_layout(), Layout { offsets: vec![4, 0, 6], size: 8 });
        assert_eq!(state.entry_layout(), Layout { offsets: vec![24, 32, 40, 52], size: 56 });
        assert_eq!(state.field_starts(), [0, 1, 2, 7, 8]);
    }
}
