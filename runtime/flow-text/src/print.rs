//! Flows as `ovs-ofctl` prints them. What is printed can be read back.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use oko_openflow::oxm::{FieldSpec, Format, VLAN_PRESENT};
use oko_openflow::{Action, Field, FilterMatch, FlowStats, Instructions, Match, MatchField, PortNo, TableId};

use crate::flow::FLAGS;
use crate::matching::SHORTHANDS;
use crate::names::Names;
use crate::value::number;

/// A line of a listing: cookie, age and counters, then the flow.
pub fn print_flow(flow: &FlowStats, names: &Names) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "cookie={:#x}, duration={}.{:03}s, table={}, n_packets={}, n_bytes={}, ",
        flow.cookie,
        flow.duration.as_secs(),
        flow.duration.subsec_millis(),
        flow.table,
        flow.packets,
        flow.bytes
    );
    if flow.idle_timeout != 0 {
        let _ = write!(out, "idle_timeout={}, ", flow.idle_timeout);
    }
    if flow.hard_timeout != 0 {
        let _ = write!(out, "hard_timeout={}, ", flow.hard_timeout);
    }
    for (name, flag) in FLAGS {
        if flow.flags.contains(*flag) {
            let _ = write!(out, "{name} ");
        }
    }
    let _ = write!(out, "priority={}", flow.priority);
    let conditions = print_match(&flow.matching, names);
    if !conditions.is_empty() {
        let _ = write!(out, ",{conditions}");
    }
    let _ = write!(out, " actions={}", print_instructions(&flow.instructions, names));
    out
}

/// The conditions, separated by commas; empty if there are none. The filter comes last.
pub fn print_match(matching: &Match, names: &Names) -> String {
    let mut parts = Vec::new();
    let exact = |field| matching.get(field).filter(|f| f.is_exact()).map(MatchField::value);
    let (ty, proto) = (exact(Field::EthType), exact(Field::IpProto));
    let shorthand = |proto| SHORTHANDS.iter().find(|(_, t, p)| Some(*t) == ty && *p == proto);
    let shown = match proto.and_then(|_| shorthand(proto)) {
        Some((name, ..)) => {
            parts.push((*name).to_owned());
            &[Field::EthType, Field::IpProto][..]
        }
        None => match shorthand(None) {
            Some((name, ..)) => {
                parts.push((*name).to_owned());
                &[Field::EthType][..]
            }
            None => &[],
        },
    };
    for condition in matching.fields().iter().filter(|c| !shown.contains(&c.field())) {
        parts.push(print_condition(condition, matching, names));
    }
    if let Some(filter) = &matching.filter {
        parts.push(print_filter(*filter, names));
    }
    parts.join(",")
}

fn print_condition(condition: &MatchField, matching: &Match, names: &Names) -> String {
    let spec = condition.field().spec();
    if condition.field() == Field::VlanVid {
        return print_vlan(condition, matching);
    }
    if condition.field() == Field::IpDscp && condition.is_exact() {
        // The whole byte, as ovs-ofctl has it.
        return format!("nw_tos={}", condition.value() << 2);
    }
    let name = match condition.field() {
        Field::TcpSrc | Field::UdpSrc | Field::SctpSrc => "tp_src",
        Field::TcpDst | Field::UdpDst | Field::SctpDst => "tp_dst",
        Field::Icmpv6Type => "icmp_type",
        Field::Icmpv6Code => "icmp_code",
        _ => spec.name,
    };
    let value = print_value(spec, condition.value(), names);
    if condition.is_exact() {
        return format!("{name}={value}");
    }
    format!("{name}={value}/{}", print_mask(spec, condition.mask()))
}

/// `dl_vlan=` where it can say it. A condition that priority alone implies stays, as it does no harm.
fn print_vlan(condition: &MatchField, matching: &Match) -> String {
    let (value, mask) = (condition.value(), condition.mask());
    if condition.is_exact() && value & VLAN_PRESENT != 0 {
        return format!("dl_vlan={}", value & 0xfff);
    }
    if condition.is_exact() && value == 0 && matching.get(Field::VlanPcp).is_none() {
        return "vlan_tci=0x0000/0x1fff".to_owned();
    }
    format!("vlan_tci={value:#06x}/{mask:#06x}")
}

fn print_filter(condition: FilterMatch, names: &Names) -> String {
    let known = names.filter_by_id(condition.filter);
    let class = known.and_then(|f| f.classes.iter().find(|c| c.number == condition.class));
    match (known, class) {
        (Some(filter), _) if filter.boolean && condition.class == 1 => format!("filter={}", filter.name),
        (Some(filter), Some(class)) => format!("filter={}:{}", filter.name, class.name),
        _ => format!("filter={}:{}", condition.filter, condition.class),
    }
}

/// A value as people write it.
pub fn print_value(spec: &FieldSpec, value: u128, names: &Names) -> String {
    match spec.format {
        Format::Decimal => value.to_string(),
        Format::Hex if spec.bytes == 2 => format!("{value:#06x}"),
        Format::Hex => format!("{value:#x}"),
        Format::Port => print_port(PortNo(value as u32), names),
        Format::Mac => {
            let bytes = &value.to_be_bytes()[10..];
            bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
        }
        Format::Ipv4 => Ipv4Addr::from_bits(value as u32).to_string(),
        Format::Ipv6 => Ipv6Addr::from_bits(value).to_string(),
    }
}

fn print_mask(spec: &FieldSpec, mask: u128) -> String {
    let width = u32::from(spec.bits);
    let ones = (mask << (128 - width)).leading_ones();
    let is_prefix = ones == mask.count_ones();
    match spec.format {
        Format::Ipv4 | Format::Ipv6 if is_prefix => ones.to_string(),
        Format::Decimal => format!("{mask:#x}"),
        _ => print_value(spec, mask, &Names::none()),
    }
}

/// A port's name if it can be read back, or its number.
fn print_port(port: PortNo, names: &Names) -> String {
    let readable = |name: &&str| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let reserved = PortNo::RESERVED.iter().any(|(_, known)| known.eq_ignore_ascii_case(name));
        !name.is_empty() && plain && !reserved && number(name).is_none()
    };
    match names.port_name(port).filter(readable) {
        Some(name) => name.to_owned(),
        None => port.to_string(),
    }
}

/// What follows `actions=`.
pub fn print_instructions(instructions: &Instructions, names: &Names) -> String {
    let mut parts = Vec::new();
    if let Some(meter) = instructions.meter {
        parts.push(format!("meter:{}", meter.0));
    }
    parts.extend(instructions.apply.iter().map(|action| print_action(action, names)));
    if instructions.clear {
        parts.push("clear_actions".to_owned());
    }
    if !instructions.write.is_empty() {
        let actions: Vec<String> =
            instructions.write.iter().map(|action| print_action(action, names)).collect();
        parts.push(format!("write_actions({})", actions.join(",")));
    }
    if let Some(metadata) = instructions.metadata {
        let mask = if metadata.mask == u64::MAX { String::new() } else { format!("/{:#x}", metadata.mask) };
        parts.push(format!("write_metadata:{:#x}{mask}", metadata.value));
    }
    if let Some(table) = instructions.goto_table {
        parts.push(format!("goto_table:{table}"));
    }
    if parts.is_empty() { "drop".to_owned() } else { parts.join(",") }
}

fn print_action(action: &Action, names: &Names) -> String {
    match action {
        Action::Output { port: PortNo::CONTROLLER, max_len } => format!("CONTROLLER:{max_len}"),
        Action::Output { port, .. } => match port.reserved_name() {
            Some(name) => name.to_owned(),
            None => format!("output:{}", print_port(*port, names)),
        },
        Action::CopyTtlOut => "copy_ttl_out".to_owned(),
        Action::CopyTtlIn => "copy_ttl_in".to_owned(),
        Action::SetMplsTtl(ttl) => format!("set_mpls_ttl({ttl})"),
        Action::DecMplsTtl => "dec_mpls_ttl".to_owned(),
        Action::PushVlan(ty) => format!("push_vlan:{ty:#06x}"),
        Action::PopVlan => "pop_vlan".to_owned(),
        Action::PushMpls(ty) => format!("push_mpls:{ty:#06x}"),
        Action::PopMpls(ty) => format!("pop_mpls:{ty:#06x}"),
        Action::SetQueue(queue) => format!("set_queue:{queue}"),
        Action::Group(group) => format!("group:{}", group.0),
        Action::Meter(meter) => format!("meter:{}", meter.0),
        Action::SetNwTtl(ttl) => format!("mod_nw_ttl:{ttl}"),
        Action::DecNwTtl => "dec_ttl".to_owned(),
        Action::SetField(value) => {
            let spec = value.field().spec();
            let name = spec.aliases.first().unwrap_or(&spec.name);
            format!("set_field:{}->{name}", print_value(spec, value.value(), names))
        }
        Action::CopyField(copy) => {
            let part = |(field, offset): (Field, u8)| {
                let spec = field.spec();
                let name = spec.aliases.first().unwrap_or(&spec.name);
                match (offset, copy.bits()) {
                    (0, bits) if bits == spec.bits => format!("{name}[]"),
                    (offset, 1) => format!("{name}[{offset}]"),
                    (offset, bits) => format!("{name}[{offset}..{}]", offset + (bits - 1)),
                }
            };
            format!("move:{}->{}", part(copy.source()), part(copy.target()))
        }
        Action::PushPbb(ty) => format!("push_pbb:{ty:#06x}"),
        Action::PopPbb => "pop_pbb".to_owned(),
        Action::Resubmit { port, table } => {
            let port = if *port == PortNo::IN_PORT { String::new() } else { print_port(*port, names) };
            let table = if *table == TableId::ALL { String::new() } else { table.to_string() };
            format!("resubmit({port},{table})")
        }
        Action::SetVlanVid(vid) => format!("mod_vlan_vid:{vid}"),
        Action::SetVlanPcp(pcp) => format!("mod_vlan_pcp:{pcp}"),
        Action::SetTpSrc(port) => format!("mod_tp_src:{port}"),
        Action::SetTpDst(port) => format!("mod_tp_dst:{port}"),
        Action::Experimenter { experimenter, data } => {
            let data: String = data.iter().map(|b| format!("{b:02x}")).collect();
            format!("experimenter:{experimenter:#010x},data={data}")
        }
    }
}
