//! Random programs: mostly sensible, so that the verifier accepts a good share, with a few mistakes mixed in.
//!
//! A program is a sequence of blocks (arithmetic, packet access behind a comparison, stack access, map access behind a
//! null test, locks, forward jumps, loops, calls), each over whichever registers happen to hold what it needs. Then some
//! instructions are changed at random.

mod maps;
mod packet;
mod records;
mod rng;
mod stack;

use oko_bpf::{
    isa::{AluOp, ByteOrder, Cond, ExtBits, Imm64, Insn, Operand, Reg, Size, SwapBits, Width},
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

    /// A register holds a pointer now: no number, nor the context.
    fn is_pointer(&mut self, reg: Reg) {
        self.is_other(reg);
        if self.context == Some(reg) {
            self.context = None;
        }
    }

    /// Tests whether `r0` is null; gives where, and which registers hold numbers there.
    fn null_test(&mut self) -> (usize, Vec<Reg>) {
        let branch = self.insns.len();
        self.push(Insn::branch64(Cond::Eq, Reg::R0, 0, 0));
        (branch, self.numbers.clone())
    }

    /// Puts the pointer that `r0` holds into one of these registers.
    fn found_in(&mut self, registers: &[Reg]) -> Reg {
        let base = self.rng.pick(registers);
        if base != Reg::R0 {
            self.push(Insn::mov64(base, Reg::R0));
            self.is_pointer(base);
        }
        base
    }

    /// Lets a [test](Self::null_test) leave out all that was written since, if `r0` is null.
    fn end_null_test(&mut self, branch: usize, before: &[Reg]) {
        let skip = (self.insns.len() - branch - 1) as i16;
        self.insns[branch] = Insn::branch64(Cond::Eq, Reg::R0, 0, skip);
        self.is_other(Reg::R0);
        self.numbers.retain(|number| before.contains(number));
        self.push(Insn::mov64(Reg::R0, 0));
        self.is_number(Reg::R0);
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

    /// A conditional jump over the blocks that `inside` adds.
    fn fork(&mut self, depth: u32, functions: bool) {
        if self.numbers.is_empty() {
            return;
        }
        let (width, cond, dst, src) = (self.width(), self.cond(), self.number(), self.operand());
        let may = self.rng.chance(10);
        let jump = |off| match may {
            true => Insn::MayGoto { off },
            false => Insn::Branch { width, cond, dst, src, off },
        };
        let branch = self.insns.len();
        self.push(jump(0));
        let before = (self.numbers.clone(), self.stored.clone(), self.context);
        for _ in 0..1 + self.rng.below(3) {
            self.block(depth + 1, functions);
        }
        let skip = (self.insns.len() - branch - 1) as i16;
        self.insns[branch] = jump(skip);
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
        Insn::MayGoto { off } => *off = off.wrapping_add(delta),
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
