//! Leads ways past a branch whose condition they know.

use super::copies::{Copy, lead_to_copy};
use super::pass_on::pass_on_from;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::Block;
use crate::module::{Filter, Module, Op, TerminatorKind, Type};

/// How many branches are gone around in one go. Passes come in rounds, and the next one goes on.
const MAX_BRANCHES: usize = 8;
/// Blocks with more instructions are not copied: where an option is taken apart there are none or a few, as in `nd_guard`.
const MAX_INSTS: usize = 8;

/// Where ways meet in a block that branches by one of its parameters, leads those past it that pass a constant. So in
/// `match place { none => …, let value => … }` who finds no entry goes to where there is none.
///
/// It copies the few instructions of the block, which must be pure, for each of these ways, and passes on what the block defines to where it is
/// used: [`simplify_branches`](super::simplify_branches) leads ways past blocks of which nothing is needed further on. It leaves blocks in loops alone.
pub fn thread_branches(module: &Module, filter: &mut Filter) {
    for _ in 0..MAX_BRANCHES {
        let Ok(cfg) = Cfg::of(filter) else { return };
        let constants = constants(filter);
        let Some((block, ways)) = next(filter, &cfg, &constants) else { return };
        let copies = ways.iter().map(|way| lead_past(filter, way)).collect();
        pass_on_from(filter, &cfg, block, copies);
        renumber(module, filter);
    }
}

/// An edge into a block with a branch.
struct Way {
    from: Block,
    /// Which edge of that block.
    edge: usize,
    /// What the condition is.
    holds: bool,
}

/// What each bool is, if it is a constant.
fn constants(filter: &Filter) -> Vec<Option<bool>> {
    let mut constants = vec![None; filter.values.len()];
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::ConstBool(value)) = (inst.result, &inst.op) {
            constants[result.index()] = Some(*value);
        }
    }
    constants
}

/// The first block with a branch whose condition some ways know, and these.
fn next(filter: &Filter, cfg: &Cfg, constants: &[Option<bool>]) -> Option<(Block, Vec<Way>)> {
    cfg.order().iter().find_map(|&block| {
        let data = &filter.blocks[block.index()];
        let TerminatorKind::Branch { cond, .. } = data.term.kind else { return None };
        let place = data.params.iter().position(|param| *param == cond)?;
        if !can_be_copied(filter, cfg, block) {
            return None;
        }
        let mut preds = cfg.preds(block).to_vec();
        preds.sort_unstable();
        preds.dedup();
        let ways: Vec<Way> = preds
            .into_iter()
            .flat_map(|from| {
                let edges = filter.blocks[from.index()].term.kind.edges().enumerate();
                let into = edges.filter(|(_, edge)| edge.call.block == block && edge.gives.is_none());
                into.filter_map(move |(edge, to)| {
                    let holds = constants[to.call.args.get(place)?.index()]?;
                    Some(Way { from, edge, holds })
                })
            })
            .collect();
        (!ways.is_empty()).then_some((block, ways))
    })
}

fn can_be_copied(filter: &Filter, cfg: &Cfg, block: Block) -> bool {
    let data = &filter.blocks[block.index()];
    cfg.loop_of(block).is_none()
        && data.insts.len() <= MAX_INSTS
        && data.insts.iter().all(|inst| inst.op.is_pure())
        && data.params.iter().all(|param| !matches!(filter.values[param.index()], Type::Entry(_)))
}

/// Gives one way a copy of the block that goes on as if it had branched.
fn lead_past(filter: &mut Filter, way: &Way) -> Copy {
    let copy = lead_to_copy(filter, way.from, way.edge);
    let kind = &mut filter.blocks[copy.block.index()].term.kind;
    if let TerminatorKind::Branch { then, other, .. } = kind {
        *kind = TerminatorKind::Jump(if way.holds { then.clone() } else { other.clone() });
    }
    copy
}
