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
use oko_flow_cache::{BURST, LeafId, NodeId};
use oko_openflow::PortNo;
use smallvec::SmallVec;

use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::flow_cache::{FlowCache, Views, Way};
use crate::recording::Recording;
use crate::snapshot::Snapshot;

const _: () = assert!(BURST == oko_dpdk::BURST, "what is received at once is looked up at once");

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

/// Where a burst came in, when, and under what it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) in_port: PortNo,
    pub(crate) now: Nanos,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It takes a cached path.
    Path(LeafId),
    /// It goes through the tables.
    Tables,
}

/// What filters have said of a packet: slots and answers.
type Answers = SmallVec<[(u32, u32); 4]>;

/// A worker's cache and the burst that is before it.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) cache: FlowCache,
    views: Views,
    stands: [Stand; BURST],
    answers: [Answers; BURST],
    /// Whether any filter was asked about a packet of this burst.
    asked: bool,
    /// Packets before this one need no more filters than have been asked.
    settled: usize,
}

impl Judge {
    pub(crate) fn new(cache: FlowCache) -> Self {
        Self {
            cache,
            views: Views::default(),
            stands: [Stand::Unknown; BURST],
            answers: std::array::from_fn(|_| Answers::new()),
            asked: false,
            settled: 0,
        }
    }

    /// Looks up a burst. If all its packets take one path, without a question, it comes back; there is nothing to
    /// [`decide`](Self::decide) then.
    #[inline]
    pub(crate) fn look_up<C: Carrier>(&mut self, carrier: &C, in_port: PortNo) -> Option<LeafId> {
        if std::mem::take(&mut self.asked) {
            self.answers.iter_mut().for_each(SmallVec::clear);
        }
        let count = carrier.count();
        let all = self.cache.look_up(&mut self.views, count, |at| carrier.frame(at), in_port);
        if all.is_some() {
            return all;
        }
        let mut to_settle = count;
        for (at, stand) in self.stands[..count].iter_mut().enumerate() {
            *stand = self.views.value(at).map_or(Stand::Unknown, |value| Stand::Way(self.cache.way(value)));
            if !matches!(stand, Stand::Way(Way::Path(_))) {
                to_settle = to_settle.min(at);
            }
        }
        self.settled = to_settle;
        None
    }

    /// What to do with packet `at`, the packets before it being dealt with.
    #[inline]
    pub(crate) fn decide<C: Carrier>(&mut self, at: usize, carrier: &C, scene: Scene<'_>) -> Decision {
        if self.settled <= at {
            self.settle(at, carrier, scene);
        }
        match self.stands[at] {
            Stand::Way(Way::Path(leaf)) => Decision::Path(leaf),
            _ => Decision::Tables,
        }
    }

    /// What filters have said of a packet.
    #[inline]
    pub(crate) fn answers(&self, at: usize) -> &[(u32, u32)] {
        &self.answers[at]
    }

    /// The packet went through the tables.
    pub(crate) fn learn(&mut self, at: usize, recording: Recording) {
        self.cache.remember(&self.views, at, recording);
    }

    /// Asks the filters about the packets from `at` to the first that has to go through the tables.
    fn settle<C: Carrier>(&mut self, at: usize, carrier: &C, scene: Scene<'_>) {
        // The tables may have taught the cache since.
        if self.stands[at] == Stand::Unknown
            && let Some(way) = self.cache.find(&self.views, at)
        {
            self.stands[at] = Stand::Way(way);
        }
        let count = carrier.count();
        let end = (at..count).find(|i| self.stands[*i] == Stand::Unknown).unwrap_or(count);
        self.settled = end.max(at + 1);
        while let Some(first) = (at..end).find(|i| self.question(*i).is_some()) {
            self.ask(first, end, carrier, scene);
        }
    }

    /// The filter that is to be asked about a packet.
    fn question(&self, at: usize) -> Option<(NodeId, u32)> {
        match self.stands[at] {
            Stand::Way(Way::Ask(node, slot)) => Some((node, slot)),
            _ => None,
        }
    }

    /// Asks the filter of packet `first` about it and all behind it that are at the same filter.
    fn ask<C: Carrier>(&mut self, first: usize, end: usize, carrier: &C, scene: Scene<'_>) {
        let Some((_, slot)) = self.question(first) else { return };
        let Scene { snapshot, in_port, now } = scene;
        let time = carrier.time(first, now);
        let mut chosen: SmallVec<[(usize, NodeId); BURST]> = SmallVec::new();
        let mut packets: SmallVec<[Packet<'_>; BURST]> = SmallVec::new();
        let mut passed_over: SmallVec<[u64; BURST]> = SmallVec::new();
        for i in first..end {
            match (self.stands[i], self.views.flow(i)) {
                (Stand::Way(Way::Path(_)), _) => {}
                (Stand::Way(Way::Ask(node, other)), Some(flow))
                    if other == slot && carrier.time(i, now) == time && !passed_over.contains(&flow) =>
                {
                    chosen.push((i, node));
                    packets.push(Packet::new(carrier.frame(i).unwrap_or_default(), in_port.0));
                }
                // Packets of the same flow behind it wait for it.
                (_, flow) => passed_over.extend(flow),
            }
        }
        let loaded = snapshot.filters.slot(slot as usize);
        let mut verdicts = [Verdict::default(); BURST];
        let verdicts = &mut verdicts[..packets.len()];
        loaded.instance.run_burst(loaded.filter, &packets, time.0, verdicts);
        self.asked = true;
        for ((i, node), verdict) in chosen.into_iter().zip(verdicts) {
            let class = verdict.class();
            self.answers[i].push((slot, class));
            self.stands[i] = self.cache.answered(node, class).map_or(Stand::NewAnswer, Stand::Way);
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
