//! The diagnostic itself: what is wrong, where, and what to write instead.

use crate::{Code, Span};

/// How grave a diagnostic is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The program is refused.
    Error,
    /// The program is accepted; something in it is probably not meant.
    Warning,
}

/// A place and what there is to say about it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there, in the user's words.
    pub text: String,
}

/// A change of the source that mends it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Suggestion {
    /// What to replace; empty for an insertion.
    pub span: Span,
    /// The new text; empty for a deletion.
    pub replacement: String,
    /// What the change does: "write `and`".
    pub text: String,
}

/// One finding about a program. The first label is the place of the finding, the others are the places its facts
/// come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The stable code, explained at length by its [`Code::explanation`].
    pub code: Code,
    /// One sentence, no full stop at its end.
    pub headline: String,
    /// Places; the first is where the finding is.
    pub labels: Vec<Label>,
    /// Facts that have no place.
    pub notes: Vec<String>,
    /// What the user can do.
    pub help: Option<String>,
    /// A change that mends the source.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// An error without a place; add the place with [`Diagnostic::label`].
    pub fn error(code: Code, headline: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, headline.into())
    }

    /// A warning without a place; add the place with [`Diagnostic::label`].
    pub fn warning(code: Code, headline: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, headline.into())
    }

    fn new(severity: Severity, code: Code, headline: String) -> Self {
        Diagnostic {
            severity,
            code,
            headline,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
            suggestion: None,
        }
    }

    /// Adds a place. The first one added is the place of the finding.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what the user can do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Offers a change of the source: `replacement` in place of the bytes of `span`.
    #[must_use]
    pub fn suggest(mut self, span: Span, replacement: impl Into<String>, text: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion { span, replacement: replacement.into(), text: text.into() });
        self
    }

    /// The place of the finding; `None` for a finding about no source, such as a missing file.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
