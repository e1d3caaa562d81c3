//! Sizes of packets: from the least to the greatest, a mixture, and real captures.

use anyhow::Result;
use serde_json::json;

use super::lab::okod::{self, Options};
use super::lab::ovs::{self, Caches};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::{Cell, Missing};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};
use crate::run::root;

/// Bytes of frames with their check sequence, which captures leave out.
const SIZES: [usize; 7] = [64, 128, 256, 512, 1024, 1280, 1518];
const CHECK_SEQUENCE: usize = 4;
/// The simple Internet mixture: of twelve frames, so many of each size.
const IMIX: [(usize, usize); 3] = [(7, 64), (4, 594), (1, 1518)];
const FLOWS: usize = 1000;
const MEMORY: u64 = 512;

/// What is sent.
enum Mix {
    Size(usize),
    Imix,
    Capture(&'static str),
}

impl Mix {
    fn name(&self) -> String {
        match self {
            Mix::Size(size) => format!("{size} bytes"),
            Mix::Imix => "IMIX (7 × 64, 4 × 594, 1 × 1518)".to_owned(),
            Mix::Capture(name) => format!("{name}.pcap"),
        }
    }

    fn traffic(&self, lab: &Lab<'_>) -> Result<Traffic> {
        let of_size =
            |flow: usize, size: usize| Frame { length: size - CHECK_SEQUENCE, ..Frame::of_flow(flow) };
        match *self {
            Mix::Size(size) => Traffic::of_flows(lab.folder(), FLOWS, |flow| of_size(flow, size)),
            Mix::Imix => Traffic::of_flows(lab.folder(), FLOWS, |flow| {
                let mut place = flow % IMIX.iter().map(|(count, _)| count).sum::<usize>();
                let (_, size) = IMIX
                    .iter()
                    .find(|(count, _)| {
                        let found = place < *count;
                        place = place.saturating_sub(*count);
                        found
                    })
                    .expect("the place is in one of the parts");
                of_size(flow, *size)
            }),
            Mix::Capture(name) => {
                let file = root().join("examples/captures").join(format!("{name}.pcap"));
                // Few; counting them is not worth reading the file.
                Ok(Traffic::of_capture(file, 8_192))
            }
        }
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let sizes: &[usize] = if bench.quick { &[64, 512, 1518] } else { &SIZES };
    let mut mixes: Vec<Mix> = sizes.iter().map(|&size| Mix::Size(size)).collect();
    mixes.extend([Mix::Imix, Mix::Capture("mixed"), Mix::Capture("syn_flood")]);
    let flows = format!("priority=1,in_port=1,ip,actions=output:{SINK}\npriority=0,actions=output:{SINK}\n");
    let mut grid = Grid::new(
        1,
        [
            "packets",
            "floor",
            "okod",
            Caches::Default.name(),
            "okod : OVS",
            "cycles of okod (without the floor)",
        ],
    );
    let (mut figures, mut ratios, mut missing) = (Vec::new(), Vec::new(), Missing::default());
    for mix in &mixes {
        eprintln!("{}", mix.name());
        let traffic = mix.traffic(&lab)?;
        let (mut floor, mut ours, mut theirs) = (Cell::default(), Cell::default(), Cell::default());
        floor.add(lab.floor(&traffic));
        ours.add(okod::rates_of(&lab, &traffic, &Options::default(), &flows));
        theirs.add(ovs::started(&lab, &traffic, &flows).and_then(|mut ovs| ovs.rates_now()));
        let cycles = (lab.cycles(ours.rate()), lab.cycles(floor.rate()));
        grid.row([
            mix.name(),
            figure(floor.rate() / 1e6, 2),
            figure(ours.rate() / 1e6, 2),
            figure(theirs.rate() / 1e6, 2),
            ratio(ours.rate() / theirs.rate()),
            format!("{} ({})", figure(cycles.0, 0), figure(cycles.0 - cycles.1, 0)),
        ]);
        ratios.push(ours.rate() / theirs.rate());
        for (name, cell) in [("floor", &floor), ("okod", &ours), (Caches::Default.name(), &theirs)] {
            missing.note(format!("{}, {name}", mix.name()), cell);
        }
        figures.push(json!({ "packets": mix.name(), "floor": floor.json(&lab), "okod": ours.json(&lab), "ovs": theirs.json(&lab) }));
    }
    let mut text = format!(
        "Millions of packets a second, {FLOWS} flows, two rules, one core. {} Each packet is copied once by the source; with large packets that is most \
         of the time, for both. Sizes are those on the wire, with the check sequence.\n\n{}",
        lab.memory(),
        grid.text()
    );
    text += &missing.text();
    let targets = vec![Target::at_least("okod : OVS, sizes of packets", 1.5, ratios)];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}
