//! From a burst to what is done with each of its packets: the flow cache first, the tables for what it does not know.
//!
//! Packets that are only sent or dropped are kept together: those of a burst that leave by one port are handed over at once, and counted once
//! for each path. Packets leave every port in the order in which they came.

use std::ops::Range;
use std::sync::Arc;

use oko_flow_cache::{BURST, LeafId};
use oko_flow_table::{Meter, Verdict};
use oko_packet::edit::Shape;

use crate::bridge::Bridge;
use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::fate::Fate;
use crate::flow_cache::FlowCache;
use crate::judge::{Judge, Scene};
use crate::pipeline::{Along, Arrival, Pipeline};
use crate::places::Places;
use crate::plan::Plan;
use crate::profile::Stage;
use crate::recipe::Way;
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

    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

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
                    self.some(carrier, scene, at..end, Judge::path);
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
            Then::Act => self.some(carrier, scene, 0..count, |_, _| Some(leaf)),
        }
    }

    /// Packets that need nothing more to be known, in a row, of which each has its path.
    fn some<C: Carrier>(
        &mut self,
        carrier: &mut C,
        scene: Scene<'_>,
        places: Range<usize>,
        path: impl Fn(&Judge, usize) -> Option<LeafId>,
    ) {
        let mut fates = [Fate::DROP; BURST];
        let (mut begin, mut at, mut counted) = (places.start, places.start, Count::NOTHING);
        while at < places.end {
            let leaf = path(&self.judge, at);
            let fate = leaf.map_or(Fate::ACT, |leaf| self.judge.cache.fate(leaf));
            let mut end = at + 1;
            match leaf {
                Some(leaf) if fate != Fate::ACT => {
                    if leaf != counted.leaf {
                        counted.tell(&mut self.judge.cache);
                        counted.leaf = leaf;
                    }
                    if fate == Fate::CHANGE {
                        while end < places.end && path(&self.judge, end) == Some(leaf) {
                            end += 1;
                        }
                        end = self.change(carrier, scene, at..end, &mut counted, &mut fates);
                    } else {
                        counted.add(carrier.len(at));
                        fates[at] = fate;
                    }
                }
                _ => end = at,
            }
            if end == at {
                // What is done with a packet comes after what is done with those before it.
                counted.tell(&mut self.judge.cache);
                hand_over(carrier, &fates, begin..at);
                self.through_tables(carrier, scene, at, leaf);
                end = at + 1;
                begin = end;
            }
            at = end;
        }
        counted.tell(&mut self.judge.cache);
        hand_over(carrier, &fates, begin..places.end);
    }

    /// Packets of one path, by whose recipe they are changed, as far as they fit it: where the first is that does not comes back.
    fn change<C: Carrier>(
        &mut self,
        carrier: &mut C,
        scene: Scene<'_>,
        places: Range<usize>,
        counted: &mut Count,
        fates: &mut [Fate; BURST],
    ) -> usize {
        let Some(recipe) = self.judge.cache.recipe(counted.leaf) else { return places.start };
        let Some(way) = recipe.way(scene.in_port) else { return places.start };
        let mut shapes = [Shape::default(); BURST];
        let mut end = places.start;
        while end < places.end {
            let Some(frame) = carrier.frame(end) else { break };
            let Some(shape) = recipe.rewrite.fits(frame) else { break };
            let fate = match way {
                Way::All(fate) => Some(fate),
                Way::Bridge => {
                    let now = carrier.time(end, scene.now);
                    Fate::of_effect(self.pipeline.bridge.forward(frame, scene.in_port, now))
                }
            };
            let Some(fate) = fate else { break };
            (shapes[end], fates[end]) = (shape, fate);
            counted.add(carrier.len(end));
            end += 1;
        }
        let places = places.start..end;
        if let Some(meter) = &recipe.meter {
            measure(meter, carrier, scene, places.clone(), fates);
        }
        if !recipe.rewrite.is_empty() {
            for at in places {
                if fates[at] != Fate::DROP
                    && carrier.change(at, |frame| recipe.rewrite.apply(shapes[at], frame)).is_err()
                {
                    // Better not sent than sent as something else.
                    self.pipeline.no_room += 1;
                    fates[at] = Fate::DROP;
                }
            }
        }
        end
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
                // Other packets of the path are counted at all its entries.
                let is_counted = judge.cache.fate(leaf) == Fate::ACT;
                let along = Along { path: judge.cache.path(leaf), is_counted };
                pipeline.process_along(snapshot, arrival, packet, &answers, along, plan);
                taken = is_counted.then_some(leaf);
            }
            None => recording = Some(pipeline.process(snapshot, arrival, packet, &answers, plan)),
        });
        if let Some(leaf) = taken {
            judge.cache.take(leaf, 1, len as u64);
        }
        if let Some(recording) = recording {
            judge.learn(at, recording, snapshot);
            judge.profile.end(Stage::Tables);
        }
    }
}

/// Lets a meter that does nothing but drop measure packets, in order: those that it drops have that fate.
fn measure<C: Carrier>(
    meter: &Meter,
    carrier: &C,
    scene: Scene<'_>,
    places: Range<usize>,
    fates: &mut [Fate; BURST],
) {
    let time = |at| carrier.time(at, scene.now);
    let Some(first) = places.clone().next().map(time) else { return };
    let sizes = places.clone().map(|at| carrier.len(at));
    if places.clone().all(|at| time(at) == first) && meter.pass_together(sizes, first.0) {
        return;
    }
    for at in places {
        if meter.measure(carrier.len(at), time(at).0) == Verdict::Drop {
            fates[at] = Fate::DROP;
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
