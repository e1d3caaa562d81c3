//! Runs the benchmark of loading and running filters, which is a program of its own in `tests/benches/engines`.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, Section};
use crate::run::{self, cargo, shown};

const BENCH: [&str; 6] = ["bench", "--locked", "-p", "oko-tests", "--bench", "engines"];

/// Compiles it.
pub(super) fn build() -> Result<()> {
    run::run(cargo().args(BENCH).arg("--no-run"))
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let mut command = cargo();
    command.args(BENCH).args(["--quiet", "--", "--out"]).arg(&bench.out);
    if bench.quick {
        command.arg("--quick");
    }
    // Progress and errors are shown as they come.
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(&command)))?;
    ensure!(output.status.success(), "`{}` failed: {}", shown(&command), output.status);
    let file = bench.out.join("engines.json");
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let figures: Value = serde_json::from_slice(&text)?;
    std::fs::remove_file(&file)?;
    Ok(Section::new(String::from_utf8_lossy(&output.stdout).into_owned(), figures))
}
