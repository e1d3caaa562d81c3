//! Branches by conditions that are put together become one branch for each comparison.
//!
//! A processor foresees which header follows, and a comparison in front of a branch takes one instruction with it; one whose outcome is a number takes three
//! more. BPF has such numbers where our compiler keeps kernels from following both ways, and everybody else's where somebody wrote them.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, Function, Inst, InstBuilder, InstructionData, Opcode, Value,
};

use crate::tidy;

/// Conditions of up to so many comparisons are split. What is made of more is a list, of which no one knows where it ends.
const MOST_BRANCHES: usize = 3;

/// Splits them; says whether there were any.
pub(crate) fn split(function: &mut Function) -> bool {
    let mut changed = false;
    for branch in tidy::terminators(function) {
        if let Some(condition) = condition(function, branch) {
            split_one(function, branch, &condition);
            changed = true;
        }
    }
    changed
}

/// Several comparisons.
struct Condition {
    /// Whether it holds if all of them hold, or if any does.
    all: bool,
    /// Whether the branch goes its first way if the condition does not hold.
    negated: bool,
    comparisons: Vec<Value>,
}

/// What a branch goes by, if it can be split.
fn condition(function: &Function, branch: Inst) -> Option<Condition> {
    let InstructionData::Brif { arg, .. } = function.dfg.insts[branch] else { return None };
    let (mut whole, mut negated) = (widened(function, arg), false);
    while let Some(InstructionData::IntCompare { cond, args: [of, zero], .. }) =
        tidy::made_by(function, whole)
        && matches!(cond, IntCC::Equal | IntCC::NotEqual)
        && tidy::constant(function, zero) == Some(0)
    {
        // Of a number that is not put together of comparisons nothing is made below.
        negated ^= cond == IntCC::Equal;
        whole = widened(function, of);
    }
    let operator = |value: Value| match tidy::made_by(function, value) {
        Some(InstructionData::Binary { opcode: opcode @ (Opcode::Band | Opcode::Bor), args }) => {
            Some((opcode, args))
        }
        _ => None,
    };
    let (joined_by, _) = operator(whole)?;
    let (mut comparisons, mut open) = (Vec::new(), vec![whole]);
    while let Some(value) = open.pop() {
        match operator(value) {
            Some((opcode, [one, other])) if opcode == joined_by => {
                open.extend([other, one].map(|value| widened(function, value)));
            }
            None if is_comparison(function, value) => comparisons.push(value),
            _ => return None,
        }
        if comparisons.len() + open.len() > MOST_BRANCHES {
            return None;
        }
    }
    Some(Condition { all: joined_by == Opcode::Band, negated, comparisons })
}

/// What a value was before it was made wider.
fn widened(function: &Function, value: Value) -> Value {
    match tidy::made_by(function, value) {
        Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => widened(function, arg),
        _ => function.dfg.resolve_aliases(value),
    }
}

fn is_comparison(function: &Function, value: Value) -> bool {
    matches!(tidy::made_by(function, value), Some(InstructionData::IntCompare { .. }))
}

fn split_one(function: &mut Function, branch: Inst, condition: &Condition) {
    let InstructionData::Brif { blocks, .. } = function.dfg.insts[branch] else { return };
    let lists = &function.dfg.value_lists;
    let way = |call: BlockCall| -> (Block, Vec<BlockArg>) { (call.block(lists), call.args(lists).collect()) };
    let [mut holds, mut fails] = blocks.map(way);
    if condition.negated {
        std::mem::swap(&mut holds, &mut fails);
    }
    let Some((&last, first)) = condition.comparisons.split_last() else { return };
    let mut at = branch;
    for &comparison in first {
        let Some(here) = function.layout.inst_block(at) else { return };
        let next = function.dfg.make_block();
        function.layout.insert_block_after(next, here);
        if function.layout.is_cold(here) {
            function.layout.set_cold(next);
        }
        let mut cursor = FuncCursor::new(function).at_inst(at);
        match condition.all {
            true => cursor.ins().brif(comparison, next, &[], fails.0, &fails.1),
            false => cursor.ins().brif(comparison, holds.0, &holds.1, next, &[]),
        };
        function.layout.remove_inst(at);
        let mut cursor = FuncCursor::new(function).at_bottom(next);
        at = cursor.ins().brif(last, holds.0, &holds.1, fails.0, &fails.1);
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::types::I64;
    use cranelift_codegen::ir::{AbiParam, Signature, UserFuncName};
    use cranelift_codegen::isa::CallConv;
    use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

    use super::*;

    /// A function that branches by what is made of a number, as text, and whether the branch was split.
    fn split_by(condition: impl FnOnce(&mut FunctionBuilder<'_>, Value) -> Value) -> (bool, Vec<String>) {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(I64)];
        signature.returns = vec![AbiParam::new(I64)];
        let mut function = Function::with_name_signature(UserFuncName::default(), signature);
        let mut context = FunctionBuilderContext::new();
        let mut builder = FunctionBuilder::new(&mut function, &mut context);
        let [entry, then, other] = std::array::from_fn(|_| builder.create_block());
        builder.append_block_params_for_function_params(entry);
        let result = builder.append_block_param(then, I64);
        builder.switch_to_block(entry);
        let number = builder.block_params(entry)[0];
        let holds = condition(&mut builder, number);
        builder.ins().brif(holds, then, &[number.into()], other, &[]);
        builder.switch_to_block(then);
        builder.ins().return_(&[result]);
        builder.switch_to_block(other);
        builder.ins().return_(&[number]);
        builder.seal_all_blocks();
        let changed = split(&mut function);
        let branches = tidy::terminators(&function);
        let branches = branches.into_iter().filter(|&inst| function.dfg.insts[inst].opcode() == Opcode::Brif);
        (changed, branches.map(|inst| function.dfg.display_inst(inst).to_string()).collect())
    }

    fn equals(builder: &mut FunctionBuilder<'_>, number: Value, wanted: i64) -> Value {
        builder.ins().icmp_imm_s(IntCC::Equal, number, wanted)
    }

    #[test]
    fn either_of_several_goes_the_first_way() {
        let (changed, branches) = split_by(|builder, number| {
            let [one, two, three] = [1, 2, 3].map(|wanted| equals(builder, number, wanted));
            let either = builder.ins().bor(one, two);
            builder.ins().bor(either, three)
        });
        assert!(changed);
        let expected = [
            "brif.i8 v3, block1(v0), block3",
            "brif.i8 v5, block1(v0), block4",
            "brif.i8 v7, block1(v0), block2",
        ];
        assert_eq!(branches, expected);
    }

    #[test]
    fn not_all_of_several_goes_the_first_way_where_one_fails() {
        let (changed, branches) = split_by(|builder, number| {
            let [one, two] = [1, 2].map(|wanted| equals(builder, number, wanted));
            let both = builder.ins().band(one, two);
            let both = builder.ins().uextend(I64, both);
            builder.ins().icmp_imm_s(IntCC::Equal, both, 0)
        });
        assert!(changed);
        assert_eq!(branches, ["brif.i8 v3, block3, block1(v0)", "brif.i8 v5, block2, block1(v0)"]);
    }

    #[test]
    fn lists_and_bits_stay_numbers() {
        let (changed, branches) = split_by(|builder, number| {
            let all = [1, 2, 3, 4].map(|wanted| equals(builder, number, wanted));
            all.into_iter().reduce(|a, b| builder.ins().bor(a, b)).unwrap()
        });
        assert!(!changed);
        assert_eq!(branches.len(), 1);
        let (changed, _) = split_by(|builder, number| {
            let one = equals(builder, number, 1);
            let one = builder.ins().uextend(I64, one);
            builder.ins().bor(one, number)
        });
        assert!(!changed);
        // What is 0 or 2 is not 0 or 1.
        let (changed, _) = split_by(|builder, number| {
            let bits = builder.ins().band_imm_s(number, 2);
            builder.ins().icmp_imm_s(IntCC::Equal, bits, 0)
        });
        assert!(!changed);
    }
}
