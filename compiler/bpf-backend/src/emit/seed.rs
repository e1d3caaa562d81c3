//! The seed and its [words](oko_ir::seed), which the first packet makes that needs them if nobody has set them before.

use oko_bpf::helper::Helper;
use oko_bpf::isa::{AluOp, AtomicOp, Cond, Insn, Reg, Size, Width};
use oko_ir::seed::{GOLDEN, MIX};

use super::{Emitter, Spot};
use crate::Clock;

impl Emitter<'_> {
    /// Makes the words of the seed up to the last one that is asked for, unless they are there: all are odd, so none is 0. Workers that come at once make the same ones.
    pub(super) fn make_seed(&mut self, last: u32) {
        let known = self.asm.label();
        let words = Reg::R7;
        self.asm.load_imm64(words, self.maps.seed_words());
        self.load(Size::Dw, Reg::R0, words, 8 * last as i16);
        self.asm.branch(Cond::Ne, Reg::R0, 0.into(), known);
        self.asm.load_imm64(Reg::R8, self.maps.seed());
        if self.plan.options.clock == Clock::Helper {
            self.draw_seed(Reg::R8);
        }
        let (state, word, shifted, factor) = (Reg::R6, Reg::R0, Reg::R1, Reg::R2);
        self.load(Size::Dw, state, Reg::R8, 0);
        for number in 0..=last {
            self.constant(factor, GOLDEN);
            self.alu(AluOp::Add, state, factor);
            self.alu(AluOp::Mov, word, state);
            for (shift, multiplier) in MIX {
                self.alu(AluOp::Mov, shifted, word);
                self.alu(AluOp::Rsh, shifted, shift as i32);
                self.alu(AluOp::Xor, word, shifted);
                if let Some(multiplier) = multiplier {
                    self.constant(factor, multiplier);
                    self.alu(AluOp::Mul, word, factor);
                }
            }
            self.alu(AluOp::Or, word, 1);
            let offset = 8 * number as i16;
            if number < last {
                self.store(Size::Dw, words, offset, word);
            } else {
                // Nobody sees it before the others.
                let (width, op) = (Width::W64, AtomicOp::Xchg);
                self.asm.push(Insn::Atomic { width, op, base: words, off: offset, src: word });
            }
        }
        self.asm.bind(known);
    }

    /// Makes the seed, whose address is in a register, a random odd number if it is still 0.
    fn draw_seed(&mut self, seed: Reg) {
        let known = self.asm.label();
        self.load(Size::Dw, Reg::R0, seed, 0);
        self.asm.branch(Cond::Ne, Reg::R0, 0.into(), known);
        self.call(Helper::GetPrandomU32);
        self.alu(AluOp::Lsh, Reg::R0, 32);
        self.put(Spot::Reg(Reg::R6), Spot::Reg(Reg::R0));
        self.call(Helper::GetPrandomU32);
        self.alu(AluOp::Or, Reg::R6, Reg::R0);
        self.alu(AluOp::Or, Reg::R6, 1);
        self.constant(Reg::R0, 0);
        // Workers that come at once agree on the first one.
        let op = AtomicOp::Cmpxchg;
        self.asm.push(Insn::Atomic { width: Width::W64, op, base: seed, off: 0, src: Reg::R6 });
        self.asm.bind(known);
    }
}
