//! Conditions that ranges decide: `ttl < 300` where `ttl` has 8 bits. They are warnings that show the ranges, and where those
//! come from.
//!
//! A condition of constants alone is not meant: that is how programs are configured. One that is looked at several times, for
//! several headers, is only told of if it comes out the same each time.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};

use super::body::BodyChecker;
use super::facts::subject_of;
use crate::hir::{Compare, Expr, ExprKind, Order};
use crate::types::Range;

impl BodyChecker<'_, '_, '_> {
    /// Remembers whether a condition can be true and false.
    pub(super) fn note_condition(&mut self, condition: &Expr) {
        if self.checker.quiet > 0 {
            return;
        }
        let found = self.decided(condition);
        let known = self.checker.conditions.entry(condition.span).or_insert_with(|| found.clone());
        if *known != found {
            *known = None;
        }
    }

    fn decided(&self, condition: &Expr) -> Option<Diagnostic> {
        let (truth, operands) = match &condition.kind {
            ExprKind::Not(inner) => match &inner.kind {
                ExprKind::InRanges(value, lists) => (!member(value.range()?, lists)?, vec![&**value]),
                _ => return None,
            },
            ExprKind::Compare(compare, a, b) => {
                (compared(*compare, a.range()?, b.range()?)?, vec![&**a, &**b])
            }
            ExprKind::InRanges(value, lists) => (member(value.range()?, lists)?, vec![&**value]),
            _ => return None,
        };
        let headline = if truth { "this is always true" } else { "this is never true" };
        let mut diagnostic = Diagnostic::warning(types::DECIDED, headline)
            .label(condition.span, if truth { "can only be true" } else { "can only be false" });
        for operand in operands {
            if matches!(operand.kind, ExprKind::Const(_)) {
                continue;
            }
            if let Some(range) = operand.range() {
                diagnostic = diagnostic.label(operand.span, format!("is in {range}"));
            }
            if let Some((place, why)) = self.reason(operand) {
                diagnostic = diagnostic.label(place, why);
            }
        }
        Some(diagnostic)
    }

    /// Where the range of a value comes from, unless it is plain from its type.
    pub(super) fn reason(&self, value: &Expr) -> Option<(Span, &'static str)> {
        if let Some(place) = subject_of(value).and_then(|subject| self.facts.reason(subject)) {
            return Some((place, "because of this condition"));
        }
        match &value.kind {
            ExprKind::Local(id) => {
                self.locals.get(id.index()).map(|local| (local.span, "since it is this value"))
            }
            ExprKind::Param(id) => {
                let param = self.checker.program.params.get(id.index())?;
                Some((param.span, "set within the range declared here"))
            }
            _ => None,
        }
    }
}

/// What a comparison of numbers in two ranges always is.
fn compared(compare: Compare, a: Range, b: Range) -> Option<bool> {
    let less = |a: Range, b: Range| {
        if a.max < b.min {
            Some(true)
        } else if a.min >= b.max {
            Some(false)
        } else {
            None
        }
    };
    match compare {
        Compare::Eq | Compare::Ne => {
            let equal = match (a.single(), b.single()) {
                (Some(a), Some(b)) => a == b,
                _ if a.meet(b).is_none() => false,
                _ => return None,
            };
            Some(equal == (compare == Compare::Eq))
        }
        Compare::Lt(order) if order != Order::Serial => less(a, b),
        Compare::Le(order) if order != Order::Serial => less(b, a).map(|greater| !greater),
        _ => None,
    }
}

fn member(value: Range, lists: &[Vec<(u64, u64)>]) -> Option<bool> {
    let ranges = lists.iter().filter_map(|list| list.first());
    let mut ranges = ranges.map(|(low, high)| Range::new(i128::from(*low), i128::from(*high)));
    if ranges.clone().any(|range| value.within(range)) {
        return Some(true);
    }
    if ranges.all(|range| value.meet(range).is_none()) { Some(false) } else { None }
}
