//! Values that are computed while a program is compiled: they are what a filter would have computed.

mod support;

use support::{Machine, SECOND, compile};

const FUNCTIONS: &str = "
    enum Size { Small, Large }
    fn half(n: u32) -> u32 { n / 2 }
    fn round_up(n: u32) -> u32 {
        for i in 0..31 with power: u32 = 1 {
            if power >= n { break power; }
            (power << 1)[31:0]
        }
    }
    fn size(n: u32) -> Size { if n > half(200) { Large } else { Small } }
    fn even(n: u32) -> u32? { if n & 1 == 0 { n } else { none } }
    fn corner(n: u8) -> (u8, bool) { (n / 2, n > 10) }
    fn wide(n: u32) -> u128 { n +% 0x1_0000_0000_0000_0000_0000_0000 }
    fn below(n: u32) -> bool { n < 0x10 }
    fn later(n: u16) -> duration { 5s * n }
";

/// The answer to a condition that names constants, and the same where the calls stand in the filter.
fn holds(declarations: &str, condition: &str) -> bool {
    let text = format!("{FUNCTIONS} {declarations} filter f -> bool {{ {condition} }}");
    Machine::new(&text).matches(&[0; 64], 5 * SECOND)
}

#[test]
fn constants_call_functions() {
    let cases = [
        ("const a: u32 = half(9);", "a == 4"),
        ("const a: u8 = half(9) + 1;", "a == 5"),
        ("const a: u32 = round_up(3_000);", "a == 4_096"),
        ("const a: u32 = round_up(half(3_000));", "a == 2_048"),
        ("const a: u32 = if half(9) > 3 { 7 } else { 8 };", "a == 7"),
        ("const a: u32 = match size(300) { Large => 1, Small => 2 };", "a == 1"),
        ("const a: Size = size(3);", "a == Small"),
        ("const a: u32? = even(8); const b: u32? = even(9);", "a == 8 and b == none and (b ?? 5) == 5"),
        ("const a: (u8, bool) = corner(30);", "match a { (15, true) => true, _ => false }"),
        ("const a: u128 = wide(1);", "a == 0x1_0000_0000_0000_0000_0000_0001"),
        ("const a: bool = below(15) and not below(16);", "a"),
        ("const a: duration = later(2);", "a == 10s"),
        ("const a: [u32; 3] = [half(2), half(4), half(6)];", "a[1] == 2 and 3 in a and 4 not in a"),
        ("const n: u32 = 8; const a: [u32; half(n)] = [1, 2, 3, 4];", "a[3] == 4"),
        ("const a: u32 = for i in 0..10 with sum: u32 = 0 { sum +| i };", "a == 45"),
    ];
    for (declarations, condition) in cases {
        assert!(holds(declarations, condition), "{declarations} {condition}");
    }
}

#[test]
fn constants_agree_with_filters() {
    // The same calls with arguments that only a packet brings.
    for n in [0u32, 1, 7, 8, 100, 201, 65_535] {
        let text = format!(
            "{FUNCTIONS}
             const a: u32 = half({n}); const b: u32 = round_up({n}); const c: Size = size({n}); const d: u32? = even({n});
             const e: u128 = wide({n}); const g: bool = below({n});
             param n: u32 = {n};
             filter f -> bool {{
                 a == half(n) and b == round_up(n) and c == size(n) and d == even(n) and e == wide(n) and g == below(n)
             }}"
        );
        assert!(Machine::new(&text).matches(&[0; 64], 5 * SECOND), "{n}");
    }
}

#[test]
fn settings_and_ranges_call_functions() {
    let text = "
        fn twice(n: u32) -> u32 { n * 2 mod 4_096 }
        param limit: u32 in 1..=twice(50) = twice(10);
        state seen: set[u32] { capacity: twice(64), when_full: refuse, expire: never };
        filter f -> bool { let fresh = seen.insert(pkt.len); fresh == true and limit / 2 == 10 }";
    assert!(Machine::new(text).matches(&[0; 64], SECOND));
    let module = compile("test.oko", text).output.expect("compiles").module;
    assert_eq!((module.params[0].max, module.params[0].default, module.states[0].capacity), (100, 20, 128));
}

#[test]
fn rules_of_headers_call_functions() {
    let text = "
        fn words(n: u8) -> u8 { if n > 4 { n } else { 4 } }
        fn known(kind: u8) -> bool { match kind { 1..=3 => true, _ => false } }
        #[root]
        header thing { kind: u8 where known(kind), length: u8, rest: [u8 in words(length) * 2], } next by kind { _ => tail }
        header tail { mark: u8 }
        filter f -> bool { match pkt { thing / tail => tail.mark == 9, _ => false } }
        test \"built\" { expect f(thing(kind: 2, length: 5) / tail(mark: 9)); expect not f(thing(kind: 7) / tail(mark: 9)); }";
    let mut machine = Machine::new(text);
    let packet = |kind: u8, length: u8, at: usize| {
        let mut bytes = vec![0; 40];
        (bytes[0], bytes[1], bytes[at]) = (kind, length, 9);
        bytes
    };
    assert!(machine.matches(&packet(2, 5, 12), SECOND));
    assert!(machine.matches(&packet(3, 1, 10), SECOND), "at least four words");
    assert!(!machine.matches(&packet(3, 1, 12), SECOND));
    assert!(!machine.matches(&packet(4, 5, 12), SECOND), "no such kind");
    // Building and taking apart, as tests do it, agree with what filters do.
    let program = compile("test.oko", text).output.expect("compiles").program;
    for (kind, length, tail) in [(1u8, 5u8, 12usize), (2, 0, 10), (3, 7, 16)] {
        let mut thing = oko_front::wire::Layer::new(&program, oko_front::hir::HeaderId(0));
        thing.fields = vec![Some(kind.into()), Some(length.into())];
        let mut end = oko_front::wire::Layer::new(&program, oko_front::hir::HeaderId(1));
        end.fields = vec![Some(9)];
        let bytes = oko_front::wire::encode(&program, &[thing, end], &[]);
        assert_eq!(bytes.get(tail), Some(&9), "{bytes:?}");
        let (found, rest) = oko_front::wire::decode(&program, &bytes);
        assert_eq!((found.len(), rest), (2, tail + 1));
        assert!(Machine::new(text).matches(&bytes, SECOND));
    }
}

#[test]
fn what_is_not_known_beforehand_is_said_once_and_where() {
    let cases: &[(&str, &[&str])] = &[
        ("param p: u32 = 1; fn f(n: u32) -> u32 { n +| p } const a: u32 = f(1);", &["E0306"]),
        (
            "param p: u32 = 1; fn g() -> u32 { p } fn f(n: u32) -> u32 { n +| g() } const a: u32 = f(1);",
            &["E0306"],
        ),
        ("fn f(n: u32) -> u32 { a +| n } const a: u32 = f(1);", &["E0318"]),
        ("fn f(n: u32) -> u32 { g(n) } fn g(n: u32) -> u32 { f(n) } const a: u32 = f(1);", &["E0318"]),
        ("fn f(n: u32) -> u32 { n / 0 } const a: u32 = f(1);", &["E0304"]),
        ("param p: u32 = f(2); fn f(n: u32) -> u32 { p +| n }", &["E0318"]),
        ("fn f(a: [u8; 300]) -> u32 { 1 } const a: u32 = f(1);", &["E0319"]),
        ("fn f(n: u32) -> u32 { let a: [u8; f(1)] = [1]; n } ", &["E0318"]),
        ("fn f(n: u32) -> u32 { n } const a: u8 = f(300);", &["E0302"]),
    ];
    for (text, codes) in cases {
        let diagnostics = compile("test.oko", &format!("{text} filter x -> bool {{ true }}")).diagnostics;
        let found: Vec<String> =
            diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.to_string()).collect();
        assert_eq!(found, *codes, "{text}\n{diagnostics:#?}");
    }
}

#[test]
fn no_constant_takes_long() {
    let deep =
        "fn f(n: u32) -> u32 { for i in 0..60_000 with x = n { for j in 0..60 with y = x { y ^ (i * j) } } }";
    let text = format!("{deep} const a: u32 = f(1); filter x -> bool {{ a > 1 }}");
    let found = compile("test.oko", &text).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>(), ["E0606"], "{found:#?}");
    let some = "fn f(n: u32) -> u32 { for i in 0..60_000 with x = n { x ^ i } }";
    let many: String = (0..200).map(|at| format!("const a{at}: u32 = f({at});")).collect();
    let found = compile("test.oko", &format!("{some} {many}")).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>(), ["E0606"], "{found:#?}");
}

/// Each function that a body calls is looked at once, so a circle is told once.
#[test]
fn a_function_that_calls_itself_twice_is_told_once() {
    let text = "fn f(n: u32) -> u32 { f(n) ^ f(n) } filter x -> bool { f(pkt.len) > 1 }";
    let found = compile("test.oko", text).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>(), ["E0318"], "{found:#?}");
}

/// A loop whose carried value is not declared looks at its body more than once, and only the last look says what is wrong.
#[test]
fn what_a_loop_looks_at_first_is_not_lost() {
    let endless =
        "fn f(n: u32) -> u32 { for i in 0..60_000 with x = n { for j in 0..60 with y = x { y ^ (i * j) } } }";
    let cases: &[(String, &[&str])] = &[
        (
            "param p: u32 = 1; fn f(n: u32) -> u32 { n +| p }
             const a: u32 = for i in 0..3 with sum = 0 { f(i) };"
                .to_owned(),
            &["E0306"],
        ),
        // The argument is a constant: the call is computed where it stands.
        (format!("{endless} const a: u32 = for i in 0..3 with last = 0 {{ f(1) }};"), &["E0606"]),
        (
            format!(
                "{endless} fn g(n: u32) -> u32 {{ n }}
                 const a: u32 = for i in 0..3 with last = 0 {{ f(1) }}; const b: u32 = for i in 0..3 with last = 0 {{ g(1) }};"
            ),
            &["E0606"],
        ),
        (
            "fn f(n: u32) -> u32 { if n > 5 { f(n -| 1) } else { n } }
             const a: u32 = for i in 0..3 with last = 0 { f(i) };"
                .to_owned(),
            &["E0318"],
        ),
        (format!("{endless} const a: u32 = for i in 0..3 with last = 0 {{ let few: [u8; f(1)] = [1]; i }};"), &["E0606"]),
        // Over a detour.
        (
            "fn f(n: u32) -> u32 { g(n) } fn g(n: u32) -> u32 { for i in 0..2 with x = n { f(x) } }
             const a: u32 = for i in 0..3 with last = 0 { f(i) };"
                .to_owned(),
            &["E0318"],
        ),
        // Types that nobody asked for before.
        (
            "struct asks { few: [u8; a] } type odd = u0;
             const a: u32 = for i in 0..3 with last = 1 { let x: odd = 1; i + 1 };"
                .to_owned(),
            &["E0315"],
        ),
        (
            "struct asks { few: [u8; a] } struct odd { x: u0 }
             const a: u32 = for i in 0..3 with last = 1 { let x: odd? = none; i + 1 };"
                .to_owned(),
            &["E0315"],
        ),
    ];
    for (text, codes) in cases {
        let diagnostics = compile("test.oko", &format!("{text} filter x -> bool {{ a > 1 }}")).diagnostics;
        let found: Vec<String> =
            diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.to_string()).collect();
        assert_eq!(found, *codes, "{text}\n{diagnostics:#?}");
    }
}
