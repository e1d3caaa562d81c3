//! Words, events, and scalars that an index names.
//!
//! Behind a call only `r6` to `r9` and the frame hold values, so `r2` is free for the rest of the instruction.

use oko_bpf::helper::Helper;
use oko_bpf::isa::{AluOp, AtomicOp, Cond, Insn, Reg, Size, Width};
use oko_ir::{Event, Field, State, Value};

use super::{Emitter, Spot};
use crate::alloc::Slot;
use crate::maps;
use crate::plan::Place;

/// Bytes of an event's record before its values: its index, and the instant.
const EVENT_HEADER: i16 = 16;

/// Words.
impl Emitter<'_> {
    pub(super) fn word_get(&mut self, state: State, index: Value, result: Option<Slot>) {
        let Some(result) = result else { return };
        self.word(state, index, Some(result), |this| {
            this.load(Size::Dw, Reg::R0, Reg::R0, 0);
            this.put(result.into(), Spot::Reg(Reg::R0));
        });
    }

    pub(super) fn word_add(&mut self, state: State, index: Value, value: Value, result: Option<Slot>) {
        let from = self.at(value);
        self.word(state, index, result, |this| {
            this.put(Spot::Reg(Reg::R1), from);
            this.atomic(AtomicOp::Add { fetch: result.is_some() }, Reg::R0, Reg::R1);
            if let Some(result) = result {
                // What it was before, and what was added.
                this.put(Spot::Reg(Reg::R2), from);
                this.alu(AluOp::Add, Reg::R1, Reg::R2);
                this.put(result.into(), Spot::Reg(Reg::R1));
            }
        });
    }

    pub(super) fn word_or(&mut self, state: State, index: Value, value: Value, result: Option<Slot>) {
        let from = self.at(value);
        self.word(state, index, result, |this| {
            this.put(Spot::Reg(Reg::R1), from);
            this.atomic(AtomicOp::Or { fetch: result.is_some() }, Reg::R0, Reg::R1);
            if let Some(result) = result {
                this.put(result.into(), Spot::Reg(Reg::R1));
            }
        });
    }

    pub(super) fn word_cas(
        &mut self,
        state: State,
        index: Value,
        expected: Value,
        value: Value,
        result: Option<Slot>,
    ) {
        let (expected, value) = (self.at(expected), self.at(value));
        self.word(state, index, result, |this| {
            this.put(Spot::Reg(Reg::R1), value);
            this.put(Spot::Reg(Reg::R2), Spot::Reg(Reg::R0));
            this.put(Spot::Reg(Reg::R0), expected);
            this.atomic(AtomicOp::Cmpxchg, Reg::R2, Reg::R1);
            if let Some(result) = result {
                this.put(result.into(), Spot::Reg(Reg::R0));
            }
        });
    }

    fn atomic(&mut self, op: AtomicOp, base: Reg, src: Reg) {
        self.asm.push(Insn::Atomic { width: Width::W64, op, base, off: 0, src });
    }

    /// Looks a word up and does something with its address in `r0`. It is always there, which the verifiers need not know: the result is 0 if not. To Linux's, the
    /// filter ends then, so that there are no two ways on from here.
    fn word(&mut self, state: State, index: Value, result: Option<Slot>, body: impl FnOnce(&mut Self)) {
        let key_at = self.frame.key(&self.module.states[state.index()]);
        let from = self.at(index);
        self.put(Spot::Reg(Reg::R0), from);
        self.store(Size::W, Reg::R10, key_at, Reg::R0);
        self.find(self.maps.state(state), key_at);
        if self.plan.options.for_linux() {
            let end = self.giving_up();
            self.asm.branch(Cond::Eq, Reg::R0, 0.into(), end);
            return body(self);
        }
        let (there, done) = (self.asm.label(), self.asm.label());
        match result {
            Some(result) => {
                self.asm.branch(Cond::Ne, Reg::R0, 0.into(), there);
                self.put(result.into(), Spot::Const(0));
                self.asm.jump(done);
            }
            None => self.asm.branch(Cond::Eq, Reg::R0, 0.into(), done),
        }
        self.asm.bind(there);
        body(self);
        self.asm.bind(done);
    }
}

/// Scalars that an index names.
impl Emitter<'_> {
    /// Puts the address of a field's scalar into `r1`; gives the offset from there, and the size.
    pub(super) fn scalar_at(&mut self, entry: Value, field: Field, index: Value) -> (i16, Size) {
        let (offset, size) = self.field(entry, field);
        if let Place::Const(index) = self.plan.place(index) {
            let base = self.at(entry);
            self.put(Spot::Reg(Reg::R1), base);
            // Entries are of at most oko_ir::limits::MAX_ENTRY_SIZE bytes, and the index is below the count.
            return (offset + (index * u64::from(size.bytes())) as i16, size);
        }
        let from = self.at(index);
        self.put(Spot::Reg(Reg::R1), from);
        let count = self.count(entry, field);
        if self.bound(index).is_none_or(|bound| bound >= count.into()) {
            let below = self.asm.label();
            self.asm.branch(Cond::Lt, Reg::R1, (count as i32).into(), below);
            self.constant(Reg::R1, 0);
            self.asm.bind(below);
        }
        if size != Size::B {
            self.alu(AluOp::Lsh, Reg::R1, size.bytes().ilog2() as i32);
        }
        let base = self.reg(entry, Reg::R0);
        self.alu(AluOp::Add, Reg::R1, base);
        (offset, size)
    }

    pub(super) fn set_at(&mut self, entry: Value, field: Field, index: Value, value: Value) {
        let (offset, size) = self.scalar_at(entry, field, index);
        let value = self.operand(value, Reg::R0);
        self.store(size, Reg::R1, offset, value);
    }
}

/// Events.
impl Emitter<'_> {
    pub(super) fn emit_event(&mut self, event: Event, values: &[Value]) {
        let fields = &self.module.events[event.index()].fields;
        let size = i32::from(EVENT_HEADER) + 8 * fields.len() as i32;
        self.asm.load_imm64(Reg::R1, self.maps.events());
        self.constant(Reg::R2, size as u64);
        self.constant(Reg::R3, 0);
        self.call(Helper::RingbufReserve);
        let full = self.asm.label();
        self.asm.branch(Cond::Eq, Reg::R0, 0.into(), full);
        self.store(Size::Dw, Reg::R0, 0, event.index() as i32);
        let now = self.reg_of(self.plan.now(), Reg::R1);
        self.store(Size::Dw, Reg::R0, 8, now);
        for ((at, field), &value) in (0..).zip(fields).zip(values) {
            let offset = EVENT_HEADER + 8 * at;
            if field.width == oko_ir::Width::W64 {
                let value = self.operand(value, Reg::R1);
                self.store(Size::Dw, Reg::R0, offset, value);
                continue;
            }
            // Fields are whole words; the upper part is not the value's.
            self.store(Size::Dw, Reg::R0, offset, 0);
            let value = self.operand(value, Reg::R1);
            self.store(maps::size(field.width), Reg::R0, offset, value);
        }
        self.put(Spot::Reg(Reg::R1), Spot::Reg(Reg::R0));
        self.constant(Reg::R2, 0);
        self.call(Helper::RingbufSubmit);
        self.asm.bind(full);
    }
}
