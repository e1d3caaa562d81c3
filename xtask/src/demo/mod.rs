//! `cargo xtask demo`: a SYN flood, recorded from real TCP stacks, dropped by a filter in a running switch.
//!
//! Without `--live` nothing needs root: the switch runs on ordinary memory, its ports read and write captures.

mod capture;
mod live;
mod replay;
mod switch;

use std::path::PathBuf;

use anyhow::Result;

use crate::run::{self, cargo, root};
use crate::setup::{Need, run_setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// With live traffic between network namespaces instead of a capture (root)
    #[arg(long)]
    live: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_setup(if args.live { Need::Everything } else { Need::Build }, false)?;
    run::run(cargo().args(["build", "--release", "--locked", "-p", "okoc", "-p", "okod", "-p", "okoctl"]))?;
    let programs = Programs { folder: target().join("release"), work: target().join("demo") };
    std::fs::create_dir_all(&programs.work)?;
    if args.live { live::run(&programs) } else { replay::run(&programs) }
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What was built, and where the demo works.
pub(crate) struct Programs {
    folder: PathBuf,
    work: PathBuf,
}

impl Programs {
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Compiles the filter; the object file.
    pub(crate) fn build_filter(&self) -> Result<PathBuf> {
        let object = self.file("syn_flood.o");
        let source = root().join("examples/syn_flood.oko");
        run::run(
            std::process::Command::new(self.path("okoc")).arg("build").arg(source).arg("-o").arg(&object),
        )?;
        Ok(object)
    }
}
