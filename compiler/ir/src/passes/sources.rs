//! What values are computed from.

use crate::entities::{Block, Value};
use crate::module::{Filter, Op};

/// By value: whether it is one of these, or one of these is computed from it: by operations, and by what is passed for parameters. What decided where the filter
/// goes is not looked at.
pub(super) fn sources(filter: &Filter, mut of: Vec<Value>) -> Vec<bool> {
    let mut definitions: Vec<Definition<'_>> = vec![Definition::None; filter.values.len()];
    let mut edges = vec![Vec::new(); filter.blocks.len()];
    for (index, block) in filter.blocks.iter().enumerate() {
        for (param, &value) in block.params.iter().enumerate() {
            definitions[value.index()] = Definition::Param(Block::from_index(index), param);
        }
        for inst in &block.insts {
            if let Some(result) = inst.result {
                definitions[result.index()] = Definition::Op(&inst.op);
            }
        }
        for edge in block.term.kind.edges() {
            edges[edge.call.block.index()].push(edge);
        }
    }
    let mut found = vec![false; filter.values.len()];
    while let Some(value) = of.pop() {
        if std::mem::replace(&mut found[value.index()], true) {
            continue;
        }
        match definitions[value.index()] {
            Definition::Op(op) => op.for_each_operand(|value| of.push(value)),
            Definition::Param(block, index) => {
                for edge in &edges[block.index()] {
                    let given = usize::from(edge.gives.is_some());
                    of.extend(index.checked_sub(given).and_then(|index| edge.call.args.get(index)));
                }
            }
            Definition::None => {}
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Definition<'a> {
    None,
    Op(&'a Op),
    Param(Block, usize),
}
