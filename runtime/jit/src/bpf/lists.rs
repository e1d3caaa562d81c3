//! Lists of ranges: what a program compares one by one, and joins by `or`, is [compared at once](crate::ranges).

use std::collections::HashSet;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef};

use super::look_ups::{MOST_STEPS, most};
use crate::{ranges, tidy};

/// Replaces each `or` of many comparisons of one number of 32 bits.
pub(super) fn compare_at_once(function: &mut Function) {
    let ors: Vec<Inst> = function
        .layout
        .blocks()
        .flat_map(|block| function.layout.block_insts(block))
        .filter(|&inst| parts(function, inst).is_some())
        .collect();
    let inner: HashSet<Value> = ors.iter().filter_map(|&inst| parts(function, inst)).flatten().collect();
    for inst in ors {
        let result = function.dfg.first_result(inst);
        if inner.contains(&result) {
            continue;
        }
        if let Some((number, list)) = list(function, inst) {
            let mut cursor = FuncCursor::new(function).at_inst(inst);
            if let Some(holds) = ranges::is_in_one(&mut cursor, number, &list) {
                let wide = cursor.ins().uextend(I64, holds);
                function.dfg.clear_results(inst);
                function.layout.remove_inst(inst);
                function.dfg.change_to_alias(result, wide);
            }
        }
    }
}

/// What an `or` of 64 bits joins.
fn parts(function: &Function, inst: Inst) -> Option<[Value; 2]> {
    match function.dfg.insts[inst] {
        InstructionData::Binary { opcode: Opcode::Bor, args } if function.dfg.value_type(args[0]) == I64 => {
            Some(args.map(|arg| function.dfg.resolve_aliases(arg)))
        }
        _ => None,
    }
}

/// The number that all comparisons are about, and the ranges that it is compared with: first and last number of each.
fn list(function: &Function, or: Inst) -> Option<(Value, Vec<(u64, u64)>)> {
    let (mut number, mut list, mut open) = (None, Vec::new(), parts(function, or)?.to_vec());
    while let Some(value) = open.pop() {
        if let Some(parts) = inst_of(function, value).and_then(|inst| parts(function, inst)) {
            open.extend(parts);
        } else {
            let (of, first, last) = range(function, value)?;
            if *number.get_or_insert(of) != of {
                return None;
            }
            list.push((first, last));
        }
        if list.len() + open.len() > ranges::MOST {
            return None;
        }
    }
    let number =
        number.filter(|&number| most(function, number, &mut { MOST_STEPS }) <= u64::from(u32::MAX))?;
    (list.len() >= ranges::FEWEST).then_some((number, list))
}

/// The range that a number of 0 or 1 is about, and of what number.
fn range(function: &Function, mut value: Value) -> Option<(Value, u64, u64)> {
    let mut is_in = true;
    loop {
        value = function.dfg.resolve_aliases(value);
        match function.dfg.insts[inst_of(function, value)?] {
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
fn range_of(function: &Function, cond: IntCC, number: Value, limit: u64) -> Option<(Value, u64, u64)> {
    let last = match cond {
        IntCC::Equal => return Some((number, limit, limit)),
        IntCC::UnsignedGreaterThanOrEqual => return Some((number, limit, u64::MAX)),
        IntCC::UnsignedGreaterThan => return Some((number, limit.checked_add(1)?, u64::MAX)),
        IntCC::UnsignedLessThanOrEqual => limit,
        IntCC::UnsignedLessThan => limit.checked_sub(1)?,
        _ => return None,
    };
    match inst_of(function, number).map(|inst| function.dfg.insts[inst]) {
        Some(InstructionData::Binary { opcode: Opcode::Isub, args: [whole, first] }) => {
            // Of a smaller number the difference wraps, and is beyond any that does not.
            let first = tidy::constant(function, first)?.cast_unsigned();
            Some((function.dfg.resolve_aliases(whole), first, first.checked_add(last)?))
        }
        _ => Some((number, 0, last)),
    }
}

fn is_comparison(function: &Function, value: Value) -> bool {
    let inst = inst_of(function, function.dfg.resolve_aliases(value));
    inst.is_some_and(|inst| matches!(function.dfg.insts[inst], InstructionData::IntCompare { .. }))
}

fn inst_of(function: &Function, value: Value) -> Option<Inst> {
    match function.dfg.value_def(value) {
        ValueDef::Result(inst, _) => Some(inst),
        _ => None,
    }
}
