//! Drops what is not there any more and closes the gaps that it leaves.

use crate::entities::{Block, Value};
use crate::module::{Filter, Module};

/// Removes blocks that cannot be reached, and numbers blocks and values in the order in which they are written.
///
/// Every other pass ends with it. It does not remove what can be reached but is not used.
pub fn renumber(_: &Module, filter: &mut Filter) {
    let reached = reached(filter);
    let mut blocks = Vec::new();
    let mut block_names = vec![Block(0); filter.blocks.len()];
    for (index, block) in std::mem::take(&mut filter.blocks).into_iter().enumerate() {
        if reached[index] {
            block_names[index] = Block::from_index(blocks.len());
            blocks.push(block);
        }
    }
    let mut value_names = vec![Value(0); filter.values.len()];
    let mut types = Vec::new();
    let mut define = |value: &mut Value| {
        let name = Value::from_index(types.len());
        types.push(filter.values[value.index()]);
        value_names[value.index()] = name;
        *value = name;
    };
    for block in &mut blocks {
        block.params.iter_mut().for_each(&mut define);
        block.insts.iter_mut().filter_map(|inst| inst.result.as_mut()).for_each(&mut define);
    }
    for block in &mut blocks {
        for inst in &mut block.insts {
            inst.op.for_each_operand_mut(|value| *value = value_names[value.index()]);
        }
        block.term.kind.for_each_operand_mut(|value| *value = value_names[value.index()]);
        for call in block.term.kind.calls_mut() {
            call.block = block_names[call.block.index()];
        }
    }
    filter.blocks = blocks;
    filter.values = types;
}

fn reached(filter: &Filter) -> Vec<bool> {
    let mut reached = vec![false; filter.blocks.len()];
    let mut waiting = vec![Block(0)];
    while let Some(block) = waiting.pop() {
        if !std::mem::replace(&mut reached[block.index()], true) {
            waiting.extend(filter.blocks[block.index()].term.kind.edges().map(|edge| edge.call.block));
        }
    }
    reached
}
