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
