//! Arithmetic on sets of numbers: the abstract counterpart of [`crate::semantics`].
//!
//! What holds here: for `x` in `a` and `y` in `b`, `semantics::alu(w, op, x, y)` is in `alu(w, op, a, b)`.

use super::{
    scalar::{Bounds, Scalar},
    tnum::Tnum,
};
use crate::{
    isa::{AluOp, ByteOrder, ExtBits, SwapBits, Width},
    semantics,
};

/// `a op b`.
pub(crate) fn alu(width: Width, op: AluOp, a: &Scalar, b: &Scalar) -> Scalar {
    if let (Some(x), Some(y)) = (a.as_constant(), b.as_constant()) {
        return Scalar::constant(semantics::alu(width, op, x, y));
    }
    match width {
        Width::W64 => {
            let known = known_bits(64, op, a.known, b.known);
            let wide = bounds(64, op, a.wide, b.wide, known);
            let low = if low_depends_on_low_only(op) {
                bounds(32, op, a.low, b.low, known.low32())
            } else {
                Bounds::unknown(32)
            };
            settled(Scalar { known, wide, low })
        }
        Width::W32 => {
            let known = known_bits(32, op, a.known.low32(), b.known.low32()).low32();
            let low = bounds(32, op, a.low, b.low, known);
            zero_extended(known, low)
        }
    }
}

/// A set with only these lower halves, and upper halves of 0.
fn zero_extended(known: Tnum, low: Bounds) -> Scalar {
    let wide = Bounds { umin: low.umin, umax: low.umax, ..Bounds::unknown(64) };
    settled(Scalar { known, wide, low })
}

/// The operands are not empty, so the result is not; should the components still contradict each other, nothing is
/// claimed.
fn settled(scalar: Scalar) -> Scalar {
    scalar.settle().unwrap_or(Scalar::UNKNOWN)
}

/// The lower halves, zero-extended.
pub(crate) fn truncate_32(a: &Scalar) -> Scalar {
    if a.fits_32() { *a } else { zero_extended(a.known.low32(), a.low) }
}

/// `-a`.
pub(crate) fn neg(width: Width, a: &Scalar) -> Scalar {
    alu(width, AluOp::Sub, &Scalar::constant(0), a)
}

/// The low `from` bits, sign-extended to `width`.
pub(crate) fn mov_sx(width: Width, from: ExtBits, a: &Scalar) -> Scalar {
    let bits = from.bits();
    let part = alu(Width::W64, AluOp::And, a, &Scalar::constant(u64::MAX >> (64 - bits)));
    let sign = 1u64 << (bits - 1);
    let extended = if part.wide.umax < sign {
        part
    } else if part.wide.umin >= sign {
        alu(Width::W64, AluOp::Sub, &part, &Scalar::constant(sign << 1))
    } else if from == ExtBits::B32 {
        Scalar::signed(a.low.smin, a.low.smax).unwrap_or(Scalar::UNKNOWN)
    } else {
        let limit = sign.cast_signed();
        Scalar::signed(-limit, limit - 1).unwrap_or(Scalar::UNKNOWN)
    };
    match width {
        Width::W64 => extended,
        Width::W32 => truncate_32(&extended),
    }
}

/// The low `bits` with their bytes reordered.
pub(crate) fn swap(order: ByteOrder, bits: SwapBits, a: &Scalar) -> Scalar {
    if let Some(x) = a.as_constant() {
        return Scalar::constant(semantics::swap(order, bits, x));
    }
    if order == ByteOrder::Le {
        let mask = u64::MAX >> (64 - bits.bits());
        return alu(Width::W64, AluOp::And, a, &Scalar::constant(mask));
    }
    let known = Tnum {
        value: semantics::swap(order, bits, a.known.value),
        mask: semantics::swap(order, bits, a.known.mask),
    };
    settled(Scalar { known, ..Scalar::UNKNOWN })
}

fn low_depends_on_low_only(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor | AluOp::Mov)
}

fn shift_amount(bits: u32, b: Tnum) -> Option<u32> {
    let amount = b.and(Tnum::constant(u64::from(bits - 1)));
    amount.is_constant().then_some(amount.value as u32)
}

fn known_bits(bits: u32, op: AluOp, a: Tnum, b: Tnum) -> Tnum {
    match op {
        AluOp::Add => a.add(b),
        AluOp::Sub => a.sub(b),
        AluOp::Mul => a.mul(b),
        AluOp::And => a.and(b),
        AluOp::Or => a.or(b),
        AluOp::Xor => a.xor(b),
        AluOp::Mov => b,
        AluOp::Lsh => shift_amount(bits, b).map_or(Tnum::UNKNOWN, |by| a.shl(by)),
        AluOp::Rsh => shift_amount(bits, b).map_or(Tnum::UNKNOWN, |by| a.shr(by)),
        AluOp::Arsh => shift_amount(bits, b).map_or(Tnum::UNKNOWN, |by| {
            // A 32-bit number is moved to the top, so that its sign bit is the shift's.
            let up = 64 - bits;
            a.shl(up).sar(by).shr(up)
        }),
        AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod => Tnum::UNKNOWN,
    }
}

/// The ranges of `a op b` in `bits` bits, given the known bits of the result.
fn bounds(bits: u32, op: AluOp, a: Bounds, b: Bounds, known: Tnum) -> Bounds {
    let limits = Bounds::unknown(bits);
    let unsigned = |min: i128, max: i128| {
        let fits = min >= 0 && max <= i128::from(limits.umax);
        if fits { (min as u64, max as u64) } else { (limits.umin, limits.umax) }
    };
    let signed = |min: i128, max: i128| {
        let fits = min >= i128::from(limits.smin) && max <= i128::from(limits.smax);
        if fits { (min as i64, max as i64) } else { (limits.smin, limits.smax) }
    };
    let [aumin, aumax, bumin, bumax] = [a.umin, a.umax, b.umin, b.umax].map(i128::from);
    let [asmin, asmax, bsmin, bsmax] = [a.smin, a.smax, b.smin, b.smax].map(i128::from);
    let ((umin, umax), (smin, smax)) = match op {
        AluOp::Add => (unsigned(aumin + bumin, aumax + bumax), signed(asmin + bsmin, asmax + bsmax)),
        AluOp::Sub => (unsigned(aumin - bumax, aumax - bumin), signed(asmin - bsmax, asmax - bsmin)),
        AluOp::Mul => {
            let unsigned = match a.umax.checked_mul(b.umax) {
                Some(max) if max <= limits.umax => (a.umin * b.umin, max),
                _ => (limits.umin, limits.umax),
            };
            let corners = [asmin * bsmin, asmin * bsmax, asmax * bsmin, asmax * bsmax];
            let min = corners.iter().fold(i128::MAX, |least, &corner| least.min(corner));
            let max = corners.iter().fold(i128::MIN, |most, &corner| most.max(corner));
            (unsigned, signed(min, max))
        }
        AluOp::And => ((known.min(), a.umax.min(b.umax)), (limits.smin, limits.smax)),
        AluOp::Or => ((a.umin.max(b.umin), known.max().min(limits.umax)), (limits.smin, limits.smax)),
        AluOp::Mov => return b,
        AluOp::Div => (quotient(a, b), (limits.smin, limits.smax)),
        AluOp::Mod => (remainder(a, b), (limits.smin, limits.smax)),
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => return shifted(bits, op, a, b),
        AluOp::Xor | AluOp::Sdiv | AluOp::Smod => return limits,
    };
    Bounds { umin, umax, smin, smax }
}

/// Division by zero gives 0.
fn quotient(a: Bounds, b: Bounds) -> (u64, u64) {
    match (a.umin.checked_div(b.umax), a.umax.checked_div(b.umin)) {
        (Some(min), Some(max)) => (min, max),
        _ => (0, a.umax),
    }
}

/// Modulo zero gives the dividend.
fn remainder(a: Bounds, b: Bounds) -> (u64, u64) {
    if a.umax < b.umin {
        (a.umin, a.umax)
    } else if b.umin > 0 {
        (0, a.umax.min(b.umax - 1))
    } else {
        (0, a.umax)
    }
}

fn shifted(bits: u32, op: AluOp, a: Bounds, b: Bounds) -> Bounds {
    let limits = Bounds::unknown(bits);
    if b.umax >= u64::from(bits) {
        return limits;
    }
    let (least, most) = (b.umin as u32, b.umax as u32);
    match op {
        AluOp::Lsh => {
            let max = u128::from(a.umax) << most;
            if max <= u128::from(limits.umax) {
                Bounds { umin: a.umin << least, umax: max as u64, ..limits }
            } else {
                limits
            }
        }
        AluOp::Rsh => Bounds { umin: a.umin >> most, umax: a.umax >> least, ..limits },
        _ => {
            let smin = if a.smin < 0 { a.smin >> least } else { a.smin >> most };
            let smax = if a.smax < 0 { a.smax >> most } else { a.smax >> least };
            Bounds { smin, smax, ..limits }
        }
    }
}

/// Whether every number in the set is a multiple of `bytes` (a power of two).
pub(crate) fn is_aligned(a: &Scalar, bytes: u32) -> bool {
    let low = u64::from(bytes) - 1;
    (a.known.value | a.known.mask) & low == 0
}
