//! No text makes the parser panic, overflow the stack or take long, and what it returns keeps its promises.

use std::time::{Duration, Instant};

use oko_diagnostics::{Colour, Diagnostic, FileId, SourceMap, codes, render_all};
use oko_grammar::{ast, dump, parse};
use proptest::prelude::*;

const PROGRAMS: &[&str] = &[
    include_str!("programs/dns_amp.oko"),
    include_str!("programs/firewall.oko"),
    include_str!("programs/heavy_hitter.oko"),
    include_str!("programs/net.oko"),
    include_str!("programs/rate_limit.oko"),
    include_str!("programs/scan.oko"),
    include_str!("programs/syn_flood.oko"),
    include_str!("programs/whole.oko"),
];

/// Pieces that programs are made of, right and wrong ones.
const PIECES: &[&str] = &[
    "use",
    "const",
    "param",
    "enum",
    "bits",
    "struct",
    "header",
    "next by",
    "where",
    "state",
    "table",
    "event",
    "limit",
    "each",
    "per",
    "fn",
    "filter",
    "test",
    "let",
    "return",
    "emit",
    "if",
    "else",
    "match",
    "for",
    "in",
    "update",
    "has",
    "mod",
    "and",
    "or",
    "not",
    "none",
    "true",
    "false",
    "as",
    "expect",
    "advance",
    "break",
    "type",
    "union",
    "replay",
    "emitted",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    ".",
    "..",
    "..=",
    "=",
    "=>",
    "->",
    "?",
    "??",
    "#",
    "_",
    "==",
    "!=",
    "<",
    "<=",
    "|",
    "&",
    "<<",
    "+",
    "-",
    "+|",
    "+%",
    "*",
    "/",
    "~",
    "&&",
    "||",
    "!",
    "%",
    "a",
    "b",
    "pkt",
    "\n",
    "\n\n",
    "1",
    "0xff",
    "10s",
    "5pps",
    "1%",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::1",
    "02:00:00:00:00:01",
    "\"s\"",
    "\"open",
    "'c'",
    "// c\n",
    "/*",
    "*/",
    "/// d\n",
    "//! f\n",
    "€",
    "\\",
    "1.5",
    "12ab",
    "0x",
    "\u{0}",
];

/// Parses and checks what holds for every text.
fn check(text: &str) -> (ast::File, Vec<Diagnostic>) {
    let mut sources = SourceMap::new();
    let id = sources.add("t.oko", text).expect("short");
    let (file, diagnostics) = parse(id, text);
    for diagnostic in &diagnostics {
        assert!(!diagnostic.labels.is_empty() && !diagnostic.headline.is_empty(), "{diagnostic:?}");
        let places = diagnostic.labels.iter().map(|label| label.span);
        for span in places.chain(diagnostic.suggestion.iter().map(|suggestion| suggestion.span)) {
            assert!(sources.snippet(span).is_some(), "{diagnostic:?} is not in the text");
        }
    }
    let rendered = render_all(&diagnostics, &sources, Colour::None);
    assert_eq!(rendered.is_empty(), diagnostics.is_empty());
    let tree = dump(&file);
    check_spans(&tree, text);
    if tree.lines().any(|line| line.trim_start().starts_with("error @")) {
        assert!(diagnostics.iter().any(Diagnostic::is_error), "a hole in the tree without an error");
    }
    (file, diagnostics)
}

/// Every node lies in the one above it, on character boundaries, and a name's bytes are the name.
fn check_spans(tree: &str, text: &str) {
    let mut above: Vec<(usize, std::ops::Range<usize>)> = Vec::new();
    for line in tree.lines() {
        let indent = line.len() - line.trim_start().len();
        let (node, bytes) = line.rsplit_once(" @").expect("each line has a place");
        let (start, end) = bytes.split_once("..").expect("a place is a range");
        let span = start.parse().expect("an offset")..end.parse::<usize>().expect("an offset");
        let covered = text.get(span.clone()).unwrap_or_else(|| panic!("{line} is not in the text"));
        while above.last().is_some_and(|(outer, _)| *outer >= indent) {
            above.pop();
        }
        if let Some((_, outer)) = above.last() {
            assert!(
                outer.start <= span.start && span.end <= outer.end,
                "{line} is not inside {outer:?} in\n{tree}"
            );
        }
        if let Some(name) = node.trim_start().strip_prefix("name ") {
            assert_eq!(name, covered);
        }
        above.push((indent, span));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces_are_read(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..120), glue in "[ ]?") {
        check(&pieces.join(&glue));
    }

    /// A declaration broken by a few changes; the declarations in front of and behind it are read nevertheless.
    #[test]
    fn broken_programs_are_read(
        program in prop::sample::select(PROGRAMS),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, prop::sample::select(PIECES)), 1..4),
    ) {
        let mut text = program.to_owned();
        for (at, cut, piece) in changes {
            let mut from = at.index(text.len() + 1);
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = (from + cut).min(text.len());
            while !text.is_char_boundary(to) {
                to += 1;
            }
            text.replace_range(from..to, piece);
        }
        check(&text);
    }

    #[test]
    fn a_broken_declaration_leaves_its_neighbours(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..20)
    ) {
        // A comment (of Oko) or open string ends with its line, and a declaration at a line's start is one whatever is open.
        let text = pieces.join(" ").replace('\n', " ").replace("/*", "*/");
        let text = format!("const first: u32 = 1;\n{text}\nconst last: u32 = 2;\n");
        let (file, _) = check(&text);
        let names: Vec<_> = file.items.iter().filter_map(|item| match &item.kind {
            ast::ItemKind::Const(node) => Some(node.name.name.as_str()),
            _ => None,
        }).collect();
        prop_assert!(names.contains(&"first"), "{names:?}");
        prop_assert!(names.contains(&"last"), "{names:?}");
    }
}

/// Deep and long texts, read on a small stack.
#[test]
fn nesting_has_a_limit_and_no_depth_overflows_the_stack() {
    let n = 50_000;
    let wrap =
        |before: &str, inside: &str, after: &str| format!("fn f() -> u8 {{ {before}{inside}{after} }}");
    let deep = [
        wrap(&"(".repeat(n), "1", &")".repeat(n)),
        wrap(&"[".repeat(n), "1", &"]".repeat(n)),
        wrap(&"{".repeat(n), "1", &"}".repeat(n)),
        wrap(&"(".repeat(n), "", ""),
        wrap("", "", &")".repeat(n)),
        wrap(&"not ".repeat(n), "a", ""),
        wrap(&"- ".repeat(n), "a", ""),
        wrap("1", &" + 1".repeat(n), ""),
        wrap("a", &".b".repeat(n), ""),
        wrap("a", &"(1)".repeat(n), ""),
        wrap("a", &" and b".repeat(n), ""),
        wrap("a", &" ?? b".repeat(n), ""),
        wrap("a", &"[0]".repeat(n), ""),
        wrap(&"update a |b| ".repeat(n), "c", ""),
        wrap("if a {}", &" else if a {}".repeat(n), ""),
        wrap(&"if a { ".repeat(n), "", &"}".repeat(n)),
        wrap(&"match a { _ => ".repeat(n), "b", &"}".repeat(n)),
        wrap(&"match a { ".repeat(n), "b", ""),
        wrap(&"for a in b { ".repeat(n), "", &"}".repeat(n)),
        format!("const a: {}u8{} = 1;", "(".repeat(n), ")".repeat(n)),
        format!("const a: {}u8{} = 1;", "map[".repeat(n), "]".repeat(n)),
    ];
    let reader = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for text in deep {
            let start = Instant::now();
            let (_, diagnostics) = parse(FileId(0), &text);
            let begin: String = text.chars().take(40).collect();
            assert!(!diagnostics.is_empty(), "{begin}");
            assert!(diagnostics.len() < 10, "{begin}: {} messages", diagnostics.len());
            assert!(start.elapsed() < Duration::from_secs(20), "{begin}: {:?}", start.elapsed());
        }
    });
    reader.unwrap().join().unwrap();
}

#[test]
fn depth_up_to_the_limit_is_read() {
    let chain = format!("const a: u32 = 1{};", " + 1".repeat(usize::from(ast::MAX_DEPTH) - 1));
    assert!(check(&chain).1.is_empty());
    let longer = format!("const a: u32 = 1{};", " + 1".repeat(usize::from(ast::MAX_DEPTH)));
    assert_eq!(check(&longer).1[0].code, codes::syntax::TOO_DEEP);
    let brackets = |n| format!("const a: u32 = {}1{};", "(".repeat(n), ")".repeat(n));
    assert!(check(&brackets(ast::MAX_BRACKETS)).1.is_empty());
    assert_eq!(check(&brackets(ast::MAX_BRACKETS + 1)).1[0].code, codes::syntax::TOO_DEEP);
}

#[test]
fn wide_programs_are_no_deep_ones() {
    let consts: String = (0..20_000).map(|n| format!("const c{n}: u32 = {n};\n")).collect();
    assert_eq!(check(&consts).0.items.len(), 20_000);
    let list = format!("const a: u32 = [{}];", "1, ".repeat(50_000));
    assert!(check(&list).1.is_empty());
    let body = format!("filter f -> bool {{ {} true }}", "let a = 1 + 2;\n".repeat(20_000));
    assert!(check(&body).1.is_empty());
}

/// Whatever begins at each of many places and ends at none of them is looked for once.
#[test]
fn what_never_ends_takes_no_long_time() {
    let n = 200_000;
    for (piece, most) in [
        ("/*x", 1),
        ("x", 1),
        ("// x", 0),
        ("\"x ", 2),
        ("#x", 1),
        ("a:", 2),
        ("a:b::", 200),
        ("1.", 200),
        ("'x", 200),
        ("\"x\\", 200),
    ] {
        let text = piece.repeat(n / piece.len());
        let start = Instant::now();
        let (_, diagnostics) = parse(FileId(0), &text);
        assert!(diagnostics.len() <= most, "{piece}: {} messages", diagnostics.len());
        assert!(start.elapsed() < Duration::from_secs(2), "{piece}: {:?}", start.elapsed());
    }
}

#[test]
fn a_comment_that_is_not_closed_is_told_once_and_takes_the_rest() {
    let (file, diagnostics) = check(&format!("const a: u32 = 1;\n{}", "/*x".repeat(70_000)));
    assert_eq!((file.items.len(), diagnostics.len()), (1, 1), "{diagnostics:#?}");
    assert_eq!(check("/* x **/ const a: u32 = 1; /*/ x */ const b: u32 = 1;").0.items.len(), 2);
}

#[test]
fn a_thousand_mistakes_are_cut_short() {
    let text = "const = 1;\n".repeat(1_000);
    let (_, diagnostics) = check(&text);
    assert_eq!(diagnostics.len(), 100);
    assert_eq!(diagnostics[99].notes.len(), 1, "says that it stopped");
}
