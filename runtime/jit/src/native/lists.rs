//! Lists of ranges: whether a number is in one of many, as `ip.src in [10.0.0.0/8, …]` asks.
//!
//! One by one this takes four or five instructions a range. Numbers of 32 bits are compared with four ranges at once instead: the distance from
//! a range's first number is beyond its last one's if the number is outside. A vector compares signed numbers only, so both
//! sides are moved by 2^31.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I32X4};
use cranelift_codegen::ir::{self, ConstantData, InstBuilder};
use oko_ir::{BinaryOp, BoolOp, CompareOp, Filter, Op, Value};

use super::{Translator, constant};

/// Fewer ranges are compared one by one.
const FEWEST: usize = 5;
/// Longer lists, too: their vectors would not fit into registers, and each call would put them onto the stack.
const MOST: usize = 32;
const LANES: usize = 4;
const SIGN: u32 = 1 << 31;

/// The lists of a filter.
#[derive(Debug, Default)]
pub(super) struct Lists(HashMap<Value, List>);

#[derive(Debug)]
struct List {
    number: Value,
    /// First and last number of each range.
    ranges: Vec<(u64, u64)>,
}

impl Lists {
    /// The lists of a filter, each by the condition that says whether a number is in it.
    pub(super) fn of(filter: &Filter, definitions: &[Option<&Op>]) -> Lists {
        let insts = || filter.blocks.iter().flat_map(|block| &block.insts);
        let mut inner = HashSet::new();
        for inst in insts() {
            if let Op::Bool(BoolOp::Or, a, b) = inst.op {
                inner.extend([a, b]);
            }
        }
        let outer = insts().filter(|inst| matches!(inst.op, Op::Bool(BoolOp::Or, ..)));
        let outer = outer.filter_map(|inst| inst.result.filter(|value| !inner.contains(value)));
        Lists(outer.filter_map(|value| Some((value, list(definitions, value)?))).collect())
    }
}

/// The list that a condition asks about.
fn list(definitions: &[Option<&Op>], cond: Value) -> Option<List> {
    let (mut number, mut ranges, mut open) = (None, Vec::new(), vec![cond]);
    while let Some(value) = open.pop() {
        if let Op::Bool(BoolOp::Or, a, b) = *definitions[value.index()]? {
            open.extend([b, a]);
        } else {
            let (of, first, last) = range(definitions, value)?;
            if *number.get_or_insert(of) != of {
                return None;
            }
            ranges.push((first, last));
        }
        if ranges.len() + open.len() > MOST {
            return None;
        }
    }
    Some(List { number: number?, ranges }).filter(|list| list.ranges.len() >= FEWEST)
}

/// The range that a comparison asks about, and of what number.
fn range(definitions: &[Option<&Op>], cond: Value) -> Option<(Value, u64, u64)> {
    let Op::Compare(op, a, b) = *definitions[cond.index()]? else { return None };
    let constant = |value: Value| constant(definitions, value);
    match (op, constant(a), constant(b)) {
        (CompareOp::Eq, None, Some(only)) => Some((a, only, only)),
        (CompareOp::Eq, Some(only), None) => Some((b, only, only)),
        (CompareOp::ULe, Some(first), None) => Some((b, first, u64::MAX)),
        (CompareOp::ULe, None, Some(last)) => match definitions[a.index()] {
            Some(&Op::Binary(BinaryOp::Sub, number, first)) => {
                let first = constant(first)?;
                Some((number, first, first.checked_add(last)?))
            }
            _ => Some((a, 0, last)),
        },
        _ => None,
    }
}

impl Translator<'_, '_> {
    /// The value of a condition that asks about a list of numbers of 32 bits.
    pub(super) fn in_list(&mut self, cond: Value) -> Option<ir::Value> {
        let list = self.source.lists.0.get(&cond)?;
        if self.source.ranges.at(self.place, list.number).max > u64::from(u32::MAX) {
            return None;
        }
        let within = |&(first, last): &(u64, u64)| {
            let first = u32::try_from(first).ok()?;
            Some((first, u32::try_from(last).unwrap_or(u32::MAX) - first))
        };
        let mut ranges: Vec<(u32, u32)> = list.ranges.iter().filter_map(within).collect();
        let &some = ranges.last()?;
        ranges.resize(ranges.len().next_multiple_of(LANES), some);
        // A number of the instant that its comparisons are kept of is not computed itself.
        self.values.get(&list.number)?;
        let number = self.value(list.number);
        let number = self.builder.ins().ireduce(I32, number);
        let number = self.builder.ins().splat(I32X4, number);
        let mut outside: Option<ir::Value> = None;
        for ranges in ranges.chunks(LANES) {
            // Of -first + 2^31, for a vector adds what it does not subtract.
            let starts = self.vector(ranges.iter().map(|(first, _)| SIGN.wrapping_sub(*first)));
            let lengths = self.vector(ranges.iter().map(|(_, length)| length ^ SIGN));
            let distances = self.builder.ins().iadd(number, starts);
            let beyond = self.builder.ins().icmp(IntCC::SignedGreaterThan, distances, lengths);
            outside = Some(match outside {
                Some(outside) => self.builder.ins().band(outside, beyond),
                None => beyond,
            });
        }
        let outside = self.builder.ins().vhigh_bits(I32, outside?);
        Some(self.builder.ins().icmp_imm_u(IntCC::NotEqual, outside, (1 << LANES) - 1))
    }

    fn vector(&mut self, numbers: impl Iterator<Item = u32>) -> ir::Value {
        let bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(bytes));
        self.builder.ins().vconst(I32X4, constant)
    }
}
