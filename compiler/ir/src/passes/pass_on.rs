//! Keeps the form when a block is copied: what it defines comes from more than one place then.

use std::collections::{BTreeMap, BTreeSet};

use super::copies::{Copy, new_like};
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{Filter, Inst, Op};

/// Gives each block behind `block` a parameter for what is defined in that and needed here, and passes it on from there and from the copies.
/// Constants are written down again instead, for a loop's step must be seen to be one.
///
/// The graph is that before there were copies, which lead where the block itself does; `block` is in no loop. Most of these parameters are always given the same,
/// and [`forward_arguments`](super::forward_arguments) takes them away again.
pub(super) fn pass_on(filter: &mut Filter, cfg: &Cfg, block: Block, copies: Vec<Copy>) {
    let data = &filter.blocks[block.index()];
    let constants: BTreeMap<Value, Inst> = data
        .insts
        .iter()
        .filter(|inst| matches!(inst.op, Op::Const(_) | Op::ConstBool(_)))
        .filter_map(|inst| Some((inst.result?, inst.clone())))
        .collect();
    let defined: BTreeSet<Value> =
        data.params.iter().copied().chain(data.insts.iter().filter_map(|inst| inst.result)).collect();
    let mut needed = needed(filter, cfg, block, &defined, &constants);
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

/// The values of a block that are needed in others, by these: where they are used or, but for constants, only passed through.
fn needed(
    filter: &Filter,
    cfg: &Cfg,
    block: Block,
    defined: &BTreeSet<Value>,
    constants: &BTreeMap<Value, Inst>,
) -> BTreeMap<Block, BTreeSet<Value>> {
    let mut needed: BTreeMap<Block, BTreeSet<Value>> = BTreeMap::new();
    let mut waiting = Vec::new();
    let below = cfg.order()[cfg.place(block) as usize..=cfg.last_dominated(block) as usize].iter();
    for &place in below.filter(|&&place| place != block) {
        let data = &filter.blocks[place.index()];
        let mut used = |value: Value| {
            if defined.contains(&value) {
                waiting.push((place, value));
            }
        };
        data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut used));
        data.term.kind.for_each_operand(used);
    }
    while let Some((place, value)) = waiting.pop() {
        if needed.entry(place).or_default().insert(value) && !constants.contains_key(&value) {
            let preds = cfg.preds(place).iter().filter(|&&pred| pred != block);
            waiting.extend(preds.map(|&pred| (pred, value)));
        }
    }
    needed
}
