//! Declarations of state: what it holds, how much, and for how long.

use oko_diagnostics::codes::{names, state, types, unsupported};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::body::{BodyChecker, Place};
use super::coerce::fits;
use super::decl::{cell_kind, doc_text};
use super::typename::LATER;
use crate::hir::{CellKind, Content, Expire, Expr, FieldKind, Shape, StateDef, TokensInit, scalars};
use crate::resolve::{Def, not_yet};
use crate::suggest::nearest;
use crate::types::{Range, Ty};

/// The longest window, in nanoseconds: 39 hours, so that its arithmetic stays within 64 bits.
pub(crate) const MAX_WINDOW: u64 = 1 << 47;

/// The most tokens that fit in a bucket, which counts in billionths of a token.
pub(crate) const MAX_BURST: u64 = u64::MAX / 1_000_000_000;

/// The most entries a state can have.
const MAX_CAPACITY: u64 = 1 << 28;

/// The most scalars in a key.
const MAX_KEY: usize = 16;

/// The settings that states have.
const SETTINGS: &[&str] = &["capacity", "when_full", "expire", "window", "init"];

/// The settings of kinds of state that this compiler lacks.
const LATER_SETTINGS: &[&str] = &["error", "confidence", "merge"];

impl Checker<'_, '_> {
    /// The `state`s.
    pub(super) fn states(&mut self) {
        for at in 0..self.decls.states.len() {
            let source = &self.decls.states[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item, &[]);
            if let Some(per) = &ast.per {
                self.report(not_yet(unsupported::PER_CORE, "state for each core", per.span));
            }
            if let Some(kind) = later_kind(&ast.ty) {
                self.report(not_yet(unsupported::STATE_KIND, &format!("`{kind}`"), ast.ty.span));
                self.program.states.push(unknown_state(ast));
                continue;
            }
            self.setting_names(ast);
            let (key, content) = self.state_type(module, &ast.ty);
            let shape = match key {
                Some(key) => self.keyed(module, ast, key),
                None => self.single(ast),
            };
            let cells = self.cells_of(&content);
            let def = StateDef {
                name: self.decls.public_name(module, &ast.name.name),
                span: ast.name.span,
                doc: doc_text(item),
                expire: self.expire(module, ast, &shape, &content),
                window: self.window(module, ast, cells.contains(&CellKind::Window)),
                tokens: self.tokens(module, ast, cells.contains(&CellKind::Tokens)),
                shape,
                content,
            };
            self.program.states.push(def);
        }
    }

    /// The key's type, if it has one, and what entries hold.
    fn state_type(&mut self, module: usize, ty: &ast::Type) -> (Option<Ty>, Content) {
        if let ast::TypeKind::Named { path, args } = &ty.kind
            && let [name] = path.parts.as_slice()
        {
            match (name.name.as_str(), args.as_slice()) {
                ("map", [key, value]) => {
                    let key = self.key_type(module, key);
                    return (Some(key), self.content(module, value));
                }
                ("set", [key]) => return (Some(self.key_type(module, key)), Content::Nothing),
                ("map" | "set", _) => {
                    let form = if name.name == "map" { "map[key, value]" } else { "set[key]" };
                    self.report(
                        Diagnostic::error(
                            types::TYPE_ARGUMENTS,
                            format!("`{}` needs other types", name.name),
                        )
                        .label(ty.span, format!("written `{form}`")),
                    );
                    return (Some(Ty::Error), Content::Value(Ty::Error));
                }
                _ => {}
            }
        }
        (None, self.content(module, ty))
    }

    fn key_type(&mut self, module: usize, ty: &ast::Type) -> Ty {
        let key = self.value_type(module, ty);
        let optional = matches!(&key, Ty::Option(_))
            || matches!(&key, Ty::Tuple(parts)
            if parts.iter().any(|part| matches!(part, Ty::Option(_))));
        if optional || key == Ty::Prefix {
            let found = key.describe(&self.program);
            let diagnostic = Diagnostic::error(state::BAD_KEY, format!("a key cannot be a `{found}`"))
                .label(ty.span, "not a plain value");
            self.report(if key == Ty::Prefix {
                diagnostic
                    .note("longest-prefix matching is done by tables, which this compiler does not have yet")
            } else {
                diagnostic
            });
            return Ty::Error;
        }
        if scalars(&key, &self.program) > MAX_KEY {
            self.report(
                Diagnostic::error(state::BAD_KEY, "this key is too long")
                    .label(ty.span, format!("more than {MAX_KEY} numbers")),
            );
            return Ty::Error;
        }
        key
    }

    fn content(&mut self, module: usize, ty: &ast::Type) -> Content {
        if let Some(cell) = cell_kind(ty) {
            return Content::Cell(cell);
        }
        if let ast::TypeKind::Named { path, args } = &ty.kind
            && let ([name], []) = (path.parts.as_slice(), args.as_slice())
            && let Some((Def::Struct(id), _)) = self.decls.scopes[module].get(&name.name)
        {
            let def = &self.program.structs[id.index()];
            if def.fields.iter().any(|field| matches!(field.kind, FieldKind::Cell(_))) {
                return Content::Cells(id);
            }
        }
        let value = self.value_type(module, ty);
        let inner_optional = matches!(&value, Ty::Option(_));
        if inner_optional || value == Ty::Prefix {
            let found = value.describe(&self.program);
            let diagnostic =
                Diagnostic::error(state::BAD_CONTENT, format!("a state cannot hold a `{found}`"))
                    .label(ty.span, "not a plain value");
            self.report(if inner_optional {
                diagnostic.help("an entry that is not there is `none` already: leave `?` away")
            } else {
                diagnostic
            });
            return Content::Value(Ty::Error);
        }
        Content::Value(value)
    }

    fn cells_of(&self, content: &Content) -> Vec<CellKind> {
        match content {
            Content::Cell(cell) => vec![*cell],
            Content::Cells(id) => self.program.structs[id.index()]
                .fields
                .iter()
                .filter_map(|field| match field.kind {
                    FieldKind::Cell(cell) => Some(cell),
                    FieldKind::Value(_) => None,
                })
                .collect(),
            Content::Nothing | Content::Value(_) => Vec::new(),
        }
    }

    fn setting_names(&mut self, ast: &ast::State) {
        let mut seen: Vec<&ast::Ident> = Vec::new();
        for setting in &ast.settings {
            let name = &setting.name;
            if let Some(first) = seen.iter().find(|other| other.name == name.name) {
                let first = first.span;
                self.report(
                    Diagnostic::error(names::DUPLICATE, format!("`{}` is set twice", name.name))
                        .label(name.span, "set again here")
                        .label(first, "first set here"),
                );
            }
            seen.push(name);
            if LATER_SETTINGS.contains(&name.name.as_str()) {
                self.report(not_yet(
                    unsupported::STATE_KIND,
                    &format!("the setting `{}`", name.name),
                    name.span,
                ));
            } else if !SETTINGS.contains(&name.name.as_str()) {
                let diagnostic =
                    Diagnostic::error(names::UNKNOWN_SETTING, format!("there is no setting `{}`", name.name))
                        .label(name.span, "not known here");
                self.report(match nearest(&name.name, SETTINGS.iter().copied()) {
                    Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
                    None => {
                        let known: Vec<String> = SETTINGS.iter().map(|name| format!("`{name}`")).collect();
                        diagnostic.note(format!("the settings are {}", known.join(", ")))
                    }
                });
            }
        }
    }

    /// A setting that a state must have.
    fn required<'t>(&mut self, ast: &'t ast::State, name: &str, help: &str) -> Option<&'t ast::Expr> {
        let found = setting(ast, name);
        let misspelt = |other: &str| {
            !SETTINGS.contains(&other) && nearest(other, SETTINGS.iter().copied()) == Some(name)
        };
        if found.is_none() && !ast.settings.iter().any(|setting| misspelt(&setting.name.name)) {
            self.report(
                Diagnostic::error(
                    state::MISSING_SETTING,
                    format!("`{}` does not say its `{name}`", ast.name.name),
                )
                .label(ast.name.span, format!("`{name}` is missing"))
                .help(help),
            );
        }
        found
    }

    /// Reports a setting that means nothing for this state.
    fn useless(&mut self, ast: &ast::State, name: &str, why: &str) {
        if let Some(value) = setting(ast, name) {
            self.report(
                Diagnostic::error(
                    state::USELESS_SETTING,
                    format!("`{name}` means nothing for `{}`", ast.name.name),
                )
                .label(value.span, why)
                .help(format!("remove `{name}`")),
            );
        }
    }

    fn keyed(&mut self, module: usize, ast: &ast::State, key: Ty) -> Shape {
        let capacity =
            self.required(ast, "capacity", "say how many entries there can be: `capacity: 65_536`");
        let limits = Ty::Num(crate::types::Num {
            range: Range::new(1, MAX_CAPACITY.into()),
            ..crate::types::Num::uint(32)
        });
        let capacity = capacity.and_then(|value| {
            let value = self.constant(module, value, &limits, "`capacity`", value.span)?;
            u32::try_from(value.constant()?).ok()
        });
        let policy = self.required(
            ast,
            "when_full",
            "say what happens to a new key when all entries are taken: `when_full: evict_oldest` or `when_full: refuse`",
        );
        let evict = policy.is_none_or(|policy| {
            if let ast::ExprKind::Name(name) = &policy.kind {
                match name.name.as_str() {
                    "evict_oldest" => return true,
                    "refuse" => return false,
                    _ => {}
                }
            }
            self.report(
                Diagnostic::error(state::BAD_SETTING, "`when_full` is `evict_oldest` or `refuse`")
                    .label(policy.span, "neither of them")
                    .note("`evict_oldest` gives the place of the entry whose last write is longest ago to the new key")
                    .note("`refuse` leaves the new key out"),
            );
            true
        });
        Shape::Keyed { key, capacity: capacity.unwrap_or(1), evict }
    }

    fn single(&mut self, ast: &ast::State) -> Shape {
        self.useless(ast, "capacity", "there is only one value");
        self.useless(ast, "when_full", "there is only one value");
        Shape::Single
    }

    fn expire(&mut self, module: usize, ast: &ast::State, shape: &Shape, content: &Content) -> Expire {
        let help = "say how long an entry stays after its last write: `expire: 60s`, or `expire: never`";
        let value = match shape {
            Shape::Keyed { .. } => self.required(ast, "expire", help),
            Shape::Single => setting(ast, "expire"),
        };
        let Some(value) = value else { return Expire::Never };
        if let ast::ExprKind::Name(name) = &value.kind {
            if name.name == "never" {
                return Expire::Never;
            }
            if let Some((Def::Fn(id), _)) = self.decls.scopes[module].get(&name.name) {
                return self.expire_fn(id, content, value.span);
            }
        }
        let mut body = BodyChecker::new(self, module, Place::Setting);
        let value = body.expect(value, &Ty::duration(), value.span);
        Expire::After(value)
    }

    fn expire_fn(&mut self, id: crate::hir::FnId, content: &Content, span: Span) -> Expire {
        let def = &self.program.fns[id.index()];
        let (declared, result, params) = (def.span, def.result.clone(), def.params.clone());
        let wanted = match content {
            Content::Value(ty) => ty,
            _ => {
                self.report(
                    Diagnostic::error(state::BAD_SETTING, "only plain values can say how long they stay")
                        .label(span, "a function of the value")
                        .help("write a duration instead"),
                );
                return Expire::Never;
            }
        };
        let takes = matches!(params.as_slice(), [(_, ty)] if fits(wanted, ty));
        if takes && fits(&result, &Ty::duration()) {
            return Expire::Of(id);
        }
        if !(wanted.is_error() || result.is_error() || params.iter().any(|(_, ty)| ty.is_error())) {
            let wanted = wanted.describe(&self.program);
            self.report(
                Diagnostic::error(state::BAD_SETTING, "this function cannot say how long an entry stays")
                    .label(span, format!("a function from `{wanted}` to `duration` is needed"))
                    .label(declared, "declared here"),
            );
        }
        Expire::Never
    }

    fn window(&mut self, module: usize, ast: &ast::State, needed: bool) -> u64 {
        if !needed {
            self.useless(ast, "window", "there is no `window` in this state");
            return 1;
        }
        let Some(value) = self.required(ast, "window", "say how long the window is: `window: 10s`") else {
            return 1;
        };
        let value = self.constant(module, value, &Ty::duration(), "`window`", value.span);
        let Some((length, span)) = value.and_then(|value| Some((value.constant()?, value.span))) else {
            return 1;
        };
        if length == 0 || length > MAX_WINDOW {
            self.report(
                Diagnostic::error(state::BAD_SETTING, "a window is longer than 0 and at most 39 hours")
                    .label(span, "not such a time"),
            );
            return 1;
        }
        length
    }

    fn tokens(&mut self, module: usize, ast: &ast::State, needed: bool) -> Option<TokensInit> {
        if !needed {
            self.useless(ast, "init", "there are no `tokens` in this state");
            return None;
        }
        let value = self.required(
            ast,
            "init",
            "say what a new bucket is: `init: tokens(rate: 1_000pps, burst: 2_000)`",
        )?;
        let mut found: [Option<Expr>; 2] = [None, None];
        let mut ok = false;
        if let ast::ExprKind::Call { callee, args } = &value.kind
            && matches!(&callee.kind, ast::ExprKind::Name(name) if name.name == "tokens")
        {
            ok = args.len() == 2;
            for arg in args {
                let (slot, ty) = match arg.name.as_ref().map(|name| name.name.as_str()) {
                    Some("rate") => (0, at_least_one(Ty::rate(), u64::MAX)),
                    Some("burst") => (1, at_least_one(Ty::uint(64), MAX_BURST)),
                    _ => {
                        ok = false;
                        continue;
                    }
                };
                let mut body = BodyChecker::new(self, module, Place::Setting);
                found[slot] = Some(body.expect(&arg.value, &ty, ast.name.span));
            }
        }
        let [Some(rate), Some(burst)] = found else {
            self.bad_init(value.span);
            return None;
        };
        if !ok {
            self.bad_init(value.span);
        }
        Some(TokensInit { rate, burst })
    }

    fn bad_init(&mut self, span: Span) {
        self.report(
            Diagnostic::error(state::BAD_SETTING, "a bucket of tokens needs its rate and burst")
                .label(span, "not `tokens(rate: …, burst: …)`")
                .help("write `init: tokens(rate: 1_000pps, burst: 2_000)`; both may be params"),
        );
    }
}

fn setting<'t>(ast: &'t ast::State, name: &str) -> Option<&'t ast::Expr> {
    ast.settings.iter().find(|setting| setting.name.name == name).map(|setting| &setting.value)
}

/// The kind of a state that this compiler lacks.
fn later_kind(ty: &ast::Type) -> Option<&str> {
    let ast::TypeKind::Named { path, args } = &ty.kind else { return None };
    let [name] = path.parts.as_slice() else { return None };
    let inner = args.last().and_then(later_kind);
    if LATER.contains(&name.name.as_str()) { Some(&name.name) } else { inner }
}

/// A state that was reported.
fn unknown_state(ast: &ast::State) -> StateDef {
    StateDef {
        name: ast.name.name.clone(),
        span: ast.name.span,
        doc: String::new(),
        shape: Shape::Keyed { key: Ty::Error, capacity: 1, evict: true },
        content: Content::Value(Ty::Error),
        expire: Expire::Never,
        window: 1,
        tokens: None,
    }
}

/// The type with the range from 1 to `max`.
fn at_least_one(ty: Ty, max: u64) -> Ty {
    match ty {
        Ty::Num(num) => Ty::Num(crate::types::Num { range: Range::new(1, i128::from(max)), ..num }),
        other => other,
    }
}
