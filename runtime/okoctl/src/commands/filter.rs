//! `okoctl filter`.

use std::fs;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use oko_openflow::oko::{Abi, Fate, FilterInfo, Replaced};
use okoctl::{Address, Client};
use serde_json::{Value, json};

use super::count;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::typed::{bytes, duration};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load the filters of an artifact.
    Load {
        /// The artifact that `okoc build` made, or another BPF object.
        file: PathBuf,
        /// Load it under this name instead of its own; for artifacts with one filter.
        #[arg(long)]
        name: Option<String>,
        /// What its programs were written for.
        #[arg(long, value_enum, default_value_t = AbiName::Linux)]
        abi: AbiName,
    },
    /// Replace the artifact that a filter came from by another version, keeping the state that fits.
    Replace {
        /// The filter; all filters of its artifact are replaced together.
        name: String,
        /// The new artifact.
        file: PathBuf,
        /// What its programs were written for.
        #[arg(long, value_enum, default_value_t = AbiName::Linux)]
        abi: AbiName,
    },
    /// List the loaded filters and what they answered.
    List,
    /// Unload a filter that no flow names.
    Unload {
        /// The filter.
        name: String,
    },
}

/// What programs of an object were written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AbiName {
    /// Linux: XDP programs, and what `okoc` makes.
    Linux,
    /// The first Oko: `entry(packet, length)`.
    Original,
}

impl AbiName {
    fn abi(self) -> Abi {
        match self {
            AbiName::Linux => Abi::Linux,
            AbiName::Original => Abi::Original,
        }
    }
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    match command {
        Command::Load { file, name, abi } => {
            let artifact = fs::read(&file).map_err(|reason| Failure::Read { path: file, reason })?;
            let filters =
                Client::connect(address)?.load_filter(&name.unwrap_or_default(), abi.abi(), artifact)?;
            let lines = filters.iter().map(|filter| {
                format!("loaded {} (id {}, {} of state)", filter.name, filter.id, bytes(filter.state_bytes))
            });
            Ok(Output { text: lines.collect::<Vec<_>>().join("\n"), json: all_json(&filters) })
        }
        Command::Replace { name, file, abi } => {
            let artifact = fs::read(&file).map_err(|reason| Failure::Read { path: file, reason })?;
            let all = Client::connect(address)?.replace_filter(&name, abi.abi(), artifact)?;
            let lines = std::iter::once(format!("replaced {name}")).chain(all.iter().map(became));
            let json =
                all.iter().map(|one| json!({ "name": one.name, "fate": fate(one.fate), "why": one.why }));
            Ok(Output {
                text: lines.collect::<Vec<_>>().join("\n"),
                json: json!({ "replaced": name, "fates": json.collect::<Vec<_>>() }),
            })
        }
        Command::List => {
            let filters = Client::connect(address)?.filters()?;
            let text = if filters.is_empty() { "no filter is loaded".to_owned() } else { list(&filters) };
            Ok(Output { text, json: all_json(&filters) })
        }
        Command::Unload { name } => {
            Client::connect(address)?.unload_filter(&name)?;
            Ok(Output { text: format!("unloaded {name}"), json: json!({ "unloaded": name }) })
        }
    }
}

fn became(one: &Replaced) -> String {
    let Replaced { fate, name, why } = one;
    match fate {
        Fate::StateKept if why.is_empty() => format!("  state {name} goes on"),
        Fate::StateKept => format!("  state {name} goes on: {why}"),
        Fate::StateNew => format!("  state {name} is new"),
        Fate::StateReset => format!("  state {name} starts empty: {why}"),
        Fate::StateGone => format!("  state {name} is gone: the new version has none of its name"),
        Fate::ParamKept => format!("  param {name} keeps its value"),
        Fate::ParamReset => format!("  param {name} is not kept: {why}"),
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::StateKept => "state_kept",
        Fate::StateNew => "state_new",
        Fate::StateReset => "state_reset",
        Fate::StateGone => "state_gone",
        Fate::ParamKept => "param_kept",
        Fate::ParamReset => "param_reset",
    }
}

fn list(filters: &[FilterInfo]) -> String {
    let rows: Vec<Vec<String>> = filters
        .iter()
        .map(|filter| {
            let answers: Vec<String> =
                filter.classes.iter().map(|class| format!("{} {}", class.name, class.packets)).collect();
            vec![
                filter.id.to_string(),
                filter.name.clone(),
                filter.packets.to_string(),
                answers.join(", "),
                count(filter.flows as usize, "flow"),
                bytes(filter.state_bytes),
                format!("{} ago", duration(filter.age)),
            ]
        })
        .collect();
    table(&["id", "name", "packets", "answers", "used by", "state", "loaded"], &[0, 2], &rows)
}

fn all_json(filters: &[FilterInfo]) -> Value {
    Value::Array(filters.iter().map(one_json).collect())
}

fn one_json(filter: &FilterInfo) -> Value {
    let classes: Vec<Value> = filter
        .classes
        .iter()
        .map(|class| json!({ "name": class.name, "number": class.number, "packets": class.packets }))
        .collect();
    json!({
        "id": filter.id.0,
        "name": filter.name,
        "boolean": filter.boolean,
        "packets": filter.packets,
        "classes": classes,
        "flows": filter.flows,
        "state_bytes": filter.state_bytes,
        "age_ns": filter.age,
    })
}
