//! Objects that `okoc` did not make: XDP programs from clang load as `bool` filters, where `XDP_PASS` is a match.

#![allow(clippy::unwrap_used)]

mod rig;

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use oko_bpf::asm;
use oko_bpf::object::write;
use oko_bpf::object::write::{MapSpec, Member, MemberKind, ProgramSpec, Spec, Struct};
use oko_bpf::program::MapKind;
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

/// A filter that reports the length of each packet, and matches while there is room.
#[test]
fn a_ring_buffer_belongs_to_an_instance() {
    let map = |name: &str, kind, max_entries| MapSpec {
        name: name.into(),
        kind,
        max_entries,
        key: Struct::default(),
        value: Struct::default(),
    };
    let text = "call 188
         stxdw [%r10-8], %r0
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         mov %r3, 8
         mov %r4, 0
         call 130
         jne %r0, 0, full
         mov %r0, 2
         exit
         full: mov %r0, 1
         exit";
    let insns = asm::assemble(text).unwrap();
    let programs = vec![ProgramSpec { name: "report".into(), insns, lines: Vec::new() }];
    let maps = vec![map("events", MapKind::RingBuf, 4096)];
    let bytes = write(&Spec { programs, maps, license: "GPL".into(), ..Spec::default() }).unwrap();
    for engine in [Engine::BpfJit, Engine::BpfInterp] {
        let instance = load(&bytes, engine);
        let report = instance.filter("report").unwrap();
        let verdicts: Vec<u32> =
            (1..=300).map(|now| instance.run(report, Packet::new(&[0; 64], 1), now).class()).collect();
        // A record takes 16 bytes of the 4096.
        assert_eq!(verdicts.iter().sum::<u32>(), 256, "{engine}");
        assert_eq!(verdicts[255..257], [1, 0], "{engine}: nobody empties it");
    }
}

/// A filter that matches if its worker's number is the first byte of the packet.
#[test]
fn a_worker_has_the_same_number_on_each_engine_and_none_has_that_of_another() {
    let text = "ldxw %r6, [%r1]
         ldxw %r3, [%r1+4]
         mov %r0, 1
         mov %r4, %r6
         add %r4, 1
         jgt %r4, %r3, other
         ldxb %r6, [%r6]
         call 8
         mov %r1, %r0
         mov %r0, 1
         jne %r1, %r6, other
         mov %r0, 2
         other: exit";
    let insns = asm::assemble(text).unwrap();
    let programs = vec![ProgramSpec { name: "is_mine".into(), insns, lines: Vec::new() }];
    let bytes = write(&Spec { programs, license: "GPL".into(), ..Spec::default() }).unwrap();
    let instances = [Engine::BpfJit, Engine::BpfInterp].map(|engine| load(&bytes, engine));
    // All are there at once, so that no number is given again.
    let together = Barrier::new(4);
    let number = || {
        let found = instances.each_ref().map(|instance| {
            let is_mine = instance.filter("is_mine").unwrap();
            let matches = |number: &u8| instance.run(is_mine, Packet::new(&[*number; 64], 1), 1).is_match();
            (0..=u8::MAX).filter(matches).collect::<Vec<u8>>()
        });
        together.wait();
        let [number] = found[0][..] else { panic!("{found:?}") };
        assert_eq!(found[0], found[1]);
        number
    };
    let numbers: BTreeSet<u8> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(number)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(numbers.len(), 4);
}

/// A filter that counts in a hash map with values of each core's own, and matches beyond two packets of a core.
#[test]
fn cores_have_values_of_their_own_under_a_key_of_all() {
    let text = "stdw [%r10-8], 7
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         call 1
         jne %r0, 0, there
         stdw [%r10-16], 1
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         mov %r3, %r10
         add %r3, -16
         mov %r4, 0
         call 2
         mov %r0, 1
         exit
         there: ldxdw %r1, [%r0+0]
         add %r1, 1
         stxdw [%r0+0], %r1
         mov %r0, 1
         jle %r1, 2, few
         mov %r0, 2
         few: exit";
    let insns = asm::assemble(text).unwrap();
    let programs = vec![ProgramSpec { name: "count".into(), insns, lines: Vec::new() }];
    let kind = MemberKind::Uint(oko_bpf::isa::Size::Dw);
    let word = || Struct { size: 8, members: vec![Member { name: "v".into(), offset: 0, kind }] };
    for kind in [MapKind::PercpuHash, MapKind::LruPercpuHash] {
        let map = MapSpec { name: "seen".into(), kind, max_entries: 4, key: word(), value: word() };
        let spec =
            Spec { programs: programs.clone(), maps: vec![map], license: "GPL".into(), ..Spec::default() };
        let bytes = write(&spec).unwrap();
        for engine in [Engine::BpfJit, Engine::BpfInterp] {
            let options = LoadOptions { engine: Some(engine), workers: 64, ..LoadOptions::default() };
            let instance = Instance::load(&bytes, &options).unwrap();
            let count = instance.filter("count").unwrap();
            let three = || -> u32 {
                (1..=3).map(|now| instance.run(count, Packet::new(&[0; 64], 1), now).class()).sum()
            };
            // Each sees only its own packets; the second one's first look-up finds the key, with zero.
            assert_eq!(three(), 1, "{engine}");
            let other = thread::scope(|scope| scope.spawn(three).join().unwrap());
            assert_eq!(other, 1, "{engine}");
            let snapshot = instance.state_snapshot("seen", 9).unwrap();
            let [entry] = &snapshot.entries[..] else { panic!("{snapshot:?}") };
            let values: Vec<u64> =
                entry.raw_value.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
            assert_eq!((values.len(), values.iter().sum::<u64>()), (64, 6), "{engine}");
            assert!(instance.state_delete("seen", &7_u64.to_ne_bytes()).unwrap());
            assert!(instance.state_snapshot("seen", 9).unwrap().entries.is_empty());
        }
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
