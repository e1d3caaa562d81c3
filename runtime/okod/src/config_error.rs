//! What is wrong with a configuration, with its place in the file.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Its content is wrong.
    #[error("{}", headline(.findings, .source_code.name()))]
    Invalid {
        /// The file's text.
        source_code: Box<NamedSource<String>>,
        /// What is wrong: at least one finding.
        findings: Vec<Finding>,
    },
}

impl ConfigError {
    pub(crate) fn invalid(name: &str, text: &str, findings: Vec<Finding>) -> Self {
        let source_code = NamedSource::new(name, text.to_owned()).with_language("toml");
        Self::Invalid { source_code: Box::new(source_code), findings }
    }

    /// What is wrong in the file, in its order; empty if it could not be read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { findings, .. } => findings,
        }
    }
}

fn headline(findings: &[Finding], name: &str) -> String {
    match findings {
        [one] => format!("{name}: {one}"),
        more => format!("{name}: {} errors", more.len()),
    }
}

impl Diagnostic for ConfigError {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::Read { .. } => None,
            Self::Invalid { source_code, .. } => Some(&**source_code),
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.findings() {
            [one] => one.labels(),
            _ => None,
        }
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        match self {
            Self::Read { .. } => Some(Box::new("give another file with --config")),
            Self::Invalid { findings, .. } => match findings.as_slice() {
                [one] => one.help(),
                _ => None,
            },
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.findings() {
            [] | [_] => None,
            more => Some(Box::new(more.iter().map(|finding| finding as &dyn Diagnostic))),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Finding {
    what: String,
    place: Range<usize>,
    help: String,
    other: Option<(Range<usize>, &'static str)>,
}

impl Finding {
    pub(crate) fn new(place: Range<usize>, what: String, help: impl Into<String>) -> Self {
        Self { what, place, help: help.into(), other: None }
    }

    /// Adds a second place that explains the first.
    pub(crate) fn beside(mut self, place: Range<usize>, label: &'static str) -> Self {
        self.other = Some((place, label));
        self
    }

    /// What the TOML reader found: bad syntax, an unknown or missing key, a value of the wrong type.
    pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().unwrap_or(0..text.len().min(1));
        let message = error.message();
        let Some((key, known)) = unknown_key(message) else {
            return Self::new(place, message.trim().replace('\n', ", "), "");
        };
        let nearest = known
            .iter()
            .map(|name| (strsim::damerau_levenshtein(key, name), *name))
            .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
            .min();
        let help = match nearest {
            Some((_, name)) => format!("did you mean `{name}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        Self::new(place, format!("unknown key `{key}`"), help)
    }

    /// Where it is, in bytes of the file.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

/// Splits serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

impl Diagnostic for Finding {
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let here = LabeledSpan::new_primary_with_span(Some(String::from("here")), self.place.clone());
        let other = self
            .other
            .as_ref()
            .map(|(place, label)| LabeledSpan::new_with_span(Some((*label).to_owned()), place.clone()));
        Some(Box::new(other.into_iter().chain([here])))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        (!self.help.is_empty()).then(|| Box::new(&self.help) as Box<dyn std::fmt::Display>)
    }
}
