//! Renders diagnostics as text with source excerpts.

use std::collections::HashMap;
use std::fmt;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};

use crate::cut::{Cut, long_lines, words};
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
        match long_lines(diagnostic, sources) {
            Some(cut) => write_cut(&cut, colour, &mut out),
            None => write_one(diagnostic, &mut cache, colour, &mut out),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes a diagnostic whose lines were cut, with its places as they are in the file.
fn write_cut(cut: &Cut, colour: Colour, out: &mut Vec<u8>) {
    let mut cache = Cache { sources: &cut.sources, lines: HashMap::new() };
    let mut shown = Vec::new();
    write_one(&cut.diagnostic, &mut cache, colour, &mut shown);
    for line in String::from_utf8_lossy(&shown).split_inclusive('\n') {
        let head = without_colour(line)
            .contains("─[")
            .then(|| cut.places.iter().find(|(place, _)| line.contains(place)));
        let line = match head.flatten() {
            Some((place, meant)) => line.replace(place, meant),
            None => line.to_owned(),
        };
        out.extend_from_slice(line.as_bytes());
    }
}

/// The text without the escape sequences that colour it.
fn without_colour(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or(piece, |(_, rest)| rest))
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
        .with_index_type(IndexType::Char)
        .with_char_set(CharSet::Unicode)
        .with_color(colour == Colour::Ansi);
    let mut before = (place.excerpt, 0);
    let mut report = Report::build(kind, place)
        .with_config(config)
        .with_code(diagnostic.code)
        .with_message(words(&diagnostic.headline));
    for (order, label) in diagnostic.labels.iter().enumerate() {
        let Some(mut place) = cache.place(label.span) else { continue };
        // Excerpts have the place of their own first label in their head, as long as each is a source of its own.
        let line = cache.sources.get(label.span.file).map_or(0, |file| file.location(label.span.end).line);
        let (excerpt, line_before) = before;
        place.excerpt = if excerpt.0 == label.span.file && line_before <= line {
            excerpt
        } else {
            (label.span.file, order as u32)
        };
        before = (place.excerpt, line);
        let colour = if order == 0 { primary } else { Color::Blue };
        report = report.with_label(
            Label::new(place).with_message(words(&label.text)).with_color(colour).with_order(order as i32),
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

/// What is shown of a file in one piece: the file, and the number of the label that begins it.
type Excerpt = (FileId, u32);

/// A span that lies in its file, in characters.
#[derive(Clone, PartialEq)]
struct Place {
    excerpt: Excerpt,
    start: usize,
    end: usize,
}

impl ariadne::Span for Place {
    type SourceId = Excerpt;

    fn source(&self) -> &Excerpt {
        &self.excerpt
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

impl<'a> Cache<'a> {
    fn lines(&mut self, id: FileId) -> Option<&Source<&'a str>> {
        let file = self.sources.get(id)?;
        Some(self.lines.entry(id).or_insert_with(|| Source::from(file.text())))
    }

    /// The span cut to its file; `None` where there is no such file.
    fn place(&mut self, span: Span) -> Option<Place> {
        let text = self.sources.get(span.file)?.text();
        let lines = self.lines(span.file)?;
        // Characters are counted from the start of the line, so that long files cost nothing.
        let characters = |offset: u32| {
            let mut offset = (offset as usize).min(text.len());
            while !text.is_char_boundary(offset) {
                offset -= 1;
            }
            match lines.get_byte_line(offset) {
                Some((line, _, column)) => {
                    let before = text.get(offset - column..offset).unwrap_or_default();
                    line.offset() + before.chars().count()
                }
                None => text.chars().count(),
            }
        };
        let (start, end) = (characters(span.start), characters(span.end));
        Some(Place { excerpt: (span.file, 0), start, end })
    }
}

impl<'a> ariadne::Cache<Excerpt> for Cache<'a> {
    type Storage = &'a str;

    fn fetch(&mut self, id: &Excerpt) -> Result<&Source<&'a str>, impl fmt::Debug> {
        let file = id.0;
        self.lines(file).ok_or_else(|| format!("no source file {}", file.0))
    }

    fn display<'b>(&self, id: &'b Excerpt) -> Option<impl fmt::Display + 'b> {
        self.sources.get(id.0).map(|file| file.name().to_owned())
    }
}
