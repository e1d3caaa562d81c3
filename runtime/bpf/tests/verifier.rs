//! Programs that the verifier accepts or refuses: `tests/verifier/*.cases`, one file for each subject.
//!
//! A case is `### what it shows`, then lines `map …`, `accept` or `refuse SLOT: part of the message`, optionally
//! `steps N` (longest path), `stack N` (bytes), `run HEX = RESULT`, then instructions. What is accepted also runs on the
//! interpreter with packets of several lengths and must not fault.

#![allow(clippy::unwrap_used, reason = "a broken case file fails the test")]

mod env;

use std::{fs, path::Path};

use env::TestMaps;
use oko_bpf::{
    asm,
    interp::{Interpreter, Options, PacketMeta},
    program::{DataSection, LineInfo, MapDef, MapKind, Program},
    verifier::{Limits, explain, verify, verify_within},
};

struct Case {
    file: String,
    title: String,
    maps: Vec<MapDef>,
    refusal: Option<(usize, String)>,
    steps: Option<u64>,
    stack: Option<u32>,
    runs: Vec<(Vec<u8>, u64)>,
    program: String,
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("### ").skip(1) {
            cases.push(case(&file, part));
        }
    }
    cases.sort_by(|a, b| (&a.file, &a.title).cmp(&(&b.file, &b.title)));
    cases
}

fn case(file: &str, text: &str) -> Case {
    let (title, body) = text.split_once('\n').unwrap();
    let mut case = Case {
        file: file.to_owned(),
        title: title.trim().to_owned(),
        maps: Vec::new(),
        refusal: None,
        steps: None,
        stack: None,
        runs: Vec::new(),
        program: String::new(),
    };
    let mut verdict = false;
    for line in body.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "map" => case.maps.push(map(case.maps.len(), rest)),
            "accept" => verdict = true,
            "refuse" => {
                let (slot, message) = rest.split_once(": ").unwrap();
                case.refusal = Some((slot.parse().unwrap(), message.trim().to_owned()));
                verdict = true;
            }
            "steps" => case.steps = Some(rest.trim().parse().unwrap()),
            "stack" => case.stack = Some(rest.trim().parse().unwrap()),
            "run" => {
                let (hex, result) = rest.split_once('=').unwrap();
                let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
                case.runs.push((bytes.collect(), result.trim().parse().unwrap()));
            }
            _ => {
                case.program.push_str(line);
                case.program.push('\n');
            }
        }
    }
    assert!(verdict, "{file}: `{title}` neither accepts nor refuses");
    case
}

fn map(index: usize, text: &str) -> MapDef {
    let mut def = MapDef {
        name: format!("m{index}"),
        kind: MapKind::Hash,
        key_size: 4,
        value_size: 8,
        max_entries: 16,
        hashes: 0,
        lock_offset: None,
        data: None,
    };
    let mut data = None;
    for word in text.split_whitespace() {
        let number = |text: &str| text.parse::<u32>().unwrap();
        match word.split_once('=') {
            None if word == "hash" => def.kind = MapKind::Hash,
            None if word == "lru" => def.kind = MapKind::LruHash,
            None if word == "array" => def.kind = MapKind::Array,
            None if word == "lpm" => def.kind = MapKind::LpmTrie,
            None if word == "percpu" => def.kind = MapKind::PercpuHash,
            None if word == "ring" => {
                let (kind, max_entries) = (MapKind::RingBuf, 4096);
                def = MapDef { kind, max_entries, key_size: 0, value_size: 0, ..def };
            }
            None if word == "bloom" => {
                def = MapDef { kind: MapKind::BloomFilter, key_size: 0, hashes: 3, ..def };
            }
            None if word == "data" || word == "rodata" => {
                def.kind = MapKind::Array;
                def.max_entries = 1;
                data = Some(word == "rodata");
            }
            Some(("key", size)) => def.key_size = number(size),
            Some(("value", size)) => def.value_size = number(size),
            Some(("max", count)) => def.max_entries = number(count),
            Some(("lock", offset)) => def.lock_offset = Some(number(offset)),
            _ => panic!("unknown word {word} in a map"),
        }
    }
    def.data = data.map(|readonly| DataSection { readonly, init: vec![0; def.value_size as usize] });
    def
}

impl Case {
    /// What is wrong with the verifier's answer, if anything.
    fn fault(&self) -> Option<String> {
        let insns = match asm::assemble(&self.program) {
            Ok(insns) => insns,
            Err(error) => return Some(format!("does not assemble: {error}")),
        };
        let program = Program { name: "test".to_owned(), insns, maps: self.maps.clone(), lines: Vec::new() };
        match (verify(program), &self.refusal) {
            (Ok(_), Some((_, message))) => Some(format!("accepted; expected: {message}")),
            (Err(error), None) => Some(format!("refused: {error}")),
            (Err(error), Some((slot, message))) => {
                let right = error.slot == *slot && error.to_string().contains(message);
                (!right).then(|| format!("expected {slot}: {message}\n  found {error}"))
            }
            (Ok(verified), None) => {
                if self.steps.is_some_and(|steps| steps != verified.max_steps()) {
                    return Some(format!("has {} steps on its longest path", verified.max_steps()));
                }
                if self.stack.is_some_and(|stack| stack != verified.max_stack()) {
                    return Some(format!("takes {} bytes of stack", verified.max_stack()));
                }
                let mut maps = TestMaps::new(verified.maps());
                let lengths = [0usize, 1, 13, 14, 20, 34, 54, 64, 1500].map(|len| vec![0x45; len]);
                let packets = self.runs.iter().map(|(packet, result)| (packet.clone(), Some(*result)));
                for (packet, result) in packets.chain(lengths.map(|packet| (packet, None))) {
                    let interpreter = Interpreter::new(verified.program(), Options::default());
                    match interpreter.run(&packet, PacketMeta::default(), &mut maps) {
                        Err(fault) => return Some(format!("accepted, but faults: {fault}")),
                        Ok(outcome) if result.is_some_and(|result| result != outcome.ret) => {
                            return Some(format!("gives {} for {packet:02x?}", outcome.ret));
                        }
                        Ok(outcome) if outcome.steps > verified.max_steps() => {
                            return Some(format!("takes {} steps", outcome.steps));
                        }
                        Ok(_) => {}
                    }
                }
                None
            }
        }
    }
}

#[test]
fn every_case_is_judged_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier");
    let cases = cases(&folder);
    assert!(cases.len() > 100, "only {} cases found", cases.len());
    let faults: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}: {}", case.file, case.title, case.fault()?)))
        .collect();
    assert!(faults.is_empty(), "{} of {} cases:\n\n{}", faults.len(), cases.len(), faults.join("\n\n"));
}

/// `count` places where the path forks and meets again, each with another outcome in `r0`.
fn diamonds(count: usize) -> String {
    let mut text = String::from("ldxw %r6, [%r1+12]\nmov %r0, 0\n");
    for index in 0..count {
        text.push_str(&format!("mov %r7, %r6\nrsh %r7, {}\nand %r7, 1\n", index % 32));
        text.push_str(&format!("jeq %r7, 0, l{index}\nadd %r0, {}\nl{index}:\n", 1u64 << (index % 30)));
    }
    text + "exit\n"
}

#[test]
fn diamonds_in_a_row_take_linear_effort() {
    let effort = |count: usize| {
        let insns = asm::assemble(&diamonds(count)).unwrap();
        verify(Program { insns, ..Program::default() }).unwrap().effort()
    };
    let (few, many) = (effort(22), effort(64));
    assert!(many.steps < few.steps * 64 / 22 * 2, "{few:?} {many:?}");
    assert!(many.steps < 64 * 5 * 16, "{many:?}");
    assert!(effort(2000).steps < 2000 * 5 * 16);
}

#[test]
fn diamonds_before_a_fault_do_not_hide_it() {
    let text = diamonds(64).replace("exit\n", "ldxb %r0, [%r0+0]\nexit\n");
    let insns = asm::assemble(&text).unwrap();
    let error = verify(Program { insns, ..Program::default() }).unwrap_err();
    assert!(error.to_string().contains("cannot be dereferenced"), "{error}");
}

#[test]
fn twenty_thousand_instructions_verify() {
    let text = "mov %r0, 0\n".to_owned() + &"add %r0, 3\n".repeat(19_998) + "exit\n";
    let insns = asm::assemble(&text).unwrap();
    let verified = verify(Program { insns, ..Program::default() }).unwrap();
    assert_eq!(verified.max_steps(), 20_000);
    let outcome = Interpreter::new(verified.program(), Options::default());
    let outcome = outcome.run(&[], PacketMeta::default(), &mut TestMaps::new(&[])).unwrap();
    assert_eq!(outcome.ret, 3 * 19_998);
}

#[test]
fn a_program_that_is_too_long_is_refused() {
    let text = "mov %r0, 0\n".repeat(1 << 16) + "exit\n";
    let error = verify(Program { insns: asm::assemble(&text).unwrap(), ..Program::default() }).unwrap_err();
    assert!(error.to_string().contains("65537 slots, the limit is 65536"), "{error}");
}

/// A chain of functions that each call the next one `fan` times: the effort is `fan` to the power of the depth.
#[test]
fn effort_that_explodes_ends_in_the_budget() {
    let fan = 64;
    let mut text = String::new();
    for depth in 0..7 {
        text.push_str(&format!("f{depth}:\n"));
        text.push_str(&format!("call local f{}\n", depth + 1).repeat(fan));
        text.push_str("mov %r0, 0\nexit\n");
    }
    text.push_str("f7: mov %r0, 0\nexit\n");
    let program = Program { insns: asm::assemble(&text).unwrap(), ..Program::default() };
    let limits = Limits { steps: 100_000, ..Limits::default() };
    let error = verify_within(program, &limits).unwrap_err();
    assert!(error.to_string().contains("verification took 100000 steps, its limit"), "{error}");
}

/// The whole text of an error: what, where in the source, how it came to it, what to change.
#[test]
fn an_error_tells_reason_place_path_and_fix() {
    let text = "
        ldxw %r2, [%r1+0]
        ldxw %r3, [%r1+4]
        mov %r6, 7
        mov %r4, %r2
        add %r4, 14
        jgt %r4, %r3, out
        ldxb %r5, [%r2+14]
    out: mov %r0, 0
        exit";
    let line =
        |slot, line, text: &str| LineInfo { slot, file: "f.c".to_owned(), line, text: text.to_owned() };
    let lines = vec![
        line(0, 3, "void *data = ctx->data;"),
        line(3, 5, "if (data + 14 > end)"),
        line(6, 7, "proto = data[14];"),
        line(7, 9, "return 0;"),
    ];
    let insns = asm::assemble(text).unwrap();
    let error = verify(Program { name: "f".to_owned(), insns, lines, maps: Vec::new() }).unwrap_err();
    let expected = "\
program `f`, instruction 6 (`ldxb %r5, [%r2+14]`): 1 bytes at packet offset 14 are accessed, but only 0 bytes there are known to exist
  source: f.c:7: proto = data[14];
  steps that led here:
      0: ldxw %r2, [%r1]  ; f.c:3
      1: ldxw %r3, [%r1+4]  ; f.c:3
      3: mov %r4, %r2  ; f.c:5
      4: add %r4, 14  ; f.c:5
      5: jgt %r4, %r3, +1  (not taken)  ; f.c:5
  help: compare this very pointer, plus the bytes that are accessed, with data_end before";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_memory_limit_is_kept() {
    let insns = asm::assemble(&diamonds(64)).unwrap();
    let limits = Limits { bytes: 2000, ..Limits::default() };
    let error = verify_within(Program { insns, ..Program::default() }, &limits).unwrap_err();
    assert!(error.to_string().contains("verification needs more than 2000 bytes, its limit"), "{error}");
}

/// Where paths meet, the state that covers the other is left.
#[test]
fn an_explanation_shows_the_ranges_at_each_instruction() {
    let text = "
        ldxw %r2, [%r1+12]
        mov %r0, 1
        jgt %r2, 9, out
        mov %r0, %r2
    out: exit";
    let lines = vec![LineInfo { slot: 0, file: "f.c".to_owned(), line: 3, text: "if (port > 9)".to_owned() }];
    let insns = asm::assemble(text).unwrap();
    let (text, verdict) = explain(Program { name: "f".to_owned(), insns, lines, maps: Vec::new() });
    assert!(verdict.is_ok());
    let expected = "  ; f.c:3 if (port > 9)
         r1 is a pointer to the context
     0: ldxw %r2, [%r1+12]
         r2 is a number (0..=4294967295)
     1: mov %r0, 1
         r0 is the number 1; r2 is a number (0..=4294967295)
     2: jgt %r2, 9, +1
         r2 is a number (0..=9)
     3: mov %r0, %r2
         r0 is a number (0..=9)
     4: exit
";
    assert_eq!(text, expected);
}

/// The first attempt knows of one state where paths meet, and that is enough here.
#[test]
fn an_explanation_is_of_the_attempt_that_decides() {
    let text = "
        ldxw %r2, [%r1+12]
        mov %r0, 1
        jgt %r2, 9, out
        mov %r0, 2
    out: exit";
    let insns = asm::assemble(text).unwrap();
    let program = Program { name: "f".to_owned(), insns, lines: Vec::new(), maps: Vec::new() };
    let (text, verdict) = explain(program);
    assert!(verdict.is_ok());
    assert!(text.ends_with("         r0 is a number (1..=2)\n     4: exit\n"), "{text}");
}
