//! What the control thread and a worker share: everything here is lock-free and of fixed size.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use oko_dpdk::Mbuf;
use oko_openflow::{Action, PortNo};

use crate::clock::Nanos;
use crate::plan::ToController;
use crate::snapshot::{Generation, Snapshot};

/// Packets on their way to the controllers, or from them.
const PACKETS: usize = 512;

#[derive(Debug)]
pub(crate) struct Shared {
    /// The newest snapshot.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// The generation that the worker has taken up.
    taken_up: AtomicU64,
    /// Set when the worker is to end.
    pub(crate) stop: AtomicBool,
    /// Set when the worker has ended.
    ended: AtomicBool,
    /// The time of the newest packet, in nanoseconds, where filters go by the time of recording; otherwise 0.
    pub(crate) recorded_now: AtomicU64,
    /// Packets for the controllers.
    pub(crate) packet_ins: ArrayQueue<PacketForController>,
    /// Packets for the controllers that found the queue full.
    pub(crate) packet_ins_lost: AtomicU64,
    /// Packets from the controllers.
    pub(crate) packet_outs: ArrayQueue<PacketFromController>,
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
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            taken_up: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            recorded_now: AtomicU64::new(0),
            packet_ins: ArrayQueue::new(PACKETS),
            packet_ins_lost: AtomicU64::new(0),
            packet_outs: ArrayQueue::new(PACKETS),
        }
    }

    /// The time as filters see it, if that is not the system's.
    pub(crate) fn recorded_now(&self) -> Option<Nanos> {
        Some(Nanos(self.recorded_now.load(Ordering::Relaxed))).filter(|now| now.0 != 0)
    }

    /// For the worker: it has finished all packets that it judged by earlier generations.
    pub(crate) fn took_up(&self, generation: Generation) {
        self.taken_up.store(generation.0, Ordering::Release);
    }

    /// For the worker: it will not touch another packet.
    pub(crate) fn has_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether every packet from now on is judged by this generation or a later one.
    pub(crate) fn is_taken_up(&self, generation: Generation) -> bool {
        self.taken_up.load(Ordering::Acquire) >= generation.0 || self.ended.load(Ordering::Acquire)
    }
}
