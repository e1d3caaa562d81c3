//! Object files from people who mean harm: whatever is in one, reading it and verifying what it holds gives an answer, takes no more memory than is written down in
//! `oko_bpf::object`, and panics nowhere.
//!
//! Damage is done where it hurts: to the fields of headers, sections, symbols, relocations and types, with values that other
//! fields make interesting (overlapping sections, counts beyond the end, indices of something else, types that contain themselves). What a seed does is always the same.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "generator/rng.rs"]
mod rng;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use oko_bpf::isa::{AluOp, Cond, Imm64, Insn, Reg, Size};
use oko_bpf::object::write::{Context, MapSpec, Member, MemberKind, ProgramSpec, Spec, Struct, VariableSpec};
use oko_bpf::object::{Abi, MAX_TOTAL_BYTES, read_as, write};
use oko_bpf::program::{LineInfo, MapKind};
use oko_bpf::verifier::{Limits, verify_within};
use rng::Rng;

/// The system's allocator, and how much is taken from it.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What reading may take beside what the constants of the reader bound: indices over sections, symbols and strings.
const BESIDE: usize = 16 << 20;
/// What verification may take.
const LIMITS: Limits = Limits { slots: 1 << 12, steps: 1 << 11, bytes: 4 << 20 };

/// Numbers of the width of a field.
#[derive(Clone, Copy)]
struct Field {
    at: usize,
    bytes: usize,
}

/// The fields of an object that others rely on, found as a reader of ELF finds them.
struct Anatomy {
    fields: Vec<Field>,
    /// What sections begin and end with, and how many there are of everything: values that fit somewhere.
    values: Vec<u64>,
}

fn number(bytes: &[u8], field: Field) -> u64 {
    let mut word = [0; 8];
    word[..field.bytes].copy_from_slice(&bytes[field.at..field.at + field.bytes]);
    u64::from_le_bytes(word)
}

impl Anatomy {
    fn of(object: &[u8]) -> Anatomy {
        let get = |at, bytes| number(object, Field { at, bytes });
        let mut fields = Vec::new();
        let mut add = |at: usize, widths: &[usize]| {
            let mut at = at;
            for &bytes in widths {
                if at + bytes <= object.len() {
                    fields.push(Field { at, bytes });
                }
                at += bytes;
            }
        };
        // The header: type, machine, version, entry, tables, flags, sizes, counts, names.
        add(16, &[2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2]);
        let (table, count, names) = (get(40, 8) as usize, get(60, 2) as usize, get(62, 2) as usize);
        let names = get(table + names * 64 + 24, 8) as usize;
        let mut values = vec![table as u64, count as u64, object.len() as u64];
        for section in 0..count {
            let row = table + section * 64;
            add(row, &[4, 4, 8, 8, 8, 8, 4, 4, 8, 8]);
            let (kind, start, size) = (get(row + 4, 4), get(row + 24, 8) as usize, get(row + 32, 8) as usize);
            values.extend([start as u64, size as u64, (start + size) as u64]);
            let name = names + get(row, 4) as usize;
            let name = object[name..].split(|byte| *byte == 0).next().unwrap();
            match kind {
                // Symbols and relocations.
                2 => (0..size / 24).for_each(|index| add(start + index * 24, &[4, 1, 1, 2, 8, 8])),
                9 => (0..size / 16).for_each(|index| add(start + index * 16, &[8, 4, 4])),
                // Types, lines and map definitions are words; a word of code is an operand or an instruction.
                1 if [&b".BTF"[..], b".BTF.ext", b"maps", b".data"].contains(&name) => {
                    add(start, &vec![4; size / 4]);
                }
                1 => add(start, &vec![4; (size / 4).min(64)]),
                _ => {}
            }
        }
        Anatomy { fields, values }
    }

    /// Changes a few fields.
    fn damage(&self, object: &[u8], rng: &mut Rng) -> Vec<u8> {
        let mut bytes = object.to_vec();
        for _ in 0..1 + rng.below(4) {
            let field = self.fields[rng.below(self.fields.len() as u64) as usize];
            let old = number(&bytes, field);
            let any = self.values[rng.below(self.values.len() as u64) as usize];
            let other = self.fields[rng.below(self.fields.len() as u64) as usize];
            let new = match rng.below(10) {
                0 => 0,
                1 => u64::MAX,
                2 => old.wrapping_add(1 + rng.below(16)),
                3 => old.wrapping_sub(1 + rng.below(16)),
                4 => old ^ 1 << rng.below(8 * field.bytes as u64),
                5 => any,
                6 => any.wrapping_add(rng.below(64)).wrapping_sub(32),
                7 => number(&bytes, other),
                8 => rng.below(64),
                _ => rng.next() >> rng.below(64),
            };
            bytes[field.at..field.at + field.bytes].copy_from_slice(&new.to_le_bytes()[..field.bytes]);
        }
        if rng.chance(5) {
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        }
        bytes
    }
}

/// What our writer makes: two programs, one of which calls a function, maps of two kinds, a variable, lines.
fn written() -> Vec<u8> {
    let uint = |name: &str, offset, size| Member { name: name.into(), offset, kind: MemberKind::Uint(size) };
    let key = Struct { size: 4, members: vec![uint("k", 0, Size::W)] };
    let value = Struct {
        size: 16,
        members: vec![
            Member { name: "lock".into(), offset: 0, kind: MemberKind::SpinLock },
            uint("n", 8, Size::Dw),
        ],
    };
    let map = |name: &str, kind| MapSpec {
        name: name.into(),
        kind,
        max_entries: 16,
        key: key.clone(),
        value: value.clone(),
    };
    let variable = VariableSpec { name: "param".into(), offset: 0, init: vec![5; 8] };
    let insns = [
        &Insn::load_imm64(Reg::R1, Imm64::Map(0))[..],
        &Insn::load_imm64(Reg::R6, Imm64::MapValue { map: 2, off: 0 }),
        &[
            Insn::store(Size::W, Reg::R10, -4, 7),
            Insn::mov64(Reg::R2, Reg::R10),
            Insn::alu64(AluOp::Add, Reg::R2, -4),
            Insn::call(1),
            Insn::branch64(Cond::Eq, Reg::R0, 0, 1),
            Insn::load(Size::Dw, Reg::R6, Reg::R0, 8),
            Insn::mov64(Reg::R0, 2),
            Insn::Exit,
        ],
    ]
    .concat();
    let calling = vec![Insn::CallLocal { off: 1 }, Insn::Exit, Insn::mov64(Reg::R0, 2), Insn::Exit];
    let lines = (0..6).map(|slot| LineInfo { slot, file: "a.oko".into(), line: slot, text: "filter".into() });
    write(&Spec {
        context: Context::Xdp,
        programs: vec![
            ProgramSpec { name: "first".into(), insns, lines: lines.collect() },
            ProgramSpec { name: "second".into(), insns: calling, lines: Vec::new() },
        ],
        maps: vec![map("hash", MapKind::Hash), map("array", MapKind::Array)],
        data: vec![variable],
        ..Spec::default()
    })
    .unwrap()
}

/// The objects that are damaged, and what they are read as.
fn subjects() -> Vec<(&'static str, Vec<u8>, Abi)> {
    let mut all = vec![
        ("clang", include_bytes!("../src/object/testdata/sample.o").to_vec(), Abi::Linux),
        ("written", written(), Abi::Linux),
        (
            "clang, as of the first Oko",
            include_bytes!("../src/object/testdata/sample.o").to_vec(),
            Abi::Original,
        ),
    ];
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/original/tcp_diagnosis.c");
    let clang = std::process::Command::new("clang");
    let object = { clang }.args(["-target", "bpf", "-O2", "-g", "-c", source, "-o", "-"]).output();
    match object {
        Ok(output) if output.status.success() => all.push(("of the first Oko", output.stdout, Abi::Original)),
        _ => eprintln!("skipped: no clang here that makes an object of the first Oko"),
    }
    all
}

/// What became of a damaged object: the error without its numbers and names, or that it was accepted.
fn judge(bytes: &[u8], abi: Abi) -> String {
    let object = match read_as(bytes, abi) {
        Ok(object) => object,
        Err(error) => {
            let kind = format!("{:?}", error.kind);
            return kind.split([' ', '(']).next().unwrap_or_default().to_owned();
        }
    };
    let mut verdict = "read".to_owned();
    for program in object.programs {
        if verify_within(program, &LIMITS).is_ok() {
            verdict = "verified".to_owned();
        }
    }
    verdict
}

/// Damages each subject so often; gives how often there was each outcome.
fn attack(rounds: u64, start: u64) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for (name, object, abi) in subjects() {
        assert!(judge(&object, abi) == "verified" || name.contains("as of"), "{name}");
        let anatomy = Anatomy::of(&object);
        for seed in start..start + rounds {
            let bytes = anatomy.damage(&object, &mut Rng(seed));
            let before = TAKEN.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let outcome = catch_unwind(AssertUnwindSafe(|| judge(&bytes, abi)));
            let outcome = outcome.unwrap_or_else(|_| panic!("{name}, seed {seed}: panics"));
            let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
            let limit = MAX_TOTAL_BYTES + LIMITS.bytes + BESIDE;
            assert!(taken <= limit, "{name}, seed {seed}: {taken} bytes for an object of {}", bytes.len());
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    outcomes
}

#[test]
fn hostile_objects_are_answered() {
    let outcomes = attack(1_500, 0);
    // The damage reaches what it is meant for: many kinds of errors are seen, and not everything is one.
    assert!(outcomes.len() >= 18, "{outcomes:#?}");
    assert!(outcomes.contains_key("verified"), "{outcomes:#?}");
    types_that_contain_themselves_have_no_size();
    counts_beyond_the_file_take_no_memory();
}

/// `OKO_HOSTILE_ROUNDS=1000000 cargo test --release -p oko-bpf --test hostile_objects -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as it is told to"]
fn hostile_objects_are_answered_for_long() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(default)
    };
    let (start, rounds) = (number("OKO_HOSTILE_START", 1 << 32), number("OKO_HOSTILE_ROUNDS", 100_000));
    let outcomes = attack(rounds, start);
    println!("{rounds} rounds: {outcomes:#?}");
}

/// A section of types, each `[name, info, size or type, more …]`.
fn types(types: &[Vec<u32>]) -> Vec<u8> {
    let body: Vec<u32> = types.concat();
    let len = body.len() as u32 * 4;
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, len, len, 1].into_iter().chain(body) {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.push(0);
    bytes
}

// Called by the one test above, for what is counted is what the whole process takes.
fn types_that_contain_themselves_have_no_size() {
    let (pointer, array, structure, typedef) = (2 << 24, 3 << 24, 4 << 24 | 1, 8 << 24);
    let cases = [
        ("a typedef of itself", vec![vec![0, typedef, 1]]),
        ("two typedefs of each other", vec![vec![0, typedef, 2], vec![0, typedef, 1]]),
        ("an array of itself", vec![vec![0, array, 0, 1, 1, 2]]),
        ("a typedef of an array of it", vec![vec![0, typedef, 2], vec![0, array, 0, 1, 1, 1]]),
        ("a type that is not there", vec![vec![0, typedef, 9]]),
        (
            "an array of more bytes than there are",
            vec![
                vec![0, array, 0, 2, 2, u32::MAX],
                vec![0, array, 0, 3, 3, u32::MAX],
                vec![0, 1 << 24, 8, 64],
            ],
        ),
    ];
    for (what, list) in cases {
        let btf = oko_bpf::object::btf::Btf::parse(&types(&list)).unwrap();
        assert_eq!(btf.size_of(1), None, "{what}");
        assert_eq!(btf.lock_offset(1), None, "{what}");
    }
    // What points to itself has a size, and what contains itself says which.
    let btf = oko_bpf::object::btf::Btf::parse(&types(&[vec![0, pointer, 1]])).unwrap();
    assert_eq!(btf.size_of(1), Some(8));
    let btf = oko_bpf::object::btf::Btf::parse(&types(&[vec![0, structure, 12, 0, 1, 0]])).unwrap();
    assert_eq!((btf.size_of(1), btf.lock_offset(1)), (Some(12), None));
    // A thousand arrays of arrays: not followed that deep.
    let deep: Vec<Vec<u32>> = (2..1_002).map(|next| vec![0, array, 0, next, next, 1]).collect();
    assert_eq!(oko_bpf::object::btf::Btf::parse(&types(&deep)).unwrap().size_of(1), None);
}

fn counts_beyond_the_file_take_no_memory() {
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    // A struct, an enum, a function and a section that announce 65,535 members and end there.
    for kind in [4, 5, 6, 13, 15, 19] {
        let error = oko_bpf::object::btf::Btf::parse(&types(&[vec![0, kind << 24 | 0xffff, 8]])).unwrap_err();
        assert!(error.to_string().contains("truncated"), "kind {kind}: {error}");
    }
    let taken = MOST.load(Ordering::Relaxed) - before;
    assert!(taken < 1 << 20, "{taken} bytes");
}
