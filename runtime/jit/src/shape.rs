//! The maps that programs of BPF declare, as `oko_state` makes them.

use oko_bpf::program::{MapDef, MapKind};
use oko_state::{Header, Kind, Shape, Summary, WhenFull};

/// The shape of a map that a program declares: the one which code made of that program expects. A map that the kernel keeps a copy of for each processor has
/// the shape of one copy.
pub fn map_shape(def: &MapDef) -> Shape {
    let kind = match def.kind {
        MapKind::Hash | MapKind::PercpuHash => Kind::Hash(WhenFull::Refuse),
        MapKind::LruHash | MapKind::LruPercpuHash => Kind::Hash(WhenFull::EvictOldest),
        MapKind::Array | MapKind::PercpuArray => Kind::Array,
        MapKind::LpmTrie => Kind::Prefix,
        MapKind::BloomFilter => Kind::Bloom { hashes: def.hashes },
        MapKind::OriginalBloom => Kind::Sketch { summary: Summary::Presence, hashes: def.hashes },
        MapKind::OriginalCountMin => Kind::Sketch { summary: Summary::Count, hashes: def.hashes },
        MapKind::RingBuf => Kind::Ring,
    };
    Shape {
        kind,
        capacity: def.max_entries,
        key_size: def.key_size,
        value_size: def.value_size,
        header: Header::Plain { lock_offset: def.lock_offset },
    }
}
