//! From a burst to what is done with each of its packets: the flow cache first, the tables for what it does not know.
//!
//! Packets that are only sent or dropped are kept together: those of a burst that leave by one port are handed over at once, and counted once
//! for each path. Packets leave every port in the order in which they came.

use std::ops::Range;
use std::sync::Arc;

use oko_flow_cache::{BURST, LeafId};

use crate::bridge::Bridge;
use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::flow_cache::FlowCache;
use crate::judge::{Judge, Scene};
use crate::leaves::Fate;
use crate::pipeline::{Arrival, Pipeline};
use crate::places::Places;
use crate::plan::Plan;
use crate::profile::Stage;
use crate::recording::Then;
use crate::snapshot::Snapshot;

/// What a worker judges packets with.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pub(crate) judge: Judge,
    pub(crate) pipeline: Pipeline,
    pub(crate) plan: Plan,
}

/// Packets of one path, one after the other, that are counted together.
struct Count {
    leaf: LeafId,
    packets: u32,
    bytes: u64,
}

impl Count {
    const NOTHING: Count = Count { leaf: LeafId(0), packets: 0, bytes: 0 };

    fn tell(&mut self, cache: &mut FlowCache) {
        if self.packets > 0 {
            cache.take(self.leaf, self.packets, self.bytes);
            (self.packets, self.bytes) = (0, 0);
        }
    }
}

impl Forwarder {
    pub(crate) fn new(cache: FlowCache, bridge: Arc<Bridge>) -> Self {
        Self { judge: Judge::new(cache), pipeline: Pipeline::new(bridge), plan: Plan::default() }
    }

    /// Prepares for another snapshot.
    pub(crate) fn take_up(&mut self, snapshot: &Snapshot, now: Nanos) {
        self.pipeline.take_up(snapshot);
        self.judge.cache.take_up(snapshot, now);
    }

    /// Judges the packets of a burst that came in by a port, and has done with them what follows.
    pub(crate) fn burst<C: Carrier>(&mut self, carrier: &mut C, scene: Scene<'_>) {
        match self.judge.look_up(carrier, scene) {
            Some(leaf) => self.all(carrier, scene, leaf),
            None => {
                let mut at = 0;
                while at < carrier.count() {
                    let end = self.judge.settle(at, carrier, scene);
                    self.some(carrier, scene, at..end);
                    at = end;
                }
            }
        }
        self.judge.cache.burst_is_over(scene.snapshot, scene.now);
        self.pipeline.count_tables(scene.snapshot);
        self.judge.profile.end(Stage::Act);
    }

    /// All packets take one path.
    fn all<C: Carrier>(&mut self, carrier: &mut C, scene: Scene<'_>, leaf: LeafId) {
        let count = carrier.count();
        let then = self.judge.cache.fate(leaf).then();
        if then != Then::Act {
            let bytes = (0..count).map(|at| carrier.len(at) as u64).sum();
            self.judge.cache.take(leaf, count as u32, bytes);
        }
        match then {
            Then::Output(port) => carrier.output(Places::range(0..count), port),
            Then::Drop => carrier.discard(Places::range(0..count)),
            Then::Act => (0..count).for_each(|at| self.through_tables(carrier, scene, at, Some(leaf))),
        }
    }

    /// Packets that need nothing more to be known, in a row.
    fn some<C: Carrier>(&mut self, carrier: &mut C, scene: Scene<'_>, places: Range<usize>) {
        let mut fates = [Fate::DROP; BURST];
        let (mut begin, mut counted) = (places.start, Count::NOTHING);
        for at in places.clone() {
            let leaf = self.judge.path(at);
            let fate = leaf.map_or(Fate::ACT, |leaf| self.judge.cache.fate(leaf));
            match leaf {
                Some(leaf) if fate != Fate::ACT => {
                    if leaf != counted.leaf {
                        counted.tell(&mut self.judge.cache);
                        counted.leaf = leaf;
                    }
                    counted.packets += 1;
                    counted.bytes += carrier.len(at) as u64;
                    fates[at] = fate;
                }
                leaf => {
                    // What is done with a packet comes after what is done with those before it.
                    counted.tell(&mut self.judge.cache);
                    hand_over(carrier, &fates, begin..at);
                    self.through_tables(carrier, scene, at, leaf);
                    begin = at + 1;
                }
            }
        }
        counted.tell(&mut self.judge.cache);
        hand_over(carrier, &fates, begin..places.end);
    }

    /// Lets the pipeline have a packet, on a path if one is known.
    fn through_tables<C: Carrier>(
        &mut self,
        carrier: &mut C,
        scene: Scene<'_>,
        at: usize,
        leaf: Option<LeafId>,
    ) {
        let Scene { snapshot, in_port, now } = scene;
        let arrival = Arrival { in_port, now: carrier.time(at, now) };
        let Self { judge, pipeline, plan } = self;
        plan.clear();
        let answers = judge.answers(at);
        judge.profile.end(Stage::Act);
        let (mut recording, mut taken, len) = (None, None, carrier.len(at));
        carrier.rewrite(at, plan, |packet, plan| match leaf {
            Some(leaf) => {
                let path = judge.cache.path(leaf);
                pipeline.process_along(snapshot, arrival, packet, &answers, path, plan);
                taken = Some(leaf);
            }
            None => recording = Some(pipeline.process(snapshot, arrival, packet, &answers, plan)),
        });
        if let Some(leaf) = taken {
            judge.cache.take(leaf, 1, len as u64);
        }
        if let Some(recording) = recording {
            judge.learn(at, recording);
            judge.profile.end(Stage::Tables);
        }
    }
}

/// Sends and drops packets, of which none is to be acted on: those with the same fate together.
fn hand_over<C: Carrier>(carrier: &mut C, fates: &[Fate; BURST], places: Range<usize>) {
    let mut left = Places::range(places);
    while let Some(first) = left.first() {
        let same = left.filter(|at| fates[at] == fates[first]);
        left = left.without(same);
        match fates[first].then() {
            Then::Output(port) => carrier.output(same, port),
            Then::Drop | Then::Act => carrier.discard(same),
        }
    }
}
