//! Leads ways past a look-up whose answer they know.

use super::copies::{Copy, lead_to_copy};
use super::merge_lookups::{Known, behind, found_with, known, look_up};
use super::pass_on::pass_on_from;
use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, Filter, Module, TerminatorKind, Type};

/// How many look-ups are gone around in one go.
const MAX_LOOK_UPS: usize = 8;
/// Blocks with more instructions are not copied.
const MAX_INSTS: usize = 8;

/// Where ways meet in a block that ends in a `find` or `slot`, leads those past it that know the answer: that have the entry from an earlier look-up
/// of the same key, still there as [`merge_lookups`](super::merge_lookups) has it, or that come to a `find` straight from a look-up that gave none. So
/// `servers[x].opened.add(1)` and then `servers[x].closed.total` look up once.
///
/// It copies the few instructions of the block, which must be pure, for each of these ways, and passes on what the block defines to where it is
/// used. That there is no entry is known only if nothing has been done since: another core may have made one, and what this
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

/// An edge into a block with a look-up.
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

/// The first block with a look-up to which some ways know the answer, and these.
fn next(module: &Module, filter: &Filter, cfg: &Cfg) -> Option<(Block, Vec<Way>)> {
    let known = known(module, filter, cfg);
    cfg.order().iter().find_map(|&block| {
        if !can_be_copied(filter, cfg, block) {
            return None;
        }
        let mut preds = cfg.preds(block).to_vec();
        preds.sort_unstable();
        preds.dedup();
        let ways: Vec<Way> =
            preds.into_iter().flat_map(|from| ways(module, filter, &known, from, block)).collect();
        (!ways.is_empty()).then_some((block, ways))
    })
}

fn can_be_copied(filter: &Filter, cfg: &Cfg, block: Block) -> bool {
    let data = &filter.blocks[block.index()];
    data.term.kind.lookup().is_some()
        && cfg.loop_of(block).is_none()
        && data.insts.len() <= MAX_INSTS
        && data.insts.iter().all(|inst| inst.op.is_pure())
        && data.params.iter().all(|param| !matches!(filter.values[param.index()], Type::Entry(_)))
}

/// The edges from a block to one with a look-up that know the answer.
fn ways(module: &Module, filter: &Filter, known: &[Vec<Known>], from: Block, block: Block) -> Vec<Way> {
    let data = &filter.blocks[block.index()];
    let Some((state, key, ..)) = look_up(&data.term.kind) else { return Vec::new() };
    let makes = data.term.kind.lookup().is_some_and(|(_, makes)| makes);
    let term = &filter.blocks[from.index()].term.kind;
    let mut ways = Vec::new();
    for (edge, to) in term.edges().enumerate() {
        if to.call.block != block || to.gives.is_some() {
            continue;
        }
        let key: Vec<Value> = key.iter().map(|&value| on_the_way(&data.params, to.call, value)).collect();
        let at_hand = behind(module, filter, from, known).find(|known| known.is_of(state, &key));
        let none = !makes && look_up(term).is_some_and(|(asked, of, ..)| asked == state && *of == key);
        let answer = match at_hand {
            Some(known) => Answer::Entry(known.entry),
            None if none => Answer::None,
            None => continue,
        };
        ways.push(Way { from, edge, answer });
    }
    ways
}

/// What a value is before the block whose parameter it may be.
fn on_the_way(params: &[Value], call: &BlockCall, value: Value) -> Value {
    params.iter().position(|param| *param == value).map_or(value, |index| call.args[index])
}

/// Gives one way a copy of the block that goes on as if it had looked up.
fn lead_past(filter: &mut Filter, way: &Way) -> Copy {
    let copy = lead_to_copy(filter, way.from, way.edge);
    let kind = &mut filter.blocks[copy.block.index()].term.kind;
    let (_, _, found, otherwise) = look_up(kind).expect("the block ends in a look-up");
    *kind = TerminatorKind::Jump(match way.answer {
        Answer::Entry(entry) => found_with(entry, found),
        Answer::None => otherwise.clone(),
    });
    copy
}
