//! What each arithmetic instruction and comparison computes (RFC 9669 section 4), as total functions on `u64`.
//!
//! The interpreter runs on these, and the verifier folds constants with them, so the two cannot differ.

use crate::isa::{AluOp, ByteOrder, Cond, ExtBits, SwapBits, Width};

/// `dst op src`. In 32 bits only the lower halves count, and the result is zero-extended.
pub fn alu(width: Width, op: AluOp, dst: u64, src: u64) -> u64 {
    match width {
        Width::W64 => alu64(op, dst, src),
        Width::W32 => u64::from(alu32(op, dst as u32, src as u32)),
    }
}

fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::Sdiv if src == 0 => 0,
        AluOp::Sdiv => dst.cast_signed().wrapping_div(src.cast_signed()).cast_unsigned(),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Lsh => dst.wrapping_shl(src as u32),
        AluOp::Rsh => dst.wrapping_shr(src as u32),
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::Smod if src == 0 => dst,
        AluOp::Smod => dst.cast_signed().wrapping_rem(src.cast_signed()).cast_unsigned(),
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => dst.cast_signed().wrapping_shr(src as u32).cast_unsigned(),
    }
}

fn alu32(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::Sdiv if src == 0 => 0,
        AluOp::Sdiv => dst.cast_signed().wrapping_div(src.cast_signed()).cast_unsigned(),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Lsh => dst.wrapping_shl(src),
        AluOp::Rsh => dst.wrapping_shr(src),
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::Smod if src == 0 => dst,
        AluOp::Smod => dst.cast_signed().wrapping_rem(src.cast_signed()).cast_unsigned(),
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => dst.cast_signed().wrapping_shr(src).cast_unsigned(),
    }
}

/// Two's complement negation.
pub fn neg(width: Width, value: u64) -> u64 {
    match width {
        Width::W64 => value.wrapping_neg(),
        Width::W32 => u64::from((value as u32).wrapping_neg()),
    }
}

/// The low `from` bits, sign-extended to `width`, then zero-extended.
pub fn mov_sx(width: Width, from: ExtBits, value: u64) -> u64 {
    let extended = match from {
        ExtBits::B8 => i64::from(value as i8),
        ExtBits::B16 => i64::from(value as i16),
        ExtBits::B32 => i64::from(value as i32),
    };
    match width {
        Width::W64 => extended.cast_unsigned(),
        Width::W32 => u64::from(extended as u32),
    }
}

/// The low `bits` of `value` with their bytes reordered, zero-extended. Memory is little-endian.
pub fn swap(order: ByteOrder, bits: SwapBits, value: u64) -> u64 {
    match (order, bits) {
        (ByteOrder::Le, SwapBits::B16) => u64::from(value as u16),
        (ByteOrder::Le, SwapBits::B32) => u64::from(value as u32),
        (ByteOrder::Le, SwapBits::B64) => value,
        (ByteOrder::Be | ByteOrder::Swap, SwapBits::B16) => u64::from((value as u16).swap_bytes()),
        (ByteOrder::Be | ByteOrder::Swap, SwapBits::B32) => u64::from((value as u32).swap_bytes()),
        (ByteOrder::Be | ByteOrder::Swap, SwapBits::B64) => value.swap_bytes(),
    }
}

/// Whether `dst cond src` holds, in the given width.
pub fn holds(width: Width, cond: Cond, dst: u64, src: u64) -> bool {
    let (u, v, s, t) = match width {
        Width::W64 => (dst, src, dst.cast_signed(), src.cast_signed()),
        Width::W32 => {
            (u64::from(dst as u32), u64::from(src as u32), i64::from(dst as i32), i64::from(src as i32))
        }
    };
    match cond {
        Cond::Eq => u == v,
        Cond::Ne => u != v,
        Cond::Gt => u > v,
        Cond::Ge => u >= v,
        Cond::Lt => u < v,
        Cond::Le => u <= v,
        Cond::Set => u & v != 0,
        Cond::Sgt => s > t,
        Cond::Sge => s >= t,
        Cond::Slt => s < t,
        Cond::Sle => s <= t,
    }
}

/// An immediate operand as the operation sees it: sign-extended (the upper half is ignored in 32 bits).
pub fn immediate(imm: i32) -> u64 {
    i64::from(imm).cast_unsigned()
}
