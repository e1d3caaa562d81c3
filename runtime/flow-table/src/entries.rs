//! The entries of a table by what makes an entry itself: its priority, its fields and its filter.
//!
//! The key is part of the entry and is not kept a second time. Hashes are keyed by random numbers of the process, so that no controller can
//! choose matches that collide.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use oko_openflow::Match;

use crate::classifier::PartId;
use crate::entry::FlowEntry;

/// An entry, where the classifier has it, and its hash, so that a table of a million grows without a look at each.
#[derive(Debug)]
struct Kept {
    entry: Arc<FlowEntry>,
    part: PartId,
    hash: u32,
}

/// The entries of one table.
#[derive(Debug)]
pub(crate) struct Entries {
    kept: HashTable<Kept>,
    seed: u64,
}

impl Default for Entries {
    fn default() -> Self {
        Entries { kept: HashTable::new(), seed: RandomState::new().hash_one(0_u64) }
    }
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<FlowEntry>> {
        self.kept.iter().map(|kept| &kept.entry)
    }

    pub(crate) fn get(&self, priority: u16, matching: &Match) -> Option<&Arc<FlowEntry>> {
        self.find(priority, matching).map(|kept| &kept.entry)
    }

    /// Whether an entry is here, and not another version of it.
    pub(crate) fn has(&self, entry: &Arc<FlowEntry>) -> bool {
        self.get(entry.priority, &entry.matching).is_some_and(|here| Arc::ptr_eq(here, entry))
    }

    /// Where the classifier has the entry of this identity.
    pub(crate) fn part_of(&self, entry: &FlowEntry) -> Option<PartId> {
        self.find(entry.priority, &entry.matching).map(|kept| kept.part)
    }

    fn find(&self, priority: u16, matching: &Match) -> Option<&Kept> {
        let hash = hash(self.seed, priority, matching);
        self.kept.find(spread(hash), |kept| kept.is(hash, priority, matching))
    }

    /// Puts an entry in; gives the one that it takes the place of.
    pub(crate) fn insert(&mut self, entry: Arc<FlowEntry>, part: PartId) -> Option<Arc<FlowEntry>> {
        let (priority, matching) = (entry.priority, &entry.matching);
        let hash = hash(self.seed, priority, matching);
        let is_it = |kept: &Kept| kept.is(hash, priority, matching);
        match self.kept.entry(spread(hash), is_it, |kept| spread(kept.hash)) {
            Entry::Occupied(mut found) => {
                let old = std::mem::replace(found.get_mut(), Kept { entry, part, hash });
                Some(old.entry)
            }
            Entry::Vacant(place) => {
                place.insert(Kept { entry, part, hash });
                None
            }
        }
    }

    /// Takes an entry out; gives it with where the classifier has it.
    pub(crate) fn remove(&mut self, priority: u16, matching: &Match) -> Option<(Arc<FlowEntry>, PartId)> {
        let hash = hash(self.seed, priority, matching);
        let found = self.kept.find_entry(spread(hash), |kept| kept.is(hash, priority, matching)).ok()?;
        let (Kept { entry, part, .. }, _) = found.remove();
        Some((entry, part))
    }
}

impl Kept {
    fn is(&self, hash: u32, priority: u16, matching: &Match) -> bool {
        self.hash == hash && self.entry.priority == priority && self.entry.matching == *matching
    }
}

/// A hash as the table wants it: it takes bits from both ends.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The folded products of wyhash over the conditions.
fn hash(seed: u64, priority: u16, matching: &Match) -> u32 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a ^ 0xa076_1d64_78bd_642f) * u128::from(b ^ seed ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    };
    let mut hash = fold(seed, priority.into());
    for field in matching.fields() {
        let (value, mask) = (field.value(), field.mask());
        hash = fold(hash ^ field.field() as u64, value as u64);
        hash = fold(hash ^ (value >> 64) as u64, mask as u64 ^ ((mask >> 64) as u64).rotate_left(17));
    }
    if let Some(filter) = matching.filter {
        hash = fold(hash ^ u64::from(filter.filter.0), filter.class.into());
    }
    (hash >> 32) as u32 ^ hash as u32
}
