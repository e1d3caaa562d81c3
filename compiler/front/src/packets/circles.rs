//! What extensions do to the circles of the parse graph.
//!
//! Headers of a circle are counted together, and only so many are passed in a row. So that what a program finds without extensions is found
//! with them, they join no two circles, and those of a circle are not passed less often for a header that comes into it.

use std::collections::BTreeSet;

use oko_diagnostics::Span;

use super::graph::{Ahead, arms, limit, reachable_by};
use crate::hir::{HeaderId, NextArm, Program};

/// What a line of an extension does to a circle of headers that are there without extensions.
pub(crate) enum Change<'p> {
    /// Headers that did not lead to one another do so by this line behind `header`.
    Joined { header: HeaderId, line: &'p NextArm },
    /// By this header, which says so, those of its circle are passed less often than so many times.
    Shortened { header: HeaderId, times: u8 },
}

/// How many lines are looked at one after the other to find those that are to blame.
const MAX_BLAMED: usize = 100;

/// The circles that extensions change, so that headers would not be passed any more that are without them.
pub(crate) fn changed(program: &Program) -> Vec<Change<'_>> {
    let lines: Vec<(HeaderId, &NextArm)> = ((0..program.headers.len()).map(HeaderId::from_index))
        .flat_map(|header| arms(program, header).map(move |line| (header, line)))
        .filter(|(_, line)| line.extends && !line.tunnel)
        .collect();
    let mut before = Before {
        headers: program
            .root
            .map(|root| reachable_by(program, root, |line| !line.extends))
            .unwrap_or_default(),
        ahead: Ahead::new(program, |line| !line.extends && !line.tunnel),
    };
    let found = before.changes(program, &lines, |_| true);
    if !found.iter().any(|change| matches!(change, Change::Joined { .. })) {
        return found;
    }
    // One line can make others look as if they did it: those that do are left out, one by one.
    let mut counting: Vec<Span> = Vec::new();
    let mut found = Vec::new();
    for line in lines.iter().take(MAX_BLAMED) {
        counting.push(line.1.span);
        let changes = before.changes(program, &[*line], |line| counting.contains(&line.span));
        if !changes.is_empty() {
            counting.pop();
        }
        found.extend(changes);
    }
    found
}

/// What there is without extensions.
struct Before<'p> {
    /// The headers that packets can have, those in tunnels among them.
    headers: BTreeSet<HeaderId>,
    /// What leads to what outside of tunnels.
    ahead: Ahead<'p, fn(&NextArm) -> bool>,
}

impl<'p> Before<'p> {
    /// What some lines of extensions change where those count that `counts` says.
    fn changes(
        &mut self,
        program: &'p Program,
        lines: &[(HeaderId, &'p NextArm)],
        counts: impl Fn(&NextArm) -> bool,
    ) -> Vec<Change<'p>> {
        let mut ahead = Ahead::new(program, |line| !line.tunnel && (!line.extends || counts(line)));
        let mut found = Vec::new();
        for &(header, line) in lines {
            if !ahead.leads(line.header, header) {
                continue;
            }
            let circle = ahead.circle(header);
            let known: BTreeSet<HeaderId> = circle.intersection(&self.headers).copied().collect();
            let Some(first) = known.first() else { continue };
            if !known.is_subset(&self.ahead.circle(*first)) {
                found.push(Change::Joined { header, line });
                continue;
            }
            let times = limit(program, &known);
            let less = circle.iter().find(|header| program.headers[header.index()].repeat.is_some());
            if let Some(less) = less.filter(|_| limit(program, &circle) < times) {
                found.push(Change::Shortened { header: *less, times });
            }
        }
        found
    }
}
