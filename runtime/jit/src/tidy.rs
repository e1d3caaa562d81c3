//! What Cranelift leaves undone of functions of ours: a pass before its own, the others behind them.

use std::collections::HashMap;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, Opcode, StackSlot, Value, ValueDef,
};

/// Removes loads and divisions whose results nobody uses, and what only they use. None of those that we make traps; Cranelift keeps divisions all the same,
/// and loads that extend what they load, or that must not be moved.
///
/// A result that is only used further up, as around a loop, is kept.
pub(crate) fn remove_unused(function: &mut Function) {
    function.dfg.resolve_all_aliases();
    let mut uses: SecondaryMap<Value, u32> = SecondaryMap::new();
    let all = instructions(function);
    for &inst in &all {
        for value in function.dfg.inst_values(inst) {
            uses[value] += 1;
        }
    }
    for &inst in all.iter().rev() {
        let opcode = function.dfg.insts[inst].opcode();
        let computes = !(opcode.can_trap()
            || opcode.is_call()
            || opcode.is_branch()
            || opcode.is_terminator()
            || opcode.other_side_effects());
        let cannot_trap = matches!(function.dfg.insts[inst], InstructionData::Load { .. })
            || matches!(opcode, Opcode::Udiv | Opcode::Urem | Opcode::Sdiv | Opcode::Srem);
        let is_used = function.dfg.inst_results(inst).iter().any(|&result| uses[result] > 0);
        if (computes || cannot_trap) && !opcode.can_store() && !is_used {
            for value in function.dfg.inst_values(inst) {
                uses[value] -= 1;
            }
            function.layout.remove_inst(inst);
        }
    }
}

/// Leaves no room for slots on the stack that nobody takes the address of: functions without any need no frame.
pub(crate) fn empty_unused_slots(function: &mut Function) {
    let mut used: SecondaryMap<StackSlot, bool> = SecondaryMap::new();
    for inst in instructions(function) {
        if let InstructionData::StackAddr { stack_slot, .. } = function.dfg.insts[inst] {
            used[stack_slot] = true;
        }
    }
    for (slot, data) in &mut function.sized_stack_slots {
        if !used[slot] {
            data.size = 0;
        }
    }
}

/// Lets a branch that compares a number with a constant and hands the number plus another constant on compare what it hands on. Else both are needed
/// at the end of a loop that counts, and one is copied to the other in each turn: Cranelift turns the comparison of what was counted into one of what
/// was there before.
pub(crate) fn compare_what_is_handed_on(function: &mut Function) {
    for branch in terminators(function) {
        if let Some((code, sum, constant)) = handed_on(function, branch) {
            let mut cursor = FuncCursor::new(function).at_inst(branch);
            let holds = cursor.ins().icmp_imm_u(code, sum, constant);
            function.dfg.inst_args_mut(branch)[0] = holds;
        }
    }
}

/// Puts what a block was handed first in sums that are handed on, for the first operand's register is that of the sum: so that which adds up in a loop stays
/// where it is.
pub(crate) fn add_to_what_was_handed_over(function: &mut Function) {
    for terminator in terminators(function) {
        let sums: Vec<Inst> =
            function.dfg.inst_values(terminator).filter_map(|value| sum(function, value)).collect();
        for inst in sums {
            let is_param = |value: Value| {
                let value = match made_by(function, value) {
                    Some(InstructionData::Unary { opcode: Opcode::Ireduce, arg }) => arg,
                    _ => value,
                };
                matches!(function.dfg.value_def(value), ValueDef::Param(..))
            };
            if let &[first, second] = function.dfg.inst_args(inst)
                && is_param(second)
                && !is_param(first)
            {
                function.dfg.inst_args_mut(inst).swap(0, 1);
            }
        }
    }
}

/// Computes constants and addresses on the stack in the blocks where they are needed. Cranelift takes them out of loops, into registers that are scarce or
/// even into memory, though computing one takes a single instruction at most, and often none.
pub(crate) fn compute_where_needed(function: &mut Function) {
    let blocks: Vec<Block> = function.layout.blocks().collect();
    for block in blocks {
        let mut here: HashMap<Value, Value> = HashMap::new();
        let insts: Vec<Inst> = function.layout.block_insts(block).collect();
        for inst in insts {
            let values: Vec<Value> = function.dfg.inst_values(inst).collect();
            for value in values {
                if !here.contains_key(&value)
                    && let Some(near) = computed_near(function, value, inst)
                {
                    here.insert(value, near);
                }
            }
            function.dfg.map_inst_values(inst, |value| here.get(&value).copied().unwrap_or(value));
        }
    }
}

/// All instructions, block by block.
pub(crate) fn instructions(function: &Function) -> Vec<Inst> {
    function.layout.blocks().flat_map(|block| function.layout.block_insts(block)).collect()
}

/// Computes a value once more before an instruction, if that takes little and it was computed in another block.
fn computed_near(function: &mut Function, value: Value, inst: Inst) -> Option<Value> {
    let of = inst_of(function, value)?;
    if function.layout.inst_block(of) == function.layout.inst_block(inst) {
        return None;
    }
    let (ty, data) = (function.dfg.value_type(value), function.dfg.insts[of]);
    let mut cursor = FuncCursor::new(function).at_inst(inst);
    match data {
        InstructionData::StackAddr { stack_slot, offset, .. } => {
            Some(cursor.ins().stack_addr(ty, stack_slot, offset))
        }
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(cursor.ins().iconst(ty, imm)),
        _ => None,
    }
}

/// The last instructions of all blocks.
pub(crate) fn terminators(function: &Function) -> Vec<Inst> {
    function.layout.blocks().filter_map(|block| function.layout.last_inst(block)).collect()
}

/// The addition that a value comes from, perhaps extended.
fn sum(function: &Function, value: Value) -> Option<Inst> {
    let mut inst = inst_of(function, value)?;
    if let InstructionData::Unary { opcode: Opcode::Uextend, arg } = function.dfg.insts[inst] {
        inst = inst_of(function, arg)?;
    }
    matches!(function.dfg.insts[inst], InstructionData::Binary { opcode: Opcode::Iadd, .. }).then_some(inst)
}

/// How such a branch is to compare what with what.
fn handed_on(function: &Function, branch: Inst) -> Option<(IntCC, Value, i64)> {
    let dfg = &function.dfg;
    let InstructionData::Brif { arg, .. } = dfg.insts[branch] else { return None };
    let InstructionData::IntCompare { cond, args: [number, limit], .. } = made_by(function, arg)? else {
        return None;
    };
    if !matches!(cond, IntCC::Equal | IntCC::NotEqual) {
        return None;
    }
    let limit = constant(function, limit)?;
    let sum_of = |value: Value| {
        let inst = sum(function, value)?;
        let &[of, step] = dfg.inst_args(inst) else { return None };
        (of == number).then_some((dfg.first_result(inst), constant(function, step)?))
    };
    let (sum, step) = dfg.inst_values(branch).skip(1).find_map(sum_of)?;
    let bits = dfg.value_type(number).bits();
    let limit = limit.wrapping_add(step).cast_unsigned() & (u64::MAX >> (64 - bits));
    // What does not fit into an instruction is dearer than the copy.
    Some((cond, sum, i64::from(i32::try_from(limit).ok()?)))
}

/// The instruction that a value is a result of.
fn inst_of(function: &Function, value: Value) -> Option<Inst> {
    match function.dfg.value_def(function.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => Some(inst),
        _ => None,
    }
}

/// The same as it is written.
pub(crate) fn made_by(function: &Function, value: Value) -> Option<InstructionData> {
    inst_of(function, value).map(|inst| function.dfg.insts[inst])
}

/// What a value was before one was added, if that is how it was made.
pub(crate) fn before_one_was_added(function: &Function, value: Value) -> Option<Value> {
    match made_by(function, value)? {
        InstructionData::Binary { opcode: Opcode::Iadd, args: [before, one] } => {
            (constant(function, one)? == 1).then_some(before)
        }
        _ => None,
    }
}

/// Of what number which bits a value is, if it is some bits of one.
pub(crate) fn bits_of(function: &Function, value: Value) -> Option<(Value, i64)> {
    match made_by(function, value)? {
        InstructionData::Binary { opcode: Opcode::Band, args: [number, mask] } => {
            Some((function.dfg.resolve_aliases(number), constant(function, mask)?))
        }
        _ => None,
    }
}

/// The two numbers of 32 bits that the lowest ones of a value are, depending on whether the first value is not 0.
pub(crate) fn choice(function: &Function, value: Value) -> Option<(Value, i64, i64)> {
    match made_by(function, value)? {
        // No narrower values are made of 64 bits where this is asked.
        InstructionData::Unary { opcode: Opcode::Uextend | Opcode::Ireduce, arg }
            if function.dfg.value_type(arg).bits() >= 32 =>
        {
            choice(function, arg)
        }
        InstructionData::Ternary { opcode: Opcode::Select, args: [holds, one, other] } => {
            Some((holds, constant(function, one)?, constant(function, other)?))
        }
        _ => None,
    }
}

/// The number that a value always is.
pub(crate) fn constant(function: &Function, value: Value) -> Option<i64> {
    match made_by(function, value)? {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
        _ => None,
    }
}
