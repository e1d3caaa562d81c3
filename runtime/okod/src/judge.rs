//! A burst before the flow cache: all its packets are looked up together, and filters are asked about many packets at a time.
//!
//! Packets are then dealt with in order. What a packet that is not cached does, changes of the cache among them,
//! has happened before the next one is looked at.
//!
//! # The order in which filters see packets
//!
//! A filter sees the packets of one flow, those that have the same relevant bits, in the order in which they came. Those of different
//! flows of one burst, for which it is the same instant, it may see in another order: those for which it is the first filter that is
//! asked come before those that another one was asked about before.

use std::ops::Range;

use oko_filter::{Packet, Verdict};
use oko_flow_cache::{BURST, LeafId, NodeId};
use oko_openflow::PortNo;
use smallvec::SmallVec;

use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::flow_cache::{FlowCache, Views, Way};
use crate::places::Places;
use crate::profile::{Profile, Stage};
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
    /// A filter gave an answer at a node that the cache did not know.
    New(NodeId, u32),
}

/// Where a burst came in, when, and under what it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) in_port: PortNo,
    pub(crate) now: Nanos,
}

/// What filters have said of a packet: slots and answers.
pub(crate) type Answers = SmallVec<[(u32, u32); 4]>;

/// What a filter was asked and what it answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    slot: u32,
    packets: Places,
    /// The answers, in the order of the packets.
    verdicts: [Verdict; BURST],
}

impl Asked {
    const NOTHING: Asked = Asked { slot: 0, packets: Places::NONE, verdicts: [Verdict(0); BURST] };
}

/// A worker's cache and the burst that is before it.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) cache: FlowCache,
    views: Views,
    stands: [Stand; BURST],
    /// Packets that the cache does not know how to go on with.
    held: Places,
    /// Packets about which a filter is to be asked.
    open: Places,
    /// What filters were asked in this burst, and behind that in earlier ones.
    asked: Vec<Asked>,
    asks: usize,
    pub(crate) profile: Profile,
}

impl Judge {
    pub(crate) fn new(cache: FlowCache) -> Self {
        Self {
            cache,
            views: Views::default(),
            stands: [Stand::Unknown; BURST],
            held: Places::NONE,
            open: Places::NONE,
            asked: vec![Asked::NOTHING; BURST],
            asks: 0,
            profile: Profile::new(),
        }
    }

    /// Looks up a burst, and asks about its packets together as long as they go one way. If all take one path, it comes back; there is nothing to
    /// [`settle`](Self::settle) then.
    #[inline]
    pub(crate) fn look_up<C: Carrier>(&mut self, carrier: &C, scene: Scene<'_>) -> Option<LeafId> {
        self.asks = 0;
        (self.held, self.open) = (Places::NONE, Places::NONE);
        let count = carrier.count();
        let packets = packets(0..count, carrier, scene);
        // What does not lie in one piece is empty here.
        let frame = |at: usize| Some(packets[at].data()).filter(|frame| !frame.is_empty());
        let found = self.cache.look_up(&mut self.views, count, frame, scene.in_port);
        self.profile.end(Stage::LookUp);
        match found {
            Some(Way::Path(leaf)) => return Some(leaf),
            Some(way) => {
                let all = self.go_together(way, &packets, carrier, scene);
                self.profile.end(Stage::Filters);
                return all;
            }
            None => {}
        }
        for at in 0..count {
            match self.views.value(at) {
                Some(value) => self.goes(at, self.cache.way(value)),
                None => self.holds(at, Stand::Unknown),
            }
        }
        None
    }

    /// All packets of a burst go a way. The path at its end, if none takes another.
    fn go_together<C: Carrier>(
        &mut self,
        mut way: Way,
        packets: &[Packet<'_>],
        carrier: &C,
        scene: Scene<'_>,
    ) -> Option<LeafId> {
        let all = Places::range(0..packets.len());
        let time = carrier.time(0, scene.now);
        if (1..packets.len()).any(|at| carrier.time(at, scene.now) != time) {
            all.into_iter().for_each(|at| self.goes(at, way));
            return None;
        }
        loop {
            let (node, slot) = match way {
                Way::Path(leaf) => return Some(leaf),
                Way::Ask(node, slot) => (node, slot),
            };
            let verdicts = self.run(slot, all, packets, time, scene);
            let first = *verdicts.first()?;
            let agree = verdicts.iter().fold(0, |differs, other| differs | (first.0 ^ other.0)) == 0;
            match self.cache.answered(node, first.class()).filter(|_| agree) {
                Some(next) => way = next,
                None => {
                    self.stands[..all.len()].fill(Stand::Way(way));
                    self.take_in();
                    return None;
                }
            }
        }
    }

    /// Finds out about packet `at`, the packets before it being dealt with, and those behind it as far as that does not depend on what the tables say of
    /// one of them. Where these end comes back, at least the place behind `at`.
    #[inline]
    pub(crate) fn settle<C: Carrier>(&mut self, at: usize, carrier: &C, scene: Scene<'_>) -> usize {
        // The tables may have taught the cache since.
        if self.held.contains(at)
            && let Some(way) = self.recall(at)
        {
            self.held = self.held.without(Places::one(at));
            self.goes(at, way);
        }
        let behind = Places::range(at..carrier.count());
        // One that is held goes through the tables, where other filters may be asked about it; those behind it come after that.
        let mut end = self.held.and(behind).first().unwrap_or(carrier.count());
        while let Some(first) = self.open.and(Places::range(at..end)).first() {
            end = self.ask(first..end, carrier, scene);
        }
        self.profile.end(Stage::Filters);
        end.max(at + 1)
    }

    /// The path that a packet takes about which everything is known; none if it goes through the tables.
    #[inline]
    pub(crate) fn path(&self, at: usize) -> Option<LeafId> {
        match self.stands[at] {
            Stand::Way(Way::Path(leaf)) => Some(leaf),
            _ => None,
        }
    }

    /// What filters have said of a packet.
    pub(crate) fn answers(&self, at: usize) -> Answers {
        let about = self.asked[..self.asks].iter().filter(|asked| asked.packets.contains(at));
        about.map(|asked| (asked.slot, asked.verdicts[asked.packets.before(at)].class())).collect()
    }

    /// The packet went through the tables.
    pub(crate) fn learn(&mut self, at: usize, recording: Recording, snapshot: &Snapshot) {
        self.cache.remember(&self.views, at, recording, snapshot);
    }

    /// A packet goes a way from here.
    #[inline]
    fn goes(&mut self, at: usize, way: Way) {
        self.stands[at] = Stand::Way(way);
        if let Way::Ask(..) = way {
            self.open = self.open.with(Places::one(at));
        }
    }

    /// Nothing more can be said of a packet for now.
    #[inline]
    fn holds(&mut self, at: usize, stand: Stand) {
        self.stands[at] = stand;
        self.held = self.held.with(Places::one(at));
    }

    /// Where a packet goes that was held, if that is known by now.
    fn recall(&mut self, at: usize) -> Option<Way> {
        match self.stands[at] {
            Stand::Unknown => self.cache.find(&self.views, at),
            Stand::New(node, class) => self.cache.answered(node, class),
            Stand::Way(way) => Some(way),
        }
    }

    /// The filter that is to be asked about a packet.
    #[inline]
    fn question(&self, at: usize) -> Option<(NodeId, u32)> {
        match self.stands[at] {
            Stand::Way(Way::Ask(node, slot)) => Some((node, slot)),
            _ => None,
        }
    }

    /// Asks the filter of the first of some packets about it and all that are at the same filter. The place of the first whose answer is new comes back, or
    /// the end.
    fn ask<C: Carrier>(&mut self, among: Range<usize>, carrier: &C, scene: Scene<'_>) -> usize {
        let Some((_, slot)) = self.question(among.start) else { return among.end };
        let now = scene.now;
        let time = carrier.time(among.start, now);
        let open = self.open.and(Places::range(among.clone()));
        let mut chosen = open.filter(|at| {
            self.question(at).is_some_and(|(_, other)| other == slot) && carrier.time(at, now) == time
        });
        if chosen != open {
            chosen = self.in_turn(chosen, among.clone());
        }
        self.run(slot, chosen, &packets(chosen.into_iter(), carrier, scene), time, scene);
        self.open = self.open.without(chosen);
        self.take_in().unwrap_or(among.end)
    }

    /// Asks a filter about packets, for which it is the same time. Its answers, in their order.
    #[inline]
    fn run(
        &mut self,
        slot: u32,
        places: Places,
        packets: &[Packet<'_>],
        time: Nanos,
        scene: Scene<'_>,
    ) -> &[Verdict] {
        if self.asks == self.asked.len() {
            self.asked.push(Asked::NOTHING);
        }
        let asked = &mut self.asked[self.asks];
        self.asks += 1;
        (asked.slot, asked.packets) = (slot, places);
        let verdicts = &mut asked.verdicts[..packets.len()];
        let loaded = scene.snapshot.filters.slot(slot as usize);
        loaded.instance.run_burst(loaded.filter, packets, time.0, verdicts);
        verdicts
    }

    /// The packets that a filter was asked about last go on from the nodes that they are at, by its answers. The place of the first whose answer is new
    /// comes back.
    fn take_in(&mut self) -> Option<usize> {
        let Asked { packets, verdicts, .. } = *self.asked[..self.asks].last()?;
        let mut new = None;
        // Packets of one flow, and those of others of the same shape, are often at the same node; most filters have two answers.
        let mut lately = [None; 2];
        for (at, verdict) in packets.into_iter().zip(verdicts) {
            let Some((node, _)) = self.question(at) else { continue };
            let place = &mut lately[verdict.0 as usize % 2];
            let way = match *place {
                Some((same, answer, way)) if (same, answer) == (node, verdict) => way,
                _ => {
                    let way = self.cache.answered(node, verdict.class());
                    *place = Some((node, verdict, way));
                    way
                }
            };
            match way {
                Some(way) => self.goes(at, way),
                None => {
                    self.holds(at, Stand::New(node, verdict.class()));
                    new = new.or(Some(at));
                }
            }
        }
        new
    }

    /// Of packets that a filter can be asked about, those whose turn it is: before which there is none of the same flow about which others have to be asked first.
    fn in_turn(&self, chosen: Places, among: Range<usize>) -> Places {
        let mut passed_over: SmallVec<[u64; BURST]> = SmallVec::new();
        Places::range(among).filter(|at| match (self.stands[at], self.views.flow(at)) {
            (Stand::Way(Way::Path(_)), _) => false,
            (_, Some(flow)) if chosen.contains(at) && !passed_over.contains(&flow) => true,
            (_, flow) => {
                passed_over.extend(flow);
                false
            }
        })
    }
}

/// Packets of a burst as filters see them.
#[inline]
fn packets<'c, C: Carrier>(
    places: impl Iterator<Item = usize>,
    carrier: &'c C,
    scene: Scene<'_>,
) -> SmallVec<[Packet<'c>; BURST]> {
    places.map(|at| Packet::new(carrier.frame(at).unwrap_or_default(), scene.in_port.0)).collect()
}

#[cfg(test)]
mod tests;
