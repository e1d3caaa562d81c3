//! Random messages, and `ovs-ofctl` as an independent reader.
#![allow(dead_code, clippy::unwrap_used)] // each test binary uses its part; a failed unwrap fails the test

use std::process::Command;
use std::time::Duration;

use oko_openflow::error::ErrorMsg;
use oko_openflow::flow::*;
use oko_openflow::group::*;
use oko_openflow::meter::*;
use oko_openflow::multipart::*;
use oko_openflow::oko::{OkoPart, Operation};
use oko_openflow::oxm::FIELDS;
use oko_openflow::packet::*;
use oko_openflow::port::*;
use oko_openflow::switch::*;
use oko_openflow::table::*;
use oko_openflow::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What `ovs-ofctl ofp-print` says of a message, or nothing (and a loud note) where it is not installed.
pub(crate) fn ofp_print(bytes: &[u8]) -> Option<String> {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    match Command::new("ovs-ofctl").args(["ofp-print", &hex]).output() {
        Ok(out) => {
            Some(String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
        }
        Err(_) => {
            eprintln!("SKIPPED: ovs-ofctl is not installed; nothing was compared");
            None
        }
    }
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

pub(crate) fn match_field() -> impl Strategy<Value = MatchField> {
    (0..FIELDS.len(), any::<u128>(), any::<u128>(), any::<bool>()).prop_map(|(index, value, mask, exact)| {
        let spec = &FIELDS[index];
        let mask = if exact || !spec.maskable { spec.full_mask() } else { mask & spec.full_mask() };
        MatchField::masked(spec.field, value & mask, mask).unwrap()
    })
}

/// Any fields, prerequisites or not: what a switch may report.
pub(crate) fn any_match() -> impl Strategy<Value = Match> {
    (vec(match_field(), 0..8), option::of((any::<u32>(), any::<u32>()))).prop_map(|(fields, filter)| {
        let mut out: Match = fields.into_iter().collect();
        out.filter = filter.map(|(id, class)| FilterMatch { filter: FilterId(id), class });
        out
    })
}

/// A match with prerequisites, as a flow-mod must have.
pub(crate) fn flow_match() -> impl Strategy<Value = Match> {
    any_match().prop_map(|mut m| {
        while let Err(e) = m.check_prerequisites() {
            let Problem::Prerequisite { field, .. } = e.problem else { panic!("{e}") };
            let field = Field::from_name(field).unwrap();
            m = m.fields().iter().copied().filter(|f| f.field() != field).collect::<Match>();
        }
        m
    })
}

fn copy_field() -> impl Strategy<Value = CopyField> {
    let field = || proptest::sample::select(FIELDS).prop_map(|spec| spec.field);
    (field(), field(), any::<[u16; 3]>()).prop_filter_map("a target", |(source, target, [bits, from, to])| {
        let widest = u16::from(source.spec().bits.min(target.spec().bits));
        let bits = bits % widest + 1;
        let offset = |field: Field, offset: u16| (field, offset % (u16::from(field.spec().bits) - bits + 1));
        // Of tcp_flags there is another name before 1.5.
        let renamed = [source, target].contains(&Field::TcpFlags);
        CopyField::new(offset(source, from), offset(target, to), bits).ok().filter(|_| !renamed)
    })
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let set_field = match_field().prop_filter_map("settable", |f| {
        let spec = f.field().spec();
        spec.settable.then(|| Action::SetField(MatchField::exact(f.field(), f.value()).unwrap()))
    });
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(p, max_len)| Action::Output { port: PortNo(p), max_len }),
        Just(Action::CopyTtlOut),
        Just(Action::CopyTtlIn),
        any::<u8>().prop_map(Action::SetMplsTtl),
        Just(Action::DecMplsTtl),
        any::<u16>().prop_map(Action::PushVlan),
        Just(Action::PopVlan),
        any::<u16>().prop_map(Action::PushMpls),
        any::<u16>().prop_map(Action::PopMpls),
        any::<u32>().prop_map(Action::SetQueue),
        any::<u32>().prop_map(|g| Action::Group(GroupId(g))),
        any::<u8>().prop_map(Action::SetNwTtl),
        Just(Action::DecNwTtl),
        set_field,
        copy_field().prop_map(Action::CopyField),
        any::<u16>().prop_map(Action::PushPbb),
        Just(Action::PopPbb),
        (any::<u32>(), (0_usize..3).prop_flat_map(|n| vec(any::<u8>(), n * 8)))
            .prop_map(|(experimenter, data)| Action::Experimenter { experimenter, data }),
    ]
}

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 0..4)
}

pub(crate) fn instructions() -> impl Strategy<Value = Instructions> {
    (
        option::of(any::<u32>().prop_map(MeterId)),
        actions(),
        any::<bool>(),
        actions(),
        option::of((any::<u64>(), any::<u64>()).prop_map(|(value, mask)| MetadataWrite { value, mask })),
        option::of(any::<u8>().prop_map(TableId)),
    )
        .prop_map(|(meter, apply, clear, write, metadata, goto_table)| Instructions {
            meter,
            apply,
            clear,
            write,
            metadata,
            goto_table,
        })
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u32>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s.into(), n))
}

fn buffer() -> impl Strategy<Value = Option<u32>> {
    option::of(0..u32::MAX)
}

fn flow_flags() -> impl Strategy<Value = FlowModFlags> {
    any::<u16>().prop_map(FlowModFlags::from_bits_truncate)
}

pub(crate) fn flow_mod() -> impl Strategy<Value = FlowMod> {
    let command = prop_oneof![
        Just(FlowModCommand::Add),
        Just(FlowModCommand::Modify),
        Just(FlowModCommand::ModifyStrict),
        Just(FlowModCommand::Delete),
        Just(FlowModCommand::DeleteStrict)
    ];
    (
        (command, any::<u64>(), any::<u64>(), any::<u8>(), any::<u16>(), any::<u16>(), any::<u16>()),
        (buffer(), any::<u32>(), any::<u32>(), flow_flags(), flow_match(), instructions()),
    )
        .prop_map(|(a, b)| FlowMod {
            importance: 0,
            command: a.0,
            cookie: a.1,
            cookie_mask: a.2,
            table: TableId(a.3),
            idle_timeout: a.4,
            hard_timeout: a.5,
            priority: a.6,
            buffer: b.0,
            out_port: PortNo(b.1),
            out_group: GroupId(b.2),
            flags: b.3,
            matching: b.4,
            instructions: b.5,
        })
}

fn flow_stats() -> impl Strategy<Value = FlowStats> {
    (
        (any::<u8>(), duration(), any::<u16>(), any::<u16>(), any::<u16>(), flow_flags()),
        (any::<u64>(), any::<u64>(), any::<u64>(), any_match(), instructions()),
    )
        .prop_map(|(a, b)| FlowStats {
            importance: 0,
            table: TableId(a.0),
            duration: a.1,
            priority: a.2,
            idle_timeout: a.3,
            hard_timeout: a.4,
            flags: a.5,
            cookie: b.0,
            packets: b.1,
            bytes: b.2,
            matching: b.3,
            instructions: b.4,
        })
}

fn flow_stats_request() -> impl Strategy<Value = FlowStatsRequest> {
    (any::<u8>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), flow_match()).prop_map(|v| {
        FlowStatsRequest {
            table: TableId(v.0),
            out_port: PortNo(v.1),
            out_group: GroupId(v.2),
            cookie: v.3,
            cookie_mask: v.4,
            matching: v.5,
        }
    })
}

fn port() -> impl Strategy<Value = Port> {
    (any::<u32>(), any::<[u8; 6]>(), "[a-z0-9]{0,15}", any::<[u32; 8]>()).prop_map(|(n, hw, name, v)| Port {
        config: PortConfig::from_bits_retain(v[0]),
        state: PortState::from_bits_retain(v[1]),
        current: PortFeatures::from_bits_retain(v[2]),
        advertised: PortFeatures::from_bits_retain(v[3]),
        supported: PortFeatures::from_bits_retain(v[4]),
        peer: PortFeatures::from_bits_retain(v[5]),
        current_kbps: v[6],
        max_kbps: v[7],
        ..Port::new(PortNo(n), hw, &name)
    })
}

fn port_stats() -> impl Strategy<Value = PortStats> {
    (any::<u32>(), any::<[u64; 12]>(), duration()).prop_map(|(number, c, duration)| PortStats {
        number: PortNo(number),
        rx_packets: c[0],
        tx_packets: c[1],
        rx_bytes: c[2],
        tx_bytes: c[3],
        rx_dropped: c[4],
        tx_dropped: c[5],
        rx_errors: c[6],
        tx_errors: c[7],
        rx_frame_err: c[8],
        rx_over_err: c[9],
        rx_crc_err: c[10],
        collisions: c[11],
        duration,
    })
}

fn counts() -> impl Strategy<Value = Counts> {
    (any::<u64>(), any::<u64>()).prop_map(|(packets, bytes)| Counts { packets, bytes })
}

fn buckets() -> impl Strategy<Value = Vec<Bucket>> {
    let bucket = (any::<u16>(), any::<u32>(), any::<u32>(), actions()).prop_map(|(weight, p, g, actions)| {
        Bucket { id: 0, weight, watch_port: PortNo(p), watch_group: GroupId(g), actions }
    });
    vec(bucket, 0..3).prop_map(|mut buckets| {
        for (id, bucket) in (0..).zip(&mut buckets) {
            bucket.id = id;
        }
        buckets
    })
}

fn group_type() -> impl Strategy<Value = GroupType> {
    prop_oneof![
        Just(GroupType::All),
        Just(GroupType::Select),
        Just(GroupType::Indirect),
        Just(GroupType::FastFailover)
    ]
}

fn bands() -> impl Strategy<Value = Vec<Band>> {
    let action = prop_oneof![
        Just(BandAction::Drop),
        any::<u8>().prop_map(BandAction::DscpRemark),
        any::<u32>().prop_map(BandAction::Experimenter)
    ];
    vec(
        (any::<u32>(), any::<u32>(), action).prop_map(|(rate, burst, action)| Band { rate, burst, action }),
        0..3,
    )
}

fn oxm_ids() -> impl Strategy<Value = Vec<OxmId>> {
    let standard = (0..FIELDS.len(), any::<bool>()).prop_map(|(i, m)| OxmId::standard(FIELDS[i].field, m));
    vec(prop_oneof![9 => standard, 1 => Just(OxmId::filter())], 0..5)
}

fn table_features() -> impl Strategy<Value = TableFeatures> {
    let types = || vec(0_u16..30, 0..5);
    let property = prop_oneof![
        (any::<bool>(), types()).prop_map(|(miss, types)| TableProperty::Instructions { miss, types }),
        (any::<bool>(), vec(any::<u8>().prop_map(TableId), 0..9))
            .prop_map(|(miss, tables)| TableProperty::NextTables { miss, tables }),
        (any::<bool>(), any::<bool>(), types()).prop_map(|(apply, miss, types)| TableProperty::Actions {
            apply,
            miss,
            types
        }),
        oxm_ids().prop_map(TableProperty::Match),
        oxm_ids().prop_map(TableProperty::Wildcards),
        (any::<bool>(), any::<bool>(), oxm_ids())
            .prop_map(|(apply, miss, fields)| TableProperty::SetFields { apply, miss, fields }),
    ];
    (any::<u8>(), "[a-z]{0,31}", any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), vec(property, 0..5))
        .prop_map(|v| TableFeatures {
            table: TableId(v.0),
            name: v.1,
            metadata_match: v.2,
            metadata_write: v.3,
            config: v.4,
            max_entries: v.5,
            properties: v.6,
        })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn multipart_request() -> impl Strategy<Value = MultipartRequest> {
    prop_oneof![
        Just(MultipartRequest::Desc),
        flow_stats_request().prop_map(MultipartRequest::Flow),
        flow_stats_request().prop_map(MultipartRequest::Aggregate),
        Just(MultipartRequest::Table),
        any::<u32>().prop_map(|p| MultipartRequest::PortStats(PortNo(p))),
        (any::<u32>(), any::<u32>())
            .prop_map(|(p, queue)| MultipartRequest::Queue { port: PortNo(p), queue }),
        any::<u32>().prop_map(|g| MultipartRequest::Group(GroupId(g))),
        Just(MultipartRequest::GroupDesc(GroupId::ALL)),
        Just(MultipartRequest::GroupFeatures),
        any::<u32>().prop_map(|m| MultipartRequest::Meter(MeterId(m))),
        any::<u32>().prop_map(|m| MultipartRequest::MeterConfig(MeterId(m))),
        Just(MultipartRequest::MeterFeatures),
        vec(table_features(), 0..3).prop_map(MultipartRequest::TableFeatures),
        Just(MultipartRequest::PortDesc(PortNo::ANY)),
        (any::<u32>(), any::<u32>(), data()).prop_map(|(experimenter, exp_type, data)| {
            MultipartRequest::Experimenter { experimenter, exp_type, data }
        }),
    ]
}

pub(crate) fn multipart_reply() -> impl Strategy<Value = MultipartReply> {
    let texts = vec("[ -~]{0,31}", 5);
    prop_oneof![
        texts.prop_map(|t| MultipartReply::Desc(Desc {
            manufacturer: t[0].clone(),
            hardware: t[1].clone(),
            software: t[2].clone(),
            serial: t[3].clone(),
            datapath: t[4].clone(),
        })),
        vec(flow_stats(), 0..4).prop_map(MultipartReply::Flow),
        (any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(packets, bytes, flows)| {
            MultipartReply::Aggregate(AggregateStats { packets, bytes, flows })
        }),
        vec(
            (any::<u8>(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
                |(t, active, lookups, matched)| TableStats {
                    table: TableId(t),
                    max_entries: 0,
                    active,
                    lookups,
                    matched
                }
            ),
            0..4
        )
        .prop_map(MultipartReply::Table),
        vec(port_stats(), 0..4).prop_map(MultipartReply::PortStats),
        vec(
            (any::<u32>(), any::<u32>(), any::<[u64; 3]>(), duration()).prop_map(
                |(p, queue, c, duration)| {
                    QueueStats {
                        port: PortNo(p),
                        queue,
                        tx_bytes: c[0],
                        tx_packets: c[1],
                        tx_errors: c[2],
                        duration,
                    }
                }
            ),
            0..4
        )
        .prop_map(MultipartReply::Queue),
        vec(
            (any::<u32>(), any::<u32>(), counts(), duration(), vec(counts(), 0..3)).prop_map(
                |(g, ref_count, counts, duration, buckets)| GroupStats {
                    group: GroupId(g),
                    ref_count,
                    counts,
                    duration,
                    buckets
                }
            ),
            0..4
        )
        .prop_map(MultipartReply::Group),
        vec(
            (group_type(), any::<u32>(), buckets()).prop_map(|(ty, g, buckets)| GroupDesc {
                ty,
                group: GroupId(g),
                buckets
            }),
            0..4
        )
        .prop_map(MultipartReply::GroupDesc),
        any::<[u32; 10]>().prop_map(|v| MultipartReply::GroupFeatures(GroupFeatures {
            types: v[0],
            capabilities: GroupCapabilities::from_bits_retain(v[1]),
            max_groups: [v[2], v[3], v[4], v[5]],
            actions: [v[6], v[7], v[8], v[9]],
        })),
        vec(
            (any::<u32>(), any::<u32>(), counts(), duration(), vec(counts(), 0..3)).prop_map(
                |(m, flows, counts, duration, bands)| MeterStats {
                    meter: MeterId(m),
                    flows,
                    counts,
                    duration,
                    bands
                }
            ),
            0..4
        )
        .prop_map(MultipartReply::Meter),
        vec(
            (any::<u16>(), any::<u32>(), bands()).prop_map(|(flags, m, bands)| MeterConfig {
                flags: MeterFlags::from_bits_retain(flags),
                meter: MeterId(m),
                bands
            }),
            0..4
        )
        .prop_map(MultipartReply::MeterConfig),
        (any::<[u32; 3]>(), any::<u8>(), any::<u8>()).prop_map(|(v, max_bands, max_color)| {
            MultipartReply::MeterFeatures(MeterFeatures {
                max_meters: v[0],
                band_types: v[1],
                capabilities: v[2],
                max_bands,
                max_color,
            })
        }),
        vec(table_features(), 0..3).prop_map(MultipartReply::TableFeatures),
        vec(port(), 0..4).prop_map(MultipartReply::PortDesc),
        (any::<u32>(), any::<u32>(), data()).prop_map(|(experimenter, exp_type, data)| {
            MultipartReply::Experimenter { experimenter, exp_type, data }
        }),
    ]
}

fn error_msg() -> impl Strategy<Value = ErrorMsg> {
    prop_oneof![
        (0..0xffff_u16, any::<u16>(), data()).prop_map(|(ty, code, data)| ErrorMsg::Standard {
            ty,
            code,
            data
        }),
        (any::<u16>(), any::<u32>(), data()).prop_map(|(exp_type, experimenter, data)| {
            ErrorMsg::Experimenter { exp_type, experimenter, data }
        }),
    ]
}

fn role() -> impl Strategy<Value = RoleMsg> {
    let role = prop_oneof![Just(Role::NoChange), Just(Role::Equal), Just(Role::Master), Just(Role::Slave)];
    (role, any::<u64>()).prop_map(|(role, generation_id)| RoleMsg { role, generation_id })
}

fn async_config() -> impl Strategy<Value = AsyncConfig> {
    any::<[u32; 6]>().prop_map(|v| AsyncConfig {
        packet_in: [v[0], v[1]],
        port_status: [v[2], v[3]],
        flow_removed: [v[4], v[5]],
    })
}

/// Any message that `Message::encode` can write.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let config = || {
        (any::<u16>(), any::<u16>()).prop_map(|(flags, miss_send_len)| SwitchConfig { flags, miss_send_len })
    };
    let session = prop_oneof![
        (any::<u8>(), option::of(any::<u32>()))
            .prop_map(|(v, bitmap)| Message::Hello(Hello { version: Version(v), bitmap })),
        error_msg().prop_map(Message::Error),
        data().prop_map(Message::EchoRequest),
        data().prop_map(Message::EchoReply),
        (0..Operation::ALL.len(), any::<bool>(), any::<bool>(), data()).prop_map(|(i, reply, more, body)| {
            Message::Oko(OkoPart { operation: Operation::ALL[i], reply, more, body })
        }),
        (0..0x4f4b_4f00_u32, any::<u32>(), data()).prop_map(|(experimenter, exp_type, data)| {
            Message::Experimenter { experimenter, exp_type, data }
        }),
        Just(Message::FeaturesRequest),
        (any::<u64>(), any::<u32>(), any::<u8>(), any::<u8>(), any::<u32>()).prop_map(|v| {
            Message::FeaturesReply(Features {
                ports: Vec::new(),
                datapath_id: v.0,
                n_buffers: v.1,
                n_tables: v.2,
                auxiliary_id: v.3,
                capabilities: Capabilities::from_bits_retain(v.4),
            })
        }),
        Just(Message::GetConfigRequest),
        config().prop_map(Message::GetConfigReply),
        config().prop_map(Message::SetConfig),
        role().prop_map(Message::RoleRequest),
        role().prop_map(Message::RoleReply),
        Just(Message::GetAsyncRequest),
        async_config().prop_map(Message::GetAsyncReply),
        async_config().prop_map(Message::SetAsync),
        Just(Message::BarrierRequest),
        Just(Message::BarrierReply),
    ];
    let packet_reason = prop_oneof![
        Just(PacketInReason::NoMatch),
        Just(PacketInReason::Action),
        Just(PacketInReason::InvalidTtl)
    ];
    let removed_reason = prop_oneof![
        Just(FlowRemovedReason::IdleTimeout),
        Just(FlowRemovedReason::HardTimeout),
        Just(FlowRemovedReason::Delete),
        Just(FlowRemovedReason::GroupDelete)
    ];
    let port_reason = prop_oneof![Just(PortReason::Add), Just(PortReason::Delete), Just(PortReason::Modify)];
    let group_command =
        prop_oneof![Just(GroupModCommand::Add), Just(GroupModCommand::Modify), Just(GroupModCommand::Delete)];
    let meter_command =
        prop_oneof![Just(MeterModCommand::Add), Just(MeterModCommand::Modify), Just(MeterModCommand::Delete)];
    let packets = prop_oneof![
        (buffer(), any::<u16>(), packet_reason, any::<u8>(), any::<u64>(), any_match(), data()).prop_map(
            |v| {
                Message::PacketIn(PacketIn {
                    buffer: v.0,
                    total_len: v.1,
                    reason: v.2,
                    table: TableId(v.3),
                    cookie: v.4,
                    matching: v.5,
                    data: v.6,
                })
            }
        ),
        (buffer(), any::<u32>(), actions(), data()).prop_map(|(buffer, p, actions, data)| {
            Message::PacketOut(PacketOut { buffer, in_port: PortNo(p), actions, data })
        }),
        (
            (any::<u64>(), any::<u16>(), removed_reason, any::<u8>(), duration()),
            (any::<u16>(), any::<u16>(), any::<u64>(), any::<u64>(), any_match())
        )
            .prop_map(|(a, b)| {
                Message::FlowRemoved(FlowRemoved {
                    cookie: a.0,
                    priority: a.1,
                    reason: a.2,
                    table: TableId(a.3),
                    duration: a.4,
                    idle_timeout: b.0,
                    hard_timeout: b.1,
                    packets: b.2,
                    bytes: b.3,
                    matching: b.4,
                })
            }),
        (port_reason, port()).prop_map(|(reason, port)| Message::PortStatus(PortStatus { reason, port })),
    ];
    let changes = prop_oneof![
        4 => flow_mod().prop_map(Message::FlowMod),
        1 => (group_command, group_type(), any::<u32>(), buckets()).prop_map(|(command, ty, g, buckets)| {
            Message::GroupMod(GroupMod { command, ty, group: GroupId(g), buckets })
        }),
        1 => (any::<u32>(), any::<[u8; 6]>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|v| {
            Message::PortMod(PortMod {
                number: PortNo(v.0),
                hw_addr: v.1,
                config: PortConfig::from_bits_retain(v.2),
                mask: PortConfig::from_bits_truncate(v.3),
                advertise: PortFeatures::from_bits_retain(v.4),
            })
        }),
        1 => (any::<u8>(), any::<u32>())
            .prop_map(|(t, config)| Message::TableMod(TableMod { table: TableId(t), config })),
        1 => (meter_command, any::<u16>(), any::<u32>(), bands()).prop_map(|(command, flags, m, bands)| {
            Message::MeterMod(MeterMod {
                command,
                flags: MeterFlags::from_bits_truncate(flags & !2),
                meter: MeterId(m),
                bands,
            })
        }),
        1 => any::<u32>().prop_map(|p| Message::QueueGetConfigRequest(PortNo(p))),
        1 => (any::<u32>(), vec((any::<u32>(), any::<u32>(), data()), 0..3)).prop_map(|(p, queues)| {
            let queues = queues
                .into_iter()
                .map(|(queue, p, properties)| QueueConfig { queue, port: PortNo(p), properties })
                .collect();
            Message::QueueGetConfigReply { port: PortNo(p), queues }
        }),
    ];
    let multipart = prop_oneof![
        (any::<bool>(), multipart_request()).prop_map(|(more, request)| Message::MultipartRequest {
            more,
            request,
            nicira: false
        }),
        (any::<bool>(), multipart_reply()).prop_map(|(more, reply)| Message::MultipartReply { more, reply }),
    ];
    prop_oneof![session, packets, changes, multipart]
}
