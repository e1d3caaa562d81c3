//! Whether a value can stand where a type is needed, and what makes it fit.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::slice::sliced;
use crate::hir::{Expr, ExprKind};
use crate::types::{NumKind, Ty, Wide, WideRange};

impl BodyChecker<'_, '_, '_> {
    /// A value of a given type, which was declared at `because`.
    pub(super) fn expect(&mut self, ast: &ast::Expr, ty: &Ty, because: Span) -> Expr {
        let value = self.expr(ast, Some(ty));
        self.coerce(value, ty, because)
    }

    /// A truth value.
    pub(super) fn condition(&mut self, ast: &ast::Expr) -> Expr {
        let value = self.expr(ast, Some(&Ty::Bool));
        self.as_condition(value)
    }

    /// The value, which must be a truth value.
    pub(super) fn as_condition(&mut self, value: Expr) -> Expr {
        match value.ty {
            Ty::Bool | Ty::Error | Ty::Never => value,
            _ => {
                let found = self.describe(&value.ty);
                let mut diagnostic =
                    Diagnostic::error(types::NOT_A_CONDITION, "a condition must be true or false")
                        .label(value.span, format!("this is `{found}`"));
                diagnostic = match &value.ty {
                    Ty::Num(_) => diagnostic.help("compare it: `… != 0`"),
                    Ty::Option(_) => diagnostic.help("compare it: `… != none`"),
                    Ty::Bits(_) => diagnostic.help("ask for bits with `has`"),
                    _ => diagnostic,
                };
                self.report(diagnostic);
                Expr::error(value.span)
            }
        }
    }

    /// The value as one of type `ty`, which was declared at `because`; reports where it is none.
    pub(super) fn coerce(&mut self, value: Expr, ty: &Ty, because: Span) -> Expr {
        match self.fit(value, ty) {
            Ok(value) => value,
            Err(value) => {
                let diagnostic = self.misfit(&value, ty, because);
                self.report(diagnostic);
                Expr::error(value.span)
            }
        }
    }

    /// The value as one of type `ty`, or as it was.
    #[expect(
        clippy::result_large_err,
        reason = "what does not fit is given back, and is no larger than what does"
    )]
    pub(super) fn fit(&mut self, value: Expr, ty: &Ty) -> Result<Expr, Expr> {
        if fits(&value.ty, ty) {
            return Ok(self.shape(value, ty));
        }
        Err(value)
    }

    /// Makes the value optional where the type is, also in tuples.
    fn shape(&mut self, value: Expr, ty: &Ty) -> Expr {
        let span = value.span;
        match (ty, &value.ty) {
            (_, Ty::Error | Ty::Never) | (Ty::Error, _) => value,
            (Ty::Option(inner), Ty::Option(found)) => match &value.kind {
                ExprKind::None => Expr { ty: ty.clone(), ..value },
                ExprKind::Some(_) if found != inner => match value.kind {
                    ExprKind::Some(part) => {
                        let part = self.shape(*part, inner);
                        Expr::new(ExprKind::Some(Box::new(part)), ty.clone(), span)
                    }
                    kind => Expr::new(kind, ty.clone(), span),
                },
                _ => Expr { ty: ty.clone(), ..value },
            },
            (Ty::Option(inner), _) => {
                let value = self.shape(value, inner);
                Expr::new(ExprKind::Some(Box::new(value)), ty.clone(), span)
            }
            (Ty::Wide(wide), Ty::Num(num)) => {
                let ty = Ty::Wide(Wide { range: num.natural().unwrap_or(wide.range), ..*wide });
                let kind = match value.kind {
                    ExprKind::Const(words) => ExprKind::Const(std::iter::once(0).chain(words).collect()),
                    _ => ExprKind::Widen(Box::new(value)),
                };
                Expr::new(kind, ty, span)
            }
            (Ty::Wide(wide), Ty::Wide(found)) => {
                let ty = Ty::Wide(Wide { range: found.range, ..*wide });
                Expr { ty, ..value }
            }
            (Ty::Num(_), Ty::Wide(found)) => {
                let bits = found.range.bits().clamp(1, 64);
                sliced(value, 0, bits, span)
            }
            (Ty::Array(element, _), Ty::Array(..)) => match value.kind {
                ExprKind::Tuple(parts) => {
                    let parts = parts.into_iter().map(|part| self.shape(part, element)).collect();
                    Expr::new(ExprKind::Tuple(parts), ty.clone(), span)
                }
                kind => Expr::new(kind, value.ty, span),
            },
            (Ty::Seq, Ty::Num(_)) => Expr { ty: Ty::Seq, ..value },
            (Ty::Addr, Ty::Ip4 | Ty::Ip6) => {
                let kind = match value.kind {
                    ExprKind::Const(words) => ExprKind::Const(match words.as_slice() {
                        [word] => vec![4, 0, *word],
                        words => [&[6], words].concat(),
                    }),
                    _ => ExprKind::Addr(Box::new(value)),
                };
                Expr::new(kind, Ty::Addr, span)
            }
            (Ty::Tuple(types), Ty::Tuple(_)) => match value.kind {
                ExprKind::Tuple(parts) => {
                    let parts = parts.into_iter().zip(types).map(|(part, ty)| self.shape(part, ty)).collect();
                    Expr::new(ExprKind::Tuple(parts), ty.clone(), span)
                }
                kind => Expr::new(kind, value.ty, span),
            },
            _ => value,
        }
    }

    /// What to say about a value that does not fit.
    fn misfit(&self, value: &Expr, ty: &Ty, because: Span) -> Diagnostic {
        let (found, wanted) = (self.describe(&value.ty), self.describe(ty));
        let plain = if let Ty::Option(inner) = ty { inner } else { ty };
        if let (Ty::Array(a, n), Ty::Array(b, m)) = (&value.ty, plain)
            && let (Ty::Num(a), Ty::Num(b)) = (&**a, &**b)
            && n == m
            && a.kind == b.kind
        {
            let (has, allowed) = (a.range, b.range);
            let diagnostic =
                Diagnostic::error(types::DOES_NOT_FIT, format!("an element may not fit in {allowed}"))
                    .label(value.span, format!("the elements are in {has}"));
            return elsewhere(diagnostic, value.span, because, format!("only {allowed} fits here"));
        }
        if let (Ty::Num(found), Ty::Num(wanted)) = (&value.ty, plain)
            && found.kind == wanted.kind
        {
            let (has, allowed) = (found.range, wanted.range);
            let what =
                if has.single().is_some() { format!("this is {has}") } else { format!("this can be {has}") };
            let headline = match has.single() {
                Some(value) => format!("{value} does not fit in {allowed}"),
                None => format!("a value may not fit in {allowed}"),
            };
            let diagnostic = Diagnostic::error(types::DOES_NOT_FIT, headline).label(value.span, what);
            let diagnostic = elsewhere(diagnostic, value.span, because, format!("only {allowed} fits here"));
            return match &value.kind {
                ExprKind::Arith(crate::hir::Arith::Add, ..) => {
                    diagnostic.help("`+|` stays at the greatest value, `+%` starts again at 0")
                }
                ExprKind::Arith(crate::hir::Arith::Sub, ..) => {
                    diagnostic.help("`-|` stays at 0, `-%` goes on from the greatest value; or compare the two first, as in `if a >= b { a - b }`")
                }
                ExprKind::Const(_) => diagnostic,
                // Where the low bits are just what fits.
                _ if found.kind == NumKind::Int
                    && found.range.min >= 0
                    && allowed == crate::types::Range::of_bits(allowed.bits()) =>
                {
                    diagnostic
                        .help(format!("keep the low bits with `& {:#x}`, or compare it first", allowed.max))
                }
                _ => diagnostic.help("compare it first: behind a condition its range is known"),
            };
        }
        if let Some((has, allowed, bits)) = wide_misfit(&value.ty, plain) {
            let headline = match has.single() {
                Some(_) => format!("{has} does not fit in {allowed}"),
                None => format!("a value may not fit in {allowed}"),
            };
            let what = if has.single().is_some() { "this is" } else { "this can be" };
            let diagnostic =
                Diagnostic::error(types::DOES_NOT_FIT, headline).label(value.span, format!("{what} {has}"));
            let diagnostic = elsewhere(diagnostic, value.span, because, format!("only {allowed} fits here"));
            return match &value.kind {
                ExprKind::Const(_) => diagnostic,
                _ => diagnostic.help(format!(
                    "take the bits that count, such as `x[{}:0]`, or compare it first",
                    bits.max(1) - 1
                )),
            };
        }
        let diagnostic =
            Diagnostic::error(types::MISMATCH, format!("`{wanted}` is needed, `{found}` is found"))
                .label(value.span, format!("this is `{found}`"));
        let because_text = format!("because of this, `{wanted}` is needed");
        let diagnostic = elsewhere(diagnostic, value.span, because, because_text);
        if let (Ty::Seq, Ty::Num(wanted)) = (&value.ty, plain)
            && wanted.kind == NumKind::Int
        {
            return self.number_of_seq(diagnostic, value.span);
        }
        if let (Ty::Num(num), Ty::Seq) = (&value.ty, plain)
            && num.kind == NumKind::Int
        {
            return diagnostic.help("a sequence number has 32 bits; take those that count: `x[31:0]`");
        }
        match (&value.ty, ty) {
            (Ty::Option(_), _) if !matches!(ty, Ty::Option(_)) => {
                diagnostic.help("it can be `none`: say with `??` what counts then, or use `match`")
            }
            (Ty::Num(num), Ty::Num(wanted))
                if num.kind == NumKind::Int && wanted.kind == NumKind::Duration =>
            {
                diagnostic.help("write a unit: `10s`, `500ms`")
            }
            (Ty::Num(num), Ty::Num(wanted)) if num.kind == NumKind::Int && wanted.kind == NumKind::Rate => {
                diagnostic.help("write a unit: `1_000pps`")
            }
            (Ty::Num(_), Ty::Bool) => diagnostic.help("compare it: `… != 0`"),
            (Ty::Num(num), Ty::Num(wanted))
                if num.kind == NumKind::Duration && wanted.kind == NumKind::Int =>
            {
                diagnostic.help("how many seconds it has, say, is a quotient: `x / 1s`")
            }
            (Ty::Bool, Ty::Enum(id)) => {
                match self.checker.program.enums.get(id.index()).map(|def| def.variants.as_slice()) {
                    Some([(first, _), (second, _), ..]) => {
                        diagnostic.help(format!("name the class: `if … {{ {second} }} else {{ {first} }}`"))
                    }
                    _ => diagnostic,
                }
            }
            (_, Ty::Tuple(parts)) if !matches!(value.ty, Ty::Tuple(_)) => diagnostic.help(format!(
                "all {} values are given together: `({})`",
                parts.len(),
                vec!["…"; parts.len()].join(", ")
            )),
            (Ty::Addr, Ty::Ip4 | Ty::Ip6) => {
                let header = if *ty == Ty::Ip4 { "ipv4" } else { "ipv6" };
                diagnostic.help(format!(
                    "declare it as `ip.addr`, which is either, or match `{header}` for the one kind"
                ))
            }
            (Ty::Bits(_), Ty::Bool) => diagnostic.help("ask for bits with `has`"),
            (Ty::Unit, _) => diagnostic.help("a block's value is its last expression, without `;`"),
            _ => diagnostic,
        }
    }
}

impl BodyChecker<'_, '_, '_> {
    /// Adds to a message how the number is written that a sequence number has.
    pub(super) fn number_of_seq(&self, diagnostic: Diagnostic, value: Span) -> Diagnostic {
        let text = self.checker.sources.snippet(value).unwrap_or_default();
        let number = if text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.[]".contains(letter)) {
            format!("{text}[31:0]")
        } else {
            format!("({text})[31:0]")
        };
        diagnostic.suggest(value, number.clone(), format!("the number itself is `{number}`"))
    }
}

/// Of an integer of more than 64 bits that may not fit in another: what it can be, what fits, and how many bits that has.
fn wide_misfit(found: &Ty, wanted: &Ty) -> Option<(WideRange, WideRange, u8)> {
    match (found, wanted) {
        (Ty::Wide(found), Ty::Wide(wanted)) => Some((found.range, wanted.range, wanted.bits)),
        (Ty::Wide(found), Ty::Num(wanted)) => Some((found.range, wanted.natural()?, wanted.bits)),
        _ => None,
    }
}

/// Adds the place of a reason, unless it is the place of the finding itself.
fn elsewhere(diagnostic: Diagnostic, place: Span, because: Span, text: String) -> Diagnostic {
    if place == because { diagnostic } else { diagnostic.label(because, text) }
}

/// Whether every value of type `found` is one of type `wanted`, given that it is made optional where need be.
pub(super) fn fits(found: &Ty, wanted: &Ty) -> bool {
    match (found, wanted) {
        (Ty::Error | Ty::Never, _) | (_, Ty::Error) => true,
        (Ty::Num(a), Ty::Num(b)) => a.kind == b.kind && a.range.within(b.range),
        (Ty::Num(num), Ty::Wide(wide)) => num.natural().is_some_and(|range| range.within(wide.range)),
        (Ty::Wide(a), Ty::Wide(b)) => a.range.within(b.range),
        (Ty::Wide(wide), Ty::Num(num)) => {
            num.kind == NumKind::Int && wide.range.word().is_some_and(|range| range.within(num.range))
        }
        (Ty::Array(a, n), Ty::Array(b, m)) => n == m && fits_inside(a, b),
        (Ty::Option(a), Ty::Option(b)) => fits(a, b),
        (a, Ty::Option(b)) => fits(a, b),
        (Ty::Tuple(a), Ty::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits_inside(a, b)),
        (Ty::Ip4 | Ty::Ip6, Ty::Addr) => true,
        (Ty::Num(num), Ty::Seq) => num.is_seq(),
        (a, b) => a == b,
    }
}

/// Inside of a tuple that is not written out as one, nothing can be made optional, or an address of either kind.
fn fits_inside(found: &Ty, wanted: &Ty) -> bool {
    let same = matches!(found, Ty::Option(_)) == matches!(wanted, Ty::Option(_))
        && matches!(found, Ty::Wide(_)) == matches!(wanted, Ty::Wide(_))
        && (*found == Ty::Addr) == (*wanted == Ty::Addr);
    same && fits(found, wanted) || found.is_error()
}
