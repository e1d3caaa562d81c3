//! What expressions are worth, computed beforehand and computed for a packet: both must agree.

mod support;

use support::{Machine, SECOND};

/// Whether a condition over the params `a`, `b`, `c` (u64) and `x`, `y` (u8) holds for these values.
fn holds(condition: &str, params: [u64; 5]) -> bool {
    let text = format!(
        "param a: u64 = 0; param b: u64 = 0; param c: u64 = 0; param x: u8 = 0; param y: u8 = 0;
         bits Flag: u8 {{ ONE, TWO, FOUR, HIGH = 7 }}
         enum Kind {{ First, Second, Third }}
         struct Point {{ x: u8, y: u8, both: (u8, bool) }}
         fn clamp(n: u64, low: u64, high: u64) -> u64 {{
             if n < low {{ return low; }}
             if n > high {{ high }} else {{ n }}
         }}
         fn kind(n: u8) -> Kind {{ match n {{ 0 => First, 1..=9 => Second, _ => Third }} }}
         fn flags(n: u8) -> Flag {{ match n {{ 1 => ONE, 3 => ONE | TWO, 7 => ONE | TWO | FOUR, _ => HIGH }} }}
         fn point(x: u8, y: u8) -> Point {{ Point(both: (x, true), y: y, x: x) }}
         fn half(n: u8) -> u8? {{ if n & 1 == 1 {{ none }} else {{ n / 2 }} }}
         filter f -> bool {{ {condition} }}"
    );
    let mut machine = Machine::new(&text);
    for (at, value) in params.into_iter().enumerate() {
        machine.set_param(at as u32, value);
    }
    machine.matches(&[0; 64], 5 * SECOND)
}

#[test]
fn arithmetic_is_what_it_says() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        ("a +| b == 0xffff_ffff_ffff_ffff", [u64::MAX, 7, 0, 0, 0], true),
        ("a +| b == 12", [5, 7, 0, 0, 0], true),
        ("a -| b == 0", [5, 7, 0, 0, 0], true),
        ("a -| b == 2", [7, 5, 0, 0, 0], true),
        ("a +% b == 6", [u64::MAX, 7, 0, 0, 0], true),
        ("a -% b == 0xffff_ffff_ffff_fffe", [5, 7, 0, 0, 0], true),
        ("x +| y == 255", [0, 0, 0, 200, 100], true),
        ("x +% y == 44", [0, 0, 0, 200, 100], true),
        ("x -% y == 156", [0, 0, 0, 100, 200], true),
        ("x + y == 300", [0, 0, 0, 200, 100], true),
        ("x - y < 0", [0, 0, 0, 100, 200], true),
        ("x - y == y - x - 200", [0, 0, 0, 100, 200], true),
        ("x - y + 100 == 0", [0, 0, 0, 100, 200], true),
        ("-x == 0 - x", [0, 0, 0, 100, 0], true),
        ("x * y == 65_025", [0, 0, 0, 255, 255], true),
        ("x * y - 65_026 < 0", [0, 0, 0, 255, 255], true),
        ("x / 7 == 14 and x mod 7 == 2", [0, 0, 0, 100, 0], true),
        ("if y != 0 { x / y == 33 } else { false }", [0, 0, 0, 100, 3], true),
        ("x << 3 == 2040", [0, 0, 0, 255, 0], true),
        ("a >> (x & 63) == 1", [1 << 40, 0, 0, 40, 0], true),
        ("~x == 0x0f", [0, 0, 0, 0xf0, 0], true),
        ("x & y == 0x10 and x | y == 0xf1 and x ^ y == 0xe1", [0, 0, 0, 0xf0, 0x11], true),
        ("a in 5..=7 and a in 5..8 and a not in 0..7", [7, 0, 0, 0, 0], true),
        ("a in b..=c", [7, 7, 7, 0, 0], true),
        ("a in b..c", [7, 7, 7, 0, 0], false),
        ("a in [1, b, 100]", [50, 50, 0, 0, 0], true),
        ("x in [1, 3, 5]", [0, 0, 0, 4, 0], false),
        ("not (x in [1, 3, 5]) or false", [0, 0, 0, 4, 0], true),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
}

#[test]
fn precedence_is_that_of_the_manual() {
    // `&`, `|` bind more tightly than comparisons, `not` more tightly than anything between operands.
    for (condition, expected) in [
        ("6 & 3 == 2", true),
        ("1 | 2 == 3", true),
        ("2 + 3 * 4 == 14", true),
        ("1 << 2 + 1 == 8", true),
        ("(not false) and true", true),
        ("10 - 4 - 3 == 3", true),
        ("7 mod 4 * 2 == 6", true),
    ] {
        assert_eq!(holds(condition, [0; 5]), expected, "{condition}");
    }
}

#[test]
fn values_of_all_kinds_are_compared_and_chosen() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        ("clamp(a, 5, 10) == 5", [1, 0, 0, 0, 0], true),
        ("clamp(a, 5, 10) == 10", [11, 0, 0, 0, 0], true),
        ("clamp(a, 5, 10) == 7", [7, 0, 0, 0, 0], true),
        ("kind(x) == First", [0, 0, 0, 0, 0], true),
        ("kind(x) == Second and kind(y) == Third", [0, 0, 0, 9, 10], true),
        ("flags(x) has ONE and not (flags(x) has FOUR)", [0, 0, 0, 3, 0], true),
        ("flags(x) == ONE | TWO and flags(x) has ONE | TWO", [0, 0, 0, 3, 0], true),
        ("flags(x) has ONE | FOUR", [0, 0, 0, 3, 0], false),
        ("flags(x) & (ONE | HIGH) == ONE", [0, 0, 0, 7, 0], true),
        ("point(x, y).both == (x, true) and point(x, y).y == y", [0, 0, 0, 5, 6], true),
        ("half(x) == none", [0, 0, 0, 5, 0], true),
        ("half(x) == 3", [0, 0, 0, 6, 0], true),
        ("half(x) ?? 77 == 77", [0, 0, 0, 5, 0], true),
        ("match half(x) { none => false, let n => n == 4 }", [0, 0, 0, 8, 0], true),
        ("match half(x) { 0 | 1 => true, _ => false }", [0, 0, 0, 5, 0], false),
        ("match half(x) { 0 | 1 => true, _ => false }", [0, 0, 0, 2, 0], true),
        ("match (x, y) { (1, let n) => n == 9, (_, 0) => true, _ => false }", [0, 0, 0, 1, 9], true),
        ("match (x, y) { (1, let n) => n == 9, (_, 0) => true, _ => false }", [0, 0, 0, 2, 0], true),
        ("match x { 0..=9 if y == 1 => true, 5 => true, _ => false }", [0, 0, 0, 5, 0], true),
        ("let t = if x > 5 { (x, y) } else { (y, x) }; t == (9, 3)", [0, 0, 0, 3, 9], true),
        ("now == now and now - 2s < now and now > now - 1ms", [0; 5], true),
        ("pkt.len == 64 and (pkt.len > 60 or x / 1 == 3)", [0; 5], true),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
}

#[test]
fn sequence_numbers_are_in_serial_order() {
    let text = "#[root] header h { a: seq, b: seq }
        enum Order { Equal, Less, Greater }
        filter f -> Order { match pkt {
            h if h.a == h.b => Equal, h if h.a < h.b and h.a <= h.b and not (h.b <= h.a) and not (h.a > h.b) => Less,
            h if h.b + 1 >= h.a => Greater, _ => Greater } }";
    let mut machine = Machine::new(text);
    for (a, b, order) in [
        (5u32, 5u32, 0),
        (5, 6, 1),
        (6, 5, 2),
        (u32::MAX, 0, 1),
        (0, u32::MAX, 2),
        (0x7fff_ffff, 0xffff_fffe, 1),
        (0xf000_0000, 0x1000_0000, 1),
    ] {
        let packet = [a.to_be_bytes(), b.to_be_bytes()].concat();
        assert_eq!(machine.class(&packet, SECOND), order, "{a} and {b}");
    }
}

#[test]
fn constants_are_computed_as_packets_are() {
    // The same expressions over constants and over params of the same value.
    let operators = ["+|", "-|", "+%", "-%", "&", "|", "^"];
    for (first, second) in [(0u64, 0u64), (1, 255), (200, 100), (255, 255), (128, 127)] {
        for operator in operators {
            let text = format!(
                "const A: u8 = {first}; const B: u8 = {second}; param x: u8 = {first}; param y: u8 = {second};
                 fn typed(n: u8) -> u8 {{ n }}
                 filter f -> bool {{ let a: u8 = A; let b: u8 = B; a {operator} b == x {operator} y }}"
            );
            assert!(Machine::new(&text).matches(&[], SECOND), "{first} {operator} {second}");
        }
    }
}
