//! Warnings of `#[first]` lines that take what a filter asks for.
//!
//! Such a line is looked at in front of a header's own, and whoever writes it knows of some packets that are sent differently. Where it leaves
//! nothing to a line of the header, arms that were written for that one are silently without packets. It is told of only if an arm loses
//! some: one that names what followed directly behind the header, or one that begins with a header that was found behind the old line and
//! is not behind the new one.

use oko_diagnostics::codes::packets;
use oko_diagnostics::{Diagnostic, Span};

use super::Checker;
use crate::hir::{HeaderId, Next, NextArm};
use crate::packets::graph;

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
        let ids = (0..self.program.headers.len()).map(HeaderId::from_index);
        let found: Vec<Diagnostic> = ids.flat_map(|of| self.replaced_of(of)).collect();
        for diagnostic in found {
            self.report(diagnostic);
        }
    }

    /// A warning for each of a header's own lines to which `#[first]` lines leave nothing that an arm asks for.
    fn replaced_of(&self, of: HeaderId) -> Vec<Diagnostic> {
        let Some(next) = &self.program.headers[of.index()].next else { return Vec::new() };
        let first = next.arms.iter().take_while(|line| line.extends).count();
        if first == 0 {
            return Vec::new();
        }
        let own = (first..next.arms.len()).take_while(|at| !next.arms[*at].extends);
        own.filter_map(|at| self.takes_asked(of, &next.arms[at], self.replacing(of, next, first, at)?))
            .collect()
    }

    /// The `#[first]` line, or the first of several, that leaves nothing to the header's own line at `at`; so many stand in front.
    fn replacing<'n>(&self, of: HeaderId, next: &'n Next, first: usize, at: usize) -> Option<&'n NextArm> {
        let own = &next.arms[at];
        let near = || next.arms[..first].iter().filter(|other| other.overlaps(own));
        near().next()?;
        // To a line that the header's others leave nothing, none can be taken.
        if self.taken(of, &next.by, own, &next.arms[first..at]).is_some() {
            return None;
        }
        let place = self.taken(of, &next.by, own, &next.arms[..at])?;
        near().find(|other| other.span == place).or_else(|| near().next())
    }

    /// That `line` leaves nothing to a header's own one, if an arm asks for what followed there.
    fn takes_asked(&self, of: HeaderId, own: &NextArm, line: &NextArm) -> Option<Diagnostic> {
        let (lost, asked) = self.lost(of, own, line)?;
        let name = |id: HeaderId| &self.program.headers[id.index()].name;
        let (of, lost, new) = (name(of), name(lost), name(line.header));
        let diagnostic = Diagnostic::warning(
            packets::TAKES_ASKED,
            format!("this line takes packets in which `{lost}` is asked for"),
        )
        .label(line.span, format!("looked at in front of the lines of `{of}`"))
        .label(own.span, "no packet is left for this one")
        .label(asked, "asked for here")
        .help(format!("let the line take fewer packets, or ask for `{new}` in place of `{lost}`"));
        Some(diagnostic)
    }

    /// A header that an arm no longer finds where it was, and where the arm names it.
    fn lost(&self, of: HeaderId, own: &NextArm, line: &NextArm) -> Option<(HeaderId, Span)> {
        let program = &self.program;
        // Extension headers may stand between two layers of an arm.
        let still_behind = line.header == own.header
            || (program.headers[line.header.index()].extension
                && graph::followers(program, line.header).contains(&own.header));
        let behind = self.asked.get(&(Some(of), own.header)).filter(|_| !still_behind);
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
