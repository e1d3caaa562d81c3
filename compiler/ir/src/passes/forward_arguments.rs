//! Takes away parameters that stand for one value only.

use super::remove_params::remove_params;
use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{Filter, Module};

/// Replaces a parameter of a block by what all ways into the block pass for it, if that is one value; a loop may also pass the parameter
/// itself back.
///
/// That value is defined wherever one of the ways starts, so where the block begins, too. It does not see that two values are equal, nor
/// that several parameters of loops only stand for each other.
pub fn forward_arguments(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let mut replacements = Replacements::new(filter);
    let mut goes = vec![false; filter.values.len()];
    // What was passed before on the ways here has been replaced already, but for what comes back to a loop.
    for &block in cfg.order() {
        for index in 0..filter.blocks[block.index()].params.len() {
            let param = filter.blocks[block.index()].params[index];
            if let Some(value) = always_passed(filter, &cfg, &mut replacements, (block, index), param) {
                replacements.replace(param, value);
                goes[param.index()] = true;
            }
        }
    }
    if !goes.contains(&true) {
        return;
    }
    remove_params(filter, |param| !goes[param.index()]);
    replacements.apply(filter);
    renumber(module, filter);
}

/// What is passed for one parameter of a block on all ways, if it is one value and not given by a terminator.
fn always_passed(
    filter: &Filter,
    cfg: &Cfg,
    replacements: &mut Replacements,
    (block, index): (Block, usize),
    param: Value,
) -> Option<Value> {
    let mut always = None;
    for pred in cfg.preds(block) {
        for edge in filter.blocks[pred.index()].term.kind.edges().filter(|edge| edge.call.block == block) {
            let index = index.checked_sub(usize::from(edge.gives.is_some()))?;
            let passed = replacements.get(*edge.call.args.get(index)?);
            if passed != param && *always.get_or_insert(passed) != passed {
                return None;
            }
        }
    }
    always
}
