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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`: inserts are refused when it is full.
    #[default]
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`: all entries always exist; the key is a `u32` index.
    Array,
    /// `BPF_MAP_TYPE_PERCPU_HASH`: a hash whose entries have a value for each worker.
    PercpuHash,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`: an array whose entries have a value for each worker.
    PercpuArray,
    /// `BPF_MAP_TYPE_LRU_HASH`: inserts evict an old entry when it is full.
    LruHash,
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`: the same with a value for each worker.
    LruPercpuHash,
    /// `BPF_MAP_TYPE_LPM_TRIE`: the value of the longest prefix of a key; the key is a `u32` number of bits in host order, then bytes.
    LpmTrie,
    /// `BPF_MAP_TYPE_RINGBUF`: a queue of records to the control plane; it has neither keys nor values.
    RingBuf,
    /// `BPF_MAP_TYPE_BLOOM_FILTER`: a set that may say yes of what was not put in; it has no keys.
    BloomFilter,
    /// A Bloom filter of the first Oko: a look-up of an element gives a `u32`, 1 if it may have been put in and else 0. Linux has none.
    OriginalBloom,
    /// A count-min sketch of the first Oko: a look-up of an element gives a `u32`, how often it was put in at most. Linux has none.
    OriginalCountMin,
}

impl MapKind {
    /// The kinds that Linux has, in the order of their numbers.
    pub const LINUX: [MapKind; 9] = [
        MapKind::Hash,
        MapKind::Array,
        MapKind::PercpuHash,
        MapKind::PercpuArray,
        MapKind::LruHash,
        MapKind::LruPercpuHash,
        MapKind::LpmTrie,
        MapKind::RingBuf,
        MapKind::BloomFilter,
    ];

    /// The kind with this number of Linux's `enum bpf_map_type`, if it is supported.
    pub fn from_number(number: u32) -> Option<MapKind> {
        MapKind::LINUX.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number in Linux's `enum bpf_map_type`; of those that Linux has not, one that it will never have.
    pub const fn number(self) -> u32 {
        match self {
            MapKind::Hash => 1,
            MapKind::Array => 2,
            MapKind::PercpuHash => 5,
            MapKind::PercpuArray => 6,
            MapKind::LruHash => 9,
            MapKind::LruPercpuHash => 10,
            MapKind::LpmTrie => 11,
            MapKind::RingBuf => 27,
            MapKind::BloomFilter => 30,
            MapKind::OriginalBloom => 0x4f4b_0002,
            MapKind::OriginalCountMin => 0x4f4b_0003,
        }
    }

    /// Whether its entries are found by `u32` index and always exist.
    pub const fn is_array(self) -> bool {
        matches!(self, MapKind::Array | MapKind::PercpuArray)
    }

    /// Whether each worker has values of its own.
    pub const fn is_percpu(self) -> bool {
        matches!(self, MapKind::PercpuHash | MapKind::PercpuArray | MapKind::LruPercpuHash)
    }

    /// Whether it has entries with keys and values, which helpers 1 to 3 work on.
    pub const fn has_entries(self) -> bool {
        !matches!(self, MapKind::RingBuf | MapKind::BloomFilter) && !self.is_sketch()
    }

    /// Whether something is looked up in it by keys: entries, or what a sketch knows of elements.
    pub const fn has_keys(self) -> bool {
        self.has_entries() || self.is_sketch()
    }

    /// Whether elements are put into it and what is known of them is looked up: its keys are the elements, its values 4 bytes.
    pub const fn is_sketch(self) -> bool {
        matches!(self, MapKind::OriginalBloom | MapKind::OriginalCountMin)
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapKind::Hash => "hash",
            MapKind::Array => "array",
            MapKind::PercpuHash => "percpu_hash",
            MapKind::PercpuArray => "percpu_array",
            MapKind::LruHash => "lru_hash",
            MapKind::LruPercpuHash => "lru_percpu_hash",
            MapKind::LpmTrie => "lpm_trie",
            MapKind::RingBuf => "ringbuf",
            MapKind::BloomFilter => "bloom_filter",
            MapKind::OriginalBloom => "bloom filter of the first Oko",
            MapKind::OriginalCountMin => "count-min sketch of the first Oko",
        })
    }
}

/// The name of a map type that Linux knows but Oko does not provide, for messages.
pub fn linux_map_type(number: u32) -> Option<&'static str> {
    Some(match number {
        3 => "BPF_MAP_TYPE_PROG_ARRAY",
        4 => "BPF_MAP_TYPE_PERF_EVENT_ARRAY",
        7 => "BPF_MAP_TYPE_STACK_TRACE",
        8 => "BPF_MAP_TYPE_CGROUP_ARRAY",
        12 => "BPF_MAP_TYPE_ARRAY_OF_MAPS",
        13 => "BPF_MAP_TYPE_HASH_OF_MAPS",
        14 => "BPF_MAP_TYPE_DEVMAP",
        15 => "BPF_MAP_TYPE_SOCKMAP",
        16 => "BPF_MAP_TYPE_CPUMAP",
        17 => "BPF_MAP_TYPE_XSKMAP",
        18 => "BPF_MAP_TYPE_SOCKHASH",
        19 => "BPF_MAP_TYPE_CGROUP_STORAGE",
        20 => "BPF_MAP_TYPE_REUSEPORT_SOCKARRAY",
        21 => "BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE",
        22 => "BPF_MAP_TYPE_QUEUE",
        23 => "BPF_MAP_TYPE_STACK",
        24 => "BPF_MAP_TYPE_SK_STORAGE",
        25 => "BPF_MAP_TYPE_DEVMAP_HASH",
        26 => "BPF_MAP_TYPE_STRUCT_OPS",
        28 => "BPF_MAP_TYPE_INODE_STORAGE",
        29 => "BPF_MAP_TYPE_TASK_STORAGE",
        31 => "BPF_MAP_TYPE_USER_RINGBUF",
        32 => "BPF_MAP_TYPE_CGRP_STORAGE",
        33 => "BPF_MAP_TYPE_ARENA",
        _ => return None,
    })
}

/// A map as its definition declares it. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MapDef {
    /// Name, as in the object.
    pub name: String,
    /// Kind.
    pub kind: MapKind,
    /// Bytes of a key; 4 for an array, 0 for ring buffers and Bloom filters; of a sketch, those of an element.
    pub key_size: u32,
    /// Bytes of a value; 0 for ring buffers, 4 for sketches.
    pub value_size: u32,
    /// Capacity; of a ring buffer, its size in bytes, a power of two and a multiple of 4096.
    pub max_entries: u32,
    /// Of a Bloom filter or sketch, the number of hash functions, 1 to 15 (the low 4 bits of Linux's `map_extra`, whose 0 means 5).
    pub hashes: u32,
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
