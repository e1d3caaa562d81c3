//! Every program under `tests/programs` parses without a diagnostic, and the tree holds what was written.

use std::fs;

use oko_diagnostics::{Colour, SourceMap, render_all};
use oko_grammar::{dump, parse};

#[test]
fn every_program_parses() {
    let mut count = 0;
    for entry in fs::read_dir("tests/programs").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "oko") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut sources = SourceMap::new();
        let id = sources.add(path.display().to_string(), text.as_str()).unwrap();
        let (file, diagnostics) = parse(id, &text);
        assert!(diagnostics.is_empty(), "{}", render_all(&diagnostics, &sources, Colour::None));
        assert!(!file.items.is_empty(), "{}", path.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("programs");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name.as_str(), dump(&file)));
        count += 1;
    }
    assert!(count >= 7, "only {count} programs");
}
