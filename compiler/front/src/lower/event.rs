//! Events: their records, and the hidden state behind `limit n each D per field`.
//!
//! The state has an entry for each value of the field behind `per`, or one for all: how many were told, and until when they count. The first event of a
//! value opens a time of length `D`; up to `n` events are told in it, and the next one after it opens another. Where there are more values at
//! one time than the state holds, events of further ones are not told: the limit holds whatever is sent.

use oko_ir::{
    BinaryOp, CompareOp, FieldDecl, KeyPart, Op, StateDecl, StateKind, Type, Unlock, Value, WhenFull, Width,
};

use super::body::{Frame, Lowering};
use super::layout::key_parts;
use crate::check::LIMITED_KEYS;
use crate::hir::{EventDef, EventId, Expr, Program};

/// The state that limits an event.
pub(crate) fn limiter(def: &EventDef, program: &Program) -> StateDecl {
    let field = |name: &str, width| FieldDecl { name: name.into(), width, count: 1 };
    let (kind, key, capacity) = match def.per.and_then(|at| def.fields.get(at)) {
        Some((_, ty)) => {
            let key =
                key_parts(ty, program).into_iter().map(|(name, width)| KeyPart { name, width }).collect();
            (StateKind::Hash(WhenFull::Refuse), key, LIMITED_KEYS)
        }
        None => (StateKind::Array, vec![KeyPart { name: "index".into(), width: Width::W32 }], 1),
    };
    StateDecl {
        name: format!("{}.limit", def.name),
        kind,
        key,
        capacity,
        fields: vec![field("until", Width::W64), field("count", Width::W32)],
        per_core: None,
    }
}

/// An event as the IR has it.
pub(crate) fn event(def: &EventDef, program: &Program) -> oko_ir::EventDecl {
    let mut fields = Vec::new();
    for (name, ty) in &def.fields {
        let parts = super::layout::parts(name, ty, program);
        fields.extend(parts.into_iter().map(|(name, width)| oko_ir::EventField { name, width }));
    }
    oko_ir::EventDecl { name: def.name.clone(), fields }
}

impl Lowering<'_> {
    /// `emit`; `None` where a field has no value.
    pub(super) fn emit(&mut self, id: EventId, given: &[(usize, Expr)]) -> Option<()> {
        let program = self.program;
        let def = &program.events[id.index()];
        let mut values: Vec<Vec<Value>> = vec![Vec::new(); def.fields.len()];
        for (at, value) in given {
            let scalars = self.expr(value)?;
            let scalars = scalars.into_iter().map(|scalar| self.as_int(scalar)).collect();
            if let Some(slot) = values.get_mut(*at) {
                *slot = scalars;
            }
        }
        let key = match def.per.and_then(|at| values.get(at)) {
            Some(scalars) => scalars.clone(),
            None => vec![self.int(0)],
        };
        let state = oko_ir::State::from_index(program.states.len() + id.index());
        let (found, entries) = self.block_of(&[Type::Entry(state)]);
        let (tell, quiet, join) = (self.block(), self.block(), self.block());
        self.slot_in(state, key, found, join);

        self.builder.switch_to(found);
        let entry = *entries.first()?;
        let frame = Frame::new(0, &[], None);
        let (limit, each) =
            self.in_frame(frame, |lowering| Some((lowering.one(&def.limit)?, lowering.one(&def.each)?)))?;
        let live = self.ins(Op::Lock(entry));
        // The fields of a dead entry are zero.
        let (until, count) = (self.get(entry, 0), self.get(entry, 1));
        let under = self.compare(CompareOp::ULt, count, limit);
        let (more, full) = (self.block(), quiet);
        self.branch(under, more, full);

        self.builder.switch_to(more);
        let now = self.ins(Op::Now);
        let end = self.binary(BinaryOp::Add, now, each);
        let until = self.select(live, until, end);
        let one = self.int(1);
        let count = self.binary(BinaryOp::Add, count, one);
        self.set(entry, 0, until);
        self.set(entry, 1, count);
        self.effect(Op::Unlock(entry, Unlock::Touch(until)));
        self.builder.jump(tell, Vec::new());

        self.builder.switch_to(quiet);
        self.effect(Op::Unlock(entry, Unlock::Keep));
        self.builder.jump(join, Vec::new());

        self.builder.switch_to(tell);
        let record = values.into_iter().flatten().collect();
        self.effect(Op::Emit(oko_ir::Event(id.0), record));
        self.builder.jump(join, Vec::new());
        self.builder.switch_to(join);
        Some(())
    }
}
