//! Masks × flows: `okod` beside Open vSwitch with DPDK in its three configurations, and beside the ports alone.
//!
//! In each round every cell starts its programs anew. Each rule looks at other bits than the next, so there are as many masks as rules; flows differ in what no
//! rule looks at. `okod` has two columns: with these rules alone, and with one more entry of low priority that looks at addresses and ports of one connection
//! that does not come. That entry costs Open vSwitch nothing, since it finds a rule of higher priority first, but
//! the flow cache of `okod` is keyed by all bits that any entry looks at: each flow is a key of its own then.

use anyhow::Result;
use serde_json::json;

use super::lab::masks::Masks;
use super::lab::okod::{self, Options};
use super::lab::ovs::{self, Caches};
use super::lab::traffic::Traffic;
use super::lab::{Lab, SINK};
use super::plot::{self, Line, Panel};
use super::stats::{Cell, Missing, best};
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};

const MASKS: [u32; 4] = [1, 10, 100, 1000];
const FLOWS: [usize; 5] = [1, 1_000, 10_000, 100_000, 1_000_000];
/// Looks at the addresses and ports of a connection that does not come.
const NARROW: &str = "priority=1,udp,nw_src=192.0.2.1,nw_dst=192.0.2.2,tp_src=7,tp_dst=7,actions=drop\n";
/// MiB of huge pages that a million packets take in four captures: Open vSwitch has a pool for each port of a capture, of buffers that grow with the port's number.
const MEMORY: u64 = 5200;

/// One cell of the table.
struct Case {
    masks: u32,
    flows: usize,
    floor: Cell,
    okod: Cell,
    narrow: Cell,
    ovs: [Cell; 3],
}

impl Case {
    /// Of the three configurations of Open vSwitch, that with the highest rate.
    fn best(&self) -> f64 {
        best(&self.ovs)
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lab = Lab::open(bench, MEMORY)?;
    let (masks, flows): (&[u32], &[usize]) =
        if bench.quick { (&[1, 100], &[1, 10_000, 1_000_000]) } else { (&MASKS, &FLOWS) };
    let rounds = bench.rounds(2);
    let mut cases: Vec<Case> = Vec::new();
    for &flows in flows {
        for &masks in masks {
            let nothing = Cell::default;
            let ovs = [nothing(), nothing(), nothing()];
            cases.push(Case { masks, flows, floor: nothing(), okod: nothing(), narrow: nothing(), ovs });
        }
    }
    for round in 1..=rounds {
        for case in &mut cases {
            eprintln!("round {round} of {rounds}: {} masks, {} flows", case.masks, case.flows);
            // The ports do not look at what a packet is: their floor depends on the number of packets alone.
            take(&lab, case, case.masks == masks[0])?;
        }
    }
    for n in 0..cases.len() {
        if n % masks.len() != 0 {
            cases[n].floor = cases[n - 1].floor.clone();
        }
    }
    section(&lab, &cases, rounds)
}

fn take(lab: &Lab<'_>, case: &mut Case, with_floor: bool) -> Result<()> {
    let masks = Masks::new(case.masks);
    let traffic = Traffic::of_flows(lab.folder(), case.flows, |flow| masks.frame(flow))?;
    let flows = masks.flows(SINK);
    if with_floor {
        case.floor.add(lab.floor(&traffic));
    }
    let okod = |flows: &str| okod::rates_of(lab, &traffic, &Options::default(), flows);
    case.okod.add(okod(&flows));
    case.narrow.add(okod(&(flows.clone() + NARROW)));
    ovs::add_rates(ovs::started(lab, &traffic, &flows), &mut case.ovs);
    Ok(())
}

fn section(lab: &Lab<'_>, cases: &[Case], rounds: u32) -> Result<Section> {
    let names = ["floor", "okod", "okod, narrow"].into_iter().chain(Caches::ALL.map(Caches::name));
    let heads = ["masks", "flows"].into_iter().chain(names.clone());
    let mut rates = Grid::new(0, heads.chain(["okod : best OVS", "narrow : best OVS"]));
    let mut cycles = Grid::new(
        0,
        ["masks", "flows", "floor", "okod", "okod, narrow", "best OVS", "okod : megaflows only"],
    );
    let mut figures = Vec::new();
    let mut missing = Missing::default();
    for case in cases {
        let cells = || [&case.floor, &case.okod, &case.narrow].into_iter().chain(&case.ovs);
        let best = case.best();
        let (okod, narrow) = (case.okod.rate(), case.narrow.rate());
        let head = [case.masks.to_string(), case.flows.to_string()];
        let shown = cells().map(|cell| figure(cell.rate() / 1e6, 2));
        rates.row(head.clone().into_iter().chain(shown).chain([ratio(okod / best), ratio(narrow / best)]));
        let floor = lab.cycles(case.floor.rate());
        let without = |rate: f64| {
            let cycles = lab.cycles(rate);
            format!("{} ({})", figure(cycles, 0), figure(cycles - floor, 0))
        };
        cycles.row(head.into_iter().chain([
            figure(floor, 0),
            without(okod),
            without(narrow),
            without(best),
            ratio(okod / case.ovs[2].rate()),
        ]));
        for (name, cell) in names.clone().zip(cells()) {
            missing.note(format!("{} masks, {} flows, {name}", case.masks, case.flows), cell);
        }
        let cells: serde_json::Map<_, _> =
            names.clone().map(str::to_owned).zip(cells().map(|cell| cell.json(lab))).collect();
        figures.push(json!({ "masks": case.masks, "flows": case.flows, "cells": cells,
            "okod_to_best_ovs": okod / best, "narrow_to_best_ovs": narrow / best,
            "okod_to_megaflows_only": okod / case.ovs[2].rate() }));
    }
    let mut text = format!(
        "Millions of packets a second, packets of 60 bytes, one core, medians of {} turns in each of {rounds} rounds. {} `floor`: `dpdk-testpmd` on the \
         same ports. `narrow`: one more entry, which looks at all addresses and ports, so that each flow is a key of the flow cache. A million flows come by four ports, and the floor then has four sinks.\n\n{}Cycles a packet, in brackets without the floor:\n\n{}",
        lab.pace().turns,
        lab.memory(),
        rates.text(),
        cycles.text(),
    );
    text += &missing.text();
    let targets = vec![
        Target::at_least(
            "okod : best OVS, masks × flows",
            1.5,
            cases.iter().map(|case| case.okod.rate() / case.best()),
        ),
        Target::at_least(
            "the same, each flow a key of its own",
            1.5,
            cases.iter().map(|case| case.narrow.rate() / case.best()),
        ),
        Target::at_least(
            "okod : OVS without caches, 100 masks in use",
            10.0,
            cases
                .iter()
                .filter(|case| case.masks == 100 && case.flows >= 100)
                .map(|case| case.okod.rate() / case.ovs[2].rate()),
        ),
    ];
    let plots = vec![("matrix", plots(cases)?)];
    Ok(Section { text, figures: figures.into(), targets, plots })
}

fn plots(cases: &[Case]) -> Result<String> {
    let mut panels = Vec::new();
    for masks in MASKS {
        let line = |name: &str, rate: &dyn Fn(&Case) -> f64| Line {
            name: name.to_owned(),
            points: cases
                .iter()
                .filter(|case| case.masks == masks)
                .map(|case| (case.flows as f64, rate(case) / 1e6))
                .collect(),
        };
        let mut lines =
            vec![line("okod", &|case| case.okod.rate()), line("okod, narrow", &|case| case.narrow.rate())];
        for (n, caches) in Caches::ALL.into_iter().enumerate() {
            lines.push(line(caches.name(), &move |case| case.ovs[n].rate()));
        }
        if lines[0].points.is_empty() {
            continue;
        }
        panels.push(Panel { title: format!("masks: {masks}"), lines });
    }
    plot::lines(&panels, "flows", "Mpps")
}
