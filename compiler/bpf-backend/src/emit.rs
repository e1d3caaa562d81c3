//! Writes the instructions of one filter: blocks and simple instructions here, the others in the files beside.
//!
//! `r0` and `r1` belong to the instruction at hand; everything else is where the allocation has it. A result may share its register
//! with an operand that ends there, so no operand is read after the result is written.

mod arith;
mod entry;
mod flow;
mod packet;
mod seed;
mod word;

use oko_bpf::helper::Helper;
use oko_bpf::isa::{AluOp, Cond, Imm64, Insn, Operand, Reg, Size};
use oko_bpf::program::LineInfo;
use oko_bpf::xdp::CtxField;
use oko_ir::{BinaryOp, Block, BoolOp, Filter, Loc, Module, Op, Value};

use crate::alloc::{Allocation, SPILL_BASE, Slot};
use crate::asm::{Asm, Label};
use crate::forget::Forgetting;
use crate::maps::{self, Frame, Maps};
use crate::plan::{Item, Place, Plan, VReg};
use crate::{Clock, CompiledFilter, Linux};

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
    /// In the spill area.
    Far(i16),
    Const(u64),
}

impl From<Slot> for Spot {
    fn from(slot: Slot) -> Spot {
        match slot {
            Slot::Reg(reg) => Spot::Reg(reg),
            Slot::Stack(offset) => Spot::Stack(offset),
            Slot::Far(offset) => Spot::Far(offset),
        }
    }
}

/// Writes a filter.
pub(crate) fn emit(
    module: &Module,
    maps: &Maps,
    plan: &Plan<'_>,
    allocation: &Allocation,
    forgetting: &Forgetting,
    frame: Frame,
) -> CompiledFilter {
    let filter = plan.filter;
    let mut asm = Asm::default();
    let labels = filter.blocks.iter().map(|_| asm.label()).collect();
    let mut emitter = Emitter {
        module,
        maps,
        plan,
        allocation,
        forgetting,
        frame,
        filter,
        asm,
        labels,
        lines: Vec::new(),
        marks: Vec::new(),
        next: None,
        giving_up: None,
    };
    emitter.prologue();
    if let Some(slot) = allocation.slot(plan.context()) {
        emitter.put(slot.into(), Spot::Reg(Reg::R1));
    }
    for (place, &block) in plan.order.iter().enumerate() {
        emitter.next = plan.order.get(place + 1).copied();
        emitter.block(block);
    }
    emitter.give_up();
    // Linux puts several instructions in the place of some of ours when it has proved them, and has to reach what it jumped to before.
    let near = if plan.options.for_linux() { i16::MAX / 3 } else { i16::MAX };
    let code = emitter.asm.finish(near);
    let (mut lines, mut marks) = (emitter.lines, emitter.marks);
    for line in &mut lines {
        line.slot = code.moved[line.slot as usize] as u32;
    }
    for (slot, _) in &mut marks {
        *slot = code.moved[*slot];
    }
    // The kernel wants to know where the first instruction comes from, whatever it is.
    if let Some(first) = lines.first_mut() {
        first.slot = 0;
    }
    let linux = match (plan.guarded, code.has_long_jumps) {
        (true, _) => Some(Linux::V6_9),
        (false, true) => Some(Linux::V6_6),
        (false, false) => None,
    };
    CompiledFilter {
        name: filter.name.clone(),
        insns: code.insns,
        lines,
        stack_bytes: allocation.frame,
        linux,
        marks,
    }
}

struct Emitter<'e> {
    module: &'e Module,
    maps: &'e Maps,
    plan: &'e Plan<'e>,
    allocation: &'e Allocation,
    forgetting: &'e Forgetting,
    frame: Frame,
    filter: &'e Filter,
    asm: Asm,
    labels: Vec<Label>,
    lines: Vec<LineInfo>,
    marks: Vec<(usize, Mark)>,
    /// The block that is written next.
    next: Option<Block>,
    /// Where the program ends without a match, if it may.
    giving_up: Option<Label>,
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
            (Spot::Reg(to), Spot::Far(from)) => {
                let base = self.spill_base();
                self.load(Size::Dw, to, base, from);
            }
            (Spot::Reg(to), Spot::Const(value)) => self.constant(to, value),
            (Spot::Far(to), Spot::Reg(from)) => {
                let base = self.spill_base();
                self.store(Size::Dw, base, to, from);
            }
            (Spot::Far(_), from) => {
                self.put(Spot::Reg(Reg::R1), from);
                self.put(to, Spot::Reg(Reg::R1));
            }
            (Spot::Stack(to), Spot::Reg(from)) => self.store(Size::Dw, Reg::R10, to, from),
            // Through a register, small constants too: the kernel keeps the number of a spilled register, not always of a stored one.
            (Spot::Stack(to), from) => {
                self.put(Spot::Reg(Reg::R1), from);
                self.store(Size::Dw, Reg::R10, to, Reg::R1);
            }
            (Spot::Const(_), _) => unreachable!("nothing is moved to a constant"),
        }
    }

    /// A register with the address of the spill area.
    fn spill_base(&mut self) -> Reg {
        let slot = self.allocation.spill_base.expect("there is an area where something lies in it");
        self.load(Size::Dw, SPILL_BASE, Reg::R10, slot);
        SPILL_BASE
    }

    /// What comes before the filter: the context stays in `r1`.
    fn prologue(&mut self) {
        let last_seed_word = maps::last_seed_word(self.filter);
        if self.allocation.spill_base.is_none() && last_seed_word.is_none() {
            return;
        }
        let context = self.allocation.shuffle;
        self.store(Size::Dw, Reg::R10, context, Reg::R1);
        if let Some(base) = self.allocation.spill_base {
            // The slot is for the index at first.
            self.store(Size::Dw, Reg::R10, base, 0);
            self.asm.load_imm64(Reg::R1, self.maps.spill());
            self.alu(AluOp::Mov, Reg::R2, Reg::R10);
            self.alu(AluOp::Add, Reg::R2, i32::from(base));
            self.call(Helper::MapLookupElem);
            let there = self.asm.label();
            self.asm.branch(Cond::Ne, Reg::R0, 0.into(), there);
            // It always is, which the verifiers need not know.
            self.no_match();
            self.asm.bind(there);
            self.store(Size::Dw, Reg::R10, base, Reg::R0);
        }
        if let Some(last) = last_seed_word {
            self.make_seed(last);
        }
        self.load(Size::Dw, Reg::R1, Reg::R10, context);
    }

    /// The end of a program that goes no further.
    fn no_match(&mut self) {
        let (no_match, _) = self.plan.options.target.result();
        self.constant(Reg::R0, no_match as u64);
        self.asm.push(Insn::Exit);
    }

    /// Where it ends so.
    fn giving_up(&mut self) -> Label {
        *self.giving_up.get_or_insert_with(|| self.asm.label())
    }

    /// Writes that, if it is wanted.
    fn give_up(&mut self) {
        if let Some(label) = self.giving_up {
            self.asm.bind(label);
            self.no_match();
        }
    }

    /// An upper bound of a value that verifiers find as well.
    fn bound(&self, value: Value) -> Option<u64> {
        let is_unknown = |vreg: VReg| {
            matches!(self.allocation.slot(vreg), Some(Slot::Far(_))) || self.forgetting.anywhere[vreg.index()]
        };
        self.plan.bound(value, &is_unknown)
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
            far @ Slot::Far(_) => {
                self.put(Spot::Reg(scratch), far.into());
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
        match self.plan.place(value) {
            Place::Const(constant) => self.number(constant, scratch),
            Place::VReg(vreg) => self.reg_of(vreg, scratch).into(),
        }
    }

    /// The same of a constant.
    fn number(&mut self, constant: u64, scratch: Reg) -> Operand {
        if let Some(imm) = immediate(constant) {
            return imm.into();
        }
        self.constant(scratch, constant);
        scratch.into()
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
            if item == Item::Forget && self.forgetting.at[block.index()].is_empty() {
                continue;
            }
            self.marks.push((self.asm.here(), Mark::Item(block, item)));
            match item {
                Item::ReadClock => self.read_clock(),
                Item::Forget => self.forget(block),
                Item::Guard => {
                    self.settle(block);
                    let end = self.giving_up();
                    self.asm.may_jump(end);
                }
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

    /// Makes verifiers forget numbers at the beginning of a block.
    fn forget(&mut self, block: Block) {
        let slots = self.forgetting.at[block.index()].iter().filter_map(|vreg| self.allocation.slot(*vreg));
        // What lies in a map is unknown anyway.
        let slots: Vec<Slot> = slots.filter(|slot| !matches!(slot, Slot::Far(_))).collect();
        if slots.is_empty() {
            return;
        }
        self.something_unknown();
        for slot in slots {
            let at = match slot {
                Slot::Reg(reg) => reg,
                Slot::Stack(_) | Slot::Far(_) => Reg::R0,
            };
            self.put(Spot::Reg(at), slot.into());
            self.make_unknown(at);
            self.put(slot.into(), Spot::Reg(at));
        }
    }

    /// Puts a number into `r1` of which verifiers know nothing.
    fn something_unknown(&mut self) {
        let context = self.reg_of(self.plan.context(), Reg::R1);
        self.load(Size::W, Reg::R1, context, self.plan.options.target.offset(CtxField::IngressIfindex));
    }

    /// What is XORed twice with that is what it was, and unknown to who knows of numbers their ranges and bits.
    fn make_unknown(&mut self, reg: Reg) {
        for _ in 0..2 {
            self.alu(AluOp::Xor, reg, Reg::R1);
        }
    }

    /// Leaves nothing in registers and in the frame that is not needed in a loop: Linux's verifier takes a turn for another one than the last if anything
    /// lies there that differs.
    fn settle(&mut self, header: Block) {
        let used: Vec<Slot> = self.forgetting.kept[header.index()]
            .iter()
            .filter_map(|vreg| self.allocation.slot(*vreg))
            .collect();
        let scratch =
            [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R6, Reg::R7, Reg::R8, Reg::R9];
        for reg in scratch.into_iter().filter(|reg| !used.contains(&Slot::Reg(*reg))) {
            self.alu(AluOp::Mov, reg, 0);
        }
        for offset in (1..=self.allocation.frame as i16 / 8).map(|slot| -8 * slot) {
            if !used.contains(&Slot::Stack(offset)) && self.allocation.spill_base != Some(offset) {
                self.store(Size::Dw, Reg::R10, offset, 0);
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
            Op::SetAt(entry, field, index, value) => return self.set_at(entry, field, index, value),
            Op::WordAdd(state, index, value) => {
                return self.word_add(state, index, value, self.result(result));
            }
            Op::WordOr(state, index, value) => return self.word_or(state, index, value, self.result(result)),
            Op::WordCas(state, index, expected, value) => {
                return self.word_cas(state, index, expected, value, self.result(result));
            }
            Op::WordGet(state, index) => return self.word_get(state, index, self.result(result)),
            Op::Emit(event, ref values) => return self.emit_event(event, values),
            _ => {}
        }
        let Some(slot) = self.result(result) else { return };
        // Results are made in their own register, or in r0 on the way to the stack.
        let dst = match slot {
            Slot::Reg(reg) => reg,
            Slot::Stack(_) | Slot::Far(_) => Reg::R0,
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
                let target = self.plan.options.target;
                let context = self.reg_of(self.plan.context(), Reg::R1);
                match target.len_offset() {
                    Some(len) => self.load(Size::W, Reg::R0, context, len),
                    None => {
                        self.load(Size::W, Reg::R0, context, target.offset(CtxField::DataEnd));
                        self.load(Size::W, Reg::R1, context, target.offset(CtxField::Data));
                        self.alu(AluOp::Sub, Reg::R0, Reg::R1);
                    }
                }
                made = Reg::R0;
            }
            Op::InPort => {
                let context = self.reg_of(self.plan.context(), Reg::R1);
                self.load(Size::W, dst, context, self.plan.options.target.offset(CtxField::IngressIfindex));
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
            Op::GetAt(entry, field, index) => {
                let (offset, size) = self.scalar_at(entry, field, index);
                self.load(size, dst, Reg::R1, offset);
            }
            Op::Seed(word) => {
                self.asm.load_imm64(dst, self.maps.seed_words());
                self.load(Size::Dw, dst, dst, 8 * word as i16);
            }
            Op::Const(_) | Op::ConstBool(_) | Op::IntOfBool(_) | Op::Now => {
                unreachable!("the plan leaves them out")
            }
            Op::Lock(_)
            | Op::Unlock(..)
            | Op::Set(..)
            | Op::SetAt(..)
            | Op::WordGet(..)
            | Op::WordAdd(..)
            | Op::WordOr(..)
            | Op::WordCas(..)
            | Op::Emit(..) => unreachable!("done above"),
        }
        if self.plan.hides(op) && !matches!(slot, Slot::Far(_)) {
            self.something_unknown();
            self.make_unknown(made);
        }
        self.put(slot.into(), Spot::Reg(made));
    }
}

/// The constant as a sign-extended 32-bit immediate, if it is one.
fn immediate(value: u64) -> Option<i32> {
    i32::try_from(value.cast_signed()).ok()
}
