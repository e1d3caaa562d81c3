//! What users see: diagnostics as text.

use oko_diagnostics::{Colour, Diagnostic, FileId, SourceMap, Span, codes, render, render_all};

fn sources() -> (SourceMap, FileId, FileId) {
    let mut map = SourceMap::new();
    let main = map.add("main.oko", "use std.net.ip;\nconst größe: u8 = 300;\n").expect("short");
    let net = map.add("std.net", "union ip = ipv4 | ipv6;").expect("short");
    (map, main, net)
}

#[test]
fn places_notes_help_and_suggestion_are_shown() {
    let (map, main, net) = sources();
    let diagnostic = Diagnostic::error(codes::syntax::UNEXPECTED, "300 does not fit into `u8`")
        .label(Span::new(main, 36, 39), "this is 300")
        .label(Span::new(main, 31, 33), "a `u8` is at most 255")
        .label(Span::new(net, 6, 8), "another file")
        .note("a fact without a place")
        .help("choose a wider type")
        .suggest(Span::new(main, 31, 33), "u16", "write `u16`");
    insta::assert_snapshot!(render(&diagnostic, &map, Colour::None));
}

#[test]
fn a_warning_says_so_and_colour_is_asked_for() {
    let (map, main, _) = sources();
    let diagnostic =
        Diagnostic::warning(codes::syntax::UNEXPECTED, "odd").label(Span::new(main, 0, 3), "here");
    let plain = render(&diagnostic, &map, Colour::None);
    assert!(plain.starts_with("[E0101] Warning: odd\n"), "{plain}");
    assert!(!plain.contains('\u{1b}'));
    assert!(render(&diagnostic, &map, Colour::Ansi).contains('\u{1b}'));
}

/// A program in one line is not shown whole, and its places are those of the file.
#[test]
fn long_lines_are_cut_to_what_is_near() {
    let mut map = SourceMap::new();
    let far = "ä + ".repeat(10_000);
    let line = format!("first\nlet low = 1; {far}bad {far}end\nlast\n");
    let (bad, end) = (line.find("bad").expect("there") as u32, line.find("end").expect("there") as u32);
    let id = map.add("long.oko", line).expect("short");
    let diagnostic = Diagnostic::error(codes::syntax::UNEXPECTED, format!("`{}` is odd", "1.".repeat(9_000)))
        .label(Span::new(id, bad, bad + 3), "this")
        .label(Span::new(id, end, end + 3), "because of this")
        .label(Span::new(id, 0, 5), "and of this");
    let shown = render(&diagnostic, &map, Colour::None);
    assert!(shown.lines().all(|line| line.chars().count() < 450), "{shown}");
    insta::assert_snapshot!(shown);
}

/// With colour, too, the place in the head is that of the file, not of the cut text.
#[test]
fn places_in_long_lines_are_told_in_colour() {
    let mut map = SourceMap::new();
    let text = format!("{}bad{}", " ".repeat(1_000), " ".repeat(1_000));
    let id = map.add("long.oko", text).expect("short");
    let diagnostic =
        Diagnostic::error(codes::syntax::UNEXPECTED, "odd").label(Span::new(id, 1_000, 1_003), "this");
    for colour in [Colour::None, Colour::Ansi] {
        let shown = render(&diagnostic, &map, colour);
        assert!(shown.contains(" long.oko:1:1001 "), "{shown}");
    }
}

/// Whatever the places of a diagnostic are, it is shown, in a few bytes for each.
#[test]
fn any_places_in_long_lines_are_shown() {
    let text = format!("{}\r\n{}\n{}", "ü".repeat(1_000), "short", "(".repeat(3_000));
    let mut map = SourceMap::new();
    let id = map.add("long.oko", text.as_str()).expect("short");
    let ends: Vec<u32> = (0..=text.len() as u32 + 3).step_by(7).chain(1_995..2_015).collect();
    for (at, &start) in ends.iter().enumerate() {
        let end = ends[(at * 31 + 5) % ends.len()].max(start);
        let diagnostic = Diagnostic::error(codes::syntax::UNEXPECTED, "odd")
            .label(Span::new(id, start, end), "this")
            .label(Span::new(id, start / 2, start / 2 + 1), "that");
        let shown = render(&diagnostic, &map, Colour::None);
        assert!(
            shown.len() < 8_000 && shown.contains("this") && shown.contains("that"),
            "{start}..{end}: {shown}"
        );
    }
}

#[test]
fn a_finding_without_a_source_place_is_shown_too() {
    let (map, ..) = sources();
    let diagnostic = Diagnostic::error(codes::syntax::UNEXPECTED, "no such module")
        .note("looked in `std`")
        .help("name a file");
    let expected = "[E0101] Error: no such module\n  Note: looked in `std`\n  Help: name a file\n";
    assert_eq!(render(&diagnostic, &map, Colour::None), expected);
    let elsewhere = diagnostic.label(Span::new(FileId(9), 0, 1), "in no file");
    assert_eq!(render(&elsewhere, &map, Colour::None), expected);
}

#[test]
fn any_span_is_rendered() {
    let (map, main, net) = sources();
    let mut all = Vec::new();
    for file in [main, net, FileId(7)] {
        for start in 0..45 {
            for end in [start, start + 1, start + 5, u32::MAX] {
                let diagnostic =
                    Diagnostic::error(codes::syntax::UNEXPECTED, "x").label(Span::new(file, start, end), "y");
                all.push(diagnostic.label(Span::new(main, 3, 4), "z"));
            }
        }
    }
    let text = render_all(&all, &map, Colour::None);
    assert_eq!(text.matches("[E0101] Error: x").count(), all.len());
}
