//! Copies of blocks for those that lead to them, where something is known that decides what they do.
//!
//! A block to be copied gets all its parameters from calls, none from a terminator. What else uses a value that the block defines is not dominated by it
//! any more: there must be nothing like that, or the value is [passed on](super::pass_on) from the block and its copies.

use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, BlockData, Filter, Terminator, TerminatorKind, Type};
use crate::operands::Edge;

/// Blocks with more instructions are not copied for ways [past](can_be_led_past) what they end in: where an option is taken apart there are none or a
/// few, as in `nd_guard`.
const MAX_INSTS_PAST: usize = 8;

/// A copy of a block, or of what several do.
pub(super) struct Copy {
    /// Where it is.
    pub(super) block: Block,
    /// What each value of the copied block is in the copy.
    pub(super) instead: Vec<(Value, Value)>,
}

/// The edges by which these blocks, each taken once, lead to a block, and which of its block's edges each is.
pub(super) fn edges_to(
    filter: &Filter,
    mut from: Vec<Block>,
    to: Block,
) -> impl Iterator<Item = (Block, usize, Edge<'_>)> {
    from.sort_unstable();
    from.dedup();
    from.into_iter().flat_map(move |from| {
        let edges = filter.blocks[from.index()].term.kind.edges().enumerate();
        edges.filter(move |(_, edge)| edge.call.block == to).map(move |(place, edge)| (from, place, edge))
    })
}

/// Whether ways that know how a block ends may be led past that end, by [copies](lead_to_copy) of what is before it: that is little and pure, is in
/// no loop, and gets no entry.
pub(super) fn can_be_led_past(filter: &Filter, cfg: &Cfg, block: Block) -> bool {
    let data = &filter.blocks[block.index()];
    cfg.loop_of(block).is_none()
        && data.insts.len() <= MAX_INSTS_PAST
        && data.insts.iter().all(|inst| inst.op.is_pure())
        && data.params.iter().all(|param| !matches!(filter.values[param.index()], Type::Entry(_)))
}

/// Copies blocks that lead to one another, under other names for values; gives the copy of the first one.
pub(super) fn copy_blocks(filter: &mut Filter, blocks: &[Block], instead: &[(Value, Value)]) -> Block {
    let mut names = vec![None; filter.values.len()];
    for &(value, name) in instead {
        names[value.index()] = Some(name);
    }
    let rename = |value: &mut Value| *value = names[value.index()].unwrap_or(*value);
    let first = filter.blocks.len();
    let mut copies = vec![None; first];
    for (index, block) in blocks.iter().enumerate() {
        copies[block.index()] = Some(Block::from_index(first + index));
    }
    for block in blocks {
        let mut data = filter.blocks[block.index()].clone();
        data.params.iter_mut().for_each(rename);
        for inst in &mut data.insts {
            inst.result.iter_mut().for_each(rename);
            inst.op.for_each_operand_mut(rename);
        }
        data.term.kind.for_each_operand_mut(rename);
        for call in data.term.kind.calls_mut() {
            call.block = copies[call.block.index()].unwrap_or(call.block);
        }
        filter.blocks.push(data);
    }
    Block::from_index(first)
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
