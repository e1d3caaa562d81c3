//! Operators: arithmetic over ranges, sets of bits, and the logical ones.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, BinaryOp, UnaryOp};

use super::body::BodyChecker;
use super::wide::integer;
use crate::hir::{Arith, Expr, ExprKind};
use crate::types::{Num, NumKind, Range, Ty};

impl BodyChecker<'_, '_, '_> {
    /// An operator in front of its operand.
    pub(super) fn unary(
        &mut self,
        op: UnaryOp,
        operand: &ast::Expr,
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        match op {
            UnaryOp::Not => {
                let value = self.expr(operand, Some(&Ty::Bool));
                if matches!(value.ty, Ty::Bits(_) | Ty::Num(_) | Ty::Option(_) | Ty::Seq) {
                    let found = self.describe(&value.ty);
                    self.report(
                        Diagnostic::error(types::NOT_A_CONDITION, "`not` turns a condition round")
                            .label(value.span, format!("this is `{found}`"))
                            .help("`not` binds more tightly than comparisons: write brackets, as in `not (a == b)`"),
                    );
                    return Expr::error(span);
                }
                let value = self.as_condition(value);
                negate(value, span)
            }
            UnaryOp::Neg => {
                let value = self.expr(operand, None);
                let zero = Expr::new(ExprKind::Const(vec![0]), value.ty.clone(), span);
                match value.ty {
                    Ty::Error => value,
                    Ty::Num(Num { kind: NumKind::Int | NumKind::Duration, .. }) => {
                        let zero = Expr { ty: zero_of(&value.ty), ..zero };
                        self.arithmetic(BinaryOp::Sub, span, zero, value, span)
                    }
                    _ => self.bad_operand("-", span, &value, &value),
                }
            }
            UnaryOp::BitNot => {
                let value = self.expr(operand, expected);
                let ones = match &value.ty {
                    Ty::Error => return value,
                    Ty::Bits(_) => self.variants(&value.ty).iter().fold(0, |all, (_, mask)| all | mask),
                    Ty::Num(Num { kind: NumKind::Int, bits, range }) if range.min >= 0 => {
                        Range::of_bits(*bits).max as u64
                    }
                    Ty::Wide(wide) => {
                        let ones = integer(wide.all().max, span);
                        return self.wide_arithmetic(BinaryOp::BitXor, span, value, ones, span);
                    }
                    _ => return self.bad_operand("~", span, &value, &value),
                };
                let ty = match &value.ty {
                    Ty::Num(num) => Ty::Num(Num { range: Range::of_bits(num.bits), ..*num }),
                    other => other.clone(),
                };
                let mask = Expr::new(ExprKind::Const(vec![ones]), ty.clone(), span);
                fold(Arith::Xor, value, mask, ty, span)
            }
        }
    }

    /// An operator between two operands.
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        match op {
            BinaryOp::And => {
                let a = self.condition(left);
                if self.asked_again(&a, left, op, right) {
                    return Expr::error(span);
                }
                let b = self.scoped(|body| {
                    body.facts.learn(&a, true);
                    body.condition(right)
                });
                both(a, b, span, ExprKind::And)
            }
            BinaryOp::Or => {
                let a = self.condition(left);
                if self.asked_again(&a, left, op, right) {
                    return Expr::error(span);
                }
                let b = self.scoped(|body| {
                    body.facts.learn(&a, false);
                    body.condition(right)
                });
                both(a, b, span, ExprKind::Or)
            }
            BinaryOp::Eq
            | BinaryOp::Ne
            | BinaryOp::Lt
            | BinaryOp::Le
            | BinaryOp::Gt
            | BinaryOp::Ge
            | BinaryOp::Has => {
                let value = self.comparison(op, op_span, left, right, span);
                self.note_condition(&value);
                value
            }
            BinaryOp::Coalesce => self.coalesce(left, right, expected, span),
            _ => {
                // Only names of bits gain from knowing what is expected.
                let bits = match expected {
                    Some(Ty::Option(inner)) => Some(&**inner),
                    other => other,
                }
                .filter(|ty| matches!(ty, Ty::Bits(_)));
                let a = self.expr(left, bits);
                let hint = if matches!(a.ty, Ty::Bits(_)) { Some(a.ty.clone()) } else { bits.cloned() };
                let b = self.expr(right, hint.as_ref());
                if op == BinaryOp::BitXor {
                    self.note_power(left, right, span);
                }
                self.arithmetic(op, op_span, a, b, span)
            }
        }
    }

    /// Warns of `2 ^ 16` and `10 ^ 6`, which are 18 and 12.
    fn note_power(&mut self, left: &ast::Expr, right: &ast::Expr, span: Span) {
        let decimal = |expr: &ast::Expr| {
            let text = self.checker.sources.snippet(expr.span)?;
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?
        };
        let (Some(base @ (2 | 10)), Some(power)) = (decimal(left), decimal(right)) else { return };
        let Some(value) = u128::from(base).checked_pow(power) else { return };
        self.report(
            Diagnostic::warning(types::POWER, "`^` is the exclusive or of bits, no power")
                .label(span, format!("this is {}", base ^ power))
                .suggest(span, value.to_string(), format!("write `{value}` if that is meant"))
                .note(format!(
                    "for the exclusive or, write one of the numbers in hexadecimal: `{base:#x} ^ {power:#x}`"
                )),
        );
    }

    /// `a ?? b`
    fn coalesce(&mut self, left: &ast::Expr, right: &ast::Expr, expected: Option<&Ty>, span: Span) -> Expr {
        let value = self.expr(left, expected);
        let Ty::Option(inner) = value.ty.clone() else {
            self.expr(right, expected);
            if !value.ty.is_error() {
                let found = self.describe(&value.ty);
                self.report(
                    Diagnostic::error(types::NEVER_NONE, "`??` says what counts instead of `none`")
                        .label(value.span, format!("this is `{found}` and never `none`"))
                        .help("leave `??` and what is behind it away"),
                );
            }
            return Expr::error(span);
        };
        let other = self.expr(right, Some(&inner));
        let other = self.must_have_value(other);
        match inner.join(&other.ty) {
            Some(ty) => {
                let (Ok(value), Ok(other)) = (self.fit(value, &ty.clone().optional()), self.fit(other, &ty))
                else {
                    return Expr::error(span);
                };
                if matches!(ty, Ty::Option(_)) {
                    return self.later_coalesce(span);
                }
                Expr::new(ExprKind::Coalesce(Box::new(value), Box::new(other)), ty, span)
            }
            None => {
                let diagnostic =
                    self.differing("both sides of `??`", &inner, value.span, &other.ty, other.span);
                self.report(diagnostic);
                Expr::error(span)
            }
        }
    }

    fn later_coalesce(&mut self, span: Span) -> Expr {
        self.report(
            Diagnostic::error(types::MAYBE_NONE, "the value behind `??` can be `none`, too")
                .label(span, "so nothing is gained")
                .help("write a value that is never `none` behind `??`"),
        );
        Expr::error(span)
    }

    /// Two types that should go together.
    pub(super) fn differing(&self, what: &str, a: &Ty, a_span: Span, b: &Ty, b_span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::error(types::BRANCHES, format!("{what} must have one type"))
            .label(b_span, format!("this is `{}`", self.describe(b)))
            .label(a_span, format!("this is `{}`", self.describe(a)));
        match (a, b) {
            (Ty::Unit, _) | (_, Ty::Unit) => diagnostic.help(
                "a block's value is its last expression, without `;`; an `if` with a value has an `else`",
            ),
            (Ty::Bits(_), Ty::Bool) | (Ty::Bool, Ty::Bits(_)) => {
                diagnostic.help("ask for bits with `has`: `tcp.flags has SYN`")
            }
            (Ty::Option(inner), other) | (other, Ty::Option(inner)) if **inner == *other => {
                diagnostic.help("a value can be `none`: say with `??` what counts then, or use `match`")
            }
            _ => diagnostic,
        }
    }

    /// Arithmetic on two values.
    pub(super) fn arithmetic(&mut self, op: BinaryOp, op_span: Span, a: Expr, b: Expr, span: Span) -> Expr {
        if a.ty.is_error() || b.ty.is_error() {
            return Expr::error(span);
        }
        match (&a.ty, &b.ty) {
            (Ty::Num(left), Ty::Num(right)) => {
                let (left, right) = (*left, *right);
                self.numbers(op, op_span, (a, left), (b, right), span)
            }
            (Ty::Bits(left), Ty::Bits(right)) if left == right => {
                let op = match op {
                    BinaryOp::BitOr => Arith::Or,
                    BinaryOp::BitAnd => Arith::And,
                    BinaryOp::BitXor => Arith::Xor,
                    _ => return self.bad_operand(op.symbol(), op_span, &a, &b),
                };
                let ty = a.ty.clone();
                fold(op, a, b, ty, span)
            }
            (Ty::Num(num), Ty::Seq) if num.is_seq() && op == BinaryOp::Add => {
                fold(Arith::AddWrap(32), a, b, Ty::Seq, span)
            }
            (Ty::Seq, Ty::Num(num)) if num.is_seq() && matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
                let op = if op == BinaryOp::Add { Arith::AddWrap(32) } else { Arith::SubWrap(32) };
                fold(op, a, b, Ty::Seq, span)
            }
            (Ty::Wide(_), Ty::Wide(_) | Ty::Num(_)) | (Ty::Num(_), Ty::Wide(_)) => {
                self.wide_arithmetic(op, op_span, a, b, span)
            }
            (Ty::Seq, Ty::Seq) if op == BinaryOp::Sub => fold(Arith::SubWrap(32), a, b, Ty::uint(32), span),
            _ => self.bad_operand(op.symbol(), op_span, &a, &b),
        }
    }

    /// Reports operands that an operator does not take.
    pub(super) fn bad_operand(&mut self, symbol: &str, op_span: Span, a: &Expr, b: &Expr) -> Expr {
        let (left, right) = (self.describe(&a.ty), self.describe(&b.ty));
        let mut diagnostic =
            Diagnostic::error(types::BAD_OPERAND, format!("`{symbol}` does not go with these values"))
                .label(
                    op_span,
                    if a.span == b.span {
                        format!("not for `{left}`")
                    } else {
                        format!("not for `{left}` and `{right}`")
                    },
                )
                .label(a.span, format!("this is `{left}`"));
        if a.span != b.span {
            diagnostic = diagnostic.label(b.span, format!("this is `{right}`"));
        }
        let kinds = (a.num_kind(), b.num_kind());
        if a.ty == Ty::Seq || b.ty == Ty::Seq {
            let diagnostic = self.bad_seq(diagnostic, symbol, op_span, a, b);
            self.report(diagnostic);
            return Expr::error(a.span.to(b.span));
        }
        self.report(if matches!(a.ty, Ty::Option(_)) || matches!(b.ty, Ty::Option(_)) {
            diagnostic.help("a value can be `none`: say with `??` what counts then, or use `match`")
        } else if let (true, Ty::Prefix) = (matches!(symbol, "==" | "!="), &b.ty) {
            let within = if symbol == "==" { "in" } else { "not in" };
            diagnostic.suggest(op_span, within, format!("an address lies in a prefix: write `{within}`"))
        } else if let (Ty::Bits(_), Ty::Num(_)) = (&a.ty, &b.ty) {
            diagnostic.help("ask for bits by their names: `flags has SYN`, or `flags == SYN` for all of them")
        } else if let (Ty::Mac, Ty::Num(_)) | (Ty::Num(_), Ty::Mac) = (&a.ty, &b.ty) {
            diagnostic.help("the address of a station is written `02:00:00:00:00:01`")
        } else if let (Ty::Ip4 | Ty::Ip6 | Ty::Addr, Ty::Num(_)) | (Ty::Num(_), Ty::Ip4 | Ty::Ip6 | Ty::Addr) =
            (&a.ty, &b.ty)
        {
            diagnostic.help("addresses are written `10.0.0.1` and `2001:db8::1`; the bits of one are a number: `ipv4.src[31:0]`")
        } else if let ("&" | "|" | "^", Ty::Ip4 | Ty::Ip6, Ty::Ip4 | Ty::Ip6) = (symbol, &a.ty, &b.ty) {
            diagnostic.help("networks have prefixes: `ipv4.src in 10.0.0.0/24`; the bits of an address are a number: `ipv4.src[31:8]`")
        } else if let (Some(NumKind::Duration | NumKind::Instant), Some(NumKind::Int))
        | (Some(NumKind::Int), Some(NumKind::Duration | NumKind::Instant)) = kinds
        {
            diagnostic.help("a time has a unit: `5s`, `500ms`")
        } else {
            diagnostic
        });
        Expr::error(a.span.to(b.span))
    }

    /// What to write instead of an operator that sequence numbers do not have.
    fn bad_seq(&self, diagnostic: Diagnostic, symbol: &str, op_span: Span, a: &Expr, b: &Expr) -> Diagnostic {
        let seq = if a.ty == Ty::Seq { a } else { b };
        match (symbol, &a.ty, &b.ty) {
            (_, Ty::Option(_), _) | (_, _, Ty::Option(_)) => {
                diagnostic.help("a value can be `none`: say with `??` what counts then, or use `match`")
            }
            ("+%" | "+|" | "-%" | "-|", Ty::Seq, Ty::Num(num)) | ("+%" | "+|", Ty::Num(num), Ty::Seq)
                if num.is_seq() =>
            {
                plain_of_seq(diagnostic, symbol, op_span)
            }
            ("-%" | "-|", Ty::Seq, Ty::Seq) => plain_of_seq(diagnostic, symbol, op_span),
            (_, Ty::Num(num), _) | (_, _, Ty::Num(num))
                if !num.is_seq()
                    && matches!(symbol, "==" | "!=" | "in" | "+" | "-" | "+%" | "-%" | "+|" | "-|") =>
            {
                diagnostic.help(
                    "a sequence number has 32 bits; take those of the other value that count: `x[31:0]`",
                )
            }
            ("<" | "<=" | ">" | ">=", ..) => self
                .number_of_seq(diagnostic, seq.span)
                .note("sequence numbers go round, so only another `seq` comes before or after one"),
            ("has", ..) => {
                diagnostic.help("`has` asks for bits by their names; a single bit of a number is `x[0:0]`")
            }
            _ => self.number_of_seq(diagnostic, seq.span),
        }
    }

    /// Arithmetic on numbers: the kind of the result, then its range.
    fn numbers(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, left): (Expr, Num),
        (b, right): (Expr, Num),
        span: Span,
    ) -> Expr {
        let Some(kind) = result_kind(op, left.kind, right.kind) else {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        };
        let (x, y) = (left.range, right.range);
        let bits = left.bits.max(right.bits);
        let negative = if x.min < 0 {
            Some(&a)
        } else if y.min < 0 {
            Some(&b)
        } else {
            None
        };
        let (arith, range) = match op {
            BinaryOp::Add => (Arith::Add, self.facts.narrow_sum(&a, &b, 1, x.add(y))),
            BinaryOp::Sub => (Arith::Sub, self.facts.narrow_sum(&a, &b, -1, x.sub(y))),
            BinaryOp::Mul => (Arith::Mul, x.mul(y)),
            _ if negative.is_some() => {
                let operand = negative.map_or(span, |operand| operand.span);
                let range = if x.min < 0 { x } else { y };
                self.report(
                    Diagnostic::error(
                        types::NEGATIVE,
                        format!("`{}` is not for negative numbers", op.symbol()),
                    )
                    .label(operand, format!("this can be {range}"))
                    .label(op_span, "needs numbers from 0 up")
                    .help("`-|` instead of `-` stays at 0, or compare first"),
                );
                return Expr::error(span);
            }
            BinaryOp::Div | BinaryOp::Mod => {
                if y.min == 0 {
                    let shown = (right.range.max != 0).then(|| right.range.to_string());
                    return self.division_by_zero(op, &b, shown, span);
                }
                if op == BinaryOp::Div { (Arith::Div, x.div(y)) } else { (Arith::Mod, x.rem(y)) }
            }
            BinaryOp::Shl | BinaryOp::Shr => {
                if y.max > 63 {
                    self.report(
                        Diagnostic::error(types::BAD_SHIFT, "a shift is by 63 bits at most")
                            .label(b.span, format!("this can be {y}"))
                            .help("keep the low bits with `& 63`, or compare it first"),
                    );
                    return Expr::error(span);
                }
                if op == BinaryOp::Shl { (Arith::Shl, x.shl(y)) } else { (Arith::Shr, x.shr(y)) }
            }
            BinaryOp::BitAnd => (Arith::And, x.and(y)),
            BinaryOp::BitOr => (Arith::Or, x.or(y)),
            BinaryOp::BitXor => (Arith::Xor, x.xor(y)),
            BinaryOp::AddSat => {
                let all = Range::of_bits(bits);
                let sum = x.add(y);
                (Arith::AddSat(bits), Range { min: sum.min.min(all.max), max: sum.max.min(all.max) })
            }
            BinaryOp::SubSat => {
                let difference = x.sub(y);
                (Arith::SubSat, Range { min: difference.min.max(0), max: difference.max.max(0) })
            }
            BinaryOp::AddWrap | BinaryOp::SubWrap => {
                let all = Range::of_bits(bits);
                let exact = if op == BinaryOp::AddWrap { x.add(y) } else { x.sub(y) };
                let range = if exact.within(all) { exact } else { all };
                (if op == BinaryOp::AddWrap { Arith::AddWrap(bits) } else { Arith::SubWrap(bits) }, range)
            }
            _ => return self.bad_operand(op.symbol(), op_span, &a, &b),
        };
        if !range.fits_word() {
            return self.overflow(op, op_span, (&a, x), (&b, y), span);
        }
        let keeps_width = matches!(
            op,
            BinaryOp::AddSat | BinaryOp::SubSat | BinaryOp::AddWrap | BinaryOp::SubWrap | BinaryOp::BitAnd
        );
        let num = if keeps_width { Num { kind, bits, range } } else { Num::computed(kind, range) };
        fold(arith, a, b, Ty::Num(num), span)
    }

    /// Reports a divisor that can be 0, and other numbers where its range is given.
    pub(super) fn division_by_zero(
        &mut self,
        op: BinaryOp,
        divisor: &Expr,
        range: Option<String>,
        span: Span,
    ) -> Expr {
        let always = range.is_none();
        let what = range.map_or_else(|| "this is 0".to_owned(), |range| format!("this can be {range}"));
        let diagnostic =
            Diagnostic::error(types::DIVISION_BY_ZERO, "the divisor could be 0").label(divisor.span, what);
        self.report(match &divisor.kind {
            ExprKind::Param(id) => {
                let declared = self.checker.program.params[id.index()].span;
                diagnostic
                    .label(declared, "this param may be set to 0")
                    .help("declare it with a range that begins at 1, such as `in 1..=1_000`")
            }
            _ if always => diagnostic,
            _ => diagnostic.help(format!(
                "use `{}` where a condition says that it is not 0: `if x != 0 {{ … }}`",
                op.symbol()
            )),
        });
        Expr::error(span)
    }

    fn overflow(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        (a, x): (&Expr, Range),
        (b, y): (&Expr, Range),
        span: Span,
    ) -> Expr {
        let diagnostic = Diagnostic::error(
            types::OVERFLOW,
            format!("the result of `{}` may need more than 64 bits", op.symbol()),
        )
        .label(op_span, "too large or too far below 0")
        .label(a.span, format!("can be {x}"))
        .label(b.span, format!("can be {y}"));
        self.report(match op {
            BinaryOp::Add => diagnostic.help("`+|` stays at the greatest value, `+%` starts again at 0"),
            BinaryOp::Sub => diagnostic.help("`-|` stays at 0, `-%` goes on from the greatest value"),
            _ => diagnostic.help("compare the operands first: behind a condition their range is known"),
        });
        Expr::error(span)
    }
}

/// What the result of arithmetic counts; `None` where the operands do not go together.
fn result_kind(op: BinaryOp, a: NumKind, b: NumKind) -> Option<NumKind> {
    use NumKind::{Duration, Instant, Int, Rate};
    match (op, a, b) {
        (_, Int, Int) => Some(Int),
        (BinaryOp::Add | BinaryOp::AddSat, Instant, Duration)
        | (BinaryOp::Add | BinaryOp::AddSat, Duration, Instant) => Some(Instant),
        (BinaryOp::Sub | BinaryOp::SubSat, Instant, Duration) => Some(Instant),
        (BinaryOp::Sub | BinaryOp::SubSat, Instant, Instant) => Some(Duration),
        (
            BinaryOp::Add | BinaryOp::AddSat | BinaryOp::Sub | BinaryOp::SubSat | BinaryOp::Mod,
            Duration,
            Duration,
        ) => Some(Duration),
        (BinaryOp::Mul, Duration, Int) | (BinaryOp::Mul, Int, Duration) | (BinaryOp::Div, Duration, Int) => {
            Some(Duration)
        }
        (BinaryOp::Div, Duration, Duration) | (BinaryOp::Div, Rate, Rate) => Some(Int),
        (BinaryOp::Add | BinaryOp::AddSat | BinaryOp::Sub | BinaryOp::SubSat, Rate, Rate) => Some(Rate),
        (BinaryOp::Mul, Rate, Int) | (BinaryOp::Mul, Int, Rate) | (BinaryOp::Div, Rate, Int) => Some(Rate),
        _ => None,
    }
}

fn zero_of(ty: &Ty) -> Ty {
    match ty {
        Ty::Num(num) => Ty::Num(Num { range: Range::one(0), ..*num }),
        other => other.clone(),
    }
}

/// `seq +% 5`: what is meant is `seq + 5`.
fn plain_of_seq(diagnostic: Diagnostic, symbol: &str, op_span: Span) -> Diagnostic {
    let plain = &symbol[..1];
    diagnostic.suggest(
        op_span,
        plain,
        format!(
            "write `{plain}`: sequence numbers start again at 0 behind the last, and a difference is a `u32`"
        ),
    )
}

/// How far it is from one sequence number on to another.
pub(super) fn seq_distance(to: Expr, from: Expr, span: Span) -> Expr {
    fold(Arith::SubWrap(32), to, from, Ty::uint(32), span)
}

/// Arithmetic, computed here where both operands are constants.
fn fold(op: Arith, a: Expr, b: Expr, ty: Ty, span: Span) -> Expr {
    if let (Some(x), Some(y)) = (a.constant(), b.constant())
        && let Some(value) = compute(op, x, y)
    {
        let ty = match ty {
            Ty::Num(num) if num.range.single().is_none() && num.range.min >= 0 => {
                Ty::Num(Num { range: Range::one(i128::from(value)), ..num })
            }
            other => other,
        };
        return Expr::new(ExprKind::Const(vec![value]), ty, span);
    }
    Expr::new(ExprKind::Arith(op, Box::new(a), Box::new(b)), ty, span)
}

/// The value of arithmetic on two words.
pub(crate) fn compute(op: Arith, x: u64, y: u64) -> Option<u64> {
    let mask = |bits: u8| Range::of_bits(bits).max as u64;
    Some(match op {
        Arith::Add => x.wrapping_add(y),
        Arith::Sub => x.wrapping_sub(y),
        Arith::Mul => x.wrapping_mul(y),
        Arith::Div => x.checked_div(y)?,
        Arith::Mod => x.checked_rem(y)?,
        Arith::Shl => x.checked_shl(u32::try_from(y).ok()?)?,
        Arith::Shr => x.checked_shr(u32::try_from(y).ok()?)?,
        Arith::And => x & y,
        Arith::Or => x | y,
        Arith::Xor => x ^ y,
        Arith::AddSat(bits) => x.saturating_add(y).min(mask(bits)),
        Arith::SubSat => x.saturating_sub(y),
        Arith::AddWrap(bits) => x.wrapping_add(y) & mask(bits),
        Arith::SubWrap(bits) => x.wrapping_sub(y) & mask(bits),
    })
}

/// `not value`
pub(super) fn negate(value: Expr, span: Span) -> Expr {
    if value.ty.is_error() {
        return Expr::error(span);
    }
    match value.constant() {
        Some(word) => Expr::new(ExprKind::Const(vec![u64::from(word == 0)]), Ty::Bool, span),
        None => Expr::new(ExprKind::Not(Box::new(value)), Ty::Bool, span),
    }
}

fn both(a: Expr, b: Expr, span: Span, make: fn(Box<Expr>, Box<Expr>) -> ExprKind) -> Expr {
    if a.ty.is_error() || b.ty.is_error() {
        return Expr::error(span);
    }
    let kind = make(Box::new(a), Box::new(b));
    if let ExprKind::And(a, b) = &kind
        && let (Some(x), Some(y)) = (a.constant(), b.constant())
    {
        return Expr::new(ExprKind::Const(vec![x & y]), Ty::Bool, span);
    }
    if let ExprKind::Or(a, b) = &kind
        && let (Some(x), Some(y)) = (a.constant(), b.constant())
    {
        return Expr::new(ExprKind::Const(vec![x | y]), Ty::Bool, span);
    }
    Expr::new(kind, Ty::Bool, span)
}
