//! Where the scalars of keys and entries lie in memory. Native code, BPF programs and the control plane all use these offsets.
//!
//! An entry starts with a header: the lock (4 bytes, 0 is free), 4 bytes of zero, the expiry time and the time of the last
//! write (8 bytes each, nanoseconds). Fields follow in declared order, each at its natural alignment; the size is a multiple of 8.
//! A key is its parts in declared order at their natural alignment, gaps zero; its size is a multiple of its alignment. All in host byte order.

use crate::module::{StateDecl, StateKind, Width};

/// Offset of the lock word in an entry.
pub const LOCK_OFFSET: u32 = 0;
/// Offset of the expiry time in an entry: nanoseconds, 0 if the entry holds nothing, [`NEVER`](crate::NEVER) if it stays.
pub const EXPIRES_OFFSET: u32 = 8;
/// Offset of the time of the last write in an entry, nanoseconds.
pub const WRITTEN_OFFSET: u32 = 16;
/// Where the fields start.
pub const HEADER_SIZE: u32 = 24;

/// Where scalars lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The offset of each scalar, in bytes.
    pub offsets: Vec<u32>,
    /// The size of the whole, in bytes.
    pub size: u32,
}

impl Layout {
    /// Lays scalars out behind `start` bytes and rounds the size up to a multiple of `align` and of the widest scalar.
    fn of(start: u32, align: u32, widths: impl Iterator<Item = Width>) -> Layout {
        let (mut at, mut align) = (start, align);
        let offsets = widths
            .map(|width| {
                let bytes = width.bytes();
                align = align.max(bytes);
                let offset = at.next_multiple_of(bytes);
                at = offset + bytes;
                offset
            })
            .collect();
        Layout { offsets, size: at.next_multiple_of(align) }
    }
}

impl StateDecl {
    /// Where the parts of a key lie.
    pub fn key_layout(&self) -> Layout {
        Layout::of(0, 1, self.key.iter().map(|part| part.width))
    }

    /// Where the fields of an entry lie; the header is before them.
    pub fn entry_layout(&self) -> Layout {
        Layout::of(HEADER_SIZE, 8, self.fields.iter().map(|field| field.width))
    }

    /// The bytes that its keys and entries take when it is full; an array keeps no keys. Engines add what their tables need.
    pub fn bytes(&self) -> u64 {
        let key = if self.kind == StateKind::Array { 0 } else { self.key_layout().size };
        u64::from(self.capacity).saturating_mul(u64::from(key) + u64::from(self.entry_layout().size))
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
                FieldDecl { name: "a".into(), width: Width::W8 },
                FieldDecl { name: "b".into(), width: Width::W64 },
                FieldDecl { name: "c".into(), width: Width::W16 },
            ],
        };
        assert_eq!(state.key_layout(), Layout { offsets: vec![0, 4, 8], size: 12 });
        assert_eq!(state.entry_layout(), Layout { offsets: vec![24, 32, 40], size: 48 });
    }
}
