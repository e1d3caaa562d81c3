//! Runs the benchmark of flow-mods, which is a program of its own in `runtime/flow-table/benches/flow_mods.rs`: in the tables alone, and over one connection to a
//! running switch, beside Open vSwitch.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::lab::Lab;
use super::lab::okod::{Okod, Options};
use super::lab::ovs::Ovs;
use super::lab::traffic::{Frame, Traffic};
use super::program::Program;
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};

pub(super) const PROGRAM: Program = Program { package: "oko-flow-table", name: "flow_mods" };
/// MiB of huge pages: Open vSwitch, and packets of `okod`, which are few.
const MEMORY: u64 = 1200;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let tables = rows(bench, None)?;
    let lab = Lab::open(bench, MEMORY)?;
    let okod = {
        let traffic = Traffic::of_flows(lab.folder(), 1, Frame::of_flow)?;
        let okod = Okod::new(&lab, &traffic, &Options::default())?;
        rows(bench, Some(okod.socket())).with_context(|| okod.end())?
    };
    let ovs = Ovs::new(&lab).and_then(|ovs| rows(bench, Some(&ovs.socket())));
    let (ovs, missing) = match ovs {
        Ok(rows) => (rows, String::new()),
        Err(error) => (Vec::new(), format!("\nOpen vSwitch is missing: {error:#}.\n")),
    };

    let columns = ["flow-mods", "entries then", "tables", "bytes an entry", "okod", "OVS", "okod : OVS"];
    let mut grid = Grid::new(1, columns);
    for (i, row) in okod.iter().enumerate() {
        let (of_tables, of_ovs) = (tables.get(i), ovs.get(i));
        let rate = |row: Option<&Value>| row.map_or(f64::NAN, |row| number(row, "per_second"));
        grid.row([
            did(row).to_owned(),
            figure(number(row, "entries"), 0),
            figure(rate(of_tables), 0),
            figure(of_tables.map_or(f64::NAN, |row| number(row, "bytes")), 0),
            figure(rate(Some(row)), 0),
            figure(rate(of_ovs), 0),
            ratio(rate(Some(row)) / rate(of_ovs)),
        ]);
    }
    let echo = |rows: &[Value]| rows.last().map_or(f64::NAN, |row| number(row, "echo_ms"));
    let text = format!(
        "Flow-mods a second; exact 5-tuples. `tables`: from the bytes of messages to what workers look up in, a snapshot every 1,000, on one thread, without a switch. \
         `okod`, `OVS`: over one connection to the switch's Unix socket, with a worker that holds snapshots, until the barrier behind them is answered.\n\n{}\n\
         While one message deletes what is left, another connection waits {} ms for an echo from okod, {} ms from Open vSwitch.\n{missing}",
        grid.text(),
        figure(echo(&okod), 1),
        figure(echo(&ovs), 1),
    );
    let targets = vec![
        Target::at_least(
            "flow-mods a second over one connection, all additions",
            BOUND,
            vec![additions(&okod)],
        ),
        Target::at_least("flow-mods a second over one connection, each tenth", BOUND, rates(&okod)),
        Target::at_least("flow-mods a second in the tables, each tenth", BOUND, rates(&tables)),
    ];
    Ok(Section { targets, ..Section::new(text, json!({ "tables": tables, "okod": okod, "ovs": ovs })) })
}

const BOUND: f64 = 100_000.0;

/// What the program prints.
fn rows(bench: &Bench, socket: Option<&Path>) -> Result<Vec<Value>> {
    let words: Vec<&OsStr> =
        socket.into_iter().flat_map(|socket| [OsStr::new("--socket"), socket.as_os_str()]).collect();
    let lines = PROGRAM.run(bench, &words)?;
    let rows = lines.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str);
    rows.collect::<Result<_, _>>().context("the benchmark of flow-mods prints no JSON")
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or(f64::NAN)
}

fn did(row: &Value) -> &str {
    row["did"].as_str().unwrap_or_default()
}

/// The rates of the additions.
fn rates(rows: &[Value]) -> Vec<f64> {
    rows.iter().filter(|row| did(row) == "add").map(|row| number(row, "per_second")).collect()
}

/// The rate of all additions together, which are in equal parts.
fn additions(rows: &[Value]) -> f64 {
    let rates = rates(rows);
    rates.len() as f64 / rates.iter().map(|rate| rate.recip()).sum::<f64>()
}
