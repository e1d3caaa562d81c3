//! `match pkt`: arms of layers.
//!
//! An arm's alternatives, and the headers of the unions in it, are multiplied out into *chains* of headers. Chains that no packet can have
//! are left out, as long as one remains of each alternative.

use oko_diagnostics::codes::{packets, results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::body::{Binding, BodyChecker, Place};
use crate::hir::{Chain, Expr, ExprKind, HeaderId, Layer, LayerId, PacketArm};
use crate::packets::graph;
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::Ty;

/// The most arms of a `match pkt`, and chains of its arms, which are all looked for at once.
const MAX_ARMS: usize = 256;

/// The chains of one alternative, and the names of its layers.
struct Alternative {
    names: Vec<ast::Ident>,
    chains: Vec<Vec<HeaderId>>,
}

/// A layer of an arm as it is written, and the headers that it can be.
struct Written<'a> {
    ast: &'a ast::Layer,
    headers: Vec<HeaderId>,
}

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
            let chains = self.chains(&arm.pattern);
            let guard = arm.guard.as_ref().map(|guard| self.condition(guard));
            if let Some(guard) = &guard {
                self.facts.learn(guard, true);
            }
            let value = self.expr(&arm.value, expected);
            self.names.truncate(names);
            self.facts.reset(facts);
            if guard.is_none() && chains.as_ref().is_some_and(|chains| chains.iter().any(Vec::is_empty)) {
                rest.get_or_insert(arm.pattern.span);
            }
            let bad_guard = guard.as_ref().is_some_and(|guard| guard.ty.is_error());
            match chains {
                Some(chains) if !bad_guard && value.ty != Ty::Error => {
                    checked.push(PacketArm { chains, guard, value });
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
        let chains: usize = checked.iter().map(|arm| arm.chains.len()).sum();
        if chains > MAX_ARMS {
            self.report(
                Diagnostic::error(results::TOO_MANY, "this `match pkt` looks for too much at once")
                    .label(span, format!("its arms stand for {chains} chains of headers, and at most {MAX_ARMS} are allowed"))
                    .help("name the headers that matter instead of unions"),
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
        if self.place == Place::Test {
            self.not_in_tests(
                "there is no packet here",
                span,
                "ask a filter about a packet: `expect NAME(packet)`",
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

    /// The chains of an arm; its names come into scope. `None` where something was reported.
    fn chains(&mut self, pattern: &ast::Pattern) -> Option<Vec<Chain>> {
        let parts = match &pattern.kind {
            PatternKind::Or(parts) => parts.as_slice(),
            _ => std::slice::from_ref(pattern),
        };
        let mut alternatives = Vec::new();
        let mut failed = false;
        for part in parts {
            match self.alternative(part) {
                Some(alternative) => alternatives.push(alternative),
                None => failed = true,
            }
        }
        if failed {
            return None;
        }
        // What can be named is what all alternatives name.
        let mut bound: Vec<(String, LayerId)> = Vec::new();
        let names: Vec<ast::Ident> = alternatives.iter().flat_map(|one| one.names.clone()).collect();
        for name in &names {
            if bound.iter().any(|(known, _)| *known == name.name) {
                continue;
            }
            if let Some(absent) = alternatives.iter().position(|one| !has_name(one, &name.name)) {
                let place = parts.get(absent).map_or(pattern.span, |part| part.span);
                self.names.push((name.name.clone(), Binding::Sometimes(place)));
                continue;
            }
            let mut headers: Vec<HeaderId> = Vec::new();
            for one in &alternatives {
                let at = one.names.iter().position(|other| other.name == name.name);
                for header in one.chains.iter().filter_map(|chain| chain.get(at?)) {
                    if !headers.contains(header) {
                        headers.push(*header);
                    }
                }
            }
            let id = LayerId::from_index(self.layers.len());
            self.layers.push(Layer::new(headers, &self.checker.program));
            self.names.push((name.name.clone(), Binding::Layer(id)));
            self.learn_rules(id);
            bound.push((name.name.clone(), id));
        }
        let mut chains = Vec::new();
        for one in alternatives {
            let ids: Vec<Option<LayerId>> = (one.names.iter())
                .map(|name| bound.iter().find(|(known, _)| *known == name.name).map(|(_, id)| *id))
                .collect();
            for chain in one.chains {
                let chain: Vec<_> = chain.into_iter().zip(ids.iter().copied()).collect();
                if !chains.contains(&chain) {
                    chains.push(chain);
                }
            }
        }
        Some(chains)
    }

    /// One alternative of an arm.
    fn alternative(&mut self, pattern: &ast::Pattern) -> Option<Alternative> {
        let single;
        let layers: &[ast::Layer] = match &pattern.kind {
            PatternKind::Any => return Some(Alternative { names: Vec::new(), chains: vec![Vec::new()] }),
            PatternKind::Error => return None,
            PatternKind::Layers(layers) => layers,
            PatternKind::Path(path) => {
                single = [ast::Layer { header: path.clone(), alias: None, span: path.span }];
                &single
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
        let mut written = Vec::new();
        let mut failed = false;
        for (at, layer) in layers.iter().enumerate() {
            let Some(headers) = self.headers_named(&layer.header) else {
                failed = true;
                // Its fields would only be reported again: whatever is asked of the name is an error already.
                if let Some(name) = layer_name(layer) {
                    self.bind_local(name, Ty::Error);
                }
                continue;
            };
            failed |= !self.own_name(layers, at);
            written.push(Written { ast: layer, headers });
        }
        let chains = if failed { None } else { self.multiply(&written) };
        if chains.is_none() {
            // The names keep their fields, so that errors in the arm are found, too.
            for layer in &written {
                if let Some(name) = layer_name(layer.ast) {
                    let id = LayerId::from_index(self.layers.len());
                    self.layers.push(Layer::new(layer.headers.clone(), &self.checker.program));
                    self.names.push((name.name.clone(), Binding::Layer(id)));
                }
            }
        }
        let names = layers.iter().filter_map(layer_name).cloned().collect();
        let chains = chains?;
        let places: Vec<Span> = layers.iter().map(|layer| layer.span).collect();
        for chain in &chains {
            self.checker.note_asked(chain, &places);
        }
        Some(Alternative { names, chains })
    }

    /// Whether a layer has a name that none in front of it has.
    fn own_name(&mut self, layers: &[ast::Layer], at: usize) -> bool {
        let layer = &layers[at];
        let Some(name) = layer_name(layer) else { return false };
        let named = |at: usize, name: &str| layer_name(&layers[at]).is_some_and(|other| other.name == name);
        let before = |at: usize, name: &str| (0..at).filter(|&other| named(other, name)).count();
        let Some(first) = (0..at).find(|&other| named(other, &name.name)) else { return true };
        // A name that no other layer has, and that is offered to no other.
        let repeated = (0..layers.len())
            .filter(|&at| layer_name(&layers[at]).is_some_and(|name| before(at, &name.name) > 0));
        let meant = if repeated.count() == 1 && before(layers.len(), "inner") == 0 {
            "inner".to_owned()
        } else {
            format!("{}_{}", name.name, before(at, &name.name) + 1)
        };
        let diagnostic =
            Diagnostic::error(packets::SAME_LAYER_NAME, format!("two headers are called `{}`", name.name))
                .label(layer.span, "this one")
                .label(layers[first].span, "and this one");
        let header = layer.header.span;
        let text = self.checker.sources.snippet(header).unwrap_or_default();
        let meant = format!("{text} as {meant}");
        self.report(diagnostic.suggest(
            layer.span,
            meant.clone(),
            format!("give one another name: `{meant}`"),
        ));
        false
    }

    /// The headers that a layer's name stands for: one, or those of a union.
    pub(super) fn headers_named(&mut self, path: &ast::Path) -> Option<Vec<HeaderId>> {
        let name = path.parts.first()?;
        let found = if path.parts.len() == 1 { self.def(&name.name) } else { None };
        match found {
            Some((Def::Header(id), _)) => Some(vec![id]),
            Some((Def::Union(id), _)) => {
                Some(self.checker.union_headers(id)).filter(|found| !found.is_empty())
            }
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
                let spelled = path.to_string();
                let program = &self.checker.program;
                let elsewhere = program.headers.iter().any(|header| header.name == spelled)
                    || program.unions.iter().any(|union| union.name == spelled);
                let scope = &self.checker.decls.scopes[self.module];
                let known = scope
                    .names()
                    .filter(|(_, def)| matches!(def, Def::Header(_) | Def::Union(_)))
                    .map(|(name, _)| name);
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
                    None => diagnostic.help(format!(
                        "headers are declared in the file or brought in: `use std.net.{spelled};` for one of the standard library",
                    )),
                });
                None
            }
        }
    }

    /// The chains of layers that packets can have; reports where there is none.
    fn multiply(&mut self, layers: &[Written<'_>]) -> Option<Vec<Vec<HeaderId>>> {
        let (first, rest) = layers.split_first()?;
        let program = &self.checker.program;
        let Some(root) = program.root else {
            self.report(
                Diagnostic::error(packets::NO_ROOT, "nothing says which header a packet begins with")
                    .label(first.ast.span, "so this is never found")
                    .help("write `#[root]` in front of the header that comes first, or use one of `std.net`"),
            );
            return None;
        };
        let reachable = graph::reachable(program, root);
        let mut chains: Vec<Vec<HeaderId>> = first
            .headers
            .iter()
            .filter(|header| reachable.contains(header))
            .map(|header| vec![*header])
            .collect();
        if chains.is_empty() {
            let (name, root) = (first.ast.header.to_string(), &program.headers[root.index()]);
            let diagnostic =
                Diagnostic::error(packets::UNREACHABLE, format!("no packet has the header `{name}`"))
                    .label(first.ast.span, format!("nothing that begins with `{}` leads to it", root.name))
                    .label(root.span, "every packet begins with this header")
                    .help(format!(
                        "name `{name}` in the `next by` of the header in front of it, or in an `extend` of one that is declared elsewhere: `extend udp next by dst_port {{ 4000 => {name} }}`",
                    ));
            self.report(diagnostic);
            return None;
        }
        let mut before = first;
        for layer in rest {
            let mut longer = Vec::new();
            for chain in &chains {
                let Some(last) = chain.last() else { continue };
                let followers = graph::followers(program, *last);
                for header in layer.headers.iter().filter(|header| followers.contains(header)) {
                    longer.push(chain.iter().copied().chain([*header]).collect());
                }
                if longer.len() > MAX_ARMS {
                    break;
                }
            }
            if longer.is_empty() {
                self.never_follows(before, layer, &chains);
                return None;
            }
            chains = longer;
            before = layer;
        }
        Some(chains)
    }

    fn never_follows(&mut self, before: &Written<'_>, layer: &Written<'_>, chains: &[Vec<HeaderId>]) {
        let program = &self.checker.program;
        let (name, last) = (layer.ast.header.to_string(), before.ast.header.to_string());
        let diagnostic =
            Diagnostic::error(packets::NEVER_FOLLOWS, format!("`{name}` never follows `{last}`"))
                .label(layer.ast.span, format!("not directly behind `{last}`"));
        let ends: Vec<HeaderId> = chains.iter().filter_map(|chain| chain.last().copied()).collect();
        let diagnostic = match ends.as_slice() {
            [one] => diagnostic.label(program.headers[one.index()].span, "what can follow is declared here"),
            _ => diagnostic,
        };
        // What lies between the two, if the one can be reached from the other at all.
        let ways = ends.iter().flat_map(|end| layer.headers.iter().map(move |header| (*end, *header)));
        let between =
            ways.filter_map(|(end, header)| graph::shortest(program, end, header)).min_by_key(Vec::len);
        if let Some(between) = between {
            let all = (between.iter()).map(|header| program.headers[header.index()].name.as_str());
            let path: Vec<&str> = [last.as_str()].into_iter().chain(all).chain([name.as_str()]).collect();
            self.report(diagnostic.help(format!("name what lies between them: `{}`", path.join(" / "))));
            return;
        }
        let followers = ends.iter().flat_map(|end| graph::followers(program, *end));
        let mut names: Vec<String> =
            followers.map(|id| format!("`{}`", program.headers[id.index()].name)).collect();
        names.sort();
        names.dedup();
        let diagnostic = if names.is_empty() {
            diagnostic
                .help(format!("nothing follows `{last}`: neither its `next by` nor an `extend` says what"))
        } else {
            diagnostic.note(format!("what follows is one of {}", names.join(", ")))
        };
        self.report(diagnostic);
    }

    /// Reports the use of a header that not all alternatives of its arm have.
    pub(super) fn only_sometimes(&mut self, name: &ast::Ident) -> Expr {
        let Some(Binding::Sometimes(place)) = self.binding(&name.name) else { return Expr::error(name.span) };
        self.report(
            Diagnostic::error(packets::ONLY_SOMETIMES, format!("`{}` is not always there", name.name))
                .label(name.span, "not found in every packet of this arm")
                .label(place, format!("these packets have none that is called `{}`", name.name))
                .help("write an arm of its own, or give the headers of all alternatives the same name with `as`"),
        );
        Expr::error(name.span)
    }
}

/// What a layer is called in its arm.
fn layer_name(layer: &ast::Layer) -> Option<&ast::Ident> {
    layer.alias.as_ref().or(layer.header.parts.last())
}

fn has_name(alternative: &Alternative, name: &str) -> bool {
    alternative.names.iter().any(|known| known.name == name)
}
