//! Collects the diagnostics of the phases and brings them into the order that users read: by place.

use std::collections::HashSet;

use crate::Diagnostic;

/// Diagnostics as they are found, in any order.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    found: Vec<Diagnostic>,
    errors: usize,
}

impl Sink {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        self.found.push(diagnostic);
    }

    /// True once an error, not only warnings, was added.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were added.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All diagnostics, sorted by file, place and code, each once.
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut seen = HashSet::with_capacity(self.found.len());
        let mut found: Vec<_> = self.found.into_iter().filter(|d| seen.insert(d.clone())).collect();
        found.sort_by_key(|d| (d.span().map(|span| (span.file, span.start, span.end)), d.severity, d.code));
        found
    }
}

impl Extend<Diagnostic> for Sink {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileId, Span, codes};

    #[test]
    fn findings_are_read_in_source_order_and_once() {
        let at = |file, start| {
            let span = Span::new(FileId(file), start, start + 1);
            Diagnostic::error(codes::syntax::UNEXPECTED, "x").label(span, "")
        };
        let mut sink = Sink::new();
        sink.extend([at(1, 0), at(0, 7), at(0, 3), at(0, 7)]);
        sink.push(Diagnostic::warning(codes::syntax::UNEXPECTED, "about no file"));
        assert!(sink.has_errors());
        let places: Vec<_> = sink.finish().iter().map(|d| d.span().map(|s| (s.file.0, s.start))).collect();
        assert_eq!(places, [None, Some((0, 3)), Some((0, 7)), Some((1, 0))]);
    }

    #[test]
    fn a_warning_is_no_error() {
        let mut sink = Sink::new();
        sink.push(Diagnostic::warning(codes::syntax::UNEXPECTED, "x"));
        assert!(!sink.has_errors());
    }
}
