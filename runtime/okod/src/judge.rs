//! A burst before the flow cache: all its packets are looked up together, and filters are asked about many packets at a time.
//!
//! Packets are then dealt with in order, one by one. What a packet that is not cached does, changes of the cache among them,
//! has happened before the next one is looked at.
//!
//! # The order in which filters see packets
//!
//! A filter sees the packets of one flow, those that have the same relevant bits, in the order in which they came. Those of different
//! flows of one burst, for which it is the same instant, it may see in another order: those for which it is the first filter that is
//! asked come before those that another one was asked about before.

use oko_filter::{Packet, Verdict};
use oko_flow_cache::{Key, NodeId};
use smallvec::SmallVec;

use crate::clock::Nanos;
use crate::flow_cache::{FlowCache, Way};
use crate::recording::Recording;
use crate::snapshot::Snapshot;

/// Packets of a burst.
const BURST: usize = oko_dpdk::BURST;

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// The cache does not know its key, or it has none.
    Unknown,
    /// The cache says where to go.
    Way(Way),
    /// A filter gave an answer that the cache does not know.
    NewAnswer,
}

/// A packet of the burst at hand.
#[derive(Debug)]
struct Seen {
    key: Option<(Key, u64)>,
    stand: Stand,
    answers: SmallVec<[(u32, u32); 4]>,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It takes a cached path.
    Path(oko_flow_cache::LeafId),
    /// It goes through the tables.
    Tables,
}

/// A worker's cache and the burst that is before it.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) cache: FlowCache,
    seen: Vec<Seen>,
    /// Packets before this one need no more filters than have been asked.
    settled: usize,
}

impl Judge {
    pub(crate) fn new(cache: FlowCache) -> Self {
        let unseen = || Seen { key: None, stand: Stand::Unknown, answers: SmallVec::new() };
        Self { cache, seen: (0..BURST).map(|_| unseen()).collect(), settled: 0 }
    }

    /// Looks up a burst; frames that are `None` go through the tables.
    #[inline]
    pub(crate) fn look_up<'f>(&mut self, frames: impl Iterator<Item = Option<&'f [u8]>>, in_port: u32) {
        self.settled = 0;
        let mut count = 0;
        for (seen, frame) in self.seen.iter_mut().zip(frames) {
            seen.key = frame.and_then(|frame| self.cache.key(frame, in_port));
            seen.answers.clear();
            count += 1;
        }
        for seen in &self.seen[..count] {
            if let Some((_, hash)) = seen.key {
                self.cache.prefetch_key(hash);
            }
        }
        for seen in &mut self.seen[..count] {
            seen.stand = match &seen.key {
                Some((key, hash)) => self.cache.find(key, *hash).map_or(Stand::Unknown, Stand::Way),
                None => Stand::Unknown,
            };
        }
    }

    /// What to do with packet `at`. `frames` are this packet's frame and those behind it.
    #[inline]
    pub(crate) fn decide<'f, F: Fn(usize) -> &'f [u8]>(
        &mut self,
        at: usize,
        count: usize,
        frames: F,
        in_port: u32,
        snapshot: &Snapshot,
        time: impl Fn(usize) -> Nanos,
    ) -> Decision {
        if self.settled <= at {
            self.settle(at, count, &frames, in_port, snapshot, &time);
        }
        match self.seen[at].stand {
            Stand::Way(Way::Path(leaf)) => Decision::Path(leaf),
            _ => Decision::Tables,
        }
    }

    /// What filters have said of a packet.
    #[inline]
    pub(crate) fn answers(&self, at: usize) -> &[(u32, u32)] {
        &self.seen[at].answers
    }

    /// The packet went through the tables.
    pub(crate) fn learn(&mut self, at: usize, recording: Recording) {
        if let Some((key, hash)) = self.seen[at].key {
            self.cache.remember(&key, hash, recording);
        }
    }

    /// Asks the filters about the packets from `at` to the first that has to go through the tables.
    fn settle<'f>(
        &mut self,
        at: usize,
        count: usize,
        frames: &impl Fn(usize) -> &'f [u8],
        in_port: u32,
        snapshot: &Snapshot,
        time: &impl Fn(usize) -> Nanos,
    ) {
        // The tables may have taught the cache since.
        let Seen { key, stand, .. } = &mut self.seen[at];
        if *stand == Stand::Unknown
            && let Some((key, hash)) = key
            && let Some(way) = self.cache.find(key, *hash)
        {
            *stand = Stand::Way(way);
        }
        let end = (at..count).find(|i| self.seen[*i].stand == Stand::Unknown).unwrap_or(count);
        self.settled = end.max(at + 1);
        while let Some(first) = (at..end).find(|i| self.question(*i).is_some()) {
            self.ask(first, end, frames, in_port, snapshot, time);
        }
    }

    /// The filter that is to be asked about a packet.
    fn question(&self, at: usize) -> Option<(NodeId, u32)> {
        match self.seen[at].stand {
            Stand::Way(Way::Ask(node, slot)) => Some((node, slot)),
            _ => None,
        }
    }

    /// Asks the filter of packet `first` about it and all behind it that are at the same filter.
    fn ask<'f>(
        &mut self,
        first: usize,
        end: usize,
        frames: &impl Fn(usize) -> &'f [u8],
        in_port: u32,
        snapshot: &Snapshot,
        time: &impl Fn(usize) -> Nanos,
    ) {
        let Some((_, slot)) = self.question(first) else { return };
        let now = time(first);
        let mut chosen: SmallVec<[(usize, NodeId); BURST]> = SmallVec::new();
        let mut packets: SmallVec<[Packet<'f>; BURST]> = SmallVec::new();
        let mut passed_over: SmallVec<[u64; BURST]> = SmallVec::new();
        for i in first..end {
            let hash = self.seen[i].key.map_or(0, |(_, hash)| hash);
            match self.question(i) {
                Some((node, other)) if other == slot && time(i) == now && !passed_over.contains(&hash) => {
                    chosen.push((i, node));
                    packets.push(Packet::new(frames(i), in_port));
                }
                None if matches!(self.seen[i].stand, Stand::Way(_)) => {}
                // Packets of the same flow behind it wait for it.
                _ => passed_over.push(hash),
            }
        }
        let loaded = snapshot.filters.slot(slot as usize);
        let mut verdicts = [Verdict::default(); BURST];
        let verdicts = &mut verdicts[..packets.len()];
        loaded.instance.run_burst(loaded.filter, &packets, now.0, verdicts);
        for ((i, node), verdict) in chosen.into_iter().zip(verdicts) {
            let class = verdict.class();
            let seen = &mut self.seen[i];
            seen.answers.push((slot, class));
            seen.stand = self.cache.answered(node, class).map_or(Stand::NewAnswer, Stand::Way);
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
