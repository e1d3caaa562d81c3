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
                if source.probes(*state) {
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
        translator.enter();
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
            if inst.result.is_none_or(|value| !self.values.contains_key(&value)) {
                self.define(inst);
            }
        }
        match &data.term.kind {
            TerminatorKind::Find { state, key, .. } | TerminatorKind::Slot { state, key, .. } => {
                if !self.source.probes(*state) {
                    return self.no_hint();
                }
                let map = self.burst.row.table(&mut self.builder, CTX_MAPS, state.index());
                let key = self.key(*state, key);
                let hash = probe::hash(&mut self.builder, map, &key);
                self.builder.ins().jump(self.burst.latch, &[map.into(), hash.into()]);
            }
            TerminatorKind::Return(_) => self.no_hint(),
            kind => self.terminator(kind),
        }
    }

    fn no_hint(&mut self) {
        let none = self.int(0);
        self.builder.ins().jump(self.burst.latch, &[none.into(), none.into()]);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use oko_ir::{text, verify};

    use super::*;

    /// A filter with so many look-ups, before each of which there is none.
    fn filter_with(look_ups: usize) -> String {
        let (none, found) = (2 * look_ups, 2 * look_ups + 1);
        let mut text = "oko.ir 1\nstate m0 s: hash refuse, capacity 4, key(a: u32), fields(n: u64)\nfilter f -> bool {\n\
            block0:\n    v0 = pkt.len\n    v1 = true\n"
            .to_owned();
        for number in 0..look_ups {
            let (block, wanted, equal) = (2 * number, 2 + 2 * number, 3 + 2 * number);
            if block > 0 {
                writeln!(text, "block{block}:").unwrap();
            }
            writeln!(text, "    v{wanted} = const {number}\n    v{equal} = eq v0, v{wanted}").unwrap();
            writeln!(text, "    branch v{equal}, block{}, block{}", block + 1, block + 2).unwrap();
            writeln!(text, "block{}:\n    find m0(v0), block{found}, block{none}", block + 1).unwrap();
        }
        let entry = 2 + 2 * look_ups;
        writeln!(text, "block{none}:\n    return v1\nblock{found}(v{entry}: entry m0):\n    return v1\n}}")
            .unwrap();
        text
    }

    #[test]
    fn a_filter_whose_look_ups_are_calls_gets_no_hints() {
        let isa = host::isa().unwrap();
        let states = |look_ups| {
            let checked = verify(text::read(&filter_with(look_ups)).unwrap()).unwrap();
            translate(&*isa, &Source::of(checked.module(), 0).unwrap()).map(|(_, states)| states)
        };
        assert_eq!(states(probe::MOST_LOOK_UPS), Some(vec![0]));
        assert_eq!(states(probe::MOST_LOOK_UPS + 1), None);
    }
}
