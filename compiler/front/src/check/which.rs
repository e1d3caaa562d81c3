//! `match ip { ipv4 => …, ipv6 => … }`: which header a layer is, where it can be one of several.

use oko_diagnostics::codes::{packets, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::body::{Binding, BodyChecker};
use crate::hir::{Expr, ExprKind, HeaderId, Layer, LayerArm, LayerId};
use crate::suggest::nearest;
use crate::types::Ty;

impl BodyChecker<'_, '_, '_> {
    /// `match layer { arms }`
    pub(super) fn match_layer(
        &mut self,
        layer: LayerId,
        subject: &ast::Ident,
        arms: &[ast::Arm],
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        let all = self.layers[layer.index()].headers.clone();
        let mut left = all.clone();
        let mut checked: Vec<LayerArm> = Vec::new();
        let mut failed = all.is_empty();
        for arm in arms {
            let (names, facts) = (self.names.len(), self.facts.mark());
            let found = self.layer_pattern(&arm.pattern, &all, subject);
            if let Some(guard) = &arm.guard {
                self.condition(guard);
                self.report(
                    Diagnostic::error(packets::BAD_LAYER, "which header it is needs no condition")
                        .label(guard.span, "a condition behind a header")
                        .help("ask for it in the answer: `if … { … } else { … }`"),
                );
                failed = true;
            }
            let mut bound = None;
            if let Some((headers, name)) = &found {
                if !headers.iter().any(|header| left.contains(header)) {
                    self.report(
                        Diagnostic::warning(types::UNREACHABLE_ARM, "this arm never gets its turn")
                            .label(arm.pattern.span, "the arms above take all these headers")
                            .help("remove it, or move it up"),
                    );
                }
                left.retain(|header| !headers.contains(header));
                let id = LayerId::from_index(self.layers.len());
                self.layers.push(Layer::new(headers.clone(), &self.checker.program));
                if let Some(name) = name {
                    self.names.push((name.name.clone(), Binding::Layer(id)));
                }
                self.learn_rules(id);
                bound = Some(id);
            }
            let value = self.expr(&arm.value, expected);
            self.names.truncate(names);
            self.facts.reset(facts);
            match (found, bound) {
                (Some((headers, _)), Some(layer)) if value.ty != Ty::Error => {
                    checked.push(LayerArm { headers, layer, value });
                }
                _ => failed = true,
            }
        }
        if failed {
            return Expr::error(span);
        }
        if let Some(missing) = left.first() {
            let name = &self.checker.program.headers[missing.index()].name;
            let diagnostic = Diagnostic::error(types::NOT_EXHAUSTIVE, format!("`{name}` is not matched"))
                .label(subject.span, format!("can be `{name}`"))
                .label(span, "no arm takes it")
                .help(format!("add an arm `{name} => …` or `_ => …`"));
            self.report(diagnostic);
            return Expr::error(span);
        }
        let Some(ty) = self.arms_type(checked.iter().map(|arm| &arm.value)) else { return Expr::error(span) };
        for arm in &mut checked {
            let value = std::mem::replace(&mut arm.value, Expr::error(span));
            arm.value = self.as_type(value, &ty);
        }
        Expr::new(ExprKind::MatchLayer(layer, checked), ty, span)
    }

    /// The headers of `all` that a pattern takes, and what they are called in its arm.
    fn layer_pattern(
        &mut self,
        pattern: &ast::Pattern,
        all: &[HeaderId],
        subject: &ast::Ident,
    ) -> Option<(Vec<HeaderId>, Option<ast::Ident>)> {
        let (path, name) = match &pattern.kind {
            PatternKind::Any => return Some((all.to_vec(), None)),
            PatternKind::Or(parts) => {
                let mut headers = Vec::new();
                for part in parts {
                    headers.extend(self.layer_pattern(part, all, subject)?.0);
                }
                return Some((headers, None));
            }
            PatternKind::Path(path) => (path, path.parts.last()),
            PatternKind::Layers(layers) if layers.len() == 1 => {
                let layer = layers.first()?;
                (&layer.header, layer.alias.as_ref().or(layer.header.parts.last()))
            }
            _ => {
                self.report(
                    Diagnostic::error(packets::BAD_LAYER, "a header is expected here")
                        .label(pattern.span, "no header")
                        .label(subject.span, "which header this is decides"),
                );
                return None;
            }
        };
        let program = &self.checker.program;
        let form = all.iter().find(|id| {
            let def = &program.headers[id.index()];
            def.is_form && path.parts.len() == 1 && def.name == path.parts[0].name
        });
        if let Some(form) = form {
            return Some((vec![*form], name.cloned()));
        }
        if all.iter().any(|id| program.headers[id.index()].is_form) {
            let known: Vec<String> = all.iter().map(|id| program.headers[id.index()].name.clone()).collect();
            let diagnostic =
                Diagnostic::error(packets::BAD_LAYER, format!("`{}` has no form `{path}`", subject.name))
                    .label(path.span, "none of the forms that it can have");
            self.report(match nearest(&path.to_string(), known.iter().map(String::as_str)) {
                Some(near) => diagnostic.suggest(path.span, near, format!("did you mean `{near}`?")),
                None => {
                    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    diagnostic.note(format!("the forms are {}", known.join(", ")))
                }
            });
            if let Some(name) = name {
                self.bind_local(name, Ty::Error);
            }
            return None;
        }
        let named = self.headers_named(path);
        if named.is_none()
            && let Some(name) = name
        {
            self.bind_local(name, Ty::Error);
        }
        let found: Vec<HeaderId> = named?.into_iter().filter(|header| all.contains(header)).collect();
        if found.is_empty() {
            let known: Vec<String> =
                all.iter().map(|id| format!("`{}`", self.checker.program.headers[id.index()].name)).collect();
            self.report(
                Diagnostic::error(packets::BAD_LAYER, format!("`{}` is never `{path}`", subject.name))
                    .label(pattern.span, "none of the headers that it can be")
                    .note(format!("it can be {}", known.join(", "))),
            );
            if let Some(name) = name {
                self.bind_local(name, Ty::Error);
            }
            return None;
        }
        Some((found, name.cloned()))
    }
}
