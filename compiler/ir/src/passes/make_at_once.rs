//! Looks for an entry and makes it in one step.

use super::renumber::renumber;
use crate::entities::Block;
use crate::module::{BlockCall, Filter, Module, TerminatorKind};

/// Turns a `find` into a `slot`, if where there is no entry it does nothing but make one, by a `slot` of the same key that goes on with it as with
/// one that was found. So `update place |old| old ?? 1`, which wants an entry whatever there was, looks its key up once.
///
/// The block with the `slot` stays for whoever else comes there. It must have nothing else in it: what is computed there to no purpose is taken out by
/// [`remove_dead`](super::remove_dead).
pub fn make_at_once(module: &Module, filter: &mut Filter) {
    let mut changed = false;
    for index in 0..filter.blocks.len() {
        let block = Block::from_index(index);
        if let Some(full) = made_at_once(filter, block)
            && let TerminatorKind::Find { state, key, found, .. } = &filter.blocks[index].term.kind
        {
            let slot = TerminatorKind::Slot { state: *state, key: key.clone(), found: found.clone(), full };
            filter.blocks[index].term.kind = slot;
            changed = true;
        }
    }
    if changed {
        renumber(module, filter);
    }
}

/// Where the `find` that a block ends in would go on as a `slot` that finds no room, if it can be one.
fn made_at_once(filter: &Filter, block: Block) -> Option<BlockCall> {
    let TerminatorKind::Find { state, key, found, absent } = &filter.blocks[block.index()].term.kind else {
        return None;
    };
    let making = &filter.blocks[absent.block.index()];
    let TerminatorKind::Slot { state: made, key: made_key, found: goes_on, full } = &making.term.kind else {
        return None;
    };
    let is_same = made == state && made_key == key && goes_on == found;
    (is_same && making.params.is_empty() && making.insts.is_empty()).then(|| full.clone())
}
