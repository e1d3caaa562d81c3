//! From sections to programs: finds the functions, joins those that a program calls behind it, and applies relocations.

use std::collections::HashMap;

use super::btf_ext::Lines;
use super::error::{ObjectError, ObjectErrorKind, Place};
use super::maps::Maps;
use super::sections::{Elf, Relocation, SymbolKind};
use super::{MAX_FUNCTIONS, MAX_SLOTS, MAX_TOTAL_BYTES};
use crate::isa::{DecodeError, Imm64, Insn, SLOT_BYTES, decode};
use crate::program::{LineInfo, Program};

/// Map relocations (`R_BPF_64_64`), calls (`R_BPF_64_32`).
const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;
/// What calls had for a relocation before LLVM 5.
const R_BPF_64_32_OLD: u32 = 2;

/// A function as the symbol table has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'a> {
    name: &'a str,
    pub(super) section: usize,
    /// Slots from the start of the section.
    start: usize,
    pub(super) slots: usize,
}

/// Makes the programs: one for each function outside of `.text`, or, if there is none, of `.text`.
pub(super) fn programs(
    elf: &Elf<'_>,
    maps: &Maps,
    lines: &Lines,
) -> Result<Vec<(String, Program)>, ObjectError> {
    let linker = Linker::new(elf, maps, lines, None)?;
    let in_text = |function: &&Function<'_>| elf.sections[function.section].name == ".text";
    let entries: Vec<_> = match linker.functions.iter().filter(|f| !in_text(f)).collect::<Vec<_>>() {
        some if !some.is_empty() => some,
        _ => linker.functions.iter().collect(),
    };
    let data: usize = maps.defs.iter().filter_map(|def| Some(def.data.as_ref()?.init.len())).sum();
    let mut budget = MAX_TOTAL_BYTES;
    let mut programs = Vec::new();
    for entry in entries {
        let program = linker.link(entry)?;
        let lines: usize = program.lines.iter().map(|line| line.file.len() + line.text.len()).sum();
        let taken = data + program.insns.len() * size_of::<Insn>() + lines;
        budget = budget.checked_sub(taken).ok_or_else(|| {
            let limit = MAX_TOTAL_BYTES as u64;
            Place::File.error(ObjectErrorKind::TooLarge {
                what: "all programs together",
                found: limit + 1,
                limit,
            })
        })?;
        programs.push((elf.sections[entry.section].name.to_owned(), program));
    }
    if programs.is_empty() {
        return Err(Place::File.error(ObjectErrorKind::NoProgram));
    }
    Ok(programs)
}

/// The functions of all executable sections, by section and start. A section without function symbols is one function.
fn functions<'a>(elf: &Elf<'a>) -> Result<Vec<Function<'a>>, ObjectError> {
    let mut functions = Vec::new();
    for (index, section) in
        elf.sections.iter().enumerate().filter(|(_, s)| s.executable && !s.data.is_empty())
    {
        let mut symbols: Vec<_> = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.section == Some(index) && symbol.kind == SymbolKind::Function)
            .collect();
        symbols.sort_by_key(|symbol| symbol.value);
        let size = section.data.len() as u64;
        let mut at_section = Vec::new();
        for (position, symbol) in symbols.iter().enumerate() {
            let next = symbols.get(position + 1).map_or(size, |next| next.value);
            let bytes = if symbol.size == 0 { next.saturating_sub(symbol.value) } else { symbol.size };
            let end = symbol.value.checked_add(bytes);
            let whole = |bytes: u64| bytes.is_multiple_of(SLOT_BYTES as u64);
            // Functions do not overlap: so their sizes together are bounded by the file's.
            if bytes == 0 || !whole(bytes) || !whole(symbol.value) || end.is_none_or(|end| end > next) {
                let kind =
                    ObjectErrorKind::FunctionBounds { start: symbol.value, size: bytes, section: size };
                return Err(Place::Symbol(symbol.name.into()).error(kind));
            }
            at_section.push(Function {
                name: symbol.name,
                section: index,
                start: symbol.value as usize / SLOT_BYTES,
                slots: bytes as usize / SLOT_BYTES,
            });
        }
        if at_section.is_empty() {
            if !section.data.len().is_multiple_of(SLOT_BYTES) {
                let kind = ObjectErrorKind::FunctionBounds { start: 0, size, section: size };
                return Err(Place::section(section.name).error(kind));
            }
            let slots = section.data.len() / SLOT_BYTES;
            at_section.push(Function { name: section.name, section: index, start: 0, slots });
        }
        functions.append(&mut at_section);
        if functions.len() > MAX_FUNCTIONS {
            let (found, limit) = (functions.len() as u64, MAX_FUNCTIONS as u64);
            return Err(Place::File.error(ObjectErrorKind::TooLarge {
                what: "the number of functions",
                found,
                limit,
            }));
        }
    }
    Ok(functions)
}

pub(super) struct Linker<'l, 'a> {
    elf: &'l Elf<'a>,
    maps: &'l Maps,
    lines: &'l Lines,
    /// The numbers of helpers that objects call by name, if this ABI has such.
    helpers: Option<fn(&str) -> Option<u32>>,
    functions: Vec<Function<'a>>,
}

impl<'l, 'a> Linker<'l, 'a> {
    pub(super) fn new(
        elf: &'l Elf<'a>,
        maps: &'l Maps,
        lines: &'l Lines,
        helpers: Option<fn(&str) -> Option<u32>>,
    ) -> Result<Linker<'l, 'a>, ObjectError> {
        Ok(Linker { elf, maps, lines, helpers, functions: functions(elf)? })
    }

    /// The function of this name.
    pub(super) fn function(&self, name: &str) -> Option<Function<'a>> {
        self.functions.iter().find(|function| function.name == name).copied()
    }

    /// The program of a function: it and all that it calls.
    pub(super) fn link(&self, entry: &Function<'_>) -> Result<Program, ObjectError> {
        let mut program =
            Program { name: entry.name.into(), maps: self.maps.defs.clone(), ..Program::default() };
        // Where each joined function starts, and the calls to patch when all are joined.
        let mut starts: HashMap<usize, usize> = HashMap::new();
        let mut calls: Vec<(usize, usize)> = Vec::new();
        let entry = self.functions.iter().position(|f| (f.section, f.start) == (entry.section, entry.start));
        let mut queue: Vec<usize> = entry.into_iter().collect();
        while let Some(index) = queue.pop() {
            if starts.contains_key(&index) {
                continue;
            }
            let start = program.insns.len();
            starts.insert(index, start);
            let called = self.join(index, &mut program)?;
            for (slot, callee) in called {
                calls.push((start + slot, callee));
                queue.push(callee);
            }
        }
        for (slot, callee) in calls {
            let off = starts[&callee] as i64 - slot as i64 - 1;
            // Both are below MAX_SLOTS.
            program.insns[slot] = Insn::CallLocal { off: off as i32 };
        }
        Ok(program)
    }

    /// Appends one function and returns its calls: slot in the function, function called.
    fn join(&self, index: usize, program: &mut Program) -> Result<Vec<(usize, usize)>, ObjectError> {
        let function = &self.functions[index];
        let section = &self.elf.sections[function.section];
        let place = |slot: usize| Place::insn(section.name, function.start + slot);
        let base = program.insns.len();
        if base + function.slots > MAX_SLOTS {
            let (found, limit) = ((base + function.slots) as u64, MAX_SLOTS as u64);
            let kind = ObjectErrorKind::TooLarge { what: "the number of instructions", found, limit };
            return Err(Place::Symbol(function.name.into()).error(kind));
        }
        let bytes = &section.data[function.start * SLOT_BYTES..][..function.slots * SLOT_BYTES];
        let mut insns = decode(bytes)
            .map_err(|DecodeError { slot, kind }| place(slot).error(ObjectErrorKind::Decode(kind)))?;
        let mut calls = Vec::new();
        let mut relocations = self.relocations_of(function).peekable();
        for slot in 0..insns.len() {
            let here = ((function.start + slot) * SLOT_BYTES) as u64;
            let relocation = relocations.next_if(|relocation| relocation.offset <= here);
            if let Some(relocation) = relocation.filter(|relocation| relocation.offset != here) {
                let kind = ObjectErrorKind::Relocation {
                    r_type: relocation.r_type,
                    reason: "not at the start of an instruction",
                };
                return Err(place(slot).error(kind));
            }
            let target = insns[slot].jump_offset().map(|off| slot as i64 + 1 + i64::from(off));
            if target.is_some_and(|target| target < 0 || target >= insns.len() as i64) {
                return Err(place(slot).error(ObjectErrorKind::JumpTarget));
            }
            match (&mut insns[slot], relocation) {
                (Insn::LoadImm64 { imm, .. }, Some(relocation)) if relocation.r_type == R_BPF_64_64 => {
                    *imm = self.address(*imm, &relocation).map_err(|kind| place(slot).error(kind))?;
                }
                (Insn::LoadImm64 { imm, .. }, None) => match imm {
                    Imm64::Value(_) => {}
                    _ => {
                        let kind = ObjectErrorKind::Relocation {
                            r_type: 0,
                            reason: "an address needs a relocation",
                        };
                        return Err(place(slot).error(kind));
                    }
                },
                (insn @ (Insn::CallLocal { .. } | Insn::CallHelper { .. }), Some(relocation))
                    if let Some(number) =
                        self.named_helper(&relocation).map_err(|kind| place(slot).error(kind))? =>
                {
                    *insn = Insn::CallHelper { helper: number };
                }
                (Insn::CallLocal { off }, relocation) => {
                    let callee = self
                        .callee(function, slot, *off, relocation.as_ref())
                        .map_err(|kind| place(slot).error(kind))?;
                    calls.push((slot, callee));
                }
                (_, None) => {}
                (_, Some(relocation)) => {
                    let reason = "only 64-bit immediate loads (type 1) and calls (type 10) can have one";
                    let kind = ObjectErrorKind::Relocation { r_type: relocation.r_type, reason };
                    return Err(place(slot).error(kind));
                }
            }
        }
        self.add_lines(function, base, program);
        program.insns.append(&mut insns);
        Ok(calls)
    }

    fn relocations_of(&self, function: &Function<'_>) -> impl Iterator<Item = Relocation> {
        let all = &self.elf.relocations[function.section];
        let (start, end) = (function.start * SLOT_BYTES, (function.start + function.slots) * SLOT_BYTES);
        let first = all.partition_point(|relocation| relocation.offset < start as u64);
        all[first..].iter().take_while(move |relocation| relocation.offset < end as u64).copied()
    }

    /// What a 64-bit immediate load of a symbol's address loads. `imm` holds what to add to the symbol.
    fn address(&self, imm: Imm64, relocation: &Relocation) -> Result<Imm64, ObjectErrorKind> {
        let symbol = &self.elf.symbols[relocation.symbol];
        let name = || self.elf.symbol_name(symbol).to_owned();
        let section = symbol.section.ok_or_else(|| ObjectErrorKind::Unresolved { symbol: name() })?;
        let Imm64::Value(addend) = imm else {
            let reason = "the instruction already holds an address";
            return Err(ObjectErrorKind::Relocation { r_type: relocation.r_type, reason });
        };
        if let Some(&(_, map)) = self.maps.data.iter().find(|(data, _)| *data == section) {
            let size = u64::from(self.maps.defs[map as usize].value_size);
            let found = symbol.value.wrapping_add(addend);
            if found >= size {
                return Err(ObjectErrorKind::OutOfRange { what: "variable offset", found, limit: size });
            }
            return Ok(Imm64::MapValue { map, off: found as u32 });
        }
        let offset = symbol.value.wrapping_add(addend);
        let map = self.maps.definitions.iter().find(|&&(at, start, _)| (at, start) == (section, offset));
        map.map(|&(_, _, map)| Imm64::Map(map)).ok_or_else(|| ObjectErrorKind::SymbolSection {
            symbol: name(),
            section: self.elf.sections[section].name.into(),
            expected: "a map or a variable",
        })
    }

    /// The helper that a call with a relocation goes to: to a symbol that is not defined, in objects that call helpers by name.
    fn named_helper(&self, relocation: &Relocation) -> Result<Option<u32>, ObjectErrorKind> {
        let symbol = &self.elf.symbols[relocation.symbol];
        let call = [R_BPF_64_32, R_BPF_64_32_OLD].contains(&relocation.r_type);
        match self.helpers.filter(|_| call && symbol.section.is_none()) {
            Some(number) => {
                let unresolved = || ObjectErrorKind::Unresolved { symbol: symbol.name.to_owned() };
                number(symbol.name).map(Some).ok_or_else(unresolved)
            }
            None => Ok(None),
        }
    }

    /// The function that a call goes to.
    fn callee(
        &self,
        caller: &Function<'_>,
        slot: usize,
        off: i32,
        relocation: Option<&Relocation>,
    ) -> Result<usize, ObjectErrorKind> {
        let (section, target) = match relocation {
            // `off` is what to add to the symbol, in slots, less one.
            Some(relocation) if [R_BPF_64_32, R_BPF_64_32_OLD].contains(&relocation.r_type) => {
                let symbol = &self.elf.symbols[relocation.symbol];
                let name = || self.elf.symbol_name(symbol).to_owned();
                let section = symbol.section.ok_or_else(|| ObjectErrorKind::Unresolved { symbol: name() })?;
                let start = i64::try_from(symbol.value / SLOT_BYTES as u64).unwrap_or(i64::MAX);
                (section, start.saturating_add(i64::from(off) + 1))
            }
            Some(relocation) => {
                let reason = "a call takes type 10 (or 2) only";
                return Err(ObjectErrorKind::Relocation { r_type: relocation.r_type, reason });
            }
            None => (caller.section, (caller.start + slot) as i64 + 1 + i64::from(off)),
        };
        self.functions.iter().position(|f| f.section == section && f.start as i64 == target).ok_or_else(
            || {
                let section = self.elf.sections[section].name.into();
                ObjectErrorKind::CallTarget { section, target: target.saturating_mul(SLOT_BYTES as i64) }
            },
        )
    }

    fn add_lines(&self, function: &Function<'_>, base: usize, program: &mut Program) {
        let name = self.elf.sections[function.section].name;
        let Some((_, lines)) = self.lines.iter().find(|(section, _)| section == name) else { return };
        let (start, end) = (function.start as u32, (function.start + function.slots) as u32);
        let first = lines.partition_point(|line| line.slot < start);
        program.lines.extend(lines[first..].iter().take_while(|line| line.slot < end).map(|line| LineInfo {
            slot: line.slot - start + base as u32,
            file: line.file.clone(),
            line: line.line,
            text: line.text.clone(),
        }));
    }
}
