//! The Linux kernel accepts what the BPF back end makes, and answers as the IR interpreter does: for the scripts of the IR's own
//! tests and for random modules under random traffic. Skipped, with a note, where `bpf(2)` is not available.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_bpf_backend::{Clock, NOW_VARIABLE, Options, Registers, compile, object};
use oko_ir::features::features;
use oko_ir::interp::{EntryDump, Packet, Store, run};
use oko_ir::testing::generate::{self, Arrival};
use oko_ir::testing::script::{self, Step};
use oko_ir::{Checked, Param, StateDecl, StateKind, WhenFull, layout, text, verify};
use oko_tests::kernel::{self, IN_PORT, Loaded, MIN_PACKET};
use proptest::collection::vec;
use proptest::prelude::*;

fn kernel_is_missing() -> bool {
    kernel::available().inspect_err(|error| eprintln!("SKIPPED: no bpf(2) here: {error}")).is_err()
}

fn options(registers: Registers) -> Options {
    Options { clock: Clock::Injected, registers }
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
    let mut entries: Vec<_> = loaded
        .entries(&state.name)
        .unwrap()
        .into_iter()
        .map(|(key, value)| EntryDump {
            key: match state.kind {
                StateKind::Array => vec![number(&key, 0, 4)],
                StateKind::Words | StateKind::Table(_) => unreachable!("such modules are not compiled"),
                StateKind::Hash(_) => (state.key.iter().zip(&key_layout.offsets))
                    .map(|(part, &offset)| number(&key, offset, part.width.bytes()))
                    .collect(),
            },
            fields: (state.fields.iter().zip(&entry_layout.offsets))
                .map(|(field, &offset)| number(&value, offset, field.width.bytes()))
                .collect(),
            expires: number(&value, layout::EXPIRES_OFFSET, 8),
            written: number(&value, layout::WRITTEN_OFFSET, 8),
        })
        .filter(|entry| entry.expires > now)
        .collect();
    entries.sort();
    entries
}

/// Runs all filters on all packets in both; says where they differ.
fn compare(checked: &Checked, registers: Registers, arrivals: &[Arrival]) -> Result<(), String> {
    let loaded = load(checked, registers)?;
    let module = checked.module();
    let mut store = Store::new(checked);
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
    for (state, dump) in module.states.iter().zip(store.dump()) {
        let expected = dump.live(last).entries;
        let found = live(&loaded, state, last);
        if found != expected {
            return Err(format!("state {}: expected {expected:?}, found {found:?}\n{module}", state.name));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_modules_run_alike_in_the_kernel(
        choices in vec(any::<u32>(), 0..600),
        traffic in vec(any::<u32>(), 0..600),
        few in any::<bool>(),
    ) {
        let registers = if few { Registers::Few } else { Registers::All };
        if kernel_is_missing() {
            return Ok(());
        }
        let module = generate::module(&choices, generate::Options::default().roomy());
        let checked = verify(module).expect("generated modules verify");
        if let Err(message) = compare(&checked, registers, &generate::traffic(&traffic)) {
            return Err(TestCaseError::fail(message));
        }
    }
}

#[test]
fn scripts_run_alike_in_the_kernel() {
    if kernel_is_missing() {
        return;
    }
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../compiler/ir/filetests/run");
    let mut ran = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = verify(text::read(&text).unwrap()).unwrap();
        let script = script::read(&text).unwrap();
        if script.is_empty() || !features(checked.module()).is_empty() {
            continue; // the BPF back end refuses what it does not have yet
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
                if !small {
                    assert_eq!(
                        live(&loaded, &module.states[index], *now),
                        expected,
                        "{name}:{}",
                        line.number
                    );
                }
            }
            Step::Refused { .. } | Step::Evicted { .. } => {}
            step => panic!("{name}:{}: {step:?} needs what is not compiled", line.number),
        }
    }
    ran
}
