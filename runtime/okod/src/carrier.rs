//! What forwarding needs of those who have the packets: their bytes, and hands that do what was decided.
//!
//! The worker's packets are mbufs and leave by queues of devices; the tests' packets are vectors whose fates are written down. What is
//! between is the same code ([`Forwarder`](crate::forward::Forwarder)), so the tests try what runs.

use oko_openflow::PortNo;
use oko_packet::edit::{Editor, FrameBuf, NoRoom};

use crate::clock::Nanos;
use crate::places::Places;
use crate::plan::Plan;

/// A burst of at most [`BURST`](oko_flow_cache::BURST) packets that came in by one port, by their places in it. A packet is there until something was done
/// with it, once.
pub(crate) trait Carrier {
    /// How many packets came.
    fn count(&self) -> usize;

    /// The bytes of a packet that is there, if they lie in one piece.
    fn frame(&self, at: usize) -> Option<&[u8]>;

    /// How many bytes a packet that is there has.
    fn len(&self, at: usize) -> usize;

    /// When a packet came, as filters are told; `now` is when the burst was received.
    fn time(&self, at: usize, now: Nanos) -> Nanos;

    /// Sends packets out of a port as they are, in order. Without such a port they are dropped.
    fn output(&mut self, packets: Places, port: PortNo);

    /// Drops packets.
    fn discard(&mut self, packets: Places);

    /// Lets `work` change a packet that is there and whose bytes lie in one piece.
    ///
    /// # Errors
    /// When there is no room for what it adds.
    fn change(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut FrameBuf<'_>) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom>;

    /// Lets `work` judge and rewrite a packet, and carries its plan out. A packet that there is no room or memory for is dropped before.
    fn rewrite(&mut self, at: usize, plan: &mut Plan, work: impl FnOnce(&mut Editor<'_>, &mut Plan));
}
