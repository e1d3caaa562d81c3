//! Tuple space search over the entries of one table.

use std::sync::Arc;

use hashbrown::HashTable;
use oko_openflow::FilterMatch;
use oko_packet::{FlowKey, WORDS};

use crate::entry::{FlowEntry, Rank};

/// The entries of one table, as lookups need them.
#[derive(Clone, Debug, Default)]
pub struct Classifier {
    /// Ordered by highest priority, the highest first.
    subtables: Vec<Arc<Subtable>>,
}

/// The entries that share a mask.
#[derive(Clone, Debug)]
struct Subtable {
    mask: FlowKey,
    /// The words of the key in which the mask has bits.
    words: Vec<u8>,
    /// The greatest of its entries' priorities.
    max_priority: u16,
    /// How many entries there are of each priority, by which `max_priority` is kept.
    priorities: std::collections::BTreeMap<u16, usize>,
    buckets: HashTable<Bucket>,
}

/// The entries that share mask and key, first the one that is tried first.
#[derive(Clone, Debug)]
struct Bucket {
    key: FlowKey,
    entries: Vec<Arc<FlowEntry>>,
}

impl Classifier {
    /// The entry that a packet gets. `filter` answers whether a filter condition holds.
    #[inline]
    pub fn lookup(
        &self,
        key: &FlowKey,
        mut filter: impl FnMut(FilterMatch) -> bool,
    ) -> Option<&Arc<FlowEntry>> {
        let mut below = None;
        loop {
            let best = self.best(key, below)?;
            match best.matcher.filter {
                Some(condition) if !filter(condition) => below = Some(best.rank()),
                _ => return Some(best),
            }
        }
    }

    /// The highest-ranking entry whose fields match, of those that rank below `below`.
    #[inline]
    fn best(&self, key: &FlowKey, below: Option<Rank>) -> Option<&Arc<FlowEntry>> {
        let mut best: Option<(&Arc<FlowEntry>, Rank)> = None;
        for subtable in &self.subtables {
            if best.is_some_and(|(_, rank)| rank.priority > subtable.max_priority) {
                break;
            }
            let Some(bucket) = subtable.find(key) else { continue };
            for entry in &bucket.entries {
                let rank = entry.rank();
                if below.is_some_and(|below| rank >= below) {
                    continue;
                }
                if best.is_none_or(|(_, other)| rank > other) {
                    best = Some((entry, rank));
                }
                break;
            }
        }
        best.map(|(entry, _)| entry)
    }

    /// Puts an entry in.
    pub(crate) fn insert(&mut self, entry: Arc<FlowEntry>) {
        let at =
            self.subtables.iter().position(|subtable| subtable.mask == entry.matcher.mask).unwrap_or_else(
                || {
                    self.subtables.push(Arc::new(Subtable::new(entry.matcher.mask)));
                    self.subtables.len() - 1
                },
            );
        Arc::make_mut(&mut self.subtables[at]).insert(entry);
        self.sort();
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, entry: &FlowEntry) {
        let Some(at) = self.subtables.iter().position(|subtable| subtable.mask == entry.matcher.mask) else {
            return;
        };
        Arc::make_mut(&mut self.subtables[at]).remove(entry);
        if self.subtables[at].buckets.is_empty() {
            self.subtables.remove(at);
        }
        self.sort();
    }

    /// Puts an entry in the place of one with the same match and priority.
    pub(crate) fn replace(&mut self, entry: &Arc<FlowEntry>) {
        let Some(subtable) = self.subtables.iter_mut().find(|subtable| subtable.mask == entry.matcher.mask)
        else {
            return;
        };
        Arc::make_mut(subtable).replace(entry);
    }

    fn sort(&mut self) {
        if !self.subtables.is_sorted_by(|a, b| a.max_priority >= b.max_priority) {
            self.subtables.sort_by_key(|subtable| std::cmp::Reverse(subtable.max_priority));
        }
    }
}

impl Subtable {
    fn new(mask: FlowKey) -> Subtable {
        let words = (0..WORDS).filter(|word| mask.words()[*word] != 0).map(|word| word as u8).collect();
        Subtable { mask, words, max_priority: 0, priorities: Default::default(), buckets: HashTable::new() }
    }

    #[inline]
    fn find(&self, key: &FlowKey) -> Option<&Bucket> {
        self.buckets.find(self.hash(key), |bucket| self.same(&bucket.key, key))
    }

    /// Hashes the bits under the mask. Packets do not choose what is in the table, so this need not resist them.
    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        hash(&self.words, &self.mask, key)
    }

    #[inline]
    fn same(&self, masked: &FlowKey, key: &FlowKey) -> bool {
        self.words.iter().all(|word| {
            let word = usize::from(*word);
            key.words()[word] & self.mask.words()[word] == masked.words()[word]
        })
    }

    fn insert(&mut self, entry: Arc<FlowEntry>) {
        *self.priorities.entry(entry.priority).or_default() += 1;
        self.max_priority = self.max_priority.max(entry.priority);
        let (words, mask) = (&self.words, &self.mask);
        let (key, hashed) = (entry.matcher.key, hash(words, mask, &entry.matcher.key));
        let bucket = self
            .buckets
            .entry(hashed, |bucket| bucket.key == key, |bucket| hash(words, mask, &bucket.key))
            .or_insert_with(|| Bucket { key, entries: Vec::with_capacity(1) })
            .into_mut();
        let at = bucket.entries.partition_point(|other| other.rank() > entry.rank());
        bucket.entries.insert(at, entry);
    }

    fn remove(&mut self, entry: &FlowEntry) {
        let hashed = self.hash(&entry.matcher.key);
        let Ok(mut slot) = self.buckets.find_entry(hashed, |bucket| bucket.key == entry.matcher.key) else {
            return;
        };
        let entries = &mut slot.get_mut().entries;
        let Some(at) = entries.iter().position(|other| other.serial == entry.serial) else { return };
        entries.remove(at);
        if entries.is_empty() {
            slot.remove();
        }
        if let Some(count) = self.priorities.get_mut(&entry.priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&entry.priority);
            }
        }
        self.max_priority = self.priorities.last_key_value().map_or(0, |(priority, _)| *priority);
    }

    fn replace(&mut self, entry: &Arc<FlowEntry>) {
        let hashed = self.hash(&entry.matcher.key);
        let Some(bucket) = self.buckets.find_mut(hashed, |bucket| bucket.key == entry.matcher.key) else {
            return;
        };
        if let Some(old) = bucket.entries.iter_mut().find(|old| old.serial == entry.serial) {
            *old = Arc::clone(entry);
        }
    }
}

#[inline]
fn hash(words: &[u8], mask: &FlowKey, key: &FlowKey) -> u64 {
    let mut hash = 0_u64;
    for word in words {
        let word = usize::from(*word);
        // The folded product of two 64-bit words, as in wyhash.
        let product = u128::from(hash ^ key.words()[word] & mask.words()[word]) * 0x9e37_79b9_7f4a_7c15;
        hash = (product >> 64) as u64 ^ product as u64;
    }
    hash
}
