//! What the control plane sees of an instance's states.

use std::sync::atomic::{AtomicU64, Ordering};

use oko_artifact::StateSchema;
use oko_ir::interp::{EntryDump, StateDump};
use oko_ir::layout::{EXPIRES_OFFSET, Layout, WRITTEN_OFFSET};
use oko_ir::{StateDecl, StateKind, Width};
use oko_state::{EntryCopy, Header, Map, Shape, Update};

use crate::error::{LoadError, StateError};
use crate::instance::Engine;
use crate::params::VariablePlace;

/// A state and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateInfo {
    /// Its name.
    pub name: String,
    /// How many entries it can hold.
    pub capacity: u32,
    /// How many it holds, expired ones that were not given away yet among them.
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
    /// The bytes of its value, header included.
    pub raw_value: Box<[u8]>,
    /// The scalars of its key in the IR's order; empty without IR.
    pub key: Vec<u64>,
    /// The scalars of its value in the IR's order; empty without IR.
    pub fields: Vec<u64>,
    /// When it expires, nanoseconds; `u64::MAX` for never and for values without header.
    pub expires_at: u64,
    /// When it was written last, nanoseconds; 0 for values without header.
    pub written_at: u64,
}

pub(crate) fn info(name: &str, map: &Map) -> StateInfo {
    StateInfo {
        name: name.to_owned(),
        capacity: map.shape().capacity,
        len: map.len(),
        refused: map.refused(),
        evicted: map.evicted(),
        bytes: map.footprint(),
    }
}

/// The live entries of a map, taken apart as its declaration says.
pub(crate) fn entries(map: &Map, decl: Option<&StateDecl>, now: u64) -> Vec<StateEntry> {
    map.snapshot()
        .into_iter()
        .map(|copy| entry(copy, map.shape().header, decl))
        .filter(|entry| entry.expires_at > now)
        .collect()
}

pub(crate) fn entry(copy: EntryCopy, header: Header, decl: Option<&StateDecl>) -> StateEntry {
    let EntryCopy { key: raw_key, value: raw_value } = copy;
    let (expires_at, written_at) = match header {
        Header::Oko => {
            (scalar(&raw_value, EXPIRES_OFFSET, Width::W64), scalar(&raw_value, WRITTEN_OFFSET, Width::W64))
        }
        Header::Plain { .. } => (u64::MAX, 0),
    };
    let (key, fields) = decl.map_or_else(Default::default, |decl| {
        (
            scalars(&raw_key, &decl.key_layout(), decl.key.iter().map(|part| part.width)),
            scalars(&raw_value, &decl.entry_layout(), decl.fields.iter().map(|field| field.width)),
        )
    });
    StateEntry { raw_key, raw_value, key, fields, expires_at, written_at }
}

fn scalars(bytes: &[u8], layout: &Layout, widths: impl Iterator<Item = Width>) -> Vec<u64> {
    layout.offsets.iter().zip(widths).map(|(&offset, width)| scalar(bytes, offset, width)).collect()
}

/// A scalar in host byte order, zero-extended; bytes that are not there count as zero.
fn scalar(bytes: &[u8], offset: u32, width: Width) -> u64 {
    let mut word = [0; 8];
    let start = (offset as usize).min(bytes.len());
    let end = (start + width.bytes() as usize).min(bytes.len());
    word[..end - start].copy_from_slice(&bytes[start..end]);
    u64::from_le_bytes(word)
}

/// A state or map as the artifact declares it.
#[derive(Clone, Debug)]
pub(crate) struct StatePlan {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Its place among the states of the IR, and its declaration there.
    pub(crate) decl: Option<(usize, StateDecl)>,
    /// Its place among the maps of the BPF programs.
    pub(crate) bpf: Option<usize>,
    /// Set if it is a section of variables: its initial content.
    pub(crate) variables: Option<Vec<u8>>,
    /// Whether it is no state of the source: variables, locks.
    pub(crate) hidden: bool,
}

/// The states of an instance.
#[derive(Debug)]
pub(crate) struct States {
    rows: Vec<Row>,
    /// The maps in the order in which the engine numbers them.
    handles: Box<[*const Map]>,
    /// The first value of each of these that is an array.
    values: Box<[*mut u8]>,
    /// Which row each of these is.
    order: Vec<usize>,
}

#[derive(Debug)]
struct Row {
    name: String,
    /// On the heap, so that its address stays.
    map: Box<Map>,
    decl: Option<StateDecl>,
    /// Whether it is no state of the source: variables, locks.
    hidden: bool,
}

// SAFETY: the pointers lead to the maps that the rows own, which are shared between threads, and to values in these.
unsafe impl Send for States {}
// SAFETY: as above.
unsafe impl Sync for States {}

impl States {
    /// Makes the maps that an engine uses.
    pub(crate) fn new(engine: Engine, plans: &[StatePlan], limit: u64) -> Result<States, LoadError> {
        let number = |plan: &StatePlan| match engine {
            Engine::Native => plan.decl.as_ref().map(|(index, _)| *index),
            Engine::BpfJit | Engine::BpfInterp => plan.bpf,
            // It has state of its own.
            Engine::IrInterp => None,
        };
        let bytes = plans.iter().filter(|plan| number(plan).is_some()).map(|plan| plan.shape.footprint());
        let bytes = bytes.fold(0, u64::saturating_add);
        if bytes > limit {
            return Err(LoadError::TooMuchState { bytes, limit });
        }
        let mut rows = Vec::new();
        let mut order = Vec::new();
        for plan in plans {
            let Some(number) = number(plan) else { continue };
            let wrong = |source| LoadError::State { state: plan.name.clone(), source };
            let map = Box::new(Map::new(plan.shape).map_err(wrong)?);
            if let Some(content) = &plan.variables {
                // An array of one value that was sized by its content.
                let _ = map.update(&0_u32.to_ne_bytes(), content, Update::Any, 0);
            }
            order.push((number, rows.len()));
            let decl = plan.decl.as_ref().map(|(_, decl)| decl.clone());
            rows.push(Row { name: plan.name.clone(), map, decl, hidden: plan.hidden });
        }
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
        let map_of = |&row: &usize| &*rows[row].map;
        let handles = order.iter().map(|row| std::ptr::from_ref(map_of(row))).collect();
        let first =
            |row| map_of(row).array_values().map_or(std::ptr::null_mut(), |(first, _)| first.as_ptr());
        let values = order.iter().map(first).collect();
        Ok(States { rows, handles, values, order })
    }

    /// The maps by the engine's numbers.
    pub(crate) fn handles(&self) -> &[*const Map] {
        &self.handles
    }

    /// The first values of arrays by the engine's numbers.
    pub(crate) fn values(&self) -> &[*mut u8] {
        &self.values
    }

    /// The map of a number.
    pub(crate) fn map(&self, number: usize) -> Option<&Map> {
        self.order.get(number).map(|&row| &*self.rows[row].map)
    }

    /// Writes a `u64` variable, if this engine has variables.
    pub(crate) fn set_variable(&self, place: VariablePlace, value: u64) {
        let Some(map) = self.map(place.map).filter(|map| place.offset + 8 <= map.shape().value_size as usize)
        else {
            return;
        };
        if let Some((first, _)) = map.array_values() {
            // SAFETY: the variable lies within the first value of the array, 8-aligned as checked when its place was read; programs
            // read it by loads of up to 8 bytes.
            let cell = unsafe { first.add(place.offset).cast::<AtomicU64>().as_ref() };
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// What all maps take.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.map.footprint()).sum()
    }

    pub(crate) fn infos(&self) -> Vec<StateInfo> {
        self.rows.iter().filter(|row| !row.hidden).map(|row| info(&row.name, &row.map)).collect()
    }

    pub(crate) fn snapshot(
        &self,
        name: &str,
        schema: Option<&StateSchema>,
        now: u64,
    ) -> Result<StateSnapshot, StateError> {
        let row = self.row(name)?;
        Ok(StateSnapshot {
            entries: entries(&row.map, row.decl.as_ref(), now),
            info: info(&row.name, &row.map),
            schema: schema.cloned(),
        })
    }

    pub(crate) fn read(&self, name: &str, key: &[u8], now: u64) -> Result<Option<StateEntry>, StateError> {
        let row = self.keyed(name, key)?;
        let copy = row.map.read(key).map(|value| EntryCopy { key: key.into(), value });
        let entry = copy.map(|copy| entry(copy, row.map.shape().header, row.decl.as_ref()));
        Ok(entry.filter(|entry| entry.expires_at > now))
    }

    pub(crate) fn delete(&self, name: &str, key: &[u8]) -> Result<bool, StateError> {
        Ok(self.keyed(name, key)?.map.delete(key))
    }

    pub(crate) fn clear(&self, name: &str) -> Result<(), StateError> {
        self.row(name)?.map.clear();
        Ok(())
    }

    fn row(&self, name: &str) -> Result<&Row, StateError> {
        let mut rows = self.rows.iter().filter(|row| !row.hidden);
        rows.find(|row| row.name == name).ok_or_else(|| StateError::Unknown {
            name: name.to_owned(),
            known: known(self.rows.iter().filter(|row| !row.hidden).map(|row| row.name.as_str())),
        })
    }

    fn keyed(&self, name: &str, key: &[u8]) -> Result<&Row, StateError> {
        let row = self.row(name)?;
        let expected = row.map.shape().key_size;
        if key.len() != expected as usize {
            return Err(StateError::KeySize { name: name.to_owned(), found: key.len(), expected });
        }
        Ok(row)
    }
}

/// What the interpreter of the IR holds of a state, as if it were in a map.
pub(crate) fn from_dump(
    dump: StateDump,
    decl: &StateDecl,
    schema: Option<&StateSchema>,
    now: u64,
) -> StateSnapshot {
    let info = StateInfo {
        name: decl.name.clone(),
        capacity: decl.capacity,
        len: dump.entries.len() as u32,
        refused: dump.refused,
        evicted: dump.evicted,
        bytes: decl.bytes(),
    };
    let entries = dump.live(now).entries.into_iter().map(|entry| dumped_entry(entry, decl)).collect();
    StateSnapshot { info, schema: schema.cloned(), entries }
}

fn dumped_entry(entry: EntryDump, decl: &StateDecl) -> StateEntry {
    let EntryDump { key, fields, expires, written } = entry;
    let mut raw_value = packed(&fields, &decl.entry_layout(), decl.fields.iter().map(|field| field.width));
    for (offset, word) in [(EXPIRES_OFFSET, expires), (WRITTEN_OFFSET, written)] {
        raw_value[offset as usize..offset as usize + 8].copy_from_slice(&word.to_le_bytes());
    }
    let mut raw_key = packed(&key, &decl.key_layout(), decl.key.iter().map(|part| part.width));
    if decl.kind == StateKind::Array {
        raw_key.resize(4, 0);
    }
    StateEntry {
        raw_key: raw_key.into_boxed_slice(),
        raw_value: raw_value.into_boxed_slice(),
        key,
        fields,
        expires_at: expires,
        written_at: written,
    }
}

/// Scalars at their places.
fn packed(scalars: &[u64], layout: &Layout, widths: impl Iterator<Item = Width>) -> Vec<u8> {
    let mut bytes = vec![0; layout.size as usize];
    for ((&scalar, &offset), width) in scalars.iter().zip(&layout.offsets).zip(widths) {
        let (start, size) = (offset as usize, width.bytes() as usize);
        bytes[start..start + size].copy_from_slice(&scalar.to_le_bytes()[..size]);
    }
    bytes
}

/// Names for a message.
pub(crate) fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
