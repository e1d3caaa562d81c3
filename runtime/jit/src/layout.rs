//! In which order blocks lie.
//!
//! A processor fetches the code behind a branch that is not taken along with the branch; each taken one costs a fetch of its own, and short filters wait for little else.
//! Cranelift puts the second way of a branch right behind it, unless other code has to come before that, and the first one as far away as possible. So what
//! few packets do comes first in branches here: early exits, which then lie where the loop ends, and the general way around the straight one.
//! The latter is marked as cold, too, and so is what makes an entry anew that has expired, so that they lie behind everything else: otherwise the way
//! of most packets would have to jump over them.

use std::collections::HashSet;

use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Function, Inst, InstBuilder, InstructionData, Opcode};

use crate::tidy;

/// Orders the blocks of a function that is a loop over packets.
pub(crate) fn order(context: &mut Context) {
    let function = &mut context.func;
    let Some((head, latches)) = loop_of(function, &context.domtree) else { return };
    let mut rare: HashSet<Block> = exits(function, &latches);
    if let Some(general) = left_from(function, head) {
        let blocks: Vec<Block> = function.layout.blocks().collect();
        for block in blocks {
            if !latches.contains(&block) && context.domtree.block_dominates(general, block) {
                function.layout.set_cold(block);
            }
        }
        rare.insert(general);
    }
    for block in beginnings(function) {
        function.layout.set_cold(block);
    }
    for branch in tidy::terminators(function) {
        put_first(function, branch, &rare);
    }
    context.flowgraph();
}

/// Where the outermost loop begins, and all its ends.
fn loop_of(function: &Function, dominators: &DominatorTree) -> Option<(Block, HashSet<Block>)> {
    let back = |latch: Block| {
        let heads = function.block_successors(latch);
        heads.filter(move |&head| dominators.block_dominates(head, latch)).map(move |head| (head, latch))
    };
    let back: Vec<(Block, Block)> = function.layout.blocks().flat_map(back).collect();
    let (first, _) = *back.first()?;
    // One that is around another one begins before it.
    let head = back.iter().fold(
        first,
        |outer, &(inner, _)| {
            if dominators.block_dominates(inner, outer) { inner } else { outer }
        },
    );
    Some((head, back.into_iter().filter(|&(other, _)| other == head).map(|(_, latch)| latch).collect()))
}

/// The ends of a loop that take no results, and the blocks that do nothing but go to one of these or hand constants to another.
fn exits(function: &Function, latches: &HashSet<Block>) -> HashSet<Block> {
    let is_exit = |&block: &Block| {
        if latches.contains(&block) {
            return function.dfg.num_block_params(block) == 0;
        }
        let mut insts = function.layout.block_insts(block).map(|inst| function.dfg.insts[inst].opcode());
        function.block_successors(block).all(|to| latches.contains(&to))
            && insts.all(|opcode| matches!(opcode, Opcode::Iconst | Opcode::Uextend | Opcode::Jump))
    };
    function.layout.blocks().filter(is_exit).collect()
}

/// The blocks that do nothing but write constants to memory: what has expired begins anew there.
fn beginnings(function: &Function) -> Vec<Block> {
    let is_beginning = |&block: &Block| {
        let insts = || function.layout.block_insts(block).map(|inst| function.dfg.insts[inst]);
        insts().any(|data| data.opcode() == Opcode::Store)
            && insts().all(|data| match data {
                InstructionData::Store { args: [value, _], .. } => tidy::constant(function, value).is_some(),
                _ => matches!(data.opcode(), Opcode::Iconst | Opcode::Jump),
            })
    };
    function.layout.blocks().filter(is_beginning).collect()
}

/// Where the first branches of a loop, two in a row, go if one of their conditions does not hold: to what handles the packets that are not like most.
fn left_from(function: &Function, head: Block) -> Option<Block> {
    let ways: Vec<Block> = function.block_successors(head).collect();
    let [one, other] = ways[..] else { return None };
    let leads_to = |from: Block, to: Block| function.block_successors(from).any(|way| way == to);
    match (leads_to(one, other), leads_to(other, one)) {
        (true, false) => Some(other),
        (false, true) => Some(one),
        _ => None,
    }
}

/// Lets a branch say first what is rare, if that is its second way only.
fn put_first(function: &mut Function, branch: Inst, rare: &HashSet<Block>) {
    let InstructionData::Brif { arg, blocks: [then, other], .. } = function.dfg.insts[branch] else { return };
    let is_rare = |block: Block| rare.contains(&block);
    let lists = &function.dfg.value_lists;
    if is_rare(then.block(lists)) || !is_rare(other.block(lists)) {
        return;
    }
    let compared = tidy::made_by(function, arg);
    let mut cursor = FuncCursor::new(function).at_inst(branch);
    let not = match compared {
        Some(InstructionData::IntCompare { cond, args: [a, b], .. }) => {
            cursor.ins().icmp(cond.complement(), a, b)
        }
        _ => cursor.ins().icmp_imm_u(IntCC::Equal, arg, 0),
    };
    if let InstructionData::Brif { arg, blocks, .. } = &mut function.dfg.insts[branch] {
        *arg = not;
        blocks.swap(0, 1);
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::types::I32;
    use cranelift_codegen::ir::{AbiParam, Signature, UserFuncName};
    use cranelift_codegen::isa::CallConv;
    use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

    use super::*;

    #[test]
    fn what_few_packets_do_comes_first_in_branches_and_the_general_way_lies_apart() {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(I32); 2];
        let mut context =
            Context::for_function(Function::with_name_signature(UserFuncName::default(), signature));
        let mut builder_context = FunctionBuilderContext::new();
        let mut builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
        let [entry, head, next, straight, general, more, exit, latch, end] =
            std::array::from_fn(|_| builder.create_block());
        builder.append_block_params_for_function_params(entry);
        let [one, other] = [builder.block_params(entry)[0], builder.block_params(entry)[1]];
        let result = builder.append_block_param(latch, I32);
        builder.switch_to_block(entry);
        builder.ins().jump(head, &[]);
        for (block, [then, otherwise]) in
            [(head, [next, general]), (next, [straight, general]), (straight, [more, exit])]
        {
            builder.switch_to_block(block);
            let holds = builder.ins().icmp(IntCC::UnsignedLessThan, one, other);
            builder.ins().brif(holds, then, &[], otherwise, &[]);
        }
        builder.switch_to_block(general);
        builder.ins().brif(one, exit, &[], more, &[]);
        builder.switch_to_block(more);
        let sum = builder.ins().iadd(one, other);
        builder.ins().jump(latch, &[sum.into()]);
        builder.switch_to_block(exit);
        let zero = builder.ins().iconst(I32, 0);
        builder.ins().jump(latch, &[zero.into()]);
        builder.switch_to_block(latch);
        builder.ins().brif(result, end, &[], head, &[]);
        builder.switch_to_block(end);
        builder.ins().return_(&[]);
        builder.seal_all_blocks();
        context.flowgraph();

        order(&mut context);
        let function = &context.func;
        let successors = |block| function.block_successors(block).collect::<Vec<_>>();
        let cold: Vec<Block> =
            function.layout.blocks().filter(|&block| function.layout.is_cold(block)).collect();
        assert_eq!(cold, [general]);
        assert_eq!(successors(head), [general, next]);
        assert_eq!(successors(next), [general, straight]);
        assert_eq!(successors(straight), [exit, more]);
        assert_eq!(successors(general), [exit, more]);
        let last = context.domtree.cfg_postorder();
        assert_eq!(
            last.iter().position(|&block| block == exit),
            last.iter().position(|&block| block == latch).map(|at| at + 1)
        );
    }
}
