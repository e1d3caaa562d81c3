//! The assembler: from text to instructions.
//!
//! One instruction, label (`name:`) or nothing a line; `#` and `//` begin comments. The syntax is that of the BPF
//! conformance suite; registers may be written with or without `%`. What [`crate::disasm`] prints, this reads:
//!
//! ```text
//!     ldxw %r2, [%r1+4]          # loads: ldxb ldxh ldxw ldxdw, sign-extending ldxsb ldxsh ldxsw
//!     stxdw [%r10-8], %r2        # stores of registers; of immediates: stb sth stw stdw
//!     lock fetch add [%r10-8], %r2
//!     lddw %r1, map[0]           # also 64-bit constants, map_value[0]+8, …
//!     call 1                     # helper; also: call local f, call %r2, call btf 7
//!     jne32 %r0, 0xffffff80, l   # a label, or an offset in slots: +2
//! l:  exit
//! ```
//!
//! A label `exit` that is not defined means the next `exit` instruction, as in the suite.
//!
//! What holds here: no text makes the assembler panic; the result encodes without loss.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    disasm::{ALU_NAMES, ATOMIC_NAMES, COND_NAMES, SIZE_NAMES},
    isa::{AtomicOp, ByteOrder, ExtBits, Imm64, Insn, Operand, Reg, Size, SwapBits, Width},
};

/// A line that is no instruction.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {kind}")]
pub struct AsmError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: AsmErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum AsmErrorKind {
    #[error("`{found}` is no instruction")]
    Mnemonic { found: String },
    #[error("`{mnemonic}` takes {expected}, found {found} operands")]
    OperandCount { mnemonic: String, expected: &'static str, found: usize },
    #[error("expected {expected}, found `{found}`")]
    Operand { expected: &'static str, found: String },
    #[error("`{found}` is no register; registers are %r0 to %r10")]
    Register { found: String },
    #[error("`{found}` does not fit {expected}")]
    Range { expected: &'static str, found: String },
    #[error("label `{name}` is not defined")]
    UndefinedLabel { name: String },
    #[error("label `{name}` is defined twice")]
    DuplicateLabel { name: String },
    #[error("the jump to `{name}` is {distance} slots, which does not fit 16 bits; use ja32")]
    TooFar { name: String, distance: i64 },
}

type Parsed<T = Insn> = Result<T, AsmErrorKind>;

/// Assembles a program.
///
/// # Errors
/// The first line that is not an instruction, or a jump without a target.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    let mut program = Assembly::default();
    for (index, line) in text.lines().enumerate() {
        program.line(line).map_err(|kind| AsmError { line: index + 1, kind })?;
        program.lines.resize(program.insns.len(), index + 1);
    }
    program.resolve()
}

#[derive(Default)]
struct Assembly {
    insns: Vec<Insn>,
    /// The source line of each slot.
    lines: Vec<usize>,
    labels: HashMap<String, usize>,
    /// Slots whose offset waits for a label.
    waiting: Vec<(usize, String)>,
}

impl Assembly {
    fn line(&mut self, line: &str) -> Parsed<()> {
        let mut rest = line.split('#').next().unwrap_or("");
        rest = rest.split("//").next().unwrap_or("").trim();
        while let Some((label, after)) = rest.split_once(':') {
            let label = label.trim();
            if !is_name(label) {
                return Err(AsmErrorKind::Operand { expected: "a label", found: label.to_owned() });
            }
            if self.labels.insert(label.to_owned(), self.insns.len()).is_some() {
                return Err(AsmErrorKind::DuplicateLabel { name: label.to_owned() });
            }
            rest = after.trim();
        }
        if rest.is_empty() {
            return Ok(());
        }
        let (mnemonic, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operands: Vec<&str> = match operands.trim() {
            "" => Vec::new(),
            operands => operands.split(',').map(str::trim).collect(),
        };
        let insn = self.instruction(mnemonic, &operands)?;
        self.insns.push(insn);
        if insn.slots() == 2 {
            self.insns.push(Insn::HighHalf);
        }
        Ok(())
    }

    fn instruction(&mut self, mnemonic: &str, operands: &[&str]) -> Parsed {
        let unknown = || AsmErrorKind::Mnemonic { found: mnemonic.to_owned() };
        match mnemonic {
            "exit" => {
                let [] = take(mnemonic, operands, "no operands")?;
                return Ok(Insn::Exit);
            }
            "ja" | "ja32" => {
                let [target] = take(mnemonic, operands, "a label or offset")?;
                let long = mnemonic == "ja32";
                return Ok(Insn::Jump { off: self.target(target, !long)?, long });
            }
            "may_goto" => {
                let [target] = take(mnemonic, operands, "a label or offset")?;
                return Ok(Insn::MayGoto { off: self.target(target, true)? as i16 });
            }
            "call" => return self.call(operands),
            "lddw" => {
                let [dst, imm] = take(mnemonic, operands, "a register and a constant")?;
                return Ok(Insn::LoadImm64 { dst: register(dst)?, imm: imm64(imm)? });
            }
            "lock" => return atomic(operands),
            _ => {}
        }
        if let Some(insn) = swap(mnemonic, operands)? {
            return Ok(insn);
        }
        if let Some(insn) = mov_sx(mnemonic, operands)? {
            return Ok(insn);
        }
        if let Some(insn) = memory(mnemonic, operands)? {
            return Ok(insn);
        }
        let (width, stem) = width_of(mnemonic);
        if stem == "neg" {
            let [dst] = take(mnemonic, operands, "a register")?;
            return Ok(Insn::Neg { width, dst: register(dst)? });
        }
        if let Some(op) = find(&ALU_NAMES, stem) {
            let [dst, src] = take(mnemonic, operands, "a register and a register or constant")?;
            return Ok(Insn::Alu { width, op, dst: register(dst)?, src: operand(src)? });
        }
        let cond = find(&COND_NAMES, stem).ok_or_else(unknown)?;
        let [dst, src, target] =
            take(mnemonic, operands, "a register, a register or constant, and a label or offset")?;
        let (dst, src) = (register(dst)?, operand(src)?);
        let off = self.target(target, true)? as i16;
        Ok(Insn::Branch { width, cond, dst, src, off })
    }

    fn call(&mut self, operands: &[&str]) -> Parsed {
        let [target] = take("call", operands, "a helper number, `local` and a label, or a register")?;
        if let Some(label) = target.strip_prefix("local ") {
            return Ok(Insn::CallLocal { off: self.target(label.trim(), false)? });
        }
        if let Some(id) = target.strip_prefix("btf ") {
            return Ok(Insn::CallBtf { btf_id: unsigned32(id.trim())? });
        }
        if is_register(target) {
            return Ok(Insn::CallReg { target: register(target)? });
        }
        Ok(Insn::CallHelper { helper: unsigned32(target)? })
    }

    /// The offset written as a number, or 0 with a note to fill it in once the label is known.
    fn target(&mut self, text: &str, short: bool) -> Parsed<i32> {
        if is_name(text) {
            self.waiting.push((self.insns.len(), text.to_owned()));
            return Ok(0);
        }
        if !text.starts_with(['+', '-']) {
            return Err(AsmErrorKind::Operand {
                expected: "a label or an offset such as +2",
                found: text.to_owned(),
            });
        }
        if short { offset(text).map(i32::from) } else { imm32(text.trim_start_matches('+')) }
    }

    fn resolve(mut self) -> Result<Vec<Insn>, AsmError> {
        for (slot, name) in std::mem::take(&mut self.waiting) {
            self.fill(slot, &name).map_err(|kind| AsmError { line: self.lines[slot], kind })?;
        }
        Ok(self.insns)
    }

    fn fill(&mut self, slot: usize, name: &str) -> Parsed<()> {
        let implicit = || {
            let next = self.insns.iter().skip(slot).position(|insn| *insn == Insn::Exit)?;
            (name == "exit").then_some(slot + next)
        };
        let target = self.labels.get(name).copied().or_else(implicit);
        let target = target.ok_or_else(|| AsmErrorKind::UndefinedLabel { name: name.to_owned() })?;
        let distance = target as i64 - (slot as i64 + 1);
        let too_far = || AsmErrorKind::TooFar { name: name.to_owned(), distance };
        match &mut self.insns[slot] {
            Insn::Branch { off, .. } | Insn::MayGoto { off } => {
                *off = i16::try_from(distance).map_err(|_| too_far())?;
            }
            Insn::Jump { off, long: false } => {
                *off = i32::from(i16::try_from(distance).map_err(|_| too_far())?);
            }
            Insn::Jump { off, .. } | Insn::CallLocal { off } => {
                *off = i32::try_from(distance).map_err(|_| too_far())?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn take<'o, const N: usize>(
    mnemonic: &str,
    operands: &[&'o str],
    expected: &'static str,
) -> Parsed<[&'o str; N]> {
    operands.try_into().map_err(|_| AsmErrorKind::OperandCount {
        mnemonic: mnemonic.to_owned(),
        expected,
        found: operands.len(),
    })
}

fn find<T: Copy>(table: &[(T, &str)], name: &str) -> Option<T> {
    table.iter().find(|(_, entry)| *entry == name).map(|(value, _)| *value)
}

fn width_of(mnemonic: &str) -> (Width, &str) {
    match mnemonic.strip_suffix("32") {
        Some(stem) => (Width::W32, stem),
        None => (Width::W64, mnemonic),
    }
}

fn swap(mnemonic: &str, operands: &[&str]) -> Parsed<Option<Insn>> {
    let orders =
        [("bswap", ByteOrder::Swap), ("swap", ByteOrder::Swap), ("be", ByteOrder::Be), ("le", ByteOrder::Le)];
    for (stem, order) in orders {
        let bits = match mnemonic.strip_prefix(stem) {
            Some("16") => SwapBits::B16,
            Some("32") => SwapBits::B32,
            Some("64") => SwapBits::B64,
            _ => continue,
        };
        let [dst] = take(mnemonic, operands, "a register")?;
        return Ok(Some(Insn::Swap { order, bits, dst: register(dst)? }));
    }
    Ok(None)
}

fn mov_sx(mnemonic: &str, operands: &[&str]) -> Parsed<Option<Insn>> {
    let (from, width) = match mnemonic {
        "movsx832" => (ExtBits::B8, Width::W32),
        "movsx1632" => (ExtBits::B16, Width::W32),
        "movsx864" => (ExtBits::B8, Width::W64),
        "movsx1664" => (ExtBits::B16, Width::W64),
        "movsx3264" => (ExtBits::B32, Width::W64),
        _ => return Ok(None),
    };
    let [dst, src] = take(mnemonic, operands, "two registers")?;
    Ok(Some(Insn::MovSx { width, from, dst: register(dst)?, src: register(src)? }))
}

fn memory(mnemonic: &str, operands: &[&str]) -> Parsed<Option<Insn>> {
    let size_of = |suffix: &str| find(&SIZE_NAMES, suffix);
    if let Some(size) = mnemonic.strip_prefix("ldxs").and_then(size_of)
        && size != Size::Dw
    {
        let [dst, at] = take(mnemonic, operands, "a register and a memory operand")?;
        let (base, off) = place(at)?;
        return Ok(Some(Insn::Load { size, signed: true, dst: register(dst)?, base, off }));
    }
    if let Some(size) = mnemonic.strip_prefix("ldx").and_then(size_of) {
        let [dst, at] = take(mnemonic, operands, "a register and a memory operand")?;
        let (base, off) = place(at)?;
        return Ok(Some(Insn::Load { size, signed: false, dst: register(dst)?, base, off }));
    }
    if let Some(size) = mnemonic.strip_prefix("stx").and_then(size_of) {
        let [at, src] = take(mnemonic, operands, "a memory operand and a register")?;
        let (base, off) = place(at)?;
        return Ok(Some(Insn::Store { size, base, off, src: Operand::Reg(register(src)?) }));
    }
    if let Some(size) = mnemonic.strip_prefix("st").and_then(size_of) {
        let [at, src] = take(mnemonic, operands, "a memory operand and a constant")?;
        let (base, off) = place(at)?;
        return Ok(Some(Insn::Store { size, base, off, src: Operand::Imm(imm32(src)?) }));
    }
    Ok(None)
}

/// `lock [fetch] OP[32] [%rN+off], %rM`; the operation and the place are in the first operand.
fn atomic(operands: &[&str]) -> Parsed {
    let [first, src] = take("lock", operands, "an operation with a memory operand, and a register")?;
    let bad = || AsmErrorKind::Operand {
        expected: "`[fetch] OP [%rN+off]` with OP one of add, or, and, xor, xchg, cmpxchg",
        found: first.to_owned(),
    };
    let mut words = first.splitn(2, '[');
    let names: Vec<&str> = words.next().unwrap_or("").split_whitespace().collect();
    let at = words.next().ok_or_else(bad)?;
    let (fetch, name) = match names[..] {
        ["fetch", name] => (true, name),
        [name] => (false, name),
        _ => return Err(bad()),
    };
    let (width, stem) = width_of(name);
    let op = match (find(&ATOMIC_NAMES, stem).ok_or_else(bad)?, fetch) {
        (AtomicOp::Add { .. }, fetch) => AtomicOp::Add { fetch },
        (AtomicOp::Or { .. }, fetch) => AtomicOp::Or { fetch },
        (AtomicOp::And { .. }, fetch) => AtomicOp::And { fetch },
        (AtomicOp::Xor { .. }, fetch) => AtomicOp::Xor { fetch },
        (op, false) => op,
        (_, true) => return Err(bad()),
    };
    let (base, off) = place(&format!("[{at}"))?;
    Ok(Insn::Atomic { width, op, base, off, src: register(src)? })
}

/// `[%rN]`, `[%rN+off]`, `[%rN-off]`.
fn place(text: &str) -> Parsed<(Reg, i16)> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inner = inner.ok_or_else(|| AsmErrorKind::Operand {
        expected: "a memory operand such as [%r1+4]",
        found: text.to_owned(),
    })?;
    match inner.find(['+', '-']) {
        Some(at) => Ok((register(inner[..at].trim())?, offset(inner[at..].trim())?)),
        None => Ok((register(inner.trim())?, 0)),
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

fn is_register(text: &str) -> bool {
    let name = text.strip_prefix('%').unwrap_or(text);
    name.strip_prefix('r').is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

fn register(text: &str) -> Parsed<Reg> {
    let bad = || AsmErrorKind::Register { found: text.to_owned() };
    let name = text.strip_prefix('%').unwrap_or(text);
    let digits = name.strip_prefix('r').ok_or_else(bad)?;
    if digits.len() > 1 && digits.starts_with('0') || digits.starts_with('+') {
        return Err(bad());
    }
    digits.parse().ok().and_then(Reg::new).ok_or_else(bad)
}

fn operand(text: &str) -> Parsed<Operand> {
    if is_register(text) { register(text).map(Operand::Reg) } else { imm32(text).map(Operand::Imm) }
}

/// The sign, and the digits in their base.
fn number(text: &str, expected: &'static str) -> Parsed<(bool, u64, bool)> {
    let bad = || AsmErrorKind::Operand { expected, found: text.to_owned() };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |digits| (digits, 16));
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let value = u64::from_str_radix(digits, radix).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => {
            AsmErrorKind::Range { expected: "64 bits", found: text.to_owned() }
        }
        _ => bad(),
    })?;
    Ok((negative, value, radix == 16))
}

/// A 32-bit constant: decimal in the signed range, hexadecimal in the signed or unsigned one.
fn imm32(text: &str) -> Parsed<i32> {
    let (negative, value, hex) = number(text, "a constant")?;
    let range = || AsmErrorKind::Range { expected: "a signed 32-bit constant", found: text.to_owned() };
    match (negative, u32::try_from(value)) {
        (false, Ok(value)) if hex || value <= i32::MAX.cast_unsigned() => Ok(value.cast_signed()),
        (true, Ok(value)) if value <= i32::MIN.unsigned_abs() => Ok(value.wrapping_neg().cast_signed()),
        _ => Err(range()),
    }
}

/// A 32-bit number that is not a quantity: decimal in the signed or unsigned range.
fn unsigned32(text: &str) -> Parsed<u32> {
    match number(text, "a number")? {
        (false, value, _) => u32::try_from(value)
            .map_err(|_| AsmErrorKind::Range { expected: "32 bits", found: text.to_owned() }),
        (true, ..) => imm32(text).map(i32::cast_unsigned),
    }
}

fn offset(text: &str) -> Parsed<i16> {
    let (negative, value, _) = number(text, "an offset")?;
    let signed = i64::try_from(value).map(|value| if negative { -value } else { value });
    signed
        .ok()
        .and_then(|value| i16::try_from(value).ok())
        .ok_or_else(|| AsmErrorKind::Range { expected: "a signed 16-bit offset", found: text.to_owned() })
}

fn imm64(text: &str) -> Parsed<Imm64> {
    if let Some((kind, rest)) = text.split_once('[') {
        let bad = || AsmErrorKind::Operand {
            expected: "map[N], map_value[N]+OFF, map_index[N], map_index_value[N]+OFF, variable[N] or code[N]",
            found: text.to_owned(),
        };
        let (index, after) = rest.split_once(']').ok_or_else(bad)?;
        let map = unsigned32(index.trim())?;
        let off = match after.strip_prefix('+') {
            Some(off) => Some(unsigned32(off.trim())?),
            None if after.trim().is_empty() => None,
            None => return Err(bad()),
        };
        return match (kind.trim(), off) {
            ("map", None) => Ok(Imm64::Map(map)),
            ("map_value", off) => Ok(Imm64::MapValue { map, off: off.unwrap_or(0) }),
            ("map_index", None) => Ok(Imm64::MapIndex(map)),
            ("map_index_value", off) => Ok(Imm64::MapIndexValue { map, off: off.unwrap_or(0) }),
            ("variable", None) => Ok(Imm64::Variable(map)),
            ("code", None) => Ok(Imm64::Code(map.cast_signed())),
            _ => Err(bad()),
        };
    }
    let (negative, value, _) = number(text, "a constant")?;
    if negative && value > i64::MIN.unsigned_abs() {
        return Err(AsmErrorKind::Range { expected: "a signed 64-bit constant", found: text.to_owned() });
    }
    Ok(Imm64::Value(if negative { value.wrapping_neg() } else { value }))
}
