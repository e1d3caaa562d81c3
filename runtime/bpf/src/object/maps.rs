//! The maps of an object: those of `.maps` (described by BTF), of the older `maps` section, and the sections of variables.

use super::btf::{Btf, Kind, SecVar};
use super::error::{ObjectError, ObjectErrorKind, Place};
use super::read::{MapTypes, Variable};
use super::sections::Elf;
use super::{MAX_ALL_DATA_BYTES, MAX_DATA_BYTES, MAX_MAPS};
use crate::program::{DataSection, MapDef, MapKind, linux_map_type};

/// The maps and how relocations find them.
#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) defs: Vec<MapDef>,
    pub(super) types: Vec<MapTypes>,
    pub(super) variables: Vec<Variable>,
    /// (section, offset, map): a definition in `.maps` or `maps`.
    pub(super) definitions: Vec<(usize, u64, u32)>,
    /// (section, map): a section of variables.
    pub(super) data: Vec<(usize, u32)>,
}

impl Maps {
    /// Finds the maps of an object.
    pub(super) fn find(elf: &Elf<'_>, btf: Option<&Btf>) -> Result<Maps, ObjectError> {
        let mut maps = Maps::default();
        if let Some((section, header)) = elf.section(".maps").filter(|(_, section)| section.size > 0) {
            let btf = btf.ok_or_else(|| Place::section(".maps").error(ObjectErrorKind::NoBtf))?;
            maps.btf_maps(elf, section, header.size, btf)?;
        }
        if let Some((section, _)) = elf.section("maps") {
            maps.legacy_maps(elf, section)?;
        }
        maps.variables(elf, &[".data", ".rodata", ".bss"])?;
        Ok(maps)
    }

    /// Adds the sections of variables with these names, or with more behind a point.
    pub(super) fn variables(&mut self, elf: &Elf<'_>, names: &[&str]) -> Result<(), ObjectError> {
        for (index, section) in elf.sections.iter().enumerate() {
            let is = |name: &str| {
                section.name == name
                    || section.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
            };
            if section.size == 0 || section.executable || !names.iter().any(|name| is(name)) {
                continue;
            }
            if section.size > MAX_DATA_BYTES {
                return Err(Place::section(section.name).error(ObjectErrorKind::TooLarge {
                    what: "a section of variables",
                    found: section.size,
                    limit: MAX_DATA_BYTES,
                }));
            }
            let held: u64 = self.data.iter().map(|&(section, _)| elf.sections[section].size).sum();
            if held + section.size > MAX_ALL_DATA_BYTES {
                return Err(Place::File.error(ObjectErrorKind::TooLarge {
                    what: "all sections of variables together",
                    found: held + section.size,
                    limit: MAX_ALL_DATA_BYTES,
                }));
            }
            // Below MAX_DATA_BYTES, so the casts lose nothing.
            let init = if section.no_bits { vec![0; section.size as usize] } else { section.data.to_vec() };
            let map = self.push(
                MapDef {
                    name: section.name.into(),
                    kind: MapKind::Array,
                    key_size: 4,
                    value_size: section.size as u32,
                    max_entries: 1,
                    lock_offset: None,
                    hashes: 0,
                    data: Some(DataSection { readonly: is(".rodata"), init }),
                },
                MapTypes::default(),
            )?;
            self.data.push((index, map));
            self.variables.extend(
                elf.symbols
                    .iter()
                    .filter(|symbol| symbol.section == Some(index) && !symbol.name.is_empty())
                    .map(|symbol| Variable {
                        name: symbol.name.into(),
                        map,
                        offset: symbol.value,
                        size: symbol.size,
                    }),
            );
        }
        Ok(())
    }

    pub(super) fn push(&mut self, def: MapDef, types: MapTypes) -> Result<u32, ObjectError> {
        let place = || Place::map(&def.name);
        if self.defs.len() >= MAX_MAPS {
            let (found, limit) = (self.defs.len() as u64 + 1, MAX_MAPS as u64);
            return Err(place().error(ObjectErrorKind::TooLarge {
                what: "the number of maps",
                found,
                limit,
            }));
        }
        if self.defs.iter().any(|other| other.name == def.name) {
            return Err(place().error(ObjectErrorKind::Duplicate));
        }
        self.defs.push(def);
        self.types.push(types);
        Ok(self.defs.len() as u32 - 1)
    }

    fn btf_maps(&mut self, elf: &Elf<'_>, section: usize, size: u64, btf: &Btf) -> Result<(), ObjectError> {
        let vars = btf.data_sections().find(|(name, _)| *name == ".maps").map(|(_, vars)| vars);
        let vars = vars.ok_or_else(|| {
            Place::section(".maps").error(ObjectErrorKind::NotInBtf { what: "section type" })
        })?;
        let mut found = Vec::new();
        for var in vars {
            let name = btf.name(var.ty);
            // clang leaves the offsets in BTF to the linker; the symbol has the real one.
            let symbol =
                elf.symbols.iter().find(|symbol| symbol.section == Some(section) && symbol.name == name);
            let symbol = symbol
                .ok_or_else(|| Place::map(name).error(ObjectErrorKind::Unresolved { symbol: name.into() }))?;
            if symbol.value >= size {
                let kind = ObjectErrorKind::OutOfRange { what: "offset", found: symbol.value, limit: size };
                return Err(Place::map(name).error(kind));
            }
            if found.len() >= MAX_MAPS {
                let (found, limit) = (vars.len() as u64, MAX_MAPS as u64);
                let kind = ObjectErrorKind::TooLarge { what: "the number of maps", found, limit };
                return Err(Place::section(".maps").error(kind));
            }
            found.push((symbol.value, btf_map(btf, var)?));
        }
        found.sort_by_key(|(offset, _)| *offset);
        for (offset, (def, types)) in found {
            let map = self.push(def, types)?;
            self.definitions.push((section, offset, map));
        }
        Ok(())
    }

    /// `struct bpf_map_def { u32 type, key_size, value_size, max_entries, map_flags }`, one symbol each.
    fn legacy_maps(&mut self, elf: &Elf<'_>, section: usize) -> Result<(), ObjectError> {
        let data = elf.sections[section].data;
        let mut symbols: Vec<_> = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.section == Some(section) && !symbol.name.is_empty())
            .collect();
        symbols.sort_by_key(|symbol| symbol.value);
        for symbol in symbols {
            let start = usize::try_from(symbol.value).unwrap_or(usize::MAX);
            let words = data.get(start..).and_then(|rest| rest.get(..20)).ok_or_else(|| {
                let found = data.len() as u64;
                let kind = ObjectErrorKind::Truncated {
                    what: "the definition",
                    expected: symbol.value.saturating_add(20),
                    found,
                };
                Place::map(symbol.name).error(kind)
            })?;
            let word =
                |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
            let kind = kind(word(0)).map_err(|kind| Place::map(symbol.name).error(kind))?;
            check_flags(kind, word(16)).map_err(|kind| Place::map(symbol.name).error(kind))?;
            let def = MapDef {
                name: symbol.name.into(),
                kind,
                key_size: word(4),
                value_size: word(8),
                max_entries: word(12),
                hashes: if kind == MapKind::BloomFilter { DEFAULT_HASHES } else { 0 },
                lock_offset: None,
                data: None,
            };
            check_sizes(&def)?;
            let map = self.push(def, MapTypes::default())?;
            self.definitions.push((section, symbol.value, map));
        }
        Ok(())
    }
}

/// One map of `.maps`: a variable whose type is a struct of pointers, by which types and (as array lengths) numbers are told.
fn btf_map(btf: &Btf, var: &SecVar) -> Result<(MapDef, MapTypes), ObjectError> {
    let name = btf.name(var.ty).to_owned();
    let fail = |kind| Place::map(&name).error(kind);
    let Some(Kind::Var { ty, .. }) = btf.get(var.ty).map(|ty| &ty.kind) else {
        return Err(Place::BtfType(var.ty).error(ObjectErrorKind::Type {
            what: "an entry of section `.maps`",
            expected: "a variable",
            found: kind_name(btf, var.ty),
        }));
    };
    let Some((_, Kind::Struct { members, .. })) = btf.resolve(*ty).map(|(id, ty)| (id, &ty.kind)) else {
        return Err(fail(ObjectErrorKind::Type {
            what: "its type",
            expected: "a struct",
            found: kind_name(btf, *ty),
        }));
    };
    let (mut number, mut entries, mut flags, mut extra) = (None, None, 0, 0);
    let (mut key, mut value) = (Part::default(), Part::default());
    for member in members {
        let field = btf.string(member.name).unwrap_or_default();
        let pointed = || match btf.resolve(member.ty).map(|(_, ty)| &ty.kind) {
            Some(Kind::Ptr { ty }) => Ok(*ty),
            _ => Err(fail(ObjectErrorKind::Type {
                what: "a member of its definition",
                expected: "a pointer",
                found: kind_name(btf, member.ty),
            })),
        };
        let number_of = || match btf.resolve(pointed()?).map(|(_, ty)| &ty.kind) {
            Some(Kind::Array { len, .. }) => Ok(*len),
            _ => Err(fail(ObjectErrorKind::Type {
                what: "a number of its definition",
                expected: "a pointer to an array",
                found: kind_name(btf, member.ty),
            })),
        };
        match field {
            "type" => number = Some(number_of()?),
            "max_entries" => entries = Some(number_of()?),
            "map_flags" => flags = number_of()?,
            "map_extra" => extra = number_of()?,
            "key_size" => key.size = Some(number_of()?),
            "value_size" => value.size = Some(number_of()?),
            "key" => key.ty = Some(pointed()?),
            "value" => value.ty = Some(pointed()?),
            // Pinning is the loader's business and says nothing about what a program may do.
            "pinning" => {}
            other => return Err(fail(ObjectErrorKind::MapFieldUnknown { field: other.into() })),
        }
    }
    let number = number.ok_or_else(|| fail(ObjectErrorKind::MapField { field: "type" }))?;
    let kind = kind(number).map_err(fail)?;
    check_flags(kind, flags).map_err(fail)?;
    let hashes = match (kind, extra & 0xf) {
        (MapKind::BloomFilter, 0) => DEFAULT_HASHES,
        (MapKind::BloomFilter, hashes) => hashes,
        _ => 0,
    };
    // Ring buffers have neither keys nor values, Bloom filters no keys: their definitions leave them out.
    let key_size =
        if kind.has_entries() || key.is_given() { key.resolve(btf, "key").map_err(fail)? } else { 0 };
    let has_values = kind != MapKind::RingBuf;
    let value_size =
        if has_values || value.is_given() { value.resolve(btf, "value").map_err(fail)? } else { 0 };
    let def = MapDef {
        name: name.clone(),
        kind,
        key_size,
        value_size,
        max_entries: entries.ok_or_else(|| fail(ObjectErrorKind::MapField { field: "max_entries" }))?,
        hashes,
        lock_offset: value.ty.and_then(|id| btf.lock_offset(id)),
        data: None,
    };
    check_sizes(&def)?;
    Ok((def, MapTypes { key: key.ty, value: value.ty }))
}

/// A key or value: its type, its size, or both.
#[derive(Default)]
struct Part {
    ty: Option<u32>,
    size: Option<u32>,
}

impl Part {
    fn is_given(&self) -> bool {
        self.ty.is_some() || self.size.is_some()
    }

    fn resolve(&self, btf: &Btf, field: &'static str) -> Result<u32, ObjectErrorKind> {
        let of_type = match self.ty {
            Some(id) => Some(btf.size_of(id).ok_or(ObjectErrorKind::NoSize { id })?),
            None => None,
        };
        match (of_type, self.size) {
            (Some(expected), Some(found)) if expected != found => {
                Err(ObjectErrorKind::MapSize { field, expected, found })
            }
            (Some(size), _) | (None, Some(size)) => Ok(size),
            (None, None) => Err(ObjectErrorKind::MapField { field }),
        }
    }
}

/// How many hash functions a Bloom filter has whose definition does not say.
const DEFAULT_HASHES: u32 = 5;

fn kind(number: u32) -> Result<MapKind, ObjectErrorKind> {
    let name = linux_map_type(number).unwrap_or("not a map type that is known");
    MapKind::from_number(number).ok_or(ObjectErrorKind::MapKind { number, name })
}

/// `BPF_F_NO_PREALLOC` (1) is a hint, which an LPM trie has to give; `BPF_F_NO_COMMON_LRU` (2) is one, too. Other flags
/// change what the map does.
fn check_flags(kind: MapKind, flags: u32) -> Result<(), ObjectErrorKind> {
    let lru = matches!(kind, MapKind::LruHash | MapKind::LruPercpuHash);
    let hints = if lru { 2 } else { 1 };
    if flags & !hints == 0 {
        return Ok(());
    }
    let expected = if lru { "0 or BPF_F_NO_COMMON_LRU (2)" } else { "0 or BPF_F_NO_PREALLOC (1)" };
    Err(ObjectErrorKind::Field { field: "map_flags", expected, found: u64::from(flags) })
}

pub(super) fn check_sizes(def: &MapDef) -> Result<(), ObjectError> {
    let fail = |field, expected, found: u32| {
        Err(Place::map(&def.name).error(ObjectErrorKind::Field { field, expected, found: u64::from(found) }))
    };
    match def {
        MapDef { kind: MapKind::RingBuf, key_size: size @ 1.., .. } => {
            fail("key size", "0, for a ring buffer", *size)
        }
        MapDef { kind: MapKind::RingBuf, value_size: size @ 1.., .. } => {
            fail("value size", "0, for a ring buffer", *size)
        }
        MapDef { kind: MapKind::RingBuf, max_entries, .. } if !is_ring_size(*max_entries) => {
            fail("max_entries", "a power of two from 4096 to 2^30, for a ring buffer", *max_entries)
        }
        MapDef { kind: MapKind::RingBuf, .. } => Ok(()),
        MapDef { kind: MapKind::BloomFilter, key_size: size @ 1.., .. } => {
            fail("key size", "0, for a Bloom filter", *size)
        }
        MapDef { kind: MapKind::LpmTrie, key_size: size @ (..5 | 261..), .. } => {
            fail("key size", "5 to 260, for an LPM trie", *size)
        }
        MapDef { kind, key_size, .. } if kind.is_array() && *key_size != 4 => {
            fail("key size", "4, for an array", *key_size)
        }
        MapDef { kind, key_size: 0, .. } if kind.has_entries() => fail("key size", "1 or more", 0),
        MapDef { key_size: size @ 513.., .. } => fail("key size", "512 or less", *size),
        MapDef { value_size: 0, .. } => fail("value size", "1 or more", 0),
        MapDef { value_size: size, .. } if u64::from(*size) > MAX_DATA_BYTES => {
            fail("value size", "1 MiB or less", *size)
        }
        MapDef { max_entries: 0, .. } => fail("max_entries", "1 or more", 0),
        _ => Ok(()),
    }
}

/// Whether a ring buffer can be so large: whole pages, a power of two of them.
pub(crate) fn is_ring_size(bytes: u32) -> bool {
    bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes)
}

fn kind_name(btf: &Btf, id: u32) -> &'static str {
    match id {
        0 => "void",
        _ => btf.get(id).map_or("a type that is not there", |ty| ty.kind.name()),
    }
}
