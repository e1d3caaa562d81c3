//! Formatting, with what is wrong with a program that cannot be formatted.

use oko_diagnostics::SourceMap;

use crate::failed::{Failed, Failure};
use crate::loader::Source;

/// A program in the one style.
///
/// # Errors
///
/// All errors of the parser: only a program that can be read can be formatted.
pub fn format(source: &Source) -> Result<String, Box<Failed>> {
    let mut sources = SourceMap::new();
    // The parser has the words for a text that finds no place in the map.
    let file = sources.add(source.name.as_str(), source.text.as_str()).unwrap_or_default();
    oko_grammar::format(file, &source.text).map_err(|diagnostics| {
        let count = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        Box::new(Failed { sources, diagnostics, failure: Failure::Source { count } })
    })
}
