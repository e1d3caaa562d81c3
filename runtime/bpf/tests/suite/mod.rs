//! The cases of the BPF conformance suite, read from their files. For the tests of all engines.

use std::{collections::BTreeMap, fs, path::Path};

use oko_bpf::{asm, isa, isa::Insn};

#[allow(dead_code, reason = "each test uses its part")]
/// One case: its sections by name.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sections: BTreeMap<String, String>,
}

#[allow(dead_code, reason = "each test uses its part")]
impl Case {
    /// All cases of a folder of `tests/conformance`, by name.
    pub(crate) fn load(folder: &str) -> Vec<Case> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/tests/conformance").join(folder);
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

    /// The suite's cases that give a result, and those of ours for what it leaves out.
    pub(crate) fn with_results() -> Vec<Case> {
        let mut all = Case::load("tests");
        all.append(&mut Case::load("own"));
        all
    }

    /// The instructions, assembled and decoded again from their encoding.
    pub(crate) fn insns(&self) -> Result<Vec<Insn>, String> {
        match (self.sections.get("asm"), self.sections.get("raw")) {
            (Some(text), _) => {
                let insns = asm::assemble(text).map_err(|error| error.to_string())?;
                isa::decode(&isa::encode(&insns)).map_err(|error| error.to_string())
            }
            (None, Some(raw)) => isa::decode(&raw_bytes(raw)).map_err(|error| error.to_string()),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// The memory that the program is given.
    pub(crate) fn memory(&self) -> Vec<u8> {
        raw_bytes(self.sections.get("mem").map_or("", String::as_str))
    }

    /// What it must come to.
    pub(crate) fn expected(&self) -> Option<u64> {
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
pub(crate) fn raw_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace()) {
        match word.strip_prefix("0x") {
            Some(word) => bytes.extend(u64::from_str_radix(word, 16).unwrap().to_le_bytes()),
            None => bytes.push(u8::from_str_radix(word, 16).unwrap()),
        }
    }
    bytes
}
