//! Flow monitors of a controller that does not read as fast as it is told. OpenFlow 1.4.1, section 7.3.5.17.
//!
//! Telling pauses when something does not fit into the controller's queue. From then on only removals are kept, in their order and encoded, up to a
//! number of bytes. When the queue is empty, the controller is told of the pause, of those removals, then of all entries that there are, as a walk
//! meets them whenever there is room, and in the end of the resumption. What changes during the walk is told in between. If that gets too much, the walk
//! ends and begins anew. A controller with more removals behind it than are kept is cut off, for it could not know what it misses.

use std::collections::VecDeque;

use oko_flow_table::{FlowTables, Walk};
use oko_openflow::FlowStatsRequest;
use oko_openflow::monitor::{FlowUpdate, UpdateEvent};

use super::control::Control;
use super::monitors::By;
use super::outbox::{ROOM, cost};
use super::peers::Peer;

/// Bytes that are kept for one controller: the removals of some hundred thousand entries.
const KEPT: usize = 32 << 20;
/// With so many bytes waiting during a walk, additions and modifications are left to another walk.
const MANY: usize = KEPT / 2;
/// The walk goes on when the queue has so much room.
const HALF: usize = ROOM / 2;

/// What a controller could not be told of yet.
#[derive(Debug, Default)]
pub(super) struct Behind {
    waiting: VecDeque<Waiting>,
    /// The bytes of changes among these.
    bytes: usize,
    /// Whether the controller knows of the pause.
    told: bool,
    /// Through all entries, once the removals of before have been told.
    walk: Option<Walk>,
    /// Too many removals.
    lost: bool,
}

/// A message that waits.
#[derive(Debug)]
enum Waiting {
    Change(Vec<u8>),
    /// Of entries that a walk met. Not counted: the walk goes on when all that it met has been sent, so there is no more of it than the tables have.
    Met(Vec<u8>),
}

impl Behind {
    /// Whether a change need not be kept, because the walk will meet the entry.
    pub(super) fn ignores(&self, event: UpdateEvent) -> bool {
        self.lost || (self.walk.is_none() && !matches!(event, UpdateEvent::Removed(_)))
    }

    /// Keeps messages of changes.
    pub(super) fn add(&mut self, messages: Vec<Vec<u8>>) {
        self.bytes += cost(&messages);
        self.waiting.extend(messages.into_iter().map(Waiting::Change));
        if self.bytes > MANY {
            self.walk = None;
        }
        if self.bytes > KEPT {
            (self.lost, self.bytes, self.waiting) = (true, 0, VecDeque::new());
        }
    }

    /// Keeps messages of what a walk met.
    fn meet(&mut self, messages: Vec<Vec<u8>>) {
        self.waiting.extend(messages.into_iter().map(Waiting::Met));
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        match self.waiting.pop_front()? {
            Waiting::Change(message) => {
                self.bytes -= cost([&message]);
                Some(message)
            }
            Waiting::Met(message) => Some(message),
        }
    }
}

/// What becomes of a controller that is behind.
enum Next {
    StillBehind,
    UpToDate,
    CutOff,
}

impl Control {
    /// Goes on telling those that are behind.
    pub(super) fn resume_monitors(&mut self) {
        let mut cut_off = Vec::new();
        for (id, peer) in self.peers.entries_mut() {
            let Some(mut behind) = peer.monitors.behind.take() else { continue };
            match resume(peer, &self.tables, &mut behind) {
                Next::StillBehind => peer.monitors.behind = Some(behind),
                Next::UpToDate => {}
                Next::CutOff => cut_off.push(id),
            }
        }
        for id in cut_off {
            tracing::info!("a controller does not read what its flow monitors tell; it is cut off");
            self.peers.remove(id);
        }
    }
}

fn resume(peer: &mut Peer, tables: &FlowTables, behind: &mut Behind) -> Next {
    if behind.lost {
        return Next::CutOff;
    }
    if !behind.told {
        if !peer.queue_is_empty() {
            return Next::StillBehind;
        }
        behind.told = peer.send_encoded(peer.encode_mark(FlowUpdate::Paused)).is_ok();
    }
    while peer.room() > HALF {
        if let Some(message) = behind.take() {
            // There is room for a message of any length.
            peer.send(message);
            continue;
        }
        let walk = behind.walk.get_or_insert_with(|| Walk::new(&FlowStatsRequest::default()));
        let Some(entries) = tables.step(walk) else {
            return match peer.send_encoded(peer.encode_mark(FlowUpdate::Resumed)) {
                Ok(()) => Next::UpToDate,
                Err(_) => Next::StillBehind,
            };
        };
        let monitors = &peer.monitors;
        let updates: Vec<FlowUpdate> = entries
            .iter()
            .filter_map(|entry| monitors.update(entry, UpdateEvent::Added, By::Others))
            .collect();
        if !updates.is_empty() {
            behind.meet(peer.encode_updates(updates));
        }
    }
    Next::StillBehind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mebibytes(count: usize) -> Vec<Vec<u8>> {
        vec![vec![0; 1 << 20]; count]
    }

    fn walking() -> Behind {
        let walk = Some(Walk::new(&FlowStatsRequest::default()));
        Behind { walk, ..Behind::default() }
    }

    #[test]
    fn however_much_a_walk_meets_changes_do_not_end_it() {
        let mut behind = walking();
        behind.meet(mebibytes(33));
        behind.add(mebibytes(1));
        assert!(behind.walk.is_some() && !behind.lost);
        while behind.take().is_some() {}
        assert_eq!(behind.bytes, 0);
    }

    #[test]
    fn too_many_changes_end_a_walk_and_then_the_connection() {
        let mut behind = walking();
        behind.add(mebibytes(15));
        assert!(behind.walk.is_some());
        behind.add(mebibytes(1));
        assert!(behind.walk.is_none() && !behind.lost);
        behind.add(mebibytes(15));
        assert!(!behind.lost);
        behind.add(mebibytes(1));
        assert!(behind.lost && behind.take().is_none());
    }
}
