//! What is known of the values of a filter while it is followed for frames of one kind, of which only some bytes are known.
//!
//! Of a number single bits may be known, and which bytes of the frame say so. Of others it is known that they lie in the packet as they are, or
//! say whether such a number is large enough: that can be asked of each packet.

use crate::entities::Value;
use crate::module::{BinaryOp, BoolOp, CompareOp, Op, Width};

/// What is known of frames of one kind: offset, mask and value of bytes.
pub(super) type Sample = &'static [(usize, u8, u8)];

/// A number of the packet, in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) offset: u32,
    pub(super) width: Width,
}

/// A number of the packet, and the least that it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) number: Number,
    pub(super) least: u64,
}

/// A value without the way that leads to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// A number, a bool as 0 or 1, or the offset of a window.
    Constant(u64),
    Load(Number),
}

/// What is known of an int, of a bool as 0 or 1, or of a window as its offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The bits that are known, and what they are; the others are 0 here.
    bits: u64,
    value: u64,
    /// The bytes of the packet that it follows from, a bit each.
    pub(super) from: u64,
    pub(super) what: What,
}

/// Where a number that is not known comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Load(Number),
    /// A bool: whether a number of the packet is large enough, or whether it is not.
    IsAtLeast {
        length: Length,
        is_so: bool,
    },
    Other,
}

impl Known {
    pub(super) const NOTHING: Known = Known { bits: 0, value: 0, from: 0, what: What::Other };

    /// What is known of the result of an operation, with what is known of its operands.
    pub(super) fn result(op: &Op, sample: Sample, of: impl Fn(Value) -> Known) -> Known {
        match *op {
            Op::Const(number) => Known::exactly(number, 0),
            Op::ConstBool(is_so) => Known::exactly(u64::from(is_so), 0),
            Op::Binary(op, a, b) => Known::binary(op, of(a), of(b)),
            Op::Compare(op, a, b) => Known::compare(op, of(a), of(b)),
            Op::Bool(op, a, b) => Known::boolean(op, of(a), of(b)),
            Op::Not(a) => match of(a) {
                Known { what: What::IsAtLeast { length, is_so }, from, .. } => {
                    Known::unknown(What::IsAtLeast { length, is_so: !is_so }, from)
                }
                known => known.constant().map_or(Known::NOTHING, |bit| Known::exactly(bit ^ 1, known.from)),
            },
            Op::IntOfBool(a) => {
                let known = of(a);
                known.constant().map_or(Known::NOTHING, |bit| Known::exactly(bit, known.from))
            }
            Op::Load(width, window, offset) => {
                let window = of(window);
                let Some(start) = window.constant() else { return Known::NOTHING };
                let load = Known::load(sample, start.saturating_add(u64::from(offset)), width);
                Known { from: load.from | window.from, ..load }
            }
            _ => Known::NOTHING,
        }
    }

    /// The number that it is, if all of it is known.
    pub(super) fn constant(self) -> Option<u64> {
        (self.bits == u64::MAX).then_some(self.value)
    }

    /// What it is without the way that leads to it, if that can be said.
    pub(super) fn given(self) -> Option<Given> {
        match (self.constant(), self.what) {
            (Some(value), _) => Some(Given::Constant(value)),
            (None, What::Load(number)) => Some(Given::Load(number)),
            (None, _) => None,
        }
    }

    fn exactly(value: u64, from: u64) -> Known {
        Known { bits: u64::MAX, value, from, what: What::Other }
    }

    fn unknown(what: What, from: u64) -> Known {
        Known { from, what, ..Known::NOTHING }
    }

    /// The number that a width has at an offset of the packet.
    fn load(sample: Sample, offset: u64, width: Width) -> Known {
        let mut known = Known { bits: !width.max(), ..Known::NOTHING };
        let Ok(offset) = u32::try_from(offset) else { return known };
        known.what = What::Load(Number { offset, width });
        for at in 0..width.bytes() {
            let place = offset as usize + at as usize;
            let Some((_, mask, value)) = sample.iter().find(|byte| byte.0 == place) else { continue };
            let shift = width.bits() - 8 - 8 * at;
            known.bits |= u64::from(*mask) << shift;
            known.value |= u64::from(*value) << shift;
            known.from |= 1 << place;
        }
        known
    }

    fn binary(op: BinaryOp, a: Known, b: Known) -> Known {
        let from = a.from | b.from;
        if let (Some(x), Some(y)) = (a.constant(), b.constant()) {
            return Known::exactly(op.eval(x, y), from);
        }
        let zeroes = |known: Known| known.bits & !known.value;
        let (bits, value) = match (op, b.constant()) {
            (BinaryOp::And, _) => {
                let zeroes = zeroes(a) | zeroes(b);
                (a.bits & b.bits | zeroes, a.value & b.value)
            }
            (BinaryOp::Or, _) => (a.bits & b.bits | a.value | b.value, a.value | b.value),
            (BinaryOp::Shl | BinaryOp::UShr, Some(by)) => {
                // What comes in are zeroes.
                let moved = |number: u64| op.eval(number, by);
                (!moved(!a.bits), moved(a.value))
            }
            _ => return Known::NOTHING,
        };
        Known { bits, value, from, what: What::Other }
    }

    fn compare(op: CompareOp, a: Known, b: Known) -> Known {
        let from = a.from | b.from;
        if let (Some(x), Some(y)) = (a.constant(), b.constant()) {
            return Known::exactly(u64::from(op.eval(x, y)), from);
        }
        let differ = (a.value ^ b.value) & a.bits & b.bits != 0;
        if differ && let CompareOp::Eq | CompareOp::Ne = op {
            return Known::exactly(u64::from(op == CompareOp::Ne), from);
        }
        let (number, least, is_so) = match (op, a.constant(), b.what, a.what, b.constant()) {
            (CompareOp::ULe, Some(least), What::Load(number), ..) => (number, Some(least), true),
            (CompareOp::ULt, Some(below), What::Load(number), ..) => (number, below.checked_add(1), true),
            (CompareOp::ULt, _, _, What::Load(number), Some(least)) => (number, Some(least), false),
            (CompareOp::ULe, _, _, What::Load(number), Some(below)) => (number, below.checked_add(1), false),
            _ => return Known::NOTHING,
        };
        least.map_or(Known::NOTHING, |least| {
            Known::unknown(What::IsAtLeast { length: Length { number, least }, is_so }, from)
        })
    }

    fn boolean(op: BoolOp, a: Known, b: Known) -> Known {
        // Which bool decides alone.
        let decides = match op {
            BoolOp::And => Some(0),
            BoolOp::Or => Some(1),
            BoolOp::Xor => None,
        };
        let alone = [a, b].into_iter().find(|known| decides.is_some() && known.constant() == decides);
        match (alone, a.constant(), b.constant()) {
            (Some(known), ..) => known,
            (None, Some(x), Some(y)) => Known::exactly(u64::from(op.eval(x != 0, y != 0)), a.from | b.from),
            _ => Known::NOTHING,
        }
    }
}
