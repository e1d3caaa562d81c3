//! The parse graph: which headers lead to which.
//!
//! An edge is a line of a `next by`, or one that an `extend` adds to it. Headers that lead back to themselves form a *circle*: VLAN tags, MPLS labels, extension headers of
//! IPv6. At most so many headers of a circle are passed in a row as one of them declares (`#[repeat(max = 8)]`), or [`MAX_REPEAT`].
//!
//! An edge marked `#[tunnel]` leads into a packet within the packet. Circles do not go through tunnels, and what is behind one is looked
//! at only by arms that name the headers in front of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use oko_diagnostics::Span;

use crate::hir::{HeaderId, NextArm, Program};

/// How many headers of a circle are passed in a row where none of them says how many: two VLAN tags are understood, a third
/// one is not looked behind.
pub(crate) const MAX_REPEAT: u8 = 2;

/// All lines that say what follows a header.
fn arms(program: &Program, of: HeaderId) -> impl Iterator<Item = &NextArm> {
    program.headers[of.index()].next.iter().flat_map(|next| &next.arms)
}

/// All headers that a packet beginning with `from` can have outside of tunnels, `from` among them.
pub(crate) fn reachable(program: &Program, from: HeaderId) -> BTreeSet<HeaderId> {
    reachable_by(program, from, |arm| !arm.tunnel)
}

/// All headers that some lines lead to, `from` among them.
fn reachable_by(program: &Program, from: HeaderId, counts: impl Fn(&NextArm) -> bool) -> BTreeSet<HeaderId> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(header) = open.pop() {
        for arm in arms(program, header).filter(|arm| counts(arm)) {
            if found.insert(arm.header) {
                open.push(arm.header);
            }
        }
    }
    found
}

/// The headers that can stand behind `header` in an arm: those that follow it directly, or behind extensions.
pub(crate) fn followers(program: &Program, header: HeaderId) -> BTreeSet<HeaderId> {
    let mut found = BTreeSet::new();
    let mut open = vec![header];
    while let Some(header) = open.pop() {
        for arm in arms(program, header) {
            if found.insert(arm.header) && program.headers[arm.header.index()].extension {
                open.push(arm.header);
            }
        }
    }
    found
}

/// The headers between two, by the shortest way that `next by` allows, without extensions if there is one; `None` if there is none.
pub(crate) fn shortest(program: &Program, from: HeaderId, to: HeaderId) -> Option<Vec<HeaderId>> {
    shortest_by(program, from, to, |arm| !arm.extends).or_else(|| shortest_by(program, from, to, |_| true))
}

fn shortest_by(
    program: &Program,
    from: HeaderId,
    to: HeaderId,
    counts: impl Fn(&NextArm) -> bool,
) -> Option<Vec<HeaderId>> {
    let mut before: Vec<Option<HeaderId>> = vec![None; program.headers.len()];
    let mut waiting = VecDeque::from([from]);
    while let Some(header) = waiting.pop_front() {
        for arm in arms(program, header).filter(|arm| counts(arm)) {
            if before[arm.header.index()].is_some() {
                continue;
            }
            before[arm.header.index()] = Some(header);
            if arm.header == to {
                let mut way = Vec::new();
                let mut at = header;
                while at != from {
                    way.push(at);
                    at = before[at.index()]?;
                }
                way.reverse();
                return Some(way);
            }
            waiting.push_back(arm.header);
        }
    }
    None
}

/// How often headers of a circle are passed in a row.
fn limit<'h>(program: &Program, circle: impl Iterator<Item = &'h HeaderId>) -> u8 {
    circle.filter_map(|header| program.headers[header.index()].repeat).max().unwrap_or(MAX_REPEAT)
}

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
pub(crate) fn changed_circles(program: &Program) -> Vec<Change<'_>> {
    let ids = || (0..program.headers.len()).map(HeaderId::from_index);
    let lines: Vec<(HeaderId, &NextArm)> = ids()
        .flat_map(|header| arms(program, header).map(move |line| (header, line)))
        .filter(|(_, line)| line.extends && !line.tunnel)
        .collect();
    let before = Before::new(program);
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

/// What leads to what without extensions.
struct Before {
    /// For each header that packets can have, the headers behind it outside of tunnels.
    ahead: BTreeMap<HeaderId, BTreeSet<HeaderId>>,
}

impl Before {
    fn new(program: &Program) -> Before {
        let known = program.root.map(|root| reachable_by(program, root, |line| !line.extends));
        let ahead = (known.into_iter().flatten())
            .map(|header| (header, reachable_by(program, header, |line| !line.extends && !line.tunnel)))
            .collect();
        Before { ahead }
    }

    fn together(&self, a: HeaderId, b: HeaderId) -> bool {
        let leads = |a, b| self.ahead.get(&a).is_some_and(|ahead| ahead.contains(&b));
        leads(a, b) && leads(b, a)
    }

    /// What some lines of extensions change where those count that `counts` says.
    fn changes<'p>(
        &self,
        program: &'p Program,
        lines: &[(HeaderId, &'p NextArm)],
        counts: impl Fn(&NextArm) -> bool,
    ) -> Vec<Change<'p>> {
        let counts = |line: &NextArm| !line.tunnel && (!line.extends || counts(line));
        let mut ahead: BTreeMap<HeaderId, BTreeSet<HeaderId>> = BTreeMap::new();
        let mut found = Vec::new();
        for &(header, line) in lines {
            for end in [header, line.header] {
                ahead.entry(end).or_insert_with(|| reachable_by(program, end, counts));
            }
            if !ahead[&line.header].contains(&header) {
                continue;
            }
            let behind: Vec<HeaderId> = ahead[&header].iter().copied().collect();
            let mut circle = Vec::new();
            for other in behind {
                let back = ahead.entry(other).or_insert_with(|| reachable_by(program, other, counts));
                if back.contains(&header) {
                    circle.push(other);
                }
            }
            let known: Vec<HeaderId> =
                circle.iter().copied().filter(|header| self.ahead.contains_key(header)).collect();
            let Some(first) = known.first() else { continue };
            if known.iter().any(|other| other != first && !self.together(*first, *other)) {
                found.push(Change::Joined { header, line });
                continue;
            }
            let times = limit(program, known.iter());
            let less = circle.iter().find(|header| program.headers[header.index()].repeat.is_some());
            if let Some(less) = less.filter(|_| limit(program, circle.iter()) < times) {
                found.push(Change::Shortened { header: *less, times });
            }
        }
        found
    }
}

/// What the search for headers asks again and again.
pub(crate) struct Graph {
    reachable: Vec<BTreeSet<HeaderId>>,
    behind_extensions: Vec<BTreeSet<HeaderId>>,
    limits: Vec<u8>,
    returns: Vec<bool>,
}

impl Graph {
    pub(crate) fn new(program: &Program) -> Graph {
        let ids: Vec<HeaderId> = (0..program.headers.len()).map(HeaderId::from_index).collect();
        let reachable: Vec<_> = ids.iter().map(|id| reachable(program, *id)).collect();
        let behind_extensions = (ids.iter())
            .map(|id| {
                let extension = program.headers[id.index()].extension;
                if extension { followers(program, *id) } else { BTreeSet::new() }
            })
            .collect();
        let limits = (ids.iter())
            .map(|id| {
                let circle = ids.iter().filter(|other| {
                    reachable[id.index()].contains(other) && reachable[other.index()].contains(id)
                });
                limit(program, circle)
            })
            .collect();
        let returns =
            ids.iter().map(|id| arms(program, *id).any(|arm| !arm.tunnel && arm.header == *id)).collect();
        Graph { reachable, behind_extensions, limits, returns }
    }

    /// All headers that can come from `header` on outside of tunnels, it among them.
    pub(crate) fn reachable(&self, header: HeaderId) -> &BTreeSet<HeaderId> {
        &self.reachable[header.index()]
    }

    /// Whether `header` is an extension and `next` can come behind it, or behind it and other extensions.
    pub(crate) fn extends_to(&self, header: HeaderId, next: HeaderId) -> bool {
        self.behind_extensions[header.index()].contains(&next)
    }

    /// Whether the headers lead to one another.
    pub(crate) fn in_circle(&self, a: HeaderId, b: HeaderId) -> bool {
        self.reachable(a).contains(&b) && self.reachable(b).contains(&a)
    }

    /// Whether a header that is a circle by itself leads back to itself.
    pub(crate) fn leads_back(&self, header: HeaderId) -> bool {
        self.returns[header.index()]
    }

    /// How many headers of the circle of `header` are passed in a row.
    pub(crate) fn limit(&self, header: HeaderId) -> u8 {
        self.limits[header.index()]
    }
}
