//! `cargo xtask bench`: what Oko costs, beside peers measured in the same run. One text report, and the figures as JSON next to it.
//!
//! Nothing is asserted about time. What is compared is checked to be the same work, and a part that cannot be measured on
//! this machine says why in its place.

mod build;
mod engines;
mod machine;
mod maps;
mod pages;
mod process;
mod stats;
mod switch;
mod telemetry;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::run::{self, cargo, root};
use crate::setup::{Need, run_setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Few repetitions: to see that it works
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_value = "build,maps,engines,switch")]
    only: Vec<Part>,
    /// Use what is installed and ask for no more
    #[arg(long)]
    no_setup: bool,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The time that `okoc build` takes, beside clang's
    Build,
    /// Look-up and update in a hash table, beside others and the kernel's
    Maps,
    /// Verification, compilation, and time per packet, beside C and the kernel
    Engines,
    /// Packets a second of `okod`, beside dpdk-testpmd
    Switch,
}

/// A part that was measured: tables, and figures in more detail.
struct Section {
    text: String,
    figures: Value,
}

/// What all parts know.
struct Bench {
    quick: bool,
    /// Where cargo puts optimised programs.
    programs: PathBuf,
    /// Where everything that is made here goes.
    out: PathBuf,
}

impl Bench {
    fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Compiles an example by `okoc`; the object file.
    fn object(&self, example: &str) -> Result<PathBuf> {
        let object = self.out.join(format!("{example}.o"));
        let output = std::process::Command::new(self.program("okoc"))
            .arg("build")
            .arg(root().join("examples").join(format!("{example}.oko")))
            .arg("-o")
            .arg(&object)
            .output()
            .context("cannot start okoc")?;
        anyhow::ensure!(output.status.success(), "okoc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(object)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.no_setup {
        run_setup(Need::Everything, false)?;
    }
    let target = target();
    let out = target.join("bench");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    // The benchmark of the engines runs in another folder.
    let bench = Bench { quick: args.quick, programs: target.join("release"), out: out.canonicalize()? };

    let wants = |part| args.only.contains(&part);
    if wants(Part::Build) || wants(Part::Switch) {
        let mut build = cargo();
        build.args(["build", "--release", "--locked", "-p", "okoc"]);
        if wants(Part::Switch) {
            build.args(["-p", "okod", "-p", "okoctl"]);
        }
        run::run(&mut build)?;
    }
    if wants(Part::Maps) {
        maps::build()?;
    }
    if wants(Part::Engines) {
        engines::build()?;
    }

    let facts = machine::facts(args.quick);
    let mut report = Report::begin(&bench.out, &facts)?;
    let mut failed = Vec::new();
    for part in [Part::Build, Part::Maps, Part::Engines, Part::Switch] {
        if !wants(part) {
            continue;
        }
        eprintln!("\x1b[1mmeasuring: {part:?}\x1b[0m");
        let (title, section) = match part {
            Part::Build => ("## `okoc build`, whole process", build::measure(&bench)),
            Part::Maps => ("## Hash tables", maps::measure(&bench)),
            Part::Engines => ("## Engines", engines::measure(&bench)),
            Part::Switch => ("## `okod`", switch::measure(&bench)),
        };
        if section.is_err() {
            failed.push(format!("{part:?}"));
        }
        report.add(&format!("{part:?}").to_lowercase(), title, section)?;
    }
    eprintln!("\nThe report is in {} and, as JSON, beside it.", report.text_file().display());
    anyhow::ensure!(failed.is_empty(), "not all could be measured: {}", failed.join(", "));
    Ok(())
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The report, on disk after each part: what was measured stays if a later part fails.
struct Report {
    folder: PathBuf,
    text: String,
    figures: Map<String, Value>,
}

impl Report {
    fn begin(folder: &Path, facts: &machine::Facts) -> Result<Report> {
        let figures = Map::from_iter([("machine".to_owned(), facts.json())]);
        let mut report = Report { folder: folder.to_owned(), text: String::new(), figures };
        report.print(&format!("# What Oko costs\n\n{facts}"))?;
        Ok(report)
    }

    fn text_file(&self) -> PathBuf {
        self.folder.join("report.txt")
    }

    fn add(&mut self, name: &str, title: &str, section: Result<Section>) -> Result<()> {
        let (text, figures) = match section {
            Ok(Section { text, figures }) => (text, figures),
            Err(error) => (format!("Not measured: {error:#}\n"), json!({ "error": format!("{error:#}") })),
        };
        self.figures.insert(name.to_owned(), figures);
        self.print(&format!("\n{title}\n\n{text}"))
    }

    fn print(&mut self, text: &str) -> Result<()> {
        print!("{text}");
        self.text.push_str(text);
        std::fs::write(self.text_file(), &self.text)?;
        std::fs::write(self.folder.join("report.json"), serde_json::to_vec_pretty(&self.figures)?)?;
        Ok(())
    }
}
