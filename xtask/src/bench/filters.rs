//! Filters in the switch: what the first costs and what each further one does, how many may be attached, and how large their state may be.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{CPU, Lab, SINK};
use super::plot::{self, Line, Panel};
use super::stats::{Cell, Missing, Samples};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};
use crate::run::root;

/// Flows of the traffic where their number does not matter, and the port that all go to.
const FLOWS: usize = 1000;
const PORT: u16 = 10_000;
/// MiB of huge pages that the largest capture takes.
const MEMORY: u64 = 2900;
/// Entries that the filter with state makes of a packet while it fills its state.
const FILLS: usize = 10;

/// A filter without state that looks at one field; its answer is no.
pub(super) const STATELESS: &str = "use std.net.udp;

filter plain -> bool {
    match pkt {
        udp => udp.src_port == 7,
        _ => false,
    }
}
";

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// So many filters without state, all asked about each packet.
    Asked(usize),
    /// So many attached, of which one is asked about each packet.
    Attached(usize),
    /// One, with so many entries of state, which are looked up and changed at random.
    State(usize),
    /// The examples over a real capture: the file and the filter.
    Example(Option<(&'static str, &'static str)>),
}

const EXAMPLES: [Option<(&str, &str)>; 5] = [
    None,
    Some(("telnet", "telnet")),
    Some(("syn_flood", "syn_flood")),
    Some(("rate_limit", "over_rate")),
    Some(("firewall", "tracked")),
];

fn subjects(quick: bool) -> Vec<Subject> {
    let (asked, attached, state): (&[usize], &[usize], &[usize]) = if quick {
        (&[0, 1, 2, 8], &[1, 64], &[1_000, 100_000])
    } else {
        (&[0, 1, 2, 4, 8, 64], &[1, 8, 64, 1_000], &[1_000, 100_000, 10_000_000])
    };
    let asked = asked.iter().map(|&count| Subject::Asked(count));
    let attached = attached.iter().map(|&count| Subject::Attached(count));
    let state = state.iter().map(|&entries| Subject::State(entries));
    let examples = EXAMPLES.into_iter().map(Subject::Example);
    asked.chain(attached).chain(state).chain(examples).collect()
}

/// Traffic that several subjects see.
struct Captures {
    few: Traffic,
    many: Traffic,
    real: Traffic,
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let to_port = |flow: usize| Frame { ports: (Frame::of_flow(flow).ports.0, PORT), ..Frame::of_flow(flow) };
    // Ports number the packets: a filter can make keys of them.
    let numbered = |flow: usize| Frame { ports: ((flow >> 16) as u16, flow as u16), ..Frame::of_flow(flow) };
    let captures = Captures {
        few: Traffic::of_flows(lab.folder(), FLOWS, to_port)?,
        many: Traffic::of_flows(lab.folder(), if bench.quick { 100_000 } else { 1_000_000 }, numbered)?,
        real: Traffic::of_capture(root().join("examples/captures/syn_flood.pcap"), 5_108),
    };
    let rounds = bench.rounds(2);
    let mut found: Vec<(Subject, Cell)> =
        subjects(bench.quick).into_iter().map(|subject| (subject, Cell::default())).collect();
    let mut floors = [Cell::default(), Cell::default(), Cell::default()];
    for round in 1..=rounds {
        for (floor, traffic) in floors.iter_mut().zip([&captures.few, &captures.many, &captures.real]) {
            floor.add(lab.floor(traffic));
        }
        for (subject, cell) in &mut found {
            eprintln!("round {round} of {rounds}: {}", subject.name());
            cell.add(take(&lab, *subject, &captures).with_context(|| subject.name()));
        }
    }
    let own = own_time(&lab, &captures.few)?;
    section(&lab, &found, &floors, own, rounds)
}

/// Nanoseconds that the filter without state takes for a packet by itself, in bursts, on the core that forwards.
fn own_time(lab: &Lab<'_>, traffic: &Traffic) -> Result<f64> {
    let object = lab.compile("plain", STATELESS)?;
    let mut command = Command::new("taskset");
    command.args(["-c", &CPU.to_string()]).arg(lab.bench.program("examples/time_bursts"));
    command.arg(object).arg("plain").arg(&traffic.files()[0]);
    let output = command.output().context("cannot start taskset")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("time_bursts says \"{text}\", {}", String::from_utf8_lossy(&output.stderr)))
}

impl Subject {
    fn name(self) -> String {
        match self {
            Subject::Asked(count) => format!("{count} filters, all asked"),
            Subject::Attached(count) => format!("{count} filters attached, one asked"),
            Subject::State(entries) => format!("state of {entries} entries"),
            Subject::Example(None) => "no filter, syn_flood.pcap".to_owned(),
            Subject::Example(Some((file, _))) => format!("{file}.oko, syn_flood.pcap"),
        }
    }
}

fn take(lab: &Lab<'_>, subject: Subject, captures: &Captures) -> Result<Samples> {
    let output = format!("priority=1,actions=output:{SINK}\n");
    match subject {
        Subject::Asked(count) => {
            let mut okod = with_plain(lab, count, captures)?;
            let flows: String = (0..count)
                .map(|n| format!("priority={},udp,filter=f{n},actions=drop\n", 20_000 - n))
                .collect();
            okod.add_flows(&(flows + &output))?;
            okod.rates()
        }
        Subject::Attached(count) => {
            let mut okod = with_plain(lab, count, captures)?;
            let flows: String = (0..count)
                .map(|n| {
                    let port = usize::from(PORT) + n;
                    format!("priority={},udp,tp_dst={port},filter=f{n},actions=drop\n", 20_000 - n)
                })
                .collect();
            okod.add_flows(&(flows + &output))?;
            okod.rates()
        }
        Subject::State(entries) => {
            let object = lab.compile(&format!("state{entries}"), &with_state(entries))?;
            let mut okod = Okod::new(lab, &captures.many, &Options::default())?;
            okod.load(&object, None)?;
            okod.add_flows(&format!("priority=200,udp,filter=fill,actions=drop\n{output}"))?;
            okod.rates()?;
            okod.add_flows("priority=100,udp,filter=touch,actions=drop\n")?;
            okod.tell(&["flow", "del", "priority=200,udp,filter=fill", "--strict"])?;
            okod.rates_now()
        }
        Subject::Example(filter) => {
            let mut okod = Okod::new(lab, &captures.real, &Options::default())?;
            let mut flows = output;
            if let Some((example, name)) = filter {
                okod.load(&lab.bench.object(example)?, None)?;
                flows += &format!("priority=100,filter={name},actions=output:{SINK}\n");
            }
            okod.add_flows(&flows)?;
            okod.rates()
        }
    }
}

/// A switch with the same filter loaded so often: each is an instance of its own.
fn with_plain<'l>(lab: &'l Lab<'l>, count: usize, captures: &Captures) -> Result<Okod<'l>> {
    let object = lab.compile("plain", STATELESS)?;
    let okod = Okod::new(lab, &captures.few, &Options::default())?;
    for n in 0..count {
        okod.load(&object, Some(&format!("f{n}")))?;
    }
    Ok(okod)
}

/// A map of so many entries, in a state with a quarter more room; a filter that fills it and one that looks up and changes an entry.
pub(super) fn with_state(entries: usize) -> String {
    let capacity = entries + entries / 4;
    let filter = |name: &str, body: &str| {
        format!(
            "filter {name} -> bool {{
    match pkt {{
        udp => {{
            let n: u64 = udp.src_port * 65_536 + udp.dst_port;
            {body}
        }}
        _ => false,
    }}
}}
"
        )
    };
    let update = |key: &str| {
        format!("update hits[({key}) mod {entries}] |old| match old {{ none => 1, let count => count +| 1 }}")
    };
    let fill = filter(
        "fill",
        &format!("for i in 0..{FILLS} {{ {}; }}\n            false", update(&format!("n * {FILLS} + i"))),
    );
    let touch = filter(
        "touch",
        &format!("let count = {};\n            count == 0", update(&format!("n * {FILLS} + n mod {FILLS}"))),
    );
    format!(
        "use std.net.udp;\n\nstate hits: map[u32, u32] {{ capacity: {capacity}, when_full: evict_oldest, expire: never }};\n\n{fill}\n{touch}"
    )
}

fn section(
    lab: &Lab<'_>,
    found: &[(Subject, Cell)],
    floors: &[Cell; 3],
    own: f64,
    rounds: u32,
) -> Result<Section> {
    let rate = |wanted| {
        found.iter().find(|(subject, _)| *subject == wanted).map_or(f64::NAN, |(_, cell)| cell.rate())
    };
    // Nanoseconds a packet are the inverse of the rate.
    let time = |wanted| 1e9 / rate(wanted);
    let none = time(Subject::Asked(0));
    let further = (time(Subject::Asked(8)) - time(Subject::Asked(1))) / 7.0;
    let mut grid = Grid::new(1, ["", "Mpps", "cycles", "without the floor", "ns a packet", "beside"]);
    let (mut figures, mut missing) = (Vec::new(), Missing::default());
    for (subject, cell) in found {
        let ns = 1e9 / cell.rate();
        let (floor, beside) = match *subject {
            Subject::Asked(0) => (&floors[0], String::new()),
            Subject::Asked(count) => {
                (&floors[0], format!("{} ns a filter", figure((ns - none) / count as f64, 1)))
            }
            Subject::Attached(_) => {
                (&floors[0], format!("{} of the time of one", ratio(ns / time(Subject::Attached(1)))))
            }
            Subject::State(_) => {
                (&floors[1], format!("{} of the time of 1000", ratio(ns / time(Subject::State(1_000)))))
            }
            Subject::Example(None) => (&floors[2], String::new()),
            Subject::Example(Some(_)) => {
                (&floors[2], format!("{} ns more", figure(ns - time(Subject::Example(None)), 1)))
            }
        };
        let cycles = lab.cycles(cell.rate());
        grid.row([
            subject.name(),
            figure(cell.rate() / 1e6, 2),
            figure(cycles, 0),
            figure(cycles - lab.cycles(floor.rate()), 0),
            figure(ns, 1),
            beside,
        ]);
        missing.note(subject.name(), cell);
        figures.push(json!({ "subject": subject.name(), "cell": cell.json(lab) }));
    }
    let first = time(Subject::Asked(1)) - none;
    let mut text = format!(
        "Packets of 60 bytes in {FLOWS} flows (state: in as many flows as packets, a million; examples: syn_flood.pcap), one core, medians of {} turns in each \
         of {rounds} rounds. {} Filters without state look at one field and answer no. With state, a random entry is looked up and changed; all \
         entries were made before.\n\n{}The first filter costs {} ns, each of seven further ones {} ns; by itself, in bursts of 32, it takes {} ns.\n\n",
        lab.pace().turns,
        lab.memory(),
        grid.text(),
        figure(first, 1),
        figure(further, 1),
        figure(own, 1),
    );
    text += &missing.text();
    let attached = |count| time(Subject::Attached(count)) / time(Subject::Attached(1));
    let largest = if lab.bench.quick { 64 } else { 1_000 };
    let entries = if lab.bench.quick { 100_000 } else { 10_000_000 };
    let targets = vec![
        Target::at_most("ns of the first filter beyond its own time", 10.0, [first - own]),
        Target::at_most(
            &format!("time with {largest} filters attached : with one"),
            1.05,
            [attached(largest)],
        ),
        Target::at_most(
            &format!("time with {entries} entries of state : with 1000"),
            2.0,
            [time(Subject::State(entries)) / time(Subject::State(1_000))],
        ),
    ];
    let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
    let points = |count_of: &dyn Fn(Subject) -> Option<usize>| {
        let points = found.iter().filter_map(|(subject, cell)| {
            Some((count_of(*subject).filter(|&count| count > 0)? as f64, 1e9 / cell.rate()))
        });
        points.collect::<Vec<_>>()
    };
    let asked = points(&|subject| if let Subject::Asked(count) = subject { Some(count) } else { None });
    let attached = points(&|subject| if let Subject::Attached(count) = subject { Some(count) } else { None });
    let panel = Panel {
        title: "filters".to_owned(),
        lines: vec![line("all asked", asked), line("attached, one asked", attached)],
    };
    let plots = vec![("filters", plot::lines(&[panel], "filters", "ns a packet")?)];
    Ok(Section { text, figures: figures.into(), targets, plots })
}
