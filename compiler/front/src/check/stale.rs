//! Values that were read from a place before it is updated.
//!
//! Between a read and a later `update` another core may write the entry, so what is computed from the read and written by
//! the `update` would undo that write. For each named value it is known which places it was computed from, and how it can be computed
//! anew from the old value that the `update` is given.
//!
//! Two places are the same if they are in one state and their keys are written alike. Not seen: the same key by two
//! different expressions, and conditions around the `update`.

use oko_diagnostics::codes::state;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::walk::walk;
use crate::hir::{Expr, ExprKind, LocalId, Op, StateId, StateOp};

/// What stands for the old value in the text of a computation.
const OLD: &str = "\0";

/// The longest new value that a message shows.
const MAX_SHOWN: usize = 80;

/// That a named value was computed from what a place held.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    state: StateId,
    key: Option<Expr>,
    /// Where the place was read.
    read: Span,
    /// How the value is computed from the old value [`OLD`]; `None` where that cannot be written in its place.
    text: Option<String>,
}

impl BodyChecker<'_, '_, '_> {
    /// Remembers what a name for a value was computed from.
    pub(super) fn remember_origin(&mut self, id: LocalId, value: &Expr) {
        let mut found = self.origins(value, value.span);
        for (at, _) in &mut found {
            self.origins.push((id, at.clone()));
        }
    }

    /// Remembers that the names that a pattern gave, all from `first` on, are parts of a value.
    pub(super) fn remember_parts(&mut self, first: usize, value: &Expr) {
        let found = self.origins(value, value.span);
        for id in first..self.locals.len() {
            for (origin, _) in &found {
                let origin = Origin { text: None, ..origin.clone() };
                self.origins.push((LocalId::from_index(id), origin));
            }
        }
    }

    /// The places that an expression was computed from, each once, with the text of the expression, which has the place `span`.
    /// The second part says where the expression names the first value that was read.
    fn origins(&self, value: &Expr, span: Span) -> Vec<(Origin, Span)> {
        // Where something is read: its place, and what to write there instead.
        let mut reads: Vec<(Origin, Span)> = Vec::new();
        walk(value, &mut |part| match &part.kind {
            ExprKind::State(op) => {
                if let Some(text) = match &op.op {
                    Op::Read => Some(Some(OLD.to_owned())),
                    Op::Update { .. } => Some(None),
                    _ => None,
                } {
                    let StateOp { state, key, .. } = &**op;
                    let origin = Origin { state: *state, key: key.clone(), read: part.span, text };
                    reads.push((origin, part.span));
                }
            }
            ExprKind::Local(id) => {
                for (_, origin) in self.origins.iter().filter(|(local, _)| local == id) {
                    reads.push((origin.clone(), part.span));
                }
            }
            _ => {}
        });
        let mut found: Vec<(Origin, Span)> = Vec::new();
        for (origin, place) in &reads {
            if found.iter().any(|(other, _)| same_place(other, origin)) {
                continue;
            }
            let changes: Vec<(&Origin, Span)> = (reads.iter())
                .filter(|(other, _)| same_place(other, origin))
                .map(|(other, place)| (other, *place))
                .collect();
            let text = self.rewritten(span, &changes);
            found.push((Origin { text, ..origin.clone() }, *place));
        }
        found
    }

    /// The text of an expression with other texts in some places.
    fn rewritten(&self, span: Span, changes: &[(&Origin, Span)]) -> Option<String> {
        let whole = self.checker.sources.snippet(span)?;
        let mut text = String::new();
        let mut at = span.start;
        for (origin, place) in changes {
            let new = origin.text.as_deref()?;
            if place.file != span.file || place.start < at || place.end > span.end {
                return None;
            }
            text.push_str(whole.get((at - span.start) as usize..(place.start - span.start) as usize)?);
            if new == OLD || place.start == span.start && place.end == span.end {
                text.push_str(new);
            } else {
                text.push_str(&format!("({new})"));
            }
            at = place.end;
        }
        text.push_str(whole.get((at - span.start) as usize..)?);
        Some(text)
    }

    /// Reports the new value of an `update` that is computed from what the place held before.
    pub(super) fn is_stale(
        &mut self,
        state: StateId,
        key: Option<&Expr>,
        old: &ast::Ident,
        value: &Expr,
        span: Span,
    ) -> bool {
        let place = Origin { state, key: key.cloned(), read: span, text: None };
        let found = self.origins(value, span);
        let Some((origin, used)) = found.into_iter().find(|(origin, _)| same_place(origin, &place)) else {
            return false;
        };
        let diagnostic =
            Diagnostic::error(state::STALE_READ, "this value may be out of date when it is written")
                .label(used, "was computed from the entry before the `update`")
                .label(
                    origin.read,
                    "the entry was read here; another core may write it before the `update` does",
                )
                .note(format!("`{}` is what the entry holds when it is replaced", old.name));
        self.report(match origin.text {
            Some(text) => {
                let text = text.replace(OLD, &old.name);
                let what = if text.len() > MAX_SHOWN || text.contains('\n') {
                    format!("compute it from `{}`", old.name)
                } else {
                    format!("write `update … |{}| {text}`", old.name)
                };
                diagnostic.suggest(span, text, what)
            }
            None => diagnostic.help(format!("compute the new value from `{}`", old.name)),
        });
        true
    }
}

fn same_place(a: &Origin, b: &Origin) -> bool {
    a.state == b.state
        && match (&a.key, &b.key) {
            (None, None) => true,
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        }
}

/// Whether two expressions are written alike and so have the same value: nothing that they name changes within one packet.
fn same(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Const(a), ExprKind::Const(b)) => a == b,
        (ExprKind::Local(a), ExprKind::Local(b)) => a == b,
        (ExprKind::Param(a), ExprKind::Param(b)) => a == b,
        (ExprKind::Field(layer, field), ExprKind::Field(other, of)) => layer == other && field == of,
        (ExprKind::PacketLen, ExprKind::PacketLen)
        | (ExprKind::InPort, ExprKind::InPort)
        | (ExprKind::Now, ExprKind::Now)
        | (ExprKind::None, ExprKind::None) => true,
        (ExprKind::Some(a), ExprKind::Some(b)) | (ExprKind::Addr(a), ExprKind::Addr(b)) => same(a, b),
        (ExprKind::Compute(a, layers), ExprKind::Compute(b, others)) => a == b && layers == others,
        (ExprKind::Part(a, at), ExprKind::Part(b, of)) => at == of && same(a, b),
        (ExprKind::Tuple(a), ExprKind::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (ExprKind::Arith(op, a, c), ExprKind::Arith(other, b, d)) => op == other && same(a, b) && same(c, d),
        (ExprKind::Call(a, args), ExprKind::Call(b, others)) => {
            a == b && args.len() == others.len() && args.iter().zip(others).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}
