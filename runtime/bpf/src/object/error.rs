//! What can be wrong with an object file, and where.

use std::fmt;

use thiserror::Error;

use crate::isa::DecodeErrorKind;

/// Why an object file was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {kind}")]
pub struct ObjectError {
    /// Where in the file.
    pub place: Place,
    /// What is wrong there.
    pub kind: ObjectErrorKind,
}

/// A place in an object file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole, or its header.
    File,
    /// A section, by name.
    Section(String),
    /// An instruction of a section.
    Insn {
        /// The section's name.
        section: String,
        /// The slot, from the section's start.
        slot: usize,
    },
    /// A symbol, by name.
    Symbol(String),
    /// A map, by name.
    Map(String),
    /// A type of section `.BTF`, by its id.
    BtfType(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => f.write_str("object file"),
            Place::Section(name) => write!(f, "section `{name}`"),
            Place::Insn { section, slot } => write!(f, "section `{section}`, instruction {slot}"),
            Place::Symbol(name) => write!(f, "symbol `{name}`"),
            Place::Map(name) => write!(f, "map `{name}`"),
            Place::BtfType(id) => write!(f, "section `.BTF`, type {id}"),
        }
    }
}

impl Place {
    pub(super) fn section(name: impl Into<String>) -> Place {
        Place::Section(name.into())
    }

    pub(super) fn map(name: impl Into<String>) -> Place {
        Place::Map(name.into())
    }

    pub(super) fn insn(section: impl Into<String>, slot: usize) -> Place {
        Place::Insn { section: section.into(), slot }
    }

    /// An error here.
    pub(super) fn error(self, kind: ObjectErrorKind) -> ObjectError {
        ObjectError { place: self, kind }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ObjectErrorKind {
    /// It is not an ELF file.
    #[error("expected an ELF file, found {len} bytes that start with {start:02x?}")]
    NotElf { len: usize, start: Vec<u8> },
    /// A field of the ELF header says that it is another kind of file.
    #[error("{field}: expected {expected}, found {found}")]
    Header { field: &'static str, expected: &'static str, found: String },
    /// The ELF structure does not hold together.
    #[error("malformed ELF: {reason}")]
    Elf { reason: String },
    /// A structure ends before what it announces.
    #[error("truncated: {what} needs {expected} bytes, found {found}")]
    Truncated { what: &'static str, expected: u64, found: u64 },
    /// A field has a value that the format does not allow.
    #[error("{field}: expected {expected}, found {found}")]
    Field { field: &'static str, expected: &'static str, found: u64 },
    /// An offset or index points at nothing.
    #[error("{what} {found} is out of range; there are {limit}")]
    OutOfRange { what: &'static str, found: u64, limit: u64 },
    /// More than a reader is willing to take.
    #[error("too large: {what} is {found}, the limit is {limit}")]
    TooLarge { what: &'static str, found: u64, limit: u64 },
    /// A name is not text.
    #[error("{what} is not UTF-8")]
    NotText { what: &'static str },
    /// Maps are declared, but their types are not there.
    #[error("maps need a section `.BTF`, and there is none; compile with `clang -g`")]
    NoBtf,
    /// BTF does not describe this.
    #[error("`.BTF` has no {what} for it")]
    NotInBtf { what: &'static str },
    /// A BTF type is not what it should be at this place.
    #[error("{what}: expected {expected}, found {found}")]
    Type { what: &'static str, expected: &'static str, found: &'static str },
    /// A type whose size cannot be told: too deep, endless, or without one.
    #[error("the size of type {id} cannot be told")]
    NoSize { id: u32 },
    /// A map kind that is not supported.
    #[error(
        "map type {number} ({name}) is not supported; supported are hash (1), array (2), percpu_hash (5), percpu_array (6), lru_hash (9), \
         lru_percpu_hash (10), lpm_trie (11), ringbuf (27) and bloom_filter (30)"
    )]
    MapKind { number: u32, name: &'static str },
    /// A part of a map's definition is missing.
    #[error("its definition has no `{field}`")]
    MapField { field: &'static str },
    /// A member of a map's definition that is not supported.
    #[error("its definition has `{field}`, which is not supported")]
    MapFieldUnknown { field: String },
    /// A map type of the first Oko that there is not.
    #[error(
        "map type {number} is none of the first Oko: array (1), Bloom filter (2), count-min sketch (3), hash map (4)"
    )]
    OriginalMapKind { number: u32 },
    /// A helper of the first Oko, or of what went on from it, that is not provided.
    #[error("helper {number} ({name}) of the first Oko is not provided")]
    OriginalHelper { number: u32, name: &'static str },
    /// Sizes that contradict each other.
    #[error("{field}: expected {expected} bytes, found {found}")]
    MapSize { field: &'static str, expected: u32, found: u32 },
    /// There is no code.
    #[error("no program: no executable section holds a function")]
    NoProgram,
    /// There is no function `entry`.
    #[error("no program: objects of the first Oko have a function `entry`")]
    NoEntry,
    /// Two things have the same name.
    #[error("defined twice")]
    Duplicate,
    /// A function's bounds are wrong.
    #[error("function at byte {start} with {size} bytes does not fit its section of {section} bytes")]
    FunctionBounds { start: u64, size: u64, section: u64 },
    /// An instruction does not decode.
    #[error("{0}")]
    Decode(DecodeErrorKind),
    /// A relocation of a kind that is not supported, or at an instruction that cannot have it.
    #[error("relocation type {r_type}: {reason}")]
    Relocation { r_type: u32, reason: &'static str },
    /// A symbol that nothing defines.
    #[error("symbol `{symbol}` is not defined in this object")]
    Unresolved { symbol: String },
    /// A symbol that lies where it is of no use.
    #[error("symbol `{symbol}` lies in section `{section}`; expected {expected}")]
    SymbolSection { symbol: String, section: String, expected: &'static str },
    /// A call that goes to no function.
    #[error("call to byte {target} of section `{section}`, where no function starts")]
    CallTarget { section: String, target: i64 },
    /// A jump that leaves its function.
    #[error("jump out of the function")]
    JumpTarget,
    /// Relocations against the running kernel's types.
    #[error("{count} CO-RE relocations; they depend on a running kernel and are not supported")]
    CoRe { count: u32 },
    /// Something to be written does not fit the format.
    #[error("cannot be written: {reason}")]
    Unwritable { reason: String },
}
