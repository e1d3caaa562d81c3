//! Operations on state: lookups, locks, and when an entry goes.
//!
//! Keys and amounts are computed first. Then there is one lookup and one lock; between `lock` and `unlock` only the new value is
//! computed, which the checker has proved to touch neither other state nor the packet's length.
//!
//! `update` makes no entry for a packet that leaves none: it looks the entry up, and only where there is none and the new value,
//! computed from `none`, is not `none` either, it makes one. By then another core may have made it, so the value is
//! computed again from what is there under the lock.

use oko_ir::{BlockCall, Op as IrOp, TerminatorKind, Type, Unlock, Value};

use super::body::{Frame, Lowering};
use crate::check::has_prefix;
use crate::hir::{Content, Expire, Expr, LocalId, Op, Shape, StateDef, StateId, StateOp};
use crate::types::Ty;

impl Lowering<'_> {
    /// An operation on state; `ty` is the type of its result.
    pub(super) fn state_op(&mut self, op: &StateOp, ty: &Ty) -> Option<Vec<Value>> {
        let key = self.key(op)?;
        let program = self.program;
        let def = &program.states[op.state.index()];
        match (&def.shape, &op.op) {
            (Shape::Sketch { key: ty, geometry }, op_of) => {
                let amount = match op_of {
                    Op::SketchAdd(amount) => Some(self.one(amount)?),
                    _ => None,
                };
                let hash = self.hash_key(&def.name, &key, ty);
                return Some(self.sketch(op.state, geometry, hash, amount));
            }
            (Shape::Bloom { key: ty, geometry }, op_of) => {
                let hash = self.hash_key(&def.name, &key, ty);
                let insert = matches!(op_of, Op::Insert);
                let there = self.bloom(op.state, geometry, hash, insert);
                return Some(vec![if insert { self.ins(IrOp::Not(there)) } else { there }]);
            }
            (Shape::Table { .. }, _) => return self.table(op.state, def, key, ty),
            _ => {}
        }
        match &op.op {
            Op::Read => self.read(op.state, def, key, ty),
            Op::Contains => self.if_found(op.state, key, |lowering, _, live, entry| {
                lowering.effect(IrOp::Unlock(entry, Unlock::Keep));
                vec![live]
            }),
            Op::Remove => self.if_found(op.state, key, |lowering, _, live, entry| {
                lowering.effect(IrOp::Unlock(entry, Unlock::Clear));
                vec![live]
            }),
            Op::Insert => self.insert(op.state, def, key, ty),
            // Of sketches only.
            Op::SketchAdd(_) | Op::Estimate => {
                self.dead_end();
                None
            }
            Op::Update { old, value } => self.update(op.state, def, key, *old, value, ty),
            Op::Cell { cell, kind, op: cell_op } => {
                let start = super::layout::cell_start(def, program, *cell);
                let of = super::layout::cell_type(def, program, *cell);
                self.cell(op.state, def, key, (start, *kind), of, cell_op, ty)
            }
        }
    }

    /// The scalars of the key, as ints.
    fn key(&mut self, op: &StateOp) -> Option<Vec<Value>> {
        let Some(key) = &op.key else { return Some(vec![self.int(0)]) };
        let scalars = self.expr(key)?;
        let mut scalars: Vec<Value> = scalars.into_iter().map(|scalar| self.as_int(scalar)).collect();
        let program = self.program;
        if let Shape::Table { key: wanted, .. } = &program.states[op.state.index()].shape
            && has_prefix(wanted)
        {
            let address = match &key.ty {
                Ty::Tuple(parts) => parts.last()?,
                other => other,
            };
            self.as_prefix(&mut scalars, address);
        }
        Some(scalars)
    }

    /// Makes the address at the end of a key what a prefix is there: the family, and the address at the most significant end.
    fn as_prefix(&mut self, scalars: &mut Vec<Value>, address: &Ty) {
        match address {
            Ty::Ip6 => {
                let family = self.int(6);
                scalars.insert(scalars.len().saturating_sub(2), family);
            }
            // Of either family; an IPv4 address is in the least significant 32 bits.
            Ty::Addr => {
                let (Some(low), Some(high), Some(family)) = (scalars.pop(), scalars.pop(), scalars.pop())
                else {
                    return;
                };
                let (four, half, zero) = (self.int(4), self.int(32), self.int(0));
                let is_four = self.compare(oko_ir::CompareOp::Eq, family, four);
                let shifted = self.binary(oko_ir::BinaryOp::Shl, low, half);
                let high = self.select(is_four, shifted, high);
                let low = self.select(is_four, zero, low);
                scalars.extend([family, high, low]);
            }
            _ => {
                let Some(address) = scalars.pop() else { return };
                let (family, half, low) = (self.int(4), self.int(32), self.int(0));
                let high = self.binary(oko_ir::BinaryOp::Shl, address, half);
                scalars.extend([family, high, low]);
            }
        }
    }

    /// Looks a key up in a table: whether it is there, or its value.
    fn table(&mut self, state: StateId, def: &StateDef, key: Vec<Value>, ty: &Ty) -> Option<Vec<Value>> {
        let types = self.types(ty);
        self.or_zeros(state, key, &types, |lowering, entry| {
            let mut scalars = vec![lowering.bool(true)];
            if let (Content::Value(value), Ty::Option(_)) = (&def.content, ty) {
                scalars.extend(lowering.get_value(entry, value));
            }
            scalars
        })
    }

    /// Looks an entry up and runs a step with it; without an entry the result is zeros of these types.
    fn or_zeros(
        &mut self,
        state: StateId,
        key: Vec<Value>,
        types: &[Type],
        step: impl FnOnce(&mut Self, Value) -> Vec<Value>,
    ) -> Option<Vec<Value>> {
        let (join, results) = self.block_of(types);
        let (found, given) = self.block_of(&[Type::Entry(oko_ir::State(state.0))]);
        let absent = self.block();
        self.find(state, key, found, absent);
        self.builder.switch_to(absent);
        let zeros = self.zeros_of(types);
        self.builder.jump(join, zeros);
        self.builder.switch_to(found);
        let entry = *given.first()?;
        let scalars = step(self, entry);
        self.builder.jump(join, scalars);
        self.builder.switch_to(join);
        Some(results)
    }

    /// A scalar as it is kept in memory.
    pub(super) fn as_int(&mut self, scalar: Value) -> Value {
        if self.builder.type_of(scalar) == Type::Bool { self.ins(IrOp::IntOfBool(scalar)) } else { scalar }
    }

    /// Looks an entry up and runs a step with it under the lock, which must unlock it; without an entry the result is all false.
    fn if_found(
        &mut self,
        state: StateId,
        key: Vec<Value>,
        step: impl FnOnce(&mut Self, StateId, Value, Value) -> Vec<Value>,
    ) -> Option<Vec<Value>> {
        self.or_zeros(state, key, &[Type::Bool], |lowering, entry| {
            let live = lowering.ins(IrOp::Lock(entry));
            step(lowering, state, live, entry)
        })
    }

    /// Ends the block with a lookup.
    pub(super) fn find(
        &mut self,
        state: StateId,
        key: Vec<Value>,
        found: oko_ir::Block,
        absent: oko_ir::Block,
    ) {
        let call = |block| BlockCall { block, args: Vec::new() };
        let state = oko_ir::State(state.0);
        self.builder.end(TerminatorKind::Find { state, key, found: call(found), absent: call(absent) });
    }

    /// Ends the block with a lookup that makes the entry if need be.
    pub(super) fn slot(
        &mut self,
        state: StateId,
        key: Vec<Value>,
        found: oko_ir::Block,
        full: oko_ir::Block,
    ) {
        self.slot_in(oko_ir::State(state.0), key, found, full);
    }

    /// The same for a state of the IR.
    pub(super) fn slot_in(
        &mut self,
        state: oko_ir::State,
        key: Vec<Value>,
        found: oko_ir::Block,
        full: oko_ir::Block,
    ) {
        let call = |block| BlockCall { block, args: Vec::new() };
        self.builder.end(TerminatorKind::Slot { state, key, found: call(found), full: call(full) });
    }

    pub(super) fn get(&mut self, entry: Value, field: usize) -> Value {
        self.ins(IrOp::Get(entry, oko_ir::Field::from_index(field)))
    }

    pub(super) fn set(&mut self, entry: Value, field: usize, value: Value) {
        self.effect(IrOp::Set(entry, oko_ir::Field::from_index(field), value));
    }

    /// The scalars of the plain value of a locked entry, or of one of a table.
    fn get_value(&mut self, entry: Value, ty: &Ty) -> Vec<Value> {
        let types = self.types(ty);
        let mut scalars = Vec::new();
        for (field, ty) in types.into_iter().enumerate() {
            let word = self.get(entry, field);
            scalars.push(if ty == Type::Bool {
                let zero = self.int(0);
                self.compare(oko_ir::CompareOp::Ne, word, zero)
            } else {
                word
            });
        }
        scalars
    }

    fn read(&mut self, state: StateId, def: &StateDef, key: Vec<Value>, ty: &Ty) -> Option<Vec<Value>> {
        let Content::Value(value_type) = &def.content else { return None };
        let types = self.types(ty);
        self.or_zeros(state, key, &types, |lowering, entry| {
            // The fields of a dead entry are zero, as the parts of `none` are.
            let mut scalars = vec![lowering.ins(IrOp::Lock(entry))];
            scalars.extend(lowering.get_value(entry, value_type));
            lowering.effect(IrOp::Unlock(entry, Unlock::Keep));
            scalars
        })
    }

    fn insert(&mut self, state: StateId, def: &StateDef, key: Vec<Value>, ty: &Ty) -> Option<Vec<Value>> {
        let types = self.types(ty);
        let optional = matches!(ty, Ty::Option(_));
        let (join, results) = self.block_of(&types);
        let (found, given) = self.block_of(&[Type::Entry(oko_ir::State(state.0))]);
        let full = self.block();
        self.slot(state, key, found, full);
        self.builder.switch_to(full);
        let refused = if optional { self.zeros(ty) } else { vec![self.bool(true)] };
        self.builder.jump(join, refused);
        self.builder.switch_to(found);
        let entry = *given.first()?;
        let live = self.ins(IrOp::Lock(entry));
        self.touch(def, entry, &[]);
        let mut result = vec![self.ins(IrOp::Not(live))];
        if optional {
            result.insert(0, self.bool(true));
        }
        self.builder.jump(join, result);
        self.builder.switch_to(join);
        Some(results)
    }

    fn update(
        &mut self,
        state: StateId,
        def: &StateDef,
        key: Vec<Value>,
        old: LocalId,
        value: &Expr,
        ty: &Ty,
    ) -> Option<Vec<Value>> {
        let Content::Value(value_type) = &def.content else { return None };
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let (locked, given) = self.block_of(&[Type::Entry(oko_ir::State(state.0))]);
        let (absent, nothing) = (self.block(), self.block());
        self.find(state, key.clone(), locked, absent);

        // No entry: is one wanted?
        self.builder.switch_to(absent);
        let none = self.zeros(ty);
        self.set_local(old, none);
        let wanted = *self.expr(value)?.first()?;
        let make = self.block();
        self.branch(wanted, make, nothing);
        self.builder.switch_to(make);
        self.slot(state, key, locked, nothing);

        self.builder.switch_to(nothing);
        let none = self.zeros(ty);
        self.builder.jump(join, none);

        // An entry, found or made.
        self.builder.switch_to(locked);
        let entry = *given.first()?;
        let mut before = vec![self.ins(IrOp::Lock(entry))];
        before.extend(self.get_value(entry, value_type));
        self.set_local(old, before);
        let after = self.under_lock(|lowering| lowering.expr(value))?;
        let (present, scalars) = after.split_first()?;
        let (keep, clear) = (self.block(), self.block());
        self.branch(*present, keep, clear);
        self.builder.switch_to(clear);
        self.effect(IrOp::Unlock(entry, Unlock::Clear));
        let none = self.zeros(ty);
        self.builder.jump(join, none);
        self.builder.switch_to(keep);
        for (field, scalar) in scalars.iter().enumerate() {
            let word = self.as_int(*scalar);
            self.set(entry, field, word);
        }
        self.touch(def, entry, scalars);
        let mut result = vec![self.bool(true)];
        result.extend(scalars);
        self.builder.jump(join, result);
        self.builder.switch_to(join);
        Some(results)
    }

    /// Unlocks an entry that was written; `value` is its plain value, if it has one.
    pub(super) fn touch(&mut self, def: &StateDef, entry: Value, value: &[Value]) {
        let at = match &def.expire {
            Expire::Never => None,
            Expire::After(duration) => {
                let frame = Frame::new(0, &[], None);
                self.in_frame(frame, |lowering| lowering.under_lock(|lowering| lowering.one(duration)))
            }
            Expire::Of(id) => self
                .under_lock(|lowering| lowering.call(*id, vec![value.to_vec()]))
                .and_then(|value| value.first().copied()),
        };
        let at = match at {
            // An instant and a duration add up to less than 2^63.
            Some(duration) => {
                let now = self.ins(IrOp::Now);
                self.binary(oko_ir::BinaryOp::Add, now, duration)
            }
            None => self.int(oko_ir::NEVER),
        };
        self.effect(IrOp::Unlock(entry, Unlock::Touch(at)));
    }
}
