//! `if` and `match` on values.

use oko_diagnostics::codes::{results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{Binding, BodyChecker};
use super::exhaustive;
use crate::hir::{Arm, Expr, ExprKind, Pattern};
use crate::types::Ty;

/// The most arms of a `match`.
const MAX_ARMS: usize = 4_096;

/// How many arms of a `match` are looked at for whether they get their turn.
const MAX_COMPARED: usize = 256;

impl BodyChecker<'_, '_, '_> {
    /// `if condition { then } else { otherwise }`
    pub(super) fn if_expr(
        &mut self,
        condition: &ast::Expr,
        then: &ast::Block,
        otherwise: Option<&ast::Expr>,
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        let condition = self.condition(condition);
        let yes = self.scoped(|body| {
            body.facts.learn(&condition, true);
            body.block(then, expected)
        });
        let no = match otherwise {
            Some(otherwise) => self.scoped(|body| {
                body.facts.learn(&condition, false);
                body.expr(otherwise, expected)
            }),
            None => Expr::new(ExprKind::Nothing, Ty::Unit, span),
        };
        if condition.ty.is_error() || yes.ty == Ty::Error || no.ty == Ty::Error {
            return Expr::error(span);
        }
        let ty = if otherwise.is_none() {
            // The value of the block, if it has one, is not used.
            Ty::Unit
        } else {
            match self.joined("both branches", &yes, &no) {
                Some(ty) => ty,
                None => return Expr::error(span),
            }
        };
        let (yes, no) =
            if otherwise.is_none() { (yes, no) } else { (self.as_type(yes, &ty), self.as_type(no, &ty)) };
        Expr::new(ExprKind::If(Box::new(condition), Box::new(yes), Box::new(no)), ty, span)
    }

    /// The type of two branches together; reports where there is none.
    pub(super) fn joined(&mut self, what: &str, a: &Expr, b: &Expr) -> Option<Ty> {
        let ty = match (&a.ty, &b.ty) {
            (Ty::Unit, Ty::Unit | Ty::Never) | (Ty::Never, Ty::Unit) => Some(Ty::Unit),
            (a, b) => a.join(b),
        };
        if ty.is_none() {
            let diagnostic = self.differing(what, &a.ty, last_value(a), &b.ty, last_value(b));
            self.report(diagnostic);
        }
        ty
    }

    /// The value as one of the type that was joined from its own.
    pub(super) fn as_type(&mut self, value: Expr, ty: &Ty) -> Expr {
        if matches!(ty, Ty::Unit | Ty::Never) {
            return value;
        }
        self.fit(value, ty).unwrap_or_else(|value| value)
    }

    /// `match subject { arms }`
    pub(super) fn match_expr(
        &mut self,
        subject: &ast::Expr,
        arms: &[ast::Arm],
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        if let ast::ExprKind::Name(name) = &subject.kind
            && name.name == "pkt"
            && self.binding("pkt").is_none()
        {
            return self.match_packet(arms, expected, span);
        }
        if arms.len() > MAX_ARMS {
            return self.too_many_arms(MAX_ARMS, arms.len(), span);
        }
        if let ast::ExprKind::Name(name) = &subject.kind
            && let Some(Binding::Layer(layer)) = self.binding(&name.name)
        {
            return self.match_layer(layer, name, arms, expected, span);
        }
        let subject = self.expr(subject, None);
        let subject = self.must_have_value(subject);
        let mut checked: Vec<Arm> = Vec::new();
        let mut spans = Vec::new();
        let mut failed = subject.ty.is_error();
        for arm in arms {
            let (names, facts) = (self.names.len(), self.facts.mark());
            let first = self.locals.len();
            let pattern = self.pattern(&arm.pattern, &subject.ty);
            self.remember_parts(first, &subject);
            let guard = arm.guard.as_ref().map(|guard| self.condition(guard));
            if let Some(guard) = &guard {
                self.facts.learn(guard, true);
            }
            let value = self.expr(&arm.value, expected);
            self.names.truncate(names);
            self.facts.reset(facts);
            let bad_guard = guard.as_ref().is_some_and(|guard| guard.ty.is_error());
            match pattern {
                Some(pattern) if !bad_guard && value.ty != Ty::Error => {
                    spans.push(arm.pattern.span);
                    checked.push(Arm { pattern, guard, value });
                }
                _ => failed = true,
            }
        }
        if failed {
            return Expr::error(span);
        }
        if !self.complete(&subject, &checked, &spans, span) {
            return Expr::error(span);
        }
        let Some(ty) = self.arms_type(checked.iter().map(|arm| &arm.value)) else { return Expr::error(span) };
        for arm in &mut checked {
            let value = std::mem::replace(&mut arm.value, Expr::error(span));
            arm.value = self.as_type(value, &ty);
        }
        Expr::new(ExprKind::Match(Box::new(subject), checked), ty, span)
    }

    /// Reports a `match` with so many arms that comparing them would take too long.
    pub(super) fn too_many_arms(&mut self, limit: usize, found: usize, span: Span) -> Expr {
        self.report(
            Diagnostic::error(results::TOO_MANY, format!("this `match` has more than {limit} arms"))
                .label(span, format!("there are {found}"))
                .help("use ranges, lists behind `in`, or a state"),
        );
        Expr::error(span)
    }

    /// The type of all arms together; reports the first that does not go with those before.
    pub(super) fn arms_type<'e>(&mut self, values: impl Iterator<Item = &'e Expr>) -> Option<Ty> {
        let mut all: Option<Expr> = None;
        for value in values {
            let ty = match &all {
                None => value.ty.clone(),
                Some(before) => self.joined("all arms", before, value)?,
            };
            let span = last_value(value);
            all = Some(Expr { kind: ExprKind::Nothing, ty, span });
        }
        Some(all.map_or(Ty::Never, |all| all.ty))
    }

    /// Whether the arms take every value; reports one that they do not, and arms that never get their turn.
    fn complete(&mut self, subject: &Expr, arms: &[Arm], spans: &[Span], span: Span) -> bool {
        // Every arm is compared with all above it.
        for (at, arm) in arms.iter().enumerate().take(MAX_COMPARED) {
            let before: Vec<&Pattern> =
                arms[..at].iter().filter(|arm| arm.guard.is_none()).map(|arm| &arm.pattern).collect();
            if !before.is_empty()
                && exhaustive::covered(&arm.pattern, &before, &subject.ty, &self.checker.program)
            {
                let mut diagnostic =
                    Diagnostic::warning(types::UNREACHABLE_ARM, "this arm never gets its turn")
                        .label(spans[at], "the arms above take all these values");
                if let Some(range) = subject.range().filter(|_| subject.constant().is_none()) {
                    diagnostic = diagnostic.label(subject.span, format!("is in {range}"));
                    if let Some((place, why)) = self.reason(subject) {
                        diagnostic = diagnostic.label(place, why);
                    }
                }
                self.report(diagnostic.help("remove it, or move it up"));
            }
        }
        let rows: Vec<&Pattern> =
            arms.iter().filter(|arm| arm.guard.is_none()).map(|arm| &arm.pattern).collect();
        let Some(missing) = exhaustive::missing(&rows, &subject.ty, &self.checker.program) else {
            return true;
        };
        let guarded = arms.len() > rows.len();
        let diagnostic = Diagnostic::error(types::NOT_EXHAUSTIVE, format!("`{missing}` is not matched"))
            .label(subject.span, format!("can be `{missing}`"))
            .label(span, "no arm takes it")
            .help(if missing == "_" {
                "add an arm `_ => …`".to_owned()
            } else {
                format!("add an arm `{missing} => …` or `_ => …`")
            });
        self.report(if guarded {
            diagnostic.note("an arm with `if` does not count: its condition can be false")
        } else {
            diagnostic
        });
        false
    }
}

/// Where the value of an expression stands: for a block, at its end.
pub(super) fn last_value(value: &Expr) -> Span {
    match &value.kind {
        ExprKind::Block(_, last) if last.ty != Ty::Never => last_value(last),
        _ => value.span,
    }
}
