//! From the typed program to the IR.
//!
//! What holds of the result: it passes the IR verifier, whatever program was accepted. Params and states stand in the
//! module in the order of the typed program, and so they do in the schema; those of modules other than the root file are
//! called by their module's path and name.

mod body;
mod cells;
mod control;
mod layout;
mod load;
mod packet;
mod state;

use std::collections::BTreeSet;

use oko_diagnostics::codes::results;
use oko_diagnostics::{Diagnostic, Sink, SourceMap};
use oko_ir::{Loc, Module};

use crate::hir::Program;

/// The module, and for each filter the packet fields that it reads.
pub(crate) struct Lowered {
    pub(crate) module: Module,
    pub(crate) fields_read: Vec<BTreeSet<String>>,
}

/// Lowers a program that was checked without errors. Reports filters that are too large.
pub(crate) fn lower(program: &Program, sources: &SourceMap, sink: &mut Sink) -> Lowered {
    let mut module = Module {
        files: sources.files().map(|(_, file)| file.name().to_owned()).collect(),
        params: program.params.iter().map(layout::param).collect(),
        states: program.states.iter().map(|state| layout::state(state, program)).collect(),
        filters: Vec::new(),
    };
    let mut fields_read = Vec::new();
    for def in &program.filters {
        let place = |span: oko_diagnostics::Span| {
            let location = sources.get(span.file)?.location(span.start);
            Some(Loc { file: span.file.0, line: location.line })
        };
        match body::filter(program, def, &place) {
            Some((mut filter, fields)) => {
                oko_ir::passes::renumber(&module, &mut filter);
                module.filters.push(filter);
                fields_read.push(fields);
            }
            None => sink.push(
                Diagnostic::error(results::TOO_LARGE, format!("the filter `{}` is too large", def.name))
                    .label(def.span, "needs more steps than any packet may cost")
                    .help("call fewer functions from within one another, or match fewer headers"),
            ),
        }
    }
    Lowered { module, fields_read }
}
