//! What was changed between snapshots, so that who remembers something of an earlier one can tell what still holds.
//!
//! The log is bounded: of many changes at once, and of changes long ago, it only says that there were some.

use std::sync::Arc;

use oko_openflow::TableId;
use oko_packet::FlowKey;

/// Changes between two snapshots that are told one by one; of more it is only said that there were.
const MOST: usize = 4096;
/// Snapshots back to which changes are told.
const DEPTH: usize = 8;

/// An entry that came, went, or has other instructions now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its table.
    pub table: TableId,
    /// Its priority.
    pub priority: u16,
    /// The values that it looks for; 0 outside of the mask.
    pub key: FlowKey,
    /// The bits that it looks at.
    pub mask: Arc<FlowKey>,
}

/// The changes of one table that no snapshot knows of.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    changes: Vec<Change>,
    too_many: bool,
}

impl Pending {
    pub(crate) fn note(&mut self, change: impl FnOnce() -> Change) {
        if self.changes.len() < MOST {
            self.changes.push(change());
        } else {
            self.too_many = true;
        }
    }
}

/// What a snapshot has more than the one before it; none if that is too much to tell.
pub(crate) type Delta = Option<Vec<Change>>;

/// The last changes, as a snapshot knows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The number of the snapshot.
    number: u64,
    /// The newest last.
    deltas: Vec<Arc<Delta>>,
}

impl Log {
    /// The next snapshot: takes what is pending. Gives what is too long ago to be told from here on; older snapshots tell of it.
    pub(crate) fn next<'p>(&mut self, pending: impl Iterator<Item = &'p mut Pending>) -> Option<Arc<Delta>> {
        let mut delta = Some(Vec::new());
        for pending in pending {
            let Pending { changes, too_many } = std::mem::take(pending);
            delta = delta.filter(|all: &Vec<Change>| !too_many && all.len() + changes.len() <= MOST);
            if let Some(all) = &mut delta {
                all.extend(changes);
            }
        }
        self.number += 1;
        let fallen = (self.deltas.len() == DEPTH).then(|| self.deltas.remove(0));
        self.deltas.push(Arc::new(delta));
        fallen
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What was changed since an earlier snapshot; none if that is not known any more.
    pub(crate) fn since(&self, number: u64) -> Option<impl Iterator<Item = &Change>> {
        let count = usize::try_from(self.number.checked_sub(number)?).ok()?;
        let deltas = &self.deltas[self.deltas.len().checked_sub(count)?..];
        deltas
            .iter()
            .all(|delta| delta.is_some())
            .then(|| deltas.iter().filter_map(|delta| delta.as_ref().as_ref()).flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(priority: u16) -> Change {
        Change { table: TableId(0), priority, key: FlowKey::ZERO, mask: Arc::default() }
    }

    fn priorities(log: &Log, since: u64) -> Option<Vec<u16>> {
        log.since(since).map(|changes| changes.map(|change| change.priority).collect())
    }

    #[test]
    fn changes_are_told_since_any_of_the_last_snapshots() {
        let (mut log, mut pending) = (Log::default(), Pending::default());
        for i in 0..12 {
            pending.note(|| change(i));
            log.next([&mut pending].into_iter());
        }
        assert_eq!(priorities(&log, 12), Some(vec![]));
        assert_eq!(priorities(&log, 10), Some(vec![10, 11]));
        assert_eq!(priorities(&log, 4).map(|all| all.len()), Some(8));
        assert_eq!(priorities(&log, 3), None);
        assert_eq!(priorities(&log, 13), None, "of the future nothing is known");
    }

    #[test]
    fn of_too_many_changes_it_is_only_said_that_there_were() {
        let (mut log, mut one, mut other) = (Log::default(), Pending::default(), Pending::default());
        (0..3000).for_each(|i| one.note(|| change(i)));
        (0..3000).for_each(|i| other.note(|| change(i)));
        log.next([&mut one, &mut other].into_iter());
        assert_eq!(priorities(&log, 0), None);
        (0..5000).for_each(|i| one.note(|| change(i)));
        log.next([&mut one, &mut other].into_iter());
        one.note(|| change(7));
        log.next([&mut one, &mut other].into_iter());
        assert_eq!(priorities(&log, 2), Some(vec![7]));
        assert_eq!(priorities(&log, 1), None);
    }
}
