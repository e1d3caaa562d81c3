//! One flow table: its entries by what makes an entry itself, by what lookups need, by when they end and by who gives way.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use oko_openflow::FlowRemovedReason;

use crate::classifier::{Builder, Classifier, PartId};
use crate::entries::Entries;
use crate::entry::FlowEntry;
use crate::entry_heap::{EntryHeap, Order};
use crate::selection::Selection;
use crate::users::Users;

/// What all packets did in one table.
#[derive(Debug, Default)]
pub struct TableCounters {
    /// Packets that were looked up.
    pub lookups: AtomicU64,
    /// Packets that found an entry.
    pub matched: AtomicU64,
}

/// The earliest instant at which an entry can be over, in nanoseconds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline(u64);

impl Order for Deadline {
    fn of(entry: &FlowEntry) -> Option<Deadline> {
        entry.deadline().map(Deadline)
    }
}

/// Importance, end in nanoseconds, number: the least gives way first when a table is full (OpenFlow 1.4.0, section 6.5).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth(u16, u64, u64);

impl Order for Worth {
    fn of(entry: &FlowEntry) -> Option<Worth> {
        let end = entry.hard_end().or(entry.idle_end()).unwrap_or(u64::MAX);
        Some(Worth(entry.importance, end, entry.serial))
    }
}

/// One table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Entries,
    pub(crate) builder: Builder,
    /// What `builder` made last; none if it was changed since.
    classifier: Option<Arc<Classifier>>,
    pub(crate) counters: Arc<TableCounters>,
    /// The entries in the order in which they give way when the table is full, if they do.
    giving_way: Option<EntryHeap<Worth>>,
    /// How many entries have a timeout.
    timed: usize,
    deadlines: EntryHeap<Deadline>,
    pub(crate) users: Users,
}

impl Table {
    /// Puts an entry in; there is none of its identity.
    pub(crate) fn put_in(&mut self, entry: Arc<FlowEntry>) {
        let part = self.change().insert(Arc::clone(&entry));
        self.keep(entry, part);
    }

    /// Puts an entry in the place of an earlier version of it.
    pub(crate) fn swap(&mut self, entry: Arc<FlowEntry>) {
        let Some(part) = self.entries.part_of(&entry) else { return };
        self.change().replace(&entry, part);
        self.keep(entry, part);
    }

    /// Puts an entry back where it was; there is none of its identity.
    pub(crate) fn put_back(&mut self, entry: Arc<FlowEntry>, part: PartId) {
        let part = self.change().put_back(Arc::clone(&entry), part);
        self.keep(entry, part);
    }

    /// Takes an entry out; says where it was.
    pub(crate) fn take_out(&mut self, entry: &FlowEntry) -> Option<PartId> {
        let (old, part) = self.entries.remove(entry.priority, &entry.matching)?;
        self.change().remove(entry, part);
        self.leave(&old);
        Some(part)
    }

    /// An entry whose time is over, and why.
    pub(crate) fn over(&mut self, now: u64) -> Option<(Arc<FlowEntry>, FlowRemovedReason)> {
        let entries = &self.entries;
        let entry = self.deadlines.first(|deadline| deadline.0 <= now, |entry| entries.has(entry))?;
        let hard = entry.hard_end().is_some_and(|end| end <= now);
        Some((entry, if hard { FlowRemovedReason::HardTimeout } else { FlowRemovedReason::IdleTimeout }))
    }

    /// Forgets the deadlines of entries that are gone, if they are most.
    pub(crate) fn tidy_deadlines(&mut self) {
        self.deadlines.tidy(self.timed, self.entries.values());
    }

    fn keep(&mut self, entry: Arc<FlowEntry>, part: PartId) {
        self.timed += usize::from(entry.has_timeout());
        self.users.add(&entry);
        self.deadlines.push(&entry);
        if let Some(candidates) = &mut self.giving_way {
            candidates.tidy(self.entries.len(), self.entries.values());
            candidates.push(&entry);
        }
        if let Some(old) = self.entries.insert(entry, part) {
            self.leave(&old);
        }
    }

    /// Counts an entry no more that is not among the entries any more.
    fn leave(&mut self, entry: &FlowEntry) {
        self.timed -= usize::from(entry.has_timeout());
        self.users.take(entry);
    }

    pub(crate) fn evicts(&self) -> bool {
        self.giving_way.is_some()
    }

    /// Says whether entries give way when the table is full.
    pub(crate) fn set_eviction(&mut self, evicts: bool) {
        if evicts != self.evicts() {
            self.giving_way = evicts.then(|| EntryHeap::of(self.entries.values()));
        }
    }

    /// The entry that gives way to one of an importance, if entries do: the least important, but none that is more important than the new one.
    pub(crate) fn least_important(&mut self, importance: u16) -> Option<Arc<FlowEntry>> {
        let entries = &self.entries;
        let least = self.giving_way.as_mut()?.first(|_| true, |entry| entries.has(entry))?;
        (least.importance <= importance).then_some(least)
    }

    /// The classifier, to be changed.
    fn change(&mut self) -> &mut Builder {
        self.classifier = None;
        &mut self.builder
    }

    /// The classifier as it is now.
    pub(crate) fn classifier(&mut self) -> Arc<Classifier> {
        Arc::clone(self.classifier.get_or_insert_with(|| Arc::new(self.builder.classifier())))
    }

    /// What is chosen, as entries are tried.
    pub(crate) fn in_order(&self, selection: &Selection) -> Vec<Arc<FlowEntry>> {
        let mut found: Vec<_> = self.chosen(selection).cloned().collect();
        found.sort_by_key(|entry| Reverse(entry.rank()));
        found
    }

    pub(crate) fn chosen<'a>(
        &'a self,
        selection: &'a Selection,
    ) -> Box<dyn Iterator<Item = &'a Arc<FlowEntry>> + 'a> {
        match &selection.strict {
            Some(identity) => Box::new(
                self.entries
                    .get(identity.0, &identity.1)
                    .into_iter()
                    .filter(|entry| selection.accepts(entry)),
            ),
            None => Box::new(self.entries.values().filter(|entry| selection.covers(entry))),
        }
    }
}
