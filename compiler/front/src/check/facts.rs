//! What conditions say about numbers: where `ttl < 5` holds, `ttl` is in `0..=4`, and where `low <= high` does, `high - low` is not negative.
//!
//! A fact is about things that cannot change while it holds: a named value or a part of one, a header's field, a param, the packet's length, the
//! time. Params and the time are read once per packet and do not change within one; in a test they do, so nothing is learnt of them there. A fact
//! remembers which condition it comes from, so that messages can show it. What is known of one thing is found in one step however many facts there
//! are; of what is known of several together, the latest [`MAX_RELATIONS`] are looked through, and of those that have to do with the question the
//! latest [`MAX_PAIRED`] two by two.

use std::collections::HashMap;

use oko_diagnostics::Span;

use super::linear::Sum;
use crate::hir::{Compare, Expr, ExprKind, LayerId, LocalId, Order, ParamId};
use crate::types::{Range, Ty};

/// How many relations are looked through.
const MAX_RELATIONS: usize = 64;
/// How many relations are added up with a second one: `a <= b` and `b <= c` say that `c - a` is not negative.
const MAX_PAIRED: usize = 16;

/// What a fact can be about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    Local(LocalId),
    Part(LocalId, Parts),
    Field(LayerId, usize),
    Param(ParamId),
    PacketLen,
    InPort,
    Now,
}

/// Which part of a part of a value: up to four steps of 16 bits, each the number of a part and 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Parts(u64);

impl Parts {
    fn then(self, at: usize) -> Option<Parts> {
        let step = u64::try_from(at).ok().filter(|at| *at < 0xffff)? + 1;
        (self.0 >> 48 == 0).then_some(Parts(self.0 << 16 | step))
    }
}

/// What was learnt in one step.
#[derive(Clone, Copy, Debug)]
enum Learnt {
    Range(Subject),
    Relation,
    Contradiction,
}

/// The facts that hold at a place.
#[derive(Default, Debug)]
pub(super) struct Facts {
    /// For each subject, what all facts so far say together, and the condition of the last; the latest last.
    known: HashMap<Subject, Vec<(Range, Span)>>,
    /// Sums that are not negative.
    relations: Vec<Sum>,
    /// How many conditions cannot hold.
    contradictions: usize,
    /// What was learnt, in order.
    learnt: Vec<Learnt>,
    /// The sums that names stand for.
    meanings: HashMap<LocalId, Sum>,
    /// Whether params and the time change from step to step.
    in_test: bool,
}

impl Facts {
    /// The facts of a test, in which params and the time change.
    pub(super) fn of_test() -> Facts {
        Facts { in_test: true, ..Facts::default() }
    }

    /// How far to go back with [`Facts::reset`].
    pub(super) fn mark(&self) -> usize {
        self.learnt.len()
    }

    /// Forgets what was learnt since the mark.
    pub(super) fn reset(&mut self, mark: usize) {
        for learnt in self.learnt.drain(mark..).rev() {
            match learnt {
                Learnt::Range(subject) => {
                    if let Some(known) = self.known.get_mut(&subject) {
                        known.pop();
                    }
                }
                Learnt::Relation => {
                    self.relations.pop();
                }
                Learnt::Contradiction => self.contradictions -= 1,
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

    /// The range of `a + times b`, which is in `range` anyway.
    pub(super) fn narrow_sum(&self, a: &Expr, b: &Expr, times: i128, range: Range) -> Range {
        if self.contradictions > 0 {
            // Nothing is computed here, so nothing is amiss, with a divisor neither.
            let min = range.min.max(1);
            return Range { min, max: range.max.max(min) };
        }
        let sum = Sum::of(a, self).and_then(|sum| sum.plus(&Sum::of(b, self)?, times));
        let Some(sum) = sum else { return range };
        let negated = Sum::default().plus(&sum, -1);
        let most = negated.and_then(|sum| self.least(&sum)).and_then(i128::checked_neg);
        let min = self.least(&sum).map_or(range.min, |least| range.min.max(least));
        let max = most.map_or(range.max, |most| range.max.min(most));
        // Where conditions contradict one another, nothing is computed.
        Range { min, max: max.max(min) }
    }

    /// The least number that `a - b` is known to be; of wide integers, too.
    pub(super) fn least_difference(&self, a: &Expr, b: &Expr) -> Option<i128> {
        let sum = Sum::of(a, self)?.plus(&Sum::of(b, self)?, -1)?;
        self.least(&sum)
    }

    /// The least value of a sum: by what each thing can be, or by one relation or two and what is left then.
    fn least(&self, sum: &Sum) -> Option<i128> {
        // `None` is less than any number.
        let mut least = sum.least();
        for (at, relation) in self.sharing(sum).enumerate() {
            least = least.max(sum.least_without(relation));
            if at < MAX_PAIRED
                && let Some(rest) = sum.plus(relation, -1)
            {
                let second = self.sharing(&rest).take(MAX_PAIRED);
                least = least.max(second.filter_map(|second| rest.least_without(second)).max());
            }
        }
        least
    }

    /// The latest relations that have a thing in common with a sum, the last first.
    fn sharing(&self, sum: &Sum) -> impl Iterator<Item = &Sum> {
        self.relations.iter().rev().take(MAX_RELATIONS).filter(move |relation| relation.shares(sum))
    }

    /// What a name stands for, where that is a sum.
    pub(super) fn meaning(&self, subject: Subject) -> Option<&Sum> {
        match subject {
            Subject::Local(id) => self.meanings.get(&id),
            _ => None,
        }
    }

    /// Remembers what a name stands for, if it is a sum.
    pub(super) fn define(&mut self, id: LocalId, value: &Expr) {
        if let Some(sum) = Sum::of(value, self) {
            self.meanings.insert(id, sum);
        }
    }

    /// Forgets what the name stood for in another scope.
    pub(super) fn undefine(&mut self, id: LocalId) {
        self.meanings.remove(&id);
    }

    /// Whether a subject can be another in the next step.
    pub(super) fn changes(&self, subject: Subject) -> bool {
        self.in_test && matches!(subject, Subject::Param(_) | Subject::Now)
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
                    if let Some(sum) = Sum::of(value, self).filter(|_| subject_of(value).is_none()) {
                        let above = sum.plus(&Sum::of_number(range.min), -1);
                        let below = Sum::of_number(range.max).plus(&sum, -1);
                        for sum in [above, below].into_iter().flatten() {
                            self.relate(sum, condition.span);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Learns what the rule of a header says about several fields of a layer together; what it says about each is in its type.
    pub(super) fn learn_rule(&mut self, rule: &Expr, layer: LayerId) {
        let mut of_header = Facts::default();
        of_header.learn(rule, true);
        for relation in of_header.relations {
            let here = |subject| match subject {
                Subject::Field(_, field) => Some(Subject::Field(layer, field)),
                _ => None,
            };
            if let Some(relation) = relation.map(here) {
                self.relate(relation, rule.span);
            }
        }
    }

    /// Learns that a sum is not negative.
    fn relate(&mut self, sum: Sum, why: Span) {
        if sum.most().is_some_and(|most| most < 0) {
            self.contradictions += 1;
            self.learnt.push(Learnt::Contradiction);
            return;
        }
        match sum.only() {
            Some((subject, Some(range))) => self.add_to(subject, range, why),
            None if sum.number().is_none() => {
                if self.relations.iter().rev().take(MAX_RELATIONS).any(|known| known.says_all_of(&sum)) {
                    return;
                }
                self.relations.push(sum);
                self.learnt.push(Learnt::Relation);
            }
            _ => {}
        }
    }

    /// Learns `a + gap <= b` as a relation, where that says more than a range of one of them.
    fn relate_two(&mut self, a: &Expr, b: &Expr, gap: i128, why: Span) {
        let sum = Sum::of(b, self).and_then(|sum| sum.plus(&Sum::of(a, self)?, -1));
        if let Some(mut sum) = sum
            && let Some(constant) = sum.constant.checked_sub(gap)
        {
            sum.constant = constant;
            self.relate(sum, why);
        }
    }

    fn learn_comparison(&mut self, compare: Compare, a: &Expr, b: &Expr, truth: bool, why: Span) {
        let (Some(left), Some(right)) = (bounds(a), bounds(b)) else { return };
        match (compare, truth) {
            (Compare::Eq, true) | (Compare::Ne, false) => {
                self.relate_two(a, b, 0, why);
                self.relate_two(b, a, 0, why);
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
        self.relate_two(a, b, gap, why);
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
        if bounds(value).is_some_and(|known| known.within(range)) {
            return;
        }
        if let Some(subject) = subject_of(value) {
            self.add_to(subject, range, why);
        }
    }

    fn add_to(&mut self, subject: Subject, range: Range, why: Span) {
        if self.changes(subject) {
            return;
        }
        let before = self.latest(subject);
        if before.is_some_and(|(known, _)| known.within(range)) {
            return;
        }
        let range = before.map_or(range, |(known, _)| known.meet(range).unwrap_or(known));
        self.known.entry(subject).or_default().push((range, why));
        self.learnt.push(Learnt::Range(subject));
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
        ExprKind::Now => Subject::Now,
        ExprKind::Part(inner, at) => match subject_of(inner)? {
            Subject::Local(id) => Subject::Part(id, Parts(0).then(*at)?),
            Subject::Part(id, parts) => Subject::Part(id, parts.then(*at)?),
            _ => return None,
        },
        _ => return None,
    })
}
