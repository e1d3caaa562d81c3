//! Which packets an arm of `match pkt` takes.

mod support;

use support::packets::{A, ACK, B, Ipv4, SYN, ethernet, segment, segment6, tcp};
use support::{Machine, SECOND};

/// The answer of a filter without memory.
fn matches(filter: &str, packet: &[u8]) -> bool {
    Machine::new(filter).matches(packet, SECOND)
}

const PORT_80: &str = "
    use std.net.{ipv4, tcp};
    filter web -> bool {
        match pkt { ipv4 / tcp => tcp.dst_port == 80, _ => false }
    }";

#[test]
fn tcp_is_found_behind_ethernet_and_up_to_two_tags() {
    let packet = Ipv4::tcp(A, B, tcp(4000, 80, SYN));
    let found: Vec<bool> = (0..4).map(|tags| matches(PORT_80, &packet.frame(tags))).collect();
    assert_eq!(found, [true, true, true, false]);
}

#[test]
fn options_of_ipv4_are_skipped() {
    let mut machine = Machine::new(PORT_80);
    for options in 0..=10 {
        let packet = Ipv4 { options, ..Ipv4::tcp(A, B, tcp(4000, 80, SYN)) };
        assert!(machine.matches(&packet.frame(0), SECOND), "{options}");
        assert!(machine.matches(&packet.frame(1), SECOND), "{options} behind a tag");
    }
}

#[test]
fn a_packet_that_is_cut_has_no_header_that_is_not_there_as_a_whole() {
    let packet = segment(A, 4000, B, 80, SYN);
    let whole = packet.len();
    let mut machine = Machine::new(PORT_80);
    for length in 0..=whole {
        assert_eq!(machine.matches(&packet[..length], SECOND), length == whole, "{length} bytes");
    }
}

#[test]
fn later_fragments_are_never_tcp() {
    let packet = |fragment| Ipv4 { fragment, ..Ipv4::tcp(A, B, tcp(4000, 80, SYN)) }.frame(0);
    assert!(matches(PORT_80, &packet(0x4000)), "don't fragment");
    assert!(matches(PORT_80, &packet(0x2000)), "the first fragment");
    assert!(!matches(PORT_80, &packet(0x2001)), "a later fragment");
    assert!(!matches(PORT_80, &packet(0x0001)), "the last fragment");
}

#[test]
fn a_header_whose_rules_do_not_hold_is_not_there() {
    let good = segment(A, 4000, B, 80, SYN);
    let cases: [(&str, usize, u8); 4] = [
        ("version 6", 14, 0x65),
        ("ihl 4", 14, 0x44),
        ("total_len below ihl * 4", 17, 19),
        ("data_offset 4", 14 + 20 + 12, 0x40),
    ];
    assert!(matches(PORT_80, &good));
    for (what, at, byte) in cases {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(!matches(PORT_80, &bad), "{what}");
    }
}

#[test]
fn another_protocol_is_not_tcp() {
    let udp = Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, tcp(4000, 80, SYN)) };
    assert!(!matches(PORT_80, &udp.frame(0)));
    assert!(!matches(PORT_80, &segment6(1, 2, 80, SYN)), "over IPv6");
    assert!(!matches(PORT_80, &ethernet(0x0806)), "ARP");
}

#[test]
fn the_first_arm_that_matches_answers() {
    let filter = "
        use std.net.{ethernet, vlan, ipv4, ipv6, tcp};
        enum Kind { Other, Syn, Tcp, V4, Tagged, V6 }
        filter kind -> Kind {
            match pkt {
                vlan if vlan.vid == 10 => Tagged,
                ipv4 / tcp if tcp.flags == SYN => Syn,
                ipv4 / tcp => Tcp,
                ipv4 => V4,
                ipv6 if ipv6.src in 2001:db8::/32 => V6,
                _ => Other,
            }
        }";
    let mut machine = Machine::new(filter);
    let udp = Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, tcp(1, 2, SYN)) };
    let cases = [
        (segment(A, 1, B, 2, SYN), 1),
        (segment(A, 1, B, 2, SYN | ACK), 2),
        (udp.frame(0), 3),
        (udp.frame(1), 4),
        (Ipv4::tcp(A, B, tcp(1, 2, SYN)).frame(1), 4),
        (segment6(0x2001_0db8_0000_0000_0000_0000_0000_0001, 2, 80, SYN), 5),
        (segment6(0x2001_0db9_0000_0000_0000_0000_0000_0001, 2, 80, SYN), 0),
        (ethernet(0x0806), 0),
        (Vec::new(), 0),
    ];
    for (at, (packet, class)) in cases.iter().enumerate() {
        assert_eq!(machine.class(packet, SECOND), *class, "packet {at}");
    }
}

#[test]
fn layers_stand_directly_behind_one_another() {
    let filter = "
        use std.net.{ethernet, vlan, ipv4};
        enum Tags { Other, None, One, Two }
        filter tags -> Tags {
            match pkt {
                vlan as outer / vlan as inner / ipv4 => if outer.vid == 10 and inner.vid == 10 { Two } else { Other },
                vlan / ipv4 => One,
                ethernet / ipv4 => None,
                _ => Other,
            }
        }";
    let packet = Ipv4::tcp(A, B, tcp(1, 2, SYN));
    let classes: Vec<u32> =
        (0..4).map(|tags| Machine::new(filter).class(&packet.frame(tags), SECOND)).collect();
    assert_eq!(classes, [1, 2, 3, 0]);
}

#[test]
fn of_several_places_the_first_counts() {
    let filter = "
        use std.net.vlan;
        filter outer -> bool { match pkt { vlan => vlan.vid == 10, _ => false } }";
    let mut frame = ethernet(0x88a8);
    frame.extend([0, 10, 0x81, 0, 0, 20, 8, 0]);
    assert!(matches(filter, &frame));
    frame[15] = 20;
    frame[19] = 10;
    assert!(!matches(filter, &frame));
}

/// Every field of the standard headers reads the bits that the RFCs draw.
#[test]
fn fields_are_read_from_their_bits() {
    let mut ip = Ipv4::tcp([1, 2, 3, 4], [5, 6, 7, 8], Vec::new()).bytes();
    ip[1] = 0b1010_0110;
    ip[4..8].copy_from_slice(&[0xab, 0xcd, 0b0101_0000, 0x00]);
    ip[10..12].copy_from_slice(&[0x12, 0x34]);
    let mut tcp = tcp(0x1122, 0x3344, 0xa5);
    tcp[4..12].copy_from_slice(&[0x11, 0x22, 0x33, 0x44, 0xfe, 0xdc, 0xba, 0x98]);
    tcp[12] = 0x5c;
    tcp[14..20].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
    ip[2..4].copy_from_slice(&40u16.to_be_bytes());
    let mut frame =
        vec![0x0a, 1, 2, 3, 4, 5, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x81, 0, 0b1011_0010, 0x34, 8, 0];
    frame.extend(ip);
    frame.extend(tcp);
    let facts = [
        "ethernet.dst == 0a:01:02:03:04:05",
        "ethernet.src == fa:fb:fc:fd:fe:ff",
        "ethernet.type == 0x8100",
        "vlan.pcp == 5",
        "vlan.dei == 1",
        "vlan.vid == 0x234",
        "vlan.type == 0x0800",
        "ipv4.version == 4",
        "ipv4.ihl == 5",
        "ipv4.dscp == 41",
        "ipv4.ecn == 2",
        "ipv4.total_len == 40",
        "ipv4.id == 0xabcd",
        "ipv4.flags == DF",
        "ipv4.frag_offset == 0x1000",
        "ipv4.ttl == 64",
        "ipv4.protocol == 6",
        "ipv4.checksum == 0x1234",
        "ipv4.src == 1.2.3.4",
        "ipv4.dst == 5.6.7.8",
    ];
    // The offset makes this a later fragment, so what is behind IPv4 is looked at in a second packet.
    let behind = [
        "tcp.src_port == 0x1122",
        "tcp.dst_port == 0x3344",
        "tcp.data_offset == 5",
        "tcp.reserved == 12",
        "tcp.flags == FIN | RST | URG | CWR",
        "tcp.window == 0x0102",
        "tcp.checksum == 0x0304",
        "tcp.urgent == 0x0506",
    ];
    let run = |layers: &str, fact: &str, frame: &[u8]| {
        let text = format!(
            "use std.net.{{ethernet, vlan, ipv4, tcp, ip_flags, tcp_flags}};
             filter f -> bool {{ match pkt {{ {layers} => {fact}, _ => false }} }}"
        );
        matches(&text, frame)
    };
    let mut fragment = frame.clone();
    fragment[18 + 6] = 0b0101_0000;
    for fact in facts {
        assert!(run("ethernet / vlan / ipv4", fact, &fragment), "{fact}");
    }
    frame[18 + 6] = 0;
    for fact in behind {
        assert!(run("ethernet / vlan / ipv4 / tcp", fact, &frame), "{fact}");
    }
    let difference = 0x1122_3344u32.wrapping_sub(0xfedc_ba98);
    assert!(run("tcp", &format!("tcp.seq - tcp.ack == {difference}"), &frame));
}

#[test]
fn odd_fields_of_a_header_of_ones_own_are_read() {
    // 3 + 13 + 24 + 36 + 4 + 61 + 3 bits are 18 bytes; `d` lies in five of them.
    let filter = |fact: &str| {
        format!(
            "#[root] header odd {{ a: u3, b: u13, c: u24, d: u36, e: u4, f: u61, g: u3 }}
             filter f -> bool {{ match pkt {{ odd => {fact}, _ => false }} }}"
        )
    };
    let front: [(u128, u32); 5] = [(5, 3), (0x1abc, 13), (0xfedcba, 24), (0x9_8765_4321, 36), (7, 4)];
    let front = front.iter().fold(0, |all, (part, bits)| all << bits | part);
    let mut bytes = front.to_be_bytes()[6..].to_vec();
    bytes.extend((0x1234_5678_9abc_def0u64 << 3 | 6).to_be_bytes());
    for fact in [
        "odd.a == 5",
        "odd.b == 0x1abc",
        "odd.c == 0xfedcba",
        "odd.d == 0x987654321",
        "odd.e == 7",
        "odd.f == 0x123456789abcdef0",
        "odd.g == 6",
    ] {
        assert!(matches(&filter(fact), &bytes), "{fact}");
    }
    assert!(!matches(&filter("odd.a == 5"), &bytes[..17]));
}

#[test]
fn a_field_can_straddle_nine_bytes_and_a_header_have_three() {
    let straddling = "#[root] header h { a: u4, b: u64, c: u4 }
        filter f -> bool { match pkt { h => h.b == 0x123456789abcdef0 and h.a == 0xa and h.c == 0xb, _ => false } }";
    assert!(matches(straddling, &[0xa1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x0b]));
    let short = "#[root] header h { a: u24 }
        filter f -> bool { match pkt { h => h.a == 0x123456, _ => false } }";
    assert!(matches(short, &[0x12, 0x34, 0x56]));
    let flag = "#[root] header h { a: u7, b: bool }
        filter f -> bool { match pkt { h => h.b, _ => false } }";
    assert!(matches(flag, &[1]));
    assert!(!matches(flag, &[0xfe]));
}

#[test]
fn the_packet_has_a_length_and_a_port() {
    let filter = "filter f -> bool { pkt.len == 60 and pkt.in_port == 3 }";
    assert!(matches(filter, &[0; 60]));
    assert!(!matches(filter, &[0; 61]));
}

#[test]
fn an_earlier_line_of_next_by_hides_a_later_one() {
    let filter = "
        #[root] header a { kind: u8 } next by kind { 1..=9 => b, 5..=10 => c, _ => d }
        header b { x: u8 }
        header c { x: u8 }
        header d { x: u8 }
        enum Kind { Other, C, D }
        filter f -> Kind { match pkt { c => C, d => D, _ => Other } }";
    let mut machine = Machine::new(filter);
    assert_eq!(machine.class(&[5, 0], SECOND), 0, "b, not c");
    assert_eq!(machine.class(&[10, 0], SECOND), 1);
    assert_eq!(machine.class(&[11, 0], SECOND), 2);
    assert_eq!(machine.class(&[11], SECOND), 0);
}
