//! Leaves out what nobody needs.

use super::remove_params::remove_params;
use super::renumber::renumber;
use crate::entities::Block;
use crate::module::{Filter, Module, Op};

/// Removes instructions without effect whose results are not used, and block parameters that are not used together with what is
/// passed for them, also where they only use each other.
///
/// A `get` that is not used goes, too. Loops, windows, lookups and locks stay even if nothing is done with what they give: they decide where
/// the filter goes, or change state.
pub fn remove_dead(module: &Module, filter: &mut Filter) {
    let tokens = takes_token(filter);
    let needed = needed(filter, &tokens);
    for block in &mut filter.blocks {
        block
            .insts
            .retain(|inst| inst.op.has_effect() || inst.result.is_some_and(|result| needed[result.index()]));
    }
    remove_params(filter, |param| needed[param.index()]);
    renumber(module, filter);
}

/// Whether some terminator gives each block a window or entry as its first parameter, which must therefore stay.
fn takes_token(filter: &Filter) -> Vec<bool> {
    let mut takes = vec![false; filter.blocks.len()];
    for edge in filter.blocks.iter().flat_map(|block| block.term.kind.edges()) {
        takes[edge.call.block.index()] |= edge.gives.is_some();
    }
    takes
}

/// Which values something with an effect depends on.
fn needed(filter: &Filter, tokens: &[bool]) -> Vec<bool> {
    let mut definitions: Vec<Definition<'_>> = vec![Definition::None; filter.values.len()];
    let mut preds = vec![Vec::new(); filter.blocks.len()];
    let mut waiting = Vec::new();
    for (index, block) in filter.blocks.iter().enumerate() {
        for (param, &value) in block.params.iter().enumerate() {
            definitions[value.index()] = Definition::Param(Block::from_index(index), param);
        }
        waiting.extend(block.params.first().filter(|_| tokens[index]));
        for inst in &block.insts {
            if let Some(result) = inst.result {
                definitions[result.index()] = Definition::Op(&inst.op);
            }
            if inst.op.has_effect() {
                inst.op.for_each_operand(|value| waiting.push(value));
            }
        }
        waiting.extend(block.term.kind.inputs());
        for edge in block.term.kind.edges() {
            preds[edge.call.block.index()].push(edge);
        }
    }
    let mut needed = vec![false; filter.values.len()];
    while let Some(value) = waiting.pop() {
        if std::mem::replace(&mut needed[value.index()], true) {
            continue;
        }
        match definitions[value.index()] {
            Definition::Op(op) => op.for_each_operand(|value| waiting.push(value)),
            Definition::Param(block, index) => {
                for edge in &preds[block.index()] {
                    let given = usize::from(edge.gives.is_some());
                    let arg = index.checked_sub(given).and_then(|index| edge.call.args.get(index));
                    waiting.extend(arg);
                }
            }
            Definition::None => {}
        }
    }
    needed
}

#[derive(Clone, Copy)]
enum Definition<'a> {
    None,
    Op(&'a Op),
    Param(Block, usize),
}
