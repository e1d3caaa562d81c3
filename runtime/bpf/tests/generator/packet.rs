//! Blocks that look at the packet: fields of the context, accesses behind comparisons, what is left of it.

use oko_bpf::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};

use super::{Builder, SIZES};

impl Builder<'_> {
    pub(super) fn context_field(&mut self) {
        let Some(base) = self.context else { return };
        let dst = self.target();
        let off = self.rng.pick(&[12, 16]);
        self.push(Insn::load(Size::W, dst, base, off));
        self.is_number(dst);
    }

    /// Narrows a number, so that it can serve as an offset.
    pub(super) fn bound(&mut self, limit: u64) -> Reg {
        let index = self.number();
        let bound = self.rng.below(limit + 1) as i32;
        match self.rng.below(7) {
            0 => self.push(Insn::alu64(AluOp::And, index, bound)),
            // Sometimes without its other half: then the index may be negative.
            4 | 5 => {
                let width = self.width();
                self.push(Insn::Branch {
                    width,
                    cond: Cond::Sle,
                    dst: index,
                    src: Operand::Imm(bound),
                    off: 1,
                });
                self.push(Insn::mov64(index, 1.min(bound)));
                if self.rng.chance(70) {
                    let least = -(self.rng.below(3) as i32);
                    let cond = self.rng.pick(&[Cond::Sge, Cond::Sgt]);
                    self.push(Insn::Branch { width, cond, dst: index, src: Operand::Imm(least), off: 1 });
                    self.push(Insn::mov64(index, 0));
                }
            }
            1 => self.push(Insn::alu64(AluOp::Mod, index, bound + 1)),
            2 => self.push(Insn::alu32(AluOp::And, index, bound)),
            3 => {
                let width = self.width();
                let cond = self.rng.pick(&[Cond::Le, Cond::Lt, Cond::Sle]);
                self.push(Insn::Branch { width, cond, dst: index, src: Operand::Imm(bound), off: 1 });
                self.push(Insn::mov64(index, bound.min(1)));
            }
            _ => {
                let by = 64 - self.rng.below(8) as i32;
                self.push(Insn::alu64(AluOp::Rsh, index, by));
            }
        }
        index
    }

    /// `limit` bytes are compared with the end, then something in them is loaded. Behind a variable part there are ways back, too, sometimes
    /// without the comparison.
    pub(super) fn packet(&mut self) {
        let Some(context) = self.context else { return };
        let (data, end, edge) = (self.target(), self.target(), self.target());
        if data == end || data == edge || end == edge || [data, end, edge].contains(&context) {
            return;
        }
        self.push(Insn::load(Size::W, data, context, 0));
        self.push(Insn::load(Size::W, end, context, 4));
        for taken in [data, end, edge] {
            self.is_other(taken);
        }
        let variable = self.rng.chance(40) && !self.numbers.is_empty();
        let mut back = 0;
        if variable {
            let index = self.bound(64);
            if self.rng.chance(30) && ![data, end, edge].contains(&index) {
                back = 1 + self.rng.below(16) as i16;
                self.push(Insn::alu64(AluOp::Add, index, i32::from(back)));
            }
            self.push(Insn::alu64(AluOp::Add, data, index));
        }
        let limit = 1 + self.rng.below(40) as i32;
        self.push(Insn::mov64(edge, data));
        self.push(Insn::alu64(AluOp::Add, edge, limit));
        let mut inside = Vec::new();
        let unproven = back > 0 && self.rng.chance(15);
        // The way back is one of the pointer, and of different lengths on two paths, or one of the access.
        let mut moved = 0;
        if back > 0 && self.rng.chance(40) {
            moved = back;
            inside.push(Insn::alu64(AluOp::Add, data, -i32::from(moved)));
            let which = self.number();
            if self.rng.chance(60) && ![data, end, edge].contains(&which) {
                inside.push(Insn::branch64(Cond::Set, which, 1, 1));
                inside.push(Insn::alu64(AluOp::Add, data, 1 + self.rng.below(4) as i32));
                moved -= 4;
            }
        }
        for _ in 0..1 + self.rng.below(3) {
            let size = self.rng.pick(&SIZES);
            let slip = if self.rng.chance(3) { 2 } else { 0 };
            let limit = if unproven { 0 } else { i64::from(limit) };
            let room = (i64::from(back) + limit - i64::from(size.bytes()) + slip).max(0) as u64;
            let off = self.rng.below(room + 1) as i16 - back + moved;
            let signed = size != Size::Dw && self.rng.chance(20);
            let dst = self.target();
            if ![data, end, edge, context].contains(&dst) {
                inside.push(Insn::Load { size, signed, dst, base: data, off });
            }
        }
        let skip = inside.len() as i16;
        match self.rng.below(4) {
            _ if unproven => {}
            0 => self.push(Insn::branch64(Cond::Lt, end, edge, skip)),
            1 => {
                self.push(Insn::branch64(Cond::Le, edge, end, 1));
                self.push(Insn::jump(skip));
            }
            _ => self.push(Insn::branch64(Cond::Gt, edge, end, skip)),
        }
        // A register that was no number before is written on one path only, so it is none afterwards either.
        self.insns.extend(inside);
    }

    /// The packet's length is computed, perhaps less a constant, and compared; behind that something is loaded.
    pub(super) fn length(&mut self) {
        let Some(context) = self.context else { return };
        let (data, len) = (self.target(), self.target());
        if data == len || [data, len].contains(&context) {
            return;
        }
        self.push(Insn::load(Size::W, data, context, 0));
        self.push(Insn::load(Size::W, len, context, 4));
        self.is_other(data);
        if self.rng.chance(30) && !self.numbers.is_empty() {
            let index = self.bound(64);
            if ![data, len].contains(&index) {
                self.push(Insn::alu64(AluOp::Add, data, index));
            }
        }
        let ahead = if self.rng.chance(30) { self.rng.below(20) as i32 } else { 0 };
        if ahead > 0 {
            self.push(Insn::alu64(AluOp::Add, data, ahead));
        }
        let width = if self.rng.chance(85) { Width::W64 } else { Width::W32 };
        self.push(Insn::Alu { width, op: AluOp::Sub, dst: len, src: Operand::Reg(data) });
        self.is_number(len);
        let mut proven = i64::from(ahead);
        for _ in 0..self.rng.below(3) {
            let op = self.rng.pick(&[AluOp::Add, AluOp::Sub]);
            let by = self.rng.below(24) as i32 - 4;
            let width = if self.rng.chance(95) { Width::W64 } else { Width::W32 };
            self.push(Insn::Alu { width, op, dst: len, src: Operand::Imm(by) });
            proven += if op == AluOp::Sub { i64::from(by) } else { -i64::from(by) };
        }
        if self.rng.chance(15) {
            self.push(Insn::store(Size::Dw, Reg::R10, -184, len));
            self.push(Insn::load(Size::Dw, len, Reg::R10, -184));
        }
        let least = self.rng.below(40) as i32 - 4;
        let from = self.insns.len();
        let width = if self.rng.chance(80) { Width::W64 } else { Width::W32 };
        let cond = self.rng.pick(&[Cond::Slt, Cond::Slt, Cond::Lt, Cond::Sle, Cond::Le, Cond::Ne, Cond::Set]);
        self.push(Insn::Branch { width, cond, dst: len, src: Operand::Imm(least), off: 0 });
        proven += i64::from(least) + i64::from(cond == Cond::Sle || cond == Cond::Le);
        for _ in 0..1 + self.rng.below(3) {
            let size = self.rng.pick(&SIZES);
            let slip = if self.rng.chance(3) { 2 } else { 0 };
            let room = proven - i64::from(ahead) - i64::from(size.bytes()) + slip;
            let dst = self.target();
            if room >= 0 && ![data, len, context].contains(&dst) {
                let off = self.rng.below(room as u64 + 1) as i16;
                self.push(Insn::Load { size, signed: false, dst, base: data, off });
            }
        }
        let off = (self.insns.len() - from - 1) as i16;
        self.insns[from] = Insn::Branch { width, cond, dst: len, src: Operand::Imm(least), off };
    }
}
