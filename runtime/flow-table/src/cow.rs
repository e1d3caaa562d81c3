//! A hash table whose copies share what did not change since.
//!
//! The control thread changes its copy while workers look up in older ones. A copy costs a reference for every 256th element or so;
//! the first change of an element after it copies the shard that the element is in, some sixteen of them, and the list of 16 shards above.
//! What is copied is counted references, each of which is a cache miss in a large table: with a thousand changes between two copies, 16 and 16 make
//! about the fewest of them for a million elements. Counting is an atomic operation, and the processor does not begin one before the last has ended, so what
//! is to be counted is read before: these misses overlap.

use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashTable;

/// Shards of one group.
const GROUP: usize = 16;
/// Elements a shard has on average before their number is doubled.
const LOAD: usize = 16;
/// The bits of a hash that choose the shard begin here: a shard's own table uses the lowest and the highest ones.
const SHIFT: u32 = 16;

/// An element and its hash, so that moving it does not take a look at what it refers to.
#[derive(Clone, Debug)]
struct Hashed<T> {
    hash: u64,
    element: T,
}

type Shard<T> = Arc<HashTable<Hashed<T>>>;

/// What copies count.
pub(crate) trait Counted: Clone {
    /// Something of every count that a copy changes.
    fn counts(&self) -> usize;
}

/// The table. Hashes are the caller's.
#[derive(Clone, Debug)]
pub(crate) struct CowTable<T> {
    groups: Vec<Arc<Vec<Shard<T>>>>,
    /// The number of shards, less one.
    mask: usize,
    len: usize,
}

impl<T: Counted> CowTable<T> {
    pub(crate) fn new() -> Self {
        Self::with_shards(1)
    }

    fn with_shards(shards: usize) -> Self {
        // As much as they have right after the number of shards was doubled, so that nothing is moved twice.
        let room = if shards == 1 { 0 } else { LOAD * 7 / 8 };
        let group = |n: usize| Arc::new((0..n).map(|_| Arc::new(HashTable::with_capacity(room))).collect());
        let groups = if shards < GROUP {
            vec![group(shards)]
        } else {
            (0..shards / GROUP).map(|_| group(GROUP)).collect()
        };
        CowTable { groups, mask: shards - 1, len: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element with this hash that `is` recognises.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<&T> {
        let shard = self.shard(hash);
        let shard = self.groups.get(shard / GROUP)?.get(shard % GROUP)?;
        shard.find(hash, |hashed| is(&hashed.element)).map(|hashed| &hashed.element)
    }

    /// The same, to be changed, or a new one.
    pub(crate) fn entry(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&T) -> bool,
        new: impl FnOnce() -> T,
    ) -> &mut T {
        if self.len >= (self.mask + 1) * LOAD {
            self.grow();
        }
        let shard = self.shard(hash);
        let CowTable { groups, len, .. } = self;
        let found = own(groups, shard).entry(hash, |hashed| is(&hashed.element), |hashed| hashed.hash);
        let new = || {
            *len += 1;
            Hashed { hash, element: new() }
        };
        &mut found.or_insert_with(new).into_mut().element
    }

    /// Changes an element; it goes if `change` says so.
    pub(crate) fn change(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&T) -> bool,
        change: impl FnOnce(&mut T) -> Keep,
    ) {
        let shard = self.shard(hash);
        let shard = own(&mut self.groups, shard);
        if let Ok(mut found) = shard.find_entry(hash, |hashed| is(&hashed.element))
            && let Keep::No = change(&mut found.get_mut().element)
        {
            found.remove();
            self.len -= 1;
        }
    }

    /// The elements of one shard, and the shard that is next on a walk that begins with 0; none behind the last.
    ///
    /// A walk meets every element that is there all the time exactly once, though the number of shards may double meanwhile: numbers are counted
    /// up from their highest bit, so that what a shard is split into has its turn when the shard had it.
    pub(crate) fn step(&self, shard: usize) -> (impl Iterator<Item = &T>, Option<usize>) {
        let bits = self.mask.count_ones();
        let shard = shard & self.mask;
        let elements = self.groups.get(shard / GROUP).and_then(|group| group.get(shard % GROUP));
        let next = (shard != self.mask).then(|| {
            let unused = usize::BITS - bits;
            (((shard << unused).reverse_bits() + 1).reverse_bits()) >> unused
        });
        (elements.into_iter().flat_map(|shard| shard.iter()).map(|hashed| &hashed.element), next)
    }

    #[inline]
    fn shard(&self, hash: u64) -> usize {
        (hash >> SHIFT) as usize & self.mask
    }

    /// Doubles the number of shards.
    fn grow(&mut self) {
        let mut next = Self::with_shards((self.mask + 1) * 2);
        for shard in self.groups.iter().flat_map(|group| group.iter()) {
            touch(shard);
            for hashed in shard.iter() {
                let to = next.shard(hashed.hash);
                own(&mut next.groups, to).insert_unique(hashed.hash, hashed.clone(), |hashed| hashed.hash);
                next.len += 1;
            }
        }
        *self = next;
    }
}

/// A shard that is in no copy.
fn own<T: Counted>(groups: &mut [Arc<Vec<Shard<T>>>], shard: usize) -> &mut HashTable<Hashed<T>> {
    let group = &mut groups[shard / GROUP];
    if Arc::strong_count(group) > 1 {
        black_box(group.iter().map(Arc::strong_count).sum::<usize>());
    }
    let shard = &mut Arc::make_mut(group)[shard % GROUP];
    if Arc::strong_count(shard) > 1 {
        touch(shard);
    }
    Arc::make_mut(shard)
}

/// Reads what a copy of a shard would count.
fn touch<T: Counted>(shard: &HashTable<Hashed<T>>) {
    black_box(shard.iter().map(|hashed| hashed.element.counts()).fold(0, usize::wrapping_add));
}

/// Whether a changed element stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> u64 {
        u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    impl Counted for (u32, u32) {
        fn counts(&self) -> usize {
            0
        }
    }

    fn put(table: &mut CowTable<(u32, u32)>, key: u32, value: u32) {
        table.entry(hash(key), |e| e.0 == key, || (key, 0)).1 = value;
    }

    fn get(table: &CowTable<(u32, u32)>, key: u32) -> Option<u32> {
        table.find(hash(key), |e| e.0 == key).map(|e| e.1)
    }

    /// Walks to the end, doing something between the steps; how often each key was met.
    fn walk(
        table: &mut CowTable<(u32, u32)>,
        mut between: impl FnMut(&mut CowTable<(u32, u32)>),
    ) -> Vec<u32> {
        let (mut met, mut at) = (Vec::new(), Some(0));
        while let Some(shard) = at {
            let (elements, next) = table.step(shard);
            met.extend(elements.map(|element| element.0));
            at = next;
            between(table);
        }
        met.sort_unstable();
        met
    }

    #[test]
    fn a_walk_meets_everything_once_while_the_table_grows() {
        for start in [0, 1, 15, 16, 300, 5_000] {
            let mut table = CowTable::new();
            for key in 0..start {
                put(&mut table, key, 0);
            }
            assert_eq!(walk(&mut table, |_| ()), (0..start).collect::<Vec<_>>());
            let mut new = start;
            let met = walk(&mut table, |table| {
                for _ in 0..(100 / (new / 1_000 + 1)) {
                    put(table, new, 0);
                    new += 1;
                }
            });
            let old: Vec<u32> = met.iter().copied().filter(|key| *key < start).collect();
            assert_eq!(old, (0..start).collect::<Vec<_>>());
            let mut once = met.clone();
            once.dedup();
            assert_eq!(once, met, "nothing is met twice");
        }
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut table = CowTable::new();
        for key in 0..20_000 {
            put(&mut table, key, key);
        }
        let copy = table.clone();
        for key in 0..20_000 {
            if key % 2 == 0 {
                put(&mut table, key, key + 1);
            } else {
                table.change(hash(key), |e| e.0 == key, |_| Keep::No);
            }
        }
        for key in 20_000..40_000 {
            put(&mut table, key, key);
        }
        for key in 0..20_000 {
            assert_eq!(get(&copy, key), Some(key));
            assert_eq!(get(&table, key), (key % 2 == 0).then_some(key + 1));
        }
        assert_eq!(get(&copy, 30_000), None);
        assert_eq!(get(&table, 30_000), Some(30_000));
        for key in 0..40_000 {
            table.change(hash(key), |e| e.0 == key, |_| Keep::No);
        }
        assert!(table.is_empty());
        assert_eq!(get(&copy, 7), Some(7));
    }
}
