//! Actions: what a packet costs that is changed or measured on its way, beside one that is only sent.

use anyhow::Result;
use serde_json::json;

use super::lab::okod::{Okod, Options};
use super::lab::ovs::{Caches, Ovs};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::{Cell, Missing, Samples};
use super::table::{Grid, figure, ratio};
use super::{Bench, Section};

const FLOWS: usize = 1000;
const MEMORY: u64 = 512;
/// A meter that lets everything pass: kilobits a second.
const METER: &str = "meter=1,kbps,burst,band=type=drop,rate=4000000000,burst_size=4000000000";

/// What is done with each packet before it is sent, as in a flow; the first is nothing. The last stands for the sending, too.
const ACTIONS: [(&str, &str); 9] = [
    ("output alone", ""),
    ("set an Ethernet address", "set_field:02:00:00:00:00:09->eth_dst,"),
    ("set an IPv4 address", "set_field:192.0.2.1->ip_dst,"),
    ("set a UDP port", "set_field:53->udp_dst,"),
    ("address, port and TTL", "set_field:192.0.2.1->ip_dst,set_field:53->udp_dst,dec_ttl,"),
    ("decrement the TTL", "dec_ttl,"),
    ("push a VLAN tag", "push_vlan:0x8100,set_field:0x1005->vlan_vid,"),
    ("meter", "meter:1,"),
    ("learning bridge", BRIDGE),
];
/// A bridge that has heard the station that all packets are for.
const BRIDGE: &str = "NORMAL";

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let traffic = Traffic::of_flows(lab.folder(), FLOWS, Frame::of_flow)?;
    let rounds = bench.rounds(2);
    let mut cells: Vec<[Cell; 2]> = ACTIONS.iter().map(|_| Default::default()).collect();
    lab.learn_frequency(&traffic);
    for round in 1..=rounds {
        for ((name, actions), [ours, theirs]) in ACTIONS.iter().zip(&mut cells) {
            eprintln!("round {round} of {rounds}: {name}");
            let flows = match *actions {
                BRIDGE => String::from("priority=0,actions=NORMAL\n"),
                actions => {
                    format!(
                        "priority=1,udp,actions={actions}output:{SINK}\npriority=0,actions=output:{SINK}\n"
                    )
                }
            };
            ours.add(in_okod(&lab, &traffic, &flows));
            theirs.add(in_ovs(&lab, &traffic, &flows));
        }
    }
    let peer = Caches::Default.name();
    let heads = ["each packet", "okod", "cycles, okod", "ns more", peer, "ns more, OVS", "okod : OVS"];
    let mut grid = Grid::new(1, heads);
    let (mut figures, mut missing) = (Vec::new(), Missing::default());
    let more = |cells: &[Cell; 2], at: usize, rate: f64| figure(1e9 / rate - 1e9 / cells[at].rate(), 1);
    for ((name, _), row) in ACTIONS.iter().zip(&cells) {
        let [ours, theirs] = row;
        grid.row([
            (*name).to_owned(),
            figure(ours.rate() / 1e6, 2),
            figure(lab.cycles(ours.rate()), 0),
            more(&cells[0], 0, ours.rate()),
            figure(theirs.rate() / 1e6, 2),
            more(&cells[0], 1, theirs.rate()),
            ratio(ours.rate() / theirs.rate()),
        ]);
        for (who, cell) in [("okod", ours), (peer, theirs)] {
            missing.note(format!("{name}, {who}"), cell);
        }
        figures.push(json!({ "actions": name, "okod": ours.json(&lab), "ovs": theirs.json(&lab) }));
    }
    let text = format!(
        "Millions of packets a second of 60 bytes, {FLOWS} flows, two rules, one core; medians of {rounds} rounds. {} What is changed is changed in each packet, \
         with the checksums that cover it, and then sent. The meter lets everything pass.\n\n{}{}",
        lab.memory(),
        grid.text(),
        missing.text()
    );
    Ok(Section::new(text, figures.into()))
}

fn in_okod(lab: &Lab<'_>, traffic: &Traffic, flows: &str) -> Result<Samples> {
    let mut okod = Okod::new(lab, traffic, &Options::default())?;
    okod.add_meter(METER)?;
    okod.add_flows(flows)?;
    okod.hear(&reply())?;
    okod.rates()
}

fn in_ovs(lab: &Lab<'_>, traffic: &Traffic, flows: &str) -> Result<Samples> {
    let mut ovs = Ovs::new(lab)?;
    ovs.add_meter(METER)?;
    ovs.add_flows(flows)?;
    ovs.hear(&reply())?;
    ovs.start(traffic)?;
    ovs.rates_now()
}

/// A packet of the station that all packets are for.
fn reply() -> Frame {
    let frame = Frame::of_flow(0);
    Frame { eth: (frame.eth.1, frame.eth.0), ..frame }
}
