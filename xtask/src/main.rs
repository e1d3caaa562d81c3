//! `cargo xtask`: the chores of this repository. Each does its own set-up, so that a new machine needs only Rust.

mod bench;
mod ci;
mod conformance;
mod demo;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the Oko repository")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install the system packages that Oko builds and tests with (asks apt-get; says first what it will do)
    Setup(setup::Args),
    /// Compile, deploy and watch: a SYN flood dropped by a filter in a running switch
    Demo(demo::Args),
    /// Build everything and run all tests
    Test(test::Args),
    /// Measure what Oko costs, beside peers: compilation, engines, the switch
    Bench(bench::Args),
    /// The Ryu switch tests against okod, from the os-ken package (root)
    Conformance(conformance::Args),
    /// What CI checks beside the tests: format, lints, documentation, the book
    Ci,
}

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    match Args::parse().chore {
        Chore::Setup(args) => setup::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Conformance(args) => conformance::run(&args),
        Chore::Ci => ci::run(),
    }
}
