//! Loops: how many turns they take at most, and what goes from turn to turn.
//!
//! Nothing in Oko can be assigned to. What a loop computes is *carried*: `for i in 0..n with sum = 0 { sum + i }` gives each turn
//! the value of the turn before, and the loop is worth the last one.
//!
//! The type of a carried number is declared, or its range is found: the body is looked at once with the first value, where each
//! way to its end either adds something to the number (by at most so much), or sets it anew. After n turns it is then at
//! most n such steps away from where it can begin. The second look, which is the one whose messages are shown, proves
//! that: under the widened range no step is longer, and nothing is set to more. So the range is an invariant, by induction
//! over the turns.

use std::collections::HashMap;

use oko_diagnostics::codes::{results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use crate::cost::{Area, AreaKind};
use crate::hir::{Arith, Expr, ExprKind, LocalId, Loop, Over, Stmt};
use crate::types::{Num, NumKind, Range, Ty};

/// The most turns of a loop.
const MAX_TURNS: i128 = 65_536;

/// The most turns of a loop in an `update`, which is written out while the entry is locked.
pub(crate) const MAX_LOCKED_TURNS: u32 = 64;

/// How deeply loops can lie within one another.
const MAX_NESTING: usize = 4;

/// A loop around the place that is being checked.
pub(super) struct LoopScope {
    span: Span,
    /// The `update` that the loop stands in.
    locked: Option<Span>,
    carried: Vec<LocalId>,
    /// The types that the loop's value has parts of.
    types: Vec<Ty>,
    /// The values behind `break`, for the ranges of what is carried.
    breaks: Vec<Expr>,
}

/// The source of a loop, whatever it goes over.
pub(super) struct Turns<'a> {
    pub(super) carried: &'a [ast::Carried],
    pub(super) body: &'a ast::Block,
    /// How many there are at most.
    pub(super) most: u32,
    pub(super) span: Span,
}

/// What is known of a carried value.
struct Carried {
    first: Expr,
    declared: bool,
    /// Its type at the start of a turn.
    inside: Ty,
    /// Its type behind the loop.
    whole: Ty,
    /// Where a number can begin and how far a turn moves it, where both were found.
    found: Option<Walk>,
}

/// Where a carried number begins or is set to, and how far one turn moves it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Walk {
    from: Range,
    by: Range,
    /// Whether it is never set to another value.
    only_moves: bool,
}

/// How one way through the body leaves a carried number.
enum Step {
    /// By so much more.
    By(Range),
    /// At another value.
    To(Ty),
}

impl BodyChecker<'_, '_, '_> {
    /// `for name in over with carried { body }`
    pub(super) fn for_expr(
        &mut self,
        name: &ast::Ident,
        over: &ast::RangeOr,
        carried: &[ast::Carried],
        body: &ast::Block,
        span: Span,
    ) -> Expr {
        match over {
            ast::RangeOr::Range(range) => self.for_range(name, range, carried, body, span),
            ast::RangeOr::Expr(of) if self.state_root(of).is_some() => {
                let what = self.checker.sources.snippet(of.span).unwrap_or("state");
                let diagnostic = Diagnostic::error(
                    types::BAD_OPERAND,
                    "no loop goes over the entries of a state",
                )
                .label(of.span, "may have any number of entries")
                .help(format!(
                    "look up what the packet is about, `{what}[key]`; all entries are the operator's to see"
                ));
                self.report(diagnostic);
                Expr::error(span)
            }
            ast::RangeOr::Expr(of) => match self.region_of(of) {
                Some(layer) => self.for_region(layer, name, of, carried, body, span),
                None => self.for_elements(name, of, carried, body, span),
            },
        }
    }

    fn for_range(
        &mut self,
        name: &ast::Ident,
        range: &ast::Range,
        carried: &[ast::Carried],
        body: &ast::Block,
        span: Span,
    ) -> Expr {
        let start = self.expr(&range.start, None);
        let end = self.expr(&range.end, None);
        let (start, end) = (self.must_have_value(start), self.must_have_value(end));
        let (most, ty) = match self.turns(&start, &end, range) {
            Some((most, indices)) => (most, Ty::Num(Num::computed(NumKind::Int, indices))),
            None => (1, Ty::Error),
        };
        let failed = ty.is_error();
        let turns = Turns { carried, body, most, span };
        let inclusive = range.inclusive;
        let value = self.carried_loop(&turns, &mut |body| {
            let index = body.bind_local(name, ty.clone());
            Some(Over::Range { index, start: start.clone(), end: end.clone(), inclusive, most })
        });
        if failed { Expr::error(span) } else { value }
    }

    /// How many turns a loop over a range takes at most, and what its index can be; reports where there is no bound.
    fn turns(&mut self, start: &Expr, end: &Expr, range: &ast::Range) -> Option<(u32, Range)> {
        if start.ty.is_error() || end.ty.is_error() {
            return None;
        }
        for bound in [start, end] {
            match bound.ty.num() {
                Some(num) if num.kind == NumKind::Int && num.range.min >= 0 => {}
                Some(num) if num.kind == NumKind::Int => {
                    self.report(
                        Diagnostic::error(types::NEGATIVE, "a loop counts from 0 up")
                            .label(bound.span, format!("this can be {}", num.range))
                            .help("`-|` instead of `-` stays at 0, or compare first"),
                    );
                    return None;
                }
                _ => {
                    let found = self.describe(&bound.ty);
                    self.report(
                        Diagnostic::error(types::BAD_OPERAND, "a loop goes over whole numbers")
                            .label(bound.span, format!("this is `{found}`")),
                    );
                    return None;
                }
            }
        }
        let (first, last) = (start.range()?, end.range()?);
        let last = if range.inclusive { last.max } else { last.max - 1 };
        if last < first.min {
            self.report(
                Diagnostic::error(types::EMPTY, "this range is empty")
                    .label(range.span, "no value lies in it")
                    .help("write the smaller bound first; `..=` includes the upper bound, `..` does not"),
            );
            return None;
        }
        let turns = last - first.min + 1;
        let known = start.constant().zip(end.constant()).is_some();
        let most = if known {
            self.few_turns(turns, range.span, format!("{turns} numbers lie in it"), None)?
        } else {
            let (span, what) = match end.range().filter(|_| end.constant().is_none()) {
                Some(range) => (end.span, format!("this can be {range}")),
                None => (start.span, format!("this can be {first}")),
            };
            let help = "compare the bound first: behind `if n <= 16 { … }` its range is known";
            self.few_turns(turns, span, what, Some(help))?
        };
        Some((most, Range { min: first.min, max: last }))
    }

    /// The number of turns, if it is allowed here; reports where it is not.
    pub(super) fn few_turns(
        &mut self,
        turns: i128,
        span: Span,
        what: String,
        help: Option<&str>,
    ) -> Option<u32> {
        let limit = if self.locked.is_some() { i128::from(MAX_LOCKED_TURNS) } else { MAX_TURNS };
        if turns <= limit {
            return u32::try_from(turns).ok();
        }
        let headline = format!("this loop can take {turns} turns, and at most {limit} are allowed");
        let mut diagnostic = Diagnostic::error(types::TOO_MANY_TURNS, headline).label(span, what);
        if let Some(update) = self.locked {
            diagnostic =
                diagnostic.label(update, "other packets wait while this `update` works on the entry");
        }
        self.report(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
        None
    }

    /// A loop whatever it goes over. `bind` brings the element's name into scope; it runs once or more often, and what it says last
    /// counts.
    pub(super) fn carried_loop(
        &mut self,
        turns: &Turns<'_>,
        bind: &mut dyn FnMut(&mut Self) -> Option<Over>,
    ) -> Expr {
        let span = turns.span;
        if self.loops.len() >= MAX_NESTING {
            self.report(
                Diagnostic::error(results::TOO_MANY, "loops lie too deeply within one another")
                    .label(span, format!("more than {MAX_NESTING} of them"))
                    .help("the turns multiply: look at each part on its own"),
            );
            return Expr::error(span);
        }
        let mut carried: Vec<Carried> =
            turns.carried.iter().map(|carried| self.first_value(carried)).collect();
        let open = carried.iter().filter(|carried| !carried.declared).count();
        for _ in 0..open.min(2) {
            let steps = self.speculate(|body| {
                let (first, _, value, breaks) = body.turn(turns, &carried, bind);
                steps(first, carried.len(), &value, &breaks)
            });
            for (carried, steps) in carried.iter_mut().zip(steps) {
                if !carried.declared {
                    carried.widen(&steps, turns.most);
                }
            }
        }
        let (names, over, value, breaks) = self.turn(turns, &carried, bind);
        let steps = steps(names, carried.len(), &value, &breaks);
        let ty = whole_type(&carried);
        let failed = over.is_none() || value.ty == Ty::Error || carried.iter().any(|c| c.first.ty.is_error());
        if failed {
            return Expr::error(span);
        }
        for ((carried, steps), source) in carried.iter().zip(&steps).zip(turns.carried) {
            if let Some(walk) = carried.found
                && !walk.holds(steps)
            {
                self.report(unsteady(source, &value));
                return Expr::error(span);
            }
        }
        let value = if carried.is_empty() || value.ty == Ty::Never {
            value
        } else {
            if value.ty == Ty::Unit {
                self.report(
                    Diagnostic::error(types::NO_VALUE, "a turn ends without a value")
                        .label(turns.body.span.at_end(), "the next turn is given nothing")
                        .label(turns.carried[0].span, "carried from turn to turn")
                        .help("end the body with the next value, or with the name itself where it stays"),
                );
                return Expr::error(span);
            }
            let because = turns.carried[0].span;
            self.coerce(value, &ty, because)
        };
        if value.ty.is_error() {
            return Expr::error(span);
        }
        let Some(over) = over else { return Expr::error(span) };
        if self.checker.quiet == 0 {
            let place = Span { end: turns.body.span.start, ..span };
            let area = Area { kind: AreaKind::Loop(turns.most), place, span };
            self.checker.program.areas.push(area);
        }
        let most = Range::one(i128::from(turns.most));
        let moved =
            |carried: &Carried| carried.found.filter(|walk| walk.only_moves).map(|walk| walk.by.mul(most));
        let moved = carried.iter().map(moved).collect();
        let parts: Vec<Ty> = carried.iter().map(|carried| carried.whole.clone()).collect();
        let firsts: Vec<Expr> =
            carried.into_iter().zip(&parts).map(|(carried, ty)| self.as_type(carried.first, ty)).collect();
        let ids = (names..).take(firsts.len()).map(LocalId::from_index);
        let carried = ids.zip(firsts).collect();
        Expr::new(ExprKind::Loop(Box::new(Loop { over, carried, moved, body: value })), ty, span)
    }

    /// The first value of what is carried.
    fn first_value(&mut self, source: &ast::Carried) -> Carried {
        let (first, declared) = match &source.ty {
            Some(ty) => {
                let (span, ty) = (ty.span, self.checker.value_type(self.module, ty));
                (self.expect(&source.value, &ty, span), Some(ty))
            }
            None => (self.expr(&source.value, None), None),
        };
        let mut first = self.must_have_value(first);
        if let Some(too_wide) = self.checker.too_wide(&first.ty, first.span) {
            self.report(too_wide);
            first = Expr::error(first.span);
        }
        let inside = match &declared {
            Some(_) if first.ty.is_error() => Ty::Error,
            Some(ty) => ty.clone(),
            None => first.ty.clone(),
        };
        Carried { declared: declared.is_some(), whole: inside.clone(), inside, found: None, first }
    }

    /// One look at the body: the number of the first carried name, what it goes over, its value, and the values behind `break`.
    fn turn(
        &mut self,
        turns: &Turns<'_>,
        carried: &[Carried],
        bind: &mut dyn FnMut(&mut Self) -> Option<Over>,
    ) -> (usize, Option<Over>, Expr, Vec<Expr>) {
        let first = self.locals.len();
        self.scoped(|body| {
            let ids = turns.carried.iter().zip(carried);
            let ids = ids.map(|(source, carried)| body.bind_local(&source.name, carried.inside.clone()));
            let ids: Vec<LocalId> = ids.collect();
            for (id, carried) in ids.iter().zip(carried) {
                body.remember_origin(*id, &carried.first);
            }
            let over = bind(body);
            body.loops.push(LoopScope {
                span: turns.span,
                locked: body.locked,
                carried: ids,
                types: carried.iter().map(|carried| carried.whole.clone()).collect(),
                breaks: Vec::new(),
            });
            let expected = whole_type(carried);
            let value = body.block(turns.body, Some(&expected));
            let breaks = body.loops.pop().map_or_else(Vec::new, |scope| scope.breaks);
            (first, over, value, breaks)
        })
    }

    /// Runs a step whose messages and names are thrown away.
    fn speculate<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> T {
        let (locals, layers, origins) = (self.locals.len(), self.layers.len(), self.origins.len());
        let callees = self.callees.len();
        self.checker.quiet += 1;
        let result = step(self);
        self.checker.quiet -= 1;
        self.locals.truncate(locals);
        self.layers.truncate(layers);
        self.origins.truncate(origins);
        self.callees.truncate(callees);
        result
    }

    /// `break;`, `break value;`
    pub(super) fn break_stmt(&mut self, value: Option<&ast::Expr>, span: Span) -> Expr {
        let around = self.loops.last().map(|scope| (scope.span, scope.locked));
        let Some((loop_span, _)) = around.filter(|(_, locked)| *locked == self.locked) else {
            if let Some(value) = value {
                self.expr(value, None);
            }
            let diagnostic = Diagnostic::error(types::NO_LOOP, "there is no loop to leave here");
            self.report(match (around, self.locked) {
                (Some((around, _)), Some(update)) => diagnostic
                    .label(span, "leaves while the entry is being replaced")
                    .label(update, "this `update` computes the entry's new value")
                    .label(around, "the loop is around it")
                    .help("give the update's value a name with `let` and leave the loop behind it"),
                _ => diagnostic.label(span, "`break` stands in the body of a `for`"),
            });
            return Expr::error(span);
        };
        let scope = self.loops.last().map(|scope| (scope.carried.clone(), scope.types.clone()));
        let (carried, types) = scope.unwrap_or_default();
        let expected = match types.as_slice() {
            [] => None,
            [ty] => Some(ty.clone()),
            types => Some(Ty::Tuple(types.to_vec())),
        };
        let value = match (value, expected) {
            (Some(value), None) => {
                let value = self.expr(value, None);
                self.report(
                    Diagnostic::error(types::NO_LOOP_VALUE, "this loop has no value")
                        .label(value.span, "a value is given to it here")
                        .label(loop_span, "nothing is carried from turn to turn")
                        .help("name the value behind `with`: `for … with found = none { … }`"),
                );
                return Expr::error(span);
            }
            (None, None) => Expr::new(ExprKind::Nothing, Ty::Unit, span),
            (Some(value), Some(ty)) => {
                let value = self.expr(value, Some(&ty));
                let value = self.must_have_value(value);
                if let Some(scope) = self.loops.last_mut() {
                    scope.breaks.push(value.clone());
                }
                self.coerce(value, &ty, loop_span)
            }
            (None, Some(ty)) => {
                let parts: Vec<Expr> = carried
                    .iter()
                    .zip(&types)
                    .map(|(id, ty)| {
                        let own = self.locals[id.index()].ty.clone();
                        let part = Expr::new(ExprKind::Local(*id), own, span);
                        self.as_type(part, ty)
                    })
                    .collect();
                match <[Expr; 1]>::try_from(parts) {
                    Ok([only]) => only,
                    Err(parts) => Expr::new(ExprKind::Tuple(parts), ty, span),
                }
            }
        };
        if value.ty == Ty::Error {
            return Expr::error(span);
        }
        Expr::new(ExprKind::Break(Box::new(value)), Ty::Never, span)
    }
}

impl Carried {
    /// Takes in how a look at the body left the value.
    fn widen(&mut self, steps: &[Step], turns: u32) {
        // What was reported says nothing about the type.
        let steps = || steps.iter().filter(|step| !matches!(step, Step::To(ty) if ty.is_error()));
        let Ty::Num(first) = self.first.ty else {
            let mut whole = self.inside.clone();
            for step in steps() {
                if let Step::To(ty) = step {
                    whole = whole.join(ty).unwrap_or(whole);
                }
            }
            // What wide integers are is not followed from turn to turn.
            if let Ty::Wide(wide) = whole {
                whole = Ty::wide(wide.bits);
            }
            (self.inside, self.whole) = (whole.clone(), whole);
            return;
        };
        let (mut from, mut by, mut bits) = (first.range, Range::one(0), first.bits);
        let mut only_moves = true;
        for step in steps() {
            match step {
                Step::By(range) => by = by.join(*range),
                Step::To(Ty::Num(num)) if num.kind == first.kind => {
                    only_moves = false;
                    from = from.join(num.range);
                    bits = bits.max(num.bits);
                }
                // `none`, or something that does not go with a number: the look that counts will say it.
                Step::To(ty) => {
                    if let Some(joined) = self.inside.join(ty) {
                        (self.inside, self.whole) = (joined.clone(), joined);
                        return;
                    }
                }
            }
        }
        let after = |turns: u32| {
            let range = from.add(by.mul(Range::one(i128::from(turns))));
            Num { kind: first.kind, bits: bits.max(range.bits()), range }
        };
        let whole = after(turns);
        if !whole.range.fits_word() {
            return;
        }
        self.found = Some(Walk { from, by, only_moves });
        (self.inside, self.whole) = (Ty::Num(after(turns - 1)), Ty::Num(whole));
    }
}

impl Walk {
    /// Whether no step goes further, or to somewhere else.
    fn holds(self, steps: &[Step]) -> bool {
        steps.iter().all(|step| match step {
            Step::By(range) => range.within(self.by),
            // What does not fit at all is reported as that.
            Step::To(Ty::Error) => true,
            Step::To(ty) => ty.num().is_some_and(|num| num.range.within(self.from)),
        })
    }
}

/// How each carried value is left by all ways through the body; their names are numbered from `first` on.
fn steps(first: usize, count: usize, value: &Expr, breaks: &[Expr]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    for at in 0..count {
        let part = (count > 1).then_some(at);
        let mut ways =
            Ways { local: LocalId::from_index(first + at), lets: HashMap::new(), steps: Vec::new() };
        for value in std::iter::once(value).chain(breaks) {
            ways.follow(value, part);
        }
        all.push(ways.steps);
    }
    all
}

/// The ways through a body to its value.
struct Ways<'e> {
    /// The carried number.
    local: LocalId,
    /// Names on the way.
    lets: HashMap<LocalId, &'e Expr>,
    steps: Vec<Step>,
}

impl<'e> Ways<'e> {
    fn follow(&mut self, value: &'e Expr, part: Option<usize>) {
        if matches!(value.ty, Ty::Never | Ty::Unit) {
            return;
        }
        match &value.kind {
            ExprKind::Block(stmts, last) => {
                for stmt in stmts {
                    if let Stmt::Let(id, value) = stmt {
                        self.lets.insert(*id, value);
                    }
                }
                self.follow(last, part);
            }
            ExprKind::If(_, then, otherwise) => {
                self.follow(then, part);
                self.follow(otherwise, part);
            }
            ExprKind::Match(_, arms) => arms.iter().for_each(|arm| self.follow(&arm.value, part)),
            ExprKind::MatchLayer(_, arms) => arms.iter().for_each(|arm| self.follow(&arm.value, part)),
            ExprKind::MatchPacket(arms) => arms.iter().for_each(|arm| self.follow(&arm.value, part)),
            ExprKind::Tuple(parts) if let Some(part) = part.and_then(|part| parts.get(part)) => {
                self.follow(part, None);
            }
            ExprKind::Local(id) if self.moved(value, part, 0).is_none() && self.lets.contains_key(id) => {
                // A name on the way is what it names; each is followed once.
                if let Some(named) = self.lets.remove(id) {
                    self.follow(named, part);
                }
            }
            _ => {
                let step = match (part, self.moved(value, part, 0)) {
                    (_, Some(by)) => Step::By(by),
                    (None, None) => Step::To(value.ty.clone()),
                    (Some(part), None) => match &value.ty {
                        Ty::Tuple(types) => Step::To(types.get(part).cloned().unwrap_or(Ty::Error)),
                        _ => Step::To(Ty::Error),
                    },
                };
                self.steps.push(step);
            }
        }
    }

    /// By how much more than the carried number a value is, if that is what it is.
    fn moved(&self, value: &Expr, part: Option<usize>, depth: u32) -> Option<Range> {
        if depth > 64 {
            return None;
        }
        if let ExprKind::Loop(inner) = &value.kind {
            let at = part.unwrap_or(0);
            let (_, first) = inner.carried.get(at)?;
            return Some(self.moved(first, None, depth + 1)?.add((*inner.moved.get(at)?)?));
        }
        if part.is_some() {
            return match &value.kind {
                ExprKind::Local(id) => self.moved(self.lets.get(id)?, part, depth + 1),
                _ => None,
            };
        }
        match &value.kind {
            ExprKind::Local(id) if *id == self.local => Some(Range::one(0)),
            ExprKind::Local(id) => self.moved(self.lets.get(id)?, None, depth + 1),
            ExprKind::Arith(Arith::Add, a, b) => {
                match (self.moved(a, None, depth + 1), self.moved(b, None, depth + 1)) {
                    (Some(by), None) => Some(by.add(b.range()?)),
                    (None, Some(by)) => Some(by.add(a.range()?)),
                    _ => None,
                }
            }
            ExprKind::Arith(Arith::Sub, a, b) => Some(self.moved(a, None, depth + 1)?.sub(b.range()?)),
            _ => None,
        }
    }
}

/// The type of a loop's value.
fn whole_type(carried: &[Carried]) -> Ty {
    match carried {
        [] => Ty::Unit,
        [only] => only.whole.clone(),
        several => Ty::Tuple(several.iter().map(|carried| carried.whole.clone()).collect()),
    }
}

fn unsteady(source: &ast::Carried, value: &Expr) -> Diagnostic {
    let name = &source.name.name;
    Diagnostic::error(
        types::DOES_NOT_FIT,
        format!("how far `{name}` gets from turn to turn has no bound that is known"),
    )
    .label(source.span, "its type follows from the body")
    .label(super::control::last_value(value), "the next turn begins with this")
    .help(format!("declare its type, such as `{name}: u32`, and use `+|` or `+%`"))
}
