//! What the control thread and the workers share: everything here is lock-free and of fixed size.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use oko_dpdk::Mbuf;
use oko_openflow::{Action, PortNo};
use tokio::sync::Notify;

use crate::bridge::Bridge;
use crate::clock::Nanos;
use crate::leaves::Laundry;
use crate::plan::ToController;
use crate::ports::WorkerPort;
use crate::snapshot::{Generation, Snapshot};

/// Packets on their way to the controllers, or from them.
const PACKETS: usize = 512;

/// Orders that a worker has not seen yet; more ports are not changed at once.
const ORDERS: usize = 8;

#[derive(Debug)]
pub(crate) struct Shared {
    /// The newest snapshot.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    workers: Box<[OfWorker]>,
    taken_up: Arc<TakenUp>,
    /// Set when the workers are to end.
    pub(crate) stop: AtomicBool,
    /// The time of the newest packet, in nanoseconds, where filters go by the time of recording; otherwise 0.
    pub(crate) recorded_now: AtomicU64,
    /// Packets for the controllers.
    pub(crate) packet_ins: ArrayQueue<PacketForController>,
    /// Packets for the controllers that found the queue full.
    pub(crate) packet_ins_lost: AtomicU64,
    /// Packets from the controllers, for the first worker.
    pub(crate) packet_outs: ArrayQueue<PacketFromController>,
    /// Where stations are, for the port `NORMAL`.
    pub(crate) bridge: Arc<Bridge>,
}

/// Word from the workers, for barriers: only while one waits does a worker make a system call, and then once a snapshot.
#[derive(Debug, Default)]
struct TakenUp {
    /// How many barriers wait.
    waiting: AtomicUsize,
    again: Notify,
}

impl TakenUp {
    /// A worker has taken up a snapshot, or has ended.
    fn tell(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.again.notify_waiters();
        }
    }
}

/// One barrier, as long as it waits.
struct Waiting<'s>(&'s TakenUp);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the control thread and one worker share.
#[derive(Debug)]
pub(crate) struct OfWorker {
    all: Arc<TakenUp>,
    /// The worker, once it runs.
    thread: OnceLock<Thread>,
    /// The generation that the worker has taken up.
    taken_up: AtomicU64,
    /// Set when the worker has ended.
    ended: AtomicBool,
    /// What the worker is to do with its ports.
    pub(crate) orders: ArrayQueue<Order>,
    /// The parts of ports that it gave back.
    pub(crate) returned: ArrayQueue<WorkerPort>,
    pub(crate) laundry: Arc<Laundry>,
}

/// What a worker is to do with its ports.
#[derive(Debug)]
pub(crate) enum Order {
    /// Serve one more.
    Serve(WorkerPort),
    /// Give its part of one back.
    GiveBack(PortNo),
}

/// A packet that the worker hands to the control thread.
#[derive(Debug)]
pub(crate) struct PacketForController {
    pub(crate) packet: Mbuf,
    pub(crate) in_port: PortNo,
    pub(crate) what: ToController,
}

/// A packet that the control thread hands to the worker.
#[derive(Debug)]
pub(crate) struct PacketFromController {
    pub(crate) packet: Mbuf,
    pub(crate) in_port: PortNo,
    pub(crate) actions: Vec<Action>,
}

impl Shared {
    /// For so many workers, each with a cache of so many keys.
    pub(crate) fn new(snapshot: Snapshot, workers: usize, flow_cache: usize) -> Self {
        let all = Arc::<TakenUp>::default();
        let of_worker = |_| OfWorker {
            all: Arc::clone(&all),
            thread: OnceLock::new(),
            taken_up: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            orders: ArrayQueue::new(ORDERS),
            returned: ArrayQueue::new(ORDERS),
            laundry: Arc::new(Laundry::new(flow_cache)),
        };
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            workers: (0..workers).map(of_worker).collect(),
            taken_up: all,
            stop: AtomicBool::new(false),
            recorded_now: AtomicU64::new(0),
            packet_ins: ArrayQueue::new(PACKETS),
            packet_ins_lost: AtomicU64::new(0),
            packet_outs: ArrayQueue::new(PACKETS),
            bridge: Arc::default(),
        }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What is shared with a worker, by its number.
    pub(crate) fn of(&self, worker: usize) -> &OfWorker {
        &self.workers[worker]
    }

    /// The time as filters see it, if that is not the system's.
    pub(crate) fn recorded_now(&self) -> Option<Nanos> {
        Some(Nanos(self.recorded_now.load(Ordering::Relaxed))).filter(|now| now.0 != 0)
    }

    /// Whether every packet from now on is judged by this generation or a later one.
    fn is_taken_up(&self, generation: Generation) -> bool {
        self.workers
            .iter()
            .all(|worker| worker.taken_up.load(Ordering::SeqCst) >= generation.0 || worker.is_over())
    }

    /// Waits until that is so. Workers that rest are woken.
    pub(crate) async fn until_taken_up(&self, generation: Generation) {
        self.taken_up.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.taken_up);
        loop {
            // From here on nothing is missed: a worker says first what it has taken up, and then asks whether anybody waits.
            let again = self.taken_up.again.notified();
            if self.is_taken_up(generation) {
                return;
            }
            self.workers.iter().filter_map(|worker| worker.thread.get()).for_each(Thread::unpark);
            again.await;
        }
    }

    /// For the control thread, now and then: does the workers' cleaning.
    pub(crate) fn wash(&self) {
        self.workers.iter().for_each(|worker| worker.laundry.wash());
    }
}

impl OfWorker {
    /// For the worker: it has finished all packets that it judged by earlier generations.
    pub(crate) fn took_up(&self, generation: Generation) {
        self.taken_up.store(generation.0, Ordering::SeqCst);
        self.all.tell();
    }

    /// For the worker, when it starts: this thread is woken from its rests when there is something to take up.
    pub(crate) fn starts(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Whether the worker has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// For the worker: it will not touch another packet.
    pub(crate) fn has_ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.all.tell();
    }
}
