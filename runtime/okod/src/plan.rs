//! What is to be done with a packet: a list of effects, each with the packet as it was when the action came.
//!
//! A packet is rewritten where it lies. Before a change, [`Plan::seal`] keeps a copy for the effects that are to have the packet as
//! it is; effects after the last change have the packet itself. So a packet that is rewritten and sent once is never copied.

use oko_openflow::{PacketInReason, PortNo, TableId};

/// Something to do with the packet. A packet without effects is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send it out of this real port.
    Output(PortNo),
    /// Send it out of all ports but that it came in by.
    All,
    /// The same without the ports that are not for floods.
    Flood,
    /// Send it, or its beginning, to the controllers.
    Controller(ToController),
    /// Send it through the tables; only for packet-outs.
    Tables,
}

/// What a controller is told with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToController {
    /// How many bytes go along.
    pub(crate) max_len: u16,
    pub(crate) table: TableId,
    pub(crate) cookie: u64,
    pub(crate) reason: PacketInReason,
    /// No entry matched: only for controllers of versions in which that means the controller.
    pub(crate) miss: bool,
    pub(crate) metadata: u64,
    pub(crate) tunnel_id: u64,
}

/// An effect and the packet for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) effect: Effect,
    /// Which of the copies; none: the packet as it is in the end.
    pub(crate) copy: Option<usize>,
}

/// The effects on one packet. Reused, so that in the long run nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    planned: Vec<Planned>,
    /// Of these, how many have a copy.
    sealed: usize,
    copies: Vec<Vec<u8>>,
    used: usize,
}

/// Effects on one packet; more are not done. A hostile chain of groups could ask for any number.
const MOST: usize = 4096;

impl Plan {
    /// Starts with the next packet.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.planned.clear();
        (self.sealed, self.used) = (0, 0);
    }

    /// One thing more to do with the packet as it is now.
    #[inline]
    pub(crate) fn push(&mut self, effect: Effect) {
        if self.planned.len() < MOST {
            self.planned.push(Planned { effect, copy: None });
        }
    }

    /// The packet is about to change.
    #[inline]
    pub(crate) fn seal(&mut self, packet: &[u8]) {
        if self.sealed < self.planned.len() {
            self.seal_pending(packet);
        }
    }

    #[cold]
    fn seal_pending(&mut self, packet: &[u8]) {
        if self.used == self.copies.len() {
            self.copies.push(Vec::new());
        }
        let copy = &mut self.copies[self.used];
        copy.clear();
        copy.extend_from_slice(packet);
        for planned in &mut self.planned[self.sealed..] {
            planned.copy = Some(self.used);
        }
        self.used += 1;
        self.sealed = self.planned.len();
    }

    /// All that is to be done, in order.
    #[inline]
    pub(crate) fn all(&self) -> &[Planned] {
        &self.planned
    }

    /// One of the copies.
    pub(crate) fn copy(&self, number: usize) -> &[u8] {
        &self.copies[number]
    }
}
