//! Why a checked module cannot be BPF.

use thiserror::Error;

/// Why a checked module cannot be compiled to BPF.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum BackendError {
    /// More values are alive at once than a BPF stack frame holds.
    #[error("filter `{filter}` needs {needed} bytes of stack, and BPF programs have {limit}")]
    Stack { filter: String, needed: u32, limit: u32 },
    /// A filter that answers with a class, where the kernel can only drop packets or let them pass.
    #[error(
        "filter `{filter}` answers with a class; on its own the kernel runs filters that answer with a bool"
    )]
    Classes { filter: String },
    /// More maps than Linux takes of a program that it runs alone.
    #[error(
        "filter `{filter}` uses {maps} maps, its states and what it shares with others, and Linux takes {limit}"
    )]
    Maps { filter: String, maps: usize, limit: usize },
    /// A word is used while an entry is locked: programs may call nothing then, and a word has to be looked up.
    #[error("filter `{filter}` uses a word while an entry is locked, which BPF programs cannot")]
    WordUnderLock { filter: String },
    /// A name of the source that the object file needs for itself.
    #[error("the name `{name}` is reserved for the compiled program")]
    ReservedName { name: String },
    /// The object could not be written.
    #[error(transparent)]
    Object(#[from] oko_bpf::object::ObjectError),
    /// Schema or certificate could not be written.
    #[error("section `{section}` cannot be written: {reason}")]
    Section { section: &'static str, reason: String },
}
