//! The operations of cells, sets and sketches: `servers[key].opened.add(1)`, `asked.insert(key)`, `volume[key].estimate`.
//!
//! Each works on one entry in one step.

use oko_diagnostics::codes::{names, state, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::place::{ContentKind, StatePath};
use crate::hir::{Cell, CellKind, CellOp, Expr, Op, Shape, StateId, StateOp};
use crate::types::{Num, NumKind, Range, Ty};

/// The most that a bucket of a window can hold, so that its arithmetic stays within 64 bits.
pub(crate) const WINDOW_COUNT_MAX: u64 = (1 << 48) - 1;

/// The most that a counter of a sketch with a window can hold: the other bits say of which bucket it is.
pub(crate) const SKETCH_COUNT_MAX: u64 = (1 << 44) - 1;

/// The most that can be added to a sketch at once.
pub(crate) const SKETCH_AMOUNT_MAX: u64 = u32::MAX as u64;

/// The most distinct values that are told apart.
pub(crate) const DISTINCT_MAX: u64 = (1 << 47) - 1;

impl BodyChecker<'_, '_, '_> {
    pub(super) fn cell_as_value(&mut self, cell: CellKind, span: Span) -> Expr {
        let diagnostic = Diagnostic::error(state::NOT_READABLE, format!("a `{}` is no value", cell.name()))
            .label(span, "only its operations give values");
        self.report(match cell {
            CellKind::Tokens => diagnostic.help("`.take(1)` takes a token and says whether there was one"),
            CellKind::Distinct => diagnostic.help("`.total` reads it, `.insert(value)` shows it a value"),
            CellKind::Ewma => diagnostic.help("`.average` and `.rate` read it, `.add(1)` adds to it"),
            CellKind::Counter | CellKind::Window => {
                diagnostic.help("`.total` reads it, `.add(1)` adds to it")
            }
        });
        Expr::error(span)
    }

    /// `servers[key].closed.total`, `volume[key].estimate`
    pub(super) fn state_field(&mut self, base: &ast::Expr, name: &ast::Ident, span: Span) -> Expr {
        let Some(path) = self.state_path(base) else { return Expr::error(span) };
        let Some(content) = self.content_kind(&path) else { return Expr::error(span) };
        if let Some(reported) = self.no_operation_of_all(&path, &content, name, &[], span) {
            return reported;
        }
        let Ok(key) = self.key(&path, path.key) else { return Expr::error(span) };
        match content {
            ContentKind::Value => {
                let value = self.read(&path, key, span);
                if !value.ty.is_error() {
                    self.report(
                        Diagnostic::error(types::MAYBE_NONE, "this value can be `none`, which has no fields")
                            .label(base.span, "can be `none`")
                            .help("use `match`: `none => …, let value => …`"),
                    );
                }
                Expr::error(span)
            }
            ContentKind::Nothing | ContentKind::Bloom => self.no_set_operation(&content, name),
            ContentKind::Sketch => match (path.fields.as_slice(), name.name.as_str()) {
                ([], "estimate") => {
                    let ty = self.estimate_type(path.state);
                    self.state_op(StateOp { state: path.state, key, op: Op::Estimate }, ty, span)
                }
                ([], "add") => self.needs_amount(name),
                _ => self.unknown_method("a sketch", name, SKETCH),
            },
            ContentKind::Cells(cells) => {
                let mut names = path.fields.clone();
                names.push(name);
                let Some((at, cell)) = self.which_cell(&path, &cells, names[0]) else {
                    return Expr::error(span);
                };
                match names.as_slice() {
                    [_] => self.cell_as_value(cell.kind, span),
                    [_, operation] => self.cell_field(&path, key, (at, &cell), operation, span),
                    [_, _, stray, ..] => self.unknown_method("a number", stray, &[]),
                    [] => Expr::error(span),
                }
            }
            ContentKind::Cell(cell) => match path.fields.as_slice() {
                [] => self.cell_field(&path, key, (0, &cell), name, span),
                _ => self.unknown_method("a number", name, &[]),
            },
        }
    }

    fn cell_field(
        &mut self,
        path: &StatePath<'_>,
        key: Option<Expr>,
        (at, cell): (usize, &Cell),
        name: &ast::Ident,
        span: Span,
    ) -> Expr {
        let (op, ty) = match (name.name.as_str(), cell.kind) {
            ("total", CellKind::Counter | CellKind::Window | CellKind::Distinct) => {
                (CellOp::Total, total_type(cell))
            }
            ("average", CellKind::Ewma) => (CellOp::Average, cell.of.clone()),
            ("rate", CellKind::Ewma) if is_count(&cell.of) => (CellOp::Rate, Ty::rate()),
            ("add" | "take" | "insert", _) if operations(cell).contains(&name.name.as_str()) => {
                return self.needs_amount(name);
            }
            _ => return self.unknown_method(&format!("a `{}`", cell.kind.name()), name, operations(cell)),
        };
        let op = Op::Cell { cell: at, kind: cell.kind, op };
        self.state_op(StateOp { state: path.state, key, op }, ty, span)
    }

    fn which_cell(
        &mut self,
        path: &StatePath<'_>,
        cells: &[(String, Cell)],
        name: &ast::Ident,
    ) -> Option<(usize, Cell)> {
        if let Some(at) = cells.iter().position(|(cell, _)| *cell == name.name) {
            return Some((at, cells[at].1.clone()));
        }
        let declared = self.checker.program.states[path.state.index()].span;
        let known: Vec<String> = cells.iter().map(|(name, _)| name.clone()).collect();
        let what = format!("an entry of `{}`", path.name.name);
        self.no_field(&what, declared, name, &known);
        None
    }

    /// `servers[key].opened.add(1)`, `asked.insert(key)`
    pub(super) fn method(
        &mut self,
        base: &ast::Expr,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        let Some(path) = self.state_path(base) else { return Expr::error(span) };
        let Some(content) = self.content_kind(&path) else {
            self.look_at(args);
            return Expr::error(span);
        };
        let by_key = match name.name.as_str() {
            "remove" | "contains" => true,
            "insert" => !matches!(content, ContentKind::Value),
            _ => false,
        };
        if by_key && self.names_all_entries(&path) {
            return self.key_method(&path, &content, name, args, span);
        }
        if let Some(reported) = self.no_operation_of_all(&path, &content, name, args, span) {
            return reported;
        }
        let key = self.key(&path, path.key);
        if matches!(content, ContentKind::Value | ContentKind::Nothing | ContentKind::Bloom) {
            self.look_at(args);
            return match content {
                ContentKind::Value => self.no_operation_of_value(&path, name, span),
                _ => self.no_set_operation(&content, name),
            };
        }
        let Ok(key) = key else {
            self.look_at(args);
            return Expr::error(span);
        };
        let cell = match (&content, path.fields.as_slice()) {
            (ContentKind::Sketch, []) => return self.sketch_method(&path, key, name, args, span),
            (ContentKind::Cell(cell), []) => Some((0, cell.clone())),
            (ContentKind::Cells(cells), [field]) => self.which_cell(&path, cells, field),
            (ContentKind::Cells(_), []) => {
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "which cell of the entry is meant?")
                        .label(name.span, "the entry has several")
                        .help(format!("write the name of a cell in front: `.opened.{}(…)`", name.name)),
                );
                None
            }
            (_, [stray, ..]) => {
                self.unknown_method("this", stray, &[]);
                None
            }
            _ => None,
        };
        let Some((at, cell)) = cell else {
            self.look_at(args);
            return Expr::error(span);
        };
        self.cell_method(&path, key, (at, &cell), name, args, span)
    }

    /// The only argument of an operation.
    fn argument<'t>(
        &mut self,
        name: &ast::Ident,
        args: &'t [ast::Arg],
        what: &str,
        span: Span,
    ) -> Option<&'t ast::Expr> {
        if let [arg] = args {
            return Some(&arg.value);
        }
        self.look_at(args);
        let diagnostic = Diagnostic::error(types::ARGUMENTS, format!("`{}` takes one {what}", name.name))
            .label(span, format!("{} given", args.len()));
        let inside = Span { start: span.end.saturating_sub(1), ..span.at_end() };
        self.report(match what {
            "amount" if args.is_empty() => {
                diagnostic.suggest(inside.at_start(), "1", format!("write `.{}(1)`", name.name))
            }
            "key" => diagnostic.help(format!(
                "write `.{0}(key)`; a key of several parts is a tuple: `.{0}((a, b))`",
                name.name
            )),
            _ => diagnostic.help(format!("write `.{}({what})`", name.name)),
        });
        None
    }

    fn sketch_method(
        &mut self,
        path: &StatePath<'_>,
        key: Option<Expr>,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        match name.name.as_str() {
            "add" => {
                let Some(amount) = self.argument(name, args, "amount", span) else {
                    return Expr::error(span);
                };
                let value = self.expect(amount, &amount_type(SKETCH_AMOUNT_MAX), name.span);
                let value = self.must_have_value(value);
                if value.ty.is_error() {
                    return Expr::error(span);
                }
                let ty = self.estimate_type(path.state);
                self.state_op(StateOp { state: path.state, key, op: Op::SketchAdd(value) }, ty, span)
            }
            "estimate" => {
                self.look_at(args);
                self.without_brackets("estimate", span)
            }
            _ => {
                self.look_at(args);
                self.unknown_method("a sketch", name, SKETCH)
            }
        }
    }

    /// The type of what a sketch has counted.
    fn estimate_type(&self, state: StateId) -> Ty {
        match self.checker.program.states[state.index()].shape {
            Shape::Sketch { geometry, .. } if geometry.window.is_some() => amount_type(2 * SKETCH_COUNT_MAX),
            _ => Ty::uint(64),
        }
    }

    fn cell_method(
        &mut self,
        path: &StatePath<'_>,
        key: Option<Expr>,
        (at, cell): (usize, &Cell),
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        let (what, wanted, result) = match (name.name.as_str(), cell.kind) {
            ("add", CellKind::Counter) => ("amount", amount_type(u64::MAX), total_type(cell)),
            ("add", CellKind::Window) => ("amount", amount_type(WINDOW_COUNT_MAX), total_type(cell)),
            ("take", CellKind::Tokens) => ("amount", amount_type(super::settings::MAX_BURST), Ty::Bool),
            ("insert", CellKind::Distinct) => ("value", cell.of.clone(), total_type(cell)),
            // What is more than can be averaged counts as the greatest value that can.
            ("add", CellKind::Ewma) if is_count(&cell.of) => ("value", Ty::uint(64), cell.of.clone()),
            ("add", CellKind::Ewma) => ("value", Ty::duration(), cell.of.clone()),
            (read @ ("total" | "average" | "rate"), _) if operations(cell).contains(&read) => {
                self.look_at(args);
                return self.without_brackets(read, span);
            }
            _ => {
                self.look_at(args);
                return self.unknown_method(&format!("a `{}`", cell.kind.name()), name, operations(cell));
            }
        };
        let Some(arg) = self.argument(name, args, what, span) else { return Expr::error(span) };
        let value = self.expect(arg, &wanted, name.span);
        let value = self.must_have_value(value);
        if value.ty.is_error() || wanted.is_error() {
            return Expr::error(span);
        }
        let op = match cell.kind {
            CellKind::Tokens => CellOp::Take(value),
            CellKind::Distinct => CellOp::Insert(value),
            CellKind::Counter | CellKind::Window | CellKind::Ewma => CellOp::Add(value),
        };
        let ty = self.made(path.state, result);
        let op = Op::Cell { cell: at, kind: cell.kind, op };
        self.state_op(StateOp { state: path.state, key, op }, ty, span)
    }

    /// `asked.insert(key)`, `conns.remove(key)`
    fn key_method(
        &mut self,
        path: &StatePath<'_>,
        content: &ContentKind,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        let Some(arg) = self.argument(name, args, "key", span) else { return Expr::error(span) };
        let Ok(key) = self.key(path, Some(arg)) else { return Expr::error(span) };
        if name.name != "contains" && self.is_table(path, name.span) {
            return Expr::error(span);
        }
        let (op, ty) = match (name.name.as_str(), content) {
            (_, ContentKind::Sketch) => return self.unknown_method("a sketch", name, SKETCH),
            ("contains", _) => (Op::Contains, Ty::Bool),
            ("remove", ContentKind::Bloom) => {
                self.report(
                    Diagnostic::error(names::UNKNOWN_METHOD, "a Bloom filter cannot forget one key")
                        .label(name.span, "other keys share its bits")
                        .help("keys go by `expire`; a `set` can remove them"),
                );
                return Expr::error(span);
            }
            ("remove", _) => (Op::Remove, Ty::Bool),
            (_, ContentKind::Nothing | ContentKind::Bloom) => (Op::Insert, self.made(path.state, Ty::Bool)),
            _ => {
                self.report(
                    Diagnostic::error(names::UNKNOWN_METHOD, "only sets are given keys without values")
                        .label(name.span, "this state holds values")
                        .help("plain values are written with `update place |old| …`, cells with their operations"),
                );
                return Expr::error(span);
            }
        };
        self.state_op(StateOp { state: path.state, key, op }, ty, span)
    }
}

/// The operations of sketches.
const SKETCH: &[&str] = &["add", "estimate"];

fn operations(cell: &Cell) -> &'static [&'static str] {
    match cell.kind {
        CellKind::Counter | CellKind::Window => &["add", "total"],
        CellKind::Tokens => &["take"],
        CellKind::Distinct => &["insert", "total"],
        CellKind::Ewma if is_count(&cell.of) => &["add", "average", "rate"],
        CellKind::Ewma => &["add", "average"],
    }
}

/// Whether an average is one of plain numbers, which can also be counted per second.
fn is_count(of: &Ty) -> bool {
    of.num().is_some_and(|num| num.kind == NumKind::Int)
}

/// An integer up to a greatest one.
fn amount_type(max: u64) -> Ty {
    Ty::Num(Num::computed(NumKind::Int, Range::new(0, i128::from(max))))
}

/// The type of the total of a counter, window or `distinct`.
fn total_type(cell: &Cell) -> Ty {
    match cell.kind {
        // Two buckets, each of which stops counting at its greatest value.
        CellKind::Window => amount_type(2 * WINDOW_COUNT_MAX),
        CellKind::Distinct => amount_type(DISTINCT_MAX),
        _ => Ty::uint(64),
    }
}
