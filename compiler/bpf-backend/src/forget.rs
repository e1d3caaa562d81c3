//! What verifiers are made to forget, and where, so that they leave ways early.
//!
//! At the beginning of a loop it is the numbers that come round, for any verifier. Linux's, which follows ways by themselves that meet, is made to forget more.
//! What a comparison shows of a number, it knows behind it: on one way that it is less than 5, on the other that it is not. Where these meet, the number
//! is known in two ways, and what is behind is walked through twice, if anything that is compared there comes of it; behind the next
//! comparison four times. So at each beginning of a block to which several jumps lead, the numbers that come with them are forgotten, and those that were
//! compared before and are still needed. And its loops have guards, if they are long.

use oko_ir::cfg::Cfg;
use oko_ir::loops::counted;
use oko_ir::{BinaryOp, Block, Filter, Op, TerminatorKind, Value};

use crate::live::Live;
use crate::plan::{Condition, Item, Plan, VReg};

/// Linux's verifier has looked at up to a hundred times as many instructions as a filter has, each counted as often as the loops around it turn. It gives up
/// after a million of them, or 8,192 jumps on one way. So the loops of filters with more than this have guards.
const MOST_TURNED: u64 = 8_192;

/// Puts the items that forget, and the guards of loops, at the beginnings of blocks.
pub(crate) fn place(plan: &mut Plan<'_>) {
    let for_linux = plan.options.for_linux();
    plan.guarded = for_linux && !plan.cfg.loops().is_empty() && turned(plan) > MOST_TURNED;
    for at in 0..plan.order.len() {
        let block = plan.order[at];
        let begins_loop = plan.cfg.loop_at(block).is_some();
        let forgets =
            for_linux && ways_meet(plan, block) || begins_loop && passed(plan, block).next().is_some();
        let guards = begins_loop && plan.guarded;
        let added = [forgets.then_some(Item::Forget), guards.then_some(Item::Guard)];
        plan.items[block.index()].splice(0..0, added.into_iter().flatten());
    }
}

/// How many instructions a filter has, each counted as often as the loops around it turn at most.
fn turned(plan: &Plan<'_>) -> u64 {
    let turns = |this: u32| {
        let this = &plan.cfg.loops()[this as usize];
        counted(plan.filter, this).map_or(1, |counted| u64::from(counted.count))
    };
    let insts = |block: Block| plan.filter.blocks[block.index()].insts.len() as u64 + 1;
    let of_block =
        |&block: &Block| plan.cfg.loops_around(block).map(turns).fold(insts(block), u64::saturating_mul);
    plan.order.iter().map(of_block).fold(0, u64::saturating_add)
}

/// Whether several jumps lead to a block.
fn ways_meet(plan: &Plan<'_>, block: Block) -> bool {
    let preds = plan.cfg.preds(block);
    let by_several_jumps = |pred: &Block| match plan.filter.blocks[pred.index()].term.kind {
        TerminatorKind::Branch { cond, .. } => is_compound(plan, cond),
        TerminatorKind::Window { offset, ref short, .. } => {
            short.block == block && plan.vreg(offset).is_some()
        }
        _ => false,
    };
    preds.len() > 1 || preds.iter().any(by_several_jumps)
}

/// Whether a condition is written as several jumps.
fn is_compound(plan: &Plan<'_>, cond: Value) -> bool {
    match plan.fused(cond) {
        Some(Condition::Two(..)) => true,
        Some(Condition::Not(value)) => is_compound(plan, value),
        Some(Condition::Compare(..)) | None => false,
    }
}

/// The numbers that come to a block with the jumps there and may be forgotten.
fn passed(plan: &Plan<'_>, block: Block) -> impl Iterator<Item = VReg> {
    let params = plan.filter.blocks[block.index()].params.iter().copied();
    params.filter(|param| plan.is_forgettable(*param)).filter_map(|param| plan.vreg(param))
}

/// What the items mean, by virtual registers.
#[derive(Debug)]
pub(crate) struct Forgetting {
    /// What is forgotten at the beginning of each block.
    pub(crate) at: Vec<Vec<VReg>>,
    /// Whether a virtual register is forgotten anywhere.
    pub(crate) anywhere: Vec<bool>,
    /// What is needed at the beginning of each loop with a guard, or behind it.
    pub(crate) kept: Vec<Vec<VReg>>,
}

impl Forgetting {
    pub(crate) fn of(plan: &Plan<'_>, live: &Live) -> Forgetting {
        let at = forgotten(plan, live);
        let mut anywhere = vec![false; plan.vregs];
        at.iter().flatten().for_each(|vreg| anywhere[vreg.index()] = true);
        Forgetting { at, anywhere, kept: kept(plan, live) }
    }
}

fn forgotten(plan: &Plan<'_>, live: &Live) -> Vec<Vec<VReg>> {
    let compared = if plan.options.for_linux() { compared(plan) } else { Vec::new() };
    let of_block = |index: usize| {
        let block = Block::from_index(index);
        let Some(begin) = live.begins[index].filter(|_| plan.items[index].contains(&Item::Forget)) else {
            return Vec::new();
        };
        let known = compared.iter().filter(|known| {
            plan.cfg.dominates(known.home, block)
                && known.home != block
                && live.spans[known.vreg.index()].is_some_and(|(start, end)| start < begin && begin < end)
        });
        passed(plan, block).chain(known.map(|known| known.vreg)).collect()
    };
    (0..plan.filter.blocks.len()).map(of_block).collect()
}

fn kept(plan: &Plan<'_>, live: &Live) -> Vec<Vec<VReg>> {
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
