//! From the typed program to the IR.
//!
//! What holds of the result: it passes the IR verifier, whatever program was accepted. Params, states and events stand in the
//! module in the order of the typed program, and so they do in the schema; behind the states there is one for the limit of each event; those of modules other than the root file are
//! called by their module's path and name.

mod array;
mod bloom;
mod body;
mod cells;
mod control;
mod distinct;
mod evaluate;
mod event;
mod ewma;
mod hash;
mod layers;
mod layout;
mod load;
mod long;
mod loops;
mod packet;
mod probe;
mod region;
mod sketch;
mod state;
mod wide;

pub(crate) use evaluate::{Unknown, evaluate, evaluate_rule};
pub(crate) use probe::test_module;
pub use probe::{Arm, Origin, PIECES, PIECES_OF_SCALAR, TestModule};

use std::collections::{BTreeMap, BTreeSet};

use oko_diagnostics::codes::{self, results};
use oko_diagnostics::{Diagnostic, Sink, SourceMap};
use oko_ir::{Filter, FilterResult, Loc, Module, limits};

use crate::hir::Program;
use crate::packets::graph::Graph;

/// The module, and for each filter the packet fields that it reads.
pub(crate) struct Lowered {
    pub(crate) module: Module,
    pub(crate) fields_read: Vec<BTreeSet<String>>,
}

/// Lowers a program that was checked without errors. Reports filters that are too large.
pub(crate) fn lower(program: &Program, sources: &SourceMap, sink: &mut Sink) -> Lowered {
    lower_with(program, sources, sink, false).0
}

/// The same, if asked for with marks in the arms of matches, which it gives as well.
fn lower_with(program: &Program, sources: &SourceMap, sink: &mut Sink, marked: bool) -> (Lowered, Vec<Arm>) {
    let mut module = Module {
        files: sources.files().map(|(_, file)| plain_name(file.name())).collect(),
        params: program.params.iter().map(layout::param).collect(),
        states: (program.states.iter().map(|state| layout::state(state, program)))
            .chain(program.events.iter().map(|def| event::limiter(def, program)))
            .collect(),
        events: program.events.iter().map(|def| event::event(def, program)).collect(),
        filters: Vec::new(),
    };
    if !fits_memory(program, &module, sink) {
        return (Lowered { module, fields_read: Vec::new() }, Vec::new());
    }
    let mut marks = marked.then(|| {
        module.files.push("arms".to_owned());
        body::Marks { file: module.files.len() as u32 - 1, arms: BTreeMap::new() }
    });
    let mut fields_read = Vec::new();
    let graph = Graph::new(program);
    for def in &program.filters {
        let place = |span: oko_diagnostics::Span| {
            let location = sources.get(span.file)?.location(span.start);
            Some(Loc { file: span.file.0, line: location.line })
        };
        let lowered = body::filter(program, &graph, def, &place, &mut marks).map(|(mut filter, fields)| {
            oko_ir::passes::renumber(&module, &mut filter);
            (filter, fields)
        });
        match lowered.filter(|(filter, _)| is_small(filter)) {
            Some((filter, fields)) => {
                if let Some(diagnostic) = too_long(&filter, program, def.span, sources) {
                    sink.push(diagnostic);
                }
                module.filters.push(filter);
                fields_read.push(fields);
            }
            None => sink.push(
                Diagnostic::error(results::TOO_LARGE, format!("the filter `{}` is too large", def.name))
                    .label(def.span, "has more operations or branches than a filter may have")
                    .help("call fewer functions from within one another, or match fewer headers"),
            ),
        }
    }
    let arms = marks.map(|marks| marks.arms).unwrap_or_default();
    let arms = arms.into_iter().map(|(span, mark)| Arm { span, mark }).collect();
    (Lowered { module, fields_read }, arms)
}

/// The name of a file as a module may carry it.
fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(limits::MAX_FILE_NAME / 4).collect()
}

/// Whether the declarations are not more than an artifact may have.
fn fits_memory(program: &Program, module: &Module, sink: &mut Sink) -> bool {
    let mut fits = true;
    let mut bytes = 0u64;
    for (decl, def) in module.states.iter().zip(&program.states) {
        let own = decl.bytes();
        bytes = bytes.saturating_add(own);
        if bytes > limits::MAX_STATE_BYTES && fits {
            fits = false;
            sink.push(
                Diagnostic::error(codes::state::TOO_LARGE, "the states take too much memory")
                    .label(
                        def.span,
                        format!("takes {own} bytes when full, and all states up to here {bytes}"),
                    )
                    .note(format!("at most {} bytes (1 GiB) are allowed", limits::MAX_STATE_BYTES))
                    .help("lower the `capacity`"),
            );
        }
    }
    for (decl, def) in module.states.iter().zip(&program.states) {
        let size = decl.entry_layout().size;
        if size > limits::MAX_ENTRY_SIZE {
            fits = false;
            sink.push(
                Diagnostic::error(codes::state::TOO_LARGE, "an entry takes too much memory")
                    .label(def.span, format!("each entry takes {size} bytes"))
                    .note(format!("at most {} bytes are allowed", limits::MAX_ENTRY_SIZE))
                    .help("allow a greater `error`, or keep fewer cells in one entry"),
            );
        }
    }
    let counts = [
        ("params", module.params.len(), limits::MAX_PARAMS, program.params.last().map(|def| def.span)),
        ("states", module.states.len(), limits::MAX_STATES, program.states.last().map(|def| def.span)),
        ("events", module.events.len(), limits::MAX_EVENTS, program.events.last().map(|def| def.span)),
        ("filters", program.filters.len(), limits::MAX_FILTERS, program.filters.last().map(|def| def.span)),
    ];
    for (what, found, limit, span) in counts {
        if let (true, Some(span)) = (found > limit, span) {
            fits = false;
            sink.push(
                Diagnostic::error(results::TOO_MANY, format!("a program has at most {limit} {what}"))
                    .label(span, format!("there are {found}")),
            );
        }
    }
    fits
}

/// What to say of a filter whose loops take too long together.
fn too_long(
    filter: &Filter,
    program: &Program,
    span: oko_diagnostics::Span,
    sources: &SourceMap,
) -> Option<Diagnostic> {
    let graph = oko_ir::cfg::Cfg::of(filter).ok()?;
    let steps = oko_ir::cost::cost_where(filter, &graph, &|_| true).steps;
    if steps <= limits::MAX_STEPS {
        return None;
    }
    let diagnostic = Diagnostic::error(
        results::TOO_LARGE,
        format!("a packet can cost the filter `{}` too much", filter.name),
    )
    .label(span, format!("up to {steps} steps, and at most {} are allowed", limits::MAX_STEPS));
    let shares = crate::cost::shares(filter, &program.areas, sources);
    Some(crate::cost::point_at(diagnostic, &shares, steps).help(crate::cost::fewer_turns(
        &shares,
        steps,
        limits::MAX_STEPS,
    )))
}

/// Whether a filter is not larger than an artifact may have.
fn is_small(filter: &Filter) -> bool {
    let classes = match filter.result {
        FilterResult::Bool => 2,
        FilterResult::Classes(count) => count,
    };
    classes <= limits::MAX_CLASSES
        && filter.blocks.len() <= limits::MAX_BLOCKS
        && filter.values.len() <= limits::MAX_VALUES
        && filter.blocks.iter().map(|block| block.insts.len()).sum::<usize>() <= limits::MAX_INSTS
        && filter.blocks.iter().all(|block| block.params.len() <= limits::MAX_BLOCK_PARAMS)
}
