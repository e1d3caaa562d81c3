//! The abstract state of a run: the frames of the calls in progress and the spin lock.
//!
//! What holds here: everything that is safe with a state is safe with each state that it [`State::covers`]; the
//! [`State::join`] of two states covers both.

use super::{
    scalar::Scalar,
    stack::Stack,
    value::{Id, Merging, Pointer, Proofs, Renaming, Target, Value, covers, join},
};
use crate::{isa::Reg, program::MapId};

/// A call in progress.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Frame {
    /// Index of the function.
    pub(crate) function: usize,
    /// Slot of the call in the caller; 0 for the entry function.
    pub(crate) call_site: usize,
    /// `r0` to `r9`.
    pub(crate) regs: [Value; 10],
    pub(crate) stack: Stack,
    /// The least number of instructions that were executed when it was called.
    pub(crate) entered: u64,
}

impl Frame {
    pub(crate) fn new(function: usize, call_site: usize, entered: u64) -> Frame {
        Frame { function, call_site, regs: [Value::Unwritten; 10], stack: Stack::default(), entered }
    }
}

/// A spin lock that is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) map: MapId,
    pub(crate) lookup: Id,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The next instruction.
    pub(crate) pc: usize,
    /// The running function's frame is the last one; there is always one.
    pub(crate) frames: Vec<Frame>,
    pub(crate) held: Option<Held>,
    /// The records that were reserved and have to be handed over, or found to be null.
    pub(crate) records: Vec<Id>,
    /// What comparisons with `data_end` have shown.
    pub(crate) proofs: Proofs,
    /// The last step that led here, in the explorer's trail.
    pub(crate) trail: u32,
    /// The greatest number of instructions that were executed on the way here.
    pub(crate) steps: u64,
}

impl State {
    pub(crate) fn depth(&self) -> usize {
        self.frames.len() - 1
    }

    pub(crate) fn frame(&self) -> &Frame {
        self.frames.last().expect("a state has at least the entry function's frame")
    }

    pub(crate) fn frame_mut(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a state has at least the entry function's frame")
    }

    pub(crate) fn get(&self, reg: Reg) -> Value {
        if reg == Reg::R10 {
            Value::pointer(Target::Frame(self.depth()))
        } else {
            self.frame().regs[reg.index()]
        }
    }

    /// Sets `r0` to `r9`.
    pub(crate) fn set(&mut self, reg: Reg, value: Value) {
        if let Some(place) = self.frame_mut().regs.get_mut(reg.index()) {
            *place = value;
        }
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.frames.iter_mut().flat_map(|frame| frame.regs.iter_mut().chain(frame.stack.values_mut()))
    }

    /// Narrows all values that hold the number `id`; `None` if one cannot be such a number.
    pub(crate) fn narrow(&mut self, id: Id, to: &Scalar) -> Option<()> {
        if id == Id::NONE {
            return Some(());
        }
        for value in self.values_mut() {
            match value {
                Value::Scalar { range, id: own } if *own == id => {
                    *range = range.intersect(to)?;
                    if range.as_constant().is_some() {
                        *own = Id::NONE;
                    }
                }
                Value::Pointer(Pointer { target: Target::Packet { id: own, fixed, .. }, off })
                    if *own == id =>
                {
                    let fixed = Scalar::constant(fixed.cast_unsigned());
                    let implied =
                        super::arithmetic::alu(crate::isa::Width::W64, crate::isa::AluOp::Add, to, &fixed);
                    *off = off.intersect(&implied)?;
                }
                _ => {}
            }
        }
        self.proofs.narrowed(id, to);
        Some(())
    }

    /// Forgets proofs that nothing can refer to any more.
    pub(crate) fn forget_proofs(&mut self) {
        if self.proofs.is_empty() {
            return;
        }
        let mut ids = Vec::new();
        let mut packet = false;
        for value in self.values_mut() {
            match value {
                Value::Scalar { id, .. } => ids.push(*id),
                Value::Pointer(Pointer { target: Target::Packet { id, .. }, .. }) => {
                    ids.push(*id);
                    packet = true;
                }
                Value::Pointer(Pointer { target: Target::Context, .. }) => packet = true,
                _ => {}
            }
        }
        self.proofs.retain(|id| packet && (id == Id::NONE || ids.contains(&id)));
    }

    /// Takes note of whether the result of a look-up or reservation is null.
    pub(crate) fn resolve_null(&mut self, result: Id, null: bool) {
        if null {
            self.records.retain(|record| *record != result);
        }
        for value in self.values_mut() {
            let Value::Pointer(pointer) = value else { continue };
            let found = match pointer.target {
                Target::MapValueOrNull { map, lookup } if lookup == result => {
                    Target::MapValue { map, lookup }
                }
                Target::RecordOrNull { map, id, size } if id == result => Target::Record { map, id, size },
                _ => continue,
            };
            *value = if null { Value::constant(0) } else { Value::pointer(found) };
        }
    }

    /// Hands a record over: nothing may refer to it any more. Gives whether it was there.
    pub(crate) fn release(&mut self, record: Id) -> bool {
        let before = self.records.len();
        self.records.retain(|other| *other != record);
        for value in self.values_mut() {
            if matches!(value, Value::Pointer(Pointer { target: Target::Record { id, .. }, .. }) if *id == record)
            {
                *value = Value::Unwritten;
            }
        }
        self.records.len() < before
    }

    /// Whether the two are in the same calls and hold a lock or not: only then they can be compared or merged.
    pub(crate) fn comparable(&self, other: &State) -> bool {
        self.pc == other.pc
            && self.held.map(|held| held.map) == other.held.map(|held| held.map)
            && self.records.len() == other.records.len()
            && self.frames.len() == other.frames.len()
            && self.frames.iter().zip(&other.frames).all(|(a, b)| a.call_site == b.call_site)
    }

    /// Whether everything that is safe with this state is safe with `special`.
    pub(crate) fn covers(&self, special: &State) -> bool {
        if !self.comparable(special) {
            return false;
        }
        let mut renaming = Renaming::new(&self.proofs, &special.proofs);
        let locks = match (self.held, special.held) {
            (Some(a), Some(b)) => {
                (a.lookup == Id::NONE) == (b.lookup == Id::NONE) && renaming.ids(a.lookup, b.lookup)
            }
            _ => true,
        };
        locks
            && self.records.iter().zip(&special.records).all(|(a, b)| renaming.ids(*a, *b))
            && self.proofs.get(Id::NONE) <= special.proofs.get(Id::NONE)
            && self.frames.iter().zip(&special.frames).all(|(a, b)| {
                a.regs.iter().zip(&b.regs).all(|(a, b)| covers(a, b, &mut renaming))
                    && a.stack.covers(&b.stack, &mut renaming)
            })
            && renaming.lengths_hold()
    }

    /// A state that covers both, which must be [`State::comparable`].
    pub(crate) fn join(&self, other: &State, counter: &mut u32) -> State {
        let mut merging = Merging::new(counter, &self.proofs, &other.proofs);
        let held = match (self.held, other.held) {
            (Some(a), Some(b)) => {
                let lookup = if a.lookup == b.lookup { a.lookup } else { merging.ids(a.lookup, b.lookup) };
                Some(Held { map: a.map, lookup })
            }
            (held, _) => held,
        };
        let records = self.records.iter().zip(&other.records).map(|(a, b)| merging.ids(*a, *b)).collect();
        let frames = self.frames.iter().zip(&other.frames).map(|(a, b)| Frame {
            function: a.function,
            call_site: a.call_site,
            regs: std::array::from_fn(|index| join(&a.regs[index], &b.regs[index], &mut merging)),
            stack: a.stack.join(&b.stack, &mut merging),
            entered: a.entered.min(b.entered),
        });
        let frames = frames.collect();
        let steps = self.steps.max(other.steps);
        let proofs = merging.into_proven();
        State { pc: self.pc, held, records, frames, proofs, trail: self.trail, steps }
    }

    /// Takes over what is counted on the way of a state that this one covers.
    pub(crate) fn absorb(&mut self, covered: &State) {
        self.steps = self.steps.max(covered.steps);
        for (frame, other) in self.frames.iter_mut().zip(&covered.frames) {
            frame.entered = frame.entered.min(other.entered);
        }
    }

    /// What must agree for a merge to lose no kind of value.
    pub(crate) fn shape(&self) -> Vec<u32> {
        // The proven length counts too: merging would lose it.
        let mut shape = vec![self.proofs.get(Id::NONE)];
        for frame in &self.frames {
            shape.extend(frame.regs.iter().map(kind));
            shape.extend(frame.stack.shape());
            shape.push(u32::MAX);
        }
        shape
    }

    /// Bytes that the state takes.
    pub(crate) fn footprint(&self) -> usize {
        let frames: usize = self.frames.iter().map(|frame| frame.stack.footprint()).sum();
        let records = self.records.len() * size_of::<Id>();
        let proofs = self.proofs.footprint();
        size_of::<State>() + records + proofs + self.frames.len() * size_of::<Frame>() + frames
    }
}

/// A number for the kind of a value, without its ranges. Kinds that share one only make merges less precise.
pub(crate) fn kind(value: &Value) -> u32 {
    match value {
        Value::Unwritten => 0,
        Value::Conflict => 1,
        Value::Scalar { .. } => 2,
        Value::Pointer(pointer) => match pointer.target {
            Target::Context => 3,
            Target::PacketEnd => 4,
            Target::Frame(frame) => 0x1000 + frame as u32,
            // The distance counts as part of the kind: merging would lose it.
            Target::Packet { fixed, .. } => 0x10_0000 + (fixed as u32 & 0xf_ffff),
            Target::Map(map) => 0x1000_0000 + map.0,
            Target::MapValue { map, .. } => 0x2000_0000 + map.0,
            Target::MapValueOrNull { map, .. } => 0x3000_0000 + map.0,
            Target::Record { map, size, .. } => 0x4000_0000 + (map.0 << 20 | size & 0xf_ffff),
            Target::RecordOrNull { map, size, .. } => 0x8000_0000 + (map.0 << 20 | size & 0xf_ffff),
        },
    }
}
