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
fn a_range_of_sequence_numbers_has_a_plain_number_at_one_end() {
    let text = "#[root] header h { a: seq }
        const K: seq = 0xffff_fff0; param last: u32 = 10;
        enum In { None, First, Both, Other }
        filter f -> In { match pkt {
            h if h.a in K..=10 and h.a in K..=last => Both,
            h if h.a in K..=10 or h.a in K..=last => First,
            h if h.a in 11..K => Other, _ => None } }";
    let mut machine = Machine::new(text);
    for (a, found) in
        [(0xffff_fff0u32, 2), (u32::MAX, 2), (0, 2), (10, 2), (11, 3), (0xffff_ffef, 3), (0x8000_0000, 3)]
    {
        assert_eq!(machine.class(&a.to_be_bytes(), SECOND), found, "{a}");
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

#[test]
fn loops_carry_values_from_turn_to_turn() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        // The range of what is carried follows from the body: four turns, each of up to 3 more.
        ("let sum = for i in 0..4 with sum = 0 { sum + i }; let small: u4 = sum; small == 6", [0; 5], true),
        ("let n = for i in 0..=3 with n: u8 = 0 { n +| i }; n == 6", [0; 5], true),
        ("let sum = for i in 0..x with sum = 0 { sum + i }; sum == 10", [0, 0, 0, 5, 0], true),
        ("let sum = for i in y..x with sum = 0 { sum + i }; sum == 7", [0, 0, 0, 5, 3], true),
        ("let sum = for i in y..x with sum = 0 { sum + i }; sum == 0", [0, 0, 0, 3, 5], true),
        ("let sum = for i in y..=x with sum = 0 { sum + i }; sum == 5", [0, 0, 0, 5, 5], true),
        ("let r = for i in 0..8 with low = 0, high = 0 { (low + i, high + i + i) }; r == (28, 56)", [0; 5], true),
        ("let (low, _, high) = (x, 5, y); low == 1 and high == 2", [0, 0, 0, 1, 2], true),
        // `break` leaves with the carried value as it is, or with another one.
        ("let n = for i in 0..100 with n = 0 { if i == x { break; } n + 1 }; n == 7", [0, 0, 0, 7, 0], true),
        ("let at = for i in 0..64 with at = none { if (a >> i) & 1 == 1 { break i; } at }; at == 40", [1 << 40, 0, 0, 0, 0], true),
        ("let at = for i in 0..64 with at = none { if (a >> i) & 1 == 1 { break i; } at }; at == none", [0; 5], true),
        ("for i in 0..10 { if i == x { return true; } } false", [0, 0, 0, 9, 0], true),
        ("for i in 0..10 { if i == x { return true; } } false", [0, 0, 0, 10, 0], false),
        ("let most = for n in [3, 9, 4] with most = 0 { if n > most { n } else { most } }; most == 9", [0; 5], true),
        ("let most = for n in [x, y, 4] with most = 0 { if n > most { n } else { most } }; most == 77", [0, 0, 0, 77, 3], true),
        ("let pairs = for i in 0..3 with n = 0 { for j in 0..3 with m = n { if i == j { m } else { m + 1 } } }; pairs == 6", [0; 5], true),
        ("let p = for i in 0..3 with p: Point? = none { match p { none => point(x, y), let q => point(q.y, q.x) } };
          match p { none => false, let q => q.x == x and q.y == y }", [0, 0, 0, 5, 6], true),
        ("let down = for i in 0..3 with n = 10 { n - i }; down == 7", [0; 5], true),
        ("let last = for i in 0..5 with last = 9 { if i == 3 { 0 } else { last + 1 } }; last == 1", [0; 5], true),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
}

#[test]
fn arrays_are_found_by_index() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        ("[x, y, 7][2] == 7 and [x, y, 7][x & 1] == 9", [0, 0, 0, 1, 9], true),
        ("let t: [u8; 3] = [x, y, 7]; t[x mod 3] == 7", [0, 0, 0, 5, 0], true),
        ("[(x, true), (y, false)][y & 1] == (y, false)", [0, 0, 0, 5, 1], true),
        ("[2, 4, 8, 16][x & 3] == 16", [0, 0, 0, 7, 0], true),
        ("100 / [2, 4, 8, 16][x & 3] == 6", [0, 0, 0, 7, 0], true),
        (
            "[1, 0xffff_ffff_ffff_ffff, 3, 4, 5, 6, 7, 8][x & 7] == 0xffff_ffff_ffff_ffff",
            [0, 0, 0, 1, 0],
            true,
        ),
        ("[true, false, true, true][x & 3] and not [true, false, true, true][y & 3]", [0, 0, 0, 6, 5], true),
        ("x in [1, 3, 5] and [x, 2] == [3, y]", [0, 0, 0, 3, 2], true),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
    // Tables of every density: an element is what was written, whatever the packing.
    for (count, most) in
        [(3u64, 1u64), (64, 1), (65, 1), (100, 3), (256, 15), (256, 255), (300, 65_535), (40, u64::MAX)]
    {
        let value =
            |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7) % most.saturating_add(1).max(2);
        let list: Vec<String> = (0..count).map(|at| value(at).to_string()).collect();
        let text = format!(
            "const TABLE: [u64; {count}] = [{}]; param i: u64 in 0..={} = 0; param v: u64 = 0;
             filter f -> bool {{ TABLE[i] == v }}",
            list.join(", "),
            count - 1
        );
        let mut machine = Machine::new(&text);
        for at in 0..count {
            machine.set_param(0, at);
            machine.set_param(1, value(at));
            assert!(machine.matches(&[], SECOND), "element {at} of {count} up to {most}");
        }
    }
}

/// A setting may be computed by a function, also one with a loop, from params that change.
#[test]
fn functions_are_called_in_settings() {
    let text = "fn idle(n: u8, unit: u8) -> duration { for i in 0..2 with sum: duration = 0s { sum +| n * 1s * unit } }
        param n: u8 in 1..=60 = 5;
        state seen: set[u8] { capacity: 8, when_full: refuse, expire: idle(n, 1) };
        filter f -> bool { if 1 in seen { true } else { seen.insert(1) == none } }";
    let mut machine = Machine::new(text);
    assert!(!machine.matches(&[], SECOND), "not there yet");
    assert!(machine.matches(&[], 10 * SECOND), "it stays for two times five seconds");
    assert!(!machine.matches(&[], 11 * SECOND), "and then goes");
    machine.set_param(0, 1);
    assert!(
        machine.matches(&[], 20 * SECOND),
        "what was written before the change stays as long as it was to"
    );
}

#[test]
fn membership_in_lists_that_have_a_name() {
    let text = "#[root] header h { port: u16, addr: ip4 }
        const PORTS: [u16; 3] = [80, 443, 8_080];
        const INSIDE: [prefix; 3] = [10.0.0.0/8, 2001:db8::/32, 192.168.0.0/16];
        const PAIRS: [(u16, bool); 2] = [(1, true), (2, false)];
        filter f -> bool { match pkt {
            h => (h.port in PORTS and h.addr in INSIDE) or (h.port, true) in PAIRS, _ => false } }";
    let mut machine = Machine::new(text);
    for (port, addr, expected) in [
        (80u16, [10, 1, 2, 3], true),
        (443, [192, 168, 7, 7], true),
        (8080, [192, 169, 7, 7], false),
        (81, [10, 1, 2, 3], false),
        (1, [0, 0, 0, 0], true),
        (2, [0, 0, 0, 0], false),
    ] {
        let packet = [&port.to_be_bytes()[..], &addr].concat();
        assert_eq!(machine.matches(&packet, SECOND), expected, "{port} {addr:?}");
    }
}

#[test]
fn slices_are_bits_from_high_to_low() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        ("x[7:4] == 0xa and x[3:0] == 0x5 and x[5:5] == 1 and x[7:0] == x", [0, 0, 0, 0xa5, 0], true),
        ("a[63:56] == 0x12 and a[47:0] == 0x5678_9abc_def0", [0x1234_5678_9abc_def0, 0, 0, 0, 0], true),
        ("let low: u4 = a[3:0]; low == 0", [0x1234_5678_9abc_def0, 0, 0, 0, 0], true),
        ("flags(x)[1:0] == 3 and flags(x)[2:2] == 0", [0, 0, 0, 3, 0], true),
        ("0xabcd[15:8] == 0xab and 10.1.2.3[31:24] == 10 and 02:00:00:00:00:01[0:0] == 1", [0; 5], true),
        ("2001:db8::1[127:96] == 0x2001_0db8 and 2001:db8::1[15:0] == 1", [0; 5], true),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
}

#[test]
fn structs_are_matched_by_their_fields() {
    let cases: &[(&str, [u64; 5], bool)] = &[
        (
            "match point(x, y) { Point(x: 1, y: let n) => n == 9, Point(both: (2, _)) => true, _ => false }",
            [0, 0, 0, 1, 9],
            true,
        ),
        (
            "match point(x, y) { Point(x: 1, y: let n) => n == 9, Point(both: (2, _)) => true, _ => false }",
            [0, 0, 0, 2, 9],
            true,
        ),
        (
            "match point(x, y) { Point(x: 1, y: let n) => n == 9, Point(both: (2, _)) => true, _ => false }",
            [0, 0, 0, 3, 9],
            false,
        ),
        (
            "match point(x, y) { Point(x: 0..=127) => false, Point(x: 128..=255) => true }",
            [0, 0, 0, 130, 9],
            true,
        ),
    ];
    for (condition, params, expected) in cases {
        assert_eq!(holds(condition, *params), *expected, "{condition} with {params:?}");
    }
}

/// Operators on wide integers against the same on `u128`, for values at the borders of the words.
#[test]
fn wide_integers_are_computed_as_u128_is() {
    let text = "#[root] header h { op: u8, a: u128, b: u128, small: u100, word: u64, rest: u4 }
        const BIG: u128 = 0x1_0000_0000_0000_0005;
        fn pick(op: u8, a: u128, b: u128, s: u100, w: u64) -> u128 {
            match op {
                0 => a +% b, 1 => a -% b, 2 => a +| b, 3 => a -| b, 4 => a & b, 5 => a | b, 6 => a ^ b, 7 => ~a,
                8 => a >> 5, 9 => a >> 64, 10 => s << 20, 11 => a[100:37], 12 => a[127:64], 13 => a[70:60],
                14 => s + s, 15 => s +| w, 16 => s +% w, 17 => a & w, 18 => w, 19 => a[99:3], 20 => a & 0xffff,
                21 => if a < b { 1 } else { 0 }, 22 => if a <= b { 1 } else { 0 }, 23 => if a == b { 1 } else { 0 },
                24 => if a in 5..=BIG { 1 } else { 0 }, 25 => if a > w { 1 } else { 0 }, 26 => s -% w,
                27 => match a { 0 => 0, 1..=0x2_0000_0000_0000_0000 => 1, _ => 2 },
                28 => if a in [1, BIG, 7] { 1 } else { 0 }, 29 => ~s, 30 => BIG + 1, _ => 0 } }
        param high: u64 = 0; param low: u64 = 0;
        filter f -> bool { match pkt {
            h => { let r = pick(h.op, h.a, h.b, h.small, h.word); r[127:64] == high and r[63:0] == low }
            _ => false } }";
    let mut machine = Machine::new(text);
    let big = 0x1_0000_0000_0000_0005u128;
    let borders: Vec<u128> =
        [0u128, 1, 5, 1 << 63, u64::MAX as u128, 1 << 64, big, 0x2 << 64, 1 << 99, 1 << 127, u128::MAX]
            .into_iter()
            .flat_map(|v| [v, v.wrapping_sub(1), v.wrapping_add(0x1234_5678)])
            .collect();
    let (max, m100) = (u128::MAX, (1u128 << 100) - 1);
    for (at, a) in borders.iter().copied().enumerate() {
        for (other, b) in borders.iter().copied().enumerate().skip(at % 4).step_by(4) {
            let (s, w) = (b & m100, borders[(at + other) % borders.len()] as u64);
            let wide = u128::from(w);
            let flag = u128::from;
            let expected = [
                a.wrapping_add(b),
                a.wrapping_sub(b),
                a.saturating_add(b),
                a.saturating_sub(b),
                a & b,
                a | b,
                a ^ b,
                !a,
                a >> 5,
                a >> 64,
                s << 20,
                (a >> 37) & (max >> 64),
                a >> 64,
                (a >> 60) & 0x7ff,
                s + s,
                (s + wide).min(m100),
                (s + wide) & m100,
                a & wide,
                wide,
                (a >> 3) & (max >> 31),
                a & 0xffff,
                flag(a < b),
                flag(a <= b),
                flag(a == b),
                flag((5..=big).contains(&a)),
                flag(a > wide),
                s.wrapping_sub(wide) & m100,
                if a == 0 {
                    0
                } else if a <= 2 << 64 {
                    1
                } else {
                    2
                },
                flag([1, big, 7].contains(&a)),
                !s & m100,
                big + 1,
                0,
            ];
            for (op, value) in expected.into_iter().enumerate() {
                // `small` is 100 bits wide: what is behind it begins within a byte.
                let tail = (s << 28) >> 28;
                let mut bits = vec![(op as u128, 8), (a, 128), (b, 128), (tail, 100), (wide, 64), (0, 4)];
                let packet = bytes(&mut bits);
                machine.set_param(0, (value >> 64) as u64);
                machine.set_param(1, value as u64);
                assert!(
                    machine.matches(&packet, SECOND),
                    "operator {op} of {a:#x}, {b:#x}, {s:#x}, {w:#x} is not {value:#x}"
                );
            }
        }
    }
}

/// Differences, products and quotients of wide integers against those of `u128`, also within an `update`, where loops are written out.
#[test]
fn wide_products_and_quotients_are_those_of_u128() {
    let text = "#[root] header h { op: u8, a: u128, b: u128, word: u64 }
        const BIG: u128 = 0x1_0000_0000_0000_0005;
        fn pick(op: u8, a: u128, b: u128, w: u64) -> u128 {
            match op {
                0 => if a >= BIG { a - BIG } else { 0 },
                1 => if a < BIG { BIG - a } else { 0 },
                2 => a[95:0] * w[31:0], 3 => a[99:0] * b[27:0],
                4 => { let x: u128 = a[63:0]; x * w }
                5 => if w != 0 { a / w } else { 0 }, 6 => if w != 0 { a mod w } else { 0 },
                7 => if b > 0 { a / b } else { 0 }, 8 => if b > 0 { a mod b } else { 0 },
                9 => a / 10, 10 => a mod 10, 11 => a / 4_096, 12 => a mod 4_096, 13 => a / BIG, 14 => a mod BIG,
                15 => a / (w[15:0] + 1), 16 => a mod (w[15:0] + 1), 17 => BIG * 3, 18 => BIG / 7,
                19 => if b > 0 { w / b } else { 0 }, 20 => a / 0x1_0000_0000_0000_0000, 21 => a mod 0x1_0000_0000_0000_0000,
                22 => (a / 1_000 mod 16) * 2, _ => 0 } }
        param high: u64 = 0; param low: u64 = 0;
        state last: array[u128] { capacity: 1, expire: never };
        filter f -> bool { match pkt {
            h => {
                let r = pick(h.op, h.a, h.b, h.word);
                let locked = update last[0] |old| pick(h.op, h.a, h.b, h.word);
                r[127:64] == high and r[63:0] == low and locked == r
            }
            _ => false } }";
    let mut machine = Machine::new(text);
    let big = 0x1_0000_0000_0000_0005u128;
    let borders: Vec<u128> = [
        0u128,
        1,
        5,
        10,
        4_096,
        (1 << 32) + 7,
        1 << 63,
        u64::MAX.into(),
        1 << 64,
        big,
        0x2 << 64,
        1 << 99,
        1 << 127,
        u128::MAX,
        0x2001_0db8_0000_0000_0123_4567_89ab_cdef,
    ]
    .into_iter()
    .flat_map(|v| [v, v.wrapping_sub(1), v.wrapping_add(0x1234_5678)])
    .collect();
    for (at, a) in borders.iter().copied().enumerate() {
        for (other, b) in borders.iter().copied().enumerate().skip(at % 6).step_by(6) {
            let w = borders[(at + other) % borders.len()] as u64;
            let (wide, zero) = (u128::from(w), |value: Option<u128>| value.unwrap_or(0));
            let expected = [
                zero(a.checked_sub(big)),
                big.saturating_sub(a),
                (a & (u128::MAX >> 32)) * (wide & 0xffff_ffff),
                (a & (u128::MAX >> 28)) * (b & 0x0fff_ffff),
                u128::from(a as u64) * wide,
                zero(a.checked_div(wide)),
                zero(a.checked_rem(wide)),
                zero(a.checked_div(b)),
                zero(a.checked_rem(b)),
                a / 10,
                a % 10,
                a / 4_096,
                a % 4_096,
                a / big,
                a % big,
                a / (wide % 65_536 + 1),
                a % (wide % 65_536 + 1),
                big * 3,
                big / 7,
                zero(wide.checked_div(b)),
                a >> 64,
                u128::from(a as u64),
                (a / 1_000 % 16) * 2,
                0,
            ];
            for (op, value) in expected.into_iter().enumerate() {
                let packet = bytes(&mut vec![(op as u128, 8), (a, 128), (b, 128), (wide, 64)]);
                machine.set_param(0, (value >> 64) as u64);
                machine.set_param(1, value as u64);
                assert!(
                    machine.matches(&packet, SECOND),
                    "operator {op} of {a:#x}, {b:#x}, {w:#x} is not {value:#x}"
                );
            }
        }
    }
}

/// What a wide number is divided by can be greater than all that it can be: the quotient is 0, and the number is computed all the same.
#[test]
fn a_dividend_below_its_divisor_is_computed() {
    for quotient in [
        "/ 0x4_0000_0000_0000_0000",
        "/ 0x4_0000_0000_0000_0001",
        "/ 0x8000_0000_0000_0000",
        "mod 0x4_0000_0000_0000_0000",
    ] {
        let text = format!(
            "state seen: array[u64] {{ capacity: 1, expire: never }};
             fn wide(n: u64) -> u65 {{ n +% 0x1_0000_0000_0000_0000 }}
             filter f -> bool {{ (wide((update seen[0] |n| (n ?? 0) +| 5) ?? 0) {quotient}) != 1 }}"
        );
        let mut machine = Machine::new(&text);
        let _ = machine.matches(&[0; 64], SECOND);
        assert_eq!(machine.entries(0, SECOND), [(vec![0], vec![5])], "{quotient}");
    }
}

/// Fields one after the other, the highest bit first.
fn bytes(fields: &mut Vec<(u128, u32)>) -> Vec<u8> {
    let mut bits = Vec::new();
    for (value, width) in fields.drain(..) {
        bits.extend((0..width).rev().map(|bit| (value >> bit & 1) as u8));
    }
    bits.chunks(8).map(|chunk| chunk.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}
