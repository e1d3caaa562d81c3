//! The Oko compiler as a library: sources in, an artifact and diagnostics out.
//!
//! A compilation is a value that moves through its phases; each is a type, so that none can be left out or done twice:
//!
//! ```text
//! Source ──parse──▶ Parsed ──check──▶ Checked ──optimize──▶ Optimized ──assemble──▶ Artifact
//! ```
//!
//! ```
//! use oko_compiler::{NoFiles, Options, Source, parse};
//!
//! let source = Source::new("short.oko", "filter short -> bool { pkt.len < 64 }");
//! let artifact = parse(source, &NoFiles)
//!     .check()?
//!     .optimize()
//!     .assemble(&Options::default())?;
//! assert_eq!(artifact.schema.filters[0].name, "short");
//! assert!(artifact.bytes.starts_with(b"\x7fELF"));
//! # Ok::<(), Box<oko_compiler::Failed>>(())
//! ```
//!
//! What holds here:
//! - Nothing is read, written or printed. Texts of modules come from a [`Loader`] that the caller supplies; those of `std` are built in.
//! - No source makes it panic. A phase that cannot go on gives [`Failed`] with everything that was found by then.
//! - The same sources and options give the same bytes.

mod artifact;
mod budget;
mod failed;
mod format;
mod loader;
mod phases;
mod tests;

pub use artifact::{Artifact, Options};
pub use budget::{PartCost, PartKind};
pub use failed::{Failed, Failure};
pub use format::format;
pub use loader::{Loader, NoFiles, Source};
pub use oko_bpf_backend::{Clock, Linux, OnMatch, Registers, Target, Verifier};
pub use phases::{Checked, Optimized, Parsed, parse};
pub use tests::TestObject;
