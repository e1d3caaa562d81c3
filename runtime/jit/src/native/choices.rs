//! Which way the code goes: branches by conditions that are put together, and numbers that depend on one condition together.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I8;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder};
use oko_ir::{BinaryOp, Block, BlockCall, BoolOp, CompareOp, Field, Inst, Op, TerminatorKind, Value};

use super::{Source, Translator, int};

/// Conditions of up to so many comparisons are decided by a branch for each: a processor foresees which header follows. What is made of more
/// is a list, of which no one knows where it ends.
const MOST_BRANCHES: usize = 3;
/// So many numbers at most are chosen instead of branching: each of them waits for the condition.
const MOST_CHOSEN: usize = 8;
/// Numbers that are chosen together are computed and written within so many instructions.
const NEAR: usize = 32;

/// What a block hands on.
#[derive(Clone, Copy)]
enum Passed {
    Number(ir::Value),
    Const(u64),
    Bool(bool),
}

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
        if self.choose(cond, then, other) {
            return;
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

    /// Where both ways lead to one block with other numbers, as those do that put the ends of a session in order, chooses these: which way it is nobody can foresee.
    /// Gives whether that is so.
    fn choose(&mut self, cond: Value, then: &BlockCall, other: &BlockCall) -> bool {
        let pairs = || then.args.iter().zip(&other.args);
        let is_same = then.block == other.block
            && pairs().filter(|(one, other)| one != other).count() <= MOST_CHOSEN
            && then.args.iter().chain(&other.args).all(|arg| self.values.contains_key(arg));
        if !is_same {
            return false;
        }
        let cond = self.value(cond);
        let chosen = pairs().map(|(&one, &other)| {
            let (one, other) = (self.values[&one], self.values[&other]);
            if one == other { one } else { self.builder.ins().select(cond, one, other) }
        });
        let chosen: Vec<BlockArg> = chosen.map(BlockArg::from).collect();
        self.builder.ins().jump(self.blocks[then.block.index()], &chosen);
        true
    }

    /// Goes on where a look-up leads whether it finds anything or not, with numbers that depend on that alone; gives whether the blocks that it leads to do nothing else.
    pub(super) fn choose_by_found(
        &mut self,
        entry: ir::Value,
        found: &BlockCall,
        absent: &BlockCall,
    ) -> bool {
        let (Some(there), Some(not_there)) = (self.passed_on(found, 1), self.passed_on(absent, 0)) else {
            return false;
        };
        if there.0 != not_there.0 {
            return false;
        }
        let is_there = self.builder.ins().icmp_imm_u(IntCC::NotEqual, entry, 0);
        let pairs = there.1.into_iter().zip(not_there.1);
        let chosen = pairs.map(|(one, other)| match (one, other) {
            (Passed::Number(one), Passed::Number(other)) if one == other => one,
            (Passed::Bool(true), Passed::Bool(false)) => is_there,
            (one, other) => {
                let [one, other] = [one, other].map(|passed| match passed {
                    Passed::Number(value) => value,
                    Passed::Bool(holds) => self.builder.ins().iconst(I8, i64::from(holds)),
                    Passed::Const(number) => int(&mut self.builder, number),
                });
                self.builder.ins().select(is_there, one, other)
            }
        });
        let chosen: Vec<BlockArg> = chosen.map(BlockArg::from).collect();
        self.builder.ins().jump(self.blocks[there.0.index()], &chosen);
        true
    }

    /// What a block hands on to another one, and to which, if it is called with nothing but so many things that the look-up gives, and does nothing with these.
    fn passed_on(&self, call: &BlockCall, given: usize) -> Option<(Block, Vec<Passed>)> {
        let data = &self.source.filter.blocks[call.block.index()];
        let TerminatorKind::Jump(next) = &data.term.kind else { return None };
        if data.params.len() != given || next.args.len() > MOST_CHOSEN {
            return None;
        }
        let defined = |arg: &Value| data.insts.iter().find(|inst| inst.result == Some(*arg));
        let passed = next.args.iter().map(|arg| match defined(arg).map(|inst| &inst.op) {
            Some(&Op::Const(number)) => Some(Passed::Const(number)),
            Some(&Op::ConstBool(holds)) => Some(Passed::Bool(holds)),
            Some(_) => None,
            None => self.values.get(arg).copied().map(Passed::Number),
        });
        let is_constant = |inst: &Inst| matches!(inst.op, Op::Const(_) | Op::ConstBool(_));
        let passed: Option<Vec<Passed>> = passed.collect();
        Some((next.block, passed?)).filter(|_| data.insts.iter().all(is_constant))
    }

    /// Where several numbers depend on one comparison with the clock, decides them by a branch: which bucket of a window it is hardly ever changes. The
    /// instruction at this place of a block chooses the first of them, and those whose operands are there are defined. What the likely way leaves as
    /// it is in an entry is written on the other one only.
    pub(super) fn choose_together(&mut self, insts: &[Inst], at: usize) {
        let rest = &insts[at..];
        let Some(&Inst { op: Op::Select(cond, ..), .. }) = rest.first() else { return };
        let Some(&Op::Compare(by, a, b)) = self.source.definitions[cond.index()] else { return };
        if !self.source.clock.is_timed(a) && !self.source.clock.is_timed(b) {
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
