//! What is wrong with an artifact is said, and no bytes whatever make loading panic.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_artifact::{CERT_SECTION, IR_SECTION, SCHEMA_SECTION, Schema};
use oko_filter::{Engine, Instance, LoadError, LoadOptions, Packet, ParamError, StateError};
use oko_ir::{Checked, text, verify};
use rig::{artifact, artifact_with, load, object, schema};

const MODULE: &str = "
oko.ir 1
param p0 limit: 1 to 100, default 3
state m0 seen: hash evict_oldest, capacity 64, key(port: u32), fields(count: u32)
state m1 known: hash refuse, capacity 8, key(port: u32, len: u16), fields(count: u64)
state m2 ports: array, capacity 4, key(port: u32), fields(n: u64)
filter many -> bool {
block0:
    v0 = pkt.in_port
    slot m0(v0), block1, block2
block1(v1: entry m0):
    v2 = lock v1
    v3 = get v1, f0
    v4 = const 1
    v5 = add v3, v4
    set v1, f0, v5
    v6 = now
    v7 = const 1000000000
    v8 = add v6, v7
    unlock.touch v1, v8
    v9 = param p0
    v10 = ult v9, v5
    return v10
block2:
    v11 = false
    return v11
}
filter size -> classes 3 {
block0:
    v0 = pkt.in_port
    v1 = pkt.len
    slot m1(v0, v1), block1, block2
block1(v2: entry m1):
    v3 = lock v2
    v4 = const 0xffffffffffffffff
    unlock.touch v2, v4
    v5 = int v3
    return v5
block2:
    v6 = const 2
    return v6
}
";

fn checked() -> Checked {
    verify(text::read(MODULE).unwrap()).unwrap()
}

fn refused(object: &[u8]) -> LoadError {
    match Instance::load(object, &LoadOptions::default()) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error,
    }
}

#[test]
fn each_contradiction_is_named() {
    type Change = fn(&mut Schema);
    let cases: [(Change, &str, &str); 12] = [
        (|schema| schema.format = 9, "oko::load::version", "the artifact has format 9: expected 4"),
        (
            |schema| schema.filters[0].name = "few".into(),
            "oko::load::mismatch",
            "name of a filter differs: the schema has \"few\", the IR has \"many\"",
        ),
        (
            |schema| schema.filters[1].classes.truncate(2),
            "oko::load::mismatch",
            "number of classes of filter `size` differs: the schema has 2, the IR has 3",
        ),
        (
            |schema| schema.filters.truncate(1),
            "oko::load::mismatch",
            "number of filters differs: the schema has 1, the IR has 2",
        ),
        (
            |schema| schema.params[0].max = 7,
            "oko::load::mismatch",
            "greatest value of param `limit` differs: the schema has 7, the IR has 100",
        ),
        (
            |schema| schema.params[0].default = 7,
            "oko::load::mismatch",
            "default of param `limit` differs: the schema has 7, the IR has 3",
        ),
        (
            |schema| schema.params.clear(),
            "oko::load::mismatch",
            "number of params differs: the schema has 0, the IR has 1",
        ),
        (
            |schema| schema.states[0].capacity = 65,
            "oko::load::mismatch",
            "capacity of state `seen` differs: the schema has 65, the IR has 64",
        ),
        (
            |schema| schema.states[0].when_full = "refuse".into(),
            "oko::load::mismatch",
            "`when_full` of state `seen` differs",
        ),
        (
            |schema| schema.states[1].key.truncate(1),
            "oko::load::mismatch",
            "scalars of the key of state `known` differs: the schema has 1, the IR has 2",
        ),
        (
            |schema| schema.states[2].value.clear(),
            "oko::load::mismatch",
            "scalars of the value of state `ports` differs",
        ),
        (|schema| schema.states.swap(0, 1), "oko::load::mismatch", "name of a state differs"),
    ];
    for (change, code, message) in cases {
        let mut schema = schema(checked().module());
        change(&mut schema);
        let error = refused(&artifact_with(&checked(), &schema));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().starts_with(message), "expected {message:?}, found {error}");
        assert!(!error.help().is_empty());
    }
}

#[test]
fn ir_and_bpf_of_different_modules_do_not_go_together() {
    let changes = [
        ("capacity 64", "capacity 65", "capacity of state `seen` differs: the IR has 65, the BPF has 64"),
        (
            "hash refuse",
            "hash evict_oldest",
            "kind of state `known` differs: the IR has lru_hash, the BPF has hash",
        ),
        (
            "fields(count: u32)",
            "fields(count: u32, more: u64)",
            "value size of state `seen` differs: the IR has 40, the BPF has 32",
        ),
        (
            "filter many",
            "filter other",
            "filter `other` differs: the IR has it, the BPF has no program of this name",
        ),
        (
            "state m2 ports",
            "state m2 doors",
            "state `doors` differs: the IR has it, the BPF has no map of this name",
        ),
    ];
    for (from, to, message) in changes {
        let other = text::read(&MODULE.replacen(from, to, 1)).unwrap();
        let sections = vec![
            (IR_SECTION.to_owned(), other.to_string().into_bytes()),
            (SCHEMA_SECTION.to_owned(), serde_json::to_vec(&schema(&other)).unwrap()),
            (CERT_SECTION.to_owned(), br#"{"filters":[],"state_bytes":0}"#.to_vec()),
        ];
        let error = refused(&object(&checked(), sections));
        assert_eq!(error.to_string(), message);
        assert_eq!(error.code(), "oko::load::mismatch");
    }
}

#[test]
fn ir_that_is_not_right_is_refused() {
    let cases = [
        ("oko.ir 1\nfilter f -> bool {", "oko::load::section"),
        ("\u{ff}", "oko::load::section"),
        (
            "oko.ir 1\nfilter many -> bool {\nblock0:\n    v0 = const 1\n    return v0\n}\n",
            "oko::load::ir_refused",
        ),
    ];
    for (text, code) in cases {
        let module =
            verify(text::read("oko.ir 1 filter many -> bool { block0: v0 = true return v0 }").unwrap())
                .unwrap();
        let sections = vec![
            (IR_SECTION.to_owned(), text.as_bytes().to_vec()),
            (SCHEMA_SECTION.to_owned(), serde_json::to_vec(&schema(module.module())).unwrap()),
            (CERT_SECTION.to_owned(), br#"{"filters":[],"state_bytes":0}"#.to_vec()),
        ];
        let error = refused(&object(&module, sections));
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_missing_section_is_named() {
    let all = [
        (IR_SECTION.to_owned(), checked().module().to_string().into_bytes()),
        (SCHEMA_SECTION.to_owned(), serde_json::to_vec(&schema(checked().module())).unwrap()),
        (CERT_SECTION.to_owned(), br#"{"filters":[],"state_bytes":0}"#.to_vec()),
    ];
    for missing in 0..all.len() {
        let mut sections = all.to_vec();
        let (name, _) = sections.remove(missing);
        let error = refused(&object(&checked(), sections));
        assert_eq!(error.code(), "oko::load::missing_section");
        assert!(error.to_string().contains(&name), "{error}");
    }
    // None of them: an object as clang makes it. It runs, on BPF.
    let foreign = object(&checked(), Vec::new());
    assert_eq!(Instance::load(&foreign, &LoadOptions::default()).unwrap().engine(), Engine::BpfJit);
    let options = LoadOptions { engine: Some(Engine::Native), ..LoadOptions::default() };
    let error = Instance::load(&foreign, &options).unwrap_err();
    assert_eq!(error.code(), "oko::load::engine_unavailable");
}

#[test]
fn what_is_no_object_is_refused() {
    let mut other_machine = artifact(&checked());
    other_machine[18] = 62;
    let cases: [(&[u8], &str); 4] = [
        (b"", "oko::load::not_elf"),
        (b"filter f -> bool { true }", "oko::load::not_elf"),
        (&std::fs::read("/proc/self/exe").unwrap(), "oko::load::foreign"),
        (&other_machine, "oko::load::foreign"),
    ];
    for (bytes, code) in cases {
        let error = refused(bytes);
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_program_that_the_verifier_refuses_comes_with_its_report() {
    use oko_bpf::isa::{Insn, Reg, Size};
    use oko_bpf::object::write::{ProgramSpec, Spec};
    // Reads the packet without having compared anything.
    let insns =
        vec![Insn::load(Size::W, Reg::R2, Reg::R1, 0), Insn::load(Size::B, Reg::R0, Reg::R2, 20), Insn::Exit];
    let programs = vec![ProgramSpec { name: "rash".to_owned(), insns, lines: Vec::new() }];
    let spec = Spec {
        context: oko_bpf::object::write::Context::Xdp,
        programs,
        maps: Vec::new(),
        data: Vec::new(),
        rodata: Vec::new(),
        license: "GPL".into(),
        extra: Vec::new(),
    };
    let error = refused(&oko_bpf::object::write(&spec).unwrap());
    assert_eq!(error.code(), "oko::load::bpf_refused");
    let text = error.to_string();
    assert!(text.contains("`rash`") && text.contains("instruction 1"), "{text}");
}

#[test]
fn state_beyond_the_limit_is_refused() {
    let object = artifact(&checked());
    let options = LoadOptions { max_state_bytes: 1_000, ..LoadOptions::default() };
    let error = Instance::load(&object, &options).unwrap_err();
    assert_eq!(error.code(), "oko::load::too_much_state");
}

#[test]
fn params_and_states_are_found_by_name() {
    for engine in Engine::ALL {
        let instance = load(&artifact(&checked()), engine);
        assert_eq!(instance.param("limit"), Ok(3));
        assert_eq!(instance.set_param("limit", 100), Ok(()));
        assert_eq!(
            instance.set_param("limit", 101),
            Err(ParamError::OutOfRange { name: "limit".into(), found: 101, min: 1, max: 100 })
        );
        assert_eq!(instance.param("limit"), Ok(100));
        let unknown = instance.param("limits").unwrap_err();
        assert_eq!(unknown.to_string(), "no param `limits`; there are: limit");
        let unknown = instance.state_snapshot("sen", 1).unwrap_err();
        assert_eq!(unknown.to_string(), "no state `sen`; there are: seen, known, ports");
        assert!(instance.filter("many").is_some() && instance.filter("none").is_none());
    }
}

#[test]
fn state_is_read_and_deleted_by_key() {
    for engine in [Engine::Native, Engine::BpfJit, Engine::BpfInterp] {
        let instance = load(&artifact(&checked()), engine);
        let many = instance.filter("many").unwrap();
        let verdicts: Vec<bool> =
            (1..=5).map(|now| instance.run(many, Packet::new(&[], 7), now).is_match()).collect();
        assert_eq!(verdicts, [false, false, false, true, true]);
        let key = 7_u32.to_ne_bytes();
        let entry = instance.state_read("seen", &key, 6).unwrap().unwrap();
        assert_eq!((entry.key, entry.fields), (vec![7], vec![5]));
        assert_eq!((entry.written_at, entry.expires_at), (5, 1_000_000_005));
        assert_eq!(instance.state_read("seen", &key, 1_000_000_005), Ok(None), "it has expired");
        let size = StateError::KeySize { name: "seen".into(), found: 3, expected: 4 };
        assert_eq!(instance.state_read("seen", &[1, 2, 3], 6), Err(size));
        assert_eq!(instance.state_delete("seen", &key), Ok(true));
        assert_eq!(instance.state_delete("seen", &key), Ok(false));
        assert!(!instance.run(many, Packet::new(&[], 7), 8).is_match(), "it starts from nothing");
        instance.state_clear("seen").unwrap();
        assert_eq!(instance.state_snapshot("seen", 9).unwrap().entries, []);
    }
}

/// Maps have indices of 32 bits; one beyond these must not become another one.
#[test]
fn no_index_beyond_an_array_is_written() {
    const MODULE: &str = "
oko.ir 1
state m0 entries: array, capacity 4, key(index: u64), fields(n: u64)
state m1 bits: words, capacity 4
filter sum -> bool {
block0:
    v0 = const 3
    v1 = word.get m1, v0
    find m0(v0), block1, block2
block1(v2: entry m0):
    jump block2
block2:
    v3 = eq v1, v0
    return v3
}
";
    let object = artifact(&verify(text::read(MODULE).unwrap()).unwrap());
    for engine in [Engine::Native, Engine::BpfJit, Engine::BpfInterp] {
        let instance = load(&object, engine);
        for name in ["entries", "bits"] {
            let write = |index| instance.state_write(name, &[index], &[1], u64::MAX, 1);
            for index in [4, u64::from(u32::MAX), 1 << 32, (1 << 32) + 3, u64::MAX] {
                let refused = StateError::NoEntry { name: name.into(), capacity: 4 };
                assert_eq!(write(index), Err(refused), "{engine}, {name}, {index}");
            }
            assert_eq!(instance.state_snapshot(name, 2).unwrap().entries, [], "{engine}, {name}");
            assert_eq!(write(3), Ok(()));
            assert_eq!(instance.state_snapshot(name, 2).unwrap().entries[0].key, [3], "{engine}, {name}");
        }
    }
}

#[test]
fn refused_keys_are_counted() {
    for engine in Engine::ALL {
        let instance = load(&artifact(&checked()), engine);
        let size = instance.filter("size").unwrap();
        let classes: Vec<u32> =
            (0..10).map(|port| instance.run(size, Packet::new(&[], port), 1).class()).collect();
        assert_eq!(classes, [0, 0, 0, 0, 0, 0, 0, 0, 2, 2], "{engine}");
        let states = instance.states();
        let known = states.iter().find(|state| state.name == "known").unwrap();
        assert_eq!((known.len, known.refused), (8, 2), "{engine}");
        assert_eq!(instance.stats(size).classes, [8, 0, 2]);
    }
}

/// Loads what is left of an artifact for each engine and runs it; says whether any engine took it.
fn survives(bytes: &[u8]) -> bool {
    let instances = Engine::ALL.map(|engine| {
        let options =
            LoadOptions { engine: Some(engine), max_state_bytes: 64 << 20, ..LoadOptions::default() };
        // It may be another program by now, one that is just as safe.
        Instance::load(bytes, &options).map(|instance| answers(&instance))
    });
    instances.iter().any(Result::is_ok)
}

fn answers(instance: &Instance) -> Vec<u32> {
    let packets: Vec<Vec<u8>> = (0..20_u8).map(|len| (0..len).collect()).collect();
    let mut answers = Vec::new();
    for filter in instance.filters() {
        for (packet, now) in packets.iter().zip(1..) {
            answers.push(instance.run(filter.id, Packet::new(packet, 3), now).class());
        }
    }
    answers
}

#[test]
fn a_truncated_artifact_is_refused() {
    let object = artifact(&checked());
    for len in (0..object.len()).step_by(64) {
        let error = refused(&object[..len]);
        assert!(error.code().starts_with("oko::load::"), "{len} bytes: {error}");
    }
}

#[test]
fn no_flipped_byte_makes_loading_or_running_panic() {
    let object = artifact(&checked());
    let mut loaded = 0;
    let places = (0..object.len()).step_by(23);
    let count = places.len();
    for at in places {
        let mut bytes = object.clone();
        bytes[at] ^= 1 << (at % 8);
        loaded += usize::from(survives(&bytes));
    }
    // Strings, padding and line tables are not vital; most of the rest is.
    assert!(loaded < count / 2, "{loaded} of {count} were loaded");
}
