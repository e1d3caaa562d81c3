//! The phases of a compilation, each a type with what is known by then.

use oko_diagnostics::{Diagnostic, Sink, SourceMap};
use oko_front::{Files, Output};

use crate::artifact::{Artifact, Options, assemble};
use crate::budget::Costs;
use crate::failed::{Failed, Failure};
use crate::loader::{Loader, Source};

/// What all phases carry: the sources and what was found in them.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) sources: SourceMap,
    pub(crate) found: Sink,
}

impl Session {
    pub(crate) fn fail(self, failure: Failure) -> Box<Failed> {
        Box::new(Failed { sources: self.sources, diagnostics: self.found.finish(), failure })
    }

    pub(crate) fn fail_by_errors(self) -> Box<Failed> {
        let Session { sources, found } = self;
        let diagnostics = found.finish();
        let count = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        Box::new(Failed { sources, diagnostics, failure: Failure::Source { count } })
    }
}

/// All files of a program as syntax trees, possibly with errors.
#[derive(Debug)]
pub struct Parsed {
    session: Session,
    files: Files,
}

/// Parses a root file and the modules that it uses.
pub fn parse(root: Source, loader: &dyn Loader) -> Parsed {
    let mut sources = SourceMap::new();
    let mut found = Sink::new();
    let mut find = |module: &str| {
        let name = oko_stdlib::file_name(module).unwrap_or(module);
        let of_std = oko_stdlib::source(module).map(|text| (name.to_owned(), text.to_owned()));
        of_std.or_else(|| loader.load(module).map(|source| (source.name, source.text)))
    };
    // A text of 4 GiB finds no place in the map; the parser has the words for it.
    let Some(id) = sources.add(root.name.as_str(), root.text.as_str()) else {
        let (_, diagnostics) = oko_grammar::parse(oko_diagnostics::FileId(0), &root.text);
        found.extend(diagnostics);
        let empty = sources.add(root.name, "").unwrap_or_default();
        let files = oko_front::load(&mut sources, empty, &mut find);
        return Parsed { session: Session { sources, found }, files };
    };
    let files = oko_front::load(&mut sources, id, &mut find);
    found.extend(files.diagnostics.iter().cloned());
    Parsed { session: Session { sources, found }, files }
}

impl Parsed {
    /// The root file's tree as text.
    pub fn dump(&self) -> String {
        self.files.root().map(oko_grammar::dump).unwrap_or_default()
    }

    /// The sources so far.
    pub fn sources(&self) -> &SourceMap {
        &self.session.sources
    }

    /// Checks names, types and ranges, and lowers the root file's filters to IR.
    ///
    /// # Errors
    ///
    /// All errors in the sources, those of the parser among them.
    pub fn check(mut self) -> Result<Checked, Box<Failed>> {
        let analysis = oko_front::analyze(&self.files.units(), &self.session.sources);
        self.session.found.extend(analysis.diagnostics);
        if self.session.found.has_errors() {
            return Err(self.session.fail_by_errors());
        }
        let Some(Output { module, schema, fields_read, budgets, areas, program }) = analysis.output else {
            return Err(self.session.fail(Failure::Defect { errors: vec!["no IR and no error".to_owned()] }));
        };
        match oko_ir::verify(module) {
            Ok(ir) => {
                let costs = Costs { budgets, areas };
                Ok(Checked { session: self.session, ir, schema, fields_read, costs, program })
            }
            Err(errors) => {
                let errors = errors.iter().map(ToString::to_string).collect();
                Err(self.session.fail(Failure::Defect { errors }))
            }
        }
    }
}

/// A program without errors, as verified IR, as the front end made it.
#[derive(Debug)]
pub struct Checked {
    pub(crate) session: Session,
    ir: oko_ir::Checked,
    schema: oko_artifact::Schema,
    fields_read: Vec<Vec<String>>,
    costs: Costs,
    pub(crate) program: oko_front::hir::Program,
}

impl Checked {
    /// The IR.
    pub fn ir(&self) -> &oko_ir::Checked {
        &self.ir
    }

    /// The sources.
    pub fn sources(&self) -> &SourceMap {
        &self.session.sources
    }

    /// The warnings so far, by place.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.session.found.clone().finish()
    }

    /// Runs the passes.
    pub fn optimize(self) -> Optimized {
        let Checked { session, ir, schema, fields_read, costs, program: _ } = self;
        Optimized { session, ir: oko_ir::passes::optimize(ir), schema, fields_read, costs }
    }
}

/// A program as the IR that artifacts carry.
#[derive(Debug)]
pub struct Optimized {
    pub(crate) session: Session,
    pub(crate) ir: oko_ir::Checked,
    pub(crate) schema: oko_artifact::Schema,
    pub(crate) fields_read: Vec<Vec<String>>,
    pub(crate) costs: Costs,
}

impl Optimized {
    /// The IR.
    pub fn ir(&self) -> &oko_ir::Checked {
        &self.ir
    }

    /// How params, states and classes look to people. `compiler` and `source_hash` are filled in by [`Optimized::assemble`].
    pub fn schema(&self) -> &oko_artifact::Schema {
        &self.schema
    }

    /// The sources.
    pub fn sources(&self) -> &SourceMap {
        &self.session.sources
    }

    /// The warnings so far, by place.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.session.found.clone().finish()
    }

    /// Compiles the filters to BPF and writes the artifact.
    ///
    /// # Errors
    ///
    /// No filter, one that does not fit a BPF program, or one that costs more than its budget.
    pub fn assemble(self, options: &Options) -> Result<Artifact, Box<Failed>> {
        assemble(self, options)
    }
}
