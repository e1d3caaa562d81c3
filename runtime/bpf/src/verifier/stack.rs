//! The abstract content of one stack frame.
//!
//! What holds here: a slot of 8 bytes is either one value that was stored whole, or two halves whose bytes are written or
//! not; a half may hold a number that was stored as 4 bytes. A pointer is only ever in a slot as a whole: a number stored over
//! a part of it, as clang does where two spilled values share a slot, leaves the rest as if it were not written, and loading a part is refused. Offsets are from the frame pointer, so negative.

use super::{
    arithmetic,
    scalar::Scalar,
    value::{Id, Merging, Renaming, Value, covers, join},
};
use crate::isa::{AluOp, Size, Width};

/// Bytes of a frame.
pub(crate) const FRAME: i64 = 512;

/// Four bytes: which of them are written, and the number they make up if they were stored at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Half {
    written: u8,
    value: Value,
}

impl Half {
    const EMPTY: Half = Half { written: 0, value: Value::Unwritten };
    const FULL: u8 = 0xf;
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Slot {
    Whole(Value),
    Halves([Half; 2]),
}

impl Slot {
    const EMPTY: Slot = Slot::Halves([Half::EMPTY; 2]);

    /// The slot as two halves; a pointer, which has none, counts as not written.
    fn halves(&self) -> [Half; 2] {
        match self {
            Slot::Halves(halves) => *halves,
            Slot::Whole(Value::Scalar { range, id }) => {
                let low = arithmetic::truncate_32(range);
                let high = arithmetic::alu(Width::W64, AluOp::Rsh, range, &Scalar::constant(32));
                let low_id = if range.fits_32() { *id } else { Id::NONE };
                let half = |range: Scalar, id| Half { written: Half::FULL, value: number(range, id) };
                [half(low, low_id), half(high, Id::NONE)]
            }
            Slot::Whole(_) => [Half::EMPTY; 2],
        }
    }
}

/// A number with an id, or, if it has none and is not constant, written bytes of unknown content.
fn number(range: Scalar, id: Id) -> Value {
    if id == Id::NONE && range.as_constant().is_none() {
        Value::Unwritten
    } else {
        Value::Scalar { range, id }
    }
}

/// Why a load from the stack gives nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// A byte was not written.
    NotWritten,
    /// A part of a pointer.
    PartOfPointer,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Stack {
    /// From the frame pointer downwards; slots beyond the end are empty.
    slots: Vec<Slot>,
}

/// The slot and the first byte in it of an offset.
fn locate(off: i64) -> (usize, u32) {
    (((-off - 1) / 8) as usize, off.rem_euclid(8) as u32)
}

/// The number is only known to fit its size: it gets an id later, from whoever loads it.
fn unknown(size: Size) -> Value {
    Value::Scalar { range: Scalar::of_size(size, false), id: Id::NONE }
}

impl Stack {
    fn slot(&self, index: usize) -> Slot {
        self.slots.get(index).copied().unwrap_or(Slot::EMPTY)
    }

    fn slot_mut(&mut self, index: usize) -> &mut Slot {
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::EMPTY);
        }
        &mut self.slots[index]
    }

    /// Bytes that the content takes in the verifier.
    pub(crate) fn footprint(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Stores at a constant, aligned offset. A pointer takes 8 bytes; one of which a number takes a part is gone.
    pub(crate) fn store(&mut self, off: i64, size: Size, value: Value) {
        let (index, byte) = locate(off);
        let slot = self.slot_mut(index);
        if size == Size::Dw {
            *slot = Slot::Whole(value);
            return;
        }
        let mut halves = slot.halves();
        let half = &mut halves[(byte / 4) as usize];
        half.written |= ((1u8 << size.bytes()) - 1) << (byte % 4);
        half.value = match value {
            Value::Scalar { range, id } if size == Size::W => {
                let id = if range.fits_32() { id } else { Id::NONE };
                number(arithmetic::truncate_32(&range), id)
            }
            _ => Value::Unwritten,
        };
        *slot = Slot::Halves(halves);
    }

    /// Loads from a constant, aligned offset; a number is zero-extended.
    pub(crate) fn load(&self, off: i64, size: Size) -> Result<Value, Unreadable> {
        let (index, byte) = locate(off);
        let slot = self.slot(index);
        if let Slot::Whole(value) = slot {
            match value {
                Value::Unwritten | Value::Conflict => return Err(Unreadable::NotWritten),
                Value::Pointer(_) if size != Size::Dw => return Err(Unreadable::PartOfPointer),
                value if size == Size::Dw => return Ok(value),
                _ => {}
            }
        }
        let [low, high] = slot.halves();
        if size == Size::Dw {
            if low.written != Half::FULL || high.written != Half::FULL {
                return Err(Unreadable::NotWritten);
            }
            return Ok(whole(&low.value, &high.value));
        }
        let half = if byte < 4 { low } else { high };
        let bits = ((1u8 << size.bytes()) - 1) << (byte % 4);
        if half.written & bits != bits {
            return Err(Unreadable::NotWritten);
        }
        match half.value {
            value @ Value::Scalar { .. } if size == Size::W => Ok(value),
            Value::Scalar { range, .. } if range.as_constant().is_some() => {
                let constant = range.as_constant().unwrap_or(0) >> (8 * (byte % 4));
                Ok(Value::constant(constant & (u64::MAX >> (64 - 8 * size.bytes()))))
            }
            _ => Ok(unknown(size)),
        }
    }

    /// Whether all bytes `from..to` are written and none is part of a pointer.
    pub(crate) fn check(&self, from: i64, to: i64) -> Result<(), (i64, Unreadable)> {
        for off in from..to {
            self.load(off, Size::B).map_err(|why| (off, why))?;
        }
        Ok(())
    }

    /// Marks `from..to` as written with bytes that nobody knows; a pointer of which that overwrites a part is gone.
    pub(crate) fn fill(&mut self, from: i64, to: i64) {
        for off in from..to {
            let (index, byte) = locate(off);
            let mut halves = self.slot(index).halves();
            let half = &mut halves[(byte / 4) as usize];
            half.written |= 1 << (byte % 4);
            half.value = Value::Unwritten;
            *self.slot_mut(index) = Slot::Halves(halves);
        }
    }

    /// Whether a byte of `from..to` belongs to a pointer.
    pub(crate) fn has_pointer(&self, from: i64, to: i64) -> bool {
        (from..to).any(|off| matches!(self.slot(locate(off).0), Slot::Whole(Value::Pointer(_))))
    }

    /// Forgets the numbers in `from..to`, some of which a store at an unknown offset replaced; what was written stays so.
    pub(crate) fn forget(&mut self, from: i64, to: i64) {
        for off in from..to {
            let (index, byte) = locate(off);
            if index < self.slots.len() {
                let mut halves = self.slots[index].halves();
                halves[(byte / 4) as usize].value = Value::Unwritten;
                self.slots[index] = Slot::Halves(halves);
            }
        }
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.slots.iter_mut().flat_map(|slot| {
            let (whole, halves) = match slot {
                Slot::Whole(value) => (Some(value), None),
                Slot::Halves(halves) => (None, Some(halves)),
            };
            whole.into_iter().chain(halves.into_iter().flatten().map(|half| &mut half.value))
        })
    }

    /// What is claimed of the content: offset, size and value of what was stored at once, and single written bytes.
    #[cfg(test)]
    pub(crate) fn claims(&self) -> Vec<(i64, Size, Value)> {
        let mut claims = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let off = -8 * (index as i64 + 1);
            match slot {
                Slot::Whole(value) => claims.push((off, Size::Dw, *value)),
                Slot::Halves(halves) => {
                    for (half, off) in halves.iter().zip([off, off + 4]) {
                        claims.push((off, Size::W, half.value));
                        let bytes = (0..4).filter(|byte| half.written & (1 << byte) != 0);
                        claims.extend(bytes.map(|byte| (off + byte, Size::B, unknown(Size::B))));
                    }
                }
            }
        }
        claims
    }

    /// Whether everything that is safe with this frame is safe with `special`.
    pub(crate) fn covers(&self, special: &Stack, renaming: &mut Renaming<'_>) -> bool {
        self.slots.iter().enumerate().all(|(index, general)| {
            let special = special.slot(index);
            match (general, &special) {
                (Slot::Whole(Value::Unwritten | Value::Conflict), _) => true,
                (Slot::Whole(a), Slot::Whole(b)) => covers(a, b, renaming),
                (Slot::Whole(Value::Pointer(_)), Slot::Halves(_)) => false,
                (Slot::Whole(_), Slot::Halves([low, high])) => {
                    low.written == Half::FULL && high.written == Half::FULL && {
                        let Slot::Whole(general) = general else { return false };
                        covers(general, &whole(&low.value, &high.value), renaming)
                    }
                }
                (Slot::Halves(general), special) => {
                    let special = special.halves();
                    general.iter().zip(&special).all(|(a, b)| {
                        a.written & !b.written == 0
                            && (a.value == Value::Unwritten || covers(&a.value, &known(b), renaming))
                    })
                }
            }
        })
    }

    /// A frame that covers both.
    pub(crate) fn join(&self, other: &Stack, merging: &mut Merging<'_>) -> Stack {
        let len = self.slots.len().min(other.slots.len());
        let slots = (0..len).map(|index| match (self.slot(index), other.slot(index)) {
            (Slot::Whole(a), Slot::Whole(b)) => Slot::Whole(join(&a, &b, merging)),
            (a, b) => {
                let (a, b) = (a.halves(), b.halves());
                Slot::Halves([0, 1].map(|index| Half {
                    written: a[index].written & b[index].written,
                    value: join(&a[index].value, &b[index].value, merging),
                }))
            }
        });
        Stack { slots: slots.collect() }
    }

    /// Marks a register or slot kind sequence: frames with the same shape merge without losing a kind.
    pub(crate) fn shape(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|slot| match slot {
            Slot::Whole(value) => super::state::kind(value),
            Slot::Halves([low, high]) => 0x100 | u32::from(low.written) << 4 | u32::from(high.written),
        })
    }
}

/// The content of a half as a number, if all of it is written.
fn known(half: &Half) -> Value {
    match half.value {
        Value::Unwritten if half.written == Half::FULL => unknown(Size::W),
        value => value,
    }
}

/// Two full halves as one number.
fn whole(low: &Value, high: &Value) -> Value {
    let constant = |value: &Value| match value {
        Value::Scalar { range, .. } => range.as_constant(),
        _ => None,
    };
    match (constant(low), constant(high)) {
        (Some(low), Some(high)) => Value::constant(high << 32 | low),
        (None, Some(0)) => match low {
            Value::Scalar { .. } => *low,
            _ => unknown(Size::W),
        },
        _ => unknown(Size::Dw),
    }
}
