//! Which way the code goes: branches by conditions that are put together, or by the clock.

use cranelift_codegen::ir::{self, InstBuilder};
use oko_ir::{BlockCall, BoolOp, Op, TerminatorKind, Value};

use super::{Source, Translator};

/// Conditions of up to so many comparisons are decided by a branch for each: a processor foresees which header follows. What is made of more
/// is a list, of which no one knows where it ends.
const MOST_BRANCHES: usize = 3;

impl Source<'_> {
    /// The comparisons that a condition is made of by this operator alone, if these are few; in their order.
    fn parts(&self, cond: Value, op: BoolOp) -> Option<Vec<Value>> {
        let (mut parts, mut open) = (Vec::new(), vec![cond]);
        while let Some(value) = open.pop() {
            match self.definitions[value.index()] {
                Some(&Op::Bool(found, a, b)) if found == op => open.extend([b, a]),
                Some(Op::Compare(..)) => parts.push(value),
                _ => return None,
            }
            if parts.len() + open.len() > MOST_BRANCHES {
                return None;
            }
        }
        Some(parts)
    }

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
        let op = match self.source.definitions[cond.index()] {
            Some(&Op::Bool(op @ (BoolOp::And | BoolOp::Or), ..)) => Some(op),
            _ => None,
        };
        let parts = op.and_then(|op| self.source.parts(cond, op));
        let Some((&last, first)) = parts.as_deref().and_then(<[Value]>::split_last) else {
            let cond = self.value(cond);
            return self.branch(cond, then, &[], other);
        };
        for &part in first {
            let part = self.value(part);
            let next = self.builder.create_block();
            if op == Some(BoolOp::Or) {
                let args = self.args(then, &[]);
                self.builder.ins().brif(part, self.blocks[then.block.index()], &args, next, &[]);
            } else {
                let args = self.args(other, &[]);
                self.builder.ins().brif(part, next, &[], self.blocks[other.block.index()], &args);
            }
            self.builder.switch_to_block(next);
        }
        let last = self.value(last);
        self.branch(last, then, &[], other);
    }
}
