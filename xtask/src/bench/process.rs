//! A filter in the switch, beside the same filter in a process of its own behind a port of shared memory: the comparison of the Oko paper.
//!
//! In the switch, a packet is asked about and goes out, on one core. With a process, the switch sends it over `net_memif` to a program that asks the same
//! compiled filter in bursts and sends it back, and the switch sends it out: two cores, of which the second does nothing but filter. Which of
//! the two is the slower one decides. The paper used rings that share packets without copies; `net_memif` copies each packet once each way, as programs do that
//! do not trust each other with all of their memory.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::ovs::Ovs;
use super::lab::process::Process;
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::{Cell, Missing, Samples};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section, filters};

const FLOWS: usize = 1000;
const MEMORY: u64 = 1100;
/// The port of shared memory, and the core of the process behind it.
const SHARED: u32 = 5;
const CPU: usize = 0;

/// The filters: what they are, their source, and their name.
fn subjects() -> [(&'static str, String, &'static str); 2] {
    [
        ("without state", filters::STATELESS.to_owned(), "plain"),
        ("a map of 100,000 entries", filters::with_state(100_000), "touch"),
    ]
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let traffic = Traffic::of_flows(lab.folder(), FLOWS, Frame::of_flow)?;
    let heads =
        ["filter", "in okod", "behind okod", "behind OVS", "in okod : behind okod", "in okod : behind OVS"];
    let mut grid = Grid::new(1, heads);
    let (mut figures, mut ratios, mut missing) = (Vec::new(), Vec::new(), Missing::default());
    lab.learn_frequency(&traffic);
    for (title, source, name) in subjects() {
        eprintln!("{title}");
        let object = lab.compile(name, &source)?;
        let (mut inside, mut okod, mut ovs) = (Cell::default(), Cell::default(), Cell::default());
        inside.add(in_switch(&lab, &traffic, &object, name));
        okod.add(behind_okod(&lab, &traffic, &object, name));
        ovs.add(behind_ovs(&lab, &traffic, &object, name));
        let (to_okod, to_ovs) = (inside.rate() / okod.rate(), inside.rate() / ovs.rate());
        grid.row([
            title.to_owned(),
            figure(inside.rate() / 1e6, 2),
            figure(okod.rate() / 1e6, 2),
            figure(ovs.rate() / 1e6, 2),
            ratio(to_okod),
            ratio(to_ovs),
        ]);
        ratios.extend([to_okod, to_ovs]);
        for (place, cell) in [("in okod", &inside), ("behind okod", &okod), ("behind OVS", &ovs)] {
            missing.note(format!("{title}, {place}"), cell);
        }
        figures.push(json!({ "filter": title, "in_okod": inside.json(&lab), "behind_okod": okod.json(&lab), "behind_ovs": ovs.json(&lab) }));
    }
    let mut text = format!(
        "Millions of packets a second of 60 bytes, {FLOWS} flows. {} In the switch, one core works; with a process behind it, two do, and each packet \
         passes the switch twice.\n\n{}",
        lab.memory(),
        grid.text()
    );
    text += &missing.text();
    let targets = vec![Target::at_least("filter in the switch : in a process behind it", 3.0, ratios)];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}

fn in_switch(lab: &Lab<'_>, traffic: &Traffic, object: &Path, name: &str) -> Result<Samples> {
    let mut okod = Okod::new(lab, traffic, &Options::default())?;
    okod.load(object, None)?;
    okod.add_flows(&format!(
        "priority=100,udp,filter={name},actions=drop\npriority=1,actions=output:{SINK}\n"
    ))?;
    okod.rates()
}

/// All packets over the port of shared memory, and from there out.
fn flows() -> String {
    format!("priority=100,in_port={SHARED},actions=output:{SINK}\npriority=1,actions=output:{SHARED}\n")
}

fn device(lab: &Lab<'_>, role: &str) -> String {
    let socket = lab.folder().join("shared.sock");
    format!("net_memif0,role={role},socket={},rsize=11", socket.display())
}

/// The process: on the core that does not forward.
fn process(lab: &Lab<'_>, object: &Path, name: &str, queues: u32) -> Result<Process> {
    let mut command = Command::new(lab.bench.program("examples/filter_process"));
    command.arg(object).arg(name).arg(device(lab, "client"));
    command.args([queues.to_string(), CPU.to_string()]);
    Process::start(command, &lab.folder().join("process.log"))
}

fn behind_okod(lab: &Lab<'_>, traffic: &Traffic, object: &Path, name: &str) -> Result<Samples> {
    let ports = vec![(SHARED, "shared".to_owned(), device(lab, "server"))];
    let mut okod = Okod::new(lab, traffic, &Options { ports, buffers: 16_384, ..Options::default() })?;
    okod.add_flows(&flows())?;
    okod.tell(&["port", "up", "shared"])?;
    let process = process(lab, object, name, 1)?;
    okod.rates().with_context(|| process.log())
}

fn behind_ovs(lab: &Lab<'_>, traffic: &Traffic, object: &Path, name: &str) -> Result<Samples> {
    let mut ovs = Ovs::new(lab)?;
    ovs.add_flows(&flows())?;
    ovs.add_port("shared", SHARED, &device(lab, "server"), 1500)?;
    // Open vSwitch has a queue for each of its threads.
    let process = process(lab, object, name, 2)?;
    ovs.start(traffic)?;
    ovs.rates_now().with_context(|| process.log())
}
