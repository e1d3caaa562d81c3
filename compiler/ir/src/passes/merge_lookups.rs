//! Looks an entry up once.

use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, State, Value};
use crate::module::{BlockCall, Filter, Module, StateKind, TerminatorKind};

/// How many look-ups are remembered from one block to the next.
const MAX_KNOWN: usize = 8;

/// Turns a `find` or `slot` into a jump to its `found` way if an earlier `find` or `slot` of the same state and key has given an entry that
/// is still there: with no `slot` of the hash table in between, which may have taken its memory.
///
/// That the entry may have died meanwhile changes nothing, for filters treat a dead entry like one that is new or not there. It knows keys by
/// their values, so equal ones must have been merged before; and it does not remember that there was no entry. What is known on some
/// ways only is the business of [`thread_lookups`](super::thread_lookups).
pub fn merge_lookups(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let known = known(module, filter, &cfg);
    let mut changed = false;
    for (block, known) in filter.blocks.iter_mut().zip(known) {
        if let Some((state, key, found, _)) = look_up(&block.term.kind)
            && let Some(known) = known.iter().find(|known| known.is_of(state, key))
        {
            block.term.kind = TerminatorKind::Jump(found_with(known.entry, found));
            changed = true;
        }
    }
    if changed {
        renumber(module, filter);
    }
}

/// An entry that was looked up.
#[derive(Clone, PartialEq)]
pub(super) struct Known {
    state: State,
    key: Vec<Value>,
    pub(super) entry: Value,
}

impl Known {
    pub(super) fn is_of(&self, state: State, key: &[Value]) -> bool {
        self.state == state && self.key == key
    }
}

/// The state and key of a look-up, where it goes with an entry and where without.
pub(super) fn look_up(kind: &TerminatorKind) -> Option<(State, &[Value], &BlockCall, &BlockCall)> {
    match kind {
        TerminatorKind::Find { state, key, found, absent: otherwise }
        | TerminatorKind::Slot { state, key, found, full: otherwise } => {
            Some((*state, key, found, otherwise))
        }
        _ => None,
    }
}

/// The way with an entry as a block is called, with the entry as its first argument.
pub(super) fn found_with(entry: Value, found: &BlockCall) -> BlockCall {
    BlockCall { block: found.block, args: std::iter::once(entry).chain(found.args.iter().copied()).collect() }
}

/// For each block the entries that are at hand when it ends, before what it ends in has taken any.
pub(super) fn known(module: &Module, filter: &Filter, cfg: &Cfg) -> Vec<Vec<Known>> {
    let mut slots = vec![Vec::new(); cfg.loops().len()];
    for (index, data) in filter.blocks.iter().enumerate() {
        if let Some(state) = taken(module, &data.term.kind) {
            for around in cfg.loops_around(Block::from_index(index)) {
                slots[around as usize].push(state);
            }
        }
    }
    let mut at_end: Vec<Vec<Known>> = vec![Vec::new(); filter.blocks.len()];
    for &block in cfg.order() {
        let mut known = on_entry(module, filter, cfg, block, &at_end);
        if let Some(this) = cfg.loop_of(block).filter(|_| cfg.loop_at(block).is_some()) {
            known.retain(|known| !slots[this as usize].contains(&known.state));
        }
        known.truncate(MAX_KNOWN);
        at_end[block.index()] = known;
    }
    at_end
}

/// What all ways into a block know.
fn on_entry(module: &Module, filter: &Filter, cfg: &Cfg, block: Block, at_end: &[Vec<Known>]) -> Vec<Known> {
    let mut preds = cfg.preds(block).iter().filter(|&&pred| !cfg.leads_back(pred, block));
    let Some(&first) = preds.next() else { return Vec::new() };
    let mut known: Vec<Known> = behind(module, filter, first, at_end).cloned().collect();
    for &pred in preds {
        known.retain(|known| behind(module, filter, pred, at_end).any(|other| other == known));
    }
    if let [only] = cfg.preds(block)
        && let Some((state, key, found, _)) = look_up(&filter.blocks[only.index()].term.kind)
        && found.block == block
        && let Some(&entry) = filter.blocks[block.index()].params.first()
    {
        known.insert(0, Known { state, key: key.to_vec(), entry });
    }
    known
}

/// What is at hand behind a block, whichever way is taken.
pub(super) fn behind<'a>(
    module: &Module,
    filter: &Filter,
    block: Block,
    at_end: &'a [Vec<Known>],
) -> impl Iterator<Item = &'a Known> {
    let taken = taken(module, &filter.blocks[block.index()].term.kind);
    at_end[block.index()].iter().filter(move |known| Some(known.state) != taken)
}

/// The hash table of which a terminator may take an entry's memory.
fn taken(module: &Module, kind: &TerminatorKind) -> Option<State> {
    let (state, makes) = kind.lookup()?;
    (makes && matches!(module.states[state.index()].kind, StateKind::Hash(_))).then_some(state)
}
