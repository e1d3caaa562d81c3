//! Tests in the language: what passes, what fails and how that is told, on all engines.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_compiler::{Checked, NoFiles, Source, parse};
use oko_diagnostics::{Colour, render};
use oko_tester::{Captured, Captures, Engine, NoCaptures, Report, run};

fn checked(text: &str) -> Checked {
    parse(Source::new("test.oko", text), &NoFiles).check().unwrap_or_else(|failed| {
        let shown: String =
            failed.diagnostics.iter().map(|found| render(found, &failed.sources, Colour::None)).collect();
        panic!("{shown}")
    })
}

fn reports(checked: &Checked, captures: &dyn Captures) -> Vec<Report> {
    (0..checked.tests().len()).map(|at| run(checked, at, &Engine::ALL, captures)).collect()
}

/// The failures of all tests as users see them.
fn failures(text: &str, captures: &dyn Captures) -> String {
    let checked = checked(text);
    reports(&checked, captures).iter().map(|report| shown(&checked, report)).collect()
}

/// The failures of a test as users see them.
fn shown(checked: &Checked, report: &Report) -> String {
    let failures = report.failures.iter();
    failures
        .map(|failure| render(&failure.diagnostic, checked.sources(), Colour::None) + &failure.packets)
        .collect()
}

/// Every test passes on every engine, and none expects less than so much.
fn all_hold(checked: &Checked, least: u64) {
    for report in reports(checked, &NoCaptures) {
        assert_eq!(shown(checked, &report), "", "{}", report.name);
        assert!(report.expectations >= least, "{}: {}", report.name, report.expectations);
    }
}

const HEAD: &str = "use std.net.{ipv4, ipv6, tcp, udp, icmp, icmp6, vlan, arp, tcp_flags};
param limit: u32 in 1..=1_000 = 3;
enum Kind { Other, Web, Mail }
struct Pair { a: u32, b: ip4 }
state seen: map[ip4, counter] { capacity: 64, when_full: evict_oldest, expire: 60s };
state last: map[(ip4, u16), Pair] { capacity: 4, when_full: refuse, expire: 10s };
state total: counter { expire: never };
fn double(n: u32) -> u64 { n * 2 }
filter often -> bool {
    match pkt {
        ipv4 / tcp => {
            update last[(ipv4.src, tcp.src_port)] |old| match old {
                none => Pair(a: 1, b: ipv4.dst),
                let pair => Pair(a: pair.a +| 1, b: ipv4.dst),
            };
            total.add(1);
            seen[ipv4.src].add(1) > limit
        }
        _ => false,
    }
}
filter kind -> Kind {
    match pkt {
        ipv4 / tcp if tcp.dst_port in [80, 443] => Web,
        ipv6 / tcp if tcp.dst_port == 25 => Mail,
        _ => Other,
    }
}
filter answered -> bool {
    match pkt {
        arp => arp.operation == 2 and arp.sender == 10.0.0.2 and arp.target == 10.0.0.1 and arp.target_mac == 02:00:00:00:00:01,
        _ => false,
    }
}
filter second_port -> bool { pkt.in_port == 2 }
filter length -> bool { pkt.len > 100 }
filter tagged -> bool { match pkt { vlan / ipv4 => vlan.vid == 7, _ => false } }
filter echo -> bool { match pkt { ipv4 / icmp => icmp.type == 8, ipv6 / icmp6 => icmp6.type == 128, _ => false } }
";

#[test]
fn what_tests_can_say_holds_on_every_engine() {
    let text = format!(
        "{HEAD}
test \"parts of tuples, packets upon packets, and answers by the headers' own rules\" {{
    let (kind_of, many) = (kind(ipv4() / tcp(dst_port: 80)), double(21));
    expect kind_of == Web and many == 42;
    let (_, twice) = (1, many);
    expect twice == 42;
    let base = ipv4(src: 10.0.0.1, dst: 192.0.2.7).with(in_port: 2);
    expect kind(base / tcp(dst_port: 443)) == Web;
    expect kind(reply(base) / tcp(dst_port: 443)) == Web;
    expect second_port(base / tcp(dst_port: 1) / payload(\"x\"));
    expect length(base / payload(len: 200)) and not length(base);
    expect echo(base / icmp(type: 8)) and not echo(reply(base / icmp(type: 8)));
    expect echo(ipv6() / icmp6(type: 128)) and not echo(reply(ipv6() / icmp6(type: 128)));
    let ask = arp(operation: 1, sender: 10.0.0.1, sender_mac: 02:00:00:00:00:01, target: 10.0.0.2);
    expect answered(reply(ask)) and not answered(ask);
}}
test \"filters, state, time, params\" {{
    let syn = ip4(src: 10.0.0.1, dst: 192.0.2.7) / tcp(src_port: 4000, dst_port: 80, flags: SYN);
    let first = often(syn);
    expect first == false;
    for i in 1..3 {{
        expect not often(syn.with(src_port: 4000 + i));
    }}
    expect often(syn);
    expect seen[10.0.0.1].total == 4;
    expect seen[10.0.0.2].total == 0;
    expect total.total == 4 and (10.0.0.1, 4000) in last;
    expect last[(10.0.0.1, 4000)] == Pair(a: 2, b: 192.0.2.7);
    expect last[(10.0.0.1, 4001)] != none;
    advance 10s;
    expect last[(10.0.0.1, 4000)] == none;
    advance 50s;
    limit.set(1);
    expect not often(syn);
    expect often(syn);
    expect limit == 1;
    let n = 5;
    expect double(n) == 10;
    if n > 3 {{
        expect seen[10.0.0.1].total == 2;
    }} else {{
        expect false;
    }}
    for i in 0..=4 {{
        if i == 4 {{ expect double(i) == 8; }}
    }}
}}
test \"classes, IPv6, ports and lengths\" {{
    let web = ipv4() / tcp(dst_port: 443);
    expect kind(web) == Web;
    expect kind(ip6(src: 2001:db8::1) / tcp(dst_port: 25)) == Mail;
    expect kind(reply(web)) == Other;
    expect kind(reply(reply(web))) == Web;
    expect second_port(web.with(in_port: 2)) and not second_port(web);
    expect length(web.with(payload: \"GET / HTTP/1.1\")) == false;
    expect length(web / payload(len: 47)) == true;
    expect length(web.with(len: 46)) == false;
}}
"
    );
    // Only this is a mistake: packets are built upon others.
    let failed = parse(Source::new("test.oko", text.clone()), &NoFiles).check().err().unwrap();
    let codes: Vec<String> = failed.diagnostics.iter().map(|found| found.code.to_string()).collect();
    assert_eq!(codes, ["E0209"], "{:?}", failed.diagnostics);

    let text = text.replace("web.with(len: 46)", "ipv4() / udp() / payload(len: 58)");
    let checked = checked(&text);
    all_hold(&checked, 8);
}

/// RFC 4861 section 7.2.4: an advertisement comes from the target to whom it was that asked, is solicited and tells the target's address.
#[test]
fn replies_to_neighbor_solicitations_are_advertisements() {
    let text = "
use std.net.{ethernet, icmp6, ipv6, link_address, neighbor_advertisement, neighbor_solicitation};

filter advertised -> bool {
    match pkt {
        ethernet / ipv6 / icmp6 / neighbor_advertisement as told / link_address as link =>
            ethernet.dst == 02:00:00:00:00:01 and ethernet.src == link.address
            and ipv6.src == fe80::2 and ipv6.dst == fe80::1 and ipv6.hop_limit == 255
            and icmp6.type == 136 and told.target == fe80::2
            and told.solicited and told.overrides and not told.router
            and link.type == 2 and link.address == 02:00:00:00:00:02,
        _ => false,
    }
}

filter short -> bool {
    match pkt {
        icmp6 / neighbor_advertisement as told => told.target == fe80::2 and told.solicited,
        _ => false,
    }
}

filter echoed -> bool {
    match pkt { icmp6 => icmp6.type == 129, _ => false }
}

test \"who has fe80::2?\" {
    let frame = ethernet(src: 02:00:00:00:00:01, dst: 02:00:00:00:00:02);
    let ask = frame
        / ipv6(src: fe80::1, dst: ff02::1:ff00:2, hop_limit: 255)
        / icmp6()
        / neighbor_solicitation(target: fe80::2);
    let whole = ask / link_address(address: 02:00:00:00:00:01);
    expect advertised(reply(whole)) and not advertised(whole);
    expect short(reply(ask)) and not short(ask) and not advertised(reply(ask));
    expect not advertised(reply(whole).with(router: true));
    expect advertised(reply(whole).with(code: 1));
    expect echoed(reply(ipv6() / icmp6(type: 128))) and not echoed(reply(whole));
}
";
    let checked = checked(text);
    all_hold(&checked, 5);
}

#[test]
fn what_is_only_looked_at_takes_no_bytes_of_a_packet() {
    let checked = checked(
        "use std.net.{gtpu, ip, ipv4, l4, mpls, tcp};
filter labelled -> bool { match pkt { mpls / ip / tcp => tcp.dst_port == 80, _ => false } }
filter inside -> bool { match pkt { gtpu / ip / l4 => l4.dst_port == 80, _ => false } }
filter short -> bool { pkt.len == 14 + 4 + 20 + 20 }
test \"labels and tunnels\" {
    let web = mpls(label: 16) / ipv4(dst: 192.0.2.1) / tcp(dst_port: 80);
    expect labelled(web) and short(web) and not labelled(web.with(dst_port: 81));
    expect labelled(mpls() / mpls() / mpls() / ipv6() / tcp(dst_port: 80));
    expect inside(gtpu() / ipv4() / udp(dst_port: 80)) and inside(gtpu() / ipv6() / tcp(dst_port: 80));
    expect labelled(reply(mpls() / ipv4() / tcp(src_port: 80)));
}
",
    );
    all_hold(&checked, 4);
}

#[test]
fn packets_have_sequence_numbers_by_number() {
    let checked = checked(
        "use std.net.{flow, ip, tcp};
state newest: map[flow, seq] { capacity: 16, when_full: evict_oldest, expire: 10s };
filter older -> bool {
    match pkt {
        ip / tcp => {
            let before = newest[flow(ip, tcp)];
            update newest[flow(ip, tcp)] |old| match old {
                none => tcp.seq,
                let seq => if tcp.seq > seq { tcp.seq } else { seq },
            };
            match before { none => false, let seq => tcp.seq < seq }
        }
        _ => false,
    }
}
test \"they wrap\" {
    let p = ipv4() / tcp(seq: 0xffff_fff0, ack: 7);
    expect not older(p) and not older(p.with(seq: 16)) and older(p.with(seq: 8)) and older(p);
    for i in 17..20 { expect not older(p.with(seq: i)); }
}
",
    );
    all_hold(&checked, 4);
    for number in ["0x1_0000_0000", "5s"] {
        let text = format!(
            "use std.net.tcp; filter f -> bool {{ match pkt {{ tcp => true, _ => false }} }}
test \"t\" {{ expect f(tcp(seq: {number})); }}"
        );
        let failed = parse(Source::new("test.oko", text.as_str()), &NoFiles).check().unwrap_err();
        let codes: Vec<String> = failed.diagnostics.iter().map(|found| found.code.to_string()).collect();
        assert_eq!(codes, ["E0301"], "{number}");
    }
}

#[test]
fn lists_hold_values_ranges_and_prefixes_of_both_kinds_of_addresses() {
    let checked = checked(
        "use std.net.{ip, ipv4, tcp, udp};
const PORTS: [u16; 3] = [22, 80, 443];
const LAN: [prefix; 2] = [10.0.0.0/8, fd00::/8];
param edge: u16 in 1..=1_000 = 10;
filter listed -> bool {
    match pkt {
        ip / tcp => tcp.dst_port in [22, 80..=90, 8_000..9_000, edge..=edge + 5] and ip.src not in [10.0.0.0/8],
        ip / udp => udp.dst_port in PORTS or ip.src in LAN or ip.dst in [10.0.0.5, 10.0.1.0/24, 2001:db8::/32],
        _ => false,
    }
}
filter hosts -> bool { match pkt { ipv4 => ipv4.src in [10.0.0.1..=10.0.0.9, 192.168.0.0/16], _ => false } }
test \"lists\" {
    let p = ipv4(src: 11.0.0.1) / tcp();
    for port in 80..91 { expect listed(p.with(dst_port: port)); }
    for port in 10..16 { expect listed(p.with(dst_port: port)); }
    expect listed(p.with(dst_port: 22)) and listed(p.with(dst_port: 8_999));
    expect not listed(p.with(dst_port: 9_000)) and not listed(p.with(dst_port: 91)) and not listed(p.with(dst_port: 16));
    expect not listed(p.with(dst_port: 22, src: 10.1.1.1));
    edge.set(20);
    expect listed(p.with(dst_port: 25)) and not listed(p.with(dst_port: 12));
    let u = ipv4(src: 11.0.0.1) / udp();
    expect listed(u.with(dst_port: 443)) and not listed(u) and listed(u.with(src: 10.0.0.1));
    expect listed(ipv6(src: fd00::1) / udp()) and not listed(ipv6(src: fc00::1) / udp());
    expect listed(u.with(dst: 10.0.1.7)) and listed(u.with(dst: 10.0.0.5)) and not listed(u.with(dst: 10.0.0.6));
    expect hosts(u.with(src: 10.0.0.9)) and not hosts(u.with(src: 10.0.0.10)) and hosts(u.with(src: 192.168.3.3));
}
",
    );
    all_hold(&checked, 24);
}

/// Three packets that come together.
struct Three;

impl Captures for Three {
    fn capture(&self, _: &str) -> Result<Vec<Captured>, String> {
        Ok((1..=3).map(|n| Captured { bytes: vec![n; 60], wire_len: 60, time: 0 }).collect())
    }
}

#[test]
fn a_failure_in_a_loop_names_its_turn_and_counts_the_others() {
    let shown = failures(
        &format!(
            "{HEAD}
event odd {{ n: u32 }} limit 1 each 1s;
test \"numbers\" {{
    for i in 0..4 {{
        for port in 10..12 {{
            expect i + port < 13;
        }}
        expect i != 3;
        if i == 2 {{
            expect emitted odd {{ n: i }};
        }}
    }}
}}
test \"packets\" {{
    for p in replay \"three.pcap\" {{
        expect second_port(p);
    }}
}}
test \"no end\" {{
    for i in 0..9 {{
        advance 300_000h;
    }}
    expect false;
}}
test \"outside\" {{
    for i in 0..9 {{
        expect i < 9;
    }}
    expect false;
}}
"
        ),
        &Three,
    );
    let notes: Vec<&str> =
        shown.lines().filter_map(|line| line.split_once("Note").map(|(_, note)| note.trim())).collect();
    assert_eq!(
        notes,
        [
            "1: test \"numbers\", 0s after its begin",
            "2: in the turn where `i` is 2 and `port` is 11",
            "3: the same fails in 2 more turns",
            ": in the turn where `i` is 2",
            "1: test \"numbers\", 0s after its begin",
            "2: in the turn where `i` is 3",
            "1: test \"packets\", 0s after its begin",
            "2: in the turn where `p` is packet 1 of 3 in \"three.pcap\"",
            "3: the same fails in 2 more turns",
            ": in the turn where `i` is 4",
            ": test \"outside\", 0s after its begin",
        ],
        "{shown}"
    );
}

#[test]
fn a_failed_expectation_shows_both_sides_and_the_packet() {
    let shown = failures(
        &format!(
            "{HEAD}
test \"wrong\" {{
    let p = ip4(src: 10.0.0.1, dst: 192.0.2.7) / tcp(src_port: 4000, dst_port: 80, flags: SYN | ACK);
    expect kind(p) == Mail;
    expect seen[10.0.0.1].total == 1;
}}
"
        ),
        &NoCaptures,
    );
    for part in [
        "this is `Web`",
        "this is `Mail`",
        "this is `0`",
        "packet `p`:",
        "tcp(src_port: 4000, dst_port: 80, seq: 0, ack: 0, data_offset: 5, reserved: 0, flags: SYN | ACK",
        "0010  0028 0000 0000 4006",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
}

#[test]
fn arms_that_no_packet_took_are_told() {
    let checked = checked(&format!(
        "{HEAD}
test \"one arm\" {{
    expect kind(ip4() / tcp(dst_port: 80)) == Web;
}}
"
    ));
    let report = &reports(&checked, &NoCaptures)[0];
    let text = |span: oko_diagnostics::Span| checked.sources().snippet(span).unwrap().to_owned();
    let taken: Vec<String> =
        report.arms.iter().filter(|(_, taken)| *taken).map(|(span, _)| text(*span)).collect();
    assert_eq!(taken, ["Web"]);
    assert!(report.arms.len() > 8, "{:?}", report.arms);
}

/// Two ARP frames, one and three seconds after the capture's begin.
struct TwoFrames;

impl Captures for TwoFrames {
    fn capture(&self, name: &str) -> Result<Vec<Captured>, String> {
        if name != "two.pcap" {
            return Err(format!("there is no `{name}`"));
        }
        let frame = |time| Captured { bytes: vec![0; 60], wire_len: 120, time };
        Ok(vec![frame(5_000_000_000), frame(7_000_000_000)])
    }
}

#[test]
fn captures_are_replayed_at_their_times() {
    let text = format!(
        "{HEAD}
state when: instant {{ expire: never }};
filter gap -> bool {{
    let before = update when |old| now;
    pkt.len > 100
}}
test \"counts\" {{
    expect length(replay \"two.pcap\") == 2;
    expect second_port(replay \"two.pcap\") == 0;
    let begin = now;
    for p in replay \"two.pcap\" {{
        expect length(p);
        expect second_port(p.with(in_port: 2));
    }}
    expect now == begin + 2s;
}}
"
    );
    let text = text.replace("state when: instant { expire: never };\nfilter gap -> bool {\n    let before = update when |old| now;\n    pkt.len > 100\n}\n", "");
    assert_eq!(failures(&text, &TwoFrames), "");
    let missing =
        failures("filter f -> bool { true } test \"a\" { expect f(replay \"no.pcap\") == 1; }", &TwoFrames);
    assert!(missing.contains("E0710") && missing.contains("there is no `no.pcap`"), "{missing}");
}

/// An event that waits is taken by `expect emitted` and seen by `expect not emitted`.
#[test]
fn events_are_expected_and_expected_not_to_be() {
    let text = format!(
        "{HEAD}
event web {{ source: ip4, port: u16 }} limit 1 each 10s per source;
filter told -> bool {{
    match pkt {{
        ipv4 / tcp => {{ emit web {{ source: ipv4.src, port: tcp.dst_port }}; true }}
        _ => false,
    }}
}}
test \"holds\" {{
    let p = ipv4(src: 10.0.0.1) / tcp(dst_port: 80);
    expect not emitted web;
    told(p);
    told(p.with(dst_port: 81));
    expect not emitted web {{ port: 81 }};
    expect not emitted web {{ source: 10.0.0.2, port: 80 }};
    expect emitted web {{ source: 10.0.0.1 }};
    expect not emitted web;
    advance 10s;
    told(p.with(dst_port: 81));
    expect emitted web {{ port: 81 }};
}}
test \"fails\" {{
    told(ipv4(src: 10.0.0.1) / tcp(dst_port: 80));
    expect not emitted web {{ port: 80 }};
}}
"
    );
    let checked = checked(&text);
    let reports = reports(&checked, &NoCaptures);
    assert_eq!((shown(&checked, &reports[0]).as_str(), reports[0].expectations), ("", 6));
    let failed = shown(&checked, &reports[1]);
    assert!(failed.contains("this event was emitted"), "{failed}");
    assert!(failed.contains("`web { source: 10.0.0.1, port: 80 }` waits here"), "{failed}");
}

/// A number is a sequence number where one is needed, and ranges of them go over 0.
#[test]
fn sequence_numbers_go_with_numbers_and_go_round() {
    let text = format!(
        "{HEAD}
struct Window {{ next: seq, size: u16 }}
state windows: map[ip4, Window] {{ capacity: 64, when_full: evict_oldest, expire: 1min }};
const FIRST: seq = 0xffff_fff0;
const LIST: [seq; 3] = [1, 2, 0xffff_ffff];
fn cookie(a: ip4, b: u16) -> u32 {{ (a[31:0] ^ b) +% 0x9e37_79b9 }}
fn after(a: seq, b: seq) -> bool {{ a > b }}
filter equal -> bool {{ match pkt {{ tcp => 7 == tcp.seq and tcp.ack != 0, _ => false }} }}
filter near -> bool {{ match pkt {{ tcp => tcp.seq in FIRST..1 + FIRST + 31, _ => false }} }}
filter numbers -> bool {{ match pkt {{ tcp => tcp.seq in 10..=20, _ => false }} }}
filter inside -> bool {{ match pkt {{ tcp => tcp.seq in tcp.ack..=tcp.ack + tcp.window, _ => false }} }}
filter arms -> bool {{
    match pkt {{
        tcp => match tcp.seq {{ 7 | 0xffff_ffff => true, 9..=11 => true, FIRST => true, _ => false }},
        _ => false,
    }}
}}
filter listed -> bool {{
    match pkt {{ tcp => tcp.seq in [3, 5..=6, FIRST] or tcp.seq in LIST, _ => false }}
}}
filter cookies -> bool {{
    match pkt {{ ipv4 / tcp => tcp.ack - 1 == cookie(ipv4.src, tcp.src_port), _ => false }}
}}
filter kept -> bool {{
    match pkt {{
        ipv4 / tcp => {{
            let before = windows[ipv4.src] ?? Window(next: 0, size: 0);
            update windows[ipv4.src] |old| Window(next: if tcp.flags has SYN {{ 1 }} else {{ tcp.seq }}, size: tcp.window);
            before.next == 0 and after(tcp.seq, 5)
        }}
        _ => false,
    }}
}}
filter turns -> bool {{
    match pkt {{ tcp => (for i in 0..4 with at = tcp.seq {{ at + i }}) == 4, _ => false }}
}}
test \"seq\" {{
    let p = ipv4(src: 1.2.3.4) / tcp(seq: 7, ack: 1);
    expect equal(p) and not equal(p.with(seq: 8)) and not equal(p.with(ack: 0));
    expect near(p) and near(p.with(seq: FIRST)) and near(p.with(seq: 15)) and near(p.with(seq: 0xffff_ffff));
    expect not near(p.with(seq: 16)) and not near(p.with(seq: 0xffff_ffef));
    expect numbers(p.with(seq: 10)) and numbers(p.with(seq: 20));
    expect not numbers(p.with(seq: 21)) and not numbers(p.with(seq: 9));
    let far = p.with(seq: 5, ack: 0xffff_fff0);
    expect inside(far.with(window: 21)) and not inside(far.with(window: 20));
    expect inside(p.with(ack: 7, window: 0)) and not inside(p.with(ack: 8));
    expect arms(p) and arms(p.with(seq: 10)) and arms(p.with(seq: 0xffff_ffff)) and not arms(p.with(seq: 8));
    expect listed(p.with(seq: 3)) and listed(p.with(seq: 6)) and listed(p.with(seq: FIRST));
    expect listed(p.with(seq: 2)) and not listed(p.with(seq: 4)) and not listed(p);
    expect cookies(p.with(ack: cookie(1.2.3.4, 5) +% 1, src_port: 5)) and not cookies(p);
    expect kept(p.with(flags: ACK)) and not kept(p.with(flags: SYN | ACK));
    expect windows[1.2.3.4] == Window(next: 1, size: 65_535);
    expect turns(p.with(seq: 0xffff_fffe)) and not turns(p);
}}
"
    );
    all_hold(&checked(&text), 14);
}

/// Where `a >= b` holds, `a - b` is a number like others: an index, a divisor, what is kept.
#[test]
fn differences_are_known_behind_conditions() {
    let text = format!(
        "{HEAD}
struct Seen {{ first: instant, last: instant, packets: u32 }}
state kept: map[ip4, Seen] {{ capacity: 64, when_full: evict_oldest, expire: 1h }};
state gaps: array[counter] {{ capacity: 101 }};
param low: u32 in 0..=100 = 5;
param high: u32 in 0..=100 = 7;
const SMALL: [u8; 4] = [1, 2, 3, 4];
fn span(a: u32, b: u32) -> u32 {{ if a >= b {{ a - b }} else {{ b - a }} }}
fn guarded(a: u32, b: u32) -> u32 {{ if a < b {{ return 0; }} a - b }}
fn over(a: u32, b: u32, c: u32) -> u32 {{ if a <= b and b <= c {{ c - a }} else {{ 0 }} }}
fn from_end(i: u8, n: u8) -> u8 {{ if i < n and n <= 4 {{ SMALL[n - i - 1] }} else {{ 0 }} }}
fn wide(a: u128, b: u128) -> u128 {{ if a >= b {{ a - b }} else {{ b - a }} }}
filter gap -> bool {{
    if low < high {{ gaps[high - low].add(1) > 3 }} else {{ gaps[low - high].add(1) > 100 / (low - high + 1) }}
}}
filter full -> bool {{
    match pkt {{
        ipv4 / udp => {{
            let headers = ipv4.ihl * 4;
            let body: u16 = ipv4.total_len - headers;
            body > 11
        }}
        ipv4 / tcp if ipv4.total_len >= ipv4.ihl * 4 + tcp.data_offset * 4 => {{
            let body: u16 = ipv4.total_len - ipv4.ihl * 4 - tcp.data_offset * 4;
            body > 3
        }}
        _ => false,
    }}
}}
filter idle -> bool {{
    match pkt {{
        ipv4 => {{
            let seen = kept[ipv4.src];
            update kept[ipv4.src] |old| match old {{
                none => Seen(first: now, last: now, packets: 1),
                let old => Seen(first: old.first, last: now, packets: old.packets +| 1),
            }};
            match seen {{
                let s => if now >= s.last and s.last > s.first and s.packets > 0 {{
                    let pause: duration = now - s.last;
                    pause / (s.last - s.first) > 100 / s.packets
                }} else {{ false }},
                none => false,
            }}
        }}
        _ => false,
    }}
}}
test \"differences\" {{
    expect span(3, 5) == 2 and span(5, 3) == 2 and guarded(3, 5) == 0 and guarded(5, 3) == 2;
    expect over(1, 2, 9) == 8 and over(3, 2, 9) == 0;
    expect from_end(0, 4) == 4 and from_end(3, 4) == 1 and from_end(4, 4) == 0 and from_end(0, 5) == 0;
    expect wide(0x1_0000_0000_0000_0000_0000, 5) == 0xffff_ffff_ffff_ffff_fffb;
    expect wide(3, 0x1_0000_0000_0000_0000_0000) == 0xffff_ffff_ffff_ffff_fffd;
    let p = ipv4() / udp() / payload(len: 4);
    expect full(p) and not full(ipv4() / udp() / payload(len: 3));
    expect full(ipv4() / tcp() / payload(len: 4)) and not full(ipv4() / tcp() / payload(len: 3));
    expect not full((ipv4() / tcp() / payload(len: 9)).with(total_len: 20));
    for i in 0..3 {{ expect not gap(p); }}
    expect gap(p);
    expect gaps[2].total == 4;
    high.set(0);
    expect not gap(p);
    expect gaps[5].total == 1;
    expect not idle(p);
    advance 1s;
    expect not idle(p);
    advance 60s;
    expect idle(p);
}}
"
    );
    all_hold(&checked(&text), 17);
}

#[test]
fn headers_below_and_between_are_filled_in() {
    let text = format!(
        "{HEAD}
test \"ways\" {{
    expect tagged(vlan(vid: 7) / ipv4());
    expect not tagged(vlan(vid: 8) / ipv4() / udp(dst_port: 53) / payload(hex: \"00 01\"));
    expect echo(ipv4() / icmp(type: 8)) and echo(ip6() / icmp6(type: 128));
    expect not echo(ipv4(protocol: 6) / icmp(type: 8));
    expect not echo(arp(operation: 1));
}}
"
    );
    assert_eq!(failures(&text, &NoCaptures), "");
}
