//! Blocks on the stack: stores, loads, atomic operations, spilled registers.

use oko_bpf::isa::{AluOp, AtomicOp, Cond, Insn, Reg, Size, Width};

use super::{Builder, SIZES};

impl Builder<'_> {
    pub(super) fn stack(&mut self) {
        let size = self.rng.pick(&SIZES);
        let bytes = size.bytes() as i16;
        let off = -bytes * (1 + self.rng.below(64 / u64::from(size.bytes())) as i16);
        let off = if self.rng.chance(1) { off + 1 } else { off };
        match self.rng.below(6) {
            0 | 1 => {
                let src = self.operand();
                self.push(Insn::Store { size, base: Reg::R10, off, src });
                self.stored.push((off, size));
            }
            2 | 3 if !self.stored.is_empty() => {
                let stored = self.stored.clone();
                let (off, size) = self.rng.pick(&stored);
                let signed = size != Size::Dw && self.rng.chance(20);
                let dst = self.target();
                self.push(Insn::Load { size, signed, dst, base: Reg::R10, off });
                self.is_number(dst);
            }
            4 => {
                // A table of three slots at a variable index.
                for slot in 0..3 {
                    let src = self.operand();
                    self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -72 - 8 * slot, src });
                }
                if self.numbers.is_empty() {
                    return;
                }
                let index = self.bound(2);
                self.push(Insn::alu64(AluOp::Lsh, index, 3));
                let base = self.target();
                if base == index {
                    return;
                }
                self.push(Insn::mov64(base, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, base, -88));
                self.push(Insn::alu64(AluOp::Add, base, index));
                self.is_other(base);
                if self.rng.chance(50) {
                    let src = self.operand();
                    self.push(Insn::Store { size: Size::Dw, base, off: 0, src });
                }
                let dst = self.target();
                self.push(Insn::load(Size::Dw, dst, base, 0));
                self.is_number(dst);
            }
            _ => {
                let Some((off, size)) = self.stored.last().copied() else { return };
                if matches!(size, Size::W | Size::Dw) {
                    let width = if size == Size::W { Width::W32 } else { Width::W64 };
                    self.atomic(width, Reg::R10, off);
                }
            }
        }
    }

    pub(super) fn atomic(&mut self, width: Width, base: Reg, off: i16) {
        let fetch = self.rng.chance(50);
        let op = self.rng.pick(&[
            AtomicOp::Add { fetch },
            AtomicOp::Or { fetch },
            AtomicOp::And { fetch },
            AtomicOp::Xor { fetch },
            AtomicOp::Xchg,
            AtomicOp::Cmpxchg,
        ]);
        let src = self.number();
        if op == AtomicOp::Cmpxchg && !self.numbers.contains(&Reg::R0) {
            return;
        }
        self.push(Insn::Atomic { width, op, base, off, src });
    }

    /// A number, or the context pointer, goes through the stack.
    pub(super) fn spill(&mut self) {
        if self.rng.chance(50) && !self.numbers.is_empty() {
            let (src, dst) = (self.number(), self.target());
            let (store, load) = (self.rng.pick(&[Size::W, Size::Dw]), self.rng.pick(&SIZES));
            let load = load.min(store);
            self.push(Insn::store(store, Reg::R10, -120, src));
            self.stored.push((-120, store));
            if self.rng.chance(50) {
                let bound = self.rng.below(20) as i32;
                self.push(Insn::branch64(Cond::Le, src, bound, 1));
                self.push(Insn::mov64(src, 1));
            }
            self.push(Insn::load(load, dst, Reg::R10, -120));
            self.is_number(dst);
            return;
        }
        let Some(context) = self.context else { return };
        let off = -8 * (13 + self.rng.below(3) as i16);
        self.push(Insn::store(Size::Dw, Reg::R10, off, context));
        let dst = self.target();
        if dst != context {
            self.push(Insn::load(Size::Dw, dst, Reg::R10, off));
            self.is_other(dst);
            self.push(Insn::load(Size::W, dst, dst, 12));
            self.is_number(dst);
        }
    }
}
