//! Runs the benchmark of flow-mods, which is a program of its own in `runtime/flow-table/benches/flow_mods.rs`.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::table::{Grid, Target, figure};
use super::{Bench, Section};
use crate::run::{self, cargo, shown};

const BENCH: [&str; 6] = ["bench", "--locked", "-p", "oko-flow-table", "--bench", "flow_mods"];

/// Compiles it.
pub(super) fn build() -> Result<()> {
    run::run(cargo().args(BENCH).arg("--no-run"))
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let mut command = cargo();
    command.args(BENCH).arg("--quiet");
    if bench.quick {
        command.args(["--", "--quick"]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(&command)))?;
    ensure!(output.status.success(), "`{}` failed: {}", shown(&command), output.status);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
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
    for row in &rows {
        let did = row["did"].as_str().unwrap_or_default();
        let (entries, rate) = (number(row, "entries"), number(row, "per_second"));
        if did == "add" {
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
    let target =
        Target::at_least("flow-mods a second, all additions together", 100_000.0, vec![added / seconds]);
    Ok(Section { targets: vec![target], ..Section::new(text, Value::Array(rows)) })
}
