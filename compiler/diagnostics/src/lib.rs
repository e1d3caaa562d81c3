//! Source places, error codes and diagnostics of the Oko compiler.
//!
//! Every phase reports through a [`Diagnostic`]: a stable [`Code`], one sentence, the labelled places where the facts
//! come from, and where possible a text that mends the source. [`render_all`] turns diagnostics into text with
//! source excerpts, [`json()`] into JSON for other programs; nothing here prints.
//!
//! What holds in this crate:
//! - A [`Span`] counts bytes of one file of a [`SourceMap`]; rendering accepts any span, also one outside its file.
//! - A code's number is never given to another meaning ([`codes`]).
//! - Messages speak of the user's program, never of the compiler's parts.

pub mod codes;
mod cut;
mod diagnostic;
mod json;
mod render;
mod sink;
mod source;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Label, Severity, Suggestion};
pub use json::json;
pub use render::{Colour, render, render_all};
pub use sink::Sink;
pub use source::{FileId, Location, SourceFile, SourceMap, Span};
