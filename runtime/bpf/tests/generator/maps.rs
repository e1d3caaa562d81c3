//! Blocks on maps and other helpers: entries behind a null test, variables, prefixes, Bloom filters, bytes of the packet.

use oko_bpf::isa::{AluOp, Cond, Imm64, Insn, Operand, Reg, Size, Width};

use super::{BLOOM, Builder, COUNTS, ORIGINAL, PREFIXES, RING, SIZES, reg};

impl Builder<'_> {
    /// Helpers on a map; the value is used behind a null test.
    pub(super) fn map(&mut self) {
        let map = if self.rng.chance(1) { self.rng.below(8) as u32 } else { self.rng.below(6) as u32 };
        let key_size = if matches!(map, 1 | PREFIXES) { Size::Dw } else { Size::W };
        let key = self.operand();
        self.push(Insn::Store { size: key_size, base: Reg::R10, off: -128, src: key });
        if (2..5).contains(&map) && self.rng.chance(60) {
            let key = self.rng.below(3) as i32;
            self.push(Insn::store(key_size, Reg::R10, -128, key));
        }
        let kind = self.rng.below(10);
        if kind < 3 {
            for slot in 0..4 {
                let src = self.operand();
                self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -160 + 8 * slot, src });
            }
        }
        if self.context.is_some_and(|context| context.index() < 6) {
            self.context = None;
        }
        self.push_wide(Reg::R1, Imm64::Map(map));
        self.push(Insn::mov64(Reg::R2, Reg::R10));
        self.push(Insn::alu64(AluOp::Add, Reg::R2, -128));
        match kind {
            0 | 1 => {
                self.push(Insn::mov64(Reg::R3, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R3, -160));
                self.push(Insn::mov64(Reg::R4, 0));
                let helper = self.rng.pick(&[2, 2, ORIGINAL[0]]);
                self.push(Insn::call(helper));
                self.called();
                self.is_number(Reg::R0);
            }
            2 => {
                self.push(Insn::call(3));
                self.called();
                self.is_number(Reg::R0);
            }
            _ => {
                self.push(Insn::call(1));
                self.called();
                self.value(map);
            }
        }
    }

    /// Uses the result of a lookup in `r0`.
    fn value(&mut self, map: u32) {
        let size = [32u64, 24, 16, 16, 16, 8, 8, 8][map as usize];
        let (branch, before) = self.null_test();
        let base = self.found_in(&[Reg::R0, Reg::R9]);
        let locked = map == 0 && self.rng.chance(80);
        if locked {
            self.push(Insn::mov64(Reg::R9, Reg::R0));
            self.push(Insn::mov64(Reg::R1, Reg::R0));
            self.push(Insn::call(93));
            self.called();
            self.is_pointer(Reg::R9);
        }
        let base = if locked { Reg::R9 } else { base };
        let base = if self.rng.chance(30) && !self.numbers.is_empty() {
            let index = self.bound(size / 2);
            if index == base || index == Reg::R9 {
                base
            } else {
                self.push(Insn::mov64(Reg::R8, base));
                let back = self.rng.chance(20);
                if back {
                    self.push(Insn::alu64(AluOp::Add, Reg::R8, size as i32 / 2));
                }
                let op = if back { AluOp::Sub } else { AluOp::Add };
                self.push(Insn::Alu { width: Width::W64, op, dst: Reg::R8, src: Operand::Reg(index) });
                self.is_pointer(Reg::R8);
                Reg::R8
            }
        } else {
            base
        };
        for _ in 0..1 + self.rng.below(3) {
            let access = self.rng.pick(&SIZES);
            let slip = if self.rng.chance(2) { 3 } else { 0 };
            let room = size - u64::from(access.bytes()) + slip;
            let mut off = self.rng.below(room + 1) as i16;
            if map == 0 && self.rng.chance(98) {
                off = off.max(4);
            }
            match self.rng.below(3) {
                0 => {
                    let src = self.operand();
                    self.push(Insn::Store { size: access, base, off, src });
                }
                1 if matches!(access, Size::W | Size::Dw) => {
                    let width = if access == Size::W { Width::W32 } else { Width::W64 };
                    self.atomic(width, base, off / access.bytes() as i16 * access.bytes() as i16);
                }
                _ => {
                    let dst = reg(self.rng.below(8));
                    if dst != base && Some(dst) != self.context {
                        self.push(Insn::load(access, dst, base, off));
                        self.is_number(dst);
                    }
                }
            }
        }
        if locked && self.rng.chance(97) {
            self.push(Insn::mov64(Reg::R1, Reg::R9));
            self.push(Insn::call(94));
            self.called();
        }
        self.end_null_test(branch, &before);
    }

    pub(super) fn variable(&mut self) {
        let (map, base) = (3 + self.rng.below(2) as u32, self.target());
        let off = self.rng.below(16) as u32;
        self.push_wide(base, Imm64::MapValue { map, off });
        self.is_pointer(base);
        let size = self.rng.pick(&SIZES);
        let room = 16 - i64::from(off) - i64::from(size.bytes());
        if room < 0 {
            return;
        }
        let at = self.rng.below(room as u64 + 1) as i16;
        if map == 3 && self.rng.chance(40) {
            let src = self.operand();
            self.push(Insn::Store { size, base, off: at, src });
        } else {
            let dst = self.target();
            self.push(Insn::load(size, dst, base, at));
            self.is_number(dst);
        }
    }

    /// Helpers that come without keys: records, Bloom filters, bytes of the packet.
    pub(super) fn helper(&mut self) {
        if self.context.is_some_and(|context| context.index() < 6) {
            self.context = None;
        }
        match self.rng.below(7) {
            5 => {
                let src = self.operand();
                self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -128, src });
                self.push(Insn::mov64(Reg::R1, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R1, -128));
                let size = if self.rng.chance(97) { self.rng.below(9) } else { 9 };
                self.push(Insn::mov64(Reg::R2, size as i32));
                self.push(Insn::call(ORIGINAL[2]));
            }
            6 => {
                let src = self.operand();
                self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -128, src });
                let map = COUNTS + self.rng.below(2) as u32;
                self.push_wide(Reg::R1, Imm64::Map(map));
                self.push(Insn::mov64(Reg::R2, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R2, -128));
                let adds = self.rng.chance(50);
                self.push(Insn::call(if adds { ORIGINAL[1] } else { 1 }));
                if !adds {
                    self.called();
                    self.push(Insn::branch64(Cond::Eq, Reg::R0, 0, 1));
                    let off = if self.rng.chance(97) { 0 } else { 1 };
                    self.push(Insn::load(Size::W, Reg::R3, Reg::R0, off));
                    self.push(Insn::mov64(Reg::R0, 0));
                }
            }
            0 => {
                let src = self.operand();
                self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -128, src });
                self.push_wide(Reg::R1, Imm64::Map(BLOOM));
                self.push(Insn::mov64(Reg::R2, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R2, -128));
                self.push(Insn::mov64(Reg::R3, 0));
                let helper = self.rng.pick(&[87, 89]);
                self.push(Insn::call(helper));
            }
            1 => {
                let (mut size, mut words) = (8 * (1 + self.rng.below(4)) as i32, 4);
                if self.rng.chance(3) {
                    (size, words) = (size + 1, (size / 8) as i16);
                }
                for word in 0..words {
                    let src = self.operand();
                    self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -160 + 8 * word, src });
                }
                let variable = self.rng.chance(30) && !self.numbers.is_empty();
                let bound = if variable { self.bound(size as u64) } else { Reg::R3 };
                if variable && bound != Reg::R3 {
                    self.push(Insn::mov64(Reg::R3, bound));
                }
                self.push_wide(Reg::R1, Imm64::Map(RING));
                self.push(Insn::mov64(Reg::R2, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R2, -160));
                if !variable {
                    self.push(Insn::mov64(Reg::R3, size));
                }
                self.push(Insn::mov64(Reg::R4, 0));
                self.push(Insn::call(130));
            }
            2 => {
                let Some(context) = self.context else { return };
                let (offset, size) = (self.rng.below(40) as i32, 1 + self.rng.below(24) as i32);
                self.push(Insn::mov64(Reg::R1, context));
                self.push(Insn::mov64(Reg::R2, offset));
                self.push(Insn::mov64(Reg::R3, Reg::R10));
                self.push(Insn::alu64(AluOp::Add, Reg::R3, -160));
                self.push(Insn::mov64(Reg::R4, size));
                self.push(Insn::call(189));
                self.called();
                self.is_number(Reg::R0);
                let off = self.rng.below(size as u64) as i16;
                let dst = self.target();
                self.push(Insn::load(Size::B, dst, Reg::R10, -160 + off));
                self.is_number(dst);
                return;
            }
            _ if self.rng.chance(40) => return self.records(),
            _ => return self.record(),
        }
        self.called();
        self.is_number(Reg::R0);
    }
}
