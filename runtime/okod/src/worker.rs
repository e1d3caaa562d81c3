//! The packet thread: receives bursts, judges them, sends, and goes on.
//!
//! Run to completion: a packet that was received is sent, handed to the control thread or dropped before the next burst
//! is received. On this path nothing is allocated, no lock is waited for, no system call is made, and the clock is
//! read once per burst. While nothing comes in, the worker rests (unless told not to); a finite device that has run dry
//! is simply quiet.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{hint, io};

use arc_swap::Cache;
use oko_dpdk::{BURST, Burst, Eal, Mbuf, Pool, Queues, RecordedTime, RxQueue, TxQueue, pin_current_thread};
use oko_flow_cache::LeafId;
use oko_openflow::PortNo;
use oko_openflow::port::PortConfig as ConfigBits;
use oko_packet::edit::{Editor, FrameBuf};
use tracing::warn;

use crate::clock::{Clock, Nanos};
use crate::config::{FilterClock, WorkerConfig};
use crate::egress::{Egress, PortIndex};
use crate::flow_cache::FlowCache;
use crate::judge::{Decision, Judge};
use crate::pipeline::{Arrival, Pipeline};
use crate::plan::{Effect, Plan, Planned};
use crate::ports::{PortState, WorkerPort};
use crate::recording::Then;
use crate::shared::{PacketForController, PacketFromController, Shared};
use crate::snapshot::Snapshot;

/// The longest frame: what capture files and Linux devices can deliver.
const LONGEST_FRAME: usize = 65_536;
/// The shortest frame on an Ethernet, without its check sequence.
const SHORTEST_FRAME: usize = 60;
/// Room for headers before a frame of several segments that was put together, and behind it.
const SCRATCH_ROOM: usize = 512;
/// Rounds without a packet after which the worker rests.
const QUIET_ROUNDS: u32 = 256;
/// How long it rests.
const REST: Duration = Duration::from_micros(100);

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    thread: JoinHandle<Vec<WorkerPort>>,
    shared: Arc<Shared>,
}

impl WorkerHandle {
    /// Starts a worker over ports.
    pub(crate) fn start(
        eal: &Eal,
        pool: &Pool,
        ports: Vec<WorkerPort>,
        shared: Arc<Shared>,
        clock: Clock,
        config: WorkerConfig,
    ) -> io::Result<Self> {
        let (eal, pool) = (eal.clone(), pool.clone());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name(String::from("okod-worker")).spawn(move || {
            // Also tells of a worker that panics.
            let _ended = Ended(Arc::clone(&for_thread));
            if let Some(cpu) = config.cpu
                && let Err(error) = pin_current_thread(cpu)
            {
                warn!(%error, "the worker runs on any CPU");
            }
            let registered = eal.register_thread();
            if let Err(error) = &registered {
                warn!(%error, "the worker has no packet buffer cache");
            }
            let mut worker = Worker::new(pool, ports, for_thread, clock, config);
            worker.run();
            worker.into_ports()
        })?;
        Ok(Self { thread, shared })
    }

    /// Ends the worker and gets its ports back; none if it had panicked.
    pub(crate) fn stop(self) -> Vec<WorkerPort> {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_default()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.has_ended();
    }
}

/// A port's way in.
struct Intake {
    number: PortNo,
    queue: Option<RxQueue>,
    state: Arc<PortState>,
}

struct Worker {
    intakes: Vec<Intake>,
    /// Everything but the intakes, so that one intake and this can be borrowed together.
    bench: Bench,
    clock: Clock,
    busy_poll: bool,
}

struct Bench {
    egress: Egress,
    pipeline: Pipeline,
    judge: Judge,
    shared: Arc<Shared>,
    pool: Pool,
    received: Burst,
    /// Dropped packets, freed together.
    dropped: Burst,
    /// Bytes of the packet at hand when it came.
    arrived_len: usize,
    /// Where frames of several segments are put together.
    scratch: Box<[u8]>,
    plan: Plan,
    /// Where filters find the time of recording; none if they go by the system's clock.
    recorded: Option<RecordedTime>,
}

impl Worker {
    fn new(
        pool: Pool,
        ports: Vec<WorkerPort>,
        shared: Arc<Shared>,
        clock: Clock,
        config: WorkerConfig,
    ) -> Self {
        let mut intakes = Vec::new();
        let mut outlets = Vec::new();
        for WorkerPort { number, queues, state } in ports {
            // One worker, one queue each way.
            let (rx, tx) = queues.map_or((None, None), |mut queues| (queues.rx.pop(), queues.tx.pop()));
            intakes.push(Intake { number, queue: rx, state: Arc::clone(&state) });
            outlets.push((number, tx, state));
        }
        let bench = Bench {
            egress: Egress::new(pool.clone(), outlets),
            pipeline: Pipeline::default(),
            judge: Judge::new(FlowCache::new(config.flow_cache, secrets())),
            shared,
            pool,
            received: Burst::new(),
            dropped: Burst::new(),
            arrived_len: 0,
            scratch: vec![0; SCRATCH_ROOM + LONGEST_FRAME + SCRATCH_ROOM].into_boxed_slice(),
            plan: Plan::default(),
            // The devices are configured by now.
            recorded: (config.clock == FilterClock::Capture).then(RecordedTime::lookup).flatten(),
        };
        Self { intakes, bench, clock, busy_poll: config.busy_poll }
    }

    fn run(&mut self) {
        let shared = Arc::clone(&self.bench.shared);
        let mut cache = Cache::new(&shared.snapshot);
        let mut current = None;
        let mut quiet = 0;
        while !shared.stop.load(Ordering::Acquire) {
            let snapshot = cache.load();
            if current != Some(snapshot.generation) {
                current = Some(snapshot.generation);
                self.bench.pipeline.take_up(snapshot);
                self.bench.judge.cache.take_up(snapshot, self.clock.now());
                shared.took_up(snapshot.generation);
            }
            if self.round(snapshot) > 0 {
                quiet = 0;
                continue;
            }
            self.bench.judge.cache.flush_if_any(snapshot, &self.clock);
            if quiet < QUIET_ROUNDS || self.busy_poll {
                quiet += 1;
                hint::spin_loop();
            } else {
                thread::sleep(REST);
            }
        }
        // What the controllers were promised before the end still goes out.
        let snapshot = shared.snapshot.load();
        while let Some(packet) = shared.packet_outs.pop() {
            self.bench.packet_out(&snapshot, packet, &self.clock);
        }
        self.bench.judge.cache.flush(&snapshot, self.clock.now());
        self.bench.egress.flush();
    }

    /// One burst of each port and what the controllers send. How many packets that were.
    fn round(&mut self, snapshot: &Snapshot) -> usize {
        let mut packets = 0;
        for intake in &mut self.intakes {
            let config = intake.state.config();
            let Some(queue) = intake.queue.as_mut().filter(|_| !config.contains(ConfigBits::PORT_DOWN))
            else {
                continue;
            };
            let n = queue.receive(&mut self.bench.received);
            if n == 0 {
                continue;
            }
            packets += n;
            if config.contains(ConfigBits::NO_RECV) {
                intake.state.count_rx_dropped(n as u64);
                self.bench.received.clear();
                continue;
            }
            self.bench.burst(snapshot, intake, &self.clock);
        }
        while let Some(packet) = self.bench.shared.packet_outs.pop() {
            packets += 1;
            self.bench.packet_out(snapshot, packet, &self.clock);
        }
        self.bench.egress.flush();
        packets
    }

    fn into_ports(self) -> Vec<WorkerPort> {
        let Self { intakes, bench, .. } = self;
        let outlets = bench.egress.into_queues();
        intakes
            .into_iter()
            .zip(outlets)
            .map(|(Intake { number, queue, state }, tx)| {
                let queues =
                    queue.zip(tx).map(|(rx, tx): (RxQueue, TxQueue)| Queues { rx: vec![rx], tx: vec![tx] });
                WorkerPort { number, queues, state }
            })
            .collect()
    }
}

/// When a packet came, as filters are told.
#[inline]
fn judged_at(recorded: Option<RecordedTime>, packet: &Mbuf, now: Nanos) -> Nanos {
    recorded.and_then(|time| time.of(packet)).map_or(now, Nanos)
}

/// Random numbers that nobody outside knows.
fn secrets() -> [u64; 4] {
    // The standard library's hashers are keyed by the system's random numbers, each anew.
    std::array::from_fn(|i| RandomState::new().hash_one(i))
}

impl Bench {
    /// Judges the received burst of a port.
    fn burst(&mut self, snapshot: &Snapshot, intake: &Intake, clock: &Clock) {
        let now = clock.now();
        let in_port = intake.number;
        let mut received = std::mem::take(&mut self.received);
        let count = received.len();
        let mut packets = received.drain();
        self.judge.look_up(packets.rest().iter().map(Mbuf::contiguous), in_port.0);
        for at in 0..count {
            let recorded = self.recorded;
            let decision = {
                let rest = packets.rest();
                // Only packets with a key are asked for, and these lie in one piece.
                let frame = |i: usize| rest[i - at].first_segment();
                let time = |i: usize| judged_at(recorded, &rest[i - at], now);
                self.judge.decide(at, count, frame, in_port.0, snapshot, time)
            };
            let Some(packet) = packets.next() else { break };
            if let Some(recorded) = recorded.and_then(|time| time.of(&packet)) {
                self.shared.recorded_now.store(recorded, Ordering::Relaxed);
            }
            match decision {
                Decision::Path(leaf) => match self.judge.cache.then(leaf) {
                    Then::Output(port) => {
                        self.judge.cache.take(leaf, packet.len());
                        match self.egress.index(port) {
                            Some(port) => self.egress.push(port, packet),
                            None => self.drop_packet(packet),
                        }
                    }
                    Then::Drop => {
                        self.judge.cache.take(leaf, packet.len());
                        self.drop_packet(packet);
                    }
                    Then::Act => self.through_tables(snapshot, intake, packet, at, Some(leaf), now),
                },
                Decision::Tables => self.through_tables(snapshot, intake, packet, at, None, now),
            }
        }
        drop(packets);
        self.received = received;
        self.judge.cache.burst_is_over(snapshot, now);
        self.pipeline.count_tables(snapshot);
        self.dropped.clear();
    }

    /// Lets the pipeline have packet `at` of the burst, on a path if one is known.
    fn through_tables(
        &mut self,
        snapshot: &Snapshot,
        intake: &Intake,
        packet: Mbuf,
        at: usize,
        leaf: Option<LeafId>,
        now: Nanos,
    ) {
        if packet.len() > LONGEST_FRAME {
            intake.state.count_rx_dropped(1);
            return;
        }
        let arrival = Arrival { in_port: intake.number, now: judged_at(self.recorded, &packet, now) };
        self.plan.clear();
        let mut recording = None;
        let packet = self.edited(packet, intake.number, |pipeline, judge, plan, packet| {
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
            self.judge.learn(at, recording);
        }
        match packet {
            Some(packet) => self.carry_out(packet, intake.number),
            None => intake.state.count_rx_dropped(1),
        }
    }

    /// Does what a controller asked for with its packet.
    fn packet_out(&mut self, snapshot: &Snapshot, from: PacketFromController, clock: &Clock) {
        let PacketFromController { packet, in_port, actions } = from;
        let now = clock.now();
        let arrival = Arrival { in_port, now };
        self.plan.clear();
        let packet = self.edited(packet, in_port, |pipeline, _, plan, packet| {
            pipeline.packet_out(snapshot, arrival, packet, &actions, plan);
        });
        // Through the tables it goes as it is then, once, however often that is asked for.
        let tables = self.plan.all().iter().find(|planned| planned.effect == Effect::Tables).copied();
        let Some(packet) = packet else { return };
        let again = match tables {
            Some(Planned { copy: Some(copy), .. }) => self.pool.packet(self.plan.copy(copy)).ok(),
            Some(Planned { copy: None, .. }) => packet.duplicate(&self.pool).ok(),
            None => None,
        };
        self.carry_out(packet, in_port);
        if let Some(packet) = again {
            self.plan.clear();
            let packet = self.edited(packet, in_port, |pipeline, _, plan, packet| {
                pipeline.process(snapshot, arrival, packet, &[], plan);
            });
            if let Some(packet) = packet {
                self.carry_out(packet, in_port);
            }
        }
        self.pipeline.count_tables(snapshot);
        self.dropped.clear();
    }

    /// Lets the pipeline judge and rewrite a packet. A packet of several segments is put together first, and is a new one if it
    /// was rewritten; none if there is no memory for that.
    #[inline]
    fn edited(
        &mut self,
        mut packet: Mbuf,
        in_port: PortNo,
        work: impl FnOnce(&mut Pipeline, &Judge, &mut Plan, &mut Editor<'_>),
    ) -> Option<Mbuf> {
        self.arrived_len = packet.len();
        if let Some((buffer, start, end)) = packet.buffer_mut() {
            let mut editor = Editor::new(FrameBuf::new(buffer, start, end), in_port.0);
            work(&mut self.pipeline, &self.judge, &mut self.plan, &mut editor);
            let (start, end) = editor.range();
            if editor.is_edited() {
                packet.set_range(start, end);
                self.pad(&mut packet);
            }
            return Some(packet);
        }
        let len = packet.frame(&mut self.scratch[SCRATCH_ROOM..]).len();
        let frame = FrameBuf::new(&mut self.scratch, SCRATCH_ROOM, SCRATCH_ROOM + len);
        let mut editor = Editor::new(frame, in_port.0);
        work(&mut self.pipeline, &self.judge, &mut self.plan, &mut editor);
        if editor.is_edited() { self.pool.packet(editor.bytes()).ok() } else { Some(packet) }
    }

    /// A frame that had the least length of Ethernet keeps it when it loses a header: IEEE 802.3, section 4.2.3.3. Shorter ones,
    /// as virtual devices bring them, are left as they are.
    #[inline]
    fn pad(&self, packet: &mut Mbuf) {
        let len = packet.len();
        if len < SHORTEST_FRAME && self.arrived_len >= SHORTEST_FRAME {
            // There is room where the header was.
            let _ = packet.append(&[0; SHORTEST_FRAME][len..]);
        }
    }

    /// Does what is planned. A single output gets the packet itself, several get copies.
    #[inline]
    fn carry_out(&mut self, packet: Mbuf, in_port: PortNo) {
        match *self.plan.all() {
            [] => self.drop_packet(packet),
            [Planned { effect: Effect::Output(port), copy: None }] => match self.egress.index(port) {
                Some(port) => self.egress.push(port, packet),
                None => self.drop_packet(packet),
            },
            _ => self.carry_out_several(packet, in_port),
        }
    }

    #[inline]
    fn drop_packet(&mut self, packet: Mbuf) {
        if self.dropped.len() == BURST {
            self.dropped.clear();
        }
        if let Err(packet) = self.dropped.push(packet) {
            drop(packet);
        }
    }

    fn carry_out_several(&mut self, packet: Mbuf, in_port: PortNo) {
        // The packet as it was when some of the effects were asked for; they stand together.
        let mut earlier: Option<(usize, Mbuf)> = None;
        for i in 0..self.plan.all().len() {
            let Planned { effect, copy } = self.plan.all()[i];
            let packet = match copy {
                None => &packet,
                Some(copy) => {
                    if earlier.as_ref().is_none_or(|(number, _)| *number != copy) {
                        earlier = self.pool.packet(self.plan.copy(copy)).ok().map(|mut packet| {
                            self.pad(&mut packet);
                            (copy, packet)
                        });
                    }
                    let Some((_, packet)) = &earlier else { continue };
                    packet
                }
            };
            match effect {
                Effect::Output(port) => {
                    if let Some(port) = self.egress.index(port) {
                        self.egress.push_copy(port, packet);
                    }
                }
                Effect::All | Effect::Flood => {
                    let ingress = self.egress.index(in_port);
                    for port in (0..self.egress.len()).map(PortIndex).filter(|port| Some(*port) != ingress) {
                        if effect == Effect::All || self.egress.takes_floods(port) {
                            self.egress.push_copy(port, packet);
                        }
                    }
                }
                Effect::Controller(what) => {
                    let Ok(copy) = packet.duplicate(&self.pool) else {
                        self.shared.packet_ins_lost.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let event = PacketForController { packet: copy, in_port, what };
                    if self.shared.packet_ins.push(event).is_err() {
                        self.shared.packet_ins_lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Effect::Tables => {}
            }
        }
        self.drop_packet(packet);
    }
}
