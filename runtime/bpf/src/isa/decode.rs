//! From bytes to instructions. Every reserved encoding is an error that names the slot and the field.

use thiserror::Error;

use super::{
    AluOp, AtomicOp, ByteOrder, Cond, ExtBits, Imm64, Insn, Operand, Reg, SLOT_BYTES, Size, SwapBits, Width,
};

/// An encoding that is not defined.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("instruction {slot}: {kind}")]
pub struct DecodeError {
    /// The slot, counted from the start of the program.
    pub slot: usize,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// What is wrong with an encoding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum DecodeErrorKind {
    /// The program's length is not a multiple of 8.
    #[error("the program has {len} bytes, which is not a multiple of {SLOT_BYTES}")]
    Length { len: usize },
    /// No instruction has this opcode.
    #[error("opcode {opcode:#04x} is not defined")]
    Opcode { opcode: u8 },
    /// Packet access instructions of classic BPF.
    #[error(
        "opcode {opcode:#04x} is a legacy packet access (BPF_ABS, BPF_IND), which is not supported; load through the packet pointer"
    )]
    LegacyPacket { opcode: u8 },
    /// A register above `r10`.
    #[error("{field} names register {number}, but registers are r0 to r10")]
    Register { field: &'static str, number: u8 },
    /// A field that the instruction does not use, or uses otherwise, has a reserved value.
    #[error("opcode {opcode:#04x} with {field} = {found}; expected {expected}")]
    Field { opcode: u8, field: &'static str, found: i64, expected: &'static str },
    /// A 64-bit immediate load in the last slot.
    #[error("a 64-bit immediate load needs a second slot, but the program ends")]
    MissingHighHalf,
}

/// Decodes a program of little-endian 8-byte slots.
///
/// # Errors
/// The first slot whose encoding is reserved. An empty program decodes to no instructions.
pub fn decode(bytes: &[u8]) -> Result<Vec<Insn>, DecodeError> {
    let (slots, rest) = bytes.as_chunks::<SLOT_BYTES>();
    if !rest.is_empty() {
        return Err(DecodeError { slot: slots.len(), kind: DecodeErrorKind::Length { len: bytes.len() } });
    }
    decode_slots(slots)
}

/// Decodes a program of 8-byte slots; see [`decode`].
///
/// # Errors
/// As [`decode`].
pub fn decode_slots(slots: &[[u8; SLOT_BYTES]]) -> Result<Vec<Insn>, DecodeError> {
    let mut insns = Vec::with_capacity(slots.len());
    while insns.len() < slots.len() {
        let slot = insns.len();
        let raw = Raw::new(slots[slot]);
        let insn = if raw.opcode == OP_LD_IMM64 {
            let high = slots.get(slot + 1).map(|&bytes| Raw::new(bytes));
            raw.load_imm64(high)
        } else {
            raw.one_slot()
        }
        .map_err(|kind| DecodeError { slot, kind })?;
        insns.push(insn);
        if insn.slots() == 2 {
            insns.push(Insn::HighHalf);
        }
    }
    Ok(insns)
}

const OP_LD_IMM64: u8 = 0x18;

/// The fields of a slot (RFC 9669 section 3.1), not yet judged.
struct Raw {
    opcode: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

type Decoded<T = Insn> = Result<T, DecodeErrorKind>;

impl Raw {
    fn new([opcode, regs, o0, o1, i0, i1, i2, i3]: [u8; SLOT_BYTES]) -> Raw {
        Raw {
            opcode,
            dst: regs & 0xf,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    fn one_slot(&self) -> Decoded {
        match self.opcode & 0x07 {
            0x00 => match self.opcode & 0xe0 {
                0x20 | 0x40 => Err(DecodeErrorKind::LegacyPacket { opcode: self.opcode }),
                _ => self.undefined(),
            },
            0x01 => self.load(),
            0x02 => self.store_imm(),
            0x03 => self.store_reg(),
            0x04 => self.alu(Width::W32),
            0x05 => self.jump(Width::W64),
            0x06 => self.jump(Width::W32),
            _ => self.alu(Width::W64),
        }
    }

    fn load_imm64(&self, high: Option<Raw>) -> Decoded {
        let dst = self.dst()?;
        self.zero("offset", i64::from(self.off))?;
        let high = high.ok_or(DecodeErrorKind::MissingHighHalf)?;
        for (field, value) in [
            ("opcode of the second slot", i64::from(high.opcode)),
            ("dst_reg of the second slot", i64::from(high.dst)),
            ("src_reg of the second slot", i64::from(high.src)),
            ("offset of the second slot", i64::from(high.off)),
        ] {
            self.zero(field, value)?;
        }
        let low = self.imm.cast_unsigned();
        let next = high.imm.cast_unsigned();
        if matches!(self.src, 1 | 3 | 4 | 5) {
            self.zero("imm of the second slot", i64::from(high.imm))?;
        }
        let imm = match self.src {
            0 => Imm64::Value(u64::from(next) << 32 | u64::from(low)),
            1 => Imm64::Map(low),
            2 => Imm64::MapValue { map: low, off: next },
            3 => Imm64::Variable(low),
            4 => Imm64::Code(self.imm),
            5 => Imm64::MapIndex(low),
            6 => Imm64::MapIndexValue { map: low, off: next },
            found => return self.reserved("src_reg", i64::from(found), "0 to 6"),
        };
        Ok(Insn::LoadImm64 { dst, imm })
    }

    fn alu(&self, width: Width) -> Decoded {
        let dst = self.dst()?;
        let with_reg = self.opcode & 0x08 != 0;
        let op = match self.opcode & 0xf0 {
            0x00 => AluOp::Add,
            0x10 => AluOp::Sub,
            0x20 => AluOp::Mul,
            0x30 | 0x90 => return self.division(width, dst),
            0x40 => AluOp::Or,
            0x50 => AluOp::And,
            0x60 => AluOp::Lsh,
            0x70 => AluOp::Rsh,
            0x80 if !with_reg => {
                self.zero("src_reg", i64::from(self.src))?;
                self.zero("offset", i64::from(self.off))?;
                self.zero("imm", i64::from(self.imm))?;
                return Ok(Insn::Neg { width, dst });
            }
            0xa0 => AluOp::Xor,
            0xb0 if with_reg && self.off != 0 => return self.mov_sx(width, dst),
            0xb0 => AluOp::Mov,
            0xc0 => AluOp::Arsh,
            0xd0 => return self.swap(width, dst),
            _ => return self.undefined(),
        };
        self.zero("offset", i64::from(self.off))?;
        Ok(Insn::Alu { width, op, dst, src: self.operand()? })
    }

    fn division(&self, width: Width, dst: Reg) -> Decoded {
        let op = match (self.opcode & 0xf0, self.off) {
            (0x30, 0) => AluOp::Div,
            (0x30, 1) => AluOp::Sdiv,
            (_, 0) => AluOp::Mod,
            (_, 1) => AluOp::Smod,
            (_, off) => return self.reserved("offset", i64::from(off), "0 (unsigned) or 1 (signed)"),
        };
        Ok(Insn::Alu { width, op, dst, src: self.operand()? })
    }

    fn mov_sx(&self, width: Width, dst: Reg) -> Decoded {
        let from = match (self.off, width) {
            (8, _) => ExtBits::B8,
            (16, _) => ExtBits::B16,
            (32, Width::W64) => ExtBits::B32,
            (off, _) => return self.reserved("offset", i64::from(off), "0, 8, 16, or with 64 bits 32"),
        };
        self.zero("imm", i64::from(self.imm))?;
        Ok(Insn::MovSx { width, from, dst, src: self.src()? })
    }

    fn swap(&self, width: Width, dst: Reg) -> Decoded {
        let order = match (width, self.opcode & 0x08) {
            (Width::W32, 0) => ByteOrder::Le,
            (Width::W32, _) => ByteOrder::Be,
            (Width::W64, 0) => ByteOrder::Swap,
            (Width::W64, _) => return self.undefined(),
        };
        self.zero("src_reg", i64::from(self.src))?;
        self.zero("offset", i64::from(self.off))?;
        let bits = match self.imm {
            16 => SwapBits::B16,
            32 => SwapBits::B32,
            64 => SwapBits::B64,
            imm => return self.reserved("imm", i64::from(imm), "16, 32 or 64"),
        };
        Ok(Insn::Swap { order, bits, dst })
    }

    fn load(&self) -> Decoded {
        let signed = match self.opcode & 0xe0 {
            0x60 => false,
            0x80 if self.opcode & 0x18 != 0x18 => true,
            _ => return self.undefined(),
        };
        self.zero("imm", i64::from(self.imm))?;
        Ok(Insn::Load { size: self.size(), signed, dst: self.dst()?, base: self.src()?, off: self.off })
    }

    fn store_imm(&self) -> Decoded {
        if self.opcode & 0xe0 != 0x60 {
            return self.undefined();
        }
        self.zero("src_reg", i64::from(self.src))?;
        Ok(Insn::Store { size: self.size(), base: self.dst()?, off: self.off, src: Operand::Imm(self.imm) })
    }

    fn store_reg(&self) -> Decoded {
        match self.opcode & 0xe0 {
            0x60 => {
                self.zero("imm", i64::from(self.imm))?;
                let src = Operand::Reg(self.src()?);
                Ok(Insn::Store { size: self.size(), base: self.dst()?, off: self.off, src })
            }
            0xc0 => self.atomic(),
            _ => self.undefined(),
        }
    }

    fn atomic(&self) -> Decoded {
        let width = match self.size() {
            Size::W => Width::W32,
            Size::Dw => Width::W64,
            Size::B | Size::H => return self.undefined(),
        };
        let fetch = self.imm & 1 != 0;
        let op = match self.imm {
            0x00 | 0x01 => AtomicOp::Add { fetch },
            0x40 | 0x41 => AtomicOp::Or { fetch },
            0x50 | 0x51 => AtomicOp::And { fetch },
            0xa0 | 0xa1 => AtomicOp::Xor { fetch },
            0xe1 => AtomicOp::Xchg,
            0xf1 => AtomicOp::Cmpxchg,
            imm => {
                return self.reserved(
                    "imm",
                    i64::from(imm),
                    "an atomic operation (0x00, 0x40, 0x50, 0xa0, each with or without 0x01, 0xe1, 0xf1)",
                );
            }
        };
        Ok(Insn::Atomic { width, op, base: self.dst()?, off: self.off, src: self.src()? })
    }

    fn jump(&self, width: Width) -> Decoded {
        let cond = match self.opcode & 0xf0 {
            0x00 => return self.goto(width),
            0x10 => Cond::Eq,
            0x20 => Cond::Gt,
            0x30 => Cond::Ge,
            0x40 => Cond::Set,
            0x50 => Cond::Ne,
            0x60 => Cond::Sgt,
            0x70 => Cond::Sge,
            0x80 if width == Width::W64 => return self.call(),
            0x90 if self.opcode == 0x95 => {
                self.only_opcode()?;
                return Ok(Insn::Exit);
            }
            0xa0 => Cond::Lt,
            0xb0 => Cond::Le,
            0xc0 => Cond::Slt,
            0xd0 => Cond::Sle,
            0xe0 if self.opcode == 0xe5 => return self.may_goto(),
            _ => return self.undefined(),
        };
        Ok(Insn::Branch { width, cond, dst: self.dst()?, src: self.operand()?, off: self.off })
    }

    fn may_goto(&self) -> Decoded {
        self.zero("dst_reg", i64::from(self.dst))?;
        self.zero("src_reg", i64::from(self.src))?;
        self.zero("imm", i64::from(self.imm))?;
        Ok(Insn::MayGoto { off: self.off })
    }

    fn goto(&self, width: Width) -> Decoded {
        if self.opcode & 0x08 != 0 {
            return self.undefined();
        }
        self.zero("dst_reg", i64::from(self.dst))?;
        self.zero("src_reg", i64::from(self.src))?;
        match width {
            Width::W64 => {
                self.zero("imm", i64::from(self.imm))?;
                Ok(Insn::Jump { off: i32::from(self.off), long: false })
            }
            Width::W32 => {
                self.zero("offset", i64::from(self.off))?;
                Ok(Insn::Jump { off: self.imm, long: true })
            }
        }
    }

    fn call(&self) -> Decoded {
        self.zero("offset", i64::from(self.off))?;
        if self.opcode & 0x08 != 0 {
            self.zero("src_reg", i64::from(self.src))?;
            self.zero("imm", i64::from(self.imm))?;
            return Ok(Insn::CallReg { target: self.dst()? });
        }
        self.zero("dst_reg", i64::from(self.dst))?;
        match self.src {
            0 => Ok(Insn::CallHelper { helper: self.imm.cast_unsigned() }),
            1 => Ok(Insn::CallLocal { off: self.imm }),
            2 => Ok(Insn::CallBtf { btf_id: self.imm.cast_unsigned() }),
            src => self.reserved("src_reg", i64::from(src), "0 (helper), 1 (local function) or 2 (BTF id)"),
        }
    }

    fn only_opcode(&self) -> Decoded<()> {
        self.zero("dst_reg", i64::from(self.dst))?;
        self.zero("src_reg", i64::from(self.src))?;
        self.zero("offset", i64::from(self.off))?;
        self.zero("imm", i64::from(self.imm))
    }

    fn operand(&self) -> Decoded<Operand> {
        if self.opcode & 0x08 != 0 {
            self.zero("imm", i64::from(self.imm))?;
            Ok(Operand::Reg(self.src()?))
        } else {
            self.zero("src_reg", i64::from(self.src))?;
            Ok(Operand::Imm(self.imm))
        }
    }

    fn size(&self) -> Size {
        match self.opcode & 0x18 {
            0x00 => Size::W,
            0x08 => Size::H,
            0x10 => Size::B,
            _ => Size::Dw,
        }
    }

    fn dst(&self) -> Decoded<Reg> {
        Reg::new(self.dst).ok_or(DecodeErrorKind::Register { field: "dst_reg", number: self.dst })
    }

    fn src(&self) -> Decoded<Reg> {
        Reg::new(self.src).ok_or(DecodeErrorKind::Register { field: "src_reg", number: self.src })
    }

    fn zero(&self, field: &'static str, found: i64) -> Decoded<()> {
        if found == 0 { Ok(()) } else { self.reserved(field, found, "0") }
    }

    fn reserved<T>(&self, field: &'static str, found: i64, expected: &'static str) -> Decoded<T> {
        Err(DecodeErrorKind::Field { opcode: self.opcode, field, found, expected })
    }

    fn undefined<T>(&self) -> Decoded<T> {
        Err(DecodeErrorKind::Opcode { opcode: self.opcode })
    }
}
