//! The Linux kernel accepts what the BPF back end makes, and answers as the IR interpreter does: for the scripts of the IR's own
//! tests and for random modules under random traffic. Skipped, with a note, where `bpf(2)` is not available.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_bpf_backend::{
    BackendError, Clock, EVENTS_MAP, NOW_VARIABLE, Options, Registers, SEED_VARIABLE, Verifier, compile,
    object,
};
use oko_ir::interp::{EntryDump, EventRecord, Packet, Store, run};
use oko_ir::testing::generate::{self, Arrival};
use oko_ir::testing::script::{self, Step};
use oko_ir::{Checked, Event, NEVER, Param, StateDecl, StateKind, WhenFull, layout, text, verify};
use oko_tests::kernel::{self, IN_PORT, Loaded, MIN_PACKET, table_key, table_value};
use proptest::collection::vec;
use proptest::prelude::*;

fn options(registers: Registers) -> Options {
    Options { clock: Clock::Injected, registers, verifier: Verifier::Linux, ..Options::default() }
}

/// Compiles with the injected clock and loads; a refusal shows the code and what the kernel says of it.
fn load(checked: &Checked, registers: Registers) -> Result<Loaded, String> {
    let compiled = compile(checked, options(registers)).map_err(|error| error.to_string())?;
    let bytes =
        object::write(checked, &compiled, |_, _| None, Vec::new()).map_err(|error| error.to_string())?;
    kernel::load(&bytes).map_err(|error| {
        format!(
            "{error}\n{}\n{}",
            checked.module(),
            oko_bpf_backend::listing(checked, &compiled, |_, _| None)
        )
    })
}

/// What is live in a state, as the interpreter dumps it.
fn live(loaded: &Loaded, state: &StateDecl, now: u64) -> Vec<EntryDump> {
    let (key_layout, entry_layout) = (state.key_layout(), state.entry_layout());
    let number = |bytes: &[u8], offset: u32, len: u32| {
        let mut word = [0; 8];
        word[..len as usize].copy_from_slice(&bytes[offset as usize..][..len as usize]);
        u64::from_le_bytes(word)
    };
    let all = loaded.entries(&state.name).unwrap().into_iter();
    if state.kind == StateKind::Words {
        let words = all.map(|(key, value)| (number(&key, 0, 4), number(&value, 0, 8)));
        let entry =
            |(index, word)| EntryDump { key: vec![index], fields: vec![word], expires: NEVER, written: 0 };
        return words.filter(|(_, word)| *word != 0).map(entry).collect();
    }
    let mut entries: Vec<_> = all
        .map(|(key, value)| EntryDump {
            key: match state.kind {
                StateKind::Array => vec![number(&key, 0, 4)],
                _ => (state.key.iter().zip(&key_layout.offsets))
                    .map(|(part, &offset)| number(&key, offset, part.width.bytes()))
                    .collect(),
            },
            fields: (state.fields.iter().zip(&entry_layout.offsets))
                .flat_map(|(field, &offset)| {
                    let bytes = field.width.bytes();
                    let value = &value;
                    (0..field.count).map(move |at| number(value, offset + at * bytes, bytes))
                })
                .collect(),
            expires: number(&value, layout::EXPIRES_OFFSET, 8),
            written: number(&value, layout::WRITTEN_OFFSET, 8),
        })
        .filter(|entry| entry.expires > now)
        .collect();
    entries.sort();
    entries
}

/// The events that wait in the kernel's ring buffer.
fn events(loaded: &Loaded) -> Vec<EventRecord> {
    let records = loaded.take_records(EVENTS_MAP).unwrap();
    let words = |record: Vec<u8>| -> Vec<u64> {
        record.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
    };
    let event = |words: Vec<u64>| EventRecord {
        event: Event::from_index(words[0] as usize),
        time: words[1],
        values: words[2..].to_vec(),
    };
    records.into_iter().map(|record| event(words(record))).collect()
}

/// Runs all filters on all packets in both; says where they differ.
fn compare(
    checked: &Checked,
    registers: Registers,
    arrivals: &[Arrival],
    entries: &[u32],
) -> Result<(), String> {
    if let Err(BackendError::WordUnderLock { .. }) = compile(checked, options(registers)) {
        return Ok(());
    }
    let loaded = load(checked, registers)?;
    let module = checked.module();
    let mut store = Store::new(checked);
    store.set_seed(SEED);
    // A filter that does not ask for the seed has no variable for it.
    let _ = loaded.set_variable(SEED_VARIABLE, SEED);
    for (state, key, scalars) in generate::table_entries(module, entries) {
        if store.put(state, key.clone(), &scalars).is_ok() {
            let decl = &module.states[state.index()];
            let (key, value) = (table_key(decl, &key), table_value(decl, &scalars));
            loaded.put(&decl.name, &key, &value).map_err(|error| error.to_string())?;
        }
    }
    let mut last = 1;
    for (number, arrival) in arrivals.iter().enumerate() {
        // The kernel takes no shorter packets, and knows no length but that of what is there.
        let mut bytes = arrival.bytes.clone();
        bytes.resize(bytes.len().max(MIN_PACKET), 0x5a);
        last = arrival.now;
        loaded.set_variable(NOW_VARIABLE, last).map_err(|error| error.to_string())?;
        for (index, filter) in module.filters.iter().enumerate() {
            let expected =
                run(checked, index, &mut store, Packet::whole(&bytes, IN_PORT), last).unwrap().class;
            let found = loaded.run(&filter.name, &bytes).map_err(|error| error.to_string())?;
            if found != expected + 1 {
                let compiled = compile(checked, options(registers)).unwrap();
                let listing = oko_bpf_backend::listing(checked, &compiled, |_, _| None);
                return Err(format!(
                    "packet {number} {bytes:02x?} at {last}, filter {}: the interpreter says {expected}, the kernel returns {found}\n{module}\n{listing}",
                    filter.name
                ));
            }
        }
    }
    let (expected, dropped) = (store.take_events(), store.dropped_events());
    let found = if module.events.is_empty() { Vec::new() } else { events(&loaded) };
    if found != expected && dropped == 0 {
        return Err(format!("events: expected {expected:?}, found {found:?}\n{module}"));
    }
    for (state, dump) in module.states.iter().zip(store.dump()) {
        if matches!(state.kind, StateKind::Table(_)) {
            continue;
        }
        let expected = dump.live(last).entries;
        let found = live(&loaded, state, last);
        if found != expected {
            return Err(format!("state {}: expected {expected:?}, found {found:?}\n{module}", state.name));
        }
    }
    Ok(())
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_modules_run_alike_in_the_kernel(
        choices in vec(any::<u32>(), 0..600),
        traffic in vec(any::<u32>(), 0..600),
        entries in vec(any::<u32>(), 0..100),
        few in any::<bool>(),
    ) {
        let registers = if few { Registers::Few } else { Registers::All };
        if kernel::is_missing() {
            return Ok(());
        }
        let module = generate::module(&choices, generate::Options::ALL.roomy());
        let checked = verify(module).expect("generated modules verify");
        if let Err(message) = compare(&checked, registers, &generate::traffic(&traffic), &entries) {
            return Err(TestCaseError::fail(message));
        }
    }
}

#[test]
fn scripts_run_alike_in_the_kernel() {
    if kernel::is_missing() {
        return;
    }
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../compiler/ir/filetests/run");
    let mut ran = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = verify(text::read(&text).unwrap()).unwrap();
        let script = script::read(&text).unwrap();
        if script.is_empty() {
            continue;
        }
        ran += run_script(&path.display().to_string(), &checked, &script);
    }
    assert!(ran > 20, "only {ran} runs of scripts were possible");
}

/// Runs what the kernel can: packets that are long enough and whole. Gives how many.
fn run_script(name: &str, checked: &Checked, script: &[script::Line]) -> usize {
    let module = checked.module();
    // A full table is full in other ways: the kernel gives no dead entry away, and its LRU is an approximation.
    let counts = script.iter().any(|line| matches!(line.step, Step::Refused { .. } | Step::Evicted { .. }));
    let loaded = load(checked, Registers::All).unwrap_or_else(|error| panic!("{name}: {error}"));
    if counts {
        return 0;
    }
    let mut store = Store::new(checked);
    let mut ran = 0;
    for line in script {
        match &line.step {
            Step::Run { filter, packet, wire_len, in_port: _, now, class: _ } => {
                let mut bytes = packet.clone();
                bytes.resize(bytes.len().max(MIN_PACKET), 0);
                if *wire_len as usize > bytes.len() {
                    continue;
                }
                let index = module.filters.iter().position(|f| f.name == *filter).unwrap();
                let expected =
                    run(checked, index, &mut store, Packet::whole(&bytes, IN_PORT), *now).unwrap().class;
                loaded.set_variable(NOW_VARIABLE, *now).unwrap();
                let found = loaded.run(filter, &bytes).unwrap();
                assert_eq!(found, expected + 1, "{name}:{}", line.number);
                ran += 1;
            }
            Step::Param { name, value } => {
                let index = module.params.iter().position(|param| param.name == *name).unwrap();
                store.set_param(Param::from_index(index), *value).unwrap();
                loaded.set_variable(name, *value).unwrap();
            }
            Step::Live { state, now, .. } => {
                let index = module.states.iter().position(|decl| decl.name == *state).unwrap();
                let expected = store.dump()[index].clone().live(*now).entries;
                let small = module.states[index].kind == StateKind::Hash(WhenFull::EvictOldest)
                    && module.states[index].capacity < 1024;
                if !small && !matches!(module.states[index].kind, StateKind::Table(_)) {
                    assert_eq!(
                        live(&loaded, &module.states[index], *now),
                        expected,
                        "{name}:{}",
                        line.number
                    );
                }
            }
            Step::Refused { .. } | Step::Evicted { .. } => {}
            Step::Seed { seed } => {
                store.set_seed(*seed);
                loaded.set_variable(SEED_VARIABLE, *seed).unwrap();
            }
            Step::Put { state, key, fields } => {
                let state = module.state_named(state).unwrap();
                let decl = &module.states[state.index()];
                let mut key = key.clone();
                key.bits = key.bits.min(decl.key_bits());
                store.put(state, key.clone(), fields).unwrap();
                loaded.put(&decl.name, &table_key(decl, &key), &table_value(decl, fields)).unwrap();
            }
            Step::Remove { state, key } => {
                let state = module.state_named(state).unwrap();
                let decl = &module.states[state.index()];
                let mut key = key.clone();
                key.bits = key.bits.min(decl.key_bits());
                assert!(store.remove(state, &key).unwrap());
                loaded.remove(&decl.name, &table_key(decl, &key)).unwrap();
            }
            Step::Events { .. } => assert_eq!(events(&loaded), store.take_events(), "{name}:{}", line.number),
            Step::Dropped { .. } => {}
        }
    }
    ran
}
