//! `cargo xtask conformance`: the Ryu switch tests against `okod`, unmodified, from the os-ken package.
//!
//! A controller app sends a packet into the switch under test from a second switch, to which it is joined by three pairs of virtual
//! Ethernet devices, and compares what comes back byte by byte. Both switches are `okod`: the second one only hands packets between
//! the app and the wires. Nothing waits between the cases, so a switch that does a flow-mod after its barrier reply fails.
//!
//! Needs root for a network namespace, and Python; os-ken is installed into `target/conformance`.

mod lane;
mod report;
mod suite;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::run::{self, cargo, is_root};
use crate::setup::{Need, run_setup};
use lane::Lane;
use report::Outcome;
use suite::Suite;

/// The folders of the suite, in the order of the report, with how many cases each has.
const FOLDERS: [(&str, usize); 4] = [("match", 714), ("action", 226), ("group", 15), ("meter", 36)];
/// Those that take seconds and not half a minute for each case.
const QUICK: [&str; 2] = ["match", "action"];
/// Of so many files of matches, a sample has one: fields follow each other, and each has several files.
const SAMPLE: usize = 6;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what takes less than five minutes: matches and actions, not groups and meters, which are measured for 30 s each
    #[arg(long)]
    quick: bool,
    /// Only what takes about a minute: all actions, and every sixth file of matches
    #[arg(long, conflicts_with = "quick")]
    sample: bool,
    /// Judge this `okod` instead of building one
    #[arg(long, value_name = "FILE")]
    okod: Option<PathBuf>,
    /// Only the files whose path within the suite contains this, such as `action/25_SET_FIELD` or `meter`
    #[arg(value_name = "PART")]
    only: Option<String>,
    /// Show every case, not only those that fail
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(is_root(), "`cargo xtask conformance` makes a network namespace: run it as root");
    let okod = match &args.okod {
        Some(okod) => okod.clone(),
        None => {
            run_setup(Need::Everything, false)?;
            // Optimized: the meter cases bring 20,000 packets a second.
            run::run(cargo().args(["build", "--release", "--locked", "-p", "okod"]))?;
            run::root().join("target/release/okod")
        }
    };
    let suite = Suite::install()?;
    let outcomes = judge(&suite, &okod, args)?;
    if outcomes.is_empty() {
        bail!("no file of the suite has `{}` in its path", args.only.as_deref().unwrap_or_default());
    }
    let unexpected = report::print(&outcomes, args.verbose);
    if unexpected > 0 {
        bail!("{unexpected} cases did not go as the book says (`book/src/openflow.md`, Conformance)");
    }
    Ok(())
}

/// Runs the wanted folders one after the other.
fn judge(suite: &Suite, okod: &Path, args: &Args) -> Result<Vec<Outcome>> {
    let lane = Lane::start(okod)?;
    let mut outcomes = Vec::new();
    for (folder, cases) in FOLDERS {
        if (args.quick || args.sample) && !QUICK.contains(&folder) {
            continue;
        }
        let step = if args.sample && folder == "match" { SAMPLE } else { 1 };
        let files: Vec<PathBuf> = suite
            .files(folder)?
            .into_iter()
            .filter(|file| {
                args.only.as_ref().is_none_or(|part| file.to_string_lossy().contains(part.as_str()))
            })
            .step_by(step)
            .collect();
        if files.is_empty() {
            continue;
        }
        let whole = args.only.is_none() && step == 1;
        eprintln!("\x1b[1m{folder}: {} files\x1b[0m", files.len());
        let start = Instant::now();
        let found = report::parse(folder, &lane.run(suite, folder, &files)?);
        eprintln!("{} cases in {:.0} s", found.len(), start.elapsed().as_secs_f64());
        ensure!(
            !whole || found.len() == cases,
            "{folder} has {cases} cases, of which {} were judged; the log is {}",
            found.len(),
            lane.log(folder).display()
        );
        outcomes.extend(found);
        again(&lane, suite, folder, &files, &mut outcomes)?;
    }
    Ok(outcomes)
}

/// Tries the files of failed cases once more. Groups and meters are measured while a Python program sends, and what else the machine
/// does then counts.
fn again(
    lane: &Lane,
    suite: &Suite,
    folder: &'static str,
    files: &[PathBuf],
    outcomes: &mut [Outcome],
) -> Result<()> {
    let failed = |outcomes: &[Outcome], heading: &str| {
        outcomes.iter().any(|outcome| outcome.is_of(heading) && !outcome.is_as_argued())
    };
    let mut retried = Vec::new();
    for file in files {
        let heading = suite.heading(file)?;
        if failed(outcomes, &heading) {
            retried.push(file.clone());
        }
    }
    if retried.is_empty() {
        return Ok(());
    }
    eprintln!("{} files with failed cases are tried once more", retried.len());
    for second in report::parse(folder, &lane.run(suite, &format!("{folder}-again"), &retried)?) {
        second.replace_in(outcomes);
    }
    Ok(())
}
