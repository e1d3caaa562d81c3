//! The paths that a flow cache leads to, and the packets that took them.
//!
//! Packets are counted with the paths they took, and the entries of a path are told now and then. Keys with the same fate share a path. What every
//! packet looks at lies apart, a few bytes for each path.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use hashbrown::HashTable;
use oko_flow_cache::{LeafId, prefetch};
use oko_openflow::TableId;
use smallvec::SmallVec;

use crate::clock::Nanos;
use crate::fate::Fate;
use crate::recipe::Recipe;
use crate::recording::Path;
use crate::snapshot::Snapshot;

/// How many leaves ahead the memory of counters is asked for.
const AHEAD: usize = 8;

/// A path that packets take.
#[derive(Debug)]
struct Leaf {
    path: Path,
    /// The place of its recipe, if it has one.
    recipe: Option<u32>,
    /// Keys and tree nodes that lead here; free without.
    uses: u32,
}

/// What every packet of a path looks at.
#[derive(Clone, Copy, Debug)]
struct Toll {
    /// Bytes and packets that the entries do not know of yet.
    bytes: u64,
    packets: u32,
    fate: Fate,
}

/// Sets of paths on their way between a worker, which has done with them, and the control thread, which empties them.
#[derive(Debug)]
pub(crate) struct Laundry {
    worn: ArrayQueue<Leaves>,
    clean: ArrayQueue<Leaves>,
}

/// The most recipes; the packets of further paths are walked through the actions.
const MOST_RECIPES: usize = 1 << 17;

/// Sets of paths that a worker has beside the one in use.
const SPARE: usize = 2;

impl Laundry {
    /// With spare sets for a cache of so many keys.
    pub(crate) fn new(keys: usize) -> Self {
        let laundry = Self { worn: ArrayQueue::new(SPARE + 1), clean: ArrayQueue::new(SPARE + 1) };
        for _ in 0..SPARE {
            let _ = laundry.clean.push(Leaves::new(keys));
        }
        laundry
    }

    /// For the control thread, now and then: empties what came.
    pub(crate) fn wash(&self) {
        while let Some(mut leaves) = self.worn.pop() {
            leaves.clear();
            // There are not more than it has room for.
            let _ = self.clean.push(leaves);
        }
    }

    /// For a worker: an empty set for one that was in use. If there is none it is emptied here and now.
    pub(crate) fn exchange(&self, leaves: &mut Leaves) {
        match self.clean.pop() {
            Some(clean) => {
                let _ = self.worn.push(std::mem::replace(leaves, clean));
            }
            None => leaves.clear(),
        }
    }
}

/// All paths.
#[derive(Debug)]
pub(crate) struct Leaves {
    tolls: Vec<Toll>,
    leaves: Vec<Leaf>,
    free: Vec<u32>,
    recipes: Vec<Recipe>,
    /// Recipes of no leaf.
    spare: Vec<u32>,
    /// Leaves by their paths, so that keys with the same fate share one.
    by_path: HashTable<u32>,
    /// Leaves with packets that the entries do not know of.
    touched: Vec<u32>,
    capacity: usize,
}

impl Leaves {
    /// Whether there is no path.
    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Whether there are packets that the entries do not know of.
    #[inline]
    pub(crate) fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// A path.
    #[inline]
    pub(crate) fn path(&self, leaf: LeafId) -> &Path {
        &self.leaves[leaf.0 as usize].path
    }

    /// How the packets of a path are changed whose fate says so.
    #[inline]
    pub(crate) fn recipe(&self, leaf: LeafId) -> Option<&Recipe> {
        self.leaves[leaf.0 as usize].recipe.map(|at| &self.recipes[at as usize])
    }

    /// What is done with the packets of a path.
    #[inline]
    pub(crate) fn fate(&self, leaf: LeafId) -> Fate {
        self.tolls[leaf.0 as usize].fate
    }

    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tolls: Vec::with_capacity(capacity),
            leaves: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            recipes: Vec::with_capacity(capacity.min(MOST_RECIPES)),
            spare: Vec::with_capacity(capacity.min(MOST_RECIPES)),
            by_path: HashTable::with_capacity(capacity),
            touched: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// Forgets all paths. The packets on them have been counted.
    fn clear(&mut self) {
        self.tolls.clear();
        self.leaves.clear();
        self.free.clear();
        self.recipes.clear();
        self.spare.clear();
        self.by_path.clear();
        self.touched.clear();
    }

    #[inline]
    pub(crate) fn prefetch(&self, id: u32) {
        if let Some(toll) = self.tolls.get(id as usize) {
            prefetch(&raw const *toll);
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, leaf: LeafId, packets: u32, bytes: u64) {
        let toll = &mut self.tolls[leaf.0 as usize];
        if toll.packets == 0 {
            self.touched.push(leaf.0);
        }
        toll.packets += packets;
        toll.bytes += bytes;
    }

    /// The leaf of a path, with one use more; none if there is no room.
    pub(crate) fn leaf(&mut self, path: Path, snapshot: &Snapshot) -> Option<LeafId> {
        let Self { tolls, leaves, free, recipes, spare, by_path, capacity, .. } = self;
        let hash = hash(&path);
        if let Some(id) = by_path.find(hash, |id| leaves[*id as usize].path == path) {
            leaves[*id as usize].uses += 1;
            return Some(LeafId(*id));
        }
        if free.is_empty() && leaves.len() == *capacity {
            return None;
        }
        let fate = Fate::of(path.then);
        let recipe = if fate.is_none() { Recipe::of(&path, snapshot) } else { None };
        let recipe = recipe.and_then(|recipe| match spare.pop() {
            Some(at) => {
                recipes[at as usize] = recipe;
                Some(at)
            }
            None if recipes.len() < MOST_RECIPES.min(*capacity) => {
                recipes.push(recipe);
                Some(recipes.len() as u32 - 1)
            }
            None => None,
        });
        let fate = fate.unwrap_or(if recipe.is_some() { Fate::CHANGE } else { Fate::ACT });
        let toll = Toll { bytes: 0, packets: 0, fate };
        let leaf = Leaf { path, recipe, uses: 1 };
        let id = match free.pop() {
            Some(id) => {
                (tolls[id as usize], leaves[id as usize]) = (toll, leaf);
                id
            }
            None => {
                tolls.push(toll);
                leaves.push(leaf);
                leaves.len() as u32 - 1
            }
        };
        by_path.insert_unique(hash, id, |id| self::hash(&leaves[*id as usize].path));
        Some(LeafId(id))
    }

    /// One use of a leaf less.
    pub(crate) fn release(&mut self, leaf: LeafId) {
        let place = &mut self.leaves[leaf.0 as usize];
        place.uses -= 1;
        // One whose packets are not counted yet goes when they are.
        if place.uses == 0 && self.tolls[leaf.0 as usize].packets == 0 {
            self.retire(leaf.0);
        }
    }

    fn retire(&mut self, id: u32) {
        let hash = hash(&self.leaves[id as usize].path);
        if let Ok(found) = self.by_path.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.spare.extend(self.leaves[id as usize].recipe.take());
        self.free.push(id);
    }

    pub(crate) fn flush(&mut self, snapshot: &Snapshot, now: Nanos) {
        let mut tables: SmallVec<[(TableId, u64, u64); 4]> = SmallVec::new();
        let touched = std::mem::take(&mut self.touched);
        for (i, id) in touched.iter().enumerate() {
            if let Some(later) = touched.get(i + AHEAD) {
                for (_, entry) in &self.leaves[*later as usize].path.hits {
                    entry.iter().for_each(|entry| prefetch(&raw const *entry.counters));
                }
            }
            let toll = &mut self.tolls[*id as usize];
            let (packets, bytes) = (u64::from(toll.packets), toll.bytes);
            (toll.packets, toll.bytes) = (0, 0);
            let leaf = &self.leaves[*id as usize];
            // Where actions are done one by one, a packet may end before the second.
            let all = if toll.fate == Fate::ACT { leaf.path.hits.len().min(1) } else { leaf.path.hits.len() };
            for (table, entry) in &leaf.path.hits[..all] {
                if let Some(entry) = entry {
                    entry.counters.count(packets, bytes, now.0);
                }
                let matched = if entry.is_some() { packets } else { 0 };
                match tables.iter_mut().find(|(other, ..)| other == table) {
                    Some((_, all, with_entry)) => {
                        *all += packets;
                        *with_entry += matched;
                    }
                    None => tables.push((*table, packets, matched)),
                }
            }
            if leaf.uses == 0 {
                self.retire(*id);
            }
        }
        for (table, packets, matched) in tables {
            snapshot.tables.count(table, packets, matched);
        }
        self.touched = touched;
        self.touched.clear();
    }
}

/// A hash of a path. Nobody chooses what paths there are but whoever writes the tables.
fn hash(path: &Path) -> u64 {
    let mut hash = 0_u64;
    for (table, entry) in &path.hits {
        let entry = entry.as_ref().map_or(0, |entry| Arc::as_ptr(entry) as u64);
        let product = u128::from(hash ^ entry ^ u64::from(table.0) << 56) * 0x9e37_79b9_7f4a_7c15;
        hash = (product >> 64) as u64 ^ product as u64;
    }
    hash
}
