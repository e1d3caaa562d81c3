//! Unlocks an entry where it turns out that it is not needed any more.

use std::collections::BTreeSet;

use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, BlockData, Filter, Inst, Module, Op, Terminator, TerminatorKind, Unlock};

/// How many moves are made in one go.
const MAX_MOVES: usize = 16;
/// So many instructions may be between an `unlock` and the `lock` behind it: others wait for them.
const MAX_INSTS: usize = 16;

/// Moves an `unlock.keep` or `unlock.touch` that is followed by pure operations only to the begin of both ways of the branch behind it, if on one of them the same
/// entry is locked again after nothing but more of these; and an `unlock.keep` from the ends of all ways that meet in a block to the begin of that.
/// [`join_sections`](super::join_sections) makes one section of two whose `unlock` and `lock` have come into one block so.
///
/// What was read under the lock and decides whether it is taken again is one step with what is done then. It moves no other `unlock`, and none into a loop.
pub fn sink_unlocks(module: &Module, filter: &mut Filter) {
    if !locks_twice(filter) {
        return;
    }
    for _ in 0..MAX_MOVES {
        let Ok(cfg) = Cfg::of(filter) else { return };
        let Some(step) = next(filter, &cfg) else { return };
        match step {
            Move::OverBranch(block, at) => over_branch(filter, &cfg, block, at),
            Move::OverMeeting(block, ends) => over_meeting(filter, block, &ends),
        }
        renumber(module, filter);
    }
}

/// Whether an entry is locked in several places.
fn locks_twice(filter: &Filter) -> bool {
    let mut locked = BTreeSet::new();
    filter.blocks.iter().flat_map(|block| &block.insts).any(|inst| match inst.op {
        Op::Lock(entry) => !locked.insert(entry),
        _ => false,
    })
}

enum Move {
    /// Of the `unlock` at this place of a block to where the block branches to.
    OverBranch(Block, usize),
    /// Of those at these places of all blocks that lead to this one.
    OverMeeting(Block, Vec<(Block, usize)>),
}

/// The first move that brings an `unlock` nearer to a `lock`.
fn next(filter: &Filter, cfg: &Cfg) -> Option<Move> {
    cfg.order().iter().find_map(|&block| {
        if let Some(ends) = ends_before(filter, cfg, block) {
            return Some(Move::OverMeeting(block, ends));
        }
        let (at, entry, _) = last_unlock(filter, block)?;
        let kind = &filter.blocks[block.index()].term.kind;
        let is_branch = matches!(kind, TerminatorKind::Branch { .. });
        let mut edges = kind.edges();
        let behind = filter.blocks[block.index()].insts.len() - at - 1;
        let leads_on = is_branch
            && edges.any(|edge| is_locked_again(filter, cfg, (block, behind), edge.call.block, entry));
        leads_on.then_some(Move::OverBranch(block, at))
    })
}

/// Where the entry is unlocked on all ways to a block that locks it, if these are several and jump there.
fn ends_before(filter: &Filter, cfg: &Cfg, block: Block) -> Option<Vec<(Block, usize)>> {
    let preds = cfg.preds(block);
    if preds.len() < 2 || cfg.loop_at(block).is_some() {
        return None;
    }
    let first = preds.first()?;
    let (_, entry, _) = last_unlock(filter, *first)?;
    let end = |&pred: &Block| {
        let (at, of, how) = last_unlock(filter, pred)?;
        let TerminatorKind::Jump(call) = &filter.blocks[pred.index()].term.kind else { return None };
        (of == entry && how == Unlock::Keep && !call.args.contains(&entry)).then_some((pred, at))
    };
    let ends: Vec<(Block, usize)> = preds.iter().map(end).collect::<Option<_>>()?;
    let behind = ends.iter().map(|(pred, at)| filter.blocks[pred.index()].insts.len() - at - 1).max()?;
    is_locked_again(filter, cfg, (block, behind), block, entry).then_some(ends)
}

/// The `unlock.keep` or `unlock.touch` of a block that only pure operations follow.
fn last_unlock(filter: &Filter, block: Block) -> Option<(usize, Value, Unlock)> {
    let insts = &filter.blocks[block.index()].insts;
    let at = insts.iter().rposition(|inst| !inst.op.is_pure())?;
    match insts[at].op {
        Op::Unlock(entry, how @ (Unlock::Keep | Unlock::Touch(_))) => Some((at, entry, how)),
        _ => None,
    }
}

/// Whether on a way from a block that leads by another one, no further than the first one dominates, an entry is locked after a few pure operations. So many of
/// these are before already.
fn is_locked_again(
    filter: &Filter,
    cfg: &Cfg,
    (from, mut insts): (Block, usize),
    to: Block,
    entry: Value,
) -> bool {
    let (mut waiting, mut seen) = (vec![to], BTreeSet::from([to]));
    while let Some(block) = waiting.pop() {
        if !cfg.dominates(from, block) || cfg.loop_at(block).is_some() {
            continue;
        }
        let data = &filter.blocks[block.index()];
        let first = data.insts.iter().position(|inst| !inst.op.is_pure());
        insts += first.unwrap_or(data.insts.len());
        if insts > MAX_INSTS {
            return false;
        }
        if let Some(first) = first {
            if data.insts[first].op == Op::Lock(entry) {
                return true;
            }
            continue;
        }
        if matches!(data.term.kind, TerminatorKind::Jump(_) | TerminatorKind::Branch { .. }) {
            waiting
                .extend(data.term.kind.edges().map(|edge| edge.call.block).filter(|next| seen.insert(*next)));
        }
    }
    false
}

/// Moves an `unlock` to the begin of the ways that a block branches to: of blocks that are come to from elsewhere, and of those that are given the
/// entry, which cannot be while it is locked, to a block of its own before.
fn over_branch(filter: &mut Filter, cfg: &Cfg, block: Block, at: usize) {
    let unlock = filter.blocks[block.index()].insts.remove(at);
    let Op::Unlock(entry, _) = unlock.op else { return };
    let mut term = filter.blocks[block.index()].term.clone();
    let loc = term.loc;
    for call in term.kind.calls_mut() {
        if cfg.preds(call.block).len() == 1 && !call.args.contains(&entry) {
            filter.blocks[call.block.index()].insts.insert(0, unlock.clone());
            continue;
        }
        let before = Block::from_index(filter.blocks.len());
        let call = std::mem::replace(call, BlockCall { block: before, args: Vec::new() });
        let term = Terminator { kind: TerminatorKind::Jump(call), loc };
        filter.blocks.push(BlockData { params: Vec::new(), insts: vec![unlock.clone()], term });
    }
    filter.blocks[block.index()].term = term;
}

/// Moves what unlocks at the ends of the ways to a block to its begin.
fn over_meeting(filter: &mut Filter, block: Block, ends: &[(Block, usize)]) {
    let mut unlock: Option<Inst> = None;
    for &(end, at) in ends {
        unlock = Some(filter.blocks[end.index()].insts.remove(at));
    }
    filter.blocks[block.index()].insts.splice(0..0, unlock);
}
