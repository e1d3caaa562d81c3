//! The first example in the explanation of a code shows exactly that code, so the error index never lies.

mod support;

use oko_diagnostics::codes;

/// Codes that only running a test gives, and codes whose cause is too large to be shown.
const NOT_SHOWN: &[&str] = &["E0411", "E0425", "E0606", "E0607", "E0608", "E0707", "E0708", "E0709", "E0710"];

#[test]
fn every_explanation_shows_its_code() {
    let mut wrong = Vec::new();
    // Those below are the grammar's.
    for code in codes::all().filter(|code| code.number() >= 200) {
        let text = code.explanation();
        let example =
            text.split("```oko\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
        let compiled = support::compile("example.oko", example);
        let found: Vec<String> = compiled.diagnostics.iter().map(|found| found.code.to_string()).collect();
        let shown = !found.is_empty() && found.iter().all(|found| *found == code.to_string());
        if shown == NOT_SHOWN.contains(&code.to_string().as_str()) {
            wrong.push(format!("{code}: the example gives {found:?}\n{example}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
