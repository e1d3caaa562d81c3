//! The checking interpreter: what the IR means, written down as plainly as possible.
//!
//! It is the oracle of the back ends, so it shares nothing with them: values are an enum, entries live
//! in the [`Store`]'s ordinary maps, and everything that the verifier promises is checked again on every access. A
//! [`Bug`] therefore means that the verifier, a pass or this file is wrong, never that a packet or filter is.

mod store;
mod tables;

pub use store::{EVENT_ROOM, EntryDump, EventRecord, ParamError, StateDump, Store};
pub use tables::{TableError, TableKey, check_fields};

use std::rc::Rc;

use crate::entities::{Block, Field, Param, State, Value};
use crate::limits::MAX_STEPS;
use crate::module::{
    BlockCall, Filter, FilterResult, Module, Op, StateKind, TerminatorKind, Type, Unlock, Width,
};
use crate::verify::Checked;
use store::EntryId;

/// What a filter is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The bytes that are there.
    pub bytes: &'a [u8],
    /// The length on the wire: more than `bytes` has if the capture cut it.
    pub wire_len: u32,
    /// The port it came in by.
    pub in_port: u32,
}

impl<'a> Packet<'a> {
    /// A packet that is there as a whole.
    ///
    /// # Panics
    ///
    /// If it is longer than 2^32 - 1 bytes.
    pub fn whole(bytes: &'a [u8], in_port: u32) -> Packet<'a> {
        let wire_len = u32::try_from(bytes.len()).expect("packets are shorter than 4 GiB");
        Packet { bytes, wire_len, in_port }
    }
}

/// What a filter answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The class; for a bool, 1 is true.
    pub class: u32,
    /// How many instructions and terminators were executed.
    pub steps: u64,
    /// How many of them were executed at a stretch while an entry was locked, at most: those behind its `lock`, up to the `unlock`.
    pub locked: u64,
}

/// Why a filter gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// There is no such filter.
    #[error("no filter {index}, the module has {count}")]
    NoSuchFilter {
        /// The index asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The store was made for a module with other states or params.
    #[error("the store belongs to another module")]
    ForeignStore,
    /// The instant 0 is before time began.
    #[error("`now` must not be 0")]
    ZeroNow,
    /// A packet on the wire is not shorter than what was captured of it.
    #[error("expected a wire length of at least {captured}, found {wire_len}")]
    WireLength {
        /// How many bytes are there.
        captured: usize,
        /// What the length is said to be.
        wire_len: u32,
    },
    /// Something that a verified module cannot do.
    #[error("internal error in {block}: {bug}")]
    Internal {
        /// The block that was being executed.
        block: Block,
        /// What it did.
        bug: Bug,
    },
}

/// What no verified module does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Bug {
    #[error("{value} has no value yet")]
    Undefined { value: Value },
    #[error("{value} is not of the type that is needed here")]
    WrongType { value: Value },
    #[error("a load at {offset} of {value} leaves the window or the packet")]
    LoadOutside { value: Value, offset: u32 },
    #[error("there is no {what} {index}")]
    NoSuch { what: &'static str, index: u32 },
    #[error("{value} is not locked")]
    NotLocked { value: Value },
    #[error("{value} would be the second locked entry, or something else happens while one is locked")]
    Locked { value: Value },
    #[error("an entry is left locked at the end of a lookup, window or filter")]
    LeftLocked,
    #[error("the entry of {value} is gone")]
    EntryGone { value: Value },
    #[error("{block} gets {found} values, it takes {expected}")]
    WrongArgCount { block: Block, expected: usize, found: usize },
    #[error("{field} has {count} scalars, not one of index {index}")]
    IndexOutside { field: Field, index: u64, count: u32 },
    #[error("{state} has no word {index}")]
    NoWord { state: State, index: u64 },
    #[error("the class {class} is not below {count}")]
    ClassOutOfRange { class: u64, count: u32 },
    #[error("the filter runs in circles")]
    TooManySteps,
}

/// Runs a filter, given by its index in the module, on one packet at the instant `now` (nanoseconds, not 0).
///
/// # Errors
///
/// Input that is not acceptable, before anything has changed; or a [`Bug`].
pub fn run(
    checked: &Checked,
    filter: usize,
    store: &mut Store,
    packet: Packet<'_>,
    now: u64,
) -> Result<Outcome, RunError> {
    run_observed(checked, filter, store, packet, now, &mut |_, _| {})
}

/// The values at the end of a block, for whoever looks on.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a>(&'a [Option<Scalar>]);

impl Values<'_> {
    /// The int or bool (0 or 1) that a value has, if it has been computed.
    pub fn get(&self, value: Value) -> Option<u64> {
        match self.0.get(value.index())?.as_ref()? {
            Scalar::Int(int) => Some(*int),
            Scalar::Bool(bool) => Some((*bool).into()),
            Scalar::Window { .. } | Scalar::Entry(_) => None,
        }
    }
}

/// The same as [`run`], and calls `observe` at the end of every block that is executed.
///
/// # Errors
///
/// As [`run`].
pub fn run_observed(
    checked: &Checked,
    filter: usize,
    store: &mut Store,
    packet: Packet<'_>,
    now: u64,
    observe: &mut dyn FnMut(Block, Values<'_>),
) -> Result<Outcome, RunError> {
    let module = checked.module();
    let count = module.filters.len();
    let filter = module.filters.get(filter).ok_or(RunError::NoSuchFilter { index: filter, count })?;
    if !store.is_for(module) {
        return Err(RunError::ForeignStore);
    }
    if now == 0 {
        return Err(RunError::ZeroNow);
    }
    if (packet.wire_len as usize) < packet.bytes.len() {
        return Err(RunError::WireLength { captured: packet.bytes.len(), wire_len: packet.wire_len });
    }
    let values = vec![None; filter.values.len()];
    let mut machine = Machine {
        module,
        filter,
        store,
        packet,
        now,
        values,
        locked: None,
        since: 0,
        longest: 0,
        block: Block(0),
        steps: 0,
    };
    machine.run(observe).map_err(|bug| RunError::Internal { block: machine.block, bug })
}

/// What a value is at run time.
#[derive(Clone, Debug)]
enum Scalar {
    Int(u64),
    Bool(bool),
    Window { start: usize, len: usize },
    Entry(Rc<EntryId>),
}

struct Machine<'a> {
    module: &'a Module,
    filter: &'a Filter,
    store: &'a mut Store,
    packet: Packet<'a>,
    now: u64,
    values: Vec<Option<Scalar>>,
    /// The locked entry, by the value that was locked.
    locked: Option<Value>,
    /// The steps up to its `lock`.
    since: u64,
    /// The most steps that an entry was locked for.
    longest: u64,
    block: Block,
    steps: u64,
}

impl Machine<'_> {
    fn run(&mut self, observe: &mut dyn FnMut(Block, Values<'_>)) -> Result<Outcome, Bug> {
        loop {
            let filter = self.filter;
            let missing = Bug::NoSuch { what: "block", index: self.block.0 };
            let data = filter.blocks.get(self.block.index()).ok_or(missing)?;
            for inst in &data.insts {
                self.steps += 1;
                let result = self.execute(&inst.op)?;
                if let (Some(value), Some(result)) = (inst.result, result) {
                    self.define(value, result)?;
                }
            }
            observe(self.block, Values(&self.values));
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(Bug::TooManySteps);
            }
            if let Some(class) = self.leave(&data.term.kind)? {
                return Ok(Outcome { class, steps: self.steps, locked: self.longest });
            }
        }
    }

    /// Gives a value what it stands for, which must be of its type.
    fn define(&mut self, value: Value, scalar: Scalar) -> Result<(), Bug> {
        let fits = match (self.filter.type_of(value), &scalar) {
            (Some(Type::Int), Scalar::Int(_)) | (Some(Type::Bool), Scalar::Bool(_)) => true,
            (Some(Type::Window(size)), Scalar::Window { len, .. }) => size as usize == *len,
            (Some(Type::Entry(state)), Scalar::Entry(entry)) => entry.state == state,
            _ => false,
        };
        let slot = self.values.get_mut(value.index()).filter(|_| fits);
        *slot.ok_or(Bug::WrongType { value })? = Some(scalar);
        Ok(())
    }

    fn value(&self, value: Value) -> Result<&Scalar, Bug> {
        self.values.get(value.index()).and_then(Option::as_ref).ok_or(Bug::Undefined { value })
    }

    fn int(&self, value: Value) -> Result<u64, Bug> {
        match self.value(value)? {
            Scalar::Int(int) => Ok(*int),
            _ => Err(Bug::WrongType { value }),
        }
    }

    fn bool(&self, value: Value) -> Result<bool, Bug> {
        match self.value(value)? {
            Scalar::Bool(bool) => Ok(*bool),
            _ => Err(Bug::WrongType { value }),
        }
    }

    fn entry(&self, value: Value) -> Result<Rc<EntryId>, Bug> {
        match self.value(value)? {
            Scalar::Entry(entry) => Ok(Rc::clone(entry)),
            _ => Err(Bug::WrongType { value }),
        }
    }

    /// The entry of a value that is locked.
    fn locked_entry(&self, value: Value) -> Result<Rc<EntryId>, Bug> {
        if self.locked == Some(value) { self.entry(value) } else { Err(Bug::NotLocked { value }) }
    }

    fn execute(&mut self, op: &Op) -> Result<Option<Scalar>, Bug> {
        let result = match *op {
            Op::Const(int) => Scalar::Int(int),
            Op::ConstBool(bool) => Scalar::Bool(bool),
            Op::Binary(op, a, b) => Scalar::Int(op.eval(self.int(a)?, self.int(b)?)),
            Op::Compare(op, a, b) => Scalar::Bool(op.eval(self.int(a)?, self.int(b)?)),
            Op::Bool(op, a, b) => Scalar::Bool(op.eval(self.bool(a)?, self.bool(b)?)),
            Op::Not(a) => Scalar::Bool(!self.bool(a)?),
            Op::Select(c, a, b) => self.value(if self.bool(c)? { a } else { b })?.clone(),
            Op::IntOfBool(a) => Scalar::Int(self.bool(a)?.into()),
            Op::Load(width, window, offset) => Scalar::Int(self.load(width, window, offset)?),
            Op::PacketLen => Scalar::Int(self.packet.wire_len.into()),
            Op::InPort => Scalar::Int(self.packet.in_port.into()),
            Op::Now => Scalar::Int(self.now),
            Op::Seed(word) => Scalar::Int(self.store.seed(word)),
            Op::Param(param) => Scalar::Int(self.param(param)?),
            Op::Lock(value) => {
                if self.locked.is_some() {
                    return Err(Bug::Locked { value });
                }
                let entry = self.entry(value)?;
                let live = self.store.lock(&entry, self.now).ok_or(Bug::EntryGone { value })?;
                self.locked = Some(value);
                self.since = self.steps;
                Scalar::Bool(live)
            }
            Op::Get(value, field) => Scalar::Int(self.get(value, field, None)?),
            Op::GetAt(value, field, index) => Scalar::Int(self.get(value, field, Some(self.int(index)?))?),
            Op::Set(value, field, to) => {
                self.set(value, field, None, self.int(to)?)?;
                return Ok(None);
            }
            Op::SetAt(value, field, index, to) => {
                self.set(value, field, Some(self.int(index)?), self.int(to)?)?;
                return Ok(None);
            }
            Op::WordGet(state, index) => Scalar::Int(*self.word(state, index)?),
            Op::WordAdd(state, index, by) => {
                let by = self.int(by)?;
                let word = self.word(state, index)?;
                *word = word.wrapping_add(by);
                Scalar::Int(*word)
            }
            Op::WordOr(state, index, bits) => {
                let bits = self.int(bits)?;
                let word = self.word(state, index)?;
                Scalar::Int(std::mem::replace(word, *word | bits))
            }
            Op::WordCas(state, index, expected, new) => {
                let (expected, new) = (self.int(expected)?, self.int(new)?);
                let word = self.word(state, index)?;
                let before = *word;
                if before == expected {
                    *word = new;
                }
                Scalar::Int(before)
            }
            Op::Emit(event, ref values) => {
                if self.locked.is_some() {
                    return Err(Bug::LeftLocked);
                }
                let decl = self.module.events.get(event.index());
                let decl = decl.filter(|decl| decl.fields.len() == values.len());
                let decl = decl.ok_or(Bug::NoSuch { what: "event with such fields", index: event.0 })?;
                let cut = decl.fields.iter().zip(values);
                let values = cut
                    .map(|(field, value)| Ok(self.int(*value)? & field.width.max()))
                    .collect::<Result<_, _>>()?;
                self.store.emit(EventRecord { event, time: self.now, values });
                return Ok(None);
            }
            Op::Unlock(value, how) => {
                let entry = self.locked_entry(value)?;
                let expires = match how {
                    Unlock::Keep => None,
                    Unlock::Touch(time) => Some((self.int(time)?, Some(self.now))),
                    Unlock::Clear => Some((0, None)),
                };
                self.store.unlock(&entry, expires).ok_or(Bug::EntryGone { value })?;
                self.locked = None;
                self.longest = self.longest.max(self.steps - self.since);
                return Ok(None);
            }
        };
        Ok(Some(result))
    }

    /// Which scalar of an entry is meant, and the greatest value that it takes.
    fn scalar(&self, state: State, field: Field, index: Option<u64>) -> Result<(usize, u64), Bug> {
        let missing = || Bug::NoSuch { what: "field", index: field.0 };
        let decl = self.module.states.get(state.index()).ok_or_else(missing)?;
        let this = decl.fields.get(field.index()).ok_or_else(missing)?;
        let inside = match index {
            Some(index) => u32::try_from(index).ok().filter(|index| *index < this.count),
            None => (this.count == 1).then_some(0),
        };
        let inside =
            inside.ok_or(Bug::IndexOutside { field, index: index.unwrap_or(0), count: this.count })?;
        Ok((decl.field_starts()[field.index()] + inside as usize, this.width.max()))
    }

    fn get(&mut self, value: Value, field: Field, index: Option<u64>) -> Result<u64, Bug> {
        let entry = self.entry(value)?;
        let decl = self.module.states.get(entry.state.index());
        if !decl.is_some_and(|decl| matches!(decl.kind, StateKind::Table(_))) {
            self.locked_entry(value)?;
        }
        let (at, _) = self.scalar(entry.state, field, index)?;
        let fields = self.store.fields(&entry).ok_or(Bug::EntryGone { value })?;
        fields.get(at).copied().ok_or(Bug::NoSuch { what: "field", index: field.0 })
    }

    fn set(&mut self, value: Value, field: Field, index: Option<u64>, to: u64) -> Result<(), Bug> {
        let entry = self.locked_entry(value)?;
        let (at, max) = self.scalar(entry.state, field, index)?;
        let fields = self.store.fields(&entry).ok_or(Bug::EntryGone { value })?;
        *fields.get_mut(at).ok_or(Bug::NoSuch { what: "field", index: field.0 })? = to & max;
        Ok(())
    }

    fn word(&mut self, state: State, index: Value) -> Result<&mut u64, Bug> {
        let index = self.int(index)?;
        self.store.word(state, index).ok_or(Bug::NoWord { state, index })
    }

    fn load(&self, width: Width, window: Value, offset: u32) -> Result<u64, Bug> {
        let Scalar::Window { start, len } = *self.value(window)? else {
            return Err(Bug::WrongType { value: window });
        };
        let (offset_in, bytes) = (offset as usize, width.bytes() as usize);
        let shown = self.packet.bytes.get(start..).and_then(|rest| rest.get(..len));
        let loaded = shown.and_then(|shown| shown.get(offset_in..)?.get(..bytes));
        let loaded = loaded.ok_or(Bug::LoadOutside { value: window, offset })?;
        Ok(loaded.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn param(&self, param: Param) -> Result<u64, Bug> {
        self.store.param(param).ok_or(Bug::NoSuch { what: "param", index: param.0 })
    }

    /// Executes a terminator. Gives the class if it was the last.
    fn leave(&mut self, kind: &TerminatorKind) -> Result<Option<u32>, Bug> {
        let must_be_unlocked = !matches!(
            kind,
            TerminatorKind::Jump(_) | TerminatorKind::Branch { .. } | TerminatorKind::Repeat { .. }
        );
        if must_be_unlocked && self.locked.is_some() {
            return Err(Bug::LeftLocked);
        }
        match kind {
            TerminatorKind::Jump(call) => self.go(call, None)?,
            TerminatorKind::Branch { cond, then, other } => {
                let call = if self.bool(*cond)? { then } else { other };
                self.go(call, None)?;
            }
            TerminatorKind::Window { offset, len, ok, short } => {
                let (offset, len) = (self.int(*offset)?, *len as usize);
                let window = usize::try_from(offset)
                    .ok()
                    .filter(|start| start.checked_add(len).is_some_and(|end| end <= self.packet.bytes.len()));
                match window {
                    Some(start) => self.go(ok, Some(Scalar::Window { start, len }))?,
                    None => self.go(short, None)?,
                }
            }
            TerminatorKind::Find { state, key, found, absent: missing }
            | TerminatorKind::Slot { state, key, found, full: missing } => {
                let key = self.key(*state, key)?;
                let make = matches!(kind, TerminatorKind::Slot { .. });
                match self.store.look_up(*state, key, make, self.now) {
                    Some(entry) => self.go(found, Some(Scalar::Entry(Rc::new(entry))))?,
                    None => self.go(missing, None)?,
                }
            }
            TerminatorKind::Repeat { counter, count, body, done } => {
                let call = if self.int(*counter)? < u64::from(*count) { body } else { done };
                self.go(call, None)?;
            }
            TerminatorKind::Return(value) => return self.class(*value).map(Some),
        }
        Ok(None)
    }

    /// The key as it is kept: each part cut to its width.
    fn key(&self, state: State, key: &[Value]) -> Result<Vec<u64>, Bug> {
        let decl = self.module.states.get(state.index());
        let decl = decl.filter(|decl| decl.key.len() == key.len());
        let decl = decl.ok_or(Bug::NoSuch { what: "state with such keys", index: state.0 })?;
        decl.key.iter().zip(key).map(|(part, value)| Ok(self.int(*value)? & part.width.max())).collect()
    }

    fn go(&mut self, call: &BlockCall, token: Option<Scalar>) -> Result<(), Bug> {
        let missing = Bug::NoSuch { what: "block", index: call.block.0 };
        let params = &self.filter.blocks.get(call.block.index()).ok_or(missing)?.params;
        // All arguments are read before any parameter is written.
        let args: Vec<_> = token
            .map(Ok)
            .into_iter()
            .chain(call.args.iter().map(|arg| self.value(*arg).cloned()))
            .collect::<Result<_, _>>()?;
        if args.len() != params.len() {
            let (expected, found) = (params.len(), args.len());
            return Err(Bug::WrongArgCount { block: call.block, expected, found });
        }
        for (param, arg) in params.iter().zip(args) {
            self.define(*param, arg)?;
        }
        self.block = call.block;
        Ok(())
    }

    fn class(&self, value: Value) -> Result<u32, Bug> {
        match self.filter.result {
            FilterResult::Bool => self.bool(value).map(u32::from),
            FilterResult::Classes(count) => {
                let class = self.int(value)?;
                let below = u32::try_from(class).ok().filter(|class| *class < count);
                below.ok_or(Bug::ClassOutOfRange { class, count })
            }
        }
    }
}
