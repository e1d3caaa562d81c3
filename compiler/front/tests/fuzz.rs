//! Any program is answered: programs with pieces of others in them, words gone, doubled and exchanged, tests among them.
//!
//! `OKO_FUZZ=100000 cargo test -p oko-front --test fuzz -- --nocapture` runs longer and says how many programs it tried.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;

use support::numbers::Numbers;

/// The words and signs of a program, with the space in front of each; comments are left out.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut piece = String::new();
        let mut word = false;
        let mut quoted = false;
        for c in line.chars() {
            let is_word = c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
            if !quoted && !piece.trim().is_empty() && (!is_word || !word) {
                pieces.push(std::mem::take(&mut piece));
            }
            quoted ^= c == '"';
            word = is_word;
            piece.push(c);
        }
        piece.push('\n');
        pieces.push(piece);
    }
    pieces
}

fn programs() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for folder in ["../../examples", "../../grammar/tests/programs", "tests/ui"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "oko") {
                found.push(pieces(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn any_program_is_answered() {
    let rounds: u64 = std::env::var("OKO_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let programs = programs();
    assert!(programs.len() > 20);
    let right: Vec<Vec<String>> = (programs.iter())
        .filter(|program| support::compile("fuzz.oko", &program.concat()).output.is_some())
        .cloned()
        .collect();
    assert!(right.len() > 10, "only {} programs are right", right.len());
    let (mut accepted, mut messages) = (0, 0);
    for seed in 1..=rounds {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Most begin with a program that is right and change little, so that some are right afterwards.
        let from = if numbers.below(4) > 0 { &right } else { &programs };
        let mut program = from[numbers.below(from.len())].clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(program.len());
            let other = &programs[numbers.below(programs.len())];
            match numbers.below(9) {
                0 => drop(program.remove(at)),
                1 => program.insert(at, program[at].clone()),
                2 => {
                    let with = numbers.below(program.len());
                    program.swap(at, with);
                }
                3 => program[at] = other[numbers.below(other.len())].clone(),
                4..8 => {
                    // A number for a number.
                    let is_number = |piece: &&String| piece.trim().starts_with(|c: char| c.is_ascii_digit());
                    let many: Vec<&String> = other.iter().filter(is_number).collect();
                    let places: Vec<usize> =
                        (0..program.len()).filter(|at| is_number(&&program[*at])).collect();
                    if !many.is_empty() && !places.is_empty() {
                        let place = places[numbers.below(places.len())];
                        program[place].clone_from(many[numbers.below(many.len())]);
                    }
                }
                _ => {
                    let from = numbers.below(other.len());
                    let to = (from + 1 + numbers.below(40)).min(other.len());
                    program.splice(at..at, other[from..to].iter().cloned());
                }
            }
            if program.is_empty() {
                break;
            }
        }
        let text = program.concat();
        let compiled = support::compile("fuzz.oko", &text);
        for diagnostic in &compiled.diagnostics {
            messages += 1;
            let spans = diagnostic.labels.iter().map(|label| label.span);
            for span in spans.chain(diagnostic.suggestion.iter().map(|suggestion| suggestion.span)) {
                let snippet = compiled.sources.snippet(span);
                assert!(snippet.is_some(), "seed {seed}: {} at {span:?} of\n{text}", diagnostic.headline);
            }
        }
        let rendered = oko_diagnostics::render_all(
            &compiled.diagnostics,
            &compiled.sources,
            oko_diagnostics::Colour::None,
        );
        assert!(rendered.is_empty() == compiled.diagnostics.is_empty(), "seed {seed}");
        if let Some(output) = compiled.output {
            accepted += 1;
            for plan in &output.program.tests {
                let module = oko_front::test_module(&output.program, plan, &compiled.sources, seed % 2 == 0);
                if let Some(test) = module {
                    let errors = oko_ir::verify(test.module).err();
                    assert!(errors.is_none(), "seed {seed}: test \"{}\": {errors:?}\n{text}", plan.name);
                }
            }
            let errors = oko_ir::verify(output.module).err();
            assert!(errors.is_none(), "seed {seed}: {errors:?}\n{text}");
        }
    }
    println!("{rounds} programs, {accepted} accepted, {messages} messages");
    assert!(accepted * 40 > rounds && messages > rounds, "{accepted} accepted, {messages} messages");
}
