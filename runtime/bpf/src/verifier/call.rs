//! Calls of helpers and of the program's own functions, returns, and the spin lock.

use super::{
    access::{Found, Intent, unreadable},
    error::Reason,
    explore::{Explorer, Next},
    scalar::Scalar,
    state::{Frame, Held, State},
    step::{Checked, read},
    value::{Pointer, Target, Value},
};
use crate::{
    helper::{self, Arg, Helper, Return},
    isa::{Reg, Size},
    program::{MapId, MapKind},
    verified::Note,
};

/// Bytes of a record of a ring buffer, at most.
const MAX_RECORD: u64 = 1 << 30;
/// Bytes of memory that a helper is given, at most.
const MAX_MEMORY: u64 = 1 << 29;

const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

impl Explorer<'_> {
    pub(crate) fn call_helper(&mut self, state: &mut State, pc: usize, number: u32) -> Checked {
        let Some(helper) = Helper::from_number(number) else {
            let name = helper::linux_name(number).unwrap_or("not a helper that is known");
            return Err(Reason::UnknownHelper { number, name });
        };
        if state.held.is_some() && helper != Helper::SpinUnlock {
            return Err(Reason::LockHeld { what: "a helper is called" });
        }
        let signature = helper.signature();
        let mut map = None;
        let mut record_size = 0;
        for (index, (&arg, reg)) in signature.args.iter().zip(ARGUMENTS).enumerate() {
            let value = read(state, reg)?;
            let wrong = |expected| Reason::Argument {
                helper: helper.name(),
                reg,
                expected,
                found: value.to_string(),
            };
            match (arg, value) {
                (
                    Arg::Map | Arg::Bloom | Arg::Ring | Arg::Sketch,
                    Value::Pointer(Pointer { target: Target::Map(found), .. }),
                ) => {
                    self.map_kind(helper, arg, found)?;
                    map = Some(found);
                }
                (Arg::Map | Arg::Bloom | Arg::Ring | Arg::Sketch, _) => return Err(wrong("a map")),
                (Arg::Key | Arg::Value, Value::Pointer(_)) => {
                    let bytes = map.map_or(0, |map| match arg {
                        Arg::Key => self.map(map).key_size,
                        _ => self.map(map).value_size,
                    });
                    self.readable(state, reg, bytes)?;
                }
                (Arg::Key, _) => return Err(wrong("a pointer to a key")),
                (Arg::Value, _) => return Err(wrong("a pointer to a value")),
                (Arg::Memory | Arg::Buffer, Value::Pointer(_)) => {
                    let size = self.size(state, helper, ARGUMENTS[index + 1])?;
                    match arg {
                        Arg::Memory => self.readable(state, reg, size.wide.umax as u32)?,
                        _ => self.filled(state, reg, size)?,
                    }
                }
                (Arg::Memory | Arg::Buffer, _) => return Err(wrong("a pointer to memory")),
                (Arg::Size | Arg::Scalar, Value::Scalar { .. }) => {}
                (Arg::Size | Arg::Scalar, _) => return Err(wrong("a number")),
                (Arg::RecordSize, Value::Scalar { range, .. }) => {
                    let size = range.as_constant().filter(|size| (1..=MAX_RECORD).contains(size));
                    record_size = size.ok_or_else(|| wrong("a constant from 1 to 2^30"))? as u32;
                }
                (Arg::RecordSize, _) => return Err(wrong("a constant from 1 to 2^30")),
                (Arg::Lock, Value::Pointer(pointer)) => self.lock(state, helper, reg, pointer)?,
                (Arg::Lock, _) => return Err(wrong("a pointer to a spin lock")),
                (Arg::Record, Value::Pointer(Pointer { target: Target::Record { id, .. }, off }))
                    if off.as_constant() == Some(0) =>
                {
                    if !state.release(id) {
                        return Err(Reason::RecordGone);
                    }
                }
                (Arg::Record, Value::Pointer(Pointer { target: Target::RecordOrNull { map, .. }, .. })) => {
                    return Err(Reason::RecordMaybeNull { reg, map: self.map_name(map) });
                }
                (Arg::Record, _) => return Err(wrong("a pointer to the start of a record")),
                (Arg::Context, Value::Pointer(Pointer { target: Target::Context, off }))
                    if off.as_constant() == Some(0) => {}
                (Arg::Context, _) => return Err(wrong("the pointer to the context")),
            }
        }
        if let (Helper::MapUpdateElem | Helper::OriginalMapUpdate | Helper::MapDeleteElem, Some(map)) =
            (helper, map)
            && self.map(map).data.as_ref().is_some_and(|data| data.readonly)
        {
            return Err(Reason::ReadOnlyMap { map: self.map_name(map) });
        }
        self.note(pc, Note::Helper { helper, map })?;
        self.clobber(state);
        let result = match (signature.ret, map) {
            (Return::Scalar, _) => self.number(Scalar::UNKNOWN),
            (Return::Scalar32, _) => self.number(Scalar::of_size(Size::W, false)),
            (Return::ValueOrNull, Some(map)) => {
                Value::pointer(Target::MapValueOrNull { map, lookup: self.mint() })
            }
            (Return::RecordOrNull, Some(map)) => {
                let id = self.mint();
                state.records.push(id);
                Value::pointer(Target::RecordOrNull { map, id, size: record_size })
            }
            (Return::ValueOrNull | Return::RecordOrNull, None) | (Return::Nothing, _) => Value::Unwritten,
        };
        state.set(Reg::R0, result);
        Ok(())
    }

    fn map_kind(&self, helper: Helper, arg: Arg, map: MapId) -> Checked {
        let kind = self.map(map).kind;
        let fits = match arg {
            Arg::Bloom => kind == MapKind::BloomFilter,
            Arg::Ring => kind == MapKind::RingBuf,
            Arg::Sketch => kind.is_sketch(),
            _ if helper == Helper::MapLookupElem => kind.has_keys(),
            _ => kind.has_entries(),
        };
        if fits {
            return Ok(());
        }
        Err(Reason::MapKind { helper: helper.name(), map: self.map_name(map), kind })
    }

    /// The size of the memory that another argument points to.
    fn size(&self, state: &State, helper: Helper, reg: Reg) -> Checked<Scalar> {
        let value = read(state, reg)?;
        match value {
            Value::Scalar { range, .. } if range.wide.umax <= MAX_MEMORY => Ok(range),
            _ => Err(Reason::Argument {
                helper: helper.name(),
                reg,
                expected: "a number that is known to be at most 2^29",
                found: value.to_string(),
            }),
        }
    }

    /// A call loses `r0` to `r5`.
    fn clobber(&self, state: &mut State) {
        state.frame_mut().regs[..6].fill(Value::Unwritten);
    }

    /// Checks that a helper may read `bytes` bytes at `reg`.
    fn readable(&mut self, state: &State, reg: Reg, bytes: u32) -> Checked {
        match self.locate(state, reg, 0, bytes, Intent::Read)? {
            Found::Packet | Found::MapValue(_) | Found::Record => Ok(()),
            Found::Context(_) => Err(Reason::NotMemory { reg, found: "a pointer to the context".to_owned() }),
            Found::Stack { frame, from, to } => state.frames[frame]
                .stack
                .check(from, to + i64::from(bytes))
                .map_err(|(off, why)| unreadable(off, why)),
        }
    }

    /// Checks that a helper may write `size` bytes at `reg`, and takes note that it does.
    fn filled(&mut self, state: &mut State, reg: Reg, size: Scalar) -> Checked {
        let bytes = size.wide.umax as u32;
        let Found::Stack { frame, from, to } = self.locate(state, reg, 0, bytes, Intent::Write)? else {
            return Ok(());
        };
        let (stack, end) = (&mut state.frames[frame].stack, to + i64::from(bytes));
        if from == to && size.as_constant().is_some() {
            stack.fill(from, end);
            return Ok(());
        }
        // Some of these bytes are written, and nobody knows which: so all have to be there before.
        stack.check(from, end).map_err(|(off, why)| unreadable(off, why))?;
        stack.forget(from, end);
        Ok(())
    }

    fn lock(&mut self, state: &mut State, helper: Helper, reg: Reg, pointer: Pointer) -> Checked {
        let wrong = |expected| Reason::Argument {
            helper: helper.name(),
            reg,
            expected,
            found: Value::Pointer(pointer).to_string(),
        };
        let (map, lookup) = match pointer.target {
            Target::MapValue { map, lookup } => (map, lookup),
            Target::MapValueOrNull { map, .. } => {
                return Err(Reason::MaybeNull { reg, map: self.map_name(map) });
            }
            _ => return Err(wrong("a pointer to the spin lock of a map value")),
        };
        let Some(lock) = self.map(map).lock_offset else {
            return Err(Reason::NoLock { map: self.map_name(map) });
        };
        if pointer.off.as_constant() != Some(u64::from(lock)) {
            return Err(wrong("a pointer to the spin lock of a map value"));
        }
        let held = Held { map, lookup };
        match (helper, state.held) {
            (Helper::SpinLock, _) => state.held = Some(held),
            (_, None) => return Err(Reason::LockNotHeld),
            (_, Some(other)) if other != held => return Err(Reason::OtherLock),
            (_, Some(_)) => state.held = None,
        }
        Ok(())
    }

    pub(crate) fn call_local(&mut self, state: &mut State, pc: usize, target: usize) -> Checked {
        if state.held.is_some() {
            return Err(Reason::LockHeld { what: "a function is called" });
        }
        let function = self.graph.function_at(target).ok_or(Reason::JumpBetweenFunctions { target })?;
        self.note(pc, Note::LocalCall(function))?;
        let mut frame = Frame::new(function, pc, state.steps);
        frame.regs[1..6].copy_from_slice(&state.frame().regs[1..6]);
        self.clobber(state);
        state.frames.push(frame);
        state.pc = target;
        Ok(())
    }

    pub(crate) fn exit(&mut self, state: &mut State) -> Checked<Next> {
        if state.held.is_some() {
            return Err(Reason::LockHeld { what: "the function returns" });
        }
        let result = read(state, Reg::R0);
        let frame = state.frame();
        let longest = &mut self.longest[frame.function];
        *longest = (*longest).max(state.steps - frame.entered);
        if state.depth() == 0 {
            if !state.records.is_empty() {
                return Err(Reason::RecordKept);
            }
            return match result? {
                Value::Scalar { .. } => Ok(Next::Done),
                value => Err(Reason::PointerReturned { found: value.to_string() }),
            };
        }
        let site = state.frame().call_site;
        state.frames.pop();
        // A function without a result leaves nothing to read in r0, even if the address of its frame happens to be there.
        let result = match result {
            Ok(Value::Pointer(Pointer { target: Target::Frame(_), .. })) | Err(_) => Value::Unwritten,
            Ok(value) => value,
        };
        state.set(Reg::R0, result);
        state.pc = site + 1;
        Ok(Next::Go)
    }
}
