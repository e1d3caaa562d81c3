//! Integers of 65 to 128 bits: two words each, the high one first.
//!
//! Their type is their width; ranges are known of words only. So there are the operators whose results have a width that
//! follows from those of the operands: bit by bit, `+` as long as 128 bits suffice, `+%` `-%` `+|` `-|` at the wider operand's width,
//! shifts by constants, and all comparisons. What is left fits in a word again: a slice `x[63:0]`, or `x & 0xffff`.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::BinaryOp;

use super::body::BodyChecker;
use super::slice::sliced;
use crate::hir::{Arith, Expr, ExprKind};
use crate::types::{Num, NumKind, Range, Ty};

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
        let (Some(left), Some(right)) = (width(&a.ty), width(&b.ty)) else {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        };
        if let (ExprKind::Const(x), ExprKind::Const(y)) = (&a.kind, &b.kind) {
            // Constants are known exactly.
            let (x, y) = (from_words(x), from_words(y));
            let exact = match op {
                BinaryOp::Add => x.checked_add(y),
                BinaryOp::Sub => x.checked_sub(y),
                BinaryOp::Mul => x.checked_mul(y),
                BinaryOp::Div => x.checked_div(y),
                BinaryOp::Mod => x.checked_rem(y),
                _ => None,
            };
            if let Some(exact) = exact {
                return integer(exact, span);
            }
        }
        let bits = left.max(right);
        let (arith, ty) = match op {
            // A word cuts the wide operand down to a word.
            BinaryOp::BitAnd if left <= 64 || right <= 64 => {
                let (wide, word) = if left <= 64 { (b, a) } else { (a, b) };
                let low = sliced(wide, 0, 64, span);
                return self.arithmetic(op, op_span, low, word, span);
            }
            BinaryOp::BitAnd => (Arith::And, Ty::Wide(left.min(right))),
            BinaryOp::BitOr => (Arith::Or, Ty::Wide(bits)),
            BinaryOp::BitXor => (Arith::Xor, Ty::Wide(bits)),
            BinaryOp::AddWrap => (Arith::AddWrap(bits), Ty::Wide(bits)),
            BinaryOp::SubWrap => (Arith::SubWrap(bits), Ty::Wide(bits)),
            BinaryOp::AddSat => (Arith::AddSat(bits), Ty::Wide(bits)),
            BinaryOp::SubSat => (Arith::SubSat, Ty::Wide(left)),
            BinaryOp::Add if bits < 128 => (Arith::Add, Ty::Wide(bits + 1)),
            BinaryOp::Shl | BinaryOp::Shr => return self.wide_shift(op, op_span, a, b, span),
            BinaryOp::Add => {
                return self.too_wide_result(
                    op,
                    op_span,
                    (&a, left),
                    (&b, right),
                    "`+|` stays at the greatest value, `+%` starts again at 0",
                );
            }
            BinaryOp::Sub => {
                return self.too_wide_result(
                    op,
                    op_span,
                    (&a, left),
                    (&b, right),
                    "`-|` stays at 0, `-%` goes on from the greatest value",
                );
            }
            _ => {
                return self.too_wide_result(
                    op,
                    op_span,
                    (&a, left),
                    (&b, right),
                    "compute with parts of it, such as `x[63:0]`",
                );
            }
        };
        let wide = Ty::Wide(bits.max(65));
        match (self.fit(a, &wide), self.fit(b, &wide)) {
            (Ok(a), Ok(b)) => fold_wide(arith, a, b, ty, span),
            _ => Expr::error(span),
        }
    }

    fn wide_shift(&mut self, op: BinaryOp, op_span: Span, a: Expr, b: Expr, span: Span) -> Expr {
        let Ty::Wide(bits) = a.ty else { return self.bad_operand(op.symbol(), op_span, &a, &b) };
        let Some(by) = b.constant().filter(|_| b.ty.num().is_some_and(Num::widens)) else {
            self.report(
                Diagnostic::error(types::BAD_SHIFT, "a wide integer is shifted by a constant number of bits")
                    .label(b.span, "not known before packets come")
                    .label(a.span, format!("has {bits} bits")),
            );
            return Expr::error(span);
        };
        let left = op == BinaryOp::Shl;
        let fits = if left { by + u64::from(bits) <= 128 } else { by < u64::from(bits) };
        if !fits || by > 127 {
            let (headline, what) = if left {
                ("the result of `<<` may need more than 128 bits", format!("{bits} bits, shifted by {by}"))
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
        let ty = Ty::Wide(bits + by);
        fold_wide(Arith::Shl, a, b, ty, span)
    }

    fn too_wide_result(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, left): (&Expr, u8),
        (b, right): (&Expr, u8),
        help: &str,
    ) -> Expr {
        let what = match op {
            BinaryOp::Add => "the result of `+` may need more than 128 bits".to_owned(),
            BinaryOp::Sub => "the result of `-` could be negative, which a wide integer cannot be".to_owned(),
            _ => format!("there is no `{}` for wide integers", op.symbol()),
        };
        self.report(
            Diagnostic::error(types::OVERFLOW, what)
                .label(op_span, "not for integers of more than 64 bits")
                .label(a.span, format!("has {left} bits"))
                .label(b.span, format!("has {right} bits"))
                .help(help),
        );
        Expr::error(a.span.to(b.span))
    }
}

/// How many bits an integer has that is never negative.
fn width(ty: &Ty) -> Option<u8> {
    match ty {
        Ty::Wide(bits) => Some(*bits),
        Ty::Num(num) if num.widens() => Some(num.bits.max(num.range.bits())),
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
        return Expr::new(ExprKind::Const(words(value, &ty)), ty, span);
    }
    Expr::new(ExprKind::Arith(op, Box::new(a), Box::new(b)), ty, span)
}

/// The value of arithmetic on two wide integers. Those that are exact are given what fits only.
pub(crate) fn compute_wide(op: Arith, x: u128, y: u128) -> u128 {
    let mask = |bits: u8| u128::MAX >> (128 - u32::from(bits.clamp(1, 128)));
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
        Arith::Add | Arith::Mul | Arith::Div | Arith::Mod => x.wrapping_add(y),
    }
}

/// An integer literal, wide where it must be.
pub(super) fn integer(value: u128, span: Span) -> Expr {
    let ty = match u64::try_from(value) {
        Ok(value) => Ty::Num(Num::computed(NumKind::Int, Range::one(i128::from(value)))),
        Err(_) => Ty::Wide((128 - value.leading_zeros()) as u8),
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
