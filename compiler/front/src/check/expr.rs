//! Expressions: which rule is for which.

use oko_diagnostics::codes::{results, syntax, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::wide::integer;
use crate::hir::{Expr, ExprKind};
use crate::resolve::Def;
use crate::types::{Num, Range, Ty};

impl BodyChecker<'_, '_, '_> {
    /// An expression. `expected` is the type that the surroundings would like; it only helps to find the meaning of names,
    /// and the caller still checks the type.
    pub(super) fn expr(&mut self, ast: &ast::Expr, expected: Option<&Ty>) -> Expr {
        use ast::ExprKind as Ast;
        let branches = matches!(
            ast.kind,
            Ast::If { .. } | Ast::Match { .. } | Ast::For { .. } | Ast::Block(_) | Ast::Update { .. }
        );
        if branches && let Some(test) = &mut self.test {
            test.branches += 1;
            let value = self.expr_kind(ast, expected);
            if let Some(test) = &mut self.test {
                test.branches -= 1;
            }
            return value;
        }
        self.expr_kind(ast, expected)
    }

    fn expr_kind(&mut self, ast: &ast::Expr, expected: Option<&Ty>) -> Expr {
        use ast::ExprKind as Ast;
        let span = ast.span;
        match &ast.kind {
            Ast::Error => Expr::error(span),
            Ast::Name(name) => self.name(name, expected),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Bool(value) => Expr::new(ExprKind::Const(vec![u64::from(*value)]), Ty::Bool, span),
            Ast::None => Expr::new(ExprKind::None, Ty::none(), span),
            Ast::Paren(inner) => self.expr(inner, expected),
            Ast::Tuple(parts) => self.tuple(parts, expected, span),
            Ast::List(parts) => self.list(parts, expected, span),
            Ast::Unary { op, operand, .. } => self.unary(*op, operand, expected, span),
            Ast::Binary { op, op_span, left, right } => {
                self.binary(*op, *op_span, left, right, expected, span)
            }
            Ast::In { value, negated, within } => {
                let value = self.membership(value, *negated, within, span);
                self.note_condition(&value);
                value
            }
            Ast::Field { base, name } => self.field(base, name, span),
            Ast::Call { callee, args } => self.call(callee, args, expected, span),
            Ast::Index { base, index } => self.index(base, index, span),
            Ast::Slice { base, from, to } => self.slice(base, from, to, span),
            Ast::Update { place, old, value } => self.update(place, old, value, span),
            Ast::If { condition, then, otherwise } => {
                self.if_expr(condition, then, otherwise.as_deref(), expected, span)
            }
            Ast::Match { subject, arms } => self.match_expr(subject, arms, expected, span),
            Ast::For { name, over, carried, body } => self.for_expr(name, over, carried, body, span),
            Ast::Block(block) => self.block(block, expected),
            Ast::Range(range) => {
                self.expr(&range.start, None);
                self.expr(&range.end, None);
                self.report(
                    Diagnostic::error(types::BAD_OPERAND, "a range is no value")
                        .label(span, "only behind `in`, alone or in a list")
                        .help("an array has its elements one by one: `[1, 2, 3]`"),
                );
                Expr::error(span)
            }
            Ast::Replay(_) => {
                if self.test.is_some() {
                    self.not_in_tests(
                        "a capture cannot stand here",
                        span,
                        "count what a filter matches of it, `NAME(replay \"capture.pcap\")`, or go through its packets with `for`",
                    );
                    return Expr::error(span);
                }
                self.report(
                    Diagnostic::error(results::ONLY_IN_TESTS, "this can only stand in a test")
                        .label(span, "not in a filter or function"),
                );
                Expr::error(span)
            }
        }
    }

    fn tuple(&mut self, parts: &[ast::Expr], expected: Option<&Ty>, span: Span) -> Expr {
        let expected = match expected {
            Some(Ty::Tuple(types)) if types.len() == parts.len() => Some(types.clone()),
            Some(Ty::Option(inner)) => match &**inner {
                Ty::Tuple(types) if types.len() == parts.len() => Some(types.clone()),
                _ => None,
            },
            _ => None,
        };
        let mut values = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let wanted = expected.as_ref().map(|types| &types[at]);
            let value = self.expr(part, wanted);
            let value = match wanted {
                Some(ty) => self.fit(value, ty).unwrap_or_else(|value| value),
                None => value,
            };
            values.push(self.must_have_value(value));
        }
        if values.iter().any(|value| value.ty.is_error()) {
            return Expr::error(span);
        }
        let ty = Ty::Tuple(values.iter().map(|value| value.ty.clone()).collect());
        if let Some(too_wide) = self.checker.too_wide(&ty, span) {
            self.report(too_wide);
            return Expr::error(span);
        }
        let constant: Option<Vec<u64>> =
            values.iter().try_fold(Vec::new(), |mut words, value| match &value.kind {
                ExprKind::Const(more) => {
                    words.extend(more);
                    Some(words)
                }
                _ => None,
            });
        let kind = constant.map_or_else(|| ExprKind::Tuple(values), ExprKind::Const);
        Expr::new(kind, ty, span)
    }

    /// A value that is to be a part of something: a block without value is none.
    pub(super) fn must_have_value(&mut self, value: Expr) -> Expr {
        match value.ty {
            Ty::Unit => {
                self.report(
                    Diagnostic::error(types::NO_VALUE, "a value is needed here")
                        .label(value.span, "this has no value")
                        .help("a block's value is its last expression, without `;`"),
                );
                Expr::error(value.span)
            }
            Ty::Never => {
                self.report(
                    Diagnostic::error(types::NO_VALUE, "a value is needed here")
                        .label(value.span, "this always returns and never has a value"),
                );
                Expr::error(value.span)
            }
            _ => value,
        }
    }

    /// A literal.
    pub(super) fn literal(&mut self, literal: &ast::Literal) -> Expr {
        let span = literal.span;
        // `C::A` reads as an address.
        if let ast::LiteralKind::Ip6 { prefix: None, .. } = literal.kind
            && let Some((owner, name)) =
                self.checker.sources.snippet(span).and_then(|text| text.split_once("::"))
            && let Some((Def::Enum(_) | Def::Bits(_), _)) = self.def(owner)
        {
            let meant = format!("{owner}.{name}");
            self.report(
                Diagnostic::error(syntax::OTHER_SPELLING, "Oko writes `.`, not `::`")
                    .label(span, "an address as it stands")
                    .suggest(span, meant.clone(), format!("write `{meant}`")),
            );
            return Expr::error(span);
        }
        match &literal.kind {
            ast::LiteralKind::Int(value) => integer(*value, span),
            ast::LiteralKind::Duration(ns) if *ns > crate::types::DURATION_MAX => {
                self.report(
                    Diagnostic::error(types::OVERFLOW, "this duration is too long")
                        .label(span, "the longest duration is 2^62 - 1 nanoseconds, 146 years")
                        .help("an entry that stays for ever has `expire: never`"),
                );
                Expr::error(span)
            }
            ast::LiteralKind::Duration(ns) => {
                let Ty::Num(num) = Ty::duration() else { return Expr::error(span) };
                let range = Range::one(i128::from(*ns));
                Expr::new(ExprKind::Const(vec![*ns]), Ty::Num(Num { range, ..num }), span)
            }
            ast::LiteralKind::Rate { per_second, .. } => {
                let Ty::Num(num) = Ty::rate() else { return Expr::error(span) };
                let range = Range::one(i128::from(*per_second));
                Expr::new(ExprKind::Const(vec![*per_second]), Ty::Num(Num { range, ..num }), span)
            }
            ast::LiteralKind::Ip4 { addr, prefix: None } => {
                Expr::new(ExprKind::Const(vec![u64::from(*addr)]), Ty::Ip4, span)
            }
            ast::LiteralKind::Ip4 { addr, prefix: Some(len) } => {
                Expr::new(ExprKind::Const(vec![4, 0, u64::from(*addr), u64::from(*len)]), Ty::Prefix, span)
            }
            ast::LiteralKind::Ip6 { addr, prefix: None } => {
                Expr::new(ExprKind::Const(vec![(*addr >> 64) as u64, *addr as u64]), Ty::Ip6, span)
            }
            ast::LiteralKind::Ip6 { addr, prefix: Some(len) } => {
                let words = vec![6, (*addr >> 64) as u64, *addr as u64, u64::from(*len)];
                Expr::new(ExprKind::Const(words), Ty::Prefix, span)
            }
            ast::LiteralKind::Mac(bytes) => {
                let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
                Expr::new(ExprKind::Const(vec![value]), Ty::Mac, span)
            }
            ast::LiteralKind::Str(_) | ast::LiteralKind::Percent(_) => {
                let what =
                    if matches!(literal.kind, ast::LiteralKind::Str(_)) { "a text" } else { "a percentage" };
                let diagnostic =
                    Diagnostic::error(types::NOT_A_VALUE_TYPE, format!("{what} is no value of a filter"))
                        .label(span, "cannot be computed with");
                self.report(match &literal.kind {
                    ast::LiteralKind::Str(text) if is_address(text) => {
                        diagnostic.suggest(span, text, "addresses stand without quotes")
                    }
                    ast::LiteralKind::Str(_) => diagnostic.help(
                        "bits and classes are named without quotes: `flags: SYN | ACK`; bytes of a packet are a `payload(…)`",
                    ),
                    _ => diagnostic.help("a share of a number is `n * 50 / 100`; percentages say how wrong states may be: `error: 1%`"),
                });
                Expr::error(span)
            }
        }
    }
}

/// Whether a text is an address as it is written without quotes: of IPv4, of IPv6 or six bytes of a MAC address.
fn is_address(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let is_byte = |byte: &&str| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok();
    text.parse::<std::net::IpAddr>().is_ok() || (bytes.len() == 6 && bytes.iter().all(is_byte))
}
