//! Proves once that bytes are there.

use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{Filter, Module, Op, TerminatorKind};

/// Removes a window that lies within one that dominates it, and lets its loads read from that one. Both start at the same value,
/// or at constants.
///
/// It does not widen a window so that it covers a later one: the filter would take the `short` way earlier. A window that is passed
/// to a block as an argument stays, because its type says how long it is.
pub fn merge_windows(module: &Module, filter: &mut Filter) {
    let cfg = Cfg::of(filter).expect("the filter has been verified");
    let constants = constants(filter);
    let only_loaded = only_loaded(filter);
    // For each value, the window to load from instead and how many bytes further in.
    let mut moved: Vec<Option<(Value, u32)>> = vec![None; filter.values.len()];
    let mut open: Vec<Window> = Vec::new();
    for &block in cfg.order() {
        open.retain(|window| window.last >= cfg.place(block));
        if let Some(window) = entered(filter, &cfg, block, &constants) {
            open.push(window);
        }
        let TerminatorKind::Window { offset, len, ok, .. } = &filter.blocks[block.index()].term.kind else {
            continue;
        };
        let inner = ok.block;
        let Some(&token) = filter.blocks[inner.index()].params.first() else { continue };
        if cfg.preds(inner).len() != 1 || !only_loaded[token.index()] {
            continue;
        }
        let place = (*offset, constants[offset.index()]);
        let within = open.iter().find_map(|outer| Some((outer.token, outer.distance(place, *len)?)));
        if let Some(outer) = within {
            let ok = ok.clone();
            moved[token.index()] = Some(outer);
            filter.blocks[inner.index()].params.remove(0);
            filter.blocks[block.index()].term.kind = TerminatorKind::Jump(ok);
        }
    }
    let mut replacements = Replacements::new(filter);
    for inst in filter.blocks.iter_mut().flat_map(|block| &mut block.insts) {
        if let Op::Load(_, window, offset) = &mut inst.op
            && let Some((outer, distance)) = moved[window.index()]
        {
            replacements.replace(*window, outer);
            *offset += distance; // stays within the outer window
        }
    }
    replacements.apply(filter);
    renumber(module, filter);
}

/// A window that can be read at some place.
struct Window {
    token: Value,
    offset: (Value, Option<u64>),
    len: u32,
    /// The last place of the dominator order where it is there.
    last: u32,
}

impl Window {
    /// How far in another window starts, if it is within this one.
    fn distance(&self, (value, constant): (Value, Option<u64>), len: u32) -> Option<u32> {
        let distance = match (self.offset, constant) {
            ((own, _), _) if own == value => 0,
            ((_, Some(own)), Some(constant)) => u32::try_from(constant.checked_sub(own)?).ok()?,
            _ => return None,
        };
        (distance.checked_add(len)? <= self.len).then_some(distance)
    }
}

/// The window that a block has if its only predecessor gives it one.
fn entered(filter: &Filter, cfg: &Cfg, block: Block, constants: &[Option<u64>]) -> Option<Window> {
    let [pred] = cfg.preds(block) else { return None };
    match &filter.blocks[pred.index()].term.kind {
        TerminatorKind::Window { offset, len, ok, .. } if ok.block == block => Some(Window {
            token: *filter.blocks[block.index()].params.first()?,
            offset: (*offset, constants[offset.index()]),
            len: *len,
            last: cfg.last_dominated(block),
        }),
        _ => None,
    }
}

fn constants(filter: &Filter) -> Vec<Option<u64>> {
    let mut constants = vec![None; filter.values.len()];
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::Const(value)) = (inst.result, &inst.op) {
            constants[result.index()] = Some(*value);
        }
    }
    constants
}

/// Which values are used by loads and nothing else.
fn only_loaded(filter: &Filter) -> Vec<bool> {
    let mut only_loaded = vec![true; filter.values.len()];
    for block in &filter.blocks {
        for inst in block.insts.iter().filter(|inst| !matches!(inst.op, Op::Load(..))) {
            inst.op.for_each_operand(|value| only_loaded[value.index()] = false);
        }
        block.term.kind.for_each_operand(|value| only_loaded[value.index()] = false);
    }
    only_loaded
}
