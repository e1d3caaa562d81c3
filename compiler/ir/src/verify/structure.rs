//! Invariants 4 to 8: references, the graph, definitions, dominance and types.

use super::error::Expected;
use super::{Errors, Place, Problem};
use crate::cfg::{Cfg, CfgError};
use crate::entities::{Block, Field, State, Value};
use crate::limits::{MAX_REPEAT, MAX_WINDOW};
use crate::module::{Filter, FilterResult, Loc, Module, Op, StateKind, TerminatorKind, Type, Unlock};
use crate::operands::{Edge, ResultType};
use crate::seed::SEED_WORDS;

/// Checks one filter whose tables have been found small enough. Gives its graph, if it has one.
pub(super) fn check(module: &Module, filter: &Filter, errors: &mut Errors) -> Option<Cfg> {
    let cfg = match Cfg::of(filter) {
        Ok(cfg) => Some(cfg),
        Err(reasons) => {
            for reason in reasons {
                let place = match reason {
                    CfgError::Empty => Place::Whole,
                    CfgError::NoSuchBlock { from, .. }
                    | CfgError::Cycle { from, .. }
                    | CfgError::Irreducible { from, .. } => Place::Terminator(from),
                    CfgError::Unreachable { block } => Place::Block(block),
                };
                errors.push(place, Problem::Cfg(reason));
            }
            None
        }
    };
    let definitions = find_definitions(filter, errors);
    let mut checker = Checker { module, filter, cfg: cfg.as_ref(), definitions, errors };
    checker.types_of_values();
    for index in 0..filter.blocks.len() {
        checker.block(Block::from_index(index));
    }
    cfg
}

/// Where a value is defined: before this instruction of this block it is not there. Parameters are there before the first.
#[derive(Clone, Copy)]
struct Definition {
    block: Block,
    after: Option<usize>,
}

/// Invariant 6, the part about definitions.
fn find_definitions(filter: &Filter, errors: &mut Errors) -> Vec<Option<Definition>> {
    let mut definitions: Vec<Option<Definition>> = vec![None; filter.values.len()];
    let mut define =
        |value: Value, definition: Definition, place: Place| match definitions.get_mut(value.index()) {
            None => {
                let count = filter.values.len();
                errors.push(place, Problem::NoSuch { what: "value", name: value.to_string(), count });
            }
            Some(Some(_)) => errors.push(place, Problem::DefinedTwice { value }),
            Some(row) => *row = Some(definition),
        };
    for (index, data) in filter.blocks.iter().enumerate() {
        let block = Block::from_index(index);
        for &param in &data.params {
            define(param, Definition { block, after: None }, Place::Block(block));
        }
        for (index, inst) in data.insts.iter().enumerate() {
            if let Some(result) = inst.result {
                define(result, Definition { block, after: Some(index) }, Place::Inst(block, index));
            }
        }
    }
    for (index, definition) in definitions.iter().enumerate() {
        if definition.is_none() {
            errors.push(Place::Whole, Problem::NeverDefined { value: Value::from_index(index) });
        }
    }
    definitions
}

struct Checker<'a> {
    module: &'a Module,
    filter: &'a Filter,
    cfg: Option<&'a Cfg>,
    definitions: Vec<Option<Definition>>,
    errors: &'a mut Errors,
}

impl Checker<'_> {
    /// Invariant 4 for the types of values.
    fn types_of_values(&mut self) {
        for (index, &ty) in self.filter.values.iter().enumerate() {
            let place = match self.definitions[index] {
                Some(Definition { block, after: Some(inst) }) => Place::Inst(block, inst),
                Some(Definition { block, after: None }) => Place::Block(block),
                None => Place::Whole,
            };
            match ty {
                Type::Window(len) => self.window_len(len, place),
                Type::Entry(state) => {
                    if self.known_state(state, place) {
                        self.has_entries(state, "entry", place);
                    }
                }
                Type::Int | Type::Bool => {}
            }
        }
    }

    fn block(&mut self, block: Block) {
        let data = &self.filter.blocks[block.index()];
        if block == Block(0) && !data.params.is_empty() {
            self.errors.push(Place::Block(block), Problem::EntryParams);
        }
        for (index, inst) in data.insts.iter().enumerate() {
            let place = Place::Inst(block, index);
            self.loc(inst.loc, place);
            inst.op.for_each_operand(|value| self.reaches(value, block, index, place));
            self.op(&inst.op, place);
            self.result(inst.result, &inst.op, place);
        }
        let place = Place::Terminator(block);
        self.loc(data.term.loc, place);
        data.term.kind.for_each_operand(|value| self.reaches(value, block, data.insts.len(), place));
        self.terminator(&data.term.kind, place);
    }

    fn loc(&mut self, loc: Option<Loc>, place: Place) {
        if let Some(loc) = loc {
            self.known("file", loc.file, self.module.files.len(), &loc.file, place);
        }
    }

    /// Invariant 6, the part about uses: `value` is used in `block` right before instruction `at`.
    fn reaches(&mut self, value: Value, block: Block, at: usize, place: Place) {
        let count = self.filter.values.len();
        if !self.known("value", value.0, count, &value, place) {
            return;
        }
        // A value that is never defined has been reported; without a graph there is no dominance.
        let (Some(definition), Some(cfg)) = (self.definitions[value.index()], self.cfg) else { return };
        let reaches = if definition.block == block {
            definition.after.is_none_or(|after| after < at)
        } else {
            cfg.dominates(definition.block, block)
        };
        if !reaches {
            self.errors.push(place, Problem::NotDominated { value, defined: definition.block });
        }
    }

    /// Invariant 7 for an instruction's result.
    fn result(&mut self, result: Option<Value>, op: &Op, place: Place) {
        let expected = match op.result_type() {
            ResultType::None => None,
            ResultType::Is(ty) => Some(ty),
            ResultType::Same(value) => match self.filter.type_of(value) {
                Some(ty) => Some(ty),
                None => return, // reported with the operand
            },
        };
        match (result, expected) {
            (None, None) => {}
            (None, Some(_)) => self.errors.push(place, Problem::NoResult { op: op.to_string() }),
            (Some(value), None) => {
                self.errors.push(place, Problem::UnexpectedResult { op: op.to_string(), value });
            }
            (Some(value), Some(ty)) => {
                self.is(value, ty, place);
            }
        }
    }

    /// Invariants 4, 7 and 8 for an instruction's operands.
    fn op(&mut self, op: &Op, place: Place) {
        match *op {
            Op::Const(_) | Op::ConstBool(_) | Op::PacketLen | Op::InPort | Op::Now => {}
            Op::Seed(word) => {
                if word as usize >= SEED_WORDS {
                    let (what, name, count) = ("word of the seed", word.to_string(), SEED_WORDS);
                    self.errors.push(place, Problem::NoSuch { what, name, count });
                }
            }
            Op::Binary(_, a, b) | Op::Compare(_, a, b) => {
                self.is(a, Type::Int, place);
                self.is(b, Type::Int, place);
            }
            Op::Bool(_, a, b) => {
                self.is(a, Type::Bool, place);
                self.is(b, Type::Bool, place);
            }
            Op::Not(a) | Op::IntOfBool(a) => {
                self.is(a, Type::Bool, place);
            }
            Op::Select(c, a, b) => {
                self.is(c, Type::Bool, place);
                match self.filter.type_of(a) {
                    Some(ty @ (Type::Int | Type::Bool)) => {
                        self.is(b, ty, place);
                    }
                    Some(found) => self.wrong_type(a, Expected::Scalar, found, place),
                    None => {}
                }
            }
            Op::Load(width, window, offset) => match self.filter.type_of(window) {
                Some(Type::Window(len)) => {
                    let bytes = width.bytes();
                    if offset.checked_add(bytes).is_none_or(|end| end > len) {
                        self.errors.push(place, Problem::LoadOutside { bytes, offset, len });
                    }
                }
                Some(found) => self.wrong_type(window, Expected::Window, found, place),
                None => {}
            },
            Op::Param(param) => {
                self.known("param", param.0, self.module.params.len(), &param, place);
            }
            Op::Lock(entry) => {
                self.writable(entry, "lock", place);
            }
            Op::Get(entry, field) => {
                if let Some(state) = self.entry(entry, place) {
                    self.field(state, field, true, place);
                }
            }
            Op::GetAt(entry, field, index) => {
                if let Some(state) = self.entry(entry, place) {
                    self.field(state, field, false, place);
                }
                self.is(index, Type::Int, place);
            }
            Op::Set(entry, field, value) => {
                if let Some(state) = self.writable(entry, "set", place) {
                    self.field(state, field, true, place);
                }
                self.is(value, Type::Int, place);
            }
            Op::SetAt(entry, field, index, value) => {
                if let Some(state) = self.writable(entry, "set.at", place) {
                    self.field(state, field, false, place);
                }
                self.is(index, Type::Int, place);
                self.is(value, Type::Int, place);
            }
            Op::Unlock(entry, how) => {
                self.writable(entry, "unlock", place);
                if let Unlock::Touch(time) = how {
                    self.is(time, Type::Int, place);
                }
            }
            Op::WordGet(state, ..) => self.words(state, "word.get", op, place),
            Op::WordAdd(state, ..) => self.words(state, "word.add", op, place),
            Op::WordOr(state, ..) => self.words(state, "word.or", op, place),
            Op::WordCas(state, ..) => self.words(state, "word.cas", op, place),
            Op::Emit(event, ref values) => {
                if self.known("event", event.0, self.module.events.len(), &event, place) {
                    let expected = self.module.events[event.index()].fields.len();
                    if values.len() != expected {
                        let problem = Problem::WrongFieldCount { event, expected, found: values.len() };
                        self.errors.push(place, problem);
                    }
                }
                for &value in values {
                    self.is(value, Type::Int, place);
                }
            }
        }
    }

    /// Invariants 4, 5 and 7 for a terminator.
    fn terminator(&mut self, kind: &TerminatorKind, place: Place) {
        match kind {
            TerminatorKind::Jump(_) => {}
            TerminatorKind::Branch { cond, .. } => {
                self.is(*cond, Type::Bool, place);
            }
            TerminatorKind::Window { offset, len, .. } => {
                self.is(*offset, Type::Int, place);
                self.window_len(*len, place);
            }
            TerminatorKind::Find { state, key, .. } | TerminatorKind::Slot { state, key, .. } => {
                if self.known_state(*state, place) {
                    let op = if matches!(kind, TerminatorKind::Slot { .. }) { "slot" } else { "find" };
                    self.has_entries(*state, op, place);
                    let expected = self.module.states[state.index()].key.len();
                    if key.len() != expected {
                        let problem = Problem::WrongKeyCount { state: *state, expected, found: key.len() };
                        self.errors.push(place, problem);
                    }
                }
                for &part in key {
                    self.is(part, Type::Int, place);
                }
            }
            TerminatorKind::Repeat { counter, count, .. } => {
                self.is(*counter, Type::Int, place);
                if !(1..=MAX_REPEAT).contains(count) {
                    self.errors.push(place, Problem::BadRepeat { limit: MAX_REPEAT, found: *count });
                }
            }
            TerminatorKind::Return(value) => {
                let expected = match self.filter.result {
                    FilterResult::Bool => Type::Bool,
                    FilterResult::Classes(_) => Type::Int,
                };
                self.is(*value, expected, place);
            }
        }
        for edge in kind.edges() {
            self.edge(edge, place);
        }
    }

    /// Invariant 7 for what an edge passes.
    fn edge(&mut self, edge: Edge<'_>, place: Place) {
        let Some(target) = self.filter.blocks.get(edge.call.block.index()) else { return }; // reported with the graph
        let block = edge.call.block;
        let mut params = target.params.as_slice();
        if let Some(expected) = edge.gives {
            match params.split_first() {
                Some((&first, rest)) if self.filter.type_of(first) == Some(expected) => params = rest,
                _ => return self.errors.push(place, Problem::NoToken { block, expected }),
            }
        }
        if params.len() != edge.call.args.len() {
            let problem =
                Problem::WrongArgCount { block, expected: params.len(), found: edge.call.args.len() };
            return self.errors.push(place, problem);
        }
        for (&param, &arg) in params.iter().zip(&edge.call.args) {
            if let Some(ty) = self.filter.type_of(param) {
                self.is(arg, ty, place);
            }
        }
    }

    fn window_len(&mut self, len: u32, place: Place) {
        if !(1..=MAX_WINDOW).contains(&len) {
            self.errors.push(place, Problem::BadWindow { limit: MAX_WINDOW, found: len });
        }
    }

    fn known_state(&mut self, state: State, place: Place) -> bool {
        self.known("state", state.0, self.module.states.len(), &state, place)
    }

    fn known(
        &mut self,
        what: &'static str,
        index: u32,
        count: usize,
        name: &dyn ToString,
        place: Place,
    ) -> bool {
        let known = (index as usize) < count;
        if !known {
            self.errors.push(place, Problem::NoSuch { what, name: name.to_string(), count });
        }
        known
    }

    fn is(&mut self, value: Value, expected: Type, place: Place) {
        match self.filter.type_of(value) {
            Some(found) if found != expected => {
                self.wrong_type(value, Expected::Type(expected), found, place);
            }
            _ => {} // no such value: reported where it is defined or used
        }
    }

    fn entry(&mut self, value: Value, place: Place) -> Option<State> {
        match self.filter.type_of(value)? {
            Type::Entry(state) => Some(state),
            found => {
                self.wrong_type(value, Expected::Entry, found, place);
                None
            }
        }
    }

    /// Invariants 4, 7 and 10 for something that only entries can take that filters write.
    fn writable(&mut self, entry: Value, op: &'static str, place: Place) -> Option<State> {
        let state = self.entry(entry, place)?;
        if let Some(StateKind::Table(_)) = self.module.states.get(state.index()).map(|decl| decl.kind) {
            self.errors.push(place, Problem::WrongState { state, op, found: "a table" });
        }
        Some(state)
    }

    /// Invariant 10 for a state that is there.
    fn has_entries(&mut self, state: State, op: &'static str, place: Place) {
        match self.module.states[state.index()].kind {
            StateKind::Words => {
                self.errors.push(place, Problem::WrongState { state, op, found: "of words" });
            }
            StateKind::Table(_) if op == "slot" => {
                self.errors.push(place, Problem::WrongState { state, op, found: "a table" });
            }
            StateKind::Hash(_) | StateKind::Array | StateKind::Table(_) => {}
        }
    }

    /// Invariants 4, 7 and 10 for an operation on a word.
    fn words(&mut self, state: State, name: &'static str, op: &Op, place: Place) {
        if self.known_state(state, place) && self.module.states[state.index()].kind != StateKind::Words {
            self.errors.push(place, Problem::WrongState { state, op: name, found: "not of words" });
        }
        op.for_each_operand(|value| self.is(value, Type::Int, place));
    }

    /// Invariant 4 for a field, and that a single scalar is named without an index.
    fn field(&mut self, state: State, field: Field, single: bool, place: Place) {
        let Some(decl) = self.module.states.get(state.index()) else { return }; // reported with the type
        match decl.fields.get(field.index()) {
            None => {
                let count = decl.fields.len();
                self.errors.push(place, Problem::NoSuchField { state, field, count });
            }
            Some(decl) if single && decl.count != 1 => {
                self.errors.push(place, Problem::NoScalar { state, field, count: decl.count });
            }
            Some(_) => {}
        }
    }

    fn wrong_type(&mut self, value: Value, expected: Expected, found: Type, place: Place) {
        self.errors.push(place, Problem::WrongType { value, expected, found });
    }
}
