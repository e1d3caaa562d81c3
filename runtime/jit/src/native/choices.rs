//! Which way the code goes: branches by conditions that are put together, and numbers that depend on one condition together.

use cranelift_codegen::ir::{self, BlockArg, InstBuilder};
use oko_ir::{BinaryOp, BlockCall, BoolOp, CompareOp, Field, Inst, Op, Value};

use super::{Source, Translator};

/// Conditions of up to so many comparisons are decided by a branch for each: a processor foresees which header follows. What is made of more
/// is a list, of which no one knows where it ends.
const MOST_BRANCHES: usize = 3;
/// Numbers that are chosen together are computed and written within so many instructions.
const NEAR: usize = 32;

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

    /// Where several numbers depend on one comparison with the clock, decides them by a branch: which bucket of a window it is hardly ever changes. The
    /// instruction at this place of a block chooses the first of them, and those whose operands are there are defined. What the likely way leaves as
    /// it is in an entry is written on the other one only.
    pub(super) fn choose_together(&mut self, insts: &[Inst], at: usize) {
        let rest = &insts[at..];
        let Some(&Inst { op: Op::Select(cond, ..), .. }) = rest.first() else { return };
        let Some(&Op::Compare(by, a, b)) = self.source.definitions[cond.index()] else { return };
        if !self.source.invariants.is_timed(a) && !self.source.invariants.is_timed(b) {
            return;
        }
        let choices = rest.iter().take(NEAR).filter_map(|inst| {
            let (yes, no) = match inst.op {
                Op::Select(of, yes, no) if of == cond => (yes, no),
                // The greater of two that are compared anyway.
                Op::Binary(BinaryOp::UMax, yes, no)
                    if matches!(by, CompareOp::ULe | CompareOp::ULt) && (no, yes) == (a, b) =>
                {
                    (yes, no)
                }
                _ => return None,
            };
            let is_there = self.values.contains_key(&yes) && self.values.contains_key(&no);
            is_there.then_some((inst.result?, yes, no))
        });
        let choices: Vec<(Value, Value, Value)> = choices.collect();
        if choices.len() < 2 {
            return;
        }
        let writes = choices.iter().filter_map(|&(value, yes, no)| {
            let (entry, field) = write_of_change(insts, at, value, yes)?;
            Some((entry, field, value, no))
        });
        let writes: Vec<(Value, Field, Value, Value)> = writes.collect();
        let (then, other, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let cond = self.value(cond);
        self.builder.ins().brif(cond, then, &[], other, &[]);
        let yes: Vec<BlockArg> = choices.iter().map(|&(_, yes, _)| self.value(yes).into()).collect();
        let no: Vec<BlockArg> = choices.iter().map(|&(.., no)| self.value(no).into()).collect();
        self.builder.switch_to_block(then);
        self.builder.ins().jump(after, &yes);
        self.builder.switch_to_block(other);
        for (entry, field, value, no) in writes {
            self.set(entry, field, None, no);
            self.written.insert((entry, field, value));
        }
        self.builder.ins().jump(after, &no);
        for (value, yes, _) in choices {
            let yes = self.value(yes);
            let ty = self.builder.func.dfg.value_type(yes);
            let chosen = self.builder.append_block_param(after, ty);
            self.values.insert(value, chosen);
        }
        self.builder.switch_to_block(after);
    }
}

/// The field that a number which is chosen at a place of a block is written to, if what it is unless it is chosen anew is what is there: then it need not
/// be written unless it is. All of that happens under one lock, and nobody looks at the field in between.
fn write_of_change(insts: &[Inst], at: usize, chosen: Value, kept: Value) -> Option<(Value, Field)> {
    let before = &insts[at.saturating_sub(NEAR)..at];
    let read = before.iter().position(|inst| inst.result == Some(kept))?;
    let Op::Get(entry, field) = before[read].op else { return None };
    let write = Op::Set(entry, field, chosen);
    let count = insts[at..].iter().take(NEAR).position(|inst| inst.op == write)?;
    let mut between = before[read + 1..].iter().chain(&insts[at..at + count]);
    let is_apart = |inst: &Inst| match inst.op {
        Op::Lock(_) | Op::Unlock(..) => false,
        Op::Get(of, other) | Op::GetAt(of, other, _) | Op::Set(of, other, _) | Op::SetAt(of, other, ..) => {
            (of, other) != (entry, field)
        }
        _ => true,
    };
    between.all(is_apart).then_some((entry, field))
}
