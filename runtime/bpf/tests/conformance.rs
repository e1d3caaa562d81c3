//! The BPF conformance suite (`tests/conformance/`): every case of `tests/` runs on the interpreter and gives its
//! result, every case of `negative/` is refused by the assembler, the decoder or its result.

#![allow(clippy::unwrap_used, reason = "a broken case file fails the test")]
mod suite;

use oko_bpf::{
    asm, disasm,
    interp::{Env, Interpreter, MapMemory, Options},
    isa,
    program::{MapId, Program},
};
use suite::{Case, raw_bytes};

fn program(case: &Case) -> Result<Program, String> {
    Ok(Program { name: case.name.clone(), insns: case.insns()?, ..Program::default() })
}

fn run(case: &Case) -> Result<u64, String> {
    let program = program(case)?;
    let interpreter = Interpreter::new(&program, Options::default());
    let outcome = interpreter.run_over_memory(&mut case.memory(), &mut SuiteHelpers);
    outcome.map(|outcome| outcome.ret).map_err(|fault| fault.to_string())
}

/// The suite's helper 5 gives back its argument (0 would unwind the program, which no case does).
struct SuiteHelpers;

impl Env for SuiteHelpers {
    fn map_lookup(&mut self, _: MapId, _: &[u8]) -> Option<MapMemory> {
        None
    }
    fn map_update(&mut self, _: MapId, _: &[u8], _: &[u8], _: u64) -> i64 {
        0
    }
    fn map_delete(&mut self, _: MapId, _: &[u8]) -> i64 {
        0
    }
    fn ktime_ns(&mut self) -> u64 {
        u64::MAX
    }
}

#[test]
fn every_case_gives_its_result() {
    let cases = Case::with_results();
    assert_eq!(cases.len(), 214, "a case got lost");
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = case.expected().unwrap();
        match run(case) {
            Ok(found) if found == expected => {}
            Ok(found) => wrong.push(format!("{}: expected {expected:#x}, found {found:#x}", case.name)),
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_negative_case_is_refused() {
    let cases = Case::load("negative");
    assert_eq!(cases.len(), 40, "a case got lost");
    for case in &cases {
        let ran = run(case);
        // Only the wrong result is not an error of the program.
        if case.name == "incorrect_return_value_high_bits" {
            assert_ne!(ran.unwrap(), case.expected().unwrap());
        } else {
            assert!(ran.is_err(), "{} gave {ran:?}", case.name);
        }
    }
}

#[test]
fn refusals_of_reserved_fields_come_from_the_decoder() {
    for case in Case::load("negative").iter().filter(|case| case.name.starts_with("unused-")) {
        let error = program(case).unwrap_err();
        assert!(error.contains("expected 0"), "{}: {error}", case.name);
    }
}

#[test]
fn raw_and_assembled_forms_agree() {
    let mut compared = 0;
    for case in Case::load("tests") {
        if let (Some(asm), Some(raw)) = (case.sections.get("asm"), case.sections.get("raw")) {
            assert_eq!(asm::assemble(asm).unwrap(), isa::decode(&raw_bytes(raw)).unwrap(), "{}", case.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 1);
}

#[test]
fn disassembly_reads_back() {
    for case in Case::load("tests") {
        let insns = case.insns().unwrap();
        assert_eq!(asm::assemble(&disasm::disassemble(&insns)).unwrap(), insns, "{}", case.name);
    }
}
