//! Branches both ways of which only move numbers and then meet: the numbers are chosen instead.
//!
//! Compilers put numbers in order so, and say so whether something was found: which way it is nobody can foresee, and BPF knows no other way to choose. What is moved are
//! registers and the [numbers of the frame](super::cells) that are kept like these.

use std::collections::BTreeMap;
use std::ops::Range;

use cranelift_codegen::ir;
use cranelift_codegen::ir::InstBuilder;
use cranelift_frontend::Variable;
use oko_bpf::isa::{AluOp, Insn, Reg};
use oko_bpf::verified::{Note, Region};

use super::frame::WORD;
use super::{Cell, Translator};

/// So many numbers at most are chosen instead of branching: each of them waits for the condition.
const MOST_CHOSEN: usize = 8;
/// So many instructions there are on a way at most.
const MOST_MOVES: usize = 16;

/// The two ways from a branch.
#[derive(Clone)]
struct Diamond {
    /// The instructions that follow if the condition does not hold, less the jump at their end.
    next: Range<usize>,
    /// Those that it jumps to, if it does; perhaps none.
    target: Range<usize>,
    /// Where both lead.
    end: usize,
}

/// What is moved to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moved {
    Register(Reg),
    Cell(i32),
}

impl Translator<'_, '_> {
    /// Whether a branch only chooses numbers.
    pub(super) fn only_chooses(&self, branch: usize) -> bool {
        self.diamond(branch).is_some()
    }

    /// Translates a branch by a condition that only chooses numbers; gives whether the instruction where both ways meet can come next without a jump, or nothing if the
    /// branch is another one.
    pub(super) fn choose_numbers(&mut self, branch: usize, holds: ir::Value) -> Option<bool> {
        let Diamond { next, target, end } = self.diamond(branch)?;
        let slots = next.clone().chain(target.clone());
        let moved: BTreeMap<Moved, Variable> = slots.filter_map(|slot| self.moved(slot)).collect();
        let now = |translator: &mut Self| -> Vec<ir::Value> {
            moved.values().map(|&variable| translator.builder.use_var(variable)).collect()
        };
        let (before, pointers) = (now(self), self.frame.pointers);
        let [not, taken] = [next.clone(), target].map(|way| {
            way.for_each(|slot| self.move_number(slot));
            let values = now(self);
            for (&variable, &value) in moved.values().zip(&before) {
                self.builder.def_var(variable, value);
            }
            self.frame.pointers = pointers;
            values
        });
        for ((&moved, &variable), (not, taken)) in moved.iter().zip(not.into_iter().zip(taken)) {
            let chosen = if not == taken { not } else { self.choose(holds, taken, not) };
            self.builder.def_var(variable, chosen);
            match moved {
                Moved::Register(reg) => self.frame.pointers.overwrite(reg),
                Moved::Cell(offset) => self.frame.forget(offset, WORD),
            }
        }
        self.chosen.extend(next.start..end);
        if self.comers.get(&end) == Some(&1) {
            // Nobody else comes there.
            self.blocks.remove(&end);
            self.jumped_to.remove(&end);
            return Some(true);
        }
        let end = self.blocks[&end];
        self.builder.ins().jump(end, &[]);
        Some(false)
    }

    fn move_number(&mut self, slot: usize) {
        let before = self.frame.pointers;
        let cell = self.cell_at(slot);
        match self.source.insns[slot] {
            Insn::Load { dst, .. } => {
                if let Some((_, cell)) = cell {
                    let value = self.builder.use_var(cell.variable);
                    self.set(dst, value);
                }
            }
            Insn::Store { src, .. } => {
                if let Some((_, cell)) = cell {
                    self.write_cell(cell, src);
                }
            }
            Insn::Alu { width, op, dst, src } => self.alu(width, op, dst, src),
            _ => {}
        }
        self.frame.pointers = before.after(self.source.insns[slot]);
    }

    fn diamond(&self, branch: usize) -> Option<Diamond> {
        let Some(Insn::Branch { .. }) = self.source.insns.get(branch) else { return None };
        let target = self.target(branch).ok()?;
        if target <= branch + 1 {
            return None;
        }
        // One way into each of the two: this one.
        let is_own =
            |slot: usize| self.comers.get(&slot).copied().unwrap_or(0) == usize::from(slot == target);
        let mut slot = branch + 1;
        while slot < target && self.moved(slot).is_some() && is_own(slot) {
            slot += 1;
        }
        let next = branch + 1..slot;
        let diamond = if slot == target {
            Diamond { next, target: target..target, end: target }
        } else {
            let Insn::Jump { .. } = self.source.insns[slot] else { return None };
            let end = self.target(slot).ok()?;
            if slot + 1 != target || end < target || !is_own(slot) {
                return None;
            }
            let mut slot = target;
            while slot < end && self.moved(slot).is_some() && is_own(slot) {
                slot += 1;
            }
            Diamond { next, target: target..slot, end }
        };
        let Diamond { next, target, end } = &diamond;
        let slots = next.clone().chain(target.clone());
        let moved: BTreeMap<Moved, Variable> = slots.filter_map(|slot| self.moved(slot)).collect();
        let moves = next.len().max(target.len());
        let is_whole =
            target.end == *end && !next.is_empty() && moves <= MOST_MOVES && moved.len() <= MOST_CHOSEN;
        is_whole.then_some(diamond)
    }

    /// What an instruction that only moves a number moves it to.
    fn moved(&self, slot: usize) -> Option<(Moved, Variable)> {
        if self.source.is_dead(slot) || self.skips.contains(&slot) {
            return None;
        }
        let register = |reg: Reg| (Moved::Register(reg), self.registers[reg.index()]);
        match self.source.insns[slot] {
            Insn::Alu { op: AluOp::Mov, dst, .. } => Some(register(dst)),
            Insn::Load { dst, .. } => self.cell_at(slot).map(|_| register(dst)),
            Insn::Store { .. } => {
                self.cell_at(slot).map(|(offset, cell)| (Moved::Cell(offset), cell.variable))
            }
            _ => None,
        }
    }

    /// The number of the frame that an instruction reads or writes, if it is kept in a register.
    fn cell_at(&self, slot: usize) -> Option<(i32, Cell)> {
        match self.source.note(slot) {
            Some(Note::Access(Region::Frame { off })) => Some((off, *self.cells.get(&off)?)),
            _ => None,
        }
    }
}
