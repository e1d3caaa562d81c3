//! Entries whose masks share a tuple: one hash table of the classifier.
//!
//! A subtable has a mask, its *tuple*. Every entry in it has at least the bits of the tuple in its own mask, and lies under its
//! key's bits there. Entries with the same bits under the tuple share a bucket, those that are tried first in front; a lookup looks
//! at all of them that its packet's bits lead to. So entries with different masks can share one hash lookup.

use std::slice;
use std::sync::Arc;

use oko_packet::{FlowKey, WORDS};

use crate::cow::{CowTable, View};
use crate::entry::{FlowEntry, Rank};

/// The entries of a bucket, the one that is tried first in front.
#[derive(Debug)]
enum Bucket {
    /// As most have.
    One(Arc<FlowEntry>),
    /// Two or more.
    More(Arc<[Arc<FlowEntry>]>),
}

impl Bucket {
    /// A bucket of these, if there are any.
    fn of(entries: Vec<Arc<FlowEntry>>) -> Option<Bucket> {
        match <[_; 1]>::try_from(entries) {
            Ok([entry]) => Some(Bucket::One(entry)),
            Err(entries) => (!entries.is_empty()).then(|| Bucket::More(entries.into())),
        }
    }

    #[inline]
    fn entries(&self) -> &[Arc<FlowEntry>] {
        match self {
            Bucket::One(entry) => slice::from_ref(entry),
            Bucket::More(entries) => entries,
        }
    }
}

/// What entries of a subtable lie under.
#[derive(Clone, Debug)]
struct Tuple {
    mask: FlowKey,
    /// The words of the key in which it has bits.
    words: Vec<u8>,
}

/// One hash table of the classifier, to be changed.
#[derive(Debug)]
pub(crate) struct Subtable {
    tuple: Tuple,
    /// The words in which any of its entries' masks has bits.
    entry_words: Vec<u8>,
    buckets: CowTable<Bucket>,
}

/// The same as it was at one moment, to be looked up in.
#[derive(Debug)]
pub(crate) struct SubtableView {
    tuple: Tuple,
    entry_words: Vec<u8>,
    buckets: View<Bucket>,
}

impl SubtableView {
    /// The highest-ranking entry that accepts a packet, of those that rank below `below`.
    #[inline]
    pub(crate) fn best(&self, key: &FlowKey, below: Option<Rank>) -> Option<&Arc<FlowEntry>> {
        let bucket = self.buckets.find(self.tuple.hash(key), |bucket| self.tuple.is_of(bucket, key))?;
        let accepts = |entry: &Arc<FlowEntry>| self.accepts(entry, key);
        bucket.entries().iter().find(|entry| accepts(entry) && below.is_none_or(|below| entry.rank() < below))
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

impl Subtable {
    pub(crate) fn new(mask: FlowKey) -> Subtable {
        let tuple = Tuple { mask, words: words_of(&mask) };
        Subtable { tuple, entry_words: Vec::new(), buckets: CowTable::new() }
    }

    pub(crate) fn tuple(&self) -> &FlowKey {
        &self.tuple.mask
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The subtable as it is now.
    pub(crate) fn view(&mut self) -> SubtableView {
        let (tuple, entry_words) = (self.tuple.clone(), self.entry_words.clone());
        SubtableView { tuple, entry_words, buckets: self.buckets.view() }
    }

    /// Frees what was kept for views that are closed, as much as there is a budget for. Says whether anything is kept still, or a view is open.
    pub(crate) fn close_views(&mut self, budget: &mut usize) -> bool {
        self.buckets.close_views(budget)
    }

    /// How many entries share the bucket that an entry would be in.
    pub(crate) fn neighbours(&self, key: &FlowKey) -> usize {
        let bucket = self.buckets.find(self.tuple.hash(key), |bucket| self.tuple.is_of(bucket, key));
        bucket.map_or(0, |bucket| bucket.entries().len())
    }

    /// The entries of one shard, and the next one of a walk.
    pub(crate) fn step(&self, shard: usize) -> (impl Iterator<Item = &Arc<FlowEntry>>, Option<usize>) {
        let (buckets, next) = self.buckets.step(shard);
        (buckets.flat_map(Bucket::entries), next)
    }

    pub(crate) fn insert(&mut self, entry: Arc<FlowEntry>) {
        for word in words_of(&entry.matcher.mask) {
            if !self.entry_words.contains(&word) {
                self.entry_words.push(word);
            }
        }
        let (key, tuple) = (entry.matcher.key, &self.tuple);
        self.buckets.put(
            tuple.hash(&key),
            |bucket| tuple.is_of(bucket, &key),
            |bucket| match bucket.map(Bucket::entries) {
                None => Bucket::One(entry),
                Some(others) => {
                    let (before, behind) =
                        others.split_at(others.partition_point(|other| other.rank() > entry.rank()));
                    Bucket::More(before.iter().chain([&entry]).chain(behind).cloned().collect())
                }
            },
        );
    }

    pub(crate) fn remove(&mut self, entry: &FlowEntry) {
        let others = |all: &Bucket| {
            Bucket::of(all.entries().iter().filter(|other| other.serial != entry.serial).cloned().collect())
        };
        self.change(entry, others);
    }

    /// Puts an entry in the place of the one of the same number.
    pub(crate) fn replace(&mut self, entry: &Arc<FlowEntry>) {
        let new = |old: &Arc<FlowEntry>| if old.serial == entry.serial { entry } else { old }.clone();
        self.change(entry, |all| Bucket::of(all.entries().iter().map(new).collect()));
    }

    fn change(&mut self, entry: &FlowEntry, change: impl FnOnce(&Bucket) -> Option<Bucket>) {
        let (key, tuple) = (&entry.matcher.key, &self.tuple);
        self.buckets.change(tuple.hash(key), |bucket| tuple.is_of(bucket, key), change);
    }
}

impl Tuple {
    /// Whether a key's bits are those of a bucket.
    #[inline]
    fn is_of(&self, bucket: &Bucket, key: &FlowKey) -> bool {
        bucket.entries().first().is_some_and(|entry| {
            self.words.iter().all(|word| {
                let word = usize::from(*word);
                (key.words()[word] ^ entry.matcher.key.words()[word]) & self.mask.words()[word] == 0
            })
        })
    }

    /// Hashes a key's bits. Packets do not choose what is in the table, so this need not resist them.
    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        let mut hash = 0_u64;
        for word in &self.words {
            let word = usize::from(*word);
            // The folded product of two 64-bit words, as in wyhash.
            let product =
                u128::from(hash ^ key.words()[word] & self.mask.words()[word] ^ 0xa076_1d64_78bd_642f)
                    * 0x9e37_79b9_7f4a_7c15;
            hash = (product >> 64) as u64 ^ product as u64;
        }
        hash
    }
}

fn words_of(mask: &FlowKey) -> Vec<u8> {
    (0..WORDS).filter(|word| mask.words()[*word] != 0).map(|word| word as u8).collect()
}
