//! Long lines, cut to what is near the places that a diagnostic points at.
//!
//! A program in one line of a megabyte is read like any other, and nobody wants that line in a message. What is shown in its place says `…` where
//! something was left out; places are told as they are in the file.

use crate::{Diagnostic, FileId, Label, SourceFile, SourceMap, Span};

/// Lines of more bytes are cut.
const LONG: usize = 400;
/// How many bytes around a place are kept.
const AROUND: usize = 60;
/// What stands for what was left out.
const GAP: &str = "…";

/// A diagnostic with its sources, both cut.
pub(crate) struct Cut {
    pub(crate) diagnostic: Diagnostic,
    pub(crate) sources: SourceMap,
    /// The places of labels: as they are in the cut text, as they are in the file.
    pub(crate) places: Vec<(String, String)>,
}

/// What to show of a diagnostic that points into long lines; `None` where it does not.
pub(crate) fn long_lines(diagnostic: &Diagnostic, sources: &SourceMap) -> Option<Cut> {
    let is_long = |label: &Label| {
        let Some(file) = sources.get(label.span.file) else { return false };
        let long = |offset| file.line(file.location(offset).line).is_some_and(|line| line.len() > LONG);
        long(label.span.start) || long(label.span.end)
    };
    if !diagnostic.labels.iter().any(is_long) {
        return None;
    }
    let mut cut = Cut { diagnostic: diagnostic.clone(), sources: SourceMap::new(), places: Vec::new() };
    for (id, file) in sources.files() {
        let labels = || diagnostic.labels.iter().filter(move |label| label.span.file == id);
        let mut marks: Vec<u32> = labels().flat_map(|label| [label.span.start, label.span.end]).collect();
        marks.sort_unstable();
        marks.dedup();
        // Files that nothing points at are not shown.
        let (text, moved) =
            if marks.is_empty() { (String::new(), Vec::new()) } else { cut_file(file, &marks) };
        cut.sources.add(file.name(), text)?;
        let moved = |offset: u32| marks.binary_search(&offset).map_or(0, |at| moved[at]);
        for label in cut.diagnostic.labels.iter_mut().filter(|label| label.span.file == id) {
            label.span = Span { start: moved(label.span.start), end: moved(label.span.end), ..label.span };
        }
    }
    for (before, after) in diagnostic.labels.iter().zip(&cut.diagnostic.labels) {
        let shown = |sources: &SourceMap, span: Span| place(sources, span.file, span.start);
        cut.places.push((shown(&cut.sources, after.span)?, shown(sources, before.span)?));
    }
    Some(cut)
}

/// A place as the heads of excerpts have it.
fn place(sources: &SourceMap, file: FileId, offset: u32) -> Option<String> {
    let file = sources.get(file)?;
    let location = file.location(offset);
    Some(format!("{}:{}:{} ", file.name(), location.line, location.column))
}

/// The text with its long lines cut around the marks, which are sorted, and where each mark is then.
fn cut_file(file: &SourceFile, marks: &[u32]) -> (String, Vec<u32>) {
    let text = file.text();
    let boundary = |mut offset: usize| {
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let (mut out, mut moved, mut start) = (String::new(), Vec::new(), 0);
    let mut marks = marks.iter().map(|mark| boundary((*mark as usize).min(text.len()))).peekable();
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let content = start + line.trim_end_matches(['\n', '\r']).len();
        // How far the line has been written.
        let mut written = start;
        while let Some(mark) = marks.next_if(|mark| *mark < end) {
            let from =
                if line.len() > LONG { boundary(mark.saturating_sub(AROUND).max(start)) } else { start };
            if from > written {
                out += GAP;
                written = from;
            }
            // What stands between two marks that are near is written once.
            if mark > written {
                out += &text[written..mark];
                written = mark;
            }
            moved.push(out.len() as u32);
            if line.len() > LONG {
                // Up to the next mark at most, which is written in its turn.
                let next = marks.peek().map_or(content, |next| (*next).min(content));
                let to = boundary((mark + AROUND).min(next)).max(written);
                out += &text[written..to];
                written = to;
            }
        }
        if line.len() <= LONG {
            out += &text[written..end];
        } else {
            if written < content {
                out += GAP;
            }
            out += &text[content.max(written)..end];
        }
        start = end;
    }
    moved.extend(marks.map(|_| out.len() as u32));
    (out, moved)
}

/// The words of a message, cut where they quote a text without end.
pub(crate) fn words(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}{GAP}", &text[..end]).into(),
        None => text.into(),
    }
}
