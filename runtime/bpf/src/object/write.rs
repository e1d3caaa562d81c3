//! Writing an object file that BPF loaders and tools understand: libbpf, bpftool, llvm-objdump.
//!
//! What is written: section `xdp` or `tc` with the programs as global functions; `.maps` with definitions in BTF; `.data` and
//! `.rodata` with one symbol for each variable; `license`; `.BTF` and `.BTF.ext` with function and line information; and sections
//! that only we know. Addresses are written as relocations, so instructions are given as [`read`](super::read) returns them:
//! [`Imm64::Map`] with an index into [`Spec::maps`], [`Imm64::MapValue`] with an index that counts on after those: `.data`, then
//! `.rodata`, each only if it has variables.

mod types;

use std::collections::HashMap;

use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionFlags, SectionKind, SymbolFlags,
    SymbolKind, SymbolScope, elf,
};

use self::types::Types;
use super::btf_ext::{self, SectionInfo};
use super::error::{ObjectError, ObjectErrorKind, Place};
use crate::isa::{Imm64, Insn, SLOT_BYTES, Size, encode};
use crate::program::{LineInfo, MapKind};

/// An object file to be written.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// What the programs get in `r1`.
    pub context: Context,
    /// The programs.
    pub programs: Vec<ProgramSpec>,
    /// The maps of `.maps`.
    pub maps: Vec<MapSpec>,
    /// The variables of `.data`, that the control plane may set.
    pub data: Vec<VariableSpec>,
    /// The variables of `.rodata`.
    pub rodata: Vec<VariableSpec>,
    /// The licence that the kernel is told, such as `GPL`.
    pub license: String,
    /// Other sections, by name; no loader looks at them.
    pub extra: Vec<(String, Vec<u8>)>,
}

/// What programs get in `r1`: the kind of program, which loaders are told by the name of the section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Context {
    /// A `struct xdp_md`; section `xdp`.
    #[default]
    Xdp,
    /// A `struct __sk_buff`; section `tc`.
    Tc,
}

impl Context {
    fn section(self) -> &'static str {
        match self {
            Context::Xdp => "xdp",
            Context::Tc => "tc",
        }
    }
}

/// One program, an entry function.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec {
    /// Its symbol.
    pub name: String,
    /// Its instructions: the entry function, then those that it calls, each in one piece.
    pub insns: Vec<Insn>,
    /// Where they come from, ascending by slot.
    pub lines: Vec<LineInfo>,
}

/// A map.
#[derive(Clone, Debug)]
pub struct MapSpec {
    /// Its symbol.
    pub name: String,
    /// Its kind.
    pub kind: MapKind,
    /// How many entries it holds.
    pub max_entries: u32,
    /// The key; an array's is one `u32`, a ring buffer has none.
    pub key: Struct,
    /// The value; a ring buffer has none.
    pub value: Struct,
}

impl MapSpec {
    /// Bytes of its definition: a pointer for each thing that it tells.
    fn definition_bytes(&self) -> u32 {
        let flags = u32::from(self.kind == MapKind::LpmTrie);
        let types = if self.kind.has_entries() { 2 } else { 0 };
        8 * (2 + flags + types)
    }
}

/// The layout of a key or value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struct {
    /// Its size in bytes.
    pub size: u32,
    /// Its members, ascending by offset.
    pub members: Vec<Member>,
}

/// One member of a [`Struct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name; characters that C does not have in names are replaced.
    pub name: String,
    /// Bytes from the start.
    pub offset: u32,
    /// What it is.
    pub kind: MemberKind,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// An unsigned number of this size.
    Uint(Size),
    /// Unsigned numbers of this size, one after the other.
    Array(Size, u32),
    /// A `struct bpf_spin_lock`.
    SpinLock,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableSpec {
    /// Its symbol.
    pub name: String,
    /// Bytes from the start of its section, a multiple of 8, ascending.
    pub offset: u32,
    /// Its content; a number if it has 8 bytes.
    pub init: Vec<u8>,
}

/// Writes an object file.
///
/// # Errors
///
/// References to maps or variables that are not there, variables out of order, names that cannot be written.
pub fn write(spec: &Spec) -> Result<Vec<u8>, ObjectError> {
    let mut writer = Writer {
        object: Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little),
        types: Types::default(),
        maps: Vec::new(),
        data: Vec::new(),
    };
    writer.maps(&spec.maps)?;
    writer.variables(".data", &spec.data, false)?;
    writer.variables(".rodata", &spec.rodata, true)?;
    writer.programs(&spec.programs, spec.context)?;
    let mut license = spec.license.clone().into_bytes();
    license.push(0);
    let section = writer.section("license", SectionKind::Data, &license, 1);
    writer.symbol("_license", section, 0, license.len() as u64, SymbolKind::Data);
    writer.types.license(license.len() as u32);
    for (name, content) in &spec.extra {
        writer.section(name, SectionKind::Other, content, 1);
    }
    let infos = std::mem::take(&mut writer.types.infos);
    let ext = btf_ext::encode(&infos);
    let btf = std::mem::take(&mut writer.types.btf).encode();
    writer.section(".BTF", SectionKind::Other, &btf, 4);
    writer.section(".BTF.ext", SectionKind::Other, &ext, 4);
    writer
        .object
        .write()
        .map_err(|error| Place::File.error(ObjectErrorKind::Unwritable { reason: error.to_string() }))
}

type SectionId = object::write::SectionId;

struct Writer {
    object: Object<'static>,
    types: Types,
    /// The symbol of each map.
    maps: Vec<SymbolId>,
    /// The symbol of each variable by offset, for each section of variables.
    data: Vec<HashMap<u32, SymbolId>>,
}

impl Writer {
    fn section(&mut self, name: &str, kind: SectionKind, data: &[u8], align: u64) -> SectionId {
        let id = self.object.add_section(Vec::new(), name.into(), kind);
        if kind == SectionKind::Other {
            // Neither loaded nor stripped.
            self.object.section_mut(id).flags =
                SectionFlags::Elf { sh_type: elf::SHT_PROGBITS, sh_flags: elf::SectionFlags(0) };
        }
        self.object.set_section_data(id, data.to_vec(), align);
        id
    }

    fn symbol(
        &mut self,
        name: &str,
        section: SectionId,
        value: u64,
        size: u64,
        kind: SymbolKind,
    ) -> SymbolId {
        self.object.add_symbol(Symbol {
            name: name.into(),
            value,
            size,
            kind,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    fn maps(&mut self, maps: &[MapSpec]) -> Result<(), ObjectError> {
        if maps.is_empty() {
            return Ok(());
        }
        let bytes: u32 = maps.iter().map(MapSpec::definition_bytes).sum();
        let section = self.section(".maps", SectionKind::Data, &vec![0; bytes as usize], 8);
        let mut offset = 0;
        for map in maps {
            check_struct(map, &map.key)?;
            check_struct(map, &map.value)?;
            let size = u64::from(map.definition_bytes());
            let symbol = self.symbol(&map.name, section, offset, size, SymbolKind::Data);
            self.maps.push(symbol);
            offset += size;
        }
        self.types.maps(maps);
        Ok(())
    }

    fn variables(
        &mut self,
        name: &str,
        variables: &[VariableSpec],
        readonly: bool,
    ) -> Result<(), ObjectError> {
        if variables.is_empty() {
            return Ok(());
        }
        let mut content = Vec::new();
        for variable in variables {
            let at = variable.offset as usize;
            if at < content.len() || !at.is_multiple_of(8) || variable.init.is_empty() {
                let reason = format!("variable at offset {at}; the one before ends at {}", content.len());
                return Err(
                    Place::Symbol(variable.name.clone()).error(ObjectErrorKind::Unwritable { reason })
                );
            }
            content.resize(at, 0);
            content.extend_from_slice(&variable.init);
        }
        content.resize(content.len().next_multiple_of(8), 0);
        let kind = if readonly { SectionKind::ReadOnlyData } else { SectionKind::Data };
        let section = self.section(name, kind, &content, 8);
        let symbols = variables
            .iter()
            .map(|variable| {
                let (at, size) = (u64::from(variable.offset), variable.init.len() as u64);
                (variable.offset, self.symbol(&variable.name, section, at, size, SymbolKind::Data))
            })
            .collect();
        self.data.push(symbols);
        self.types.variables(name, variables, content.len() as u32);
        Ok(())
    }

    /// Entry functions go to the section of their kind, the functions that they call to `.text`, where loaders look for them.
    fn programs(&mut self, programs: &[ProgramSpec], context: Context) -> Result<(), ObjectError> {
        let mut places = [Code::new(context.section()), Code::new(".text")];
        let mut functions = Vec::new();
        for program in programs {
            let first = functions.len();
            let starts = starts(program)?;
            for (number, &start) in starts.iter().enumerate() {
                let end = starts.get(number + 1).copied().unwrap_or(program.insns.len());
                let place = usize::from(number > 0);
                let at = places[place].bytes.len();
                for slot in start..end {
                    let offset = places[place].bytes.len() as u64;
                    let (written, target) = self.written(program, slot, &starts, first)?;
                    places[place].bytes.extend_from_slice(&encode(&[written]));
                    places[place].relocations.extend(target.map(|target| (offset, target)));
                }
                let name = match number {
                    0 => program.name.clone(),
                    number => format!("{}.{number}", program.name),
                };
                let lines = program.lines.iter().filter(|line| (start..end).contains(&(line.slot as usize)));
                let lines = lines.map(|line| (line.slot as usize - start, line.clone())).collect();
                functions.push(Placed { name, place, at, slots: end - start, lines });
            }
        }
        let sections: Vec<Option<SectionId>> = places
            .iter()
            .enumerate()
            .map(|(place, code)| {
                let used = place == 0 || !code.bytes.is_empty();
                used.then(|| self.section(code.name, SectionKind::Text, &code.bytes, 8))
            })
            .collect();
        let mut symbols = Vec::new();
        for function in &functions {
            let Some(section) = sections[function.place] else { continue };
            let (at, size) = (function.at as u64, (function.slots * SLOT_BYTES) as u64);
            symbols.push(self.symbol(&function.name, section, at, size, SymbolKind::Text));
        }
        for (code, section) in places.iter().zip(&sections) {
            let Some(section) = *section else { continue };
            for &(offset, target) in &code.relocations {
                let (symbol, r_type) = match target {
                    Target::Data(symbol) => (symbol, elf::R_BPF_64_64),
                    Target::Function(function) => (symbols[function], elf::R_BPF_64_32),
                };
                let flags = RelocationFlags::Elf { r_type };
                self.object
                    .add_relocation(section, Relocation { offset, symbol, addend: 0, flags })
                    .map_err(|error| {
                        let reason = error.to_string();
                        Place::section(code.name).error(ObjectErrorKind::Unwritable { reason })
                    })?;
            }
        }
        for (place, code) in places.iter().enumerate().filter(|(place, _)| sections[*place].is_some()) {
            let here: Vec<&Placed> = functions.iter().filter(|function| function.place == place).collect();
            let info = SectionInfo {
                name: self.types.btf.add_string(code.name),
                functions: here
                    .iter()
                    .map(|function| {
                        let ty = match place {
                            0 => self.types.function(&function.name, context),
                            _ => self.types.called(&function.name),
                        };
                        (function.at as u32, ty)
                    })
                    .collect(),
                lines: here
                    .iter()
                    .flat_map(|function| function.lines.iter().map(|(slot, line)| (function.at, slot, line)))
                    .map(|(at, slot, line)| {
                        let [file, text] =
                            [&line.file, &line.text].map(|text| self.types.btf.add_string(text));
                        [(at + slot * SLOT_BYTES) as u32, file, text, line.line]
                    })
                    .collect(),
            };
            self.types.infos.push(info);
        }
        Ok(())
    }

    /// An instruction as it is written, and what its relocation goes to. `starts` are where the program's functions begin, `first` is the number of its entry.
    fn written(
        &self,
        program: &ProgramSpec,
        slot: usize,
        starts: &[usize],
        first: usize,
    ) -> Result<(Insn, Option<Target>), ObjectError> {
        let fail =
            |reason: String| Place::insn(&program.name, slot).error(ObjectErrorKind::Unwritable { reason });
        Ok(match program.insns[slot] {
            Insn::LoadImm64 { dst, imm: Imm64::Map(map) } => {
                let symbol = self.maps.get(map as usize).copied();
                let symbol = symbol.ok_or_else(|| fail(format!("no map {map}")))?;
                (Insn::LoadImm64 { dst, imm: Imm64::Value(0) }, Some(Target::Data(symbol)))
            }
            Insn::LoadImm64 { dst, imm: Imm64::MapValue { map, off } } => {
                let section = (map as usize).checked_sub(self.maps.len());
                let symbol = section.and_then(|section| self.data.get(section)?.get(&off).copied());
                let symbol =
                    symbol.ok_or_else(|| fail(format!("no variable at offset {off} of map {map}")))?;
                (Insn::LoadImm64 { dst, imm: Imm64::Value(0) }, Some(Target::Data(symbol)))
            }
            insn @ Insn::LoadImm64 { imm: Imm64::Value(_), .. } => (insn, None),
            Insn::LoadImm64 { imm, .. } => return Err(fail(format!("no relocation stands for {imm:?}"))),
            insn @ Insn::CallLocal { .. } => {
                let target = insn.call_target(slot).and_then(|target| starts.binary_search(&target).ok());
                let number = target.ok_or_else(|| fail("a call that leaves the program".into()))?;
                // What is added to the symbol, in slots, less one.
                (Insn::CallLocal { off: -1 }, Some(Target::Function(first + number)))
            }
            insn => (insn, None),
        })
    }
}

/// The code of a section.
struct Code {
    name: &'static str,
    bytes: Vec<u8>,
    relocations: Vec<(u64, Target)>,
}

impl Code {
    fn new(name: &'static str) -> Code {
        Code { name, bytes: Vec::new(), relocations: Vec::new() }
    }
}

/// What a relocation goes to.
#[derive(Clone, Copy)]
enum Target {
    /// A map or variable.
    Data(SymbolId),
    /// A function, by its number among all.
    Function(usize),
}

/// A function and where it was put.
struct Placed {
    name: String,
    place: usize,
    at: usize,
    slots: usize,
    /// Slots from its beginning, and lines.
    lines: Vec<(usize, LineInfo)>,
}

/// Where the functions of a program begin: its entry at 0, and all that are called.
fn starts(program: &ProgramSpec) -> Result<Vec<usize>, ObjectError> {
    let mut starts = vec![0];
    for (slot, insn) in program.insns.iter().enumerate() {
        if !matches!(insn, Insn::CallLocal { .. }) {
            continue;
        }
        let target = insn.call_target(slot).filter(|target| *target < program.insns.len());
        let target = target.ok_or_else(|| {
            let reason = "a call that leaves the program".to_owned();
            Place::insn(&program.name, slot).error(ObjectErrorKind::Unwritable { reason })
        })?;
        starts.push(target);
    }
    starts.sort_unstable();
    starts.dedup();
    Ok(starts)
}

fn check_struct(map: &MapSpec, layout: &Struct) -> Result<(), ObjectError> {
    let mut end = 0;
    for member in &layout.members {
        let (size, align) = (member.kind.bytes(), member.kind.align());
        let ends = member.offset.checked_add(size).filter(|&ends| ends <= layout.size);
        if member.offset < end || !member.offset.is_multiple_of(align) || ends.is_none() {
            let reason =
                format!("member `{}` at offset {} of {} bytes", member.name, member.offset, layout.size);
            return Err(Place::map(&map.name).error(ObjectErrorKind::Unwritable { reason }));
        }
        end = member.offset + size;
    }
    Ok(())
}

impl MemberKind {
    fn bytes(self) -> u32 {
        match self {
            MemberKind::Uint(size) => size.bytes(),
            MemberKind::Array(size, len) => size.bytes().saturating_mul(len),
            MemberKind::SpinLock => 4,
        }
    }

    fn align(self) -> u32 {
        match self {
            MemberKind::Uint(size) | MemberKind::Array(size, _) => size.bytes(),
            MemberKind::SpinLock => 4,
        }
    }
}
