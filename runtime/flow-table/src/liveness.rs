//! What lives: ports, and groups that lead to one. OpenFlow 1.3.5, section 6.5, "Group Modification messages" and 5.6.1.
//!
//! A bucket lives if it watches nothing, or a port or a group that lives; a group lives if one of its buckets does. Groups may watch each other in chains of any
//! length and through any number of ways, so who lives is found out once for all groups, and not by each packet.

use std::collections::HashSet;

use oko_openflow::group::Bucket;
use oko_openflow::{GroupId, PortNo};

use crate::groups::{Group, Groups};

/// The ports and groups that live at one moment.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// In order.
    ports: Vec<PortNo>,
    /// Of the groups that are watched or named by others.
    groups: HashSet<GroupId>,
}

impl Live {
    /// What lives when these ports do.
    pub fn new(groups: &Groups, mut ports: Vec<PortNo>) -> Live {
        ports.sort_unstable();
        let mut live = Live { ports, groups: HashSet::new() };
        // The groups of which it is known whether they live: all that they watch was known before.
        let mut known = HashSet::new();
        for first in groups.named() {
            // Each with the bucket that is next.
            let mut open = vec![(first, 0)];
            while let Some((id, next)) = open.last_mut() {
                let id = *id;
                let group = groups.get(id).filter(|_| !known.contains(&id));
                let bucket = group.and_then(|group| group.buckets.get(*next));
                if let Some(bucket) = bucket {
                    *next += 1;
                    let watched = bucket.given.watch_group;
                    if watched != GroupId::ANY && !known.contains(&watched) {
                        open.push((watched, 0));
                    }
                    continue;
                }
                if let Some(group) = group {
                    if live.any_of(group) {
                        live.groups.insert(id);
                    }
                    known.insert(id);
                }
                open.pop();
            }
        }
        live
    }

    fn any_of(&self, group: &Group) -> bool {
        group.buckets.iter().any(|bucket| self.has(&bucket.given))
    }

    /// Whether a bucket lives.
    pub(crate) fn has(&self, bucket: &Bucket) -> bool {
        let (port, group) = (bucket.watch_port, bucket.watch_group);
        (port == PortNo::ANY && group == GroupId::ANY)
            || port != PortNo::ANY && self.ports.binary_search(&port).is_ok()
            || group != GroupId::ANY && self.groups.contains(&group)
    }
}

#[cfg(test)]
mod tests {
    use oko_openflow::group::{GroupMod, GroupModCommand, GroupType};

    use super::*;

    /// Groups 0 to `count`, each but the first with two buckets that watch the one before; the first watches a port.
    fn chain(count: u32) -> Groups {
        let mut groups = Groups::default();
        for id in 0..count {
            let (watch_port, watch_group) =
                if id == 0 { (PortNo(7), GroupId::ANY) } else { (PortNo::ANY, GroupId(id - 1)) };
            let bucket = Bucket { id: 0, weight: 0, watch_port, watch_group, actions: Vec::new() };
            let buckets = vec![bucket.clone(), Bucket { id: 1, ..bucket }];
            let (command, ty) = (GroupModCommand::Add, GroupType::FastFailover);
            let request = GroupMod { command, ty, group: GroupId(id), buckets };
            groups.apply(&request, 0).expect("it is in order");
        }
        groups
    }

    #[test]
    fn a_long_chain_with_many_ways_lives_or_not_at_once() {
        let groups = chain(2_000);
        let last = groups.get(GroupId(1_999)).expect("it is there");
        assert!(last.choose(&Live::new(&groups, vec![PortNo(3), PortNo(7)]), 0).is_some());
        assert!(last.choose(&Live::new(&groups, vec![PortNo(3)]), 0).is_none());
    }
}
