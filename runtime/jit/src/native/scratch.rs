//! Memory on the stack for what cold code puts together: what helpers return, keys, records of events, and the *ghost*, where updates of
//! entries go that are gone. Each kind has one place, for a stranger's filter may have thousands of look-ups.

use cranelift_codegen::ir;
use oko_ir::Module;
use oko_ir::layout::HEADER_SIZE;

use super::Translator;
use crate::abi::EVENT_HEADER_WORDS;
use crate::detour::RESULTS_BYTES;

/// Bytes before the value of the ghost: room for a generation.
const GHOST_HEADER: u32 = 8;

/// Where the places are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scratch {
    key: u32,
    record: u32,
    ghost: u32,
    /// Of all.
    pub(super) size: u32,
}

impl Scratch {
    pub(super) fn of(module: &Module) -> Scratch {
        let keys = module.states.iter().map(|state| state.key_layout().size);
        let entries = module.states.iter().map(|state| state.entry_layout().size);
        let fields = module.events.iter().map(|event| event.fields.len());
        let key = RESULTS_BYTES;
        let record = key + keys.max().unwrap_or(0).next_multiple_of(8);
        let words = fields.max().map_or(0, |fields| EVENT_HEADER_WORDS + fields);
        let ghost = record + words as u32 * 8 + GHOST_HEADER;
        let size = ghost + entries.max().unwrap_or(0).max(HEADER_SIZE).next_multiple_of(8);
        Scratch { key, record, ghost, size }
    }
}

impl Translator<'_, '_> {
    /// Where helpers write what they return.
    pub(super) fn results_place(&mut self) -> ir::Value {
        self.burst.row.scratch(&mut self.builder, 0)
    }

    /// Room for a key of any state.
    pub(super) fn key_place(&mut self) -> ir::Value {
        self.burst.row.scratch(&mut self.builder, self.source.scratch.key as i32)
    }

    /// Room for the record of any event.
    pub(super) fn record_place(&mut self) -> ir::Value {
        self.burst.row.scratch(&mut self.builder, self.source.scratch.record as i32)
    }

    /// How far the ghost is: memory like an entry of any state of the module.
    pub(super) fn ghost_offset(&self) -> i32 {
        self.source.scratch.ghost as i32
    }
}
