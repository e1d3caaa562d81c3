//! `ofp_match` of OpenFlow 1.0, section 5.2.3: 40 bytes with a value for each field and bits for those that do not count.

use crate::error::{DecodeError, ErrorCode};
use crate::flow_match::{Match, MatchField};
use crate::nicira::{port_from_16, port_to_16};
use crate::oxm::{Field, VLAN_PRESENT, ethertype, ip_proto};
use crate::wire::{Reader, Writer};

const IN_PORT: u32 = 1;
const VLAN: u32 = 1 << 1;
const DL_SRC: u32 = 1 << 2;
const DL_DST: u32 = 1 << 3;
const DL_TYPE: u32 = 1 << 4;
const NW_PROTO: u32 = 1 << 5;
const TP_SRC: u32 = 1 << 6;
const TP_DST: u32 = 1 << 7;
const NW_SRC_SHIFT: u32 = 8;
const NW_DST_SHIFT: u32 = 14;
const VLAN_PCP: u32 = 1 << 20;
const NW_TOS: u32 = 1 << 21;
const ALL: u32 = (1 << 22) - 1;
/// `OFP_VLAN_NONE`: no tag.
const NO_VLAN: u16 = 0xffff;

/// The fields behind EtherType and protocol: which of the versions' fields `tp_src` and `tp_dst` are.
fn transport(eth_type: u128, proto: u128) -> Option<(Field, Field)> {
    Some(match (eth_type, proto) {
        (ethertype::IPV4, ip_proto::TCP) => (Field::TcpSrc, Field::TcpDst),
        (ethertype::IPV4, ip_proto::UDP) => (Field::UdpSrc, Field::UdpDst),
        (ethertype::IPV4, ip_proto::SCTP) => (Field::SctpSrc, Field::SctpDst),
        (ethertype::IPV4, ip_proto::ICMP) => (Field::Icmpv4Type, Field::Icmpv4Code),
        _ => return None,
    })
}

/// Reads a match. Fields that have no meaning for the EtherType and protocol do not count, as section 3.4 has it.
pub(super) fn decode(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
    let at = r.clone();
    let wildcards = r.u32()? & ALL;
    let in_port = port_from_16(r.u16()?);
    let (source, destination) = (r.uint(6)?, r.uint(6)?);
    let (vlan, pcp) = (r.u16()?, r.u8()?);
    r.skip(1)?;
    let (eth_type, tos, proto) = (u128::from(r.u16()?), r.u8()?, u128::from(r.u8()?));
    r.skip(2)?;
    let (nw_src, nw_dst) = (u128::from(r.u32()?), u128::from(r.u32()?));
    let (tp_src, tp_dst) = (u128::from(r.u16()?), u128::from(r.u16()?));
    let mut out = Match::any();
    let mut put = |field: Field, value: u128, mask: u128| {
        if mask == 0 {
            return Ok(());
        }
        let condition = MatchField::masked(field, value & mask & field.spec().full_mask(), mask);
        condition
            .map(|condition| out.set(condition))
            .map_err(|e| at.error(ErrorCode::FlowModUnknown, e.problem))
    };
    let full = |bits: u32, field: Field| if wildcards & bits == 0 { field.spec().full_mask() } else { 0 };
    put(Field::InPort, in_port.0.into(), full(IN_PORT, Field::InPort))?;
    put(Field::EthSrc, source, full(DL_SRC, Field::EthSrc))?;
    put(Field::EthDst, destination, full(DL_DST, Field::EthDst))?;
    match (wildcards & VLAN == 0, vlan) {
        (true, NO_VLAN) => put(Field::VlanVid, 0, Field::VlanVid.spec().full_mask())?,
        (true, vlan) => {
            put(Field::VlanVid, u128::from(vlan & 0x0fff) | VLAN_PRESENT, Field::VlanVid.spec().full_mask())?;
        }
        // A priority without an id: of any tag.
        (false, _) if wildcards & VLAN_PCP == 0 => put(Field::VlanVid, VLAN_PRESENT, VLAN_PRESENT)?,
        (false, _) => {}
    }
    if wildcards & VLAN_PCP == 0 && (wildcards & VLAN != 0 || vlan != NO_VLAN) {
        put(Field::VlanPcp, (pcp & 7).into(), 7)?;
    }
    if wildcards & DL_TYPE == 0 {
        put(Field::EthType, eth_type, 0xffff)?;
        let prefix = |shift: u32| {
            let ignored = (wildcards >> shift & 0x3f).min(32);
            u128::from(u32::MAX.checked_shl(ignored).unwrap_or(0))
        };
        let (src_mask, dst_mask) = (prefix(NW_SRC_SHIFT), prefix(NW_DST_SHIFT));
        match eth_type {
            ethertype::IPV4 => {
                put(Field::IpDscp, u128::from(tos >> 2), full(NW_TOS, Field::IpDscp))?;
                put(Field::Ipv4Src, nw_src, src_mask)?;
                put(Field::Ipv4Dst, nw_dst, dst_mask)?;
            }
            ethertype::ARP => {
                put(Field::ArpSpa, nw_src, src_mask)?;
                put(Field::ArpTpa, nw_dst, dst_mask)?;
                put(Field::ArpOp, proto, if wildcards & NW_PROTO == 0 { 0xffff } else { 0 })?;
            }
            ethertype::IPV6 => put(Field::IpDscp, u128::from(tos >> 2), full(NW_TOS, Field::IpDscp))?,
            _ => {}
        }
        if matches!(eth_type, ethertype::IPV4 | ethertype::IPV6) && wildcards & NW_PROTO == 0 {
            put(Field::IpProto, proto, 0xff)?;
            if let Some((src, dst)) = transport(eth_type, proto) {
                put(src, tp_src, full(TP_SRC, src))?;
                put(dst, tp_dst, full(TP_DST, dst))?;
            }
        }
    }
    Ok(out)
}

/// Whether the format has a place for all of a match.
pub(super) fn holds(matching: &Match) -> bool {
    if matching.filter.is_some() {
        return false;
    }
    let mut w = Writer::new(crate::switch::Version::V1_0);
    encode(matching, &mut w);
    let mut r = Reader::new(&w.out, 0, "match", ErrorCode::MatchBadLen);
    decode(&mut r).is_ok_and(|again| again == *matching)
}

/// Writes a match, without what the format has no place for.
pub(super) fn encode(matching: &Match, w: &mut Writer) {
    let exact = |field: Field| matching.get(field).filter(|f| f.is_exact()).map(MatchField::value);
    let mut wildcards = ALL;
    let mut take = |bit: u32, value: Option<u128>| {
        if value.is_some() {
            wildcards &= !bit;
        }
        value.unwrap_or(0)
    };
    let in_port = take(IN_PORT, exact(Field::InPort));
    let source = take(DL_SRC, exact(Field::EthSrc));
    let destination = take(DL_DST, exact(Field::EthDst));
    let vlan = take(VLAN, exact(Field::VlanVid).map(|v| if v == 0 { NO_VLAN.into() } else { v & 0x0fff }));
    let pcp = take(VLAN_PCP, exact(Field::VlanPcp));
    let eth_type = take(DL_TYPE, exact(Field::EthType));
    let is_arp = eth_type == ethertype::ARP;
    let tos = take(NW_TOS, exact(Field::IpDscp)) << 2;
    let proto = take(NW_PROTO, exact(if is_arp { Field::ArpOp } else { Field::IpProto }));
    let (tp_src, tp_dst) = match transport(eth_type, proto) {
        Some((src, dst)) => (take(TP_SRC, exact(src)), take(TP_DST, exact(dst))),
        None => (0, 0),
    };
    let (src, dst) = if is_arp { (Field::ArpSpa, Field::ArpTpa) } else { (Field::Ipv4Src, Field::Ipv4Dst) };
    let mut address = |field: Field, shift: u32| {
        let condition = matching.get(field)?;
        let mask = condition.mask() as u32;
        // Only prefixes.
        if mask.leading_ones() + mask.trailing_zeros() != 32 {
            return None;
        }
        wildcards = wildcards & !(0x3f << shift) | mask.trailing_zeros() << shift;
        Some(condition.value())
    };
    let nw_src = address(src, NW_SRC_SHIFT).unwrap_or(0);
    let nw_dst = address(dst, NW_DST_SHIFT).unwrap_or(0);
    w.u32(wildcards);
    w.u16(port_to_16(crate::ids::PortNo(in_port as u32)));
    w.uint(source, 6);
    w.uint(destination, 6);
    w.u16(vlan as u16);
    w.u8(pcp as u8);
    w.zeros(1);
    w.u16(eth_type as u16);
    w.u8(tos as u8);
    w.u8(proto as u8);
    w.zeros(2);
    w.u32(nw_src as u32);
    w.u32(nw_dst as u32);
    w.u16(tp_src as u16);
    w.u16(tp_dst as u16);
}
