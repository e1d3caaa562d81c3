//! From the syntax tree to the typed program of [`crate::hir`].
//!
//! Declarations are checked before bodies, constants when somebody asks for them. Every error is reported once, where its
//! cause is; what could not be understood gets the type [`Ty::Error`](crate::types::Ty::Error), which goes with everything.

mod arith;
mod array;
mod body;
mod call;
mod cell;
mod coerce;
mod compare;
mod computed;
mod constant;
mod control;
mod decided;
mod decl;
mod event;
mod exhaustive;
mod expr;
mod extend;
mod facts;
mod fill;
mod function;
mod header;
mod linear;
mod loops;
mod name;
mod names;
mod next;
mod no_operation;
mod packet;
mod pattern;
mod place;
mod region;
mod replaced;
mod settings;
mod slice;
mod stale;
mod state;
mod test;
mod test_packet;
mod typename;
mod union;
mod unused;
mod update;
mod walk;
mod which;
mod wide;

pub(crate) use cell::{DISTINCT_MAX, SKETCH_COUNT_MAX, WINDOW_COUNT_MAX};
pub(crate) use event::LIMITED_KEYS;
pub(crate) use loops::MAX_LOCKED_TURNS;
pub(crate) use place::has_prefix;
pub(crate) use state::EWMA_MAX;

use std::collections::{BTreeMap, HashMap};

use oko_diagnostics::codes::packets;
use oko_diagnostics::{Diagnostic, Sink, SourceMap, Span};

use crate::hir::{Expr, HeaderId, NextArm, Program};
use crate::resolve::{Declarations, Def, Unit, resolve};
use crate::types::Ty;

/// Checks a program: the root file first, then the modules it uses.
pub(crate) fn check(units: &[Unit<'_>], sources: &SourceMap, sink: &mut Sink) -> Program {
    let decls = resolve(units, sources, sink);
    let consts = decls.consts.iter().map(|_| Constant::Unseen).collect();
    let aliases = decls.aliases.iter().map(|_| union::Alias::Unseen).collect();
    let mut checker = Checker {
        decls,
        sources,
        sink,
        program: Program::default(),
        consts,
        structs: Vec::new(),
        params: Vec::new(),
        fns: Vec::new(),
        aliases,
        depth: 0,
        quiet: 0,
        conditions: HashMap::new(),
        broken_lines: Vec::new(),
        asked: BTreeMap::new(),
        bindings: HashMap::new(),
        variants: HashMap::new(),
        left: constant::MAX_STEPS,
    };
    checker.param_names();
    checker.fn_names();
    checker.named_numbers();
    checker.structs();
    checker.all_aliases();
    checker.unions();
    checker.all_consts();
    checker.all_params();
    checker.header_fields();
    checker.header_rules();
    checker.root();
    checker.extensions();
    checker.computed_params();
    checker.fn_signatures();
    checker.computed_bodies();
    checker.states();
    checker.events();
    checker.fn_bodies();
    checker.fn_circles();
    checker.filters();
    checker.tests();
    if !checker.sink.has_errors() {
        checker.warnings();
    }
    checker.program
}

/// By the name of a variant: the names of the types that have it in a module, these types, and its numbers.
type Variants = HashMap<String, Vec<(String, Ty, u64)>>;

/// What is known of a constant.
enum Constant {
    /// Nobody has asked yet.
    Unseen,
    /// It is being computed: asking again is a circle.
    Open,
    /// Its value.
    Known(Expr),
}

/// How far a struct, a param or a part of a function is.
enum Progress {
    /// Nobody has asked yet.
    Unseen,
    /// It is being looked at: asking again is a circle.
    Open,
    /// It is known.
    Known,
}

/// The state of checking that all bodies share.
struct Checker<'a, 's> {
    decls: Declarations<'a>,
    sources: &'s SourceMap,
    sink: &'s mut Sink,
    program: Program,
    consts: Vec<Constant>,
    structs: Vec<Progress>,
    params: Vec<Progress>,
    fns: Vec<function::Function>,
    aliases: Vec<union::Alias>,
    /// How many constants and structs are being read within one another.
    depth: u32,
    /// Above 0 while a body is looked at whose messages are thrown away.
    quiet: u32,
    /// For each condition, what there is to say about it; nothing where it can be true and false.
    conditions: HashMap<Span, Option<Diagnostic>>,
    /// Lines of `next by` that were reported: they lead where they lead, so that arms are not reported for them, too.
    broken_lines: Vec<(HeaderId, NextArm)>,
    /// The headers that arms name, each with the one named in front of it, and a place where.
    asked: BTreeMap<(Option<HeaderId>, HeaderId), Span>,
    /// For each module that asked, the types in sight that have a variant of a name.
    variants: HashMap<usize, Variants>,
    /// The names of values by where they are given, and whether they are used.
    bindings: HashMap<Span, (String, bool)>,
    /// How many steps constants may still take to compute.
    left: u64,
}

impl Checker<'_, '_> {
    /// The variants of all enums and bits types that a module has a name for.
    fn variants_in_sight(&mut self, module: usize) -> &Variants {
        let (decls, program) = (&self.decls, &self.program);
        self.variants.entry(module).or_insert_with(|| {
            let mut found = Variants::new();
            let scope = decls.scopes.get(module).into_iter().flat_map(crate::resolve::Scope::names);
            for (owner, def) in scope {
                let (ty, variants) = match def {
                    Def::Enum(id) => (Ty::Enum(id), program.enums.get(id.index()).map(|def| &def.variants)),
                    Def::Bits(id) => (Ty::Bits(id), program.bits.get(id.index()).map(|def| &def.variants)),
                    _ => continue,
                };
                for (name, value) in variants.into_iter().flatten() {
                    found.entry(name.clone()).or_default().push((owner.to_owned(), ty.clone(), *value));
                }
            }
            found
        })
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.quiet == 0 {
            self.sink.push(diagnostic);
        }
    }

    /// Whether it is still looked for names that may have been meant, among all that there are: after many errors that
    /// takes long, and nobody reads it.
    fn suggests(&self) -> bool {
        self.quiet == 0 && self.sink.errors() < 100
    }

    /// Looks at what is looked at only once: whoever asks for it may be looking at a body whose messages are thrown away.
    fn aloud<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let quiet = std::mem::take(&mut self.quiet);
        let found = look(self);
        self.quiet = quiet;
        found
    }

    /// Finds the header that packets begin with.
    fn root(&mut self) {
        let roots: Vec<(usize, Span)> = (self.program.headers.iter().enumerate())
            .filter(|(_, header)| header.is_root)
            .map(|(id, header)| (id, header.span))
            .collect();
        self.program.root = roots.first().map(|&(id, _)| HeaderId::from_index(id));
        if let [(_, first), others @ ..] = roots.as_slice() {
            for (_, other) in others {
                self.report(
                    Diagnostic::error(packets::TWO_ROOTS, "a packet can begin with one header only")
                        .label(*other, "marked `#[root]` as well")
                        .label(*first, "the first header marked `#[root]`")
                        .help("remove `#[root]` from one of them"),
                );
            }
        }
    }
}
