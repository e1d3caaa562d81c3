//! A hash table of which views can be taken: the table as it was at one moment, for other threads.
//!
//! The control thread changes the table while workers look up in views of it. A view costs a pointer for every two thousandth element or so; the first
//! change of an element after a view copies the shard that the element is in, some sixteen of them, and the list of 128 shards above. Copies are
//! of bytes: an element itself is only moved, and what views can still reach of it is kept for them by [`Views`]. To count references to each
//! element instead would be a cache miss for each that is copied, and another when a worker lets a view go.
//!
//! # Safety
//!
//! Nodes (lists of shards, and shards) are made by the table, each in one era, and never freed but by way of [`Views`].
//! - A node of the running era is reachable from the table alone, so the table may change it in place.
//! - A node of an earlier era may be reachable from views, so it does not change any more. One that leaves the table is kept as long as a view has it.
//! - An element is owned by the table that it is in, or by what is kept for views once it has left. Its bytes may be in any number of nodes, of
//!   which all but one have left the table, and do not free it.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::{ptr, slice};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::views::{Era, Open, Views};

/// Shards of one list.
const LIST: usize = 128;
/// Elements a shard has on average before their number is doubled.
const LOAD: usize = 16;
/// The bits of a hash that choose the shard begin here: a shard's own table uses the lowest and the highest ones.
const SHIFT: u32 = 16;

/// The bytes of an element, and its hash, so that moving it does not take a look at what it refers to.
#[derive(Debug)]
struct Slot<T> {
    hash: u64,
    /// When the element came.
    made: Era,
    element: ManuallyDrop<T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        // SAFETY: read from a reference. Nobody drops an element in a slot; who takes one out of the table sees to it that that is done once.
        Slot { hash: self.hash, made: self.made, element: unsafe { ptr::read(&self.element) } }
    }
}

#[derive(Debug)]
struct Shard<T> {
    made: Era,
    slots: HashTable<Slot<T>>,
}

impl<T> Shard<T> {
    fn find(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.slots.find(hash, |slot| is(&slot.element)).map(|slot| &*slot.element)
    }
}

/// A list of shards, without its length.
type List<T> = NonNull<NonNull<Shard<T>>>;

/// What left the table.
#[derive(Debug)]
enum Gone<T> {
    List(List<T>, usize),
    Shard(NonNull<Shard<T>>),
    Element(ManuallyDrop<T>),
}

impl<T> Drop for Gone<T> {
    fn drop(&mut self) {
        match self {
            Gone::List(list, len) => {
                let list = ptr::slice_from_raw_parts_mut(list.as_ptr(), *len);
                // SAFETY: such lists were boxed by the table; neither it nor a view has this one, as `Views` promises.
                drop(unsafe { Box::from_raw(list) });
            }
            // SAFETY: the same. Its elements are not dropped.
            Gone::Shard(shard) => drop(unsafe { Box::from_raw(shard.as_ptr()) }),
            // SAFETY: it is owned here, and dropped once. It lay here unmoved as a value of its type, since views may have read it.
            Gone::Element(element) => unsafe { ManuallyDrop::drop(element) },
        }
    }
}

// SAFETY: it owns what it points to, and that is elements and memory.
unsafe impl<T: Send> Send for Gone<T> {}

/// The table. Hashes are the caller's.
#[derive(Debug)]
pub(crate) struct CowTable<T> {
    lists: Vec<(List<T>, Era)>,
    /// The number of shards, less one.
    mask: usize,
    len: usize,
    views: Views<Gone<T>>,
}

// SAFETY: it owns what it points to, but for elements that views read on other threads and that it frees.
unsafe impl<T: Send + Sync> Send for CowTable<T> {}
// SAFETY: through a shared reference everything is only read.
unsafe impl<T: Send + Sync> Sync for CowTable<T> {}

/// A table as it was at one moment.
#[derive(Debug)]
pub(crate) struct View<T> {
    lists: Box<[List<T>]>,
    mask: usize,
    /// Keeps all that can be reached from here.
    _open: Arc<Open<Gone<T>>>,
}

// SAFETY: it only reads, and who holds it last when the table is gone frees the elements.
unsafe impl<T: Send + Sync> Send for View<T> {}
// SAFETY: it only reads.
unsafe impl<T: Send + Sync> Sync for View<T> {}

impl<T> View<T> {
    /// The element with this hash that `is` recognises.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        let shard = shard_of(hash, self.mask);
        let list = self.lists.get(shard / LIST)?;
        // SAFETY: the number of a shard is below theirs. What a view points to stays, and does not change.
        unsafe { list.add(shard % LIST).as_ref().as_ref() }.find(hash, is)
    }
}

impl<T> CowTable<T> {
    pub(crate) fn new() -> Self {
        let views = Views::new();
        CowTable { lists: lists(1, views.era()), mask: 0, len: 0, views }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The table as it is now.
    pub(crate) fn view(&mut self) -> View<T> {
        let lists = self.lists.iter().map(|(list, _)| *list).collect();
        View { lists, mask: self.mask, _open: self.views.open() }
    }

    /// Frees what was kept for views that are closed, as much as there is a budget for. Says whether anything is kept still, or a view is open.
    pub(crate) fn close_views(&mut self, budget: &mut usize) -> bool {
        self.views.close(budget)
    }

    /// The element with this hash that `is` recognises.
    pub(crate) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shard(shard_of(hash, self.mask)).find(hash, is)
    }

    /// Puts an element in, made of the one in whose place it goes.
    pub(crate) fn put(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&T) -> bool,
        make: impl FnOnce(Option<&T>) -> T,
    ) {
        if self.len > self.mask.saturating_mul(LOAD).saturating_add(LOAD - 1) {
            self.grow();
        }
        let CowTable { lists, mask, len, views } = self;
        let now = views.era();
        match own(lists, views, *mask, hash).entry(hash, |slot| is(&slot.element), |slot| slot.hash) {
            Entry::Occupied(mut found) => {
                let element = ManuallyDrop::new(make(Some(&found.get().element)));
                let old = std::mem::replace(found.get_mut(), Slot { hash, made: now, element });
                views.keep(old.made, Gone::Element(old.element));
            }
            Entry::Vacant(place) => {
                place.insert(Slot { hash, made: now, element: ManuallyDrop::new(make(None)) });
                *len += 1;
            }
        }
    }

    /// Puts another element in the place of one, if it is there, or none.
    pub(crate) fn change(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&T) -> bool,
        change: impl FnOnce(&T) -> Option<T>,
    ) {
        let CowTable { lists, mask, len, views } = self;
        let now = views.era();
        let slots = own(lists, views, *mask, hash);
        let Ok(mut found) = slots.find_entry(hash, |slot| is(&slot.element)) else { return };
        let old = match change(&found.get().element) {
            Some(new) => {
                let new = Slot { hash, made: now, element: ManuallyDrop::new(new) };
                std::mem::replace(found.get_mut(), new)
            }
            None => {
                *len -= 1;
                found.remove().0
            }
        };
        views.keep(old.made, Gone::Element(old.element));
    }

    /// The elements of one shard, and the shard that is next on a walk that begins with 0; none behind the last.
    ///
    /// A walk meets every element that is there all the time exactly once, though the number of shards may double meanwhile: numbers are counted
    /// up from their highest bit, so that what a shard is split into has its turn when the shard had it.
    pub(crate) fn step(&self, shard: usize) -> (impl Iterator<Item = &T>, Option<usize>) {
        let bits = self.mask.count_ones();
        let shard = shard & self.mask;
        let next = (shard != self.mask).then(|| {
            let unused = usize::BITS - bits;
            (((shard << unused).reverse_bits() + 1).reverse_bits()) >> unused
        });
        (self.shard(shard).slots.iter().map(|slot| &*slot.element), next)
    }

    fn shard(&self, shard: usize) -> &Shard<T> {
        let (list, _) = self.lists[shard / LIST];
        // SAFETY: the number of a shard is below theirs. Nothing changes what a shared reference can reach.
        unsafe { list.add(shard % LIST).as_ref().as_ref() }
    }

    /// Doubles the number of shards.
    fn grow(&mut self) {
        let shards = (self.mask + 1) * 2;
        let old = std::mem::replace(&mut self.lists, lists(shards, self.views.era()));
        let old_mask = std::mem::replace(&mut self.mask, shards - 1);
        // SAFETY: they were the table's just now.
        for shard in unsafe { shards_of(&old, old_mask) } {
            // SAFETY: it was in the table just now. The reference is not used once the shard is given away.
            let Shard { made, slots } = unsafe { shard.as_ref() };
            for slot in slots {
                let slots = own(&mut self.lists, &mut self.views, self.mask, slot.hash);
                slots.insert_unique(slot.hash, slot.clone(), |slot| slot.hash);
            }
            self.views.keep(*made, Gone::Shard(shard));
        }
        for (list, made) in old {
            self.views.keep(made, Gone::List(list, list_len(old_mask)));
        }
    }
}

/// The elements of the shard of a hash, which is in no view then.
fn own<'t, T>(
    lists: &'t mut [(List<T>, Era)],
    views: &mut Views<Gone<T>>,
    mask: usize,
    hash: u64,
) -> &'t mut HashTable<Slot<T>> {
    let (shard, era, len) = (shard_of(hash, mask), views.era(), list_len(mask));
    let (list, made) = &mut lists[shard / LIST];
    if *made != era {
        // SAFETY: a list has as many.
        let copy = boxed(unsafe { slice::from_raw_parts(list.as_ptr(), len) }.into());
        views.keep(*made, Gone::List(*list, len));
        (*list, *made) = (copy, era);
    }
    // SAFETY: the number of a shard is below theirs. The list is of this era, so nobody else has it.
    let place = unsafe { list.add(shard % LIST).as_mut() };
    // SAFETY: it is in the table; views may only read it, too.
    let old = unsafe { place.as_ref() };
    if old.made != era {
        let copy = Shard { made: era, slots: old.slots.clone() };
        views.keep(old.made, Gone::Shard(*place));
        *place = NonNull::from(Box::leak(Box::new(copy)));
    }
    // SAFETY: it is of this era, so nobody else has it.
    &mut unsafe { place.as_mut() }.slots
}

impl<T> Drop for CowTable<T> {
    fn drop(&mut self) {
        let mut remains = Vec::new();
        // SAFETY: they are the table's.
        for shard in unsafe { shards_of(&self.lists, self.mask) } {
            // SAFETY: the table has it still. Views may only read it, too, and nobody looks at these copies of elements but who drops them.
            let slots = unsafe { &shard.as_ref().slots };
            remains.extend(slots.iter().map(|slot| Gone::Element(slot.clone().element)));
            remains.push(Gone::Shard(shard));
        }
        let len = list_len(self.mask);
        remains.extend(self.lists.iter().map(|(list, _)| Gone::List(*list, len)));
        self.views.end(remains);
    }
}

/// All shards of these lists.
///
/// # Safety
/// They are the lists that a table of this mask has, or had just now.
unsafe fn shards_of<T>(
    lists: &[(List<T>, Era)],
    mask: usize,
) -> impl Iterator<Item = NonNull<Shard<T>>> + '_ {
    lists.iter().flat_map(move |(list, _)| {
        // SAFETY: such a list has as many.
        unsafe { slice::from_raw_parts(list.as_ptr(), list_len(mask)) }.iter().copied()
    })
}

/// How many shards each list has if there are `mask + 1`.
fn list_len(mask: usize) -> usize {
    (mask + 1).min(LIST)
}

#[inline]
fn shard_of(hash: u64, mask: usize) -> usize {
    (hash >> SHIFT) as usize & mask
}

/// Empty shards, a power of two.
fn lists<T>(shards: usize, made: Era) -> Vec<(List<T>, Era)> {
    // As much as they have right after the number of shards was doubled, so that nothing is moved twice.
    let room = if shards == 1 { 0 } else { LOAD * 7 / 8 };
    let shard = || NonNull::from(Box::leak(Box::new(Shard { made, slots: HashTable::with_capacity(room) })));
    let list = |len| (boxed((0..len).map(|_| shard()).collect()), made);
    (0..shards.div_ceil(LIST)).map(|_| list(shards.min(LIST))).collect()
}

fn boxed<T>(list: Box<[NonNull<Shard<T>>]>) -> List<T> {
    NonNull::from(Box::leak(list)).cast()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    fn hash(n: u32) -> u64 {
        u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn put(table: &mut CowTable<(u32, u32)>, key: u32, value: u32) {
        table.put(hash(key), |e| e.0 == key, |_| (key, value));
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
    fn a_view_stays_as_it_was() {
        let mut table = CowTable::new();
        for key in 0..20_000 {
            put(&mut table, key, key);
        }
        let view = table.view();
        for key in 0..20_000 {
            if key % 2 == 0 {
                put(&mut table, key, key + 1);
            } else {
                table.change(hash(key), |e| e.0 == key, |_| None);
            }
        }
        for key in 20_000..40_000 {
            put(&mut table, key, key);
        }
        let seen = |key: u32| view.find(hash(key), |e| e.0 == key).map(|e| e.1);
        for key in 0..20_000 {
            assert_eq!(seen(key), Some(key));
            assert_eq!(get(&table, key), (key % 2 == 0).then_some(key + 1));
        }
        assert_eq!(seen(30_000), None);
        assert_eq!(get(&table, 30_000), Some(30_000));
        for key in 0..40_000 {
            table.change(hash(key), |e| e.0 == key, |_| None);
        }
        assert!(table.is_empty());
        drop(table);
        assert_eq!(seen(7), Some(7));
    }

    #[test]
    fn what_comes_and_goes_under_an_old_view_is_not_kept_for_it() {
        let alive = Rc::new(Cell::new(0));
        let mut table = CowTable::new();
        let put = |table: &mut CowTable<Told>, value| {
            table.put(hash(1), |told| told.key == 1, |_| Told::new(1, value, &alive));
        };
        put(&mut table, 0);
        let old = table.view();
        for value in 1..1_000 {
            put(&mut table, value);
            drop(table.view());
        }
        assert!(alive.get() <= 3, "{}", alive.get());
        assert_eq!(old.find(hash(1), |told| told.key == 1).map(|told| told.value), Some(0));
    }

    #[test]
    fn views_are_read_while_the_table_changes() {
        const KEYS: u32 = 3_000;
        let mut table: CowTable<(Box<u32>, u32)> = CowTable::new();
        let (send, receive) = std::sync::mpsc::sync_channel::<(View<_>, u32)>(2);
        let reader = std::thread::spawn(move || {
            for (view, round) in receive {
                for key in 0..KEYS {
                    let found = view.find(hash(key), |e: &(Box<u32>, u32)| *e.0 == key).map(|e| e.1);
                    assert_eq!(found, (key % 7 != round % 7).then_some(round));
                }
            }
        });
        for round in 0..50 {
            for key in 0..KEYS {
                if key % 7 == round % 7 {
                    table.change(hash(key), |e| *e.0 == key, |_| None);
                } else {
                    table.put(hash(key), |e| *e.0 == key, |_| (Box::new(key), round));
                }
            }
            send.send((table.view(), round)).expect("the reader reads");
        }
        drop(send);
        reader.join().expect("the reader found what was to be found");
    }

    /// An element that says when it is dropped.
    struct Told {
        key: u8,
        value: u32,
        alive: Rc<Cell<u32>>,
    }

    impl Told {
        fn new(key: u8, value: u32, alive: &Rc<Cell<u32>>) -> Told {
            alive.set(alive.get() + 1);
            Told { key, value, alive: Rc::clone(alive) }
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            self.alive.set(self.alive.get() - 1);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u32),
        Remove(u8),
        View,
        Close(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (any::<u8>(), any::<u32>()).prop_map(|(key, value)| Step::Put(key, value)),
            4 => any::<u8>().prop_map(Step::Remove),
            2 => Just(Step::View),
            2 => any::<usize>().prop_map(Step::Close),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Every view shows what the table was, and every element is dropped once: when neither the table nor a view has it.
        #[test]
        fn views_are_the_table_of_their_moment(steps in steps()) {
            let alive = Rc::new(Cell::new(0));
            let mut table = CowTable::new();
            let mut model = BTreeMap::new();
            let mut views: Vec<(View<Told>, BTreeMap<u8, u32>)> = Vec::new();
            let of = |key: u8| hash(key.into());
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        table.put(of(key), |told: &Told| told.key == key, |_| Told::new(key, value, &alive));
                        model.insert(key, value);
                    }
                    Step::Remove(key) => {
                        table.change(of(key), |told| told.key == key, |_| None);
                        model.remove(&key);
                    }
                    Step::View => views.push((table.view(), model.clone())),
                    Step::Close(_) if views.is_empty() => {}
                    Step::Close(which) => drop(views.swap_remove(which % views.len())),
                }
                for (view, model) in &views {
                    for key in 0..=u8::MAX {
                        let seen = view.find(of(key), |told| told.key == key).map(|told| told.value);
                        prop_assert_eq!(seen, model.get(&key).copied());
                    }
                }
                if views.is_empty() {
                    prop_assert!(!table.close_views(&mut 10_000));
                    prop_assert_eq!(alive.get() as usize, model.len());
                }
            }
            drop(table);
            for (view, model) in &views {
                for (key, value) in model {
                    let seen = view.find(of(*key), |told| told.key == *key).map(|told| told.value);
                    prop_assert_eq!(seen, Some(*value));
                }
            }
            drop(views);
            prop_assert_eq!(alive.get(), 0);
        }
    }
}
