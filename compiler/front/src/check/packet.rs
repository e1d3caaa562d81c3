//! `match pkt`: arms of layers.

use oko_diagnostics::codes::{packets, types, unsupported};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::body::{Binding, BodyChecker, Place};
use crate::hir::{Expr, ExprKind, HeaderId, LayerId, PacketArm};
use crate::packets::graph;
use crate::resolve::{Def, not_yet};
use crate::suggest::nearest;
use crate::types::Ty;

/// The most arms of a `match pkt`, which are all looked for at once.
const MAX_ARMS: usize = 256;

impl BodyChecker<'_, '_, '_> {
    /// `match pkt { arms }`
    pub(super) fn match_packet(&mut self, arms: &[ast::Arm], expected: Option<&Ty>, span: Span) -> Expr {
        if arms.len() > MAX_ARMS {
            return self.too_many_arms(MAX_ARMS, arms.len(), span);
        }
        let allowed = self.packet_allowed(span);
        let mut checked: Vec<PacketArm> = Vec::new();
        let mut failed = !allowed;
        let mut rest: Option<Span> = None;
        for arm in arms {
            if let Some(before) = rest {
                self.report(
                    Diagnostic::warning(types::UNREACHABLE_ARM, "this arm never gets its turn")
                        .label(arm.pattern.span, "every packet has been taken")
                        .label(before, "`_` takes every packet")
                        .help("move `_` to the end"),
                );
            }
            let (names, facts) = (self.names.len(), self.facts.mark());
            let layers = self.layers(&arm.pattern);
            let guard = arm.guard.as_ref().map(|guard| self.condition(guard));
            if let Some(guard) = &guard {
                self.facts.learn(guard, true);
            }
            let value = self.expr(&arm.value, expected);
            self.names.truncate(names);
            self.facts.reset(facts);
            if guard.is_none() && layers.as_ref().is_some_and(Vec::is_empty) {
                rest.get_or_insert(arm.pattern.span);
            }
            let bad_guard = guard.as_ref().is_some_and(|guard| guard.ty.is_error());
            match layers {
                Some(layers) if !bad_guard && value.ty != Ty::Error => {
                    checked.push(PacketArm { layers, guard, value });
                }
                _ => failed = true,
            }
        }
        if rest.is_none() && !failed {
            self.report(
                Diagnostic::error(packets::NOT_EXHAUSTIVE, "packets that no arm matches have no answer")
                    .label(span, "other packets come, too")
                    .help("add an arm for the rest: `_ => false`"),
            );
            failed = true;
        }
        if failed {
            return Expr::error(span);
        }
        let Some(ty) = self.arms_type(checked.iter().map(|arm| &arm.value)) else { return Expr::error(span) };
        for arm in &mut checked {
            let value = std::mem::replace(&mut arm.value, Expr::error(span));
            arm.value = self.as_type(value, &ty);
        }
        Expr::new(ExprKind::MatchPacket(checked), ty, span)
    }

    fn packet_allowed(&mut self, span: Span) -> bool {
        if let Some(update) = self.locked {
            self.report(
                Diagnostic::error(
                    oko_diagnostics::codes::state::IN_UPDATE,
                    "headers cannot be looked for within an `update`",
                )
                .label(span, "looks for headers while the entry is being replaced")
                .label(update, "this `update` computes the entry's new value")
                .help("put the `update` into the arm instead"),
            );
            return false;
        }
        if self.place != Place::Filter {
            self.report(
                Diagnostic::error(packets::ONLY_IN_FILTERS, "headers can be looked for in filters only")
                    .label(span, "there is no packet here")
                    .help("give the fields to the function as arguments"),
            );
            return false;
        }
        true
    }

    /// The layers of a pattern, which come into scope; `None` where something was reported.
    fn layers(&mut self, pattern: &ast::Pattern) -> Option<Vec<(HeaderId, LayerId)>> {
        let single;
        let layers: &[ast::Layer] = match &pattern.kind {
            PatternKind::Any => return Some(Vec::new()),
            PatternKind::Layers(layers) => layers,
            PatternKind::Path(path) => {
                single = [ast::Layer { header: path.clone(), alias: None, span: path.span }];
                &single
            }
            PatternKind::Or(parts) => {
                self.report(
                    not_yet(
                        unsupported::LAYER_ALTERNATIVES,
                        "alternatives of headers in one arm",
                        pattern.span,
                    )
                    .help("write an arm for each"),
                );
                for part in parts {
                    self.layers(part);
                }
                return None;
            }
            _ => {
                self.report(
                    Diagnostic::error(packets::BAD_LAYER, "the arms of `match pkt` name headers")
                        .label(pattern.span, "no header")
                        .help("write headers such as `ipv4 / tcp`, or `_` for every packet"),
                );
                return None;
            }
        };
        let mut found: Vec<(HeaderId, Span)> = Vec::new();
        let mut failed = false;
        let mut bound = Vec::new();
        for layer in layers {
            let name = layer.alias.as_ref().or(layer.header.parts.last());
            match self.header_named(&layer.header) {
                Some(header) => {
                    let id = LayerId::from_index(self.layers.len());
                    self.layers.push(header);
                    found.push((header, layer.span));
                    bound.push((header, id));
                    if let Some(name) = name {
                        failed |= !self.bind_layer(name, id, layer.span, layers);
                    }
                }
                None => {
                    failed = true;
                    // Its fields would only be reported again: whatever is asked of the name is an error already.
                    if let Some(name) = name {
                        self.bind_local(name, Ty::Error);
                    }
                }
            }
        }
        if failed || !self.can_follow(&found) {
            return None;
        }
        Some(bound)
    }

    fn bind_layer(&mut self, name: &ast::Ident, id: LayerId, span: Span, layers: &[ast::Layer]) -> bool {
        let same = layers.iter().filter(|layer| {
            layer.alias.as_ref().or(layer.header.parts.last()).is_some_and(|other| other.name == name.name)
        });
        let first = same.map(|layer| layer.span).next();
        self.names.push((name.name.clone(), Binding::Layer(id)));
        match first {
            Some(first) if first != span => {
                self.report(
                    Diagnostic::error(
                        packets::SAME_LAYER_NAME,
                        format!("two headers are called `{}`", name.name),
                    )
                    .label(span, "this one")
                    .label(first, "and this one")
                    .help(format!("give one another name: `{} as inner`", name.name)),
                );
                false
            }
            _ => true,
        }
    }

    fn header_named(&mut self, path: &ast::Path) -> Option<HeaderId> {
        let name = path.parts.first()?;
        let found = if path.parts.len() == 1 { self.def(&name.name) } else { None };
        match found {
            Some((Def::Header(id), _)) => Some(id),
            Some((Def::Error, _)) => None,
            Some((other, declared)) => {
                self.report(
                    Diagnostic::error(packets::BAD_LAYER, format!("`{}` is no header", name.name))
                        .label(path.span, format!("this is {}", other.describe()))
                        .label(declared, "named here"),
                );
                None
            }
            None => {
                let spelled = path.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(".");
                let elsewhere = self.checker.program.headers.iter().any(|header| header.name == spelled);
                let scope = &self.checker.decls.scopes[self.module];
                let known =
                    scope.names().filter(|(_, def)| matches!(def, Def::Header(_))).map(|(name, _)| name);
                let near = nearest(&spelled, known).map(str::to_owned);
                let diagnostic =
                    Diagnostic::error(packets::BAD_LAYER, format!("there is no header `{spelled}` here"))
                        .label(path.span, "not known here");
                self.report(match near {
                    Some(near) => {
                        diagnostic.suggest(path.span, near.clone(), format!("did you mean `{near}`?"))
                    }
                    None if elsewhere => {
                        diagnostic.help(format!("add it to a `use`, such as `use std.net.{{{spelled}}};`"))
                    }
                    None => diagnostic,
                });
                None
            }
        }
    }

    /// Whether packets can have these headers one behind the other.
    fn can_follow(&mut self, layers: &[(HeaderId, Span)]) -> bool {
        let Some(((first, span), rest)) = layers.split_first() else { return true };
        let program = &self.checker.program;
        let Some(root) = program.root else {
            self.report(
                Diagnostic::error(packets::NO_ROOT, "nothing says which header a packet begins with")
                    .label(*span, "so this is never found")
                    .help("write `#[root]` in front of the header that comes first, or use one of `std.net`"),
            );
            return false;
        };
        if !graph::reachable(program, root).contains(first) {
            let (name, root) = (&program.headers[first.index()].name, &program.headers[root.index()]);
            let diagnostic =
                Diagnostic::error(packets::UNREACHABLE, format!("no packet has the header `{name}`"))
                    .label(*span, format!("nothing that begins with `{}` leads to it", root.name))
                    .label(root.span, "every packet begins with this header")
                    .help(format!("name `{name}` in the `next by` of the header in front of it"));
            self.report(diagnostic);
            return false;
        }
        let mut before = (*first, *span);
        for &(header, span) in rest {
            let def = &program.headers[before.0.index()];
            let followers: Vec<HeaderId> =
                def.next.iter().flat_map(|next| next.arms.iter().map(|arm| arm.header)).collect();
            if !followers.contains(&header) {
                let name = &program.headers[header.index()].name;
                let diagnostic = Diagnostic::error(
                    packets::NEVER_FOLLOWS,
                    format!("`{name}` never follows `{}`", def.name),
                )
                .label(span, format!("not directly behind `{}`", def.name))
                .label(def.span, "what can follow is declared here");
                let mut names: Vec<String> =
                    followers.iter().map(|id| format!("`{}`", program.headers[id.index()].name)).collect();
                names.sort();
                names.dedup();
                self.report(if names.is_empty() {
                    diagnostic.help(format!(
                        "nothing follows `{}`",
                        self.checker.program.headers[before.0.index()].name
                    ))
                } else {
                    diagnostic.note(format!("what follows is one of {}", names.join(", ")))
                });
                return false;
            }
            before = (header, span);
        }
        true
    }
}
