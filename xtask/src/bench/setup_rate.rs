//! New flows: how many a second a switch takes up when each packet is the first of its flow.
//!
//! There is a rule for each flow, with all addresses and ports, so no cached entry serves two flows. In the first pass over the capture every packet
//! must be looked up in the tables: by an upcall in Open vSwitch, which installs a megaflow for it, in `okod` by a look-up that fills its
//! flow cache. The rate is that at which packets of this pass leave.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::ovs::{Caches, Ovs};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, Meter, SINK};
use super::stats::{Cell, Missing, Samples, best};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};

const FLOWS: usize = 200_000;
const MEMORY: u64 = 1200;
const PATIENCE: Duration = Duration::from_secs(30);
/// The part of the pass that is timed: its begin and its end are left out.
const FROM: f64 = 0.05;
const TO: f64 = 0.95;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let flows = if bench.quick { FLOWS / 4 } else { FLOWS };
    let rounds = bench.rounds(3);
    let traffic = Traffic::of_flows(lab.folder(), flows, Frame::of_flow)?;
    ensure!(traffic.packets() == flows, "a packet of each flow");
    let rules = lab.folder().join("rules");
    std::fs::write(&rules, rules_of(flows))?;
    let (mut okod, mut ovs) = (Cell::default(), [Cell::default(), Cell::default()]);
    let configurations = [Caches::Default, Caches::None];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: okod");
        okod.add(take_okod(&lab, &traffic, &rules));
        for (cell, caches) in ovs.iter_mut().zip(configurations) {
            eprintln!("round {round} of {rounds}: {}", caches.name());
            cell.add(take_ovs(&lab, &traffic, &rules, caches));
        }
    }
    let best = best(&ovs);
    let mut grid = Grid::new(1, ["", "new flows a second, thousands", "okod : it"]);
    let names = ["okod"].into_iter().chain(configurations.map(Caches::name));
    let mut missing = Missing::default();
    let mut figures = Vec::new();
    for (name, cell) in names.zip([&okod].into_iter().chain(&ovs)) {
        grid.row([name.to_owned(), figure(cell.rate() / 1e3, 0), ratio(okod.rate() / cell.rate())]);
        figures.push(json!({ "switch": name, "cell": cell.json(&lab) }));
        missing.note(name.to_owned(), cell);
    }
    let text = format!(
        "{flows} flows with a rule each, one packet each, medians of {rounds} rounds. {}\n\n{}{}",
        lab.memory(),
        grid.text(),
        missing.text()
    );
    let targets = vec![Target::at_least("new flows: okod : OVS", 3.0, [okod.rate() / best])];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}

/// A rule for each flow of [`Frame::of_flow`], one a line.
pub(super) fn rules_of(flows: usize) -> String {
    let mut text = String::new();
    for frame in (0..flows).map(Frame::of_flow) {
        let (source, destination) = (Ipv4Addr::from(frame.ip.0), Ipv4Addr::from(frame.ip.1));
        let (from, to) = frame.ports;
        writeln!(
            text,
            "udp,nw_src={source},nw_dst={destination},tp_src={from},tp_dst={to},actions=output:{SINK}"
        )
        .expect("strings take everything");
    }
    text
}

fn take_okod(lab: &Lab<'_>, traffic: &Traffic, rules: &std::path::Path) -> Result<Samples> {
    let mut okod = Okod::new(lab, traffic, &Options::default())?;
    okod.add_flows_from(rules)?;
    let meter = okod.meter()?;
    okod.start()?;
    first_pass(&meter, traffic.packets())
}

fn take_ovs(lab: &Lab<'_>, traffic: &Traffic, rules: &std::path::Path, caches: Caches) -> Result<Samples> {
    let mut ovs = Ovs::new(lab)?;
    ovs.use_caches(caches)?;
    ovs.set(&["flow-limit=2000000", "max-idle=60000"])?;
    ovs.add_flows_from(rules)?;
    let meter = ovs.meter()?;
    // The command waits until the port is there, and packets are under way before it ends.
    std::thread::scope(|scope| {
        let start = scope.spawn(|| ovs.start(traffic));
        let samples = first_pass(&meter, traffic.packets());
        start.join().expect("it does not panic")?;
        samples
    })
}

/// Packets a second over most of the first pass.
fn first_pass(meter: &Meter, packets: usize) -> Result<Samples> {
    let begin = Instant::now();
    let (mut first, mut last) = (None, None);
    while last.is_none() {
        ensure!(begin.elapsed() < PATIENCE, "the first pass takes more than {} s", PATIENCE.as_secs());
        let (sent, now) = (meter.sent()? as f64, Instant::now());
        if sent >= TO * packets as f64 {
            last = Some((sent, now));
        } else if first.is_none() && sent >= FROM * packets as f64 {
            first = Some((sent, now));
        }
    }
    let (Some((from, start)), Some((to, end))) = (first, last) else {
        anyhow::bail!("the first pass was over before it was looked at");
    };
    ensure!(to < 1.5 * packets as f64, "the first pass was over before it was looked at");
    let mut samples = Samples::default();
    samples.add((to - from) / (end - start).as_secs_f64());
    Ok(samples)
}
