//! Places in state as they are written, such as `servers[ip.dst].closed`, and their keys.

use oko_diagnostics::codes::{state, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{BodyChecker, Place};
use crate::hir::{Cell, Content, Expr, ExprKind, FieldKind, Op, Shape, StateDef, StateId, StateOp};
use crate::resolve::Def;
use crate::types::{Num, Range, Ty};

/// A place in a state.
pub(super) struct StatePath<'e> {
    pub(super) state: StateId,
    pub(super) name: &'e ast::Ident,
    pub(super) key: Option<&'e ast::Expr>,
    pub(super) fields: Vec<&'e ast::Ident>,
    /// Square brackets where none can stand.
    stray: Option<Span>,
}

/// What the entries of a state hold, without the types of plain values.
#[derive(Clone)]
pub(super) enum ContentKind {
    Nothing,
    Value,
    Cell(Cell),
    Cells(Vec<(String, Cell)>),
    Sketch,
    Bloom,
}

impl BodyChecker<'_, '_, '_> {
    /// The state that an expression begins with, if it does.
    pub(super) fn state_root(&self, ast: &ast::Expr) -> Option<StateId> {
        self.state_path(ast).map(|path| path.state)
    }

    pub(super) fn state_path<'e>(&self, ast: &'e ast::Expr) -> Option<StatePath<'e>> {
        match &ast.kind {
            ast::ExprKind::Name(name) if self.binding(&name.name).is_none() => match self.def(&name.name) {
                Some((Def::State(state) | Def::Table(state), _)) => {
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
    pub(super) fn state_def(&mut self, path: &StatePath<'_>) -> Option<&StateDef> {
        let known = path.state.index() < self.checker.program.states.len();
        if !known || !matches!(self.place, Place::Filter | Place::Test | Place::Function(_)) {
            self.report(
                Diagnostic::error(types::NOT_CONSTANT, "state cannot be used here")
                    .label(path.name.span, "a value that is known beforehand is needed here"),
            );
            return None;
        }
        if let Some(stray) = path.stray {
            let def = &self.checker.program.states[path.state.index()];
            if !matches!(&def.content, Content::Value(ty) if ty.is_error()) {
                self.report(
                    Diagnostic::error(types::BAD_OPERAND, "nothing can be looked up here")
                        .label(stray, "the key stands directly behind the state's name"),
                );
            }
            return None;
        }
        self.checker.program.states.get(path.state.index())
    }

    /// The key of an entry, checked against what the state needs: `Err` where something was reported.
    pub(super) fn key(&mut self, path: &StatePath<'_>, key: Option<&ast::Expr>) -> Result<Option<Expr>, ()> {
        let def = self.state_def(path).ok_or(())?;
        let declared = def.span;
        let name = def.name.clone();
        let wanted = match &def.shape {
            Shape::Keyed { key, .. }
            | Shape::Table { key, .. }
            | Shape::Sketch { key, .. }
            | Shape::Bloom { key, .. } => Some(key.clone()),
            Shape::Array { capacity } => {
                let range = Range::new(0, i128::from(*capacity) - 1);
                Some(Ty::Num(Num { range, ..Num::uint(32) }))
            }
            Shape::Single => None,
        };
        match (wanted, key) {
            (Some(ty), Some(key)) => {
                let key = if has_prefix(&ty) {
                    self.address(key, &ty, declared)
                } else {
                    self.expect(key, &ty, declared)
                };
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

    /// A key whose last part is looked for among prefixes: an address stands there.
    fn address(&mut self, key: &ast::Expr, wanted: &Ty, declared: Span) -> Expr {
        let value = self.expr(key, None);
        if value.ty.is_error() {
            return value;
        }
        let fits = match (&value.ty, wanted) {
            (Ty::Tuple(found), Ty::Tuple(wanted)) if found.len() == wanted.len() => {
                let last = wanted.len().saturating_sub(1);
                is_address(&found[last])
                    && found[..last]
                        .iter()
                        .zip(wanted)
                        .all(|(found, wanted)| super::coerce::fits(found, wanted))
            }
            (found, Ty::Prefix) => is_address(found),
            _ => false,
        };
        if fits {
            return value;
        }
        let (found, wanted) = (self.describe(&value.ty), self.describe(wanted));
        self.report(
            Diagnostic::error(types::MISMATCH, "the longest prefix is found for an address")
                .label(value.span, format!("this is `{found}`"))
                .label(declared, format!("the key is a `{wanted}`, declared here"))
                .help("give an address in the place of the prefix"),
        );
        Expr::error(value.span)
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
        if self.place == Place::Test {
            if op.op.is_read() {
                return Expr::new(ExprKind::State(Box::new(op)), ty, span);
            }
            self.not_in_tests(
                "only filters write their state",
                span,
                "give the filter packets that make it do so",
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
    pub(super) fn made(&self, state: StateId, ty: Ty) -> Ty {
        match self.checker.program.states[state.index()].shape {
            Shape::Keyed { evict: false, .. } => ty.optional(),
            _ => ty,
        }
    }

    /// Reports a write to a table.
    pub(super) fn is_table(&mut self, path: &StatePath<'_>, span: Span) -> bool {
        let def = &self.checker.program.states[path.state.index()];
        if !matches!(def.shape, Shape::Table { .. }) {
            return false;
        }
        let declared = def.span;
        self.report(
            Diagnostic::error(state::TABLE_WRITTEN, "a filter cannot write a table")
                .label(span, "changes the table")
                .label(declared, "declared as a table here")
                .help("tables are written by the control plane; what a filter writes is a `state`"),
        );
        true
    }

    pub(super) fn content_kind(&mut self, path: &StatePath<'_>) -> Option<ContentKind> {
        let def = self.state_def(path)?;
        match def.shape {
            Shape::Sketch { .. } => return Some(ContentKind::Sketch),
            Shape::Bloom { .. } => return Some(ContentKind::Bloom),
            _ => {}
        }
        let content = match &def.content {
            Content::Nothing => ContentKind::Nothing,
            Content::Value(_) => ContentKind::Value,
            Content::Cell(cell) => ContentKind::Cell(cell.clone()),
            Content::Cells(id) => {
                let id = *id;
                let fields = &self.checker.program.structs[id.index()].fields;
                ContentKind::Cells(
                    fields
                        .iter()
                        .filter_map(|field| match &field.kind {
                            FieldKind::Cell(cell) => Some((field.name.clone(), cell.clone())),
                            FieldKind::Value(_) => None,
                        })
                        .collect(),
                )
            }
        };
        Some(content)
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
        if let ContentKind::Sketch = self.content_kind(&path)? {
            self.report(
                Diagnostic::error(state::NOT_READABLE, "a sketch does not know its keys")
                    .label(of.span, "counts, and keeps no keys")
                    .help("compare what it has counted: `volume[key].estimate > 0`"),
            );
            return None;
        }
        Some((path.state, key))
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

    /// `state`, which has one plain value.
    pub(super) fn read_single(&mut self, name: &ast::Ident, state: StateId) -> Option<Expr> {
        let def = self.checker.program.states.get(state.index())?;
        if !matches!((&def.shape, &def.content), (Shape::Single, Content::Value(_))) {
            return None;
        }
        let path = StatePath { state, name, key: None, fields: Vec::new(), stray: None };
        Some(self.read(&path, None, name.span))
    }

    pub(super) fn read(&mut self, path: &StatePath<'_>, key: Option<Expr>, span: Span) -> Expr {
        let Some(content) = self.content_kind(path) else { return Expr::error(span) };
        match content {
            ContentKind::Value => {
                let Content::Value(ty) = &self.checker.program.states[path.state.index()].content else {
                    return Expr::error(span);
                };
                let ty = ty.clone();
                if ty.is_error() {
                    return Expr::error(span);
                }
                self.state_op(StateOp { state: path.state, key, op: Op::Read }, ty.optional(), span)
            }
            ContentKind::Nothing | ContentKind::Bloom => {
                let name = path.name.name.clone();
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "the entries of a set have no value")
                        .label(span, "nothing to read")
                        .help(format!("ask whether it has the key: `key in {name}`")),
                );
                Expr::error(span)
            }
            ContentKind::Cell(cell) => self.cell_as_value(cell.kind, span),
            ContentKind::Sketch => {
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "an entry of a sketch is no value")
                        .label(span, "only its operations give values")
                        .help("`.estimate` reads it, `.add(1)` adds to it"),
                );
                Expr::error(span)
            }
            ContentKind::Cells(_) => {
                self.report(
                    Diagnostic::error(state::NOT_READABLE, "an entry of cells is no value")
                        .label(span, "only its cells can be used")
                        .help("write a dot, the name of a cell, and its operation: `.opened.total`"),
                );
                Expr::error(span)
            }
        }
    }
}

/// Whether a key is looked up by its longest prefix.
pub(crate) fn has_prefix(key: &Ty) -> bool {
    match key {
        Ty::Prefix => true,
        Ty::Tuple(parts) => parts.last() == Some(&Ty::Prefix),
        _ => false,
    }
}

fn is_address(ty: &Ty) -> bool {
    matches!(ty, Ty::Ip4 | Ty::Ip6 | Ty::Addr)
}
