//! Tuple-space explosion: packets made against an access list so that each leaves another mask in a cache of megaflows.
//!
//! The list lets three things pass, a source address, a source port and a destination port, and drops the rest. A packet that differs from the address in its
//! bit *i* first and from the ports in bits *j* and *k* makes an un-wildcarding cache keep *i*, *j* and *k* bits: 32 × 16 × 16 masks
//! (Csikor et al., "Tuple Space Explosion", CoNEXT 2019). Every other packet of the capture is such a one; those between belong to one flow that is let
//! through. What counts is how much of that flow still passes, beside what passes while the others are all alike.

use anyhow::Result;
use serde_json::json;

use super::lab::okod::{self, Options};
use super::lab::ovs::{self, Caches};
use super::lab::traffic::{Frame, Traffic};
use super::lab::{Lab, SINK};
use super::stats::{Cell, Missing};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};

/// What the list lets through.
const ADDRESS: u32 = 0x0a00_000a;
const PORTS: (u16, u16) = (12_345, 80);
/// Packets against the list, each different.
const ATTACK: usize = 200_000;
/// MiB of huge pages that the packets take in two captures: Open vSwitch has a pool for each port of a capture, of buffers that grow with the port's number.
const MEMORY: u64 = 2400;

fn flows() -> String {
    let address = std::net::Ipv4Addr::from(ADDRESS);
    format!(
        "priority=40,udp,nw_src={address},actions=output:{SINK}\n\
         priority=30,udp,tp_src={},actions=output:{SINK}\n\
         priority=20,udp,tp_dst={},actions=output:{SINK}\n\
         priority=1,actions=drop\n",
        PORTS.0, PORTS.1
    )
}

/// The flow that is let through.
fn innocent() -> Frame {
    let frame = Frame::of_flow(0);
    Frame { ip: (ADDRESS, frame.ip.1), ports: PORTS, ..frame }
}

/// A packet that no rule lets through, each of another flow.
fn hostile(n: usize) -> Frame {
    let noise = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let frame = Frame::of_flow(0);
    // The first `bit` bits as in the value, the next one not, the others at random.
    let leave = |value: u32, width: u32, bit: u32, noise: u64| {
        let low = (1u64 << (width - 1 - bit)) - 1;
        let other = u64::from(value) ^ (1 << (width - 1 - bit));
        (other & !low | noise & low) as u32
    };
    let (address_bit, source_bit, destination_bit) = (n as u32 % 32, n as u32 / 32 % 16, n as u32 / 512 % 16);
    let address = leave(ADDRESS, 32, address_bit, noise);
    let source = leave(PORTS.0.into(), 16, source_bit, noise >> 32);
    let destination = leave(PORTS.1.into(), 16, destination_bit, noise >> 48);
    Frame {
        // What is not looked at tells packets apart where the other bits are too few.
        ip: (address, 0x0a80_0000 | n as u32),
        ports: (source as u16, destination as u16),
        ..frame
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let count = if bench.quick { ATTACK / 4 } else { ATTACK };
    let of = |hostile: &dyn Fn(usize) -> Frame| {
        Traffic::of_frames(lab.folder(), 2 * count, |n| {
            if n.is_multiple_of(2) { innocent() } else { hostile(n / 2) }
        })
    };
    let peace = of(&|_| hostile(0))?;
    let attack = of(&hostile)?;
    let names = ["okod"].into_iter().chain(Caches::ALL.map(Caches::name));
    let mut cells: [[Cell; 2]; 4] = Default::default();
    lab.learn_frequency(&peace);
    for (at, traffic) in [&peace, &attack].into_iter().enumerate() {
        eprintln!("{}", if at == 0 { "packets alike" } else { "attack" });
        cells[0][at].add(okod::rates_of(&lab, traffic, &Options::default(), &flows()));
        ovs::add_rates(
            ovs::started(&lab, traffic, &flows()),
            cells[1..].iter_mut().map(|cells| &mut cells[at]),
        );
    }
    let mut grid = Grid::new(
        1,
        ["", "innocent flow, others alike", "under attack", "slowed down by", "okod : it, under attack"],
    );
    let (mut figures, mut missing) = (Vec::new(), Missing::default());
    for (name, [peace, attack]) in names.zip(&cells) {
        grid.row([
            name.to_owned(),
            figure(peace.rate() / 1e6, 2),
            figure(attack.rate() / 1e6, 3),
            ratio(peace.rate() / attack.rate()),
            ratio(cells[0][1].rate() / attack.rate()),
        ]);
        for (when, cell) in [("others alike", peace), ("attack", attack)] {
            missing.note(format!("{name}, {when}"), cell);
        }
        figures.push(json!({ "switch": name, "peace": peace.json(&lab), "attack": attack.json(&lab) }));
    }
    let mut text = format!(
        "Millions of packets a second of one flow that is let through; every other packet is one of {count} that the list drops, all alike or all made against \
         it. One core, medians of {} turns. {}\n\n{}",
        lab.pace().turns,
        lab.memory(),
        grid.text()
    );
    text += &missing.text();
    let slowed = cells[0][0].rate() / cells[0][1].rate();
    let targets = vec![Target::at_most("okod slowed down by tuple-space explosion", 2.0, [slowed])];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hostile_packets_pass_nowhere_and_meet_all_combinations_of_bits() {
        let mut bits = HashSet::new();
        for frame in (0..ATTACK).map(hostile) {
            let differs = (frame.ip.0 ^ ADDRESS, frame.ports.0 ^ PORTS.0, frame.ports.1 ^ PORTS.1);
            assert!(differs.0 != 0 && differs.1 != 0 && differs.2 != 0, "{frame:?}");
            bits.insert((differs.0.leading_zeros(), differs.1.leading_zeros(), differs.2.leading_zeros()));
        }
        assert_eq!(bits.len(), 32 * 16 * 16);
    }
}
