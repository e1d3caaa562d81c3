//! A program on all engines and, where that can be, in the Linux kernel: asked the same questions, they must give the same answers, remember the
//! same and tell the same events.
//!
//! The engines are those of `oko-filter`, and the JIT once more with a build whose programs read the time from a variable, as those of the kernel do.

use std::collections::BTreeSet;

use oko_bpf_backend::{EVENTS_MAP, NOW_VARIABLE, SEED_VARIABLE};
use oko_filter::{Engine, Event, FilterInfo, Instance, LoadOptions, Packet};
use oko_ir::interp::TableKey;
use oko_ir::layout::EXPIRES_OFFSET;
use oko_ir::{Module, State};

use crate::kernel::{self, IN_PORT, Loaded, MIN_PACKET, table_key, table_value};

/// The random number of all engines, so that sketches hash alike.
const SEED: u64 = 0x5eed;
/// Where the part of an entry begins that all engines must agree on: behind the lock.
const UNLOCKED: usize = EXPIRES_OFFSET as usize;

/// A program on all engines, with states that nothing was written to.
#[derive(Debug)]
pub struct Rig {
    name: String,
    engines: Vec<Instance>,
    kernel: Option<Loaded>,
    /// The tables that have entries.
    tables: BTreeSet<String>,
    /// Whether there were events, and so there is a ring for them.
    told: bool,
}

/// What a run over packets came to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Packets that each engine was asked about.
    pub packets: u64,
    /// Those that the kernel was asked about, too.
    pub kernel: u64,
    /// Those that matched.
    pub matched: u64,
    /// Entries and words that were compared.
    pub entries: u64,
    /// Events that were compared.
    pub events: u64,
}

impl Rig {
    /// Loads the builds of a program ([`Build::ALL`](crate::examples::Build::ALL)), called `name` in messages, in the kernel too if it is asked.
    ///
    /// # Panics
    ///
    /// If an engine or the kernel refuses it.
    pub fn new(name: &str, [object, clocked, for_kernel]: &[Vec<u8>; 3], kernel: bool) -> Rig {
        let load = |object: &[u8], engine| {
            let options = LoadOptions { engine: Some(engine), seed: Some(SEED), ..LoadOptions::default() };
            Instance::load(object, &options)
                .unwrap_or_else(|error| panic!("{name} on {engine}: {}", error.report()))
        };
        let mut engines: Vec<Instance> = Engine::ALL.iter().map(|&engine| load(object, engine)).collect();
        engines.push(load(clocked, Engine::BpfJit));
        let into_kernel = || {
            let loaded =
                kernel::load(for_kernel).unwrap_or_else(|error| panic!("{name} in the kernel: {error}"));
            // Programs without hashes have no such variable.
            let _ = loaded.set_variable(SEED_VARIABLE, SEED);
            loaded
        };
        Rig {
            name: name.to_owned(),
            engines,
            kernel: kernel.then(into_kernel),
            tables: BTreeSet::new(),
            told: false,
        }
    }

    /// What the program is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The filters of the program.
    pub fn filters(&self) -> Vec<FilterInfo> {
        self.engines[0].filters().to_vec()
    }

    /// Writes an entry of a table everywhere, or nowhere if the table is full.
    ///
    /// # Panics
    ///
    /// If one takes it and another does not.
    pub fn put(&mut self, module: &Module, state: State, key: &TableKey, fields: &[u64]) {
        let decl = &module.states[state.index()];
        let taken: Vec<bool> =
            self.engines.iter().map(|engine| engine.table_put(&decl.name, key, fields).is_ok()).collect();
        assert!(
            taken.iter().all(|other| *other == taken[0]),
            "{}: {} takes it {taken:?}",
            self.name,
            decl.name
        );
        if let (true, Some(kernel)) = (taken[0], &self.kernel) {
            let (key, value) = (table_key(decl, key), table_value(decl, fields));
            kernel.put(&decl.name, &key, &value).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        self.tables.insert(decl.name.clone());
    }

    /// Asks all about a packet.
    ///
    /// # Panics
    ///
    /// If they do not agree; the message says where, by `place`.
    pub fn judge(
        &mut self,
        filter: &FilterInfo,
        bytes: &[u8],
        now: u64,
        place: &dyn Fn() -> String,
        tally: &mut Tally,
    ) {
        let packet = Packet::new(bytes, IN_PORT);
        let verdicts: Vec<u32> =
            self.engines.iter().map(|engine| engine.run(filter.id, packet, now).class()).collect();
        let verdict = verdicts[0];
        assert!(
            verdicts.iter().all(|other| *other == verdict),
            "{} on {}: {:?} say {verdicts:?} about {bytes:02x?}",
            filter.name,
            place(),
            self.engines.iter().map(Instance::engine).collect::<Vec<_>>(),
        );
        tally.packets += 1;
        tally.matched += u64::from(verdict != 0);
        if let Some(kernel) = &self.kernel
            && bytes.len() >= MIN_PACKET
        {
            let clock = kernel.set_variable(NOW_VARIABLE, now);
            let returned = clock.and_then(|()| kernel.run(&filter.name, bytes));
            let returned = returned.unwrap_or_else(|error| panic!("{}: {error}", place()));
            // XDP_DROP is class 0, XDP_PASS class 1, and so on.
            assert_eq!(
                returned,
                verdict + 1,
                "{} on {}: the kernel differs about {bytes:02x?}",
                filter.name,
                place()
            );
            tally.kernel += 1;
        }
    }

    /// Compares what the states hold, and the events since the last comparison.
    ///
    /// # Panics
    ///
    /// If they differ, or an interpreter met what the verifier excludes.
    pub fn compare(&mut self, now: u64, place: &str, tally: &mut Tally) {
        self.compare_states(now, place, tally);
        self.compare_events(place, tally);
        for engine in &self.engines {
            for filter in self.engines[0].filters() {
                assert_eq!(
                    engine.stats(filter.id).faults,
                    0,
                    "{place}: an interpreter met what the verifier excludes"
                );
            }
        }
    }

    fn compare_states(&self, now: u64, place: &str, tally: &mut Tally) {
        let [first, others @ ..] = self.engines.as_slice() else { panic!("there are engines") };
        for state in first.states() {
            let is_table = self.tables.contains(&state.name);
            let live = |engine: &Instance| {
                let snapshot =
                    engine.state_snapshot(&state.name, now).expect("the engines have the same states");
                let entries = snapshot.entries.into_iter();
                let mut entries: Vec<_> = entries
                    .filter(|entry| is_table || is_live(&entry.raw_value, now))
                    .map(|entry| (entry.raw_key.to_vec(), shared(&entry.raw_value).to_vec()))
                    .collect();
                entries.sort();
                entries
            };
            let expected = live(first);
            tally.entries += expected.len() as u64;
            for other in others {
                assert!(live(other) == expected, "{place}: {} differs on {}", state.name, other.engine());
            }
            // Nobody but the control plane writes tables.
            if let Some(kernel) = self.kernel.as_ref().filter(|_| !is_table) {
                let entries = kernel.entries(&state.name).unwrap_or_else(|error| panic!("{place}: {error}"));
                let found: Vec<_> = entries
                    .into_iter()
                    .filter(|(_, value)| is_live(value, now))
                    .map(|(key, value)| (key, shared(&value).to_vec()))
                    .collect();
                assert!(found == expected, "{place}: {} differs in the kernel", state.name);
            }
        }
    }

    fn compare_events(&mut self, place: &str, tally: &mut Tally) {
        let [first, others @ ..] = self.engines.as_slice() else { panic!("there are engines") };
        let told = |engine: &Instance| -> (Vec<Event>, u64) {
            (engine.take_events(usize::MAX), engine.events_dropped())
        };
        let expected = told(first);
        tally.events += expected.0.len() as u64;
        self.told |= !expected.0.is_empty();
        for other in others {
            let found = told(other);
            assert!(
                found == expected,
                "{place}: events differ on {}: {expected:?}, {found:?}",
                other.engine()
            );
        }
        let Some(kernel) = self.kernel.as_ref().filter(|_| self.told && expected.1 == 0) else { return };
        let records = kernel.take_records(EVENTS_MAP).unwrap_or_else(|error| panic!("{place}: {error}"));
        let found: Vec<(u64, Vec<u64>)> = (records.iter())
            .map(|record| {
                let words =
                    record.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("of 8")));
                // The number of the event, the time, the values.
                let words: Vec<u64> = words.collect();
                (words[1], words[2..].to_vec())
            })
            .collect();
        let expected: Vec<(u64, Vec<u64>)> =
            expected.0.into_iter().map(|event| (event.time, event.values)).collect();
        assert!(found == expected, "{place}: events differ in the kernel: {expected:?}, {found:?}");
    }
}

/// The part of a value that all engines must agree on: what is behind an entry's lock, or a whole word.
fn shared(value: &[u8]) -> &[u8] {
    value.get(UNLOCKED..).filter(|rest| !rest.is_empty()).unwrap_or(value)
}

/// Whether an entry is live, or a word is not 0.
fn is_live(value: &[u8], now: u64) -> bool {
    match value.get(UNLOCKED..).and_then(|rest| rest.first_chunk()) {
        Some(expires) => u64::from_le_bytes(*expires) > now,
        None => value.iter().any(|byte| *byte != 0),
    }
}
