//! Why a verified program was not compiled.

use thiserror::Error;

/// Why a verified program was not compiled. None of these is the program's fault.
#[derive(Debug, Error)]
pub enum CompileError {
    /// Cranelift does not know this machine.
    #[error("no code can be generated for this machine: {reason}")]
    Host {
        /// What Cranelift says.
        reason: String,
    },
    /// There is no such filter in the module.
    #[error("no filter {index}, the module has {count}")]
    NoSuchFilter {
        /// Its index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The filter is so large that compiling it would take too long.
    #[error("the filter has {found} operations, and {limit} can be compiled: split it, or unroll less")]
    TooLarge {
        /// How many it has; a look-up counts as several.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// An instruction that this compiler does not translate.
    #[error("instruction {slot} cannot be translated: {what}")]
    Unsupported {
        /// The slot of the program.
        slot: usize,
        /// What it is.
        what: &'static str,
    },
    /// Cranelift refused the code or gave up, or this compiler or Cranelift has a defect and panicked.
    #[error("code generation failed: {reason}")]
    Codegen {
        /// What Cranelift or the panic says.
        reason: String,
    },
    /// The system gave no executable memory.
    #[error("no executable memory for {bytes} bytes: {source}")]
    Memory {
        /// How much was asked for.
        bytes: usize,
        /// What the system says.
        source: std::io::Error,
    },
}
