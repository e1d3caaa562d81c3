//! A compilation that came to nothing.

use oko_bpf_backend::BackendError;
use oko_diagnostics::{Diagnostic, SourceMap};
use thiserror::Error;

/// A compilation that came to nothing, with what was found until then.
#[derive(Clone, Debug, Error)]
#[error("{failure}")]
pub struct Failed {
    /// The sources, to show the diagnostics' places.
    pub sources: SourceMap,
    /// Errors and warnings by place.
    pub diagnostics: Vec<Diagnostic>,
    /// What kept the compiler from going on.
    pub failure: Failure,
}

/// What kept the compiler from going on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// Errors in the sources: they are among the diagnostics.
    #[error("{count} {} in the source", if *count == 1 { "error" } else { "errors" })]
    Source {
        /// How many.
        count: usize,
    },
    /// There is no filter to compile.
    #[error("`{file}` declares no filter, so there is nothing to build")]
    NoFilter {
        /// The root file.
        file: String,
    },
    /// A filter that is right but does not fit a BPF program.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A defect of the compiler: what it made does not pass its own verifier.
    #[error("defect in the compiler, please report it: what it made was refused: {}", errors.join("; "))]
    Defect {
        /// What the verifier says.
        errors: Vec<String>,
    },
}
