//! From a burst to what is done with each of its packets: the flow cache first, the tables for what it does not know.

use std::sync::Arc;

use oko_flow_cache::LeafId;

use crate::bridge::Bridge;
use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::flow_cache::FlowCache;
use crate::judge::{Decision, Judge, Scene};
use crate::pipeline::{Arrival, Pipeline};
use crate::plan::Plan;
use crate::recording::Then;
use crate::snapshot::Snapshot;

/// What a worker judges packets with.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pub(crate) judge: Judge,
    pub(crate) pipeline: Pipeline,
    pub(crate) plan: Plan,
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
        match self.judge.look_up(carrier, scene.in_port) {
            Some(leaf) => self.all(carrier, scene, leaf),
            None => {
                for at in 0..carrier.count() {
                    match self.judge.decide(at, carrier, scene) {
                        Decision::Path(leaf) => self.along(carrier, scene, at, leaf),
                        Decision::Tables => self.through_tables(carrier, scene, at, None),
                    }
                }
            }
        }
        self.judge.cache.burst_is_over(scene.snapshot, scene.now);
        self.pipeline.count_tables(scene.snapshot);
    }

    /// All packets take one path.
    fn all<C: Carrier>(&mut self, carrier: &mut C, scene: Scene<'_>, leaf: LeafId) {
        let Then::Output(port) = self.judge.cache.then(leaf) else {
            for at in 0..carrier.count() {
                self.along(carrier, scene, at, leaf);
            }
            return;
        };
        let count = carrier.count();
        let bytes = (0..count).map(|at| carrier.len(at) as u64).sum();
        self.judge.cache.take(leaf, count as u32, bytes);
        carrier.output_all(port);
    }

    /// A packet takes a path.
    #[inline]
    fn along<C: Carrier>(&mut self, carrier: &mut C, scene: Scene<'_>, at: usize, leaf: LeafId) {
        match self.judge.cache.then(leaf) {
            Then::Output(port) => {
                self.judge.cache.take(leaf, 1, carrier.len(at) as u64);
                carrier.output(at, port);
            }
            Then::Drop => {
                self.judge.cache.take(leaf, 1, carrier.len(at) as u64);
                carrier.discard(at);
            }
            Then::Act => self.through_tables(carrier, scene, at, Some(leaf)),
        }
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
        let mut recording = None;
        carrier.rewrite(at, plan, |packet, plan| {
            let answers = judge.answers(at);
            match leaf {
                Some(leaf) => {
                    let path = judge.cache.path(leaf);
                    pipeline.process_along(snapshot, arrival, packet, answers, path, plan);
                }
                None => recording = Some(pipeline.process(snapshot, arrival, packet, answers, plan)),
            }
        });
        if let Some(recording) = recording {
            judge.learn(at, recording);
        }
    }
}
