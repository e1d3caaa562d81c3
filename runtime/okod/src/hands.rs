//! What a worker does with its packets: it changes them, sends them by ports or to the controllers, and drops them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oko_dpdk::{BURST, Burst, Mbuf, Pool, RecordedTime, Taking};
use oko_openflow::PortNo;
use oko_packet::edit::{Editor, FrameBuf, NoRoom};

use crate::carrier::Carrier;
use crate::clock::Nanos;
use crate::egress::{Egress, PortIndex};
use crate::places::Places;
use crate::plan::{Effect, Plan, Planned};
use crate::ports::PortState;
use crate::shared::{PacketForController, Shared};

/// The longest frame: what capture files and Linux devices can deliver.
const LONGEST_FRAME: usize = 65_536;
/// The shortest frame on an Ethernet, without its check sequence.
const SHORTEST_FRAME: usize = 60;
/// Room for headers before a frame of several segments that was put together, and behind it.
const SCRATCH_ROOM: usize = 512;

/// What does what was decided.
pub(crate) struct Hands {
    pub(crate) egress: Egress,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    /// Dropped packets, freed together.
    pub(crate) dropped: Burst,
    /// Where frames of several segments are put together.
    scratch: Box<[u8]>,
    /// Where filters find the time of recording; none if they go by the system's clock.
    pub(crate) recorded: Option<RecordedTime>,
}

/// A burst that came in by a port.
pub(crate) struct Received<'r> {
    pub(crate) packets: Taking<'r>,
    pub(crate) hands: &'r mut Hands,
    pub(crate) in_port: PortNo,
    pub(crate) state: &'r PortState,
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
    pub(crate) fn recorded(&self, at: usize) -> Option<u64> {
        let time = self.hands.recorded?;
        self.packets.get(at).and_then(|packet| time.of(packet))
    }
}

impl Hands {
    /// With no ports to send by yet.
    pub(crate) fn new(pool: Pool, shared: Arc<Shared>) -> Self {
        Hands {
            egress: Egress::new(pool.clone()),
            shared,
            pool,
            dropped: Burst::new(),
            scratch: vec![0; SCRATCH_ROOM + LONGEST_FRAME + SCRATCH_ROOM].into_boxed_slice(),
            recorded: None,
        }
    }

    /// Lets a packet be judged and rewritten. It comes back with the length that it had before. A packet of several segments is put together
    /// first, and is a new one if it was rewritten; none if there is no memory for that.
    #[inline]
    pub(crate) fn edited(
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
    pub(crate) fn carry_out(&mut self, packet: Mbuf, arrived_len: usize, in_port: PortNo, plan: &Plan) {
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
