//! Parts of a flow's text that know where they stand in it.

use std::ops::Range;

use crate::error::{FlowError, FlowProblem};

/// A part of the text. Every error about it can mark it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The whole text.
    whole: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Piece<'a> {
    pub(crate) fn whole(text: &'a str) -> Piece<'a> {
        Piece { whole: text, start: 0, end: text.len() }
    }

    pub(crate) fn text(self) -> &'a str {
        &self.whole[self.start..self.end]
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn span(self) -> Range<usize> {
        self.start..self.end
    }

    /// The part at `range`, counted from this part's start.
    fn at(self, range: Range<usize>) -> Piece<'a> {
        Piece { whole: self.whole, start: self.start + range.start, end: self.start + range.end }
    }

    /// The place behind the part.
    pub(crate) fn end(self) -> Piece<'a> {
        Piece { start: self.end, ..self }
    }

    pub(crate) fn trim(self) -> Piece<'a> {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.at(start..start + text.trim().len())
    }

    pub(crate) fn split_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let at = self.text().find(separator)?;
        Some((self.at(0..at), self.at(at + separator.len_utf8()..self.text().len())))
    }

    pub(crate) fn split_once_str(self, separator: &str) -> Option<(Piece<'a>, Piece<'a>)> {
        let at = self.text().find(separator)?;
        Some((self.at(0..at), self.at(at + separator.len()..self.text().len())))
    }

    /// `name(arguments)` into both; `None` without a parenthesis at the end.
    pub(crate) fn call(self) -> Option<(Piece<'a>, Piece<'a>)> {
        let text = self.text();
        let open = text.find('(')?;
        text.ends_with(')').then(|| (self.at(0..open), self.at(open + 1..text.len() - 1)))
    }

    /// The parts between commas and white space that are in no parentheses; empty ones left out.
    pub(crate) fn list(self) -> Vec<Piece<'a>> {
        let mut out = Vec::new();
        let (mut depth, mut start) = (0_usize, 0);
        for (at, c) in self.text().char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ if depth == 0 && (c == ',' || c.is_whitespace()) => {
                    out.push(self.at(start..at));
                    start = at + c.len_utf8();
                }
                _ => {}
            }
        }
        out.push(self.at(start..self.text().len()));
        out.retain(|piece| !piece.is_empty());
        out
    }

    /// Cuts off `actions=…`, which runs to the end. The conditions and, if given, the actions.
    pub(crate) fn split_actions(self) -> (Piece<'a>, Option<Piece<'a>>) {
        let text = self.text();
        let starts = ["actions=", "action="].iter().flat_map(|key| {
            text.match_indices(key).filter_map(|(at, _)| {
                let before = text[..at].chars().next_back();
                before.is_none_or(|c| c == ',' || c.is_whitespace()).then_some((at, key.len()))
            })
        });
        match starts.min() {
            Some((at, len)) => (self.at(0..at), Some(self.at(at + len..text.len()))),
            None => (self, None),
        }
    }

    pub(crate) fn error(self, problem: FlowProblem) -> FlowError {
        FlowError::new(self.whole, self.span(), problem)
    }
}
