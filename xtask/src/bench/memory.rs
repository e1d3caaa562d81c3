//! Memory: what a switch takes at rest, for each flow entry, and for each flow of traffic in its caches.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::ovs::Ovs;
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::setup_rate::rules_of;
use super::table::{Grid, figure};
use super::{Bench, Section};

const MEMORY: u64 = 1200;
const FLOWS: usize = 100_000;

/// What the system says that a process has, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Ordinary memory in use (`VmRSS`).
    resident: f64,
    /// Huge pages (`HugetlbPages`).
    huge: f64,
}

impl Memory {
    fn of(process: u32) -> Result<Memory> {
        let file = format!("/proc/{process}/status");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kibibytes * 1024.0)
        };
        let value = |name: &str| value(name).with_context(|| format!("no {name} in {file}"));
        Ok(Memory { resident: value("VmRSS:")?, huge: value("HugetlbPages:")? })
    }
}

/// A switch at rest, with entries, and after a packet of each flow.
struct Stages([Memory; 3]);

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let flows = if bench.quick { FLOWS / 4 } else { FLOWS };
    let traffic = Traffic::of_flows(lab.folder(), flows, Frame::of_flow)?;
    let rules = lab.folder().join("rules");
    std::fs::write(&rules, rules_of(flows))?;
    let found = [("okod", of_okod(&lab, &traffic, &rules)), ("Open vSwitch", of_ovs(&lab, &traffic, &rules))];
    let heads = [
        "",
        "at rest, MiB",
        "huge pages, MiB",
        "with entries, MiB",
        "bytes an entry",
        "after traffic, MiB",
        "bytes a flow of traffic",
    ];
    let mut grid = Grid::new(1, heads);
    let mut text = String::new();
    let mut figures = Vec::new();
    for (name, stages) in found {
        match stages {
            Ok(Stages([rest, entries, after])) => {
                let mebibytes = |bytes: f64| figure(bytes / f64::from(1 << 20), 0);
                let each = |more: f64, less: f64| figure((more - less) / flows as f64, 0);
                grid.row([
                    name.to_owned(),
                    mebibytes(rest.resident),
                    mebibytes(after.huge),
                    mebibytes(entries.resident),
                    each(entries.resident, rest.resident),
                    mebibytes(after.resident),
                    each(after.resident, entries.resident),
                ]);
                let stages = [rest, entries, after];
                figures.push(json!({ "switch": name, "entries": flows,
                    "resident": stages.map(|stage| stage.resident), "huge": stages.map(|stage| stage.huge) }));
            }
            Err(error) => writeln!(text, "- {name}, not measured: {error:#}")?,
        }
    }
    let text = format!(
        "Resident memory without huge pages, which hold packets: after the start; with {flows} entries that each have all addresses and ports (port {SINK}); and after \
         packets of all these flows have passed. The flow cache of `okod` grows with the flows.\n\n{}{text}",
        grid.text()
    );
    Ok(Section::new(text, figures.into()))
}

fn of_okod(lab: &Lab<'_>, traffic: &Traffic, rules: &std::path::Path) -> Result<Stages> {
    let mut okod = Okod::new(lab, traffic, &Options::default())?;
    let rest = Memory::of(okod.id())?;
    okod.add_flows_from(rules)?;
    let entries = Memory::of(okod.id())?;
    okod.rates()?;
    Ok(Stages([rest, entries, Memory::of(okod.id())?]))
}

fn of_ovs(lab: &Lab<'_>, traffic: &Traffic, rules: &std::path::Path) -> Result<Stages> {
    let mut ovs = Ovs::new(lab)?;
    ovs.set(&["flow-limit=2000000", "max-idle=60000"])?;
    let rest = Memory::of(ovs.id())?;
    ovs.add_flows_from(rules)?;
    let entries = Memory::of(ovs.id())?;
    ovs.start(traffic)?;
    ovs.rates_now()?;
    Ok(Stages([rest, entries, Memory::of(ovs.id())?]))
}
