//! Object files: ELF64, little-endian, machine BPF, as clang and `okoc` write them and libbpf loads them.
//!
//! [`read`] turns the bytes of a file into [`Program`](crate::program::Program)s for the verifier; [`write()`] is the other
//! direction. What holds here:
//! - Any bytes may come in. Whatever is wrong is an [`ObjectError`] that says where, and what was expected and found; the memory
//!   taken is bounded by the constants below and a small multiple of the file's size.
//! - All programs of one object have the same list of maps, in this order: `.maps` by position, or the `maps` section of
//!   objects from before BTF; then `.data`, `.rodata` and their likes in section order.
//! - What [`write()`] was given, [`read`] gives back: instructions, maps, variables, lines.

pub mod btf;
mod btf_ext;
mod error;
mod link;
mod maps;
mod original;
mod read;
mod sections;
#[cfg(test)]
mod tests;
pub mod write;

pub(crate) use maps::is_ring_size;

pub use error::{ObjectError, ObjectErrorKind, Place};
pub use original::Abi;
pub use read::{MapTypes, ObjectFile, Variable, read, read_as};
pub use write::write;

/// The most functions that an object may have.
pub const MAX_FUNCTIONS: usize = 256;
/// The most instructions (8-byte slots) of one program with the functions it calls.
pub const MAX_SLOTS: usize = 1 << 20;
/// The most maps, sections of variables included.
pub const MAX_MAPS: usize = 256;
/// The most bytes of a section of variables.
pub const MAX_DATA_BYTES: u64 = 1 << 20;
/// The most bytes of all sections of variables together.
pub const MAX_ALL_DATA_BYTES: u64 = 4 << 20;
/// The most slots and bytes of variables that all programs of one object take together.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;
