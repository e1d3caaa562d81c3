//! Which way the code goes: branches by conditions that are put together, and numbers that depend on one condition together.

use std::collections::HashMap;

use cranelift_codegen::ir::{self, BlockArg, InstBuilder};
use oko_ir::{BinaryOp, BlockCall, BoolOp, CompareOp, Inst, Op, Value};

use super::Translator;

/// Conditions of up to so many comparisons are decided by a branch for each: a processor foresees which header follows. What is made of more
/// is a list, of which no one knows where it ends.
const MOST_BRANCHES: usize = 3;
/// Numbers that are chosen together are computed within so many instructions.
const NEAR: usize = 16;

/// What the conditions of a filter are made of.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    compares: HashMap<Value, (CompareOp, Value, Value)>,
    /// Comparisons by `ule` or `ult` by what they compare.
    orders: HashMap<(Value, Value), Value>,
    bools: HashMap<Value, (BoolOp, Value, Value)>,
}

impl Conditions {
    pub(super) fn note(&mut self, value: Value, op: &Op) {
        match *op {
            Op::Compare(op, a, b) => {
                self.compares.insert(value, (op, a, b));
                if matches!(op, CompareOp::ULe | CompareOp::ULt) {
                    self.orders.insert((a, b), value);
                }
            }
            Op::Bool(op, a, b) => {
                self.bools.insert(value, (op, a, b));
            }
            _ => {}
        }
    }

    /// The comparisons that a condition is made of by this operator alone, if these are few; in their order.
    fn parts(&self, cond: Value, op: BoolOp) -> Option<Vec<Value>> {
        let (mut parts, mut open) = (Vec::new(), vec![cond]);
        while let Some(value) = open.pop() {
            match self.bools.get(&value) {
                Some(&(found, a, b)) if found == op => open.extend([b, a]),
                None if self.compares.contains_key(&value) => parts.push(value),
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
        let op = self.conditions.bools.get(&cond).map(|&(op, ..)| op);
        let parts = match op {
            Some(op @ (BoolOp::And | BoolOp::Or)) => self.conditions.parts(cond, op),
            _ => None,
        };
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

    /// Where several numbers depend on one comparison with the clock, decides them by a branch: which bucket of a window it is hardly ever changes. `rest`
    /// begins with the first of them, and those whose operands are there are defined.
    pub(super) fn choose_together(&mut self, rest: &[Inst]) {
        let Some((cond, ..)) = rest.first().and_then(|inst| self.choice(inst)) else { return };
        let Some(&(_, a, b)) = self.conditions.compares.get(&cond) else { return };
        if !self.source.clock.has(a) && !self.source.clock.has(b) {
            return;
        }
        let choices = rest.iter().take(NEAR).filter_map(|inst| {
            let (of, yes, no) = self.choice(inst)?;
            let there = (self.values.get(&yes)?, self.values.get(&no)?);
            (of == cond).then_some((inst.result?, *there.0, *there.1))
        });
        let choices: Vec<(Value, ir::Value, ir::Value)> = choices.collect();
        if choices.len() < 2 {
            return;
        }
        let (then, other, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let cond = self.value(cond);
        self.builder.ins().brif(cond, then, &[], other, &[]);
        let yes: Vec<BlockArg> = choices.iter().map(|&(_, yes, _)| yes.into()).collect();
        let no: Vec<BlockArg> = choices.iter().map(|&(.., no)| no.into()).collect();
        self.builder.switch_to_block(then);
        self.builder.ins().jump(after, &yes);
        self.builder.switch_to_block(other);
        self.builder.ins().jump(after, &no);
        for (value, yes, _) in choices {
            let ty = self.builder.func.dfg.value_type(yes);
            let chosen = self.builder.append_block_param(after, ty);
            self.values.insert(value, chosen);
        }
        self.builder.switch_to_block(after);
    }

    /// What an instruction chooses between, and by which comparison.
    fn choice(&self, inst: &Inst) -> Option<(Value, Value, Value)> {
        match inst.op {
            Op::Select(cond, yes, no) => Some((cond, yes, no)),
            // The greater of two that are compared anyway.
            Op::Binary(BinaryOp::UMax, a, b) => self.conditions.orders.get(&(b, a)).map(|&cond| (cond, a, b)),
            _ => None,
        }
    }
}
