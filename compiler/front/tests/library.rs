//! The standard library: which headers stand behind one another, and what a filter costs.

mod support;

use support::packets::{A, B, Ipv4, SYN, ethernet, tcp};
use support::{Machine, SECOND};

fn matches(filter: &str, packet: &[u8]) -> bool {
    Machine::new(filter).matches(packet, SECOND)
}

/// Whether the arm matches and its answer is true.
fn arm(arm: &str, packet: &[u8]) -> bool {
    let filter = format!(
        "use std.net.{{{}}}; filter f -> bool {{ match pkt {{ {arm}, _ => false }} }}",
        ALL.join(", ")
    );
    matches(&filter, packet)
}

const ALL: &[&str] = &[
    "ethernet",
    "vlan",
    "mpls",
    "arp",
    "ipv4",
    "ipv6",
    "ip",
    "hop_by_hop",
    "destination",
    "routing",
    "fragment",
    "ah",
    "esp",
    "icmp",
    "icmp6",
    "echo",
    "router_advertisement",
    "neighbor_solicitation",
    "neighbor_advertisement",
    "link_address",
    "tcp",
    "udp",
    "sctp",
    "l4",
    "gre",
    "vxlan",
    "geneve",
    "gtpu",
    "dns",
    "quic",
    "tcp_flags",
    "session",
    "flow",
];

/// An IPv6 packet behind Ethernet: the first next header, and what follows.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, payload.len() as u8, next, 64]);
    frame.extend(1u128.to_be_bytes());
    frame.extend(2u128.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An extension header of the common format.
fn extension(next: u8, units: u8) -> Vec<u8> {
    let mut bytes = vec![next, units];
    bytes.resize(8 + usize::from(units) * 8, 0);
    bytes
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const WEB: &str = "ip / tcp => tcp.dst_port == 80";

#[test]
fn extension_headers_of_ipv6_are_passed_over() {
    let tcp = tcp(4000, 80, SYN);
    assert!(arm(WEB, &ipv6(6, &tcp)));
    for (what, first, payload) in [
        ("hop-by-hop", 0, concat(&[&extension(6, 0), &tcp])),
        ("long hop-by-hop", 0, concat(&[&extension(6, 3), &tcp])),
        ("destination", 60, concat(&[&extension(6, 1), &tcp])),
        ("routing", 43, concat(&[&extension(6, 2), &tcp])),
        ("fragment", 44, concat(&[&[6, 0, 0, 1, 0, 0, 0, 9], tcp.as_slice()])),
        ("authentication", 51, concat(&[&[6, 4, 0, 0], &[0; 20], tcp.as_slice()])),
        (
            "all",
            0,
            concat(&[
                &extension(60, 1),
                &extension(43, 0),
                &extension(44, 2),
                &[51, 0, 0, 1, 0, 0, 0, 9],
                &[6, 1, 0, 0],
                &[0; 8],
                &tcp,
            ]),
        ),
    ] {
        let frame = ipv6(first, &payload);
        assert!(arm(WEB, &frame), "{what}");
        assert!(arm("ipv6 / l4 => l4.dst_port == 80", &frame), "{what}");
        assert!(arm("tcp => tcp.dst_port == 80", &frame), "{what}");
        assert!(!arm(WEB, &frame[..frame.len() - 1]), "{what}, cut");
    }
}

#[test]
fn at_most_six_extension_headers_stand_in_a_row() {
    let chain = |count: usize| {
        let mut payload = Vec::new();
        for at in 0..count {
            payload.extend(extension(if at + 1 == count { 6 } else { 60 }, 0));
        }
        payload.extend(tcp(4000, 80, SYN));
        ipv6(60, &payload)
    };
    let found: Vec<bool> = (1..9).map(|count| arm(WEB, &chain(count))).collect();
    assert_eq!(found, [true, true, true, true, true, true, false, false]);
    // Without a loop, because an arm names one of them.
    let named = "destination / tcp => tcp.dst_port == 80";
    let found: Vec<bool> = (1..9).map(|count| arm(named, &chain(count))).collect();
    assert_eq!(found, [true, true, true, true, true, true, false, false]);
}

#[test]
fn a_later_fragment_is_never_tcp() {
    let tcp = tcp(4000, 80, SYN);
    let fragment = |offset: u16, more: u8| {
        let field = (offset << 3 | u16::from(more)).to_be_bytes();
        ipv6(44, &concat(&[&[6, 0], &field, &[0, 0, 0, 9], &tcp]))
    };
    assert!(arm(WEB, &fragment(0, 1)));
    assert!(!arm(WEB, &fragment(1, 1)));
    assert!(!arm(WEB, &fragment(1, 0)));
    assert!(!arm(WEB, &fragment(0x1000, 0)));
    assert!(arm(
        "ipv6 / fragment => fragment.frag_offset == 0x1000 and not fragment.more",
        &fragment(0x1000, 0)
    ));
    let hidden = ipv6(0, &concat(&[&extension(44, 0), &[6, 0, 0, 8, 0, 0, 0, 9], &tcp]));
    assert!(!arm(WEB, &hidden), "behind hop-by-hop options");
    let outer = Ipv4 { fragment: 0x0001, ..Ipv4::tcp(A, B, tcp) };
    assert!(!arm(WEB, &outer.frame(0)));
}

#[test]
fn mpls_labels_lead_to_what_looks_like_ip() {
    let stack = |labels: u8, inside: &[u8]| {
        let mut frame = ethernet(0x8847);
        for at in 1..=labels {
            frame.extend([0, 1, at << 4 | u8::from(at == labels), 64]);
        }
        frame.extend(inside);
        frame
    };
    let v4 = Ipv4::tcp(A, B, tcp(4000, 80, SYN)).bytes();
    let v6 = ipv6(6, &tcp(4000, 80, SYN))[14..].to_vec();
    for labels in 1..=10 {
        assert_eq!(arm(WEB, &stack(labels, &v4)), labels <= 8, "{labels} labels");
        assert_eq!(arm(WEB, &stack(labels, &v6)), labels <= 8, "{labels} labels");
    }
    assert!(arm("mpls / ipv4 => mpls.label == 0x13 and mpls.bottom == 1", &stack(3, &v4)));
    assert!(arm("ethernet / mpls => mpls.label == 0x11 and mpls.bottom == 0", &stack(3, &v4)));
    assert!(!arm(WEB, &stack(1, &[0; 60])));
}

/// An IPv4 packet behind Ethernet that carries UDP to this port.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30, 0x39];
    bytes.extend(port.to_be_bytes());
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, bytes) }.frame(0)
}

#[test]
fn arms_look_into_a_tunnel_only_if_they_name_it() {
    let inner = Ipv4::tcp([172, 16, 0, 1], [172, 16, 0, 2], tcp(4000, 80, SYN));
    let vxlan = udp(4789, &concat(&[&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &inner.frame(0)]));
    let tagged = udp(4789, &concat(&[&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &inner.frame(1)]));
    let geneve = udp(6081, &concat(&[&[1, 0, 0x65, 0x58, 0, 0x12, 0x34, 0, 0, 1, 2, 3], &inner.frame(0)]));
    let gre = |options: &[u8], flags: u8| {
        let head = [flags, 0, 8, 0];
        Ipv4 { protocol: 47, ..Ipv4::tcp(A, B, concat(&[&head, options, &inner.bytes()])) }.frame(0)
    };
    let ipip = Ipv4 { protocol: 4, ..Ipv4::tcp(A, B, inner.bytes()) }.frame(0);
    let gtpu = |head: &[u8]| udp(2152, &concat(&[head, &inner.bytes()]));
    let plain = gtpu(&[0x30, 255, 0, 40, 0, 0, 0, 7]);
    let numbered = gtpu(&[0x32, 255, 0, 44, 0, 0, 0, 7, 0, 1, 0, 0x85]);
    let extended = gtpu(&[0x34, 255, 0, 48, 0, 0, 0, 7, 0, 1, 0, 0x85, 1, 0, 9, 0]);
    for (what, arms, frame) in [
        (
            "vxlan",
            "ipv4 as outer / udp / vxlan / ethernet / ipv4 as inner => outer.src == 10.0.0.1 and inner.src == 172.16.0.1 and vxlan.vni == 0x1234",
            &vxlan,
        ),
        (
            "vxlan, short",
            "vxlan / ethernet / ipv4 / tcp => ipv4.src == 172.16.0.1 and tcp.dst_port == 80",
            &vxlan,
        ),
        (
            "vxlan, tagged",
            "vxlan / ethernet / vlan / ip / tcp => vlan.vid == 10 and tcp.dst_port == 80",
            &tagged,
        ),
        ("geneve", "geneve / ethernet / ip / tcp => geneve.vni == 0x1234 and tcp.dst_port == 80", &geneve),
        ("gre", "gre / ip / tcp => tcp.dst_port == 80", &gre(&[], 0)),
        ("gre with a key", "gre / ip / tcp => tcp.dst_port == 80", &gre(&[1, 2, 3, 4], 0x20)),
        ("gre with all", "gre / ip / tcp => tcp.dst_port == 80", &gre(&[0; 12], 0xb0)),
        (
            "ip in ip",
            "ipv4 as outer / ipv4 as inner / tcp => outer.dst == 192.0.2.7 and inner.src == 172.16.0.1",
            &ipip,
        ),
        ("gtp-u", "gtpu / ipv4 as inner / tcp => gtpu.teid == 7 and inner.src == 172.16.0.1", &plain),
        (
            "gtp-u with numbers",
            "gtpu / ipv4 as inner / tcp => gtpu.teid == 7 and inner.src == 172.16.0.1",
            &numbered,
        ),
        (
            "gtp-u of 5G",
            "gtpu / ipv4 as inner / tcp => gtpu.teid == 7 and inner.src == 172.16.0.1",
            &extended,
        ),
    ] {
        assert!(arm(arms, frame), "{what}");
        assert!(!arm("ip / tcp => true", frame), "{what}");
        assert!(!arm("tcp => true", frame), "{what}");
        assert!(arm("ip => ip.src == 10.0.0.1", frame), "{what}");
    }
    assert!(!arm("vxlan / ethernet / ipv4 => true", &tagged), "the tag is not named");
    assert!(!arm("gre / ip => true", &gre(&[], 0x40)), "source routes");
}

#[test]
fn the_first_header_of_its_kind_is_outside_of_tunnels() {
    let inner = Ipv4::tcp([172, 16, 0, 1], [172, 16, 0, 2], tcp(4000, 80, SYN));
    let vxlan = udp(4789, &concat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner.frame(0)]));
    let both = "ip / l4 if l4.dst_port == 80 => false, vxlan / ethernet / ip / l4 => l4.dst_port == 80";
    assert!(arm(both, &vxlan));
    assert!(arm("udp if udp.dst_port == 4789 => true", &vxlan));
}

#[test]
fn fields_of_the_other_headers() {
    let dns = |flags: [u8; 2]| udp(53, &[0x12, 0x34, flags[0], flags[1], 0, 1, 0, 2, 0, 3, 0, 4]);
    assert!(arm(
        "ip / udp / dns => dns.id == 0x1234 and not dns.is_answer and dns.recursion_desired and dns.answers == 2 and dns.additionals == 4",
        &dns([1, 0])
    ));
    assert!(arm(
        "dns => dns.is_answer and dns.rcode == 3 and dns.authentic and dns.opcode == 5",
        &dns([0xa8, 0x23])
    ));
    let initial = [0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    assert!(arm(
        "udp / quic => quic.fixed == 1 and quic.type == 0 and quic.specific == 3 and quic.version == 1 and quic.dst_id_len == 8",
        &udp(443, &initial)
    ));
    let short = [0x43, 0, 0, 0, 1, 8];
    assert!(!arm("udp / quic => true", &udp(443, &short)), "a short header");
    assert!(!arm("udp / quic => true", &udp(444, &initial)), "another port");
    let icmp6 = |bytes: &[u8]| ipv6(58, bytes);
    assert!(arm("icmp6 / echo => echo.id == 7 and echo.sequence == 9", &icmp6(&[128, 0, 0, 0, 0, 7, 0, 9])));
    let target = 0xfe80_u128 << 112 | 1;
    let advertisement = concat(&[&[136, 0, 0, 0, 0xe0, 0, 0, 0], &target.to_be_bytes()]);
    assert!(arm(
        "neighbor_advertisement as n => n.router and n.solicited and n.overrides and n.target == fe80::1",
        &icmp6(&advertisement)
    ));
    let with_option = |kind: u8, option: [u8; 8]| {
        icmp6(&concat(&[&[kind, 0, 0, 0, 0xe0, 0, 0, 0], &target.to_be_bytes(), &option]))
    };
    let asked = "neighbor_solicitation / link_address as l => l.type == 1 and l.address == 02:00:00:00:00:01";
    assert!(arm(asked, &with_option(135, [1, 1, 2, 0, 0, 0, 0, 1])));
    let told = "neighbor_advertisement / link_address as l => l.type == 2 and l.address == 02:00:00:00:00:01";
    assert!(arm(told, &with_option(136, [2, 1, 2, 0, 0, 0, 0, 1])));
    assert!(!arm(told, &with_option(136, [14, 1, 2, 0, 0, 0, 0, 1])), "a nonce (RFC 3971) is no address");
    assert!(!arm(told, &icmp6(&advertisement)), "there is no option");
    let router = [134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
    assert!(arm(
        "router_advertisement as r => r.hop_limit == 64 and r.managed and r.other and r.lifetime == 1800 and r.retrans_timer == 2",
        &icmp6(&router)
    ));
    let sctp = Ipv4 { protocol: 132, ..Ipv4::tcp(A, B, vec![0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) }.frame(0);
    assert!(arm(
        "ip / sctp => sctp.src_port == 1 and sctp.dst_port == 2 and sctp.tag == 3 and sctp.checksum == 4",
        &sctp
    ));
    assert!(arm("ip / l4 => l4.dst_port == 2", &sctp));
    let ah = Ipv4 {
        protocol: 51,
        ..Ipv4::tcp(A, B, concat(&[&[6, 4, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6], &[0; 12], &tcp(1, 80, SYN)]))
    };
    assert!(arm("ipv4 / ah / tcp => ah.spi == 5 and ah.sequence == 6 and tcp.dst_port == 80", &ah.frame(0)));
    assert!(arm(WEB, &ah.frame(0)));
    let esp = Ipv4 { protocol: 50, ..Ipv4::tcp(A, B, vec![0, 0, 0, 5, 0, 0, 0, 6]) };
    assert!(arm("ipv4 / esp => esp.spi == 5 and esp.sequence == 6", &esp.frame(0)));
}
