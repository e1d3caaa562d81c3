//! Writes the instructions of one filter.
//!
//! `r0` and `r1` belong to the instruction at hand; everything else is where the allocation has it. A result may share its register
//! with an operand that ends there, so no operand is read after the result is written.

use oko_bpf::helper::Helper;
use oko_bpf::isa::{AluOp, ByteOrder, Cond, Imm64, Insn, Operand, Reg, Size, SwapBits};
use oko_bpf::program::LineInfo;
use oko_bpf::xdp::CtxField;
use oko_ir::layout::{EXPIRES_OFFSET, HEADER_SIZE, WRITTEN_OFFSET};
use oko_ir::{
    BinaryOp, Block, BlockCall, BoolOp, CompareOp, Filter, Loc, Module, Op, State, StateDecl, StateKind,
    TerminatorKind, Type, Unlock, Value, Width,
};

use crate::alloc::{Allocation, Slot};
use crate::asm::{Asm, Label};
use crate::maps::{self, Frame, LOCK_BITS, Maps};
use crate::moves::{Step, sequence};
use crate::plan::{Item, MAX_PACKET_OFFSET, Place, Plan, VReg, has_lock_apart};
use crate::{Clock, CompiledFilter};

/// `BPF_NOEXIST`.
const NOEXIST: i32 = 1;

/// What starts at a slot, for the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Block(Block),
    Item(Block, Item),
}

/// A source or destination of moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    Reg(Reg),
    Stack(i16),
    Const(u64),
}

impl From<Slot> for Spot {
    fn from(slot: Slot) -> Spot {
        match slot {
            Slot::Reg(reg) => Spot::Reg(reg),
            Slot::Stack(offset) => Spot::Stack(offset),
        }
    }
}

/// Writes a filter.
pub(crate) fn emit(
    module: &Module,
    maps: &Maps,
    plan: &Plan<'_>,
    allocation: &Allocation,
    frame: Frame,
) -> Result<CompiledFilter, crate::BackendError> {
    let filter = plan.filter;
    let mut asm = Asm::default();
    let labels = filter.blocks.iter().map(|_| asm.label()).collect();
    let mut emitter = Emitter {
        module,
        maps,
        plan,
        allocation,
        frame,
        filter,
        asm,
        labels,
        lines: Vec::new(),
        marks: Vec::new(),
        next: None,
    };
    if let Some(slot) = allocation.slot(plan.context()) {
        emitter.put(slot.into(), Spot::Reg(Reg::R1));
    }
    for (place, &block) in plan.order.iter().enumerate() {
        emitter.next = plan.order.get(place + 1).copied();
        emitter.block(block);
    }
    let mut lines = emitter.lines;
    // The kernel wants to know where the first instruction comes from, whatever it is.
    if let Some(first) = lines.first_mut() {
        first.slot = 0;
    }
    Ok(CompiledFilter {
        name: filter.name.clone(),
        insns: emitter.asm.finish(&filter.name)?,
        lines,
        stack_bytes: allocation.frame,
        marks: emitter.marks,
    })
}

struct Emitter<'e> {
    module: &'e Module,
    maps: &'e Maps,
    plan: &'e Plan<'e>,
    allocation: &'e Allocation,
    frame: Frame,
    filter: &'e Filter,
    asm: Asm,
    labels: Vec<Label>,
    lines: Vec<LineInfo>,
    marks: Vec<(usize, Mark)>,
    /// The block that is written next.
    next: Option<Block>,
}

/// Finding, reading and writing places.
impl Emitter<'_> {
    fn alu(&mut self, op: AluOp, dst: Reg, src: impl Into<Operand>) {
        self.asm.push(Insn::alu64(op, dst, src));
    }

    fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i16) {
        self.asm.push(Insn::load(size, dst, base, off));
    }

    fn store(&mut self, size: Size, base: Reg, off: i16, src: impl Into<Operand>) {
        self.asm.push(Insn::store(size, base, off, src));
    }

    fn call(&mut self, helper: Helper) {
        self.asm.push(Insn::call(helper.number()));
    }

    fn constant(&mut self, dst: Reg, value: u64) {
        match immediate(value) {
            Some(imm) => self.alu(AluOp::Mov, dst, imm),
            None => self.asm.load_imm64(dst, Imm64::Value(value)),
        }
    }

    /// Moves from anywhere to a register or stack slot. Takes `r1` between two stack slots and for large constants.
    fn put(&mut self, to: Spot, from: Spot) {
        match (to, from) {
            (Spot::Reg(to), Spot::Reg(from)) if to == from => {}
            (Spot::Reg(to), Spot::Reg(from)) => self.alu(AluOp::Mov, to, from),
            (Spot::Reg(to), Spot::Stack(from)) => self.load(Size::Dw, to, Reg::R10, from),
            (Spot::Reg(to), Spot::Const(value)) => self.constant(to, value),
            (Spot::Stack(to), Spot::Reg(from)) => self.store(Size::Dw, Reg::R10, to, from),
            // Through a register, small constants too: the kernel keeps the number of a spilled register, not always of a stored one.
            (Spot::Stack(to), from) => {
                self.put(Spot::Reg(Reg::R1), from);
                self.store(Size::Dw, Reg::R10, to, Reg::R1);
            }
            (Spot::Const(_), _) => unreachable!("nothing is moved to a constant"),
        }
    }

    fn slot(&self, vreg: VReg) -> Slot {
        self.allocation.slot(vreg).expect("what is used has a place")
    }

    fn at(&self, value: Value) -> Spot {
        match self.plan.place(value) {
            Place::Const(constant) => Spot::Const(constant),
            Place::VReg(vreg) => self.slot(vreg).into(),
        }
    }

    /// The register that a virtual register is in, or `scratch` with its content.
    fn reg_of(&mut self, vreg: VReg, scratch: Reg) -> Reg {
        match self.slot(vreg) {
            Slot::Reg(reg) => reg,
            Slot::Stack(offset) => {
                self.load(Size::Dw, scratch, Reg::R10, offset);
                scratch
            }
        }
    }

    /// The same for a value, constants included.
    fn reg(&mut self, value: Value, scratch: Reg) -> Reg {
        match self.at(value) {
            Spot::Reg(reg) => reg,
            from => {
                self.put(Spot::Reg(scratch), from);
                scratch
            }
        }
    }

    /// A value as a second operand: an immediate if it is a small constant.
    fn operand(&mut self, value: Value, scratch: Reg) -> Operand {
        if let Place::Const(constant) = self.plan.place(value)
            && let Some(imm) = immediate(constant)
        {
            return imm.into();
        }
        self.reg(value, scratch).into()
    }

    /// Where a result goes, none if nobody wants it.
    fn result(&self, result: Option<Value>) -> Option<Slot> {
        match self.plan.place(result?) {
            Place::VReg(vreg) => self.allocation.slot(vreg),
            Place::Const(_) => None,
        }
    }

    /// Where an instruction sits in relation to the source.
    fn at_source(&mut self, loc: Option<Loc>) {
        let Some(loc) = loc else { return };
        let Some(file) = self.module.files.get(loc.file as usize) else { return };
        let slot = self.asm.here() as u32;
        match self.lines.last_mut() {
            Some(last) if last.line == loc.line && last.file == *file => {}
            Some(last) if last.slot == slot => {
                last.file.clone_from(file);
                last.line = loc.line;
            }
            _ => self.lines.push(LineInfo { slot, file: file.clone(), line: loc.line, text: String::new() }),
        }
    }
}

/// Blocks and instructions.
impl Emitter<'_> {
    fn block(&mut self, block: Block) {
        self.asm.bind(self.labels[block.index()]);
        self.marks.push((self.asm.here(), Mark::Block(block)));
        let plan = self.plan;
        let data = &self.filter.blocks[block.index()];
        for &item in &plan.items[block.index()] {
            self.marks.push((self.asm.here(), Mark::Item(block, item)));
            match item {
                Item::ReadClock => self.read_clock(),
                Item::Inst(index) => {
                    let inst = &data.insts[index];
                    self.at_source(inst.loc);
                    self.inst(&inst.op, inst.result);
                }
                Item::Term => {
                    self.at_source(data.term.loc);
                    self.terminator(&data.term.kind);
                }
            }
        }
    }

    fn read_clock(&mut self) {
        let Some(slot) = self.allocation.slot(self.plan.now()) else { return };
        match self.plan.options.clock {
            Clock::Helper => self.call(Helper::KtimeGetNs),
            Clock::Injected => {
                self.asm.load_imm64(Reg::R0, self.maps.now());
                self.load(Size::Dw, Reg::R0, Reg::R0, 0);
            }
        }
        self.put(slot.into(), Spot::Reg(Reg::R0));
    }

    fn inst(&mut self, op: &Op, result: Option<Value>) {
        match *op {
            Op::Lock(entry) => return self.lock(entry, self.result(result)),
            Op::Unlock(entry, how) => return self.unlock(entry, how),
            Op::Set(entry, field, value) => {
                let (offset, size) = self.field(entry, field);
                let base = self.reg(entry, Reg::R0);
                let value = self.operand(value, Reg::R1);
                return self.store(size, base, offset, value);
            }
            _ => {}
        }
        let Some(slot) = self.result(result) else { return };
        // Results are made in their own register, or in r0 on the way to the stack.
        let dst = match slot {
            Slot::Reg(reg) => reg,
            Slot::Stack(_) => Reg::R0,
        };
        let mut made = dst;
        match *op {
            Op::Binary(op, a, b) => made = self.binary(op, a, b, dst),
            Op::Bool(op, a, b) => {
                let op = match op {
                    BoolOp::And => BinaryOp::And,
                    BoolOp::Or => BinaryOp::Or,
                    BoolOp::Xor => BinaryOp::Xor,
                };
                made = self.binary(op, a, b, dst);
            }
            Op::Not(a) => {
                let from = self.at(a);
                self.put(Spot::Reg(dst), from);
                self.alu(AluOp::Xor, dst, 1);
            }
            Op::Compare(op, a, b) => self.boolean(op, a, b, dst),
            Op::Select(cond, a, b) => self.select(cond, a, b, dst),
            Op::Load(width, window, offset) => self.packet_load(width, window, offset, dst),
            Op::PacketLen => {
                let context = self.reg_of(self.plan.context(), Reg::R1);
                self.load(Size::W, Reg::R0, context, context_offset(CtxField::DataEnd));
                self.load(Size::W, Reg::R1, context, context_offset(CtxField::Data));
                self.alu(AluOp::Sub, Reg::R0, Reg::R1);
                made = Reg::R0;
            }
            Op::InPort => {
                let context = self.reg_of(self.plan.context(), Reg::R1);
                self.load(Size::W, dst, context, context_offset(CtxField::IngressIfindex));
            }
            Op::Param(param) => {
                self.asm.load_imm64(dst, self.maps.param(param));
                self.load(Size::Dw, dst, dst, 0);
            }
            Op::Get(entry, field) => {
                let (offset, size) = self.field(entry, field);
                let base = self.reg(entry, Reg::R0);
                self.load(size, dst, base, offset);
            }
            Op::Const(_) | Op::ConstBool(_) | Op::IntOfBool(_) | Op::Now => {
                unreachable!("the plan leaves them out")
            }
            Op::Lock(_) | Op::Unlock(..) | Op::Set(..) => unreachable!("done above"),
        }
        self.put(slot.into(), Spot::Reg(made));
    }

    /// Gives the register with the result: `dst`, or `r0` where `dst` holds the second operand.
    fn binary(&mut self, op: BinaryOp, a: Value, b: Value, dst: Reg) -> Reg {
        let commutes = !matches!(
            op,
            BinaryOp::Sub | BinaryOp::UDiv | BinaryOp::URem | BinaryOp::Shl | BinaryOp::UShr | BinaryOp::SShr
        );
        let swap = commutes && (matches!(self.at(a), Spot::Const(_)) || self.at(b) == Spot::Reg(dst));
        let (a, b) = if swap { (b, a) } else { (a, b) };
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
    fn jump_if(&mut self, cond: Value, wanted: bool, to: Label) {
        let Some((op, a, b)) = self.plan.fused(cond) else {
            let reg = self.reg(cond, Reg::R0);
            let cond = if wanted { Cond::Ne } else { Cond::Eq };
            return self.asm.branch(cond, reg, 0.into(), to);
        };
        self.compare(op, a, b, wanted, to);
    }

    fn compare(&mut self, op: CompareOp, a: Value, b: Value, wanted: bool, to: Label) {
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
        let (a, b, cond) = if swap { (b, a, swapped(straight)) } else { (a, b, straight) };
        let cond = if wanted { cond } else { inverted(cond) };
        let a = self.reg(a, Reg::R0);
        let b = self.operand(b, Reg::R1);
        self.asm.branch(cond, a, b, to);
    }

    /// A comparison as 0 or 1.
    fn boolean(&mut self, op: CompareOp, a: Value, b: Value, dst: Reg) {
        let done = self.asm.label();
        let free = dst != Reg::R0 && [self.at(a), self.at(b)].iter().all(|at| *at != Spot::Reg(dst));
        if free {
            self.constant(dst, 1);
            self.compare(op, a, b, true, done);
            self.constant(dst, 0);
        } else {
            let yes = self.asm.label();
            self.compare(op, a, b, true, yes);
            self.constant(dst, 0);
            self.asm.jump(done);
            self.asm.bind(yes);
            self.constant(dst, 1);
        }
        self.asm.bind(done);
    }

    fn select(&mut self, cond: Value, a: Value, b: Value, dst: Reg) {
        let done = self.asm.label();
        let (a, b) = (self.at(a), self.at(b));
        if a == Spot::Reg(dst) {
            self.jump_if(cond, true, done);
            self.put(Spot::Reg(dst), b);
        } else if b == Spot::Reg(dst) {
            self.jump_if(cond, false, done);
            self.put(Spot::Reg(dst), a);
        } else {
            let yes = self.asm.label();
            self.jump_if(cond, true, yes);
            self.put(Spot::Reg(dst), b);
            self.asm.jump(done);
            self.asm.bind(yes);
            self.put(Spot::Reg(dst), a);
        }
        self.asm.bind(done);
    }

    /// The register of a window holds the address of its end.
    fn packet_load(&mut self, width: Width, window: Value, offset: u32, dst: Reg) {
        let Some(Type::Window(len)) = self.filter.type_of(window) else {
            unreachable!("loads are of windows")
        };
        let distance = i64::from(offset) - i64::from(len);
        let mut base = self.reg(window, Reg::R0);
        let mut near = distance;
        if i16::try_from(distance).is_err() {
            self.put(Spot::Reg(Reg::R0), Spot::Reg(base));
            self.alu(AluOp::Add, Reg::R0, distance as i32);
            (base, near) = (Reg::R0, 0);
        }
        self.load(maps::size(width), dst, base, near as i16);
        let bits = match width {
            Width::W8 => return,
            Width::W16 => SwapBits::B16,
            Width::W32 => SwapBits::B32,
            Width::W64 => SwapBits::B64,
        };
        self.asm.push(Insn::Swap { order: ByteOrder::Be, bits, dst });
    }

    fn state_of(&self, entry: Value) -> State {
        match self.filter.type_of(entry) {
            Some(Type::Entry(state)) => state,
            other => unreachable!("{entry} is an entry, not {other:?}"),
        }
    }

    /// Offset in the entry and size of a field.
    fn field(&self, entry: Value, field: oko_ir::Field) -> (i16, Size) {
        let state = &self.module.states[self.state_of(entry).index()];
        let offset = state.entry_layout().offsets[field.index()];
        // Entries are of at most oko_ir::limits::MAX_ENTRY_SIZE bytes.
        (offset as i16, maps::size(state.fields[field.index()].width))
    }

    /// Calls a function of the spin lock of an entry.
    fn call_on_lock(&mut self, entry: Value, helper: Helper) {
        let from = match self.plan.lock_of(entry) {
            Some(lock) => self.slot(lock).into(),
            None => self.at(entry),
        };
        self.put(Spot::Reg(Reg::R1), from);
        self.call(helper);
    }

    /// Locks, tells whether the entry is live, and zeroes the fields of one that is not.
    fn lock(&mut self, entry: Value, live: Option<Slot>) {
        self.call_on_lock(entry, Helper::SpinLock);
        let state = &self.module.states[self.state_of(entry).index()];
        let size = state.entry_layout().size;
        let base = self.reg(entry, Reg::R1);
        let (alive, done) = (self.asm.label(), self.asm.label());
        self.load(Size::Dw, Reg::R0, base, EXPIRES_OFFSET as i16);
        let now = self.reg_of(self.plan.now(), Reg::R1);
        self.asm.branch(Cond::Gt, Reg::R0, now.into(), alive);
        // Both may be on the stack, and there is one register for them.
        let base = if base == now { self.reg(entry, Reg::R1) } else { base };
        for offset in (HEADER_SIZE..size).step_by(8) {
            self.store(Size::Dw, base, offset as i16, 0);
        }
        match live {
            Some(slot) => {
                self.put(slot.into(), Spot::Const(0));
                self.asm.jump(done);
                self.asm.bind(alive);
                self.put(slot.into(), Spot::Const(1));
            }
            None => self.asm.bind(alive),
        }
        self.asm.bind(done);
    }

    fn unlock(&mut self, entry: Value, how: Unlock) {
        match how {
            Unlock::Keep => {}
            Unlock::Touch(expires) => {
                let base = self.reg(entry, Reg::R0);
                let expires = self.operand(expires, Reg::R1);
                self.store(Size::Dw, base, EXPIRES_OFFSET as i16, expires);
                let now = self.reg_of(self.plan.now(), Reg::R1);
                self.store(Size::Dw, base, WRITTEN_OFFSET as i16, now);
            }
            Unlock::Clear => {
                let base = self.reg(entry, Reg::R0);
                self.store(Size::Dw, base, EXPIRES_OFFSET as i16, 0);
            }
        }
        self.call_on_lock(entry, Helper::SpinUnlock);
    }
}

/// Terminators.
impl Emitter<'_> {
    fn terminator(&mut self, kind: &TerminatorKind) {
        match kind {
            TerminatorKind::Jump(call) => self.edge(call, &[]),
            TerminatorKind::Branch { cond, then, other } => self.branch(*cond, then, other),
            TerminatorKind::Window { offset, len, ok, short } => self.window(*offset, *len, ok, short),
            TerminatorKind::Find { state, key, found, absent } => {
                self.lookup(*state, key, false, found, absent);
            }
            TerminatorKind::Slot { state, key, found, full } => self.lookup(*state, key, true, found, full),
            TerminatorKind::Return(value) => {
                match self.at(*value) {
                    Spot::Const(class) => self.constant(Reg::R0, class.wrapping_add(1)),
                    from => {
                        self.put(Spot::Reg(Reg::R0), from);
                        self.alu(AluOp::Add, Reg::R0, 1);
                    }
                }
                self.asm.push(Insn::Exit);
            }
        }
    }

    /// The moves of an edge. `given` is what the terminator itself supplies for the first parameters: places of the entry or window, and of the lock.
    fn moves(&self, call: &BlockCall, given: &[Spot]) -> Vec<(Spot, Spot)> {
        let params = &self.filter.blocks[call.block.index()].params;
        let place_of = |vreg: VReg| self.allocation.slot(vreg).map(Spot::from);
        let mut moves = Vec::new();
        let mut params = params.iter().copied();
        if let Some(&first) = given.first() {
            let param = params.next().expect("a block that is given something has a parameter for it");
            moves.extend(self.result(Some(param)).map(|slot| (slot.into(), first)));
            if let (Some(lock), Some(&from)) = (self.plan.lock_of(param), given.get(1)) {
                moves.extend(place_of(lock).map(|to| (to, from)));
            }
        }
        for (param, &arg) in params.zip(&call.args) {
            moves.extend(self.result(Some(param)).map(|slot| (slot.into(), self.at(arg))));
            if let (Some(to), Some(from)) = (self.plan.lock_of(param), self.plan.lock_of(arg)) {
                moves.extend(place_of(to).map(|to| (to, self.slot(from).into())));
            }
        }
        moves.retain(|(to, from)| to != from);
        moves
    }

    fn do_moves(&mut self, moves: Vec<(Spot, Spot)>) {
        let shuffle = Spot::Stack(self.allocation.shuffle);
        for step in sequence(moves) {
            match step {
                Step::Move(to, from) => self.put(to, from),
                Step::Save(from) => self.put(shuffle, from),
                Step::Restore(to) => self.put(to, shuffle),
            }
        }
    }

    /// Goes to a block, by falling into it if it is the next.
    fn go(&mut self, block: Block) {
        if self.next != Some(block) {
            self.asm.jump(self.labels[block.index()]);
        }
    }

    fn edge(&mut self, call: &BlockCall, given: &[Spot]) {
        let moves = self.moves(call, given);
        self.do_moves(moves);
        self.go(call.block);
    }

    fn branch(&mut self, cond: Value, then: &BlockCall, other: &BlockCall) {
        if let Place::Const(constant) = self.plan.place(cond) {
            return self.edge(if constant != 0 { then } else { other }, &[]);
        }
        let (then_moves, other_moves) = (self.moves(then, &[]), self.moves(other, &[]));
        let label = self.labels[then.block.index()];
        if then_moves.is_empty() && self.next != Some(then.block) {
            self.jump_if(cond, true, label);
            self.do_moves(other_moves);
            self.go(other.block);
        } else if other_moves.is_empty() {
            let label = self.labels[other.block.index()];
            self.jump_if(cond, false, label);
            self.do_moves(then_moves);
            self.go(then.block);
        } else {
            let yes = self.asm.label();
            self.jump_if(cond, true, yes);
            self.do_moves(other_moves);
            self.asm.jump(self.labels[other.block.index()]);
            self.asm.bind(yes);
            self.do_moves(then_moves);
            self.go(then.block);
        }
    }

    /// Where to jump on the second edge of a terminator, and what to write behind its first edge for that.
    fn second_edge(&mut self, call: &BlockCall) -> (Label, Option<Vec<(Spot, Spot)>>) {
        let moves = self.moves(call, &[]);
        if moves.is_empty() {
            (self.labels[call.block.index()], None)
        } else {
            (self.asm.label(), Some(moves))
        }
    }

    /// The first edge, then the moves of the second, if it has any.
    fn edges(
        &mut self,
        first: &BlockCall,
        given: &[Spot],
        second: &BlockCall,
        way: (Label, Option<Vec<(Spot, Spot)>>),
    ) {
        let moves = self.moves(first, given);
        self.do_moves(moves);
        match way {
            (label, Some(moves)) => {
                self.asm.jump(self.labels[first.block.index()]);
                self.asm.bind(label);
                self.do_moves(moves);
                self.go(second.block);
            }
            (_, None) => self.go(first.block),
        }
    }

    fn window(&mut self, offset: Value, len: u32, ok: &BlockCall, short: &BlockCall) {
        if !self.plan.window_can_be(offset, len) {
            return self.edge(short, &[]);
        }
        let way = self.second_edge(short);
        let (data, data_end) = (context_offset(CtxField::Data), context_offset(CtxField::DataEnd));
        let context = self.plan.context();
        match self.plan.place(offset) {
            Place::Const(offset) => {
                let context = self.reg_of(context, Reg::R1);
                self.load(Size::W, Reg::R0, context, data);
                self.load(Size::W, Reg::R1, context, data_end);
                self.alu(AluOp::Add, Reg::R0, (offset + u64::from(len)) as i32);
            }
            Place::VReg(_) => {
                let add = self.reg(offset, Reg::R1);
                let room = MAX_PACKET_OFFSET - u64::from(len);
                if self.plan.bound(offset).is_none_or(|bound| bound > room) {
                    self.asm.branch(Cond::Gt, add, (room as i32).into(), way.0);
                }
                let at = self.reg_of(context, Reg::R0);
                self.load(Size::W, Reg::R0, at, data);
                self.alu(AluOp::Add, Reg::R0, add);
                self.alu(AluOp::Add, Reg::R0, len as i32);
                let at = self.reg_of(context, Reg::R1);
                self.load(Size::W, Reg::R1, at, data_end);
            }
        }
        self.asm.branch(Cond::Gt, Reg::R0, Reg::R1.into(), way.0);
        self.edges(ok, &[Spot::Reg(Reg::R0)], short, way);
    }

    fn lookup(&mut self, state: State, key: &[Value], make: bool, found: &BlockCall, absent: &BlockCall) {
        let decl = &self.module.states[state.index()];
        let way = self.second_edge(absent);
        let key_at = self.frame.key(decl);
        match decl.kind {
            StateKind::Array => self.index(decl, key[0], key_at, way.0),
            StateKind::Hash(_) => self.key(decl, key, key_at),
        }
        let apart = has_lock_apart(self.module, state);
        if apart {
            self.find_lock(decl, key_at, way.0);
        }
        self.find(self.maps.state(state), key_at);
        if make && decl.kind != StateKind::Array {
            let there = self.asm.label();
            self.asm.branch(Cond::Ne, Reg::R0, 0.into(), there);
            self.asm.load_imm64(Reg::R1, self.maps.state(state));
            self.frame_address(Reg::R2, key_at);
            self.asm.load_imm64(Reg::R3, self.maps.zero());
            self.alu(AluOp::Mov, Reg::R4, NOEXIST);
            // Whether it worked is seen by looking again: somebody else may have inserted in between.
            self.call(Helper::MapUpdateElem);
            self.find(self.maps.state(state), key_at);
            self.asm.branch(Cond::Eq, Reg::R0, 0.into(), way.0);
            self.asm.bind(there);
        } else {
            self.asm.branch(Cond::Eq, Reg::R0, 0.into(), way.0);
        }
        let given = [Spot::Reg(Reg::R0), Spot::Stack(Frame::LOCK)];
        self.edges(found, &given[..1 + usize::from(apart)], absent, way);
    }

    fn frame_address(&mut self, dst: Reg, offset: i16) {
        self.alu(AluOp::Mov, dst, Reg::R10);
        self.alu(AluOp::Add, dst, i32::from(offset));
    }

    /// Looks up the key at `key_at` of the frame.
    fn find(&mut self, map: Imm64, key_at: i16) {
        self.asm.load_imm64(Reg::R1, map);
        self.frame_address(Reg::R2, key_at);
        self.call(Helper::MapLookupElem);
    }

    /// Builds the index of an array.
    fn index(&mut self, state: &StateDecl, value: Value, key_at: i16, absent: Label) {
        let from = self.at(value);
        self.put(Spot::Reg(Reg::R0), from);
        match state.key[0].width {
            Width::W8 => self.alu(AluOp::And, Reg::R0, 0xff),
            Width::W16 => self.alu(AluOp::And, Reg::R0, 0xffff),
            Width::W32 => {}
            // What is cut off must not make it another index.
            Width::W64 => {
                self.alu(AluOp::Mov, Reg::R1, Reg::R0);
                self.alu(AluOp::Rsh, Reg::R1, 32);
                self.asm.branch(Cond::Ne, Reg::R1, 0.into(), absent);
            }
        }
        self.store(Size::W, Reg::R10, key_at, Reg::R0);
    }

    /// Builds a key, gaps zeroed.
    fn key(&mut self, state: &StateDecl, values: &[Value], key_at: i16) {
        let layout = state.key_layout();
        let mut end = 0;
        for ((part, &offset), &value) in state.key.iter().zip(&layout.offsets).zip(values) {
            self.zero_gap(key_at, end, offset);
            let value = self.operand(value, Reg::R0);
            self.store(maps::size(part.width), Reg::R10, key_at + offset as i16, value);
            end = offset + part.width.bytes();
        }
        self.zero_gap(key_at, end, layout.size);
    }

    /// Zeroes `from..to` of the key, in pieces that are aligned.
    fn zero_gap(&mut self, key_at: i16, mut from: u32, to: u32) {
        while from < to {
            let fits = |size: &Size| from.is_multiple_of(size.bytes()) && from + size.bytes() <= to;
            let size = [Size::Dw, Size::W, Size::H].into_iter().find(fits).unwrap_or(Size::B);
            self.store(size, Reg::R10, key_at + from as i16, 0);
            from += size.bytes();
        }
    }

    /// Puts the address of the lock for the key at `key_at` into its place in the frame.
    fn find_lock(&mut self, state: &StateDecl, key_at: i16, absent: Label) {
        let (mut from, to) = (0, state.key_layout().size);
        self.constant(Reg::R0, 0);
        while from < to {
            let fits = |size: &Size| from + size.bytes() <= to;
            let size = [Size::Dw, Size::W, Size::H].into_iter().find(fits).unwrap_or(Size::B);
            self.load(size, Reg::R1, Reg::R10, key_at + from as i16);
            self.alu(AluOp::Xor, Reg::R0, Reg::R1);
            // 2^64 divided by the golden ratio: the upper bits of the product depend on all bits.
            self.asm.load_imm64(Reg::R1, Imm64::Value(0x9e37_79b9_7f4a_7c15));
            self.alu(AluOp::Mul, Reg::R0, Reg::R1);
            from += size.bytes();
        }
        self.alu(AluOp::Rsh, Reg::R0, (64 - LOCK_BITS) as i32);
        self.store(Size::W, Reg::R10, Frame::LOCK_INDEX, Reg::R0);
        self.find(self.maps.locks(), Frame::LOCK_INDEX);
        // The index is always below the size, which the verifiers need not know.
        self.asm.branch(Cond::Eq, Reg::R0, 0.into(), absent);
        self.store(Size::Dw, Reg::R10, Frame::LOCK, Reg::R0);
    }
}

fn context_offset(field: CtxField) -> i16 {
    // The context is 24 bytes.
    field.offset() as i16
}

/// The constant as a sign-extended 32-bit immediate, if it is one.
fn immediate(value: u64) -> Option<i32> {
    i32::try_from(value.cast_signed()).ok()
}

fn inverted(cond: Cond) -> Cond {
    match cond {
        Cond::Eq => Cond::Ne,
        Cond::Ne => Cond::Eq,
        Cond::Gt => Cond::Le,
        Cond::Ge => Cond::Lt,
        Cond::Lt => Cond::Ge,
        Cond::Le => Cond::Gt,
        Cond::Sgt => Cond::Sle,
        Cond::Sge => Cond::Slt,
        Cond::Slt => Cond::Sge,
        Cond::Sle => Cond::Sgt,
        Cond::Set => unreachable!("not used here"),
    }
}

fn swapped(cond: Cond) -> Cond {
    match cond {
        Cond::Eq | Cond::Ne => cond,
        Cond::Gt => Cond::Lt,
        Cond::Ge => Cond::Le,
        Cond::Lt => Cond::Gt,
        Cond::Le => Cond::Ge,
        Cond::Sgt => Cond::Slt,
        Cond::Sge => Cond::Sle,
        Cond::Slt => Cond::Sgt,
        Cond::Sle => Cond::Sge,
        Cond::Set => unreachable!("not used here"),
    }
}
