//! Lists of ranges: what a program compares one by one, and joins by `or`, is [compared at once](crate::ranges).

use std::collections::HashSet;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value};

use super::look_ups::{MOST_STEPS, most};
use crate::ranges::{self, List, Part};
use crate::tidy;

/// Replaces each `or` of many comparisons of one number of 32 bits.
pub(super) fn compare_at_once(function: &mut Function) {
    let parts_of = |inst: Inst| Some((inst, parts(function, function.dfg.insts[inst])?));
    let ors: Vec<_> = tidy::instructions(function).into_iter().filter_map(parts_of).collect();
    let inner: HashSet<Value> = ors.iter().flat_map(|(_, parts)| *parts).collect();
    for (inst, _) in ors {
        let result = function.dfg.first_result(inst);
        if inner.contains(&result) {
            continue;
        }
        if let Some(list) = list(function, result) {
            let mut cursor = FuncCursor::new(function).at_inst(inst);
            if let Some(holds) = ranges::is_in_one(&mut cursor, list.number, &list.ranges) {
                let wide = cursor.ins().uextend(I64, holds);
                function.dfg.clear_results(inst);
                function.layout.remove_inst(inst);
                function.dfg.change_to_alias(result, wide);
            }
        }
    }
}

/// What an `or` of 64 bits joins.
fn parts(function: &Function, data: InstructionData) -> Option<[Value; 2]> {
    match data {
        InstructionData::Binary { opcode: Opcode::Bor, args } if function.dfg.value_type(args[0]) == I64 => {
            Some(args.map(|arg| function.dfg.resolve_aliases(arg)))
        }
        _ => None,
    }
}

/// The list that a number of 0 or 1 is about.
fn list(function: &Function, value: Value) -> Option<List<Value>> {
    let part = |value| match parts(function, tidy::made_by(function, value)?) {
        Some([a, b]) => Some(Part::Either(a, b)),
        None => range(function, value),
    };
    let is_short =
        |list: &List<Value>| most(function, list.number, &mut { MOST_STEPS }) <= u64::from(u32::MAX);
    List::of(value, part).filter(is_short)
}

/// The range that a number of 0 or 1 is about, and of what number.
fn range(function: &Function, mut value: Value) -> Option<Part<Value>> {
    let mut is_in = true;
    loop {
        match tidy::made_by(function, value)? {
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => value = arg,
            InstructionData::IntCompare { opcode: Opcode::Icmp, args: [a, b], cond } => {
                let limit = tidy::constant(function, b)?.cast_unsigned();
                if limit == 0 && is_comparison(function, a) && matches!(cond, IntCC::Equal | IntCC::NotEqual)
                {
                    is_in ^= cond == IntCC::Equal;
                    value = a;
                    continue;
                }
                if function.dfg.value_type(a) != I64 {
                    return None;
                }
                let cond = if is_in { cond } else { cond.complement() };
                return range_of(function, cond, function.dfg.resolve_aliases(a), limit);
            }
            _ => return None,
        }
    }
}

/// The range in which a number compares so with a constant.
fn range_of(function: &Function, cond: IntCC, number: Value, limit: u64) -> Option<Part<Value>> {
    let last = match cond {
        IntCC::Equal => return Some(Part::Within(number, limit, limit)),
        IntCC::UnsignedGreaterThanOrEqual => return Some(Part::Within(number, limit, u64::MAX)),
        IntCC::UnsignedGreaterThan => return Some(Part::Within(number, limit.checked_add(1)?, u64::MAX)),
        IntCC::UnsignedLessThanOrEqual => limit,
        IntCC::UnsignedLessThan => limit.checked_sub(1)?,
        _ => return None,
    };
    match tidy::made_by(function, number) {
        Some(InstructionData::Binary { opcode: Opcode::Isub, args: [whole, first] }) => {
            // Of a smaller number the difference wraps, and is beyond any that does not.
            let first = tidy::constant(function, first)?.cast_unsigned();
            Some(Part::Within(function.dfg.resolve_aliases(whole), first, first.checked_add(last)?))
        }
        _ => Some(Part::Within(number, 0, last)),
    }
}

fn is_comparison(function: &Function, value: Value) -> bool {
    matches!(tidy::made_by(function, value), Some(InstructionData::IntCompare { .. }))
}
