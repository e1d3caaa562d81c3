//! What goes to the terminal, with colours where it is one.

use std::io::{IsTerminal, Write};

use miette::{GraphicalReportHandler, GraphicalTheme};
use oko_diagnostics::{Colour, Diagnostic, SourceMap, json, render_all};

use crate::args::{Color, ErrorFormat};
use crate::error::Error;

/// How to print.
#[derive(Debug)]
pub(crate) struct Terminal {
    color_on_stderr: bool,
    json: bool,
}

/// The most diagnostics of a program that are shown to people.
const MOST_SHOWN: usize = 100;

impl Terminal {
    pub(crate) fn new(color: Color, format: ErrorFormat) -> Terminal {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let color_on_stderr = match color {
            Color::Auto => wanted && std::io::stderr().is_terminal(),
            Color::Always => true,
            Color::Never => false,
        };
        Terminal { color_on_stderr, json: format == ErrorFormat::Json }
    }

    /// Prints diagnostics with their source places to stderr.
    pub(crate) fn diagnostics(&self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        let colour = if self.color_on_stderr { Colour::Ansi } else { Colour::None };
        let text = if self.json {
            json(diagnostics, sources)
        } else if diagnostics.len() <= MOST_SHOWN {
            render_all(diagnostics, sources, colour)
        } else {
            // Nobody reads so many; errors come first.
            let (errors, warnings): (Vec<_>, Vec<_>) = diagnostics.iter().partition(|found| found.is_error());
            let shown: Vec<Diagnostic> =
                errors.into_iter().chain(warnings).take(MOST_SHOWN).cloned().collect();
            let more = diagnostics.len() - shown.len();
            render_all(&shown, sources, colour) + &format!("and {more} more errors and warnings\n")
        };
        // Nobody is left to be told of a closed stderr.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Prints an error to stderr.
    pub(crate) fn report(&self, error: Error) {
        let theme =
            if self.color_on_stderr { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut text = String::new();
        let report = miette::Report::new(error);
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text = format!("{report}\n");
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Prints to stdout.
    pub(crate) fn print(&self, text: &str) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Error::Output { error })
    }

    /// Prints a note for people to stderr.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
