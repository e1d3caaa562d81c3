//! Slices of bits: `x[7:4]` is the number in the bits 7 to 4 of `x`, both included, where bit 0 is the lowest, as in P4.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::wide::{from_words, words};
use crate::hir::{Expr, ExprKind};
use crate::types::{Num, NumKind, Range, Ty, Wide, WideRange};

impl BodyChecker<'_, '_, '_> {
    /// `base[high:low]`
    pub(super) fn slice(&mut self, base: &ast::Expr, high: &ast::Expr, low: &ast::Expr, span: Span) -> Expr {
        let value = self.expr(base, None);
        let value = self.must_have_value(value);
        let ends = (self.position(high), self.position(low));
        if value.ty.is_error() {
            return Expr::error(span);
        }
        let Some(width) = self.bits_of(&value) else {
            let found = self.describe(&value.ty);
            let diagnostic = Diagnostic::error(types::BAD_OPERAND, "bits cannot be taken from this")
                .label(value.span, format!("this is `{found}`"));
            self.report(match value.ty {
                Ty::Num(Num { kind: NumKind::Int, .. }) => {
                    diagnostic.help("`-|` instead of `-` stays at 0, or compare first")
                }
                _ => diagnostic.help("bits are taken from integers, addresses and `bits` types"),
            });
            return Expr::error(span);
        };
        let (Some(first), Some(last)) = ends else { return Expr::error(span) };
        if first < last {
            self.report(
                Diagnostic::error(types::BAD_SLICE, "the higher bit comes first")
                    .label(high.span.to(low.span), format!("from bit {first} down to bit {last}"))
                    .suggest(
                        high.span.to(low.span),
                        format!("{last}:{first}"),
                        "write the higher bit first".to_owned(),
                    ),
            );
            return Expr::error(span);
        }
        if first >= u64::from(width) {
            let found = self.describe(&value.ty);
            self.report(
                Diagnostic::error(types::BAD_SLICE, format!("there is no bit {first}"))
                    .label(high.span, format!("the highest bit is {}", width - 1))
                    .label(value.span, format!("`{found}` has {width} bits")),
            );
            return Expr::error(span);
        }
        // Both are below 128.
        sliced(value, last as u8, (first - last + 1) as u8, span)
    }

    /// The number of a bit, which must be constant.
    fn position(&mut self, ast: &ast::Expr) -> Option<u64> {
        let value = self.expr(ast, None);
        match (&value.ty, value.constant()) {
            (Ty::Num(Num { kind: NumKind::Int, range, .. }), Some(position)) if range.min >= 0 => {
                Some(position)
            }
            (Ty::Error, _) => None,
            _ => {
                self.report(
                    Diagnostic::error(types::NOT_CONSTANT, "which bits are taken must be known beforehand")
                        .label(value.span, "not a constant number")
                        .help("shift and mask: `(x >> n) & 0xf`"),
                );
                None
            }
        }
    }

    /// How many bits a value has, if it consists of bits.
    fn bits_of(&self, value: &Expr) -> Option<u8> {
        match &value.ty {
            Ty::Num(Num { kind: NumKind::Int, bits, range }) if range.min >= 0 => {
                Some((*bits).max(range.bits()))
            }
            Ty::Wide(wide) => Some(wide.bits),
            Ty::Bits(id) => Some(self.checker.program.bits[id.index()].bits),
            Ty::Ip4 | Ty::Seq => Some(32),
            Ty::Mac => Some(48),
            Ty::Ip6 => Some(128),
            _ => None,
        }
    }
}

/// `bits` bits of a value from bit `low` on.
pub(super) fn sliced(value: Expr, low: u8, bits: u8, span: Span) -> Expr {
    let mask = Range::of_bits(bits);
    let ty = match &value.ty {
        Ty::Wide(wide) => {
            let shifted = WideRange { min: wide.range.min >> low, max: wide.range.max >> low };
            let all = WideRange::of_bits(bits);
            let range = if shifted.within(all) { shifted } else { all };
            match range.word() {
                Some(range) if bits <= 64 => Ty::Num(Num { kind: NumKind::Int, bits, range }),
                _ => Ty::Wide(Wide { bits: bits.max(65), range }),
            }
        }
        _ if bits > 64 => Ty::wide(bits),
        Ty::Num(num) if num.range.min >= 0 => {
            let shifted = num.range.shr(Range::one(i128::from(low)));
            // Where all of it fits, no bit is cut off.
            let range = if shifted.within(mask) { shifted } else { mask };
            Ty::Num(Num { kind: NumKind::Int, bits, range })
        }
        _ => Ty::uint(bits),
    };
    if let ExprKind::Const(scalars) = &value.kind {
        let taken = (from_words(scalars) >> low) & WideRange::of_bits(bits).max;
        let ty = match ty {
            Ty::Num(num) => Ty::Num(Num { range: Range::one(taken as i128), ..num }),
            Ty::Wide(wide) => Ty::Wide(Wide { range: WideRange::one(taken), ..wide }),
            other => other,
        };
        return Expr::new(ExprKind::Const(words(taken, &ty)), ty, span);
    }
    Expr::new(ExprKind::Slice(Box::new(value), low, bits), ty, span)
}
