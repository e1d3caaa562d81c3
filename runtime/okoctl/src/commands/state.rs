//! `okoctl state`.

use clap::Subcommand;
use oko_artifact::{NamedType, StateSchema};
use oko_openflow::oko::StateEntry;
use okoctl::{Address, Client};
use serde_json::{Map, Value, json};

use super::schema;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::typed::{Shown, duration, show_parts};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the live entries of a filter's states, the most recently written first.
    Dump {
        /// The filter.
        filter: String,
        /// The state; without it, all.
        state: Option<String>,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    let Command::Dump { filter, state } = command;
    let mut client = Client::connect(address)?;
    let schema = schema(&mut client, &filter)?;
    let wanted: Vec<&StateSchema> =
        schema.states.iter().filter(|known| state.as_ref().is_none_or(|name| *name == known.name)).collect();
    if let (Some(state), []) = (state, wanted.as_slice()) {
        let known = schema.states.iter().map(|state| state.name.clone()).collect();
        return Err(Failure::NoState { filter, state, known });
    }
    let mut texts = Vec::new();
    let mut states = Map::new();
    for state in wanted {
        let (now, mut entries) = client.state(&filter, &state.name)?;
        entries.sort_by_key(|entry| entry.age);
        texts.push(text(state, &entries, now));
        states
            .insert(state.name.clone(), entries.iter().map(|entry| entry_json(state, entry, now)).collect());
    }
    let text = if texts.is_empty() { format!("filter {filter} has no state") } else { texts.join("\n\n") };
    Ok(Output { text, json: Value::Object(states) })
}

fn text(state: &StateSchema, entries: &[StateEntry], now: u64) -> String {
    let plural = if entries.len() == 1 { "entry" } else { "entries" };
    let title = format!("{}: {} {plural} of at most {}", state.name, entries.len(), state.capacity);
    let Some(first) = entries.first() else { return title };
    let mut header: Vec<String> = shown(state, first, now).into_iter().map(|(name, _)| name).collect();
    let right: Vec<usize> = shown(state, first, now)
        .iter()
        .enumerate()
        .filter(|(_, (_, value))| value.json.is_number())
        .map(|(index, _)| index)
        .collect();
    header.extend(["age".to_owned(), "expires in".to_owned()]);
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let mut row: Vec<String> =
                shown(state, entry, now).into_iter().map(|(_, value)| value.text).collect();
            row.push(duration(entry.age));
            row.push(entry.expires_in.map_or_else(|| "never".to_owned(), duration));
            row
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    format!("{title}\n{}", table(&header, &right, &rows))
}

/// The parts of the key, then those of the value. Parts of a tuple, which have only numbers, are `key.0` and so on.
fn shown(state: &StateSchema, entry: &StateEntry, now: u64) -> Vec<(String, Shown)> {
    let named = |alone: &str, parts: Vec<(String, Shown)>| -> Vec<(String, Shown)> {
        let name = |name: String| {
            if name.starts_with(|c: char| c.is_ascii_digit()) { format!("{alone}.{name}") } else { name }
        };
        parts.into_iter().map(|(part, value)| (name(part), value)).collect()
    };
    let mut out = named("key", show_parts(&state.key, "key", &entry.key, now));
    out.extend(named("value", show_parts(&state.value, "value", &entry.value, now)));
    out
}

/// A key or value: an object by the names of its parts, or the value itself where there is one part without a name.
fn parts_json(types: &[NamedType], scalars: &[u64], now: u64) -> Value {
    let mut parts = show_parts(types, "value", scalars, now);
    match (types, parts.len()) {
        ([only], 1) if only.name.is_empty() => parts.remove(0).1.json,
        _ => Value::Object(parts.into_iter().map(|(name, value)| (name, value.json)).collect()),
    }
}

fn entry_json(state: &StateSchema, entry: &StateEntry, now: u64) -> Value {
    json!({
        "key": parts_json(&state.key, &entry.key, now),
        "value": parts_json(&state.value, &entry.value, now),
        "age_ns": entry.age,
        "expires_in_ns": entry.expires_in,
    })
}
