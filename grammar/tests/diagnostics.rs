//! What users read when a program is not well formed: each program under `tests/diagnostics` with all its messages.
//!
//! The first lines of each say what it is about. A program whose messages change shows as a changed snapshot.

use std::fs;
use std::path::PathBuf;

use oko_diagnostics::{Colour, SourceMap, codes, render_all};
use oko_grammar::parse;

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/diagnostics").expect("the tests' directory");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "oko")).collect();
    cases.sort();
    cases
}

#[test]
fn messages_are_what_the_snapshots_say() {
    let cases = cases();
    assert!(cases.len() >= 10);
    for path in cases {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut sources = SourceMap::new();
        let id = sources.add(format!("{name}.oko"), text.as_str()).unwrap();
        let (_, diagnostics) = parse(id, &text);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("diagnostics");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let rendered = render_all(&diagnostics, &sources, Colour::None);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), rendered));
    }
}

/// The messages also offer changes; each, made alone, removes the message that offers it.
#[test]
fn every_suggestion_removes_its_message() {
    let mut applied = 0;
    for path in cases() {
        let text = fs::read_to_string(&path).unwrap();
        let mut sources = SourceMap::new();
        let id = sources.add("x.oko", text.as_str()).unwrap();
        let (_, before) = parse(id, &text);
        for diagnostic in &before {
            let Some(suggestion) = &diagnostic.suggestion else { continue };
            let mut mended = text.clone();
            mended.replace_range(suggestion.span.range(), &suggestion.replacement);
            let (_, after) = parse(id, &mended);
            let count = |list: &[oko_diagnostics::Diagnostic]| {
                list.iter().filter(|d| d.code == diagnostic.code).count()
            };
            assert!(count(&after) < count(&before), "{}: {} stays", path.display(), diagnostic.headline);
            assert!(after.len() < before.len(), "{}: {} brings another", path.display(), diagnostic.headline);
            applied += 1;
        }
    }
    assert!(applied >= 8, "only {applied} suggestions");
}

/// Every code about characters, literals and the shape of a program occurs in one of the programs.
#[test]
fn every_code_occurs() {
    let mut seen = std::collections::HashSet::new();
    for path in cases() {
        let (_, diagnostics) = parse(oko_diagnostics::FileId(0), &fs::read_to_string(path).unwrap());
        seen.extend(diagnostics.iter().map(|diagnostic| diagnostic.code));
    }
    // No test makes a text of 4 GiB.
    seen.insert(codes::lex::TEXT_TOO_LONG);
    let missing: Vec<_> =
        [codes::lex::ALL, codes::syntax::ALL].concat().into_iter().filter(|c| !seen.contains(c)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
