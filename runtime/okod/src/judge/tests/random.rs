//! Frames, and random changes of the tables that look at them.

use std::ops::Range;

use oko_openflow::{
    Action, CopyField, Field as Oxm, FilterId, FilterMatch, FlowMod, FlowModCommand, Instructions, Match,
    MatchField, MetadataWrite, MeterId, PortNo, TableId,
};
use proptest::prelude::*;

use super::side::FILTERS;

/// Frames of a few kinds, each with an `id` of its own. From `ODD` on there are some that have no IPv4 header, or no transport header.
pub(super) fn frame(kind: u16) -> Vec<u8> {
    let mut frame = plain_frame(kind);
    let l3 = match kind / 4 % 4 {
        1 => 18,
        2 => 22,
        _ => 14,
    };
    match kind.checked_sub(ODD).map(|odd| odd % 4) {
        // ARP with the addresses.
        Some(0) => {
            let addresses: [u8; 8] = frame[l3 + 12..l3 + 20].try_into().expect("eight bytes");
            frame[l3 - 2..l3].copy_from_slice(&[0x08, 0x06]);
            frame.truncate(l3);
            frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 6, 0, 0, 0, 0, 1]);
            frame.extend(&addresses[..4]);
            frame.extend([0; 6]);
            frame.extend(&addresses[4..]);
        }
        // A later fragment.
        Some(1) => frame[l3 + 7] = 9,
        Some(2) => frame.truncate(l3 + 10),
        // IPv6, or IPv4 with options.
        Some(3) if !kind.is_multiple_of(3) => {
            let (proto, transport) = (frame[l3 + 9], frame.split_off(l3 + 20));
            frame[l3 - 2..l3].copy_from_slice(&[0x86, 0xdd]);
            frame.truncate(l3);
            frame.extend([0x60, 0, 0, 0, 0, transport.len() as u8, proto, 64]);
            frame.extend([[0xfd; 16], [kind as u8 % 2; 16]].concat());
            frame.extend(transport);
        }
        Some(3) => {
            frame[l3] = 0x46;
            frame.splice(l3 + 20..l3 + 20, [1; 4]);
        }
        _ => {}
    }
    frame
}

/// The first kind of frames of which not all have what IPv4 packets have.
pub(super) const ODD: u16 = 60;

fn plain_frame(kind: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, (kind % 2) as u8 + 1, 6, 0, 0, 0, 0, (kind / 2 % 2) as u8];
    match kind / 4 % 4 {
        1 => frame.extend([0x81, 0, 0, 5]),
        2 => frame.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, (kind % 3) as u8 + 1]),
        _ => {}
    }
    let tcp = kind.is_multiple_of(3);
    frame.extend([0x08, 0, 0x45, 0, 0, 46]);
    frame.extend(kind.to_be_bytes());
    frame.extend([0, 0, if kind.is_multiple_of(5) { 1 } else { 64 }, if tcp { 6 } else { 17 }, 0, 0]);
    frame.extend([10, 0, 0, (kind % 4) as u8, 10, 0, 1, (kind % 7) as u8]);
    frame.extend([0, (kind % 3) as u8, 0, (kind % 5) as u8]);
    frame.resize(frame.len() + if kind.is_multiple_of(11) { 3 } else { 22 }, 0x50);
    frame
}

/// Matches, with what their fields need. Without `network` they look at no header behind Ethernet's, so that packets of all kinds have one key.
fn matches(network: bool) -> impl Strategy<Value = Match> {
    let masked = |field, values: Range<u128>, masks: &'static [u128]| {
        prop::option::weighted(0.4, (values, prop::sample::select(masks))).prop_map(move |some| {
            some.and_then(|(value, mask)| MatchField::masked(field, value & mask, mask).ok())
        })
    };
    let exact = |field, values: &'static [u128]| {
        prop::option::weighted(0.3, prop::sample::select(values))
            .prop_map(move |some| some.and_then(|value| MatchField::exact(field, value).ok()))
    };
    (
        exact(Oxm::InPort, &[1, 2]),
        masked(Oxm::EthDst, 0x0200_0000_0000..0x0200_0000_0004, &[1, 3, 0xffff_ffff_ffff]),
        exact(Oxm::VlanVid, &[0, 0x1001, 0x1005, 0x1002]),
        exact(Oxm::EthType, &[0x0800, 0x0806, 0x86dd]),
        masked(Oxm::Ipv4Src, 0x0a00_0000..0x0a00_0004, &[1, 0xffff_ff00, 0xffff_ffff]),
        exact(Oxm::IpProto, &[6, 17]),
        exact(Oxm::UdpDst, &[0, 1, 2, 3]),
        exact(Oxm::Metadata, &[0, 1]),
        exact(Oxm::Reg0, &[0, 2, 0x0a00_0001]),
        prop::option::weighted(0.4, (1..=FILTERS as u32, 0..4_u32)),
    )
        .prop_map(move |(port, mac, vlan, mut ty, ip, mut proto, udp, metadata, reg, filter)| {
            let (ip, udp) = (ip.filter(|_| network), udp.filter(|_| network));
            if !network {
                (ty, proto) = (None, None);
            }
            let exactly = |field, value| MatchField::exact(field, value).ok();
            if udp.is_some() {
                proto = exactly(Oxm::IpProto, 17);
            }
            if ip.is_some() || proto.is_some() {
                ty = exactly(Oxm::EthType, 0x0800);
            }
            let fields = [port, mac, vlan, ty, ip, proto, udp, metadata, reg];
            let mut matching: Match = fields.into_iter().flatten().collect();
            matching.filter = filter.map(|(filter, class)| FilterMatch { filter: FilterId(filter), class });
            matching
        })
}

pub(super) fn actions() -> impl Strategy<Value = Action> {
    let set = |field, value| MatchField::exact(field, value).map(Action::SetField);
    prop_oneof![
        5 => (1..4_u32).prop_map(|port| Action::output(PortNo(port))),
        1 => Just(Action::output(PortNo::IN_PORT)),
        1 => Just(Action::output(PortNo::CONTROLLER)),
        1 => Just(Action::output(PortNo::NORMAL)),
        1 => Just(Action::DecNwTtl),
        1 => Just(Action::SetNwTtl(9)),
        1 => Just(Action::SetTpDst(3)),
        1 => Just(Action::PopVlan),
        1 => Just(Action::PushVlan(0x8100)),
        1 => (1..6_u32).prop_map(|meter| Action::Meter(MeterId(meter))),
        3 => prop::sample::select(vec![
            set(Oxm::VlanVid, 0x1001),
            set(Oxm::Ipv4Dst, 0x0a00_0109),
            set(Oxm::ArpTpa, 0x0a00_0109),
            set(Oxm::Ipv4Src, 0x0a00_0001),
            set(Oxm::UdpDst, 2),
            set(Oxm::IpProto, 6),
            set(Oxm::EthDst, 0x0200_0000_0001),
            set(Oxm::IpDscp, 10),
            set(Oxm::Ipv6Dst, 9),
            MatchField::masked(Oxm::EthSrc, 0x0600_0000_0000, 0xff00_0000_00ff).map(Action::SetField),
            MatchField::masked(Oxm::Ipv4Dst, 0x0b00_0002, 0xff00_0007).map(Action::SetField),
        ]).prop_filter_map("a field with its value", Result::ok),
        1 => prop::sample::select(vec![
            CopyField::new((Oxm::Ipv4Src, 0), (Oxm::UdpDst, 0), 2),
            CopyField::new((Oxm::UdpSrc, 0), (Oxm::UdpDst, 0), 16),
            CopyField::new((Oxm::EthSrc, 0), (Oxm::EthDst, 0), 3),
            CopyField::new((Oxm::Ipv4Src, 0), (Oxm::Reg0, 0), 32),
            CopyField::new((Oxm::UdpDst, 0), (Oxm::Reg0, 0), 16),
            CopyField::new((Oxm::ArpSpa, 0), (Oxm::Reg0, 0), 32),
        ]).prop_filter_map("bits that are there", |copy| copy.ok().map(Action::CopyField)),
        1 => (0..2_u8).prop_map(|table| Action::Resubmit { port: PortNo::IN_PORT, table: TableId(table + 1) }),
    ]
}

pub(super) fn changes(network: bool) -> impl Strategy<Value = FlowMod> {
    (
        0..3_u8,
        0..4_u16,
        matches(network),
        prop::collection::vec(actions(), 0..3),
        prop::collection::vec(actions(), 0..2),
        prop::option::weighted(0.5, 1..3_u8),
        prop::option::weighted(0.2, 0..2_u64),
        (any::<bool>(), 0..8_u8, any::<u16>(), prop::option::weighted(0.2, 1..6_u32)),
    )
        .prop_map(
            |(table, priority, matching, apply, write, goto, metadata, (clear, command, cookie, meter))| {
                let write: Vec<Action> =
                    write.into_iter().filter(|action| !matches!(action, Action::Resubmit { .. })).collect();
                let instructions = Instructions {
                    write,
                    clear,
                    meter: meter.map(MeterId),
                    metadata: metadata.map(|value| MetadataWrite { value, mask: 1 }),
                    goto_table: goto.filter(|goto| *goto > table).map(TableId),
                    ..Instructions::apply(apply)
                };
                let command = match command {
                    0 => FlowModCommand::DeleteStrict,
                    1 => FlowModCommand::Modify,
                    _ => FlowModCommand::Add,
                };
                FlowMod {
                    table: TableId(table),
                    priority,
                    matching,
                    instructions,
                    cookie: u64::from(cookie),
                    ..FlowMod::new(command)
                }
            },
        )
}

/// An entry of table 0.
pub(super) fn entry(priority: u16, matching: Match, port: u32) -> FlowMod {
    FlowMod {
        table: TableId(0),
        priority,
        matching,
        cookie: u64::from(priority),
        instructions: Instructions::apply(vec![Action::output(PortNo(port))]),
        ..FlowMod::new(FlowModCommand::Add)
    }
}

pub(super) fn filtered(filter: u32, class: u32) -> Match {
    let mut matching = Match::any();
    matching.filter = Some(FilterMatch { filter: FilterId(filter), class });
    matching
}

/// Entries of a few masks, so that the bits that keys have stay the same while entries come and go.
pub(super) fn changes_of_few_masks() -> impl Strategy<Value = FlowMod> {
    let udp = || Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17);
    let matching = prop_oneof![
        4 => (0..4_u128).prop_map(|host| Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0000 + host)),
        2 => (0..5_u128).prop_map(move |port| udp().with(Oxm::UdpDst, port)),
        1 => (1..3_u128).prop_map(|station| Match::any().with(Oxm::EthDst, 0x0200_0000_0000 + station)),
        1 => (0..3_u32).prop_map(|class| filtered(2, class).with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0001)),
    ];
    (
        matching,
        1..4_u16,
        prop::collection::vec(actions(), 0..2),
        0..3_u8,
        0..2_u8,
        prop::option::weighted(0.3, Just(TableId(1))),
    )
        .prop_map(|(matching, priority, apply, command, table, goto)| FlowMod {
            table: TableId(table),
            priority,
            matching,
            cookie: u64::from(priority),
            instructions: Instructions {
                goto_table: goto.filter(|_| table == 0),
                ..Instructions::apply(apply)
            },
            ..FlowMod::new(match command {
                0 => FlowModCommand::DeleteStrict,
                1 => FlowModCommand::Modify,
                _ => FlowModCommand::Add,
            })
        })
}

/// One entry of each mask, in both tables, below all others.
pub(super) fn all_masks() -> Vec<FlowMod> {
    let matches = [
        Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0b00_0000),
        Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17).with(Oxm::UdpDst, 99),
        Match::any().with(Oxm::EthDst, 0x0300_0000_0000),
    ];
    let in_both = |matching: &Match| {
        [0, 1].map(|table| FlowMod { table: TableId(table), ..entry(0, matching.clone(), 9) })
    };
    matches.iter().flat_map(in_both).collect()
}
