//! `okod` without huge pages, which any user may run, beside itself and Open vSwitch with them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::lab::okod::{self, Options};
use super::lab::ovs::{self, Caches};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::{Cell, Missing};
use super::table::{Grid, figure, ratio};
use super::{Bench, Section};

const FLOWS: [usize; 3] = [1, 10_000, 100_000];
/// Packets of the captures, at least: so many that what holds them is larger than the caches of the processor.
const PACKETS: usize = 32_768;
const MEMORY: u64 = 700;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    ensure!(lab.has_huge_pages(), "{}", lab.memory());
    let flows = format!("priority=1,in_port=1,ip,actions=output:{SINK}\npriority=0,actions=output:{SINK}\n");
    let counts: &[usize] = if bench.quick { &FLOWS[..2] } else { &FLOWS };
    let mut cells: Vec<[Cell; 3]> = counts.iter().map(|_| Default::default()).collect();
    let rounds = bench.rounds(3);
    for round in 1..=rounds {
        for (&count, [huge, ordinary, theirs]) in counts.iter().zip(&mut cells) {
            eprintln!("round {round} of {rounds}: {count} flows");
            let traffic = Traffic::of_flows(lab.folder(), count.max(PACKETS), |n| Frame::of_flow(n % count))?;
            for (cell, ordinary) in [(huge, false), (ordinary, true)] {
                let options = Options { ordinary, ..Options::default() };
                cell.add(okod::rates_of(&lab, &traffic, &options, &flows));
            }
            theirs.add(ovs::started(&lab, &traffic, &flows).and_then(|mut ovs| ovs.rates_now()));
        }
    }
    let peer = Caches::Default.name();
    let names = ["okod, huge pages", "okod, ordinary memory", &format!("{peer}, huge pages")];
    let heads = ["flows", names[0], names[1], "ordinary : huge", names[2], "okod, ordinary : OVS, huge"];
    let mut grid = Grid::new(1, heads);
    let (mut figures, mut missing) = (Vec::new(), Missing::default());
    for (&count, cells) in counts.iter().zip(&cells) {
        let [huge, ordinary, ovs] = cells;
        let rate = |cell: &Cell| figure(cell.rate() / 1e6, 2);
        grid.row([
            count.to_string(),
            rate(huge),
            rate(ordinary),
            ratio(ordinary.rate() / huge.rate()),
            rate(ovs),
            ratio(ordinary.rate() / ovs.rate()),
        ]);
        for (name, cell) in names.iter().zip(cells) {
            missing.note(format!("{count} flows, {name}"), cell);
        }
        figures.push(json!({ "flows": count, "huge": huge.json(&lab), "ordinary": ordinary.json(&lab), "ovs": ovs.json(&lab) }));
    }
    let text = format!(
        "Millions of packets a second of 60 bytes, two rules, one core; medians of {rounds} rounds. Ordinary memory is what `huge_pages = false` takes: \
         packets lie in transparent huge pages where the system has them, all else of DPDK in small ones. Open vSwitch does not start without huge pages.\n\n{}{}",
        grid.text(),
        missing.text()
    );
    Ok(Section::new(text, figures.into()))
}
