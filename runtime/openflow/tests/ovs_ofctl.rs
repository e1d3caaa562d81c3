//! `ovs-ofctl ofp-print` reads what we write as we mean it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use oko_openflow::flow::{AggregateStats, FlowStatsRequest};
use oko_openflow::group::{Bucket, GroupMod, GroupModCommand, GroupType};
use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::oko::{OkoError, OkoErrorCode, Request};
use oko_openflow::switch::{AsyncConfig, Capabilities, Desc, Features, Role, RoleMsg, SwitchConfig};
use oko_openflow::table::TableStats;
use oko_openflow::*;
use support::ofp_print;

fn tcp_match() -> Match {
    Match::any()
        .with(Field::InPort, 1)
        .with(Field::EthType, 0x0800)
        .with(Field::IpProto, 6)
        .with(Field::TcpDst, 80)
        .masked(Field::Ipv4Src, 0x0a00_0000, 0xff00_0000)
}

trait Masked {
    fn masked(self, field: Field, value: u128, mask: u128) -> Self;
}

impl Masked for Match {
    fn masked(mut self, field: Field, value: u128, mask: u128) -> Match {
        self.set(MatchField::masked(field, value, mask).unwrap());
        self
    }
}

fn flow_mod() -> FlowMod {
    FlowMod {
        cookie: 0x1234,
        table: TableId(2),
        idle_timeout: 60,
        hard_timeout: 600,
        priority: 100,
        flags: FlowModFlags::SEND_FLOW_REM,
        matching: tcp_match(),
        instructions: Instructions {
            meter: Some(MeterId(4)),
            apply: vec![
                Action::PushVlan(0x8100),
                Action::SetField(MatchField::exact(Field::VlanVid, 0x1007).unwrap()),
                Action::SetField(MatchField::exact(Field::EthDst, 0x0200_0000_0001).unwrap()),
                Action::DecNwTtl,
                Action::output(PortNo(3)),
                Action::Output { port: PortNo::CONTROLLER, max_len: 128 },
            ],
            clear: true,
            write: vec![Action::Group(GroupId(9)), Action::SetQueue(1)],
            metadata: Some(MetadataWrite { value: 0x10, mask: 0xff }),
            goto_table: Some(TableId(5)),
        },
        ..FlowMod::new(FlowModCommand::Add)
    }
}

fn port(n: u32) -> Port {
    Port { current_kbps: 10_000_000, ..Port::new(PortNo(n), [2, 0, 0, 0, 0, n as u8], &format!("p{n}")) }
}

fn flow_stats() -> FlowStats {
    FlowStats {
        importance: 0,
        table: TableId(0),
        duration: Duration::from_millis(1_500),
        priority: 7,
        idle_timeout: 0,
        hard_timeout: 30,
        flags: FlowModFlags::empty(),
        cookie: 5,
        packets: 10,
        bytes: 600,
        matching: Match::any().with(Field::EthType, 0x86dd).masked(
            Field::Ipv6Dst,
            0x2001_0db8 << 96,
            u128::MAX << 96,
        ),
        instructions: Instructions::none(),
    }
}

/// A message and what must be in the print of it.
fn messages() -> Vec<(Message, Vec<&'static str>)> {
    let reply = |reply| Message::MultipartReply { more: false, reply };
    vec![
        (Message::Hello(Hello::of(&[Version::V1_3])), vec!["OFPT_HELLO (OF1.3)", "version bitmap: 0x04"]),
        (Message::EchoRequest(vec![1, 2, 3]), vec!["OFPT_ECHO_REQUEST", "3 bytes of payload"]),
        (
            Message::Error(ErrorMsg::new(ErrorCode::MatchBadPrereq, &[4, 0, 0, 8, 0, 0, 0, 1])),
            vec!["OFPT_ERROR", "OFPBMC_BAD_PREREQ"],
        ),
        (
            Message::FeaturesReply(Features {
                ports: Vec::new(),
                datapath_id: 0xabc,
                n_buffers: 0,
                n_tables: 16,
                auxiliary_id: 0,
                capabilities: Capabilities::FLOW_STATS | Capabilities::PORT_STATS,
            }),
            vec!["dpid:0000000000000abc", "n_tables:16, n_buffers:0", "capabilities: FLOW_STATS PORT_STATS"],
        ),
        (
            Message::SetConfig(SwitchConfig { flags: 1, miss_send_len: 128 }),
            vec!["OFPT_SET_CONFIG", "frags=drop", "miss_send_len=128"],
        ),
        (
            Message::FlowMod(flow_mod()),
            vec![
                "ADD table:2 priority=100,tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80 cookie:0x1234 idle:60 hard:600",
                "send_flow_rem actions=meter:4,push_vlan:0x8100,set_field:4103->vlan_vid,\
                 set_field:02:00:00:00:00:01->eth_dst,dec_ttl,output:3,CONTROLLER:128,clear_actions,\
                 write_actions(group:9,set_queue:1),write_metadata:0x10/0xff,goto_table:5",
            ],
        ),
        (
            Message::FlowMod(FlowMod { out_port: PortNo(4), ..FlowMod::new(FlowModCommand::Delete) }),
            vec!["DEL table:255", "out_port:4"],
        ),
        (
            Message::PacketOut(PacketOut {
                buffer: None,
                in_port: PortNo::CONTROLLER,
                actions: vec![Action::output(PortNo::FLOOD)],
                data: vec![0; 60],
            }),
            vec!["OFPT_PACKET_OUT", "in_port=CONTROLLER actions=FLOOD data_len=60"],
        ),
        (
            Message::PacketIn(PacketIn {
                buffer: None,
                total_len: 60,
                reason: PacketInReason::Action,
                table: TableId(3),
                cookie: 0x77,
                matching: Match::any().with(Field::InPort, 6),
                data: vec![0; 60],
            }),
            vec!["OFPT_PACKET_IN", "table_id=3 cookie=0x77 total_len=60 in_port=6 (via action)"],
        ),
        (
            Message::FlowRemoved(FlowRemoved {
                cookie: 3,
                priority: 9,
                reason: FlowRemovedReason::IdleTimeout,
                table: TableId(1),
                duration: Duration::from_millis(12_250),
                idle_timeout: 10,
                hard_timeout: 0,
                packets: 4,
                bytes: 256,
                matching: tcp_match(),
            }),
            vec![
                "priority=9,tcp,in_port=1",
                "reason=idle table_id=1 cookie:0x3 duration12.250s idle10 pkts4 bytes256",
            ],
        ),
        (
            Message::PortStatus(PortStatus { reason: port::PortReason::Add, port: port(3) }),
            vec!["OFPT_PORT_STATUS", "ADD", "3(p3): addr:02:00:00:00:00:03", "speed: 10000 Mbps now"],
        ),
        (
            Message::GroupMod(GroupMod {
                command: GroupModCommand::Add,
                ty: GroupType::Select,
                group: GroupId(4),
                buckets: vec![Bucket {
                    id: 0,
                    weight: 100,
                    watch_port: PortNo::ANY,
                    watch_group: GroupId::ANY,
                    actions: vec![Action::output(PortNo(1))],
                }],
            }),
            vec!["ADD group_id=4,type=select,bucket=", "weight:100", "actions=output:1"],
        ),
        (
            Message::MeterMod(MeterMod {
                command: MeterModCommand::Add,
                flags: MeterFlags::PKTPS | MeterFlags::BURST,
                meter: MeterId(5),
                bands: vec![Band { rate: 1_000, burst: 50, action: BandAction::Drop }],
            }),
            vec!["ADD meter=5 pktps burst bands=", "type=drop rate=1000 burst_size=50"],
        ),
        (
            Message::RoleRequest(RoleMsg { role: Role::Master, generation_id: 7 }),
            vec!["OFPT_ROLE_REQUEST", "role=primary generation_id=7"],
        ),
        (Message::SetAsync(AsyncConfig::default()), vec!["OFPT_SET_ASYNC", "PACKET_IN: no_match action"]),
        (Message::BarrierRequest, vec!["OFPT_BARRIER_REQUEST (OF1.3)"]),
        (
            Message::request(MultipartRequest::Flow(FlowStatsRequest {
                table: TableId(0),
                matching: tcp_match(),
                ..FlowStatsRequest::default()
            })),
            vec!["OFPST_FLOW request", "table=0 tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80"],
        ),
        (
            Message::request(MultipartRequest::PortStats(PortNo::ANY)),
            vec!["OFPST_PORT request", "port_no=ANY"],
        ),
        (
            reply(MultipartReply::Flow(vec![flow_stats()])),
            vec![
                "cookie=0x5, duration=1.500s, table=0, n_packets=10, n_bytes=600, hard_timeout=30, \
                 priority=7,ipv6,ipv6_dst=2001:db8::/32 actions=drop",
            ],
        ),
        (
            reply(MultipartReply::Aggregate(AggregateStats { packets: 3, bytes: 180, flows: 2 })),
            vec!["packet_count=3 byte_count=180 flow_count=2"],
        ),
        (
            reply(MultipartReply::Table(vec![TableStats {
                max_entries: 0,
                table: TableId(0),
                active: 12,
                lookups: 100,
                matched: 90,
            }])),
            vec!["table 0", "active=12, lookup=100, matched=90"],
        ),
        (
            reply(MultipartReply::PortStats(vec![PortStats {
                rx_packets: 1,
                rx_bytes: 60,
                ..PortStats::unsupported(PortNo(2))
            }])),
            vec!["port  2: rx pkts=1, bytes=60, drop=?"],
        ),
        (
            reply(MultipartReply::PortDesc(vec![port(1), port(2)])),
            vec!["1(p1): addr:02:00:00:00:00:01", "2(p2)"],
        ),
        (
            reply(MultipartReply::Desc(Desc {
                manufacturer: "Oko".to_owned(),
                software: "0.1".to_owned(),
                ..Desc::default()
            })),
            vec!["Manufacturer: Oko", "Software: 0.1"],
        ),
        (
            reply(MultipartReply::TableFeatures(vec![table::TableFeatures {
                table: TableId(0),
                name: "classifier".to_owned(),
                metadata_match: u64::MAX,
                metadata_write: u64::MAX,
                config: 0,
                max_entries: 1_000,
                properties: vec![
                    table::TableProperty::Instructions { miss: false, types: vec![1, 4] },
                    table::TableProperty::NextTables { miss: false, tables: vec![TableId(1), TableId(2)] },
                    table::TableProperty::Actions { apply: false, miss: false, types: vec![0] },
                    table::TableProperty::Actions { apply: true, miss: false, types: vec![0] },
                    table::TableProperty::Match(vec![table::OxmId::standard(Field::EthDst, true)]),
                    table::TableProperty::Wildcards(vec![table::OxmId::standard(Field::EthDst, false)]),
                    table::TableProperty::SetFields { apply: false, miss: false, fields: vec![] },
                    table::TableProperty::SetFields { apply: true, miss: false, fields: vec![] },
                ],
            }])),
            vec!["table 0 (\"classifier\")", "max_entries=1000", "next tables: 1-2", "eth_dst"],
        ),
    ]
}

#[test]
fn ofp_print_reads_what_was_meant() {
    for (message, wanted) in messages() {
        let bytes = message.encode(1).unwrap();
        let Some(printed) = ofp_print(&bytes) else { return };
        assert!(!printed.contains("decode error"), "{}: {printed}", message.name());
        for part in wanted {
            assert!(printed.contains(part), "{}: no {part:?} in\n{printed}", message.name());
        }
    }
}

#[test]
fn our_own_messages_are_well_formed_experimenter_messages() {
    for message in Request::List.to_messages() {
        let Some(printed) = ofp_print(&message.encode(1).unwrap()) else { return };
        assert!(
            printed.contains("unknown vendor 0x4f4b4f00"),
            "an unknown vendor, not a bad length: {printed}"
        );
    }
    let error = OkoError::new(OkoErrorCode::NoSuchFilter, "no filter \"a\"").to_message();
    let Some(printed) = ofp_print(&Message::Error(error).encode(1).unwrap()) else { return };
    assert!(printed.contains("OFPT_ERROR (OF1.3) (xid=0x1)"), "{printed}");
}
