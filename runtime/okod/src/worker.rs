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
use oko_dpdk::{BURST, Burst, Eal, Mbuf, Pool, RecordedTime, RxQueue, Taking, pin_current_thread};
use oko_openflow::PortNo;
use oko_openflow::port::PortConfig as ConfigBits;
use oko_packet::edit::{Editor, FrameBuf, NoRoom};
use tracing::warn;

use crate::carrier::Carrier;
use crate::clock::{Clock, Nanos};
use crate::config::{FilterClock, WorkerConfig};
use crate::egress::{Egress, PortIndex};
use crate::flow_cache::FlowCache;
use crate::forward::Forwarder;
use crate::judge::Scene;
use crate::pipeline::Arrival;
use crate::places::Places;
use crate::plan::{Effect, Plan, Planned};
use crate::ports::{PortState, WorkerPort};
use crate::profile::Stage;
use crate::shared::{OfWorker, Order, PacketForController, PacketFromController, Shared};
use crate::snapshot::Snapshot;

/// The longest frame: what capture files and Linux devices can deliver.
const LONGEST_FRAME: usize = 65_536;
/// The shortest frame on an Ethernet, without its check sequence.
const SHORTEST_FRAME: usize = 60;
/// Room for headers before a frame of several segments that was put together, and behind it.
const SCRATCH_ROOM: usize = 512;
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

/// What does what was decided.
struct Hands {
    egress: Egress,
    shared: Arc<Shared>,
    pool: Pool,
    /// Dropped packets, freed together.
    dropped: Burst,
    /// Where frames of several segments are put together.
    scratch: Box<[u8]>,
    /// Where filters find the time of recording; none if they go by the system's clock.
    recorded: Option<RecordedTime>,
}

/// A burst that came in by a port.
struct Received<'r> {
    packets: Taking<'r>,
    hands: &'r mut Hands,
    in_port: PortNo,
    state: &'r PortState,
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
        let hands = Hands {
            egress: Egress::new(pool.clone()),
            shared,
            pool,
            dropped: Burst::new(),
            scratch: vec![0; SCRATCH_ROOM + LONGEST_FRAME + SCRATCH_ROOM].into_boxed_slice(),
            recorded: None,
        };
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

impl Carrier for Received<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.packets.count()
    }

    #[inline]
    fn frame(&self, at: usize) -> Option<&[u8]> {
        self.packets.get(at).and_then(Mbuf::contiguous)
    }

    #[inline]
    fn len(&self, at: usize) -> usize {
        self.packets.get(at).map_or(0, Mbuf::len)
    }

    #[inline]
    fn time(&self, at: usize, now: Nanos) -> Nanos {
        self.recorded(at).map_or(now, Nanos)
    }

    #[inline]
    fn output(&mut self, packets: Places, port: PortNo) {
        match self.hands.egress.index(port) {
            Some(port) => self.hands.egress.push_some(port, &mut self.packets, packets),
            None => self.discard(packets),
        }
    }

    #[inline]
    fn discard(&mut self, packets: Places) {
        if self.hands.dropped.len() + packets.len() > BURST {
            self.hands.dropped.clear();
        }
        self.packets.take_some(packets.bits(), &mut self.hands.dropped);
    }

    #[inline]
    fn change(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut FrameBuf<'_>) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let Some(packet) = self.packets.get_mut(at) else { return Ok(()) };
        let arrived_len = packet.len();
        let Some((buffer, start, end)) = packet.buffer_mut() else { return Ok(()) };
        let mut frame = FrameBuf::new(buffer, start, end);
        work(&mut frame)?;
        let now = frame.range();
        if now != (start, end) {
            packet.set_range(now.0, now.1);
            pad(packet, arrived_len);
        }
        Ok(())
    }

    fn rewrite(&mut self, at: usize, plan: &mut Plan, work: impl FnOnce(&mut Editor<'_>, &mut Plan)) {
        let Some(packet) = self.packets.take(at) else { return };
        if packet.len() > LONGEST_FRAME {
            self.state.count_rx_dropped(1);
            return;
        }
        match self.hands.edited(packet, self.in_port, plan, work) {
            Some((packet, arrived_len)) => self.hands.carry_out(packet, arrived_len, self.in_port, plan),
            None => self.state.count_rx_dropped(1),
        }
    }
}

impl Received<'_> {
    /// When a packet that is there was recorded, if filters go by that.
    #[inline]
    fn recorded(&self, at: usize) -> Option<u64> {
        let time = self.hands.recorded?;
        self.packets.get(at).and_then(|packet| time.of(packet))
    }
}

impl Hands {
    /// Lets a packet be judged and rewritten. It comes back with the length that it had before. A packet of several segments is put together
    /// first, and is a new one if it was rewritten; none if there is no memory for that.
    #[inline]
    fn edited(
        &mut self,
        mut packet: Mbuf,
        in_port: PortNo,
        plan: &mut Plan,
        work: impl FnOnce(&mut Editor<'_>, &mut Plan),
    ) -> Option<(Mbuf, usize)> {
        let arrived_len = packet.len();
        if let Some((buffer, start, end)) = packet.buffer_mut() {
            let mut editor = Editor::new(FrameBuf::new(buffer, start, end), in_port.0);
            work(&mut editor, plan);
            let (start, end) = editor.range();
            if editor.is_edited() {
                packet.set_range(start, end);
                pad(&mut packet, arrived_len);
            }
            return Some((packet, arrived_len));
        }
        let len = packet.frame(&mut self.scratch[SCRATCH_ROOM..]).len();
        let frame = FrameBuf::new(&mut self.scratch, SCRATCH_ROOM, SCRATCH_ROOM + len);
        let mut editor = Editor::new(frame, in_port.0);
        work(&mut editor, plan);
        let packet = if editor.is_edited() { self.pool.packet(editor.bytes()).ok()? } else { packet };
        Some((packet, arrived_len))
    }

    /// Does what is planned. A single output gets the packet itself, several get copies.
    #[inline]
    fn carry_out(&mut self, packet: Mbuf, arrived_len: usize, in_port: PortNo, plan: &Plan) {
        match *plan.all() {
            [] => self.drop_packet(packet),
            [Planned { effect: Effect::Output(port), copy: None }] => match self.egress.index(port) {
                Some(port) => self.egress.push(port, packet),
                None => self.drop_packet(packet),
            },
            _ => self.carry_out_several(packet, arrived_len, in_port, plan),
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

    fn carry_out_several(&mut self, packet: Mbuf, arrived_len: usize, in_port: PortNo, plan: &Plan) {
        // The packet as it was when some of the effects were asked for; they stand together.
        let mut earlier: Option<(usize, Mbuf)> = None;
        // The last port for which the packet is as it is in the end: that gets the packet itself.
        let mut last = None;
        for Planned { effect, copy } in plan.all().iter().copied() {
            if let Some(copy) = copy.filter(|copy| earlier.as_ref().is_none_or(|(number, _)| number != copy))
            {
                earlier = self.pool.packet(plan.copy(copy)).ok().map(|mut packet| {
                    pad(&mut packet, arrived_len);
                    (copy, packet)
                });
            }
            let before = match (copy, &earlier) {
                (None, _) => None,
                (Some(_), Some((_, packet))) => Some(packet),
                (Some(_), None) => continue,
            };
            let mut send = |egress: &mut Egress, port| match before {
                Some(before) => egress.push_copy(port, before),
                None => {
                    if let Some(port) = last.replace(port) {
                        egress.push_copy(port, &packet);
                    }
                }
            };
            match effect {
                Effect::Output(port) => {
                    if let Some(port) = self.egress.index(port) {
                        send(&mut self.egress, port);
                    }
                }
                Effect::All | Effect::Flood => {
                    let ingress = self.egress.index(in_port);
                    for port in (0..self.egress.len()).map(PortIndex).filter(|port| Some(*port) != ingress) {
                        if effect == Effect::All || self.egress.takes_floods(port) {
                            send(&mut self.egress, port);
                        }
                    }
                }
                Effect::Controller(what) => {
                    let Ok(copy) = before.unwrap_or(&packet).duplicate(&self.pool) else {
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
        match last {
            Some(port) => self.egress.push(port, packet),
            None => self.drop_packet(packet),
        }
    }
}

/// A frame that had the least length of Ethernet keeps it when it loses a header: IEEE 802.3, section 4.2.3.3. Shorter ones,
/// as virtual devices bring them, are left as they are.
#[inline]
fn pad(packet: &mut Mbuf, arrived_len: usize) {
    let len = packet.len();
    if len < SHORTEST_FRAME && arrived_len >= SHORTEST_FRAME {
        // There is room where the header was.
        let _ = packet.append(&[0; SHORTEST_FRAME][len..]);
    }
}
