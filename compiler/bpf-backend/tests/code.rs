//! Facts about the code and the objects: our own verifier accepts all of it, what is written is read back as it was, and the
//! few things that users of the objects rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_bpf::isa::Insn;
use oko_bpf::object::read;
use oko_bpf::program::MapKind;
use oko_bpf::verifier;
use oko_bpf_backend::{
    BackendError, Clock, Compiled, LOCKS_MAP, Linux, NOW_VARIABLE, OnMatch, Options, Registers, SPILL_MAP,
    Target, Verifier, ZERO_VARIABLE, compile, listing, object,
};
use oko_ir::testing::generate;
use oko_ir::{Checked, text, verify};
use proptest::collection::vec;
use proptest::prelude::*;

fn checked(text: &str) -> Checked {
    verify(text::read(text).unwrap()).unwrap()
}

fn object_of(checked: &Checked, compiled: &Compiled) -> Vec<u8> {
    object::write(checked, compiled, |_, _| None, Vec::new()).unwrap()
}

const FLOOD: &str = r#"oko.ir 1
file 0 "flood.oko"
param p0 excess: 1 to 1000, default 10
state m0 servers: hash evict_oldest, capacity 1024, key(dst: u32, port: u16), fields(count: u64, "0": u8)
state m1 open: hash refuse, capacity 16, key(port: u16), fields(count: u32)
state m2 ports: array, capacity 65536, key(port: u16), fields()

filter flooding -> bool {
block0:
    v0 = const 0
    window v0, 34, block1, block2 @0:3
block1(v1: window 34):
    v2 = load.be32 v1, 30 @0:4
    v14 = load.be16 v1, 12 @0:4
    slot m0(v2, v14), block3, block2 @0:4
block2:
    v3 = false
    return v3 @0:9
block3(v4: entry m0):
    v5 = lock v4 @0:5
    v6 = get v4, f0 @0:5
    v7 = const 1
    v8 = add v6, v7 @0:5
    set v4, f0, v8 @0:5
    v9 = now
    v10 = const 60000000000
    v11 = add v9, v10
    unlock.touch v4, v11 @0:5
    v12 = param p0
    v13 = ult v12, v8 @0:6
    return v13 @0:6
}

filter counting -> bool {
block0:
    v0 = pkt.len
    slot m1(v0), block1, block2
block1(v1: entry m1):
    v2 = lock v1
    unlock.clear v1
    return v2
block2:
    find m2(v0), block3, block4
block3(v3: entry m2):
    v4 = lock v3
    unlock.keep v3
    return v4
block4:
    v5 = true
    return v5
}
"#;

#[test]
fn an_object_holds_what_its_users_look_for() {
    let checked = checked(FLOOD);
    let compiled = compile(&checked, Options { clock: Clock::Injected, ..Options::default() }).unwrap();
    let bytes = object_of(&checked, &compiled);
    let file = read(&bytes).unwrap();
    let maps: Vec<_> = file
        .maps
        .iter()
        .map(|map| {
            (map.name.as_str(), map.kind, map.key_size, map.value_size, map.max_entries, map.lock_offset)
        })
        .collect();
    assert_eq!(
        maps,
        [
            // Linux allows no lock in an LRU hash map.
            ("servers", MapKind::LruHash, 8, 40, 1024, None),
            ("open", MapKind::Hash, 2, 32, 16, Some(0)),
            ("ports", MapKind::Array, 4, 24, 65536, Some(0)),
            (LOCKS_MAP, MapKind::Array, 4, 4, 1024, Some(0)),
            (".data", MapKind::Array, 4, 16, 1, None),
            (".rodata", MapKind::Array, 4, 40, 1, None),
        ]
    );
    let variables: Vec<_> = file
        .variables
        .iter()
        .map(|variable| (variable.name.as_str(), variable.map, variable.offset))
        .collect();
    assert_eq!(variables, [("excess", 4, 0), (NOW_VARIABLE, 4, 8), (ZERO_VARIABLE, 5, 0)]);
    assert_eq!(file.maps[4].data.as_ref().unwrap().init[..8], 10u64.to_le_bytes());
    assert_eq!(file.program_sections, ["xdp", "xdp"]);
    for (program, given) in file.programs.iter().zip(&compiled.programs) {
        assert_eq!((&program.name, &program.insns), (&given.name, &given.insns));
        assert_eq!(program.lines, given.lines);
    }
    let lines: Vec<_> = file.programs[0].lines.iter().map(|line| line.line).collect();
    assert_eq!(lines[..2], [3, 4]);
    assert_eq!(file.programs[0].lines[0].slot, 0);
}

/// A loop of so many turns.
fn turning(turns: u32) -> String {
    format!(
        r#"oko.ir 1
filter turning -> bool {{
block0:
    v0 = const 0
    jump block1(v0, v0)
block1(v1: int, v2: int):
    repeat v1, {turns}, block2, block3
block2:
    v3 = pkt.len
    v4 = xor v2, v3
    v5 = const 1
    v6 = add v1, v5
    jump block1(v6, v4)
block3:
    v7 = const 9
    v8 = ult v2, v7
    return v8
}}
"#
    )
}

#[test]
fn linux_takes_64_maps_of_a_program() {
    let text = |states: usize| {
        let decls: String = (0..states)
            .map(|n| format!("state m{n} s{n}: hash refuse, capacity 4, key(k: u32), fields()\n"))
            .collect();
        // Each block looks into a state, found or not.
        let looks: String = (0..states)
            .map(|n| format!("block{}:\n    find m{n}(v0), block{}, block{}\nblock{}(v{}: entry m{n}):\n    jump block{}\n", 2 * n + 1, 2 * n + 2, 2 * n + 3, 2 * n + 2, n + 1, 2 * n + 3))
            .collect();
        let end =
            format!("block{}:\n    v{} = true\n    return v{}\n", 2 * states + 1, states + 1, states + 1);
        format!(
            "oko.ir 1\n{decls}filter many -> bool {{\nblock0:\n    v0 = pkt.len\n    jump block1\n{looks}{end}}}\n"
        )
    };
    let compiled =
        |states, target| compile(&checked(&text(states)), Options { target, ..Options::default() });
    let xdp = Target::Xdp(OnMatch::Drop);
    assert!(compiled(64, xdp).is_ok() && compiled(65, Target::Switch).is_ok());
    assert_eq!(
        compiled(65, xdp).unwrap_err(),
        BackendError::Maps { filter: "many".into(), maps: 65, limit: 64 }
    );
}

#[test]
fn long_loops_have_guards_for_linux_alone() {
    for (turns, verifier, guarded) in
        [(1_000, Verifier::Linux, false), (6_000, Verifier::Linux, true), (6_000, Verifier::Oko, false)]
    {
        let checked = checked(&turning(turns));
        let compiled = compile(&checked, Options { verifier, ..Options::default() }).unwrap();
        let program = &compiled.programs[0];
        let guards = program.insns.iter().filter(|insn| matches!(insn, Insn::MayGoto { .. })).count();
        assert_eq!(guards, usize::from(guarded), "{turns}, {verifier:?}");
        assert_eq!(program.linux, guarded.then_some(Linux::V6_9), "{turns}, {verifier:?}");
        // Ours proves what is counted and nothing else.
        let file = object_of(&checked, &compiled);
        let verdict = verifier::verify(read(&file).unwrap().programs.remove(0));
        assert_eq!(verdict.is_err(), guarded, "{turns}, {verifier:?}");
    }
}

#[test]
fn the_helper_is_asked_for_the_time_once_and_only_on_the_way_that_needs_it() {
    let checked = checked(FLOOD);
    let compiled = compile(&checked, Options::default()).unwrap();
    let text = listing(&checked, &compiled, |_, line| Some(format!("source line {line}")));
    let flooding = &text[..text.find("counting:").unwrap()];
    assert_eq!(flooding.matches("call 5").count(), 1, "{flooding}");
    let (before, _) = flooding.split_once("call 5").unwrap();
    assert!(before.contains("block3("), "{flooding}");
    assert!(flooding.contains(";; flood.oko:4 source line 4"), "{flooding}");
    assert!(flooding.contains("; v5 = lock v4"), "{flooding}");
}

#[test]
fn our_own_names_are_refused() {
    for name in [LOCKS_MAP, NOW_VARIABLE, ZERO_VARIABLE] {
        let text = FLOOD.replace("excess", name);
        let error = compile(&checked(&text), Options::default()).unwrap_err();
        assert_eq!(error, BackendError::ReservedName { name: name.into() });
    }
}

#[test]
fn values_that_the_stack_has_no_room_for_go_to_a_map() {
    let loads: String = (0..80).map(|i| format!("    v{} = load.be8 v1, {i}\n", i + 2)).collect();
    let sums: String = (0..79)
        .map(|i| format!("    v{} = {} v{}, v{}\n", 82 + i, "add", if i == 0 { 2 } else { 81 + i }, i + 3))
        .collect();
    let text = format!(
        "oko.ir 1\n\nfilter f -> bool {{\nblock0:\n    v0 = const 0\n    window v0, 80, block1, block2\nblock1(v1: window 80):\n{loads}{sums}    v161 = const 9\n    v162 = eq v160, v161\n    return v162\nblock2:\n    v163 = false\n    return v163\n}}\n"
    );
    let checked = checked(&text);
    let compiled = compile(&checked, Options::default()).unwrap();
    assert!(compiled.spill_bytes > 0 && compiled.programs[0].stack_bytes <= 512);
    let bytes = object_of(&checked, &compiled);
    let file = read(&bytes).unwrap();
    let spill = file.maps.iter().find(|map| map.name == SPILL_MAP).unwrap();
    assert_eq!((spill.kind, spill.value_size), (MapKind::PercpuArray, compiled.spill_bytes));
    if let Err(error) = verifier::verify(file.programs[0].clone()) {
        panic!("{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn our_verifier_accepts_random_modules(choices in vec(any::<u32>(), 0..600), few in any::<bool>()) {
        let registers = if few { Registers::Few } else { Registers::All };
        let checked = verify(generate::module(&choices, generate::Options::ALL)).unwrap();
        let compiled = match compile(&checked, Options { clock: Clock::Helper, registers, ..Options::default() }) {
            Err(BackendError::WordUnderLock { .. }) => return Ok(()),
            compiled => compiled.unwrap(),
        };
        let bytes = object_of(&checked, &compiled);
        let file = read(&bytes).unwrap();
        for (program, given) in file.programs.iter().zip(&compiled.programs) {
            prop_assert_eq!(&program.insns, &given.insns);
            if let Err(error) = verifier::verify(program.clone()) {
                let listing = listing(&checked, &compiled, |_, _| None);
                return Err(TestCaseError::fail(format!("{}: {error}\n{listing}", program.name)));
            }
        }
    }
}
