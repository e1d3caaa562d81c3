//! Native code from BPF gives what the conformance suite says, and what the interpreter gives for verified programs.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;
/// The random programs of the verifier's own tests.
#[path = "../../bpf/tests/generator/mod.rs"]
mod generator;
/// The cases of the conformance suite.
#[path = "../../bpf/tests/suite/mod.rs"]
mod suite;

use engines::{Maps, map, packets, run, same_answers, verified};
use oko_bpf::program::{MapDef, MapKind, Program};
use oko_bpf::verified::Verified;
use oko_bpf::{asm, isa, verifier};
use oko_jit::abi::Packet;
use oko_jit::{Answer, compile_bpf, compile_bpf_over_memory};
use proptest::prelude::*;
use suite::Case;

#[test]
fn conformance() {
    let (mut ran, mut wrong, mut refused) = (0, Vec::new(), Vec::new());
    for case in Case::with_results() {
        let (name, memory, expected) = (case.name.clone(), case.memory(), case.expected().unwrap());
        let program = Program { name: name.clone(), insns: case.insns().unwrap(), ..Program::default() };
        // SAFETY: the suite's programs stay within their memory and stack.
        let code = match unsafe { compile_bpf_over_memory(&program) } {
            Ok(code) => code,
            Err(_) => {
                refused.push(name);
                continue;
            }
        };
        let mut verdicts = [0; 2];
        let packets = [Packet::new(&memory, 0)];
        // SAFETY: the programs have no maps; one packet, room for two verdicts. The suite's helper 5 answers 2^64 - 1.
        Maps(Vec::new()).with_context(u64::MAX, |context, moment| unsafe {
            code.run(context, &packets, moment, &mut verdicts);
        });
        let found = u64::from(verdicts[1]) << 32 | u64::from(verdicts[0]);
        if found != expected {
            wrong.push(format!("{name}: expected {expected:#x}, found {found:#x}"));
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "{} of {ran} cases:\n{}", wrong.len(), wrong.join("\n"));
    // Its call goes by a register, which no verifier accepts.
    assert_eq!(refused, ["callx"]);
    assert_eq!(ran, 213);
}

#[test]
fn a_packet_is_read_up_to_its_end() {
    let program = verified(
        "ldxw %r2, [%r1]
         ldxw %r3, [%r1+4]
         mov %r4, %r2
         add %r4, 14
         mov %r0, 1
         jgt %r4, %r3, out
         ldxh %r0, [%r2+12]
         be16 %r0
         ldxw %r5, [%r1+12]
         add %r0, %r5
         out: exit",
        Vec::new(),
    );
    let answers = same_answers(&program, &packets());
    assert!(answers.contains(&1) && answers.iter().any(|answer| *answer > 255));
}

/// The original's gave -1 then, for its code tested the wrong register.
#[test]
fn a_division_by_an_immediate_while_r0_is_0_divides() {
    for (operation, expected) in [("div", 14), ("mod", 2), ("div32", 14), ("mod32", 2), ("sdiv", 14)] {
        let text = format!("mov %r0, 0\n mov %r1, 100\n {operation} %r1, 7\n add %r0, %r1\n exit");
        let answers = same_answers(&verified(&text, Vec::new()), &packets()[..1]);
        assert_eq!(answers, [expected], "{operation}");
    }
}

/// As far as `gotol` reaches, which is further than the 16 bits of other jumps.
#[test]
fn a_jump_of_more_than_32_767_slots_is_taken() {
    let filler = "add %r0, 1\n".repeat(40_000);
    let text = format!(
        "ldxw %r2, [%r1+12]\n mov %r0, 0\n jeq %r2, 7, over\n ja go\n over: ja32 end\n go: {filler} end: add %r0, 3\n exit"
    );
    let program = verified(&text, Vec::new());
    // Packets come in by port 7.
    assert_eq!(same_answers(&program, &packets()[..1]), [3]);
    assert_eq!(program.max_steps(), 40_000 + 6);
}

/// A ring buffer and a Bloom filter, as C programs use them.
#[test]
fn records_and_bloom_filters_go_through_native_code() {
    let ring =
        MapDef { name: "ring".to_owned(), kind: MapKind::RingBuf, max_entries: 4096, ..MapDef::default() };
    let bloom = MapDef {
        name: "bloom".to_owned(),
        kind: MapKind::BloomFilter,
        value_size: 8,
        // So large that what was not put in is hardly ever taken for what was.
        max_entries: 100_000,
        hashes: 3,
        ..MapDef::default()
    };
    let program = verified(
        "call 188
         and %r0, 7
         mov %r6, %r0
         stxdw [%r10-8], %r6
         lddw %r1, map[1]
         mov %r2, %r10
         add %r2, -8
         call 89
         jeq %r0, 0, seen
         lddw %r1, map[1]
         mov %r2, %r10
         add %r2, -8
         mov %r3, 0
         call 87
         lddw %r1, map[0]
         mov %r2, 16
         mov %r3, 0
         call 131
         jeq %r0, 0, seen
         stxdw [%r0+0], %r6
         stdw [%r0+8], 7
         mov %r1, %r0
         mov %r2, 0
         jset %r6, 1, drop
         call 132
         mov %r0, 1
         exit
         drop: call 133
         seen: mov %r0, 2
         exit",
        vec![ring, bloom],
    );
    let code = compile_bpf(&program, Answer::Value).unwrap();
    let maps = Maps::new(program.maps());
    let answers: Vec<u32> =
        packets().iter().map(|packet| run(&code, &maps, &[Packet::new(packet, 7)], 1)[0]).collect();
    // Lengths below 8 are new to the filter once each; the even ones of them are reported.
    assert_eq!(answers.iter().filter(|answer| **answer == 1).count(), 4);
    let records = maps.0[0].ring().unwrap().drain(usize::MAX);
    let numbers: Vec<u8> = records.iter().map(|record| record[0]).collect();
    assert_eq!(numbers, [0, 2, 4, 6]);
    assert!(records.iter().all(|record| record.len() == 16 && record[8] == 7));
}

/// Of the stack it is known what was stored there, but not any more when a helper has written there.
#[test]
fn what_a_helper_writes_to_the_stack_is_read() {
    let program = verified(
        "mov %r6, %r1
         stdw [%r10-16], 7
         stdw [%r10-8], 9
         mov %r2, 0
         mov %r3, %r10
         add %r3, -8
         mov %r4, 4
         call 189
         ldxdw %r7, [%r10-16]
         mov %r1, %r6
         call 188
         call 8
         ldxdw %r0, [%r10-8]
         add %r0, %r7
         exit",
        Vec::new(),
    );
    let packets = packets();
    let first = |packet: &Vec<u8>| packet.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let expected: Vec<u32> = packets.iter().map(|packet| first(packet).wrapping_add(7)).collect();
    assert_eq!(same_answers(&program, &packets), expected);
}

#[test]
fn the_number_of_the_processor_is_that_of_the_worker() {
    let program = verified("call 8\nexit", Vec::new());
    let packets = packets();
    let own = oko_state::worker();
    assert_eq!(same_answers(&program, &packets), vec![own; packets.len()]);
    let other = std::thread::spawn(move || (oko_state::worker(), same_answers(&program, &packets)));
    let (other, answers) = other.join().unwrap();
    assert_ne!(other, own);
    assert!(answers.iter().all(|answer| *answer == other), "{answers:?}");
}

/// Counts packets in the entries of an array or hash table, under a key from the packet; `test` is how it finds out whether there is an entry.
fn counting(key: &str, kind: MapKind, entries: u32, test: &str) -> Verified {
    let text = format!(
        "ldxw %r2, [%r1]
         ldxw %r3, [%r1+4]
         mov %r0, 0
         mov %r4, %r2
         add %r4, 1
         jgt %r4, %r3, end
         ldxb %r6, [%r2]
         {key}
         stxw [%r10-4], %r6
         mov %r2, %r10
         add %r2, -4
         lddw %r1, map[0]
         call 1
         {test}
         found:
         ldxdw %r1, [%r0]
         add %r1, 1
         stxdw [%r0], %r1
         mov %r0, %r1
         ja end
         absent:
         stdw [%r10-16], 1
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -4
         mov %r3, %r10
         add %r3, -16
         mov %r4, 0
         call 2
         mov32 %r0, %r0
         end:
         exit"
    );
    verified(&text, vec![map("counts", kind, 8, entries, None)])
}

/// A look-up goes on where the test after it goes; and where the index is certainly one of the array there is always an entry. Whatever the test
/// looks like, and whatever is known of the index, the answers are the interpreter's.
#[test]
fn look_ups_and_the_tests_after_them_are_one() {
    let keys =
        ["and %r6, 7", "and32 %r6, 3\nor32 %r6, 4", "or %r6, 8", "mov %r6, 5", "and %r6, 12", "mov %r6, %r6"];
    let tests = [
        "jeq %r0, 0, absent",
        "jne %r0, 0, found\nja absent",
        "mov %r7, %r0\njeq %r0, 0, absent",
        "jne %r0, 0, found\nmov %r7, 1\nja absent",
    ];
    let maps = [(MapKind::Array, 7), (MapKind::Array, 8), (MapKind::Array, 256), (MapKind::Hash, 4)];
    // And the test may be jumped to from elsewhere, too.
    let shared = ("stw [%r10-4], 0\njgt %r6, 100, test\nand %r6, 7", "test: jeq %r0, 0, absent");
    let all = keys.iter().flat_map(|key| tests.map(|test| (*key, test)));
    for (key, test) in all.chain([shared]) {
        for (kind, entries) in maps {
            let answers = same_answers(&counting(key, kind, entries, test), &packets());
            assert!(answers.iter().any(|answer| *answer != 0), "{key}, {test}, {kind:?} of {entries}");
        }
    }
}

#[test]
fn functions_of_a_program_call_each_other() {
    let program = verified(
        "mov %r1, 5
         mov %r2, 7
         call local f
         mov %r6, %r0
         mov %r1, 2
         call local g
         add %r0, %r6
         exit
         f: mov %r6, %r1
         mul %r6, %r2
         mov %r1, %r6
         call local g
         exit
         g: stxdw [%r10-8], %r1
         ldxdw %r0, [%r10-8]
         add %r0, 1
         exit",
        Vec::new(),
    );
    assert_eq!(same_answers(&program, &[vec![0; 20]]), [5 * 7 + 1 + 2 + 1]);
}

#[test]
fn a_program_of_20_000_instructions_compiles() {
    let mut text = String::from("mov %r0, 1\nmov %r3, 7\n");
    for number in 0..6_600 {
        text.push_str(&format!("add %r0, {number}\nxor32 %r3, %r0\njne %r3, {number}, +0\n"));
    }
    text.push_str("xor %r0, %r3\nexit\n");
    let program = verified(&text, Vec::new());
    assert!(program.insns().len() > 19_000);
    same_answers(&program, &[vec![0; 20]]);
}

#[test]
fn random_programs_with_maps_and_packets_run_as_interpreted() {
    let (mut accepted, programs) = (0, 1_500);
    for seed in 0..programs {
        let program = generator::program(seed);
        // Random numbers, and Bloom filters with seeds of their own, on which engines cannot agree.
        let beyond = |insn: &isa::Insn| matches!(insn, isa::Insn::CallHelper { helper: 7 | 87 | 89 });
        let limits = verifier::Limits { steps: 1 << 13, ..verifier::Limits::default() };
        let Ok(program) = verifier::verify_within(program, &limits) else { continue };
        if program.insns().iter().any(beyond) {
            continue;
        }
        accepted += 1;
        let mut rng = generator::Rng(seed ^ 0x5eed);
        let packets: Vec<Vec<u8>> = [0, 13, 60, 200]
            .map(|most| (0..rng.below(most + 1)).map(|_| rng.next() as u8 & rng.next() as u8).collect())
            .to_vec();
        same_answers(&program, &packets);
    }
    assert!(accepted * 5 > programs, "{accepted} of {programs} were accepted");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever of random straight-line programs with forward branches the verifier accepts.
    #[test]
    fn random_programs_run_as_interpreted(
        lines in prop::collection::vec((0..ALL.len(), 0..6_u8, 0..6_u8, any::<i32>(), 0..4_u8), 1..60),
        packet in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut text = String::new();
        for register in 0..6 {
            text.push_str(&format!("lddw %r{register}, {:#x}\n", 0x9e37_79b9_7f4a_7c15_u64.rotate_left(register * 11)));
        }
        let count = lines.len();
        for (at, (op, dst, src, imm, skip)) in lines.into_iter().enumerate() {
            let skip = usize::from(skip).min(count - 1 - at);
            let line = ALL[op].replace("DST", &format!("%r{dst}")).replace("SRC", &format!("%r{src}"));
            let line = line.replace("IMM", &imm.to_string()).replace("SKIP", &format!("+{skip}"));
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str("exit\n");
        let program = Program {
            name: "random".to_owned(),
            insns: asm::assemble(&text).unwrap(),
            ..Program::default()
        };
        if let Ok(program) = verifier::verify(program) {
            same_answers(&program, &[packet]);
        }
    }
}

/// One line of a random program each. Jumps go over up to three of these.
const ALL: [&str; 40] = [
    "add DST, SRC",
    "sub DST, IMM",
    "mul DST, SRC",
    "div DST, SRC",
    "mod DST, SRC",
    "sdiv DST, SRC",
    "smod DST, SRC",
    "or DST, SRC",
    "and DST, IMM",
    "xor DST, SRC",
    "lsh DST, SRC",
    "rsh DST, SRC",
    "arsh DST, SRC",
    "neg DST",
    "add32 DST, SRC",
    "sub32 DST, IMM",
    "mul32 DST, SRC",
    "div32 DST, SRC",
    "mod32 DST, SRC",
    "sdiv32 DST, SRC",
    "smod32 DST, SRC",
    "or32 DST, IMM",
    "xor32 DST, SRC",
    "lsh32 DST, SRC",
    "rsh32 DST, SRC",
    "arsh32 DST, SRC",
    "neg32 DST",
    "mov32 DST, SRC",
    "be16 DST",
    "be32 DST",
    "be64 DST",
    "le16 DST",
    "jgt DST, SRC, SKIP",
    "jsle DST, IMM, SKIP",
    "jset DST, IMM, SKIP",
    "jeq32 DST, SRC, SKIP",
    "jslt32 DST, IMM, SKIP",
    "mov DST, IMM",
    "stxdw [%r10-8], DST",
    "div DST, IMM",
];

#[test]
fn what_follows_a_may_goto_has_a_block() {
    for text in [
        "mov %r0, 1\nmay_goto +1\nmov %r0, 2\nexit\n",
        "mov %r0, 1\nmay_goto +2\nadd %r0, 2\nadd %r0, 3\nexit\n",
        "mov %r0, 1\nmay_goto +1\nja +1\nmov %r0, 2\nadd %r0, 3\nexit\n",
    ] {
        same_answers(&verified(text, Vec::new()), &[vec![0; 20]]);
    }
}
