//! Proves once that bytes are there.

use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BinaryOp, Filter, Module, Op, TerminatorKind};
use crate::ranges::Ranges;

/// Removes a window that lies within one that dominates it, and lets its loads read from that one. Both start at constants, or a constant
/// number of bytes behind the same value, where the sum cannot wrap.
///
/// It does not widen a window so that it covers a later one: the filter would take the `short` way earlier. A window that is passed
/// to a block as an argument stays, because its type says how long it is.
pub fn merge_windows(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let starts = starts(module, filter, &cfg);
    let only_loaded = only_loaded(filter);
    // For each value, the window to load from instead and how many bytes further in.
    let mut moved: Vec<Option<(Value, u32)>> = vec![None; filter.values.len()];
    let mut open: Vec<Window> = Vec::new();
    for &block in cfg.order() {
        open.retain(|window| window.last >= cfg.place(block));
        if let Some(window) = entered(filter, &cfg, block, &starts) {
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
        let start = starts[offset.index()];
        let within = open.iter().find_map(|outer| Some((outer.token, outer.distance(start, *len)?)));
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
    start: Start,
    len: u32,
    /// The last place of the dominator order where it is there.
    last: u32,
}

impl Window {
    /// How far in another window starts, if it is within this one.
    fn distance(&self, start: Start, len: u32) -> Option<u32> {
        if self.start.base != start.base {
            return None;
        }
        let distance = u32::try_from(start.behind.checked_sub(self.start.behind)?).ok()?;
        (distance.checked_add(len)? <= self.len).then_some(distance)
    }
}

/// Where a window starts: so many bytes behind a value, or behind the start of the packet.
#[derive(Clone, Copy)]
struct Start {
    base: Option<Value>,
    behind: u64,
}

/// The window that a block has if its only predecessor gives it one.
fn entered(filter: &Filter, cfg: &Cfg, block: Block, starts: &[Start]) -> Option<Window> {
    let [pred] = cfg.preds(block) else { return None };
    match &filter.blocks[pred.index()].term.kind {
        TerminatorKind::Window { offset, len, ok, .. } if ok.block == block => Some(Window {
            token: *filter.blocks[block.index()].params.first()?,
            start: starts[offset.index()],
            len: *len,
            last: cfg.last_dominated(block),
        }),
        _ => None,
    }
}

/// For each value what it is as the start of a window.
fn starts(module: &Module, filter: &Filter, cfg: &Cfg) -> Vec<Start> {
    let ranges = Ranges::of_with(module, filter, cfg);
    let itself = |index| Start { base: Some(Value::from_index(index)), behind: 0 };
    let mut starts: Vec<Start> = (0..filter.values.len()).map(itself).collect();
    for &block in cfg.order() {
        for inst in &filter.blocks[block.index()].insts {
            let Some(result) = inst.result else { continue };
            match inst.op {
                Op::Const(constant) => starts[result.index()] = Start { base: None, behind: constant },
                Op::Binary(BinaryOp::Add, a, b) => {
                    let (a_start, b_start) = (starts[a.index()], starts[b.index()]);
                    let sum = match (a_start.base, b_start.base) {
                        (base, None) | (None, base) => {
                            a_start.behind.checked_add(b_start.behind).map(|behind| Start { base, behind })
                        }
                        _ => None,
                    };
                    let (a, b) = (ranges.of_value(a).max, ranges.of_value(b).max);
                    if let Some(sum) = sum.filter(|_| a.checked_add(b).is_some()) {
                        starts[result.index()] = sum;
                    }
                }
                _ => {}
            }
        }
    }
    starts
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
