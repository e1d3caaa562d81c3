//! The parse graph: which headers lead to which.

use std::collections::BTreeSet;

use crate::hir::{HeaderId, Program};

/// How often a header that can lead to itself is passed on the way through a packet: two VLAN tags are understood, a
/// third one is not looked behind.
pub(crate) const MAX_REPEAT: u8 = 2;

/// All headers that a packet beginning with `from` can have, `from` among them.
pub(crate) fn reachable(program: &Program, from: HeaderId) -> BTreeSet<HeaderId> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(header) = open.pop() {
        for arm in program.headers[header.index()].next.iter().flat_map(|next| &next.arms) {
            if found.insert(arm.header) {
                open.push(arm.header);
            }
        }
    }
    found
}

/// All headers that can come behind `from`; `from` only if it can follow itself.
pub(crate) fn followers(program: &Program, from: HeaderId) -> BTreeSet<HeaderId> {
    let next = program.headers[from.index()].next.iter().flat_map(|next| &next.arms);
    next.flat_map(|arm| reachable(program, arm.header)).collect()
}
