//! Arithmetic, comparisons and choices.

use oko_bpf::isa::{AluOp, Cond, Operand, Reg};
use oko_ir::{BinaryOp, BoolOp, CompareOp, Value};

use super::{Emitter, Spot, immediate};
use crate::asm::Label;
use crate::plan::Condition;

/// Of what a comparison shows something to Linux's verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shows {
    /// Of the numbers themselves: what is behind a branch is proved with that.
    Itself,
    /// Of copies, as the ways meet at once.
    Copy,
}

impl Emitter<'_> {
    /// Gives the register with the result: `dst`, or `r0` where `dst` holds the second operand.
    pub(super) fn binary(&mut self, op: BinaryOp, a: Value, b: Value, dst: Reg) -> Reg {
        let commutes = !matches!(
            op,
            BinaryOp::Sub | BinaryOp::UDiv | BinaryOp::URem | BinaryOp::Shl | BinaryOp::UShr | BinaryOp::SShr
        );
        let swap = commutes && (matches!(self.at(a), Spot::Const(_)) || self.at(b) == Spot::Reg(dst));
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let bound = self.bound(a);
        let (a, b) = (self.at(a), self.at(b));
        let dst = if b == Spot::Reg(dst) && a != b { Reg::R0 } else { dst };
        let simple = match op {
            BinaryOp::Add => AluOp::Add,
            BinaryOp::Sub => AluOp::Sub,
            BinaryOp::Mul => AluOp::Mul,
            BinaryOp::And => AluOp::And,
            BinaryOp::Or => AluOp::Or,
            BinaryOp::Xor => AluOp::Xor,
            BinaryOp::UDiv => AluOp::Div,
            BinaryOp::URem => AluOp::Mod,
            BinaryOp::Shl => AluOp::Lsh,
            BinaryOp::UShr => AluOp::Rsh,
            BinaryOp::SShr => AluOp::Arsh,
            BinaryOp::UMin | BinaryOp::UMax => {
                let b = self.second(b, false);
                self.put(Spot::Reg(dst), a);
                let done = self.asm.label();
                self.unlink(dst);
                let cond = if op == BinaryOp::UMin { Cond::Le } else { Cond::Ge };
                self.asm.branch(cond, dst, b, done);
                self.alu(AluOp::Mov, dst, b);
                self.asm.bind(done);
                return dst;
            }
        };
        // The encoding allows neither of these as immediates; what they mean is known.
        let b = match (op, b) {
            (BinaryOp::UDiv, Spot::Const(0)) => {
                self.constant(dst, 0);
                return dst;
            }
            (BinaryOp::URem, Spot::Const(0)) => {
                self.put(Spot::Reg(dst), a);
                return dst;
            }
            (BinaryOp::Shl | BinaryOp::UShr | BinaryOp::SShr, Spot::Const(amount)) => {
                Spot::Const(amount & 63)
            }
            // Immediates are sign-extended: bits that are never set do not count.
            (BinaryOp::And, Spot::Const(mask)) if bound.is_some_and(|bound| bound <= u32::MAX.into()) => {
                Spot::Const(i64::from(mask as u32 as i32).cast_unsigned())
            }
            (_, b) => b,
        };
        let b = self.second(b, matches!(op, BinaryOp::UDiv | BinaryOp::URem));
        self.put(Spot::Reg(dst), a);
        self.alu(simple, dst, b);
        dst
    }

    /// A second operand, in `r1` if need be. Divisors are not left to sign extension.
    fn second(&mut self, from: Spot, divisor: bool) -> Operand {
        match from {
            Spot::Reg(reg) => reg.into(),
            Spot::Const(value) if let Some(imm) = immediate(value).filter(|imm| !divisor || *imm > 0) => {
                imm.into()
            }
            from => {
                self.put(Spot::Reg(Reg::R1), from);
                Reg::R1.into()
            }
        }
    }

    /// Jumps to `to` if the condition is as `wanted`, else goes on. Takes `r0` and `r1`.
    pub(super) fn jump_if(&mut self, cond: Value, wanted: bool, to: Label, shows: Shows) {
        match self.plan.fused(cond) {
            Some(Condition::Compare(op, a, b)) => self.compare(op, a, b, wanted, to, shows),
            Some(Condition::Not(a)) => self.jump_if(a, !wanted, to, shows),
            Some(Condition::Two(op, a, b)) => {
                // What decides alone: a false one of both, a true one of either.
                let decides = op == BoolOp::Or;
                if wanted == decides {
                    self.jump_if(a, decides, to, shows);
                    self.jump_if(b, decides, to, shows);
                } else {
                    let on = self.asm.label();
                    self.jump_if(a, decides, on, shows);
                    self.jump_if(b, wanted, to, shows);
                    self.asm.bind(on);
                }
            }
            None => {
                let reg = self.reg(cond, Reg::R0);
                let reg = self.shown(reg, Reg::R0, shows);
                let cond = if wanted { Cond::Ne } else { Cond::Eq };
                self.asm.branch(cond, reg, 0.into(), to);
            }
        }
    }

    fn compare(&mut self, op: CompareOp, a: Value, b: Value, wanted: bool, to: Label, shows: Shows) {
        let straight = match op {
            CompareOp::Eq => Cond::Eq,
            CompareOp::Ne => Cond::Ne,
            CompareOp::ULt => Cond::Lt,
            CompareOp::ULe => Cond::Le,
            CompareOp::SLt => Cond::Slt,
            CompareOp::SLe => Cond::Sle,
        };
        // A constant can only be the second operand.
        let swap = matches!(self.at(a), Spot::Const(_)) && !matches!(self.at(b), Spot::Const(_));
        let (a, b, cond) = if swap { (b, a, straight.mirrored()) } else { (a, b, straight) };
        let cond = if wanted { cond } else { cond.negated().expect("comparisons of the IR have opposites") };
        let a = self.reg(a, Reg::R0);
        let b = self.operand(b, Reg::R1);
        let a = self.shown(a, Reg::R0, shows);
        let b = match b {
            Operand::Reg(reg) => self.shown(reg, Reg::R1, shows).into(),
            imm @ Operand::Imm(_) => imm,
        };
        self.asm.branch(cond, a, b, to);
    }

    /// The register that is compared for another one, `scratch` if that is a copy.
    fn shown(&mut self, reg: Reg, scratch: Reg, shows: Shows) -> Reg {
        if shows == Shows::Itself || !self.plan.options.for_linux() {
            return reg;
        }
        self.put(Spot::Reg(scratch), Spot::Reg(reg));
        self.unlink(scratch);
        scratch
    }

    /// Lets Linux's verifier take a register for another number than those that it was copied from.
    fn unlink(&mut self, reg: Reg) {
        if self.plan.options.for_linux() {
            self.alu(AluOp::Xor, reg, 0);
        }
    }

    /// A comparison as 0 or 1. Where there is a register for it, 1 is put there and replaced if the comparison fails: engines make that a choice without a jump.
    pub(super) fn boolean(&mut self, op: CompareOp, a: Value, b: Value, dst: Reg) {
        let (done, at) = (self.asm.label(), [self.at(a), self.at(b)]);
        let copies = self.plan.options.for_linux();
        let in_place = |at: &Spot| match *at {
            Spot::Reg(_) => !copies,
            Spot::Const(value) => immediate(value).is_some(),
            _ => false,
        };
        let number = if dst != Reg::R0 && !at.contains(&Spot::Reg(dst)) {
            dst
        } else if at.iter().all(in_place) && at.iter().any(|at| matches!(at, Spot::Reg(_))) {
            // Then comparing takes no register.
            Reg::R0
        } else {
            let yes = self.asm.label();
            self.compare(op, a, b, true, yes, Shows::Copy);
            self.constant(dst, 0);
            self.asm.jump(done);
            self.asm.bind(yes);
            self.constant(dst, 1);
            return self.asm.bind(done);
        };
        self.constant(number, 1);
        self.compare(op, a, b, true, done, Shows::Copy);
        self.constant(number, 0);
        self.asm.bind(done);
        self.put(Spot::Reg(dst), Spot::Reg(number));
    }

    pub(super) fn select(&mut self, cond: Value, a: Value, b: Value, dst: Reg) {
        let done = self.asm.label();
        let (a, b) = (self.at(a), self.at(b));
        if a == Spot::Reg(dst) {
            self.jump_if(cond, true, done, Shows::Copy);
            self.put(Spot::Reg(dst), b);
        } else if b == Spot::Reg(dst) {
            self.jump_if(cond, false, done, Shows::Copy);
            self.put(Spot::Reg(dst), a);
        } else {
            let yes = self.asm.label();
            self.jump_if(cond, true, yes, Shows::Copy);
            self.put(Spot::Reg(dst), b);
            self.asm.jump(done);
            self.asm.bind(yes);
            self.put(Spot::Reg(dst), a);
        }
        self.asm.bind(done);
    }
}
