//! Runs the benchmark of hash tables, which is a program of its own in `runtime/state/benches/maps`.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::table::Target;
use super::{Bench, Section};
use crate::run::{self, cargo, shown};

const BENCH: [&str; 6] = ["bench", "--locked", "-p", "oko-state", "--bench", "maps"];

/// Compiles it.
pub(super) fn build() -> Result<()> {
    run::run(cargo().args(BENCH).arg("--no-run"))
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let file = bench.out.join("maps.json");
    let mut command = cargo();
    command.args(BENCH).args(["--quiet", "--", "--json"]).arg(&file);
    if bench.quick {
        command.arg("--quick");
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(&command)))?;
    ensure!(output.status.success(), "`{}` failed: {}", shown(&command), output.status);
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let figures: Value = serde_json::from_slice(&text)?;
    std::fs::remove_file(&file)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let target = Target::at_least(
        "time of DashMap, papaya and the kernel's hash map : ours, one thread",
        1.0,
        peers(&figures),
    );
    Ok(Section { targets: vec![target], ..Section::new(text, figures) })
}

/// The time of each peer by ours.
fn peers(figures: &Value) -> Vec<f64> {
    let subjects = figures.as_array().or_else(|| figures["subjects"].as_array());
    let times: Vec<(&str, f64)> = subjects
        .into_iter()
        .flatten()
        .filter_map(|subject| Some((subject["subject"].as_str()?, subject["ns_one_thread"].as_f64()?)))
        .collect();
    let ours = times.iter().find(|(name, _)| *name == "oko").map_or(f64::NAN, |(_, time)| *time);
    let is_peer = |name: &str| ["DashMap", "papaya", "kernel"].iter().any(|peer| name.starts_with(peer));
    times.iter().filter(|(name, _)| is_peer(name)).map(|(_, time)| time / ours).collect()
}
