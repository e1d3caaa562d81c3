//! A loaded program: what an object reader produces and the verifier judges.
//!
//! What holds here:
//! - [`Program::maps`] is the one list of maps that map references index: after loading, [`crate::isa::Imm64::Map`] and
//!   [`crate::isa::Imm64::MapValue`] carry an index into it, never a file descriptor.
//! - `.data`, `.rodata` and `.bss` are maps of kind [`MapKind::Array`] with one entry, flagged by [`MapDef::data`].
//! - The entry function is slot 0; functions that [`crate::isa::Insn::CallLocal`] reaches follow in the same slice.

use std::fmt;

use crate::isa::Insn;

/// An index into [`Program::maps`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MapId(pub u32);

impl MapId {
    /// The index as one of a slice.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for MapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map{}", self.0)
    }
}

/// The kinds of map that a program may use; the numbers are Linux's `enum bpf_map_type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`: inserts are refused when it is full.
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`: all entries always exist; the key is a `u32` index.
    Array,
    /// `BPF_MAP_TYPE_LRU_HASH`: inserts evict an old entry when it is full.
    LruHash,
}

impl MapKind {
    /// The kind with this number of Linux's `enum bpf_map_type`, if it is supported.
    pub const fn from_number(number: u32) -> Option<MapKind> {
        match number {
            1 => Some(MapKind::Hash),
            2 => Some(MapKind::Array),
            9 => Some(MapKind::LruHash),
            _ => None,
        }
    }

    /// Its number in Linux's `enum bpf_map_type`.
    pub const fn number(self) -> u32 {
        match self {
            MapKind::Hash => 1,
            MapKind::Array => 2,
            MapKind::LruHash => 9,
        }
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapKind::Hash => "hash",
            MapKind::Array => "array",
            MapKind::LruHash => "lru_hash",
        })
    }
}

/// A map as its definition declares it. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapDef {
    /// Name, as in the object.
    pub name: String,
    /// Kind.
    pub kind: MapKind,
    /// Bytes of a key; 4 for an array.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
    /// Where in the value a `struct bpf_spin_lock` (4 bytes, 4-aligned) is, if it has one.
    pub lock_offset: Option<u32>,
    /// Set if this is a section of variables.
    pub data: Option<DataSection>,
}

/// A section of variables, presented as a map with one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataSection {
    /// Whether programs may only read it (`.rodata`).
    pub readonly: bool,
    /// The initial content, `value_size` bytes.
    pub init: Vec<u8>,
}

/// Where a slot comes from in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineInfo {
    /// First slot that this describes; it holds up to the next entry's.
    pub slot: u32,
    /// Source file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The text of the line; may be empty.
    pub text: String,
}

/// A program before verification.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Program {
    /// Name (of the entry function's symbol).
    pub name: String,
    /// The instructions by slot; entry function first.
    pub insns: Vec<Insn>,
    /// The maps that its instructions refer to, by index.
    pub maps: Vec<MapDef>,
    /// Source lines, ascending by slot; may be empty.
    pub lines: Vec<LineInfo>,
}

impl Program {
    /// The source line of a slot, if known.
    pub fn line_of(&self, slot: usize) -> Option<&LineInfo> {
        let after = self.lines.partition_point(|line| line.slot as usize <= slot);
        self.lines[..after].last()
    }
}
