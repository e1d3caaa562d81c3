//! What runs the filters of a test: an engine with an object, or the interpreter on marked IR.

use std::collections::BTreeSet;

use oko_compiler::TestObject;
use oko_filter::{Engine, Instance, LoadOptions, Packet};
use oko_ir::interp::{self, Store, TableKey};
use oko_ir::{Checked, Param, State};

/// One way to run a test.
pub(crate) enum Machine<'t> {
    /// An engine, and the names of the events.
    Engine(Box<Instance>, Vec<String>),
    /// The interpreter on the IR before optimisation. Remembers which marks it came by.
    Marked { ir: &'t Checked, file: u32, store: Box<Store>, marks: BTreeSet<u32> },
}

/// The random number of all machines.
const SEED: u64 = 0x5eed;

/// The entries of a state that are live, for comparison: key, fields, expiry.
pub(crate) type Entries = Vec<(Vec<u64>, Vec<u64>, u64)>;

impl<'t> Machine<'t> {
    /// An engine, or why it refuses the object.
    pub(crate) fn engine(object: &TestObject, engine: Engine) -> Result<Machine<'t>, String> {
        // All machines have the same random number, so that sketches hash alike.
        let options = LoadOptions { engine: Some(engine), seed: Some(SEED), ..LoadOptions::default() };
        match Instance::load(&object.object, &options) {
            Ok(instance) => {
                let events = object.marked.module().events.iter().map(|event| event.name.clone());
                Ok(Machine::Engine(Box::new(instance), events.collect()))
            }
            Err(error) => Err(format!("{engine}: {error}")),
        }
    }

    /// The interpreter on marked IR.
    pub(crate) fn marked(object: &'t TestObject) -> Machine<'t> {
        Machine::Marked {
            ir: &object.marked,
            file: object.mark_file,
            store: {
                let mut store = Box::new(Store::new(&object.marked));
                store.set_seed(SEED);
                store
            },
            marks: BTreeSet::new(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Machine::Engine(instance, _) => instance.engine().name(),
            Machine::Marked { .. } => "ir-interp before optimisation",
        }
    }

    /// The class that a filter, by its index, gives a packet.
    pub(crate) fn ask(
        &mut self,
        filter: usize,
        bytes: &[u8],
        wire_len: u32,
        in_port: u32,
        now: u64,
    ) -> Result<u32, String> {
        match self {
            Machine::Engine(instance, _) => {
                let Some(info) = instance.filters().get(filter) else {
                    return Err("the filter is not in the object".to_owned());
                };
                let id = info.id;
                let before = instance.stats(id).faults;
                let packet = Packet::new(bytes, in_port).with_wire_len(wire_len);
                let class = instance.run(id, packet, now).class();
                if instance.stats(id).faults > before {
                    return Err("the engine stopped within the filter".to_owned());
                }
                Ok(class)
            }
            Machine::Marked { ir, file, store, marks } => {
                let ir: &Checked = ir;
                let packet = interp::Packet { bytes, wire_len, in_port };
                let blocks = ir.module().filters.get(filter).map(|filter| &filter.blocks);
                let mut observe = |block: oko_ir::Block, _: interp::Values<'_>| {
                    let insts = blocks.and_then(|blocks| blocks.get(block.index())).map(|block| &block.insts);
                    let places = insts.into_iter().flatten().filter_map(|inst| inst.loc);
                    marks.extend(places.filter(|loc| loc.file == *file).map(|loc| loc.line));
                };
                interp::run_observed(ir, filter, store, packet, now, &mut observe)
                    .map(|outcome| outcome.class)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// Sets a param by its number.
    pub(crate) fn set_param(&mut self, name: &str, number: u32, value: u64) -> Result<(), String> {
        match self {
            Machine::Engine(instance, _) => {
                instance.set_param(name, value).map_err(|error| error.to_string())
            }
            Machine::Marked { store, .. } => {
                store.set_param(Param(number), value).map_err(|error| error.to_string())
            }
        }
    }

    /// Writes an entry of a table: its key, and the scalars of its value.
    pub(crate) fn table_put(
        &mut self,
        name: &str,
        number: u32,
        key: TableKey,
        fields: &[u64],
    ) -> Result<(), String> {
        match self {
            Machine::Engine(instance, _) => {
                instance.table_put(name, &key, fields).map_err(|error| error.to_string())
            }
            Machine::Marked { store, .. } => {
                store.put(State(number), key, fields).map_err(|error| error.to_string())
            }
        }
    }

    /// Takes an entry of a table away.
    pub(crate) fn table_remove(&mut self, name: &str, number: u32, key: &TableKey) -> Result<bool, String> {
        match self {
            Machine::Engine(instance, _) => {
                instance.table_remove(name, key).map_err(|error| error.to_string())
            }
            Machine::Marked { store, .. } => {
                store.remove(State(number), key).map_err(|error| error.to_string())
            }
        }
    }

    /// Takes the events that wait: which, and their scalars.
    pub(crate) fn take_events(&mut self) -> Vec<(usize, Vec<u64>)> {
        match self {
            Machine::Engine(instance, names) => (instance.take_events(usize::MAX).into_iter())
                .filter_map(|event| {
                    let index = names.iter().position(|name| *name == event.name)?;
                    Some((index, event.values))
                })
                .collect(),
            Machine::Marked { store, .. } => {
                let events = store.take_events().into_iter();
                events.map(|record| (record.event.index(), record.values)).collect()
            }
        }
    }

    /// All entries of all states that are live, by state.
    pub(crate) fn entries(&self, now: u64) -> Result<Vec<(String, Entries)>, String> {
        match self {
            Machine::Engine(instance, _) => {
                let mut all = Vec::new();
                for info in instance.states() {
                    let snapshot =
                        instance.state_snapshot(&info.name, now).map_err(|error| error.to_string())?;
                    let mut entries: Entries = (snapshot.entries.into_iter())
                        .map(|entry| (entry.key, entry.fields, entry.expires_at))
                        .collect();
                    entries.sort();
                    all.push((info.name, entries));
                }
                Ok(all)
            }
            Machine::Marked { ir, store, .. } => {
                let names = ir.module().states.iter().map(|state| state.name.clone());
                let dumps = store.dump().into_iter().map(|dump| {
                    let live = dump.live(now).entries.into_iter();
                    let mut entries: Entries =
                        live.map(|entry| (entry.key, entry.fields, entry.expires)).collect();
                    entries.sort();
                    entries
                });
                Ok(names.zip(dumps).collect())
            }
        }
    }
}
