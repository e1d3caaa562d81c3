//! `okoctl filter`.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use oko_openflow::oko::FilterInfo;
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
        /// The artifact that `okoc build` made.
        file: PathBuf,
        /// Load it under this name instead of its own; for artifacts with one filter.
        #[arg(long)]
        name: Option<String>,
    },
    /// List the loaded filters and what they answered.
    List,
    /// Unload a filter that no flow names.
    Unload {
        /// The filter.
        name: String,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    match command {
        Command::Load { file, name } => {
            let artifact = fs::read(&file).map_err(|reason| Failure::Read { path: file, reason })?;
            let filters = Client::connect(address)?.load_filter(&name.unwrap_or_default(), artifact)?;
            let lines = filters.iter().map(|filter| {
                format!("loaded {} (id {}, {} of state)", filter.name, filter.id, bytes(filter.state_bytes))
            });
            Ok(Output { text: lines.collect::<Vec<_>>().join("\n"), json: all_json(&filters) })
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
