//! The parse graph: which headers lead to which.
//!
//! An edge is a line of a `next by`, or one that an `extend` adds to it. Headers that lead back to themselves form a *circle*: VLAN tags, MPLS labels, extension headers of
//! IPv6. At most so many headers of a circle are passed in a row as one of them declares (`#[repeat(max = 8)]`), or [`MAX_REPEAT`].
//!
//! An edge marked `#[tunnel]` leads into a packet within the packet. Circles do not go through tunnels, and what is behind one is looked
//! at only by arms that name the headers in front of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::hir::{HeaderId, NextArm, Program};

/// How many headers of a circle are passed in a row where none of them says how many: two VLAN tags are understood, a third
/// one is not looked behind.
pub(crate) const MAX_REPEAT: u8 = 2;

/// All lines that say what follows a header.
pub(super) fn arms(program: &Program, of: HeaderId) -> impl Iterator<Item = &NextArm> {
    program.headers[of.index()].next.iter().flat_map(|next| &next.arms)
}

/// All headers that a packet beginning with `from` can have outside of tunnels, `from` among them.
pub(crate) fn reachable(program: &Program, from: HeaderId) -> BTreeSet<HeaderId> {
    reachable_by(program, from, |arm| !arm.tunnel)
}

/// All headers that some lines lead to, `from` among them.
pub(super) fn reachable_by(
    program: &Program,
    from: HeaderId,
    counts: impl Fn(&NextArm) -> bool,
) -> BTreeSet<HeaderId> {
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
pub(super) fn limit(program: &Program, circle: &BTreeSet<HeaderId>) -> u8 {
    circle.iter().filter_map(|header| program.headers[header.index()].repeat).max().unwrap_or(MAX_REPEAT)
}

/// Which headers come behind which by some of the lines, found when it is asked for.
pub(super) struct Ahead<'p, F> {
    program: &'p Program,
    counts: F,
    known: BTreeMap<HeaderId, BTreeSet<HeaderId>>,
}

impl<'p, F: Fn(&NextArm) -> bool> Ahead<'p, F> {
    pub(super) fn new(program: &'p Program, counts: F) -> Self {
        Ahead { program, counts, known: BTreeMap::new() }
    }

    /// All headers that can come from `header` on, it among them.
    fn of(&mut self, header: HeaderId) -> &BTreeSet<HeaderId> {
        self.known.entry(header).or_insert_with(|| reachable_by(self.program, header, &self.counts))
    }

    /// Whether `to` can come behind `from`, or is the same.
    pub(super) fn leads(&mut self, from: HeaderId, to: HeaderId) -> bool {
        self.of(from).contains(&to)
    }

    /// The headers that a header leads to and that lead back to it, it among them.
    pub(super) fn circle(&mut self, header: HeaderId) -> BTreeSet<HeaderId> {
        let ahead = self.of(header).clone();
        ahead.into_iter().filter(|other| self.leads(*other, header)).collect()
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
        let mut ahead = Ahead::new(program, |line| !line.tunnel);
        let limits = ids.iter().map(|id| limit(program, &ahead.circle(*id))).collect();
        let reachable = ids.iter().map(|id| ahead.of(*id).clone()).collect();
        let behind_extensions = (ids.iter())
            .map(|id| {
                let extension = program.headers[id.index()].extension;
                if extension { followers(program, *id) } else { BTreeSet::new() }
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
