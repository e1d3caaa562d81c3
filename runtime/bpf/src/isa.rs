//! The BPF instruction set, RFC 9669 (what compilers call `v1` to `v4`) and Linux's `may_goto`, as a Rust type.
//!
//! What holds here:
//! - A program is a slice of [`Insn`] indexed by *slot* (8 bytes of encoding). The one instruction that takes two slots,
//!   [`Insn::LoadImm64`], is followed by [`Insn::HighHalf`]; so an index into the slice is a program counter, and jump
//!   offsets count elements of the slice.
//! - [`decode`] refuses every reserved bit pattern and every field that is not zero though the instruction does not use
//!   it; [`encode`] is its exact inverse.
//! - Immediate values and offsets are what the encoding holds; sign extension happens where the RFC says it does.

mod decode;
mod encode;

use std::fmt;

pub use decode::{DecodeError, DecodeErrorKind, decode, decode_slots};
pub use encode::encode;

/// Bytes of one encoded instruction slot.
pub const SLOT_BYTES: usize = 8;

/// One of the eleven registers `r0` to `r10`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Return value of calls and of the program.
    pub const R0: Reg = Reg(0);
    /// First argument; the context at entry.
    pub const R1: Reg = Reg(1);
    /// Second argument.
    pub const R2: Reg = Reg(2);
    /// Third argument.
    pub const R3: Reg = Reg(3);
    /// Fourth argument.
    pub const R4: Reg = Reg(4);
    /// Fifth argument.
    pub const R5: Reg = Reg(5);
    /// Saved across calls.
    pub const R6: Reg = Reg(6);
    /// Saved across calls.
    pub const R7: Reg = Reg(7);
    /// Saved across calls.
    pub const R8: Reg = Reg(8);
    /// Saved across calls.
    pub const R9: Reg = Reg(9);
    /// The frame pointer: one past the end of the stack frame; never written.
    pub const R10: Reg = Reg(10);
    /// Number of registers.
    pub const COUNT: usize = 11;

    /// The register with this number, or `None` above 10.
    pub const fn new(number: u8) -> Option<Reg> {
        if number <= 10 { Some(Reg(number)) } else { None }
    }

    /// 0 to 10.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All registers, `r0` first.
    pub fn all() -> impl Iterator<Item = Reg> {
        (0..=10).map(Reg)
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an operation works on whole registers or on their lower halves. A 32-bit result is zero-extended to 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// Lower half of the registers.
    W32,
    /// Whole registers.
    W64,
}

impl Width {
    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    Dw,
}

impl Size {
    /// 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::Dw => 8,
        }
    }
}

/// Second operand of an arithmetic operation, comparison or store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended to the width of the operation (RFC 9669 section 4.1).
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Operand::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Self {
        Operand::Imm(imm)
    }
}

/// Two-operand arithmetic: `dst = dst OP src` (`Mov`: `dst = src`).
///
/// Division by zero gives 0 and modulo by zero leaves `dst` (its lower half, zero-extended, in 32 bits). Signed division
/// truncates towards zero; the minimum divided by -1 is the minimum, its remainder 0. Shift amounts are taken modulo the
/// width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    /// Unsigned division.
    Div,
    /// Signed division (offset 1).
    Sdiv,
    Or,
    And,
    Lsh,
    /// Logical shift right.
    Rsh,
    /// Unsigned remainder.
    Mod,
    /// Signed remainder (offset 1); its sign is the dividend's.
    Smod,
    Xor,
    Mov,
    /// Arithmetic shift right.
    Arsh,
}

/// A byte swap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ByteOrder {
    /// To or from little endian: on a little-endian host only truncates.
    Le,
    /// To or from big endian.
    Be,
    /// Unconditional swap (`bswap`, class ALU64).
    Swap,
}

/// Width of a byte swap; the result is zero-extended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum SwapBits {
    B16,
    B32,
    B64,
}

impl SwapBits {
    /// 16, 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            SwapBits::B16 => 16,
            SwapBits::B32 => 32,
            SwapBits::B64 => 64,
        }
    }
}

/// Width of the source of a sign-extending move.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum ExtBits {
    B8,
    B16,
    /// Only with a 64-bit move.
    B32,
}

impl ExtBits {
    /// 8, 16 or 32.
    pub const fn bits(self) -> u32 {
        match self {
            ExtBits::B8 => 8,
            ExtBits::B16 => 16,
            ExtBits::B32 => 32,
        }
    }
}

/// Condition of a jump: `dst COND src`, with both taken in the jump's width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    /// Unsigned `>`.
    Gt,
    /// Unsigned `>=`.
    Ge,
    /// Unsigned `<`.
    Lt,
    /// Unsigned `<=`.
    Le,
    /// `dst & src != 0`.
    Set,
    /// Signed `>`.
    Sgt,
    /// Signed `>=`.
    Sge,
    /// Signed `<`.
    Slt,
    /// Signed `<=`.
    Sle,
}

impl Cond {
    /// The condition that holds when this one does not; none for [`Cond::Set`], whose opposite no jump has.
    pub fn negated(self) -> Option<Cond> {
        Some(match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Gt => Cond::Le,
            Cond::Ge => Cond::Lt,
            Cond::Lt => Cond::Ge,
            Cond::Le => Cond::Gt,
            Cond::Sgt => Cond::Sle,
            Cond::Sge => Cond::Slt,
            Cond::Slt => Cond::Sge,
            Cond::Sle => Cond::Sgt,
            Cond::Set => return None,
        })
    }

    /// The condition with its sides exchanged.
    pub fn mirrored(self) -> Cond {
        match self {
            Cond::Gt => Cond::Lt,
            Cond::Ge => Cond::Le,
            Cond::Lt => Cond::Gt,
            Cond::Le => Cond::Ge,
            Cond::Sgt => Cond::Slt,
            Cond::Sge => Cond::Sle,
            Cond::Slt => Cond::Sgt,
            Cond::Sle => Cond::Sge,
            Cond::Eq | Cond::Ne | Cond::Set => self,
        }
    }
}

/// Read-modify-write of memory, sequentially consistent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AtomicOp {
    /// `*p += src`; with `fetch`, `src` becomes the old value.
    Add {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p |= src`.
    Or {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p &= src`.
    And {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p ^= src`.
    Xor {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `src` and `*p` change places.
    Xchg,
    /// If `*p == r0` then `*p = src`; `r0` becomes the old value either way.
    Cmpxchg,
}

/// What a 64-bit immediate load loads: the `src_reg` field of the instruction (RFC 9669 section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    /// 0: this constant.
    Value(u64),
    /// 1: a map, by number. In a loaded program the number is an index into [`crate::program::Program::maps`].
    Map(u32),
    /// 2: an address in the first value of a map: map (an index as above) and offset in bytes.
    MapValue {
        /// Which map.
        map: u32,
        /// Bytes from the start of its first value.
        off: u32,
    },
    /// 3: address of a platform variable, by number.
    Variable(u32),
    /// 4: address of code, by slot offset from the next instruction (`imm`).
    Code(i32),
    /// 5: a map, by index.
    MapIndex(u32),
    /// 6: as `MapValue`, map by index.
    MapIndexValue {
        /// Which map.
        map: u32,
        /// Bytes from the start of its first value.
        off: u32,
    },
}

/// One instruction.
///
/// Jump and call offsets count slots from the following slot, as in the encoding: the target of the instruction at slot
/// `pc` is `pc + 1 + off` ([`Insn::jump_offset`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Insn {
    /// `dst = dst op src`.
    Alu { width: Width, op: AluOp, dst: Reg, src: Operand },
    /// `dst = -dst`.
    Neg { width: Width, dst: Reg },
    /// `dst` = the low `from` bits of `src`, sign-extended to `width`. `from` is 8, 16, or with `W64` also 32.
    MovSx { width: Width, from: ExtBits, dst: Reg, src: Reg },
    /// `dst` = its low `bits`, bytes reordered, zero-extended.
    Swap { order: ByteOrder, bits: SwapBits, dst: Reg },
    /// `dst` = a 64-bit constant or an address; two slots, the second is [`Insn::HighHalf`].
    LoadImm64 { dst: Reg, imm: Imm64 },
    /// The second slot of a [`Insn::LoadImm64`]; never executed, never a jump target.
    HighHalf,
    /// `dst = *(size *)(base + off)`, zero-extended, or sign-extended if `signed` (never with `Dw`).
    Load { size: Size, signed: bool, dst: Reg, base: Reg, off: i16 },
    /// `*(size *)(base + off) = src`. An immediate is sign-extended to 64 bits, then truncated.
    Store { size: Size, base: Reg, off: i16, src: Operand },
    /// An atomic operation at `base + off` in 4 (`W32`) or 8 bytes.
    Atomic { width: Width, op: AtomicOp, base: Reg, off: i16, src: Reg },
    /// `goto`; `long` is the `JMP32 | JA` form with its 32-bit offset (`gotol`).
    Jump { off: i32, long: bool },
    /// `if dst cond src goto`.
    Branch { width: Width, cond: Cond, dst: Reg, src: Operand, off: i16 },
    /// `may_goto` (Linux 6.9): goes on, or jumps if whoever runs the program has had enough of it. Here that is never so, for loops are proved to end.
    MayGoto { off: i16 },
    /// Call of a helper by its number.
    CallHelper { helper: u32 },
    /// Call of a function of this program.
    CallLocal { off: i32 },
    /// Call of a helper by BTF id. Decoded, never verified.
    CallBtf { btf_id: u32 },
    /// Call of the helper whose number is in a register. Decoded (old clang emits it), never verified.
    CallReg { target: Reg },
    /// Return `r0` to the caller.
    Exit,
}

impl Insn {
    /// 64-bit arithmetic.
    pub fn alu64(op: AluOp, dst: Reg, src: impl Into<Operand>) -> Insn {
        Insn::Alu { width: Width::W64, op, dst, src: src.into() }
    }

    /// 32-bit arithmetic.
    pub fn alu32(op: AluOp, dst: Reg, src: impl Into<Operand>) -> Insn {
        Insn::Alu { width: Width::W32, op, dst, src: src.into() }
    }

    /// 64-bit move; an immediate is sign-extended.
    pub fn mov64(dst: Reg, src: impl Into<Operand>) -> Insn {
        Insn::alu64(AluOp::Mov, dst, src)
    }

    /// 32-bit move, zero-extended.
    pub fn mov32(dst: Reg, src: impl Into<Operand>) -> Insn {
        Insn::alu32(AluOp::Mov, dst, src)
    }

    /// The two slots of a 64-bit immediate load.
    pub const fn load_imm64(dst: Reg, imm: Imm64) -> [Insn; 2] {
        [Insn::LoadImm64 { dst, imm }, Insn::HighHalf]
    }

    /// Zero-extending load.
    pub const fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Insn {
        Insn::Load { size, signed: false, dst, base, off }
    }

    /// Sign-extending load; `size` must not be `Dw`.
    pub const fn load_sx(size: Size, dst: Reg, base: Reg, off: i16) -> Insn {
        Insn::Load { size, signed: true, dst, base, off }
    }

    /// Store of a register or immediate.
    pub fn store(size: Size, base: Reg, off: i16, src: impl Into<Operand>) -> Insn {
        Insn::Store { size, base, off, src: src.into() }
    }

    /// Jump with a 16-bit offset.
    pub const fn jump(off: i16) -> Insn {
        Insn::Jump { off: off as i32, long: false }
    }

    /// Jump with a 32-bit offset (`gotol`, ISA v4).
    pub const fn jump_long(off: i32) -> Insn {
        Insn::Jump { off, long: true }
    }

    /// Conditional jump that compares whole registers.
    pub fn branch64(cond: Cond, dst: Reg, src: impl Into<Operand>, off: i16) -> Insn {
        Insn::Branch { width: Width::W64, cond, dst, src: src.into(), off }
    }

    /// Conditional jump that compares lower halves (ISA v3).
    pub fn branch32(cond: Cond, dst: Reg, src: impl Into<Operand>, off: i16) -> Insn {
        Insn::Branch { width: Width::W32, cond, dst, src: src.into(), off }
    }

    /// Call of a helper.
    pub const fn call(helper: u32) -> Insn {
        Insn::CallHelper { helper }
    }

    /// The offset of a jump (conditional or not), in slots from the following slot; `None` for anything else, calls
    /// included.
    pub const fn jump_offset(&self) -> Option<i32> {
        match self {
            Insn::Jump { off, .. } => Some(*off),
            Insn::Branch { off, .. } | Insn::MayGoto { off } => Some(*off as i32),
            _ => None,
        }
    }

    /// The slot that a jump at `pc` goes to, unless it lies outside of `0..=usize::MAX`.
    pub fn jump_target(&self, pc: usize) -> Option<usize> {
        self.jump_offset().and_then(|off| target(pc, off))
    }

    /// The slots that may be executed after this instruction at `pc`, inside of its function.
    pub fn successors(&self, pc: usize) -> [Option<usize>; 2] {
        let next = Some(pc + self.slots());
        match self {
            Insn::Exit => [None, None],
            Insn::Jump { .. } => [self.jump_target(pc), None],
            Insn::Branch { .. } | Insn::MayGoto { .. } => [next, self.jump_target(pc)],
            _ => [next, None],
        }
    }

    /// The slot of the function that a local call at `pc` enters.
    pub fn call_target(&self, pc: usize) -> Option<usize> {
        match self {
            Insn::CallLocal { off } => target(pc, *off),
            _ => None,
        }
    }

    /// Slots of the encoding: 2 for a 64-bit immediate load, otherwise 1.
    pub const fn slots(&self) -> usize {
        match self {
            Insn::LoadImm64 { .. } => 2,
            _ => 1,
        }
    }
}

fn target(pc: usize, off: i32) -> Option<usize> {
    pc.checked_add(1)?.checked_add_signed(isize::try_from(off).ok()?)
}
