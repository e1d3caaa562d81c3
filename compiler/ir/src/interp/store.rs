//! What an instance of a module remembers: its params and states, in ordinary maps.
//!
//! A hash table that is full makes room for a new key by giving away a dead entry, and only if there is none by evicting the entry
//! whose last write is longest ago (of several written at one instant, the one written first) or by refusing. Entries
//! that were made and never written are dead. Eviction is exact, where engines may approximate it.

use std::collections::{BTreeSet, HashMap};

use crate::entities::{Param, State};
use crate::module::{Module, ParamDecl, StateDecl, StateKind, WhenFull};
use crate::verify::Checked;

/// Params and states of one instance of a module.
#[derive(Clone, Debug)]
pub struct Store {
    decls: Vec<ParamDecl>,
    params: Vec<u64>,
    states: Vec<Table>,
}

/// What a state holds, in the order of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDump {
    /// Its entries, dead ones included; of an array only those that were looked up.
    pub entries: Vec<EntryDump>,
    /// How many new keys found no room.
    pub refused: u64,
    /// How many live entries made room for others.
    pub evicted: u64,
}

/// One entry of a state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryDump {
    /// Its key, part by part.
    pub key: Vec<u64>,
    /// Its fields, in order.
    pub fields: Vec<u64>,
    /// When it expires.
    pub expires: u64,
    /// When it was written last; 0 if never.
    pub written: u64,
}

impl StateDump {
    /// Only the entries that are live at `now`: what all engines must agree on.
    #[must_use]
    pub fn live(mut self, now: u64) -> StateDump {
        self.entries.retain(|entry| entry.expires > now);
        self
    }
}

/// Why a param cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// There is none of this index.
    #[error("no param {param}")]
    NoSuchParam {
        /// The param asked for.
        param: Param,
    },
    /// It may not have this value.
    #[error("expected {min} to {max} for {name}, found {found}")]
    OutOfRange {
        /// The param's name.
        name: String,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
        /// The value given.
        found: u64,
    },
}

/// Which entry a value stands for. An entry that replaces another under the same key has another number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryId {
    pub(super) state: State,
    key: Vec<u64>,
    number: u64,
}

#[derive(Clone, Debug)]
struct Table {
    kind: StateKind,
    capacity: u32,
    field_count: usize,
    key_len: usize,
    entries: HashMap<Vec<u64>, Entry>,
    /// Of hash tables: the keys by expiry and by last write, for reclaiming and evicting.
    by_expiry: BTreeSet<(u64, Vec<u64>)>,
    by_write: BTreeSet<(u64, u64, Vec<u64>)>,
    /// Numbers entries and writes.
    count: u64,
    refused: u64,
    evicted: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    number: u64,
    fields: Vec<u64>,
    expires: u64,
    written: u64,
    /// Orders writes of one instant.
    write_number: u64,
}

impl Store {
    /// Empty states, and params at their defaults.
    pub fn new(checked: &Checked) -> Store {
        let module = checked.module();
        Store {
            decls: module.params.clone(),
            params: module.params.iter().map(|param| param.default).collect(),
            states: module.states.iter().map(Table::new).collect(),
        }
    }

    /// Sets a param.
    ///
    /// # Errors
    ///
    /// If there is no such param or it may not have this value.
    pub fn set_param(&mut self, param: Param, value: u64) -> Result<(), ParamError> {
        let decl = self.decls.get(param.index()).ok_or(ParamError::NoSuchParam { param })?;
        if !(decl.min..=decl.max).contains(&value) {
            let (name, min, max) = (decl.name.clone(), decl.min, decl.max);
            return Err(ParamError::OutOfRange { name, min, max, found: value });
        }
        self.params[param.index()] = value;
        Ok(())
    }

    /// What a param is set to.
    pub fn param(&self, param: Param) -> Option<u64> {
        self.params.get(param.index()).copied()
    }

    /// What each state holds.
    pub fn dump(&self) -> Vec<StateDump> {
        self.states.iter().map(Table::dump).collect()
    }

    /// Whether the store has the shape that the module's filters need.
    pub(super) fn is_for(&self, module: &Module) -> bool {
        let table_fits = |(table, decl): (&Table, &StateDecl)| {
            (table.kind, table.capacity, table.field_count, table.key_len)
                == (decl.kind, decl.capacity, decl.fields.len(), decl.key.len())
        };
        self.decls == module.params
            && self.states.len() == module.states.len()
            && self.states.iter().zip(&module.states).all(table_fits)
    }

    /// The entry under a key whose parts have been cut to their widths; made if it may be.
    pub(super) fn look_up(&mut self, state: State, key: Vec<u64>, make: bool, now: u64) -> Option<EntryId> {
        let table = self.states.get_mut(state.index())?;
        let number = table.look_up(&key, make, now)?;
        Some(EntryId { state, key, number })
    }

    /// Whether the entry is live; the fields of a dead one are zeroed. `None` if it is not there any more, here and below.
    pub(super) fn lock(&mut self, id: &EntryId, now: u64) -> Option<bool> {
        let entry = self.entry(id)?;
        let live = entry.expires > now;
        if !live {
            entry.fields.fill(0);
        }
        Some(live)
    }

    pub(super) fn fields(&mut self, id: &EntryId) -> Option<&mut [u64]> {
        self.entry(id).map(|entry| entry.fields.as_mut_slice())
    }

    /// Sets when the entry expires and, if given, when it was written.
    pub(super) fn unlock(&mut self, id: &EntryId, change: Option<(u64, Option<u64>)>) -> Option<()> {
        self.entry(id)?;
        if let Some((expires, written)) = change {
            self.states.get_mut(id.state.index())?.set_header(&id.key, expires, written);
        }
        Some(())
    }

    fn entry(&mut self, id: &EntryId) -> Option<&mut Entry> {
        let entry = self.states.get_mut(id.state.index())?.entries.get_mut(&id.key)?;
        (entry.number == id.number).then_some(entry)
    }
}

impl Table {
    fn new(decl: &StateDecl) -> Table {
        Table {
            kind: decl.kind,
            capacity: decl.capacity,
            field_count: decl.fields.len(),
            key_len: decl.key.len(),
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            by_write: BTreeSet::new(),
            count: 0,
            refused: 0,
            evicted: 0,
        }
    }

    fn look_up(&mut self, key: &[u64], make: bool, now: u64) -> Option<u64> {
        if let Some(entry) = self.entries.get(key) {
            return Some(entry.number);
        }
        let may_be_made = match self.kind {
            // All entries of an array are there from the start; here they take memory when they are first looked up.
            StateKind::Array => key.first().is_some_and(|index| *index < u64::from(self.capacity)),
            StateKind::Hash(when_full) => make && self.make_room(when_full, now),
        };
        may_be_made.then(|| self.insert(key))
    }

    fn make_room(&mut self, when_full: WhenFull, now: u64) -> bool {
        if self.entries.len() < self.capacity as usize {
            return true;
        }
        let dead = self.by_expiry.first().filter(|(expires, _)| *expires <= now);
        let key = match (dead, when_full) {
            (Some((_, key)), _) => key.clone(),
            (None, WhenFull::Refuse) => {
                self.refused += 1;
                return false;
            }
            (None, WhenFull::EvictOldest) => {
                let Some((_, _, key)) = self.by_write.first() else { return false };
                self.evicted += 1;
                key.clone()
            }
        };
        self.remove(&key);
        true
    }

    fn insert(&mut self, key: &[u64]) -> u64 {
        self.count += 1;
        let fields = vec![0; self.field_count];
        let entry = Entry { number: self.count, fields, expires: 0, written: 0, write_number: self.count };
        self.by_expiry.insert((0, key.to_vec()));
        self.by_write.insert((0, self.count, key.to_vec()));
        self.entries.insert(key.to_vec(), entry);
        self.count
    }

    fn remove(&mut self, key: &[u64]) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_expiry.remove(&(entry.expires, key.to_vec()));
            self.by_write.remove(&(entry.written, entry.write_number, key.to_vec()));
        }
    }

    fn set_header(&mut self, key: &[u64], expires: u64, written: Option<u64>) {
        let Some(mut entry) = self.entries.get(key).cloned() else { return };
        self.remove(key);
        entry.expires = expires;
        if let Some(written) = written {
            self.count += 1;
            (entry.written, entry.write_number) = (written, self.count);
        }
        self.by_expiry.insert((entry.expires, key.to_vec()));
        self.by_write.insert((entry.written, entry.write_number, key.to_vec()));
        self.entries.insert(key.to_vec(), entry);
    }

    fn dump(&self) -> StateDump {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, entry)| EntryDump {
                key: key.clone(),
                fields: entry.fields.clone(),
                expires: entry.expires,
                written: entry.written,
            })
            .collect();
        entries.sort();
        StateDump { entries, refused: self.refused, evicted: self.evicted }
    }
}
