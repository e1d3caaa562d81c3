//! Arrays: several values of one type, found by an index that is proved to lie in the array.
//!
//! A constant array is a lookup table. It may be larger than other values, since only the element that is asked for is ever
//! one.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::loops::Turns;
use crate::hir::{Compare, Expr, ExprKind, Over, Stmt, scalars};
use crate::types::{Num, NumKind, Range, Ty};

impl BodyChecker<'_, '_, '_> {
    /// `[a, b, c]`
    pub(super) fn list(&mut self, parts: &[ast::Expr], expected: Option<&Ty>, span: Span) -> Expr {
        let element = match expected {
            Some(Ty::Array(element, _)) => Some((**element).clone()),
            Some(Ty::Option(inner)) => match &**inner {
                Ty::Array(element, _) => Some((**element).clone()),
                _ => None,
            },
            _ => None,
        };
        let mut values: Vec<Expr> = Vec::new();
        let mut all: Option<Ty> = None;
        let mut failed = false;
        for part in parts {
            let value = self.expr(part, element.as_ref().or(all.as_ref()));
            let mut value = self.must_have_value(value);
            if let Some(element) = &element {
                value = self.fit(value, element).unwrap_or_else(|value| value);
            }
            if value.ty.is_error() {
                failed = true;
                continue;
            }
            let joined = match &all {
                Some(before) => before.join(&value.ty),
                None => Some(value.ty.clone()),
            };
            match (joined, values.first()) {
                (Some(ty), _) => all = Some(ty),
                (None, first) => {
                    let first = first.map_or(span, |first| first.span);
                    let before = all.clone().unwrap_or(Ty::Error);
                    let diagnostic =
                        self.differing("all elements of an array", &before, first, &value.ty, value.span);
                    self.report(diagnostic);
                    failed = true;
                }
            }
            values.push(value);
        }
        if failed {
            return Expr::error(span);
        }
        let Some(all) = all.filter(|_| !values.is_empty()) else {
            self.report(
                Diagnostic::error(types::EMPTY, "an array has at least one element")
                    .label(span, "there is none"),
            );
            return Expr::error(span);
        };
        let values: Vec<Expr> = values.into_iter().map(|value| self.as_type(value, &all)).collect();
        // A list has fewer elements than its source has bytes, which are fewer than 2^32.
        let ty = Ty::Array(Box::new(all), values.len() as u32);
        let constant: Option<Vec<u64>> = values.iter().try_fold(Vec::new(), |mut words, value| {
            let ExprKind::Const(more) = &value.kind else { return None };
            words.extend(more);
            Some(words)
        });
        let kind = constant.map_or_else(|| ExprKind::Tuple(values), ExprKind::Const);
        if matches!(kind, ExprKind::Tuple(_))
            && let Some(too_wide) = self.checker.too_wide(&ty, span)
        {
            self.report(too_wide.help("an array of constants can be larger: declare it as a `const`"));
            return Expr::error(span);
        }
        Expr::new(kind, ty, span)
    }

    /// `array[index]`
    pub(super) fn element(&mut self, array: Expr, index: &ast::Expr, span: Span) -> Expr {
        let Ty::Array(element, count) = array.ty.clone() else { return Expr::error(span) };
        let Some((index, range)) = self.index_within(array.span, count, index) else {
            return Expr::error(span);
        };
        let width = scalars(&element, &self.checker.program);
        if let ExprKind::Const(words) = &array.kind {
            if let Some(at) = index.constant().and_then(|at| usize::try_from(at).ok()) {
                let words = words.iter().skip(at * width).take(width).copied().collect();
                return Expr::new(ExprKind::Const(words), *element, span);
            }
            let ty = narrowed(&element, words, range);
            return Expr::new(ExprKind::Index(Box::new(array), Box::new(index)), ty, span);
        }
        Expr::new(ExprKind::Index(Box::new(array), Box::new(index)), *element, span)
    }

    /// The index of an element, which must lie in an array of so many, and its range.
    fn index_within(&mut self, array: Span, count: u32, index: &ast::Expr) -> Option<(Expr, Range)> {
        let index = self.expr(index, None);
        let index = self.must_have_value(index);
        let range = match &index.ty {
            Ty::Error => return None,
            Ty::Num(num) if num.kind == NumKind::Int => num.range,
            other => {
                let found = self.describe(other);
                self.report(
                    Diagnostic::error(types::MISMATCH, "the index of an array is a whole number")
                        .label(index.span, format!("this is `{found}`"))
                        .label(array, "the array"),
                );
                return None;
            }
        };
        if !range.within(Range::new(0, i128::from(count) - 1)) {
            let what = match range.single() {
                Some(index) => format!("this is {index}"),
                None => format!("this can be {range}"),
            };
            let headline = match range.single() {
                Some(index) => format!("there is no element {index}"),
                None => "the index may lie outside of the array".to_owned(),
            };
            let diagnostic = Diagnostic::error(types::INDEX, headline)
                .label(index.span, what)
                .label(array, format!("has the elements 0..={}", count - 1));
            self.report(match index.constant() {
                Some(_) => diagnostic,
                None if range.min < 0 => diagnostic.help("`-|` instead of `-` stays at 0, or compare first"),
                None if count.is_power_of_two() => {
                    diagnostic.help(format!("keep the low bits with `& {}`, or compare it first", count - 1))
                }
                None => diagnostic.help(format!("use the remainder, `mod {count}`, or compare it first")),
            });
            return None;
        }
        Some((index, range))
    }

    /// `array.with(index, value)`: the same array but for one element.
    pub(super) fn array_with(&mut self, array: Expr, args: &[ast::Arg], span: Span) -> Expr {
        let Ty::Array(element, count) = array.ty.clone() else { return Expr::error(span) };
        let [ast::Arg { name: None, value: index, .. }, ast::Arg { name: None, value, .. }] = args else {
            self.look_at(args);
            self.report(
                Diagnostic::error(types::ARGUMENTS, "`with` takes an index and the new element")
                    .label(span, format!("{} given", args.len()))
                    .help("write `array.with(2, value)`"),
            );
            return Expr::error(span);
        };
        let index = self.index_within(array.span, count, index);
        let value = self.expr(value, Some(&element));
        let value = self.must_have_value(value);
        let Some((index, _)) = index.filter(|_| !value.ty.is_error()) else { return Expr::error(span) };
        let Some(joined) = element.join(&value.ty) else {
            let diagnostic =
                self.differing("all elements of an array", &element, array.span, &value.ty, value.span);
            self.report(diagnostic);
            return Expr::error(span);
        };
        let ty = Ty::Array(Box::new(joined.clone()), count);
        if let Some(too_wide) = self.checker.too_wide(&ty, span) {
            self.report(too_wide);
            return Expr::error(span);
        }
        // Each part is computed once, in the order in which it is written.
        let value = self.as_type(value, &joined);
        let mut stmts = Vec::new();
        let mut named = |body: &mut Self, value: Expr| {
            let (span, ty) = (value.span, value.ty.clone());
            let id = body.hidden_local(span, ty.clone());
            stmts.push(Stmt::Let(id, value));
            Expr::new(ExprKind::Local(id), ty, span)
        };
        let (array, index, value) = (named(self, array), named(self, index), named(self, value));
        let parts = (0..count).map(|at| {
            let number = Ty::Num(Num::computed(NumKind::Int, Range::one(i128::from(at))));
            let at = Expr::new(ExprKind::Const(vec![u64::from(at)]), number, span);
            let equal = ExprKind::Compare(Compare::Eq, Box::new(index.clone()), Box::new(at.clone()));
            let equal = Expr::new(equal, Ty::Bool, span);
            let old =
                Expr::new(ExprKind::Index(Box::new(array.clone()), Box::new(at)), (*element).clone(), span);
            let old = self.as_type(old, &joined);
            let kind = ExprKind::If(Box::new(equal), Box::new(value.clone()), Box::new(old));
            Expr::new(kind, joined.clone(), span)
        });
        let whole = Expr::new(ExprKind::Tuple(parts.collect()), ty.clone(), span);
        Expr::new(ExprKind::Block(stmts, Box::new(whole)), ty, span)
    }

    /// `for name in of`: over the elements of an array.
    pub(super) fn for_elements(
        &mut self,
        name: &ast::Ident,
        of: &ast::Expr,
        carried: &[ast::Carried],
        body: &ast::Block,
        span: Span,
    ) -> Expr {
        let array = self.expr(of, None);
        let array = self.must_have_value(array);
        let element = match &array.ty {
            Ty::Array(element, count) => Some(((**element).clone(), *count)),
            Ty::Error => None,
            other => {
                let found = self.describe(other);
                self.report(
                    Diagnostic::error(types::BAD_OPERAND, "a loop cannot go over this")
                        .label(of.span, format!("this is `{found}`"))
                        .help("a loop goes over a range `0..4`, an array, or the region of a header"),
                );
                None
            }
        };
        let failed = element.is_none();
        let (element, count) = element.unwrap_or((Ty::Error, 1));
        let element = match &array.kind {
            ExprKind::Const(words) => narrowed(&element, words, Range::new(0, i128::from(count) - 1)),
            _ => element,
        };
        let what = format!("has {count} elements");
        let failed = failed || self.few_turns(i128::from(count), of.span, what, None).is_none();
        let turns = Turns { carried, body, most: count, span };
        let value = self.carried_loop(&turns, &mut |body| {
            let element = body.bind_local(name, element.clone());
            Some(Over::Elements { element, array: array.clone(), count })
        });
        if failed { Expr::error(span) } else { value }
    }
}

/// The type of the elements of a constant array in a range of indices.
fn narrowed(element: &Ty, words: &[u64], at: Range) -> Ty {
    match element {
        Ty::Num(num) if num.range.min >= 0 => {
            let used = usize::try_from(at.min).unwrap_or(0)..=usize::try_from(at.max).unwrap_or(usize::MAX);
            let words = words.iter().enumerate().filter(|(at, _)| used.contains(at)).map(|(_, word)| word);
            let ranges = words.map(|word| Range::one(i128::from(*word)));
            let range = ranges.reduce(Range::join).unwrap_or(num.range);
            Ty::Num(Num { range, ..*num })
        }
        other => other.clone(),
    }
}
