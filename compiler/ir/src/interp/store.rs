//! What an instance of a module remembers: its params, states and events, in ordinary maps.
//!
//! A hash table that is full makes room for a new key by giving away a dead entry, and only if there is none by evicting the entry
//! whose last write is longest ago (of several written at one instant, the one written first) or by refusing. Entries
//! that were made and never written are dead. Eviction is exact, where engines may approximate it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::tables::{self, TableError, TableKey};
use crate::entities::{Event, Param, State};
use crate::module::{Merge, Module, ParamDecl, StateDecl, StateKind, WhenFull};
use crate::seed::{SEED_WORDS, seed_words};
use crate::verify::Checked;

/// How many events wait to be taken, at most.
pub const EVENT_ROOM: usize = 4096;

/// Params, states, events and the seed of one instance of a module.
#[derive(Clone, Debug)]
pub struct Store {
    decls: Vec<ParamDecl>,
    params: Vec<u64>,
    state_decls: Vec<StateDecl>,
    /// For each state its copies: one for each worker that has been met, or one for all.
    states: Vec<Vec<Kept>>,
    /// The worker that runs filters now.
    worker: usize,
    events: VecDeque<EventRecord>,
    dropped: u64,
    seed: [u64; SEED_WORDS],
}

/// One event that a filter reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Which event.
    pub event: Event,
    /// The instant of the packet, nanoseconds.
    pub time: u64,
    /// Its scalars, each cut to its width.
    pub values: Vec<u64>,
}

/// One copy of a state.
#[derive(Clone, Debug)]
enum Kept {
    Entries(Table),
    Words(BTreeMap<u64, u64>),
    Table(tables::Table),
}

impl Kept {
    fn new(decl: &StateDecl) -> Kept {
        match decl.kind {
            StateKind::Hash(_) | StateKind::Array => Kept::Entries(Table::new(decl)),
            StateKind::Words => Kept::Words(BTreeMap::new()),
            StateKind::Table(_) => Kept::Table(tables::Table::new(decl)),
        }
    }

    fn dump(&self) -> StateDump {
        let forever = |key, fields| EntryDump { key, fields, expires: crate::NEVER, written: 0 };
        match self {
            Kept::Entries(table) => table.dump(),
            Kept::Words(words) => StateDump {
                entries: words
                    .iter()
                    .filter(|(_, word)| **word != 0)
                    .map(|(&index, &word)| forever(vec![index], vec![word]))
                    .collect(),
                ..StateDump::default()
            },
            Kept::Table(table) => StateDump {
                entries: table
                    .entries
                    .iter()
                    .map(|(key, fields)| {
                        let bits = std::iter::once(u64::from(key.bits));
                        forever(key.parts.iter().copied().chain(bits).collect(), fields.clone())
                    })
                    .collect(),
                ..StateDump::default()
            },
        }
    }
}

/// What a state holds, in the order of keys. Words that are not 0 count as entries with one scalar under their index, which never
/// expire.
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
    /// Its key, part by part; of a table's entry, how many bits of the key count is one more part.
    pub key: Vec<u64>,
    /// The scalars of its fields, in order.
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
    /// Of a table's entry: how many bits of the key count.
    bits: u32,
    number: u64,
}

#[derive(Clone, Debug)]
struct Table {
    kind: StateKind,
    capacity: u32,
    scalars: usize,
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
            state_decls: module.states.clone(),
            states: module.states.iter().map(|state| vec![Kept::new(state)]).collect(),
            worker: 0,
            events: VecDeque::new(),
            dropped: 0,
            seed: seed_words(0),
        }
    }

    /// Sets the random number that the words of the seed are made of. It should be set before anything runs, and only then.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed_words(seed);
    }

    /// Lets filters run as this worker from now on, with its copies of states that workers have for themselves. The first is 0.
    pub fn set_worker(&mut self, worker: usize) {
        self.worker = worker;
        for (copies, decl) in self.states.iter_mut().zip(&self.state_decls) {
            if decl.per_core.is_some() {
                while copies.len() <= worker {
                    copies.push(Kept::new(decl));
                }
            }
        }
    }

    /// Writes an entry of a table, as the control plane does. `fields` are the scalars of its fields, in order.
    ///
    /// # Errors
    ///
    /// If there is no such table, it does not fit, or there is no room.
    pub fn put(&mut self, state: State, key: TableKey, fields: &[u64]) -> Result<(), TableError> {
        self.table(state)?.put(key, fields)
    }

    /// Removes an entry of a table. Gives whether there was one.
    ///
    /// # Errors
    ///
    /// If there is no such table, or the key does not fit.
    pub fn remove(&mut self, state: State, key: &TableKey) -> Result<bool, TableError> {
        self.table(state)?.remove(key)
    }

    fn table(&mut self, state: State) -> Result<&mut tables::Table, TableError> {
        match self.states.get_mut(state.index()).and_then(|copies| copies.first_mut()) {
            Some(Kept::Table(table)) => Ok(table),
            _ => Err(TableError::NoTable { state }),
        }
    }

    /// Takes the events that wait, oldest first.
    pub fn take_events(&mut self) -> Vec<EventRecord> {
        self.take_oldest_events(usize::MAX)
    }

    /// Takes up to `limit` of the events that wait, oldest first.
    pub fn take_oldest_events(&mut self, limit: usize) -> Vec<EventRecord> {
        let count = limit.min(self.events.len());
        self.events.drain(..count).collect()
    }

    /// How many events found no room.
    pub fn dropped_events(&self) -> u64 {
        self.dropped
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

    /// What each state holds; of those that workers have for themselves, the copy of the worker that runs now.
    pub fn dump(&self) -> Vec<StateDump> {
        self.states.iter().map(|copies| self.own(copies).dump()).collect()
    }

    /// What each state holds at an instant, only what is live, with the copies of all workers put together as declared.
    pub fn merged(&self, now: u64) -> Vec<StateDump> {
        let states = self.states.iter().zip(&self.state_decls);
        states.map(|(copies, decl)| merged(decl, copies.iter().map(|copy| copy.dump().live(now)))).collect()
    }

    /// Whether the store has the shape that the module's filters need.
    pub(super) fn is_for(&self, module: &Module) -> bool {
        self.decls == module.params && self.state_decls == module.states
    }

    /// A word of the seed; the verifier has seen that there is one of this number.
    pub(super) fn seed(&self, word: u32) -> u64 {
        self.seed[word as usize]
    }

    pub(super) fn emit(&mut self, record: EventRecord) {
        if self.events.len() < EVENT_ROOM {
            self.events.push_back(record);
        } else {
            self.dropped += 1;
        }
    }

    /// The entry under a key whose parts have been cut to their widths; made if it may be.
    pub(super) fn look_up(&mut self, state: State, key: Vec<u64>, make: bool, now: u64) -> Option<EntryId> {
        match self.kept(state)? {
            Kept::Entries(table) => {
                let number = table.look_up(&key, make, now)?;
                Some(EntryId { state, key, bits: 0, number })
            }
            Kept::Table(table) => {
                let TableKey { parts, bits } = table.find(&key)?.clone();
                Some(EntryId { state, key: parts, bits, number: 0 })
            }
            Kept::Words(_) => None,
        }
    }

    /// A word, if there is one of this index.
    pub(super) fn word(&mut self, state: State, index: u64) -> Option<&mut u64> {
        let capacity = self.state_decls.get(state.index())?.capacity;
        match self.kept(state)? {
            Kept::Words(words) if index < u64::from(capacity) => Some(words.entry(index).or_insert(0)),
            _ => None,
        }
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

    /// The scalars of an entry, of a table's too.
    pub(super) fn fields(&mut self, id: &EntryId) -> Option<&mut [u64]> {
        match self.kept(id.state)? {
            Kept::Table(table) => {
                let key = TableKey { parts: id.key.clone(), bits: id.bits };
                table.entries.get_mut(&key).map(Vec::as_mut_slice)
            }
            Kept::Entries(table) => table.entry(id).map(|entry| entry.fields.as_mut_slice()),
            Kept::Words(_) => None,
        }
    }

    /// Sets when the entry expires and, if given, when it was written.
    pub(super) fn unlock(&mut self, id: &EntryId, change: Option<(u64, Option<u64>)>) -> Option<()> {
        self.entry(id)?;
        if let Some((expires, written)) = change
            && let Kept::Entries(table) = self.kept(id.state)?
        {
            table.set_header(&id.key, expires, written);
        }
        Some(())
    }

    fn entry(&mut self, id: &EntryId) -> Option<&mut Entry> {
        match self.kept(id.state)? {
            Kept::Entries(table) => table.entry(id),
            Kept::Words(_) | Kept::Table(_) => None,
        }
    }

    fn kept(&mut self, state: State) -> Option<&mut Kept> {
        let worker = self.worker;
        let copies = self.states.get_mut(state.index())?;
        let own = worker.min(copies.len() - 1); // a state for all has one copy
        copies.get_mut(own)
    }

    fn own<'a>(&self, copies: &'a [Kept]) -> &'a Kept {
        &copies[self.worker.min(copies.len() - 1)]
    }
}

/// Puts copies of one state together.
fn merged(decl: &StateDecl, copies: impl Iterator<Item = StateDump>) -> StateDump {
    let by = decl.per_core.unwrap_or(Merge::Latest);
    let limits = decl.scalar_limits();
    let mut all = StateDump::default();
    let mut entries: BTreeMap<Vec<u64>, EntryDump> = BTreeMap::new();
    for copy in copies {
        all.refused += copy.refused;
        all.evicted += copy.evicted;
        for entry in copy.entries {
            let Some(before) = entries.get_mut(&entry.key) else {
                entries.insert(entry.key.clone(), entry);
                continue;
            };
            if by == Merge::Latest {
                if entry.written > before.written {
                    *before = entry;
                }
                continue;
            }
            for ((a, b), limit) in before.fields.iter_mut().zip(entry.fields).zip(&limits) {
                *a = by.of(*a, b) & limit;
            }
            before.expires = before.expires.max(entry.expires);
            before.written = before.written.max(entry.written);
        }
    }
    all.entries = entries.into_values().collect();
    all
}

impl Table {
    fn new(decl: &StateDecl) -> Table {
        Table {
            kind: decl.kind,
            capacity: decl.capacity,
            scalars: decl.field_starts().last().copied().unwrap_or(0),
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            by_write: BTreeSet::new(),
            count: 0,
            refused: 0,
            evicted: 0,
        }
    }

    fn entry(&mut self, id: &EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(&id.key).filter(|entry| entry.number == id.number)
    }

    fn look_up(&mut self, key: &[u64], make: bool, now: u64) -> Option<u64> {
        if let Some(entry) = self.entries.get(key) {
            return Some(entry.number);
        }
        let may_be_made = match self.kind {
            // All entries of an array are there from the start; here they take memory when they are first looked up.
            StateKind::Array => key.first().is_some_and(|index| *index < u64::from(self.capacity)),
            StateKind::Words | StateKind::Table(_) => false,
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
        let fields = vec![0; self.scalars];
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
