//! Declarations of states and tables: what they hold, how much, and for how long.

use oko_diagnostics::Diagnostic;
use oko_diagnostics::codes::{state, types};
use oko_grammar::ast;

use super::Checker;
use super::decl::doc_text;
use super::settings::setting;
use crate::geometry::{self, BloomGeometry, SketchGeometry};
use crate::hir::{Cell, CellKind, Content, Expire, FieldKind, Shape, StateDef, scalars};
use crate::resolve::{Def, Store};
use crate::types::{Num, NumKind, Range, Ty};

/// The most scalars in a key.
const MAX_KEY: usize = 16;

/// The greatest number that can be averaged, so that sums stay within 64 bits.
pub(crate) const EWMA_MAX: u64 = (1 << 40) - 1;

/// The containers and what stands in their square brackets.
const CONTAINERS: &[(&str, usize, &str)] = &[
    ("map", 2, "map[key, value]"),
    ("set", 1, "set[key]"),
    ("array", 1, "array[value]"),
    ("sketch", 1, "sketch[key]"),
    ("bloom", 1, "bloom[key]"),
];

impl Checker<'_, '_> {
    /// The `state`s and `table`s.
    pub(super) fn states(&mut self) {
        for at in 0..self.decls.states.len() {
            let store = self.decls.states[at];
            self.no_attributes(store.item);
            self.setting_names(&store);
            let def = self.container(&store);
            self.program.states.push(def);
        }
    }

    fn container(&mut self, store: &Store<'_>) -> StateDef {
        let args: &[ast::Type] = match &store.ty.kind {
            ast::TypeKind::Named { args, .. } => args,
            _ => &[],
        };
        let name = container_name(store.ty);
        let mut unreadable = matches!(store.ty.kind, ast::TypeKind::Error);
        if let Some((name, count, form)) = CONTAINERS.iter().find(|(known, ..)| name == Some(*known))
            && args.len() != *count
        {
            self.report(
                Diagnostic::error(types::TYPE_ARGUMENTS, format!("`{name}` needs other types"))
                    .label(store.ty.span, format!("written `{form}`"))
                    .help("a key or value of several parts is a tuple: `map[(ip4, u16), u32]`"),
            );
            unreadable = true;
        }
        if unreadable {
            let shape = Shape::Keyed { key: Ty::Error, capacity: 1, evict: true };
            return self.of(store, shape, Content::Value(Ty::Error), Expire::Never);
        }
        if store.is_table {
            return self.table(store, name, args);
        }
        match (name, args) {
            (Some("map"), [key, value]) => {
                let key = self.key_type(store.module, key, false);
                let content = self.content(store.module, value);
                self.keyed(store, key, content)
            }
            (Some("set"), [key]) => {
                let key = self.key_type(store.module, key, false);
                self.keyed(store, key, Content::Nothing)
            }
            (Some("array"), [value]) => self.array(store, value),
            (Some("sketch"), [key]) => self.sketch(store, key),
            (Some("bloom"), [key]) => self.bloom(store, key),
            _ => {
                let content = self.content(store.module, store.ty);
                self.useless(store, "capacity", "there is only one value");
                self.useless(store, "when_full", "there is only one value");
                let expire = self.expire(store, false, &content);
                self.of(store, Shape::Single, content, expire)
            }
        }
    }

    /// The definition, with the settings that depend on what entries hold.
    fn of(&mut self, store: &Store<'_>, shape: Shape, content: Content, expire: Expire) -> StateDef {
        let cells = self.cells_of(&content);
        let has = |kind: CellKind| cells.iter().any(|cell| cell.kind == kind);
        let is_estimate = matches!(shape, Shape::Sketch { .. } | Shape::Bloom { .. });
        let (window, registers) = if is_estimate {
            (1, 0)
        } else {
            self.useless(store, "confidence", "this is no `sketch`");
            (self.window(store, has(CellKind::Window)), self.registers(store, has(CellKind::Distinct)))
        };
        let merge = if is_estimate || store.is_table { None } else { self.merge(store, &content) };
        StateDef {
            name: self.decls.public_name(store.module, &store.name.name),
            span: store.name.span,
            doc: doc_text(store.item),
            expire,
            window,
            registers,
            tokens: self.tokens(store, has(CellKind::Tokens)),
            time_constant: self.time_constant(store, has(CellKind::Ewma)),
            merge,
            shape,
            content,
        }
    }

    fn keyed(&mut self, store: &Store<'_>, key: Ty, content: Content) -> StateDef {
        let (capacity, evict) = (self.capacity(store), self.evicts(store));
        let expire = self.expire(store, true, &content);
        self.of(store, Shape::Keyed { key, capacity, evict }, content, expire)
    }

    fn array(&mut self, store: &Store<'_>, value: &ast::Type) -> StateDef {
        let content = self.content(store.module, value);
        let capacity = self.capacity(store);
        self.useless(store, "when_full", "every index has its place");
        let expire = self.expire(store, false, &content);
        self.of(store, Shape::Array { capacity }, content, expire)
    }

    fn table(&mut self, store: &Store<'_>, name: Option<&str>, args: &[ast::Type]) -> StateDef {
        let (key, content) = match (name, args) {
            (Some("map"), [key, value]) => {
                let key = self.key_type(store.module, key, true);
                (key, self.plain_content(store.module, value))
            }
            (Some("set"), [key]) => (self.key_type(store.module, key, true), Content::Nothing),
            _ => {
                self.report(
                    Diagnostic::error(state::BAD_TABLE, "a table is a `map` or a `set`")
                        .label(store.ty.span, "neither of them")
                        .help("write `table inside: set[prefix] { … };`, or `param` for a single number"),
                );
                (Ty::Error, Content::Nothing)
            }
        };
        let capacity = self.capacity(store);
        for (name, why) in [
            ("when_full", "the control plane is told when it writes and there is no room"),
            ("expire", "the control plane writes entries and takes them away"),
            ("window", "there is no `window` in a table"),
            ("merge", "all cores read the same entries"),
        ] {
            self.useless(store, name, why);
        }
        self.useless(store, "error", "a table is exact");
        self.of_table(store, Shape::Table { key, capacity }, content)
    }

    fn of_table(&mut self, store: &Store<'_>, shape: Shape, content: Content) -> StateDef {
        for name in ["confidence", "init", "time_constant"] {
            self.useless(store, name, "a table holds plain values");
        }
        StateDef {
            name: self.decls.public_name(store.module, &store.name.name),
            span: store.name.span,
            doc: doc_text(store.item),
            shape,
            content,
            expire: Expire::Never,
            window: 1,
            tokens: None,
            registers: 0,
            time_constant: 1,
            merge: None,
        }
    }

    fn sketch(&mut self, store: &Store<'_>, key: &ast::Type) -> StateDef {
        let key = self.key_type(store.module, key, false);
        let error = self.required(
            store,
            "error",
            "say how much too high an estimate may be, as a part of all that was added: `error: 0.1%`",
        );
        let error = error.and_then(|value| self.share(value, "error"));
        let confidence = self.required(
            store,
            "confidence",
            "say how often an estimate must be within `error`: `confidence: 99.9%`",
        );
        let confidence = confidence.and_then(|value| self.share(value, "confidence"));
        let window = setting(store, "window").and_then(|value| self.window_length(store, value));
        for name in ["capacity", "when_full"] {
            self.useless(
                store,
                name,
                "a sketch has no entries: its size follows from `error` and `confidence`",
            );
        }
        self.useless(store, "expire", "a sketch has no entries: `window` says what it forgets");
        self.no_copies(store);
        let geometry =
            SketchGeometry::new(error.unwrap_or(geometry::MILLION - 1), confidence.unwrap_or(1), window);
        self.of(store, Shape::Sketch { key, geometry }, Content::Nothing, Expire::Never)
    }

    fn bloom(&mut self, store: &Store<'_>, key: &ast::Type) -> StateDef {
        let key = self.key_type(store.module, key, false);
        let capacity = self.capacity(store);
        let error = self.required(
            store,
            "error",
            "say how often a key that never came may be taken for one that did: `error: 1%`",
        );
        let error = error.and_then(|value| Some((self.share(value, "error")?, value.span)));
        let generation = self.generation(store);
        self.useless(
            store,
            "when_full",
            "a Bloom filter is never full: beyond its `capacity` it errs more often",
        );
        self.useless(store, "window", "`expire` says how long keys are remembered");
        self.useless(store, "confidence", "a key is either found by mistake or not: `error` says how often");
        self.no_copies(store);
        let smallest = BloomGeometry { bits: 48 * 64, hashes: 1, expire: generation, capacity, error: 1 };
        let geometry = error.map_or(smallest, |(error, span)| {
            BloomGeometry::new(capacity, error, generation).unwrap_or_else(|| {
                self.report(
                    Diagnostic::error(state::TOO_LARGE, "so exact a Bloom filter takes too much memory")
                        .label(span, "more than 512 MiB are needed")
                        .help("allow a greater `error`, or a smaller `capacity`"),
                );
                smallest
            })
        });
        self.of(store, Shape::Bloom { key, geometry }, Content::Nothing, Expire::Never)
    }

    /// Sketches and Bloom filters are shared by all cores.
    fn no_copies(&mut self, store: &Store<'_>) {
        if let Some(per) = store.per {
            self.report(
                Diagnostic::error(state::BAD_SETTING, "sketches and Bloom filters are shared by all cores")
                    .label(per.span, "cannot be kept per core")
                    .note("each step on them is atomic and waits for nobody"),
            );
        }
        self.useless(store, "merge", "all cores share it");
    }

    /// The type of keys; those of tables may end in a prefix.
    fn key_type(&mut self, module: usize, ty: &ast::Type, of_table: bool) -> Ty {
        let key = self.value_type(module, ty);
        let parts: &[Ty] = match &key {
            Ty::Tuple(parts) => parts,
            other => std::slice::from_ref(other),
        };
        let optional = parts.iter().any(|part| matches!(part, Ty::Option(_)));
        let prefix = parts.iter().position(|part| *part == Ty::Prefix);
        if optional || prefix.is_some_and(|_| !of_table) {
            let found = key.describe(&self.program);
            let diagnostic = Diagnostic::error(state::BAD_KEY, format!("a key cannot be a `{found}`"))
                .label(ty.span, "not a plain value");
            self.report(if optional {
                diagnostic
            } else {
                diagnostic
                    .note("only tables find the longest prefix: the control plane writes them")
                    .help("use a `table`, or the address itself as the key")
            });
            return Ty::Error;
        }
        if prefix.is_some_and(|at| at + 1 < parts.len()) {
            self.report(
                Diagnostic::error(state::BAD_KEY, "a prefix is the last part of a key")
                    .label(ty.span, "something stands behind it")
                    .help("write the prefix last: `set[(u16, prefix)]`"),
            );
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
        if let Some(cell) = self.cell(module, ty) {
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
        self.plain_content(module, ty)
    }

    fn plain_content(&mut self, module: usize, ty: &ast::Type) -> Content {
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

    /// The cell that a type names.
    pub(super) fn cell(&mut self, module: usize, ty: &ast::Type) -> Option<Cell> {
        let ast::TypeKind::Named { path, args } = &ty.kind else { return None };
        let [name] = path.parts.as_slice() else { return None };
        let (kind, of) = match (name.name.as_str(), args.as_slice()) {
            ("counter", []) => (CellKind::Counter, Ty::Unit),
            ("window", []) => (CellKind::Window, Ty::Unit),
            ("tokens", []) => (CellKind::Tokens, Ty::Unit),
            ("ewma", []) => (CellKind::Ewma, averaged(NumKind::Int)),
            ("ewma", [of]) => {
                let found = self.value_type(module, of);
                match found {
                    Ty::Num(Num { kind: kind @ (NumKind::Int | NumKind::Duration), .. }) => {
                        (CellKind::Ewma, averaged(kind))
                    }
                    Ty::Error => (CellKind::Ewma, averaged(NumKind::Int)),
                    other => {
                        let found = other.describe(&self.program);
                        self.report(
                            Diagnostic::error(
                                state::BAD_CONTENT,
                                format!("there is no average of `{found}`"),
                            )
                            .label(of.span, "numbers and durations have one")
                            .help("write `ewma` or `ewma[duration]`"),
                        );
                        (CellKind::Ewma, averaged(NumKind::Int))
                    }
                }
            }
            ("distinct", [of]) => (CellKind::Distinct, self.key_type(module, of, false)),
            ("distinct", _) => {
                self.report(
                    Diagnostic::error(types::TYPE_ARGUMENTS, "`distinct` needs the type that it counts")
                        .label(ty.span, "different values of what?")
                        .help("write the type in brackets: `distinct[u16]` for ports, `distinct[(ip4, u16)]` for services"),
                );
                (CellKind::Distinct, Ty::Error)
            }
            _ => return None,
        };
        Some(Cell { kind, of })
    }

    fn cells_of(&self, content: &Content) -> Vec<Cell> {
        match content {
            Content::Cell(cell) => vec![cell.clone()],
            Content::Cells(id) => self.program.structs[id.index()]
                .fields
                .iter()
                .filter_map(|field| match &field.kind {
                    FieldKind::Cell(cell) => Some(cell.clone()),
                    FieldKind::Value(_) => None,
                })
                .collect(),
            Content::Nothing | Content::Value(_) => Vec::new(),
        }
    }

    /// Whether entries consist of nothing but numbers that can be added.
    pub(super) fn is_summable(&self, content: &Content) -> bool {
        let number = |ty: &Ty| matches!(ty, Ty::Num(_) | Ty::Error);
        match content {
            Content::Nothing => true,
            Content::Value(Ty::Struct(id)) => self.program.structs[id.index()]
                .fields
                .iter()
                .all(|field| matches!(&field.kind, FieldKind::Value(ty) if number(ty))),
            Content::Value(Ty::Tuple(parts)) => parts.iter().all(number),
            Content::Value(ty) => number(ty),
            Content::Cell(_) | Content::Cells(_) => {
                self.cells_of(content).iter().all(|cell| cell.kind == CellKind::Counter)
            }
        }
    }

    fn window(&mut self, store: &Store<'_>, needed: bool) -> u64 {
        if !needed {
            self.useless(store, "window", "there is no `window` in this state");
            return 1;
        }
        let Some(value) = self.required(store, "window", "say how long the window is: `window: 10s`") else {
            return 1;
        };
        self.window_length(store, value).unwrap_or(1)
    }

    fn registers(&mut self, store: &Store<'_>, needed: bool) -> u32 {
        if !needed {
            self.useless(store, "error", "what this state holds is exact");
            return 0;
        }
        let help = "say how far the count of distinct values may be off, as a standard error: `error: 5%`";
        let Some(value) = self.required(store, "error", help) else { return geometry::REGISTERS.0 };
        let Some(error) = self.share(value, "error") else { return geometry::REGISTERS.0 };
        geometry::registers(error).unwrap_or_else(|| {
            let least = geometry::least_distinct_error();
            self.report(
                Diagnostic::error(state::BAD_SETTING, "distinct values cannot be counted so exactly")
                    .label(value.span, "takes too many registers for each entry")
                    .help(format!("allow at least `error: {}.{:04}%`", least / 10_000, least % 10_000)),
            );
            geometry::REGISTERS.0
        })
    }
}

/// The type of the numbers that can be averaged.
fn averaged(kind: NumKind) -> Ty {
    Ty::Num(Num { kind, bits: 40, range: Range::new(0, i128::from(EWMA_MAX)) })
}

/// The word that a type begins with.
fn container_name(ty: &ast::Type) -> Option<&str> {
    let ast::TypeKind::Named { path, .. } = &ty.kind else { return None };
    match path.parts.as_slice() {
        [name] => Some(&name.name),
        _ => None,
    }
}
