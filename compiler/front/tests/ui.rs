//! Messages: every `//~ E0123` in `ui/*.oko` says which codes its line gets, and a snapshot shows the whole text.

mod support;

use oko_diagnostics::{Colour, render_all};

/// The codes that the comments of a source expect, by line.
fn expected(text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for code in line.split("//~").nth(1).into_iter().flat_map(str::split_whitespace) {
            found.push((at as u32 + 1, code.to_owned()));
        }
    }
    found.sort();
    found
}

fn run(name: &str) {
    let path = format!("{}/tests/ui/{name}.oko", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a file of tests/ui");
    let compiled = support::compile(&format!("{name}.oko"), &text);
    // Errors of the grammar (E00xx, E01xx) are its own tests' business.
    let mut found: Vec<(u32, String)> = (compiled.diagnostics.iter())
        .filter(|found| found.code.number() >= 200)
        .map(|found| {
            let span = found.span().expect("every message has a place");
            let file = compiled.sources.get(span.file).expect("of a file that there is");
            (file.location(span.start).line, found.code.to_string())
        })
        .collect();
    found.sort();
    let rendered = render_all(&compiled.diagnostics, &compiled.sources, Colour::None);
    assert_eq!(found, expected(&text), "{rendered}");
    insta::with_settings!({ snapshot_path => "ui", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, rendered);
    });
}

macro_rules! ui {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            run(stringify!($name));
        }
    )*};
}

ui! { strangers names ranges packets extend unions regions state stale stateful matches together results loops arrays costs warnings first }
