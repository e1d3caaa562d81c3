//! Events: what they tell and how often, and `emit`.

use oko_diagnostics::codes::{names, state};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::body::{BodyChecker, Place};
use super::decl::doc_text;
use crate::hir::{EventDef, EventId, Expr, Stmt, scalars};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, Range, Ty};

/// The most scalars that an event tells.
const MAX_PARTS: usize = 32;

/// How many values of the field behind `per` are told apart at one time.
pub(crate) const LIMITED_KEYS: u32 = 16_384;

impl Checker<'_, '_> {
    /// The `event`s.
    pub(super) fn events(&mut self) {
        for at in 0..self.decls.events.len() {
            let source = &self.decls.events[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item);
            let fields = self.event_fields(module, ast);
            let per = ast.per.as_ref().and_then(|per| self.limited_field(ast, &fields, per));
            let count = Ty::Num(Num { range: Range::new(1, u32::MAX.into()), ..Num::uint(32) });
            let mut setting = |value: &ast::Expr, ty: &Ty| {
                let mut body = BodyChecker::new(self, module, Place::Setting);
                body.expect(value, ty, value.span)
            };
            let limit = setting(&ast.limit, &count);
            let each = setting(&ast.each, &Ty::duration());
            self.program.events.push(EventDef {
                name: self.decls.public_name(module, &ast.name.name),
                span: ast.name.span,
                doc: doc_text(item),
                fields,
                limit,
                each,
                per,
            });
        }
    }

    fn event_fields(&mut self, module: usize, ast: &ast::Event) -> Vec<(String, Ty)> {
        let mut fields: Vec<(String, Ty)> = Vec::new();
        for (at, field) in ast.fields.iter().enumerate() {
            if let Some(first) = ast.fields[..at].iter().find(|other| other.name.name == field.name.name) {
                self.report(
                    Diagnostic::error(
                        names::DUPLICATE,
                        format!("the field `{}` is declared twice", field.name.name),
                    )
                    .label(field.name.span, "declared again here")
                    .label(first.name.span, "first declared here"),
                );
                continue;
            }
            let ty = match self.value_type(module, &field.ty) {
                Ty::Prefix => {
                    self.report(
                        Diagnostic::error(state::BAD_EVENT, "an event cannot tell a prefix")
                            .label(field.ty.span, "not a plain value")
                            .help("tell the address"),
                    );
                    Ty::Error
                }
                ty => ty,
            };
            fields.push((field.name.name.clone(), ty));
        }
        if fields.iter().map(|(_, ty)| scalars(ty, &self.program)).sum::<usize>() > MAX_PARTS {
            self.report(
                Diagnostic::error(state::BAD_EVENT, "this event tells too much")
                    .label(ast.name.span, format!("more than {MAX_PARTS} numbers")),
            );
            fields.clear();
        }
        fields
    }

    /// The field behind `per`.
    fn limited_field(
        &mut self,
        ast: &ast::Event,
        fields: &[(String, Ty)],
        per: &ast::Ident,
    ) -> Option<usize> {
        let found = fields.iter().position(|(name, _)| *name == per.name);
        match found {
            Some(at) if matches!(fields[at].1, Ty::Option(_)) => {
                self.report(
                    Diagnostic::error(state::BAD_EVENT, "events are limited per plain value")
                        .label(per.span, "can be `none`")
                        .label(ast.fields[at].span, "declared here"),
                );
                None
            }
            Some(at) => Some(at),
            None => {
                let diagnostic = Diagnostic::error(
                    state::BAD_EVENT,
                    "events are limited per value of one of their fields",
                )
                .label(per.span, format!("`{}` has no such field", ast.name.name));
                self.report(match nearest(&per.name, fields.iter().map(|(name, _)| name.as_str())) {
                    Some(near) => diagnostic.suggest(per.span, near, format!("did you mean `{near}`?")),
                    None => diagnostic.help("add the field, or leave `per` away to limit all together"),
                });
                None
            }
        }
    }
}

impl BodyChecker<'_, '_, '_> {
    /// `emit scan { source: ip.src, services };`
    pub(super) fn emit(&mut self, path: &ast::Path, inits: &[ast::FieldInit], span: Span) -> Option<Stmt> {
        let event = self.event(path);
        let Some((id, declared)) = event else {
            for init in inits {
                self.init_value(init, None);
            }
            return None;
        };
        let Some(def) = self.checker.program.events.get(id.index()) else {
            // In declarations that come before events.
            self.only_in_filters(span);
            return None;
        };
        let (fields, name) = (def.fields.clone(), def.name.clone());
        let mut values: Vec<(usize, Expr)> = Vec::new();
        let mut failed = false;
        for init in inits {
            match fields.iter().position(|(field, _)| *field == init.name.name) {
                Some(at) if values.iter().any(|(given, _)| *given == at) => {
                    self.report(
                        Diagnostic::error(names::DUPLICATE, format!("`{}` is given twice", init.name.name))
                            .label(init.name.span, "given again here"),
                    );
                    failed = true;
                }
                Some(at) => {
                    let ty = fields[at].1.clone();
                    let value = self.init_value(init, Some(&ty));
                    let value = self.coerce(value, &ty, declared);
                    let value = self.must_have_value(value);
                    failed |= value.ty.is_error() || ty.is_error();
                    values.push((at, value));
                }
                None => {
                    self.init_value(init, None);
                    let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
                    self.no_field(&format!("the event `{name}`"), declared, &init.name, &known);
                    failed = true;
                }
            }
        }
        if !failed {
            let absent =
                fields.iter().enumerate().filter(|(at, _)| !values.iter().any(|(given, _)| given == at));
            let absent: Vec<&str> = absent.map(|(_, (field, _))| field.as_str()).collect();
            failed = self.lacks_fields(&name, &absent, span, declared);
        }
        if !self.may_emit(span) || failed {
            return None;
        }
        Some(Stmt::Emit(id, values))
    }

    fn may_emit(&mut self, span: Span) -> bool {
        if let Some(update) = self.locked {
            self.report(
                Diagnostic::error(state::IN_UPDATE, "nothing is told while an entry is replaced")
                    .label(span, "emits an event")
                    .label(update, "this `update` computes the entry's new value")
                    .help("give the update's value a name with `let` and emit behind it"),
            );
            return false;
        }
        if self.place != Place::Filter {
            self.only_in_filters(span);
            return false;
        }
        true
    }

    fn only_in_filters(&mut self, span: Span) {
        self.report(
            Diagnostic::error(state::NOT_PURE, "a function cannot emit events")
                .label(span, "a function does nothing but compute its value")
                .help("emit the event in the filter"),
        );
    }

    /// The value of a field: `services` alone is the name of the field and of the value.
    pub(super) fn init_value(&mut self, init: &ast::FieldInit, ty: Option<&Ty>) -> Expr {
        match &init.value {
            Some(value) => self.expr(value, ty),
            None => self.name(&init.name, ty),
        }
    }

    /// The event that a path names.
    pub(super) fn event(&mut self, path: &ast::Path) -> Option<(EventId, Span)> {
        let name = path.parts.first()?;
        match (self.def(&name.name), path.parts.as_slice()) {
            (Some((Def::Event(id), declared)), [_]) => Some((id, declared)),
            (Some((Def::Error, _)), _) => None,
            (Some((other, declared)), _) => {
                self.report(
                    Diagnostic::error(state::BAD_EVENT, format!("`{}` is no event", name.name))
                        .label(path.span, format!("this is {}", other.describe()))
                        .label(declared, "declared here"),
                );
                None
            }
            (None, _) => {
                let scope = &self.checker.decls.scopes[self.module];
                let known =
                    scope.names().filter(|(_, def)| matches!(def, Def::Event(_))).map(|(name, _)| name);
                let near = nearest(&name.name, known).map(str::to_owned);
                let diagnostic =
                    Diagnostic::error(names::UNKNOWN, format!("there is no event `{}` here", name.name))
                        .label(path.span, "not known here");
                self.report(match near {
                    Some(near) => {
                        diagnostic.suggest(path.span, near.clone(), format!("did you mean `{near}`?"))
                    }
                    None => diagnostic
                        .help("declare it: `event seen { source: ip4 } limit 1 each 1s per source;`"),
                });
                None
            }
        }
    }
}
