//! The way out: packets gathered per port over a burst, and sent in bursts.

use std::sync::Arc;

use oko_dpdk::{BURST, Burst, Mbuf, Pool, Taking};
use oko_openflow::PortNo;
use oko_openflow::port::PortConfig as ConfigBits;

use crate::deal::WayOut;
use crate::places::Places;
use crate::ports::PortState;

/// The index of a port, as the worker counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortIndex(pub(crate) u16);

/// All ports' ways out.
pub(crate) struct Egress {
    outlets: Vec<Outlet>,
    /// Port number to index for small numbers, which are nearly all there are; `NO_PORT` for none.
    small: Vec<u16>,
    /// Where copies for a second port come from.
    pool: Pool,
}

const NO_PORT: u16 = u16::MAX;
const SMALL: usize = 4096;

struct Outlet {
    number: PortNo,
    /// None if the device does not run.
    queue: Option<WayOut>,
    state: Arc<PortState>,
    waiting: Burst,
}

impl Egress {
    /// Without a port.
    pub(crate) fn new(pool: Pool) -> Self {
        Self { outlets: Vec::new(), small: Vec::new(), pool }
    }

    /// One port more.
    pub(crate) fn add(&mut self, number: PortNo, queue: Option<WayOut>, state: Arc<PortState>) {
        self.outlets.push(Outlet { number, queue, state, waiting: Burst::new() });
        self.index_all();
    }

    /// One port less: gives its queue back, and has sent what waited.
    pub(crate) fn remove(&mut self, number: PortNo) -> Option<WayOut> {
        let at = self.outlets.iter().position(|outlet| outlet.number == number)?;
        let mut outlet = self.outlets.remove(at);
        outlet.flush();
        self.index_all();
        outlet.queue
    }

    fn index_all(&mut self) {
        self.small.clear();
        for (i, outlet) in self.outlets.iter().enumerate() {
            let number = outlet.number.0 as usize;
            if number < SMALL {
                if self.small.len() <= number {
                    self.small.resize(number + 1, NO_PORT);
                }
                self.small[number] = i as u16;
            }
        }
    }

    /// The port with an OpenFlow number.
    #[inline]
    pub(crate) fn index(&self, number: PortNo) -> Option<PortIndex> {
        let i = match self.small.get(number.0 as usize) {
            Some(&i) if i != NO_PORT => usize::from(i),
            Some(_) => return None,
            None => self.outlets.iter().position(|outlet| outlet.number == number)?,
        };
        Some(PortIndex(i as u16))
    }

    /// Whether packets that are for all go out there, too.
    pub(crate) fn takes_floods(&self, port: PortIndex) -> bool {
        !self.outlets[usize::from(port.0)].state.config().contains(ConfigBits::NO_FLOOD)
    }

    pub(crate) fn len(&self) -> u16 {
        self.outlets.len() as u16
    }

    /// Puts a packet in the port's queue; sent with the next flush or when a burst is full.
    #[inline]
    pub(crate) fn push(&mut self, port: PortIndex, mbuf: Mbuf) {
        let outlet = &mut self.outlets[usize::from(port.0)];
        if outlet.waiting.is_full() {
            outlet.flush();
        }
        if outlet.waiting.push(mbuf).is_err() {
            unreachable!("a flushed burst has room");
        }
    }

    /// Puts packets of a burst in the port's queue.
    #[inline]
    pub(crate) fn push_some(&mut self, port: PortIndex, packets: &mut Taking<'_>, places: Places) {
        let outlet = &mut self.outlets[usize::from(port.0)];
        if outlet.waiting.len() + places.len() > BURST {
            outlet.flush();
        }
        packets.take_some(places.bits(), &mut outlet.waiting);
    }

    /// Puts a copy of a packet in the port's queue. Without memory for a copy it is a drop of that port.
    pub(crate) fn push_copy(&mut self, port: PortIndex, mbuf: &Mbuf) {
        match mbuf.duplicate(&self.pool) {
            Ok(copy) => self.push(port, copy),
            Err(_) => self.outlets[usize::from(port.0)].state.count_tx_dropped(1),
        }
    }

    /// Sends everything that waits.
    #[inline]
    pub(crate) fn flush(&mut self) {
        for outlet in &mut self.outlets {
            if !outlet.waiting.is_empty() {
                outlet.flush();
            }
        }
    }
}

impl Outlet {
    /// Empties `waiting`: what the device has no room for is dropped and counted.
    fn flush(&mut self) {
        let closed = self.state.config().intersects(ConfigBits::PORT_DOWN | ConfigBits::NO_FWD);
        if let (Some(queue), false) = (&mut self.queue, closed) {
            // A device may take part of a burst only because its ring wraps around there: asked once more.
            if queue.send(&mut self.waiting) > 0 && !self.waiting.is_empty() {
                queue.send(&mut self.waiting);
            }
        }
        let lost = self.waiting.len();
        debug_assert!(lost <= BURST);
        if lost > 0 {
            self.state.count_tx_dropped(lost as u64);
            self.waiting.clear();
        }
    }
}
