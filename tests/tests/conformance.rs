//! A part of the Ryu switch tests against `okod`: all of actions and a sample of matches. `cargo xtask conformance` runs all.
//!
//! Skipped, with a note, without root, and where Python or the package with the tests cannot be had.

#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use oko_tests::network::is_missing;
use oko_tests::programs;

#[test]
fn the_switch_tests_go_as_the_book_says() {
    let needs =
        [("ip", "-V"), ("python3", "-V"), ("ethtool", "--version"), ("nice", "--version"), ("chrt", "-V")];
    if is_missing(&needs) {
        return;
    }
    let mut command = Command::new(programs::path("xtask"));
    command.args(["conformance", "--sample", "--okod"]).arg(programs::path("okod")).stdin(Stdio::null());
    let output = command.output().expect("it was built");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let judged = out.lines().any(|line| line.ends_with("/991"));
    // In backquotes it says what failed; what is run is shown without.
    if !judged && (err.contains("`pip install") || err.contains("`python3 -m venv")) {
        eprintln!("SKIPPED: the suite cannot be installed:\n{err}");
        return;
    }
    assert!(judged && output.status.success(), "{out}\n{err}");
}
