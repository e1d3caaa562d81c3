//! Which entry of a table a packet gets.
//!
//! Tuple space search (Srinivasan, Suri, Varghese, SIGCOMM '99) with merged tuples, as in TupleMerge (Daly and others, ToN 2019): an
//! entry goes where there is room, not where its mask is. A subtable's tuple may have fewer bits than the masks of its entries, so
//! that prefixes of many lengths share one hash lookup; what keeps a packet from being compared with many entries is that a
//! bucket takes no more than [`BUCKET`] of them before more specific tuples are used. Subtables are asked in order of
//! their highest priority until none left can do better.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use oko_openflow::FilterMatch;
use oko_packet::{FIELDS, FlowKey};

use crate::entry::{FlowEntry, Rank};
use crate::log::{Change, Pending};
use crate::matcher::Matcher;
use crate::subtable::{Subtable, SubtableView};

/// Entries that share the bits of a relaxed tuple before an entry goes to a more specific one.
const BUCKET: usize = 8;
/// A relaxed tuple keeps prefixes in steps of so many bits: the coarse one first.
const STEPS: [u32; 2] = [16, 8];

/// The entries of one table, as lookups need them: tuple space search with merged tuples (TupleMerge, ToN 2019). Never changes.
#[derive(Clone, Debug, Default)]
pub struct Classifier {
    /// Ordered by highest priority, the highest first.
    subtables: Vec<(u16, Arc<SubtableView>)>,
    bands: Arc<[Band]>,
}

/// What entries down to a priority look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The priority.
    pub priority: u16,
    /// The bits that any entry of this priority or a higher one looks at.
    pub mask: FlowKey,
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
        for (max_priority, subtable) in &self.subtables {
            if best.is_some_and(|(_, rank)| rank.priority > *max_priority) {
                break;
            }
            let Some(entry) = subtable.best(key, below) else { continue };
            let rank = entry.rank();
            if best.is_none_or(|(_, other)| rank > other) {
                best = Some((entry, rank));
            }
        }
        best.map(|(entry, _)| entry)
    }

    /// The bits that any entry looks at: packets that agree in them get the same entry, as far as filters agree.
    pub fn relevant(&self) -> &FlowKey {
        self.bands.last().map_or(&FlowKey::ZERO, |band| &band.mask)
    }

    /// The same for the entries down to each priority at which bits are added, by falling priority. Packets that agree in the bits of a band get
    /// the same entry if it is above the priority of the next band.
    pub fn bands(&self) -> &[Band] {
        &self.bands
    }

    /// How many hash tables a lookup may have to ask.
    pub fn subtables(&self) -> usize {
        self.subtables.len()
    }
}

/// A [`Classifier`] that can be changed.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// By rising id.
    parts: Vec<Part>,
    /// How many entries of each priority have each mask, and the bands if they are known.
    masks: HashMap<Arc<FlowKey>, BTreeMap<u16, usize>>,
    bands: Option<Arc<[Band]>>,
    next_part: u32,
    /// Subtables without entries that are in views still.
    leaving: Vec<Subtable>,
    holds_parts: bool,
    /// What was changed since the last snapshot.
    pub(crate) pending: Pending,
}

/// A part of a classifier, as long as it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartId(u32);

/// Where a walk through the entries is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    part: PartId,
    shard: usize,
}

/// A subtable and what changing it takes.
#[derive(Debug)]
struct Part {
    id: PartId,
    subtable: Subtable,
    /// The newest view of the subtable; none if it was changed since.
    view: Option<Arc<SubtableView>>,
    /// How many entries there are of each priority.
    priorities: BTreeMap<u16, usize>,
}

impl Part {
    /// The subtable, to be changed.
    fn change(&mut self) -> &mut Subtable {
        self.view = None;
        &mut self.subtable
    }

    fn view(&mut self) -> Arc<SubtableView> {
        Arc::clone(self.view.get_or_insert_with(|| Arc::new(self.subtable.view())))
    }

    fn max_priority(&self) -> u16 {
        highest(&self.priorities).unwrap_or(0)
    }
}

impl Builder {
    /// Puts an entry in; says where.
    pub(crate) fn insert(&mut self, entry: Arc<FlowEntry>) -> PartId {
        let at = self.place_for(&entry);
        self.insert_at(entry, at)
    }

    /// Puts an entry back where it was.
    pub(crate) fn put_back(&mut self, entry: Arc<FlowEntry>, part: PartId) -> PartId {
        let at = self.index_of(part).unwrap_or_else(|| self.place_for(&entry));
        self.insert_at(entry, at)
    }

    fn insert_at(&mut self, entry: Arc<FlowEntry>, at: usize) -> PartId {
        self.note(&entry);
        let mask = Arc::clone(&entry.matcher.mask);
        let priorities = self.masks.entry(mask).or_default();
        if highest(priorities) < Some(entry.priority) {
            self.bands = None;
        }
        *priorities.entry(entry.priority).or_default() += 1;
        let part = &mut self.parts[at];
        *part.priorities.entry(entry.priority).or_default() += 1;
        part.change().insert(entry);
        part.id
    }

    /// A mask as entries that have it share it, if any has.
    pub(crate) fn shared(&self, mask: Arc<FlowKey>) -> Arc<FlowKey> {
        self.masks.get_key_value(&mask).map_or(mask, |(shared, _)| Arc::clone(shared))
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, entry: &FlowEntry, part: PartId) {
        self.note(entry);
        let Some(at) = self.index_of(part) else { return };
        let part = &mut self.parts[at];
        part.change().remove(entry);
        decrement(&mut part.priorities, entry.priority);
        if part.subtable.is_empty() && !self.holds_parts {
            self.leaving.push(self.parts.remove(at).subtable);
        }
        if let Some(priorities) = self.masks.get_mut(&entry.matcher.mask) {
            decrement(priorities, entry.priority);
            if highest(priorities) < Some(entry.priority) {
                self.bands = None;
            }
            if priorities.is_empty() {
                self.masks.remove(&entry.matcher.mask);
            }
        }
    }

    /// Puts an entry in the place of one with the same match and priority.
    pub(crate) fn replace(&mut self, entry: &Arc<FlowEntry>, part: PartId) {
        self.note(entry);
        if let Some(at) = self.index_of(part) {
            self.parts[at].change().replace(entry);
        }
    }

    /// Gives some entries at a place of a walk, and the next place; none behind the last entry. What is there all the time and is not put in again is met
    /// exactly once.
    pub(crate) fn step<'a>(
        &'a self,
        place: Place,
        mut meet: impl FnMut(&'a Arc<FlowEntry>),
    ) -> Option<Place> {
        // Parts that come while a walk is under way come behind all others.
        let from = |least: PartId| self.parts.get(self.parts.partition_point(|part| part.id < least));
        let part = from(place.part)?;
        let shard = if part.id == place.part { place.shard } else { 0 };
        let (entries, next) = part.subtable.step(shard);
        entries.for_each(&mut meet);
        match next {
            Some(shard) => Some(Place { part: part.id, shard }),
            None => from(PartId(part.id.0.checked_add(1)?)).map(|part| Place { part: part.id, shard: 0 }),
        }
    }

    fn index_of(&self, part: PartId) -> Option<usize> {
        self.parts.binary_search_by_key(&part, |part| part.id).ok()
    }

    fn note(&mut self, entry: &FlowEntry) {
        let FlowEntry { table, priority, matcher: Matcher { key, ref mask, .. }, .. } = *entry;
        self.pending.note(|| Change { table, priority, key, mask: Arc::clone(mask) });
    }

    /// What lookups need, as it is now.
    pub(crate) fn classifier(&mut self) -> Classifier {
        let masks = &self.masks;
        let bands = Arc::clone(self.bands.get_or_insert_with(|| bands(masks)));
        let mut subtables: Vec<_> =
            self.parts.iter_mut().map(|part| (part.max_priority(), part.view())).collect();
        subtables.sort_by_key(|(priority, _)| Reverse(*priority));
        Classifier { subtables, bands }
    }

    /// Frees what was kept for lookups in what is held by nobody any more, as much as there is a budget for.
    pub(crate) fn tidy(&mut self, budget: &mut usize) {
        self.leaving.retain_mut(|subtable| subtable.close_views(budget));
        for part in &mut self.parts {
            part.subtable.close_views(budget);
        }
    }

    /// From here on, or not any more, parts without entries stay: what is put back finds its part.
    pub(crate) fn hold_parts(&mut self, hold: bool) {
        self.holds_parts = hold;
        if !hold {
            let gone = self.parts.extract_if(.., |part| part.subtable.is_empty());
            self.leaving.extend(gone.map(|part| part.subtable));
        }
    }

    /// The part that an entry goes to, made if need be: the most specific with room in the entry's bucket, or one of its own mask.
    fn place_for(&mut self, entry: &FlowEntry) -> usize {
        let (key, mask) = (&entry.matcher.key, &*entry.matcher.mask);
        let mut best: Option<(usize, u32)> = None;
        for (at, part) in self.parts.iter().enumerate() {
            let tuple = part.subtable.tuple();
            if tuple == mask {
                // Entries of one mask that differ have different keys, so only priorities and filters fill this bucket.
                return at;
            }
            let bits = tuple.count_ones();
            if tuple.is_within(mask)
                && best.is_none_or(|(_, most)| bits > most)
                && is_useful(tuple, mask)
                && part.subtable.neighbours(key) < BUCKET
            {
                best = Some((at, bits));
            }
        }
        if let Some((at, _)) = best {
            return at;
        }
        let there_is = |tuple: &FlowKey| self.parts.iter().any(|part| part.subtable.tuple() == tuple);
        let tuple =
            STEPS.iter().map(|step| relaxed(mask, *step)).find(|tuple| !there_is(tuple)).unwrap_or(*mask);
        let id = PartId(self.next_part);
        self.next_part += 1;
        self.parts.push(Part { id, subtable: Subtable::new(tuple), view: None, priorities: BTreeMap::new() });
        self.parts.len() - 1
    }
}

/// The unions of the masks by falling priority, those that add bits.
fn bands(masks: &HashMap<Arc<FlowKey>, BTreeMap<u16, usize>>) -> Arc<[Band]> {
    let mut by_priority: Vec<(u16, &FlowKey)> =
        masks.iter().filter_map(|(mask, priorities)| Some((highest(priorities)?, &**mask))).collect();
    by_priority.sort_by_key(|(priority, _)| Reverse(*priority));
    let mut bands: Vec<Band> = Vec::new();
    for (priority, mask) in by_priority {
        match bands.last_mut() {
            Some(last) if mask.is_within(&last.mask) => {}
            Some(last) if last.priority == priority => last.mask = last.mask.union(mask),
            last => {
                let mask = last.map_or(*mask, |last| last.mask.union(mask));
                bands.push(Band { priority, mask });
            }
        }
    }
    bands.into()
}

/// The highest priority that there are entries of.
fn highest(priorities: &BTreeMap<u16, usize>) -> Option<u16> {
    priorities.last_key_value().map(|(priority, _)| *priority)
}

/// Whether entries with a mask may go under a tuple: not if it has few bits where the mask has many, since such a bucket would
/// fill with entries that have nothing in common.
fn is_useful(tuple: &FlowKey, mask: &FlowKey) -> bool {
    tuple.count_ones() * 4 >= mask.count_ones()
}

/// A mask whose long prefixes are cut to a multiple of `step` bits, and that keeps nothing of other partial masks of wide fields.
fn relaxed(mask: &FlowKey, step: u32) -> FlowKey {
    let mut out = *mask;
    for field in FIELDS.iter().filter(|field| field.bits() > 16 && mask.get(**field) != field.max()) {
        let (bits, of_field) = (field.bits(), mask.get(*field));
        if of_field == 0 {
            continue;
        }
        let leading = (of_field << (128 - bits)).leading_ones();
        let kept = leading - leading % step;
        let prefix = if kept == 0 { 0 } else { field.max() & !(field.max() >> kept) };
        out.set(*field, prefix);
    }
    out
}

fn decrement(counts: &mut BTreeMap<u16, usize>, priority: u16) {
    if let Some(count) = counts.get_mut(&priority) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&priority);
        }
    }
}
