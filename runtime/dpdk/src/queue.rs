//! Queues of started ports: how packets come and go.

use std::sync::Arc;

use crate::burst::Burst;
use crate::port::Device;

/// A receive queue. One thread at a time; the port runs as long as it exists.
#[derive(Debug)]
pub struct RxQueue {
    pub(crate) device: Arc<Device>,
    pub(crate) queue: u16,
}

/// A transmit queue. One thread at a time; the port runs as long as it exists.
#[derive(Debug)]
pub struct TxQueue {
    pub(crate) device: Arc<Device>,
    pub(crate) queue: u16,
}

/// All queues of a started port.
#[derive(Debug)]
pub struct Queues {
    /// The receive queues, by number.
    pub rx: Vec<RxQueue>,
    /// The transmit queues, by number.
    pub tx: Vec<TxQueue>,
}

impl RxQueue {
    /// Receives packets into the room that `burst` has left, and says how many. None is not an error: there is nothing
    /// at the moment, or, on a finite device such as a capture file, never again.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        let (spare, room) = burst.spare();
        // SAFETY: the device is started as long as `self` exists, `&mut self` makes this the queue's only user, and
        // the driver writes at most `room` owned packets.
        unsafe {
            let n = dpdk_sys::shim_rte_eth_rx_burst(self.device.id(), self.queue, spare, room);
            burst.added(n);
            usize::from(n)
        }
    }
}

impl TxQueue {
    /// Sends packets from the front of `burst` and says how many; those for which the device had no room stay in it.
    #[inline]
    pub fn send(&mut self, burst: &mut Burst) -> usize {
        let (filled, len) = burst.filled();
        // SAFETY: as in `receive`; the driver takes ownership of the packets that it counts.
        unsafe {
            let n = dpdk_sys::shim_rte_eth_tx_burst(self.device.id(), self.queue, filled, len);
            burst.removed(n);
            usize::from(n)
        }
    }
}
