//! `cargo xtask bench`: what Oko costs, beside peers measured in the same run. One text report, and the figures as JSON next to it.
//!
//! Nothing is asserted about time. What is compared is checked to be the same work, and a part that cannot be measured on
//! this machine says why in its place.

mod actions;
mod build;
mod conntrack;
mod control;
mod engines;
mod explosion;
mod filters;
mod lab;
mod machine;
mod maps;
mod matrix;
mod memory;
mod ordinary;
mod plot;
mod process;
mod program;
mod report;
mod setup_rate;
mod sizes;
mod stages;
mod stats;
mod table;
mod workers;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

use self::report::Report;
use self::table::Target;
use crate::run::{self, cargo, root};
use crate::setup::{Need, run_setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Few repetitions and fewer cells: to see that it works
    #[arg(long)]
    quick: bool,
    /// How often the parts that go round all their cells do so, instead of a number of their own
    #[arg(long)]
    rounds: Option<NonZeroU32>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Use what is installed and ask for no more
    #[arg(long)]
    no_setup: bool,
    /// Put the tables and plots of this run into the book
    #[arg(long)]
    write_book: bool,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The time that `okoc` takes, beside clang's
    Build,
    /// Look-up and update in a hash table, beside others and the kernel's
    Maps,
    /// Verification, compilation, and time per packet, beside C and the kernel
    Engines,
    /// Flow-mods a second, and what an entry takes
    Control,
    /// Masks × flows, beside Open vSwitch
    Matrix,
    /// Filters in the switch: few and many, with and without state
    Filters,
    /// A filter in the switch, beside the same in a process behind it
    Process,
    /// Packets that are changed or measured
    Actions,
    /// A worker's cycles by stage
    Stages,
    /// Sizes of packets
    Sizes,
    /// Without huge pages, beside with them
    Ordinary,
    /// What a switch, an entry and a flow take
    Memory,
    /// New flows a second, beside Open vSwitch
    Setup,
    /// Two workers beside one
    Workers,
    /// An innocent flow under tuple-space explosion, beside Open vSwitch
    Explosion,
    /// Established connections, beside `ct()` of Open vSwitch
    Conntrack,
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Part::Build => "The compiler",
            Part::Maps => "Hash tables",
            Part::Engines => "Engines",
            Part::Control => "Flow-mods",
            Part::Matrix => "Masks and flows",
            Part::Filters => "Filters in the switch",
            Part::Process => "A filter in a process behind the switch",
            Part::Actions => "Actions",
            Part::Stages => "Cycles by stage",
            Part::Sizes => "Sizes of packets",
            Part::Ordinary => "Without huge pages",
            Part::Memory => "Memory",
            Part::Setup => "New flows",
            Part::Workers => "Two workers",
            Part::Explosion => "Tuple-space explosion",
            Part::Conntrack => "Established connections",
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Whether it measures running switches.
    fn needs_switch(self) -> bool {
        !matches!(self, Part::Build | Part::Maps | Part::Engines)
    }

    fn measure(self, bench: &Bench) -> Result<Section> {
        match self {
            Part::Build => build::measure(bench),
            Part::Maps => maps::measure(bench),
            Part::Engines => engines::measure(bench),
            Part::Control => control::measure(bench),
            Part::Matrix => matrix::measure(bench),
            Part::Filters => filters::measure(bench),
            Part::Process => process::measure(bench),
            Part::Actions => actions::measure(bench),
            Part::Stages => stages::measure(bench),
            Part::Sizes => sizes::measure(bench),
            Part::Ordinary => ordinary::measure(bench),
            Part::Memory => memory::measure(bench),
            Part::Setup => setup_rate::measure(bench),
            Part::Workers => workers::measure(bench),
            Part::Explosion => explosion::measure(bench),
            Part::Conntrack => conntrack::measure(bench),
        }
    }
}

/// A part that was measured.
struct Section {
    /// Tables, and what to know about them.
    text: String,
    /// The same in more detail.
    figures: Value,
    targets: Vec<Target>,
    /// Plots as SVG, by name.
    plots: Vec<(&'static str, String)>,
}

impl Section {
    /// Tables and figures alone.
    fn new(text: String, figures: Value) -> Section {
        Section { text, figures, targets: Vec::new(), plots: Vec::new() }
    }
}

/// What all parts know.
struct Bench {
    quick: bool,
    rounds: Option<NonZeroU32>,
    /// Where cargo puts optimised programs.
    programs: PathBuf,
    /// Where everything that is made here goes.
    out: PathBuf,
}

impl Bench {
    /// How often a part goes round its cells that would do so `usual` times.
    fn rounds(&self, usual: u32) -> u32 {
        self.rounds.map_or(if self.quick { 1 } else { usual }, NonZeroU32::get)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Compiles an example by `okoc`; the object file.
    fn object(&self, example: &str) -> Result<PathBuf> {
        self.compile(&root().join("examples").join(format!("{example}.oko")))
    }

    /// Compiles a source file by `okoc`; the object file.
    fn compile(&self, source: &Path) -> Result<PathBuf> {
        let object = self.out.join(source.file_name().unwrap_or_default()).with_extension("o");
        let output = std::process::Command::new(self.program("okoc"))
            .arg("build")
            .arg(source)
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
        run_setup(Need::Peers, false)?;
    }
    let target = target();
    let out = target.join("bench");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    // The benchmark of the engines runs in another folder.
    let bench = Bench {
        quick: args.quick,
        rounds: args.rounds,
        programs: target.join("release"),
        out: out.canonicalize()?,
    };
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| args.only.is_empty() || args.only.contains(part))
        .collect();
    build_programs(&bench, &parts)?;

    let mut report = Report::begin(&bench.out, machine::facts(args.quick))?;
    let (mut targets, mut failed) = (Vec::new(), Vec::new());
    let begin = std::time::Instant::now();
    for (n, &part) in parts.iter().enumerate() {
        let seconds = begin.elapsed().as_secs();
        eprintln!(
            "\x1b[1mmeasuring {} ({} of {}, after {seconds} s)\x1b[0m",
            part.name(),
            n + 1,
            parts.len()
        );
        let section = part.measure(&bench);
        if section.is_err() {
            failed.push(part.name());
        }
        targets.extend(report.add(part, section)?);
    }
    report.end(&targets, args.only.is_empty())?;
    if args.write_book {
        report.write_book(&root().join("book/src"))?;
    }
    eprintln!(
        "\nThe report is in {}; figures as JSON and plots are beside it.",
        report.text_file().display()
    );
    anyhow::ensure!(failed.is_empty(), "not all could be measured: {}", failed.join(", "));
    Ok(())
}

/// Compiles all that is measured, before anything is.
fn build_programs(bench: &Bench, parts: &[Part]) -> Result<()> {
    let with_switch = parts.iter().any(|part| part.needs_switch());
    let command = || {
        let mut build = cargo();
        build.args(["build", "--release", "--locked", "-p", "okoc"]);
        if with_switch {
            build.args(["-p", "okod", "-p", "okoctl"]);
        }
        build
    };
    if parts.contains(&Part::Stages) {
        // First: the other one takes its place then.
        run::run(command().args(["--features", "okod/profile"]))?;
        let program = bench.out.join(stages::PROGRAM);
        std::fs::copy(bench.program("okod"), &program)
            .with_context(|| format!("cannot write {}", program.display()))?;
    }
    if with_switch || parts.contains(&Part::Build) {
        run::run(&mut command())?;
    }
    let examples = [(Part::Process, "okod", "filter_process"), (Part::Filters, "oko-filter", "time_bursts")];
    for (part, package, example) in examples {
        if parts.contains(&part) {
            let words = ["build", "--release", "--locked", "-p", package, "--example", example];
            run::run(cargo().args(words))?;
        }
    }
    let programs =
        [(Part::Maps, maps::PROGRAM), (Part::Engines, engines::PROGRAM), (Part::Control, control::PROGRAM)];
    for (part, program) in programs {
        if parts.contains(&part) {
            program.build()?;
        }
    }
    Ok(())
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
