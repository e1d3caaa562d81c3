//! Builds everything and runs all tests.

use anyhow::Result;

use crate::run::{self, cargo};
use crate::setup::{Need, run_setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what builds without DPDK; installs nothing
    #[arg(long)]
    no_dpdk: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.no_dpdk {
        // Without --workspace, cargo takes the workspace's default members: those that need no DPDK.
        return run::run(cargo().args(["test", "--locked"]));
    }
    run_setup(Need::Everything, false)?;
    // The binaries first: the end-to-end tests run them. With all targets, so that what tests depend on is built once.
    run::run(cargo().args(["build", "--workspace", "--all-targets", "--locked"]))?;
    run::run(cargo().args(["test", "--workspace", "--locked"]))
}
