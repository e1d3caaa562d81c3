//! Every message survives encoding and decoding; no bytes make the decoder panic or accept what it cannot write.
#![allow(clippy::unwrap_used)]

mod support;

use oko_openflow::{Frame, HEADER_LEN, Header, Message, MultipartReply, Version, frame};
use proptest::prelude::*;
use support::{message, multipart_reply};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn decoding_undoes_encoding(message in message(), xid: u32) {
        let bytes = message.encode(xid).unwrap();
        prop_assert_eq!(Header::read(&bytes).unwrap().xid, xid);
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn a_message_cut_off_anywhere_is_not_accepted_as_the_whole(message in message(), xid: u32) {
        let bytes = message.encode(xid).unwrap();
        for end in 0..bytes.len() {
            prop_assert_eq!(frame(&bytes[..end]), if end < HEADER_LEN {
                Frame::Needs(HEADER_LEN - end)
            } else {
                Frame::Needs(bytes.len() - end)
            });
            prop_assert!(Message::decode(&bytes[..end]).is_err());
        }
        prop_assert_eq!(frame(&bytes), Frame::Whole(bytes.len()));
    }

    #[test]
    fn a_message_that_claims_to_end_early_is_an_error_or_another_message(message in message()) {
        let bytes = message.encode(1).unwrap();
        for end in HEADER_LEN..bytes.len() {
            let mut cut = bytes[..end].to_vec();
            cut[2..4].copy_from_slice(&(end as u16).to_be_bytes());
            if let Ok(other) = Message::decode(&cut) {
                prop_assert_ne!(&other, &message);
            }
        }
    }

    #[test]
    fn what_is_accepted_can_be_written_and_read_again(
        message in message(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode(1).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(read) = Message::decode(&bytes) {
            // Names that are not UTF-8 or fill their field to the end change once, and nothing changes twice.
            let written = read.encode(1).unwrap();
            let again = Message::decode(&written).unwrap();
            prop_assert_eq!(again.encode(1).unwrap(), written);
        }
    }

    #[test]
    fn errors_point_into_the_message(message in message(), at: proptest::sample::Index, value: u8) {
        let mut bytes = message.encode(1).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Err(e) = Message::decode(&bytes) {
            prop_assert!(e.offset <= bytes.len(), "{}", e);
        }
    }

    #[test]
    fn noise_is_refused_or_read(ty in 0_u8..32, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![4, ty, 0, (8 + body.len()) as u8, 0, 0, 0, 1];
        bytes[2..4].copy_from_slice(&((8 + body.len()) as u16).to_be_bytes());
        bytes.extend_from_slice(&body);
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn parts_of_a_reply_hold_its_records_in_order(reply in multipart_reply()) {
        let parts = reply.encode_parts(9);
        prop_assert_eq!(parts.len(), 1);
        prop_assert_eq!(Message::decode(&parts[0]), Ok(Message::MultipartReply { more: false, reply }));
    }
}

#[test]
fn a_reply_of_many_flows_is_cut_between_them() {
    let text = "every part but the last says that more follows";
    let stats = |priority| oko_openflow::FlowStats {
        importance: 0,
        table: oko_openflow::TableId(0),
        duration: std::time::Duration::from_secs(1),
        priority,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: Default::default(),
        cookie: 0,
        packets: 0,
        bytes: 0,
        matching: oko_openflow::Match::any().with(oko_openflow::Field::InPort, 1),
        instructions: oko_openflow::Instructions::none(),
    };
    let parts = MultipartReply::Flow((0..5_000).map(stats).collect()).encode_parts(7);
    assert!(parts.len() > 1);
    let mut priorities = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        assert_eq!(Header::read(part).unwrap().xid, 7);
        let Ok(Message::MultipartReply { more, reply: MultipartReply::Flow(flows) }) = Message::decode(part)
        else {
            panic!("not a flow reply")
        };
        assert_eq!(more, i + 1 != parts.len(), "{text}");
        priorities.extend(flows.iter().map(|f| f.priority));
    }
    assert_eq!(priorities, (0..5_000).collect::<Vec<u16>>());
}

/// What a message means in OpenFlow 1.3 it means in later versions, where their form differs, too.
fn newer() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1_4), Just(Version::V1_5)]
}

proptest! {
    #[test]
    fn no_bytes_panic_in_any_version(
        version in prop::sample::select(&Version::SPOKEN[..]),
        ty in 0_u8..36,
        body in prop::collection::vec(any::<u8>(), 0..200),
        zeros in any::<bool>(),
    ) {
        // Half of them with few bits set: those get further.
        let body: Vec<u8> = if zeros { body.iter().map(|b| b & (b >> 4) & 3).collect() } else { body };
        let mut bytes = vec![version.0, ty];
        bytes.extend((8 + body.len() as u16).to_be_bytes());
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(body);
        if let Ok(message) = Message::decode_in(version, &bytes) {
            let _ = message.encode_in(version, 1);
        }
    }

    #[test]
    fn a_damaged_message_is_an_error_or_another_message(
        version in prop::sample::select(&Version::SPOKEN[..]),
        message in message(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let Ok(mut bytes) = message.encode_in(version, 9) else { return Ok(()) };
        if bytes.len() > 8 {
            let at = 8 + at.index(bytes.len() - 8);
            bytes[at] = byte;
            let _ = Message::decode_in(version, &bytes);
        }
    }

    #[test]
    fn messages_survive_newer_versions(version in newer(), message in message()) {
        // What a newer version says otherwise, or has no place for, is not compared here.
        let plain = matches!(
            message,
            Message::FlowMod(_) | Message::GroupMod(_) | Message::PortStatus(_) | Message::PortMod(_)
                | Message::FlowRemoved(_) | Message::MeterMod(_)
        );
        if !plain {
            return Ok(());
        }
        let Ok(bytes) = message.encode_in(version, 9) else { return Ok(()) };
        prop_assert_eq!(Message::decode_in(version, &bytes), Ok(message));
    }
}

mod monitors {
    use oko_openflow::monitor::{FlowUpdate, MonitorCommand, MonitorFlags, MonitorRequest, UpdateEvent};
    use oko_openflow::{
        Action, Field, FlowRemovedReason, GroupId, Instructions, Match, Message, MultipartReply,
        MultipartRequest, PortNo, TableId, Version,
    };
    use proptest::prelude::*;

    fn matching() -> impl Strategy<Value = Match> {
        (any::<bool>(), any::<u16>()).prop_map(|(udp, port)| match udp {
            true => Match::any()
                .with(Field::EthType, 0x0800)
                .with(Field::IpProto, 17)
                .with(Field::UdpDst, port.into()),
            false => Match::any(),
        })
    }

    fn request(version: Version) -> impl Strategy<Value = MonitorRequest> {
        let late = version >= Version::V1_4;
        (any::<[u32; 3]>(), 0..=if late { 0x7f_u16 } else { 0x3f }, any::<u8>(), 0..3_usize, matching())
            .prop_map(move |([id, port, group], flags, table, command, matching)| MonitorRequest {
                id,
                command: match command {
                    1 if late => MonitorCommand::Modify,
                    2 if late => MonitorCommand::Delete,
                    _ => MonitorCommand::Add,
                },
                flags: MonitorFlags::from_bits_truncate(flags),
                out_port: PortNo(port),
                out_group: if late { GroupId(group) } else { GroupId::ANY },
                table: TableId(table),
                matching,
            })
    }

    fn update(version: Version) -> impl Strategy<Value = FlowUpdate> {
        let late = version >= Version::V1_4;
        let does = proptest::option::of(
            any::<u32>().prop_map(|port| Instructions::apply(vec![Action::output(PortNo(port))])),
        );
        let full = (0..4, any::<[u16; 3]>(), any::<u8>(), any::<u64>(), matching(), does).prop_map(
            move |(event, [priority, idle_timeout, hard_timeout], table, cookie, matching, instructions)| {
                FlowUpdate::Full {
                    event: match event {
                        0 if late => UpdateEvent::Initial,
                        1 if late => UpdateEvent::Removed(FlowRemovedReason::Eviction),
                        1 => UpdateEvent::Removed(FlowRemovedReason::HardTimeout),
                        2 => UpdateEvent::Modified,
                        _ => UpdateEvent::Added,
                    },
                    table: TableId(table),
                    priority,
                    idle_timeout,
                    hard_timeout,
                    cookie,
                    matching,
                    instructions,
                }
            },
        );
        let own = any::<u32>().prop_map(|xid| FlowUpdate::Abbrev { xid });
        prop_oneof![4 => full, 1 => own, 1 => Just(if late { FlowUpdate::Paused } else { FlowUpdate::Abbrev { xid: 0 } })]
    }

    proptest! {
        #[test]
        fn they_survive_in_each_version(
            (version, requests, updates) in prop::sample::select(vec![Version::V1_3, Version::V1_4, Version::V1_5])
                .prop_flat_map(|version| {
                    let requests = proptest::collection::vec(request(version), 0..5);
                    (Just(version), requests, proptest::collection::vec(update(version), 0..5))
                }),
        ) {
            let asked = Message::request(MultipartRequest::FlowMonitor(requests));
            prop_assert_eq!(Message::decode_in(version, &asked.encode_in(version, 5).unwrap()), Ok(asked));
            let told = MultipartReply::FlowUpdates(updates);
            let parts = told.encode_parts_in(version, 5);
            let read = Message::decode_in(version, &parts[0]);
            prop_assert_eq!(read, Ok(Message::MultipartReply { more: false, reply: told }));
        }
    }
}
