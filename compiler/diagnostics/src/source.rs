//! Files, spans, and the way from a byte offset to a line and column.
//!
//! Offsets are bytes from the start of a file's UTF-8 text. A file longer than `u32::MAX` bytes is refused when it is
//! added, so an offset always fits.

use std::sync::Arc;

/// One source file of a [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileId(pub u32);

/// A half-open range of bytes, `start..end`, of one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// The file that the offsets count in.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`.
    pub fn new(file: FileId, start: u32, end: u32) -> Self {
        Span { file, start, end: end.max(start) }
    }

    /// The smallest span that holds both; `other` must be of the same file, or it is ignored.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span at the start of this one: where a suggestion inserts before it.
    #[must_use]
    pub fn at_start(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty span at the end of this one: where a suggestion inserts after it.
    #[must_use]
    pub fn at_end(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// True where the span covers no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The span as a range of `usize`, to slice the file's text with.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place for people: both count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters (not bytes), from 1.
    pub column: u32,
}

/// The name and text of one file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: Arc<str>,
    text: Arc<str>,
    /// Offsets of the first byte of each line; the first is 0.
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// The name shown in messages: a path, or a module such as `std.net`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset; an offset beyond the text is taken as its end, one inside a character as the
    /// start of that character.
    pub fn location(&self, offset: u32) -> Location {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|&start| start as usize <= offset) - 1;
        let start = self.line_starts[line] as usize;
        let column = self.text[start..offset].chars().count();
        Location { line: line as u32 + 1, column: column as u32 + 1 }
    }

    /// The text of a line, counted from 1, without its line break.
    pub fn line(&self, line: u32) -> Option<&str> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.line_starts.get(index)? as usize;
        let end = self.line_starts.get(index + 1).map_or(self.text.len(), |&next| next as usize);
        Some(self.text[start..end].trim_end_matches(['\n', '\r']))
    }
}

/// All files of a compilation.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// A map without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. `None` where the text is longer than `u32::MAX` bytes, which no offset could reach.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Option<FileId> {
        let text = text.into();
        u32::try_from(text.len()).ok()?;
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at as u32 + 1)).collect();
        let id = FileId(u32::try_from(self.files.len()).ok()?);
        self.files.push(SourceFile { name: name.into(), text, line_starts });
        Some(id)
    }

    /// The file with this id; `None` where the id is of another map.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files in the order they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(at, file)| (FileId(at as u32), file))
    }

    /// The source text that a span covers; `None` where it does not lie in its file on character boundaries.
    pub fn snippet(&self, span: Span) -> Option<&str> {
        self.get(span.file)?.text.get(span.range())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_in_lines_and_characters() {
        let mut map = SourceMap::new();
        let id = map.add("a.oko", "one\nzwö x\n").unwrap();
        let file = map.get(id).unwrap();
        let places = [
            (0, 1, 1),
            (2, 1, 3),
            (3, 1, 4),
            (4, 2, 1),
            (6, 2, 3),
            (7, 2, 3),
            (8, 2, 4),
            (9, 2, 5),
            (99, 3, 1),
        ];
        for (offset, line, column) in places {
            assert_eq!(file.location(offset), Location { line, column }, "offset {offset}");
        }
        assert_eq!(file.line(2), Some("zwö x"));
        assert_eq!(file.line(0), None);
        assert_eq!(map.snippet(Span::new(id, 4, 8)), Some("zwö"));
        assert_eq!(map.snippet(Span::new(id, 4, 7)), None);
    }
}
