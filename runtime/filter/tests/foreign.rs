//! Objects that `okoc` did not make: XDP programs from clang load as `bool` filters, where `XDP_PASS` is a match.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_filter::{Engine, Instance, LoadOptions, Packet};
use rig::{load, root};

fn sample() -> Vec<u8> {
    std::fs::read(root().join("runtime/bpf/src/object/testdata/sample.o")).unwrap()
}

#[test]
fn programs_of_clang_run_as_filters() {
    for engine in [Engine::BpfJit, Engine::BpfInterp] {
        let instance = load(&sample(), engine);
        assert!(instance.schema().is_none() && instance.params().is_empty());
        let names: Vec<&str> = instance.filters().iter().map(|filter| filter.name.as_str()).collect();
        assert_eq!(names, ["count", "second"]);
        // It passes packets of a port from the ninth on: one makes the entry, and the count must exceed seven.
        let count = instance.filter("count").unwrap();
        let verdicts: Vec<u32> =
            (1..=10).map(|now| instance.run(count, Packet::new(&[0; 64], 5), now).class()).collect();
        assert_eq!(verdicts, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1], "{engine}");
        assert_eq!(
            instance.run(count, Packet::new(&[0; 64], 6), 11).class(),
            0,
            "another port, another count"
        );
        assert!(instance.run(instance.filter("second").unwrap(), Packet::new(&[], 0), 1).is_match());
        assert_eq!(instance.stats(count).classes, [9, 2]);
    }
}

#[test]
fn maps_of_clang_are_read_as_bytes() {
    let instance = load(&sample(), Engine::BpfJit);
    let count = instance.filter("count").unwrap();
    for now in 1..=4 {
        instance.run(count, Packet::new(&[], 5), now);
    }
    let states: Vec<String> = instance.states().into_iter().map(|state| state.name).collect();
    assert_eq!(states, ["seen", "slots"], "variables are no states");
    let snapshot = instance.state_snapshot("seen", 5).unwrap();
    let [entry] = &snapshot.entries[..] else { panic!("{snapshot:?}") };
    assert_eq!(*entry.raw_key, [5, 0, 0, 0, 80, 0, 0, 0]);
    assert_eq!(entry.raw_value[..8], 3_u64.to_le_bytes());
    assert!(entry.key.is_empty() && entry.fields.is_empty());
}

#[test]
fn each_instance_has_state_of_its_own() {
    let (one, other) = (load(&sample(), Engine::BpfJit), load(&sample(), Engine::BpfJit));
    let count = one.filter("count").unwrap();
    for now in 1..=9 {
        one.run(count, Packet::new(&[], 5), now);
    }
    assert!(one.run(count, Packet::new(&[], 5), 10).is_match());
    assert!(!other.run(count, Packet::new(&[], 5), 10).is_match());
}

#[test]
fn engines_of_the_ir_are_not_for_them() {
    for engine in [Engine::Native, Engine::IrInterp] {
        let options = LoadOptions { engine: Some(engine), ..LoadOptions::default() };
        let error = Instance::load(&sample(), &options).unwrap_err();
        assert_eq!(error.code(), "oko::load::engine_unavailable");
    }
}
