//! Facts about reading and writing objects: what is written is read back, what clang writes is understood, and nothing
//! that comes in makes the reader panic.

use proptest::prelude::*;

use super::write::{MapSpec, Member, MemberKind, ProgramSpec, Spec, Struct, VariableSpec};
use super::{ObjectErrorKind, Place, btf::Btf, read, write};
use crate::isa::{AluOp, Cond, Imm64, Insn, Reg, Size};
use crate::program::{LineInfo, MapKind, Program};

/// Made by clang from `testdata/sample.c`.
const SAMPLE: &[u8] = include_bytes!("testdata/sample.o");

fn spec() -> Spec {
    let uint = |name: &str, offset, size| Member { name: name.into(), offset, kind: MemberKind::Uint(size) };
    let load = |dst, imm| Insn::load_imm64(dst, imm);
    let insns = [
        &load(Reg::R1, Imm64::Map(0))[..],
        &load(Reg::R2, Imm64::MapValue { map: 2, off: 8 }),
        &load(Reg::R3, Imm64::MapValue { map: 3, off: 0 }),
        &load(Reg::R4, Imm64::Value(0x0123_4567_89ab_cdef)),
        &[
            Insn::load(Size::Dw, Reg::R2, Reg::R2, 0),
            Insn::branch64(Cond::Gt, Reg::R2, 5, 1),
            Insn::alu64(AluOp::Add, Reg::R2, Reg::R4),
            Insn::mov64(Reg::R0, 2),
            Insn::Exit,
        ],
    ]
    .concat();
    let line = |slot, line| LineInfo { slot, file: "a.oko".into(), line, text: "filter a -> bool {".into() };
    let second = [&load(Reg::R1, Imm64::Map(1))[..], &[Insn::mov64(Reg::R0, 1), Insn::Exit]].concat();
    Spec {
        context: write::Context::Xdp,
        programs: vec![
            ProgramSpec { name: "first".into(), insns, lines: vec![line(0, 3), line(8, 4)] },
            ProgramSpec { name: "second".into(), insns: second, lines: vec![line(0, 9)] },
        ],
        maps: vec![
            MapSpec {
                name: "servers".into(),
                kind: MapKind::Hash,
                max_entries: 16,
                key: Struct { size: 8, members: vec![uint("0", 0, Size::W), uint("port", 4, Size::H)] },
                value: Struct {
                    size: 32,
                    members: vec![
                        Member { name: "lock".into(), offset: 0, kind: MemberKind::SpinLock },
                        uint("pad", 4, Size::W),
                        uint("expires_at", 8, Size::Dw),
                        uint("written_at", 16, Size::Dw),
                        uint("opened.count", 24, Size::B),
                    ],
                },
            },
            MapSpec {
                name: "oko_locks".into(),
                kind: MapKind::Array,
                max_entries: 8,
                key: Struct { size: 4, members: vec![uint("index", 0, Size::W)] },
                value: Struct {
                    size: 4,
                    members: vec![Member { name: "lock".into(), offset: 0, kind: MemberKind::SpinLock }],
                },
            },
        ],
        data: vec![
            VariableSpec { name: "excess".into(), offset: 0, init: 7u64.to_le_bytes().to_vec() },
            VariableSpec { name: "limit".into(), offset: 8, init: 9u64.to_le_bytes().to_vec() },
        ],
        rodata: vec![VariableSpec { name: "oko_zero".into(), offset: 0, init: vec![0; 32] }],
        license: "GPL".into(),
        extra: vec![(".oko.ir".into(), b"filter".to_vec()), (".oko.empty".into(), Vec::new())],
    }
}

#[test]
fn what_is_written_is_read_back() {
    let spec = spec();
    let bytes = write(&spec).unwrap();
    let file = read(&bytes).unwrap();
    for (program, given) in file.programs.iter().zip(&spec.programs) {
        assert_eq!(
            (&program.name, &program.insns, &program.lines),
            (&given.name, &given.insns, &given.lines)
        );
        assert_eq!(program.maps, file.maps);
    }
    assert_eq!(file.program_sections, ["xdp", "xdp"]);
    let maps: Vec<_> = file
        .maps
        .iter()
        .map(|m| {
            (
                m.name.as_str(),
                m.kind,
                m.key_size,
                m.value_size,
                m.max_entries,
                m.lock_offset,
                m.data.is_some(),
            )
        })
        .collect();
    assert_eq!(
        maps,
        [
            ("servers", MapKind::Hash, 8, 32, 16, Some(0), false),
            ("oko_locks", MapKind::Array, 4, 4, 8, Some(0), false),
            (".data", MapKind::Array, 4, 16, 1, None, true),
            (".rodata", MapKind::Array, 4, 32, 1, None, true),
        ]
    );
    let limit = file.variable("limit").unwrap();
    assert_eq!((limit.map, limit.offset, limit.size), (2, 8, 8));
    assert_eq!(&file.maps[2].data.as_ref().unwrap().init[8..], 9u64.to_le_bytes());
    assert!(file.maps[3].data.as_ref().unwrap().readonly);
    assert_eq!(file.section(".oko.ir"), Some(&b"filter"[..]));
    assert_eq!(file.section(".oko.empty"), Some(&b""[..]));
    assert_eq!(file.section(".oko.absent"), None);
}

/// Functions go to `.text` and come back behind their callers, with lines, whoever calls whom.
#[test]
fn functions_of_a_program_are_written_and_read_back() {
    let text = "ldxw %r1, [%r1+12]
         mov %r2, 5
         call local add
         exit
         add: call local twice
         add %r0, 1
         exit
         twice: mov %r0, %r1
         add %r0, %r0
         exit";
    let insns = crate::asm::assemble(text).unwrap();
    let line = |slot| LineInfo { slot, file: "a.c".into(), line: slot + 1, text: String::new() };
    let program = |name: &str| ProgramSpec {
        name: name.into(),
        insns: insns.clone(),
        lines: vec![line(0), line(4), line(7)],
    };
    let spec = Spec { programs: vec![program("f"), program("g")], ..Spec::default() };
    let bytes = write(&spec).unwrap();
    let object = read(&bytes).unwrap();
    let names: Vec<&str> = object.programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(names, ["f", "g"], "what is called is no program");
    for (read, written) in object.programs.iter().zip(&spec.programs) {
        assert_eq!((&read.insns, &read.lines), (&written.insns, &written.lines));
        assert!(crate::verifier::verify(read.clone()).is_ok());
    }
    let outside = vec![Insn::CallLocal { off: 7 }, Insn::Exit];
    let programs = vec![ProgramSpec { name: "f".into(), insns: outside, lines: Vec::new() }];
    let error = write(&Spec { programs, ..Spec::default() }).unwrap_err();
    assert!(error.to_string().contains("a call that leaves the program"), "{error}");
}

#[test]
fn what_clang_writes_is_understood() {
    let file = read(SAMPLE).unwrap();
    let maps: Vec<_> = file
        .maps
        .iter()
        .map(|m| (m.name.as_str(), m.kind, m.key_size, m.value_size, m.max_entries, m.lock_offset))
        .collect();
    assert_eq!(
        maps,
        [
            ("seen", MapKind::Hash, 8, 16, 64, Some(8)),
            ("slots", MapKind::Array, 4, 24, 4, None),
            (".data", MapKind::Array, 4, 8, 1, None),
            (".rodata", MapKind::Array, 4, 12, 1, None),
            (".bss", MapKind::Array, 4, 8, 1, None),
        ]
    );
    assert_eq!(file.maps[2].data.as_ref().unwrap().init, 7u64.to_le_bytes());
    assert_eq!(file.programs.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["count", "second"]);
    let count = &file.programs[0];
    let imms = |program: &Program| -> Vec<Imm64> {
        program
            .insns
            .iter()
            .filter_map(|i| if let Insn::LoadImm64 { imm, .. } = i { Some(*imm) } else { None })
            .collect()
    };
    assert!(imms(count).contains(&Imm64::Map(0)));
    assert!(imms(count).contains(&Imm64::MapValue { map: 2, off: 0 }));
    assert!(imms(count).contains(&Imm64::MapValue { map: 3, off: 0 }));
    assert!(imms(count).contains(&Imm64::MapValue { map: 4, off: 0 }));
    assert_eq!(imms(&file.programs[1]), [Imm64::Map(1)]);
    let call = count.insns.iter().position(|i| matches!(i, Insn::CallLocal { .. })).unwrap();
    let target = count.insns[call].call_target(call).unwrap();
    assert_eq!(count.insns[target - 1], Insn::Exit, "the called function follows the caller");
    assert!(count.line_of(target).unwrap().text.contains("port_is_known"));
    assert!(count.line_of(0).unwrap().file.ends_with("sample.c"));
}

#[test]
fn btf_survives_a_round_trip() {
    let file = read(SAMPLE).unwrap();
    let btf = file.btf.unwrap();
    assert_eq!(Btf::parse(&btf.encode()).unwrap(), btf);
    assert_eq!(btf.encode(), read(SAMPLE).unwrap().section(".BTF").unwrap());
}

/// Replaces the only place where `from` stands in the sample.
fn patched(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = SAMPLE.to_vec();
    let places: Vec<_> = (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to patch");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn what_is_wrong_is_named() {
    let at = |offset: usize, byte: u8| {
        let mut bytes = SAMPLE.to_vec();
        bytes[offset] = byte;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "object file: expected an ELF file, found 0 bytes that start with []"),
        (
            "text",
            b"filter x".to_vec(),
            "object file: expected an ELF file, found 8 bytes that start with [66, 69, 6c, 74]",
        ),
        (
            "header only",
            SAMPLE[..40].to_vec(),
            "object file: truncated: the ELF header needs 64 bytes, found 40",
        ),
        ("ELF32", at(4, 1), "object file: class: expected ELF64, found ELF32"),
        ("big-endian", at(5, 2), "object file: byte order: expected little-endian, found big-endian"),
        ("x86-64", at(18, 62), "object file: machine: expected BPF (247), found 62"),
        ("executable", at(16, 2), "object file: type: expected relocatable (1), found 2"),
        (
            "no BTF",
            patched(b".BTF\0", b".BTX\0"),
            "section `.maps`: maps need a section `.BTF`, and there is none; compile with `clang -g`",
        ),
        (
            "BTF magic",
            patched(&[0x9f, 0xeb, 1, 0, 24, 0], &[0x9e, 0xeb, 1, 0, 24, 0]),
            "section `.BTF`: magic: expected 0xeb9f, little-endian, found 60318",
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(read(&bytes).unwrap_err().to_string(), expected, "{name}");
    }
    let half = read(&SAMPLE[..SAMPLE.len() / 2]).unwrap_err();
    let (what, expected, found) = ("the file", SAMPLE.len() as u64, SAMPLE.len() as u64 / 2);
    assert_eq!(half.kind, ObjectErrorKind::Truncated { what, expected, found });
}

#[test]
fn maps_that_cannot_be_are_refused() {
    let error = |change: fn(&mut MapSpec)| {
        let mut spec = spec();
        change(&mut spec.maps[0]);
        let bytes = write(&spec).unwrap();
        read(&bytes).unwrap_err()
    };
    let none = error(|map| map.max_entries = 0);
    assert_eq!(none.place, Place::Map("servers".into()));
    assert_eq!(none.to_string(), "map `servers`: max_entries: expected 1 or more, found 0");
    let empty = error(|map| map.value = Struct::default());
    assert_eq!(empty.to_string(), "map `servers`: value size: expected 1 or more, found 0");
    let long = error(|map| map.key.size = 513);
    assert_eq!(long.to_string(), "map `servers`: key size: expected 512 or less, found 513");
}

#[test]
fn references_to_nothing_are_not_written() {
    let mut missing = spec();
    missing.programs[0].insns[0] = Insn::LoadImm64 { dst: Reg::R1, imm: Imm64::Map(7) };
    let error = write(&missing).unwrap_err();
    assert_eq!(error.place, Place::insn("first", 0));
    let mut variable = spec();
    variable.programs[0].insns[2] = Insn::LoadImm64 { dst: Reg::R1, imm: Imm64::MapValue { map: 2, off: 4 } };
    assert_eq!(
        write(&variable).unwrap_err().to_string(),
        "section `first`, instruction 2: cannot be written: no variable at offset 4 of map 2"
    );
    let mut overlap = spec();
    overlap.maps[0].value.members[2].offset = 0;
    assert!(matches!(write(&overlap).unwrap_err().kind, ObjectErrorKind::Unwritable { .. }));
}

#[test]
fn every_truncation_is_an_error() {
    let written = write(&spec()).unwrap();
    for bytes in [SAMPLE, &written] {
        for len in 0..bytes.len() - 64 {
            assert!(read(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_do_not_panic(
        own in any::<bool>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..16),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut bytes = if own { write(&spec()).unwrap() } else { SAMPLE.to_vec() };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(file) = read(&bytes) {
            for program in &file.programs {
                for insn in &program.insns {
                    if let Insn::LoadImm64 { imm: Imm64::Map(map) | Imm64::MapValue { map, .. }, .. } = insn {
                        prop_assert!((*map as usize) < program.maps.len());
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_btf_does_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), len in 0u32..300) {
        let header = [&super::btf::MAGIC.to_le_bytes()[..], &[1, 0]].concat();
        let words = [24, 0, len, len, 20];
        let words: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.splice(0..0, [header, words].concat());
        if let Ok(btf) = Btf::parse(&bytes) {
            for id in 0..=btf.types().len() as u32 + 1 {
                let _ = (btf.size_of(id), btf.lock_offset(id), btf.name(id));
            }
        }
    }
}

/// The tools that people use on objects take ours. Skipped, with a note, where they are not installed.
#[test]
fn llvm_and_bpftool_read_what_is_written() {
    let dir = std::env::temp_dir().join(format!("oko-bpf-object-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("written.o");
    std::fs::write(&path, write(&spec()).unwrap()).unwrap();
    let tools: [(&str, &[&str], &[&str]); 2] = [
        (
            "llvm-objdump-16",
            &["-dr"],
            &[
                "<first>:",
                "R_BPF_64_64\tservers",
                "R_BPF_64_64\tlimit",
                "R_BPF_64_64\toko_zero",
                "if r2 > 0x5 goto +0x1",
            ],
        ),
        (
            "bpftool",
            &["btf", "dump", "file"],
            &[
                "STRUCT 'servers_value' size=32 vlen=5",
                "'opened_count'",
                "STRUCT 'bpf_spin_lock'",
                "FUNC 'first' type_id=",
                "DATASEC '.maps' size=64 vlen=2",
                "(VAR 'limit')",
            ],
        ),
    ];
    for (tool, args, expected) in tools {
        let output = match std::process::Command::new(tool).args(args).arg(&path).output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("SKIPPED: {tool} cannot be run: {error}");
                continue;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        for part in expected {
            assert!(text.contains(part), "{tool}: no {part:?} in\n{text}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_object_without_programs_is_none() {
    let error = read(&write(&Spec::default()).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "object file: no program: no executable section holds a function");
}
