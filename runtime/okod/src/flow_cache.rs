//! The flow cache of a worker: keys to trees of filter questions, and these to [`Path`]s.
//!
//! Everything is made under one snapshot. When another is taken up that differs in flow entries only, keys that lead only to paths which amount to one output or a drop,
//! whatever filters answer, and that none of the changed entries concerns, are used on; whether that is so is looked at when such a key is found again. Otherwise
//! it starts with nothing. Memory is taken beforehand; what does not fit is not
//! cached, and its packets go through the tables. Paths of an earlier snapshot hold entries that may be the last to be let go of; that is
//! left to the control thread ([`Laundry`]).
//!
//! # Two levels
//!
//! Keys have all bits that any entry looks at. Often the entries of high priority look at few of them, and one of low priority at many: a
//! packet that meets one of the former need not be told from others by the bits of the latter. So there is a second, narrow kind of key, of the bits of the
//! entries above some priority, for paths that no filter is asked on and that meet only such entries in table 0. It is looked for first, as long as enough
//! packets are found by it. See [`narrow::bits`] for how the priority is chosen.
//!
//! # Counting
//!
//! Packets are counted with the paths they took, and the entries of a path are told now and then ([`FlowCache::flush`]): when
//! traffic pauses, every [`FLUSH_TIME`] while it does not, and before another snapshot is taken up. No count is lost.

mod narrow;

use std::sync::Arc;

use oko_flow_cache::{
    BURST, Changes, ExactCache, Full, Key, Layouts, LeafId, Lookups, NodeId, Step, Together, Trees,
};
use oko_flow_table::Change;
use oko_openflow::{PortNo, TableId};
use oko_packet::FlowKey;

use self::narrow::Trial;
use crate::clock::{Clock, Nanos};
use crate::fate::Fate;
use crate::leaves::{Laundry, Leaves};
use crate::recipe::Recipe;
use crate::recording::{Path, Recording, Then};
use crate::snapshot::{Generation, Snapshot};

/// After this time entries are told of their packets, at the latest.
const FLUSH_TIME: u64 = 50_000_000;
/// Changes of entries after which the cache begins anew.
const MOST_CHANGES: usize = 32_768;
/// What the value of a key begins with if it is a leaf and no node.
const LEAF: u32 = 1 << 31;

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
    /// Keys of all relevant bits.
    wide: Level,
    /// Keys of fewer.
    narrow: Level,
    /// Paths that meet entries of table 0 above this priority have narrow keys; none if no path has.
    above: Option<u16>,
    trial: Trial,
    trees: Trees,
    leaves: Leaves,
    /// What keys led to that were pushed out during this burst.
    pushed_out: Vec<u32>,
    /// When the entries were told last.
    flushed: Nanos,
    laundry: Arc<Laundry>,
    /// The snapshot that was taken up last, and its tables.
    generation: Generation,
    number: u64,
    is_on: bool,
}

/// Keys of one kind.
#[derive(Debug)]
struct Level {
    layouts: Layouts,
    exact: ExactCache,
    /// The changes of entries since the cache began.
    changes: Changes,
}

/// A burst as the levels see it.
#[derive(Debug, Default)]
pub(crate) struct Views {
    wide: Lookups,
    narrow: Lookups,
    /// Whether there are narrow keys.
    has_narrow: bool,
    /// The packets whose narrow keys were found, a bit each.
    narrowed: u32,
}

impl Level {
    fn new(keys: usize, secrets: [u64; 4]) -> Self {
        Self { layouts: Layouts::empty(), exact: ExactCache::new(keys, secrets), changes: Changes::default() }
    }

    fn begin(&mut self, mask: &FlowKey, epoch: u64) {
        self.layouts = Layouts::new(mask);
        self.exact.begin(epoch, &self.layouts);
        self.changes.clear();
    }

    /// The value under a key, if it is of this epoch or `lasts` and no change concerns it.
    fn find(&mut self, key: &Key, hash: u64, lasts: impl FnOnce(u32) -> bool) -> Option<u32> {
        let found = self.exact.find(key, hash)?;
        if found.epoch != self.exact.epoch() {
            if !lasts(found.value) || self.changes.concern(key, found.epoch) {
                return None;
            }
            self.exact.renew(found.way, found.value);
        }
        Some(found.value)
    }
}

impl Views {
    fn narrow_key(&self, at: usize) -> Option<(&Key, u64)> {
        self.narrow.key(at).filter(|_| self.has_narrow)
    }

    /// Not of packets whose narrow keys were found.
    fn wide_key(&self, at: usize) -> Option<(&Key, u64)> {
        let is_narrowed = self.narrowed >> at & 1 != 0;
        self.wide.key(at).filter(|_| !is_narrowed)
    }

    /// What the cache had under a packet's key.
    #[inline]
    pub(crate) fn value(&self, at: usize) -> Option<u32> {
        if self.narrowed >> at & 1 != 0 { self.narrow.value(at) } else { self.wide.value(at) }
    }

    /// What packets have in common that the tables treat alike, as far as can be said before; a number.
    pub(crate) fn flow(&self, at: usize) -> Option<u64> {
        if self.has_narrow { self.narrow.flow(at) } else { self.wide.flow(at) }
    }
}

impl FlowCache {
    /// A cache for at least so many keys, none if it is to be off, with secret random numbers for their hashes.
    pub(crate) fn new(keys: usize, secrets: [u64; 4], laundry: Arc<Laundry>) -> Self {
        Self {
            wide: Level::new(keys, secrets),
            narrow: Level::new(keys, secrets),
            above: None,
            trial: Trial::default(),
            trees: Trees::new(keys * 2),
            leaves: Leaves::new(keys),
            pushed_out: Vec::with_capacity(BURST),
            flushed: Nanos(0),
            laundry,
            generation: Generation(0),
            number: 0,
            is_on: keys > 0,
        }
    }

    /// Goes on under another snapshot.
    pub(crate) fn take_up(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.flush(snapshot, now);
        if !self.keeps(snapshot) {
            self.begin(snapshot);
        }
        (self.generation, self.number) = (snapshot.generation, snapshot.tables.number());
    }

    /// Notes what has changed, if keys can be used on.
    fn keeps(&mut self, snapshot: &Snapshot) -> bool {
        let tables = &snapshot.tables;
        if snapshot.lasting > self.generation || self.wide.changes.len() > MOST_CHANGES {
            return false;
        }
        let Some(changes) = tables.changes_since(self.number) else { return false };
        let narrow = narrow::bits(tables);
        if Layouts::new(&tables.relevant(TableId(0))) != self.wide.layouts
            || narrow.map(|(above, _)| above) != self.above
            || narrow.is_some_and(|(_, mask)| Layouts::new(&mask) != self.narrow.layouts)
        {
            return false;
        }
        let epoch = snapshot.generation.0;
        for Change { table, priority, key, mask } in changes {
            self.wide.changes.note(&self.wide.layouts, key, mask, epoch);
            // What is below does not decide about narrow keys.
            if self.above.is_some_and(|above| *table != TableId(0) || *priority > above) {
                self.narrow.changes.note(&self.narrow.layouts, key, mask, epoch);
            }
        }
        self.wide.exact.advance(epoch);
        self.narrow.exact.advance(epoch);
        true
    }

    /// Begins anew.
    fn begin(&mut self, snapshot: &Snapshot) {
        let epoch = snapshot.generation.0;
        self.wide.begin(&snapshot.tables.relevant(TableId(0)), epoch);
        self.above = narrow::bits(&snapshot.tables).map(|(priority, mask)| {
            self.narrow.begin(&mask, epoch);
            priority
        });
        self.trial = Trial::default();
        self.trees.clear();
        if !self.leaves.is_empty() {
            self.laundry.exchange(&mut self.leaves);
        }
    }

    /// Looks up a burst of a port. If all packets have one key, where it leads comes back.
    #[inline]
    pub(crate) fn look_up<'f>(
        &mut self,
        views: &mut Views,
        count: usize,
        frame: impl Fn(usize) -> Option<&'f [u8]>,
        in_port: PortNo,
    ) -> Option<Way> {
        let Self { wide, narrow, above, trial, leaves, is_on, .. } = self;
        let fetch = |value: u32| {
            if value & LEAF != 0 {
                leaves.prefetch(value & !LEAF);
            }
        };
        (views.has_narrow, views.narrowed) = (false, 0);
        if !*is_on {
            views.wide.clear();
            return None;
        }
        views.has_narrow = above.is_some() && trial.wants(count as u32);
        if views.has_narrow {
            let Level { layouts, exact, .. } = narrow;
            let together = views.narrow.look_up(layouts, exact, count, &frame, in_port.0, fetch);
            if let Together::Same(value) = together {
                trial.saw(count as u32, count as u32);
                return Some(self.way(value));
            }
            for at in 0..count {
                views.narrowed |= u32::from(views.narrow.value(at).is_some()) << at;
            }
            trial.saw(count as u32, views.narrowed.count_ones());
            if views.narrowed.count_ones() as usize == count {
                return None;
            }
        }
        let Level { layouts, exact, .. } = wide;
        let together = match views.narrowed {
            0 => views.wide.look_up(layouts, exact, count, frame, in_port.0, fetch),
            narrowed => {
                let frame = |at| frame(at).filter(|_| narrowed >> at & 1 == 0);
                views.wide.look_up(layouts, exact, count, frame, in_port.0, fetch)
            }
        };
        match together {
            Together::Same(value) => Some(self.way(value)),
            Together::Nothing => None,
        }
    }

    /// Where the key of a packet of the burst leads, if that is known by now.
    pub(crate) fn find(&mut self, views: &Views, at: usize) -> Option<Way> {
        let Self { wide, narrow, trees, leaves, .. } = self;
        // A path that does one thing rewrites nothing, so that all its lookups saw the packet as it came, and so did filters that were asked on the way.
        let is_plain = |leaf| leaves.fate(leaf).then() != Then::Act;
        let mut lasts = |value: u32| match value & LEAF {
            0 => trees.all_leaves(NodeId(value), is_plain),
            _ => is_plain(LeafId(value & !LEAF)),
        };
        let in_narrow = views.narrow_key(at).and_then(|(key, hash)| narrow.find(key, hash, &mut lasts));
        let value = match in_narrow {
            Some(value) => value,
            None => {
                let (key, hash) = views.wide_key(at)?;
                wide.find(key, hash, &mut lasts)?
            }
        };
        Some(self.way(value))
    }

    /// Where an answer leads, if that is known.
    #[inline]
    pub(crate) fn answered(&self, node: NodeId, class: u32) -> Option<Way> {
        self.trees.child(node, class).map(|node| self.step(node))
    }

    /// Where the value of a key leads.
    #[inline]
    pub(crate) fn way(&self, value: u32) -> Way {
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
        self.leaves.path(leaf)
    }

    /// How the packets of a path are changed whose fate says so.
    #[inline]
    pub(crate) fn recipe(&self, leaf: LeafId) -> Option<&Recipe> {
        self.leaves.recipe(leaf)
    }

    /// What is done with the packets of a path.
    #[inline]
    pub(crate) fn fate(&self, leaf: LeafId) -> Fate {
        self.leaves.fate(leaf)
    }

    /// Counts packets of so many bytes together that take a path. Of those whose actions are done one by one only the first lookup is counted so: the
    /// pipeline counts the others, since it knows how far packets come.
    #[inline]
    pub(crate) fn take(&mut self, leaf: LeafId, packets: u32, bytes: u64) {
        self.leaves.take(leaf, packets, bytes);
    }

    /// Remembers what a packet of the burst met.
    pub(crate) fn remember(&mut self, views: &Views, at: usize, recording: Recording, snapshot: &Snapshot) {
        let Recording { path, answers, .. } = recording;
        let is_narrow = answers.is_empty() && self.is_narrow(&path);
        let (level, key) = match views.narrow_key(at).filter(|_| is_narrow) {
            Some(key) => (&mut self.narrow, key),
            None => match views.wide_key(at) {
                Some(key) => (&mut self.wide, key),
                None => return,
            },
        };
        let Some(leaf) = self.leaves.leaf(path, snapshot) else { return };
        let (key, hash) = key;
        let found = level.exact.find(key, hash);
        match found {
            Some(found) if found.epoch == level.exact.epoch() => {
                // A filter gave an answer that was not seen before, or else it is known by now.
                let grown = found.value & LEAF == 0
                    && self.trees.extend(NodeId(found.value), &answers, leaf) == Ok(true);
                if !grown {
                    self.leaves.release(leaf);
                }
                return;
            }
            _ => {}
        }
        let value = if answers.is_empty() {
            Ok(leaf.0 | LEAF)
        } else {
            self.trees.grow(&answers, leaf).map(|node| node.0)
        };
        let old = match (value, found) {
            (Err(Full), _) => {
                self.leaves.release(leaf);
                return;
            }
            // What an earlier snapshot said.
            (Ok(value), Some(found)) => {
                level.exact.renew(found.way, value);
                Some(found.value)
            }
            (Ok(value), None) => level.exact.insert(key, hash, value),
        };
        // Packets of this burst may still lead there.
        self.pushed_out.extend(old);
    }

    /// Whether all that is looked up on a path depends on nothing but the bits of narrow keys.
    fn is_narrow(&self, path: &Path) -> bool {
        let Some(above) = self.above else { return false };
        path.hits.iter().all(|(table, entry)| {
            *table != TableId(0) || entry.as_ref().is_some_and(|entry| entry.priority > above)
        })
    }

    /// A burst is over: lets go of what no key leads to any more, and tells the entries of their packets if it is time.
    #[inline]
    pub(crate) fn burst_is_over(&mut self, snapshot: &Snapshot, now: Nanos) {
        while let Some(old) = self.pushed_out.pop() {
            self.forget(old);
        }
        if now.0.saturating_sub(self.flushed.0) >= FLUSH_TIME {
            self.flush(snapshot, now);
        }
    }

    /// Tells them while there are no packets.
    #[inline]
    pub(crate) fn flush_if_any(&mut self, snapshot: &Snapshot, clock: &Clock) {
        if self.leaves.has_touched() {
            self.flush(snapshot, clock.now());
        }
    }

    /// Tells the entries and tables of the packets that took their paths.
    pub(crate) fn flush(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.flushed = now;
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
