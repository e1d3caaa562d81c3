//! Tests in the language, as far as checking them goes.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fmt::Write;

use oko_diagnostics::Severity;

const HEAD: &str = "use std.net.{ip, ipv4, tcp, udp};
param limit: u32 in 1..=10 = 3;
state seen: map[ip4, counter] { capacity: 16, when_full: evict_oldest, expire: 60s };
enum Kind { Other, Web }
filter f -> bool { match pkt { ipv4 / tcp => seen[ipv4.src].add(1) > limit, _ => false } }
filter kind -> Kind { match pkt { ipv4 / tcp => Web, _ => Other } }
";

/// The codes of the errors that a test with these steps gets.
fn codes(steps: &str) -> Vec<String> {
    let text = format!("{HEAD}test \"t\" {{\n{steps}\n}}\n");
    let compiled = support::compile("test.oko", &text);
    let errors = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    errors.map(|found| found.code.to_string()).collect()
}

#[test]
fn what_tests_can_say_is_accepted() {
    for steps in [
        "expect f(ipv4(src: 10.0.0.1) / tcp(dst_port: 80, flags: SYN | ACK)) == false;",
        "let p = ip4(src: 10.0.0.1) / tcp(); expect not f(reply(p).with(flags: RST, ttl: 3, in_port: 4));",
        "let p = ip(src: 2001:db8::1) / udp(dst_port: 53) / payload(\"abc\"); expect kind(p) == Other;",
        "for i in 1..=5 { f(ipv4() / tcp(src_port: i)); }",
        "limit.set(10); advance 1h; expect seen[10.0.0.1].total == 0 and limit == 10;",
        "let n = f(replay \"a.pcap\"); expect n == 3; for p in replay \"a.pcap\" { kind(p); }",
        "let x = if limit > 2 { 1 } else { 2 }; expect x in 1..=2;",
        "{ let p = packet(\"00 01\"); f(p.with(in_port: 3)); }",
        "let begin = now; advance 5s; expect now - begin == 5s;",
    ] {
        assert_eq!(codes(steps), [""; 0], "{steps}");
    }
}

#[test]
fn what_is_wrong_in_tests_is_told_where_it_is() {
    let mut wrong = Vec::new();
    for (steps, expected) in [
        ("expect f(5);", &["E0702"][..]),
        ("expect f(ipv4(sorce: 10.0.0.1));", &["E0209"]),
        ("expect f(ipv4(src: 5));", &["E0301"]),
        ("expect f(ipv4(10.0.0.1));", &["E0310"]),
        ("expect f(ipv4(ttl: 300));", &["E0302"]),
        ("expect f(ipv4(ttl: 3, ttl: 4));", &["E0205"]),
        ("expect f(tcp() / ipv4());", &["E0703"]),
        ("expect f(ipv4() / payload(\"a\") / tcp());", &["E0703"]),
        ("expect f(ipv4() / payload(hex: \"0\"));", &["E0704"]),
        ("expect f(ipv7());", &["E0201"]),
        ("let p = packet(\"00\"); expect f(reply(p));", &["E0705"]),
        ("let p = packet(\"00\"); expect f(p.with(ttl: 3));", &["E0705"]),
        ("let p = ipv4(); expect f(p.with(flagz: 3));", &["E0209"]),
        ("let p = ipv4(); expect f(p.whit(ttl: 3));", &["E0210"]),
        ("let p = ipv4(); expect p == p;", &["E0702", "E0702"]),
        ("seen[10.0.0.1].add(1);", &["E0706"]),
        ("expect pkt.len == 3;", &["E0706"]),
        ("return true;", &["E0706"]),
        ("limit;", &["E0706"]),
        ("limit.set(11);", &["E0302"]),
        ("expect f(ipv4(), ipv4());", &["E0310"]),
        ("let x = if limit > 2 { f(ipv4()) } else { false };", &["E0706"]),
        ("expect kind(replay \"a.pcap\") == 3;", &["E0301"]),
        ("for x in seen { f(ipv4()); }", &["E0509", "E0706"]),
        ("advance 5;", &["E0301"]),
    ] {
        let found = codes(steps);
        if found != expected {
            wrong.push(format!("{steps}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_test_that_computes_too_much_is_told_so() {
    let mut steps = String::new();
    for number in 0..201 {
        let _ = writeln!(steps, "expect limit + {number} > 0;");
    }
    let found = codes(&steps);
    assert!(found.contains(&"E0707".to_owned()), "{found:?}");
    let loops = "for i in 0..1000 { expect limit + i > 0; }";
    assert_eq!(codes(loops), [""; 0]);
}

#[test]
fn what_headers_say_for_replies_must_fit() {
    for (header, expected) in [
        ("#[reply(b)] header a { x: u8 } header b { x: u8 }", &[][..]),
        ("#[reply(c)] header a { x: u8 }", &["E0409"]),
        ("header a { #[reply(of = 1, value = 2)] #[reply(of = 3, value = 4)] x: u8 }", &[]),
        ("header a { #[reply(of = 1, value = 256)] x: u8 }", &["E0701"]),
        ("header a { #[reply(value = 256)] x: u8 }", &["E0701"]),
        ("header a { #[reply(value = 255)] x: u8 }", &[]),
        ("header a { #[reply(takes, src)] x: u8, #[reply(sets, src)] y: u8 }", &[]),
        ("header a { #[reply(gives, src)] x: u8 }", &["E0701"]),
        ("header a { #[reply(y)] x: u8, y: u16 }", &["E0701"]),
    ] {
        let text = format!("#[root] header first {{ x: u8 }}\n{header}\nfilter f -> bool {{ pkt.len > 5 }}");
        let found: Vec<String> = (support::compile("test.oko", &text).diagnostics.iter())
            .filter(|found| found.is_error())
            .map(|found| found.code.to_string())
            .collect();
        assert_eq!(found, expected, "{header}");
    }
}
