//! Loops.
//!
//! A loop is a header block that is given the number of the turn and what is carried, and ends in `repeat`; the end of the body
//! goes back to it. While an entry is locked there can be no loop in the IR, so there the turns are written out one after the other.

use oko_ir::limits::MAX_LOOP_DEPTH;
use oko_ir::{BinaryOp, Block, BlockCall, CompareOp, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::check::MAX_LOCKED_TURNS;
use crate::hir::{Expr, ExprKind, LocalId, Loop, Over};
use crate::types::Ty;

/// What a turn has a name for, and how long there are turns.
enum Each<'e> {
    /// A number.
    Number {
        index: LocalId,
        start: Value,
        /// How many turns there are; `None` if always as many as there are at most.
        count: Option<Value>,
    },
    /// An element of an array, which was computed before unless it is constant.
    Element { element: LocalId, array: &'e Expr, scalars: Vec<Value> },
}

impl Lowering<'_> {
    /// The value of a loop: that of what it carries.
    pub(super) fn loop_expr(&mut self, def: &Loop, ty: &Ty) -> Option<Vec<Value>> {
        let (each, most) = match &def.over {
            Over::Region { .. } => return self.region_loop(def, ty),
            Over::Range { index, start, end, inclusive, most } => {
                let known = start.constant().zip(end.constant()).is_some();
                let (start, end) = (self.one(start)?, self.one(end)?);
                let count = if known { None } else { Some(self.turns(start, end, *inclusive)) };
                (Each::Number { index: *index, start, count }, *most)
            }
            Over::Elements { element, array, count } => {
                let constant = matches!(array.kind, ExprKind::Const(_));
                let scalars = if constant { Vec::new() } else { self.expr(array)? };
                (Each::Element { element: *element, array, scalars }, *count)
            }
        };
        let mut carried = Vec::new();
        for (_, first) in &def.carried {
            carried.extend(self.expr(first)?);
        }
        let types = self.types(ty);
        let (exit, results) = self.block_of(&types);
        if self.locked {
            self.written_out(def, &each, most, carried, exit);
        } else if self.may_loop() {
            self.repeated(most, carried, &types, exit, |lowering, turn, carried| {
                lowering.turn(def, &each, turn, carried, exit)
            });
        } else {
            // Loops in functions that are called from loops.
            self.overflow = true;
            self.dead_end();
        }
        self.builder.switch_to(exit);
        Some(results)
    }

    /// How many numbers there are from `start` to `end`.
    fn turns(&mut self, start: Value, end: Value, inclusive: bool) -> Value {
        if !inclusive {
            return self.sub_saturating(end, start);
        }
        // Neither bound is 2^64 - 1: there are at most 65,536 turns.
        let one = self.int(1);
        let behind = self.binary(BinaryOp::Add, end, one);
        self.sub_saturating(behind, start)
    }

    /// Whether there can be a loop in the IR here: not under a lock, and only so many in one another, over all bodies.
    pub(super) fn may_loop(&self) -> bool {
        !self.locked && self.loops_around() < MAX_LOOP_DEPTH
    }

    /// A loop of `most` turns, behind which `exit` is given what is carried. `step` is given the number of the turn and what is carried, and
    /// says what the next turn is given, or `None` if there is none.
    pub(super) fn repeated(
        &mut self,
        most: u32,
        first: Vec<Value>,
        types: &[Type],
        exit: Block,
        step: impl FnOnce(&mut Self, Value, &[Value]) -> Option<Vec<Value>>,
    ) {
        let given: Vec<Type> = std::iter::once(Type::Int).chain(types.iter().copied()).collect();
        let (header, params) = self.block_of(&given);
        let Some((&turn, carried)) = params.split_first() else { return };
        let zero = self.int(0);
        self.builder.jump(header, std::iter::once(zero).chain(first).collect());
        self.builder.switch_to(header);
        let body = self.block();
        self.builder.end(TerminatorKind::Repeat {
            counter: turn,
            count: most,
            body: BlockCall { block: body, args: Vec::new() },
            done: BlockCall { block: exit, args: carried.to_vec() },
        });
        self.builder.switch_to(body);
        if let Some(next) = step(self, turn, carried) {
            let one = self.int(1);
            let turn = self.binary(BinaryOp::Add, turn, one);
            self.builder.jump(header, std::iter::once(turn).chain(next).collect());
        }
    }

    fn written_out(&mut self, def: &Loop, each: &Each<'_>, most: u32, first: Vec<Value>, exit: Block) {
        if most > MAX_LOCKED_TURNS {
            self.overflow = true;
            return self.dead_end();
        }
        let mut carried = first;
        for turn in 0..most {
            let turn = self.int(u64::from(turn));
            match self.turn(def, each, turn, &carried, exit) {
                Some(next) if !self.overflow => carried = next,
                Some(_) => break,
                None => return,
            }
        }
        self.builder.jump(exit, carried);
    }

    /// One turn: what the next one is given, or `None` if there is none.
    fn turn(
        &mut self,
        def: &Loop,
        each: &Each<'_>,
        turn: Value,
        carried: &[Value],
        exit: Block,
    ) -> Option<Vec<Value>> {
        if let Each::Number { count: Some(count), .. } = each {
            let more = self.compare(CompareOp::ULt, turn, *count);
            let (go_on, leave) = (self.block(), self.block());
            self.branch(more, go_on, leave);
            self.builder.switch_to(leave);
            self.builder.jump(exit, carried.to_vec());
            self.builder.switch_to(go_on);
        }
        match each {
            Each::Number { index, start, .. } => {
                let number = self.binary(BinaryOp::Add, *start, turn);
                self.set_local(*index, vec![number]);
            }
            Each::Element { element, array, scalars } => {
                let Ty::Array(ty, _) = &array.ty else { return None };
                let value = match &array.kind {
                    ExprKind::Const(words) => self.element_of_words(words, ty, turn),
                    _ => self.element_of_values(scalars, ty, turn),
                };
                self.set_local(*element, value);
            }
        }
        self.set_carried(def, carried);
        self.frame().loops.push(exit);
        let next = self.expr(&def.body);
        self.frame().loops.pop();
        let mut next = next?;
        // The value of a body is not used where nothing is carried.
        next.truncate(carried.len());
        Some(next)
    }

    /// Gives the carried names their values of this turn.
    pub(super) fn set_carried(&mut self, def: &Loop, carried: &[Value]) {
        let mut rest = carried;
        for (id, first) in &def.carried {
            let (own, behind) = rest.split_at(self.types(&first.ty).len().min(rest.len()));
            self.set_local(*id, own.to_vec());
            rest = behind;
        }
    }

    /// Leaves the innermost loop, whose value is this.
    pub(super) fn break_out(&mut self, value: Vec<Value>) {
        match self.frame().loops.last().copied() {
            Some(exit) => self.builder.jump(exit, value),
            None => self.dead_end(),
        }
    }
}
