//! The tests in the examples pass on every engine.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::Path;

use oko_compiler::{NoFiles, Source, parse};
use oko_diagnostics::{Colour, render};
use oko_tester::{Engine, NoCaptures, run};

#[test]
fn the_tests_in_the_examples_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let (mut tests, mut asked) = (0, 0);
    let mut failed = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "oko") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let checked = parse(Source::new(name.as_str(), text), &NoFiles).check().unwrap();
        for at in 0..checked.tests().len() {
            let report = run(&checked, at, &Engine::ALL, &NoCaptures);
            tests += 1;
            asked += report.asked;
            for failure in report.failures {
                failed += &render(&failure.diagnostic, checked.sources(), Colour::None);
                failed += &failure.packets;
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    println!("{tests} tests, {asked} questions to filters on each engine");
    assert!(tests >= 16, "only {tests} tests");
}
