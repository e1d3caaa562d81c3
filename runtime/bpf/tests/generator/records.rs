//! Blocks on records of the ring buffer: reserved, written, handed over, and known by a second name.

use oko_bpf::isa::{Cond, Imm64, Insn, Operand, Reg, Size};

use super::{Builder, RING, SIZES, reg};

impl Builder<'_> {
    /// Reserves a record, writes into it, and hands it over.
    pub(super) fn record(&mut self) {
        let size = 8 * (1 + self.rng.below(3)) as i32;
        self.reserve(size);
        let (branch, before) = self.null_test();
        let base = self.found_in(&[Reg::R0, Reg::R8, Reg::R9]);
        for _ in 0..1 + self.rng.below(3) {
            let access = self.rng.pick(&SIZES);
            let slip = if self.rng.chance(2) { 3 } else { 0 };
            let room = size as u64 - u64::from(access.bytes()) + slip;
            let off = self.rng.below(room + 1) as i16;
            if self.rng.chance(70) {
                let src = self.operand();
                self.push(Insn::Store { size: access, base, off, src });
            } else {
                let dst = reg(self.rng.below(8));
                if dst != base && Some(dst) != self.context {
                    self.push(Insn::load(access, dst, base, off));
                    self.is_number(dst);
                }
            }
        }
        if self.rng.chance(97) {
            self.submit(base);
            if self.rng.chance(2) {
                self.push(Insn::load(Size::B, Reg::R0, base, 0));
            }
        }
        self.is_other(base);
        self.end_null_test(branch, &before);
    }

    /// Reserves a record, which `r0` holds then.
    fn reserve(&mut self, size: i32) {
        self.push_wide(Reg::R1, Imm64::Map(RING));
        self.push(Insn::mov64(Reg::R2, size));
        self.push(Insn::mov64(Reg::R3, 0));
        self.push(Insn::call(131));
        self.called();
    }

    fn reserve_in(&mut self, size: i32, kept: Reg) {
        self.reserve(size);
        self.push(Insn::mov64(kept, Reg::R0));
        self.is_other(kept);
    }

    /// Hands a record over, unless it is null.
    fn hand(&mut self, record: Reg) {
        self.push(Insn::branch64(Cond::Eq, record, 0, 3));
        self.submit(record);
    }

    /// Hands a record over, or throws it away.
    fn submit(&mut self, record: Reg) {
        self.push(Insn::mov64(Reg::R1, record));
        self.push(Insn::mov64(Reg::R2, 0));
        let helper = self.rng.pick(&[132, 133]);
        self.push(Insn::call(helper));
        self.called();
    }

    /// Writes into a record, unless it is null.
    fn fill(&mut self, record: Reg, size: i32) {
        let access = self.rng.pick(&SIZES);
        let off = self.rng.below(size as u64 - u64::from(access.bytes()) + 1) as i16;
        let src = Operand::Imm(self.imm());
        self.push(Insn::branch64(Cond::Eq, record, 0, 1));
        self.push(Insn::Store { size: access, base: record, off, src });
    }

    /// Reserves two records, gives one of them a second name on each of two paths, and hands both over: mostly after that name was used.
    pub(super) fn records(&mut self) {
        let (first, second, name) = (Reg::R7, Reg::R8, Reg::R9);
        if self.context.is_some_and(|context| context != Reg::R6) {
            self.context = None;
        }
        let size = 8 * (1 + self.rng.below(3)) as i32;
        let which = self.operand();
        self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -168, src: which });
        self.reserve_in(size, first);
        let other = if self.rng.chance(90) { size } else { size + 8 };
        let early = self.rng.chance(50);
        let branch = self.insns.len();
        if early {
            self.push(Insn::branch64(Cond::Eq, first, 0, 0));
        }
        self.reserve_in(other, second);
        if early {
            // Without the second one, the first is handed over, and all the rest passed by.
            self.push(Insn::branch64(Cond::Ne, second, 0, 4));
            self.push(Insn::mov64(Reg::R1, first));
            self.push(Insn::mov64(Reg::R2, 0));
            self.push(Insn::call(133));
        }
        let passed = self.insns.len();
        if early {
            self.push(Insn::jump(0));
        }
        self.push(Insn::mov64(name, first));
        self.is_other(name);
        self.push(Insn::load(Size::Dw, Reg::R1, Reg::R10, -168));
        let bound = self.rng.below(20) as i32;
        let cond = self.cond();
        self.push(Insn::branch64(cond, Reg::R1, bound, 1));
        self.push(Insn::mov64(name, second));
        if self.rng.chance(30) {
            self.push(Insn::store(Size::Dw, Reg::R10, -176, name));
            self.push(Insn::load(Size::Dw, name, Reg::R10, -176));
        }
        // Where the name is used: before both are handed over, between, behind.
        let used = if self.rng.chance(75) { 0 } else { 1 + self.rng.below(2) };
        for (step, record) in [first, second].into_iter().enumerate() {
            if used == step as u64 {
                self.fill(name, size);
            }
            self.hand(record);
        }
        if used == 2 {
            self.fill(name, size);
        }
        if early {
            let skip = |from: usize| (self.insns.len() - from - 1) as i16;
            let (to, over) = (skip(branch), skip(passed));
            self.insns[branch] = Insn::branch64(Cond::Eq, first, 0, to);
            self.insns[passed] = Insn::jump(over);
        }
        self.push(Insn::mov64(Reg::R0, 0));
        self.is_number(Reg::R0);
    }
}
