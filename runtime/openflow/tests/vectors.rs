//! Messages collected by Open vSwitch: what we read of them, Open vSwitch reads of what we write again.
#![allow(clippy::unwrap_used)]

mod support;

use oko_openflow::{ErrorCode, Header, Message, Version};
use serde::Deserialize;
use support::{ofp_print, unhex};

#[derive(Deserialize)]
struct Vector {
    title: String,
    hex: String,
}

fn vectors() -> Vec<Vector> {
    include_str!("data/ovs-vectors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The OpenFlow 1.3 messages that a switch must refuse, and as what.
const REFUSED: &[(&str, ErrorCode)] = &[
    ("OFPT_METER_MOD request - bad band - OF1.3", ErrorCode::MeterBadBand),
    ("OFPT_METER_MOD request - bad flags - OF1.3", ErrorCode::MeterBadFlags),
];

#[test]
fn messages_of_open_vswitch_keep_their_meaning() {
    let mut read = 0;
    for Vector { title, hex } in vectors() {
        let bytes = unhex(&hex);
        let header = Header::read(&bytes).unwrap();
        let result = Message::decode(&bytes);
        if usize::from(header.length) != bytes.len() {
            assert_eq!(result.unwrap_err().code, ErrorCode::RequestBadLen, "{title}");
            continue;
        }
        if header.ty != 0 && header.version != Version::V1_3 {
            assert_eq!(result.unwrap_err().code, ErrorCode::RequestBadVersion, "{title}");
            continue;
        }
        if let Some((_, code)) = REFUSED.iter().find(|(refused, _)| *refused == title) {
            assert_eq!(result.unwrap_err().code, *code, "{title}");
            continue;
        }
        let message = result.unwrap_or_else(|e| panic!("{title}: {e}"));
        read += 1;
        if header.ty == 0 {
            continue; // hellos are not written back as they came: unknown elements are dropped
        }
        let written = message.encode(header.xid).unwrap();
        if written != bytes {
            let Some(ours) = ofp_print(&written) else { return };
            let theirs = ofp_print(&bytes).unwrap();
            assert_eq!(ours, theirs, "{title}");
        }
    }
    assert_eq!(read, 28, "the messages of version 1.3 and the hellos of the file");
}

/// Messages that Open vSwitch's file has of other versions and that a client sends: what we read of them is a message, whatever it is
/// about, and what we write in the same version Open vSwitch reads.
#[test]
fn messages_of_other_versions_are_read_and_written() {
    let mut written = 0;
    for Vector { title, hex } in vectors() {
        let bytes = unhex(&hex);
        let header = Header::read(&bytes).unwrap();
        let others = [Version::V1_0, Version::V1_4, Version::V1_5];
        if header.ty == 0 || !others.contains(&header.version) || usize::from(header.length) != bytes.len() {
            continue;
        }
        let Ok(message) = Message::decode_in(header.version, &bytes) else { continue };
        let ours = message.encode_in(header.version, header.xid).unwrap();
        if ours.is_empty() {
            // Under OpenFlow 1.0 only what a switch sends is written.
            continue;
        }
        assert!(
            header.version == Version::V1_0 || Message::decode_in(header.version, &ours).is_ok(),
            "{title}"
        );
        let Some(printed) = ofp_print(&ours) else { return };
        assert!(!printed.contains("decode error"), "{title}: {printed}");
        written += 1;
    }
    assert!(written >= 30, "{written}");
}
