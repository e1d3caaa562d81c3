//! Loads, stores and atomic operations: which bytes an access may touch.
//!
//! What holds here: an access that is let through stays, for all values that its pointer may have, inside of one object
//! that lives, that may be written if it is a store, and, on the stack, has been written if it is a load.

use super::{
    arithmetic,
    error::Reason,
    explore::Explorer,
    scalar::Scalar,
    stack::{FRAME, Unreadable},
    state::State,
    step::{Checked, assign, number, read},
    value::{Id, Pointer, Target, Value, bytes_left},
};
use crate::{
    isa::{AtomicOp, Reg, Size, Width},
    program::MapId,
    verified::{Note, Region},
    xdp::CtxField,
};

/// What an access does to its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
}

/// Where an access goes. Stack offsets: the access begins somewhere in `from..=to`.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    Stack { frame: usize, from: i64, to: i64 },
    Packet,
    MapValue(MapId),
    Record,
    Context(CtxField),
}

impl Explorer<'_> {
    /// Checks that `bytes` bytes at `reg + off` may be accessed.
    pub(crate) fn locate(
        &mut self,
        state: &State,
        reg: Reg,
        off: i16,
        bytes: u32,
        intent: Intent,
    ) -> Checked<Found> {
        let value = read(state, reg)?;
        let Value::Pointer(Pointer { target, off: range }) = value else {
            return Err(Reason::NotMemory { reg, found: value.to_string() });
        };
        let off = i64::from(off);
        let (from, to) = (range.wide.smin + off, range.wide.smax + off);
        let end = to + i64::from(bytes);
        let shown = || if from == to { from.to_string() } else { format!("{from}..={to}") };
        match target {
            Target::Context => {
                let field = if from == to && bytes == 4 { CtxField::at(from) } else { None };
                match (intent, field) {
                    (Intent::Write, _) => Err(Reason::ContextWrite),
                    (Intent::Read, Some(field)) => Ok(Found::Context(field)),
                    (Intent::Read, None) => Err(Reason::ContextField { off: shown(), bytes }),
                }
            }
            Target::Frame(frame) => {
                if from < -FRAME || end > 0 {
                    return Err(Reason::StackBounds { off: shown(), bytes });
                }
                let used = &mut self.stack_bytes[state.frames[frame].function];
                *used = (*used).max((-from) as u32).next_multiple_of(8);
                Ok(Found::Stack { frame, from, to })
            }
            Target::Packet { id, fixed } => {
                let left = bytes_left(state.proofs.get(id), fixed + off);
                if from < 0 || i64::from(bytes) > left {
                    return Err(Reason::PacketBounds { off: shown(), bytes, proven: left.max(0) });
                }
                if intent == Intent::Write { Err(Reason::PacketWrite) } else { Ok(Found::Packet) }
            }
            Target::MapValue { map, .. } => {
                let def = self.map(map);
                let name = || def.name.clone();
                if from < 0 || end > i64::from(def.value_size) {
                    let size = def.value_size;
                    return Err(Reason::MapValueBounds { map: name(), off: shown(), bytes, size });
                }
                if let Some(lock) = def.lock_offset.map(i64::from)
                    && from < lock + 4
                    && lock < end
                {
                    return Err(Reason::LockBytes { map: name(), off: shown(), bytes });
                }
                if intent == Intent::Write && def.data.as_ref().is_some_and(|data| data.readonly) {
                    return Err(Reason::ReadOnlyData { map: name() });
                }
                Ok(Found::MapValue(map))
            }
            Target::Record { map, id, size } => {
                // When a record is handed over, its names are forgotten: this is for one that was overlooked.
                if !state.records.contains(&id) {
                    return Err(Reason::RecordGone);
                }
                if from < 0 || end > i64::from(size) {
                    let map = self.map_name(map);
                    return Err(Reason::RecordBounds { map, off: shown(), bytes, size });
                }
                Ok(Found::Record)
            }
            Target::MapValueOrNull { map, .. } => Err(Reason::MaybeNull { reg, map: self.map_name(map) }),
            Target::RecordOrNull { map, .. } => Err(Reason::RecordMaybeNull { reg, map: self.map_name(map) }),
            Target::PacketEnd | Target::Map(_) => Err(Reason::NotMemory { reg, found: value.to_string() }),
        }
    }

    fn note_access(&mut self, state: &State, pc: usize, found: Found) -> Checked {
        let region = match found {
            Found::Stack { frame, from, to } if frame == state.depth() && from == to => {
                Region::Frame { off: from as i32 }
            }
            Found::Stack { .. } => Region::Stack,
            Found::Packet => Region::Packet,
            Found::MapValue(map) => Region::MapValue(map),
            Found::Record => Region::Record,
            Found::Context(field) => return self.note(pc, Note::CtxLoad(field)),
        };
        self.note(pc, Note::Access(region))
    }

    pub(crate) fn load(
        &mut self,
        state: &State,
        pc: usize,
        size: Size,
        signed: bool,
        base: Reg,
        off: i16,
    ) -> Checked<Value> {
        let found = self.locate(state, base, off, size.bytes(), Intent::Read)?;
        self.note_access(state, pc, found)?;
        match found {
            Found::Packet | Found::MapValue(_) | Found::Record => {
                Ok(self.number(Scalar::of_size(size, signed)))
            }
            Found::Context(_) if signed => {
                Err(Reason::ContextField { off: "(sign-extended)".to_owned(), bytes: 4 })
            }
            Found::Context(field) => Ok(self.context_field(field)),
            Found::Stack { frame, from, to } => {
                self.aligned(state, base, off, size)?;
                let stack = &state.frames[frame].stack;
                if from != to {
                    let end = to + i64::from(size.bytes());
                    stack.check(from, end).map_err(|(off, why)| unreadable(off, why))?;
                    return Ok(self.number(Scalar::of_size(size, signed)));
                }
                let value = stack.load(from, size).map_err(|why| unreadable(from, why))?;
                Ok(self.loaded(value, size, signed))
            }
        }
    }

    fn context_field(&mut self, field: CtxField) -> Value {
        match field {
            // Metadata before the packet does not exist here, so both point to the packet's start.
            CtxField::Data | CtxField::DataMeta => Value::pointer(Target::Packet { id: Id::NONE, fixed: 0 }),
            CtxField::DataEnd => Value::pointer(Target::PacketEnd),
            CtxField::IngressIfindex | CtxField::RxQueueIndex => self.number(Scalar::of_size(Size::W, false)),
        }
    }

    /// A value from the stack as a load of this size gives it.
    fn loaded(&mut self, value: Value, size: Size, signed: bool) -> Value {
        use crate::isa::ExtBits;
        let Value::Scalar { range, id } = value else { return value };
        let from = match size {
            Size::B => ExtBits::B8,
            Size::H => ExtBits::B16,
            Size::W => ExtBits::B32,
            Size::Dw => return self.named(range, id),
        };
        if signed {
            let range = arithmetic::mov_sx(Width::W64, from, &range);
            return self.number(range);
        }
        self.named(range, id)
    }

    fn named(&mut self, range: Scalar, id: Id) -> Value {
        if id == Id::NONE { self.number(range) } else { Value::Scalar { range, id } }
    }

    pub(crate) fn store(
        &mut self,
        state: &mut State,
        pc: usize,
        size: Size,
        base: Reg,
        off: i16,
        value: Value,
    ) -> Checked {
        let found = self.locate(state, base, off, size.bytes(), Intent::Write)?;
        self.note_access(state, pc, found)?;
        let Found::Stack { frame, from, to } = found else {
            return if value.is_pointer() {
                Err(Reason::PointerLeak { found: value.to_string() })
            } else {
                Ok(())
            };
        };
        self.aligned(state, base, off, size)?;
        if let Value::Pointer(Pointer { target: Target::Frame(pointee), .. }) = value
            && pointee > frame
        {
            return Err(Reason::DanglingStackPointer);
        }
        if value.is_pointer() && (size != Size::Dw || from != to) {
            return Err(Reason::PartOfPointer { off: from });
        }
        let end = to + i64::from(size.bytes());
        let stack = &mut state.frames[frame].stack;
        if from == to {
            stack.store(from, size, value);
        } else if stack.has_pointer(from, end) {
            return Err(Reason::PartOfPointer { off: from });
        } else {
            stack.forget(from, end);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub(crate) fn atomic(
        &mut self,
        state: &mut State,
        pc: usize,
        width: Width,
        op: AtomicOp,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Checked {
        let size = match width {
            Width::W32 => Size::W,
            Width::W64 => Size::Dw,
        };
        let bytes = size.bytes();
        number(state, src, "an atomic operation")?;
        if op == AtomicOp::Cmpxchg {
            number(state, Reg::R0, "an atomic operation")?;
        }
        let found = self.locate(state, base, off, bytes, Intent::Write)?;
        self.note_access(state, pc, found)?;
        if !self.is_aligned(state, base, off, bytes) {
            return Err(Reason::AtomicAlignment { off: off.to_string(), bytes });
        }
        let mut old = Scalar::of_size(size, false);
        if let Found::Stack { frame, from, to } = found {
            let end = to + i64::from(bytes);
            let stack = &mut state.frames[frame].stack;
            stack.check(from, end).map_err(|(off, why)| unreadable(off, why))?;
            if let (true, Ok(Value::Scalar { range, .. })) = (from == to, stack.load(from, size)) {
                old = range;
            }
            stack.forget(from, end);
        }
        let fetched = match op {
            AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true }
            | AtomicOp::Xchg => src,
            AtomicOp::Cmpxchg => Reg::R0,
            _ => return Ok(()),
        };
        let value = self.number(old);
        assign(state, fetched, value)
    }

    fn is_aligned(&self, state: &State, base: Reg, off: i16, bytes: u32) -> bool {
        let Value::Pointer(pointer) = state.get(base) else { return false };
        let off = Scalar::constant(i64::from(off).cast_unsigned());
        let address = arithmetic::alu(Width::W64, crate::isa::AluOp::Add, &pointer.off, &off);
        arithmetic::is_aligned(&address, bytes)
    }

    /// Accesses to the stack are aligned, so that each is inside of one slot.
    fn aligned(&self, state: &State, base: Reg, off: i16, size: Size) -> Checked {
        if self.is_aligned(state, base, off, size.bytes()) {
            return Ok(());
        }
        let at = match state.get(base) {
            Value::Pointer(pointer) => format!("{} + {off}", pointer.off),
            _ => off.to_string(),
        };
        Err(Reason::StackAlignment { off: at, bytes: size.bytes() })
    }
}

pub(crate) fn unreadable(off: i64, why: Unreadable) -> Reason {
    match why {
        Unreadable::NotWritten => Reason::StackUnwritten { off },
        Unreadable::PartOfPointer => Reason::PartOfPointer { off },
    }
}
