//! Packets between worker and controllers: packet-in and packet-out.

use std::sync::atomic::Ordering;

use oko_openflow::message::Message;
use oko_openflow::port::PortConfig;
use oko_openflow::{ErrorCode, Field, Match, MatchField, PacketIn, PacketOut, PortNo};

use super::control::{Answer, Control};
use super::peers::Topic;
use crate::plan::ToController;
use crate::shared::{PacketForController, PacketFromController};

/// The longest frame that a controller can send: it fits in a message anyway.
const SCRATCH: usize = 65_536;
/// Packet-ins sent in one go, so that other work gets its turn.
const AT_ONCE: usize = 128;

impl Control {
    /// Hands a controller's packet to the worker.
    pub(super) fn packet_out(&mut self, request: PacketOut) -> Result<Answer, ErrorCode> {
        let PacketOut { buffer, in_port, actions, data } = request;
        if buffer.is_some() {
            return Err(ErrorCode::RequestBufferUnknown);
        }
        if !in_port.is_physical() && !matches!(in_port, PortNo::CONTROLLER | PortNo::ANY | PortNo::LOCAL) {
            return Err(ErrorCode::RequestBadPort);
        }
        self.check_actions(&actions, true)?;
        if data.len() < 14 {
            // No Ethernet header.
            return Err(ErrorCode::RequestBadPacket);
        }
        let packet = self.pool.packet(&data).map_err(|_| ErrorCode::RequestBufferEmpty)?;
        let packet = PacketFromController { packet, in_port, actions };
        match self.shared.packet_outs.push(packet) {
            Ok(()) => Ok(Answer::Nothing),
            Err(_) => Err(ErrorCode::RequestBufferEmpty),
        }
    }

    /// Sends the packets that wait to the controllers that want them.
    pub(super) fn send_packet_ins(&mut self) {
        let mut scratch = Vec::new();
        for _ in 0..AT_ONCE {
            let Some(event) = self.shared.packet_ins.pop() else { break };
            let PacketForController { packet, in_port, what } = event;
            let ToController { max_len, table, cookie, reason, metadata, tunnel_id, .. } = what;
            let muted = self
                .ports
                .get(in_port)
                .is_some_and(|port| port.state().config().contains(PortConfig::NO_PACKET_IN));
            let topic = Topic::PacketIn(reason);
            if muted || !self.peers.any_wants(topic) {
                continue;
            }
            scratch.resize(SCRATCH, 0);
            let frame = packet.frame(&mut scratch);
            let sent = frame.len().min(usize::from(max_len)).min(longest_data());
            let mut matching = Match::any();
            let known = [
                (Field::InPort, in_port.0.into()),
                (Field::Metadata, u128::from(metadata)),
                (Field::TunnelId, u128::from(tunnel_id)),
            ];
            for (field, value) in known.into_iter().filter(|(_, value)| *value != 0) {
                if let Ok(field) = MatchField::exact(field, value) {
                    matching.set(field);
                }
            }
            let message = Message::PacketIn(PacketIn {
                buffer: None,
                total_len: u16::try_from(packet.len()).unwrap_or(u16::MAX),
                reason,
                table,
                cookie,
                matching,
                data: frame[..sent].to_vec(),
            });
            self.peers.tell(topic, &message);
        }
        let lost = self.shared.packet_ins_lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lost,
                "packets for the controllers were lost: they come faster than they can be sent"
            );
        }
    }
}

/// Bytes of a packet that fit in a packet-in beside its other fields.
fn longest_data() -> usize {
    usize::from(u16::MAX) - 64
}
