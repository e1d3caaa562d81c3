//! What loading and running filters costs, beside the same filters in C and beside the Linux kernel. `cargo xtask bench` runs it.
//!
//! All figures of a table come from one run in which the subjects take turns, pinned to one CPU, so that whatever else the machine does
//! befalls them alike; a figure is the median of its turns. What is compared is the same work: after each pass over a
//! capture the verdict of every subject on every packet is compared with that of the C filter, and the benchmark fails if one differs.
//!
//! ```text
//! engines [--quick] [--only EXAMPLE,…] [--mode MODE,…] [--out FOLDER]
//! ```
//!
//! Tables go to the standard output, the same with more detail to `FOLDER/engines.json`.

#[cfg(target_os = "linux")]
mod beyond;
#[cfg(target_os = "linux")]
mod budget;
#[cfg(target_os = "linux")]
mod entries;
#[cfg(target_os = "linux")]
mod examples;
#[cfg(target_os = "linux")]
mod foreign;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod loading;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
mod subject;
#[cfg(target_os = "linux")]
mod traffic;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark runs on Linux only");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use anyhow::{Context, Result};
    use clap::Parser;
    use oko_tests::peer;
    use serde_json::json;

    use crate::subject::Mode;
    use crate::{budget, entries, examples, foreign, loading, running};

    /// What stands for the measurement of [`entries`] among the names of examples.
    const ENTRIES: &str = "entries";
    /// The same for [`foreign`] and [`budget`].
    const FOREIGN: &str = "foreign";

    /// The CPU that everything runs on, if there are two: the first one takes the interrupts.
    const CPU: usize = 1;

    #[derive(Parser)]
    struct Args {
        /// Fewer turns: to see that it works
        #[arg(long)]
        quick: bool,
        /// Where to put what is compiled, and the figures as JSON
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
        /// Run these examples only, `entries` for how the number of entries counts, `foreign` for BPF of clang; leave out the rest
        #[arg(long, value_name = "EXAMPLE", value_delimiter = ',')]
        only: Vec<String>,
        /// Give packets to filters in these ways only
        #[arg(long, value_enum, value_delimiter = ',', default_value = "single,burst,repeated")]
        mode: Vec<Mode>,
        /// Given by `cargo bench`
        #[arg(long, hide = true)]
        bench: bool,
    }

    pub(super) fn main() -> Result<()> {
        let Args { quick, out, only, mode, bench: _ } = Args::parse();
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let out = out.canonicalize()?;
        let cpu = pin();
        let all = only.is_empty();
        let with_entries = all || only.iter().any(|only| only == ENTRIES);
        let with_foreign = all || only.iter().any(|only| only == FOREIGN);
        let named: Vec<String> =
            only.iter().filter(|only| *only != ENTRIES && *only != FOREIGN).cloned().collect();
        let examples = if all || !named.is_empty() { examples::all(&out, &named)? } else { Vec::new() };
        let nothing = json!({});
        let loading =
            if all { loading::measure(&examples, if quick { 3 } else { 9 })? } else { nothing.clone() };
        let running = match examples.is_empty() {
            true => nothing.clone(),
            false => running::measure(&examples, &mode, if quick { 3 } else { 15 })?,
        };
        let (foreign, budget) = if with_foreign {
            let turns = if quick { 5 } else { 15 };
            let loads = if quick { 5 } else { 30 };
            (foreign::measure(&out, turns, loads)?, budget::measure(&out, turns)?)
        } else {
            (nothing.clone(), nothing.clone())
        };
        let entries =
            if with_entries { entries::measure(&out, if quick { 3 } else { 9 }, quick)? } else { nothing };
        let figures = json!({
            "cpu": cpu,
            "clang": peer::clang_version()?,
            "loading": loading,
            "running": running,
            "foreign": foreign,
            "budget": budget,
            "entries": entries,
        });
        let file = out.join("engines.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Binds this thread to one CPU, if it may; says to which.
    fn pin() -> Option<usize> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = if cpus > CPU { CPU } else { 0 };
        // SAFETY: an empty set of CPUs is all zeroes.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the number is far below the set's 1,024.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        // SAFETY: the set is as large as said, and 0 is the calling thread.
        let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
        (result == 0).then_some(cpu)
    }
}
