//! Sums of things that do not change, as conditions and differences are seen: `len - ihl * 4 - 20` is `1 len - 4 ihl`, and -20.
//!
//! Arithmetic on numbers is exact, so two expressions with the same sum have the same value, however they are written. An expression that is no such
//! sum, or a long one, has none, and nothing is known of it beyond its range.

use super::facts::{Facts, Subject, subject_of};
use crate::hir::{Arith, Expr, ExprKind};
use crate::types::{Range, Ty};

/// How many things a sum may have.
const MAX_TERMS: usize = 8;
/// How many operands and operators of an expression are looked at: all are asked again for each operator around them.
const MAX_PARTS: usize = 32;

/// The least and the greatest value of something, where there is one that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub(super) min: Option<i128>,
    pub(super) max: Option<i128>,
}

impl Bounds {
    fn of(value: &Expr) -> Option<Bounds> {
        match &value.ty {
            Ty::Num(num) => Some(Bounds { min: Some(num.range.min), max: Some(num.range.max) }),
            Ty::Wide(wide) => Some(Bounds {
                min: i128::try_from(wide.range.min).ok(),
                max: i128::try_from(wide.range.max).ok(),
            }),
            _ => None,
        }
    }
}

/// A thing, how often it is in a sum, and what it can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term {
    subject: Subject,
    times: i128,
    bounds: Bounds,
    /// Whether it is an integer of more than 64 bits.
    wide: bool,
}

/// A sum of things and a number. Each thing is in it once, none of them 0 times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sum {
    terms: Vec<Term>,
    pub(super) constant: i128,
}

impl Sum {
    /// What an expression adds up; `facts` know what names stand for.
    pub(super) fn of(value: &Expr, facts: &Facts) -> Option<Sum> {
        Sum::of_parts(value, facts, &mut { MAX_PARTS })
    }

    fn of_parts(value: &Expr, facts: &Facts, parts: &mut usize) -> Option<Sum> {
        *parts = parts.checked_sub(1)?;
        if let Some(subject) = subject_of(value) {
            let bounds = Bounds::of(value)?;
            if facts.changes(subject) {
                return None;
            }
            return Some(facts.meaning(subject).cloned().unwrap_or_else(|| Sum {
                terms: vec![Term { subject, times: 1, bounds, wide: matches!(value.ty, Ty::Wide(_)) }],
                constant: 0,
            }));
        }
        match &value.kind {
            ExprKind::Const(_) => {
                let bounds = Bounds::of(value)?;
                bounds.min.filter(|min| Some(*min) == bounds.max).map(Sum::of_number)
            }
            ExprKind::Arith(op @ (Arith::Add | Arith::Sub | Arith::Mul), a, b) => {
                let (a, b) = (Sum::of_parts(a, facts, parts)?, Sum::of_parts(b, facts, parts)?);
                match (op, a.number(), b.number()) {
                    (Arith::Add, ..) => a.plus(&b, 1),
                    (Arith::Sub, ..) => a.plus(&b, -1),
                    (_, Some(times), _) => Sum::default().plus(&b, times),
                    (_, _, Some(times)) => Sum::default().plus(&a, times),
                    _ => None,
                }
            }
            ExprKind::Widen(inner) => Sum::of_parts(inner, facts, parts),
            _ => None,
        }
    }

    /// A sum of no things.
    pub(super) fn of_number(constant: i128) -> Sum {
        Sum { terms: Vec::new(), constant }
    }

    /// The number that it is, if it has no things.
    pub(super) fn number(&self) -> Option<i128> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// This and `times` the other; `None` where that is too large or has too many things.
    pub(super) fn plus(&self, other: &Sum, times: i128) -> Option<Sum> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(other.constant.checked_mul(times)?)?;
        for term in &other.terms {
            let more = term.times.checked_mul(times)?;
            match sum.terms.iter_mut().find(|known| known.subject == term.subject) {
                Some(known) => known.times = known.times.checked_add(more)?,
                None => sum.terms.push(Term { times: more, ..*term }),
            }
        }
        sum.terms.retain(|term| term.times != 0);
        (sum.terms.len() <= MAX_TERMS).then_some(sum)
    }

    /// The least value that follows from what each thing can be.
    pub(super) fn least(&self) -> Option<i128> {
        let least = |term: &Term| {
            let bound = if term.times > 0 { term.bounds.min } else { term.bounds.max };
            bound?.checked_mul(term.times)
        };
        self.terms.iter().try_fold(self.constant, |sum, term| sum.checked_add(least(term)?))
    }

    /// The least value of this without `other`, which is subtracted.
    pub(super) fn least_without(&self, other: &Sum) -> Option<i128> {
        let bound = |term: &Term, times: i128| match times {
            0 => Some(0),
            1.. => term.bounds.min?.checked_mul(times),
            _ => term.bounds.max?.checked_mul(times),
        };
        let mut least = self.constant.checked_sub(other.constant)?;
        for term in &self.terms {
            let less = other.terms.iter().find(|of| of.subject == term.subject).map_or(0, |of| of.times);
            least = least.checked_add(bound(term, term.times.checked_sub(less)?)?)?;
        }
        for term in &other.terms {
            if self.terms.iter().all(|of| of.subject != term.subject) {
                least = least.checked_add(bound(term, term.times.checked_neg()?)?)?;
            }
        }
        Some(least)
    }

    /// Whether `other` is not negative where this is not, because it is this and perhaps more.
    pub(super) fn says_all_of(&self, other: &Sum) -> bool {
        self.constant <= other.constant
            && self.terms.len() == other.terms.len()
            && self.terms.iter().all(|term| other.terms.contains(term))
    }

    /// The greatest value that follows from what each thing can be.
    pub(super) fn most(&self) -> Option<i128> {
        Sum::default().plus(self, -1)?.least()?.checked_neg()
    }

    /// Whether the two have a thing in common, on the same side.
    pub(super) fn shares(&self, other: &Sum) -> bool {
        self.terms.iter().any(|term| {
            other.terms.iter().any(|of| of.subject == term.subject && (of.times > 0) == (term.times > 0))
        })
    }

    /// If it has only one thing: which one, and what it can be where the sum is not negative. Of a wide integer that is not said.
    pub(super) fn only(&self) -> Option<(Subject, Option<Range>)> {
        let [term] = self.terms.as_slice() else { return None };
        let (Bounds { min: Some(min), max: Some(max) }, false) = (term.bounds, term.wide) else {
            return Some((term.subject, None));
        };
        // `8 * words - 20 >= 0`: at least 3 words.
        let bound = self.constant.checked_neg().map(|bound| div_up(bound, term.times.saturating_abs()));
        let range = match (bound, term.times > 0) {
            (Some(bound), true) => Range { min: min.max(bound), max },
            (Some(bound), false) => Range { min, max: max.min(-bound) },
            (None, _) => Range { min, max },
        };
        let says_more = (range.min > min || range.max < max) && range.min <= range.max;
        Some((term.subject, says_more.then_some(range)))
    }

    /// The same of another subject for each.
    pub(super) fn map(&self, subject: impl Fn(Subject) -> Option<Subject>) -> Option<Sum> {
        let terms = self.terms.iter().map(|term| Some(Term { subject: subject(term.subject)?, ..*term }));
        Some(Sum { terms: terms.collect::<Option<_>>()?, constant: self.constant })
    }
}

impl Default for Sum {
    /// 0
    fn default() -> Self {
        Sum { terms: Vec::new(), constant: 0 }
    }
}

/// The least whole number that is not below `a / b`, for `b` above 0.
fn div_up(a: i128, b: i128) -> i128 {
    let b = b.max(1);
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}
