//! A flow entry and its counters.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use oko_openflow::{Action, FlowModFlags, GroupId, Instructions, Match, PortNo, TableId};

use crate::matcher::Matcher;

/// What workers count, shared by all versions of an entry.
#[derive(Debug)]
pub struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    /// When the last packet came, nanoseconds.
    last_used: AtomicU64,
}

impl Counters {
    fn new(now: u64) -> Counters {
        Counters { packets: AtomicU64::new(0), bytes: AtomicU64::new(0), last_used: AtomicU64::new(now) }
    }

    fn copied(&self, now: u64) -> Counters {
        Counters {
            packets: AtomicU64::new(self.packets()),
            bytes: AtomicU64::new(self.bytes()),
            last_used: AtomicU64::new(now),
        }
    }

    /// Counts packets of so many bytes together, at an instant in nanoseconds.
    #[inline]
    pub fn count(&self, packets: u64, bytes: u64, now: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.last_used.store(now, Relaxed);
    }

    /// How many packets matched.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// How many bytes they had.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// When the last one came, or the entry was made; nanoseconds.
    pub fn last_used(&self) -> u64 {
        self.last_used.load(Relaxed)
    }
}

/// A flow entry. It does not change but for its counters: a modification puts another in its place.
#[derive(Clone, Debug)]
pub struct FlowEntry {
    /// The table it is in.
    pub table: TableId,
    /// Its priority.
    pub priority: u16,
    /// Its match, as it was given.
    pub matching: Match,
    /// Its match, as lookups use it.
    pub matcher: Matcher,
    /// What happens to its packets.
    pub instructions: Instructions,
    /// The controller's mark.
    pub cookie: u64,
    /// The flags of the flow-mod that made it.
    pub flags: FlowModFlags,
    /// Entries of less importance give way first.
    pub importance: u16,
    /// Seconds without a packet until it goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds until it goes; 0 for never.
    pub hard_timeout: u16,
    /// When it was made, nanoseconds.
    pub created: u64,
    /// What its packets were counted to.
    pub counters: Arc<Counters>,
    /// Its number among all entries ever made.
    pub(crate) serial: u64,
}

/// The order in which entries are tried, greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) priority: u16,
    filtered: bool,
    serial: Reverse<u64>,
}

impl FlowEntry {
    pub(crate) fn rank(&self) -> Rank {
        Rank {
            priority: self.priority,
            filtered: self.matcher.filter.is_some(),
            serial: Reverse(self.serial),
        }
    }

    /// Whether any of its actions, in whichever instruction, outputs to this port; `ANY` asks nothing.
    pub fn outputs_to(&self, wanted: PortNo) -> bool {
        wanted == PortNo::ANY
            || self.actions().any(|action| matches!(action, Action::Output { port, .. } if *port == wanted))
    }

    /// Whether any of its actions names this group; `ANY` asks nothing.
    pub fn names_group(&self, wanted: GroupId) -> bool {
        wanted == GroupId::ANY || self.actions().any(|action| *action == Action::Group(wanted))
    }

    /// Whether it goes by itself some time.
    pub(crate) fn has_timeout(&self) -> bool {
        self.idle_timeout != 0 || self.hard_timeout != 0
    }

    /// The earliest instant at which its time can be over, in nanoseconds, by what is known of its packets now.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.hard_end().into_iter().chain(self.idle_end()).min()
    }

    /// When its time is over in any case, in nanoseconds.
    pub(crate) fn hard_end(&self) -> Option<u64> {
        after(self.hard_timeout, self.created)
    }

    /// When its time is over if no packet comes.
    pub(crate) fn idle_end(&self) -> Option<u64> {
        after(self.idle_timeout, self.counters.last_used())
    }

    /// The actions of all instructions.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.instructions.apply.iter().chain(&self.instructions.write)
    }

    /// Fresh counters, or those of the entry that this one replaces.
    pub(crate) fn start_counters(old: Option<&FlowEntry>, now: u64) -> Arc<Counters> {
        Arc::new(old.map_or_else(|| Counters::new(now), |old| old.counters.copied(now)))
    }
}

/// The end of a timeout in seconds, of which 0 has none.
fn after(timeout: u16, since: u64) -> Option<u64> {
    (timeout != 0).then(|| since.saturating_add(u64::from(timeout) * 1_000_000_000))
}
