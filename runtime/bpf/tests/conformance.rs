//! The BPF conformance suite (`tests/conformance/`): every case of `tests/` runs on the interpreter and gives its
//! result, every case of `negative/` is refused by the assembler, the decoder or its result.

#![allow(clippy::unwrap_used, reason = "a broken case file fails the test")]
use std::{collections::BTreeMap, fs, path::Path};

use oko_bpf::{
    asm, disasm,
    interp::{Env, Interpreter, MapMemory, Options},
    isa,
    program::{MapId, Program},
};

/// One case: its sections by name, comments removed.
struct Case {
    name: String,
    sections: BTreeMap<String, String>,
}

impl Case {
    fn load(folder: &str) -> Vec<Case> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder);
        let mut cases: Vec<Case> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                Case { name, sections: sections(&text) }
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    /// The instructions, assembled and decoded again from their encoding.
    fn program(&self) -> Result<Program, String> {
        let insns = match (self.sections.get("asm"), self.sections.get("raw")) {
            (Some(text), _) => {
                let insns = asm::assemble(text).map_err(|error| error.to_string())?;
                isa::decode(&isa::encode(&insns)).map_err(|error| error.to_string())?
            }
            (None, Some(raw)) => isa::decode(&raw_bytes(raw)).map_err(|error| error.to_string())?,
            (None, None) => Vec::new(),
        };
        Ok(Program { name: self.name.clone(), insns, ..Program::default() })
    }

    fn run(&self) -> Result<u64, String> {
        let program = self.program()?;
        let mut memory = raw_bytes(self.sections.get("mem").map_or("", String::as_str));
        let interpreter = Interpreter::new(&program, Options::default());
        let outcome = interpreter.run_over_memory(&mut memory, &mut SuiteHelpers);
        outcome.map(|outcome| outcome.ret).map_err(|fault| fault.to_string())
    }

    fn expected(&self) -> Option<u64> {
        let text = self.sections.get("result")?.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16).ok()
    }
}

fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- ") {
            current = Some(name.trim().to_owned());
            sections.insert(name.trim().to_owned(), String::new());
        } else if let Some(name) = &current {
            let section: &mut String = sections.get_mut(name).unwrap();
            section.push_str(line);
            section.push('\n');
        }
    }
    sections
}

/// Bytes written in hexadecimal, or 64-bit little-endian words with `0x`.
fn raw_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace()) {
        match word.strip_prefix("0x") {
            Some(word) => bytes.extend(u64::from_str_radix(word, 16).unwrap().to_le_bytes()),
            None => bytes.push(u8::from_str_radix(word, 16).unwrap()),
        }
    }
    bytes
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
    let cases = Case::load("tests");
    assert_eq!(cases.len(), 209, "a case got lost");
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = case.expected().unwrap();
        match case.run() {
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
        let ran = case.run();
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
        let error = case.program().unwrap_err();
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
        let insns = case.program().unwrap().insns;
        assert_eq!(asm::assemble(&disasm::disassemble(&insns)).unwrap(), insns, "{}", case.name);
    }
}
