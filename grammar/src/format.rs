//! The one style of Oko programs: where lines break, how far they are indented, where a space stands.
//!
//! The formatter works on tokens and comments, not on the syntax tree, so no comment can be lost and no token changed: it only moves
//! them, and puts a comma behind the last element of a list that has its elements on lines of their own (and takes it away from one that has not).
//!
//! What holds:
//! - The tree of the result is that of the source, places aside.
//! - Formatting what was formatted changes nothing.
//! - All comments are there, in their order.
//!
//! The style: four spaces; statements, declarations and arms on lines of their own; a bracket whose content begins on a new line has all its
//! elements on new lines, and so has one that holds a comment or would be longer than a line of [`WIDTH`] letters; one empty line at most,
//! where the author has some. A line that the author broke before an operator stays broken.

mod print;
mod space;
mod tree;

use oko_diagnostics::{Diagnostic, FileId};

use crate::parse;

/// The length that lines have at most, where brackets allow it.
pub const WIDTH: usize = 100;

/// A program in the one style.
///
/// # Errors
///
/// What the parser finds wrong: only a program that can be read can be formatted. Their places are in the file `file`.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, diagnostics) = parse(file, text);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    let tokens = tree::tokens(text);
    let nodes = tree::nodes(&tokens);
    Ok(print::print(&tokens, &nodes))
}
