//! What newcomers get wrong, and what they are told: one message for one mistake, with what to do. `slips/slips.oko` holds the programs.

mod support;

use oko_diagnostics::{Colour, render_all};

/// The programs, each with what is wrong with it.
fn programs() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("slips/slips.oko");
    let parts = text.split("//// ").skip(2);
    parts.map(|part| part.split_once('\n').expect("a title on its line")).collect()
}

#[test]
fn one_mistake_gets_one_message_that_says_what_to_do() {
    let programs = programs();
    assert!(programs.len() >= 260);
    let mut all = String::new();
    for (title, text) in programs {
        let compiled = support::compile("slip.oko", text);
        let rendered = render_all(&compiled.diagnostics, &compiled.sources, Colour::None);
        assert_eq!(compiled.diagnostics.len(), 1, "{title}:\n{rendered}");
        let found = &compiled.diagnostics[0];
        assert!(
            found.is_error() && (found.suggestion.is_some() || found.help.is_some()),
            "{title}:\n{rendered}"
        );
        all.push_str(&format!("{title}\n{rendered}\n"));
    }
    insta::with_settings!({ snapshot_path => "slips", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("slips", all);
    });
}

/// A misspelled name stands in several places, and each is offered its change.
#[test]
fn following_the_suggestions_leads_to_a_program() {
    let mut applied = 0;
    for (title, text) in programs() {
        let mut mended = text.to_owned();
        for turn in 0..8 {
            let compiled = support::compile("slip.oko", &mended);
            let errors: Vec<_> = compiled.diagnostics.iter().filter(|found| found.is_error()).collect();
            let suggestion = errors.iter().find_map(|found| found.suggestion.as_ref());
            if errors.is_empty() || (turn == 0 && suggestion.is_none()) {
                break;
            }
            let rendered = render_all(&compiled.diagnostics, &compiled.sources, Colour::None);
            let suggestion = suggestion.unwrap_or_else(|| panic!("{title}:\n{mended}\n{rendered}"));
            mended.replace_range(suggestion.span.range(), &suggestion.replacement);
            applied += 1;
            assert!(turn < 7, "{title}:\n{mended}\n{rendered}");
        }
    }
    assert!(applied >= 35, "only {applied} suggestions");
}
