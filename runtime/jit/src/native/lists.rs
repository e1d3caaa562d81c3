//! Lists of ranges, which are [compared at once](crate::ranges): the conditions of a filter that ask about one.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir;
use oko_ir::{BinaryOp, BoolOp, CompareOp, Filter, Op, Value};

use super::{Translator, constant};
use crate::ranges::{self, List, Part};

/// The lists of a filter.
#[derive(Debug, Default)]
pub(super) struct Lists(HashMap<Value, List<Value>>);

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
        let list = |value| List::of(value, |value| part(definitions, value));
        Lists(outer.filter_map(|value| Some((value, list(value)?))).collect())
    }
}

/// What a condition is, if it may be a part of a list.
fn part(definitions: &[Option<&Op>], cond: Value) -> Option<Part<Value>> {
    let constant = |value: Value| constant(definitions, value);
    let (op, a, b) = match *definitions[cond.index()]? {
        Op::Bool(BoolOp::Or, a, b) => return Some(Part::Either(a, b)),
        Op::Compare(op, a, b) => (op, a, b),
        _ => return None,
    };
    match (op, constant(a), constant(b)) {
        (CompareOp::Eq, None, Some(only)) => Some(Part::Within(a, only, only)),
        (CompareOp::Eq, Some(only), None) => Some(Part::Within(b, only, only)),
        (CompareOp::ULe, Some(first), None) => Some(Part::Within(b, first, u64::MAX)),
        (CompareOp::ULe, None, Some(last)) => match definitions[a.index()] {
            Some(&Op::Binary(BinaryOp::Sub, number, first)) => {
                let first = constant(first)?;
                Some(Part::Within(number, first, first.checked_add(last)?))
            }
            _ => Some(Part::Within(a, 0, last)),
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
        // A number of the instant that its comparisons are kept of is not computed itself.
        self.values.get(&list.number)?;
        let number = self.value(list.number);
        self.builder.ensure_inserted_block();
        let block = self.builder.current_block()?;
        let mut cursor = FuncCursor::new(self.builder.func).at_bottom(block);
        ranges::is_in_one(&mut cursor, number, &list.ranges)
    }
}
