//! What the verifier knows of a register or stack slot.
//!
//! What holds here:
//! - An [`Id`] names one concrete number (or one result of a lookup) of a path: two values with the same id are equal,
//!   so what a test tells of one it tells of the other. Ids are minted once for each abstract step and never reused;
//!   constants need none, and a number without one is linked to no other.
//! - A pointer's `off` is its distance in bytes from the start of its region (of a stack frame: from the frame pointer).
//!   It stays within [`MIN_OFFSET`]`..=`[`MAX_OFFSET`], so addresses never wrap.
//! - A packet pointer is `data + variable + fixed`, where `id` names the variable part (0: there is none). How many bytes
//!   from `data + variable` are proven to be in the packet is kept by that id ([`Proofs`]).
//! - A number may be how many bytes the packet has from a pointer on, less a constant; then its lower bound proves bytes, too.

use std::fmt;

use super::scalar::Scalar;
use crate::program::MapId;

/// Least distance of a pointer from the start of its region.
pub(crate) const MIN_OFFSET: i64 = -(1 << 29);
/// Greatest distance of a pointer from the start of its region.
pub(crate) const MAX_OFFSET: i64 = 1 << 33;

/// Names one concrete number of a path; 0 names none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) const NONE: Id = Id(0);
}

/// Where a pointer points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Context,
    /// A stack frame, the entry function's is 0.
    Frame(usize),
    Packet {
        id: Id,
        fixed: i64,
    },
    PacketEnd,
    Map(MapId),
    MapValue {
        map: MapId,
        /// The lookup that gave it; none for variables, of which there is only one value.
        lookup: Id,
    },
    MapValueOrNull {
        map: MapId,
        lookup: Id,
    },
    /// A record of a ring buffer that was reserved and not handed over yet.
    Record {
        map: MapId,
        id: Id,
        size: u32,
    },
    RecordOrNull {
        map: MapId,
        id: Id,
        size: u32,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Context => f.write_str("pointer to the context"),
            Target::Frame(_) => f.write_str("pointer to the stack"),
            Target::Packet { .. } => f.write_str("pointer to the packet"),
            Target::PacketEnd => f.write_str("pointer to the end of the packet"),
            Target::Map(_) => f.write_str("map"),
            Target::MapValue { .. } => f.write_str("pointer to a map value"),
            Target::MapValueOrNull { .. } => f.write_str("pointer to a map value, or null"),
            Target::Record { size, .. } => write!(f, "pointer to a record of {size} bytes"),
            Target::RecordOrNull { .. } => f.write_str("pointer to a record, or null"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pointer {
    pub(crate) target: Target,
    pub(crate) off: Scalar,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// Never written, or lost in a call.
    Unwritten,
    /// Of different kinds on paths that met.
    Conflict,
    Scalar {
        range: Scalar,
        id: Id,
    },
    Pointer(Pointer),
}

impl Value {
    pub(crate) const fn constant(value: u64) -> Value {
        Value::Scalar { range: Scalar::constant(value), id: Id::NONE }
    }

    pub(crate) const fn pointer(target: Target) -> Value {
        Value::Pointer(Pointer { target, off: Scalar::constant(0) })
    }

    pub(crate) fn is_pointer(&self) -> bool {
        matches!(self, Value::Pointer(_))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unwritten => f.write_str("not written"),
            Value::Conflict => f.write_str("of different kinds on different paths"),
            Value::Scalar { range, .. } if range.as_constant().is_some() => write!(f, "the number {range}"),
            Value::Scalar { range, .. } => write!(f, "a number ({range})"),
            Value::Pointer(pointer) => match pointer.off.as_constant() {
                Some(0) => write!(f, "a {}", pointer.target),
                _ => write!(f, "a {}, offset {}", pointer.target, pointer.off),
            },
        }
    }
}

/// What an id stands for in another state: an id there, or a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Counterpart {
    Id(Id),
    Number(u64),
}

/// For each variable part of packet pointers the bytes from `data + variable` that are known to be in the packet; and the
/// numbers that are the distance from there to its end, less a constant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Proofs {
    proven: Vec<(Id, u32)>,
    lengths: Vec<Length>,
}

/// The number `number` is, as a signed one, `data_end - (data + variable) - less`, where `base` names the variable part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Length {
    pub(crate) number: Id,
    pub(crate) base: Id,
    pub(crate) less: i64,
}

impl Proofs {
    /// The proven length; 0 if nothing is known.
    pub(crate) fn get(&self, id: Id) -> u32 {
        self.proven.iter().find(|(known, _)| *known == id).map_or(0, |(_, bytes)| *bytes)
    }

    /// Raises the proven length.
    pub(crate) fn add(&mut self, id: Id, bytes: u32) {
        match self.proven.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => *known = bytes.max(*known),
            None if bytes > 0 => self.proven.push((id, bytes)),
            None => {}
        }
    }

    /// Takes note of what a number is.
    pub(crate) fn add_length(&mut self, length: Length) {
        // So far from the ends of the range that differences do not wrap.
        let small = (MIN_OFFSET..=MAX_OFFSET).contains(&length.less);
        if length.number != Id::NONE && small && self.length(length.number).is_none() {
            self.lengths.push(length);
        }
    }

    /// The distance to the end of the packet that the number `id` is, if it is known to be so made.
    pub(crate) fn length(&self, id: Id) -> Option<Length> {
        self.lengths.iter().find(|known| known.number == id).copied()
    }

    /// The number `id` is now known to be in a set: its least value tells how many bytes there are at least.
    pub(crate) fn narrowed(&mut self, id: Id, to: &Scalar) {
        if let Some(Length { base, less, .. }) = self.length(id)
            && let least = less.saturating_add(to.wide.smin)
            && least > 0
        {
            self.add(base, u32::try_from(least).unwrap_or(u32::MAX));
        }
    }

    /// Keeps only what is said of these ids.
    pub(crate) fn retain(&mut self, keep: impl Fn(Id) -> bool) {
        self.proven.retain(|(id, _)| keep(*id));
        self.lengths.retain(|length| keep(length.number) && keep(length.base));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.proven.is_empty() && self.lengths.is_empty()
    }

    /// Bytes behind the structure itself.
    pub(crate) fn footprint(&self) -> usize {
        self.proven.len() * size_of::<(Id, u32)>() + self.lengths.len() * size_of::<Length>()
    }
}

/// How many bytes of the packet are left behind `data + variable + distance`, if `proven` bytes are behind `data + variable`. A proven length
/// of 0 says nothing: the variable part may lead far behind the end, and no way back from there leads to bytes of the packet.
pub(crate) fn bytes_left(proven: u32, distance: i64) -> i64 {
    let left = i64::from(proven) - distance;
    if proven == 0 { left.min(0) } else { left }
}

/// A function from the ids of one state to what stands for them in another one: what is equal in the first is equal in
/// the second, and what is proven in the first is proven in the second.
pub(crate) struct Renaming<'p> {
    pairs: Vec<(Id, Counterpart)>,
    proofs: (&'p Proofs, &'p Proofs),
}

impl<'p> Renaming<'p> {
    pub(crate) fn new(general: &'p Proofs, special: &'p Proofs) -> Renaming<'p> {
        Renaming { pairs: Vec::new(), proofs: (general, special) }
    }

    fn bind(&mut self, from: Id, to: Counterpart) -> bool {
        if from == Id::NONE {
            return true;
        }
        if to == Counterpart::Id(Id::NONE) {
            return false;
        }
        match self.pairs.iter().find(|(known, _)| *known == from) {
            Some((_, known)) => *known == to,
            None => {
                self.pairs.push((from, to));
                true
            }
        }
    }

    pub(crate) fn ids(&mut self, from: Id, to: Id) -> bool {
        self.bind(from, Counterpart::Id(to))
    }

    /// Whether what is a distance in the first is the same distance in the second. Asked when all values have been bound; one that no
    /// number or no pointer is bound to is of no use to anybody.
    pub(crate) fn lengths_hold(&self) -> bool {
        let (general, special) = self.proofs;
        let bound = |id: Id| match id {
            Id::NONE => Some(Counterpart::Number(0)),
            id => self.pairs.iter().find(|(known, _)| *known == id).map(|(_, to)| *to),
        };
        general.lengths.iter().all(|length| match (bound(length.number), bound(length.base)) {
            (Some(Counterpart::Id(number)), Some(Counterpart::Id(base))) => {
                special.length(number) == Some(Length { number, base, ..*length })
            }
            // There, the variable part is a number, and counts with the rest.
            (Some(Counterpart::Id(number)), Some(Counterpart::Number(part))) => {
                let less = length.less.wrapping_add(part.cast_signed());
                special.length(number) == Some(Length { number, base: Id::NONE, less })
            }
            (Some(Counterpart::Number(_)), Some(_)) => false,
            (None, _) | (_, None) => true,
        })
    }

    /// A number in place of one: later it may be added to the packet pointer, and bring its proof along.
    fn numbers(&mut self, from: Id, to: Id, range: &Scalar) -> bool {
        if from == Id::NONE {
            return true;
        }
        let (counterpart, proven) = match range.as_constant() {
            Some(number) => (Counterpart::Number(number), 0),
            None => (Counterpart::Id(to), self.proofs.1.get(to)),
        };
        self.proofs.0.get(from) <= proven && self.bind(from, counterpart)
    }
}

/// Whether everything that is safe with `general` is safe with `special`.
pub(crate) fn covers(general: &Value, special: &Value, renaming: &mut Renaming<'_>) -> bool {
    match (general, special) {
        (Value::Unwritten | Value::Conflict, _) => true,
        (Value::Scalar { range: a, id: from }, Value::Scalar { range: b, id: to }) => {
            a.includes(b) && renaming.numbers(*from, *to, b)
        }
        (Value::Pointer(a), Value::Pointer(b)) => {
            a.off.includes(&b.off) && target_covers(a.target, b.target, &b.off, renaming)
        }
        _ => false,
    }
}

fn target_covers(a: Target, b: Target, off: &Scalar, renaming: &mut Renaming<'_>) -> bool {
    match (a, b) {
        (Target::Packet { id: from, fixed: a }, Target::Packet { id: to, fixed: b }) => {
            let proven = renaming.proofs.0.get(from) <= renaming.proofs.1.get(to);
            let to = variable_part(to, b, off);
            let same_base =
                if from == Id::NONE { to == Counterpart::Number(0) } else { renaming.bind(from, to) };
            a == b && proven && same_base
        }
        (Target::MapValue { map: a, lookup: from }, Target::MapValue { map: b, lookup: to })
        | (Target::MapValueOrNull { map: a, lookup: from }, Target::MapValueOrNull { map: b, lookup: to }) => {
            a == b && (from == Id::NONE) == (to == Id::NONE) && renaming.ids(from, to)
        }
        (Target::Record { map: a, id: from, size }, Target::Record { map: b, id: to, size: other })
        | (
            Target::RecordOrNull { map: a, id: from, size },
            Target::RecordOrNull { map: b, id: to, size: other },
        ) => a == b && size == other && renaming.ids(from, to),
        _ => a == b,
    }
}

/// The variable part of a packet pointer; a constant one counts as a number with the same id does.
fn variable_part(id: Id, fixed: i64, off: &Scalar) -> Counterpart {
    match (id, off.as_constant()) {
        (Id::NONE, _) => Counterpart::Number(0),
        (_, Some(off)) => Counterpart::Number(off.wrapping_sub(fixed.cast_unsigned())),
        (id, None) => Counterpart::Id(id),
    }
}

/// Gives the ids of a merged state: the same pair of ids gets the same new one.
pub(crate) struct Merging<'c> {
    pairs: Vec<((Counterpart, Counterpart), Id)>,
    counter: &'c mut u32,
    proofs: (&'c Proofs, &'c Proofs),
    /// What is proven of the new ids.
    proven: Proofs,
}

impl<'c> Merging<'c> {
    pub(crate) fn new(counter: &'c mut u32, a: &'c Proofs, b: &'c Proofs) -> Merging<'c> {
        let mut proven = Proofs::default();
        proven.add(Id::NONE, a.get(Id::NONE).min(b.get(Id::NONE)));
        Merging { pairs: Vec::new(), counter, proofs: (a, b), proven }
    }

    fn mint(&mut self) -> Id {
        *self.counter += 1;
        Id(*self.counter)
    }

    /// The id of a pair that was merged before.
    fn known(&self, pair: (Counterpart, Counterpart)) -> Option<Id> {
        self.pairs.iter().find(|(known, _)| *known == pair).map(|(_, id)| *id)
    }

    fn merge(&mut self, a: Counterpart, b: Counterpart) -> Id {
        if let Some(id) = self.known((a, b)) {
            return id;
        }
        let id = self.mint();
        self.pairs.push(((a, b), id));
        id
    }

    pub(crate) fn ids(&mut self, a: Id, b: Id) -> Id {
        self.merge(Counterpart::Id(a), Counterpart::Id(b))
    }

    /// The id of a record in the merged state; `None` if the two are not the same of the records that wait. Those are merged before the
    /// values, and only their ids are in use: a new one would be a second name of a record, and outlive it.
    fn record(&self, a: Id, b: Id) -> Option<Id> {
        self.known((Counterpart::Id(a), Counterpart::Id(b)))
    }

    /// What is proven of the merged state, once all values are merged: a number that is the same distance in both is one.
    pub(crate) fn into_proven(mut self) -> Proofs {
        let part = |base| if base == Id::NONE { Counterpart::Number(0) } else { Counterpart::Id(base) };
        for ((a, b), number) in &self.pairs {
            if let (Counterpart::Id(a), Counterpart::Id(b)) = (a, b)
                && let (Some(a), Some(b)) = (self.proofs.0.length(*a), self.proofs.1.length(*b))
                && a.less == b.less
            {
                let both = (part(a.base), part(b.base));
                let base = match both {
                    (Counterpart::Number(0), Counterpart::Number(0)) => Some(Id::NONE),
                    _ => self.known(both),
                };
                if let Some(base) = base {
                    self.proven.add_length(Length { number: *number, base, less: a.less });
                }
            }
        }
        self.proven
    }
}

/// A value that covers both.
pub(crate) fn join(a: &Value, b: &Value, merging: &mut Merging<'_>) -> Value {
    match (a, b) {
        (Value::Unwritten, _) | (_, Value::Unwritten) => Value::Unwritten,
        (Value::Scalar { range: a, id: x }, Value::Scalar { range: b, id: y }) => {
            let counterpart = |range: &Scalar, id: Id| match range.as_constant() {
                Some(number) => Counterpart::Number(number),
                None => Counterpart::Id(id),
            };
            let (range, x, y) = (a.union(b), counterpart(a, *x), counterpart(b, *y));
            let nameless = [x, y].contains(&Counterpart::Id(Id::NONE));
            let id = if nameless || range.as_constant().is_some() { Id::NONE } else { merging.merge(x, y) };
            Value::Scalar { range, id }
        }
        (Value::Pointer(a), Value::Pointer(b)) => match join_targets(a, b, merging) {
            Some(target) => Value::Pointer(Pointer { target, off: a.off.union(&b.off) }),
            None => Value::Conflict,
        },
        _ => Value::Conflict,
    }
}

fn join_targets(a: &Pointer, b: &Pointer, merging: &mut Merging<'_>) -> Option<Target> {
    match (a.target, b.target) {
        (Target::Packet { id: x, fixed: i }, Target::Packet { id: y, fixed: j }) => {
            let (m, n) = (merging.proofs.0.get(x), merging.proofs.1.get(y));
            if i == j {
                let (x, y) = (variable_part(x, i, &a.off), variable_part(y, j, &b.off));
                let none = x == Counterpart::Number(0) && y == Counterpart::Number(0);
                let id = if none { Id::NONE } else { merging.merge(x, y) };
                if id != Id::NONE {
                    merging.proven.add(id, m.min(n));
                }
                return Some(Target::Packet { id, fixed: i });
            }
            // The distances differ: the variable part of the greater one takes up the difference. From there on, so many bytes are proven as
            // there are behind the pointer, and those of the distance in front of it: both have that many.
            let left = bytes_left(m, i).min(bytes_left(n, j));
            let (fixed, in_front) = match u32::try_from(i.min(j)) {
                Ok(distance) if left >= 0 && m > 0 && n > 0 => (i.min(j), distance),
                _ => (0, 0),
            };
            let id = merging.mint();
            merging.proven.add(id, u32::try_from(left).unwrap_or(0).saturating_add(in_front));
            Some(Target::Packet { id, fixed })
        }
        (Target::MapValue { map, lookup: x }, Target::MapValue { map: other, lookup: y }) if map == other => {
            let lookup = if x == y { x } else { merging.ids(x, y) };
            Some(Target::MapValue { map, lookup })
        }
        (Target::MapValueOrNull { map, lookup: x }, Target::MapValueOrNull { map: other, lookup: y })
            if map == other =>
        {
            Some(Target::MapValueOrNull { map, lookup: merging.ids(x, y) })
        }
        (Target::Record { map, id: x, size }, Target::Record { map: other, id: y, size: bytes })
            if map == other && size == bytes =>
        {
            Some(Target::Record { map, id: merging.record(x, y)?, size })
        }
        (
            Target::RecordOrNull { map, id: x, size },
            Target::RecordOrNull { map: other, id: y, size: bytes },
        ) if map == other && size == bytes => {
            Some(Target::RecordOrNull { map, id: merging.record(x, y)?, size })
        }
        (a, b) => (a == b).then_some(a),
    }
}
