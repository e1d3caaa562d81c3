//! Copies of blocks at the end of those that lead to them, where something is known that decides what they do.
//!
//! A block to be copied gets all its parameters from calls, none from a terminator. What else uses a value that the block defines is not dominated by it
//! any more: there must be nothing like that, or the value is [passed on](super::pass_on) from the block and its copies.

use crate::entities::{Block, Value};
use crate::module::{BlockCall, BlockData, Filter, Terminator, TerminatorKind};

/// A copy of a block, or of what several do.
pub(super) struct Copy {
    /// Where it is.
    pub(super) block: Block,
    /// What each value of the copied block is in the copy.
    pub(super) instead: Vec<(Value, Value)>,
}

/// Ends a block by what the block does that is called.
pub(super) fn end_by(filter: &mut Filter, block: Block, call: &BlockCall) -> Copy {
    let BlockData { params, mut insts, mut term } = filter.blocks[call.block.index()].clone();
    let mut instead: Vec<(Value, Value)> = params.into_iter().zip(call.args.iter().copied()).collect();
    for result in insts.iter_mut().filter_map(|inst| inst.result.as_mut()) {
        let name = new_like(filter, *result);
        instead.push((*result, name));
        *result = name;
    }
    let rename = |value: &mut Value| {
        if let Some((_, name)) = instead.iter().find(|(of, _)| of == value) {
            *value = *name;
        }
    };
    insts.iter_mut().for_each(|inst| inst.op.for_each_operand_mut(rename));
    term.kind.for_each_operand_mut(rename);
    let data = &mut filter.blocks[block.index()];
    data.insts.extend(insts);
    data.term = term;
    Copy { block, instead }
}

/// Leads one of a block's edges to a copy of its own of the block where it leads to.
pub(super) fn lead_to_copy(filter: &mut Filter, from: Block, edge: usize) -> Copy {
    let block = Block::from_index(filter.blocks.len());
    let Terminator { kind, loc } = &mut filter.blocks[from.index()].term;
    let loc = *loc;
    let call = kind.calls_mut().nth(edge).expect("the edge was found in this block");
    let call = std::mem::replace(call, BlockCall { block, args: Vec::new() });
    let term = Terminator { kind: TerminatorKind::Jump(call.clone()), loc };
    filter.blocks.push(BlockData { params: Vec::new(), insts: Vec::new(), term });
    end_by(filter, block, &call)
}

/// A value of the same type, which nothing defines yet.
pub(super) fn new_like(filter: &mut Filter, value: Value) -> Value {
    filter.values.push(filter.values[value.index()]);
    Value::from_index(filter.values.len() - 1)
}
