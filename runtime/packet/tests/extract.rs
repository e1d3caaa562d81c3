//! Frames of each protocol, whole, cut off and malformed, and the fields that they give.

use oko_packet::{Field, FlowKey, extract};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

const MACS: &str = "020000000002 020000000001";
const IPV4_TCP: &str = "0800 4500003000004000 40060000 0a000001 c0000207 0fa00050 00000001 00000000 70020400 00000000 020405b4 01030307";
const IPV6: &str =
    "86dd 6ab12345 0014 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002";
const TCP: &str = "0fa00050 00000001 00000000 50120400 00000000";

fn key(parts: &[&str]) -> FlowKey {
    extract(&bytes(&parts.concat()), 7).key
}

/// Exactly these fields beside port, addresses and type of Ethernet are not 0.
#[track_caller]
fn expect(parts: &[&str], eth_type: u128, fields: &[(Field, u128)]) {
    let mut expected = FlowKey::ZERO;
    expected.set(Field::IN_PORT, 7);
    expected.set(Field::ETH_DST, 0x0200_0000_0002);
    expected.set(Field::ETH_SRC, 0x0200_0000_0001);
    expected.set(Field::ETH_TYPE, eth_type);
    for (field, value) in fields {
        expected.set(*field, *value);
    }
    assert_eq!(key(parts), expected);
}

const IPV4_FIELDS: &[(Field, u128)] =
    &[(Field::IP_PROTO, 6), (Field::IPV4_SRC, 0x0a00_0001), (Field::IPV4_DST, 0xc000_0207)];
const PORTS: &[(Field, u128)] = &[(Field::L4_SRC, 4000), (Field::L4_DST, 80)];

#[test]
fn tcp_over_ipv4() {
    expect(&[MACS, IPV4_TCP], 0x800, &[IPV4_FIELDS, PORTS, &[(Field::TCP_FLAGS, 2)]].concat());
    let extracted = extract(&bytes(&[MACS, IPV4_TCP].concat()), 7);
    assert_eq!((extracted.l3, extracted.l4), (Some(14), Some(34)));
}

#[test]
fn the_outermost_vlan_tag_counts_and_the_type_is_that_behind_the_last() {
    let fields =
        [IPV4_FIELDS, PORTS, &[(Field::TCP_FLAGS, 2), (Field::VLAN_VID, 0x1064), (Field::VLAN_PCP, 5)]]
            .concat();
    expect(&[MACS, "8100 a064", IPV4_TCP], 0x800, &fields);
    expect(&[MACS, "88a8 a064 8100 0007", IPV4_TCP], 0x800, &fields);
}

#[test]
fn a_tag_that_is_cut_off_leaves_its_type() {
    expect(&[MACS, "8100 a0"], 0x8100, &[]);
}

#[test]
fn later_fragments_have_no_ports() {
    let first = IPV4_TCP.replace("00004000", "00002000");
    expect(
        &[MACS, &first],
        0x800,
        &[IPV4_FIELDS, PORTS, &[(Field::TCP_FLAGS, 2), (Field::IP_FRAG, 1)]].concat(),
    );
    let later = IPV4_TCP.replace("00004000", "00002001");
    expect(&[MACS, &later], 0x800, &[IPV4_FIELDS, &[(Field::IP_FRAG, 3)]].concat());
}

#[test]
fn wrong_ipv4_headers_give_no_fields() {
    for (what, wrong) in
        [("version", "0800 5500"), ("header length", "0800 4400"), ("options beyond the frame", "0800 4f00")]
    {
        let frame = IPV4_TCP.replace("0800 4500", wrong);
        assert_eq!(key(&[MACS, &frame]).get(Field::IP_PROTO), 0, "{what}");
    }
    let short_total = IPV4_TCP.replace("45000030", "45000013");
    assert_eq!(key(&[MACS, &short_total]).get(Field::IP_PROTO), 0);
}

#[test]
fn ethernet_padding_is_not_a_transport_header() {
    let header_only = IPV4_TCP.replace("45000030", "45000014");
    expect(&[MACS, &header_only], 0x800, IPV4_FIELDS);
}

#[test]
fn ipv6_and_its_extension_headers() {
    let addresses: &[(Field, u128)] = &[
        (Field::IPV6_SRC, 0x2001_0db8_0000_0000_0000_0000_0000_0001),
        (Field::IPV6_DST, 0x2001_0db8_0000_0000_0000_0000_0000_0002),
        (Field::IPV6_FLABEL, 0x12345),
        (Field::IP_DSCP, 0x2a),
        (Field::IP_ECN, 3),
        (Field::IP_PROTO, 6),
    ];
    let syn_ack = &[(Field::TCP_FLAGS, 0x12)];
    expect(&[MACS, IPV6, TCP], 0x86dd, &[addresses, PORTS, syn_ack].concat());
    let hop_by_hop = IPV6.replace("0014 06", "001c 00");
    expect(
        &[MACS, &hop_by_hop, "06 00 0104 00000000", TCP],
        0x86dd,
        &[addresses, PORTS, syn_ack, &[(Field::IPV6_EXTHDR, 1 << 6)]].concat(),
    );
    let fragment = IPV6.replace("0014 06", "001c 2c");
    expect(
        &[MACS, &fragment, "06 00 0008 00000001", TCP],
        0x86dd,
        &[addresses, &[(Field::IPV6_EXTHDR, 1 << 4), (Field::IP_FRAG, 3)]].concat(),
    );
}

#[test]
fn neighbour_solicitation() {
    let ip = IPV6.replace("0014 06", "0020 3a");
    let nd = "87 00 0000 00000000 fe800000000000000000000000000009 0101 020000000001";
    let key = key(&[MACS, &ip, nd]);
    assert_eq!(key.get(Field::L4_SRC), 135);
    assert_eq!(key.get(Field::ND_TARGET), 0xfe80_0000_0000_0000_0000_0000_0000_0009);
    assert_eq!(key.get(Field::ND_SLL), 0x0200_0000_0001);
}

#[test]
fn arp_mpls_pbb_udp_icmp_and_snap() {
    expect(
        &[MACS, "0806 0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002"],
        0x806,
        &[
            (Field::ARP_OP, 2),
            (Field::ND_SLL, 0x0200_0000_0001),
            (Field::IPV4_SRC, 0x0a00_0001),
            (Field::ND_TLL, 0x0200_0000_0002),
            (Field::IPV4_DST, 0x0a00_0002),
        ],
    );
    expect(
        &[MACS, "8847 000647ff"],
        0x8847,
        &[(Field::MPLS_LABEL, 100), (Field::MPLS_TC, 3), (Field::MPLS_BOS, 1)],
    );
    expect(&[MACS, "88e7 00abcdef"], 0x88e7, &[(Field::PBB_ISID, 0xab_cdef)]);
    let udp = "0800 4500001c00004000 40110000 0a000001 c0000207 14e9003500080000";
    assert_eq!(key(&[MACS, udp]).get(Field::L4_DST), 53);
    let ping = "0800 4500001c00004000 40010000 0a000001 c0000207 0800000000010001";
    assert_eq!(key(&[MACS, ping]).get(Field::L4_SRC), 8);
    expect(&[MACS, "0008 aaaa03 000000 0842"], 0x842, &[]);
    expect(&[MACS, "0004 42420300"], 0x5ff, &[]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(frame in prop::collection::vec(any::<u8>(), 0..128), at in 0usize..128) {
        extract(&frame, 1);
        // The same behind a plausible start, so that deeper headers are reached.
        for start in [IPV4_TCP, IPV6] {
            let mut bytes = bytes(&[MACS, start].concat());
            bytes.truncate(at);
            bytes.extend(&frame);
            extract(&bytes, 1);
        }
    }
}
