//! Runs the benchmark of hash tables, which is a program of its own in `runtime/state/benches/maps`.

use anyhow::Result;
use serde_json::Value;

use super::program::{Program, take_figures};
use super::table::Target;
use super::{Bench, Section};

pub(super) const PROGRAM: Program = Program { package: "oko-state", name: "maps" };

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let file = bench.out.join("maps.json");
    let text = PROGRAM.run(bench, &["--json".as_ref(), file.as_ref()])?;
    let figures = take_figures(&file)?;
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
