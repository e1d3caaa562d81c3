//! Ranges of whole numbers and how operators move them.
//!
//! Bounds are mathematical numbers kept in `i128`; arithmetic on bounds saturates there, far beyond what any value may
//! have, so a saturated bound never looks like one that fits. A range is never empty.

use std::fmt;

/// All numbers from `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Range {
    /// The least number.
    pub min: i128,
    /// The greatest number, at least `min`.
    pub max: i128,
}

#[expect(clippy::should_implement_trait, reason = "signs would hide that bounds saturate")]
impl Range {
    /// The greatest range that a value may have at run time when it is never negative.
    pub const U64: Range = Range { min: 0, max: u64::MAX as i128 };
    /// The greatest range that a value may have at run time when it can be negative.
    pub const I64: Range = Range { min: i64::MIN as i128, max: i64::MAX as i128 };

    /// From `min` to `max`; the bounds are swapped where they stand the wrong way.
    pub fn new(min: i128, max: i128) -> Range {
        Range { min: min.min(max), max: min.max(max) }
    }

    /// One number.
    pub fn one(value: i128) -> Range {
        Range { min: value, max: value }
    }

    /// What an unsigned number of so many bits (at most 64) can be.
    pub fn of_bits(bits: u8) -> Range {
        Range { min: 0, max: (1i128 << bits.min(64)) - 1 }
    }

    /// How many bits an unsigned number needs for the greatest value; 64 at most.
    pub fn bits(self) -> u8 {
        let magnitude = self.max.max(0) as u128;
        (128 - magnitude.leading_zeros()).min(64) as u8
    }

    /// The only number in the range, if there is one.
    pub fn single(self) -> Option<i128> {
        (self.min == self.max).then_some(self.min)
    }

    /// Whether a 64-bit word can hold every number of the range, signed or unsigned.
    pub fn fits_word(self) -> bool {
        self.within(Range::U64) || self.within(Range::I64)
    }

    /// Whether every number of this range is in `outer`.
    pub fn within(self, outer: Range) -> bool {
        outer.min <= self.min && self.max <= outer.max
    }

    /// Whether the number is in the range.
    pub fn contains(self, value: i128) -> bool {
        self.min <= value && value <= self.max
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn join(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// What is in both, if anything.
    pub fn meet(self, other: Range) -> Option<Range> {
        let (min, max) = (self.min.max(other.min), self.max.min(other.max));
        (min <= max).then_some(Range { min, max })
    }

    /// The sums.
    #[must_use]
    pub fn add(self, other: Range) -> Range {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    /// The differences.
    #[must_use]
    pub fn sub(self, other: Range) -> Range {
        Range { min: self.min.saturating_sub(other.max), max: self.max.saturating_sub(other.min) }
    }

    /// The products.
    #[must_use]
    pub fn mul(self, other: Range) -> Range {
        let products = [
            self.min.saturating_mul(other.min),
            self.min.saturating_mul(other.max),
            self.max.saturating_mul(other.min),
            self.max.saturating_mul(other.max),
        ];
        Range {
            min: products.into_iter().fold(i128::MAX, i128::min),
            max: products.into_iter().fold(i128::MIN, i128::max),
        }
    }

    /// The quotients, of ranges without negative numbers and without 0 in `other`.
    #[must_use]
    pub fn div(self, other: Range) -> Range {
        Range::new(self.min / other.max.max(1), self.max / other.min.max(1))
    }

    /// The remainders, of ranges without negative numbers and without 0 in `other`.
    #[must_use]
    pub fn rem(self, other: Range) -> Range {
        if self.max < other.min {
            return self;
        }
        Range { min: 0, max: self.max.min(other.max - 1).max(0) }
    }

    /// `self << other`, of ranges without negative numbers.
    #[must_use]
    pub fn shl(self, other: Range) -> Range {
        let shift = |value: i128, by: i128| {
            let by = by.clamp(0, 126) as u32;
            if value != 0 && value.leading_zeros() <= by + 1 { i128::MAX } else { value << by }
        };
        Range::new(shift(self.min, other.min), shift(self.max, other.max))
    }

    /// `self >> other`, of ranges without negative numbers.
    #[must_use]
    pub fn shr(self, other: Range) -> Range {
        Range::new(self.min >> other.max.clamp(0, 127), self.max >> other.min.clamp(0, 127))
    }

    /// `self & other`, of ranges without negative numbers.
    #[must_use]
    pub fn and(self, other: Range) -> Range {
        match (self.single(), other.single()) {
            (Some(a), Some(b)) => Range::one(a & b),
            _ => Range { min: 0, max: self.max.min(other.max) },
        }
    }

    /// `self | other`, of ranges without negative numbers.
    #[must_use]
    pub fn or(self, other: Range) -> Range {
        match (self.single(), other.single()) {
            (Some(a), Some(b)) => Range::one(a | b),
            _ => {
                Range { min: self.min.max(other.min), max: Range::of_bits(self.bits().max(other.bits())).max }
            }
        }
    }

    /// `self ^ other`, of ranges without negative numbers.
    #[must_use]
    pub fn xor(self, other: Range) -> Range {
        match (self.single(), other.single()) {
            (Some(a), Some(b)) => Range::one(a ^ b),
            _ => Range::of_bits(self.bits().max(other.bits())),
        }
    }
}

/// `5`, or `0..=255`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(value) => write!(f, "{value}"),
            None => write!(f, "{}..={}", self.min, self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operator's range holds the results for all pairs of members, over small ranges.
    #[test]
    fn ranges_hold_all_results() {
        let ranges: Vec<Range> = (0..6).flat_map(|a| (a..9).map(move |b| Range::new(a, b))).collect();
        for &a in &ranges {
            for &b in &ranges {
                for x in a.min..=a.max {
                    for y in b.min..=b.max {
                        let mut pairs = vec![
                            (a.add(b), x + y),
                            (a.sub(b), x - y),
                            (a.mul(b), x * y),
                            (a.shl(b), x << y),
                            (a.shr(b), x >> y),
                            (a.and(b), x & y),
                            (a.or(b), x | y),
                            (a.xor(b), x ^ y),
                            (a.join(b), x),
                        ];
                        if b.min > 0 {
                            pairs.extend([(a.div(b), x / y), (a.rem(b), x % y)]);
                        }
                        for (range, value) in pairs {
                            assert!(range.contains(value), "{a} and {b}: {value} is not in {range}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn words_hold_signed_or_unsigned_numbers() {
        assert!(Range::new(0, i128::from(u64::MAX)).fits_word());
        assert!(Range::new(-1, i128::from(i64::MAX)).fits_word());
        assert!(!Range::new(-1, i128::from(u64::MAX)).fits_word());
        assert!(!Range::U64.mul(Range::U64).fits_word());
        assert!(!Range::U64.shl(Range::new(0, 64)).fits_word());
    }
}
