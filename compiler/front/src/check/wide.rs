//! Integers of 65 to 128 bits: two words each, the high one first.
//!
//! The same operators as for words, and the same rule: a result must fit, in 128 bits and not below 0, for the ranges that the operands
//! have. A result that fits in a word is an ordinary number again.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::BinaryOp;

use super::body::BodyChecker;
use super::slice::sliced;
use crate::hir::{Arith, Expr, ExprKind};
use crate::types::{Num, NumKind, Range, Ty, Wide, WideRange};

impl BodyChecker<'_, '_, '_> {
    /// Arithmetic where at least one operand is wide.
    pub(super) fn wide_arithmetic(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        a: Expr,
        b: Expr,
        span: Span,
    ) -> Expr {
        let (Some(left), Some(right)) = (natural(&a.ty), natural(&b.ty)) else {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        };
        let (x, y) = (left.range, right.range);
        let bits = left.bits.max(right.bits);
        let all = Wide::uint(bits).range;
        // At the operands' width, where the exact result is known to fit.
        let at_width = |exact: Option<WideRange>| {
            let range = exact.filter(|range| range.within(all)).unwrap_or(all);
            Ty::Wide(Wide { bits: bits.max(65), range })
        };
        let exact = |range: Option<WideRange>| range.map(|range| Ty::Wide(Wide::computed(range)));
        let (arith, ty) = match op {
            // A word cuts the wide operand down to a word.
            BinaryOp::BitAnd if matches!(a.ty, Ty::Num(_)) || matches!(b.ty, Ty::Num(_)) => {
                let (wide, word) = if matches!(a.ty, Ty::Num(_)) { (b, a) } else { (a, b) };
                let low = sliced(wide, 0, 64, span);
                return self.arithmetic(op, op_span, low, word, span);
            }
            BinaryOp::BitAnd => (Arith::And, exact(Some(x.and(y)))),
            BinaryOp::BitOr => (Arith::Or, Some(Ty::Wide(Wide { bits, range: x.or(y) }))),
            BinaryOp::BitXor => (Arith::Xor, Some(Ty::Wide(Wide { bits, range: x.xor(y) }))),
            BinaryOp::AddWrap => (Arith::AddWrap(bits), Some(at_width(x.add(y)))),
            BinaryOp::SubWrap => (Arith::SubWrap(bits), Some(at_width(x.sub(y)))),
            BinaryOp::AddSat => {
                let sum = |a: u128, b: u128| a.saturating_add(b).min(all.max);
                let range = WideRange { min: sum(x.min, y.min), max: sum(x.max, y.max) };
                (Arith::AddSat(bits), Some(at_width(Some(range))))
            }
            BinaryOp::SubSat => {
                let range = WideRange { min: x.min.saturating_sub(y.max), max: x.max.saturating_sub(y.min) };
                (Arith::SubSat, Some(at_width(Some(range))))
            }
            BinaryOp::Add => (Arith::Add, exact(x.add(y))),
            BinaryOp::Sub => (Arith::Sub, exact(x.sub(y).or_else(|| self.known_difference(&a, x, &b, y)))),
            BinaryOp::Mul => (Arith::Mul, exact(x.mul(y))),
            BinaryOp::Div | BinaryOp::Mod if y.min == 0 => {
                let shown = (y.max != 0).then(|| y.to_string());
                return self.division_by_zero(op, &b, shown, span);
            }
            BinaryOp::Div => (Arith::Div, exact(Some(x.div(y)))),
            BinaryOp::Mod => (Arith::Mod, exact(Some(x.rem(y)))),
            BinaryOp::Shl | BinaryOp::Shr => return self.wide_shift(op, op_span, a, b, span),
            _ => return self.bad_operand(op.symbol(), op_span, &a, &b),
        };
        let Some(ty) = ty else { return self.outside(op, op_span, (&a, x), (&b, y)) };
        let (wide, width) = (Ty::wide(bits), Wide::computed(x).bits);
        let (Ok(a), Ok(b)) = (self.fit(a, &wide), self.fit(b, &wide)) else { return Expr::error(span) };
        let result = match (arith, y.single()) {
            // A power of two: the bits above, or those below. There is a bit above unless all of the number is below.
            (Arith::Div, Some(by)) if by.is_power_of_two() && (by.trailing_zeros() as u8) < width => {
                let low = by.trailing_zeros() as u8;
                sliced(a, low, width - low, span)
            }
            (Arith::Mod, Some(by)) if by.is_power_of_two() && by > 1 => {
                sliced(a, 0, by.trailing_zeros() as u8, span)
            }
            _ => fold_wide(arith, a, b, ty, span),
        };
        // `+|` and its like stay at their width.
        let keeps_width =
            matches!(op, BinaryOp::AddSat | BinaryOp::SubSat | BinaryOp::AddWrap | BinaryOp::SubWrap);
        match &result.ty {
            Ty::Wide(wide) if !keeps_width => match wide.range.word() {
                Some(range) => sliced(result, 0, range.bits().max(1), span),
                None => result,
            },
            _ => result,
        }
    }

    /// What `a - b` can be where a condition says that it is not negative.
    fn known_difference(&self, a: &Expr, x: WideRange, b: &Expr, y: WideRange) -> Option<WideRange> {
        let least = self.facts.least_difference(a, b)?;
        let (min, max) = (u128::try_from(least).ok()?, x.max.checked_sub(y.min)?);
        (min <= max).then_some(WideRange { min, max })
    }

    fn wide_shift(&mut self, op: BinaryOp, op_span: Span, a: Expr, b: Expr, span: Span) -> Expr {
        let Ty::Wide(Wide { bits, range }) = a.ty else {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        };
        let Some(by) = b.constant().filter(|_| b.ty.num().is_some_and(Num::widens)) else {
            self.report(
                Diagnostic::error(types::BAD_SHIFT, "a wide integer is shifted by a constant number of bits")
                    .label(b.span, "not known before packets come")
                    .label(a.span, format!("has {bits} bits")),
            );
            return Expr::error(span);
        };
        let left = op == BinaryOp::Shl;
        let fits = if left { by <= u64::from(range.max.leading_zeros()) } else { by < u64::from(bits) };
        if !fits || by > 127 {
            let (headline, what) = if left {
                ("the result of `<<` may need more than 128 bits", format!("can be {range}"))
            } else {
                ("nothing is left of the number", format!("has {bits} bits"))
            };
            self.report(
                Diagnostic::error(types::BAD_SHIFT, headline)
                    .label(b.span, "shifted by this")
                    .label(a.span, what)
                    .help("take the bits that count first, such as `x[63:0]`"),
            );
            return Expr::error(span);
        }
        // Both are below 128.
        let by = by as u8;
        if !left {
            return sliced(a, by, bits - by, span);
        }
        let range = WideRange { min: range.min << by, max: range.max << by };
        fold_wide(Arith::Shl, a, b, Ty::Wide(Wide::computed(range)), span)
    }

    /// Reports a result that may need more than 128 bits or be negative.
    fn outside(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, x): (&Expr, WideRange),
        (b, y): (&Expr, WideRange),
    ) -> Expr {
        let (what, place, help) = match op {
            BinaryOp::Sub => (
                "the result of `-` could be negative, which a wide integer cannot be".to_owned(),
                "below 0",
                "`-|` stays at 0, `-%` goes on from the greatest value",
            ),
            BinaryOp::Add => (
                "the result of `+` may need more than 128 bits".to_owned(),
                "too large",
                "`+|` stays at the greatest value, `+%` starts again at 0",
            ),
            _ => (
                format!("the result of `{}` may need more than 128 bits", op.symbol()),
                "too large",
                "compare the operands first, or take the bits that count, such as `x[63:0]`",
            ),
        };
        let diagnostic = Diagnostic::error(types::OVERFLOW, what)
            .label(op_span, place)
            .label(a.span, format!("can be {x}"))
            .label(b.span, format!("can be {y}"))
            .help(help);
        self.report(if op == BinaryOp::Sub {
            diagnostic.note("behind a condition such as `a >= b`, it is known that `a - b` is not negative")
        } else {
            diagnostic
        });
        Expr::error(a.span.to(b.span))
    }
}

/// An integer that is never negative, as a wide one.
fn natural(ty: &Ty) -> Option<Wide> {
    match ty {
        Ty::Wide(wide) => Some(*wide),
        Ty::Num(num) => num.natural().map(Wide::computed),
        _ => None,
    }
}

/// The number in one or two words, the high one first.
pub(super) fn from_words(words: &[u64]) -> u128 {
    words.iter().fold(0, |value, word| value << 64 | u128::from(*word))
}

/// The words of a number of a type.
pub(super) fn words(value: u128, ty: &Ty) -> Vec<u64> {
    match ty {
        Ty::Wide(_) | Ty::Ip6 => vec![(value >> 64) as u64, value as u64],
        _ => vec![value as u64],
    }
}

/// Arithmetic on wide integers, computed here where both operands are constants.
fn fold_wide(op: Arith, a: Expr, b: Expr, ty: Ty, span: Span) -> Expr {
    if let (ExprKind::Const(x), ExprKind::Const(y)) = (&a.kind, &b.kind) {
        let value = compute_wide(op, from_words(x), from_words(y));
        let ty = match ty {
            Ty::Wide(wide) => Ty::Wide(Wide { range: WideRange::one(value), ..wide }),
            other => other,
        };
        return Expr::new(ExprKind::Const(words(value, &ty)), ty, span);
    }
    Expr::new(ExprKind::Arith(op, Box::new(a), Box::new(b)), ty, span)
}

/// The value of arithmetic on two wide integers. Those that are exact are given what fits only.
pub(crate) fn compute_wide(op: Arith, x: u128, y: u128) -> u128 {
    let mask = |bits: u8| WideRange::of_bits(bits).max;
    match op {
        Arith::And => x & y,
        Arith::Or => x | y,
        Arith::Xor => x ^ y,
        Arith::AddSat(bits) => x.saturating_add(y).min(mask(bits)),
        Arith::SubSat => x.saturating_sub(y),
        Arith::AddWrap(bits) => x.wrapping_add(y) & mask(bits),
        Arith::SubWrap(bits) => x.wrapping_sub(y) & mask(bits),
        Arith::Sub => x.wrapping_sub(y),
        Arith::Shl => x.checked_shl(u32::try_from(y).unwrap_or(128)).unwrap_or(0),
        Arith::Shr => x.checked_shr(u32::try_from(y).unwrap_or(128)).unwrap_or(0),
        Arith::Add => x.wrapping_add(y),
        Arith::Mul => x.wrapping_mul(y),
        Arith::Div => x.checked_div(y).unwrap_or(0),
        Arith::Mod => x.checked_rem(y).unwrap_or(x),
    }
}

/// An integer literal, wide where it must be.
pub(super) fn integer(value: u128, span: Span) -> Expr {
    let ty = match u64::try_from(value) {
        Ok(value) => Ty::Num(Num::computed(NumKind::Int, Range::one(i128::from(value)))),
        Err(_) => Ty::Wide(Wide::computed(WideRange::one(value))),
    };
    Expr::new(ExprKind::Const(words(value, &ty)), ty, span)
}

/// The wide numbers from `low` to `high` as ranges of high and low words.
pub(super) fn rectangles(low: u128, high: u128) -> Vec<Vec<(u64, u64)>> {
    let split = |value: u128| ((value >> 64) as u64, value as u64);
    let ((low_high, low_low), (high_high, high_low)) = (split(low), split(high));
    if low_high == high_high {
        return vec![vec![(low_high, low_high), (low_low, high_low)]];
    }
    let mut all = vec![vec![(low_high, low_high), (low_low, u64::MAX)]];
    if high_high - low_high > 1 {
        all.push(vec![(low_high + 1, high_high - 1), (0, u64::MAX)]);
    }
    all.push(vec![(high_high, high_high), (0, high_low)]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_hold_the_numbers_of_a_range_and_no_others() {
        let points = [0u128, 1, u64::MAX as u128, 1 << 64, (1 << 64) + 5, 3 << 64, (3 << 64) + 7, u128::MAX];
        for low in points {
            for high in points.into_iter().filter(|high| low <= *high) {
                let all = rectangles(low, high);
                for value in points.into_iter().flat_map(|p| [p, p.saturating_add(1), p.saturating_sub(1)]) {
                    let (a, b) = ((value >> 64) as u64, value as u64);
                    let inside = all
                        .iter()
                        .any(|list| list[0].0 <= a && a <= list[0].1 && list[1].0 <= b && b <= list[1].1);
                    assert_eq!(inside, low <= value && value <= high, "{value} in {low}..={high}");
                }
            }
        }
    }
}
