//! Leads ways past a branch whose condition they know.

use super::copies::{Copy, can_be_led_past, edges_to, lead_to_copy};
use super::pass_on::pass_on_from;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::Block;
use crate::module::{Filter, Module, TerminatorKind};

/// How many branches are gone around in one go. Passes come in rounds, and the next one goes on.
const MAX_BRANCHES: usize = 8;

/// Where ways meet in a block that branches by one of its parameters, leads those past it that pass a constant. So in
/// `match place { none => …, let value => … }` who finds no entry goes to where there is none.
///
/// It copies the few instructions of the block, which must be pure, for each of these ways, and passes on what the block defines to where it is
/// used: [`simplify_branches`](super::simplify_branches) leads ways past blocks of which nothing is needed further on. It leaves blocks in loops alone.
pub fn thread_branches(module: &Module, filter: &mut Filter) {
    for _ in 0..MAX_BRANCHES {
        let Ok(cfg) = Cfg::of(filter) else { return };
        let constants = filter.constants();
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

/// The first block with a branch whose condition some ways know, and these.
fn next(filter: &Filter, cfg: &Cfg, constants: &[Option<u64>]) -> Option<(Block, Vec<Way>)> {
    cfg.order().iter().find_map(|&block| {
        let data = &filter.blocks[block.index()];
        let TerminatorKind::Branch { cond, .. } = data.term.kind else { return None };
        let place = data.params.iter().position(|param| *param == cond)?;
        if !can_be_led_past(filter, cfg, block) {
            return None;
        }
        let edges = edges_to(filter, cfg.preds(block).to_vec(), block);
        let ways: Vec<Way> = edges
            .filter(|(_, _, to)| to.gives.is_none())
            .filter_map(|(from, edge, to)| {
                let holds = constants[to.call.args.get(place)?.index()]? != 0;
                Some(Way { from, edge, holds })
            })
            .collect();
        (!ways.is_empty()).then_some((block, ways))
    })
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
