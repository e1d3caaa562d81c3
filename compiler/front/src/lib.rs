//! The front end of the Oko compiler: from parsed files to a typed program and to IR.
//!
//! [`load()`] parses a root file and the modules that it uses; [`analyze`] checks them and, where nothing is wrong, lowers the
//! filters of the root file. The phases, each in its own files:
//!
//! | phase | does |
//! |---|---|
//! | `resolve` | what is declared where, what a `use` brings in |
//! | `check` | types with ranges, facts from conditions, headers, states, bodies: from syntax tree to [`hir`] |
//! | `lower` | the way through the headers, state operations under locks, cells as arithmetic: from [`hir`] to IR |
//! | `schema` | how params, keys and values look to people |
//! | [`cost`] | which loop or function the steps of a filter go to |
//!
//! What holds:
//! - Nothing here reads files or clocks, prints, or panics, whatever the source.
//! - All independent errors are reported; what follows from a reported one is not.
//! - The compiler knows no header by name. Packets begin with the header that is marked `#[root]`.
//! - A module that comes with no error passes the IR verifier.

mod check;
pub mod cost;
pub mod geometry;
pub mod hir;
mod load;
mod lower;
mod packets;
pub mod plan;
mod resolve;
mod schema;
mod suggest;
pub mod types;
pub mod wire;

use std::collections::BTreeSet;

use cost::{Area, Budget};
use oko_artifact::Schema;
use oko_diagnostics::{Diagnostic, Sink, SourceMap, Span};
use oko_ir::Module;

pub use load::{Files, load};
pub use lower::{Arm, Origin, PIECES, PIECES_OF_SCALAR, TestModule};
pub use resolve::Unit;

/// A program that was accepted.
#[derive(Clone, Debug)]
pub struct Output {
    /// Params, states and filters. It passes the IR verifier.
    pub module: Module,
    /// How they look to people; `compiler` and `source_hash` are empty.
    pub schema: Schema,
    /// For each filter, the packet fields that it reads, such as `ipv4.src`, in alphabetical order.
    pub fields_read: Vec<Vec<String>>,
    /// For each filter, where it is declared and what it may cost.
    pub budgets: Vec<(Span, Budget)>,
    /// The loops and functions of the program.
    pub areas: Vec<Area>,
    /// The typed program that they were made of, with its tests.
    pub program: hir::Program,
}

/// What came of an analysis.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The program; `None` if there are errors.
    pub output: Option<Output>,
    /// Errors and warnings in the order of their places. Those of the parser are not among them.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks and lowers a program: the root file, which comes first, and the modules that it uses.
///
/// `sources` has the texts of all files; places in the IR refer to it by file number. Files that the parser found errors in may
/// be given: what could not be read is left out silently, and there is no output only if something else is wrong, so
/// callers look at the parser's errors first.
pub fn analyze(units: &[Unit<'_>], sources: &SourceMap) -> Analysis {
    let mut sink = Sink::new();
    let program = check::check(units, sources, &mut sink);
    if sink.has_errors() {
        return Analysis { output: None, diagnostics: sink.finish() };
    }
    let lowered = lower::lower(&program, sources, &mut sink);
    if sink.has_errors() {
        return Analysis { output: None, diagnostics: sink.finish() };
    }
    let schema = schema::schema(&program, &lowered.module);
    let fields_read = lowered
        .fields_read
        .into_iter()
        .map(|fields: BTreeSet<String>| fields.into_iter().collect())
        .collect();
    let budgets = program.filters.iter().map(|filter| (filter.span, filter.budget)).collect();
    let output = Output {
        module: lowered.module,
        schema,
        fields_read,
        budgets,
        areas: program.areas.clone(),
        program,
    };
    Analysis { output: Some(output), diagnostics: sink.finish() }
}

/// The module of one of the program's tests: its filters, and a filter for each value that the test computes. `marked` puts
/// marks into the arms of matches, to see which are taken; `None` if it would be too large.
pub fn test_module(
    program: &hir::Program,
    plan: &plan::Plan,
    sources: &SourceMap,
    marked: bool,
) -> Option<TestModule> {
    lower::test_module(program, plan, sources, marked)
}
