//! Which way the code goes: branches, some of them by the clock.

use cranelift_codegen::ir::{self, InstBuilder};
use oko_ir::{BlockCall, Op, TerminatorKind, Value};

use super::{Source, Translator};

impl Source<'_> {
    /// Whether the other way of a branch is a detour by what the clock changes: which bucket of a window it is hardly ever does.
    fn is_change(&self, cond: Value, then: &BlockCall, other: &BlockCall) -> bool {
        let Some(&Op::Compare(_, a, b)) = self.definitions[cond.index()] else { return false };
        let goes_on = &self.filter.blocks[other.block.index()].term.kind;
        (self.invariants.is_timed(a) || self.invariants.is_timed(b))
            && matches!(goes_on, TerminatorKind::Jump(call) if call.block == then.block)
    }
}

impl Translator<'_, '_> {
    /// Goes one way or the other; the first one takes what the terminator gives beside the arguments.
    pub(super) fn branch(
        &mut self,
        cond: ir::Value,
        then: &BlockCall,
        token: &[ir::Value],
        other: &BlockCall,
    ) {
        let (then_args, other_args) = (self.args(then, token), self.args(other, &[]));
        let (then, other) = (self.blocks[then.block.index()], self.blocks[other.block.index()]);
        self.builder.ins().brif(cond, then, &then_args, other, &other_args);
    }

    /// Goes one way or the other by a condition of the filter.
    pub(super) fn branch_by(&mut self, cond: Value, then: &BlockCall, other: &BlockCall) {
        if self.source.is_change(cond, then, other) {
            self.builder.set_cold_block(self.blocks[other.block.index()]);
        }
        let cond = self.value(cond);
        self.branch(cond, then, &[], other);
    }
}
