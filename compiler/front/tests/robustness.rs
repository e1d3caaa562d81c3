//! Whatever the source, there is an answer: no panic, no stack overflow, no unbounded time; and what is accepted verifies.

mod support;

use proptest::prelude::*;

/// Accepted or refused, and if accepted, accepted by the IR's verifier, too.
fn check(text: &str) -> bool {
    let compiled = support::compile("any.oko", text);
    let Some(output) = compiled.output else {
        assert!(
            compiled.diagnostics.iter().any(oko_diagnostics::Diagnostic::is_error),
            "refused without a reason: {text}"
        );
        return false;
    };
    let printed = output.module.to_string();
    if let Err(errors) = oko_ir::verify(output.module) {
        panic!("{text}\n{printed}\n{errors:?}");
    }
    true
}

/// A name that nobody knows, where types are looked at before the enums whose variants could be meant.
#[test]
fn unknown_names_in_types_are_answered() {
    assert!(!check("type A = [u8; n];\nenum B { X }\nbits C: u8 { Y = 1 }\nfilter f { true }"));
    assert!(!check("enum map[u8, u8] {"));
}

/// However many names are unknown, each is told, and only the first are offered another one.
#[test]
fn many_unknown_names_are_answered_soon() {
    let lets: String = (0..5_000).map(|n| format!("let alpha{n} = alphb{n} + 5;\n")).collect();
    let compiled = support::compile("any.oko", &format!("filter f -> bool {{\n{lets}true\n}}"));
    assert_eq!(compiled.diagnostics.len(), 5_000);
    let offered = compiled.diagnostics.iter().filter(|found| found.suggestion.is_some()).count();
    assert!((50..=100).contains(&offered), "{offered}");
    let types: String =
        (0..3_000).map(|n| format!("struct Alpha{n} {{ a: u8 }}\nconst a{n}: Alphb{n} = 5;\n")).collect();
    let compiled = support::compile("any.oko", &format!("{types}filter f -> bool {{ true }}"));
    let offered = compiled.diagnostics.iter().filter(|found| found.suggestion.is_some()).count();
    assert!((50..=100).contains(&offered), "{offered}");
}

fn seeds() -> Vec<String> {
    let examples = format!("{}/../../examples", env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<String> = std::fs::read_dir(examples)
        .expect("the examples")
        .filter_map(|entry| {
            let path = entry.expect("a file").path();
            (path.extension()? == "oko").then(|| std::fs::read_to_string(path).expect("UTF-8"))
        })
        .collect();
    for code in oko_diagnostics::codes::all() {
        let example = code.explanation().split("```oko\n").nth(1).and_then(|rest| rest.split("```").next());
        seeds.extend(example.map(str::to_owned));
    }
    seeds.sort();
    seeds
}

/// Words that make trouble when they stand elsewhere.
const WORDS: &[&str] = &[
    "none",
    "1",
    "0",
    "18446744073709551615",
    "10s",
    "10.0.0.0/8",
    "::1",
    "true",
    "now",
    "pkt",
    "pkt.len",
    "_",
    "->",
    "=>",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    "ipv4",
    "tcp",
    "vlan",
    "u8",
    "u64",
    "bool",
    "ip6",
    "duration",
    "match",
    "if",
    "else",
    "return",
    "update",
    "|",
    "|old|",
    "and",
    "or",
    "not",
    "+",
    "-",
    "*",
    "/",
    "mod",
    "<<",
    ">>",
    "+|",
    "-|",
    "+%",
    "==",
    "<",
    "in",
    "has",
    "??",
    "let x =",
    "state",
    "param",
    "const",
    "enum",
    "struct",
    "header",
    "filter",
    "fn",
    "evict_oldest",
    "refuse",
    "never",
    "expire:",
    "window",
    "tokens",
    "counter",
    "map[u8, u8]",
    "set[u8]",
    ".add(1)",
    ".total",
    ".take(1)",
    "#[root]",
    "as",
    "1pps",
    "SYN",
    "..=",
    "where",
    "next by",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn mutated_programs_are_answered(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..4), 1..6),
    ) {
        let seeds = seeds();
        let text = seed.get(&seeds).clone();
        // Words and what stands between them, so that changes keep most of the shape.
        let mut parts: Vec<String> = Vec::new();
        for c in text.chars() {
            let word = c.is_alphanumeric() || c == '_' || c == '.';
            match parts.last_mut() {
                Some(last) if word && last.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') => last.push(c),
                _ => parts.push(c.to_string()),
            }
        }
        for (at, other, kind) in changes {
            if parts.is_empty() {
                break;
            }
            let at = at.index(parts.len());
            match kind {
                0 => { parts.remove(at); }
                1 => parts.insert(at, format!(" {} ", other.get(WORDS))),
                2 => parts[at] = format!(" {} ", other.get(WORDS)),
                _ => { let copy = other.get(&parts).clone(); parts[at] = copy; }
            }
        }
        check(&parts.concat());
    }

    #[test]
    fn heaps_of_words_are_answered(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        check(&words.join(" "));
        check(&format!("use std.net.{{ipv4, tcp, vlan}}; filter f -> bool {{ {} }}", words.join(" ")));
        check(&format!("use std.net.{{ipv4, tcp}}; filter f -> bool {{ match pkt {{ ipv4 => {}, _ => false }} }}", words.join(" ")));
    }
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("filter f -> bool {{ {}{inner}{} }}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn deep_nesting_is_answered() {
    for depth in [10, 60, 64, 100, 240, 256, 300, 5_000] {
        check(&nested("(", "true", ")", depth));
        check(&nested("{ ", "true", " }", depth));
        check(&nested("not ", "true", "", depth));
        check(&nested("if pkt.len > 1 { ", "true", " } else { false }", depth));
        check(&nested("match pkt { _ => ", "true", " }", depth));
        check(&nested("match pkt.len { 1 => true, _ => ", "true", " }", depth));
        check(&nested("pkt.len == 1 or ", "true", "", depth));
        check(&nested("pkt.len == 1 and not ", "true", "", depth));
        check(&format!("filter f -> bool {{ pkt.len {} > 1 }}", "+ 1".repeat(depth)));
        check(&format!(
            "filter f -> bool {{ let a = {}1{}; true }}",
            "(1, ".repeat(depth),
            ")".repeat(depth)
        ));
        check(&format!("const a: {}u8{} = 1;", "(u8, ".repeat(depth), ")".repeat(depth)));
    }
}

#[test]
fn deep_expressions_compile_as_long_as_they_may_be() {
    assert!(
        check(&nested("not ", "pkt.len == 1", "", 60)) || check(&nested("not ", "(pkt.len == 1)", "", 60))
    );
    assert!(check(&format!("filter f -> bool {{ pkt.len {} > 1 }}", "+ 1".repeat(200))));
}

#[test]
fn chains_of_declarations_are_answered() {
    let chain = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    // Each needs the next, so the first needs all.
    check(&chain(5_000, &|at| format!("const c{at}: u32 = c{} + 1;\n", at + 1)));
    check(&chain(5_000, &|at| format!("struct s{at} {{ a: s{} }}\n", at + 1)));
    check(&chain(40, &|at| format!("struct s{at} {{ a: s{0}, b: s{0} }}\n", at + 1)));
    check(&chain(5_000, &|at| format!("fn f{at}() -> u8 {{ f{}() }}\n", at + 1)));
    check(&chain(5_000, &|at| {
        format!("#[root] header h{at} {{ a: u8 }} next by a {{ 1 => h{} }}\n", at + 1)
    }));
    // In the other order all is known when it is needed.
    assert!(check(
        &("const c0: u32 = 1;\n".to_owned()
            + &chain(5_000, &|at| format!("const c{}: u32 = c{at} +| 1;\n", at + 1)))
    ));
}

#[test]
fn what_would_grow_without_bound_is_refused() {
    let doubling: String =
        (1..30).map(|at| format!("fn f{at}(n: u32) -> u32 {{ f{0}(n) +| f{0}(n) }}\n", at - 1)).collect();
    assert!(!check(&format!(
        "fn f0(n: u32) -> u32 {{ n +| pkt0 }} const pkt0: u32 = 1;\n{doubling}filter f -> bool {{ f29(pkt.len) > 1 }}"
    )));
    let tuples: String = (1..40).map(|at| format!("let t{at} = (t{0}, t{0});", at - 1)).collect();
    assert!(!check(&format!("filter f -> bool {{ let t0 = pkt.len; {tuples} true }}")));
    // Each header may be followed by every other one.
    let names: Vec<String> = (0..12).map(|at| format!("h{at}")).collect();
    let arms: String = names.iter().enumerate().map(|(at, name)| format!("{at} => {name}, ")).collect();
    let headers: String = names
        .iter()
        .map(|name| {
            format!(
                "{} header {name} {{ kind: u8 }} next by kind {{ {arms} }}\n",
                if name == "h0" { "#[root] #[repeat(max = 12)]" } else { "" }
            )
        })
        .collect();
    assert!(check(&format!(
        "{headers} filter f -> bool {{ match pkt {{ h11 / h10 => true, _ => false }} }}"
    )));
    // Each subset of the headers that were found is another place to be in.
    let arms: String = names.iter().map(|name| format!("{name} if {name}.kind > 20 => true, ")).collect();
    assert!(!check(&format!("{headers} filter f -> bool {{ match pkt {{ {arms} _ => false }} }}")));
}

#[test]
fn large_programs_are_answered_in_time() {
    let begin = std::time::Instant::now();
    let arms: String = (0..4_000).map(|at| format!("{at} => {}, ", at % 7)).collect();
    assert!(check(&format!("filter f -> bool {{ (match pkt.len {{ {arms} _ => 1 }}) == 1 }}")));
    let arms: String = (0..5_000).map(|at| format!("ipv4 if ipv4.ttl == {} => true, ", at % 250)).collect();
    assert!(!check(&format!("use std.net.ipv4; filter f -> bool {{ match pkt {{ {arms} _ => false }} }}")));
    let arms: String = (0..250).map(|at| format!("ipv4 / tcp if tcp.dst_port == {at} => true, ")).collect();
    assert!(check(&format!(
        "use std.net.{{ipv4, tcp}}; filter f -> bool {{ match pkt {{ {arms} _ => false }} }}"
    )));
    let lines: String = (0..20_000).map(|at| format!("const c{at}: u32 = {at};\n")).collect();
    assert!(check(&lines));
    let lets: String = (0..5_000).map(|at| format!("let v{at} = pkt.len +| {at};\n")).collect();
    assert!(check(&format!("filter f -> bool {{ {lets} v4999 > 1 }}")));
    // Debug builds on a busy machine are slow; quadratic work would take minutes.
    assert!(begin.elapsed().as_secs() < 100, "{:?}", begin.elapsed());
}
