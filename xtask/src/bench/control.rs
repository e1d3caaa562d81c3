//! Runs the benchmark of flow-mods, which is a program of its own in `runtime/flow-table/benches/flow_mods.rs`.

use anyhow::{Context, Result};
use serde_json::Value;

use super::program::Program;
use super::table::{Grid, Target, figure};
use super::{Bench, Section};

pub(super) const PROGRAM: Program = Program { package: "oko-flow-table", name: "flow_mods" };

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let lines = PROGRAM.run(bench, &[])?;
    let rows: Vec<Value> = lines
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the benchmark of flow-mods prints no JSON")?;
    let mut grid = Grid::new(1, ["flow-mods", "entries then", "a second", "bytes an entry"]);
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    // How long all additions took together.
    let (mut added, mut seconds) = (0.0, 0.0);
    let mut rates = Vec::new();
    for row in &rows {
        let did = row["did"].as_str().unwrap_or_default();
        let (entries, rate) = (number(row, "entries"), number(row, "per_second"));
        if did == "add" {
            rates.push(rate);
            seconds += (entries - added) / rate;
            added = entries;
        }
        let cells = [did.to_owned(), figure(entries, 0), figure(rate, 0), figure(number(row, "bytes"), 0)];
        grid.row(cells);
    }
    let text = format!(
        "From the bytes of messages to what workers look up in, a snapshot every 1,000; exact 5-tuples, one thread.\n\n{}",
        grid.text()
    );
    let targets = vec![
        Target::at_least("flow-mods a second, all additions together", 100_000.0, vec![added / seconds]),
        Target::at_least("flow-mods a second, each tenth of the additions", 100_000.0, rates),
    ];
    Ok(Section { targets, ..Section::new(text, Value::Array(rows)) })
}
