//! What holds of all messages: each change that is offered mends the source, and none speaks of the compiler's parts.
//!
//! The sources are the files of `tests/ui` and the examples of all explanations.

mod support;

use oko_diagnostics::{Colour, Diagnostic, codes, render_all};

/// All sources that get messages, with a name for each.
fn sources() -> Vec<(String, String)> {
    let folder = format!("{}/tests/ui", env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("the folder of file tests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "oko"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file of tests/ui");
            (path.file_name().expect("a file").to_string_lossy().into_owned(), text)
        })
        .collect();
    for code in codes::all() {
        for example in code.explanation().split("```oko\n").skip(1) {
            let example = example.split("```").next().unwrap_or_default();
            found.push((code.to_string(), example.to_owned()));
        }
    }
    found.sort();
    found
}

#[test]
fn every_suggestion_mends_what_it_is_about() {
    let mut applied = 0;
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let before = support::compile(&name, &text).diagnostics;
        for diagnostic in &before {
            let Some(suggestion) = &diagnostic.suggestion else { continue };
            let Some(_) = text.get(suggestion.span.range()).filter(|_| suggestion.span.file.0 == 0) else {
                wrong.push(format!("{name}: {}: a change outside of the source", diagnostic.headline));
                continue;
            };
            let mut mended = text.clone();
            mended.replace_range(suggestion.span.range(), &suggestion.replacement);
            let after = support::compile(&name, &mended).diagnostics;
            applied += 1;
            // Behind a mended mistake another may come to light, but not the same one in the same line.
            let here = |text: &str, found: &&Diagnostic| {
                let line = |at: u32| text.get(..at as usize).map(|before| before.matches('\n').count());
                let own = diagnostic.span().and_then(|span| line(span.start));
                found.code == diagnostic.code && found.span().and_then(|span| line(span.start)) == own
            };
            let had = before.iter().filter(|found| here(&text, found)).count();
            let has = after.iter().filter(|found| here(&mended, found)).count();
            if has >= had {
                wrong.push(format!("{name}: {}: stays after \"{}\"", diagnostic.headline, suggestion.text));
            }
            let broken = after.iter().find(|found| found.code.number() / 100 == 1);
            if let Some(broken) = broken.filter(|_| before.iter().all(|found| found.code.number() / 100 != 1))
            {
                wrong.push(format!("{name}: {}: then {}", diagnostic.headline, broken.headline));
            }
            // An example has one mistake, so the mended one is a program.
            if name.starts_with('E') && before.len() == 1 {
                let errors: Vec<&str> = after
                    .iter()
                    .filter(|found| found.is_error())
                    .map(|found| found.headline.as_str())
                    .collect();
                if !errors.is_empty() {
                    wrong.push(format!("{name}: mended, and yet {errors:?}\n{mended}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(applied >= 20, "only {applied} suggestions");
}

/// Words of people who make compilers, which people who use one need not know.
const INTERNAL: &[&str] = &[
    "ast",
    "hir",
    "ir",
    "ssa",
    "cfg",
    "lexer",
    "parser",
    "token",
    "lexeme",
    "nonterminal",
    "lalrpop",
    "cranelift",
    "verifier",
    "lowering",
    "lowered",
    "scalar",
    "scalars",
    "span",
    "spans",
    "codegen",
    "basic block",
    "typeck",
    "unify",
    "unification",
    "desugar",
    "panic",
    "unwrap",
    "rust",
    "enum variant",
    "lvalue",
    "rvalue",
    "node",
    "struct_id",
    "internal",
    "bug",
    "todo",
    "fixme",
];

/// The internal words in a text: whole words, in any case.
fn internal(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    INTERNAL
        .iter()
        .copied()
        .filter(|word| {
            lower.match_indices(word).any(|(at, _)| {
                let before = lower[..at].chars().next_back().is_some_and(is_word);
                let after = lower[at + word.len()..].chars().next().is_some_and(is_word);
                !before && !after
            })
        })
        .collect()
}

#[test]
fn no_message_speaks_of_the_compilers_parts() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in sources() {
        for diagnostic in support::compile(&name, &text).diagnostics {
            seen += 1;
            let mut parts = vec![diagnostic.headline.as_str()];
            parts.extend(diagnostic.labels.iter().map(|label| label.text.as_str()));
            parts.extend(diagnostic.notes.iter().map(String::as_str));
            parts.extend(diagnostic.help.iter().map(String::as_str));
            parts.extend(diagnostic.suggestion.iter().map(|suggestion| suggestion.text.as_str()));
            for part in parts {
                let found = internal(part);
                if !found.is_empty() {
                    wrong.push(format!("{name} {}: {found:?} in {part:?}", diagnostic.code));
                }
            }
        }
    }
    for code in codes::all() {
        // Explanations are prose around programs; the programs may have any names.
        let prose: String =
            code.explanation().split("```").step_by(2).collect::<Vec<_>>().join(" ") + code.title();
        let found = internal(&prose);
        if !found.is_empty() {
            wrong.push(format!("the explanation of {code}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "only {seen} messages");
    assert_eq!(internal("the IR, a token"), ["ir", "token"]);
    assert!(internal("first, tokens(rate: 5)").is_empty());
}

#[test]
fn every_code_has_a_source_that_gets_it() {
    /// Codes whose cause is too large for a file, or that only running a test gives; each is reached by the test that is named.
    const ELSEWHERE: &[(&str, &str)] = &[
        ("E0008", "grammar: a text of 4 GiB"),
        ("E0411", "front: tests/robustness.rs"),
        ("E0425", "front: tests/extensions.rs, of two files"),
        ("E0606", "front: tests/robustness.rs"),
        ("E0607", "front: tests/robustness.rs"),
        ("E0608", "okoc: tests of budgets"),
        ("E0707", "front: tests/testing.rs"),
        ("E0708", "tester: tests/language.rs"),
        ("E0709", "tester: only a defect gives it"),
        ("E0710", "tester: tests/language.rs"),
    ];
    let mut found: Vec<String> = Vec::new();
    for (name, text) in sources() {
        found.extend(support::compile(&name, &text).diagnostics.iter().map(|found| found.code.to_string()));
    }
    let grammar = concat!(env!("CARGO_MANIFEST_DIR"), "/../../grammar/tests/diagnostics");
    for entry in std::fs::read_dir(grammar).expect("the grammar's file tests") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "oko") {
            let text = std::fs::read_to_string(path).expect("a file test");
            let diagnostics = support::compile("x.oko", &text).diagnostics;
            found.extend(diagnostics.iter().map(|found| found.code.to_string()));
        }
    }
    let missing: Vec<String> = codes::all()
        .map(|code| code.to_string())
        .filter(|code| !found.contains(code) && ELSEWHERE.iter().all(|(known, _)| known != code))
        .collect();
    assert!(missing.is_empty(), "no source gets {}", missing.join(", "));
}

#[test]
fn messages_of_one_program_are_shown_at_once() {
    // One mistake in each kind of declaration: the parser goes on behind each, and so does the rest of the compiler.
    let text = "use std.net.{ipv4, tcp};
const a: u8 = 300;
enum E { A B }
param p: u32 in 1..=5 = 9;
state s: map[ip4, counter] { capacity: 16, when_full: refuse, expire: };
filter f -> bool {
    let x 5;
    match pkt {
        ipv4 => ipv4.srk == 10.0.0.1,
        _ => false,
    }
}
filter g -> bool {
    1
}
";
    let compiled = support::compile("many.oko", text);
    let lines: Vec<u32> = (compiled.diagnostics.iter())
        .filter_map(Diagnostic::span)
        .map(|span| compiled.sources.get(span.file).map_or(0, |file| file.location(span.start).line))
        .collect();
    let rendered = render_all(&compiled.diagnostics, &compiled.sources, Colour::None);
    for line in [2, 3, 4, 5, 7, 9, 14] {
        assert!(lines.contains(&line), "nothing about line {line}:\n{rendered}");
    }
}
