//! Gives those who have just had an entry locked a section of their own.

use super::copies::{Copy, copy_blocks, edges_to, new_like};
use super::pass_on::pass_on;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, Filter, Module, Op, TerminatorKind, Type, Unlock};

/// How many sections are copied in one go; no example has more than two ways to one.
const MAX_COPIES: usize = 8;
/// Larger sections are not copied: an average that fades takes 63 instructions, `dns_tunnel` has two of them in an entry. The blocks count as a whole, with what is in
/// them in front of the section and behind.
const MAX_INSTS: usize = 80;
/// Nor are those of more blocks; an average has three.
const MAX_BLOCKS: usize = 6;
/// How many blocks are gone back to see that an entry was just unlocked: `nd_guard` asks one thing in between.
const MAX_STEPS_BACK: usize = 4;

/// Where ways with different entries meet in a block that locks the entry that it is given, leads a way with one that was unlocked a moment ago, with nothing but
/// pure operations since, to a copy of the section. There [`sink_unlocks`](super::sink_unlocks) and [`join_sections`](super::join_sections) can make one section of
/// both: who finds an entry in `match place { … }` and then updates it locks it once, though on other ways it is made first.
///
/// What the section defines is passed on to where it is used. It leaves sections in loops alone, and those whose entry is used behind them.
pub fn copy_sections(module: &Module, filter: &mut Filter) {
    let locks = filter.blocks.iter().flat_map(|block| &block.insts);
    if locks.filter(|inst| matches!(inst.op, Op::Lock(_))).count() < 2 {
        return;
    }
    for _ in 0..MAX_COPIES {
        let Ok(cfg) = Cfg::of(filter) else { return };
        let Some((section, way)) = next(filter, &cfg) else { return };
        copy(filter, &cfg, &section, &way);
        renumber(module, filter);
    }
}

/// The blocks of a section: first the one that locks.
struct Section {
    blocks: Vec<Block>,
    /// The blocks that it dominates but that are not in it.
    behind: Vec<bool>,
}

/// An edge into the block that locks.
struct Way {
    from: Block,
    /// Which edge of that block.
    edge: usize,
    call: BlockCall,
}

/// The first section that a way with an entry that was just unlocked leads to, and that way.
fn next(filter: &Filter, cfg: &Cfg) -> Option<(Section, Way)> {
    cfg.order().iter().find_map(|&block| {
        let data = &filter.blocks[block.index()];
        if cfg.preds(block).len() < 2 || cfg.loop_of(block).is_some() {
            return None;
        }
        let first = data.insts.iter().find(|inst| !inst.op.is_pure())?;
        let Op::Lock(entry) = first.op else { return None };
        let param = data.params.iter().position(|param| *param == entry)?;
        let way = edges_to(filter, cfg.preds(block).to_vec(), block).find_map(|(from, edge, to)| {
            let known = to.gives.is_none() && was_just_unlocked(filter, cfg, from, *to.call.args.get(param)?);
            known.then(|| Way { from, edge, call: to.call.clone() })
        })?;
        Some((section(filter, cfg, block, entry)?, way))
    })
}

/// Whether at the end of a block nothing impure was done since an entry was unlocked that is as live as it was.
fn was_just_unlocked(filter: &Filter, cfg: &Cfg, mut block: Block, entry: Value) -> bool {
    for _ in 0..MAX_STEPS_BACK {
        let insts = &filter.blocks[block.index()].insts;
        if let Some(last) = insts.iter().rfind(|inst| !inst.op.is_pure()) {
            return matches!(last.op, Op::Unlock(of, Unlock::Keep | Unlock::Touch(_)) if of == entry);
        }
        let [pred] = cfg.preds(block) else { return false };
        if !matches!(
            filter.blocks[pred.index()].term.kind,
            TerminatorKind::Jump(_) | TerminatorKind::Branch { .. }
        ) {
            return false;
        }
        block = *pred;
    }
    false
}

/// The section that begins in a block, if it may be copied.
fn section(filter: &Filter, cfg: &Cfg, block: Block, entry: Value) -> Option<Section> {
    let (mut blocks, mut insts) = (vec![block], 0);
    let mut at = 0;
    while let Some(&place) = blocks.get(at) {
        let data = &filter.blocks[place.index()];
        insts += data.insts.len();
        if insts > MAX_INSTS || blocks.len() > MAX_BLOCKS || !cfg.dominates(block, place) {
            return None;
        }
        if !data.insts.iter().any(|inst| matches!(inst.op, Op::Unlock(of, _) if of == entry)) {
            for edge in data.term.kind.edges() {
                if !blocks.contains(&edge.call.block) {
                    blocks.push(edge.call.block);
                }
            }
        }
        at += 1;
    }
    let mut behind = vec![false; filter.blocks.len()];
    for place in &cfg.order()[cfg.place(block) as usize..=cfg.last_dominated(block) as usize] {
        behind[place.index()] = !blocks.contains(place);
    }
    // An entry cannot be passed on while it is locked.
    let is_entry = |value: &Value| matches!(filter.values[value.index()], Type::Entry(_));
    let entries: Vec<Value> = defined(filter, &blocks).into_iter().filter(is_entry).collect();
    let mut is_used = false;
    for (data, _) in filter.blocks.iter().zip(&behind).filter(|(_, behind)| **behind) {
        data.insts
            .iter()
            .for_each(|inst| inst.op.for_each_operand(|value| is_used |= entries.contains(&value)));
        data.term.kind.for_each_operand(|value| is_used |= entries.contains(&value));
    }
    (!is_used).then_some(Section { blocks, behind })
}

fn defined(filter: &Filter, blocks: &[Block]) -> Vec<Value> {
    blocks.iter().flat_map(|block| filter.blocks[block.index()].defined()).collect()
}

/// Leads a way to a copy of a section.
fn copy(filter: &mut Filter, cfg: &Cfg, section: &Section, way: &Way) {
    let values = defined(filter, &section.blocks);
    let params = filter.blocks[way.call.block.index()].params.clone();
    let mut instead: Vec<(Value, Value)> = params.into_iter().zip(way.call.args.iter().copied()).collect();
    for &value in &values[instead.len()..] {
        instead.push((value, new_like(filter, value)));
    }
    let first = copy_blocks(filter, &section.blocks, &instead);
    filter.blocks[first.index()].params.clear();
    let call = filter.blocks[way.from.index()].term.kind.calls_mut().nth(way.edge);
    *call.expect("the edge was found in this block") = BlockCall { block: first, args: Vec::new() };
    let copies = (first.index()..filter.blocks.len())
        .map(|index| Copy { block: Block::from_index(index), instead: instead.clone() })
        .collect();
    pass_on(filter, cfg, &values, &section.behind, copies);
}
