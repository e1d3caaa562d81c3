//! Keys and entries as scalars in the IR's order, and as the bytes that maps have of them.

use oko_ir::interp::{TableError, TableKey, check_fields};
use oko_ir::layout::{EXPIRES_OFFSET, Layout, PREFIX_BITS_SIZE, WORD_SIZE, WRITTEN_OFFSET};
use oko_ir::{Match, StateDecl, StateKind, Width};
use oko_state::{Header, Kind, Shape, WhenFull};

/// The map that a state is kept in.
pub(crate) fn shape(decl: &StateDecl) -> Shape {
    let plain = Header::Plain { lock_offset: None };
    let (kind, header) = match decl.kind {
        StateKind::Hash(oko_ir::WhenFull::EvictOldest) => (Kind::Hash(WhenFull::EvictOldest), Header::Oko),
        StateKind::Hash(oko_ir::WhenFull::Refuse) => (Kind::Hash(WhenFull::Refuse), Header::Oko),
        StateKind::Array => (Kind::Array, Header::Oko),
        StateKind::Words => (Kind::Array, plain),
        StateKind::Table(Match::Exact) => (Kind::Exact, plain),
        StateKind::Table(Match::Prefix) => (Kind::Prefix, plain),
    };
    Shape { kind, capacity: decl.capacity, key_size: key_size(decl), value_size: value_size(decl), header }
}

fn key_size(decl: &StateDecl) -> u32 {
    match decl.kind {
        // BPF indexes arrays by a `u32`, whatever the width in the IR.
        StateKind::Array | StateKind::Words => 4,
        StateKind::Hash(_) | StateKind::Table(_) => decl.key_layout().size,
    }
}

fn value_size(decl: &StateDecl) -> u32 {
    match decl.kind {
        StateKind::Words => WORD_SIZE as u32,
        _ => decl.entry_layout().size,
    }
}

/// The bytes of a key of which all bits count.
pub(crate) fn key_bytes(decl: &StateDecl, parts: &[u64]) -> Result<Vec<u8>, TableError> {
    if decl.kind == StateKind::Words {
        return match parts {
            [index] => Ok(index_bytes(*index)),
            _ => Err(TableError::KeyParts { expected: 1, found: parts.len() }),
        };
    }
    table_key_bytes(decl, &TableKey { parts: parts.to_vec(), bits: decl.key_bits() })
}

/// The bytes of a key of a table.
pub(crate) fn table_key_bytes(decl: &StateDecl, key: &TableKey) -> Result<Vec<u8>, TableError> {
    key.check(decl)?;
    if decl.kind == StateKind::Table(Match::Prefix) {
        let mut bytes = key.bits.to_ne_bytes().to_vec();
        for (value, part) in key.parts.iter().zip(&decl.key) {
            bytes.extend_from_slice(&value.to_be_bytes()[8 - part.width.bytes() as usize..]);
        }
        return Ok(bytes);
    }
    if let (StateKind::Array, [index]) = (decl.kind, &key.parts[..]) {
        return Ok(index_bytes(*index));
    }
    Ok(packed(&key.parts, &decl.key_layout(), decl.key.iter().map(|part| (part.width, 1))))
}

/// The key of an entry of an array. An index that is too great for it becomes the greatest, which none has.
fn index_bytes(index: u64) -> Vec<u8> {
    u32::try_from(index).unwrap_or(u32::MAX).to_ne_bytes().to_vec()
}

/// The scalars of a key. A prefix comes with how many of its bits count as one more scalar, and so do the keys of other tables.
pub(crate) fn key_scalars(decl: &StateDecl, bytes: &[u8]) -> Vec<u64> {
    let bits = u64::from(decl.key_bits());
    match decl.kind {
        StateKind::Words => vec![scalar(bytes, 0, Width::W32)],
        StateKind::Table(Match::Prefix) => {
            let mut at = PREFIX_BITS_SIZE as usize;
            let parts = decl.key.iter().map(|part| {
                let size = part.width.bytes() as usize;
                let value =
                    bytes.iter().skip(at).take(size).fold(0, |value, &byte| value << 8 | u64::from(byte));
                at += size;
                value
            });
            let mut scalars: Vec<u64> = parts.collect();
            scalars.push(scalar(bytes, 0, Width::W32));
            scalars
        }
        StateKind::Table(Match::Exact) => {
            let parts = scalars(bytes, &decl.key_layout(), decl.key.iter().map(|part| (part.width, 1)));
            parts.into_iter().chain([bits]).collect()
        }
        StateKind::Hash(_) | StateKind::Array => {
            scalars(bytes, &decl.key_layout(), decl.key.iter().map(|part| (part.width, 1)))
        }
    }
}

/// The bytes of an entry with these scalars.
pub(crate) fn value_bytes(
    decl: &StateDecl,
    fields: &[u64],
    expires: u64,
    written: u64,
) -> Result<Vec<u8>, TableError> {
    check_fields(decl, fields)?;
    Ok(entry_bytes(decl, fields, expires, written))
}

/// As [`value_bytes`], of scalars that are known to fit.
pub(crate) fn entry_bytes(decl: &StateDecl, fields: &[u64], expires: u64, written: u64) -> Vec<u8> {
    let packed = || packed(fields, &decl.entry_layout(), field_widths(decl));
    match decl.kind {
        // These have no header.
        StateKind::Words => fields.iter().flat_map(|word| word.to_ne_bytes()).collect(),
        StateKind::Table(_) => packed(),
        StateKind::Hash(_) | StateKind::Array => {
            let mut bytes = packed();
            for (offset, word) in [(EXPIRES_OFFSET, expires), (WRITTEN_OFFSET, written)] {
                bytes[offset as usize..offset as usize + 8].copy_from_slice(&word.to_ne_bytes());
            }
            bytes
        }
    }
}

/// The scalars of a value.
pub(crate) fn value_scalars(decl: &StateDecl, bytes: &[u8]) -> Vec<u64> {
    match decl.kind {
        StateKind::Words => vec![scalar(bytes, 0, Width::W64)],
        _ => scalars(bytes, &decl.entry_layout(), field_widths(decl)),
    }
}

/// When an entry expires and when it was written last.
pub(crate) fn times(bytes: &[u8]) -> (u64, u64) {
    (scalar(bytes, EXPIRES_OFFSET, Width::W64), scalar(bytes, WRITTEN_OFFSET, Width::W64))
}

fn field_widths(decl: &StateDecl) -> impl Iterator<Item = (Width, u32)> + '_ {
    decl.fields.iter().map(|field| (field.width, field.count))
}

/// The offset and width of each scalar of a layout.
fn places(layout: &Layout, widths: impl Iterator<Item = (Width, u32)>) -> impl Iterator<Item = (u32, Width)> {
    layout.offsets.iter().zip(widths).flat_map(|(&offset, (width, count))| {
        (0..count).map(move |index| (offset + index * width.bytes(), width))
    })
}

fn scalars(bytes: &[u8], layout: &Layout, widths: impl Iterator<Item = (Width, u32)>) -> Vec<u64> {
    places(layout, widths).map(|(offset, width)| scalar(bytes, offset, width)).collect()
}

fn packed(scalars: &[u64], layout: &Layout, widths: impl Iterator<Item = (Width, u32)>) -> Vec<u8> {
    let mut bytes = vec![0; layout.size as usize];
    for (&scalar, (offset, width)) in scalars.iter().zip(places(layout, widths)) {
        let (start, size) = (offset as usize, width.bytes() as usize);
        bytes[start..start + size].copy_from_slice(&scalar.to_le_bytes()[..size]);
    }
    bytes
}

/// A scalar in host byte order, zero-extended; bytes that are not there count as zero.
fn scalar(bytes: &[u8], offset: u32, width: Width) -> u64 {
    let mut word = [0; 8];
    let start = (offset as usize).min(bytes.len());
    let end = (start + width.bytes() as usize).min(bytes.len());
    word[..end - start].copy_from_slice(&bytes[start..end]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use oko_ir::testing::generate;
    use oko_ir::{FieldDecl, KeyPart, WhenFull};
    use oko_state::Map;
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = StateKind> {
        prop::sample::select(vec![
            StateKind::Hash(WhenFull::EvictOldest),
            StateKind::Hash(WhenFull::Refuse),
            StateKind::Array,
            StateKind::Words,
            StateKind::Table(Match::Exact),
            StateKind::Table(Match::Prefix),
        ])
    }

    fn width() -> impl Strategy<Value = Width> {
        prop::sample::select(vec![Width::W8, Width::W16, Width::W32, Width::W64])
    }

    fn decls() -> impl Strategy<Value = StateDecl> {
        let key = prop::collection::vec(width(), 1..6);
        let fields = prop::collection::vec((width(), 1..5_u32), 0..6);
        (kinds(), key, fields, 1..5_000_u32).prop_map(|(kind, key, fields, capacity)| {
            let count = match kind {
                StateKind::Array => 1,
                StateKind::Words => 0,
                _ => key.len(),
            };
            let key = key.into_iter().take(count).map(|width| KeyPart { name: "k".into(), width });
            let fields =
                fields.into_iter().map(|(width, count)| FieldDecl { name: "f".into(), width, count });
            let fields = if kind == StateKind::Words { Vec::new() } else { fields.collect() };
            StateDecl { name: "s".into(), kind, key: key.collect(), capacity, fields, per_core: None }
        })
    }

    proptest! {
        /// What the compiler prints, what a map says of itself, and what it asked the system for.
        #[test]
        fn the_footprint_is_what_the_compiler_printed(decl in decls()) {
            let map = Map::new(shape(&decl)).unwrap();
            prop_assert_eq!(map.footprint(), decl.bytes());
        }

        #[test]
        fn keys_and_values_come_back_as_they_were(decl in decls(), seed in prop::collection::vec(any::<u64>(), 40)) {
            let bits = decl.key_bits();
            let words = decl.kind == StateKind::Words;
            let parts: Vec<u64> = if words {
                vec![seed[0] % 5_000]
            } else {
                decl.key.iter().zip(&seed).map(|(part, value)| value & part.width.max()).collect()
            };
            let mut expected = parts.clone();
            if matches!(decl.kind, StateKind::Table(_)) {
                expected.push(bits.into());
            }
            let bytes = key_bytes(&decl, &parts).unwrap();
            if decl.kind != StateKind::Array {
                prop_assert_eq!(bytes.len(), shape(&decl).key_size as usize);
                prop_assert_eq!(key_scalars(&decl, &bytes), expected);
            }
            let fields: Vec<u64> = decl.scalar_limits().iter().zip(&seed).map(|(limit, value)| value & limit).collect();
            let bytes = value_bytes(&decl, &fields, 7, 5).unwrap();
            prop_assert_eq!(bytes.len(), shape(&decl).value_size as usize);
            prop_assert_eq!(value_scalars(&decl, &bytes), fields.clone());
            if matches!(decl.kind, StateKind::Hash(_) | StateKind::Array) {
                prop_assert_eq!(times(&bytes), (7, 5));
            }
            let more = [&fields[..], &[1]].concat();
            prop_assert!(value_bytes(&decl, &more, 7, 5).is_err());
        }

        #[test]
        fn the_states_of_any_module_fit_their_maps(choices in prop::collection::vec(any::<u32>(), 0..200)) {
            for decl in &generate::module(&choices, generate::Options::default()).states {
                prop_assert_eq!(shape(decl).check(), Ok(()));
                prop_assert_eq!(shape(decl).footprint(), decl.bytes());
            }
        }
    }
}
