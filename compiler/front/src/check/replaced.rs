//! Warnings of `#[first]` lines that take what a filter asks for.
//!
//! Such a line is looked at in front of a header's own, and whoever writes it knows of some packets that are sent differently. Where it leaves
//! nothing to a line of the header, arms that were written for that one are silently without packets. It is told of only if an arm loses
//! some: one that names what followed directly behind the header, or one that begins with a header that was found behind the old line and
//! is not behind the new one.

use oko_diagnostics::codes::packets;
use oko_diagnostics::{Diagnostic, Span};

use super::Checker;
use crate::hir::{HeaderId, NextArm};
use crate::packets::graph;

/// A header's own line to which `#[first]` lines leave nothing.
pub(super) struct Replaced {
    /// Whose line it is.
    of: HeaderId,
    /// The header's own line.
    own: Line,
    /// The `#[first]` line that takes its packets; the first of them if it takes several.
    line: Line,
}

/// Where a line leads.
struct Line {
    header: HeaderId,
    tunnel: bool,
    span: Span,
}

impl Line {
    fn of(arm: &NextArm) -> Line {
        Line { header: arm.header, tunnel: arm.tunnel, span: arm.span }
    }
}

impl Replaced {
    pub(super) fn new(of: HeaderId, own: &NextArm, line: &NextArm) -> Replaced {
        Replaced { of, own: Line::of(own), line: Line::of(line) }
    }
}

impl Checker<'_, '_> {
    /// Remembers the headers of an arm, and where each is named.
    pub(super) fn note_asked(&mut self, chain: &[HeaderId], places: &[Span]) {
        let before = [None].into_iter().chain(chain.iter().copied().map(Some));
        for ((before, header), place) in before.zip(chain).zip(places) {
            self.asked.entry((before, *header)).or_insert(*place);
        }
    }

    /// Warns of lines that take what an arm asks for.
    pub(super) fn replaced_lines(&mut self) {
        for replaced in std::mem::take(&mut self.replaced) {
            let Some((lost, asked)) = self.lost(&replaced) else { continue };
            let name = |id: HeaderId| &self.program.headers[id.index()].name;
            let (of, lost, new) = (name(replaced.of), name(lost), name(replaced.line.header));
            let diagnostic = Diagnostic::warning(
                packets::TAKES_ASKED,
                format!("this line takes packets in which `{lost}` is asked for"),
            )
            .label(replaced.line.span, format!("looked at in front of the lines of `{of}`"))
            .label(replaced.own.span, "no packet is left for this one")
            .label(asked, "asked for here")
            .help(format!("let the line take fewer packets, or ask for `{new}` in place of `{lost}`"));
            self.report(diagnostic);
        }
    }

    /// A header that an arm no longer finds where it was, and where the arm names it.
    fn lost(&self, Replaced { of, own, line }: &Replaced) -> Option<(HeaderId, Span)> {
        let program = &self.program;
        // Extension headers may stand between two layers of an arm.
        let still_behind = line.header == own.header
            || (program.headers[line.header.index()].extension
                && graph::followers(program, line.header).contains(&own.header));
        let behind = self.asked.get(&(Some(*of), own.header)).filter(|_| !still_behind);
        if let Some(place) = behind {
            return Some((own.header, *place));
        }
        if own.tunnel {
            return None;
        }
        let old = graph::reachable(program, own.header);
        let new = if line.tunnel { None } else { Some(graph::reachable(program, line.header)) };
        let lost = old.iter().filter(|header| new.as_ref().is_none_or(|new| !new.contains(header)));
        lost.copied().find_map(|header| Some((header, *self.asked.get(&(None, header))?)))
    }
}
