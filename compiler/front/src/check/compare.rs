//! Comparisons and membership.

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, BinaryOp};

use super::arith::{negate, seq_distance};
use super::body::BodyChecker;
use super::wide::{from_words, integer, rectangles};
use crate::hir::{Compare, Expr, ExprKind, Op, Order, StateOp};
use crate::types::{Num, Range, Ty};

impl BodyChecker<'_, '_, '_> {
    /// `==`, `<`, `has` and their like.
    pub(super) fn comparison(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Expr {
        let a = self.expr(left, None);
        let hint = a.ty.clone();
        if let (BinaryOp::Has, Ty::Bits(_), ast::ExprKind::Tuple(parts) | ast::ExprKind::List(parts)) =
            (op, &a.ty, &right.kind)
        {
            return self.has_list(parts, right.span);
        }
        // A text is meant for what was reported already.
        let text = matches!(&right.kind, ast::ExprKind::Literal(literal) if matches!(literal.kind, ast::LiteralKind::Str(_)));
        if hint.is_error() && text {
            return Expr::error(span);
        }
        let b = self.expr(right, Some(&hint));
        let (a, b) = (self.must_have_value(a), self.must_have_value(b));
        if a.ty.is_error() || b.ty.is_error() {
            return Expr::error(span);
        }
        match op {
            BinaryOp::Has => match (&a.ty, &b.ty) {
                (Ty::Bits(x), Ty::Bits(y)) if x == y => compared(Compare::Has, a, b, span),
                _ => self.bad_operand("has", op_span, &a, &b),
            },
            BinaryOp::Eq | BinaryOp::Ne => {
                let equal = if op == BinaryOp::Eq { Compare::Eq } else { Compare::Ne };
                self.equality(equal, op, op_span, a, b, span)
            }
            _ => {
                let (a, b) = self.same_width(a, b);
                let Some(order) = order(&a.ty, &b.ty) else {
                    return self.no_order(op, op_span, &a, &b);
                };
                match op {
                    BinaryOp::Lt => compared(Compare::Lt(order), a, b, span),
                    BinaryOp::Le => compared(Compare::Le(order), a, b, span),
                    BinaryOp::Gt => compared(Compare::Lt(order), b, a, span),
                    _ => compared(Compare::Le(order), b, a, span),
                }
            }
        }
    }

    /// `flags has (SYN, ACK)`
    fn has_list(&mut self, parts: &[ast::Expr], whole: Span) -> Expr {
        let parts: Vec<&str> =
            parts.iter().map(|part| self.checker.sources.snippet(part.span).unwrap_or("…")).collect();
        let meant = parts.join(" | ");
        self.report(
            Diagnostic::error(types::BAD_OPERAND, "bits are joined with `|`")
                .label(whole, "several values")
                .suggest(whole, meant.clone(), format!("write `{meant}` for all of them"))
                .note("`flags has SYN or flags has ACK` asks for any of them"),
        );
        Expr::error(whole)
    }

    /// `flags has SYN and ACK`: the bit that was meant to be asked for, too. Further ones are not told of.
    pub(super) fn asked_again(
        &mut self,
        has: &Expr,
        left: &ast::Expr,
        op: BinaryOp,
        right: &ast::Expr,
    ) -> bool {
        let ast::ExprKind::Name(name) = &right.kind else { return false };
        if self.binding(&name.name).is_some() {
            return false;
        }
        let is = |(known, _): &(String, u64)| *known == name.name;
        if has.ty.is_error() {
            return ends_in_has(left)
                && self.checker.program.bits.iter().any(|bits| bits.variants.iter().any(is));
        }
        let mut last = has;
        while let ExprKind::And(_, right) | ExprKind::Or(_, right) = &last.kind {
            last = right;
        }
        let ExprKind::Compare(Compare::Has, flags, _) = &last.kind else { return false };
        if !self.variants(&flags.ty).iter().any(is) {
            return false;
        }
        let text = |span| self.checker.sources.snippet(span).unwrap_or_default();
        let meant = format!("{} has {}", text(flags.span), name.name);
        let diagnostic = Diagnostic::error(types::NOT_A_CONDITION, "a condition must be true or false")
            .label(name.span, "this is a bit")
            .label(left.span, "only this is asked")
            .suggest(
                name.span,
                meant.clone(),
                format!("write `{} {} {meant}`", text(left.span), op.symbol()),
            );
        self.report(diagnostic);
        true
    }

    /// Both as wide integers, where one of them is.
    fn same_width(&mut self, a: Expr, b: Expr) -> (Expr, Expr) {
        if !matches!((&a.ty, &b.ty), (Ty::Wide(_), Ty::Num(_)) | (Ty::Num(_), Ty::Wide(_))) {
            return (a, b);
        }
        match a.ty.join(&b.ty) {
            Some(ty) => (self.as_type(a, &ty), self.as_type(b, &ty)),
            None => (a, b),
        }
    }

    fn equality(
        &mut self,
        compare: Compare,
        op: BinaryOp,
        op_span: Span,
        a: Expr,
        b: Expr,
        span: Span,
    ) -> Expr {
        if !comparable(&a.ty, &b.ty) {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        }
        let Some(ty) = a.ty.join(&b.ty) else {
            // Two numbers with no word for both: they can still be compared if one of them has no negative numbers.
            return self.no_order(op, op_span, &a, &b);
        };
        if matches!(ty, Ty::Prefix) || ty == Ty::none() {
            return self.bad_operand(op.symbol(), op_span, &a, &b);
        }
        match (self.fit(a, &ty), self.fit(b, &ty)) {
            (Ok(a), Ok(b)) => compared(compare, a, b, span),
            _ => Expr::error(span),
        }
    }

    fn no_order(&mut self, op: BinaryOp, op_span: Span, a: &Expr, b: &Expr) -> Expr {
        if let (Ty::Num(x), Ty::Num(y)) = (&a.ty, &b.ty)
            && x.kind == y.kind
        {
            let (x, y) = (x.range, y.range);
            self.report(
                Diagnostic::error(
                    types::NEGATIVE,
                    "one of these can be negative and the other need all 64 bits",
                )
                .label(op_span, "cannot be compared without loss")
                .label(a.span, format!("can be {x}"))
                .label(b.span, format!("can be {y}"))
                .help("turn the comparison round so that nothing is subtracted, or use `-|`"),
            );
            return Expr::error(a.span.to(b.span));
        }
        self.bad_operand(op.symbol(), op_span, a, b)
    }

    /// `a in …`
    pub(super) fn membership(
        &mut self,
        value: &ast::Expr,
        negated: bool,
        within: &ast::RangeOr,
        span: Span,
    ) -> Expr {
        let found = match within {
            ast::RangeOr::Range(range) => {
                let value = self.expr(value, None);
                self.in_range(value, range, span)
            }
            ast::RangeOr::Expr(of) => match &of.kind {
                ast::ExprKind::List(parts) => {
                    let value = self.expr(value, None);
                    self.in_list(value, parts, span)
                }
                _ => match self.state_root(of) {
                    Some(_) => self.in_state(value, of, span),
                    None => self.in_value(value, of, span),
                },
            },
        };
        if negated { negate(found, span) } else { found }
    }

    fn in_range(&mut self, value: Expr, range: &ast::Range, span: Span) -> Expr {
        let start = self.expr(&range.start, Some(&value.ty.clone()));
        let end = self.expr(&range.end, Some(&value.ty.clone()));
        let value = self.must_have_value(value);
        if value.ty.is_error() || start.ty.is_error() || end.ty.is_error() {
            return Expr::error(span);
        }
        if value.ty == Ty::Seq {
            return self.in_seq_range(value, start, end, range, span);
        }
        let ordered = match (&value.ty, &start.ty, &end.ty) {
            (Ty::Num(a), Ty::Num(b), Ty::Num(c)) => a.kind == b.kind && b.kind == c.kind,
            (Ty::Ip4, Ty::Ip4, Ty::Ip4) | (Ty::Mac, Ty::Mac, Ty::Mac) => true,
            (Ty::Wide(_), Ty::Num(b), Ty::Num(c)) => b.widens() && c.widens(),
            (Ty::Wide(_), Ty::Wide(_), Ty::Num(num)) | (Ty::Wide(_), Ty::Num(num), Ty::Wide(_)) => {
                num.widens()
            }
            (Ty::Wide(_), Ty::Wide(_), Ty::Wide(_)) => true,
            _ => false,
        };
        if !ordered {
            let (a, b) = (self.describe(&value.ty), self.describe(&start.ty));
            self.report(
                Diagnostic::error(types::BAD_OPERAND, "this range is not one of such values")
                    .label(range.span, format!("a range of `{b}`"))
                    .label(value.span, format!("this is `{a}`")),
            );
            return Expr::error(span);
        }
        if let (Ty::Wide(_), ExprKind::Const(low), ExprKind::Const(high)) =
            (&value.ty, &start.kind, &end.kind)
        {
            let (low, high) = (from_words(low), from_words(high));
            let high = if range.inclusive { Some(high) } else { high.checked_sub(1) };
            let Some(high) = high.filter(|high| low <= *high) else { return self.empty_range(range, span) };
            return member(value, rectangles(low, high), span);
        }
        let natural = value.range().is_none_or(|range| range.min >= 0);
        if let (Some(low), Some(high), true) = (start.constant(), end.constant(), natural) {
            let high = if range.inclusive { Some(high) } else { high.checked_sub(1) };
            let Some(high) = high.filter(|high| low <= *high) else { return self.empty_range(range, span) };
            return member(value, vec![vec![(low, high)]], span);
        }
        if !repeatable(&value) {
            self.report(
                Diagnostic::error(
                    types::NAME_IT,
                    "a value that is compared with changing bounds needs a name",
                )
                .label(value.span, "would be computed twice")
                .help("write `let value = …;` before and compare `value`"),
            );
            return Expr::error(span);
        }
        let (start, value) = self.same_width(start, value);
        let (end, value) = self.same_width(end, value);
        let order = |a: &Ty, b: &Ty| order(a, b).unwrap_or(Order::Unsigned);
        let low = compared(Compare::Le(order(&start.ty, &value.ty)), start, value.clone(), span);
        let order = order(&value.ty, &end.ty);
        let high = if range.inclusive { Compare::Le(order) } else { Compare::Lt(order) };
        let high = compared(high, value, end, span);
        Expr::new(ExprKind::And(Box::new(low), Box::new(high)), Ty::Bool, span)
    }

    /// `seq in start..end`: whether it comes on the way from the one to the other, also where numbers start again at 0 in between.
    fn in_seq_range(&mut self, value: Expr, start: Expr, end: Expr, range: &ast::Range, span: Span) -> Expr {
        let plain =
            |bound: &Expr| bound.ty.num().is_some_and(Num::is_seq).then(|| bound.constant()).flatten();
        match (&start.ty, &end.ty, plain(&start), plain(&end)) {
            (Ty::Seq, Ty::Seq, ..) => {}
            (Ty::Seq, Ty::Num(num), ..) | (Ty::Num(num), Ty::Seq, ..) if num.is_seq() => {}
            (_, _, Some(low), Some(high)) if low < high || range.inclusive && low == high => {}
            (_, _, Some(_), Some(_)) => return self.empty_range(range, span),
            _ => {
                let other = if start.ty == Ty::Seq { &end } else { &start };
                let found = self.describe(&other.ty);
                let diagnostic =
                    Diagnostic::error(types::BAD_OPERAND, "this range is not one of such values")
                        .label(other.span, format!("this is `{found}`"))
                        .label(value.span, "this is `seq`");
                let diagnostic = match other.ty {
                    Ty::Num(_) => self.number_of_seq(diagnostic, value.span).note(
                        "sequence numbers go round: a range of them has a `seq` at one end at least, or constants at both",
                    ),
                    _ => diagnostic,
                };
                self.report(diagnostic);
                return Expr::error(span);
            }
        }
        if !repeatable(&start) {
            self.report(
                Diagnostic::error(types::NAME_IT, "the first of a range of sequence numbers needs a name")
                    .label(start.span, "would be computed twice")
                    .help("write `let start = …;` before and compare with `start`"),
            );
            return Expr::error(span);
        }
        let (at, length) = (seq_distance(value, start.clone(), span), seq_distance(end, start, span));
        let compare = if range.inclusive { Compare::Le } else { Compare::Lt };
        compared(compare(Order::Unsigned), at, length, span)
    }

    fn empty_range(&mut self, range: &ast::Range, span: Span) -> Expr {
        self.report(
            Diagnostic::error(types::EMPTY, "this range is empty")
                .label(range.span, "no value lies in it")
                .help("write the smaller bound first; `..=` includes the upper bound, `..` does not"),
        );
        Expr::error(span)
    }

    fn in_list(&mut self, value: Expr, parts: &[ast::Expr], span: Span) -> Expr {
        let value = self.must_have_value(value);
        let mut lists: Vec<Vec<(u64, u64)>> = Vec::new();
        let mut others: Option<Expr> = None;
        let mut failed = value.ty.is_error();
        for part in parts {
            if let ast::ExprKind::Range(range) = &part.kind {
                let within = self.in_range(value.clone(), range, part.span);
                match within.kind {
                    _ if within.ty.is_error() => failed = true,
                    ExprKind::InRanges(_, more) => lists.extend(more),
                    kind => others = Some(either(others, Expr { kind, ..within }, span)),
                }
                continue;
            }
            let element = self.expr(part, Some(&value.ty.clone()));
            if element.ty.is_error() || value.ty.is_error() {
                failed = true;
                continue;
            }
            if let Some(ranges) = prefix_ranges(&element, &value.ty) {
                lists.push(ranges);
                continue;
            }
            if !comparable(&value.ty, &element.ty) || matches!(value.ty, Ty::Option(_)) {
                self.bad_operand("in", element.span, &value, &element);
                failed = true;
                continue;
            }
            let element = match (&value.ty, value.ty.join(&element.ty)) {
                (Ty::Wide(_) | Ty::Addr, Some(ty)) => self.as_type(element, &ty),
                _ => element,
            };
            let natural = value.range().is_none_or(|range| range.min >= 0);
            match &element.kind {
                ExprKind::Const(words) if natural && element.range().is_none_or(|range| range.min >= 0) => {
                    lists.push(words.iter().map(|word| (*word, *word)).collect());
                }
                _ if !repeatable(&value) => {
                    self.report(
                        Diagnostic::error(
                            types::NAME_IT,
                            "a value that is compared with changing values needs a name",
                        )
                        .label(value.span, "would be computed twice")
                        .help("write `let value = …;` before and compare `value`"),
                    );
                    failed = true;
                }
                _ => {
                    let equal = self.equality(Compare::Eq, BinaryOp::Eq, span, value.clone(), element, span);
                    failed |= equal.ty.is_error();
                    others = Some(either(others, equal, span));
                }
            }
        }
        if failed {
            return Expr::error(span);
        }
        if parts.is_empty() {
            self.report(
                Diagnostic::error(types::EMPTY, "nothing is in an empty list")
                    .label(span, "this is always false"),
            );
            return Expr::error(span);
        }
        match (lists.is_empty(), others) {
            (true, Some(others)) => others,
            (_, None) => member(value, lists, span),
            (false, Some(others)) => {
                let constant = member(value, lists, span);
                Expr::new(ExprKind::Or(Box::new(constant), Box::new(others)), Ty::Bool, span)
            }
        }
    }

    /// `addr in 10.0.0.0/8`, also by the name of a constant.
    fn in_value(&mut self, value: &ast::Expr, of: &ast::Expr, span: Span) -> Expr {
        let value = self.expr(value, None);
        let of = self.expr(of, None);
        if value.ty.is_error() || of.ty.is_error() {
            return Expr::error(span);
        }
        if let Some(ranges) = prefix_ranges(&of, &value.ty) {
            return member(value, vec![ranges], span);
        }
        if let Ty::Array(element, _) = &of.ty {
            let element = (**element).clone();
            return self.in_array(value, of, &element, span);
        }
        let (a, b) = (self.describe(&value.ty), self.describe(&of.ty));
        self.report(
            Diagnostic::error(types::BAD_OPERAND, format!("a `{a}` cannot be in a `{b}`"))
                .label(of.span, format!("this is `{b}`"))
                .label(value.span, format!("this is `{a}`"))
                .help("behind `in` stands a range `1..=5`, a list `[1, 2]`, a prefix `10.0.0.0/8`, a map or a set"),
        );
        Expr::error(span)
    }

    /// `addr in INSIDE`, where that is an array.
    fn in_array(&mut self, value: Expr, of: Expr, element: &Ty, span: Span) -> Expr {
        let value = self.must_have_value(value);
        let is_prefix = *element == Ty::Prefix && matches!(value.ty, Ty::Ip4 | Ty::Ip6 | Ty::Addr);
        if value.ty.is_error() || !is_prefix && !comparable(&value.ty, element) {
            return if value.ty.is_error() {
                Expr::error(span)
            } else {
                self.bad_operand("in", of.span, &value, &of)
            };
        }
        let width = crate::hir::scalars(element, &self.checker.program).max(1);
        match of.kind {
            // Prefixes of the other family hold no such address.
            ExprKind::Const(words) if is_prefix => {
                let prefix = |words: &[u64]| {
                    let prefix = Expr::new(ExprKind::Const(words.to_vec()), Ty::Prefix, span);
                    prefix_ranges(&prefix, &value.ty)
                };
                let lists = words.chunks(width).filter_map(prefix).collect();
                member(value, lists, span)
            }
            ExprKind::Const(words) if value.ty.join(element).is_some_and(|ty| plain_words(&ty)) => {
                let Some(ty) = value.ty.join(element) else { return Expr::error(span) };
                let value = self.as_type(value, &ty);
                let lists = words
                    .chunks(width)
                    .map(|words| {
                        let element = Expr::new(ExprKind::Const(words.to_vec()), element.clone(), span);
                        let element = self.as_type(element, &ty);
                        match element.kind {
                            ExprKind::Const(words) => words.into_iter().map(|word| (word, word)).collect(),
                            _ => Vec::new(),
                        }
                    })
                    .collect();
                member(value, lists, span)
            }
            kind => {
                let of = Expr { kind, ..of };
                if !repeatable(&value) || !repeatable(&of) {
                    let unnamed = if repeatable(&value) { of.span } else { value.span };
                    self.report(
                        Diagnostic::error(
                            types::NAME_IT,
                            "a value that is compared several times needs a name",
                        )
                        .label(unnamed, "would be computed several times")
                        .help("write `let value = …;` before and use `value`"),
                    );
                    return Expr::error(span);
                }
                let Ty::Array(_, count) = of.ty else { return Expr::error(span) };
                let mut any: Option<Expr> = None;
                for at in 0..count {
                    let index = integer(u128::from(at), span);
                    let index = ExprKind::Index(Box::new(of.clone()), Box::new(index));
                    let one = Expr::new(index, element.clone(), span);
                    let equal = self.equality(Compare::Eq, BinaryOp::Eq, span, value.clone(), one, span);
                    any = Some(match any {
                        Some(before) => {
                            Expr::new(ExprKind::Or(Box::new(before), Box::new(equal)), Ty::Bool, span)
                        }
                        None => equal,
                    });
                }
                any.unwrap_or_else(|| Expr::error(span))
            }
        }
    }

    /// `key in conns`
    fn in_state(&mut self, key: &ast::Expr, of: &ast::Expr, span: Span) -> Expr {
        let Some((state, key)) = self.keyed_by(of, key) else { return Expr::error(span) };
        self.state_op(StateOp { state, key: Some(key), op: Op::Contains }, Ty::Bool, span)
    }
}

/// Whether one of the two holds; the second where there is no first.
fn either(first: Option<Expr>, second: Expr, span: Span) -> Expr {
    match first {
        Some(first) => Expr::new(ExprKind::Or(Box::new(first), Box::new(second)), Ty::Bool, span),
        None => second,
    }
}

/// A comparison, computed here where both operands are constants.
fn compared(compare: Compare, a: Expr, b: Expr, span: Span) -> Expr {
    if let (ExprKind::Const(x), ExprKind::Const(y)) = (&a.kind, &b.kind) {
        if let (Ty::Wide(_), Compare::Lt(_) | Compare::Le(_)) = (&a.ty, compare) {
            let (left, right) = (from_words(x), from_words(y));
            let truth = if matches!(compare, Compare::Lt(_)) { left < right } else { left <= right };
            return Expr::new(ExprKind::Const(vec![u64::from(truth)]), Ty::Bool, span);
        }
        let first = |words: &[u64]| words.first().copied().unwrap_or(0);
        let (left, right) = (first(x), first(y));
        let truth = match compare {
            Compare::Eq => x == y,
            Compare::Ne => x != y,
            Compare::Has => left & right == right,
            Compare::Lt(Order::Scalars) => x < y,
            Compare::Le(Order::Scalars) => x <= y,
            Compare::Lt(order) => less(order, left, right),
            Compare::Le(order) => !less(order, right, left),
        };
        return Expr::new(ExprKind::Const(vec![u64::from(truth)]), Ty::Bool, span);
    }
    Expr::new(ExprKind::Compare(compare, Box::new(a), Box::new(b)), Ty::Bool, span)
}

fn less(order: Order, a: u64, b: u64) -> bool {
    match order {
        Order::Unsigned | Order::Scalars => a < b,
        Order::Signed => (a as i64) < (b as i64),
        Order::Serial => (a.wrapping_sub(b) as u32) >= 1 << 31,
    }
}

fn member(value: Expr, lists: Vec<Vec<(u64, u64)>>, span: Span) -> Expr {
    if let ExprKind::Const(words) = &value.kind {
        let found = lists
            .iter()
            .any(|list| list.iter().zip(words).all(|((low, high), word)| low <= word && word <= high));
        return Expr::new(ExprKind::Const(vec![u64::from(found)]), Ty::Bool, span);
    }
    Expr::new(ExprKind::InRanges(Box::new(value), lists), Ty::Bool, span)
}

/// The ranges of the scalars of the addresses in a prefix; `None` where the types do not go together.
pub(super) fn prefix_ranges(prefix: &Expr, ty: &Ty) -> Option<Vec<(u64, u64)>> {
    let ExprKind::Const(words) = &prefix.kind else { return None };
    let ([family, high, low, len], Ty::Prefix) = (words.as_slice(), &prefix.ty) else { return None };
    match (family, ty) {
        (4, Ty::Ip4) => {
            let hosts = u64::from(u32::MAX.checked_shr(u32::try_from(*len).ok()?).unwrap_or(0));
            Some(vec![(*low & !hosts, *low | hosts)])
        }
        (_, Ty::Addr) => {
            let plain = if *family == 4 { Ty::Ip4 } else { Ty::Ip6 };
            let mut ranges = prefix_ranges(prefix, &plain)?;
            if *family == 4 {
                ranges.insert(0, (0, 0));
            }
            ranges.insert(0, (*family, *family));
            Some(ranges)
        }
        (6, Ty::Ip6) => {
            let len = u32::try_from(*len).ok()?;
            let high_hosts = u64::MAX.checked_shr(len).unwrap_or(0);
            let low_hosts = u64::MAX.checked_shr(len.saturating_sub(64)).unwrap_or(0);
            Some(vec![(high & !high_hosts, high | high_hosts), (low & !low_hosts, low | low_hosts)])
        }
        _ => None,
    }
}

/// How values of two types are ordered, if they are.
fn order(a: &Ty, b: &Ty) -> Option<Order> {
    match (a, b) {
        (Ty::Num(Num { kind: x, range: a, .. }), Ty::Num(Num { kind: y, range: b, .. })) if x == y => {
            if a.min >= 0 && b.min >= 0 {
                Some(Order::Unsigned)
            } else if a.within(Range::I64) && b.within(Range::I64) {
                Some(Order::Signed)
            } else {
                None
            }
        }
        (Ty::Wide(_), Ty::Wide(_)) => Some(Order::Unsigned),
        (Ty::Seq, Ty::Seq) => Some(Order::Serial),
        _ if by_scalars(a, b) => Some(Order::Scalars),
        _ => None,
    }
}

/// Whether values of two types are compared scalar by scalar: addresses, and tuples of them and of natural numbers.
fn by_scalars(a: &Ty, b: &Ty) -> bool {
    match (a, b) {
        (Ty::Ip4, Ty::Ip4) | (Ty::Ip6, Ty::Ip6) | (Ty::Addr, Ty::Addr) | (Ty::Mac, Ty::Mac) => true,
        (Ty::Tuple(a), Ty::Tuple(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| order(a, b) == Some(Order::Unsigned) || by_scalars(a, b))
        }
        _ => false,
    }
}

/// Whether two types have values that can be equal.
fn comparable(a: &Ty, b: &Ty) -> bool {
    match (a, b) {
        (Ty::Num(a), Ty::Num(b)) => a.kind == b.kind,
        (Ty::Wide(_), Ty::Wide(_)) => true,
        (Ty::Wide(_), Ty::Num(num)) | (Ty::Num(num), Ty::Wide(_)) => num.widens(),
        (Ty::Array(a, n), Ty::Array(b, m)) => n == m && comparable(a, b),
        (Ty::Option(a), Ty::Option(b)) => **a == Ty::Never || **b == Ty::Never || comparable(a, b),
        (Ty::Option(a), b) | (b, Ty::Option(a)) => comparable(a, b),
        (Ty::Tuple(a), Ty::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| comparable(a, b)),
        (Ty::Addr, Ty::Ip4 | Ty::Ip6) | (Ty::Ip4 | Ty::Ip6, Ty::Addr) => true,
        (Ty::Seq, Ty::Num(num)) | (Ty::Num(num), Ty::Seq) => num.is_seq(),
        (a, b) => a == b,
    }
}

/// Whether the words of a constant of the type are the very scalars that values of it have.
fn plain_words(ty: &Ty) -> bool {
    match ty {
        Ty::Num(num) => num.range.min >= 0,
        Ty::Tuple(parts) => parts.iter().all(plain_words),
        Ty::Option(_) | Ty::Array(..) => false,
        _ => true,
    }
}

/// Whether a value can be computed twice without anybody seeing it.
fn repeatable(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Const(_)
        | ExprKind::Local(_)
        | ExprKind::Field(..)
        | ExprKind::Param(_)
        | ExprKind::PacketLen
        | ExprKind::InPort
        | ExprKind::Now => true,
        ExprKind::Part(inner, _)
        | ExprKind::Widen(inner)
        | ExprKind::Addr(inner)
        | ExprKind::Slice(inner, ..) => repeatable(inner),
        ExprKind::Arith(_, a, b) => repeatable(a) && repeatable(b),
        _ => false,
    }
}

/// `flags has SYN`, and also with names joined to it that were meant as bits: `flags has SYN and ACK`.
fn ends_in_has(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ast::ExprKind::Binary { op: BinaryOp::Has, .. } => true,
        ast::ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, left, right, .. } => {
            ends_in_has(right) || matches!(right.kind, ast::ExprKind::Name(_)) && ends_in_has(left)
        }
        _ => false,
    }
}
