//! What can be wrong with an artifact, a param or a request about state.

use std::fmt::Write;

use oko_bpf::object::{ObjectError, ObjectErrorKind};
use oko_ir::interp::TableError;
use oko_state::ShapeError;
use thiserror::Error;

use crate::options::Engine;

/// Why an artifact was not loaded. Nothing of it stays.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It is no object file, a truncated one, one for another machine, or one whose parts do not fit together.
    #[error("not a BPF object file: {0}")]
    Object(#[from] ObjectError),
    /// A section of ours is there and another is not.
    #[error("section `{missing}` is missing, though `{present}` is there")]
    MissingSection {
        /// What is missing.
        missing: &'static str,
        /// What is there.
        present: &'static str,
    },
    /// The content of one of our sections cannot be read.
    #[error("section `{section}` cannot be read: {reason}")]
    Section {
        /// Which one.
        section: &'static str,
        /// What its reader says.
        reason: String,
    },
    /// The schema has another version than this switch reads.
    #[error("the artifact has format {found}: expected {expected}")]
    Version {
        /// What this crate reads.
        expected: u32,
        /// What the artifact says.
        found: u32,
    },
    /// A BPF program was refused by the verifier.
    #[error("program `{program}` was refused by the BPF verifier:\n{report}")]
    BpfRefused {
        /// The function's name.
        program: String,
        /// The verifier's whole text: the reason, the instruction, the path.
        report: String,
    },
    /// The IR was refused by its verifier.
    #[error("the IR was refused by its verifier:\n{}", reports.join("\n"))]
    IrRefused {
        /// One text for each thing that is wrong.
        reports: Vec<String>,
    },
    /// No program of the object is a filter.
    #[error("no program in a section `xdp`; the programs are in: {}", sections.join(", "))]
    NoFilter {
        /// The sections that programs are in.
        sections: Vec<String>,
    },
    /// Two parts of the artifact contradict each other.
    #[error("{what} differs: {left_part} has {left}, {right_part} has {right}")]
    Mismatch {
        /// What differs, such as `capacity of state `servers``.
        what: String,
        /// One part: `the schema`, `the IR`.
        left_part: &'static str,
        /// What it has.
        left: String,
        /// The other part.
        right_part: &'static str,
        /// What that has.
        right: String,
    },
    /// The engine asked for needs a part that the artifact lacks.
    #[error("engine `{engine}` needs {needs}, which the artifact has not")]
    EngineUnavailable {
        /// The engine.
        engine: Engine,
        /// What it needs.
        needs: &'static str,
    },
    /// A verified filter could not be compiled.
    #[error("filter `{filter}` could not be compiled: {reason}")]
    Compile {
        /// The filter's name.
        filter: String,
        /// What the compiler says.
        reason: String,
    },
    /// A state cannot be made.
    #[error("state `{state}`: {source}")]
    State {
        /// Its name.
        state: String,
        /// Why.
        source: ShapeError,
    },
    /// The states together take more memory than the limit in the options.
    #[error("the states take {bytes} bytes, more than the limit of {limit}")]
    TooMuchState {
        /// What they take.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl LoadError {
    /// A stable code of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Object(error) => match error.kind {
                ObjectErrorKind::NotElf { .. } => "oko::load::not_elf",
                ObjectErrorKind::Header { .. } => "oko::load::foreign",
                ObjectErrorKind::Truncated { .. } => "oko::load::truncated",
                ObjectErrorKind::NoProgram | ObjectErrorKind::NoEntry => "oko::load::no_program",
                _ => "oko::load::object",
            },
            LoadError::MissingSection { .. } => "oko::load::missing_section",
            LoadError::Section { .. } => "oko::load::section",
            LoadError::Version { .. } => "oko::load::version",
            LoadError::BpfRefused { .. } => "oko::load::bpf_refused",
            LoadError::IrRefused { .. } => "oko::load::ir_refused",
            LoadError::NoFilter { .. } => "oko::load::no_filter",
            LoadError::Mismatch { .. } => "oko::load::mismatch",
            LoadError::EngineUnavailable { .. } => "oko::load::engine_unavailable",
            LoadError::Compile { .. } => "oko::load::compile",
            LoadError::State { .. } => "oko::load::state",
            LoadError::TooMuchState { .. } => "oko::load::too_much_state",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            LoadError::Object(error) => match error.kind {
                ObjectErrorKind::NotElf { .. } => {
                    "give an object file that `okoc build` or `clang -target bpf -c` wrote, not a source"
                }
                ObjectErrorKind::Header { .. } => {
                    "compile for machine BPF, little-endian, 64 bits: `okoc build` or `clang -target bpfel -c`"
                }
                ObjectErrorKind::Truncated { .. } => "copy or build the file again: it ends too early",
                ObjectErrorKind::NoEntry => {
                    "write `uint64_t entry(void *packet, uint64_t length)`; what `okoc` or `SEC(\"xdp\")` made loads without `--abi original`"
                }
                ObjectErrorKind::OriginalHelper { .. } => {
                    "write the program without it: filters decide, and change and print nothing"
                }
                _ => "build the file again, with the tools that belong to this switch",
            },
            LoadError::MissingSection { .. } | LoadError::Section { .. } | LoadError::Mismatch { .. } => {
                "build the artifact again with `okoc build` and do not edit or strip it"
            }
            LoadError::NoFilter { .. } => {
                "put the function into section `xdp`: `SEC(\"xdp\")`; programs of the first Oko load with `--abi original`"
            }
            LoadError::Version { .. } => "build the artifact with the `okoc` that belongs to this switch",
            LoadError::BpfRefused { .. } => {
                "change the program as the verifier says; `okoc` emits none that is refused"
            }
            LoadError::IrRefused { .. } => {
                "build the artifact again with `okoc build`, which checks its IR itself"
            }
            LoadError::EngineUnavailable { .. } => {
                "leave the engine to the switch, or build the artifact with `okoc`"
            }
            LoadError::Compile { .. } => {
                "use the engine `bpf-interp`, and report this: verified code should compile"
            }
            LoadError::State { .. } | LoadError::TooMuchState { .. } => {
                "declare smaller capacities, or allow the switch more memory for state"
            }
        }
    }

    /// Message, code and help in one text, for those who show no diagnostics.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let _ = write!(text, "\n  code: {}\n  help: {}", self.code(), self.help());
        text
    }
}

/// Why a param was not read or set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamError {
    /// There is none of this name.
    #[error("no param `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are, or `none`.
        known: String,
    },
    /// The value is not in its range.
    #[error("param `{name}`: {found} is not in {min}..={max}")]
    OutOfRange {
        /// The param.
        name: String,
        /// The value.
        found: u64,
        /// The least it may be.
        min: u64,
        /// The greatest it may be.
        max: u64,
    },
}

/// Why a request about state failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// There is none of this name.
    #[error("no state `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are, or `none`.
        known: String,
    },
    /// The key has another size than the state's.
    #[error("state `{name}`: a key of {found} bytes, expected {expected}")]
    KeySize {
        /// The state.
        name: String,
        /// The size of the key.
        found: usize,
        /// What the state's have.
        expected: u32,
    },
    /// The value has another size than the state's.
    #[error("state `{name}`: a value of {found} bytes, expected {expected}")]
    ValueSize {
        /// The state.
        name: String,
        /// The size of the value.
        found: usize,
        /// What the state's have.
        expected: u32,
    },
    /// Key or value of an entry do not fit, or there is no room for it.
    #[error("state `{name}`: {source}")]
    Entry {
        /// The state.
        name: String,
        /// What does not fit.
        source: TableError,
    },
    /// An array has no entry of this index.
    #[error("state `{name}` has no entry of this index: expected one below {capacity}")]
    NoEntry {
        /// The state.
        name: String,
        /// How many entries it has.
        capacity: u32,
    },
    /// It is written by filters, and not by the control plane.
    #[error("state `{name}` is no table")]
    NoTable {
        /// The state.
        name: String,
    },
    /// The artifact does not say what the bytes of keys and values mean.
    #[error("state `{name}` has no schema, for `okoc` did not make the object")]
    Undeclared {
        /// The state.
        name: String,
    },
    /// The artifact says what the bytes of keys and values mean, so they are not written as bytes.
    #[error("state `{name}` has a schema: its entries are written by the scalars of key and value")]
    Declared {
        /// The state.
        name: String,
    },
    /// Each worker has entries of its own.
    #[error(
        "each worker has entries of state `{name}` of its own: they can be deleted and cleared, not written"
    )]
    PerCore {
        /// The state.
        name: String,
    },
    /// The engine keeps state where it can be dumped as a whole only.
    #[error("engine `{engine}` can only dump whole states")]
    Engine {
        /// The engine.
        engine: Engine,
    },
}
