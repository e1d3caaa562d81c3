//! What conditions say about numbers: where `ttl < 5` holds, `ttl` is in `0..=4`.
//!
//! A fact narrows the range of a thing that cannot change while it holds: a named value, a header's field, a param, the
//! packet's length. Params are read once per packet and do not change within one.

use crate::hir::{Compare, Expr, ExprKind, LayerId, LocalId, Order, ParamId};
use crate::types::Range;

/// What a fact can be about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Local(LocalId),
    Field(LayerId, usize),
    Param(ParamId),
    PacketLen,
    InPort,
}

/// The facts that hold at a place, the latest last.
#[derive(Default, Debug)]
pub(super) struct Facts {
    known: Vec<(Subject, Range)>,
}

impl Facts {
    /// How far to go back with [`Facts::reset`].
    pub(super) fn mark(&self) -> usize {
        self.known.len()
    }

    /// Forgets what was learnt since the mark.
    pub(super) fn reset(&mut self, mark: usize) {
        self.known.truncate(mark);
    }

    /// The range of a subject that is in `range` anyway.
    pub(super) fn narrow(&self, subject: Subject, range: Range) -> Range {
        let facts = self.known.iter().filter(|(about, _)| *about == subject);
        facts.fold(range, |range, (_, fact)| range.meet(*fact).unwrap_or(range))
    }

    /// Learns from a condition that is true, or that is false.
    pub(super) fn learn(&mut self, condition: &Expr, truth: bool) {
        match (&condition.kind, truth) {
            (ExprKind::Not(inner), _) => self.learn(inner, !truth),
            (ExprKind::And(a, b), true) | (ExprKind::Or(a, b), false) => {
                self.learn(a, truth);
                self.learn(b, truth);
            }
            (ExprKind::Compare(compare, a, b), _) => self.learn_comparison(*compare, a, b, truth),
            (ExprKind::InRanges(value, lists), true) => {
                let bounds = lists.iter().filter_map(|list| match list.as_slice() {
                    [(low, high)] => Some(Range::new(i128::from(*low), i128::from(*high))),
                    _ => None,
                });
                if let Some(range) = bounds.reduce(Range::join)
                    && value.range().is_some()
                {
                    self.add(value, range);
                }
            }
            _ => {}
        }
    }

    fn learn_comparison(&mut self, compare: Compare, a: &Expr, b: &Expr, truth: bool) {
        let (Some(left), Some(right)) = (a.range(), b.range()) else { return };
        match (compare, truth) {
            (Compare::Eq, true) | (Compare::Ne, false) => {
                self.add(a, right);
                self.add(b, left);
            }
            (Compare::Eq, false) | (Compare::Ne, true) => {
                self.exclude(a, left, right);
                self.exclude(b, right, left);
            }
            (Compare::Lt(order), _) if order != Order::Serial => {
                if truth {
                    self.below(a, left, b, right, 1);
                } else {
                    self.below(b, right, a, left, 0);
                }
            }
            (Compare::Le(order), _) if order != Order::Serial => {
                if truth {
                    self.below(a, left, b, right, 0);
                } else {
                    self.below(b, right, a, left, 1);
                }
            }
            _ => {}
        }
    }

    /// `a + gap <= b`
    fn below(&mut self, a: &Expr, left: Range, b: &Expr, right: Range, gap: i128) {
        if left.min <= right.max - gap {
            self.add(a, Range { min: left.min, max: right.max - gap });
        }
        if left.min + gap <= right.max {
            self.add(b, Range { min: left.min + gap, max: right.max });
        }
    }

    /// `value`, in `range`, is not the only number of `other`.
    fn exclude(&mut self, value: &Expr, range: Range, other: Range) {
        let Some(number) = other.single() else { return };
        if range.single().is_some() {
            return;
        }
        if range.min == number {
            self.add(value, Range { min: number + 1, max: range.max });
        } else if range.max == number {
            self.add(value, Range { min: range.min, max: number - 1 });
        }
    }

    fn add(&mut self, value: &Expr, range: Range) {
        let subject = match &value.kind {
            ExprKind::Local(id) => Subject::Local(*id),
            ExprKind::Field(layer, field) => Subject::Field(*layer, *field),
            ExprKind::Param(id) => Subject::Param(*id),
            ExprKind::PacketLen => Subject::PacketLen,
            ExprKind::InPort => Subject::InPort,
            _ => return,
        };
        self.known.push((subject, range));
    }
}
