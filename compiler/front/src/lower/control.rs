//! Branches: conditions, `if`, `??` and `match` on values.

use oko_ir::{Block, BoolOp, Op, Type, Value};

use super::body::Lowering;
use super::layers::Source;
use crate::hir::{Arm, Expr, ExprKind, LayerArm, LayerId, Pattern};
use crate::types::Ty;

impl Lowering<'_> {
    /// Goes to `yes` if the condition holds and to `no` if not. `None` where the condition never has a value.
    pub(super) fn condition(&mut self, expr: &Expr, yes: Block, no: Block) -> Option<()> {
        match &expr.kind {
            ExprKind::Not(inner) => self.condition(inner, no, yes),
            ExprKind::And(a, b) => {
                let middle = self.block();
                self.condition(a, middle, no)?;
                self.builder.switch_to(middle);
                self.condition(b, yes, no)
            }
            ExprKind::Or(a, b) => {
                let middle = self.block();
                self.condition(a, yes, middle)?;
                self.builder.switch_to(middle);
                self.condition(b, yes, no)
            }
            _ => {
                let value = self.one(expr)?;
                self.branch(value, yes, no);
                Some(())
            }
        }
    }

    /// `a and b` or `a or b` as a value.
    pub(super) fn logical(&mut self, whole: &Expr, a: &Expr, b: &Expr, op: BoolOp) -> Option<Vec<Value>> {
        if is_plain(b) {
            // Nothing is lost by looking at `b` always.
            let (a, b) = (self.one(a)?, self.one(b)?);
            return Some(vec![self.ins(Op::Bool(op, a, b))]);
        }
        let (join, result) = self.block_of(&[Type::Bool]);
        let (yes, no) = (self.block(), self.block());
        self.condition(whole, yes, no)?;
        for (block, truth) in [(yes, true), (no, false)] {
            self.builder.switch_to(block);
            let value = self.bool(truth);
            self.builder.jump(join, vec![value]);
        }
        self.builder.switch_to(join);
        Some(result)
    }

    /// `value ?? other`
    pub(super) fn coalesce(&mut self, value: &Expr, other: &Expr, ty: &Ty) -> Option<Vec<Value>> {
        let scalars = self.expr(value)?;
        let (present, inner) = scalars.split_first()?;
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let (some, none) = (self.block(), self.block());
        self.branch(*present, some, none);
        self.builder.switch_to(some);
        self.builder.jump(join, inner.to_vec());
        self.builder.switch_to(none);
        if let Some(other) = self.expr(other) {
            self.builder.jump(join, other);
        }
        self.builder.switch_to(join);
        Some(results)
    }

    /// `if condition { then } else { otherwise }`
    pub(super) fn if_expr(
        &mut self,
        condition: &Expr,
        then: &Expr,
        otherwise: &Expr,
        ty: &Ty,
    ) -> Option<Vec<Value>> {
        let (yes, no) = (self.block(), self.block());
        self.condition(condition, yes, no)?;
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let mut comes_back = false;
        for (block, value) in [(yes, then), (no, otherwise)] {
            self.builder.switch_to(block);
            if let Some(mut value) = self.expr(value) {
                // The value of an `if` without `else` is not used.
                value.truncate(types.len());
                self.builder.jump(join, value);
                comes_back = true;
            }
        }
        self.builder.switch_to(join);
        if !comes_back {
            self.dead_end();
            return None;
        }
        Some(results)
    }

    /// `match subject { arms }`. The arms take every value, so the last one without a condition need not test anything.
    pub(super) fn match_expr(&mut self, subject: &Expr, arms: &[Arm], ty: &Ty) -> Option<Vec<Value>> {
        let scalars = self.expr(subject)?;
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let last = arms.iter().rposition(|arm| arm.guard.is_none());
        let mut comes_back = false;
        for (at, arm) in arms.iter().enumerate() {
            let is_last = Some(at) == last;
            let next = self.block();
            if is_last {
                self.bind(&arm.pattern, &subject.ty, &scalars);
            } else {
                self.pattern(&arm.pattern, &subject.ty, &scalars, next);
            }
            let mut goes_on = Some(());
            if let Some(guard) = &arm.guard {
                let hit = self.block();
                goes_on = self.condition(guard, hit, next);
                self.builder.switch_to(hit);
            }
            if goes_on.is_some() {
                self.arm(arm.value.span);
            }
            if goes_on.is_some()
                && let Some(mut value) = self.expr(&arm.value)
            {
                value.truncate(types.len());
                self.builder.jump(join, value);
                comes_back = true;
            }
            self.builder.switch_to(next);
            if is_last {
                break;
            }
        }
        // Behind the last arm: no value comes here.
        self.dead_end();
        self.builder.switch_to(join);
        if !comes_back {
            self.dead_end();
            return None;
        }
        Some(results)
    }

    /// `match layer { arms }`. Where the header is known there is nothing to decide.
    pub(super) fn match_layer(&mut self, layer: LayerId, arms: &[LayerArm], ty: &Ty) -> Option<Vec<Value>> {
        let source = self.layer(layer)?.source?;
        let (shared, of) = match source {
            Source::Window(header, _) => {
                let arm = arms.iter().find(|arm| arm.headers.contains(&header))?;
                self.set_layer(arm.layer, source);
                return self.expr(&arm.value);
            }
            Source::Shared(shared, of) => (shared, of),
            Source::Given => return None,
        };
        let number = *self.shared_header(shared, of).first()?;
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let mut comes_back = false;
        for (at, arm) in arms.iter().enumerate() {
            let (hit, next) = (self.block(), self.block());
            if at + 1 == arms.len() {
                self.builder.jump(hit, Vec::new());
            } else {
                let lists: Vec<_> =
                    arm.headers.iter().map(|id| vec![(u64::from(id.0), u64::from(id.0))]).collect();
                let inside = self.in_ranges(&[number], &lists);
                self.branch(inside, hit, next);
            }
            self.builder.switch_to(hit);
            self.set_layer(arm.layer, source);
            if let Some(mut value) = self.expr(&arm.value) {
                value.truncate(types.len());
                self.builder.jump(join, value);
                comes_back = true;
            }
            self.builder.switch_to(next);
        }
        // Behind the last arm: no packet comes here.
        self.dead_end();
        self.builder.switch_to(join);
        if !comes_back {
            self.dead_end();
            return None;
        }
        Some(results)
    }

    /// Goes on in the current block if the value matches, with the names bound; else to `miss`.
    fn pattern(&mut self, pattern: &Pattern, ty: &Ty, scalars: &[Value], miss: Block) {
        match pattern {
            Pattern::Any | Pattern::Bind(_) => self.bind(pattern, ty, scalars),
            Pattern::None => {
                if let Some(present) = scalars.first() {
                    let hit = self.block();
                    self.branch(*present, miss, hit);
                    self.builder.switch_to(hit);
                }
            }
            Pattern::Some(inner) => {
                if let (Some((present, rest)), Ty::Option(ty)) = (scalars.split_first(), ty) {
                    let hit = self.block();
                    self.branch(*present, hit, miss);
                    self.builder.switch_to(hit);
                    self.pattern(inner, ty, rest, miss);
                }
            }
            Pattern::Ranges(ranges) => {
                for (scalar, (low, high)) in scalars.iter().zip(ranges) {
                    if let Some(inside) = self.in_range(*scalar, *low, *high) {
                        let hit = self.block();
                        self.branch(inside, hit, miss);
                        self.builder.switch_to(hit);
                    }
                }
            }
            Pattern::Tuple(parts) => {
                for (part, ty, scalars) in self.parts(parts, ty, scalars) {
                    self.pattern(part, &ty, &scalars, miss);
                }
            }
            Pattern::Or(parts) => {
                let hit = self.block();
                for part in parts {
                    let next = self.block();
                    self.pattern(part, ty, scalars, next);
                    self.builder.jump(hit, Vec::new());
                    self.builder.switch_to(next);
                }
                self.builder.jump(miss, Vec::new());
                self.builder.switch_to(hit);
            }
        }
    }

    /// Gives the names of a pattern their values, where it is known to match.
    fn bind(&mut self, pattern: &Pattern, ty: &Ty, scalars: &[Value]) {
        match (pattern, ty) {
            (Pattern::Bind(id), _) => self.set_local(*id, scalars.to_vec()),
            (Pattern::Some(inner), Ty::Option(ty)) => {
                self.bind(inner, ty, scalars.get(1..).unwrap_or_default());
            }
            (Pattern::Tuple(parts), _) => {
                for (part, ty, scalars) in self.parts(parts, ty, scalars) {
                    self.bind(part, &ty, &scalars);
                }
            }
            _ => {}
        }
    }

    /// The parts of a tuple with their patterns.
    fn parts<'t>(
        &self,
        parts: &'t [Pattern],
        ty: &Ty,
        scalars: &[Value],
    ) -> Vec<(&'t Pattern, Ty, Vec<Value>)> {
        let types: Vec<Ty> = match ty {
            Ty::Tuple(types) => types.clone(),
            Ty::Struct(id) => {
                let fields = &self.program.structs[id.index()].fields;
                fields.iter().map(crate::hir::StructField::value_type).collect()
            }
            _ => return Vec::new(),
        };
        let mut rest = scalars;
        let mut found = Vec::new();
        for (part, ty) in parts.iter().zip(types) {
            let (own, behind) = rest.split_at(self.types(&ty).len().min(rest.len()));
            found.push((part, ty, own.to_vec()));
            rest = behind;
        }
        found
    }
}

/// Whether an expression costs little and changes nothing, so that it may be computed without being needed.
fn is_plain(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Const(_) | ExprKind::Local(_) | ExprKind::Field(..) | ExprKind::Param(_) => true,
        ExprKind::Addr(inner) => is_plain(inner),
        ExprKind::Not(inner) | ExprKind::Part(inner, _) => is_plain(inner),
        ExprKind::Compare(_, a, b) | ExprKind::Arith(_, a, b) => is_plain(a) && is_plain(b),
        _ => false,
    }
}
