//! Leads ways past a look-up whose answer they know.

use super::copies::{Copy, can_be_led_past, edges_to, lead_to_copy};
use super::merge_lookups::{Known, behind, found_with, known, look_up};
use super::pass_on::pass_on_from;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, Filter, Module, TerminatorKind};
use crate::operands::Edge;

/// How many look-ups are gone around in one go.
const MAX_LOOK_UPS: usize = 8;

/// Where ways meet in a block that ends in a `find` or `slot`, leads those past it that know the answer: that have the entry from an earlier look-up
/// of the same key, still there as [`merge_lookups`](super::merge_lookups) has it, or that come to a `find` straight from a look-up that gave none. So
/// `servers[x].opened.add(1)` and then `servers[x].closed.total` look up once.
///
/// It copies the few instructions of the block, which must be pure, for each of these ways, and passes on what the block defines to where it is
/// used. Where the ways meet in the block before already, which branches to the look-up, it copies that for those that have the entry. That there is
/// no entry is known only if nothing has been done since: another core may have made one, and what this
/// one sees of other states may say so. It leaves blocks in loops alone.
pub fn thread_lookups(module: &Module, filter: &mut Filter) {
    if filter.blocks.iter().filter(|block| block.term.kind.lookup().is_some()).count() < 2 {
        return;
    }
    for _ in 0..MAX_LOOK_UPS {
        let Ok(cfg) = Cfg::of(filter) else { return };
        let Some((block, ways)) = next(module, filter, &cfg) else { return };
        let copies = ways.iter().map(|way| lead_past(filter, way)).collect();
        pass_on_from(filter, &cfg, block, copies);
        renumber(module, filter);
    }
}

/// An edge into a block where ways to a look-up meet.
struct Way {
    from: Block,
    /// Which edge of that block.
    edge: usize,
    answer: Answer,
}

enum Answer {
    /// The entry is at hand.
    Entry(Value),
    /// There was none a moment ago.
    None,
}

/// The first block where ways to a look-up meet of which some know the answer, and these.
fn next(module: &Module, filter: &Filter, cfg: &Cfg) -> Option<(Block, Vec<Way>)> {
    let known = known(module, filter, cfg);
    cfg.order().iter().find_map(|&block| {
        let looks_up = filter.blocks[block.index()].term.kind.lookup().is_some();
        if !looks_up || !can_be_led_past(filter, cfg, block) {
            return None;
        }
        let meeting = meeting(filter, cfg, block);
        let edges = edges_to(filter, cfg.preds(meeting).to_vec(), meeting);
        let ways: Vec<Way> = edges.filter_map(|way| known_way(module, filter, &known, block, way)).collect();
        (!ways.is_empty()).then_some((meeting, ways))
    })
}

/// Where the ways meet that lead to a block with a look-up: there, or in the one block before it, if that branches to it and can be copied.
fn meeting(filter: &Filter, cfg: &Cfg, block: Block) -> Block {
    match *cfg.preds(block) {
        [before]
            if matches!(filter.blocks[before.index()].term.kind, TerminatorKind::Branch { .. })
                && filter.blocks[block.index()].params.is_empty()
                && can_be_led_past(filter, cfg, before) =>
        {
            before
        }
        _ => block,
    }
}

/// An edge to where ways to a block with a look-up meet, if it knows the answer.
fn known_way(
    module: &Module,
    filter: &Filter,
    known: &[Vec<Known>],
    block: Block,
    (from, edge, to): (Block, usize, Edge<'_>),
) -> Option<Way> {
    if to.gives.is_some() {
        return None;
    }
    let kind = &filter.blocks[block.index()].term.kind;
    let (state, key, ..) = look_up(kind)?;
    let makes = kind.lookup().is_some_and(|(_, makes)| makes);
    let params = &filter.blocks[to.call.block.index()].params;
    let key: Vec<Value> = key.iter().map(|&value| on_the_way(params, to.call, value)).collect();
    let at_hand = behind(module, filter, from, known).find(|known| known.is_of(state, &key));
    let term = &filter.blocks[from.index()].term.kind;
    let none = to.call.block == block
        && !makes
        && look_up(term).is_some_and(|(asked, of, ..)| asked == state && *of == key);
    let answer = match at_hand {
        Some(known) => Answer::Entry(known.entry),
        None if none => Answer::None,
        None => return None,
    };
    Some(Way { from, edge, answer })
}

/// What a value is before the block whose parameter it may be.
fn on_the_way(params: &[Value], call: &BlockCall, value: Value) -> Value {
    params.iter().position(|param| *param == value).map_or(value, |index| call.args[index])
}

/// Gives one way a copy of the block where the ways meet; if that looks up, one that goes on as if it had.
fn lead_past(filter: &mut Filter, way: &Way) -> Copy {
    let copy = lead_to_copy(filter, way.from, way.edge);
    let kind = &mut filter.blocks[copy.block.index()].term.kind;
    let Some((_, _, found, otherwise)) = look_up(kind) else { return copy };
    *kind = TerminatorKind::Jump(match way.answer {
        Answer::Entry(entry) => found_with(entry, found),
        Answer::None => otherwise.clone(),
    });
    copy
}
