//! Benchmarks that are programs of their own, which cargo compiles and runs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;
use crate::run::{self, cargo, shown};

/// A benchmark of a package.
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) name: &'static str,
}

impl Program {
    fn words(&self) -> [&'static str; 6] {
        ["bench", "--locked", "-p", self.package, "--bench", self.name]
    }

    /// Compiles it.
    pub(super) fn build(&self) -> Result<()> {
        run::run(cargo().args(self.words()).arg("--no-run"))
    }

    /// Runs it, quickly if all is to be quick; what it prints. Progress and errors are shown as they come.
    pub(super) fn run(&self, bench: &Bench, words: &[&OsStr]) -> Result<String> {
        let mut command = cargo();
        command.args(self.words()).args(["--quiet", "--"]).args(words);
        if bench.quick {
            command.arg("--quick");
        }
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{}`", shown(&command)))?;
        ensure!(output.status.success(), "`{}` failed: {}", shown(&command), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The figures that a program has left in a file, which goes.
pub(super) fn take_figures(file: &Path) -> Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let figures = serde_json::from_slice(&text)?;
    std::fs::remove_file(file)?;
    Ok(figures)
}
