//! `extend`: headers of a program behind headers that are declared elsewhere.

mod support;

use oko_diagnostics::{Sink, SourceMap};
use support::numbers::Numbers;
use support::packets::{A, B, Ipv4, ethernet, segment, tcp};
use support::{Fast, Machine, SECOND};

/// Headers wherever the standard library leaves room: circles that grow, values that some lines of a header take, tunnels.
const EXTENSIONS: &str = "
    header shim { path: u16, type: u16 } next by type { 0x0800 => ipv4, 0x8100 => vlan, 0x88b5 => shim }
    header probe { kind: u8, rest: u24 } next by kind { 1 => dns, #[tunnel] 2 => ethernet, 3 => probe }
    header mark { kind: u16 }
    extend ethernet | vlan next by type { 0x88b5 => shim, 0x9100 => vlan, 0x0800..=0x88ff => probe }
    extend udp next by (src_port, dst_port) { (_, 4000) | (4000, _) => probe, (54, _) => mark, (_, 50..=60) => probe }
    extend ipv4 next by (protocol, frag_offset) { (253, 0) => probe, (0..=255, 0) => mark }
    extend ipv6 | hop_by_hop | destination | routing next by next_header { 253 => probe }
    extend tcp next by dst_port { 53 => dns, #[tunnel] 80 => ipv4, 4000 => probe }
    extend gre next by protocol { 0x88b5 => mark, #[tunnel] 0x88b6 => ipv6 }
    extend geneve next by (protocol, vni) { #[tunnel] (0x0800..=0xffff, 7) => ipv6, (0x88b5, _) => mark }
    extend arp next by operation { 1 => probe, 2 => mark, _ => dns }
    extend icmp next by type { 3 => probe }
";

/// Headers of the standard library, each with a field that tells where it was found.
const HEADERS: &[(&str, &str)] = &[
    ("arp", "sender"),
    ("dns", "id"),
    ("ethernet", "type"),
    ("esp", "spi"),
    ("fragment", "id"),
    ("geneve", "vni"),
    ("gre", "protocol"),
    ("gtpu", "teid"),
    ("hop_by_hop", "len"),
    ("icmp", "checksum"),
    ("icmp6", "checksum"),
    ("ipv4", "checksum"),
    ("ipv6", "src"),
    ("mpls", "label"),
    ("sctp", "tag"),
    ("tcp", "seq"),
    ("udp", "length"),
    ("vlan", "vid"),
    ("vxlan", "vni"),
    ("vxlan / ethernet / ipv4", "checksum"),
    ("udp / geneve / ethernet", "type"),
];

/// A filter that matches packets with these headers and remembers the field.
fn filter(headers: &str, field: &str, more: &str) -> String {
    let names: std::collections::BTreeSet<&str> = (headers.split(" / "))
        .chain([
            "arp",
            "destination",
            "dns",
            "ethernet",
            "geneve",
            "gre",
            "hop_by_hop",
            "icmp",
            "ipv4",
            "ipv6",
            "routing",
            "tcp",
            "udp",
            "vlan",
            "vxlan",
        ])
        .collect();
    let names: Vec<&str> =
        names.into_iter().filter(|name| !["shim", "probe", "mark"].contains(name)).collect();
    let last = headers.split(" / ").last().unwrap_or_default();
    format!(
        "use std.net.{{{}}};
        state at: set[{}] {{ capacity: 1, when_full: evict_oldest, expire: never }};
        {more}
        filter f -> bool {{ match pkt {{ {headers} => {{ at.insert({last}.{field}); true }} _ => false }} }}",
        names.join(", "),
        match (last, field) {
            ("arp", _) => "ip4",
            ("ipv6", _) => "ip6",
            ("tcp", _) => "seq",
            _ => "u32",
        }
    )
}

/// The packets of the capture of all headers, and many of each with a few bytes changed, mostly to numbers that lines have.
fn packets() -> Vec<Vec<u8>> {
    let path = format!("{}/../../examples/captures/headers.pcap", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("the capture");
    let mut rest = &bytes[24..];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut found = Vec::new();
    while rest.len() > 16 {
        let len = u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        let packet = &rest[16..16 + len];
        rest = &rest[16 + len..];
        found.push(packet.to_vec());
        // Each number of an extension where types and ports are, behind tags or not.
        for at in [12, 16, 20, 34, 36, 38, 40].into_iter().filter(|at| at + 2 <= packet.len()) {
            for number in [0x88b5u16, 0x9100, 4000, 53] {
                let mut changed = packet.to_vec();
                changed[at..at + 2].copy_from_slice(&number.to_be_bytes());
                found.push(changed);
            }
        }
        for _ in 0..20 {
            let mut changed = packet.to_vec();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(changed.len().min(70) - 1);
                match numbers.below(3) {
                    0 => changed[at] = numbers.below(256) as u8,
                    1 => changed[at] = [4, 6, 17, 41, 44, 47, 58, 132, 253, 0x45, 0x60][numbers.below(11)],
                    _ => {
                        let known = [
                            0x0800u16, 0x8100, 0x86dd, 0x88b5, 0x88b6, 0x9100, 0x8847, 53, 443, 4000, 2152,
                            4789, 6081,
                        ];
                        changed[at..at + 2].copy_from_slice(&known[numbers.below(known.len())].to_be_bytes());
                    }
                }
            }
            let len = if numbers.below(4) == 0 { numbers.below(changed.len() + 1) } else { changed.len() };
            found.push(changed[..len].to_vec());
        }
    }
    found
}

#[test]
fn what_is_found_without_extensions_is_found_with_them_in_the_same_place() {
    let packets = packets();
    assert!(packets.len() > 500, "{}", packets.len());
    for (headers, field) in HEADERS {
        let mut plain = Fast::new(&filter(headers, field, ""), 1);
        let mut extended = Fast::new(&filter(headers, field, EXTENSIONS), 1);
        let mut found = 0;
        for packet in &packets {
            let (before, after) = (plain.run(packet, SECOND), extended.run(packet, SECOND));
            if before == 1 {
                found += 1;
                assert_eq!(after, 1, "{headers} in {packet:x?}");
                assert_eq!(plain.entries(0, SECOND), extended.entries(0, SECOND), "{headers} in {packet:x?}");
            }
        }
        assert!(found > 5, "only {found} packets have {headers}");
    }
    for (header, field) in [("shim", "path"), ("probe", "rest"), ("mark", "kind")] {
        let mut extended = Fast::new(&filter(header, field, EXTENSIONS), 1);
        let found: u32 = packets.iter().map(|packet| extended.run(packet, SECOND)).sum();
        assert!(found > 5, "only {found} packets have {header}");
    }
}

#[test]
fn a_line_marked_first_comes_before_the_headers_own() {
    let text = |mark: &str, value: &str| {
        format!(
            "use std.net.{{dns, udp}};
            header names {{ id: u16 }}
            extend udp next by dst_port {{ {mark} {value} => names }}
            enum Found {{ Neither, Dns, Names }}
            filter f -> Found {{ match pkt {{ udp / names => Names, udp / dns => Dns, _ => Neither }} }}"
        )
    };
    let udp = |from: u16, to: u16| {
        let mut payload = [from, to, 20, 0].map(u16::to_be_bytes).concat();
        payload.extend([0; 12]);
        Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, payload) }.frame(0)
    };
    let classes = |text: &str| {
        let mut machine = Machine::new(text);
        [(9, 53), (53, 53), (53, 9), (9, 54), (53, 54)]
            .map(|(from, to)| machine.class(&udp(from, to), SECOND))
    };
    assert_eq!(classes(&text("", "53..=54")), [1, 1, 1, 2, 1]);
    assert_eq!(classes(&text("#[first]", "53..=54")), [2, 2, 1, 2, 2]);
    assert_eq!(classes(&text("#[first]", "53")), [2, 2, 1, 0, 1]);
}

#[test]
fn a_circle_that_an_extension_makes_longer_has_the_bound_of_its_headers() {
    let text = |repeat: &str| {
        format!(
            "use std.net.{{ethernet, ipv4, tcp, vlan}};
            {repeat}
            header shim {{ path: u16, type: u16 }} next by type {{ 0x0800 => ipv4, 0x8100 => vlan }}
            extend ethernet | vlan next by type {{ 0x88b5 => shim }}
            filter f -> bool {{ match pkt {{ tcp => tcp.dst_port == 80, _ => false }} }}"
        )
    };
    // The types of what follows Ethernet and each tag.
    let frame = |types: &[u16]| {
        let mut frame = ethernet(types[0]);
        for next in &types[1..] {
            frame.extend([0, 10]);
            frame.extend(next.to_be_bytes());
        }
        frame.extend(Ipv4::tcp(A, B, tcp(4000, 80, 2)).bytes());
        frame
    };
    let chains: [&[u16]; 5] = [
        &[0x0800],
        &[0x88b5, 0x0800],
        &[0x8100, 0x88b5, 0x0800],
        &[0x8100, 0x88b5, 0x8100, 0x0800],
        &[0x88b5, 0x8100, 0x88b5, 0x8100, 0x0800],
    ];
    let found = |repeat| chains.map(|types| Machine::new(&text(repeat)).matches(&frame(types), SECOND));
    assert_eq!(found(""), [true, true, true, false, false]);
    assert_eq!(found("#[repeat(max = 3)]"), [true, true, true, true, false]);
    assert_eq!(found("#[repeat(max = 4)]"), [true; 5]);
}

#[test]
fn a_circle_is_not_passed_less_often_for_a_header_that_comes_into_it() {
    let text = |times: u32| {
        format!(
            "#[root]
            header tag {{ next_tag: u8 }} next by next_tag {{ 1 => tag, 2 => end }}
            header end {{ kind: u8 }}
            #[repeat(max = {times})]
            header other {{ next_tag: u8 }} next by next_tag {{ 1 => tag }}
            extend tag next by next_tag {{ 3 => other }}
            filter f -> bool {{ match pkt {{ end => end.kind == 7, other => false, _ => false }} }}"
        )
    };
    let compiled = support::compile("test.oko", &text(1));
    let codes: Vec<String> = compiled.diagnostics.iter().map(|found| found.code.to_string()).collect();
    assert_eq!(codes, ["E0420"]);
    assert!(Machine::new(&text(2)).matches(&[1, 2, 7], SECOND));
}

/// A program of several files, the messages about it, and whether it is right.
fn files(root: &str, modules: &[(&str, &str)]) -> (String, Option<oko_front::Output>) {
    let mut sources = SourceMap::new();
    let root = sources.add("root.oko", root).expect("short");
    let files = oko_front::load(&mut sources, root, &mut |module| {
        let own = modules.iter().find(|(name, _)| *name == module);
        match own {
            Some((name, text)) => Some((format!("{name}.oko"), (*text).to_owned())),
            None => Some((oko_stdlib::file_name(module)?.to_owned(), oko_stdlib::source(module)?.to_owned())),
        }
    });
    let analysis = oko_front::analyze(&files.units(), &sources);
    let mut sink = Sink::new();
    sink.extend(files.diagnostics);
    sink.extend(analysis.diagnostics);
    let output = if sink.has_errors() { None } else { analysis.output };
    (oko_diagnostics::render_all(&sink.finish(), &sources, oko_diagnostics::Colour::None), output)
}

const ONE: (&str, &str) = (
    "one",
    "use std.net.udp; header telemetry { kind: u8 } extend udp next by dst_port { 4000 => telemetry }",
);

fn using(first: &str, second: &str) -> String {
    format!(
        "use {first}; use {second};
        filter f -> bool {{ match pkt {{ telemetry => telemetry.kind == 1, probe => probe.kind == 2, _ => false }} }}"
    )
}

#[test]
fn the_order_of_files_does_not_matter() {
    let two = (
        "two",
        "use std.net.{tcp, udp}; header probe { kind: u8 }
        extend udp next by (src_port, dst_port) { (_, 4001) => probe, (53, 4000) => probe }
        extend tcp next by dst_port { 4000 => probe }",
    );
    // Port 53 is the sender of an answer of DNS: the overlap is none.
    let (messages, _) = files(&using("one.telemetry", "two.probe"), &[ONE, two]);
    assert!(messages.contains("E0424") && messages.contains("`udp` itself"), "{messages}");
    let two = (two.0, two.1.replace("(53, 4000) => probe", "(7, 4002) => probe"));
    let printed = [("one.telemetry", "two.probe"), ("two.probe", "one.telemetry")].map(|(first, second)| {
        let (messages, output) = files(&using(first, second), &[ONE, (two.0, &two.1)]);
        let output = output.unwrap_or_else(|| panic!("{messages}"));
        let checked = oko_ir::verify(output.module).expect("sound");
        let mut store = oko_ir::interp::Store::new(&checked);
        let mut run = |packet: &[u8]| {
            let packet = oko_ir::interp::Packet::whole(packet, 1);
            oko_ir::interp::run(&checked, 0, &mut store, packet, SECOND).expect("runs").class
        };
        let udp = |from: u16, to: u16, kind: u8| {
            let mut payload = [from, to, 9, 0].map(u16::to_be_bytes).concat();
            payload.push(kind);
            Ipv4 { protocol: 17, ..Ipv4::tcp(A, B, payload) }.frame(0)
        };
        let mut probe = segment(A, 1, B, 4000, 2);
        probe.push(2);
        [
            run(&udp(1, 4000, 1)),
            run(&udp(1, 4001, 1)),
            run(&udp(1, 4001, 2)),
            run(&udp(7, 4002, 2)),
            run(&probe),
        ]
    });
    assert_eq!(printed, [[1, 0, 1, 1, 1]; 2]);
}

#[test]
fn files_that_contradict_each_other_are_refused_with_both_places() {
    let two =
        ("two", "use std.net.udp; header probe { kind: u8 } extend udp next by src_port { 5000 => probe }");
    let (messages, output) = files(&using("one.telemetry", "two.probe"), &[ONE, two]);
    assert!(output.is_none());
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(messages);
    });
    // In one file the first counts.
    let both = format!("{} {}", ONE.1, two.1.replace("use std.net.udp;", ""));
    let (messages, output) = files(&using("one.telemetry", "one.probe"), &[("one", &both)]);
    assert!(output.is_some(), "{messages}");
}
