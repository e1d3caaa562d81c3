//! The flow cache of a worker: keys to trees of filter questions, and these to [`Path`]s.
//!
//! Everything is made under one snapshot: taking up another starts with nothing. All memory is taken beforehand; what does not fit is not
//! cached, and its packets go through the tables.
//!
//! Packets are counted with the paths they took, and the entries of a path are told now and then ([`FlowCache::flush`]): soon after traffic
//! pauses, after a number of bursts, and before another snapshot is taken up. No count is lost.

use hashbrown::HashTable;
use oko_flow_cache::{ExactCache, Full, Key, Layouts, LeafId, NodeId, Step, Trees};

use crate::clock::{Clock, Nanos};
use crate::recording::{Path, Recording, Then};
use crate::snapshot::Snapshot;

/// Bursts after which entries are told of their packets, at the latest.
const FLUSH_BURSTS: u32 = 64;
/// What the value of a key begins with if it is a leaf and no node.
const LEAF: u32 = 1 << 31;

/// A path that packets take.
#[derive(Debug)]
struct Leaf {
    path: Path,
    /// Keys and tree nodes that lead here; free without.
    uses: u32,
    /// Packets and bytes that the entries do not know of yet.
    packets: u64,
    bytes: u64,
}

/// Where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Along a path.
    Path(LeafId),
    /// First a filter is to be asked: its slot.
    Ask(NodeId, u32),
}

/// A worker's cache.
#[derive(Debug)]
pub(crate) struct FlowCache {
    layouts: Layouts,
    exact: ExactCache,
    trees: Trees,
    leaves: Leaves,
    bursts: u32,
    is_on: bool,
}

/// All paths.
#[derive(Debug)]
struct Leaves {
    leaves: Vec<Leaf>,
    free: Vec<u32>,
    /// Leaves by their paths, so that keys with the same fate share one.
    by_path: HashTable<u32>,
    /// Leaves with packets that the entries do not know of.
    touched: Vec<u32>,
    capacity: usize,
}

impl FlowCache {
    /// A cache for at least so many keys, none if it is to be off, with secret random numbers for their hashes.
    pub(crate) fn new(keys: usize, secrets: [u64; 4]) -> Self {
        let exact = ExactCache::new(keys, secrets);
        let capacity = exact.capacity();
        Self {
            layouts: Layouts::empty(),
            trees: Trees::new(capacity * 2),
            leaves: Leaves::new(capacity),
            bursts: 0,
            is_on: keys > 0,
            exact,
        }
    }

    /// Begins anew under another snapshot.
    pub(crate) fn take_up(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.flush(snapshot, now);
        self.layouts = Layouts::new(&snapshot.tables.relevant(), snapshot.generation.0);
        if !self.trees.is_empty() {
            self.trees.clear();
        }
        self.leaves.clear();
    }

    /// The key of a frame and its hash, for [`find`](Self::find); the memory that this needs first is on its way. None if the frame
    /// cannot be cached.
    #[inline]
    pub(crate) fn key(&self, frame: &[u8], in_port: u32) -> Option<(Key, u64)> {
        if !self.is_on {
            return None;
        }
        let key = self.layouts.key(frame, in_port)?;
        let hash = self.exact.hash(&key);
        self.exact.prefetch(hash);
        Some((key, hash))
    }

    /// Asks for the memory that [`find`](Self::find) needs next.
    #[inline]
    pub(crate) fn prefetch_key(&self, hash: u64) {
        self.exact.prefetch_key(hash);
    }

    /// Where a key leads, if that is known.
    #[inline]
    pub(crate) fn find(&mut self, key: &Key, hash: u64) -> Option<Way> {
        let found = self.exact.find(key, hash, self.layouts.epoch())?;
        Some(self.way(found.value))
    }

    /// Where an answer leads, if that is known.
    #[inline]
    pub(crate) fn answered(&self, node: NodeId, class: u32) -> Option<Way> {
        self.trees.child(node, class).map(|node| self.step(node))
    }

    #[inline]
    fn way(&self, value: u32) -> Way {
        if value & LEAF != 0 { Way::Path(LeafId(value & !LEAF)) } else { self.step(NodeId(value)) }
    }

    #[inline]
    fn step(&self, node: NodeId) -> Way {
        match self.trees.step(node) {
            Step::Leaf(leaf) => Way::Path(leaf),
            Step::Test(slot) => Way::Ask(node, slot),
        }
    }

    /// A path.
    #[inline]
    pub(crate) fn path(&self, leaf: LeafId) -> &Path {
        &self.leaves.leaves[leaf.0 as usize].path
    }

    /// What is done with the packets of a path.
    #[inline]
    pub(crate) fn then(&self, leaf: LeafId) -> Then {
        self.path(leaf).then
    }

    /// Counts a packet of so many bytes that takes a path. Not for those whose actions are done one by one: the pipeline counts those,
    /// since it knows how far they come.
    #[inline]
    pub(crate) fn take(&mut self, leaf: LeafId, bytes: usize) {
        self.leaves.take(leaf, bytes);
    }

    /// Remembers what a packet met.
    pub(crate) fn remember(&mut self, key: &Key, hash: u64, recording: Recording) {
        let Recording { path, answers, .. } = recording;
        let Some(leaf) = self.leaves.leaf(path) else { return };
        let epoch = self.layouts.epoch();
        match self.exact.find(key, hash, epoch) {
            // A filter gave an answer that was not seen before.
            Some(found) if found.value & LEAF == 0 => {
                let grown = self.trees.extend(NodeId(found.value), &answers, leaf);
                if grown != Ok(true) {
                    self.leaves.release(leaf);
                }
            }
            Some(_) => self.leaves.release(leaf),
            None => {
                let value = if answers.is_empty() {
                    Ok(leaf.0 | LEAF)
                } else {
                    self.trees.grow(&answers, leaf).map(|node| node.0)
                };
                match value {
                    Ok(value) => {
                        if let (_, Some(old)) = self.exact.insert(key, hash, epoch, value) {
                            self.forget(old);
                        }
                    }
                    Err(Full) => self.leaves.release(leaf),
                }
            }
        }
    }

    /// A burst is over.
    pub(crate) fn burst_is_over(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.bursts += 1;
        if self.bursts >= FLUSH_BURSTS {
            self.flush(snapshot, now);
        }
    }

    /// The same while there are no packets.
    #[inline]
    pub(crate) fn flush_if_any(&mut self, snapshot: &Snapshot, clock: &Clock) {
        if !self.leaves.touched.is_empty() {
            self.flush(snapshot, clock.now());
        }
    }

    /// Tells the entries and tables of the packets that took their paths.
    pub(crate) fn flush(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.bursts = 0;
        self.leaves.flush(snapshot, now);
    }

    /// A key that led here was pushed out.
    fn forget(&mut self, value: u32) {
        let Self { trees, leaves, .. } = self;
        if value & LEAF != 0 {
            leaves.release(LeafId(value & !LEAF));
        } else {
            trees.remove(NodeId(value), |leaf| leaves.release(leaf));
        }
    }
}

impl Leaves {
    fn new(capacity: usize) -> Self {
        Self {
            leaves: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            by_path: HashTable::with_capacity(capacity),
            touched: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// Forgets all paths. The packets on them have been counted.
    fn clear(&mut self) {
        self.leaves.clear();
        self.free.clear();
        self.by_path.clear();
        self.touched.clear();
    }

    #[inline]
    fn take(&mut self, leaf: LeafId, bytes: usize) {
        let place = &mut self.leaves[leaf.0 as usize];
        if place.packets == 0 {
            self.touched.push(leaf.0);
        }
        place.packets += 1;
        place.bytes += bytes as u64;
    }

    /// The leaf of a path, with one use more; none if there is no room.
    fn leaf(&mut self, path: Path) -> Option<LeafId> {
        let Self { leaves, free, by_path, capacity, .. } = self;
        let hash = hash(&path);
        if let Some(id) = by_path.find(hash, |id| leaves[*id as usize].path == path) {
            leaves[*id as usize].uses += 1;
            return Some(LeafId(*id));
        }
        let leaf = Leaf { path, uses: 1, packets: 0, bytes: 0 };
        let id = match free.pop() {
            Some(id) => {
                leaves[id as usize] = leaf;
                id
            }
            None if leaves.len() < *capacity => {
                leaves.push(leaf);
                leaves.len() as u32 - 1
            }
            None => return None,
        };
        by_path.insert_unique(hash, id, |id| self::hash(&leaves[*id as usize].path));
        Some(LeafId(id))
    }

    /// One use of a leaf less.
    fn release(&mut self, leaf: LeafId) {
        let place = &mut self.leaves[leaf.0 as usize];
        place.uses -= 1;
        // One whose packets are not counted yet goes when they are.
        if place.uses == 0 && place.packets == 0 {
            self.retire(leaf.0);
        }
    }

    fn retire(&mut self, id: u32) {
        let hash = hash(&self.leaves[id as usize].path);
        if let Ok(found) = self.by_path.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }

    fn flush(&mut self, snapshot: &Snapshot, now: Nanos) {
        while let Some(id) = self.touched.pop() {
            let leaf = &mut self.leaves[id as usize];
            let (packets, bytes) = (std::mem::take(&mut leaf.packets), std::mem::take(&mut leaf.bytes));
            for (table, entry) in &leaf.path.hits {
                if let Some(entry) = entry {
                    entry.counters.count(packets, bytes, now.0);
                }
                snapshot.tables.count(*table, packets, if entry.is_some() { packets } else { 0 });
            }
            if leaf.uses == 0 {
                self.retire(id);
            }
        }
    }
}

/// A hash of a path. Nobody chooses what paths there are but whoever writes the tables.
fn hash(path: &Path) -> u64 {
    let mut hash = 0_u64;
    for (table, entry) in &path.hits {
        let entry = entry.as_ref().map_or(0, |entry| std::sync::Arc::as_ptr(entry) as u64);
        let product = u128::from(hash ^ entry ^ u64::from(table.0) << 56) * 0x9e37_79b9_7f4a_7c15;
        hash = (product >> 64) as u64 ^ product as u64;
    }
    hash
}
