//! Calls of functions, values of structs, and the search for calls in circles.

use oko_diagnostics::codes::{names, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{BodyChecker, Place};
use super::name::FILTERS_ARE_ASKED;
use crate::hir::{Expr, ExprKind, FieldKind, FnId, StructId};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::Ty;

impl BodyChecker<'_, '_, '_> {
    /// `callee(args)`
    pub(super) fn call(
        &mut self,
        callee: &ast::Expr,
        args: &[ast::Arg],
        expected: Option<&Ty>,
        span: Span,
    ) -> Expr {
        match &callee.kind {
            ast::ExprKind::Name(name) if self.binding(&name.name).is_none() => match self.def(&name.name) {
                Some((Def::Fn(id), _)) => self.call_fn(id, args, span),
                Some((Def::Struct(id), _)) if self.is_struct_of_packet(id, args) => {
                    self.struct_of_packet(id, &args[0], span)
                }
                Some((Def::Struct(id), _)) if self.checker.program.structs[id.index()].computed.is_some() => {
                    self.compute_struct(id, args, span)
                }
                Some((Def::Struct(id), _)) => self.make_struct(id, args, span),
                Some((Def::Filter, _)) if self.test.is_some() => self.ask_filter(name, args, span),
                Some((Def::Error, _)) => {
                    self.look_at(args);
                    Expr::error(span)
                }
                Some((other, declared)) => {
                    if other != Def::Filter {
                        self.look_at(args);
                    }
                    let diagnostic =
                        Diagnostic::error(types::NOT_A_FUNCTION, format!("`{}` cannot be called", name.name))
                            .label(name.span, format!("this is {}", other.describe()))
                            .label(declared, "named here");
                    self.report(match other {
                        Def::Filter => diagnostic.help(FILTERS_ARE_ASKED),
                        Def::Header(_) | Def::Union(_) if self.test.is_some() => {
                            diagnostic.help("this builds a packet, and a packet is no value: ask a filter about it, `expect NAME(packet)`")
                        }
                        Def::Header(_) | Def::Union(_) => diagnostic.help(format!(
                            "headers are found by `match pkt {{ {} => … }}`; tests build them",
                            name.name
                        )),
                        Def::Event(_) => diagnostic
                            .help(format!("write `emit {} {{ … }};` with a value for each field", name.name)),
                        Def::State(_) | Def::Table(_) => {
                            diagnostic.help(format!("write `{}[key]` for one of its entries", name.name))
                        }
                        _ => diagnostic,
                    });
                    Expr::error(span)
                }
                None => self.unknown_function(name, args, span),
            },
            ast::ExprKind::Field { base, name } => {
                if self.state_root(base).is_some() {
                    return self.method(base, name, args, span);
                }
                if let ast::ExprKind::Name(owner) = &base.kind
                    && self.binding(&owner.name).is_none()
                    && let Some((Def::Param(_), declared)) = self.def(&owner.name)
                {
                    self.look_at(args);
                    self.report(
                        Diagnostic::error(
                            names::UNKNOWN_METHOD,
                            format!("a filter cannot change the param `{}`", owner.name),
                        )
                        .label(name.span, "no operation of a param")
                        .label(declared, "declared as a param here")
                        .help("params are set by the operator, and by tests; what a filter changes is a `state`"),
                    );
                    return Expr::error(span);
                }
                let value = self.expr(base, None);
                if matches!(value.ty, Ty::Array(..)) && name.name == "with" {
                    return self.array_with(value, args, span);
                }
                // What the packet or something unknown is asked may be headers and the like, which are no values.
                if value.ty.is_error() {
                    return Expr::error(span);
                }
                self.look_at(args);
                let found = self.describe(&value.ty);
                let diagnostic = Diagnostic::error(
                    names::UNKNOWN_METHOD,
                    format!("a `{found}` has no operation `{}`", name.name),
                )
                .label(name.span, "not known here");
                let text = |span| self.checker.sources.snippet(span).unwrap_or_default();
                let diagnostic = match args {
                    [arg]
                        if matches!(value.ty, Ty::Array(..) | Ty::Prefix)
                            && matches!(name.name.as_str(), "contains" | "includes" | "has") =>
                    {
                        let element = text(arg.value.span);
                        let element = if is_condition(&arg.value) {
                            format!("({element})")
                        } else {
                            element.to_owned()
                        };
                        let meant = format!("{element} in {}", text(base.span));
                        let meant = if self.stands_alone(span) { meant } else { format!("({meant})") };
                        diagnostic.suggest(span, meant.clone(), format!("write `{meant}`"))
                    }
                    _ => diagnostic,
                };
                self.report(diagnostic);
                Expr::error(span)
            }
            _ => {
                let value = self.expr(callee, expected);
                self.look_at(args);
                if !value.ty.is_error() {
                    self.report(
                        Diagnostic::error(types::NOT_A_FUNCTION, "only functions can be called")
                            .label(callee.span, "this is no function"),
                    );
                }
                Expr::error(span)
            }
        }
    }

    /// Whether a comparison can stand here without brackets: what is written around it binds less tightly, or does not bind at all.
    fn stands_alone(&self, span: Span) -> bool {
        let Some(source) = self.checker.sources.get(span.file) else { return false };
        let text = source.text();
        let (before, after) = (text.get(..span.range().start), text.get(span.range().end..));
        let (before, after) = (before.unwrap_or_default().trim_end(), after.unwrap_or_default().trim_start());
        let ends = ["(", ",", "{", "}", ";", "=>", " =", " and", " or", "if", "return"];
        let begins = [")", ",", "{", "}", ";", "and ", "or "];
        ends.iter().any(|end| before.ends_with(end)) && begins.iter().any(|begin| after.starts_with(begin))
    }

    /// In a test, `session(packet)` with a struct that is computed from headers.
    fn is_struct_of_packet(&self, id: StructId, args: &[ast::Arg]) -> bool {
        let computed = self.checker.program.structs[id.index()].computed.is_some();
        computed && matches!(args, [arg] if self.is_packet(&arg.value))
    }

    /// Checks arguments that nobody takes, for their own errors.
    pub(super) fn look_at(&mut self, args: &[ast::Arg]) {
        for arg in args {
            self.expr(&arg.value, None);
        }
    }

    fn unknown_function(&mut self, name: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        // A text would only be reported again: it is meant for the function.
        let text = |arg: &&ast::Arg| matches!(&arg.value.kind, ast::ExprKind::Literal(literal) if matches!(literal.kind, ast::LiteralKind::Str(_)));
        for arg in args.iter().filter(|arg| !text(arg)) {
            self.expr(&arg.value, None);
        }
        let scope = &self.checker.decls.scopes[self.module];
        let known = self.checker.suggests().then(|| scope.names()).into_iter().flatten();
        let known = known.filter(|(_, def)| matches!(def, Def::Fn(_) | Def::Struct(_))).map(|(name, _)| name);
        let near = nearest(&name.name, known).map(str::to_owned);
        let diagnostic =
            Diagnostic::error(names::UNKNOWN, format!("there is no function `{}` here", name.name))
                .label(name.span, "not known here");
        self.report(match near {
            Some(near) => diagnostic.suggest(name.span, near.clone(), format!("did you mean `{near}`?")),
            None => match name.name.as_str() {
                "print" | "printf" | "println" | "log" | "trace" | "debug" => diagnostic
                    .help("a filter tells something by an event: declare `event … limit …` and `emit` it"),
                "min" | "max" | "abs" => {
                    diagnostic.help("write `if a < b { a } else { b }`, in a `fn` of your own if need be")
                }
                "len" | "sizeof" | "size" => diagnostic.help("`pkt.len` is the packet's length in bytes"),
                "hash" => {
                    diagnostic.help("keys need no hash: the key of a `map` is a value or a tuple of values")
                }
                "ntohs" | "ntohl" | "htons" | "htonl" | "be16toh" | "be32toh" | "bpf_ntohs" | "bpf_ntohl"
                | "swap" | "bswap" => {
                    let diagnostic = diagnostic.note("fields are numbers as the protocol means them: there is no byte order");
                    match args {
                        [arg] if let Some(text) = self.checker.sources.snippet(arg.value.span) => {
                            let single = matches!(
                                arg.value.kind,
                                ast::ExprKind::Name(_)
                                    | ast::ExprKind::Literal(_)
                                    | ast::ExprKind::Paren(_)
                                    | ast::ExprKind::Field { .. }
                                    | ast::ExprKind::Call { .. }
                                    | ast::ExprKind::Index { .. }
                                    | ast::ExprKind::Slice { .. }
                            );
                            let text = if single { text.to_owned() } else { format!("({text})") };
                            diagnostic.suggest(span, text.clone(), format!("write `{text}`"))
                        }
                        _ => diagnostic.help("use the field as it is"),
                    }
                }
                "assert" | "assert_eq" | "expect_eq" | "assert_equal" | "assertEquals" => {
                    diagnostic.help("a test says `expect a == b;`")
                }
                "count" | "sum" | "avg" | "hist" => diagnostic.help(
                    "what is counted is a state: `state hits: map[ip4, counter] { … };`, and `hits[ipv4.src].add(1)`",
                ),
                "now" | "time" => diagnostic.help("`now` is the time, without brackets"),
                _ => diagnostic,
            },
        });
        Expr::error(span)
    }

    fn call_fn(&mut self, id: FnId, args: &[ast::Arg], span: Span) -> Expr {
        self.checker.fn_signature(id.index(), span);
        let def = &self.checker.program.fns[id.index()];
        let (params, result, declared, name) =
            (def.params.clone(), def.result.clone(), def.span, def.name.clone());
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        if !self.arguments_match(&name, declared, &names, args, "called here", span) {
            self.look_at(args);
            return Expr::error(span);
        }
        let values: Vec<Expr> =
            args.iter().zip(&params).map(|(arg, (_, ty))| self.expect(&arg.value, ty, declared)).collect();
        self.callees.push((id, span));
        if values.iter().any(|value| value.ty.is_error()) || result.is_error() {
            return Expr::error(span);
        }
        let known = values.iter().all(|value| matches!(value.kind, ExprKind::Const(_)));
        let call = Expr::new(ExprKind::Call(id, values), result, span);
        match self.place {
            Place::Constant if !self.checker.known_fn(id, span) => Expr::error(span),
            Place::Constant => self.checker.known_call(call, known),
            Place::Rule(_) if !self.checker.known_fn(id, span) => Expr::error(span),
            _ => call,
        }
    }

    /// Whether there are as many arguments as parameters, and those with a name are in the declared order.
    pub(super) fn arguments_match(
        &mut self,
        name: &str,
        declared: Span,
        params: &[&str],
        args: &[ast::Arg],
        what: &str,
        span: Span,
    ) -> bool {
        if args.len() != params.len() {
            self.report(
                Diagnostic::error(
                    types::ARGUMENTS,
                    format!("`{name}` takes {} and is given {}", params.len(), args.len()),
                )
                .label(span, what)
                .label(declared, "declared here"),
            );
            return false;
        }
        let mut in_order = true;
        for (arg, param) in args.iter().zip(params) {
            if let Some(given) = &arg.name
                && given.name != *param
            {
                self.report(
                    Diagnostic::error(types::ARGUMENTS, format!("the argument here is `{param}`"))
                        .label(given.span, "another name")
                        .label(declared, "declared here")
                        .help("give the arguments in the declared order"),
                );
                in_order = false;
            }
        }
        in_order
    }

    /// `Knock(step: 1, since: now)`
    fn make_struct(&mut self, id: StructId, args: &[ast::Arg], span: Span) -> Expr {
        let def = &self.checker.program.structs[id.index()];
        let (name, declared) = (def.name.clone(), def.span);
        let mut fields: Vec<(String, Ty)> = Vec::new();
        for field in &def.fields {
            match &field.kind {
                FieldKind::Value(ty) => fields.push((field.name.clone(), ty.clone())),
                FieldKind::Cell(_) => {
                    self.look_at(args);
                    self.report(
                        Diagnostic::error(
                            oko_diagnostics::codes::state::CELLS_ARE_NO_VALUE,
                            "a struct of cells is no value",
                        )
                        .label(span, "cells exist in states only")
                        .label(declared, "declared here"),
                    );
                    return Expr::error(span);
                }
            }
        }
        if args.iter().any(|arg| arg.name.is_none()) {
            self.look_at(args);
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            self.not_by_name(&name, &names, args, span);
            return Expr::error(span);
        }
        let mut values: Vec<Option<Expr>> = fields.iter().map(|_| None).collect();
        let mut failed = fields.is_empty();
        for arg in args {
            let Some(given) = &arg.name else { continue };
            match fields.iter().position(|(field, _)| *field == given.name) {
                Some(at) => {
                    let value = self.expect(&arg.value, &fields[at].1.clone(), declared);
                    failed |= value.ty.is_error();
                    if values[at].replace(value).is_some() {
                        self.report(
                            Diagnostic::error(names::DUPLICATE, format!("`{}` is given twice", given.name))
                                .label(given.span, "given again here"),
                        );
                    }
                }
                None => {
                    self.expr(&arg.value, None);
                    let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
                    self.no_field(&format!("`{name}`"), declared, given, &known);
                    failed = true;
                }
            }
        }
        if !failed {
            let absent = fields.iter().zip(&values).filter(|(_, value)| value.is_none());
            let absent: Vec<&str> = absent.map(|((field, _), _)| field.as_str()).collect();
            failed = self.lacks_fields(&name, &absent, span, declared);
        }
        if failed {
            return Expr::error(span);
        }
        let values = values.into_iter().flatten().collect();
        Expr::new(ExprKind::Tuple(values), Ty::Struct(id), span)
    }

    /// Reports fields without a value, if there are any.
    pub(super) fn lacks_fields(&mut self, name: &str, absent: &[&str], span: Span, declared: Span) -> bool {
        let Some(first) = absent.first() else { return false };
        let all: Vec<String> = absent.iter().map(|field| format!("`{field}`")).collect();
        self.report(
            Diagnostic::error(types::ARGUMENTS, format!("{} of `{name}` is missing", all.join(", ")))
                .label(span, "every field needs a value")
                .label(declared, "declared here")
                .help(format!("add `{first}: …`")),
        );
        true
    }

    /// Reports fields that are given by their places, once for all of them.
    fn not_by_name(&mut self, name: &str, fields: &[&str], args: &[ast::Arg], span: Span) {
        let unnamed = args.iter().find(|arg| arg.name.is_none()).map_or(span, |arg| arg.span);
        let diagnostic =
            Diagnostic::error(types::ARGUMENTS, format!("the fields of `{name}` are given by name"))
                .label(unnamed, "which field is this?");
        let all_unnamed = args.len() == fields.len() && args.iter().all(|arg| arg.name.is_none());
        let values: Option<Vec<&str>> =
            args.iter().map(|arg| self.checker.sources.snippet(arg.value.span)).collect();
        self.report(match values.filter(|_| all_unnamed) {
            Some(values) => {
                let parts = fields.iter().zip(values).map(|(field, value)| format!("{field}: {value}"));
                let meant = format!("{name}({})", parts.collect::<Vec<_>>().join(", "));
                diagnostic.suggest(span, meant.clone(), format!("write `{meant}`"))
            }
            None => {
                let parts: Vec<String> = fields.iter().map(|field| format!("{field}: …")).collect();
                diagnostic.help(format!("write `{name}({})`", parts.join(", ")))
            }
        });
    }

    /// `base[index]`
    pub(super) fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        if self.state_root(base).is_some() {
            return self.read_entry(base, index, span);
        }
        if let Some(layer) = self.region_of(base) {
            return self.region_byte(layer, index, span);
        }
        let value = self.expr(base, None);
        if matches!(value.ty, Ty::Array(..)) {
            return self.element(value, index, span);
        }
        self.expr(index, None);
        if !value.ty.is_error() {
            let found = self.describe(&value.ty);
            self.report(
                Diagnostic::error(types::BAD_OPERAND, format!("a `{found}` has no entries"))
                    .label(base.span, format!("this is `{found}`"))
                    .help("square brackets behind a state read one of its entries, behind an array one of its elements"),
            );
        }
        Expr::error(span)
    }
}

/// Whether an operator is written there that binds no more tightly than `in`.
fn is_condition(value: &ast::Expr) -> bool {
    use ast::BinaryOp::{And, Eq, Ge, Gt, Has, Le, Lt, Ne, Or};
    match &value.kind {
        ast::ExprKind::Binary { op, .. } => matches!(op, Or | And | Eq | Ne | Lt | Le | Gt | Ge | Has),
        ast::ExprKind::In { .. } | ast::ExprKind::Update { .. } => true,
        _ => false,
    }
}
