//! What Linux's verifier is made to forget where ways meet.
//!
//! What a comparison shows of a number, it knows behind it: on one way that it is less than 5, on the other that it is not. Where these meet, the number
//! is known in two ways, and what is behind is walked through twice, if anything that is compared there comes of it; behind the next
//! comparison four times. So at each beginning of a block to which several jumps lead, the numbers that come with them are forgotten, and those that were
//! compared before and are still needed.

use oko_ir::cfg::Cfg;
use oko_ir::{BinaryOp, Block, Filter, Op, TerminatorKind, Value};

use crate::live::Live;
use crate::plan::{Item, Plan, VReg};

/// The virtual registers that are forgotten at the beginning of each block.
pub(crate) fn forgotten(plan: &Plan<'_>, live: &Live) -> Vec<Vec<VReg>> {
    let compared = if plan.options.for_linux() { compared(plan) } else { Vec::new() };
    let of_block = |index: usize| {
        let block = Block::from_index(index);
        let Some(begin) = live.begins[index] else { return Vec::new() };
        if plan.items[index].first() != Some(&Item::Forget) {
            return Vec::new();
        }
        let passed = plan.filter.blocks[index].params.iter().copied();
        let passed = passed.filter(|param| plan.is_forgettable(*param)).filter_map(|param| plan.vreg(param));
        let known = compared.iter().filter(|known| {
            plan.cfg.dominates(known.home, block)
                && known.home != block
                && live.spans[known.vreg.index()].is_some_and(|(start, end)| start < begin && begin < end)
        });
        passed.chain(known.map(|known| known.vreg)).collect()
    };
    (0..plan.filter.blocks.len()).map(of_block).collect()
}

/// The virtual registers that are needed at the beginning of each loop with a guard, or behind it.
pub(crate) fn kept(plan: &Plan<'_>, live: &Live) -> Vec<Vec<VReg>> {
    let of_block = |index: usize| {
        let Some(begin) = live.begins[index].filter(|_| plan.items[index].contains(&Item::Guard)) else {
            return Vec::new();
        };
        let needed =
            |span: &Option<(u32, u32)>| span.is_some_and(|(start, end)| start <= begin && begin < end);
        let vregs = (0..).map(VReg).zip(&live.spans);
        vregs.filter(|(_, span)| needed(span)).map(|(vreg, _)| vreg).collect()
    };
    (0..plan.filter.blocks.len()).map(of_block).collect()
}

/// A number of which comparisons show something.
struct Compared {
    vreg: VReg,
    /// The block that it is made in.
    home: Block,
}

/// All of them that may be forgotten.
fn compared(plan: &Plan<'_>) -> Vec<Compared> {
    let filter = plan.filter;
    let (mut shown, mut open) = (vec![false; filter.values.len()], Vec::new());
    for &block in &plan.order {
        let data = &filter.blocks[block.index()];
        let of_insts = data.insts.iter().filter_map(|inst| match inst.op {
            // Of those that are no jumps, copies are compared.
            Op::Compare(_, a, b) if inst.result.is_some_and(|result| plan.fused(result).is_some()) => {
                Some([a, b])
            }
            _ => None,
        });
        let of_term = match data.term.kind {
            TerminatorKind::Branch { cond, .. } => Some(cond),
            TerminatorKind::Window { offset, .. } => Some(offset),
            TerminatorKind::Repeat { counter, .. } => Some(counter),
            _ => None,
        };
        open.extend(of_insts.flatten().chain(of_term));
    }
    // What is shown of a number is shown of those that it was copied from, or made from by adding a constant.
    let origins = origins(plan);
    while let Some(value) = open.pop() {
        if !std::mem::replace(&mut shown[value.index()], true) {
            open.extend(&origins[value.index()]);
        }
    }
    let homes = homes(filter, &plan.cfg);
    let mut vregs: Vec<VReg> = (0..filter.values.len())
        .map(Value::from_index)
        .filter(|value| shown[value.index()] && plan.is_forgettable(*value))
        .filter_map(|value| plan.vreg(value))
        .collect();
    // Values that are the same under another name share one.
    vregs.sort_unstable();
    vregs.dedup();
    let made = |vreg: VReg| Some(Compared { vreg, home: *homes.get(vreg.index())?.as_ref()? });
    vregs.into_iter().filter_map(made).collect()
}

/// What each value is a copy of, or the sum of it and a constant.
fn origins(plan: &Plan<'_>) -> Vec<Vec<Value>> {
    let filter = plan.filter;
    let mut origins = vec![Vec::new(); filter.values.len()];
    let is_constant = |value: Value| plan.vreg(value).is_none();
    for &block in &plan.order {
        let data = &filter.blocks[block.index()];
        for inst in &data.insts {
            let Some(result) = inst.result else { continue };
            match inst.op {
                Op::Binary(BinaryOp::Add | BinaryOp::Sub, a, b) if is_constant(b) => {
                    origins[result.index()].push(a);
                }
                Op::Binary(BinaryOp::Add, a, b) if is_constant(a) => origins[result.index()].push(b),
                Op::IntOfBool(from) => origins[result.index()].push(from),
                _ => {}
            }
        }
        for edge in data.term.kind.edges() {
            let params = &filter.blocks[edge.call.block.index()].params;
            let params = params.iter().skip(usize::from(edge.gives.is_some()));
            for (param, &arg) in params.zip(&edge.call.args) {
                origins[param.index()].push(arg);
            }
        }
    }
    origins
}

/// The block that each value is made in.
fn homes(filter: &Filter, cfg: &Cfg) -> Vec<Option<Block>> {
    let mut homes = vec![None; filter.values.len()];
    for &block in cfg.order() {
        let data = &filter.blocks[block.index()];
        let made = data.insts.iter().filter_map(|inst| inst.result);
        for value in data.params.iter().copied().chain(made) {
            homes[value.index()] = Some(block);
        }
    }
    homes
}
