//! Keeps the form when there is one more way to a place: what is used there may come from more than one place then.

use std::collections::{BTreeMap, BTreeSet};

use super::copies::{Copy, new_like};
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{Filter, Inst};

/// [Passes on](pass_on) what a block defines, of which there are copies now, to what it dominated when the graph was that.
pub(super) fn pass_on_from(filter: &mut Filter, cfg: &Cfg, block: Block, copies: Vec<Copy>) {
    let values: Vec<Value> = filter.blocks[block.index()].defined().collect();
    let mut behind = vec![false; filter.blocks.len()];
    for place in &cfg.order()[cfg.place(block) as usize + 1..=cfg.last_dominated(block) as usize] {
        behind[place.index()] = true;
    }
    pass_on(filter, cfg, &values, &behind, copies);
}

/// Gives each block `behind` a parameter for those of the values that are needed there, and passes them on from where they are defined and from the copies, which lead
/// there, too. Constants are written down again instead, for a loop's step must be seen to be one.
///
/// The graph is that before there were copies. No value is defined in a block behind. Most of these parameters are always given the same, and
/// [`forward_arguments`](super::forward_arguments) takes them away again.
pub(super) fn pass_on(filter: &mut Filter, cfg: &Cfg, values: &[Value], behind: &[bool], copies: Vec<Copy>) {
    let values: BTreeSet<Value> = values.iter().copied().collect();
    let constants: BTreeMap<Value, Inst> = filter
        .blocks
        .iter()
        .flat_map(|block| &block.insts)
        .filter(|inst| inst.op.is_constant())
        .filter_map(|inst| Some((inst.result.filter(|result| values.contains(result))?, inst.clone())))
        .collect();
    let mut needed = needed(filter, cfg, behind, &values, &constants);
    // What each value is called in each block.
    let mut names: BTreeMap<Block, BTreeMap<Value, Value>> = BTreeMap::new();
    for (&place, values) in &needed {
        for &value in values {
            let name = new_like(filter, value);
            let data = &mut filter.blocks[place.index()];
            match constants.get(&value) {
                Some(constant) => data.insts.insert(0, Inst { result: Some(name), ..constant.clone() }),
                None => data.params.push(name),
            }
            names.entry(place).or_default().insert(value, name);
        }
    }
    for (place, names) in &names {
        let data = &mut filter.blocks[place.index()];
        let rename = |value: &mut Value| *value = names.get(value).copied().unwrap_or(*value);
        data.insts.iter_mut().for_each(|inst| inst.op.for_each_operand_mut(rename));
        data.term.kind.for_each_operand_mut(rename);
    }
    for values in needed.values_mut() {
        values.retain(|value| !constants.contains_key(value));
    }
    for copy in copies {
        names.insert(copy.block, copy.instead.into_iter().collect());
    }
    for (index, data) in filter.blocks.iter_mut().enumerate() {
        let here = names.get(&Block::from_index(index));
        for call in data.term.kind.calls_mut() {
            for value in needed.get(&call.block).into_iter().flatten() {
                call.args.push(here.and_then(|names| names.get(value)).copied().unwrap_or(*value));
            }
        }
    }
}

/// Which of the values are needed in each block behind: used there or, but for constants, only passed through.
fn needed(
    filter: &Filter,
    cfg: &Cfg,
    behind: &[bool],
    values: &BTreeSet<Value>,
    constants: &BTreeMap<Value, Inst>,
) -> BTreeMap<Block, BTreeSet<Value>> {
    let mut needed: BTreeMap<Block, BTreeSet<Value>> = BTreeMap::new();
    let mut waiting = Vec::new();
    for &place in cfg.order().iter().filter(|place| behind[place.index()]) {
        let data = &filter.blocks[place.index()];
        let mut used = |value: Value| {
            if values.contains(&value) {
                waiting.push((place, value));
            }
        };
        data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut used));
        data.term.kind.for_each_operand(used);
    }
    while let Some((place, value)) = waiting.pop() {
        if needed.entry(place).or_default().insert(value) && !constants.contains_key(&value) {
            let preds = cfg.preds(place).iter().filter(|pred| behind[pred.index()]);
            waiting.extend(preds.map(|&pred| (pred, value)));
        }
    }
    needed
}
