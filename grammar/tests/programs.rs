//! Every program under `tests/programs` parses without a diagnostic, and the tree holds what was written.

use std::fs;

use oko_diagnostics::{Colour, SourceMap, render_all};
use oko_grammar::parse;

#[test]
fn every_program_parses() {
    let mut count = 0;
    for entry in fs::read_dir("tests/programs").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut sources = SourceMap::new();
        let id = sources.add(path.display().to_string(), text.as_str()).unwrap();
        let (file, diagnostics) = parse(id, &text);
        assert!(diagnostics.is_empty(), "{}", render_all(&diagnostics, &sources, Colour::None));
        assert!(!file.items.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 7, "only {count} programs");
}
