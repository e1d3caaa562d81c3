//! Terminators, and the moves that edges between blocks make.

use oko_bpf::isa::{AluOp, Cond, Insn, Reg};
use oko_ir::{Block, BlockCall, TerminatorKind, Value};

use super::arith::Shows;
use super::{Emitter, Spot};
use crate::asm::Label;
use crate::moves::{Step, sequence};
use crate::plan::{Place, VReg};

impl Emitter<'_> {
    pub(super) fn terminator(&mut self, kind: &TerminatorKind) {
        match kind {
            TerminatorKind::Jump(call) => self.edge(call, &[]),
            TerminatorKind::Branch { cond, then, other } => self.branch(*cond, then, other),
            TerminatorKind::Window { offset, len, ok, short } => self.window(*offset, *len, ok, short),
            TerminatorKind::Find { state, key, found, absent } => {
                self.lookup(*state, key, false, found, absent);
            }
            TerminatorKind::Slot { state, key, found, full } => self.lookup(*state, key, true, found, full),
            TerminatorKind::Repeat { counter, count, body, done } => {
                self.repeat(*counter, *count, body, done);
            }
            TerminatorKind::Return(value) => {
                let (base, factor) = self.plan.options.target.result();
                match self.at(*value) {
                    Spot::Const(class) => {
                        let scaled = class.wrapping_mul(i64::from(factor).cast_unsigned());
                        self.constant(Reg::R0, scaled.wrapping_add_signed(base.into()));
                    }
                    from => {
                        self.put(Spot::Reg(Reg::R0), from);
                        if factor != 1 {
                            self.alu(AluOp::Mul, Reg::R0, factor);
                        }
                        if base != 0 {
                            self.alu(AluOp::Add, Reg::R0, base);
                        }
                    }
                }
                self.asm.push(Insn::Exit);
            }
        }
    }

    /// The moves of an edge. `given` is what the terminator itself supplies for the first parameters: places of the entry or window, and of the lock.
    fn moves(&self, call: &BlockCall, given: &[Spot]) -> Vec<(Spot, Spot)> {
        let params = &self.filter.blocks[call.block.index()].params;
        let place_of = |vreg: VReg| self.allocation.slot(vreg).map(Spot::from);
        let mut moves = Vec::new();
        let mut params = params.iter().copied();
        if let Some(&first) = given.first() {
            let param = params.next().expect("a block that is given something has a parameter for it");
            moves.extend(self.result(Some(param)).map(|slot| (slot.into(), first)));
            if let (Some(lock), Some(&from)) = (self.plan.lock_of(param), given.get(1)) {
                moves.extend(place_of(lock).map(|to| (to, from)));
            }
        }
        for (param, &arg) in params.zip(&call.args) {
            moves.extend(self.result(Some(param)).map(|slot| (slot.into(), self.at(arg))));
            if let (Some(to), Some(from)) = (self.plan.lock_of(param), self.plan.lock_of(arg)) {
                moves.extend(place_of(to).map(|to| (to, self.slot(from).into())));
            }
        }
        moves.retain(|(to, from)| to != from);
        moves
    }

    fn do_moves(&mut self, moves: Vec<(Spot, Spot)>) {
        let shuffle = Spot::Stack(self.allocation.shuffle);
        for step in sequence(moves) {
            match step {
                Step::Move(to, from) => self.put(to, from),
                Step::Save(from) => self.put(shuffle, from),
                Step::Restore(to) => self.put(to, shuffle),
            }
        }
    }

    /// Goes to a block, by falling into it if it is the next.
    fn go(&mut self, block: Block) {
        if self.next != Some(block) {
            self.asm.jump(self.labels[block.index()]);
        }
    }

    pub(super) fn edge(&mut self, call: &BlockCall, given: &[Spot]) {
        let moves = self.moves(call, given);
        self.do_moves(moves);
        self.go(call.block);
    }

    fn branch(&mut self, cond: Value, then: &BlockCall, other: &BlockCall) {
        if let Place::Const(constant) = self.plan.place(cond) {
            return self.edge(if constant != 0 { then } else { other }, &[]);
        }
        self.two_ways(|this, wanted, to| this.jump_if(cond, wanted, to, Shows::Itself), then, other);
    }

    /// The header of a loop.
    fn repeat(&mut self, counter: Value, count: u32, body: &BlockCall, done: &BlockCall) {
        if let Place::Const(constant) = self.plan.place(counter) {
            return self.edge(if constant < u64::from(count) { body } else { done }, &[]);
        }
        let jump = |this: &mut Self, wanted: bool, to: Label| {
            let counter = this.reg(counter, Reg::R0);
            let cond = if wanted { Cond::Lt } else { Cond::Ge };
            this.asm.branch(cond, counter, (count as i32).into(), to);
        };
        self.two_ways(jump, body, done);
    }

    /// Two edges, and a conditional jump that takes the first if it is wanted to be so.
    fn two_ways(&mut self, jump: impl Fn(&mut Self, bool, Label), then: &BlockCall, other: &BlockCall) {
        let (then_moves, other_moves) = (self.moves(then, &[]), self.moves(other, &[]));
        let label = self.labels[then.block.index()];
        if then_moves.is_empty() && self.next != Some(then.block) {
            jump(self, true, label);
            self.do_moves(other_moves);
            self.go(other.block);
        } else if other_moves.is_empty() {
            let label = self.labels[other.block.index()];
            jump(self, false, label);
            self.do_moves(then_moves);
            self.go(then.block);
        } else {
            let yes = self.asm.label();
            jump(self, true, yes);
            self.do_moves(other_moves);
            self.asm.jump(self.labels[other.block.index()]);
            self.asm.bind(yes);
            self.do_moves(then_moves);
            self.go(then.block);
        }
    }

    /// Where to jump on the second edge of a terminator, and what to write behind its first edge for that.
    pub(super) fn second_edge(&mut self, call: &BlockCall) -> (Label, Option<Vec<(Spot, Spot)>>) {
        let moves = self.moves(call, &[]);
        if moves.is_empty() {
            (self.labels[call.block.index()], None)
        } else {
            (self.asm.label(), Some(moves))
        }
    }

    /// The first edge, then the moves of the second, if it has any.
    pub(super) fn edges(
        &mut self,
        first: &BlockCall,
        given: &[Spot],
        second: &BlockCall,
        way: (Label, Option<Vec<(Spot, Spot)>>),
    ) {
        let moves = self.moves(first, given);
        self.do_moves(moves);
        match way {
            (label, Some(moves)) => {
                self.asm.jump(self.labels[first.block.index()]);
                self.asm.bind(label);
                self.do_moves(moves);
                self.go(second.block);
            }
            (_, None) => self.go(first.block),
        }
    }
}
