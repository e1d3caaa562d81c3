//! Regions: loops over the headers in them, headers with a tag, bytes.

mod support;

use support::packets::{A, B, Ipv4, SYN, ethernet, tcp};
use support::{Machine, SECOND};

fn matches(filter: &str, packet: &[u8]) -> bool {
    Machine::new(filter).matches(packet, SECOND)
}

/// A TCP segment over IPv4 with options, which are filled up with no-operations to whole words.
fn segment(options: &[u8]) -> Vec<u8> {
    let mut segment = tcp(4000, 80, SYN);
    segment.extend(options);
    while !segment.len().is_multiple_of(4) {
        segment.push(1);
    }
    segment[12] = (segment.len() as u8 / 4) << 4;
    Ipv4::tcp(A, B, segment).frame(0)
}

/// What a loop over the options of TCP finds.
fn find(answer: &str, options: &[u8]) -> bool {
    let filter = format!(
        "use std.net.{{ip, tcp}};
         filter f -> bool {{ match pkt {{ ip / tcp => {answer}, _ => false }} }}"
    );
    matches(&filter, &segment(options))
}

const MSS: &str = "(for opt in tcp.options with mss: u16 = 0 { match opt { mss => mss.value, _ => mss } })";

#[test]
fn an_option_is_found_wherever_it_stands() {
    let is_1460 = format!("{MSS} == 1460");
    for options in [
        &[2, 4, 5, 0xb4][..],
        &[1, 1, 2, 4, 5, 0xb4],
        &[3, 3, 7, 2, 4, 5, 0xb4],
        &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 2, 4, 5, 0xb4],
        &[254, 6, 1, 2, 3, 4, 2, 4, 5, 0xb4],
        &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 2, 4, 5, 0xb4],
    ] {
        assert!(find(&is_1460, options), "{options:?}");
    }
    assert!(!find(&is_1460, &[2, 4, 5, 0xb5]));
    assert!(!find(&is_1460, &[3, 3, 7]));
    assert!(!find(&is_1460, &[]));
}

#[test]
fn a_loop_ends_where_an_option_is_broken() {
    let is_1460 = format!("{MSS} == 1460");
    for options in [
        // A length that the form does not have.
        &[3, 4, 7, 1, 2, 4, 5, 0xb4][..],
        // Shorter than kind and length.
        &[254, 1, 2, 4, 5, 0xb4],
        &[254, 0, 2, 4, 5, 0xb4],
        // Beyond the end of the options.
        &[254, 40, 0, 0, 2, 4, 5, 0xb4],
        &[2, 4, 5],
    ] {
        assert!(!find(&is_1460, options), "{options:?}");
    }
}

#[test]
fn a_packet_that_is_cut_within_the_options_has_those_in_front() {
    let filter = format!(
        "use std.net.{{ip, tcp}}; filter f -> bool {{ match pkt {{ ip / tcp => {MSS} == 1460, _ => false }} }}"
    );
    let mut machine = Machine::new(&filter);
    let packet = segment(&[1, 1, 2, 4, 5, 0xb4, 1, 1]);
    let needed = 14 + 20 + 20 + 6;
    for length in 0..=packet.len() {
        assert_eq!(machine.matches(&packet[..length], SECOND), length >= needed, "{length} bytes");
    }
}

#[test]
fn a_loop_counts_breaks_and_returns() {
    let count =
        "(for opt in tcp.options with n: u8 = 0 { match opt { end => { break; } nop => n, _ => n +| 1 } })";
    assert!(find(&format!("{count} == 2"), &[1, 3, 3, 7, 4, 2, 1]));
    assert!(find(&format!("{count} == 1"), &[3, 3, 7, 0, 4, 2]));
    let all = "(for opt in tcp.options with n: u8 = 0 { n +| 1 })";
    assert!(find(&format!("{all} == 40"), &[1; 40]));
    assert!(find(&format!("{all} == 0"), &[]));
    let kinds = "(for opt in tcp.options with sum: u16 = 0 { sum +| opt.kind })";
    assert!(find(&format!("{kinds} == 10"), &[3, 3, 7, 4, 2, 1, 1]));
    let early = "{ for opt in tcp.options { match opt { timestamps => { if timestamps.value == 7 { return true; } } _ => {} } } false }";
    assert!(find(early, &[1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 1, 1]));
    assert!(!find(early, &[1, 8, 10, 0, 0, 0, 8, 0, 0, 0, 1, 1]));
}

#[test]
fn regions_lie_in_regions() {
    let sum = "(for opt in tcp.options with sum: u32 = 0 {
        match opt {
            sack => for block in sack.blocks with inner: u32 = sum { inner +| (block.right - block.left) },
            _ => sum,
        }
    })";
    let options = [5, 18, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 1, 5, 1, 1];
    assert!(find(&format!("{sum} == 13"), &options));
    // Two blocks and a half.
    let options = [5, 22, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 1, 5, 0, 0, 0, 1];
    assert!(find(&format!("{sum} == 13"), &options));
}

#[test]
fn bytes_of_a_region_are_there_or_not() {
    assert!(find("tcp.options[0] == 2 and tcp.options[3] == 0xb4", &[2, 4, 5, 0xb4]));
    assert!(find("tcp.options[4] == none", &[2, 4, 5, 0xb4]));
    assert!(find("tcp.options[0] == none and tcp.options.len == 0", &[]));
    assert!(find("tcp.options.len == 8", &[2, 4, 5, 0xb4, 1, 1, 1, 1]));
    let cookie = "(for opt in tcp.options with first: u8 = 0 {
        match opt { fast_open => fast_open.cookie[1] ?? 0, other => other.data[0] ?? 0, _ => first }
    })";
    assert!(find(&format!("{cookie} == 9"), &[34, 6, 8, 9, 10, 11]));
    assert!(find(&format!("{cookie} == 8"), &[253, 6, 8, 9, 10, 11]));
    assert!(find(&format!("{cookie} == 0"), &[34, 2, 1, 1]));
    // A byte that the header speaks of, but that is cut off.
    let filter = "use std.net.{ip, tcp}; filter f -> bool { match pkt { ip / tcp => tcp.options[3] == none, _ => false } }";
    let packet = segment(&[2, 4, 5, 0xb4]);
    assert!(matches(filter, &packet[..packet.len() - 1]));
    assert!(!matches(filter, &packet));
}

#[test]
fn a_region_is_found_behind_unions_and_tags() {
    let filter = "
        use std.net.{ip, ipv4, ipv6, tcp};
        filter f -> bool {
            match pkt {
                ip / tcp => match ip {
                    ipv4 => for opt in ipv4.options with found = false { match opt { router_alert => true, _ => found } },
                    ipv6 => ipv6.flow_label == 1,
                },
                _ => false,
            }
        }";
    let mut machine = Machine::new(filter);
    let with_options = |options: [u8; 4], tags| {
        let mut packet = Ipv4 { options: 1, ..Ipv4::tcp(A, B, tcp(1, 2, SYN)) }.frame(tags);
        let at = 14 + tags * 4 + 20;
        packet[at..at + 4].copy_from_slice(&options);
        packet
    };
    for tags in 0..3 {
        assert!(machine.matches(&with_options([148, 4, 0, 0], tags), SECOND), "{tags}");
        assert!(!machine.matches(&with_options([1, 1, 1, 1], tags), SECOND), "{tags}");
    }
}

#[test]
fn options_of_extension_headers_and_tunnels_are_found() {
    let alert = "use std.net.{hop_by_hop, icmp6};
        filter f -> bool {
            match pkt {
                hop_by_hop / icmp6 => for opt in hop_by_hop.options with found = false {
                    match opt { router_alert => router_alert.value == 0, _ => found }
                },
                _ => false,
            }
        }";
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, 16, 0, 1]);
    frame.extend([0; 32]);
    frame.extend([58, 0, 1, 0, 5, 2, 0, 0]);
    frame.extend([143, 0, 0, 0]);
    assert!(matches(alert, &frame));
    frame[14 + 40 + 4] = 6;
    assert!(!matches(alert, &frame));
    let geneve = "use std.net.geneve;
        filter f -> bool {
            match pkt {
                geneve => for opt in geneve.options with class: u16 = 0 {
                    if opt.type == 0x80 and opt.data[3] == 7 { opt.class } else { class }
                } == 0x0104,
                _ => false,
            }
        }"
    .replace("=> for", "=> (for")
    .replace("} == 0x", "}) == 0x");
    let payload = [2 + 1, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 0, 1, 4, 0x80, 1, 0, 0, 0, 7];
    let mut udp = vec![0, 1, 0x17, 0xc1, 0, 28, 0, 0];
    udp.extend(payload);
    assert!(matches(&geneve, &Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, udp) }.frame(0)));
}

#[test]
fn a_tagged_header_of_ones_own() {
    let filter = "
        #[root] header frame { len: u8 where len <= 20, items: [item in len] }
        header item by tag: u16 {
            0x0102 | 0x0103 => pair { a: u8, b: u8 },
            0x1000..=0x1fff => wide { a: u128 },
        }
        filter f -> bool {
            match pkt {
                frame => (for item in frame.items with n: u32 = 0 {
                    match item { pair => n +| pair.a +| pair.b, wide => n +| wide.a[15:0] }
                }) == 0x30,
                _ => false,
            }
        }";
    assert!(matches(filter, &[8, 1, 2, 0x10, 0x08, 1, 3, 0x10, 0x08]));
    assert!(matches(filter, &[8, 1, 2, 0x10, 0x20, 1, 4, 0x10, 0x08]), "an unknown tag ends the loop");
    let mut wide = vec![18, 0x10, 0];
    wide.extend(0x30u128.to_be_bytes());
    assert!(matches(filter, &wide));
    assert!(!matches(filter, &wide[..wide.len() - 1]));
}
