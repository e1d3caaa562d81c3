//! Formatting keeps the tree and every comment, and formatting again changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};

use oko_diagnostics::FileId;
use oko_grammar::{WIDTH, dump, format, parse};

/// The tree without places.
fn tree(text: &str) -> String {
    let (file, diagnostics) = parse(FileId(0), text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    let lines = dump(&file);
    lines
        .lines()
        .map(|line| line.rsplit_once(" @").map_or(line, |(node, _)| node).to_owned() + "\n")
        .collect()
}

/// Everything from `//` to the end of a line, outside of strings.
fn comments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut escaped = false;
        for (at, c) in line.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                '/' if !in_string && line[at..].starts_with("//") => {
                    found.push(line[at..].trim_end().to_owned());
                    break;
                }
                _ => {}
            }
        }
    }
    found
}

#[track_caller]
fn check(text: &str) -> String {
    let formatted = format(FileId(0), text).unwrap_or_else(|found| panic!("{found:?}\n{text}"));
    assert_eq!(tree(text), tree(&formatted), "another tree of\n{text}\nis\n{formatted}");
    assert_eq!(comments(text), comments(&formatted), "other comments in\n{formatted}");
    let again = format(FileId(0), &formatted).unwrap();
    assert_eq!(formatted, again, "formatting again changes\n{text}");
    formatted
}

fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "oko"))
        .collect();
    found.sort();
    found
}

#[test]
fn all_programs_keep_their_tree_and_comments() {
    let mut count = 0;
    for folder in ["tests/programs", "../stdlib", "../stdlib/net", "../examples"] {
        for path in programs(folder) {
            check(&fs::read_to_string(&path).unwrap());
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} programs");
}

#[test]
fn the_standard_library_and_the_examples_are_formatted() {
    let mut wrong = Vec::new();
    for path in ["../stdlib", "../stdlib/net", "../examples"].into_iter().flat_map(programs) {
        let text = fs::read_to_string(&path).unwrap();
        let formatted = format(FileId(0), &text).unwrap();
        if formatted != text {
            if std::env::var_os("OKO_FORMAT").is_some() {
                fs::write(&path, &formatted).unwrap();
            }
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "not formatted (`okoc fmt` does it): {}", wrong.join(", "));
}

#[test]
fn the_style_by_example() {
    let cases = [
        // Spaces.
        (
            "filter  f->bool{pkt . len<64   and not(a)or-1+ - 2==~ x}",
            "filter f -> bool { pkt.len < 64 and not (a) or -1 + -2 == ~x }\n",
        ),
        ("use std . net . { ip ,tcp } ;", "use std.net.{ip, tcp};\n"),
        ("const a:u8=x[0 : 16];", "const a: u8 = x[0:16];\n"),
        ("type t=u8 ?;", "type t = u8?;\n"),
        (
            "filter f { let a = update conns [ k ] | old |match old { none => 1 , let x => x }; true }",
            "filter f {\n    let a = update conns[k] |old| match old {\n        none => 1,\n        let x => x,\n    };\n    true\n}\n",
        ),
        // What the author has in one line stays there if it fits.
        (
            "struct B { a: window, b: window }\nstruct C {\na: window, b: window }",
            "struct B { a: window, b: window }\n\nstruct C {\n    a: window,\n    b: window,\n}\n",
        ),
        (
            "filter f { if a { b } else if c { d } else { e } }",
            "filter f { if a { b } else if c { d } else { e } }\n",
        ),
        // Comments stay where they are.
        (
            "// one\n\n\n// two\nconst a: u8 = 1; // three\nfilter f { // four\n\n    true // five\n    // six\n}\n// seven",
            "// one\n\n// two\nconst a: u8 = 1;  // three\n\nfilter f {  // four\n    true  // five\n    // six\n}\n// seven\n",
        ),
        (
            "#[root] header e {\n/// The type.\n #[length] type: u16, // kind\n } next by type { 1 => ip }",
            "#[root]\nheader e {\n    /// The type.\n    #[length]\n    type: u16,  // kind\n} next by type { 1 => ip }\n",
        ),
    ];
    for (text, formatted) in cases {
        assert_eq!(check(text), formatted, "{text}");
    }
}

#[test]
fn commas_stand_behind_what_they_end() {
    let text = "state m: map[u16, u32]
  { capacity: 1_024 // a power of two
  , // alone
    when_full: refuse
  // above
  , expire: 10s };
const T: [u8; 2] = [ 1 // one
  , 2 ] // the end
  ;
";
    let expected = "\
state m: map[u16, u32] {
    capacity: 1_024,  // a power of two
    // alone
    when_full: refuse,
    // above
    expire: 10s,
};

const T: [u8; 2] = [
    1,  // one
    2
];  // the end
";
    assert_eq!(check(text), expected);
}

#[test]
fn long_lines_break_at_brackets() {
    let text = "test \"t\" { expect tracked(ip4(src: 10.0.0.1, dst: 192.0.2.7, ttl: 64) / tcp(src_port: 4000, dst_port: 80, flags: SYN | ACK, window: 65_535)) == false; expect true; }";
    let formatted = check(text);
    assert!(formatted.lines().all(|line| line.chars().count() <= WIDTH), "{formatted}");
    assert!(formatted.lines().count() > 4, "{formatted}");
}

#[test]
fn a_program_with_mistakes_is_not_formatted() {
    let found = format(FileId(0), "filter f -> bool { let a 1; true }").unwrap_err();
    assert!(!found.is_empty());
    assert_eq!(format(FileId(0), "").unwrap(), "");
}

/// A small generator of numbers (xorshift), so that a failure can be repeated by its seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// The text with other space between its tokens: line breaks, empty lines and comments wherever there was space.
fn respaced(text: &str, numbers: &mut Numbers) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut in_string = false;
    let mut behind_comment = false;
    while let Some(c) = rest.chars().next() {
        if !in_string && rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            behind_comment = true;
        } else if !in_string && c.is_whitespace() {
            let end = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
            let before_comment = rest[end..].starts_with("//");
            let had_line = rest[..end].contains('\n');
            let spaces = [
                " ",
                "   ",
                "\n",
                "\n\n",
                "\n\n\n   ",
                " // one\n",
                "\n// two\n",
                " // three\n\n  // four\n\t",
            ];
            let space =
                if numbers.below(3) == 0 { spaces[numbers.below(spaces.len())] } else { &rest[..end] };
            if behind_comment || before_comment && had_line && !space.contains('\n') {
                out.push('\n');
            }
            out.push_str(space);
            rest = &rest[end..];
            behind_comment = false;
        } else {
            if c == '\\' && in_string {
                out.push(c);
                rest = &rest[1..];
            } else if c == '"' {
                in_string = !in_string;
            }
            let Some(c) = rest.chars().next() else { break };
            out.push(c);
            rest = &rest[c.len_utf8()..];
            behind_comment = false;
        }
    }
    out
}

#[test]
fn any_spacing_comes_to_one_style_and_loses_nothing() {
    let rounds: u64 = std::env::var("OKO_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut count = 0;
    for folder in ["tests/programs", "../stdlib", "../stdlib/net", "../examples"] {
        for path in programs(folder) {
            let text = fs::read_to_string(&path).unwrap();
            for seed in 1..=rounds {
                let other = respaced(&text, &mut Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                // A comment may come between the lines of documentation, or in front of what must begin a line.
                if format(FileId(0), &other).is_ok() && parse(FileId(0), &other).1.is_empty() {
                    check(&other);
                    count += 1;
                }
            }
        }
    }
    println!("{count} programs formatted");
    assert!(count > rounds * 10, "only {count} programs");
}
