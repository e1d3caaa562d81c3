//! What the control plane sees of states: how full they are, and their entries.

use std::collections::BTreeMap;

use oko_artifact::StateSchema;
use oko_ir::interp::{EntryDump, StateDump};
use oko_ir::{Merge, StateDecl, StateKind};
use oko_state::{EntryCopy, Header, Map};

use super::scalars::{entry_bytes, key_scalars, shape, times, value_scalars};

/// A state and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateInfo {
    /// Its name.
    pub name: String,
    /// How many entries it can hold; in each copy, if each worker has one.
    pub capacity: u32,
    /// How many it holds, expired ones that were not given away yet among them. Of copies, the greatest.
    pub len: u32,
    /// How many keys got no entry for want of room.
    pub refused: u64,
    /// How many live entries made room for others.
    pub evicted: u64,
    /// What it takes in memory, in bytes.
    pub bytes: u64,
}

/// The entries of a state, each as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSnapshot {
    /// The state.
    pub info: StateInfo,
    /// How its keys and values look to a person; none in objects that `okoc` did not make.
    pub schema: Option<StateSchema>,
    /// Live entries, in no order.
    pub entries: Vec<StateEntry>,
}

/// A copy of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The bytes of its key.
    pub raw_key: Box<[u8]>,
    /// The bytes of its value, header included. Where the cores have values of their own that nobody says how to put together, those of all copies,
    /// one after the other, zeroes for copies that have none.
    pub raw_value: Box<[u8]>,
    /// The scalars of its key in the IR's order; of a table's key, behind them how many of its bits count. Empty without IR.
    pub key: Vec<u64>,
    /// The scalars of its value in the IR's order; empty without IR.
    pub fields: Vec<u64>,
    /// When it expires, nanoseconds; `u64::MAX` for never and for values without header.
    pub expires_at: u64,
    /// When it was written last, nanoseconds; 0 for values without header.
    pub written_at: u64,
}

pub(super) fn info(name: &str, map: &Map) -> StateInfo {
    StateInfo {
        name: name.to_owned(),
        capacity: map.shape().capacity,
        len: map.copies().iter().map(Map::len).max().unwrap_or(0),
        refused: map.refused(),
        evicted: map.evicted(),
        bytes: map.footprint(),
    }
}

/// The live entries of a map, taken apart as its declaration says.
pub(super) fn entries(map: &Map, decl: Option<&StateDecl>, now: u64) -> Vec<StateEntry> {
    let of_copy = |copy: &Map| {
        let entries = copy.snapshot().into_iter().map(|entry| taken_apart(entry, map.shape().header, decl));
        // Words that are zero are as good as none.
        entries.filter(|entry| is_live(entry, now, decl)).collect::<Vec<_>>()
    };
    together(map.copies().iter().map(of_copy), decl, map)
}

/// The entry of a map under a key, if it is live.
pub(super) fn entry(map: &Map, decl: Option<&StateDecl>, key: &[u8], now: u64) -> Option<StateEntry> {
    let of_copy = |copy: &Map| {
        let value = copy.read(key)?;
        let entry = taken_apart(EntryCopy { key: key.into(), value }, map.shape().header, decl);
        is_live(&entry, now, None).then_some(entry)
    };
    together(map.copies().iter().map(|copy| of_copy(copy).into_iter().collect()), decl, map).pop()
}

pub(super) fn is_live(entry: &StateEntry, now: u64, decl: Option<&StateDecl>) -> bool {
    let empty = decl.is_some_and(|decl| decl.kind == StateKind::Words) && entry.fields == [0];
    entry.expires_at > now && !empty
}

pub(super) fn taken_apart(copy: EntryCopy, header: Header, decl: Option<&StateDecl>) -> StateEntry {
    let EntryCopy { key: raw_key, value: raw_value } = copy;
    let (expires_at, written_at) = match header {
        Header::Oko => times(&raw_value),
        Header::Plain { .. } => (u64::MAX, 0),
    };
    let (key, fields) = decl
        .map_or_else(Default::default, |decl| (key_scalars(decl, &raw_key), value_scalars(decl, &raw_value)));
    StateEntry { raw_key, raw_value, key, fields, expires_at, written_at }
}

/// Puts the entries of copies together, one for each key.
fn together(
    copies: impl ExactSizeIterator<Item = Vec<StateEntry>>,
    decl: Option<&StateDecl>,
    map: &Map,
) -> Vec<StateEntry> {
    let count = copies.len();
    let mut copies = copies.enumerate();
    if count == 1 {
        return copies.next().map_or_else(Vec::new, |(_, entries)| entries);
    }
    let size = map.shape().value_size as usize;
    let mut all: BTreeMap<Box<[u8]>, StateEntry> = BTreeMap::new();
    for (number, entries) in copies {
        for mut entry in entries {
            let Some(decl) = decl else {
                // Nobody has said what the copies make together.
                let all = all.entry(entry.raw_key.clone()).or_insert_with(|| StateEntry {
                    raw_value: vec![0; size * count].into_boxed_slice(),
                    ..entry.clone()
                });
                all.raw_value[number * size..][..size].copy_from_slice(&entry.raw_value);
                continue;
            };
            match all.get_mut(&entry.raw_key) {
                Some(before) => merge(before, &mut entry, decl),
                None => drop(all.insert(entry.raw_key.clone(), entry)),
            }
        }
    }
    all.into_values().collect()
}

/// Makes the first entry what both are together, as declared.
fn merge(into: &mut StateEntry, other: &mut StateEntry, decl: &StateDecl) {
    let by = decl.per_core.unwrap_or(Merge::Latest);
    if by == Merge::Latest {
        if other.written_at > into.written_at {
            std::mem::swap(into, other);
        }
        return;
    }
    for ((a, &b), limit) in into.fields.iter_mut().zip(&other.fields).zip(decl.scalar_limits()) {
        *a = by.of(*a, b) & limit;
    }
    into.expires_at = into.expires_at.max(other.expires_at);
    into.written_at = into.written_at.max(other.written_at);
    into.raw_value = entry_bytes(decl, &into.fields, into.expires_at, into.written_at).into();
}

/// How full a state of the interpreter of the IR is, as if it were in a map.
pub(crate) fn dump_info(dump: &StateDump, decl: &StateDecl) -> StateInfo {
    StateInfo {
        name: decl.name.clone(),
        capacity: decl.capacity,
        len: dump.entries.len() as u32,
        refused: dump.refused,
        evicted: dump.evicted,
        bytes: shape(decl).footprint(),
    }
}

/// What the interpreter of the IR holds of a state, as if it were in a map.
pub(crate) fn from_dump(
    dump: StateDump,
    decl: &StateDecl,
    schema: Option<&StateSchema>,
    now: u64,
) -> StateSnapshot {
    let info = dump_info(&dump, decl);
    let entries = dump.live(now).entries.into_iter().map(|entry| dumped_entry(entry, decl)).collect();
    StateSnapshot { info, schema: schema.cloned(), entries }
}

fn dumped_entry(entry: EntryDump, decl: &StateDecl) -> StateEntry {
    let EntryDump { key, fields, expires, written } = entry;
    let raw_key = match (decl.kind, key.split_last()) {
        (StateKind::Table(_), Some((&bits, parts))) => {
            let key = oko_ir::interp::TableKey { parts: parts.to_vec(), bits: bits as u32 };
            super::scalars::table_key_bytes(decl, &key)
        }
        _ => super::scalars::key_bytes(decl, &key),
    };
    StateEntry {
        // What the interpreter holds fits its declaration.
        raw_key: raw_key.unwrap_or_default().into_boxed_slice(),
        raw_value: entry_bytes(decl, &fields, expires, written).into(),
        key,
        fields,
        expires_at: expires,
        written_at: written,
    }
}
