//! Jumps: where blocks begin, what is compared, and how the program ends.
//!
//! Some jumps are not made. One that only leaves out an instruction that moves a number becomes a choice between two numbers; one that goes to
//! another jump goes on to where that goes; and one that goes to the end of the program with a number that is known goes to a block of this number.

use std::collections::BTreeSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use oko_bpf::isa::{AluOp, Cond, Insn, Operand, Reg, Width};

use super::look_ups::{MOST_STEPS, most};
use super::{Convention, Translator};
use crate::answer::Answer;
use crate::error::CompileError;
use crate::order;
use crate::tidy;

/// So many jumps are followed.
const MOST_JUMPS: usize = 4;

impl Translator<'_, '_> {
    /// Makes a block for the first slot, every jump target, and whatever follows a conditional jump.
    pub(super) fn make_blocks(&mut self) -> Result<(), CompileError> {
        let targets: BTreeSet<usize> = self.slots.clone().filter_map(|slot| self.live_target(slot)).collect();
        let mut starts = vec![self.slots.start];
        for slot in self.slots.clone() {
            let insn = self.source.insns[slot];
            if insn.jump_offset().is_none() || self.source.is_dead(slot) {
                continue;
            }
            if !targets.contains(&(slot + 1)) && self.is_skip(slot) {
                self.skips.insert(slot);
                continue;
            }
            let target = insn.jump_target(slot).filter(|target| self.slots.contains(target));
            let target =
                target.ok_or(CompileError::Unsupported { slot, what: "a jump out of its function" })?;
            starts.push(target);
            self.jumped_to.insert(target);
            if target <= slot {
                self.looped_to.insert(target);
            }
            if matches!(insn, Insn::Branch { .. } | Insn::MayGoto { .. }) {
                if slot + 1 >= self.slots.end {
                    return Err(CompileError::Unsupported {
                        slot,
                        what: "a branch at the end of its function",
                    });
                }
                starts.push(slot + 1);
            }
        }
        for start in starts {
            let builder = &mut self.builder;
            self.blocks.entry(start).or_insert_with(|| builder.create_block());
        }
        Ok(())
    }

    /// Where an instruction jumps to, if it can be reached.
    fn live_target(&self, slot: usize) -> Option<usize> {
        self.source.insns[slot].jump_target(slot).filter(|_| !self.source.is_dead(slot))
    }

    /// Whether a branch does nothing but leave out an instruction that moves: then that chooses between two numbers, and there is no jump.
    fn is_skip(&self, slot: usize) -> bool {
        let moves = |slot: usize| {
            matches!(self.source.insns[slot], Insn::Alu { op: AluOp::Mov, .. }) && !self.source.is_dead(slot)
        };
        matches!(self.source.insns[slot], Insn::Branch { .. })
            && self.live_target(slot) == Some(slot + 2)
            && self.slots.contains(&(slot + 2))
            && moves(slot + 1)
    }

    /// Translates an instruction that moves a number unless a condition holds.
    pub(super) fn move_unless(&mut self, holds: ir::Value, insn: Insn) {
        if let Insn::Alu { width, op: AluOp::Mov, dst, src } = insn {
            let kept = self.get(dst);
            self.alu(width, AluOp::Mov, dst, src);
            let moved = self.get(dst);
            let chosen = self.choose(holds, kept, moved);
            self.set(dst, chosen);
        }
    }

    /// The slot that a jump goes to.
    pub(super) fn target(&self, slot: usize) -> Result<usize, CompileError> {
        let target = self.source.insns[slot].jump_target(slot);
        let target = target.filter(|target| self.blocks.contains_key(target));
        target.ok_or(CompileError::Unsupported { slot, what: "a jump out of its function" })
    }

    /// The block to jump to from one slot in order to come to another one that has a block. Jumps to jumps are followed. If it is the end of the program that is
    /// come to, and the verdict is known here, then the block of this verdict: so a program that puts a number down and then jumps to its end from
    /// many places does not put it down in front of each of these jumps.
    pub(super) fn way(&mut self, from: usize, slot: usize) -> ir::Block {
        let slot = self.landing(from, slot);
        match self.result_at(slot) {
            Some(value) => self.leaving_with(value).unwrap_or(self.blocks[&slot]),
            None => self.blocks[&slot],
        }
    }

    /// Where a jump to a slot comes to in the end.
    fn landing(&self, from: usize, mut slot: usize) -> usize {
        for _ in 0..MOST_JUMPS {
            let next = self.source.insns[slot];
            match next.jump_target(slot) {
                // To blocks that are finished, there are only the jumps that were known before.
                Some(target)
                    if matches!(next, Insn::Jump { .. })
                        && !self.source.is_dead(slot)
                        && self.blocks.contains_key(&target)
                        && (target > from || self.looped_to.contains(&target)) =>
                {
                    slot = target;
                }
                _ => break,
            }
        }
        slot
    }

    /// The block that ends a packet for which the program returns a value; none in functions that do not end packets.
    fn leaving_with(&mut self, value: u32) -> Option<ir::Block> {
        let (Convention::Filter(answer), Some(_)) = (self.source.convention, &self.burst) else {
            return None;
        };
        let builder = &mut self.builder;
        Some(*self.leaving.entry(answer.verdict(value)).or_insert_with(|| builder.create_block()))
    }

    /// The block that a branch goes to if it only ends the packet, with a verdict that is known already though some registers will have been written.
    pub(super) fn leaving_at(&mut self, branch: usize, written: &[Reg]) -> Option<ir::Block> {
        let target = self.target(branch).ok()?;
        let slot = self.landing(branch, target);
        let reads_written = match self.result_operand(slot)? {
            Operand::Reg(reg) => written.contains(&reg),
            Operand::Imm(_) => false,
        };
        let value = self.result_at(slot).filter(|_| !reads_written)?;
        self.leaving_with(value)
    }

    /// What a program that goes on at a slot returns, if it returns at once.
    fn result_operand(&self, slot: usize) -> Option<Operand> {
        let at = |slot: usize| self.source.insns.get(slot).copied().filter(|_| !self.source.is_dead(slot));
        match (at(slot)?, at(slot + 1)) {
            (Insn::Exit, _) => Some(Operand::Reg(Reg::R0)),
            (Insn::Alu { op: AluOp::Mov, dst: Reg::R0, src, .. }, Some(Insn::Exit)) => Some(src),
            _ => None,
        }
    }

    /// The same if it is a number that is known here.
    fn result_at(&mut self, slot: usize) -> Option<u32> {
        let reg = match self.result_operand(slot)? {
            Operand::Imm(imm) => return Some(imm.cast_unsigned()),
            Operand::Reg(reg) => reg,
        };
        let value = self.get(reg);
        tidy::constant(self.builder.func, value).map(|value| value as u32)
    }

    /// Fills a block that ends a packet with a verdict.
    pub(super) fn leave_with(&mut self, verdict: u32, block: ir::Block) {
        if let Some(burst) = &mut self.burst {
            self.builder.switch_to_block(block);
            burst.end_with(&mut self.builder, verdict);
        }
    }

    /// Ends the function with `r0`.
    pub(super) fn leave(&mut self) {
        let result = self.get(Reg::R0);
        let Some(burst) = &self.burst else {
            self.builder.ins().return_(&[result]);
            return;
        };
        let verdict = match self.source.convention {
            Convention::Filter(answer) => self.verdict(answer, result),
            Convention::Memory => {
                let results = burst.results(&mut self.builder);
                self.builder.ins().store(MemFlagsData::trusted(), result, results, 0);
                self.builder.ins().ireduce(I32, result)
            }
        };
        if let Some(burst) = &mut self.burst {
            burst.end(&mut self.builder, verdict);
        }
    }

    /// The verdict for a return value.
    fn verdict(&mut self, answer: Answer, result: ir::Value) -> ir::Value {
        if let Some((holds, one, other)) = tidy::choice(self.builder.func, result) {
            let [one, other] = [one, other].map(|value| i64::from(answer.verdict(value as u32)));
            let (one, other) = (self.builder.ins().iconst(I32, one), self.builder.ins().iconst(I32, other));
            return self.choose(holds, one, other);
        }
        if let Answer::Class { of } = answer
            && let Some(class) = tidy::before_one_was_added(self.builder.func, result)
            && most(self.builder.func, class, &mut { MOST_STEPS }) < u64::from(of)
        {
            return self.builder.ins().ireduce(I32, class);
        }
        let value = self.builder.ins().ireduce(I32, result);
        answer.translate(&mut self.builder, value)
    }

    /// What a number was before it was swapped, and what a constant would be.
    fn as_before_swap(&self, number: ir::Value, constant: i64) -> Option<(ir::Value, i64)> {
        let (before, bits) = *self.swapped.get(&self.resolved(number))?;
        Some((before, order::swapped(u64::try_from(constant).ok()?, bits)?))
    }

    /// A mask without the bits that the number has not.
    fn least_mask(&self, number: ir::Value, mask: i64) -> i64 {
        match self.swapped.get(&self.resolved(number)) {
            Some(&(_, bits)) => mask & (u64::MAX >> (64 - bits)).cast_signed(),
            None => mask,
        }
    }

    /// A question about bits of a number, if it can be asked so that one instruction answers it: about the number before it was swapped, and whether one of
    /// them is set instead of what they are.
    fn bits_condition(&mut self, width: Width, cond: Cond, x: ir::Value, imm: i32) -> Option<ir::Value> {
        let (number, mask, wanted) = match cond {
            Cond::Set => (x, i64::from(imm), 0),
            _ => {
                let (number, mask) = tidy::bits_of(self.builder.func, self.resolved(x))?;
                let mask = self.least_mask(number, mask);
                // In 32 bits there may be more bits in the mask.
                (number, Some(mask).filter(|mask| (0..=i64::from(u32::MAX)).contains(mask))?, i64::from(imm))
            }
        };
        let (number, mask, wanted) = match self.as_before_swap(number, mask) {
            Some((before, mask)) => (before, mask, self.as_before_swap(number, wanted)?.1),
            None if cond == Cond::Set || width == Width::W32 || wanted < 0 => return None,
            None => (number, mask, wanted),
        };
        let bits = self.builder.ins().band_imm_u(number, mask);
        let is_one = mask.count_ones() == 1 && wanted == mask;
        let (code, wanted) = match (cond, is_one) {
            (Cond::Eq, true) => (IntCC::NotEqual, 0),
            (Cond::Ne, true) => (IntCC::Equal, 0),
            (Cond::Eq, false) => (IntCC::Equal, wanted),
            (Cond::Ne, false) => (IntCC::NotEqual, wanted),
            _ => return Some(bits),
        };
        Some(self.builder.ins().icmp_imm_u(code, bits, wanted))
    }

    pub(super) fn condition(&mut self, width: Width, cond: Cond, dst: Reg, src: Operand) -> ir::Value {
        let (mut x, mut y) = (self.get(dst), self.operand(src));
        if let (Cond::Set | Cond::Eq | Cond::Ne, Operand::Imm(imm)) = (cond, src)
            && let Some(holds) = self.bits_condition(width, cond, x, imm)
        {
            return holds;
        }
        if let (Cond::Eq | Cond::Ne, Operand::Imm(imm)) = (cond, src)
            && let Some((x, y)) = self.as_before_swap(x, i64::from(imm))
        {
            let code = if cond == Cond::Eq { IntCC::Equal } else { IntCC::NotEqual };
            return self.builder.ins().icmp_imm_u(code, x, y);
        }
        if width == Width::W32 {
            x = self.builder.ins().ireduce(I32, x);
            y = self.builder.ins().ireduce(I32, y);
        }
        let code = match cond {
            Cond::Set => return self.builder.ins().band(x, y),
            Cond::Eq => IntCC::Equal,
            Cond::Ne => IntCC::NotEqual,
            Cond::Gt => IntCC::UnsignedGreaterThan,
            Cond::Ge => IntCC::UnsignedGreaterThanOrEqual,
            Cond::Lt => IntCC::UnsignedLessThan,
            Cond::Le => IntCC::UnsignedLessThanOrEqual,
            Cond::Sgt => IntCC::SignedGreaterThan,
            Cond::Sge => IntCC::SignedGreaterThanOrEqual,
            Cond::Slt => IntCC::SignedLessThan,
            Cond::Sle => IntCC::SignedLessThanOrEqual,
        };
        if width == Width::W64
            && let IntCC::UnsignedLessThan | IntCC::UnsignedGreaterThanOrEqual = code
            && let Some(is_below) = self.quotient_is_below(x, y)
        {
            let wanted = i64::from(code == IntCC::UnsignedLessThan);
            return self.builder.ins().icmp_imm_u(IntCC::Equal, is_below, wanted);
        }
        if width == Width::W64
            && let Some((code, x, y)) = self.length_test(code, x, y)
        {
            return self.builder.ins().icmp_imm_u(code, x, y);
        }
        self.builder.ins().icmp(code, x, y)
    }
}
