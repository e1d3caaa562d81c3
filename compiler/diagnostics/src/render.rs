//! Renders diagnostics as text with source excerpts.

use std::collections::HashMap;
use std::fmt;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};

use crate::{Diagnostic, FileId, Severity, SourceMap, Span};

/// Whether rendered text has terminal colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// ANSI escape sequences.
    Ansi,
    /// Plain text.
    None,
}

/// One diagnostic as text that ends in a line break. To render many, [`render_all`] is cheaper.
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, colour: Colour) -> String {
    render_all(std::slice::from_ref(diagnostic), sources, colour)
}

/// The diagnostics one after another, as text.
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, colour: Colour) -> String {
    let mut cache = Cache { sources, lines: HashMap::new() };
    let mut out = Vec::new();
    for diagnostic in diagnostics {
        write_one(diagnostic, &mut cache, colour, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn write_one(diagnostic: &Diagnostic, cache: &mut Cache<'_>, colour: Colour, out: &mut Vec<u8>) {
    let (kind, primary) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let Some(place) = diagnostic.span().and_then(|span| cache.place(span)) else {
        return write_placeless(diagnostic, out);
    };
    let config = Config::default()
        .with_index_type(IndexType::Byte)
        .with_char_set(CharSet::Unicode)
        .with_color(colour == Colour::Ansi);
    let mut report = Report::build(kind, place)
        .with_config(config)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.headline);
    for (order, label) in diagnostic.labels.iter().enumerate() {
        let Some(place) = cache.place(label.span) else { continue };
        let colour = if order == 0 { primary } else { Color::Blue };
        report = report.with_label(
            Label::new(place).with_message(&label.text).with_color(colour).with_order(order as i32),
        );
    }
    for note in &diagnostic.notes {
        report = report.with_note(note);
    }
    for help in diagnostic.help.iter().chain(diagnostic.suggestion.as_ref().map(|s| &s.text)) {
        report = report.with_help(help);
    }
    // Writing to a vector cannot fail; a failing cache would only leave this report out.
    let _ = report.finish().write(cache, out);
}

/// The form for findings about no source text.
fn write_placeless(diagnostic: &Diagnostic, out: &mut Vec<u8>) {
    let kind = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let mut text = format!("[{}] {kind}: {}\n", diagnostic.code, diagnostic.headline);
    for note in &diagnostic.notes {
        text += &format!("  Note: {note}\n");
    }
    if let Some(help) = &diagnostic.help {
        text += &format!("  Help: {help}\n");
    }
    out.extend_from_slice(text.as_bytes());
}

/// A span that lies in its file, on character boundaries.
#[derive(Clone, PartialEq)]
struct Place {
    file: FileId,
    start: usize,
    end: usize,
}

impl ariadne::Span for Place {
    type SourceId = FileId;

    fn source(&self) -> &FileId {
        &self.file
    }

    fn start(&self) -> usize {
        self.start
    }

    fn end(&self) -> usize {
        self.end
    }
}

/// The sources split into lines, each when it is first needed.
struct Cache<'a> {
    sources: &'a SourceMap,
    lines: HashMap<FileId, Source<&'a str>>,
}

impl Cache<'_> {
    /// The span cut to its file; `None` where there is no such file.
    fn place(&self, span: Span) -> Option<Place> {
        let text = self.sources.get(span.file)?.text();
        let floor = |offset: u32| {
            let mut offset = (offset as usize).min(text.len());
            while !text.is_char_boundary(offset) {
                offset -= 1;
            }
            offset
        };
        Some(Place { file: span.file, start: floor(span.start), end: floor(span.end) })
    }
}

impl<'a> ariadne::Cache<FileId> for Cache<'a> {
    type Storage = &'a str;

    fn fetch(&mut self, id: &FileId) -> Result<&Source<&'a str>, impl fmt::Debug> {
        match self.sources.get(*id) {
            Some(file) => Ok(self.lines.entry(*id).or_insert_with(|| Source::from(file.text()))),
            None => Err(format!("no source file {}", id.0)),
        }
    }

    fn display<'b>(&self, id: &'b FileId) -> Option<impl fmt::Display + 'b> {
        self.sources.get(*id).map(|file| file.name().to_owned())
    }
}
