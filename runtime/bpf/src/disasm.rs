//! Instructions as text, in the syntax that [`crate::asm`] reads back.
//!
//! What holds here: for every instruction that [`crate::isa::decode`] gives, `assemble(display(insn)) == insn`. Jumps are
//! printed with their offset (`+5`), since a single instruction knows no labels. The syntax is that of the BPF
//! conformance suite, plus a notation for map references: `map[1]`, `map_value[1]+8`.

use std::fmt::{self, Display, Formatter};

use crate::isa::{
    AluOp, AtomicOp, ByteOrder, Cond, ExtBits, Imm64, Insn, Operand, Reg, Size, SwapBits, Width,
};

/// A program as text, one instruction a line; the second slot of a 64-bit immediate load has no line.
pub fn disassemble(insns: &[Insn]) -> String {
    let mut text = String::new();
    for insn in insns.iter().filter(|insn| **insn != Insn::HighHalf) {
        text.push_str(&insn.to_string());
        text.push('\n');
    }
    text
}

/// A program for people: slot numbers, and absolute targets behind jumps and calls as comments.
pub fn listing(insns: &[Insn]) -> String {
    let mut text = String::new();
    for (slot, insn) in insns.iter().enumerate().filter(|(_, insn)| **insn != Insn::HighHalf) {
        let target = insn.jump_target(slot).or_else(|| insn.call_target(slot));
        let line = match target {
            Some(target) => format!("{slot:5}: {:<32} # to {target}\n", insn.to_string()),
            None => format!("{slot:5}: {insn}\n"),
        };
        text.push_str(&line);
    }
    text
}

/// The mnemonic of an arithmetic operation without its width.
pub(crate) const ALU_NAMES: [(AluOp, &str); 14] = [
    (AluOp::Add, "add"),
    (AluOp::Sub, "sub"),
    (AluOp::Mul, "mul"),
    (AluOp::Div, "div"),
    (AluOp::Sdiv, "sdiv"),
    (AluOp::Or, "or"),
    (AluOp::And, "and"),
    (AluOp::Lsh, "lsh"),
    (AluOp::Rsh, "rsh"),
    (AluOp::Mod, "mod"),
    (AluOp::Smod, "smod"),
    (AluOp::Xor, "xor"),
    (AluOp::Mov, "mov"),
    (AluOp::Arsh, "arsh"),
];

/// The mnemonic of a conditional jump without its width.
pub(crate) const COND_NAMES: [(Cond, &str); 11] = [
    (Cond::Eq, "jeq"),
    (Cond::Ne, "jne"),
    (Cond::Gt, "jgt"),
    (Cond::Ge, "jge"),
    (Cond::Lt, "jlt"),
    (Cond::Le, "jle"),
    (Cond::Set, "jset"),
    (Cond::Sgt, "jsgt"),
    (Cond::Sge, "jsge"),
    (Cond::Slt, "jslt"),
    (Cond::Sle, "jsle"),
];

/// The suffix of a load or store.
pub(crate) const SIZE_NAMES: [(Size, &str); 4] =
    [(Size::B, "b"), (Size::H, "h"), (Size::W, "w"), (Size::Dw, "dw")];

/// The mnemonic of an atomic operation that does not fetch, or always does.
pub(crate) const ATOMIC_NAMES: [(AtomicOp, &str); 6] = [
    (AtomicOp::Add { fetch: false }, "add"),
    (AtomicOp::Or { fetch: false }, "or"),
    (AtomicOp::And { fetch: false }, "and"),
    (AtomicOp::Xor { fetch: false }, "xor"),
    (AtomicOp::Xchg, "xchg"),
    (AtomicOp::Cmpxchg, "cmpxchg"),
];

fn name<T: PartialEq + Copy>(table: &'static [(T, &'static str)], key: T) -> &'static str {
    table.iter().find(|(entry, _)| *entry == key).map_or("?", |(_, name)| name)
}

fn suffix(width: Width) -> &'static str {
    match width {
        Width::W32 => "32",
        Width::W64 => "",
    }
}

/// A register with the percent sign of the syntax.
struct R(Reg);

impl Display for R {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// A memory operand.
struct At(Reg, i16);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => write!(f, "[%{}]", self.0),
            off => write!(f, "[%{}{off:+}]", self.0),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Reg(reg) => R(*reg).fmt(f),
            Operand::Imm(imm) => imm.fmt(f),
        }
    }
}

impl Display for Imm64 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Imm64::Value(value) => write!(f, "{value:#x}"),
            Imm64::Map(map) => write!(f, "map[{map}]"),
            Imm64::MapValue { map, off } => write!(f, "map_value[{map}]+{off}"),
            Imm64::Variable(id) => write!(f, "variable[{id}]"),
            Imm64::Code(off) => write!(f, "code[{off}]"),
            Imm64::MapIndex(map) => write!(f, "map_index[{map}]"),
            Imm64::MapIndexValue { map, off } => write!(f, "map_index_value[{map}]+{off}"),
        }
    }
}

impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Insn::Alu { width, op, dst, src } => {
                write!(f, "{}{} {}, {src}", name(&ALU_NAMES, op), suffix(width), R(dst))
            }
            Insn::Neg { width, dst } => write!(f, "neg{} {}", suffix(width), R(dst)),
            Insn::MovSx { width, from, dst, src } => {
                let from = match from {
                    ExtBits::B8 => "8",
                    ExtBits::B16 => "16",
                    ExtBits::B32 => "32",
                };
                write!(f, "movsx{from}{} {}, {}", width.bits(), R(dst), R(src))
            }
            Insn::Swap { order, bits, dst } => {
                let order = match order {
                    ByteOrder::Le => "le",
                    ByteOrder::Be => "be",
                    ByteOrder::Swap => "bswap",
                };
                let bits = match bits {
                    SwapBits::B16 => "16",
                    SwapBits::B32 => "32",
                    SwapBits::B64 => "64",
                };
                write!(f, "{order}{bits} {}", R(dst))
            }
            Insn::LoadImm64 { dst, imm } => write!(f, "lddw {}, {imm}", R(dst)),
            Insn::HighHalf => f.write_str("# second slot"),
            Insn::Load { size, signed, dst, base, off } => {
                let sign = if signed { "s" } else { "" };
                write!(f, "ldx{sign}{} {}, {}", name(&SIZE_NAMES, size), R(dst), At(base, off))
            }
            Insn::Store { size, base, off, src } => {
                let kind = match src {
                    Operand::Imm(_) => "st",
                    Operand::Reg(_) => "stx",
                };
                write!(f, "{kind}{} {}, {src}", name(&SIZE_NAMES, size), At(base, off))
            }
            Insn::Atomic { width, op, base, off, src } => {
                let (fetch, op) = match op {
                    AtomicOp::Add { fetch } => (fetch, AtomicOp::Add { fetch: false }),
                    AtomicOp::Or { fetch } => (fetch, AtomicOp::Or { fetch: false }),
                    AtomicOp::And { fetch } => (fetch, AtomicOp::And { fetch: false }),
                    AtomicOp::Xor { fetch } => (fetch, AtomicOp::Xor { fetch: false }),
                    AtomicOp::Xchg | AtomicOp::Cmpxchg => (false, op),
                };
                let fetch = if fetch { "fetch " } else { "" };
                let op = name(&ATOMIC_NAMES, op);
                write!(f, "lock {fetch}{op}{} {}, {}", suffix(width), At(base, off), R(src))
            }
            Insn::Jump { off, long } => write!(f, "ja{} {off:+}", if long { "32" } else { "" }),
            Insn::Branch { width, cond, dst, src, off } => {
                write!(f, "{}{} {}, {src}, {off:+}", name(&COND_NAMES, cond), suffix(width), R(dst))
            }
            Insn::MayGoto { off } => write!(f, "may_goto {off:+}"),
            Insn::CallHelper { helper } => write!(f, "call {helper}"),
            Insn::CallLocal { off } => write!(f, "call local {off:+}"),
            Insn::CallBtf { btf_id } => write!(f, "call btf {btf_id}"),
            Insn::CallReg { target } => write!(f, "call {}", R(target)),
            Insn::Exit => f.write_str("exit"),
        }
    }
}
