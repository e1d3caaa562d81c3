//! What instructions and terminators use, define and lead to, for everything that walks over a filter.

use crate::entities::{State, Value};
use crate::module::{BlockCall, BlockData, Filter, Op, TerminatorKind, Type, Unlock};

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
            | Op::Seed(_)
            | Op::Param(_)
            | Op::Get(..)
            | Op::GetAt(..)
            | Op::WordGet(..)
            | Op::WordAdd(..)
            | Op::WordOr(..)
            | Op::WordCas(..) => ResultType::Is(Type::Int),
            Op::ConstBool(_) | Op::Compare(..) | Op::Bool(..) | Op::Not(_) | Op::Lock(_) => {
                ResultType::Is(Type::Bool)
            }
            Op::Select(_, a, _) => ResultType::Same(*a),
            Op::Set(..) | Op::SetAt(..) | Op::Unlock(..) | Op::Emit(..) => ResultType::None,
        }
    }

    /// Whether the result depends on the operands and the packet alone, and nothing else happens: two of the same give
    /// the same, and one whose result is not used can go.
    pub fn is_pure(&self) -> bool {
        !self.has_effect() && !matches!(self, Op::Get(..) | Op::GetAt(..) | Op::WordGet(..))
    }

    /// The number that is written down, or the bool as 0 or 1.
    pub fn constant(&self) -> Option<u64> {
        match *self {
            Op::Const(number) => Some(number),
            Op::ConstBool(is_so) => Some(is_so.into()),
            _ => None,
        }
    }

    /// Whether it is a number or bool that is written down.
    pub fn is_constant(&self) -> bool {
        self.constant().is_some()
    }

    /// Whether something happens besides that there is a result.
    pub fn has_effect(&self) -> bool {
        match self {
            Op::Lock(_)
            | Op::Set(..)
            | Op::SetAt(..)
            | Op::Unlock(..)
            | Op::WordAdd(..)
            | Op::WordOr(..)
            | Op::WordCas(..)
            | Op::Emit(..) => true,
            Op::Const(_)
            | Op::ConstBool(_)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Bool(..)
            | Op::Not(_)
            | Op::Select(..)
            | Op::IntOfBool(_)
            | Op::Load(..)
            | Op::PacketLen
            | Op::InPort
            | Op::Now
            | Op::Seed(_)
            | Op::Param(_)
            | Op::Get(..)
            | Op::GetAt(..)
            | Op::WordGet(..) => false,
        }
    }

    /// The operands, in the order in which they are written.
    pub fn for_each_operand(&self, mut f: impl FnMut(Value)) {
        // One list of operands for both walks; an operation is a few words.
        self.clone().for_each_operand_mut(|value| f(*value));
    }

    /// The operands, to be replaced.
    pub fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Op::Const(_)
            | Op::ConstBool(_)
            | Op::PacketLen
            | Op::InPort
            | Op::Now
            | Op::Seed(_)
            | Op::Param(_) => {}
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Bool(_, a, b) => {
                f(a);
                f(b);
            }
            Op::Not(a)
            | Op::IntOfBool(a)
            | Op::Load(_, a, _)
            | Op::Lock(a)
            | Op::Get(a, _)
            | Op::WordGet(_, a) => f(a),
            Op::Select(a, b, c) | Op::SetAt(a, _, b, c) | Op::WordCas(_, a, b, c) => {
                f(a);
                f(b);
                f(c);
            }
            Op::Set(a, _, b) | Op::GetAt(a, _, b) | Op::WordAdd(_, a, b) | Op::WordOr(_, a, b) => {
                f(a);
                f(b);
            }
            Op::Emit(_, values) => values.iter_mut().for_each(f),
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
            TerminatorKind::Repeat { body, done, .. } => [Some(plain(body)), Some(plain(done))],
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
            | TerminatorKind::Slot { found: a, full: b, .. }
            | TerminatorKind::Repeat { body: a, done: b, .. } => [Some(a), Some(b)],
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
            | TerminatorKind::Repeat { counter: value, .. }
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
            | TerminatorKind::Repeat { counter: value, .. }
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

impl BlockData {
    /// The values that it defines: its parameters, then the results of its instructions.
    pub fn defined(&self) -> impl Iterator<Item = Value> {
        self.params.iter().copied().chain(self.insts.iter().filter_map(|inst| inst.result))
    }
}

impl Filter {
    /// By value: the number that it is, or the bool as 0 or 1, if that is written down.
    pub fn constants(&self) -> Vec<Option<u64>> {
        let mut constants = vec![None; self.values.len()];
        for inst in self.blocks.iter().flat_map(|block| &block.insts) {
            if let Some(result) = inst.result {
                constants[result.index()] = inst.op.constant();
            }
        }
        constants
    }

    /// The type of a value, if there is such a value.
    pub fn type_of(&self, value: Value) -> Option<Type> {
        self.values.get(value.index()).copied()
    }
}
