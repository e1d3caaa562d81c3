//! Modules and their names: what is declared where, and what a `use` brings in.
//!
//! Every declaration of a kind gets an id, its index among all of its kind, over the modules in order; the tables of
//! [`crate::hir::Program`] are filled in the same order. Modules may use each other in circles.

use std::cell::Cell;
use std::collections::HashMap;

use oko_diagnostics::codes::{names, packets};
use oko_diagnostics::{Diagnostic, Sink, SourceMap, Span};
use oko_grammar::ast;

use crate::hir::{BitsId, EnumId, EventId, FnId, HeaderId, ParamId, StateId, StructId, UnionId};
use crate::suggest::nearest;

/// The longest name of a declaration.
const MAX_NAME: usize = 64;

/// A parsed file and the path by which others `use` it. The root file's path is empty.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// `std.net`
    pub path: &'a str,
    /// What it declares.
    pub file: &'a ast::File,
    /// Whether all of it could be read. In a file with syntax errors, names that only unreadable declarations can have given are
    /// not reported.
    pub whole: bool,
}

/// What a name of a module stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Def {
    Const(usize),
    Param(ParamId),
    Enum(EnumId),
    Bits(BitsId),
    Struct(StructId),
    Header(HeaderId),
    Union(UnionId),
    /// Another name for a type, by index.
    Alias(usize),
    State(StateId),
    Table(StateId),
    Event(EventId),
    Fn(FnId),
    Filter,
    /// Something that was reported: not found where it was to be imported from.
    Error,
}

impl Def {
    /// What it is, for messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Def::Const(_) => "a constant",
            Def::Param(_) => "a param",
            Def::Enum(_) => "an enum",
            Def::Bits(_) => "a bits type",
            Def::Struct(_) => "a struct",
            Def::Header(_) => "a header",
            Def::Union(_) => "a union of headers",
            Def::Alias(_) => "a type",
            Def::State(_) => "a state",
            Def::Table(_) => "a table",
            Def::Event(_) => "an event",
            Def::Fn(_) => "a function",
            Def::Filter => "a filter",
            Def::Error => "?",
        }
    }
}

/// A declaration in the syntax tree and the module it stands in.
pub(crate) struct Source<'a, T> {
    pub(crate) module: usize,
    pub(crate) item: &'a ast::Item,
    pub(crate) ast: &'a T,
}

/// A `state` or `table` in the syntax tree.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) module: usize,
    pub(crate) item: &'a ast::Item,
    pub(crate) name: &'a ast::Ident,
    pub(crate) ty: &'a ast::Type,
    pub(crate) per: Option<&'a ast::Ident>,
    pub(crate) settings: &'a [ast::Setting],
    pub(crate) is_table: bool,
}

/// A module's names.
#[derive(Default)]
pub(crate) struct Scope {
    names: HashMap<String, Named>,
}

/// What is behind a name.
struct Named {
    def: Def,
    span: Span,
    /// Whether it is declared in the module itself, not used from another.
    own: bool,
    /// Whether somebody asked for it.
    used: Cell<bool>,
}

impl Scope {
    pub(crate) fn get(&self, name: &str) -> Option<(Def, Span)> {
        let found = self.names.get(name)?;
        found.used.set(true);
        Some((found.def, found.span))
    }

    fn insert(&mut self, name: &str, def: Def, span: Span, own: bool) {
        self.names.insert(name.to_owned(), Named { def, span, own, used: Cell::new(false) });
    }

    /// The names that nobody asked for, in no order.
    pub(crate) fn unused(&self) -> impl Iterator<Item = (&str, Def, Span)> {
        let unused = self.names.iter().filter(|(_, named)| !named.used.get());
        unused.map(|(name, named)| (name.as_str(), named.def, named.span))
    }

    /// Whether a name was declared in the module itself.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|named| named.own)
    }

    /// The names that were declared in the module itself, in no order.
    fn own(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter(|(_, named)| named.own).map(|(name, _)| name.as_str())
    }

    /// All names, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Def)> {
        self.names.iter().map(|(name, named)| (name.as_str(), named.def))
    }
}

/// All declarations of a program.
#[derive(Default)]
pub(crate) struct Declarations<'a> {
    /// One for each module.
    pub(crate) scopes: Vec<Scope>,
    /// The path of each module; empty for the root file.
    pub(crate) paths: Vec<String>,
    /// Whether all of each module could be read.
    pub(crate) whole: Vec<bool>,
    pub(crate) consts: Vec<Source<'a, ast::Const>>,
    pub(crate) params: Vec<Source<'a, ast::Param>>,
    pub(crate) enums: Vec<Source<'a, ast::Enum>>,
    pub(crate) bits: Vec<Source<'a, ast::Bits>>,
    pub(crate) structs: Vec<Source<'a, ast::Struct>>,
    pub(crate) headers: Vec<Source<'a, ast::Header>>,
    pub(crate) extends: Vec<Source<'a, ast::Extend>>,
    pub(crate) unions: Vec<Source<'a, ast::Union>>,
    pub(crate) aliases: Vec<Source<'a, ast::TypeAlias>>,
    /// States and tables.
    pub(crate) states: Vec<Store<'a>>,
    pub(crate) events: Vec<Source<'a, ast::Event>>,
    pub(crate) fns: Vec<Source<'a, ast::Function>>,
    pub(crate) filters: Vec<Source<'a, ast::Filter>>,
    pub(crate) tests: Vec<Source<'a, ast::Test>>,
}

/// Finds all declarations and gives every module its names.
pub(crate) fn resolve<'a>(units: &[Unit<'a>], sources: &SourceMap, sink: &mut Sink) -> Declarations<'a> {
    let paths = units.iter().map(|unit| unit.path.to_owned()).collect();
    let whole = units.iter().map(|unit| unit.whole).collect();
    let mut found = Declarations { paths, whole, ..Declarations::default() };
    for (module, unit) in units.iter().enumerate() {
        let mut scope = Scope::default();
        for item in &unit.file.items {
            if let Some((name, def)) = found.declare(module, item) {
                declare_name(&mut scope, name, def, sink);
            }
        }
        if !unit.whole {
            let text = sources.snippet(unit.file.span).unwrap_or_default();
            for name in names_behind(text, DECLARING) {
                if !scope.names.contains_key(name) {
                    scope.insert(name, Def::Error, unit.file.span.at_start(), true);
                }
            }
        }
        found.scopes.push(scope);
    }
    found.owned_types(sink);
    for (module, unit) in units.iter().enumerate() {
        for item in &unit.file.items {
            if let ast::ItemKind::Use(import) = &item.kind {
                found.import(module, import, units, sink);
            }
        }
    }
    found
}

/// The words that a declaration begins with.
const DECLARING: &[&str] = &[
    "const", "param", "type", "enum", "bits", "struct", "header", "union", "state", "table", "event", "fn",
    "filter",
];

/// The words of a text that stand behind one of these words: what a text that could not be read probably declares.
pub(crate) fn names_behind<'t>(text: &'t str, words: &[&str]) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut declares = false;
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
    {
        if declares {
            found.push(word);
        }
        declares = words.contains(&word);
    }
    found
}

/// The module and the names that a `use` asks for.
pub(crate) fn use_parts(import: &ast::Use) -> (String, Vec<&ast::Ident>) {
    let parts = &import.path.parts;
    let (module, names): (&[ast::Ident], Vec<&ast::Ident>) = match &import.names {
        Some(names) => (parts, names.iter().collect()),
        None => (&parts[..parts.len().saturating_sub(1)], parts.last().into_iter().collect()),
    };
    (module.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("."), names)
}

fn declare_name(scope: &mut Scope, name: &ast::Ident, def: Def, sink: &mut Sink) {
    if name.name.len() > MAX_NAME {
        sink.push(
            Diagnostic::error(names::TOO_LONG, "this name is too long")
                .label(name.span, format!("{} letters, and at most {MAX_NAME} are allowed", name.name.len())),
        );
    }
    if let Some(first) = scope.names.get(&name.name) {
        sink.push(
            Diagnostic::error(names::DUPLICATE, format!("the name `{}` is declared twice", name.name))
                .label(name.span, "declared again here")
                .label(first.span, "first declared here")
                .help("give one of them another name"),
        );
        return;
    }
    scope.insert(&name.name, def, name.span, true);
}

impl<'a> Declarations<'a> {
    /// The name by which the control plane knows a declaration.
    pub(crate) fn public_name(&self, module: usize, name: &str) -> String {
        match self.paths.get(module).map_or("", String::as_str) {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Enters an item into the table of its kind; what it is called and stands for.
    fn declare(&mut self, module: usize, item: &'a ast::Item) -> Option<(&'a ast::Ident, Def)> {
        macro_rules! add {
            ($table:ident, $ast:expr, $def:expr) => {{
                let id = self.$table.len();
                self.$table.push(Source { module, item, ast: $ast });
                Some((&$ast.name, $def(id)))
            }};
        }
        use ast::ItemKind;
        match &item.kind {
            ItemKind::Use(_) => None,
            ItemKind::Const(ast) => add!(consts, ast, Def::Const),
            ItemKind::Param(ast) => add!(params, ast, |id| Def::Param(ParamId::from_index(id))),
            ItemKind::Enum(ast) => add!(enums, ast, |id| Def::Enum(EnumId::from_index(id))),
            ItemKind::Bits(ast) => add!(bits, ast, |id| Def::Bits(BitsId::from_index(id))),
            ItemKind::Struct(ast) => add!(structs, ast, |id| Def::Struct(StructId::from_index(id))),
            ItemKind::Header(ast) => add!(headers, ast, |id| Def::Header(HeaderId::from_index(id))),
            ItemKind::State(ast) => {
                let id = StateId::from_index(self.states.len());
                let (name, ty, settings) = (&ast.name, &ast.ty, ast.settings.as_slice());
                let per = ast.per.as_ref();
                self.states.push(Store { module, item, name, ty, per, settings, is_table: false });
                Some((name, Def::State(id)))
            }
            ItemKind::Table(ast) => {
                let id = StateId::from_index(self.states.len());
                let (name, ty, settings) = (&ast.name, &ast.ty, ast.settings.as_slice());
                self.states.push(Store { module, item, name, ty, per: None, settings, is_table: true });
                Some((name, Def::Table(id)))
            }
            ItemKind::Event(ast) => add!(events, ast, |id| Def::Event(EventId::from_index(id))),
            ItemKind::Fn(ast) => add!(fns, ast, |id| Def::Fn(FnId::from_index(id))),
            ItemKind::Filter(ast) => add!(filters, ast, |_| Def::Filter),
            ItemKind::Extend(ast) => {
                self.extends.push(Source { module, item, ast });
                None
            }
            ItemKind::Union(ast) => add!(unions, ast, |id| Def::Union(UnionId::from_index(id))),
            ItemKind::TypeAlias(ast) => {
                let id = self.aliases.len();
                self.aliases.push(Source { module, item, ast });
                match ast.name.parts.as_slice() {
                    [name] => Some((name, Def::Alias(id))),
                    // Those with an owner get their place when all owners are known.
                    _ => None,
                }
            }
            ItemKind::Test(ast) => {
                self.tests.push(Source { module, item, ast });
                None
            }
        }
    }

    /// Puts types such as `ip.addr` into the scope of their owners.
    fn owned_types(&mut self, sink: &mut Sink) {
        for (id, source) in self.aliases.iter().enumerate() {
            let path = &source.ast.name;
            let [owner, name] = path.parts.as_slice() else {
                if path.parts.len() > 2 {
                    sink.push(
                        Diagnostic::error(packets::BAD_OWNER, "the name of a type has one dot at most")
                            .label(path.span, "too many dots"),
                    );
                }
                continue;
            };
            let scope = &mut self.scopes[source.module];
            let owned = scope.is_own(&owner.name);
            match scope.get(&owner.name) {
                Some((Def::Header(_) | Def::Union(_), _)) if owned => {}
                Some((Def::Error, _)) => continue,
                _ => {
                    sink.push(
                        Diagnostic::error(
                            packets::BAD_OWNER,
                            format!("`{}` is no header or union of this file", owner.name),
                        )
                        .label(owner.span, format!("the type `{}` would belong to it", name.name))
                        .help(format!("declare it without an owner: `type {} = …;`", name.name)),
                    );
                    continue;
                }
            }
            let full = ast::Ident { name: path.to_string(), span: path.span };
            declare_name(scope, &full, Def::Alias(id), sink);
        }
    }

    /// What a name with dots, such as `ip.addr`, stands for in a module: something that its first part owns.
    pub(crate) fn owned(&self, module: usize, path: &ast::Path) -> Option<(Def, Span)> {
        let [owner, name] = path.parts.as_slice() else { return None };
        let (home, owner) = match self.scopes[module].get(&owner.name)?.0 {
            Def::Header(id) => {
                let source = self.headers.get(id.index())?;
                (source.module, &source.ast.name.name)
            }
            Def::Union(id) => {
                let source = self.unions.get(id.index())?;
                (source.module, &source.ast.name.name)
            }
            _ => return None,
        };
        self.scopes[home].get(&format!("{owner}.{}", name.name))
    }

    /// The types that belong to names of a module, such as `ip.addr`.
    pub(crate) fn owned_names(&self, module: usize) -> Vec<String> {
        let mut found = Vec::new();
        for (name, def) in self.scopes[module].names() {
            let (home, owner) = match def {
                Def::Header(id) => (self.headers[id.index()].module, &self.headers[id.index()].ast.name.name),
                Def::Union(id) => (self.unions[id.index()].module, &self.unions[id.index()].ast.name.name),
                _ => continue,
            };
            let own =
                self.scopes[home].own().filter_map(|own| own.strip_prefix(owner.as_str())?.strip_prefix('.'));
            found.extend(own.map(|own| format!("{name}.{own}")));
        }
        found
    }

    /// Brings the names of a `use` into a module.
    fn import(&mut self, module: usize, import: &ast::Use, units: &[Unit<'a>], sink: &mut Sink) {
        let (path, names) = use_parts(import);
        let Some(from) = units.iter().position(|unit| unit.path == path && !path.is_empty()) else {
            sink.push(unknown_module(&path, import, units));
            for name in names {
                let scope = &mut self.scopes[module];
                if !scope.names.contains_key(&name.name) {
                    scope.insert(&name.name, Def::Error, name.span, false);
                }
            }
            return;
        };
        for name in names {
            let def = self.exported(from, &name.name, units, &mut Vec::new()).unwrap_or_else(|| {
                sink.push(self.not_in_module(&path, from, name, units));
                Def::Error
            });
            let scope = &mut self.scopes[module];
            match scope.names.get(&name.name) {
                Some(old) if old.def == def => {}
                Some(first) => sink.push(
                    Diagnostic::error(
                        names::DUPLICATE,
                        format!("the name `{}` is declared twice", name.name),
                    )
                    .label(name.span, format!("used from `{path}` here"))
                    .label(first.span, "declared here"),
                ),
                None => scope.insert(&name.name, def, name.span, false),
            }
        }
    }

    /// What a module gives to others under a name: what it declares, and what it uses from others itself.
    fn exported(&self, module: usize, name: &str, units: &[Unit<'a>], asked: &mut Vec<usize>) -> Option<Def> {
        if self.scopes[module].is_own(name) {
            return self.scopes[module].get(name).map(|(def, _)| def);
        }
        if asked.contains(&module) {
            return None;
        }
        asked.push(module);
        units[module].file.items.iter().find_map(|item| {
            let ast::ItemKind::Use(import) = &item.kind else { return None };
            let (path, names) = use_parts(import);
            if !names.iter().any(|used| used.name == name) {
                return None;
            }
            let from = units.iter().position(|unit| unit.path == path && !path.is_empty())?;
            self.exported(from, name, units, asked)
        })
    }

    /// The names that a module gives to others, those that belong to another name left out.
    fn known_in(&self, module: usize, units: &[Unit<'a>]) -> Vec<String> {
        let mut known: Vec<String> = self.scopes[module].own().map(str::to_owned).collect();
        for item in &units[module].file.items {
            if let ast::ItemKind::Use(import) = &item.kind {
                known.extend(use_parts(import).1.iter().map(|name| name.name.clone()));
            }
        }
        known.retain(|name| !name.contains('.'));
        known
    }

    fn not_in_module(&self, path: &str, from: usize, name: &ast::Ident, units: &[Unit<'a>]) -> Diagnostic {
        let diagnostic =
            Diagnostic::error(names::NOT_IN_MODULE, format!("the module `{path}` has no `{}`", name.name))
                .label(name.span, format!("not declared in `{path}`"));
        let own = self.known_in(from, units);
        match nearest(&name.name, own.iter().map(String::as_str)) {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None => {
                let mut own: Vec<String> = own.iter().map(|name| format!("`{name}`")).collect();
                own.sort();
                diagnostic.note(format!("`{path}` declares {}", own.join(", ")))
            }
        }
    }
}

fn unknown_module(path: &str, import: &ast::Use, units: &[Unit<'_>]) -> Diagnostic {
    let span = import.path.span;
    if path.is_empty() {
        let name = import.path.parts.first().map_or("", |part| part.name.as_str());
        return Diagnostic::error(names::UNKNOWN_MODULE, format!("`use {name};` names no module"))
            .label(span, "a module, a dot and a name are expected here")
            .help("write the module in front, such as `use std.net.{ipv4, tcp};`");
    }
    let diagnostic = Diagnostic::error(names::UNKNOWN_MODULE, format!("there is no module `{path}`"))
        .label(span, "no such module");
    let known = units.iter().map(|unit| unit.path).filter(|path| !path.is_empty()).chain(["std.net"]);
    match nearest(path, known) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("the headers of the standard library are in `std.net`"),
    }
}
