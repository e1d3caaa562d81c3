//! C programs over the library: its promises, and the example of the book. Without a C compiler they say loudly that they did nothing.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use oko_compiler::{NoFiles, Options, Source};
use okofilter as _;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a C program against the library; `None` if there is no C compiler.
fn compile(source: &str, out: &Path) -> Option<PathBuf> {
    let program = out.join(Path::new(source).file_stem().unwrap());
    // Cargo puts the library beside this test.
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-value"])
        .arg(format!("-I{}", folder().join("include").display()))
        .arg(folder().join(source))
        .arg(format!("-L{}", libraries.display()))
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .args(["-lokofilter", "-o"])
        .arg(&program)
        .output();
    match output {
        Err(error) => {
            eprintln!("SKIPPED: no C compiler: {error}");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
    }
}

fn object(name: &str, text: &str) -> Vec<u8> {
    let parsed = oko_compiler::parse(Source::new(name, text.to_owned()), &NoFiles);
    match parsed.check().map(|checked| checked.optimize().assemble(&Options::default())) {
        Ok(Ok(artifact)) => artifact.bytes,
        Ok(Err(failed)) | Err(failed) => panic!("{failed}"),
    }
}

#[test]
fn a_c_program_loads_runs_reads_and_replaces() {
    const FILTER: &str = "
/// More than so many packets of a port match.
param limit: u32 in 1..=100 = 50;
state seen: map[u32, counter] { capacity: 64, when_full: evict_oldest, expire: never };
filter many -> bool { seen[pkt.in_port].add(1) > limit }
";
    let out = tempfile::tempdir().unwrap();
    let Some(program) = compile("tests/library.c", out.path()) else { return };
    let file = out.path().join("many.o");
    std::fs::write(&file, object("many.oko", FILTER)).unwrap();
    let output = Command::new(program).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_example_filters_a_capture_as_the_library_does() {
    let out = tempfile::tempdir().unwrap();
    let Some(program) = compile("examples/filter_pcap.c", out.path()) else { return };
    let examples = folder().join("../../examples");
    let source = std::fs::read_to_string(examples.join("syn_flood.oko")).unwrap();
    let bytes = object("syn_flood.oko", &source);
    let (file, kept) = (out.path().join("syn_flood.o"), out.path().join("kept.pcap"));
    std::fs::write(&file, &bytes).unwrap();
    let capture = examples.join("captures/syn_flood.pcap");
    let output = Command::new(program).arg(&file).arg(&capture).arg(&kept).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let instance = oko_filter::Instance::load(&bytes, &oko_filter::LoadOptions::default()).unwrap();
    let capture = std::fs::read(capture).unwrap();
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
    let (mut expected, mut at) = (capture[..24].to_vec(), 24);
    while at < capture.len() {
        let len = 16 + word(at + 8) as usize;
        let now = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4)) * 1_000;
        let packet = oko_filter::Packet::new(&capture[at + 16..at + len], 1).with_wire_len(word(at + 12));
        if instance.run(instance.filters()[0].id, packet, now).is_match() {
            expected.extend_from_slice(&capture[at..at + len]);
        }
        at += len;
    }
    assert!(expected.len() > 24, "something matches");
    assert!(std::fs::read(kept).unwrap() == expected, "the same packets, byte for byte");
}
