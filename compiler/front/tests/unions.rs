//! Unions, alternatives in arms, addresses of either kind, and structs computed from headers.

mod support;

use support::packets::{A, ACK, B, Ipv4, SYN, ethernet, segment, segment6, tcp};
use support::{Machine, SECOND};

fn matches(filter: &str, packet: &[u8]) -> bool {
    Machine::new(filter).matches(packet, SECOND)
}

fn v4_words(address: [u8; 4]) -> [u64; 3] {
    [4, 0, u64::from(u32::from_be_bytes(address))]
}

#[test]
fn a_union_is_any_of_its_headers() {
    let filter = "
        use std.net.{ip, tcp};
        filter web -> bool { match pkt { ip / tcp if tcp.dst_port == 80 => true, _ => false } }";
    let mut machine = Machine::new(filter);
    assert!(machine.matches(&segment(A, 1, B, 80, SYN), SECOND));
    assert!(machine.matches(&segment6(1, 2, 80, SYN), SECOND));
    assert!(!machine.matches(&segment6(1, 2, 81, SYN), SECOND));
    assert!(!machine.matches(&ethernet(0x0806), SECOND));
}

#[test]
fn the_fields_that_all_headers_have_can_be_read() {
    let filter = |fact: &str| {
        format!(
            "use std.net.ip;
             filter f -> bool {{ match pkt {{ ip => {fact}, _ => false }} }}"
        )
    };
    let v4 = segment(A, 1, B, 80, SYN);
    let v6 = segment6(0x2001_0db8 << 96 | 1, 2, 80, SYN);
    for (fact, of_v4, of_v6) in [
        ("ip.src == 10.0.0.1", true, false),
        ("10.0.0.1 == ip.src", true, false),
        ("ip.src != 10.0.0.1", false, true),
        ("ip.src == 2001:db8::1", false, true),
        ("ip.src in 10.0.0.0/8", true, false),
        ("ip.src in 2001:db8::/32", false, true),
        ("ip.src not in 2001:db8::/32", true, false),
        ("ip.src in [10.0.0.0/8, ::1]", true, false),
        ("ip.src in [10.0.0.0/8, 2001:db8::1]", true, true),
        ("ip.src == ::10.0.0.1", false, false),
        ("ip.version == 4", true, false),
        ("(ip.src, ip.version) == (10.0.0.1, 4)", true, false),
        ("ip.src < ip.dst", true, false),
        ("ip.src >= ip.dst", false, true),
        ("ip.src == ip.src", true, true),
        ("match ip.src { 10.0.0.0/8 => true, 2001:db8::1 => true, _ => false }", true, true),
        ("match ip.src { 0.0.0.0/0 => true, ::/0 => false }", true, false),
        ("match (ip.src, ip.dst) { (10.0.0.0/8, 192.0.2.7) => true, _ => false }", true, false),
        ("match ip { ipv4 => ipv4.ttl == 64, ipv6 => ipv6.flow_label != 0 }", true, false),
        ("match ip { ipv6 as v => v.hop_limit == 64, _ => false }", false, true),
    ] {
        let text = filter(fact).replace("use std.net.ip;", "use std.net.{ip, ipv4, ipv6};");
        assert_eq!(matches(&text, &v4), of_v4, "{fact}");
        assert_eq!(matches(&text, &v6), of_v6, "{fact}");
    }
}

#[test]
fn a_key_is_an_address_of_either_kind() {
    let filter = "
        use std.net.ip;
        state seen: map[ip.addr, u32] { capacity: 16, when_full: refuse, expire: 60s };
        filter f -> bool {
            match pkt {
                ip => (update seen[ip.src] |n| match n { none => 1, let n => n +| 1 }) != 1,
                _ => false,
            }
        }";
    let mut machine = Machine::new(filter);
    let v6 = segment6(0x2001_0db8 << 96 | 1, 2, 80, SYN);
    assert!(!machine.matches(&segment(A, 1, B, 80, SYN), SECOND));
    assert!(machine.matches(&segment(A, 2, B, 81, SYN), SECOND));
    assert!(!machine.matches(&v6, SECOND));
    let keys: Vec<Vec<u64>> = machine.entries(0, SECOND).into_iter().map(|(key, _)| key).collect();
    assert!(keys.contains(&v4_words(A).to_vec()), "{keys:?}");
    assert!(keys.contains(&vec![6, 0x2001_0db8 << 32, 1]), "{keys:?}");
}

#[test]
fn alternatives_of_an_arm_share_its_answer() {
    let filter = "
        use std.net.{ipv4, ipv6, tcp, udp};
        filter f -> bool {
            match pkt {
                ipv4 as ip / tcp | ipv6 as ip / tcp if ip.src != 10.0.0.9 => tcp.dst_port == 80,
                ipv4 / udp as l4 | ipv4 / tcp as l4 => l4.src_port == 7,
                _ => false,
            }
        }";
    let mut machine = Machine::new(filter);
    assert!(machine.matches(&segment(A, 1, B, 80, SYN), SECOND));
    assert!(!machine.matches(&segment(A, 7, B, 81, SYN), SECOND));
    assert!(machine.matches(&segment6(1, 2, 80, SYN), SECOND));
    assert!(machine.matches(&segment([10, 0, 0, 9], 7, B, 80, SYN), SECOND), "by the second arm");
    let udp = Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, vec![0, 7, 0, 53, 0, 8, 0, 0]) };
    assert!(machine.matches(&udp.frame(1), SECOND));
}

#[test]
fn both_directions_of_a_connection_are_one_session() {
    let filter = "
        use std.net.{ip, tcp, session};
        state seen: set[session] { capacity: 16, when_full: refuse, expire: 60s };
        filter again -> bool {
            match pkt { ip / tcp => seen.insert(session(ip, tcp)) == false, _ => false }
        }";
    let mut machine = Machine::new(filter);
    assert!(!machine.matches(&segment(A, 4000, B, 80, SYN), SECOND));
    assert!(machine.matches(&segment(B, 80, A, 4000, SYN | ACK), SECOND));
    // The ends are ordered as pairs: with addresses and ports ordered apart, these would be the same.
    assert!(!machine.matches(&segment(A, 80, B, 4000, SYN), SECOND));
    // At one address the ports decide.
    assert!(!machine.matches(&segment(A, 5, A, 6, SYN), SECOND));
    assert!(machine.matches(&segment(A, 6, A, 5, SYN), SECOND));
    assert!(!machine.matches(&segment6(5, 6, 80, SYN), SECOND));
    let entries = machine.entries(0, SECOND);
    let first = [v4_words(A).to_vec(), vec![4000], v4_words(B).to_vec(), vec![80]].concat();
    assert!(entries.iter().any(|(key, _)| *key == first), "{entries:?}");
    assert_eq!(entries.len(), 4);
}

#[test]
fn a_flow_is_one_direction_of_one_protocol() {
    let filter = "
        use std.net.{ip, l4, flow};
        state seen: set[flow] { capacity: 16, when_full: refuse, expire: 60s };
        filter again -> bool {
            match pkt { ip / l4 => seen.insert(flow(ip, l4)) == false, _ => false }
        }";
    let mut machine = Machine::new(filter);
    let payload = tcp(53, 53, SYN);
    let of = |protocol| Ipv4 { protocol, ..Ipv4::tcp(A, B, payload.clone()) }.frame(0);
    assert!(!machine.matches(&of(6), SECOND));
    assert!(!machine.matches(&of(17), SECOND), "the same ports, but UDP");
    assert!(machine.matches(&of(6), SECOND));
    assert!(machine.matches(&of(17), SECOND));
    assert!(!machine.matches(&segment(B, 53, A, 53, SYN), SECOND), "the other direction");
    let key = [v4_words(A).to_vec(), v4_words(B).to_vec(), vec![53, 53, 17]].concat();
    assert!(machine.entries(0, SECOND).iter().any(|(found, _)| *found == key));
}

#[test]
fn a_struct_of_ones_own_is_computed_from_headers() {
    let filter = "
        use std.net.{ip, ipv4, tcp};
        struct service(ip: ip, tcp: tcp) { address: ip.addr = ip.dst, low: bool = tcp.dst_port < 1024 }
        filter f -> bool {
            match pkt {
                ipv4 / tcp => service(ipv4, tcp).low and service(ipv4, tcp).address == 192.0.2.7,
                _ => false,
            }
        }";
    assert!(matches(filter, &segment(A, 1, B, 80, SYN)));
    assert!(!matches(filter, &segment(A, 1, B, 8080, SYN)));
    assert!(!matches(filter, &segment(B, 1, A, 80, SYN)));
}

#[test]
fn of_the_alternatives_the_one_that_ends_first_counts() {
    let filter = "
        #[root] header a { kind: u8, x: u8 } next by kind { 1 => b, 2 => c }
        header b { kind: u8, x: u8 } next by kind { 2 => c }
        header c { kind: u8, x: u8 } next by kind { 1 => b }
        union any = b | c;
        filter f -> bool { match pkt { any => any.x == 7, _ => false } }";
    assert!(matches(filter, &[1, 0, 2, 7, 0, 9]), "b comes first");
    assert!(!matches(filter, &[1, 0, 2, 9, 0, 7]), "and only b counts");
    assert!(matches(filter, &[2, 0, 1, 7, 0, 9]), "c comes first");
}
