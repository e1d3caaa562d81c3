//! Two workers beside one: what a second core brings.
//!
//! The source has a queue for each worker, with a capture of its own. Where there are only two CPUs, one of the workers shares its own with everything else
//! that runs, the measurement too.

use anyhow::Result;
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{CPU, Lab, SINK};
use super::stats::{Cell, Missing, Samples};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section, filters};

const FLOWS: usize = 10_000;
const PACKETS: usize = 40_000;
const MEMORY: u64 = 700;

/// What the workers do.
const TASKS: [(&str, Option<usize>); 3] = [
    ("flows only", None),
    ("a filter without state", Some(0)),
    ("a filter with a map of 100,000 entries", Some(100_000)),
];

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let cpus = [vec![CPU], vec![0, CPU]];
    let mut cells: Vec<[Cell; 2]> = TASKS.iter().map(|_| Default::default()).collect();
    let rounds = bench.rounds(3);
    for round in 1..=rounds {
        for ((task, entries), cells) in TASKS.iter().zip(&mut cells) {
            for (cpus, cell) in cpus.iter().zip(cells) {
                eprintln!("round {round} of {rounds}: {task}, workers on {cpus:?}");
                cell.add(take(&lab, *entries, cpus));
            }
        }
    }
    let mut grid = Grid::new(1, ["task", "one worker", "two workers", "two : one"]);
    let (mut figures, mut ratios, mut missing) = (Vec::new(), Vec::new(), Missing::default());
    for ((task, _), [one, two]) in TASKS.iter().zip(&cells) {
        let gain = two.rate() / one.rate();
        let rate = |cell: &Cell| figure(cell.rate() / 1e6, 2);
        grid.row([(*task).to_owned(), rate(one), rate(two), ratio(gain)]);
        for (count, cell) in [("one worker", one), ("two workers", two)] {
            missing.note(format!("{task}, {count}"), cell);
        }
        figures.push(json!({ "task": task, "one": one.json(&lab), "two": two.json(&lab) }));
        ratios.push(gain);
    }
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let text = format!(
        "Millions of packets a second of 60 bytes in {FLOWS} flows; workers on CPUs {:?} and {:?} of {available}; medians of {rounds} rounds. {}\n\n{}{}",
        cpus[0],
        cpus[1],
        lab.memory(),
        grid.text(),
        missing.text()
    );
    let targets = vec![Target::at_least("two workers : one", 1.5, ratios)];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}

fn take(lab: &Lab<'_>, entries: Option<usize>, cpus: &[usize]) -> Result<Samples> {
    let frame = |n: usize| Frame::of_flow(n % FLOWS);
    let traffic = Traffic::of_parts(lab.folder(), PACKETS * cpus.len(), cpus.len(), frame)?;
    let mut okod = Okod::new(lab, &traffic, &Options { cpus: Some(cpus.to_vec()), ..Options::default() })?;
    let mut flows = format!("priority=1,actions=output:{SINK}\n");
    if let Some(entries) = entries {
        let (source, name) = if entries == 0 {
            (filters::STATELESS.to_owned(), "plain")
        } else {
            (filters::with_state(entries), "touch")
        };
        okod.load(&lab.compile(name, &source)?, None)?;
        flows += &format!("priority=100,udp,filter={name},actions=drop\n");
    }
    okod.add_flows(&flows)?;
    okod.rates()
}
