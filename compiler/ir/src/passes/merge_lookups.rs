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
/// their values, so equal ones must have been merged before; and it does not remember that there was no entry.
pub fn merge_lookups(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let mut slots = vec![Vec::new(); cfg.loops().len()];
    for (index, data) in filter.blocks.iter().enumerate() {
        if let Some(state) = taken(module, &data.term.kind) {
            for around in cfg.loops_around(Block::from_index(index)) {
                slots[around as usize].push(state);
            }
        }
    }
    let mut at_end: Vec<Vec<Known>> = vec![Vec::new(); filter.blocks.len()];
    let mut changed = false;
    for &block in cfg.order() {
        let mut known = on_entry(filter, &cfg, block, &at_end);
        if let Some(this) = cfg.loop_of(block).filter(|_| cfg.loop_at(block).is_some()) {
            known.retain(|known| !slots[this as usize].contains(&known.state));
        }
        let kind = &mut filter.blocks[block.index()].term.kind;
        if let TerminatorKind::Find { state, key, found, .. } | TerminatorKind::Slot { state, key, found, .. } =
            kind
            && let Some(known) = known.iter().find(|known| known.state == *state && known.key == *key)
        {
            let args = std::iter::once(known.entry).chain(found.args.iter().copied()).collect();
            *kind = TerminatorKind::Jump(BlockCall { block: found.block, args });
            changed = true;
        }
        if let Some(state) = taken(module, kind) {
            known.retain(|known| known.state != state);
        }
        known.truncate(MAX_KNOWN);
        at_end[block.index()] = known;
    }
    if changed {
        renumber(module, filter);
    }
}

/// An entry that was looked up.
#[derive(Clone, PartialEq)]
struct Known {
    state: State,
    key: Vec<Value>,
    entry: Value,
}

/// What all ways into a block know.
fn on_entry(filter: &Filter, cfg: &Cfg, block: Block, at_end: &[Vec<Known>]) -> Vec<Known> {
    let mut preds = cfg.preds(block).iter().filter(|&&pred| !cfg.leads_back(pred, block));
    let Some(first) = preds.next() else { return Vec::new() };
    let mut known = at_end[first.index()].clone();
    for pred in preds {
        known.retain(|known| at_end[pred.index()].contains(known));
    }
    if let [only] = cfg.preds(block)
        && let TerminatorKind::Find { state, key, found, .. } | TerminatorKind::Slot { state, key, found, .. } =
            &filter.blocks[only.index()].term.kind
        && found.block == block
        && let Some(&entry) = filter.blocks[block.index()].params.first()
    {
        known.insert(0, Known { state: *state, key: key.clone(), entry });
    }
    known
}

/// The hash table of which a terminator may take an entry's memory.
fn taken(module: &Module, kind: &TerminatorKind) -> Option<State> {
    let (state, makes) = kind.lookup()?;
    (makes && matches!(module.states[state.index()].kind, StateKind::Hash(_))).then_some(state)
}
