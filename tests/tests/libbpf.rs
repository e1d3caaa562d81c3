//! libbpf, the loader that everybody uses, takes what is written here: every example as `okoc build` writes it, and a program that calls functions; and what it
//! loads returns what our interpreter says. Skipped, with a note, where there is no `bpf(2)`, no C compiler, or no libbpf.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use oko_bpf::isa::{AluOp, Cond, Insn, Reg, Size};
use oko_bpf::object::write::{ProgramSpec, Spec, write};
use oko_filter::{Engine, Instance, LoadOptions, Packet};
use oko_tests::switch::Folder;
use oko_tests::{examples, kernel};

/// A program that loads objects by libbpf, compiled; none where that cannot be.
struct Loader {
    folder: Folder,
    program: PathBuf,
}

impl Loader {
    fn new() -> Option<Loader> {
        if kernel::is_missing() {
            return None;
        }
        let folder = Folder::new();
        let program = folder.file("load");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libbpf/load.c");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source).arg("-lbpf");
        match cc.output() {
            Ok(output) if output.status.success() => Some(Loader { folder, program }),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(
                    ["bpf/bpf.h", "-lbpf"].iter().any(|missing| said.contains(missing)),
                    "the loader does not compile:\n{said}"
                );
                eprintln!("SKIPPED: no libbpf to compile with here (libbpf-dev):\n{said}");
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: no C compiler here: {error}");
                None
            }
        }
    }

    /// Loads an object and runs its programs on a packet: their names and what they return.
    fn run(&self, what: &str, object: &[u8], packet: &[u8]) -> Vec<(String, u32)> {
        let (file, input) = (self.folder.write("object.o", object), self.folder.write("packet", packet));
        let output =
            Command::new(&self.program).arg(&file).stdin(File::open(&input).unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "libbpf does not load {what}:\n{said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let programs = lines.lines().map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        programs.collect()
    }
}

/// TCP over IPv4, a SYN to port 23.
fn packet() -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x9c, 0x40, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}

#[test]
fn libbpf_loads_every_example() {
    let Some(loader) = Loader::new() else { return };
    let mut matches = 0;
    for example in examples::programs() {
        let name = examples::name(&example);
        let object = fs::read(loader.folder.build(&example)).unwrap();
        let options =
            LoadOptions { engine: Some(Engine::BpfInterp), seed: Some(1), ..LoadOptions::default() };
        let instance = Instance::load(&object, &options).unwrap();
        let found = loader.run(&name, &object, &packet());
        let ours = instance.filters().iter().map(|filter| {
            let class = instance.run(filter.id, Packet::new(&packet(), 1), 1_000_000_000);
            (filter.name.clone(), class.0)
        });
        for (name, class) in ours {
            let value = found.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
            // As it is written in our objects: the class plus 1.
            assert_eq!(value, Some(class + 1), "{}: {name}, {found:?}", example.display());
            matches += class;
        }
    }
    assert!(matches > 0, "telnet.oko matches");
}

#[test]
fn libbpf_loads_a_program_that_calls_functions() {
    let Some(loader) = Loader::new() else { return };
    // The length of the packet by one function, whether it is 60 by another one that the first one calls.
    let insns = vec![
        Insn::load(Size::W, Reg::R2, Reg::R1, 4),
        Insn::load(Size::W, Reg::R1, Reg::R1, 0),
        Insn::CallLocal { off: 1 },
        Insn::Exit,
        Insn::mov64(Reg::R3, Reg::R2),
        Insn::alu64(AluOp::Sub, Reg::R3, Reg::R1),
        Insn::mov64(Reg::R1, Reg::R3),
        Insn::CallLocal { off: 1 },
        Insn::Exit,
        Insn::mov64(Reg::R0, 2),
        Insn::branch64(Cond::Eq, Reg::R1, 60, 1),
        Insn::mov64(Reg::R0, 1),
        Insn::Exit,
    ];
    let programs = vec![ProgramSpec { name: "is_60".into(), insns, lines: Vec::new() }];
    let object = write(&Spec { programs, ..Spec::default() }).unwrap();
    let whole = packet();
    let shorter = &whole[..59];
    assert_eq!(loader.run("a program with functions", &object, &whole), [("is_60".to_owned(), 2)]);
    assert_eq!(loader.run("a program with functions", &object, shorter), [("is_60".to_owned(), 1)]);
    let options = LoadOptions { engine: Some(Engine::BpfJit), ..LoadOptions::default() };
    let instance = Instance::load(&object, &options).unwrap();
    let filter = instance.filter("is_60").unwrap();
    let ours = |packet: &[u8]| instance.run(filter, Packet::new(packet, 1), 1).is_match();
    assert!(ours(&whole) && !ours(shorter), "a foreign program: 2 is XDP_PASS, a match");
}
