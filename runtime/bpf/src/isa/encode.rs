//! From instructions to bytes: the inverse of [`super::decode`].

use super::{AluOp, AtomicOp, ByteOrder, Cond, Imm64, Insn, Operand, Reg, SLOT_BYTES, Size, Width};

/// Encodes a program as little-endian 8-byte slots. [`Insn::HighHalf`] adds nothing of its own: the load before it
/// writes both slots.
///
/// Combinations that the type allows but the encoding lacks (a sign-extending 8-byte load, a 32-bit move that
/// sign-extends 32 bits) encode to reserved patterns, which [`super::decode`] refuses; a short jump's offset is
/// truncated to 16 bits.
pub fn encode(insns: &[Insn]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(insns.len() * SLOT_BYTES);
    for insn in insns {
        if *insn == Insn::HighHalf {
            continue;
        }
        let (first, second) = slots(insn);
        bytes.extend_from_slice(&first);
        if let Some(second) = second {
            bytes.extend_from_slice(&second);
        }
    }
    bytes
}

type Slot = [u8; SLOT_BYTES];

fn slot(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Slot {
    let [o0, o1] = off.to_le_bytes();
    let [i0, i1, i2, i3] = imm.to_le_bytes();
    [opcode, dst | src << 4, o0, o1, i0, i1, i2, i3]
}

fn num(reg: Reg) -> u8 {
    reg.index() as u8
}

/// The source bit, the `src_reg` field and the immediate of an operand.
fn operand(src: Operand) -> (u8, u8, i32) {
    match src {
        Operand::Reg(reg) => (0x08, num(reg), 0),
        Operand::Imm(imm) => (0x00, 0, imm),
    }
}

fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => 0x04,
        Width::W64 => 0x07,
    }
}

fn size_bits(size: Size) -> u8 {
    match size {
        Size::W => 0x00,
        Size::H => 0x08,
        Size::B => 0x10,
        Size::Dw => 0x18,
    }
}

fn slots(insn: &Insn) -> (Slot, Option<Slot>) {
    let one = match *insn {
        Insn::Alu { width, op, dst, src } => {
            let (code, off) = alu_code(op);
            let (source, reg, imm) = operand(src);
            slot(code | source | alu_class(width), num(dst), reg, off, imm)
        }
        Insn::Neg { width, dst } => slot(0x80 | alu_class(width), num(dst), 0, 0, 0),
        Insn::MovSx { width, from, dst, src } => {
            slot(0xb8 | alu_class(width), num(dst), num(src), from.bits() as i16, 0)
        }
        Insn::Swap { order, bits, dst } => {
            let opcode = match order {
                ByteOrder::Le => 0xd4,
                ByteOrder::Be => 0xdc,
                ByteOrder::Swap => 0xd7,
            };
            slot(opcode, num(dst), 0, 0, bits.bits() as i32)
        }
        Insn::LoadImm64 { dst, imm } => return load_imm64(dst, imm),
        Insn::HighHalf => slot(0, 0, 0, 0, 0),
        Insn::Load { size, signed, dst, base, off } => {
            let mode = if signed { 0x80 } else { 0x60 };
            slot(0x01 | mode | size_bits(size), num(dst), num(base), off, 0)
        }
        Insn::Store { size, base, off, src } => {
            let (class, reg, imm) = match src {
                Operand::Imm(imm) => (0x02, 0, imm),
                Operand::Reg(reg) => (0x03, num(reg), 0),
            };
            slot(0x60 | class | size_bits(size), num(base), reg, off, imm)
        }
        Insn::Atomic { width, op, base, off, src } => {
            let size = match width {
                Width::W32 => Size::W,
                Width::W64 => Size::Dw,
            };
            slot(0xc3 | size_bits(size), num(base), num(src), off, atomic_code(op))
        }
        Insn::Jump { off, long: false } => slot(0x05, 0, 0, off as i16, 0),
        Insn::Jump { off, long: true } => slot(0x06, 0, 0, 0, off),
        Insn::Branch { width, cond, dst, src, off } => {
            let class = match width {
                Width::W32 => 0x06,
                Width::W64 => 0x05,
            };
            let (source, reg, imm) = operand(src);
            slot(cond_code(cond) | source | class, num(dst), reg, off, imm)
        }
        Insn::MayGoto { off } => slot(0xe5, 0, 0, off, 0),
        Insn::CallHelper { helper } => slot(0x85, 0, 0, 0, helper.cast_signed()),
        Insn::CallLocal { off } => slot(0x85, 0, 1, 0, off),
        Insn::CallBtf { btf_id } => slot(0x85, 0, 2, 0, btf_id.cast_signed()),
        Insn::CallReg { target } => slot(0x8d, num(target), 0, 0, 0),
        Insn::Exit => slot(0x95, 0, 0, 0, 0),
    };
    (one, None)
}

fn load_imm64(dst: Reg, imm: Imm64) -> (Slot, Option<Slot>) {
    let (src, low, high) = match imm {
        Imm64::Value(value) => (0, value as u32, (value >> 32) as u32),
        Imm64::Map(map) => (1, map, 0),
        Imm64::MapValue { map, off } => (2, map, off),
        Imm64::Variable(id) => (3, id, 0),
        Imm64::Code(off) => (4, off.cast_unsigned(), 0),
        Imm64::MapIndex(map) => (5, map, 0),
        Imm64::MapIndexValue { map, off } => (6, map, off),
    };
    (slot(0x18, num(dst), src, 0, low.cast_signed()), Some(slot(0, 0, 0, 0, high.cast_signed())))
}

/// The operation bits and the offset field.
fn alu_code(op: AluOp) -> (u8, i16) {
    match op {
        AluOp::Add => (0x00, 0),
        AluOp::Sub => (0x10, 0),
        AluOp::Mul => (0x20, 0),
        AluOp::Div => (0x30, 0),
        AluOp::Sdiv => (0x30, 1),
        AluOp::Or => (0x40, 0),
        AluOp::And => (0x50, 0),
        AluOp::Lsh => (0x60, 0),
        AluOp::Rsh => (0x70, 0),
        AluOp::Mod => (0x90, 0),
        AluOp::Smod => (0x90, 1),
        AluOp::Xor => (0xa0, 0),
        AluOp::Mov => (0xb0, 0),
        AluOp::Arsh => (0xc0, 0),
    }
}

fn atomic_code(op: AtomicOp) -> i32 {
    match op {
        AtomicOp::Add { fetch } => i32::from(fetch),
        AtomicOp::Or { fetch } => 0x40 | i32::from(fetch),
        AtomicOp::And { fetch } => 0x50 | i32::from(fetch),
        AtomicOp::Xor { fetch } => 0xa0 | i32::from(fetch),
        AtomicOp::Xchg => 0xe1,
        AtomicOp::Cmpxchg => 0xf1,
    }
}

fn cond_code(cond: Cond) -> u8 {
    match cond {
        Cond::Eq => 0x10,
        Cond::Gt => 0x20,
        Cond::Ge => 0x30,
        Cond::Set => 0x40,
        Cond::Ne => 0x50,
        Cond::Sgt => 0x60,
        Cond::Sge => 0x70,
        Cond::Lt => 0xa0,
        Cond::Le => 0xb0,
        Cond::Slt => 0xc0,
        Cond::Sle => 0xd0,
    }
}
