//! Integers of 65 to 128 bits, and their ranges.
//!
//! They are never negative. Bounds are exact; where an operator's result could lie outside of 0 to 2^128 - 1 there is no range for it.

use std::fmt;

use super::Range;

/// An integer of more than 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wide {
    /// Its width in bits, 65 to 128: as declared, or what its greatest value needs. `+|` and its like work at this width.
    pub bits: u8,
    /// What it can be.
    pub range: WideRange,
}

impl Wide {
    /// An integer of so many bits, 65 to 128.
    pub fn uint(bits: u8) -> Wide {
        let bits = bits.clamp(65, 128);
        Wide { bits, range: WideRange::of_bits(bits) }
    }

    /// An integer that was computed: as wide as it needs to be.
    pub fn computed(range: WideRange) -> Wide {
        Wide { bits: range.bits().max(65), range }
    }

    /// All integers of its width.
    pub fn all(self) -> WideRange {
        Wide::uint(self.bits).range
    }
}

/// All numbers from `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WideRange {
    /// The least number.
    pub min: u128,
    /// The greatest number, at least `min`.
    pub max: u128,
}

/// What the number 0 is as a bound of [`WideRange::shifted`].
const SHIFT: u128 = 1 << 127;

#[expect(clippy::should_implement_trait, reason = "signs would hide that there is not always a range")]
impl WideRange {
    /// One number.
    pub fn one(value: u128) -> WideRange {
        WideRange { min: value, max: value }
    }

    /// The numbers of so many bits, 0 to 128.
    pub fn of_bits(bits: u8) -> WideRange {
        let unused = 128 - u32::from(bits.min(128));
        WideRange { min: 0, max: u128::MAX.checked_shr(unused).unwrap_or(0) }
    }

    /// The range of a number that is never negative.
    pub fn of(range: Range) -> Option<WideRange> {
        Some(WideRange { min: u128::try_from(range.min).ok()?, max: u128::try_from(range.max).ok()? })
    }

    /// The same as a range of words, if each of its numbers is one.
    pub fn word(self) -> Option<Range> {
        let max = u64::try_from(self.max).ok()?;
        Some(Range::new(self.min as i128, i128::from(max)))
    }

    /// How many bits its greatest number needs.
    pub fn bits(self) -> u8 {
        (128 - self.max.leading_zeros()) as u8
    }

    /// The only number in the range, if there is one.
    pub fn single(self) -> Option<u128> {
        (self.min == self.max).then_some(self.min)
    }

    /// Whether every number of this range is in `outer`.
    pub fn within(self, outer: WideRange) -> bool {
        outer.min <= self.min && self.max <= outer.max
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn join(self, other: WideRange) -> WideRange {
        WideRange { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// The same with every number less by 2^127, so that bounds are compared as those of other ranges.
    pub fn shifted(self) -> Range {
        let shift = |bound: u128| bound.wrapping_sub(SHIFT) as i128;
        Range { min: shift(self.min), max: shift(self.max) }
    }

    /// The range that was [shifted](WideRange::shifted).
    pub fn of_shifted(range: Range) -> WideRange {
        let back = |bound: i128| (bound as u128).wrapping_add(SHIFT);
        WideRange { min: back(range.min), max: back(range.max) }
    }

    /// The sums, if none needs more than 128 bits.
    pub fn add(self, other: WideRange) -> Option<WideRange> {
        Some(WideRange { min: self.min.checked_add(other.min)?, max: self.max.checked_add(other.max)? })
    }

    /// The differences, if none is negative.
    pub fn sub(self, other: WideRange) -> Option<WideRange> {
        Some(WideRange { min: self.min.checked_sub(other.max)?, max: self.max.checked_sub(other.min)? })
    }

    /// The products, if none needs more than 128 bits.
    pub fn mul(self, other: WideRange) -> Option<WideRange> {
        Some(WideRange { min: self.min.checked_mul(other.min)?, max: self.max.checked_mul(other.max)? })
    }

    /// The quotients; 0 is not in `other`.
    #[must_use]
    pub fn div(self, other: WideRange) -> WideRange {
        WideRange { min: self.min / other.max.max(1), max: self.max / other.min.max(1) }
    }

    /// The remainders; 0 is not in `other`.
    #[must_use]
    pub fn rem(self, other: WideRange) -> WideRange {
        if self.max < other.min {
            return self;
        }
        WideRange { min: 0, max: self.max.min(other.max.saturating_sub(1)) }
    }

    /// `self & other`
    #[must_use]
    pub fn and(self, other: WideRange) -> WideRange {
        WideRange { min: 0, max: self.max.min(other.max) }
    }

    /// `self | other`
    #[must_use]
    pub fn or(self, other: WideRange) -> WideRange {
        WideRange { min: self.min.max(other.min), ..WideRange::of_bits(self.bits().max(other.bits())) }
    }

    /// `self ^ other`
    #[must_use]
    pub fn xor(self, other: WideRange) -> WideRange {
        WideRange::of_bits(self.bits().max(other.bits()))
    }
}

/// `5`, or `0..=255`; what needs more than 64 bits is written in sixteens.
impl fmt::Display for WideRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |value: u128| match u64::try_from(value) {
            Ok(value) => value.to_string(),
            Err(_) => format!("{value:#x}"),
        };
        match self.single() {
            Some(value) => f.write_str(&bound(value)),
            None => write!(f, "{}..={}", bound(self.min), bound(self.max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operator's range holds the results for all pairs of members, and only the least and greatest numbers are needed for that.
    #[test]
    fn ranges_hold_all_results() {
        let ends = [0u128, 1, 5, u64::MAX.into(), 1 << 64, (1 << 100) + 7, u128::MAX - 1, u128::MAX];
        let ranges: Vec<WideRange> = (ends.iter())
            .flat_map(|min| ends.iter().map(|max| WideRange { min: *min, max: *max }))
            .filter(|range| range.min <= range.max)
            .collect();
        let holds = |range: WideRange, value: u128| range.min <= value && value <= range.max;
        for &a in &ranges {
            assert_eq!(WideRange::of_shifted(a.shifted()), a);
            for &b in &ranges {
                assert_eq!(a.within(b), a.shifted().within(b.shifted()));
                for x in ends.into_iter().filter(|x| holds(a, *x)) {
                    for y in ends.into_iter().filter(|y| holds(b, *y)) {
                        let exact = [
                            (a.add(b), x.checked_add(y)),
                            (a.sub(b), x.checked_sub(y)),
                            (a.mul(b), x.checked_mul(y)),
                        ];
                        for (range, value) in exact {
                            if let Some(range) = range {
                                assert!(value.is_some_and(|value| holds(range, value)), "{a} {b} {x} {y}");
                            }
                        }
                        let mut all =
                            vec![(a.and(b), x & y), (a.or(b), x | y), (a.xor(b), x ^ y), (a.join(b), x)];
                        if b.min > 0 {
                            all.extend([(a.div(b), x / y), (a.rem(b), x % y)]);
                        }
                        for (range, value) in all {
                            assert!(holds(range, value), "{a} and {b}: {value} is not in {range}");
                        }
                    }
                }
            }
        }
    }
}
