//! What CI checks beside the tests.

use std::process::Command;

use anyhow::Result;

use crate::run::{self, cargo, root};
use crate::setup::{Need, run_setup};

/// The version of mdBook that the book is built with.
const MDBOOK: &str = "0.5.4";

pub(crate) fn run() -> Result<()> {
    run_setup(Need::Everything, false)?;
    run::run(cargo().args(["fmt", "--all", "--check"]))?;
    run::run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    run::run(
        cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    book()
}

/// Builds the book with an mdBook of our own, so that nothing depends on what a machine has.
fn book() -> Result<()> {
    let tools = root().join("target/tools");
    let mdbook = tools.join("bin/mdbook");
    let current = Command::new(&mdbook).arg("--version").output();
    if !current.is_ok_and(|output| output.stdout.trim_ascii().ends_with(MDBOOK.as_bytes())) {
        run::run(
            cargo()
                .args([
                    "install",
                    "mdbook",
                    "--version",
                    MDBOOK,
                    "--locked",
                    "--no-default-features",
                    "--root",
                ])
                .arg(&tools),
        )?;
    }
    run::run(Command::new(mdbook).arg("build").current_dir(root().join("book")))
}
