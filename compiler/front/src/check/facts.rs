//! What conditions say about numbers: where `ttl < 5` holds, `ttl` is in `0..=4`.
//!
//! A fact narrows the range of a thing that cannot change while it holds: a named value, a header's field, a param, the
//! packet's length. Params are read once per packet and do not change within one. A fact remembers which condition it comes
//! from, so that messages can show it. What is known of a subject is found in one step however many facts there are.

use std::collections::HashMap;

use oko_diagnostics::Span;

use crate::hir::{Compare, Expr, ExprKind, LayerId, LocalId, Order, ParamId};
use crate::types::{Range, Ty};

/// What a fact can be about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    Local(LocalId),
    Field(LayerId, usize),
    Param(ParamId),
    PacketLen,
    InPort,
}

/// The facts that hold at a place.
#[derive(Default, Debug)]
pub(super) struct Facts {
    /// For each subject, what all facts so far say together, and the condition of the last; the latest last.
    known: HashMap<Subject, Vec<(Range, Span)>>,
    /// What was learnt about, in order.
    learnt: Vec<Subject>,
}

impl Facts {
    /// How far to go back with [`Facts::reset`].
    pub(super) fn mark(&self) -> usize {
        self.learnt.len()
    }

    /// Forgets what was learnt since the mark.
    pub(super) fn reset(&mut self, mark: usize) {
        for subject in self.learnt.drain(mark..).rev() {
            if let Some(known) = self.known.get_mut(&subject) {
                known.pop();
            }
        }
    }

    /// The range of a subject that is in `range` anyway.
    pub(super) fn narrow(&self, subject: Subject, range: Range) -> Range {
        match self.latest(subject) {
            Some((fact, _)) => range.meet(fact).unwrap_or(range),
            None => range,
        }
    }

    /// The condition that the range of a subject follows from.
    pub(super) fn reason(&self, subject: Subject) -> Option<Span> {
        self.latest(subject).map(|(_, span)| span)
    }

    fn latest(&self, subject: Subject) -> Option<(Range, Span)> {
        self.known.get(&subject)?.last().copied()
    }

    /// Learns from a condition that is true, or that is false.
    pub(super) fn learn(&mut self, condition: &Expr, truth: bool) {
        match (&condition.kind, truth) {
            (ExprKind::Not(inner), _) => self.learn(inner, !truth),
            (ExprKind::And(a, b), true) | (ExprKind::Or(a, b), false) => {
                self.learn(a, truth);
                self.learn(b, truth);
            }
            (ExprKind::Compare(compare, a, b), _) => {
                self.learn_comparison(*compare, a, b, truth, condition.span);
            }
            (ExprKind::InRanges(value, lists), true) => {
                let bounds = lists.iter().filter_map(|list| match list.as_slice() {
                    [(low, high)] => Some(Range::new(i128::from(*low), i128::from(*high))),
                    _ => None,
                });
                if let Some(range) = bounds.reduce(Range::join)
                    && value.range().is_some()
                {
                    self.add(value, range, condition.span);
                }
            }
            _ => {}
        }
    }

    fn learn_comparison(&mut self, compare: Compare, a: &Expr, b: &Expr, truth: bool, why: Span) {
        let (Some(left), Some(right)) = (bounds(a), bounds(b)) else { return };
        match (compare, truth) {
            (Compare::Eq, true) | (Compare::Ne, false) => {
                self.add(a, right, why);
                self.add(b, left, why);
            }
            (Compare::Eq, false) | (Compare::Ne, true) => {
                self.exclude(a, left, right, why);
                self.exclude(b, right, left, why);
            }
            (Compare::Lt(order), _) if order != Order::Serial => {
                if truth {
                    self.below((a, left), (b, right), 1, why);
                } else {
                    self.below((b, right), (a, left), 0, why);
                }
            }
            (Compare::Le(order), _) if order != Order::Serial => {
                if truth {
                    self.below((a, left), (b, right), 0, why);
                } else {
                    self.below((b, right), (a, left), 1, why);
                }
            }
            _ => {}
        }
    }

    /// `a + gap <= b`
    fn below(&mut self, (a, left): (&Expr, Range), (b, right): (&Expr, Range), gap: i128, why: Span) {
        let (most, least) = (right.max.saturating_sub(gap), left.min.saturating_add(gap));
        if left.min <= most {
            self.add(a, Range { min: left.min, max: most }, why);
        }
        if least <= right.max {
            self.add(b, Range { min: least, max: right.max }, why);
        }
    }

    /// `value`, in `range`, is not the only number of `other`.
    fn exclude(&mut self, value: &Expr, range: Range, other: Range, why: Span) {
        let Some(number) = other.single() else { return };
        if range.single().is_some() {
            return;
        }
        if range.min == number {
            self.add(value, Range { min: number + 1, max: range.max }, why);
        } else if range.max == number {
            self.add(value, Range { min: range.min, max: number - 1 }, why);
        }
    }

    fn add(&mut self, value: &Expr, range: Range, why: Span) {
        let Some(subject) = subject_of(value) else { return };
        if bounds(value).is_some_and(|known| known.within(range)) {
            return;
        }
        let before = self.latest(subject);
        let range = before.map_or(range, |(known, _)| known.meet(range).unwrap_or(known));
        // What says nothing new is no reason.
        let why = before.filter(|(known, _)| *known == range).map_or(why, |(_, earlier)| earlier);
        self.known.entry(subject).or_default().push((range, why));
        self.learnt.push(subject);
    }
}

/// The range of a number. That of a wide integer is [shifted](crate::types::WideRange::shifted): it is only compared with those of others.
fn bounds(value: &Expr) -> Option<Range> {
    match &value.ty {
        Ty::Wide(wide) => Some(wide.range.shifted()),
        ty => ty.num().map(|num| num.range),
    }
}

/// What facts about a value are about, if there can be any.
pub(super) fn subject_of(value: &Expr) -> Option<Subject> {
    Some(match &value.kind {
        ExprKind::Local(id) => Subject::Local(*id),
        ExprKind::Field(layer, field) => Subject::Field(*layer, *field),
        ExprKind::Param(id) => Subject::Param(*id),
        ExprKind::PacketLen => Subject::PacketLen,
        ExprKind::InPort => Subject::InPort,
        _ => return None,
    })
}
