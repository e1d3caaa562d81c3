//! The packet threads: each receives bursts, judges them, sends, and goes on.
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
use oko_dpdk::{Burst, Eal, Pool, RecordedTime, RxQueue, pin_current_thread};
use oko_openflow::PortNo;
use oko_openflow::port::PortConfig as ConfigBits;
use tracing::warn;

use crate::clock::Clock;
use crate::config::{FilterClock, WorkerConfig};
use crate::flow_cache::FlowCache;
use crate::forward::Forwarder;
use crate::hands::{Hands, Received};
use crate::judge::Scene;
use crate::pipeline::Arrival;
use crate::plan::{Effect, Planned};
use crate::ports::{PortState, WorkerPort};
use crate::profile::Stage;
use crate::shared::{OfWorker, Order, PacketFromController, Shared};
use crate::snapshot::Snapshot;

/// Rounds without a packet after which the worker rests.
const QUIET_ROUNDS: u32 = 256;
/// How long it rests, unless the control thread wakes it.
const REST: Duration = Duration::from_micros(100);

/// The running workers.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<Vec<WorkerPort>>>,
    shared: Arc<Shared>,
}

impl Workers {
    /// Starts workers, each over its part of the ports.
    pub(crate) fn start(
        eal: &Eal,
        pool: &Pool,
        parts: Vec<Vec<WorkerPort>>,
        shared: &Arc<Shared>,
        clock: &Clock,
        config: &WorkerConfig,
    ) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::new(), shared: Arc::clone(shared) };
        for (number, (ports, cpu)) in parts.into_iter().zip(&config.cpus).enumerate() {
            let (eal, pool, shared) = (eal.clone(), pool.clone(), Arc::clone(shared));
            let (clock, config, cpu) = (clock.clone(), config.clone(), *cpu);
            let name =
                if number == 0 { String::from("okod-worker") } else { format!("okod-worker-{number}") };
            let started = thread::Builder::new().name(name).spawn(move || {
                // Also tells of a worker that panics.
                let _ended = Ended(Arc::clone(&shared), number);
                if let Some(cpu) = cpu
                    && let Err(error) = pin_current_thread(cpu)
                {
                    warn!(%error, "the worker runs on any CPU");
                }
                let registered = eal.register_thread();
                if let Err(error) = &registered {
                    warn!(%error, "the worker has no packet buffer cache");
                }
                let mut worker = Worker::new(number, pool, ports, shared, clock, &config);
                worker.run();
                worker.into_ports()
            });
            match started {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    workers.stop();
                    return Err(error);
                }
            }
        }
        Ok(workers)
    }

    /// Ends the workers and gets their parts of the ports back, but for those of workers that had panicked.
    pub(crate) fn stop(self) -> Vec<WorkerPort> {
        self.shared.stop.store(true, Ordering::Release);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }

    /// Whether all still run.
    pub(crate) fn are_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }
}

struct Ended(Arc<Shared>, usize);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.of(self.1).has_ended();
    }
}

/// A port's way in.
struct Intake {
    number: PortNo,
    queues: Vec<RxQueue>,
    state: Arc<PortState>,
}

struct Worker {
    /// Which of the workers it is. The first one does what controllers ask for.
    number: usize,
    intakes: Vec<Intake>,
    received: Burst,
    hands: Hands,
    forwarder: Forwarder,
    clock: Clock,
    busy_poll: bool,
    /// Whether filters go by the time of recording.
    by_capture: bool,
}

impl Worker {
    fn new(
        number: usize,
        pool: Pool,
        ports: Vec<WorkerPort>,
        shared: Arc<Shared>,
        clock: Clock,
        config: &WorkerConfig,
    ) -> Self {
        let laundry = Arc::clone(&shared.of(number).laundry);
        let cache = FlowCache::new(config.flow_cache, secrets(), laundry);
        let forwarder = Forwarder::new(cache, Arc::clone(&shared.bridge));
        let hands = Hands::new(pool, shared);
        let by_capture = config.clock == FilterClock::Capture;
        let (intakes, received) = (Vec::new(), Burst::new());
        let mut worker = Self {
            number,
            intakes,
            received,
            hands,
            forwarder,
            clock,
            busy_poll: config.busy_poll,
            by_capture,
        };
        ports.into_iter().for_each(|port| worker.serve(port));
        worker
    }

    /// Serves one port more.
    fn serve(&mut self, port: WorkerPort) {
        let WorkerPort { number, rx, tx, state } = port;
        self.intakes.push(Intake { number, queues: rx, state: Arc::clone(&state) });
        self.hands.egress.add(number, tx, state);
        // Devices that give a time have said so when they were configured.
        self.hands.recorded = self.by_capture.then(RecordedTime::lookup).flatten();
    }

    /// Serves a port no more, and gives back what it had of it.
    fn let_go(&mut self, number: PortNo) -> Option<WorkerPort> {
        let at = self.intakes.iter().position(|intake| intake.number == number)?;
        let Intake { queues, state, .. } = self.intakes.remove(at);
        Some(WorkerPort { number, rx: queues, tx: self.hands.egress.remove(number), state })
    }

    /// Does what the control side wants with the ports.
    #[cold]
    fn obey(&mut self, shared: &OfWorker) {
        while let Some(order) = shared.orders.pop() {
            match order {
                Order::Serve(port) => self.serve(port),
                Order::GiveBack(number) => {
                    if let Some(part) = self.let_go(number)
                        && shared.returned.push(part).is_err()
                    {
                        warn!(port = number.0, "the control side does not take a port back");
                    }
                }
            }
        }
    }

    fn run(&mut self) {
        let shared = Arc::clone(&self.hands.shared);
        let mut cache = Cache::new(&shared.snapshot);
        let mut current = None;
        let mut quiet = 0;
        let own = shared.of(self.number);
        own.starts();
        while !shared.stop.load(Ordering::Acquire) {
            if !own.orders.is_empty() {
                self.obey(own);
            }
            let snapshot = cache.load();
            if current != Some(snapshot.generation) {
                current = Some(snapshot.generation);
                self.forwarder.take_up(snapshot, self.clock.now());
                own.took_up(snapshot.generation);
            }
            if self.round(snapshot) > 0 {
                quiet = 0;
                continue;
            }
            self.forwarder.judge.cache.flush_if_any(snapshot, &self.clock);
            if quiet < QUIET_ROUNDS || self.busy_poll {
                quiet += 1;
                hint::spin_loop();
            } else {
                thread::park_timeout(REST);
            }
        }
        // What the controllers were promised before the end still goes out.
        let snapshot = shared.snapshot.load();
        if self.number == 0 {
            while let Some(packet) = shared.packet_outs.pop() {
                self.packet_out(&snapshot, packet);
            }
        }
        self.forwarder.judge.cache.flush(&snapshot, self.clock.now());
        self.hands.egress.flush();
        self.forwarder.judge.profile.tell(self.number);
    }

    /// One burst of each port and what the controllers send. How many packets that were.
    fn round(&mut self, snapshot: &Snapshot) -> usize {
        let mut packets = 0;
        for intake in &mut self.intakes {
            let config = intake.state.config();
            if config.contains(ConfigBits::PORT_DOWN) {
                continue;
            }
            for queue in &mut intake.queues {
                self.forwarder.judge.profile.begin();
                let n = queue.receive(&mut self.received);
                if n == 0 {
                    continue;
                }
                self.forwarder.judge.profile.end(Stage::Receive);
                self.forwarder.judge.profile.count(n);
                packets += n;
                if config.contains(ConfigBits::NO_RECV) {
                    intake.state.count_rx_dropped(n as u64);
                    self.received.clear();
                    continue;
                }
                let mut received = Received {
                    packets: self.received.take_out(),
                    hands: &mut self.hands,
                    in_port: intake.number,
                    state: &intake.state,
                };
                let scene = Scene { snapshot, in_port: intake.number, now: self.clock.now() };
                // What time it is for filters, and for the control side, once the burst is judged.
                let recorded = received.recorded(n - 1);
                self.forwarder.burst(&mut received, scene);
                drop(received);
                if let Some(recorded) = recorded {
                    // Bursts of other ports and workers may be of later.
                    self.hands.shared.recorded_now.fetch_max(recorded, Ordering::Relaxed);
                }
                self.hands.dropped.clear();
            }
        }
        while self.number == 0 && !self.hands.shared.packet_outs.is_empty() {
            let Some(packet) = self.hands.shared.packet_outs.pop() else { break };
            packets += 1;
            self.packet_out(snapshot, packet);
        }
        self.forwarder.judge.profile.begin();
        self.hands.egress.flush();
        if packets > 0 {
            self.forwarder.judge.profile.end(Stage::Send);
        }
        packets
    }

    /// Does what a controller asked for with its packet.
    fn packet_out(&mut self, snapshot: &Snapshot, from: PacketFromController) {
        let PacketFromController { packet, in_port, actions } = from;
        let arrival = Arrival { in_port, now: self.clock.now() };
        let (hands, Forwarder { pipeline, plan, .. }) = (&mut self.hands, &mut self.forwarder);
        plan.clear();
        let packet = hands.edited(packet, in_port, plan, |packet, plan| {
            pipeline.packet_out(snapshot, arrival, packet, &actions, plan);
        });
        // Through the tables it goes as it is then, once, however often that is asked for.
        let tables = plan.all().iter().find(|planned| planned.effect == Effect::Tables).copied();
        let Some((packet, arrived_len)) = packet else { return };
        let again = match tables {
            Some(Planned { copy: Some(copy), .. }) => hands.pool.packet(plan.copy(copy)).ok(),
            Some(Planned { copy: None, .. }) => packet.duplicate(&hands.pool).ok(),
            None => None,
        };
        hands.carry_out(packet, arrived_len, in_port, plan);
        if let Some(packet) = again {
            plan.clear();
            let packet = hands.edited(packet, in_port, plan, |packet, plan| {
                pipeline.process(snapshot, arrival, packet, &[], plan);
            });
            if let Some((packet, arrived_len)) = packet {
                hands.carry_out(packet, arrived_len, in_port, plan);
            }
        }
        pipeline.count_tables(snapshot);
        hands.dropped.clear();
    }

    /// What it has of its ports.
    fn into_ports(mut self) -> Vec<WorkerPort> {
        let numbers: Vec<PortNo> = self.intakes.iter().map(|intake| intake.number).collect();
        let mut parts: Vec<WorkerPort> =
            numbers.into_iter().filter_map(|number| self.let_go(number)).collect();
        // Those that it was told of when it had ended.
        while let Some(order) = self.hands.shared.of(self.number).orders.pop() {
            if let Order::Serve(port) = order {
                parts.push(port);
            }
        }
        parts
    }
}

/// Random numbers that nobody outside knows.
fn secrets() -> [u64; 4] {
    // The standard library's hashers are keyed by the system's random numbers, each anew.
    std::array::from_fn(|i| RandomState::new().hash_one(i))
}
