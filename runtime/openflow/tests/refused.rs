//! What a switch must refuse, with the code that OpenFlow has for it.
#![allow(clippy::unwrap_used)]

mod support;

use oko_openflow::monitor::{FlowUpdate, UpdateEvent};
use oko_openflow::{
    ErrorCode, ErrorMsg, FlowRemovedReason, Match, Message, MultipartReply, TableId, Version,
};
use support::unhex;

/// A flow-mod: header, 40 bytes of fixed fields, then `rest` (the match and the instructions).
fn flow_mod(rest: &str) -> Vec<u8> {
    let fixed = concat!(
        "0000000000000000", // cookie
        "0000000000000000", // cookie mask
        "00",               // table
        "00",               // ADD
        "0000",
        "0000",
        "8000",
        "ffffffff",
        "ffffffff",
        "ffffffff",
        "0000",
        "0000",
    );
    message(14, &format!("{fixed}{rest}"))
}

fn message(ty: u8, body: &str) -> Vec<u8> {
    let body = unhex(&body.replace(' ', ""));
    let length = (body.len() + 8) as u16;
    let mut bytes = vec![4, ty];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 1]);
    bytes.extend_from_slice(&body);
    bytes
}

#[test]
fn wrong_matches_and_instructions_have_the_code_of_the_specification() {
    let any = "0001000400000000";
    let cases: &[(&str, String, ErrorCode)] = &[
        ("OpenFlow 1.0's match", "0000000400000000".into(), ErrorCode::MatchBadType),
        ("match shorter than its head", "0001000300000000".into(), ErrorCode::MatchBadLen),
        ("match longer than the message", "0001001400000000".into(), ErrorCode::MatchBadLen),
        ("field cut off", "0001000780000000".into(), ErrorCode::MatchBadLen),
        ("field with the wrong width", "0001000980000001 01 00000000000000".into(), ErrorCode::MatchBadLen),
        ("unknown field", "0001000c 8000fe04 00000000 00000000".into(), ErrorCode::MatchBadField),
        ("unknown class", "0001000c 80070004 00000000 00000000".into(), ErrorCode::MatchBadField),
        ("unknown experimenter", "0001000c ffff0204 00002320 00000000".into(), ErrorCode::MatchBadField),
        ("masked in_port", "00010010 80000108 00000001 000000ff".into(), ErrorCode::MatchBadMask),
        (
            "value outside of the mask",
            "00010018 80000510 0000000000000012 0000000000000010 ".into(),
            ErrorCode::MatchBadWildcards,
        ),
        ("vlan_pcp of 8", "00010009 80000e01 08 00000000000000".into(), ErrorCode::MatchBadValue),
        ("tcp_dst without ip_proto", "0001000a 80001c02 0050 000000000000".into(), ErrorCode::MatchBadPrereq),
        (
            "ip_proto without eth_type",
            "00010009 80001401 06 00000000000000".into(),
            ErrorCode::MatchBadPrereq,
        ),
        (
            "in_port twice",
            "00010014 80000004 00000001 80000004 00000002 00000000".into(),
            ErrorCode::MatchDupField,
        ),
        ("filter condition too short", "00010010 ffff0208 4f4b4f00 00000001".into(), ErrorCode::MatchBadLen),
        (
            "two filter conditions",
            format!("00010024 {0}{0} 00000000", "ffff020c4f4b4f000000000100000001"),
            ErrorCode::MatchDupField,
        ),
        ("unknown instruction", format!("{any} 0007000800000000"), ErrorCode::InstructionUnknown),
        ("instruction without length", format!("{any} 0001000000000000"), ErrorCode::InstructionBadLen),
        ("instruction past the end", format!("{any} 0001001000000000"), ErrorCode::InstructionBadLen),
        (
            "goto-table twice",
            format!("{any} 0001000801000000 0001000802000000"),
            ErrorCode::InstructionUnsupported,
        ),
        (
            "experimenter's instruction",
            format!("{any} ffff000800002320"),
            ErrorCode::InstructionBadExperimenter,
        ),
        ("unknown action", format!("{any} 0004001000000000 0063000800000000"), ErrorCode::ActionBadType),
        (
            "action without length",
            format!("{any} 0004001000000000 0000000000000000"),
            ErrorCode::ActionBadLen,
        ),
        ("output too short", format!("{any} 0004001000000000 0000000800000001"), ErrorCode::ActionBadLen),
        ("action past the end", format!("{any} 0004001000000000 0000001000000001"), ErrorCode::ActionBadLen),
        (
            "set-field of in_port",
            format!("{any} 0004001800000000 0019001080000004 0000000100000000"),
            ErrorCode::ActionBadSetType,
        ),
        (
            "set-field with the wrong width",
            format!("{any} 0004001800000000 0019001080001c04 0000005000000000"),
            ErrorCode::ActionBadSetLen,
        ),
        (
            "set-field of a value too large",
            format!("{any} 0004001800000000 0019001080000e01 0900000000000000"),
            ErrorCode::ActionBadSetArgument,
        ),
    ];
    for (what, rest, code) in cases {
        let bytes = flow_mod(&rest.replace(' ', ""));
        let e = Message::decode(&bytes).expect_err(what);
        assert_eq!(e.code, *code, "{what}: {e}");
        let ErrorMsg::Standard { ty, code: wire, data } = e.reply(&bytes) else { panic!("{what}") };
        assert_eq!((ty, wire), code.to_wire(), "{what}");
        assert_eq!(data, bytes[..64.min(bytes.len())], "{what}: the start of the message goes back");
    }
}

#[test]
fn wrong_messages_have_the_code_of_the_specification() {
    let cases: &[(&str, Vec<u8>, ErrorCode)] = &[
        ("unknown type", message(30, ""), ErrorCode::RequestBadType),
        ("features request with a body", message(5, "00"), ErrorCode::RequestBadLen),
        ("flow-mod too short", message(14, "0000"), ErrorCode::RequestBadLen),
        ("unknown multipart", message(18, "0063000000000000"), ErrorCode::RequestBadMultipart),
        ("multipart flags", message(18, "0000000400000000"), ErrorCode::RequestBadMultipart),
        ("unknown operation of ours", message(4, "4f4b4f0000000099 00000000"), ErrorCode::RequestBadExpType),
        ("unknown role", message(24, "0000000900000000 0000000000000000"), ErrorCode::RoleBadRole),
        ("unknown group command", message(15, "0009000000000001"), ErrorCode::GroupBadCommand),
        (
            "packet-out whose actions are longer",
            message(13, "ffffffff 00000001 0100 000000000000"),
            ErrorCode::RequestBadLen,
        ),
    ];
    for (what, bytes, code) in cases {
        let e = Message::decode(bytes).expect_err(what);
        assert_eq!(e.code, *code, "{what}: {e}");
    }
}

#[test]
fn an_error_says_where_and_why() {
    let bytes = flow_mod("00010009 80000e01 08 00000000000000".replace(' ', "").as_str());
    let e = Message::decode(&bytes).unwrap_err();
    assert_eq!(
        e.to_string(),
        "match field, byte 52: dl_vlan_pcp is 0x8, expected no more bits than the field has (OFPBMC_BAD_VALUE)"
    );
    let bytes = flow_mod("0001000a 80001c02 0050 000000000000".replace(' ', "").as_str());
    let e = Message::decode(&bytes).unwrap_err();
    assert_eq!(e.to_string(), "match, byte 48: tcp_dst needs nw_proto=6 (OFPBMC_BAD_PREREQ)");
}

/// Of flow monitors under 1.3, in the ONF's form: numbers that are known only if they lose bits are not known.
#[test]
fn events_and_reasons_beyond_the_known_ones() {
    let told = |update: FlowUpdate| {
        let reply = MultipartReply::FlowUpdates(vec![update]);
        reply.encode_parts_in(Version::V1_3, 1).remove(0)
    };
    let removed = told(FlowUpdate::Full {
        event: UpdateEvent::Removed(FlowRemovedReason::Delete),
        table: TableId(0),
        priority: 1,
        idle_timeout: 0,
        hard_timeout: 0,
        cookie: 0,
        matching: Match::any(),
        instructions: None,
    });
    let own = told(FlowUpdate::Abbrev { xid: 7 });
    // Behind the multipart header and that of the experimenter: length, event, reason.
    let record = own.len() - 8;
    for (mut bytes, at, value) in
        [(own.clone(), record + 2, 0xffff_u16), (own, record + 2, 4), (removed, record + 4, 0x0102)]
    {
        assert!(Message::decode_in(Version::V1_3, &bytes).is_ok());
        bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        let error = Message::decode_in(Version::V1_3, &bytes).unwrap_err();
        assert_eq!(error.code, ErrorCode::RequestBadType, "{error}");
    }
}
