//! The packet thread: receives bursts, judges them, sends, and goes on.
//!
//! Run to completion: a packet that was received is sent, handed to the control thread or dropped before the next burst
//! is received. On this path nothing is allocated, no lock is waited for, no system call is made, and the clock is
//! read once per burst. While nothing comes in, the worker rests (unless told not to); a finite device that has run dry
//! is simply quiet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{hint, io};

use arc_swap::Cache;
use oko_dpdk::{BURST, Burst, Eal, Mbuf, Pool, Queues, RecordedTime, RxQueue, TxQueue, pin_current_thread};
use oko_openflow::port::PortConfig as ConfigBits;
use oko_openflow::{Action, PacketInReason, PortNo, TableId};
use oko_packet::extract;
use tracing::warn;

use crate::clock::{Clock, Nanos};
use crate::config::{FilterClock, WorkerConfig};
use crate::egress::{Egress, PortIndex};
use crate::pipeline::{self, Arrival, Effect, Hits, Origin, Pipeline};
use crate::ports::{PortState, WorkerPort};
use crate::shared::{PacketForController, PacketFromController, Shared};
use crate::snapshot::Snapshot;

/// The longest frame: what capture files and Linux devices can deliver.
const LONGEST_FRAME: usize = 65_536;
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
    shared: Arc<Shared>,
    pool: Pool,
    received: Burst,
    /// Dropped packets, freed together.
    dropped: Burst,
    /// Where frames of several segments are put together.
    scratch: Box<[u8]>,
    effects: Vec<Effect>,
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
            shared,
            pool,
            received: Burst::new(),
            dropped: Burst::new(),
            scratch: vec![0; LONGEST_FRAME].into_boxed_slice(),
            effects: Vec::with_capacity(64),
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
                shared.took_up(snapshot.generation);
            }
            if self.round(snapshot) > 0 {
                quiet = 0;
            } else if quiet < QUIET_ROUNDS || self.busy_poll {
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

impl Bench {
    /// Judges the received burst of a port.
    fn burst(&mut self, snapshot: &Snapshot, intake: &Intake, clock: &Clock) {
        let now = clock.now();
        let mut hits = Hits::new(now);
        let mut received = std::mem::take(&mut self.received);
        for packet in received.drain() {
            if packet.len() > LONGEST_FRAME {
                intake.state.count_rx_dropped(1);
                continue;
            }
            let frame = packet.frame(&mut self.scratch);
            let key = extract(frame, intake.number.0).key;
            self.effects.clear();
            let judged_at = match self.recorded.and_then(|time| time.of(&packet)) {
                Some(recorded) => {
                    self.shared.recorded_now.store(recorded, Ordering::Relaxed);
                    Nanos(recorded)
                }
                None => now,
            };
            let arrival = Arrival { frame, in_port: intake.number, now: judged_at };
            self.pipeline.process(snapshot, arrival, key, &mut hits, &mut self.effects);
            self.carry_out(packet, intake.number);
        }
        hits.write();
        self.pipeline.count_tables(snapshot);
        self.dropped.clear();
    }

    /// Does what a controller asked for with its packet.
    fn packet_out(&mut self, snapshot: &Snapshot, from: PacketFromController, clock: &Clock) {
        let PacketFromController { packet, in_port, actions } = from;
        let origin = Origin { in_port, table: TableId(0), cookie: u64::MAX, reason: PacketInReason::Action };
        self.effects.clear();
        for action in &actions {
            if let Action::Output { port, max_len } = action {
                pipeline::output(*port, *max_len, origin, &mut self.effects);
            }
        }
        if let Some(at) = self.effects.iter().position(|effect| *effect == Effect::Tables) {
            // The pipeline's effects take the place of the action. It is done once, however often it is asked for.
            self.effects.retain(|effect| *effect != Effect::Tables);
            let now = clock.now();
            let mut hits = Hits::new(now);
            let frame = packet.frame(&mut self.scratch);
            let key = extract(frame, in_port.0).key;
            let mut effects = Vec::new();
            self.pipeline.process(snapshot, Arrival { frame, in_port, now }, key, &mut hits, &mut effects);
            hits.write();
            self.pipeline.count_tables(snapshot);
            self.effects.splice(at..at, effects.into_iter().filter(|effect| *effect != Effect::Tables));
        }
        self.carry_out(packet, in_port);
        self.dropped.clear();
    }

    /// Does what `effects` says. A single output gets the packet itself, several get copies.
    #[inline]
    fn carry_out(&mut self, packet: Mbuf, in_port: PortNo) {
        match *self.effects.as_slice() {
            [] => self.drop_packet(packet),
            [Effect::Output(port)] => match self.egress.index(port) {
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
        for i in 0..self.effects.len() {
            match self.effects[i] {
                Effect::Output(port) => {
                    if let Some(port) = self.egress.index(port) {
                        self.egress.push_copy(port, &packet);
                    }
                }
                Effect::Flood => {
                    let ingress = self.egress.index(in_port);
                    for port in (0..self.egress.len()).map(PortIndex).filter(|port| Some(*port) != ingress) {
                        self.egress.push_copy(port, &packet);
                    }
                }
                Effect::Controller { max_len, table, cookie, reason } => {
                    let Ok(copy) = packet.duplicate(&self.pool) else {
                        self.shared.packet_ins_lost.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let event = PacketForController { packet: copy, in_port, max_len, table, cookie, reason };
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
