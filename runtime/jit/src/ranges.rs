//! Whether a number of 32 bits is in one of many ranges, as `ip.src in [10.0.0.0/8, …]` asks: found in conditions of whatever form, and asked at once.
//!
//! One by one this takes four or five instructions a range. Here a number is compared with four ranges at once: the distance from
//! a range's first number is beyond its last one's if the number is outside. A vector compares signed numbers only, so both
//! sides are moved by 2^31.

use cranelift_codegen::cursor::FuncCursor;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I32X4};
use cranelift_codegen::ir::{ConstantData, InstBuilder, Value};

/// Fewer ranges are compared one by one.
const FEWEST: usize = 5;
/// More, too: their vectors would not fit into registers, and each call would put them onto the stack.
const MOST: usize = 32;
const LANES: usize = 4;
const SIGN: u32 = 1 << 31;

/// A number, and the ranges that it is compared with.
#[derive(Debug)]
pub(crate) struct List<V> {
    pub(crate) number: V,
    /// First and last number of each range.
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// What a condition is.
pub(crate) enum Part<V> {
    /// An `or` of two.
    Either(V, V),
    /// A comparison: whether a number is in the range from a first number to a last one.
    Within(V, u64, u64),
}

impl<V: Copy + PartialEq> List<V> {
    /// The list that a condition asks about: all that it is made of compares one number, and it pays to do so at once.
    pub(crate) fn of(cond: V, part: impl Fn(V) -> Option<Part<V>>) -> Option<List<V>> {
        let (mut number, mut ranges, mut open) = (None, Vec::new(), vec![cond]);
        while let Some(value) = open.pop() {
            match part(value)? {
                Part::Either(a, b) => open.extend([b, a]),
                Part::Within(of, first, last) => {
                    if *number.get_or_insert(of) != of {
                        return None;
                    }
                    ranges.push((first, last));
                }
            }
            if ranges.len() + open.len() > MOST {
                return None;
            }
        }
        Some(List { number: number?, ranges }).filter(|list| list.ranges.len() >= FEWEST)
    }
}

/// Whether a number, which is below 2^32, is in one of the ranges, given by their first and last numbers: a bool. None if no range begins below 2^32.
pub(crate) fn is_in_one(cursor: &mut FuncCursor<'_>, number: Value, ranges: &[(u64, u64)]) -> Option<Value> {
    let within = |&(first, last): &(u64, u64)| {
        let first = u32::try_from(first).ok()?;
        Some((first, u32::try_from(last).unwrap_or(u32::MAX) - first))
    };
    let mut ranges: Vec<(u32, u32)> = ranges.iter().filter_map(within).collect();
    let &some = ranges.last()?;
    ranges.resize(ranges.len().next_multiple_of(LANES), some);
    let number = cursor.ins().ireduce(I32, number);
    let number = cursor.ins().splat(I32X4, number);
    let mut outside: Option<Value> = None;
    for ranges in ranges.chunks(LANES) {
        // Of -first + 2^31, for a vector adds what it does not subtract.
        let starts = vector(cursor, ranges.iter().map(|(first, _)| SIGN.wrapping_sub(*first)));
        let lengths = vector(cursor, ranges.iter().map(|(_, length)| length ^ SIGN));
        let distances = cursor.ins().iadd(number, starts);
        let beyond = cursor.ins().icmp(IntCC::SignedGreaterThan, distances, lengths);
        outside = Some(match outside {
            Some(outside) => cursor.ins().band(outside, beyond),
            None => beyond,
        });
    }
    let outside = cursor.ins().vhigh_bits(I32, outside?);
    Some(cursor.ins().icmp_imm_u(IntCC::NotEqual, outside, (1 << LANES) - 1))
}

fn vector(cursor: &mut FuncCursor<'_>, numbers: impl Iterator<Item = u32>) -> Value {
    let bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    let constant = cursor.func.dfg.constants.insert(ConstantData::from(bytes));
    cursor.ins().vconst(I32X4, constant)
}
