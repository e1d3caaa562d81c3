//! Ports and statistics of OpenFlow 1.0, sections 5.2.1 and 5.3.5.

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::group::{GroupDesc, GroupFeatures, GroupStats};
use crate::ids::{GroupId, PortNo};
use crate::monitor::{FlowUpdate, MonitorRequest};
use crate::multipart::{MultipartReply, MultipartRequest};
use crate::nicira::{self, port_from_16, port_to_16};
use crate::port::{Port, PortConfig, PortFeatures, PortMod, PortState, PortStats};
use crate::switch::Dialect;
use crate::table::TableStats;
use crate::wire::{Reader, Writer};

use super::flow;

/// Types of statistics; Open vSwitch adds port descriptions.
const DESC: u16 = 0;
const FLOW: u16 = 1;
const AGGREGATE: u16 = 2;
const TABLE: u16 = 3;
const PORT: u16 = 4;
const QUEUE: u16 = 5;
const PORT_DESC: u16 = 13;
const VENDOR: u16 = 0xffff;
/// Nicira's.
const NX_FLOW: u32 = 0;
const NX_AGGREGATE: u32 = 1;
const NX_MONITOR: u32 = 2;
const NX_GROUP: u32 = 7;
const NX_GROUP_DESC: u32 = 8;
const NX_GROUP_FEATURES: u32 = 9;

/// How a reply is to be written: as it was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Nicira,
}

/// Features in OpenFlow 1.0: the rates up to 10 Gb/s are the same bits, what follows has others.
fn features(features: PortFeatures) -> u32 {
    let bits = features.bits();
    bits & 0x7f | (bits >> 11 & 0x1f) << 7
}

pub(super) fn encode_port(port: &Port, w: &mut Writer) {
    w.u16(port_to_16(port.number));
    w.bytes(&port.hw_addr);
    w.padded_text(&port.name, 16);
    w.u32(port.config.bits());
    // Bits 1 and 2 are later versions'.
    w.u32(port.state.bits() & PortState::LINK_DOWN.bits());
    for list in [port.current, port.advertised, port.supported, port.peer] {
        w.u32(features(list));
    }
}

pub(super) fn decode_port_mod(r: &mut Reader<'_>) -> Result<PortMod, DecodeError> {
    let (number, hw_addr) = (port_from_16(r.u16()?), r.mac()?);
    let (config, mask, _) = (r.u32()?, r.u32()?, r.u32()?);
    r.skip(4)?;
    let (config, mask) = (PortConfig::from_bits_retain(config), PortConfig::from_bits_truncate(mask));
    Ok(PortMod { number, hw_addr, config, mask, advertise: PortFeatures::empty() })
}

/// Reads a request; what it asks for, and how it is to be answered.
pub(super) fn decode_request(r: &mut Reader<'_>) -> Result<(bool, MultipartRequest, Format), DecodeError> {
    let (ty, flags) = (r.u16()?, r.u16()?);
    let more = flags & 1 != 0;
    let request = match ty {
        DESC => MultipartRequest::Desc,
        FLOW => MultipartRequest::Flow(flow::decode_stats_request(r)?),
        AGGREGATE => MultipartRequest::Aggregate(flow::decode_stats_request(r)?),
        TABLE => MultipartRequest::Table,
        PORT => {
            let port = port_from_16(r.u16()?);
            r.skip(6)?;
            MultipartRequest::PortStats(port)
        }
        QUEUE => {
            let port = port_from_16(r.u16()?);
            r.skip(2)?;
            // `OFPP_ALL` is the wildcard of 1.0.
            let port = if port == PortNo::ALL { PortNo::ANY } else { port };
            MultipartRequest::Queue { port, queue: r.u32()? }
        }
        PORT_DESC => MultipartRequest::PortDesc(PortNo::ANY),
        VENDOR => {
            let experimenter = r.u32()?;
            if experimenter != nicira::EXPERIMENTER {
                let (exp_type, data) = (0, r.rest().to_vec());
                let request = MultipartRequest::Experimenter { experimenter, exp_type, data };
                return Ok((more, request, Format::Plain));
            }
            let subtype = r.u32()?;
            r.skip(4)?;
            return Ok((more, decode_nicira(subtype, r)?, Format::Nicira));
        }
        _ => {
            let expected = "a kind of OpenFlow 1.0";
            let problem = Problem::Value { field: "statistics type", found: ty.into(), expected };
            return Err(r.error(ErrorCode::RequestBadMultipart, problem));
        }
    };
    Ok((more, request, Format::Plain))
}

fn decode_nicira(subtype: u32, r: &mut Reader<'_>) -> Result<MultipartRequest, DecodeError> {
    Ok(match subtype {
        NX_FLOW => MultipartRequest::Flow(flow::decode_nicira_stats_request(r)?),
        NX_AGGREGATE => MultipartRequest::Aggregate(flow::decode_nicira_stats_request(r)?),
        NX_MONITOR => MultipartRequest::FlowMonitor(r.all(MonitorRequest::decode_nicira)?),
        NX_GROUP => {
            let group = GroupId(r.u32()?);
            r.skip(4)?;
            MultipartRequest::Group(group)
        }
        NX_GROUP_DESC => {
            let group = if r.left() >= 4 { GroupId(r.u32()?) } else { GroupId::ALL };
            r.rest();
            MultipartRequest::GroupDesc(group)
        }
        NX_GROUP_FEATURES => MultipartRequest::GroupFeatures,
        _ => {
            let problem = Problem::Value {
                field: "Nicira's statistics type",
                found: subtype.into(),
                expected: "flows, aggregates, monitors or groups",
            };
            return Err(r.error(ErrorCode::RequestBadExpType, problem));
        }
    })
}

/// The records of a reply, and the head that each message with some of them has.
pub(super) fn records(
    reply: &MultipartReply,
    format: Format,
    dialect: Dialect,
) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    fn each<T>(dialect: Dialect, items: &[T], encode: impl Fn(&T, &mut Writer)) -> Vec<Vec<u8>> {
        items
            .iter()
            .map(|item| {
                let mut w = Writer::new(dialect);
                encode(item, &mut w);
                w.out
            })
            .collect()
    }
    let nicira = format == Format::Nicira;
    let (ty, subtype, records) = match reply {
        MultipartReply::Desc(desc) => {
            (DESC, 0, each(dialect, std::slice::from_ref(desc), crate::switch::Desc::encode))
        }
        MultipartReply::Flow(flows) if nicira => {
            (VENDOR, NX_FLOW, each(dialect, flows, flow::encode_nicira_stats))
        }
        MultipartReply::Flow(flows) => (FLOW, 0, each(dialect, flows, flow::encode_stats)),
        MultipartReply::Aggregate(sums) => {
            let (ty, subtype) = if nicira { (VENDOR, NX_AGGREGATE) } else { (AGGREGATE, 0) };
            (ty, subtype, each(dialect, std::slice::from_ref(sums), crate::AggregateStats::encode))
        }
        MultipartReply::FlowUpdates(updates) => {
            (VENDOR, NX_MONITOR, each(dialect, updates, FlowUpdate::encode))
        }
        MultipartReply::Table(tables) => (TABLE, 0, each(dialect, tables, encode_table)),
        MultipartReply::PortStats(ports) => (PORT, 0, each(dialect, ports, encode_port_stats)),
        MultipartReply::Queue(_) => (QUEUE, 0, Vec::new()),
        MultipartReply::PortDesc(ports) => (PORT_DESC, 0, each(dialect, ports, encode_port)),
        MultipartReply::Group(groups) => (VENDOR, NX_GROUP, each(dialect, groups, GroupStats::encode)),
        MultipartReply::GroupDesc(groups) => {
            (VENDOR, NX_GROUP_DESC, each(dialect, groups, GroupDesc::encode))
        }
        MultipartReply::GroupFeatures(features) => {
            (VENDOR, NX_GROUP_FEATURES, each(dialect, std::slice::from_ref(features), GroupFeatures::encode))
        }
        _ => return None,
    };
    let mut head = Writer::new(dialect);
    head.u16(ty);
    head.u16(0);
    if ty == VENDOR {
        head.u32(nicira::EXPERIMENTER);
        head.u32(subtype);
        head.zeros(4);
    }
    Some((head.out, records))
}

fn encode_table(table: &TableStats, w: &mut Writer) {
    w.u8(table.table.0);
    w.zeros(3);
    w.padded_text(&format!("table{}", table.table), 32);
    // All fields can be left out.
    w.u32((1 << 22) - 1);
    w.u32(table.max_entries);
    w.u32(table.active);
    w.u64(table.lookups);
    w.u64(table.matched);
}

fn encode_port_stats(port: &PortStats, w: &mut Writer) {
    w.u16(port_to_16(port.number));
    w.zeros(6);
    for counter in [
        port.rx_packets,
        port.tx_packets,
        port.rx_bytes,
        port.tx_bytes,
        port.rx_dropped,
        port.tx_dropped,
        port.rx_errors,
        port.tx_errors,
        port.rx_frame_err,
        port.rx_over_err,
        port.rx_crc_err,
        port.collisions,
    ] {
        w.u64(counter);
    }
}
