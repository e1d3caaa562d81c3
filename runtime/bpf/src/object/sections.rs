//! The ELF side of reading: header checks, sections, symbols and relocations as plain data with names.

use object::read::elf::{ElfFile64, SectionHeader};
use object::{LittleEndian, Object, ObjectSymbol, elf};

use super::error::{ObjectError, ObjectErrorKind, Place};

/// A section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    /// Empty for `.bss`.
    pub(super) data: &'a [u8],
    /// Its size in memory; `.bss` has no data.
    pub(super) size: u64,
    pub(super) executable: bool,
    pub(super) no_bits: bool,
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    /// Index into [`Elf::sections`]; none if it is not defined here.
    pub(super) section: Option<usize>,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) kind: SymbolKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SymbolKind {
    Function,
    Section,
    Other,
}

/// A relocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// Bytes from the start of the section.
    pub(super) offset: u64,
    pub(super) r_type: u32,
    /// Index into [`Elf::symbols`].
    pub(super) symbol: usize,
}

/// What the linker needs of an ELF file.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    /// By ELF section index; the first is the null section.
    pub(super) sections: Vec<Section<'a>>,
    /// By ELF symbol index; the first is the null symbol.
    pub(super) symbols: Vec<Symbol<'a>>,
    /// By section, ascending by offset.
    pub(super) relocations: Vec<Vec<Relocation>>,
}

const E: LittleEndian = LittleEndian;

impl<'a> Elf<'a> {
    /// Reads an ELF file that must be for BPF.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, ObjectError> {
        check_header(bytes)?;
        let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|e| malformed(Place::File, &e))?;
        let table = file.elf_section_table();
        let mut sections = Vec::new();
        for header in table.iter() {
            let name = table.section_name(E, header).map_err(|e| malformed(Place::File, &e))?;
            let name = text(Place::File, "a section's name", name)?;
            let place = || Place::section(name);
            let data = header.data(E, bytes).map_err(|e| malformed(place(), &e))?;
            sections.push(Section {
                name,
                data,
                size: header.sh_size(E),
                executable: header.sh_type(E) == elf::SHT_PROGBITS
                    && header.sh_flags(E).0 & elf::SHF_EXECINSTR.0 != 0,
                no_bits: header.sh_type(E) == elf::SHT_NOBITS,
            });
        }
        let mut symbols =
            vec![Symbol { name: "", section: None, value: 0, size: 0, kind: SymbolKind::Other }];
        for symbol in file.symbols() {
            let name = symbol.name_bytes().map_err(|e| malformed(Place::File, &e))?;
            let name = text(Place::File, "a symbol's name", name)?;
            let section = symbol.section_index().map(|index| index.0);
            if let Some(found) = section.filter(|&index| index >= sections.len()) {
                let limit = sections.len() as u64;
                let kind = ObjectErrorKind::OutOfRange { what: "section index", found: found as u64, limit };
                return Err(Place::Symbol(name.into()).error(kind));
            }
            symbols.push(Symbol {
                name,
                section,
                value: symbol.address(),
                size: symbol.size(),
                kind: match symbol.kind() {
                    object::SymbolKind::Text if symbol.elf_symbol().st_info.st_type() == elf::STT_FUNC => {
                        SymbolKind::Function
                    }
                    object::SymbolKind::Section => SymbolKind::Section,
                    _ => SymbolKind::Other,
                },
            });
        }
        let mut relocations = vec![Vec::new(); sections.len()];
        for (header, section) in table.iter().zip(&sections) {
            let target = header.sh_info(E) as usize;
            // Relocations of debug information and of BTF are of no interest.
            if !sections.get(target).is_some_and(|target| target.executable) {
                continue;
            }
            let place = || Place::section(section.name);
            if header.rela(E, bytes).map_err(|e| malformed(place(), &e))?.is_some() {
                let reason = "relocations with addends (RELA), which BPF objects do not have".to_owned();
                return Err(place().error(ObjectErrorKind::Elf { reason }));
            }
            let Some((rows, _)) = header.rel(E, bytes).map_err(|e| malformed(place(), &e))? else { continue };
            for row in rows {
                let symbol = row.r_sym(E) as usize;
                if symbol >= symbols.len() {
                    let (found, limit) = (symbol as u64, symbols.len() as u64);
                    return Err(place().error(ObjectErrorKind::OutOfRange {
                        what: "symbol index",
                        found,
                        limit,
                    }));
                }
                relocations[target].push(Relocation {
                    offset: row.r_offset.get(E),
                    r_type: row.r_type(E).0,
                    symbol,
                });
            }
        }
        for list in &mut relocations {
            list.sort_by_key(|relocation| relocation.offset);
        }
        Ok(Elf { sections, symbols, relocations })
    }

    /// The first section with this name.
    pub(super) fn section(&self, name: &str) -> Option<(usize, &Section<'a>)> {
        self.sections.iter().enumerate().find(|(_, section)| section.name == name)
    }

    /// What to call a symbol: its name, or its section's if it has none.
    pub(super) fn symbol_name(&self, symbol: &Symbol<'a>) -> &'a str {
        match symbol.section {
            Some(section) if symbol.name.is_empty() => self.sections[section].name,
            _ => symbol.name,
        }
    }
}

/// Tells the kinds of file apart that are not what we read, in words better than "malformed".
fn check_header(bytes: &[u8]) -> Result<(), ObjectError> {
    let refuse = |kind| Err(Place::File.error(kind));
    if !bytes.starts_with(b"\x7fELF") {
        let start = bytes.iter().copied().take(4).collect();
        return refuse(ObjectErrorKind::NotElf { len: bytes.len(), start });
    }
    const HEADER: usize = 64;
    let header = |field, expected, found| refuse(ObjectErrorKind::Header { field, expected, found });
    match bytes.get(4) {
        Some(2) => {}
        Some(1) => return header("class", "ELF64", "ELF32".into()),
        Some(other) => return header("class", "ELF64", other.to_string()),
        None => {}
    }
    match bytes.get(5) {
        Some(1) => {}
        Some(2) => return header("byte order", "little-endian", "big-endian".into()),
        Some(other) => return header("byte order", "little-endian", other.to_string()),
        None => {}
    }
    if bytes.len() < HEADER {
        let (expected, found) = (HEADER as u64, bytes.len() as u64);
        return refuse(ObjectErrorKind::Truncated { what: "the ELF header", expected, found });
    }
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    if half(18) != elf::EM_BPF.0 {
        return header("machine", "BPF (247)", half(18).to_string());
    }
    if half(16) != elf::ET_REL.0 {
        return header("type", "relocatable (1)", half(16).to_string());
    }
    // Writers put the table of sections at the end, so a file that was cut off ends before it does.
    let table = u64::from_le_bytes(bytes[40..48].try_into().expect("eight bytes"));
    let expected = table.saturating_add(u64::from(half(58)) * u64::from(half(60)));
    let found = bytes.len() as u64;
    if found < expected {
        return refuse(ObjectErrorKind::Truncated { what: "the file", expected, found });
    }
    Ok(())
}

fn malformed(place: Place, error: &object::read::Error) -> ObjectError {
    place.error(ObjectErrorKind::Elf { reason: error.to_string() })
}

fn text<'a>(place: Place, what: &'static str, bytes: &'a [u8]) -> Result<&'a str, ObjectError> {
    std::str::from_utf8(bytes).map_err(|_| place.error(ObjectErrorKind::NotText { what }))
}
