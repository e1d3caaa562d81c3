//! What tshark says of the packets of `examples/captures/headers.pcap` holds in Oko, and all of it falls away with the packet's end.

mod support;

use support::{Machine, SECOND};

/// The packets of a capture with little-endian numbers, which is what scapy writes.
fn packets(bytes: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a little-endian capture");
    let mut rest = &bytes[24..];
    let mut found = Vec::new();
    while rest.len() > 16 {
        let len = u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        found.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    found
}

#[test]
fn tshark_and_oko_read_the_same() {
    let folder = format!("{}/../../examples/captures", env!("CARGO_MANIFEST_DIR"));
    let packets = packets(&std::fs::read(format!("{folder}/headers.pcap")).expect("the capture"));
    let facts = std::fs::read_to_string(format!("{folder}/headers.txt")).expect("what tshark says");
    let mut of_packet: Vec<(usize, &str, Vec<&str>)> = Vec::new();
    for line in facts.lines() {
        let mut parts = line.split('\t');
        let mut part = || parts.next().expect("three parts");
        let (at, arm, fact) = (part().parse().expect("a number"), part(), part());
        match of_packet.last_mut() {
            Some((known, _, facts)) if *known == at => facts.push(fact),
            _ => of_packet.push((at, arm, vec![fact])),
        }
    }
    assert_eq!(of_packet.len(), packets.len(), "each packet has facts");
    for (at, arm, facts) in of_packet {
        let names: std::collections::BTreeSet<&str> =
            arm.split('/').map(|layer| layer.split_whitespace().next().expect("a header")).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let filter = |condition: &str| {
            format!(
                "use std.net.{{{}}}; filter f -> bool {{ match pkt {{ {arm} => {condition}, _ => false }} }}",
                names.join(", ")
            )
        };
        let all = facts.iter().map(|fact| format!("({fact})")).collect::<Vec<_>>().join(" and ");
        if !Machine::new(&filter(&all)).matches(&packets[at], SECOND) {
            // Which one?
            assert!(Machine::new(&filter("true")).matches(&packets[at], SECOND), "packet {at} is no {arm}");
            for fact in &facts {
                let holds = Machine::new(&filter(fact)).matches(&packets[at], SECOND);
                assert!(holds, "packet {at}, {arm}: {fact}");
            }
        }
        assert!(!Machine::new(&filter("true")).matches(&packets[at][..15], SECOND), "packet {at}, cut");
    }
}
