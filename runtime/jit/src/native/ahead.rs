//! The way to the first look-up: code that gives for each packet of a burst which map will be asked first and the hash of the key, so
//! that what the look-up will read can be fetched before the filter runs.
//!
//! It is the part of the filter that changes nothing and needs no entry; wherever that ends without a look-up, the packet gets no hint. A hint may be
//! wrong if a param changes or a packet before this one changes what this one does; then something is fetched in vain.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Function, InstBuilder};
use cranelift_codegen::isa::TargetIsa;
use oko_ir::{Block, Op, TerminatorKind};

use super::{Source, Translator};
use crate::abi::CTX_MAPS;
use crate::host;
use crate::native::lookup::is_probed;
use crate::probe;

/// The code and the states that it hashes keys of, in order; none if there is no look-up to prepare.
pub(super) fn translate(isa: &dyn TargetIsa, source: &Source<'_>) -> Option<(Function, Vec<usize>)> {
    let filter = source.filter;
    let mut reached = vec![false; filter.blocks.len()];
    reached[0] = true;
    let mut states = Vec::new();
    // Of a loop, all blocks but the header come after it, and the header is reached from outside.
    for &block in source.cfg.order() {
        let data = &filter.blocks[block.index()];
        if !reached[block.index()] || !data.insts.iter().all(|inst| is_harmless(&inst.op)) {
            continue;
        }
        match &data.term.kind {
            TerminatorKind::Find { state, .. } | TerminatorKind::Slot { state, .. } => {
                if is_probed(&source.module.states[state.index()]) {
                    states.push(state.index());
                }
            }
            TerminatorKind::Return(_) => {}
            kind => kind.edges().for_each(|edge| reached[edge.call.block.index()] = true),
        }
    }
    if states.is_empty() {
        return None;
    }
    states.sort_unstable();
    states.dedup();
    let mut function = host::function(1, host::entry_signature(isa.default_call_conv()));
    source.each_packet(isa, &mut function, &[I64, I64], |translator| {
        for &block in source.cfg.order() {
            if reached[block.index()] {
                translator.block_ahead(block);
            }
        }
    });
    Some((function, states))
}

/// Whether an operation changes nothing and needs no entry.
fn is_harmless(op: &Op) -> bool {
    !op.has_effect() && !matches!(op, Op::Get(..) | Op::GetAt(..))
}

impl Translator<'_, '_> {
    fn block_ahead(&mut self, block: Block) {
        let data = self.open(block);
        for inst in &data.insts {
            if !is_harmless(&inst.op) {
                return self.no_hint();
            }
            self.define(inst);
        }
        match &data.term.kind {
            TerminatorKind::Find { state, key, .. } | TerminatorKind::Slot { state, key, .. } => {
                if !is_probed(&self.module.states[state.index()]) {
                    return self.no_hint();
                }
                let map = self.row.table(&mut self.builder, CTX_MAPS, state.index());
                let key = self.key(*state, key);
                let hash = probe::hash(&mut self.builder, map, &key);
                self.builder.ins().jump(self.latch, &[map.into(), hash.into()]);
            }
            TerminatorKind::Return(_) => self.no_hint(),
            kind => self.terminator(kind),
        }
    }

    fn no_hint(&mut self) {
        let none = self.int(0);
        self.builder.ins().jump(self.latch, &[none.into(), none.into()]);
    }
}
