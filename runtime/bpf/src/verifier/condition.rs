//! What a comparison tells of its operands.
//!
//! What holds here: if `x` in `a` and `y` in `b` satisfy the condition, then they are in the sets that [`assume`] gives;
//! `None` means that no pair satisfies it.

use super::scalar::{Bounds, Scalar};
use crate::{
    isa::{Cond, Width},
    semantics,
};

/// The operands if `a cond b` is known to hold (`taken`) or not to hold.
pub(crate) fn assume(
    width: Width,
    cond: Cond,
    taken: bool,
    a: &Scalar,
    b: &Scalar,
) -> Option<(Scalar, Scalar)> {
    if let (Some(x), Some(y)) = (a.as_constant(), b.as_constant()) {
        return (semantics::holds(width, cond, x, y) == taken).then_some((*a, *b));
    }
    let cond = if taken {
        cond
    } else {
        match cond.negated() {
            Some(negated) => negated,
            None => return assume_clear(width, a, b),
        }
    };
    let (mut a, mut b) = (*a, *b);
    match cond {
        Cond::Set => return assume_set(width, &a, &b),
        Cond::Eq if width == Width::W64 => {
            let both = a.intersect(&b)?;
            return Some((both, both));
        }
        Cond::Eq => {
            let both = a.low.intersect(b.low);
            (a.low, b.low) = (both, both);
            let known = a.known.low32().intersect(b.known.low32())?;
            for side in [&mut a, &mut b] {
                side.known.value = side.known.value & HIGH | known.value;
                side.known.mask = side.known.mask & HIGH | known.mask;
            }
        }
        Cond::Ne => {
            let (x, y) = (constant(width, &a), constant(width, &b));
            if x.is_some() && x == y {
                return None;
            }
            if let Some(y) = y {
                exclude(part(width, &mut a), bits(width), y);
            }
            if let Some(x) = x {
                exclude(part(width, &mut b), bits(width), x);
            }
        }
        Cond::Lt => below(part(width, &mut a), part(width, &mut b), true)?,
        Cond::Le => below(part(width, &mut a), part(width, &mut b), false)?,
        Cond::Gt => below(part(width, &mut b), part(width, &mut a), true)?,
        Cond::Ge => below(part(width, &mut b), part(width, &mut a), false)?,
        Cond::Slt => less(part(width, &mut a), part(width, &mut b), true)?,
        Cond::Sle => less(part(width, &mut a), part(width, &mut b), false)?,
        Cond::Sgt => less(part(width, &mut b), part(width, &mut a), true)?,
        Cond::Sge => less(part(width, &mut b), part(width, &mut a), false)?,
    }
    Some((a.settle()?, b.settle()?))
}

const HIGH: u64 = !(u32::MAX as u64);

fn bits(width: Width) -> u32 {
    width.bits()
}

fn part(width: Width, scalar: &mut Scalar) -> &mut Bounds {
    match width {
        Width::W64 => &mut scalar.wide,
        Width::W32 => &mut scalar.low,
    }
}

fn constant(width: Width, scalar: &Scalar) -> Option<u64> {
    match width {
        Width::W64 => scalar.as_constant(),
        Width::W32 => scalar.known.low32().is_constant().then_some(scalar.known.low32().value),
    }
}

/// Takes a number off an end of the ranges.
fn exclude(bounds: &mut Bounds, bits: u32, value: u64) {
    let Bounds { umin: unsigned, smin: signed, .. } = Bounds::constant(bits, value);
    if bounds.umin == unsigned {
        bounds.umin = bounds.umin.saturating_add(1);
    }
    if bounds.umax == unsigned {
        bounds.umax = bounds.umax.saturating_sub(1);
    }
    if bounds.smin == signed {
        bounds.smin = bounds.smin.saturating_add(1);
    }
    if bounds.smax == signed {
        bounds.smax = bounds.smax.saturating_sub(1);
    }
}

/// `a < b`, or `a <= b`, unsigned.
fn below(a: &mut Bounds, b: &mut Bounds, strict: bool) -> Option<()> {
    let step = u64::from(strict);
    a.umax = a.umax.min(b.umax.checked_sub(step)?);
    b.umin = b.umin.max(a.umin.checked_add(step)?);
    Some(())
}

/// `a < b`, or `a <= b`, signed.
fn less(a: &mut Bounds, b: &mut Bounds, strict: bool) -> Option<()> {
    let step = i64::from(strict);
    a.smax = a.smax.min(b.smax.checked_sub(step)?);
    b.smin = b.smin.max(a.smin.checked_add(step)?);
    Some(())
}

/// `a & b != 0`.
fn assume_set(width: Width, a: &Scalar, b: &Scalar) -> Option<(Scalar, Scalar)> {
    let common = masked(width, a.known.and(b.known).max());
    if common == 0 {
        return None;
    }
    // Only one bit can be the common one, so it is set in both.
    if common.is_power_of_two() {
        let set = |scalar: &Scalar| {
            let mut scalar = *scalar;
            scalar.known.value |= common;
            scalar.known.mask &= !common;
            scalar.settle()
        };
        return Some((set(a)?, set(b)?));
    }
    Some((*a, *b))
}

/// `a & b == 0`.
fn assume_clear(width: Width, a: &Scalar, b: &Scalar) -> Option<(Scalar, Scalar)> {
    let clear = |scalar: &Scalar, ones: u64| {
        if scalar.known.value & ones != 0 {
            return None;
        }
        let mut scalar = *scalar;
        scalar.known.mask &= !ones;
        scalar.settle()
    };
    Some((clear(a, masked(width, b.known.value))?, clear(b, masked(width, a.known.value))?))
}

fn masked(width: Width, value: u64) -> u64 {
    match width {
        Width::W64 => value,
        Width::W32 => value & !HIGH,
    }
}
