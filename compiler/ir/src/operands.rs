//! What instructions and terminators use, define and lead to, for everything that walks over a filter.

use crate::entities::{State, Value};
use crate::module::{BlockCall, Filter, Op, TerminatorKind, Type, Unlock};

/// What the result of an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// There is none.
    None,
    /// Always this type.
    Is(Type),
    /// The type of this operand: `select` only.
    Same(Value),
}

/// One way out of a block.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// Where it leads, with what.
    pub call: &'a BlockCall,
    /// The type of the window or entry that comes before the arguments.
    pub gives: Option<Type>,
}

impl Op {
    /// The type of the result.
    pub fn result_type(&self) -> ResultType {
        match self {
            Op::Const(_)
            | Op::Binary(..)
            | Op::IntOfBool(_)
            | Op::Load(..)
            | Op::PacketLen
            | Op::InPort
            | Op::Now
            | Op::Param(_)
            | Op::Get(..) => ResultType::Is(Type::Int),
            Op::ConstBool(_) | Op::Compare(..) | Op::Bool(..) | Op::Not(_) | Op::Lock(_) => {
                ResultType::Is(Type::Bool)
            }
            Op::Select(_, a, _) => ResultType::Same(*a),
            Op::Set(..) | Op::Unlock(..) => ResultType::None,
        }
    }

    /// Whether the result depends on the operands and the packet alone, and nothing else happens: two of the same give
    /// the same, and one whose result is not used can go.
    pub fn is_pure(&self) -> bool {
        !matches!(self, Op::Lock(_) | Op::Get(..) | Op::Set(..) | Op::Unlock(..))
    }

    /// The operands, in the order in which they are written.
    pub fn for_each_operand(&self, mut f: impl FnMut(Value)) {
        // One list of operands for both walks; an operation is a few words.
        self.clone().for_each_operand_mut(|value| f(*value));
    }

    /// The operands, to be replaced.
    pub fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Op::Const(_) | Op::ConstBool(_) | Op::PacketLen | Op::InPort | Op::Now | Op::Param(_) => {}
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Bool(_, a, b) => {
                f(a);
                f(b);
            }
            Op::Not(a) | Op::IntOfBool(a) | Op::Load(_, a, _) | Op::Lock(a) | Op::Get(a, _) => f(a),
            Op::Select(c, a, b) => {
                f(c);
                f(a);
                f(b);
            }
            Op::Set(e, _, v) => {
                f(e);
                f(v);
            }
            Op::Unlock(e, how) => {
                f(e);
                if let Unlock::Touch(t) = how {
                    f(t);
                }
            }
        }
    }
}

impl TerminatorKind {
    /// The ways out, in the order in which they are written.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        let plain = |call| Edge { call, gives: None };
        match self {
            TerminatorKind::Jump(call) => [Some(plain(call)), None],
            TerminatorKind::Branch { then, other, .. } => [Some(plain(then)), Some(plain(other))],
            TerminatorKind::Window { len, ok, short, .. } => {
                [Some(Edge { call: ok, gives: Some(Type::Window(*len)) }), Some(plain(short))]
            }
            TerminatorKind::Find { state, found, absent, .. } => {
                [Some(Edge { call: found, gives: Some(Type::Entry(*state)) }), Some(plain(absent))]
            }
            TerminatorKind::Slot { state, found, full, .. } => {
                [Some(Edge { call: found, gives: Some(Type::Entry(*state)) }), Some(plain(full))]
            }
            TerminatorKind::Return(_) => [None, None],
        }
        .into_iter()
        .flatten()
    }

    /// The block calls, to be changed, in the order of [`edges`](Self::edges).
    pub fn calls_mut(&mut self) -> impl Iterator<Item = &mut BlockCall> {
        match self {
            TerminatorKind::Jump(call) => [Some(call), None],
            TerminatorKind::Branch { then: a, other: b, .. }
            | TerminatorKind::Window { ok: a, short: b, .. }
            | TerminatorKind::Find { found: a, absent: b, .. }
            | TerminatorKind::Slot { found: a, full: b, .. } => [Some(a), Some(b)],
            TerminatorKind::Return(_) => [None, None],
        }
        .into_iter()
        .flatten()
    }

    /// What it decides by or looks up; arguments of blocks are not among them.
    pub fn inputs(&self) -> &[Value] {
        match self {
            TerminatorKind::Jump(_) => &[],
            TerminatorKind::Branch { cond: value, .. }
            | TerminatorKind::Window { offset: value, .. }
            | TerminatorKind::Return(value) => std::slice::from_ref(value),
            TerminatorKind::Find { key, .. } | TerminatorKind::Slot { key, .. } => key,
        }
    }

    /// The same, to be replaced.
    pub fn inputs_mut(&mut self) -> &mut [Value] {
        match self {
            TerminatorKind::Jump(_) => &mut [],
            TerminatorKind::Branch { cond: value, .. }
            | TerminatorKind::Window { offset: value, .. }
            | TerminatorKind::Return(value) => std::slice::from_mut(value),
            TerminatorKind::Find { key, .. } | TerminatorKind::Slot { key, .. } => key,
        }
    }

    /// All values that it uses: its inputs, then the arguments of each block.
    pub fn for_each_operand(&self, mut f: impl FnMut(Value)) {
        self.inputs().iter().copied().for_each(&mut f);
        for edge in self.edges() {
            edge.call.args.iter().copied().for_each(&mut f);
        }
    }

    /// The same, to be replaced.
    pub fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        self.inputs_mut().iter_mut().for_each(&mut f);
        for call in self.calls_mut() {
            call.args.iter_mut().for_each(&mut f);
        }
    }

    /// The state that is looked into, with whether an entry may be made there.
    pub fn lookup(&self) -> Option<(State, bool)> {
        match self {
            TerminatorKind::Find { state, .. } => Some((*state, false)),
            TerminatorKind::Slot { state, .. } => Some((*state, true)),
            _ => None,
        }
    }
}

impl Filter {
    /// The type of a value, if there is such a value.
    pub fn type_of(&self, value: Value) -> Option<Type> {
        self.values.get(value.index()).copied()
    }
}
