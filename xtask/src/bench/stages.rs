//! Where a worker's cycles go, stage by stage: a switch with the cargo feature `profile`, which is off by default, over a few kinds of traffic.
//!
//! The switch counts from its first burst to its last and says at its end what each stage took for a packet. It is compiled beside the one that all
//! other parts measure.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::lab::masks::Masks;
use super::lab::okod::{Okod, Options};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::Cell;
use super::table::{Grid, figure};
use super::{Bench, Section, filters};

/// The switch with the feature, in the folder of the report.
pub(super) const PROGRAM: &str = "okod-stages";
const MEMORY: u64 = 900;
const FLOWS: usize = 1000;
/// Bytes of the large packets.
const LARGE: usize = 1514;

/// The stages as they are shown, by the names that the switch gives them.
const STAGES: [&str; 6] = ["receive", "look-up", "filters", "tables", "act", "send"];

/// What a switch has to do.
enum Subject {
    /// Entries of so many masks, and so many flows; they need not be keys of their own.
    Masks(u32, usize),
    /// One filter, asked about all packets.
    Filter(&'static str, String, &'static str),
    /// One field of each packet is set.
    SetField,
    /// Packets of the greatest size.
    Large,
    /// No flow cache.
    NoCache,
}

impl Subject {
    fn all() -> [Subject; 7] {
        [
            Subject::Masks(1, 1),
            Subject::Masks(100, 100_000),
            Subject::Filter("a filter without state", filters::STATELESS.to_owned(), "plain"),
            Subject::Filter("a filter with a map of 100,000 entries", filters::with_state(100_000), "touch"),
            Subject::SetField,
            Subject::Large,
            Subject::NoCache,
        ]
    }

    fn name(&self) -> String {
        match self {
            Subject::Masks(masks, flows) => {
                let plural = |count: u64| if count == 1 { "" } else { "s" };
                let (m, f) = (plural(u64::from(*masks)), plural(*flows as u64));
                format!("{masks} mask{m}, {flows} flow{f}")
            }
            Subject::Filter(title, ..) => (*title).to_owned(),
            Subject::SetField => "one field set".to_owned(),
            Subject::Large => format!("packets of {LARGE} bytes"),
            Subject::NoCache => "100 masks, 1000 flows, no flow cache".to_owned(),
        }
    }

    fn traffic(&self, folder: &Path) -> Result<Traffic> {
        match *self {
            Subject::Masks(masks, flows) => {
                Traffic::of_flows(folder, flows, |flow| Masks::new(masks).frame(flow))
            }
            Subject::NoCache => Traffic::of_flows(folder, FLOWS, |flow| Masks::new(100).frame(flow)),
            Subject::Large => {
                Traffic::of_flows(folder, FLOWS, |flow| Frame { length: LARGE, ..Frame::of_flow(flow) })
            }
            Subject::Filter(..) | Subject::SetField => Traffic::of_flows(folder, FLOWS, Frame::of_flow),
        }
    }

    fn flows(&self) -> String {
        let output = format!("priority=1,ip,actions=output:{SINK}\n");
        match self {
            Subject::Masks(masks, _) => Masks::new(*masks).flows(SINK),
            Subject::NoCache => Masks::new(100).flows(SINK),
            Subject::Filter(_, _, name) => format!("priority=100,udp,filter={name},actions=drop\n{output}"),
            Subject::SetField => {
                format!("priority=1,ip,actions=set_field:02:00:00:00:00:09->eth_dst,output:{SINK}\n")
            }
            Subject::Large => output,
        }
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let mut grid = Grid::new(1, ["packets"].into_iter().chain(STAGES).chain(["in all", "Mpps"]));
    let mut figures = Vec::new();
    for subject in Subject::all() {
        eprintln!("{}", subject.name());
        let traffic = subject.traffic(lab.folder())?;
        let options =
            Options { stages: true, no_cache: matches!(subject, Subject::NoCache), ..Options::default() };
        let mut okod = Okod::new(&lab, &traffic, &options)?;
        if let Subject::Filter(_, source, name) = &subject {
            okod.load(&lab.compile(name, source)?, None)?;
        }
        okod.add_flows(&subject.flows())?;
        let mut rate = Cell::default();
        rate.add(okod.rates());
        let log = okod.end();
        let stages = stages(&log).with_context(|| format!("{}: the switch says\n{log}", subject.name()))?;
        let all = stages.iter().sum::<f64>();
        let shown = stages.iter().chain([&all]).map(|&cycles| figure(cycles, 0));
        let row = [subject.name()].into_iter().chain(shown);
        grid.row(row.chain([figure(rate.rate() / 1e6, 2)]));
        let named: serde_json::Map<_, _> =
            STAGES.iter().map(|name| (*name).to_owned()).zip(stages.map(serde_json::Value::from)).collect();
        figures.push(json!({ "packets": subject.name(), "cycles": named, "rate": rate.json(&lab) }));
    }
    let text = format!(
        "Cycles of the time-stamp counter that a worker takes for a packet of 60 bytes (but for the large ones), by stage; {FLOWS} flows where nothing is said. {} \
         *Receive* and *send* are the drivers' and the packet buffers' own; *look-up* is the key and the flow cache; *tables* is what the cache does not know, with what is done with such \
         packets. The counter is read at the border of each stage of a burst, and of each packet that is changed or goes through the tables; this takes some cycles itself.\n\n{}",
        lab.memory(),
        grid.text()
    );
    Ok(Section::new(text, figures.into()))
}

/// The cycles of each of [`STAGES`] in what the switch writes to its log.
fn stages(log: &str) -> Result<[f64; STAGES.len()]> {
    let (_, line) = log.split_once("cycles a packet: ").context("no line about cycles")?;
    let (line, _) = line.split_once(';').context("the line about cycles does not end")?;
    let mut found = [0.0; STAGES.len()];
    let mut parts = line.split(", ");
    for (name, cycles) in STAGES.iter().zip(&mut found) {
        let part = parts.next().with_context(|| format!("no {name}"))?;
        let value = part.strip_prefix(name).with_context(|| format!("`{part}` is not about {name}"))?;
        *cycles = value.trim().parse().with_context(|| format!("`{part}`"))?;
    }
    ensure!(parts.next().is_none(), "more stages than expected: {line}");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_are_read_from_the_log() -> Result<()> {
        let log = "INFO okod::profile: cycles a packet: receive 35.5, look-up 19.0, filters 14.0, tables 0.0, act 3.0, send 15.0; in all 86.5 worker=0 packets=7\n";
        assert_eq!(stages(log)?, [35.5, 19.0, 14.0, 0.0, 3.0, 15.0]);
        assert!(stages("INFO okod: it ends").is_err());
        assert!(stages(&log.replace("filters", "filter")).is_err());
        assert!(stages(&log.replace("; in all", ", more 1.0; in all")).is_err());
        Ok(())
    }
}
