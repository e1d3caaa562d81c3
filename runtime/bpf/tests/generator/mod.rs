//! Random programs: mostly sensible, so that the verifier accepts a good share, with a few mistakes mixed in.
//!
//! A program is a sequence of blocks (arithmetic, packet access behind a comparison, stack access, map access behind a
//! null test, locks, forward jumps, loops, calls), each over whichever registers happen to hold what it needs. Then some
//! instructions are changed at random.

mod rng;

use oko_bpf::{
    isa::{AluOp, AtomicOp, ByteOrder, Cond, ExtBits, Imm64, Insn, Operand, Reg, Size, SwapBits, Width},
    program::{DataSection, MapDef, MapKind, Program},
};

pub(crate) use rng::Rng;

/// The maps of every generated program.
pub(crate) fn maps() -> Vec<MapDef> {
    let map = |name: &str, kind, key_size, value_size, max_entries| MapDef {
        name: name.to_owned(),
        kind,
        key_size,
        value_size,
        max_entries,
        hashes: 0,
        lock_offset: None,
        data: None,
    };
    let data = |name: &str, readonly, size: u32| MapDef {
        data: Some(DataSection { readonly, init: (0..size).map(|byte| byte as u8).collect() }),
        ..map(name, MapKind::Array, 4, size, 1)
    };
    vec![
        MapDef { lock_offset: Some(0), ..map("locked", MapKind::Hash, 4, 32, 4) },
        map("hash", MapKind::LruHash, 8, 24, 4),
        map("array", MapKind::Array, 4, 16, 3),
        data("variables", false, 16),
        data("constants", true, 16),
        map("prefixes", MapKind::LpmTrie, 8, 8, 8),
        MapDef { hashes: 3, ..map("bloom", MapKind::BloomFilter, 0, 8, 8) },
        map("ring", MapKind::RingBuf, 0, 0, 4096),
        MapDef { hashes: 4, ..map("counts", MapKind::OriginalCountMin, 8, 4, 4096) },
        MapDef { hashes: 4, ..map("set", MapKind::OriginalBloom, 8, 4, 4096) },
    ]
}

/// Some of [`maps`] by number.
const PREFIXES: u32 = 5;
const BLOOM: u32 = 6;
const RING: u32 = 7;
const COUNTS: u32 = 8;

/// The numbers of the helpers of the first Oko: update, add, hash.
const ORIGINAL: [u32; 3] = [0x4f4b_0002, 0x4f4b_0004, 0x4f4b_0006];

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];

struct Builder<'r> {
    rng: &'r mut Rng,
    insns: Vec<Insn>,
    /// Registers that hold a number, as far as this generator knows.
    numbers: Vec<Reg>,
    /// Where the context pointer is; a function has none.
    context: Option<Reg>,
    /// Stack bytes that were stored.
    stored: Vec<(i16, Size)>,
    /// Slots that call one of the functions.
    calls: Vec<usize>,
}

fn reg(number: u64) -> Reg {
    Reg::new(number as u8).expect("generated below 11")
}

impl Builder<'_> {
    fn number(&mut self) -> Reg {
        if self.numbers.is_empty() || self.rng.chance(1) {
            return reg(self.rng.below(10));
        }
        let numbers = self.numbers.clone();
        self.rng.pick(&numbers)
    }

    /// A register to write a number to; not the context's.
    fn target(&mut self) -> Reg {
        loop {
            let target = reg(self.rng.below(10));
            if Some(target) != self.context || self.rng.chance(1) {
                return target;
            }
        }
    }

    fn is_number(&mut self, reg: Reg) {
        if !self.numbers.contains(&reg) {
            self.numbers.push(reg);
        }
    }

    fn is_other(&mut self, reg: Reg) {
        self.numbers.retain(|other| *other != reg);
    }

    fn called(&mut self) {
        for lost in 0..6 {
            self.is_other(reg(lost));
        }
    }

    fn imm(&mut self) -> i32 {
        match self.rng.below(5) {
            0 => self.rng.below(16) as i32,
            1 => -(self.rng.below(16) as i32),
            2 => 1 << self.rng.below(32),
            3 => (1u32 << self.rng.below(32)).wrapping_sub(1).cast_signed(),
            _ => self.rng.next() as i32,
        }
    }

    fn width(&mut self) -> Width {
        self.rng.pick(&[Width::W32, Width::W64])
    }

    fn operand(&mut self) -> Operand {
        if self.rng.chance(50) { Operand::Imm(self.imm()) } else { Operand::Reg(self.number()) }
    }

    fn cond(&mut self) -> Cond {
        self.rng.pick(&[
            Cond::Eq,
            Cond::Ne,
            Cond::Gt,
            Cond::Ge,
            Cond::Lt,
            Cond::Le,
            Cond::Set,
            Cond::Sgt,
            Cond::Sge,
            Cond::Slt,
            Cond::Sle,
        ])
    }

    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    fn push_wide(&mut self, dst: Reg, imm: Imm64) {
        self.insns.extend(Insn::load_imm64(dst, imm));
    }

    fn arithmetic(&mut self) {
        let width = self.width();
        match self.rng.below(8) {
            0 => {
                let (dst, imm) = (self.target(), self.imm());
                self.push(Insn::Alu { width, op: AluOp::Mov, dst, src: Operand::Imm(imm) });
                self.is_number(dst);
            }
            1 => {
                let (dst, src) = (self.target(), self.number());
                self.push(Insn::Alu { width, op: AluOp::Mov, dst, src: Operand::Reg(src) });
                self.is_number(dst);
            }
            2 => {
                let dst = self.number();
                self.push(Insn::Neg { width, dst });
            }
            3 => {
                let (dst, src) = (self.target(), self.number());
                let from = match width {
                    Width::W32 => self.rng.pick(&[ExtBits::B8, ExtBits::B16]),
                    Width::W64 => self.rng.pick(&[ExtBits::B8, ExtBits::B16, ExtBits::B32]),
                };
                self.push(Insn::MovSx { width, from, dst, src });
                self.is_number(dst);
            }
            4 => {
                let order = self.rng.pick(&[ByteOrder::Le, ByteOrder::Be, ByteOrder::Swap]);
                let bits = self.rng.pick(&[SwapBits::B16, SwapBits::B32, SwapBits::B64]);
                let dst = self.number();
                self.push(Insn::Swap { order, bits, dst });
            }
            _ => {
                let op = self.rng.pick(&[
                    AluOp::Add,
                    AluOp::Sub,
                    AluOp::Mul,
                    AluOp::Div,
                    AluOp::Sdiv,
                    AluOp::Or,
                    AluOp::And,
                    AluOp::And,
                    AluOp::Lsh,
                    AluOp::Rsh,
                    AluOp::Rsh,
                    AluOp::Mod,
                    AluOp::Smod,
                    AluOp::Xor,
                    AluOp::Arsh,
                ]);
                let (dst, src) = (self.number(), self.operand());
                self.push(Insn::Alu { width, op, dst, src });
            }
        }
    }

    fn context_field(&mut self) {
        let Some(base) = self.context else { return };
        let dst = self.target();
        let off = self.rng.pick(&[12, 16]);
        self.push(Insn::load(Size::W, dst, base, off));
        self.is_number(dst);
    }

    /// Narrows a number, so that it can serve as an offset.
    fn bound(&mut self, limit: u64) -> Reg {
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
    fn packet(&mut self) {
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
    fn length(&mut self) {
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

    fn stack(&mut self) {
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

    fn atomic(&mut self, width: Width, base: Reg, off: i16) {
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
    fn spill(&mut self) {
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

    /// Helpers on a map; the value is used behind a null test.
    fn map(&mut self) {
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
        let branch = self.insns.len();
        self.push(Insn::branch64(Cond::Eq, Reg::R0, 0, 0));
        let base = self.rng.pick(&[Reg::R0, Reg::R9]);
        let before = self.numbers.clone();
        if base != Reg::R0 {
            self.push(Insn::mov64(base, Reg::R0));
            self.is_other(base);
            if self.context == Some(base) {
                self.context = None;
            }
        }
        let locked = map == 0 && self.rng.chance(80);
        if locked {
            self.push(Insn::mov64(Reg::R9, Reg::R0));
            self.push(Insn::mov64(Reg::R1, Reg::R0));
            self.push(Insn::call(93));
            self.called();
            self.is_other(Reg::R9);
            if self.context == Some(Reg::R9) {
                self.context = None;
            }
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
                self.is_other(Reg::R8);
                if self.context == Some(Reg::R8) {
                    self.context = None;
                }
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
        let skip = (self.insns.len() - branch - 1) as i16;
        self.insns[branch] = Insn::branch64(Cond::Eq, Reg::R0, 0, skip);
        self.is_other(Reg::R0);
        self.numbers.retain(|number| before.contains(number));
        self.push(Insn::mov64(Reg::R0, 0));
        self.is_number(Reg::R0);
    }

    fn variable(&mut self) {
        let (map, base) = (3 + self.rng.below(2) as u32, self.target());
        let off = self.rng.below(16) as u32;
        self.push_wide(base, Imm64::MapValue { map, off });
        self.is_other(base);
        if self.context == Some(base) {
            self.context = None;
        }
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

    fn call(&mut self, functions: bool) {
        if self.context.is_some_and(|context| context.index() < 6) {
            self.context = None;
        }
        if functions && self.rng.chance(60) {
            for number in 1..4 {
                let src = self.operand();
                self.push(Insn::mov64(reg(number), src));
            }
            self.calls.push(self.insns.len());
            self.push(Insn::CallLocal { off: 0 });
        } else {
            let helper = self.rng.pick(&[5, 8]);
            self.push(Insn::call(helper));
        }
        self.called();
        self.is_number(Reg::R0);
    }

    /// Helpers that come without keys: records, Bloom filters, bytes of the packet.
    fn helper(&mut self) {
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

    /// Reserves a record, writes into it, and hands it over.
    fn record(&mut self) {
        let size = 8 * (1 + self.rng.below(3)) as i32;
        self.push_wide(Reg::R1, Imm64::Map(RING));
        self.push(Insn::mov64(Reg::R2, size));
        self.push(Insn::mov64(Reg::R3, 0));
        self.push(Insn::call(131));
        self.called();
        let branch = self.insns.len();
        self.push(Insn::branch64(Cond::Eq, Reg::R0, 0, 0));
        let base = self.rng.pick(&[Reg::R0, Reg::R8, Reg::R9]);
        let before = self.numbers.clone();
        if base != Reg::R0 {
            self.push(Insn::mov64(base, Reg::R0));
            self.is_other(base);
            if self.context == Some(base) {
                self.context = None;
            }
        }
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
            self.push(Insn::mov64(Reg::R1, base));
            self.push(Insn::mov64(Reg::R2, 0));
            let helper = self.rng.pick(&[132, 133]);
            self.push(Insn::call(helper));
            self.called();
            if self.rng.chance(2) {
                self.push(Insn::load(Size::B, Reg::R0, base, 0));
            }
        }
        let skip = (self.insns.len() - branch - 1) as i16;
        self.insns[branch] = Insn::branch64(Cond::Eq, Reg::R0, 0, skip);
        self.is_other(Reg::R0);
        self.is_other(base);
        self.numbers.retain(|number| before.contains(number));
        self.push(Insn::mov64(Reg::R0, 0));
        self.is_number(Reg::R0);
    }

    fn reserve(&mut self, size: i32, kept: Reg) {
        self.push_wide(Reg::R1, Imm64::Map(RING));
        self.push(Insn::mov64(Reg::R2, size));
        self.push(Insn::mov64(Reg::R3, 0));
        self.push(Insn::call(131));
        self.called();
        self.push(Insn::mov64(kept, Reg::R0));
        self.is_other(kept);
    }

    /// Hands a record over, unless it is null.
    fn hand(&mut self, record: Reg) {
        self.push(Insn::branch64(Cond::Eq, record, 0, 3));
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
    fn records(&mut self) {
        let (first, second, name) = (Reg::R7, Reg::R8, Reg::R9);
        if self.context.is_some_and(|context| context != Reg::R6) {
            self.context = None;
        }
        let size = 8 * (1 + self.rng.below(3)) as i32;
        let which = self.operand();
        self.push(Insn::Store { size: Size::Dw, base: Reg::R10, off: -168, src: which });
        self.reserve(size, first);
        let other = if self.rng.chance(90) { size } else { size + 8 };
        let early = self.rng.chance(50);
        let branch = self.insns.len();
        if early {
            self.push(Insn::branch64(Cond::Eq, first, 0, 0));
        }
        self.reserve(other, second);
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

    /// A conditional jump over the blocks that `inside` adds.
    fn fork(&mut self, depth: u32, functions: bool) {
        if self.numbers.is_empty() {
            return;
        }
        let (width, cond, dst, src) = (self.width(), self.cond(), self.number(), self.operand());
        let branch = self.insns.len();
        self.push(Insn::Branch { width, cond, dst, src, off: 0 });
        let before = (self.numbers.clone(), self.stored.clone(), self.context);
        for _ in 0..1 + self.rng.below(3) {
            self.block(depth + 1, functions);
        }
        let skip = (self.insns.len() - branch - 1) as i16;
        self.insns[branch] = Insn::Branch { width, cond, dst, src, off: skip };
        // What is a number on both paths.
        let (numbers, stored, context) = before;
        self.numbers.retain(|number| numbers.contains(number));
        self.stored = stored;
        if self.context != context {
            self.context = None;
        }
    }

    /// Blocks that run several times. The counter is on the stack, or in a register that they may spoil.
    fn rounds(&mut self, depth: u32, functions: bool) {
        let limit = 1 + self.rng.below(6) as i32;
        let slot = -200 - 8 * depth as i16;
        let kept = self.rng.chance(70);
        let counter = self.target();
        self.push(Insn::mov64(counter, 0));
        self.is_number(counter);
        if self.context == Some(counter) {
            self.context = None;
        }
        if kept {
            self.push(Insn::store(Size::Dw, Reg::R10, slot, 0));
        }
        let head = self.insns.len();
        let before = self.numbers.clone();
        for _ in 0..1 + self.rng.below(3) {
            self.block(depth + 1, functions);
        }
        let counter = if kept { self.target() } else { counter };
        if kept {
            self.push(Insn::load(Size::Dw, counter, Reg::R10, slot));
        }
        self.push(Insn::alu64(AluOp::Add, counter, 1));
        self.is_number(counter);
        if kept {
            self.push(Insn::store(Size::Dw, Reg::R10, slot, counter));
        }
        // What was a number in the first round has to be one in the others.
        for number in before {
            if !self.numbers.contains(&number) {
                let src = self.imm();
                self.push(Insn::mov64(number, src));
                self.is_number(number);
            }
        }
        let cond = self.rng.pick(&[Cond::Lt, Cond::Lt, Cond::Slt, Cond::Ne]);
        let back = head as i64 - self.insns.len() as i64 - 1;
        self.push(Insn::branch64(cond, counter, limit, back as i16));
    }

    fn block(&mut self, depth: u32, functions: bool) {
        if depth < 2 && self.rng.chance(3) {
            return self.rounds(depth, functions);
        }
        match self.rng.below(20) {
            0..=5 => self.arithmetic(),
            6 => self.context_field(),
            7..=9 if self.rng.chance(25) => self.length(),
            7..=9 => self.packet(),
            10..=12 => self.stack(),
            13..=14 => self.map(),
            15 => self.variable(),
            16 if self.rng.chance(60) => self.helper(),
            16 => self.call(functions),
            17 => self.spill(),
            _ if depth < 3 => self.fork(depth, functions),
            _ => self.arithmetic(),
        }
    }

    fn body(&mut self, blocks: u64, functions: bool) {
        for _ in 0..blocks {
            self.block(0, functions);
        }
        let result = if self.rng.chance(98) && !self.numbers.is_empty() {
            Operand::Reg(self.number())
        } else {
            Operand::Imm(2)
        };
        self.push(Insn::mov64(Reg::R0, result));
        self.push(Insn::Exit);
    }
}

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Program {
    let rng = &mut Rng(seed);
    let functions = rng.chance(30);
    let blocks = 2 + rng.below(14);
    let mut builder = Builder {
        rng,
        insns: Vec::new(),
        numbers: Vec::new(),
        context: Some(Reg::R6),
        stored: Vec::new(),
        calls: Vec::new(),
    };
    builder.push(Insn::mov64(Reg::R6, Reg::R1));
    builder.push(Insn::load(Size::W, Reg::R7, Reg::R1, 12));
    builder.push(Insn::load(Size::W, Reg::R0, Reg::R1, 16));
    builder.numbers.extend([Reg::R0, Reg::R7]);
    builder.body(blocks, functions);
    let (mut insns, calls) = (builder.insns, builder.calls);
    if !calls.is_empty() {
        let target = insns.len();
        for call in calls {
            insns[call] = Insn::CallLocal { off: (target - call - 1) as i32 };
        }
        let blocks = 1 + rng.below(4);
        let mut function = Builder {
            rng,
            insns: Vec::new(),
            numbers: vec![Reg::R1, Reg::R2, Reg::R3],
            context: None,
            stored: Vec::new(),
            calls: Vec::new(),
        };
        function.body(blocks, false);
        insns.extend(function.insns);
    }
    if rng.chance(25) {
        for _ in 0..1 + rng.below(2) {
            mutate(rng, &mut insns);
        }
    }
    Program { name: format!("seed {seed}"), insns, maps: maps(), lines: Vec::new() }
}

/// Changes one field of one instruction.
fn mutate(rng: &mut Rng, insns: &mut [Insn]) {
    let slot = rng.below(insns.len() as u64) as usize;
    let any = reg(rng.below(11));
    let delta = rng.below(17) as i16 - 8;
    match &mut insns[slot] {
        Insn::Alu { op, dst, src, width } => match rng.below(4) {
            0 => *dst = any,
            1 => *src = Operand::Reg(any),
            2 => *op = rng.pick(&[AluOp::Add, AluOp::Sub, AluOp::Mov, AluOp::And, AluOp::Rsh, AluOp::Arsh]),
            _ => *width = Width::W32,
        },
        Insn::Load { dst, base, off, .. } => match rng.below(3) {
            0 => *dst = any,
            1 => *base = any,
            _ => *off = off.wrapping_add(delta),
        },
        Insn::Store { base, off, src, .. } => match rng.below(3) {
            0 => *src = Operand::Reg(any),
            1 => *base = any,
            _ => *off = off.wrapping_add(delta),
        },
        Insn::Branch { width, cond, dst, src, off } => match rng.below(5) {
            0 => *dst = any,
            1 => *src = Operand::Reg(any),
            2 if rng.chance(30) => *off = off.wrapping_add(delta),
            2 => *off = off.wrapping_add(delta.abs()),
            3 => *width = Width::W32,
            _ => *cond = rng.pick(&[Cond::Eq, Cond::Ne, Cond::Gt, Cond::Lt, Cond::Sle, Cond::Set]),
        },
        Insn::CallHelper { helper } => {
            let [update, add, hash] = ORIGINAL;
            *helper = rng.pick(&[1, 2, 3, 5, 8, 87, 89, 93, 94, 130, 131, 132, 133, 189, update, add, hash]);
        }
        Insn::LoadImm64 { imm: Imm64::Map(map), .. } => *map = rng.below(10) as u32,
        Insn::Neg { dst, .. } | Insn::Swap { dst, .. } | Insn::MovSx { dst, .. } => *dst = any,
        _ => {}
    }
}
