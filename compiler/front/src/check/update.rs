//! `update`: the only way to replace a plain value.
//!
//! It works on one entry in one step: there is no way to write a place otherwise, and a value that was read before cannot be
//! written back ([`super::stale`]), so an update cannot be lost.

use oko_diagnostics::codes::state;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use crate::hir::{Content, Expr, Op, Shape, StateId, StateOp};
use crate::types::Ty;

impl BodyChecker<'_, '_, '_> {
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
        let (local, checked) = self.scoped(|body| {
            let local = body.bind_local(old, ty.clone().optional());
            let value = body.expect(value, &ty.clone().optional(), declared);
            let value = body.must_have_value(value);
            (local, value)
        });
        self.locked = outer;
        let Some((state, key, ty, _)) = found else { return Expr::error(span) };
        if checked.ty.is_error() || ty.is_error() {
            return Expr::error(span);
        }
        if self.is_stale(state, key.as_ref(), old, &checked, value.span) {
            return Expr::error(span);
        }
        let op = Op::Update { old: local, value: checked };
        self.state_op(StateOp { state, key, op }, ty.optional(), span)
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
        if self.is_table(&path, place.span) {
            return None;
        }
        let def = self.state_def(&path)?;
        let declared = def.span;
        let headline = match (&def.content, &def.shape) {
            (Content::Value(ty), _) if path.fields.is_empty() => {
                let ty = ty.clone();
                return Some((path.state, key, ty, declared));
            }
            (Content::Value(_), _) => {
                self.report(
                    Diagnostic::error(state::BAD_UPDATE, "an entry is replaced as a whole")
                        .label(place.span, "a part of an entry")
                        .help("update the entry and make its new value from the old one"),
                );
                return None;
            }
            (_, Shape::Sketch { .. }) => ("a sketch counts, and has no value to replace", "use `.add(1)`"),
            (_, Shape::Bloom { .. }) => ("a Bloom filter has no value to replace", "use `.insert(key)`"),
            (Content::Nothing, _) => {
                ("the entries of a set have no value to replace", "use `.insert(key)` and `.remove(key)`")
            }
            _ => (
                "cells change by their own operations only",
                "use `.add(1)` of a counter or window, `.take(1)` of tokens",
            ),
        };
        self.report(
            Diagnostic::error(state::BAD_UPDATE, headline.0)
                .label(place.span, "cannot be updated")
                .label(declared, "declared here")
                .help(headline.1),
        );
        None
    }
}
