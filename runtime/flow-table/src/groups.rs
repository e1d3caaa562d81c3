//! Groups, as group-mods change them. OpenFlow 1.3.5, sections 5.6 and 6.7.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use oko_openflow::group::{Bucket, Counts, GroupMod, GroupModCommand, GroupType};
use oko_openflow::{Action, ErrorCode, GroupId, PortNo};

use crate::action_set;
use crate::liveness::Live;
use crate::numbers::ByNumber;
use crate::users::Tally;

/// The most groups.
pub const MAX_GROUPS: usize = 65_536;
/// The most buckets of one group.
pub const MAX_BUCKETS: usize = 1024;
/// The most buckets of all groups together.
pub const MAX_BUCKETS_IN_ALL: usize = 4 * MAX_GROUPS;

/// Packets and bytes that were given to something.
#[derive(Debug, Default)]
pub struct Given {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Given {
    /// Counts one packet.
    #[inline]
    pub fn count(&self, bytes: usize) {
        self.count_all(1, bytes as u64);
    }

    /// Counts packets that have so many bytes together.
    #[inline]
    pub(crate) fn count_all(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

/// A bucket, ready to be used.
#[derive(Debug)]
pub struct GroupBucket {
    /// The bucket as it was given.
    pub given: Bucket,
    /// Its actions as an action set: in the order in which they are done.
    pub actions: Vec<Action>,
    /// Whether the actions change the packet.
    pub edits: bool,
    /// What it was used for.
    pub counters: Given,
}

/// A group. It does not change but for its counters.
#[derive(Debug)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// How it treats packets.
    pub ty: GroupType,
    /// Its buckets.
    pub buckets: Vec<GroupBucket>,
    /// What it was given.
    pub counters: Arc<Given>,
    /// When it was made, nanoseconds.
    pub created: u64,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: Arc<ByNumber<GroupId, Arc<Group>>>,
    /// How often buckets name or watch each group.
    named: Arc<Tally<GroupId>>,
    /// The buckets of all groups.
    buckets: usize,
}

/// Why a group-mod was not done. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum GroupModError {
    #[error("the group {0:?} is there already")]
    Exists(GroupId),
    #[error("there is no group {0:?}")]
    Unknown(GroupId),
    #[error("the number {0:?} is none that a group can have (up to 0xffffff00)")]
    BadNumber(GroupId),
    #[error("an indirect group has one bucket, not {0}")]
    NotOneBucket(usize),
    #[error("there are {MAX_GROUPS} groups already")]
    TooManyGroups,
    #[error("a group has at most {MAX_BUCKETS} buckets, not {0}")]
    TooManyBuckets(usize),
    #[error("all groups together have at most {MAX_BUCKETS_IN_ALL} buckets")]
    TooManyBucketsInAll,
    #[error("a bucket of a fast-failover group watches a port or a group")]
    WatchesNothing,
    #[error("a bucket watches or names the group {0:?}, which is not there")]
    NamesUnknown(GroupId),
    #[error("the group {0:?} would lead back to itself")]
    Loop(GroupId),
    #[error("the group {0:?} is named by another group")]
    Chained(GroupId),
    #[error("there is no bucket {0}")]
    UnknownBucket(u32),
    #[error("there is a bucket {0} already")]
    BucketExists(u32),
}

impl GroupModError {
    /// The OpenFlow error for it.
    pub fn code(self) -> ErrorCode {
        match self {
            GroupModError::Exists(_) => ErrorCode::GroupExists,
            GroupModError::Unknown(_) => ErrorCode::GroupUnknown,
            GroupModError::BadNumber(_) | GroupModError::NotOneBucket(_) => ErrorCode::GroupInvalid,
            GroupModError::TooManyGroups => ErrorCode::GroupOutOfGroups,
            GroupModError::TooManyBuckets(_) | GroupModError::TooManyBucketsInAll => {
                ErrorCode::GroupOutOfBuckets
            }
            GroupModError::WatchesNothing => ErrorCode::GroupBadWatch,
            GroupModError::NamesUnknown(_) => ErrorCode::ActionBadOutGroup,
            GroupModError::Loop(_) => ErrorCode::GroupLoop,
            GroupModError::Chained(_) => ErrorCode::GroupChained,
            GroupModError::UnknownBucket(_) => ErrorCode::GroupUnknownBucket,
            GroupModError::BucketExists(_) => ErrorCode::GroupBucketExists,
        }
    }
}

impl Groups {
    /// Does a group-mod at an instant in nanoseconds; the groups that are gone are returned, their users go with them.
    ///
    /// # Errors
    /// When it cannot be done; nothing has changed then.
    pub fn apply(&mut self, request: &GroupMod, now: u64) -> Result<Vec<GroupId>, GroupModError> {
        let id = request.group;
        let old = self.groups.get(&id);
        match request.command {
            GroupModCommand::Add => {
                if old.is_some() {
                    return Err(GroupModError::Exists(id));
                }
                self.put(id, request.ty, request.buckets.clone(), now)
            }
            GroupModCommand::AddOrModify => self.put(id, request.ty, request.buckets.clone(), now),
            GroupModCommand::Modify => {
                if old.is_none() {
                    return Err(GroupModError::Unknown(id));
                }
                self.put(id, request.ty, request.buckets.clone(), now)
            }
            GroupModCommand::Delete => self.delete(id),
            GroupModCommand::InsertBucket(at) => {
                let group = old.ok_or(GroupModError::Unknown(id))?;
                let mut buckets: Vec<Bucket> = group.buckets.iter().map(|b| b.given.clone()).collect();
                if let Some(bucket) =
                    request.buckets.iter().find(|new| buckets.iter().any(|b| b.id == new.id))
                {
                    return Err(GroupModError::BucketExists(bucket.id));
                }
                let at = match at {
                    Bucket::FIRST => 0,
                    Bucket::LAST => buckets.len(),
                    id => 1 + position(&buckets, id)?,
                };
                buckets.splice(at..at, request.buckets.iter().cloned());
                let ty = group.ty;
                self.put(id, ty, buckets, now)
            }
            GroupModCommand::RemoveBucket(which) => {
                let group = old.ok_or(GroupModError::Unknown(id))?;
                let mut buckets: Vec<Bucket> = group.buckets.iter().map(|b| b.given.clone()).collect();
                match which {
                    Bucket::ALL => buckets.clear(),
                    Bucket::FIRST => drop(buckets.drain(..buckets.len().min(1))),
                    Bucket::LAST => drop(buckets.pop()),
                    id => drop(buckets.remove(position(&buckets, id)?)),
                }
                let ty = group.ty;
                self.put(id, ty, buckets, now)
            }
        }
    }

    fn put(
        &mut self,
        id: GroupId,
        ty: GroupType,
        buckets: Vec<Bucket>,
        now: u64,
    ) -> Result<Vec<GroupId>, GroupModError> {
        if id > GroupId::MAX {
            return Err(GroupModError::BadNumber(id));
        }
        if ty == GroupType::Indirect && buckets.len() != 1 {
            return Err(GroupModError::NotOneBucket(buckets.len()));
        }
        if buckets.len() > MAX_BUCKETS {
            return Err(GroupModError::TooManyBuckets(buckets.len()));
        }
        let old = self.groups.get(&id);
        if old.is_none() && self.groups.len() >= MAX_GROUPS {
            return Err(GroupModError::TooManyGroups);
        }
        let in_all = self.buckets + buckets.len() - old.map_or(0, |old| old.buckets.len());
        if in_all > MAX_BUCKETS_IN_ALL {
            return Err(GroupModError::TooManyBucketsInAll);
        }
        for bucket in &buckets {
            let watches = bucket.watch_port != PortNo::ANY || bucket.watch_group != GroupId::ANY;
            if ty == GroupType::FastFailover && !watches {
                return Err(GroupModError::WatchesNothing);
            }
            for named in names(bucket) {
                if self.leads_to(named, id)? {
                    return Err(GroupModError::Loop(id));
                }
            }
        }
        let group = Group {
            id,
            ty,
            counters: old.map_or_else(Arc::default, |old| Arc::clone(&old.counters)),
            created: old.map_or(now, |old| old.created),
            buckets: buckets.into_iter().map(GroupBucket::new).collect(),
        };
        let named = Arc::make_mut(&mut self.named);
        group.names().for_each(|id| named.add(id));
        let old = Arc::make_mut(&mut self.groups).insert(id, Arc::new(group));
        old.iter().flat_map(|old| old.names()).for_each(|id| named.take(id));
        self.buckets = in_all;
        Ok(Vec::new())
    }

    fn delete(&mut self, id: GroupId) -> Result<Vec<GroupId>, GroupModError> {
        if id == GroupId::ALL {
            return Ok(std::mem::take(self).groups.keys().copied().collect());
        }
        if self.references(id) > 0 {
            return Err(GroupModError::Chained(id));
        }
        // Nothing to delete is no error (section 6.7).
        let Some(gone) = Arc::make_mut(&mut self.groups).remove(&id) else { return Ok(Vec::new()) };
        let named = Arc::make_mut(&mut self.named);
        gone.names().for_each(|id| named.take(id));
        self.buckets -= gone.buckets.len();
        Ok(vec![id])
    }

    /// Whether a group, by whatever way, leads to another or is it.
    fn leads_to(&self, from: GroupId, to: GroupId) -> Result<bool, GroupModError> {
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            if id == to {
                return Ok(true);
            }
            let Some(group) = self.groups.get(&id) else { return Err(GroupModError::NamesUnknown(id)) };
            open.extend(group.names().filter(|id| seen.insert(*id)));
        }
        Ok(false)
    }

    /// A group.
    #[inline]
    pub fn get(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(&id)
    }

    /// All groups, by number.
    pub fn sorted(&self) -> Vec<Arc<Group>> {
        let mut all: Vec<_> = self.groups.values().cloned().collect();
        all.sort_by_key(|group| group.id);
        all
    }

    /// The groups that buckets name or watch.
    pub(crate) fn named(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.named.names()
    }

    /// How often buckets name a group.
    pub fn references(&self, id: GroupId) -> usize {
        self.named.of(id)
    }
}

impl Group {
    /// The groups that its buckets hand packets to or watch.
    fn names(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.buckets.iter().flat_map(|bucket| names(&bucket.given))
    }
}

fn position(buckets: &[Bucket], id: u32) -> Result<usize, GroupModError> {
    buckets.iter().position(|bucket| bucket.id == id).ok_or(GroupModError::UnknownBucket(id))
}

/// The groups that a bucket hands packets to or watches.
fn names(bucket: &Bucket) -> impl Iterator<Item = GroupId> + '_ {
    let named = bucket.actions.iter().filter_map(|action| match action {
        Action::Group(group) => Some(*group),
        _ => None,
    });
    named.chain(Some(bucket.watch_group).filter(|group| *group != GroupId::ANY))
}

impl GroupBucket {
    fn new(given: Bucket) -> GroupBucket {
        let mut actions = Vec::new();
        for action in &given.actions {
            action_set::write(&mut actions, action.clone());
        }
        actions.truncate(action_set::done(&actions).len());
        let keeps = |action: &Action| {
            matches!(action, Action::Output { .. } | Action::Group(_) | Action::SetQueue(_))
        };
        let edits = !actions.iter().all(keeps);
        GroupBucket { given, actions, edits, counters: Given::default() }
    }
}

impl Group {
    /// The bucket for a packet, of a group of which one is used: the first live one, or by weight and a hash of the packet's fields.
    pub fn choose(&self, live: &Live, hash: u64) -> Option<&GroupBucket> {
        let lives = |bucket: &&GroupBucket| live.has(&bucket.given);
        match self.ty {
            GroupType::All => None,
            GroupType::Indirect => self.buckets.first(),
            GroupType::FastFailover => self.buckets.iter().find(lives),
            GroupType::Select => {
                let total: u64 = self.buckets.iter().filter(lives).map(|b| u64::from(b.given.weight)).sum();
                // The upper half of the product: even for any total.
                let mut at = ((u128::from(hash) * u128::from(total)) >> 64) as u64;
                self.buckets.iter().filter(lives).find(|bucket| {
                    let weight = u64::from(bucket.given.weight);
                    let chosen = at < weight;
                    at = at.saturating_sub(weight);
                    chosen
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(id: u32, weight: u16, port: u32) -> Bucket {
        Bucket {
            id,
            weight,
            watch_port: PortNo::ANY,
            watch_group: GroupId::ANY,
            actions: vec![Action::output(PortNo(port))],
        }
    }

    fn request(command: GroupModCommand, ty: GroupType, group: u32, buckets: Vec<Bucket>) -> GroupMod {
        GroupMod { command, ty, group: GroupId(group), buckets }
    }

    fn to_group(group: u32) -> Bucket {
        Bucket { actions: vec![Action::Group(GroupId(group))], ..bucket(0, 1, 0) }
    }

    #[test]
    fn groups_are_added_modified_and_deleted() {
        let mut groups = Groups::default();
        let add = |n| request(GroupModCommand::Add, GroupType::All, n, vec![bucket(0, 1, 1)]);
        groups.apply(&add(1), 5).unwrap();
        assert_eq!(groups.apply(&add(1), 5), Err(GroupModError::Exists(GroupId(1))));
        let modify = |n| request(GroupModCommand::Modify, GroupType::All, n, vec![]);
        assert_eq!(groups.apply(&modify(2), 5), Err(GroupModError::Unknown(GroupId(2))));
        groups.apply(&modify(1), 9).unwrap();
        let group = groups.get(GroupId(1)).unwrap();
        assert_eq!((group.buckets.len(), group.created), (0, 5));
        let delete = |n| request(GroupModCommand::Delete, GroupType::All, n, vec![]);
        assert_eq!(groups.apply(&delete(7), 9), Ok(vec![]));
        assert_eq!(groups.apply(&delete(1), 9), Ok(vec![GroupId(1)]));
        groups.apply(&add(1), 5).unwrap();
        assert_eq!(groups.apply(&delete(GroupId::ALL.0), 9), Ok(vec![GroupId(1)]));
        let two =
            request(GroupModCommand::Add, GroupType::Indirect, 1, vec![bucket(0, 1, 1), bucket(1, 1, 2)]);
        assert_eq!(groups.apply(&two, 5), Err(GroupModError::NotOneBucket(2)));
        let blind = request(GroupModCommand::Add, GroupType::FastFailover, 1, vec![bucket(0, 1, 1)]);
        assert_eq!(groups.apply(&blind, 5), Err(GroupModError::WatchesNothing));
    }

    #[test]
    fn groups_lead_to_groups_but_never_back() {
        let mut groups = Groups::default();
        let all = |n, buckets| request(GroupModCommand::AddOrModify, GroupType::All, n, buckets);
        assert_eq!(groups.apply(&all(1, vec![to_group(2)]), 0), Err(GroupModError::NamesUnknown(GroupId(2))));
        assert_eq!(groups.apply(&all(1, vec![to_group(1)]), 0), Err(GroupModError::Loop(GroupId(1))));
        groups.apply(&all(3, vec![]), 0).unwrap();
        groups.apply(&all(2, vec![to_group(3)]), 0).unwrap();
        groups.apply(&all(1, vec![to_group(2)]), 0).unwrap();
        assert_eq!(groups.apply(&all(3, vec![to_group(1)]), 0), Err(GroupModError::Loop(GroupId(3))));
        let delete = request(GroupModCommand::Delete, GroupType::All, 3, vec![]);
        assert_eq!(groups.apply(&delete, 0), Err(GroupModError::Chained(GroupId(3))));
        assert_eq!(groups.references(GroupId(3)), 1);
    }

    #[test]
    fn all_groups_together_have_a_bounded_number_of_buckets() {
        let mut groups = Groups::default();
        let full = |n, count: u32| {
            let buckets = (0..count).map(|id| bucket(id, 1, 1)).collect();
            request(GroupModCommand::AddOrModify, GroupType::All, n, buckets)
        };
        let most = (MAX_BUCKETS_IN_ALL / MAX_BUCKETS) as u32;
        for n in 0..most {
            groups.apply(&full(n, MAX_BUCKETS as u32), 0).unwrap();
        }
        assert_eq!(groups.apply(&full(most, 1), 0), Err(GroupModError::TooManyBucketsInAll));
        groups.apply(&full(0, 1023), 0).unwrap();
        groups.apply(&full(most, 1), 0).unwrap();
        assert_eq!(groups.apply(&full(0, 1024), 0), Err(GroupModError::TooManyBucketsInAll));
        let delete = request(GroupModCommand::Delete, GroupType::All, most, vec![]);
        groups.apply(&delete, 0).unwrap();
        groups.apply(&full(0, 1024), 0).unwrap();
    }

    #[test]
    fn weights_are_heeded_and_dead_buckets_are_not_chosen() {
        let mut groups = Groups::default();
        let watched = |id, weight, port| Bucket { watch_port: PortNo(port), ..bucket(id, weight, port) };
        let buckets = vec![watched(0, 1, 1), watched(1, 0, 2), watched(2, 3, 3)];
        groups.apply(&request(GroupModCommand::Add, GroupType::Select, 1, buckets), 0).unwrap();
        let group = groups.get(GroupId(1)).unwrap();
        let share = |ports: &[u32]| {
            let live = Live::new(&groups, ports.iter().copied().map(PortNo).collect());
            let mut counts = [0; 3];
            for i in 0..1000_u64 {
                let hash = i.wrapping_mul(u64::MAX / 1000);
                counts[group.choose(&live, hash).unwrap().given.id as usize] += 1;
            }
            counts
        };
        let [first, none, third] = share(&[1, 2, 3]);
        assert!((249..=251).contains(&first) && none == 0 && first + third == 1000, "{first} {none} {third}");
        assert_eq!(share(&[1, 2]), [1000, 0, 0]);
        assert!(group.choose(&Live::default(), 5).is_none());
    }

    #[test]
    fn fast_failover_takes_the_first_that_lives_through_groups_too() {
        let mut groups = Groups::default();
        let watched = |id, port| Bucket { watch_port: PortNo(port), ..bucket(id, 0, port) };
        let inner = request(GroupModCommand::Add, GroupType::FastFailover, 2, vec![watched(0, 7)]);
        groups.apply(&inner, 0).unwrap();
        let over = Bucket { watch_group: GroupId(2), ..bucket(1, 0, 9) };
        let buckets = vec![watched(0, 1), over, watched(2, 3)];
        groups.apply(&request(GroupModCommand::Add, GroupType::FastFailover, 1, buckets), 0).unwrap();
        let group = groups.get(GroupId(1)).unwrap();
        let chosen = |live: &[u32]| {
            let live = Live::new(&groups, live.iter().copied().map(PortNo).collect());
            group.choose(&live, 0).map(|bucket| bucket.given.id)
        };
        assert_eq!(chosen(&[1, 3, 7]), Some(0));
        assert_eq!(chosen(&[3, 7]), Some(1));
        assert_eq!(chosen(&[3]), Some(2));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn buckets_come_and_go_one_by_one() {
        let mut groups = Groups::default();
        groups.apply(&request(GroupModCommand::Add, GroupType::All, 1, vec![bucket(5, 0, 1)]), 0).unwrap();
        let mut change = |command, buckets| {
            groups.apply(&request(command, GroupType::All, 1, buckets), 0).map(|_| {
                groups.get(GroupId(1)).unwrap().buckets.iter().map(|b| b.given.id).collect::<Vec<_>>()
            })
        };
        use GroupModCommand::{InsertBucket, RemoveBucket};
        assert_eq!(change(InsertBucket(Bucket::FIRST), vec![bucket(1, 0, 1)]), Ok(vec![1, 5]));
        assert_eq!(change(InsertBucket(Bucket::LAST), vec![bucket(9, 0, 1)]), Ok(vec![1, 5, 9]));
        assert_eq!(change(InsertBucket(5), vec![bucket(6, 0, 1), bucket(7, 0, 1)]), Ok(vec![1, 5, 6, 7, 9]));
        assert_eq!(change(InsertBucket(5), vec![bucket(6, 0, 1)]), Err(GroupModError::BucketExists(6)));
        assert_eq!(change(InsertBucket(55), vec![bucket(8, 0, 1)]), Err(GroupModError::UnknownBucket(55)));
        assert_eq!(change(RemoveBucket(6), vec![]), Ok(vec![1, 5, 7, 9]));
        assert_eq!(change(RemoveBucket(Bucket::FIRST), vec![]), Ok(vec![5, 7, 9]));
        assert_eq!(change(RemoveBucket(Bucket::LAST), vec![]), Ok(vec![5, 7]));
        assert_eq!(change(RemoveBucket(Bucket::ALL), vec![]), Ok(vec![]));
    }
}
