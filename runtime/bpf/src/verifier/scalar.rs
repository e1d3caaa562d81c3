//! Sets of numbers: what the verifier knows of a register that holds no pointer.
//!
//! A [`Scalar`] is the intersection of five sets: a tristate number, an unsigned and a signed range of the whole, and
//! an unsigned and a signed range of the lower half. What holds here:
//! - A scalar is never empty; an operation whose result would be gives `None` (the path is impossible).
//! - [`Scalar::settle`] has been applied: what one component implies for another is there (as far as it goes).
//! - Everything is an over-approximation; `tests` check it against concrete numbers.

use super::tnum::Tnum;
use crate::isa::Size;

/// Unsigned and signed range of an `N`-bit number; `i64` and `u64` hold the 32-bit one too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Bounds {
    pub(crate) umin: u64,
    pub(crate) umax: u64,
    pub(crate) smin: i64,
    pub(crate) smax: i64,
}

impl Bounds {
    pub(crate) const fn unknown(bits: u32) -> Bounds {
        Bounds {
            umin: 0,
            umax: u64::MAX >> (64 - bits),
            smin: i64::MIN >> (64 - bits),
            smax: i64::MAX >> (64 - bits),
        }
    }

    pub(crate) const fn constant(bits: u32, value: u64) -> Bounds {
        let unsigned = value << (64 - bits) >> (64 - bits);
        let signed = (value << (64 - bits)).cast_signed() >> (64 - bits);
        Bounds { umin: unsigned, umax: unsigned, smin: signed, smax: signed }
    }

    pub(crate) fn intersect(self, other: Bounds) -> Bounds {
        Bounds {
            umin: self.umin.max(other.umin),
            umax: self.umax.min(other.umax),
            smin: self.smin.max(other.smin),
            smax: self.smax.min(other.smax),
        }
    }

    fn union(self, other: Bounds) -> Bounds {
        Bounds {
            umin: self.umin.min(other.umin),
            umax: self.umax.max(other.umax),
            smin: self.smin.min(other.smin),
            smax: self.smax.max(other.smax),
        }
    }

    fn includes(self, other: Bounds) -> bool {
        self.umin <= other.umin
            && self.umax >= other.umax
            && self.smin <= other.smin
            && self.smax >= other.smax
    }

    const fn is_empty(self) -> bool {
        self.umin > self.umax || self.smin > self.smax
    }

    /// Lets the unsigned range narrow the signed one and the other way round.
    fn deduce(&mut self, bits: u32) {
        let signed = |value: u64| (value << (64 - bits)).cast_signed() >> (64 - bits);
        let unsigned = |value: i64| value.cast_unsigned() << (64 - bits) >> (64 - bits);
        if signed(self.umin) <= signed(self.umax) {
            self.smin = self.smin.max(signed(self.umin));
            self.smax = self.smax.min(signed(self.umax));
        }
        if unsigned(self.smin) <= unsigned(self.smax) {
            self.umin = self.umin.max(unsigned(self.smin));
            self.umax = self.umax.min(unsigned(self.smax));
        }
    }

    /// Lets known bits narrow both ranges.
    fn narrow_by(&mut self, bits: u32, known: Tnum) {
        let sign = 1 << (bits - 1);
        let extend = |value: u64| (value << (64 - bits)).cast_signed() >> (64 - bits);
        self.umin = self.umin.max(known.min());
        self.umax = self.umax.min(known.max());
        self.smin = self.smin.max(extend(known.value | (known.mask & sign)));
        self.smax = self.smax.min(extend(known.value | (known.mask & !sign)));
    }
}

/// A set of 64-bit numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Scalar {
    pub(crate) known: Tnum,
    pub(crate) wide: Bounds,
    pub(crate) low: Bounds,
}

const LOW: u64 = u32::MAX as u64;

impl Scalar {
    pub(crate) const UNKNOWN: Scalar =
        Scalar { known: Tnum::UNKNOWN, wide: Bounds::unknown(64), low: Bounds::unknown(32) };

    pub(crate) const fn constant(value: u64) -> Scalar {
        Scalar {
            known: Tnum::constant(value),
            wide: Bounds::constant(64, value),
            low: Bounds::constant(32, value),
        }
    }

    /// The numbers `min..=max`, unsigned.
    pub(crate) fn unsigned(min: u64, max: u64) -> Option<Scalar> {
        let wide = Bounds { umin: min, umax: max, ..Bounds::unknown(64) };
        Scalar { wide, ..Scalar::UNKNOWN }.settle()
    }

    /// The numbers `min..=max`, signed.
    pub(crate) fn signed(min: i64, max: i64) -> Option<Scalar> {
        let wide = Bounds { smin: min, smax: max, ..Bounds::unknown(64) };
        Scalar { wide, ..Scalar::UNKNOWN }.settle()
    }

    /// What a load of this size may give.
    pub(crate) fn of_size(size: Size, signed: bool) -> Scalar {
        let bits = 8 * size.bytes();
        let range = if signed && bits < 64 {
            let limit = 1 << (bits - 1);
            Scalar::signed(-limit, limit - 1)
        } else {
            Scalar::unsigned(0, u64::MAX >> (64 - bits))
        };
        range.unwrap_or(Scalar::UNKNOWN)
    }

    /// The only number in the set, if there is only one.
    pub(crate) fn as_constant(&self) -> Option<u64> {
        self.known.is_constant().then_some(self.known.value)
    }

    pub(crate) fn fits_32(&self) -> bool {
        self.wide.umax <= LOW
    }

    /// Lets the components narrow each other; `None` if the set is empty.
    pub(crate) fn settle(mut self) -> Option<Scalar> {
        // Twice: the second round carries over what the first one found late.
        for _ in 0..2 {
            let low_bits = self.known.low32();
            self.wide.narrow_by(64, self.known);
            self.low.narrow_by(32, low_bits);
            self.wide_to_low();
            self.wide.deduce(64);
            self.low.deduce(32);
            self.low_to_wide();
            self.wide.deduce(64);
            if self.wide.is_empty() || self.low.is_empty() {
                return None;
            }
            self.known = self.known.intersect(Tnum::range(self.wide.umin, self.wide.umax))?;
            let low_range = Tnum::range(self.low.umin, self.low.umax);
            self.known =
                self.known.intersect(Tnum { value: low_range.value, mask: low_range.mask | !LOW })?;
        }
        if self.known.is_constant() {
            let exact = Scalar::constant(self.known.value);
            return (self.wide.includes(exact.wide) && self.low.includes(exact.low)).then_some(exact);
        }
        Some(self)
    }

    fn wide_to_low(&mut self) {
        if self.wide.umin >> 32 == self.wide.umax >> 32 {
            self.low.umin = self.low.umin.max(self.wide.umin & LOW);
            self.low.umax = self.low.umax.min(self.wide.umax & LOW);
        }
        if self.wide.smin >= i64::from(i32::MIN) && self.wide.smax <= i64::from(i32::MAX) {
            self.low.smin = self.low.smin.max(self.wide.smin);
            self.low.smax = self.low.smax.min(self.wide.smax);
        }
    }

    fn low_to_wide(&mut self) {
        if self.wide.umin >> 32 == self.wide.umax >> 32 {
            let high = self.wide.umin & !LOW;
            self.wide.umin = self.wide.umin.max(high | self.low.umin);
            self.wide.umax = self.wide.umax.min(high | self.low.umax);
        }
        if self.wide.smin >= i64::from(i32::MIN) && self.wide.smax <= i64::from(i32::MAX) {
            self.wide.smin = self.wide.smin.max(self.low.smin);
            self.wide.smax = self.wide.smax.min(self.low.smax);
        }
    }

    /// The numbers in both.
    pub(crate) fn intersect(&self, other: &Scalar) -> Option<Scalar> {
        Scalar {
            known: self.known.intersect(other.known)?,
            wide: self.wide.intersect(other.wide),
            low: self.low.intersect(other.low),
        }
        .settle()
    }

    /// The numbers in either, and perhaps more.
    pub(crate) fn union(&self, other: &Scalar) -> Scalar {
        Scalar {
            known: self.known.union(other.known),
            wide: self.wide.union(other.wide),
            low: self.low.union(other.low),
        }
    }

    /// Whether all numbers of `other` are in `self`.
    pub(crate) fn includes(&self, other: &Scalar) -> bool {
        self.known.includes(other.known) && self.wide.includes(other.wide) && self.low.includes(other.low)
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, x: u64) -> bool {
        let wide = x.cast_signed();
        let low = i64::from(x as i32);
        self.known.contains(x)
            && (self.wide.umin..=self.wide.umax).contains(&x)
            && (self.wide.smin..=self.wide.smax).contains(&wide)
            && (self.low.umin..=self.low.umax).contains(&(x & LOW))
            && (self.low.smin..=self.low.smax).contains(&low)
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bounds { umin, umax, smin, smax } = self.wide;
        if let Some(value) = self.as_constant() {
            write!(f, "{}", value.cast_signed())
        } else if *self == Scalar::UNKNOWN {
            f.write_str("any number")
        } else if umax <= i64::MAX.cast_unsigned() {
            write!(f, "{umin}..={umax}")
        } else if (smin, smax) != (i64::MIN, i64::MAX) {
            write!(f, "{smin}..={smax}")
        } else if (umin, umax) != (0, u64::MAX) {
            write!(f, "{umin}..={umax}")
        } else {
            f.write_str("a number with some bits known")
        }
    }
}
