//! Established connections: the stateful firewall of the examples beside `ct()` of Open vSwitch.
//!
//! TCP connections are opened by their handshakes, from a capture that is played once by a port of its own. Then come packets of established
//! connections in both directions, again and again. Both switches must let all of them through, and do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::ovs::{self, Caches, Ovs};
use super::lab::traffic::{ACK, Frame, SYN, Traffic, Transport};
use super::lab::{Lab, Meter, SINK};
use super::plot::{self, Line, Panel};
use super::stats::{Cell, Missing, Samples, best};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};

const CONNECTIONS: [usize; 5] = [1, 1_000, 10_000, 50_000, 1_000_000];
/// Handshakes that are under way at once: the answer of the first comes after the opening of the last.
const AT_ONCE: usize = 1_000;
const LEAST_AT_ONCE: usize = 64;
/// UDP packets before the handshakes, which both switches drop: Open vSwitch takes packets from a new port before its tables know the port.
const LEADER: usize = 20_000;
/// The device and the port that play the handshakes.
const OPENER: &str = "net_pcap9";
const OPENER_PORT: u32 = 20;
/// How long the handshakes of a million connections may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// MiB of huge pages that a million packets take in four captures: Open vSwitch has a pool for each port of a capture, of buffers that grow with the port's number.
const MEMORY: u64 = 5200;

/// The connections of Open vSwitch are tracked as its documentation has it.
fn ovs_flows() -> String {
    format!(
        "table=0,priority=10,tcp,ct_state=-trk,actions=ct(table=1)\n\
         table=1,priority=10,tcp,ct_state=+trk+new,actions=ct(commit),output:{SINK}\n\
         table=1,priority=10,tcp,ct_state=+trk+est,actions=output:{SINK}\n\
         table=1,priority=5,tcp,actions=drop\n"
    )
}

fn okod_flows() -> String {
    format!("priority=100,tcp,filter=tracked,actions=output:{SINK}\npriority=90,tcp,actions=drop\n")
}

/// A packet of a connection, from the inside or back.
fn packet(connection: usize, from_inside: bool, flags: u8, sequence: u32, acknowledgement: u32) -> Frame {
    let mut frame = Frame::of_flow(connection);
    if !from_inside {
        frame.eth = (frame.eth.1, frame.eth.0);
        frame.ip = (frame.ip.1, frame.ip.0);
        frame.ports = (frame.ports.1, frame.ports.0);
    }
    // Servers are outside of the firewall's networks.
    let server = if from_inside { &mut frame.ip.1 } else { &mut frame.ip.0 };
    *server = *server & 0x00ff_ffff | 0xc000_0000;
    frame.transport = Transport::Tcp { flags, sequence, acknowledgement };
    frame
}

/// The packets that open connections: groups of so many SYNs, their answers, and the acknowledgements of those. Where a group is small, its packets are sent
/// again until no burst holds a packet and its answer: Open vSwitch tracks the packets of a burst before it commits their connections.
fn opening(n: usize, connections: usize) -> Frame {
    let group = n / (3 * AT_ONCE);
    let members = AT_ONCE.min(connections - group * AT_ONCE);
    let place = n % (3 * AT_ONCE);
    let step = members.max(LEAST_AT_ONCE);
    let connection = group * AT_ONCE + place % step % members;
    match place / step {
        0 => packet(connection, true, SYN, 1_000, 0),
        1 => packet(connection, false, SYN | ACK, 5_000, 1_001),
        _ => packet(connection, true, ACK, 1_001, 5_001),
    }
}

/// How many packets that is.
fn opening_packets(connections: usize) -> usize {
    let rest = connections % AT_ONCE;
    let last = if rest == 0 { 0 } else { rest.max(LEAST_AT_ONCE) };
    3 * (connections - rest + last)
}

/// An established connection's packet.
fn established(n: usize) -> Frame {
    let connection = n / 2;
    if n.is_multiple_of(2) {
        packet(connection, true, ACK, 1_001, 5_001)
    } else {
        packet(connection, false, ACK, 5_001, 1_001)
    }
}

struct Case {
    connections: usize,
    floor: Cell,
    okod: Cell,
    ovs: [Cell; 3],
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let sizes: &[usize] = if bench.quick { &[1, 10_000] } else { &CONNECTIONS };
    let mut cases = Vec::new();
    for &connections in sizes {
        eprintln!("{connections} connections");
        let mut case =
            Case { connections, floor: Cell::default(), okod: Cell::default(), ovs: Default::default() };
        take(&lab, &mut case)?;
        cases.push(case);
    }
    section(&lab, &cases)
}

fn take(lab: &Lab<'_>, case: &mut Case) -> Result<()> {
    let connections = case.connections;
    let opening_file = Opening::new(lab, connections)?;
    // Of a million connections, every other packet is left out: a million packets fill the memory of the switches.
    let traffic = if connections >= 1_000_000 {
        Traffic::of_flows(lab.folder(), connections, |n| established(2 * n + n % 2))?
    } else {
        Traffic::of_flows(lab.folder(), 2 * connections, established)?
    };
    case.floor.add(lab.floor(&traffic));
    case.okod.add(okod(lab, &opening_file, &traffic));
    ovs::add_rates(ovs(lab, &opening_file, &traffic), &mut case.ovs);
    Ok(())
}

/// The handshakes: a capture that is played once.
struct Opening {
    capture: Traffic,
}

impl Opening {
    fn new(lab: &Lab<'_>, connections: usize) -> Result<Opening> {
        let capture = Traffic::in_one_file(lab.folder(), LEADER + opening_packets(connections), |n| {
            n.checked_sub(LEADER).map_or(Frame::of_flow(0), |n| opening(n, connections))
        })?;
        Ok(Opening { capture })
    }

    fn device(&self) -> String {
        format!("{OPENER},rx_pcap={}", self.capture.files()[0].display())
    }

    /// Waits until all packets of the handshakes have left by the sink.
    fn wait(&self, meter: &Meter) -> Result<()> {
        let (begin, packets) = (Instant::now(), self.capture.packets() as u64);
        let handshakes = packets - LEADER as u64;
        while meter.received(OPENER)? < packets {
            ensure!(begin.elapsed() < PATIENCE, "the handshakes take more than {} s", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
        // The last bursts are on their way.
        let received = Instant::now();
        while meter.sent()? < handshakes && received.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let sent = meter.sent()?;
        ensure!(sent == handshakes, "of {handshakes} packets of handshakes {sent} were let through");
        Ok(())
    }
}

fn okod(lab: &Lab<'_>, opening: &Opening, traffic: &Traffic) -> Result<Samples> {
    let ports = vec![(OPENER_PORT, "opener".to_owned(), opening.device())];
    let options = Options { ports, ..Options::default() };
    let mut okod = Okod::new(lab, traffic, &options)?;
    okod.load(&lab.bench.object("firewall")?, None)?;
    okod.add_flows(&okod_flows())?;
    let meter = okod.meter()?;
    okod.tell(&["port", "up", "opener"])?;
    opening.wait(&meter).context("okod")?;
    okod.tell(&["port", "down", "opener"])?;
    okod.rates()
}

fn ovs<'l>(lab: &'l Lab<'l>, opening: &Opening, traffic: &Traffic) -> Result<Ovs<'l>> {
    let mut ovs = Ovs::new(lab)?;
    ovs.add_flows(&ovs_flows())?;
    let meter = ovs.meter()?;
    ovs.add_port("opener", OPENER_PORT, &opening.device(), 1500)?;
    opening.wait(&meter).context("Open vSwitch")?;
    ovs.delete_port("opener")?;
    ovs.start(traffic)?;
    Ok(ovs)
}

fn section(lab: &Lab<'_>, cases: &[Case]) -> Result<Section> {
    let heads = ["connections", "floor", "okod"].into_iter().chain(Caches::ALL.map(Caches::name));
    let mut grid = Grid::new(0, heads.chain(["okod : best OVS", "cycles, okod", "cycles, best OVS"]));
    let (mut figures, mut missing) = (Vec::new(), Missing::default());
    for case in cases {
        let best = best(&case.ovs);
        let floor = lab.cycles(case.floor.rate());
        let cycles =
            |rate: f64| format!("{} ({})", figure(lab.cycles(rate), 0), figure(lab.cycles(rate) - floor, 0));
        let cells = || [&case.floor, &case.okod].into_iter().chain(&case.ovs);
        let rates = cells().map(|cell| figure(cell.rate() / 1e6, 2));
        let ratios = [ratio(case.okod.rate() / best), cycles(case.okod.rate()), cycles(best)];
        grid.row([case.connections.to_string()].into_iter().chain(rates).chain(ratios));
        let names = ["floor", "okod"].into_iter().chain(Caches::ALL.map(Caches::name));
        for (name, cell) in names.zip(cells()) {
            missing.note(format!("{} connections, {name}", case.connections), cell);
        }
        figures.push(json!({ "connections": case.connections, "floor": case.floor.json(lab), "okod": case.okod.json(lab),
            "ovs": case.ovs.iter().map(|cell| cell.json(lab)).collect::<Vec<_>>() }));
    }
    let mut text = format!(
        "Millions of packets a second of established TCP connections, in both directions, one core. {} `okod` runs examples/firewall.oko; Open vSwitch sends packets through \
         `ct()` and lets established ones pass. Connections were opened by their handshakes before; every packet of those was let through by both. Cycles \
         a packet, in brackets without the floor.\n\n{}",
        lab.memory(),
        grid.text()
    );
    text += &missing.text();
    let ratios = cases.iter().map(|case| case.okod.rate() / best(&case.ovs));
    let targets = vec![Target::at_least("okod : OVS ct(), established connections", 3.0, ratios)];
    let line = |name: &str, rate: &dyn Fn(&Case) -> f64| Line {
        name: name.to_owned(),
        points: cases.iter().map(|case| (case.connections as f64, rate(case) / 1e6)).collect(),
    };
    let mut lines = vec![line("okod, firewall.oko", &|case| case.okod.rate())];
    for (n, caches) in Caches::ALL.into_iter().enumerate() {
        lines.push(line(&format!("{}, ct()", caches.name()), &move |case| case.ovs[n].rate()));
    }
    let panel = Panel { title: "established connections".to_owned(), lines };
    let plots = vec![("conntrack", plot::lines(&[panel], "connections", "Mpps")?)];
    Ok(Section { text, figures: figures.into(), targets, plots })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_opened_in_order() {
        for connections in [1, 7, 1_000, 2_500] {
            let mut steps = std::collections::HashMap::<_, Vec<u8>>::new();
            for n in 0..opening_packets(connections) {
                let frame = opening(n, connections);
                let Transport::Tcp { flags, .. } = frame.transport else { panic!("no TCP") };
                let (a, b) = ((frame.ip.0, frame.ports.0), (frame.ip.1, frame.ports.1));
                steps.entry((a.min(b), a.max(b))).or_default().push(flags);
            }
            assert_eq!(steps.len(), connections);
            for flags in steps.values_mut() {
                flags.dedup();
                assert_eq!(*flags, [SYN, SYN | ACK, ACK]);
            }
        }
    }
}
