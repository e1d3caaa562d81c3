//! What the verifier knows of a register or stack slot.
//!
//! What holds here:
//! - An [`Id`] names one concrete number (or one result of a lookup) of a path: two values with the same id are equal,
//!   so what a test tells of one it tells of the other. Ids are minted once for each abstract step and never reused;
//!   constants need none, and a number without one is linked to no other.
//! - A pointer's `off` is its distance in bytes from the start of its region (of a stack frame: from the frame pointer).
//!   It stays within [`MIN_OFFSET`]`..=`[`MAX_OFFSET`], so addresses never wrap.
//! - A packet pointer is `data + variable + fixed`, where `id` names the variable part (0: there is none). `range` bytes
//!   from `data + variable` are proven to be in the packet; all pointers with this id share that proof.

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
        range: u32,
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

/// A function from the ids of one state to what stands for them in another one: what is equal in the first is equal in
/// the second.
#[derive(Default)]
pub(crate) struct Renaming {
    pairs: Vec<(Id, Counterpart)>,
}

impl Renaming {
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
}

/// Whether everything that is safe with `general` is safe with `special`.
pub(crate) fn covers(general: &Value, special: &Value, renaming: &mut Renaming) -> bool {
    match (general, special) {
        (Value::Unwritten | Value::Conflict, _) => true,
        (Value::Scalar { range: a, id: from }, Value::Scalar { range: b, id: to }) => {
            let to = match b.as_constant() {
                Some(number) => Counterpart::Number(number),
                None => Counterpart::Id(*to),
            };
            a.includes(b) && renaming.bind(*from, to)
        }
        (Value::Pointer(a), Value::Pointer(b)) => {
            a.off.includes(&b.off) && target_covers(a.target, b.target, &b.off, renaming)
        }
        _ => false,
    }
}

fn target_covers(a: Target, b: Target, off: &Scalar, renaming: &mut Renaming) -> bool {
    match (a, b) {
        (
            Target::Packet { id: from, fixed: a, range: proven },
            Target::Packet { id: to, fixed: b, range: at_hand },
        ) => {
            // A constant offset stands for a constant variable part, as that of a number with the same id does.
            let to = match (to, off.as_constant()) {
                (Id::NONE, _) => Counterpart::Number(0),
                (_, Some(off)) => Counterpart::Number(off.wrapping_sub(b.cast_unsigned())),
                (to, None) => Counterpart::Id(to),
            };
            let same_base =
                if from == Id::NONE { to == Counterpart::Number(0) } else { renaming.bind(from, to) };
            a == b && proven <= at_hand && same_base
        }
        (Target::MapValue { map: a, lookup: from }, Target::MapValue { map: b, lookup: to })
        | (Target::MapValueOrNull { map: a, lookup: from }, Target::MapValueOrNull { map: b, lookup: to }) => {
            a == b && (from == Id::NONE) == (to == Id::NONE) && renaming.ids(from, to)
        }
        _ => a == b,
    }
}

/// Gives the ids of a merged state: the same pair of ids gets the same new one.
pub(crate) struct Merging<'c> {
    pairs: Vec<((Counterpart, Counterpart), Id)>,
    counter: &'c mut u32,
}

impl<'c> Merging<'c> {
    pub(crate) fn new(counter: &'c mut u32) -> Merging<'c> {
        Merging { pairs: Vec::new(), counter }
    }

    fn merge(&mut self, a: Counterpart, b: Counterpart) -> Id {
        if let Some((_, id)) = self.pairs.iter().find(|(pair, _)| *pair == (a, b)) {
            return *id;
        }
        *self.counter += 1;
        let id = Id(*self.counter);
        self.pairs.push(((a, b), id));
        id
    }

    pub(crate) fn ids(&mut self, a: Id, b: Id) -> Id {
        self.merge(Counterpart::Id(a), Counterpart::Id(b))
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
        (Target::Packet { id: x, fixed: i, range: m }, Target::Packet { id: y, fixed: j, range: n }) => {
            let variable = |pointer: &Pointer, id: Id, fixed: i64| match (id, pointer.off.as_constant()) {
                (Id::NONE, _) => Counterpart::Number(0),
                (_, Some(off)) => Counterpart::Number(off.wrapping_sub(fixed.cast_unsigned())),
                (id, None) => Counterpart::Id(id),
            };
            if i == j {
                let (x, y) = (variable(a, x, i), variable(b, y, j));
                let id = if x == y && x == Counterpart::Number(0) { Id::NONE } else { merging.merge(x, y) };
                return Some(Target::Packet { id, fixed: i, range: m.min(n) });
            }
            // The distances differ: the whole offset becomes the variable part, with what is proven behind it.
            let left = |range: u32, fixed: i64| u32::try_from(i64::from(range) - fixed).unwrap_or(0);
            *merging.counter += 1;
            Some(Target::Packet { id: Id(*merging.counter), fixed: 0, range: left(m, i).min(left(n, j)) })
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
        (a, b) => (a == b).then_some(a),
    }
}
