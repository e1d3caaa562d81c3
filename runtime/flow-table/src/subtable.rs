//! Entries whose masks share a tuple: one hash table of the classifier.
//!
//! A subtable has a mask, its *tuple*. Every entry in it has at least the bits of the tuple in its own mask, and lies under its
//! key's bits there. Entries with the same bits under the tuple share a bucket, those that are tried first in front; a lookup looks
//! at all of them that its packet's bits lead to. So entries with different masks can share one hash lookup.

use std::sync::Arc;

use oko_packet::{FlowKey, WORDS};
use smallvec::SmallVec;

use crate::cow::{Counted, CowTable, Keep};
use crate::entry::{FlowEntry, Rank};

/// The entries of a bucket, the one that is tried first in front. Most have one, which lies in the table itself: a copy of a shard is then one allocation.
type Bucket = SmallVec<[Arc<FlowEntry>; 1]>;

impl Counted for Bucket {
    fn counts(&self) -> usize {
        self.iter().map(Arc::strong_count).fold(0, usize::wrapping_add)
    }
}

/// One hash table of the classifier.
#[derive(Clone, Debug)]
pub(crate) struct Subtable {
    tuple: FlowKey,
    /// The words of the key in which the tuple has bits.
    words: Vec<u8>,
    /// The words in which any of its entries' masks has bits.
    entry_words: Vec<u8>,
    buckets: CowTable<Bucket>,
}

impl Subtable {
    pub(crate) fn new(tuple: FlowKey) -> Subtable {
        Subtable { tuple, words: words_of(&tuple), entry_words: Vec::new(), buckets: CowTable::new() }
    }

    pub(crate) fn tuple(&self) -> &FlowKey {
        &self.tuple
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The highest-ranking entry that accepts a packet, of those that rank below `below`.
    #[inline]
    pub(crate) fn best(&self, key: &FlowKey, below: Option<Rank>) -> Option<&Arc<FlowEntry>> {
        let bucket = self.bucket(key)?;
        bucket.iter().find(|entry| self.accepts(entry, key) && below.is_none_or(|below| entry.rank() < below))
    }

    /// How many entries share the bucket that an entry would be in.
    pub(crate) fn neighbours(&self, key: &FlowKey) -> usize {
        self.bucket(key).map_or(0, SmallVec::len)
    }

    /// The entries of one shard, and the next one of a walk.
    pub(crate) fn step(&self, shard: usize) -> (impl Iterator<Item = &Arc<FlowEntry>>, Option<usize>) {
        let (buckets, next) = self.buckets.step(shard);
        (buckets.flatten(), next)
    }

    pub(crate) fn insert(&mut self, entry: Arc<FlowEntry>) {
        for word in words_of(&entry.matcher.mask) {
            if !self.entry_words.contains(&word) {
                self.entry_words.push(word);
            }
        }
        let Subtable { tuple, words, buckets, .. } = self;
        let key = entry.matcher.key;
        let bucket =
            buckets.entry(hash(words, tuple, &key), |bucket| same(words, tuple, bucket, &key), Bucket::new);
        let at = bucket.partition_point(|other| other.rank() > entry.rank());
        if bucket.len() >= bucket.inline_size() {
            bucket.reserve_exact(1);
        }
        bucket.insert(at, entry);
    }

    pub(crate) fn remove(&mut self, entry: &FlowEntry) {
        self.change(entry, |bucket| {
            bucket.retain(|other| other.serial != entry.serial);
            if bucket.is_empty() { Keep::No } else { Keep::Yes }
        });
    }

    /// Puts an entry in the place of the one of the same number.
    pub(crate) fn replace(&mut self, entry: &Arc<FlowEntry>) {
        self.change(entry, |bucket| {
            if let Some(old) = bucket.iter_mut().find(|old| old.serial == entry.serial) {
                *old = Arc::clone(entry);
            }
            Keep::Yes
        });
    }

    fn change(&mut self, entry: &FlowEntry, change: impl FnOnce(&mut Bucket) -> Keep) {
        let Subtable { tuple, words, buckets, .. } = self;
        let key = &entry.matcher.key;
        buckets.change(hash(words, tuple, key), |bucket| same(words, tuple, bucket, key), change);
    }

    #[inline]
    fn bucket(&self, key: &FlowKey) -> Option<&Bucket> {
        self.buckets
            .find(hash(&self.words, &self.tuple, key), |bucket| same(&self.words, &self.tuple, bucket, key))
    }

    #[inline]
    fn accepts(&self, entry: &FlowEntry, key: &FlowKey) -> bool {
        let (mask, wanted) = (entry.matcher.mask.words(), entry.matcher.key.words());
        self.entry_words.iter().all(|word| {
            let word = usize::from(*word);
            key.words()[word] & mask[word] == wanted[word]
        })
    }
}

/// Whether a key's bits under the tuple are those of a bucket.
#[inline]
fn same(words: &[u8], tuple: &FlowKey, bucket: &Bucket, key: &FlowKey) -> bool {
    bucket.first().is_some_and(|entry| {
        words.iter().all(|word| {
            let word = usize::from(*word);
            (key.words()[word] ^ entry.matcher.key.words()[word]) & tuple.words()[word] == 0
        })
    })
}

fn words_of(mask: &FlowKey) -> Vec<u8> {
    (0..WORDS).filter(|word| mask.words()[*word] != 0).map(|word| word as u8).collect()
}

/// Hashes the bits under the tuple. Packets do not choose what is in the table, so this need not resist them.
#[inline]
fn hash(words: &[u8], tuple: &FlowKey, key: &FlowKey) -> u64 {
    let mut hash = 0_u64;
    for word in words {
        let word = usize::from(*word);
        // The folded product of two 64-bit words, as in wyhash.
        let product = u128::from(hash ^ key.words()[word] & tuple.words()[word] ^ 0xa076_1d64_78bd_642f)
            * 0x9e37_79b9_7f4a_7c15;
        hash = (product >> 64) as u64 ^ product as u64;
    }
    hash
}
