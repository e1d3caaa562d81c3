//! Where and when: figures mean nothing without.

use std::fmt;
use std::process::Command;

use serde_json::{Value, json};

use crate::run::root;

/// What a report says about its circumstances, in order.
pub(super) struct Facts(Vec<(&'static str, String)>);

pub(super) fn facts(quick: bool) -> Facts {
    let load = read("/proc/loadavg");
    let busy =
        load.split(' ').next().and_then(|load| load.parse::<f64>().ok()).is_some_and(|load| load > 0.7);
    let mut facts = vec![
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("CPU", cpu()),
        ("memory", memory()),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("load before", load),
        ("commit", commit()),
        ("rustc", output("rustc", &["--version"])),
        ("clang", output("clang", &["--version"])),
        ("DPDK", output("pkg-config", &["--modversion", "libdpdk"])),
    ];
    if busy {
        facts.push((
            "note",
            "the machine was not idle: trust ratios more than figures, and both little".to_owned(),
        ));
    }
    if quick {
        facts.push(("note", "--quick: few repetitions; shows that it works, not how fast it is".to_owned()));
    }
    Facts(facts)
}

impl Facts {
    /// Where and when, and what to know, in one line.
    pub(super) fn line(&self) -> String {
        let values = |name: &'static str| {
            self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_str())
        };
        let facts = ["date", "CPU", "kernel", "commit"].into_iter().flat_map(values);
        let line = facts.collect::<Vec<_>>().join(" · ");
        values("note").fold(line, |line, note| format!("{line}. {note}"))
    }

    pub(super) fn json(&self) -> Value {
        let mut object = serde_json::Map::new();
        for (name, value) in &self.0 {
            // There may be several notes.
            let entry = object.entry(*name).or_insert_with(|| json!(""));
            let before = entry.as_str().unwrap_or_default();
            *entry = if before.is_empty() { json!(value) } else { json!(format!("{before}; {value}")) };
        }
        Value::Object(object)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name:<12} {value}")?;
        }
        Ok(())
    }
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} × {count}", model.map_or("unknown", |(_, model)| model.trim()))
}

fn memory() -> String {
    let info = read("/proc/meminfo");
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.unwrap_or("unknown").trim().to_owned()
}

fn commit() -> String {
    let hash = output("git", &["rev-parse", "--short", "HEAD"]);
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { hash } else { format!("{hash}, with changes") }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

/// The first line that a program prints; nothing if it is not there.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
