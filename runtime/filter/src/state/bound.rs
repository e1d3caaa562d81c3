//! Maps bound to the states of an artifact, in the order in which an engine numbers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oko_artifact::{EVENTS_MAP, StateSchema};
use oko_ir::interp::{TableError, TableKey};
use oko_ir::seed::seed_words;
use oko_ir::{StateDecl, StateKind};
use oko_jit::abi::Context;
use oko_state::{Header, Kind, Map, RingBuffer, Shape, Update, UpdateError};

use super::carry::Old;
use super::scalars::{key_bytes, table_key_bytes, value_bytes};
use super::view::{StateEntry, StateInfo, StateSnapshot, entries, entry, info};
use crate::error::{LoadError, StateError};
use crate::options::{Engine, LoadOptions};
use crate::params::{Params, VariablePlace};

/// A state or map as the artifact declares it.
#[derive(Clone, Debug)]
pub(crate) struct StatePlan {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Whether each worker has a copy.
    pub(crate) per_core: bool,
    /// Its place among the states of the IR, and its declaration there.
    pub(crate) decl: Option<(usize, StateDecl)>,
    /// How it looks to a person.
    pub(crate) schema: Option<StateSchema>,
    /// Its place among the maps of the BPF programs.
    pub(crate) bpf: Option<usize>,
    /// Set if it is a section of variables: its initial content.
    pub(crate) variables: Option<Vec<u8>>,
    /// Whether it is no state of the source: variables, locks.
    pub(crate) hidden: bool,
}

impl StatePlan {
    /// The number by which an engine knows it, if it needs it at all.
    pub(crate) fn number(&self, engine: Engine) -> Option<usize> {
        match engine {
            Engine::Native => self.decl.as_ref().map(|(index, _)| *index),
            Engine::BpfJit | Engine::BpfInterp => self.bpf,
            // It has state of its own.
            Engine::IrInterp => None,
        }
    }
}

/// The states of an instance.
#[derive(Debug)]
pub(crate) struct States {
    pub(super) rows: Vec<Row>,
    /// Which row each of the engine's numbers is.
    order: Vec<usize>,
    /// For each worker, or one for all where they share all states.
    bindings: Box<[Binding]>,
    /// What filters emit.
    pub(super) events: Arc<Map>,
    /// The random number of the instance.
    pub(super) seed: u64,
}

/// A state and its map.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) plan: StatePlan,
    /// Shared with older and newer versions of the instance.
    pub(super) map: Arc<Map>,
    /// How many entries of an older version's were copied into it, and of how many.
    pub(super) copied: Option<(usize, usize)>,
}

impl Row {
    pub(super) fn decl(&self) -> Option<&StateDecl> {
        self.plan.decl.as_ref().map(|(_, decl)| decl)
    }
}

/// The maps as one worker has them, by the engine's numbers.
#[derive(Debug)]
struct Binding {
    /// What generated code is told of them.
    context: Context,
    /// The maps, and the first value of each of these that is an array: what the context points to.
    _tables: (Box<[*const Map]>, Box<[*mut u8]>),
}

// SAFETY: the pointers lead to the maps that the rows own, which are shared between threads, and to values in these.
unsafe impl Send for States {}
// SAFETY: as above.
unsafe impl Sync for States {}

impl States {
    /// Makes the maps that an engine uses, but for those that `old` has. Generated code reads the params where they are now.
    pub(crate) fn new(
        params: &Params,
        engine: Engine,
        plans: &[StatePlan],
        options: &LoadOptions,
        old: &Old<'_>,
    ) -> Result<States, LoadError> {
        let copies = options.workers.clamp(1, 1_024);
        let used = || plans.iter().filter_map(|plan| Some((plan, plan.number(engine)?)));
        let ring = events_shape(options.event_bytes);
        let bytes = used().map(|(plan, _)| plan.shape.footprint().saturating_mul(plan.copies(copies)));
        let bytes = bytes.fold(0, u64::saturating_add);
        let limit = options.max_state_bytes;
        if bytes > limit {
            return Err(LoadError::TooMuchState { bytes, limit });
        }
        let events = match old.events() {
            Some(events) => events,
            None => Arc::new(
                Map::new(ring).map_err(|source| LoadError::State { state: "events".to_owned(), source })?,
            ),
        };
        let mut rows = Vec::new();
        let mut order = Vec::new();
        for (plan, number) in used() {
            let (map, copied) = match old.map(plan) {
                // BPF programs emit to the same place as native code.
                _ if plan.name == EVENTS_MAP && plan.decl.is_none() => (Arc::clone(&events), None),
                Some(map) => (map, None),
                None => {
                    let map = make(plan, copies)?;
                    let copied = old.copy_into(plan, &map);
                    (Arc::new(map), copied)
                }
            };
            order.push((number, rows.len()));
            rows.push(Row { plan: plan.clone(), map, copied });
        }
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
        let workers = rows.iter().map(|row| row.map.copies().len()).max().unwrap_or(1);
        let seed = old.seed().or(options.seed).unwrap_or_else(random);
        let mut bindings: Box<[Binding]> =
            (0..workers as u32).map(|worker| bind(&rows, &order, worker)).collect();
        for binding in &mut bindings {
            let context = &mut binding.context;
            context.params = params.values().as_ptr().cast::<u64>();
            context.events = Arc::as_ptr(&events);
            (context.seed, context.seed_words) = (seed, seed_words(seed));
        }
        Ok(States { rows, order, bindings, events, seed })
    }

    /// What generated code is told when the worker of a number runs it.
    #[inline]
    pub(crate) fn context(&self, worker: u32) -> &Context {
        &self.binding(worker).context
    }

    /// What generated code is told whichever worker runs it, if all share all states.
    pub(crate) fn only_context(&self) -> Option<&Context> {
        match &*self.bindings {
            [one] => Some(&one.context),
            _ => None,
        }
    }

    /// Whether filters have nothing that they read or write from packet to packet, so that who runs them need not be pinned. That native code emits events makes no
    /// difference: it takes no lock for that, and their ring buffer is this one's own. Of BPF programs, the ring buffer is a map like others.
    #[inline]
    pub(crate) fn are_none(&self) -> bool {
        self.order.is_empty()
    }

    #[inline]
    fn binding(&self, worker: u32) -> &Binding {
        match &*self.bindings {
            [one] => one,
            all => &all[worker as usize % all.len()],
        }
    }

    /// What filters emit.
    pub(crate) fn events(&self) -> &RingBuffer {
        self.events.ring().expect("it was made as a ring buffer")
    }

    /// The random number of the instance.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
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
        self.visible().map(|row| info(&row.plan.name, &row.map)).collect()
    }

    fn visible(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.plan.hidden)
    }

    pub(crate) fn snapshot(&self, name: &str, now: u64) -> Result<StateSnapshot, StateError> {
        let row = self.row(name)?;
        Ok(StateSnapshot {
            entries: entries(&row.map, row.decl(), now),
            info: info(&row.plan.name, &row.map),
            schema: row.plan.schema.clone(),
        })
    }

    pub(crate) fn read(&self, name: &str, key: &[u8], now: u64) -> Result<Option<StateEntry>, StateError> {
        let row = self.keyed(name, key)?;
        Ok(entry(&row.map, row.decl(), key, now))
    }

    pub(crate) fn delete(&self, name: &str, key: &[u8]) -> Result<bool, StateError> {
        Ok(self.keyed(name, key)?.map.delete(key))
    }

    pub(crate) fn clear(&self, name: &str) -> Result<(), StateError> {
        self.row(name)?.map.clear();
        Ok(())
    }

    /// Writes an entry that filters may write, too.
    pub(crate) fn write(
        &self,
        name: &str,
        key: &[u64],
        fields: &[u64],
        expires: u64,
        now: u64,
    ) -> Result<(), StateError> {
        let (row, decl) = self.declared(name)?;
        let wrong = |source| row.wrong(source);
        let key = key_bytes(decl, key).map_err(wrong)?;
        let value = value_bytes(decl, fields, expires, now).map_err(wrong)?;
        updated(row, row.map.update(&key, &value, Update::Any, now))
    }

    /// Writes an entry of a foreign program's map.
    pub(crate) fn write_raw(&self, name: &str, key: &[u8], value: &[u8], now: u64) -> Result<(), StateError> {
        let row = self.keyed(name, key)?;
        if row.plan.decl.is_some() {
            return Err(StateError::Declared { name: name.to_owned() });
        }
        let expected = row.map.shape().value_size;
        if value.len() != expected as usize {
            return Err(StateError::ValueSize { name: name.to_owned(), found: value.len(), expected });
        }
        updated(row, row.map.update(key, value, Update::Any, now))
    }

    /// Writes an entry of a table.
    pub(crate) fn put(&self, name: &str, key: &TableKey, fields: &[u64]) -> Result<(), StateError> {
        let (row, decl) = self.table(name)?;
        let wrong = |source| row.wrong(source);
        let key = table_key_bytes(decl, key).map_err(wrong)?;
        let value = value_bytes(decl, fields, oko_ir::NEVER, 0).map_err(wrong)?;
        updated(row, row.map.update(&key, &value, Update::Any, 0))
    }

    /// Removes an entry of a table; says whether there was one.
    pub(crate) fn remove(&self, name: &str, key: &TableKey) -> Result<bool, StateError> {
        let (row, decl) = self.table(name)?;
        let key = table_key_bytes(decl, key).map_err(|source| row.wrong(source))?;
        Ok(row.map.delete(&key))
    }

    /// Frees dead entries in a part of each hash table, of about so many entries; gives how many.
    pub(crate) fn sweep(&self, now: u64, budget: u32) -> u64 {
        let maps = self.rows.iter().flat_map(|row| row.map.copies());
        maps.filter(|map| map.shape().header == Header::Oko)
            .map(|map| u64::from(map.sweep(now, budget)))
            .sum()
    }

    pub(super) fn row(&self, name: &str) -> Result<&Row, StateError> {
        // Those that the compiler made for itself are there for who knows their names.
        let found = self.rows.iter().find(|row| row.plan.name == name && row.plan.is_state());
        found.ok_or_else(|| StateError::Unknown {
            name: name.to_owned(),
            known: known(self.visible().map(|row| row.plan.name.as_str())),
        })
    }

    fn declared(&self, name: &str) -> Result<(&Row, &StateDecl), StateError> {
        let row = self.row(name)?;
        row.decl().map(|decl| (row, decl)).ok_or_else(|| StateError::Undeclared { name: name.to_owned() })
    }

    fn table(&self, name: &str) -> Result<(&Row, &StateDecl), StateError> {
        let (row, decl) = self.declared(name)?;
        match decl.kind {
            StateKind::Table(_) => Ok((row, decl)),
            _ => Err(StateError::NoTable { name: name.to_owned() }),
        }
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

impl StatePlan {
    fn copies(&self, copies: u32) -> u64 {
        if self.per_core { u64::from(copies) } else { 1 }
    }

    /// Whether it is something that filters remember, and not the code's own business.
    pub(super) fn is_state(&self) -> bool {
        self.decl.is_some() || !self.hidden
    }
}

fn updated(row: &Row, result: Result<(), UpdateError>) -> Result<(), StateError> {
    result.map_err(|error| match error {
        UpdateError::Full => row.wrong(TableError::Full { capacity: row.map.shape().capacity }),
        // Keys and values were put together to fit; what is left is an index beyond an array.
        _ => row.no_entry(),
    })
}

fn make(plan: &StatePlan, copies: u32) -> Result<Map, LoadError> {
    let map = if plan.per_core { Map::per_core(plan.shape, copies) } else { Map::new(plan.shape) };
    let map = map.map_err(|source| LoadError::State { state: plan.name.clone(), source })?;
    if let Some(content) = &plan.variables {
        // An array of one value that was sized by its content.
        let _ = map.update(&0_u32.to_ne_bytes(), content, Update::Any, 0);
    }
    Ok(map)
}

fn bind(rows: &[Row], order: &[usize], worker: u32) -> Binding {
    let maps = || {
        order.iter().map(|&row| match &rows[row] {
            // A key that one core has put into a foreign program's map is there for all.
            Row { plan, map, .. } if plan.decl.is_none() && matches!(plan.shape.kind, Kind::Hash(_)) => {
                &**map
            }
            row => row.map.copy_of(worker),
        })
    };
    let first = |map: &Map| map.array_values().map_or(std::ptr::null_mut(), |(first, _)| first.as_ptr());
    let handles: Box<[*const Map]> = maps().map(std::ptr::from_ref).collect();
    let values: Box<[*mut u8]> = maps().map(first).collect();
    let context = Context {
        params: std::ptr::null(),
        maps: handles.as_ptr(),
        values: values.as_ptr(),
        events: std::ptr::null(),
        seed: 0,
        seed_words: seed_words(0),
    };
    Binding { context, _tables: (handles, values) }
}

fn events_shape(bytes: u32) -> Shape {
    let capacity = bytes.clamp(64, 1 << 30).next_power_of_two();
    let header = Header::Plain { lock_offset: None };
    Shape { kind: Kind::Ring, capacity, key_size: 0, value_size: 0, header }
}

/// From the system's randomness.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u64)
}

/// Names for a message.
pub(crate) fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
