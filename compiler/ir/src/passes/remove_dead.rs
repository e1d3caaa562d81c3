//! Leaves out what nobody needs.

use super::remove_params::remove_params;
use super::renumber::renumber;
use super::sources::sources;
use crate::module::{Filter, Module};

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
    let mut waiting = Vec::new();
    for (block, takes_token) in filter.blocks.iter().zip(tokens) {
        waiting.extend(block.params.first().filter(|_| *takes_token));
        for inst in block.insts.iter().filter(|inst| inst.op.has_effect()) {
            inst.op.for_each_operand(|value| waiting.push(value));
        }
        waiting.extend(block.term.kind.inputs());
    }
    sources(filter, waiting)
}
