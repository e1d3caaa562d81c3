//! Objects of the first Oko (SOSR 2018): `uint64_t entry(void *packet, uint64_t length)` in `.text`, map definitions in `.data`,
//! helpers by numbers of their own.
//!
//! Its programs are *translated* into programs for Linux's ABI, so verifier and engines know one ABI only:
//! - In front of `entry` come three instructions that make packet and length of the context; its returns jump to a few behind it
//!   that make `XDP_PASS` of any number but 0, and `XDP_DROP` of 0. So slots are counted from three instructions before `entry`.
//! - Calls get the number of the helper here that does the same, if there is one.
//! - Each symbol in `.data` is a definition of a map, whatever uses it; other variables are in `.rodata` and `.bss`.
//!
//! The ABI itself, as uBPF with maps had it:
//!
//! | helper | | |
//! |---|---|---|
//! | 1 | `void *ubpf_map_lookup(map, key)` | the value; of a sketch a `u32` that tells of the element |
//! | 2 | `int ubpf_map_update(map, key, value)` | 0 or a negative number |
//! | 3 | `int ubpf_map_delete(map, key)` | 0 or a negative number |
//! | 4 | `int ubpf_map_add(map, element)` | sketches only |
//! | 5 | `uint64_t ubpf_time_get_ns(void)` | the packet's instant |
//! | 6 | `uint32_t ubpf_hash(bytes, size)` | |
//! | 7 | `void ubpf_printf(format, …)` | not provided: filters print nothing |
//! | 8, 9, 10 | of P4rt-OVS | not provided: they change packets, or take another context |

use super::btf_ext::Lines;
use super::error::{ObjectError, ObjectErrorKind, Place};
use super::link::Linker;
use super::maps::{Maps, check_sizes};
use super::read::MapTypes;
use super::sections::{Elf, Symbol, SymbolKind};
use crate::helper::Helper;
use crate::isa::{AluOp, Cond, Insn, Reg, Size};
use crate::program::{MapDef, MapKind, Program};
use crate::xdp::{CtxField, XDP_DROP, XDP_PASS};

/// What programs of an object were written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Abi {
    /// Linux: context `xdp_md`, maps in `.maps` or `maps`, Linux's helpers. What `okoc` writes and what `SEC("xdp")` in C is.
    #[default]
    Linux,
    /// The first Oko: `entry(packet, length)`.
    Original,
}

impl Abi {
    /// Both.
    pub const ALL: [Abi; 2] = [Abi::Linux, Abi::Original];

    /// Its name: `linux`, `original`.
    pub const fn name(self) -> &'static str {
        match self {
            Abi::Linux => "linux",
            Abi::Original => "original",
        }
    }

    /// The ABI of this name.
    pub fn from_name(name: &str) -> Option<Abi> {
        Abi::ALL.into_iter().find(|abi| abi.name() == name)
    }
}

impl std::fmt::Display for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The function that a packet is given to.
const ENTRY: &str = "entry";
/// The section that map definitions are in.
const DATA: &str = ".data";
/// Bytes of a definition: `u32 type, key_size, value_size, max_entries, nb_hash_functions`.
const DEFINITION: usize = 20;

/// The maps: each symbol of `.data` defines one.
pub(super) fn maps(elf: &Elf<'_>) -> Result<Maps, ObjectError> {
    // First, so that an object of another kind is told to be one, and not that its variables are no maps.
    let is_entry = |symbol: &Symbol<'_>| symbol.name == ENTRY && symbol.kind == SymbolKind::Function;
    if !elf.symbols.iter().any(is_entry) {
        return Err(Place::File.error(ObjectErrorKind::NoEntry));
    }
    let mut maps = Maps::default();
    if let Some((index, section)) = elf.section(DATA) {
        let symbols =
            elf.symbols.iter().filter(|symbol| symbol.section == Some(index) && !symbol.name.is_empty());
        let mut symbols: Vec<_> = symbols.filter(|symbol| symbol.kind == SymbolKind::Other).collect();
        symbols.sort_by_key(|symbol| symbol.value);
        for symbol in symbols {
            let start = usize::try_from(symbol.value).unwrap_or(usize::MAX);
            let bytes = section.data.get(start..).and_then(|rest| rest.first_chunk::<DEFINITION>());
            let bytes = bytes.ok_or_else(|| {
                let expected = symbol.value.saturating_add(DEFINITION as u64);
                let found = section.data.len() as u64;
                let kind = ObjectErrorKind::Truncated { what: "the definition", expected, found };
                Place::map(symbol.name).error(kind)
            })?;
            let map = maps.push(definition(symbol.name, bytes)?, MapTypes::default())?;
            maps.definitions.push((index, symbol.value, map));
        }
    }
    maps.variables(elf, &[".rodata", ".bss"])?;
    Ok(maps)
}

fn definition(name: &str, bytes: &[u8; DEFINITION]) -> Result<MapDef, ObjectError> {
    let fail = |kind| Err(Place::map(name).error(kind));
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (number, key_size, value_size, max_entries, hashes) = (word(0), word(4), word(8), word(12), word(16));
    let kind = match number {
        1 => MapKind::Array,
        2 => MapKind::OriginalBloom,
        3 => MapKind::OriginalCountMin,
        4 => MapKind::Hash,
        _ => return fail(ObjectErrorKind::OriginalMapKind { number }),
    };
    let def = MapDef { name: name.into(), kind, key_size, value_size, max_entries, ..MapDef::default() };
    if !kind.is_sketch() {
        check_sizes(&def)?;
        return Ok(def);
    }
    // What is put in has the size that is called the value's there.
    let field = |field, expected, found: u32| {
        fail(ObjectErrorKind::Field { field, expected, found: u64::from(found) })
    };
    if value_size == 0 {
        return field("value size", "the size of an element, 1 to 512", 0);
    }
    if !(1..=15).contains(&hashes) {
        return field("nb_hash_functions", "1 to 15", hashes);
    }
    let def = MapDef { key_size: value_size, value_size: 4, hashes, ..def };
    check_sizes(&def)?;
    Ok(def)
}

/// The one program: function `entry`, translated.
pub(super) fn programs(
    elf: &Elf<'_>,
    maps: &Maps,
    lines: &Lines,
) -> Result<Vec<(String, Program)>, ObjectError> {
    let linker = Linker::new(elf, maps, lines, Some(helper_named))?;
    let entry = linker.function(ENTRY).ok_or_else(|| Place::File.error(ObjectErrorKind::NoEntry))?;
    let mut program = linker.link(&entry)?;
    translate(&mut program, entry.slots)?;
    Ok(vec![(elf.sections[entry.section].name.to_owned(), program)])
}

fn helper_named(name: &str) -> Option<u32> {
    HELPERS.iter().find(|(_, known, _)| *known == name).map(|(number, ..)| *number)
}

/// The helpers by number and name, and what does the same here.
const HELPERS: [(u32, &str, Option<Helper>); 10] = [
    (1, "ubpf_map_lookup", Some(Helper::MapLookupElem)),
    (2, "ubpf_map_update", Some(Helper::OriginalMapUpdate)),
    (3, "ubpf_map_delete", Some(Helper::MapDeleteElem)),
    (4, "ubpf_map_add", Some(Helper::OriginalMapAdd)),
    (5, "ubpf_time_get_ns", Some(Helper::KtimeGetNs)),
    (6, "ubpf_hash", Some(Helper::OriginalHash)),
    (7, "ubpf_printf", None),
    (8, "ubpf_adjust_head", None),
    (9, "ubpf_packet_data", None),
    (10, "ubpf_get_rss_hash", None),
];

/// Packet and length out of the context: `r1 = data`, `r2 = data_end - data`.
fn prologue() -> [Insn; 3] {
    [
        Insn::load(Size::W, Reg::R2, Reg::R1, CtxField::DataEnd.offset() as i16),
        Insn::load(Size::W, Reg::R1, Reg::R1, CtxField::Data.offset() as i16),
        Insn::alu64(AluOp::Sub, Reg::R2, Reg::R1),
    ]
}

/// What `entry` returned becomes a verdict.
fn epilogue() -> [Insn; 5] {
    [
        Insn::branch64(Cond::Ne, Reg::R0, 0, 2),
        Insn::mov64(Reg::R0, XDP_DROP as i32),
        Insn::Exit,
        Insn::mov64(Reg::R0, XDP_PASS as i32),
        Insn::Exit,
    ]
}

/// Translates a program whose first `slots` slots are `entry`.
fn translate(program: &mut Program, slots: usize) -> Result<(), ObjectError> {
    for (slot, insn) in program.insns.iter_mut().enumerate() {
        if let Insn::CallHelper { helper } = insn {
            let (number, name, known) = HELPERS
                .iter()
                .find(|(number, ..)| number == helper)
                .copied()
                .unwrap_or((*helper, "not a helper that is known", None));
            let kind = ObjectErrorKind::OriginalHelper { number, name };
            let known = known.ok_or_else(|| Place::insn(program.name.clone(), slot).error(kind))?;
            *helper = known.number();
        }
    }
    let mut returns = false;
    for (slot, insn) in program.insns[..slots].iter_mut().enumerate() {
        if *insn == Insn::Exit {
            returns = true;
            // At most MAX_SLOTS.
            let off = (slots - slot - 1) as i32;
            *insn = Insn::Jump { off, long: i16::try_from(off).is_err() };
        }
    }
    // What follows moves by so much more than `entry` does.
    let added = if returns { epilogue().len() } else { 0 };
    for (slot, insn) in program.insns.iter_mut().enumerate() {
        if let Insn::CallLocal { off } = insn {
            let target = slot as i64 + 1 + i64::from(*off);
            match (slot < slots, target < slots as i64) {
                (true, false) => *off += added as i32,
                (false, true) => *off -= added as i32,
                _ => {}
            }
        }
    }
    let before = prologue().len() as u32;
    for line in &mut program.lines {
        line.slot += before + if line.slot as usize >= slots { added as u32 } else { 0 };
    }
    let rest = program.insns.split_off(slots);
    program.insns.splice(0..0, prologue());
    if returns {
        program.insns.extend(epilogue());
    }
    program.insns.extend(rest);
    Ok(())
}
