//! Whole messages of OpenFlow 1.0, section 5.1.

use crate::error::{DecodeError, ErrorCode, ErrorMsg, Problem};
use crate::ids::{PortNo, buffer_from_wire, buffer_to_wire};
use crate::message::{Message, TooLong, encode_message};
use crate::monitor;
use crate::nicira::{self as ids, port_from_16, port_to_16};
use crate::oko::{self, OkoPart};
use crate::oxm::Field;
use crate::packet::{PacketIn, PacketOut};
use crate::switch::{Dialect, Features, Role, SwitchConfig, Version};
use crate::wire::{Reader, Writer};

use super::stats::{self, Format};
use super::{action, flow, matching, nicira};

/// `OFPT_*`: those that later versions number otherwise.
const PORT_MOD: u8 = 15;
const STATS_REQUEST: u8 = 16;
const STATS_REPLY: u8 = 17;
const BARRIER_REQUEST: u8 = 18;
const BARRIER_REPLY: u8 = 19;
const QUEUE_GET_CONFIG_REQUEST: u8 = 20;
const QUEUE_GET_CONFIG_REPLY: u8 = 21;

/// Reads the body of a message, behind the header.
pub(crate) fn decode(ty: u8, mut r: Reader<'_>) -> Result<Message, DecodeError> {
    let mut r = r.sub_rest(place_of(ty), ErrorCode::RequestBadLen);
    let message = decode_body(ty, &mut r)?;
    r.end()?;
    Ok(message)
}

fn place_of(ty: u8) -> &'static str {
    match ty {
        4 => "vendor",
        13 => "packet_out",
        14 => "flow_mod",
        PORT_MOD => "port_mod",
        STATS_REQUEST => "stats_request",
        _ => "message of OpenFlow 1.0",
    }
}

fn decode_body(ty: u8, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match ty {
        1 => Message::Error(ErrorMsg::decode(r)?),
        2 => Message::EchoRequest(r.rest().to_vec()),
        3 => Message::EchoReply(r.rest().to_vec()),
        4 => decode_vendor(r)?,
        5 => Message::FeaturesRequest,
        7 => Message::GetConfigRequest,
        9 => Message::SetConfig(SwitchConfig::decode(r)?),
        13 => Message::PacketOut(decode_packet_out(r)?),
        14 => Message::FlowMod(flow::decode_mod(r)?),
        PORT_MOD => Message::PortMod(stats::decode_port_mod(r)?),
        STATS_REQUEST => {
            let (more, request, format) = stats::decode_request(r)?;
            Message::MultipartRequest { more, request, nicira: format == Format::Nicira }
        }
        BARRIER_REQUEST => Message::BarrierRequest,
        QUEUE_GET_CONFIG_REQUEST => {
            let port = port_from_16(r.u16()?);
            r.skip(2)?;
            Message::QueueGetConfigRequest(port)
        }
        _ => {
            let expected = "a request of OpenFlow 1.0";
            let problem = Problem::Value { field: "message type", found: ty.into(), expected };
            return Err(r.error(ErrorCode::RequestBadType, problem));
        }
    })
}

fn decode_vendor(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let (experimenter, exp_type) = (r.u32()?, r.u32()?);
    if experimenter == oko::EXPERIMENTER {
        return Ok(Message::Oko(OkoPart::decode(exp_type, r)?));
    }
    if experimenter == ids::EXPERIMENTER
        && let Some(message) = nicira::decode(exp_type, r)?
    {
        return Ok(message);
    }
    if let Some(message) = monitor::decode_cancel(experimenter, exp_type, r)? {
        return Ok(message);
    }
    Ok(Message::Experimenter { experimenter, exp_type, data: r.rest().to_vec() })
}

fn decode_packet_out(r: &mut Reader<'_>) -> Result<PacketOut, DecodeError> {
    let buffer = buffer_from_wire(r.u32()?);
    let in_port = port_from_16(r.u16()?);
    let actions_len = usize::from(r.u16()?);
    if actions_len > r.left() {
        return Err(r.bad_len(actions_len, "no more than the message has"));
    }
    let actions = action::decode_list(&mut r.sub(actions_len, "action", ErrorCode::ActionBadLen)?)?.apply;
    Ok(PacketOut { buffer, in_port, actions, data: r.rest().to_vec() })
}

/// The bytes of a message that a switch sends; of others there are none.
pub(crate) fn encode(message: &Message, dialect: Dialect, xid: u32) -> Result<Vec<u8>, TooLong> {
    let ty = match message {
        Message::Error(_) => 1,
        Message::EchoRequest(_) => 2,
        Message::EchoReply(_) => 3,
        Message::Oko(_) | Message::Experimenter { .. } | Message::RoleReply(_) => 4,
        Message::FlowRemoved(removed) if !matching::holds(&removed.matching) => 4,
        Message::FeaturesReply(_) => 6,
        Message::GetConfigReply(_) => 8,
        Message::PacketIn(_) => 10,
        Message::FlowRemoved(_) => 11,
        Message::PortStatus(_) => 12,
        Message::MultipartReply { .. } => STATS_REPLY,
        Message::BarrierReply => BARRIER_REPLY,
        Message::QueueGetConfigReply { .. } => QUEUE_GET_CONFIG_REPLY,
        _ => return Ok(Vec::new()),
    };
    encode_message(dialect, ty, xid, |w| encode_body(message, w))
}

fn encode_body(message: &Message, w: &mut Writer) {
    match message {
        Message::Error(error) => encode_error(error, w),
        Message::EchoRequest(data) | Message::EchoReply(data) => w.bytes(data),
        Message::Oko(part) => part.encode(w),
        Message::Experimenter { experimenter, exp_type, data } => {
            w.u32(*experimenter);
            w.u32(*exp_type);
            w.bytes(data);
        }
        Message::RoleReply(role) => {
            w.u32(ids::EXPERIMENTER);
            w.u32(nicira::ROLE_REPLY);
            w.u32(match role.role {
                Role::Master => 1,
                Role::Slave => 2,
                Role::Equal | Role::NoChange => 0,
            });
        }
        Message::FeaturesReply(features) => encode_features(features, w),
        Message::GetConfigReply(config) => config.encode(w),
        Message::PacketIn(packet) => encode_packet_in(packet, w),
        Message::FlowRemoved(removed) if !matching::holds(&removed.matching) => {
            w.u32(ids::EXPERIMENTER);
            w.u32(nicira::FLOW_REMOVED);
            flow::encode_nicira_removed(removed, w);
        }
        Message::FlowRemoved(removed) => flow::encode_removed(removed, w),
        Message::PortStatus(status) => {
            w.u8(status.reason as u8);
            w.zeros(7);
            stats::encode_port(&status.port, w);
        }
        Message::MultipartReply { reply, .. } => {
            if let Some((head, records)) =
                stats::records(reply, Format::Plain, Dialect { version: w.version, filters: w.filters })
            {
                w.bytes(&head);
                records.iter().for_each(|record| w.bytes(record));
            }
        }
        Message::QueueGetConfigReply { port, .. } => {
            w.u16(port_to_16(*port));
            w.zeros(6);
        }
        _ => {}
    }
}

/// The messages of a reply to a request for statistics, all but the last with the flag that more follows.
pub(crate) fn encode_parts(
    reply: &crate::MultipartReply,
    nicira: bool,
    dialect: Dialect,
    xid: u32,
) -> Vec<Vec<u8>> {
    const ROOM: usize = u16::MAX as usize - 64;
    let format = if nicira { Format::Nicira } else { Format::Plain };
    let Some((head, records)) = stats::records(reply, format, dialect) else { return Vec::new() };
    let mut bodies = vec![head.clone()];
    for record in records.iter().filter(|record| record.len() <= ROOM) {
        if bodies.last().is_some_and(|body| body.len() + record.len() > ROOM) {
            bodies.push(head.clone());
        }
        if let Some(body) = bodies.last_mut() {
            body.extend_from_slice(record);
        }
    }
    let last = bodies.len() - 1;
    bodies
        .into_iter()
        .enumerate()
        .filter_map(|(i, mut body)| {
            body[3] = u8::from(i != last);
            encode_message(Version::V1_0, STATS_REPLY, xid, |w| w.bytes(&body)).ok()
        })
        .collect()
}

/// Capabilities of 1.0: bit 7 is the matching of addresses in ARP. Actions: all of the standard ones but `enqueue`.
fn encode_features(features: &Features, w: &mut Writer) {
    const ARP_MATCH_IP: u32 = 1 << 7;
    const ACTIONS: u32 = (1 << 11) - 1;
    w.u64(features.datapath_id);
    w.u32(features.n_buffers);
    w.u8(features.n_tables);
    w.zeros(3);
    // Bit 3 is the spanning tree there, group statistics later.
    w.u32(features.capabilities.bits() & 0b111 | ARP_MATCH_IP);
    w.u32(ACTIONS);
    features.ports.iter().for_each(|port| stats::encode_port(port, w));
}

fn encode_packet_in(packet: &PacketIn, w: &mut Writer) {
    let in_port = packet.matching.get(Field::InPort).map_or(0, |field| field.value() as u32);
    w.u32(buffer_to_wire(packet.buffer));
    w.u16(packet.total_len);
    w.u16(port_to_16(PortNo(in_port)));
    w.u8(packet.reason.v1_3());
    w.zeros(1);
    w.bytes(&packet.data);
}

/// Types and codes of 1.0, section 5.4.4. What it has none for goes out as the nearest, or in Nicira's format.
fn encode_error(error: &ErrorMsg, w: &mut Writer) {
    let ErrorMsg::Standard { ty, code, data } = error else { return error.encode(w) };
    let found = match (*ty, *code) {
        (0..=1, code) if code <= 8 => Some((*ty, code)),
        (2, code) if code <= 8 => Some((2, code)),
        // A table that is not there, a table that is full.
        (5, 1) => Some((3, 0)),
        (5, 3) => Some((3, 1)),
        (5, 4) => Some((3, 2)),
        (5, 6) => Some((3, 4)),
        // What a match or flow-mod cannot say is not supported.
        (3..=5, _) => Some((3, 5)),
        (7, code) if code <= 1 => Some((4, code)),
        (9, code) => Some((5, code)),
        _ => None,
    };
    match found {
        Some((ty, code)) => {
            w.u16(ty);
            w.u16(code);
        }
        None => {
            // `NXET_VENDOR`, `NXVC_VENDOR_ERROR`: vendor, type and code of that vendor; here those of later versions.
            w.u16(0xb0c2);
            w.u16(0);
            w.u32(ids::EXPERIMENTER);
            w.u16(*ty);
            w.u16(*code);
        }
    }
    w.bytes(data);
}
