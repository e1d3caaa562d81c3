//! How many entries there are that use a group, a meter or a filter, so that nobody has to look at every entry to know.

use std::collections::HashMap;
use std::hash::Hash;

use oko_openflow::{Action, FilterId, GroupId, MeterId};

use crate::entry::FlowEntry;

/// Counts of something by name; names of nothing are not kept.
#[derive(Clone, Debug)]
pub(crate) struct Tally<N>(HashMap<N, usize>);

impl<N> Default for Tally<N> {
    fn default() -> Self {
        Tally(HashMap::new())
    }
}

impl<N: Copy + Eq + Hash> Tally<N> {
    pub(crate) fn add(&mut self, name: N) {
        *self.0.entry(name).or_default() += 1;
    }

    /// Takes back one that was added.
    pub(crate) fn take(&mut self, name: N) {
        if let Some(count) = self.0.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&name);
            }
        }
    }

    /// Whether there is any of these.
    pub(crate) fn any_of(&self, names: &[N]) -> bool {
        !self.0.is_empty() && names.iter().any(|name| self.0.contains_key(name))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = N> + '_ {
        self.0.keys().copied()
    }

    pub(crate) fn of(&self, name: N) -> usize {
        self.0.get(&name).copied().unwrap_or(0)
    }
}

/// What the entries of a table use. An entry counts once, however often it names a thing.
#[derive(Debug, Default)]
pub(crate) struct Users {
    pub(crate) groups: Tally<GroupId>,
    pub(crate) meters: Tally<MeterId>,
    pub(crate) filters: Tally<FilterId>,
}

impl Users {
    pub(crate) fn add(&mut self, entry: &FlowEntry) {
        groups_of(entry).for_each(|group| self.groups.add(group));
        entry.instructions.meter.into_iter().for_each(|meter| self.meters.add(meter));
        filter(entry).into_iter().for_each(|filter| self.filters.add(filter));
    }

    /// Takes back what an entry was added with.
    pub(crate) fn take(&mut self, entry: &FlowEntry) {
        groups_of(entry).for_each(|group| self.groups.take(group));
        entry.instructions.meter.into_iter().for_each(|meter| self.meters.take(meter));
        filter(entry).into_iter().for_each(|filter| self.filters.take(filter));
    }
}

/// The groups that an entry names, each once.
pub(crate) fn groups_of(entry: &FlowEntry) -> impl Iterator<Item = GroupId> + '_ {
    let named = |action: &Action| match action {
        Action::Group(group) => Some(*group),
        _ => None,
    };
    let is_first =
        move |at: usize, group| entry.actions().take(at).all(|action| named(action) != Some(group));
    entry
        .actions()
        .enumerate()
        .filter_map(move |(at, action)| named(action).filter(|group| is_first(at, *group)))
}

fn filter(entry: &FlowEntry) -> Option<FilterId> {
    entry.matcher.filter.map(|condition| condition.filter)
}
