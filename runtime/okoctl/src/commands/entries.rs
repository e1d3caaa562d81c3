//! Entries of states and tables: what `okoctl state` and `okoctl table` have in common.
//!
//! Keys and values are written part by part with commas between, `10.0.0.1,80`; a part may be named, `src=10.0.0.1,port=80`. Their
//! types are in the filter's schema.

use oko_artifact::{Container, NamedType, StateSchema};
use oko_openflow::oko::{StateEntry, Store};
use okoctl::{Client, Entries, Place};
use serde_json::{Map, Value, json};

use super::schema;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::typed::{Shown, bytes, duration, parse_scalars, show_parts};

/// What a state or table of the filter is, by its schema.
pub(super) fn is_of(store: Store, state: &StateSchema) -> bool {
    matches!(state.container, Container::Table | Container::PrefixTable) == (store == Store::Table)
}

/// The states or tables of a filter and how full they are.
pub(super) fn list(client: &mut Client, store: Store, filter: &str) -> Result<Output, Failure> {
    let all = client.states(filter)?;
    let wanted: Vec<_> = all.iter().filter(|info| info.store == store).collect();
    let rows: Vec<Vec<String>> = wanted
        .iter()
        .map(|info| {
            vec![
                info.name.clone(),
                info.entries.to_string(),
                info.capacity.to_string(),
                info.evicted.to_string(),
                info.refused.to_string(),
                bytes(info.bytes),
            ]
        })
        .collect();
    let text = if rows.is_empty() {
        format!("filter {filter} has no {}", store.noun())
    } else {
        let header = [store.noun(), "entries", "capacity", "evicted", "refused", "memory"];
        table(&header, &[1, 2, 3, 4], &rows)
    };
    let json = wanted
        .iter()
        .map(|info| {
            json!({
                "name": info.name,
                "entries": info.entries,
                "capacity": info.capacity,
                "evicted": info.evicted,
                "refused": info.refused,
                "bytes": info.bytes,
            })
        })
        .collect();
    Ok(Output { text, json })
}

/// All entries of one or of all, the most recently written first.
pub(super) fn dump(
    client: &mut Client,
    store: Store,
    filter: &str,
    name: Option<&str>,
) -> Result<Output, Failure> {
    let wanted: Vec<StateSchema> = match name {
        Some(name) => vec![find(client, store, filter, name)?],
        None => schema(client, filter)?
            .states
            .into_iter()
            .filter(|state| !state.hidden && is_of(store, state))
            .collect(),
    };
    let mut texts = Vec::new();
    let mut states = Map::new();
    for state in &wanted {
        let mut read = client.entries(&Place { store, filter, name: &state.name })?;
        read.entries.sort_by_key(|entry| entry.age);
        texts.push(text(state, &read));
        states.insert(state.name.clone(), all_json(state, &read));
    }
    let text = if texts.is_empty() {
        format!("filter {filter} has no {}", store.noun())
    } else {
        texts.join("\n\n")
    };
    Ok(Output { text, json: Value::Object(states) })
}

/// The entry under a key.
pub(super) fn get(client: &mut Client, place: &Place<'_>, key: &str) -> Result<Output, Failure> {
    let state = find(client, place.store, place.filter, place.name)?;
    let found = client.entries_at(place, vec![scalars("key", &state.key, key, 0)?])?;
    match found.entries.first() {
        Some(entry) => Ok(Output { text: text(&state, &found), json: entry_json(&state, entry, found.now) }),
        None => Err(no_entry(place, key)),
    }
}

/// Writes an entry: a key, a value, or both, as the schema has them.
pub(super) fn set(
    client: &mut Client,
    place: &Place<'_>,
    words: &[String],
    expire: Option<&str>,
) -> Result<Output, Failure> {
    let state = find(client, place.store, place.filter, place.name)?;
    let keyed = state.container != Container::Single;
    let expected = usize::from(keyed) + usize::from(!state.value.is_empty());
    if words.len() != expected {
        let noun = place.store.noun();
        let parts =
            |types: &[NamedType]| types.iter().map(|part| part.name.clone()).collect::<Vec<_>>().join(",");
        let wanted = match (keyed, state.value.is_empty()) {
            (true, true) => format!("a key ({})", parts(&state.key)),
            (true, false) => format!("a key ({}) and a value ({})", parts(&state.key), parts(&state.value)),
            (false, _) => format!("a value ({})", parts(&state.value)),
        };
        return Err(Failure::BadEntry {
            what: format!("{noun} {}", place.name),
            found: words.join(" "),
            expected: wanted.replace(" ()", ""),
        });
    }
    let (key, value) = words.split_at(usize::from(keyed));
    // Cells that depend on time begin with the switch's.
    let now = client.entries_at(place, Vec::new())?.now;
    let key = match key.first() {
        Some(key) => scalars("key", &state.key, key, now)?,
        None => vec![0],
    };
    let value = match value.first() {
        Some(value) => scalars("value", &state.value, value, now)?,
        None => Vec::new(),
    };
    let expires_in = expires_in(place, &state, expire)?;
    let entry = StateEntry { age: 0, expires_in, key, value };
    let refused = client.write_entries(place, vec![entry.clone()])?;
    if refused > 0 {
        let what = format!("{} {}", place.store.noun(), place.name);
        return Err(Failure::Full { what, capacity: state.capacity });
    }
    let written = Entries { now, entries: vec![entry] };
    Ok(Output { text: text_of(&state, &written), json: entry_json(&state, &written.entries[0], now) })
}

/// When a new entry expires: as declared, unless it is said.
fn expires_in(place: &Place<'_>, state: &StateSchema, expire: Option<&str>) -> Result<Option<u64>, Failure> {
    if place.store == Store::Table {
        return Ok(None);
    }
    match expire {
        Some("never") => Ok(None),
        Some(text) => {
            let bad = |expected| Failure::BadEntry {
                what: "--expire".to_owned(),
                found: text.to_owned(),
                expected,
            };
            crate::typed::parse(&oko_artifact::ScalarType::Duration, text)
                .map(Some)
                .map_err(|expected| bad(format!("never, or {expected}")))
        }
        None => Ok(state.expire),
    }
}

/// Deletes the entries under keys.
pub(super) fn delete(client: &mut Client, place: &Place<'_>, keys: &[String]) -> Result<Output, Failure> {
    let state = find(client, place.store, place.filter, place.name)?;
    if matches!(state.container, Container::Array | Container::Single) {
        return Err(Failure::Stays { state: place.name.to_owned() });
    }
    let scalars = keys.iter().map(|key| scalars("key", &state.key, key, 0)).collect::<Result<Vec<_>, _>>()?;
    let deleted = client.delete_entries(place, scalars)?;
    if let (0, [key]) = (deleted, keys) {
        return Err(no_entry(place, key));
    }
    let text = format!("{} deleted", count_entries(deleted as usize));
    Ok(Output { text, json: json!({ "deleted": deleted }) })
}

/// Deletes all entries.
pub(super) fn clear(client: &mut Client, place: &Place<'_>) -> Result<Output, Failure> {
    client.clear(place)?;
    let text = format!("{} {} is empty", place.store.noun(), place.name);
    Ok(Output { text, json: json!({ "cleared": place.name }) })
}

fn find(client: &mut Client, store: Store, filter: &str, name: &str) -> Result<StateSchema, Failure> {
    let schema = schema(client, filter)?;
    let mut known = Vec::new();
    for state in schema.states.into_iter().filter(|state| is_of(store, state)) {
        if state.name == name {
            return Ok(state);
        }
        if !state.hidden {
            known.push(state.name);
        }
    }
    Err(Failure::NoState { filter: filter.to_owned(), noun: store.noun(), state: name.to_owned(), known })
}

fn no_entry(place: &Place<'_>, key: &str) -> Failure {
    Failure::NoEntry { what: format!("{} {}", place.store.noun(), place.name), key: key.to_owned() }
}

/// The scalars of a key or value.
fn scalars(what: &str, types: &[NamedType], text: &str, now: u64) -> Result<Vec<u64>, Failure> {
    let bad = |found: &str, expected: String| Failure::BadEntry {
        what: what.to_owned(),
        found: found.to_owned(),
        expected,
    };
    let words: Vec<&str> = text.split(',').collect();
    if words.len() != types.len() {
        let names: Vec<&str> = types.iter().map(|part| part.name.as_str()).collect();
        let expected = match types.len() {
            1 => "one part".to_owned(),
            n => format!("{n} parts with commas between: {}", names.join(",")),
        };
        return Err(bad(text, expected));
    }
    let mut out = Vec::new();
    for (part, word) in types.iter().zip(words) {
        let word = match word.split_once('=') {
            Some((name, value)) if name == part.name => value,
            Some((name, _)) if part.name.is_empty() => {
                return Err(bad(word, format!("a value without the name `{name}`")));
            }
            Some((name, _)) => return Err(bad(name, format!("`{}`", part.name))),
            None => word,
        };
        let label = if part.name.is_empty() { what.to_owned() } else { format!("{what} part {}", part.name) };
        let wrong = |expected| Failure::BadEntry { what: label, found: word.to_owned(), expected };
        out.extend(parse_scalars(&part.ty, word, now).map_err(wrong)?);
    }
    Ok(out)
}

fn count_entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

fn text(state: &StateSchema, read: &Entries) -> String {
    let title =
        format!("{}: {} of at most {}", state.name, count_entries(read.entries.len()), state.capacity);
    if read.entries.is_empty() { title } else { format!("{title}\n{}", text_of(state, read)) }
}

/// Entries as a table.
fn text_of(state: &StateSchema, read: &Entries) -> String {
    let Some(first) = read.entries.first() else { return String::new() };
    let is_table = is_of(Store::Table, state);
    let mut header: Vec<String> = shown(state, first, read.now).into_iter().map(|(name, _)| name).collect();
    let right: Vec<usize> = shown(state, first, read.now)
        .iter()
        .enumerate()
        .filter(|(_, (_, value))| value.json.is_number())
        .map(|(index, _)| index)
        .collect();
    if !is_table {
        header.extend(["age".to_owned(), "expires in".to_owned()]);
    }
    let rows: Vec<Vec<String>> = read
        .entries
        .iter()
        .map(|entry| {
            let mut row: Vec<String> =
                shown(state, entry, read.now).into_iter().map(|(_, value)| value.text).collect();
            if !is_table {
                row.push(duration(entry.age));
                row.push(entry.expires_in.map_or_else(|| "never".to_owned(), duration));
            }
            row
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(&header, &right, &rows)
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

/// A key, value or event: an object by the names of its parts, or the value itself where there is one part without a name.
pub(super) fn parts_json(types: &[NamedType], scalars: &[u64], now: u64) -> Value {
    let mut parts = show_parts(types, "value", scalars, now);
    match (types, parts.len()) {
        ([only], 1) if only.name.is_empty() => parts.remove(0).1.json,
        _ => Value::Object(parts.into_iter().map(|(name, value)| (name, value.json)).collect()),
    }
}

fn all_json(state: &StateSchema, read: &Entries) -> Value {
    read.entries.iter().map(|entry| entry_json(state, entry, read.now)).collect()
}

fn entry_json(state: &StateSchema, entry: &StateEntry, now: u64) -> Value {
    let (key, value) = (parts_json(&state.key, &entry.key, now), parts_json(&state.value, &entry.value, now));
    if is_of(Store::Table, state) {
        return json!({ "key": key, "value": value });
    }
    json!({ "key": key, "value": value, "age_ns": entry.age, "expires_in_ns": entry.expires_in })
}
