//! Operations on state: reads, `update`, and the operations of cells and sets.
//!
//! Every write is one of these operations, and each works on one entry in one step: there is no way to read a place and
//! write it later, so an update cannot be lost.

use oko_diagnostics::codes::{names, state, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{BodyChecker, Place};
use crate::hir::{CellKind, CellOp, Content, Expr, ExprKind, FieldKind, Op, Shape, StateId, StateOp};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, NumKind, Range, Ty};

/// The most that a bucket of a window can hold, so that its arithmetic stays within 64 bits.
pub(crate) const WINDOW_COUNT_MAX: u64 = (1 << 48) - 1;

/// A place in a state, as written: `servers[ip.dst].closed`.
struct StatePath<'e> {
    state: StateId,
    name: &'e ast::Ident,
    key: Option<&'e ast::Expr>,
    fields: Vec<&'e ast::Ident>,
    /// Square brackets where none can stand.
    stray: Option<Span>,
}

impl BodyChecker<'_, '_, '_> {
    /// The state that an expression begins with, if it does.
    pub(super) fn state_root(&self, ast: &ast::Expr) -> Option<StateId> {
        self.state_path(ast).map(|path| path.state)
    }

    fn state_path<'e>(&self, ast: &'e ast::Expr) -> Option<StatePath<'e>> {
        match &ast.kind {
            ast::ExprKind::Name(name) if self.binding(&name.name).is_none() => match self.def(&name.name) {
                Some((Def::State(state), _)) => {
                    Some(StatePath { state, name, key: None, fields: Vec::new(), stray: None })
                }
                _ => None,
            },
            ast::ExprKind::Paren(inner) => self.state_path(inner),
            ast::ExprKind::Field { base, name } => {
                let mut path = self.state_path(base)?;
                path.fields.push(name);
                Some(path)
            }
            ast::ExprKind::Index { base, index } => {
                let mut path = self.state_path(base)?;
                if path.key.is_some() || !path.fields.is_empty() {
                    path.stray = Some(index.span);
                } else {
                    path.key = Some(index);
                }
                Some(path)
            }
            _ => None,
        }
    }

    /// The declaration of a state; `None` in declarations that come before states.
    fn state_def(&mut self, path: &StatePath<'_>) -> Option<&crate::hir::StateDef> {
        let known = path.state.index() < self.checker.program.states.len();
        if !known || !matches!(self.place, Place::Filter | Place::Function(_)) {
            self.report(
                Diagnostic::error(types::NOT_CONSTANT, "state cannot be used here")
                    .label(path.name.span, "a value that is known beforehand is needed here"),
            );
            return None;
        }
        if let Some(stray) = path.stray {
            self.report(
                Diagnostic::error(types::BAD_OPERAND, "nothing can be looked up here")
                    .label(stray, "the key stands directly behind the state's name"),
            );
            return None;
        }
        self.checker.program.states.get(path.state.index())
    }

    /// The key of an entry, checked against what the state needs: `Err` where something was reported.
    fn key(&mut self, path: &StatePath<'_>, key: Option<&ast::Expr>) -> Result<Option<Expr>, ()> {
        let def = self.state_def(path).ok_or(())?;
        let declared = def.span;
        let name = def.name.clone();
        let wanted = match &def.shape {
            Shape::Keyed { key, .. } => Some(key.clone()),
            Shape::Single => None,
        };
        match (wanted, key) {
            (Some(ty), Some(key)) => {
                let key = self.expect(key, &ty, declared);
                let key = self.must_have_value(key);
                if key.ty.is_error() || ty.is_error() { Err(()) } else { Ok(Some(key)) }
            }
            (None, None) => Ok(None),
            (Some(_), None) => {
                self.report(
                    Diagnostic::error(state::KEY_MISSING, format!("which entry of `{name}` is meant?"))
                        .label(path.name.span, "no key is given")
                        .label(declared, "declared with a key here")
                        .help(format!("write `{name}[key]`")),
                );
                Err(())
            }
            (None, Some(key)) => {
                self.expr(key, None);
                self.report(
                    Diagnostic::error(state::KEY_MISSING, format!("`{name}` has one value and no keys"))
                        .label(key.span, "no key can be given")
                        .label(declared, "declared without a key here"),
                );
                Err(())
            }
        }
    }

    /// An operation on state, if it can stand here.
    pub(super) fn state_op(&mut self, op: StateOp, ty: Ty, span: Span) -> Expr {
        if let Some(update) = self.locked {
            self.report(
                Diagnostic::error(state::IN_UPDATE, "an entry is replaced without looking at others")
                    .label(span, "uses state while the entry is being replaced")
                    .label(update, "this `update` computes the entry's new value")
                    .help("give the other value a name with `let` before the `update`"),
            );
            return Expr::error(span);
        }
        if self.place != Place::Filter {
            self.report(
                Diagnostic::error(state::NOT_PURE, "a function cannot use state")
                    .label(span, "a function depends on its arguments only")
                    .help("use the state in the filter and give the value to the function as an argument"),
            );
            return Expr::error(span);
        }
        Expr::new(ExprKind::State(Box::new(op)), ty, span)
    }

    /// The result of an operation that makes an entry: with `refuse` there may be none.
    fn made(&self, state: StateId, ty: Ty) -> Ty {
        match self.checker.program.states[state.index()].shape {
            Shape::Keyed { evict: false, .. } => ty.optional(),
            _ => ty,
        }
    }

    /// `state[key]`
    pub(super) fn read_entry(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        let Some(mut path) = self.state_path(base) else { return Expr::error(span) };
        if path.key.is_some() || !path.fields.is_empty() {
            path.stray = Some(index.span);
        }
        let Ok(key) = self.key(&path, Some(index)) else { return Expr::error(span) };
        self.read(&path, key, span)
    }

    fn read(&mut self, path: &StatePath<'_>, key: Option<Expr>, span: Span) -> Expr {
        let Some(def) = self.state_def(path) else { return Expr::error(span) };
        match &def.content {
            Content::Value(ty) => {
                let ty = ty.clone();
                if ty.is_error() {
                    return Expr::error(span);
                }
                self.state_op(StateOp { state: path.state, key, op: Op::Read }, ty.optional(), span)
            }
            Content::Nothing => {
                let name = def.name.clone();
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "the entries of a set have no value")
                        .label(span, "nothing to read")
                        .help(format!("ask whether it has the key: `key in {name}`")),
                );
                Expr::error(span)
            }
            Content::Cell(cell) => {
                let cell = *cell;
                self.cell_as_value(cell, span)
            }
            Content::Cells(_) => {
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "an entry of cells is no value")
                        .label(span, "only its cells can be used")
                        .help("write a dot, the name of a cell, and its operation: `.opened.total`"),
                );
                Expr::error(span)
            }
        }
    }

    fn cell_as_value(&mut self, cell: CellKind, span: Span) -> Expr {
        let diagnostic = Diagnostic::error(state::NOT_READABLE, format!("a `{}` is no value", cell.name()))
            .label(span, "only its operations give values");
        self.report(match cell {
            CellKind::Tokens => diagnostic.help("`.take(1)` takes a token and says whether there was one"),
            _ => diagnostic.help("`.total` reads it, `.add(1)` adds to it"),
        });
        Expr::error(span)
    }

    /// `servers[key].closed.total`, or a field of a value that was read.
    pub(super) fn state_field(&mut self, base: &ast::Expr, name: &ast::Ident, span: Span) -> Expr {
        let Some(path) = self.state_path(base) else { return Expr::error(span) };
        let Ok(key) = self.key(&path, path.key) else { return Expr::error(span) };
        let Some(content) = self.content_kind(&path) else { return Expr::error(span) };
        match content {
            ContentKind::Value => {
                // Fields of what was read: `none` has none, which is what this will say.
                let value = self.read(&path, key, base.span);
                if !value.ty.is_error() {
                    self.report(
                        Diagnostic::error(types::MAYBE_NONE, "this value can be `none`, which has no fields")
                            .label(base.span, "can be `none`")
                            .help("use `match`: `none => …, let value => …`"),
                    );
                }
                Expr::error(span)
            }
            ContentKind::Nothing => self.unknown_method("a set", name, &["insert", "remove", "contains"]),
            ContentKind::Cells(cells) => {
                let mut names = path.fields.clone();
                names.push(name);
                let Some((at, kind)) = self.which_cell(&path, &cells, names[0]) else {
                    return Expr::error(span);
                };
                match names.as_slice() {
                    [_] => self.cell_as_value(kind, span),
                    [_, operation] => self.cell_field(&path, key, (at, kind), operation, span),
                    [_, _, stray, ..] => self.unknown_method("a number", stray, &[]),
                    [] => Expr::error(span),
                }
            }
            ContentKind::Cell(kind) => match path.fields.as_slice() {
                [] => self.cell_field(&path, key, (0, kind), name, span),
                _ => self.unknown_method("a number", name, &[]),
            },
        }
    }

    fn cell_field(
        &mut self,
        path: &StatePath<'_>,
        key: Option<Expr>,
        (cell, kind): (usize, CellKind),
        name: &ast::Ident,
        span: Span,
    ) -> Expr {
        match (name.name.as_str(), kind) {
            ("total", CellKind::Counter | CellKind::Window) => {
                let op = Op::Cell { cell, kind, op: CellOp::Total };
                self.state_op(StateOp { state: path.state, key, op }, total_type(kind), span)
            }
            ("add" | "take", _) => {
                self.report(
                    Diagnostic::error(names::UNKNOWN_METHOD, format!("`{}` needs an amount", name.name))
                        .label(name.span, "written without brackets")
                        .help(format!("write `.{}(1)`", name.name)),
                );
                Expr::error(span)
            }
            _ => self.unknown_method(&format!("a `{}`", kind.name()), name, operations(kind)),
        }
    }

    fn unknown_method(&mut self, what: &str, name: &ast::Ident, known: &[&str]) -> Expr {
        let diagnostic =
            Diagnostic::error(names::UNKNOWN_METHOD, format!("{what} has no operation `{}`", name.name))
                .label(name.span, "not known here");
        self.report(match nearest(&name.name, known.iter().copied()) {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic,
            None => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                diagnostic.note(format!("it has {}", known.join(", ")))
            }
        });
        Expr::error(name.span)
    }

    fn which_cell(
        &mut self,
        path: &StatePath<'_>,
        cells: &[(String, CellKind)],
        name: &ast::Ident,
    ) -> Option<(usize, CellKind)> {
        if let Some(at) = cells.iter().position(|(cell, _)| *cell == name.name) {
            return Some((at, cells[at].1));
        }
        let declared = self.checker.program.states[path.state.index()].span;
        let known: Vec<String> = cells.iter().map(|(name, _)| name.clone()).collect();
        let what = format!("an entry of `{}`", path.name.name);
        self.no_field(&what, declared, name, &known);
        None
    }

    fn content_kind(&mut self, path: &StatePath<'_>) -> Option<ContentKind> {
        let content = match &self.state_def(path)?.content {
            Content::Nothing => ContentKind::Nothing,
            Content::Value(_) => ContentKind::Value,
            Content::Cell(kind) => ContentKind::Cell(*kind),
            Content::Cells(id) => {
                let id = *id;
                let fields = &self.checker.program.structs[id.index()].fields;
                ContentKind::Cells(
                    fields
                        .iter()
                        .filter_map(|field| match field.kind {
                            FieldKind::Cell(kind) => Some((field.name.clone(), kind)),
                            FieldKind::Value(_) => None,
                        })
                        .collect(),
                )
            }
        };
        Some(content)
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
        if path.key.is_none()
            && path.fields.is_empty()
            && matches!(name.name.as_str(), "insert" | "remove" | "contains")
        {
            return self.key_method(&path, name, args, span);
        }
        let key = self.key(&path, path.key);
        let Some(content) = self.content_kind(&path) else {
            self.look_at(args);
            return Expr::error(span);
        };
        let (Ok(key), false) = (key, matches!(content, ContentKind::Value | ContentKind::Nothing)) else {
            self.look_at(args);
            if matches!(content, ContentKind::Value | ContentKind::Nothing) {
                return self.no_cell(&content, name, span);
            }
            return Expr::error(span);
        };
        let cell = match (&content, path.fields.as_slice()) {
            (ContentKind::Cell(kind), []) => Some((0, *kind)),
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
        let Some((cell, kind)) = cell else {
            self.look_at(args);
            return Expr::error(span);
        };
        self.cell_method(&path, key, (cell, kind), name, args, span)
    }

    fn no_cell(&mut self, content: &ContentKind, name: &ast::Ident, span: Span) -> Expr {
        match content {
            ContentKind::Nothing => self.unknown_method("a set", name, &["insert", "remove", "contains"]),
            _ => {
                self.report(
                    Diagnostic::error(
                        names::UNKNOWN_METHOD,
                        format!("a plain value has no operation `{}`", name.name),
                    )
                    .label(name.span, "not known here")
                    .help("plain values are replaced with `update place |old| …`"),
                );
                Expr::error(span)
            }
        }
    }

    fn cell_method(
        &mut self,
        path: &StatePath<'_>,
        key: Option<Expr>,
        (cell, kind): (usize, CellKind),
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        let amount =
            |max: u64| Ty::Num(Num { kind: NumKind::Int, bits: 64, range: Range::new(0, i128::from(max)) });
        let (wanted, result) = match (name.name.as_str(), kind) {
            ("add", CellKind::Counter) => (amount(u64::MAX), total_type(kind)),
            ("add", CellKind::Window) => (amount(WINDOW_COUNT_MAX), total_type(kind)),
            ("take", CellKind::Tokens) => (amount(super::state::MAX_BURST), Ty::Bool),
            ("total", CellKind::Counter | CellKind::Window) => {
                self.look_at(args);
                self.report(
                    Diagnostic::error(names::UNKNOWN_METHOD, "`total` is read without brackets")
                        .label(span, "written as a call")
                        .help("write `.total`"),
                );
                return Expr::error(span);
            }
            _ => {
                self.look_at(args);
                return self.unknown_method(&format!("a `{}`", kind.name()), name, operations(kind));
            }
        };
        let [arg] = args else {
            self.look_at(args);
            self.report(
                Diagnostic::error(types::ARGUMENTS, format!("`{}` takes one amount", name.name))
                    .label(span, format!("{} given", args.len())),
            );
            return Expr::error(span);
        };
        let value = self.expect(&arg.value, &wanted, name.span);
        if value.ty.is_error() {
            return Expr::error(span);
        }
        let op = if kind == CellKind::Tokens { CellOp::Take(value) } else { CellOp::Add(value) };
        let ty = self.made(path.state, result);
        self.state_op(StateOp { state: path.state, key, op: Op::Cell { cell, kind, op } }, ty, span)
    }

    /// `asked.insert(key)`, `conns.remove(key)`
    fn key_method(&mut self, path: &StatePath<'_>, name: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        let [arg] = args else {
            self.look_at(args);
            self.report(
                Diagnostic::error(types::ARGUMENTS, format!("`{}` takes one key", name.name))
                    .label(span, format!("{} given", args.len())),
            );
            return Expr::error(span);
        };
        let Ok(key) = self.key(path, Some(&arg.value)) else { return Expr::error(span) };
        let Some(content) = self.content_kind(path) else { return Expr::error(span) };
        let (op, ty) = match name.name.as_str() {
            "contains" => (Op::Contains, Ty::Bool),
            "remove" => (Op::Remove, Ty::Bool),
            _ if matches!(content, ContentKind::Nothing) => (Op::Insert, self.made(path.state, Ty::Bool)),
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

    /// `key in conns`
    pub(super) fn keyed_by(&mut self, of: &ast::Expr, key: &ast::Expr) -> Option<(StateId, Expr)> {
        let path = self.state_path(of)?;
        if path.key.is_some() || !path.fields.is_empty() {
            self.expr(key, None);
            self.report(
                Diagnostic::error(types::BAD_OPERAND, "nothing can be in an entry")
                    .label(of.span, "an entry of a state")
                    .help("write the name of the state alone behind `in`"),
            );
            return None;
        }
        let key = self.key(&path, Some(key)).ok()??;
        Some((path.state, key))
    }

    /// `update place |old| value`
    pub(super) fn update(
        &mut self,
        place: &ast::Expr,
        old: &ast::Ident,
        value: &ast::Expr,
        span: Span,
    ) -> Expr {
        let found = self.update_place(place);
        let (ty, declared) = match &found {
            Some((_, _, ty, declared)) => (ty.clone(), *declared),
            None => (Ty::Error, place.span),
        };
        let head = Span { end: old.span.end, ..span };
        let outer = self.locked.replace(head);
        let (local, value) = self.scoped(|body| {
            let local = body.bind_local(old, ty.clone().optional());
            let value = body.expect(value, &ty.clone().optional(), declared);
            let value = body.must_have_value(value);
            (local, value)
        });
        self.locked = outer;
        let Some((state, key, ty, _)) = found else { return Expr::error(span) };
        if value.ty.is_error() || ty.is_error() {
            return Expr::error(span);
        }
        self.state_op(StateOp { state, key, op: Op::Update { old: local, value } }, ty.optional(), span)
    }

    fn update_place(&mut self, place: &ast::Expr) -> Option<(StateId, Option<Expr>, Ty, Span)> {
        let Some(path) = self.state_path(place) else {
            self.expr(place, None);
            self.report(
                Diagnostic::error(state::BAD_UPDATE, "only an entry of a state can be updated")
                    .label(place.span, "this is no entry")
                    .help("write `update conns[key] |old| …` with the name of a state"),
            );
            return None;
        };
        let key = self.key(&path, path.key).ok()?;
        let def = self.state_def(&path)?;
        let declared = def.span;
        match (&def.content, path.fields.is_empty()) {
            (Content::Value(ty), true) => {
                let ty = ty.clone();
                Some((path.state, key, ty, declared))
            }
            (Content::Value(_), false) => {
                self.report(
                    Diagnostic::error(state::BAD_UPDATE, "an entry is replaced as a whole")
                        .label(place.span, "a part of an entry")
                        .help("update the entry and make its new value from the old one"),
                );
                None
            }
            (Content::Nothing, _) => {
                self.report(
                    Diagnostic::error(state::BAD_UPDATE, "the entries of a set have no value to replace")
                        .label(place.span, "an entry of a set")
                        .label(declared, "declared here")
                        .help("use `.insert(key)` and `.remove(key)`"),
                );
                None
            }
            _ => {
                self.report(
                    Diagnostic::error(state::BAD_UPDATE, "cells change by their own operations only")
                        .label(place.span, "an entry of cells")
                        .label(declared, "declared here")
                        .help("use `.add(1)` of a counter or window, `.take(1)` of tokens"),
                );
                None
            }
        }
    }
}

/// What the entries of a state hold, without the types.
enum ContentKind {
    Nothing,
    Value,
    Cell(CellKind),
    Cells(Vec<(String, CellKind)>),
}

fn operations(kind: CellKind) -> &'static [&'static str] {
    match kind {
        CellKind::Counter | CellKind::Window => &["add", "total"],
        CellKind::Tokens => &["take"],
    }
}

/// The type of the total of a counter or window.
fn total_type(kind: CellKind) -> Ty {
    match kind {
        // Two buckets, each of which stops counting at its greatest value.
        CellKind::Window => Ty::Num(Num {
            kind: NumKind::Int,
            bits: 49,
            range: Range::new(0, 2 * i128::from(WINDOW_COUNT_MAX)),
        }),
        _ => Ty::uint(64),
    }
}
