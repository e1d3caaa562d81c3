//! BTF, the type information of BPF objects: section `.BTF` (Linux, `Documentation/bpf/btf.rst`).
//!
//! What holds here: ids count from 1, 0 is `void`; a [`Btf`] that [`Btf::parse`] returns has only names that its string table
//! holds; references between types may still be wrong and are checked where they are followed. [`Btf::encode`] is the
//! inverse of [`Btf::parse`].

use std::collections::HashMap;

use super::error::{ObjectError, ObjectErrorKind, Place};

/// The magic number at the start of `.BTF` and `.BTF.ext`.
pub const MAGIC: u16 = 0xeb9f;
/// Bytes of the header of `.BTF`.
const HEADER: usize = 24;
/// How many typedefs, qualifiers and array dimensions are followed before giving up.
const MAX_DEPTH: u32 = 32;
/// The most bytes of a string with its zero byte: strings overlap, so time to read them all is not bounded by the file's size.
pub const MAX_STRING: usize = 4096;

/// Types and their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
    /// Where each string of the table begins that follows a zero byte. Line information has a string for each line: looking for each in the table would take time by
    /// the square of the lines.
    places: HashMap<Vec<u8>, usize>,
}

/// One type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Offset of its name; see [`Btf::string`].
    pub name: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a type is. Fields named `ty`, `elem`, `index`, `ret` are type ids; sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    /// `encoding`: 1 signed, 2 char, 4 bool.
    Int {
        size: u32,
        encoding: u8,
        offset: u8,
        bits: u8,
    },
    Ptr {
        ty: u32,
    },
    Array {
        elem: u32,
        index: u32,
        len: u32,
    },
    Struct {
        size: u32,
        bitfields: bool,
        members: Vec<Member>,
    },
    Union {
        size: u32,
        bitfields: bool,
        members: Vec<Member>,
    },
    Enum {
        size: u32,
        signed: bool,
        values: Vec<(u32, u32)>,
    },
    Fwd {
        union: bool,
    },
    Typedef {
        ty: u32,
    },
    Volatile {
        ty: u32,
    },
    Const {
        ty: u32,
    },
    Restrict {
        ty: u32,
    },
    /// `linkage`: 0 static, 1 global, 2 extern.
    Func {
        ty: u32,
        linkage: u16,
    },
    FuncProto {
        ret: u32,
        params: Vec<(u32, u32)>,
    },
    /// `linkage` as for functions.
    Var {
        ty: u32,
        linkage: u32,
    },
    DataSec {
        size: u32,
        vars: Vec<SecVar>,
    },
    Float {
        size: u32,
    },
    DeclTag {
        ty: u32,
        component: i32,
    },
    TypeTag {
        ty: u32,
    },
    Enum64 {
        size: u32,
        signed: bool,
        values: Vec<(u32, u64)>,
    },
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name.
    pub name: u32,
    /// Its type.
    pub ty: u32,
    /// Bits from the start of the struct; with bit fields, the upper 8 bits are the width.
    pub offset: u32,
}

/// A variable of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecVar {
    /// The variable, a [`Kind::Var`].
    pub ty: u32,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

impl Kind {
    /// Its name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "an int",
            Kind::Ptr { .. } => "a pointer",
            Kind::Array { .. } => "an array",
            Kind::Struct { .. } => "a struct",
            Kind::Union { .. } => "a union",
            Kind::Enum { .. } | Kind::Enum64 { .. } => "an enum",
            Kind::Fwd { .. } => "a forward declaration",
            Kind::Typedef { .. } => "a typedef",
            Kind::Volatile { .. } | Kind::Const { .. } | Kind::Restrict { .. } | Kind::TypeTag { .. } => {
                "a qualifier"
            }
            Kind::Func { .. } => "a function",
            Kind::FuncProto { .. } => "a function prototype",
            Kind::Var { .. } => "a variable",
            Kind::DataSec { .. } => "a section",
            Kind::Float { .. } => "a float",
            Kind::DeclTag { .. } => "a tag",
        }
    }

    /// The number of this kind in the format.
    fn number(&self) -> u32 {
        match self {
            Kind::Int { .. } => 1,
            Kind::Ptr { .. } => 2,
            Kind::Array { .. } => 3,
            Kind::Struct { .. } => 4,
            Kind::Union { .. } => 5,
            Kind::Enum { .. } => 6,
            Kind::Fwd { .. } => 7,
            Kind::Typedef { .. } => 8,
            Kind::Volatile { .. } => 9,
            Kind::Const { .. } => 10,
            Kind::Restrict { .. } => 11,
            Kind::Func { .. } => 12,
            Kind::FuncProto { .. } => 13,
            Kind::Var { .. } => 14,
            Kind::DataSec { .. } => 15,
            Kind::Float { .. } => 16,
            Kind::DeclTag { .. } => 17,
            Kind::TypeTag { .. } => 18,
            Kind::Enum64 { .. } => 19,
        }
    }
}

impl Default for Btf {
    fn default() -> Self {
        Btf { types: Vec::new(), strings: vec![0], places: HashMap::new() }
    }
}

impl Btf {
    /// Adds a type and returns its id.
    pub fn add(&mut self, name: &str, kind: Kind) -> u32 {
        let name = self.add_string(name);
        self.types.push(Type { name, kind });
        u32::try_from(self.types.len()).expect("an object has less than 2^32 types")
    }

    /// Adds a string, or finds it, and returns its offset. What follows a zero byte is cut off.
    pub fn add_string(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or_default().as_bytes();
        let at = if text.is_empty() {
            0
        } else if let Some(&at) = self.places.get(text) {
            at
        } else {
            let at = self.strings.len();
            self.strings.extend_from_slice(text);
            self.strings.push(0);
            self.places.insert(text.to_vec(), at);
            at
        };
        u32::try_from(at).expect("an object has less than 2^32 bytes of strings")
    }

    /// The types in order of their ids, which start at 1.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// A type by its id; none for 0 (`void`) and ids that are not there.
    pub fn get(&self, id: u32) -> Option<&Type> {
        self.types.get((id as usize).checked_sub(1)?)
    }

    /// The string at an offset, if it is UTF-8 and not longer than [`MAX_STRING`].
    pub fn string(&self, offset: u32) -> Option<&str> {
        let rest = self.strings.get(offset as usize..)?;
        let rest = &rest[..rest.len().min(MAX_STRING)];
        let end = rest.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// The name of a type; empty if it has none.
    pub fn name(&self, id: u32) -> &str {
        self.get(id).and_then(|ty| self.string(ty.name)).unwrap_or_default()
    }

    /// The type behind typedefs and qualifiers.
    pub fn resolve(&self, mut id: u32) -> Option<(u32, &Type)> {
        for _ in 0..MAX_DEPTH {
            let ty = self.get(id)?;
            match ty.kind {
                Kind::Typedef { ty }
                | Kind::Volatile { ty }
                | Kind::Const { ty }
                | Kind::Restrict { ty }
                | Kind::TypeTag { ty } => id = ty,
                _ => return Some((id, ty)),
            }
        }
        None
    }

    /// The size of a type in bytes, if it has one.
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let (mut id, mut count) = (id, 1u32);
        for _ in 0..MAX_DEPTH {
            let size = match self.resolve(id)?.1.kind {
                Kind::Array { elem, len, .. } => {
                    count = count.checked_mul(len)?;
                    id = elem;
                    continue;
                }
                Kind::Ptr { .. } => 8,
                Kind::Int { size, .. }
                | Kind::Struct { size, .. }
                | Kind::Union { size, .. }
                | Kind::Enum { size, .. }
                | Kind::Enum64 { size, .. }
                | Kind::Float { size }
                | Kind::DataSec { size, .. } => size,
                _ => return None,
            };
            return count.checked_mul(size);
        }
        None
    }

    /// The sections of variables with their names.
    pub fn data_sections(&self) -> impl Iterator<Item = (&str, &[SecVar])> {
        self.types.iter().filter_map(|ty| match &ty.kind {
            Kind::DataSec { vars, .. } => Some((self.string(ty.name)?, vars.as_slice())),
            _ => None,
        })
    }

    /// Where in a struct a `struct bpf_spin_lock` is, in bytes. Only direct members count, as in Linux.
    pub fn lock_offset(&self, id: u32) -> Option<u32> {
        let Kind::Struct { members, bitfields: false, .. } = &self.resolve(id)?.1.kind else { return None };
        members.iter().find_map(|member| {
            let (id, ty) = self.resolve(member.ty)?;
            let is_lock = matches!(ty.kind, Kind::Struct { size: 4, .. }) && self.name(id) == "bpf_spin_lock";
            (is_lock && member.offset % 32 == 0).then_some(member.offset / 8)
        })
    }

    /// Reads the content of a section `.BTF`.
    ///
    /// # Errors
    ///
    /// A header, type or name that is malformed or truncated.
    pub fn parse(bytes: &[u8]) -> Result<Btf, ObjectError> {
        let place = || Place::section(".BTF");
        let mut header = Cursor { bytes, place: place(), what: "the header" };
        header.magic_and_version()?;
        let hdr_len = header.u32()? as usize;
        let [type_off, type_len, str_off, str_len] =
            [header.u32()?, header.u32()?, header.u32()?, header.u32()?];
        if hdr_len < HEADER {
            return Err(place().error(ObjectErrorKind::Field {
                field: "hdr_len",
                expected: "24 or more",
                found: hdr_len as u64,
            }));
        }
        let types = part(bytes, &place(), "the types", hdr_len, type_off, type_len)?;
        let strings = part(bytes, &place(), "the strings", hdr_len, str_off, str_len)?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(place().error(ObjectErrorKind::Field {
                field: "strings",
                expected: "a zero byte at both ends",
                found: u64::from(strings.last().copied().unwrap_or(0xff)),
            }));
        }
        let mut places = HashMap::new();
        let mut at = 0;
        for string in strings.split(|&byte| byte == 0) {
            if !string.is_empty() {
                places.entry(string.to_vec()).or_insert(at);
            }
            at += string.len() + 1;
        }
        let mut btf = Btf { types: Vec::new(), strings: strings.to_vec(), places };
        let mut cursor = Cursor { bytes: types, place: place(), what: "a type" };
        while !cursor.bytes.is_empty() {
            let id = btf.types.len() as u32 + 1;
            cursor.place = Place::BtfType(id);
            let ty = cursor.one_type()?;
            if btf.string(ty.name).is_none() {
                return Err(Place::BtfType(id).error(ObjectErrorKind::OutOfRange {
                    what: "name offset",
                    found: u64::from(ty.name),
                    limit: strings.len() as u64,
                }));
            }
            btf.types.push(ty);
        }
        Ok(btf)
    }

    /// The content of a section `.BTF`.
    pub fn encode(&self) -> Vec<u8> {
        let mut types = Vec::new();
        for ty in &self.types {
            encode_type(ty, &mut types);
        }
        let mut out = Vec::with_capacity(HEADER + types.len() + self.strings.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0]);
        for word in [HEADER, 0, types.len(), types.len(), self.strings.len()] {
            out.extend_from_slice(&(word as u32).to_le_bytes());
        }
        out.extend_from_slice(&types);
        out.extend_from_slice(&self.strings);
        out
    }
}

/// A part of a section that its header places relative to the header's end.
pub(super) fn part<'a>(
    bytes: &'a [u8],
    place: &Place,
    what: &'static str,
    hdr_len: usize,
    off: u32,
    len: u32,
) -> Result<&'a [u8], ObjectError> {
    let start = hdr_len.saturating_add(off as usize);
    let end = start.saturating_add(len as usize);
    bytes.get(start..end).ok_or_else(|| {
        let found = bytes.len() as u64;
        place.clone().error(ObjectErrorKind::Truncated { what, expected: end as u64, found })
    })
}

/// Little-endian words from the front of a slice.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) place: Place,
    pub(super) what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ObjectError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            return Err(self.place.clone().error(ObjectErrorKind::Truncated {
                what: self.what,
                expected: len as u64,
                found: self.bytes.len() as u64,
            }));
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ObjectError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("4 bytes were taken")))
    }

    /// The first four bytes of `.BTF` and `.BTF.ext`.
    pub(super) fn magic_and_version(&mut self) -> Result<(), ObjectError> {
        let start = self.take(4)?;
        let magic = u16::from_le_bytes([start[0], start[1]]);
        let error = |field, expected, found| {
            self.place.clone().error(ObjectErrorKind::Field { field, expected, found })
        };
        if magic != MAGIC {
            return Err(error("magic", "0xeb9f, little-endian", u64::from(magic)));
        }
        if start[2] != 1 {
            return Err(error("version", "1", u64::from(start[2])));
        }
        Ok(())
    }

    fn one_type(&mut self) -> Result<Type, ObjectError> {
        let [name, info, last] = [self.u32()?, self.u32()?, self.u32()?];
        let vlen = (info & 0xffff) as usize;
        let flag = info >> 31 != 0;
        let kind = match info >> 24 & 0x1f {
            1 => {
                let word = self.u32()?;
                let [bits, _, offset, encoding] = word.to_le_bytes();
                Kind::Int { size: last, encoding, offset, bits }
            }
            2 => Kind::Ptr { ty: last },
            3 => Kind::Array { elem: self.u32()?, index: self.u32()?, len: self.u32()? },
            4 => Kind::Struct { size: last, bitfields: flag, members: self.members(vlen)? },
            5 => Kind::Union { size: last, bitfields: flag, members: self.members(vlen)? },
            6 => Kind::Enum {
                size: last,
                signed: flag,
                values: self.rows(vlen, 8, |row| Ok((row.u32()?, row.u32()?)))?,
            },
            7 => Kind::Fwd { union: flag },
            8 => Kind::Typedef { ty: last },
            9 => Kind::Volatile { ty: last },
            10 => Kind::Const { ty: last },
            11 => Kind::Restrict { ty: last },
            12 => Kind::Func { ty: last, linkage: vlen as u16 },
            13 => {
                Kind::FuncProto { ret: last, params: self.rows(vlen, 8, |row| Ok((row.u32()?, row.u32()?)))? }
            }
            14 => Kind::Var { ty: last, linkage: self.u32()? },
            15 => Kind::DataSec {
                size: last,
                vars: self.rows(vlen, 12, |row| {
                    Ok(SecVar { ty: row.u32()?, offset: row.u32()?, size: row.u32()? })
                })?,
            },
            16 => Kind::Float { size: last },
            17 => Kind::DeclTag { ty: last, component: self.u32()?.cast_signed() },
            18 => Kind::TypeTag { ty: last },
            19 => Kind::Enum64 {
                size: last,
                signed: flag,
                values: self.rows(vlen, 12, |row| {
                    Ok((row.u32()?, u64::from(row.u32()?) | u64::from(row.u32()?) << 32))
                })?,
            },
            found => {
                let kind =
                    ObjectErrorKind::Field { field: "kind", expected: "1 to 19", found: u64::from(found) };
                return Err(self.place.clone().error(kind));
            }
        };
        Ok(Type { name, kind })
    }

    fn members(&mut self, count: usize) -> Result<Vec<Member>, ObjectError> {
        self.rows(count, 12, |row| Ok(Member { name: row.u32()?, ty: row.u32()?, offset: row.u32()? }))
    }

    /// So many rows of a size; nothing is allocated before all are known to be there.
    fn rows<T>(
        &mut self,
        count: usize,
        size: usize,
        read: impl Fn(&mut Cursor<'a>) -> Result<T, ObjectError>,
    ) -> Result<Vec<T>, ObjectError> {
        let bytes = self.take(count * size)?;
        let mut rows = Cursor { bytes, place: self.place.clone(), what: self.what };
        (0..count).map(|_| read(&mut rows)).collect()
    }
}

fn encode_type(ty: &Type, out: &mut Vec<u8>) {
    let (flag, vlen, last, rest) = match &ty.kind {
        Kind::Int { size, encoding, offset, bits } => {
            (false, 0, *size, vec![u32::from_le_bytes([*bits, 0, *offset, *encoding])])
        }
        Kind::Ptr { ty }
        | Kind::Typedef { ty }
        | Kind::Volatile { ty }
        | Kind::Const { ty }
        | Kind::Restrict { ty }
        | Kind::TypeTag { ty } => (false, 0, *ty, vec![]),
        Kind::Array { elem, index, len } => (false, 0, 0, vec![*elem, *index, *len]),
        Kind::Struct { size, bitfields, members } | Kind::Union { size, bitfields, members } => {
            let rest = members.iter().flat_map(|member| [member.name, member.ty, member.offset]).collect();
            (*bitfields, members.len(), *size, rest)
        }
        Kind::Enum { size, signed, values } => {
            (*signed, values.len(), *size, values.iter().flat_map(|&(name, value)| [name, value]).collect())
        }
        Kind::Fwd { union } => (*union, 0, 0, vec![]),
        Kind::Func { ty, linkage } => (false, usize::from(*linkage), *ty, vec![]),
        Kind::FuncProto { ret, params } => {
            (false, params.len(), *ret, params.iter().flat_map(|&(name, ty)| [name, ty]).collect())
        }
        Kind::Var { ty, linkage } => (false, 0, *ty, vec![*linkage]),
        Kind::DataSec { size, vars } => {
            (false, vars.len(), *size, vars.iter().flat_map(|var| [var.ty, var.offset, var.size]).collect())
        }
        Kind::Float { size } => (false, 0, *size, vec![]),
        Kind::DeclTag { ty, component } => (false, 0, *ty, vec![component.cast_unsigned()]),
        Kind::Enum64 { size, signed, values } => {
            let rest =
                values.iter().flat_map(|&(name, value)| [name, value as u32, (value >> 32) as u32]).collect();
            (*signed, values.len(), *size, rest)
        }
    };
    let info = u32::from(flag) << 31 | ty.kind.number() << 24 | vlen as u32 & 0xffff;
    for word in [ty.name, info, last].into_iter().chain(rest) {
        out.extend_from_slice(&word.to_le_bytes());
    }
}
