//! Groups: group-mods, descriptions, statistics. OpenFlow 1.3.5, sections 6.7, 7.3.4.2 and 7.3.5.9 to 7.3.5.11.

use std::time::Duration;

use oko_flow_table::{Group, MAX_GROUPS};
use oko_openflow::group::{
    GroupCapabilities, GroupDesc, GroupFeatures, GroupMod, GroupModCommand, GroupStats,
};
use oko_openflow::{ErrorCode, GroupId};

use super::control::{Answer, Control};
use crate::clock::Nanos;

/// `OFPAT_*` of all actions that a bucket can have, as bits.
const ACTIONS: u32 = 1
    | 1 << 11
    | 1 << 12
    | 1 << 15
    | 1 << 16
    | 1 << 17
    | 1 << 18
    | 1 << 19
    | 1 << 20
    | 1 << 22
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 26
    | 1 << 27;

impl Control {
    /// Changes groups. The entries that use a group go with it.
    pub(super) fn group_mod(&mut self, request: &GroupMod) -> Result<Answer, ErrorCode> {
        let uses = !matches!(request.command, GroupModCommand::Delete | GroupModCommand::RemoveBucket(_));
        if uses {
            let actions = request.buckets.iter().flat_map(|bucket| &bucket.actions);
            self.check_actions(actions, false)?;
        }
        let gone = self.groups.apply(request, self.now().0).map_err(|error| {
            tracing::debug!(%error, "group-mod refused");
            error.code()
        })?;
        self.mark_changed();
        let changes = self.tables.remove_users_of_groups(&gone);
        self.done(changes);
        Ok(Answer::Nothing)
    }

    fn chosen(&self, id: GroupId) -> Vec<std::sync::Arc<Group>> {
        match id {
            GroupId::ALL | GroupId::ANY => self.groups.sorted(),
            id => self.groups.get(id).cloned().into_iter().collect(),
        }
    }

    pub(super) fn group_stats(&self, id: GroupId) -> Vec<GroupStats> {
        let now = self.now();
        let stats = |group: std::sync::Arc<Group>| {
            let flows = self.tables.users_of_group(group.id);
            GroupStats {
                group: group.id,
                ref_count: u32::try_from(flows + self.groups.references(group.id)).unwrap_or(u32::MAX),
                counts: group.counters.counts(),
                duration: since(group.created, now),
                buckets: group.buckets.iter().map(|bucket| bucket.counters.counts()).collect(),
            }
        };
        self.chosen(id).into_iter().map(stats).collect()
    }

    /// All groups, or one: OpenFlow 1.5 can ask for it.
    pub(super) fn group_desc(&self, id: GroupId) -> Vec<GroupDesc> {
        let desc = |group: std::sync::Arc<Group>| GroupDesc {
            ty: group.ty,
            group: group.id,
            buckets: group.buckets.iter().map(|bucket| bucket.given.clone()).collect(),
        };
        self.chosen(id).into_iter().map(desc).collect()
    }

    pub(super) fn group_features() -> GroupFeatures {
        GroupFeatures {
            types: 0b1111,
            capabilities: GroupCapabilities::SELECT_WEIGHT
                | GroupCapabilities::SELECT_LIVENESS
                | GroupCapabilities::CHAINING
                | GroupCapabilities::CHAINING_CHECKS,
            max_groups: [MAX_GROUPS as u32; 4],
            actions: [ACTIONS; 4],
        }
    }
}

/// How long ago something was.
pub(super) fn since(created: u64, now: Nanos) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(created))
}
