//! Operations that states have not, and what is said about them: what other languages call so, and what Oko has instead.

use oko_diagnostics::codes::names;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::BodyChecker;
use super::place::{ContentKind, StatePath};
use crate::hir::{Content, Expr, Shape};
use crate::suggest::nearest;

impl BodyChecker<'_, '_, '_> {
    /// Whether a state with keys stands without one.
    pub(super) fn names_all_entries(&self, path: &StatePath<'_>) -> bool {
        let single = matches!(self.checker.program.states[path.state.index()].shape, Shape::Single);
        !single && path.key.is_none() && path.fields.is_empty()
    }

    /// Reports an operation of a map or set without a key; `None` if there is a key, or entries have operations.
    pub(super) fn no_operation_of_all(
        &mut self,
        path: &StatePath<'_>,
        content: &ContentKind,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Option<Expr> {
        if !self.names_all_entries(path) {
            return None;
        }
        match content {
            ContentKind::Value => Some(self.no_operation_of_map(path, name, args, span)),
            ContentKind::Nothing | ContentKind::Bloom => {
                self.look_at(args);
                Some(self.no_set_operation(content, name))
            }
            _ => None,
        }
    }

    /// Reports an operation that maps of plain values do not have.
    fn no_operation_of_map(
        &mut self,
        path: &StatePath<'_>,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        self.look_at(args);
        let writes =
            matches!(name.name.as_str(), "insert" | "set" | "put" | "add" | "push" | "store" | "update");
        if writes && self.is_table(path, name.span) {
            return Expr::error(span);
        }
        let map = &path.name.name;
        let shown = |at: usize| args.get(at).and_then(|arg| self.checker.sources.snippet(arg.value.span));
        let diagnostic =
            Diagnostic::error(names::UNKNOWN_METHOD, format!("a map has no operation `{}`", name.name))
                .label(name.span, "not known here");
        let reads =
            matches!(name.name.as_str(), "get" | "lookup" | "find" | "at" | "read" | "fetch" | "peek");
        self.report(match (shown(0), shown(1)) {
            (Some(key), None) if reads => {
                let meant = format!("{map}[{key}]");
                diagnostic.suggest(span, meant.clone(), format!("write `{meant}`"))
            }
            (Some(key), Some(value)) if writes => {
                let meant = format!("update {map}[{key}] |_old| {value}");
                diagnostic
                    .suggest(span, meant.clone(), format!("write `{meant}`"))
                    .note("`_old` is what the entry holds, or `none`; the new value may be made of it")
            }
            _ if asks_size(name) => diagnostic.help(NO_SIZE),
            _ => match nearest(&name.name, ["contains", "remove"]) {
                Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("`{map}[key]` reads an entry, `update {map}[key] |old| …` replaces it; there are `{map}.contains(key)` and `{map}.remove(key)`")),
            },
        });
        Expr::error(span)
    }

    pub(super) fn no_operation_of_value(
        &mut self,
        path: &StatePath<'_>,
        name: &ast::Ident,
        span: Span,
    ) -> Expr {
        if matches!(name.name.as_str(), "insert" | "add" | "set" | "remove" | "clear")
            && self.is_table(path, name.span)
        {
            return Expr::error(span);
        }
        let content = self.checker.program.states.get(path.state.index()).map(|def| &def.content);
        if matches!(content, Some(Content::Value(ty)) if ty.is_error()) {
            return Expr::error(span);
        }
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

    pub(super) fn no_set_operation(&mut self, content: &ContentKind, name: &ast::Ident) -> Expr {
        match content {
            ContentKind::Bloom => self.unknown_method("a Bloom filter", name, &["insert", "contains"]),
            _ => self.unknown_method("a set", name, &["insert", "remove", "contains"]),
        }
    }

    pub(super) fn unknown_method(&mut self, what: &str, name: &ast::Ident, known: &[&str]) -> Expr {
        let diagnostic =
            Diagnostic::error(names::UNKNOWN_METHOD, format!("{what} has no operation `{}`", name.name))
                .label(name.span, "not known here");
        let near = nearest(&name.name, known.iter().copied())
            .or_else(|| meant(&name.name).filter(|meant| known.contains(meant)));
        self.report(match near {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None if known.is_empty() => diagnostic,
            None if asks_size(name) => diagnostic.help(NO_SIZE),
            None => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                diagnostic.help(format!("it has {}", known.join(", ")))
            }
        });
        Expr::error(name.span)
    }

    pub(super) fn needs_amount(&mut self, name: &ast::Ident) -> Expr {
        self.report(
            Diagnostic::error(names::UNKNOWN_METHOD, format!("`{}` needs an amount", name.name))
                .label(name.span, "written without brackets")
                .suggest(name.span.at_end(), "(1)", format!("write `.{}(1)`", name.name)),
        );
        Expr::error(name.span)
    }

    pub(super) fn without_brackets(&mut self, name: &str, span: Span) -> Expr {
        self.report(
            Diagnostic::error(names::UNKNOWN_METHOD, format!("`{name}` is read without brackets"))
                .label(span, "written as a call")
                .help(format!("write `.{name}`")),
        );
        Expr::error(span)
    }
}

/// The operation that other languages call so.
fn meant(name: &str) -> Option<&'static str> {
    Some(match name {
        "inc" | "incr" | "increment" | "count" | "hit" | "push" | "record" => "add",
        "value" | "get" | "sum" | "read" | "current" => "total",
        "put" | "append" => "insert",
        "has" | "includes" | "exists" => "contains",
        "delete" | "erase" | "del" | "discard" => "remove",
        "consume" | "try_take" | "use" | "allow" => "take",
        _ => return None,
    })
}

/// Whether a name asks how many entries a state has.
fn asks_size(name: &ast::Ident) -> bool {
    matches!(name.name.as_str(), "len" | "size" | "count" | "length" | "is_empty")
}

/// What to do where that is asked.
const NO_SIZE: &str =
    "a filter does not see how many entries there are: count them with a `counter` or a `window`";
