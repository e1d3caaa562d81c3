//! Tristate numbers: for each bit of a `u64` whether it is 0, 1 or unknown.
//!
//! What holds here: a known bit (`mask` 0) has its value in `value`, an unknown one has `value` 0. Every operation is
//! sound: if `x` is in `a` and `y` in `b`, then `x op y` is in `a op b`. The algorithms are those of Vishwanathan et al.,
//! "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022), as in Linux.

/// A set of numbers, given by its known bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Tnum {
    pub(crate) value: u64,
    pub(crate) mask: u64,
}

impl Tnum {
    pub(crate) const UNKNOWN: Tnum = Tnum { value: 0, mask: u64::MAX };

    pub(crate) const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// The smallest tnum with all of `min..=max`.
    pub(crate) fn range(min: u64, max: u64) -> Tnum {
        let differing = 64 - (min ^ max).leading_zeros();
        let mask = if differing == 64 { u64::MAX } else { (1 << differing) - 1 };
        Tnum { value: min & !mask, mask }
    }

    pub(crate) const fn is_constant(self) -> bool {
        self.mask == 0
    }

    pub(crate) const fn min(self) -> u64 {
        self.value
    }

    pub(crate) const fn max(self) -> u64 {
        self.value | self.mask
    }

    pub(crate) fn low32(self) -> Tnum {
        self.and(Tnum::constant(u64::from(u32::MAX)))
    }

    pub(crate) fn add(self, other: Tnum) -> Tnum {
        let sum_of_masks = self.mask.wrapping_add(other.mask);
        let sum = self.value.wrapping_add(other.value);
        let sigma = sum_of_masks.wrapping_add(sum);
        let mask = (sigma ^ sum) | self.mask | other.mask;
        Tnum { value: sum & !mask, mask }
    }

    pub(crate) fn sub(self, other: Tnum) -> Tnum {
        let difference = self.value.wrapping_sub(other.value);
        let alpha = difference.wrapping_add(self.mask);
        let beta = difference.wrapping_sub(other.mask);
        let mask = (alpha ^ beta) | self.mask | other.mask;
        Tnum { value: difference & !mask, mask }
    }

    pub(crate) fn and(self, other: Tnum) -> Tnum {
        let alpha = self.value | self.mask;
        let beta = other.value | other.mask;
        let value = self.value & other.value;
        Tnum { value, mask: alpha & beta & !value }
    }

    pub(crate) fn or(self, other: Tnum) -> Tnum {
        let value = self.value | other.value;
        let mask = self.mask | other.mask;
        Tnum { value, mask: mask & !value }
    }

    pub(crate) fn xor(self, other: Tnum) -> Tnum {
        let value = self.value ^ other.value;
        let mask = self.mask | other.mask;
        Tnum { value: value & !mask, mask }
    }

    /// Long multiplication over the bits of `self`.
    pub(crate) fn mul(self, other: Tnum) -> Tnum {
        let known = self.value.wrapping_mul(other.value);
        let (mut left, mut right) = (self, other);
        let mut unknown = Tnum::constant(0);
        while left.value != 0 || left.mask != 0 {
            if left.value & 1 != 0 {
                unknown = unknown.add(Tnum { value: 0, mask: right.mask });
            } else if left.mask & 1 != 0 {
                unknown = unknown.add(Tnum { value: 0, mask: right.value | right.mask });
            }
            left = left.shr(1);
            right = right.shl(1);
        }
        Tnum::constant(known).add(unknown)
    }

    /// Shift left by less than 64.
    pub(crate) fn shl(self, by: u32) -> Tnum {
        Tnum { value: self.value << by, mask: self.mask << by }
    }

    /// Logical shift right by less than 64.
    pub(crate) fn shr(self, by: u32) -> Tnum {
        Tnum { value: self.value >> by, mask: self.mask >> by }
    }

    /// Arithmetic shift right by less than 64.
    pub(crate) fn sar(self, by: u32) -> Tnum {
        let shift = |bits: u64| (bits.cast_signed() >> by).cast_unsigned();
        Tnum { value: shift(self.value) & !shift(self.mask), mask: shift(self.mask) }
    }

    /// The numbers in both; `None` if a bit is known to differ.
    pub(crate) fn intersect(self, other: Tnum) -> Option<Tnum> {
        if (self.value ^ other.value) & !self.mask & !other.mask != 0 {
            return None;
        }
        let mask = self.mask & other.mask;
        Some(Tnum { value: (self.value | other.value) & !mask, mask })
    }

    /// The numbers in either, and perhaps more.
    pub(crate) fn union(self, other: Tnum) -> Tnum {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Tnum { value: self.value & !mask, mask }
    }

    /// Whether all numbers of `other` are in `self`.
    pub(crate) fn includes(self, other: Tnum) -> bool {
        other.mask & !self.mask == 0 && other.value & !self.mask == self.value
    }

    #[cfg(test)]
    pub(crate) fn contains(self, x: u64) -> bool {
        x & !self.mask == self.value
    }
}
