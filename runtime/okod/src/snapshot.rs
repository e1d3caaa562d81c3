//! What workers work from: tables and filters as they were at one moment, published as a whole.
//!
//! The control thread changes its own copy and publishes a new snapshot; a worker takes up the newest between two bursts
//! and tells which it has. Neither waits for the other. What a snapshot refers to lives as long as any worker has it.

use std::sync::Arc;

use oko_filter::Instance;
use oko_flow_table::{FlowTables, Groups, Limits, Live, Meters, Snapshot as TablesSnapshot};
use oko_openflow::FilterId;

/// Counts published snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);

/// Tables and filters of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) generation: Generation,
    /// Since this generation nothing was changed but flow entries.
    pub(crate) lasting: Generation,
    pub(crate) tables: TablesSnapshot,
    pub(crate) filters: FilterSet,
    pub(crate) groups: Groups,
    pub(crate) meters: Meters,
    /// The ports whose links are up, and the groups that lead to them.
    pub(crate) live: Arc<Live>,
    /// Whether a packet that no entry matches is for the controllers: those of OpenFlow 1.0 expect it.
    pub(crate) miss_to_controller: bool,
    /// Whether the switch is an ordinary learning bridge, without its tables (section 6.3.3, fail standalone mode).
    pub(crate) standalone: bool,
}

impl Snapshot {
    /// What a switch starts with.
    pub(crate) fn empty() -> Self {
        Self {
            generation: Generation(0),
            lasting: Generation(0),
            tables: FlowTables::new(Limits::default()).snapshot(),
            filters: FilterSet::default(),
            groups: Groups::default(),
            meters: Meters::default(),
            live: Arc::default(),
            miss_to_controller: false,
            standalone: false,
        }
    }
}

/// The loaded filters, each in a slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilterSet {
    /// In the order of their ids.
    slots: Vec<FilterSlot>,
}

/// A filter, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct FilterSlot {
    pub(crate) id: FilterId,
    pub(crate) instance: Arc<Instance>,
    pub(crate) filter: oko_filter::FilterId,
}

impl FilterSet {
    pub(crate) fn new(mut slots: Vec<FilterSlot>) -> Self {
        slots.sort_by_key(|slot| slot.id);
        Self { slots }
    }

    /// The slot of a filter, with its number: below [`len`](Self::len).
    #[inline]
    pub(crate) fn find(&self, id: FilterId) -> Option<(usize, &FilterSlot)> {
        let i = self.slots.binary_search_by_key(&id, |slot| slot.id).ok()?;
        Some((i, &self.slots[i]))
    }

    /// The filter in a slot that was found in this snapshot.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> &FilterSlot {
        &self.slots[slot]
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
