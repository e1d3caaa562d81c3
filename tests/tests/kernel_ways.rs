//! Linux's verifier follows each way through a program by itself, and each turn of a loop, until it has looked at a million instructions. These have many of them, and
//! it takes what is made for it. Skipped, with a note, where `bpf(2)` is not available.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_compiler::Linux;
use oko_ir::interp::{Packet, Store, run};
use oko_tests::examples::{Build, compile_text};
use oko_tests::kernel::{self, IN_PORT, MIN_PACKET};

/// A filter of TCP packets.
fn of_tcp(states: &str, body: &str) -> String {
    format!(
        "use std.net.{{ethernet, ip, tcp, udp, vxlan}};\n{states}
filter f -> bool {{ match pkt {{ ip / tcp => {{\n{body}\n}} _ => false, }} }}"
    )
}

/// So many pieces of a program, each made from its number.
fn each(count: usize, separator: &str, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect::<Vec<_>>().join(separator)
}

/// Reads an option of TCP, in a loop of up to 40 turns.
fn mss(number: usize) -> String {
    format!(
        "let mss{number} = for option in tcp.options with mss: u16 = {number} {{
            match option {{ mss => mss.value, end => {{ break; }} _ => mss }}
        }};"
    )
}

/// Counts in a loop in such a loop.
fn blocks(number: usize) -> String {
    format!(
        "let blocks{number} = for option in tcp.options with n: u8 = {number} {{
            match option {{
                sack => n +| (for block in sack.blocks with m: u8 = 0 {{ if block.left < tcp.ack {{ m +| 1 }} else {{ m }} }}),
                end => {{ break; }}
                _ => n,
            }}
        }};"
    )
}

/// Programs that have many ways through them, or loops with many turns, and how many instructions the kernel's verifier may look at.
fn programs_of_many_ways() -> Vec<(&'static str, String, u32)> {
    let maps = each(40, "\n", |number| {
        format!("state m{number}: map[ip.addr, u32] {{ capacity: 1_024, when_full: refuse, expire: 10s }};")
    });
    let updates = each(40, "\n", |number| {
        format!(
            "let r{number} = if tcp.checksum mod {} == 1 {{ (update m{number}[ip.src] |old| (old ?? 0) +| 1) ?? 0 }} else {{ {number} }};",
            number + 3
        )
    });
    let inside_a_tunnel = "match pkt {
        ip as outer / udp / vxlan / ethernet / ip as inner / tcp if tcp.flags has SYN => {
            let sum = for option in tcp.options with sum: u16 = 0 {
                match option { mss => sum +| mss.value, end => { break; } _ => sum +| 1 }
            };
            sum < 1_000 and inner.src in 10.0.0.0/8 and outer.src in 192.0.2.0/24
        }
        _ => false,
    }";
    let long_loop = "filter f -> bool {
        let sum = for i in 0..60_000 with sum: u32 = 0 { if i ^ pkt.len > 700 { sum +| i } else { sum } };
        sum > 5_000
    }";
    let numbers = each(90, "\n", |number| {
        format!("let n{number} = tcp.checksum * {} ^ (tcp.window & {});", number + 3, number * 97)
    });
    let full_frame = format!(
        "{numbers}
        let sum = for i in 0..30_000 with sum: u32 = 0 {{ if i ^ pkt.len > 700 {{ sum +| i }} else {{ sum }} }};
        sum > 5_000 and {}",
        each(90, " and ", |number| format!("n{number} != sum"))
    );
    let bytes = |count: usize| each(count, ", ", |number| format!("b{number}: u8"));
    let of_bytes = |states: &str, count: usize, body: &str| {
        format!(
            "use std.net.{{ipv4, udp}};
header mine {{ {} }}
extend udp next by dst_port {{ 4000 => mine }}
{states}
filter f -> bool {{ match pkt {{ ipv4 / udp / mine => {{\n{body}\n}} _ => false, }} }}",
            bytes(count)
        )
    };
    let classified = |name: &str, first: usize| {
        each(8, "\n", |number| {
            format!(
                "let {name}{number}: u32 = match mine.b{number} {{
                    0..=9 => {}, 10..=19 => 3, 20..=29 => 7, 30 | 32 | 34 => 9, 40..=80 => 11, _ => 5,
                }};",
                number + first
            )
        })
    };
    let classified_twice = classified("x", 0)
        + &classified("y", 100)
        + &each(8, " or ", |number| format!("x{number} > y{number}"));
    let compared = each(16, "\n", |number| format!("let x{number} = mine.b{number} < {};", number + 10))
        + &each(16, "\n", |number| format!("if x{number} != x{} {{ c.add(1); }}", (number + 3) % 16))
        + &each(16, "\n", |number| format!("if x{number} and x{} {{ c.add(2); }}", (number + 5) % 16))
        + "mine.b0 > 7";
    let rules = each(600, "\n", |number| {
        format!(
            "if ip.src in {}.{}.{}.0/24 and tcp.dst_port == {number} {{ return {}; }}",
            10 + number % 100,
            number / 100,
            number % 250,
            number % 3 != 0
        )
    }) + "false";
    let clamped = each(12, "\n", |number| {
        let (sign, limit) = (["<", ">"][number % 2], number % 8);
        format!(
            "let v{}: u8 = if v{number} {sign} mine.b{limit} {{ mine.b{limit} }} else {{ v{number} }};",
            number + 1
        )
    });
    let clamped = format!("let s = for i in 0..400 with v0: u8 = mine.b0 {{ {clamped} v12 }}; s > 77");
    let bloom = "let s = for i in 0..1000 with s: u64 = 0 { s +| (if seen.insert(i ^ udp.checksum) { 1 } else { 2 }) };
        s > 77";
    let told = "let s = for i in 0..300 with s: u64 = 0 {
            if s ^ i > mine.b0 { emit told { i, s }; }
            s +| mine.b1
        };
        s > 77";
    vec![
        ("numbers classified twice", of_bytes("", 8, &classified_twice), 10_000),
        ("conditions used twice", of_bytes("state c: counter;", 16, &compared), 50_000),
        ("rules", of_tcp("", &rules), 50_000),
        ("numbers clamped in a loop", of_bytes("", 8, &clamped), 50_000),
        (
            "a Bloom filter in a loop",
            of_bytes("state seen: bloom[u32] { capacity: 1_000, error: 1%, expire: 10s };", 1, bloom),
            100_000,
        ),
        (
            "events in a loop",
            of_bytes("event told { i: u32, s: u64 } limit 100 each 1s per i;", 2, told),
            20_000,
        ),
        ("a full frame", of_tcp("", &full_frame), 20_000),
        ("one loop", of_tcp("", &(mss(0) + " mss0 > 500")), 60_000),
        ("three loops", of_tcp("", &(each(3, "\n", mss) + " mss0 > mss1 or mss2 > 9")), 150_000),
        (
            "twenty loops",
            of_tcp("", &(each(20, "\n", mss) + &each(20, " and ", |number| format!("mss{number} > 500")))),
            30_000,
        ),
        (
            "nests of loops",
            of_tcp("", &(each(4, "\n", blocks) + " blocks0 > 2 and blocks1 > 2 or blocks2 > blocks3")),
            30_000,
        ),
        (
            "loops in a tunnel",
            format!(
                "use std.net.{{ethernet, ip, tcp, udp, vxlan}};\nfilter f -> bool {{ {inside_a_tunnel} }}"
            ),
            100_000,
        ),
        ("many turns", long_loop.to_owned(), 1_000),
        (
            "many numbers",
            of_tcp(&maps, &(updates + &each(40, " or ", |number| format!("r{number} > {}", number * 7 + 3)))),
            50_000,
        ),
    ]
}

#[test]
fn programs_of_many_ways_are_accepted() {
    if kernel::is_missing() {
        return;
    }
    for (name, program, most) in programs_of_many_ways() {
        let bytes = compile_text(name, program, Build::Kernel).bytes;
        let loaded = kernel::load(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let verified = loaded.verified("f").unwrap();
        println!("{name}: {verified} instructions");
        assert!(verified < most, "{name}: the kernel looked at {verified} instructions");
    }
}

/// Runs a filter `f` that takes a late Linux on packets of many lengths.
fn runs_alike(name: &str, text: &str, linux: Linux) {
    let artifact = compile_text(name, text.to_owned(), Build::Kernel);
    assert_eq!(
        artifact.linux,
        [Some(linux)],
        "{name} with {} instructions",
        artifact.cert.filters[0].bpf_insns
    );
    let loaded = kernel::load(&artifact.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut store = Store::new(&artifact.ir);
    for length in (MIN_PACKET..200).step_by(3) {
        let bytes = vec![length as u8; length];
        let packet = Packet::whole(&bytes, IN_PORT);
        let expected = run(&artifact.ir, 0, &mut store, packet, 1).unwrap().class;
        assert_eq!(loaded.run("f", &bytes).unwrap(), expected + 1, "{name}: {length} bytes");
    }
}

/// The guards of loops change no answer, and nobody comes to their end.
#[test]
fn guarded_loops_run_alike_in_the_kernel() {
    if kernel::is_missing() {
        return;
    }
    let text = "filter f -> bool {
        let sum = for i in 0..50_000 with sum: u32 = 0 {
            if i < pkt.len * 512 { sum +% i } else { break sum; }
        };
        sum mod 7 < 3
    }";
    runs_alike("long_loop.oko", text, Linux::V6_9);
}

#[test]
fn jumps_over_more_than_16_bits_run_alike_in_the_kernel() {
    if kernel::is_missing() {
        return;
    }
    let numbers = each(2_600, "\n", |number| {
        format!(
            "let v{} = if v{number} & 3 == 1 {{ v{number} +| {number} -| (v{number} & 15) }} else {{ v{number} +% 7 }};",
            number + 1
        )
    });
    let text = format!(
        "use std.net.ethernet;
filter f -> bool {{ match pkt {{
    ethernet => {{
        if ethernet.type > 0x8000 {{ return pkt.len > 150; }}
        let v0: u64 = pkt.len;
        {numbers}
        v2600 mod 2 == 1
    }}
    _ => true,
}} }}"
    );
    runs_alike("long.oko", &text, Linux::V6_6);
}
