//! Clang as a producer of BPF objects: which of its versions are here, and what they make of a source.

use std::path::Path;
use std::process::Command;

use oko_filter::{Engine, Instance, LoadOptions};

/// The versions that objects are known from.
pub const VERSIONS: [&str; 2] = ["clang-14", "clang-16"];
/// The instruction sets that they make code for.
pub const CPUS: [&str; 3] = ["v1", "v2", "v3"];

/// Those of [`VERSIONS`] that are installed. The others are named on standard error, as what was not tested.
pub fn installed() -> Vec<&'static str> {
    let there = |clang: &&str| {
        let output = Command::new(clang).arg("--version").output();
        let there = output.is_ok_and(|output| output.status.success());
        if !there {
            eprintln!("skipped: no `{clang}` here, so nothing of it was tested");
        }
        there
    };
    VERSIONS.into_iter().filter(there).collect()
}

/// Compiles a source to a BPF object.
///
/// # Panics
///
/// If clang refuses it, or warns.
pub fn compile(clang: &str, cpu: &str, source: &Path, flags: &[&str]) -> Vec<u8> {
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]).args(flags);
    let output = command.arg(format!("-mcpu={cpu}")).arg("-c").arg(source).args(["-o", "-"]).output();
    let output = output.unwrap_or_else(|error| panic!("{clang}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{clang} -mcpu={cpu} does not compile {}:\n{said}", source.display());
    output.stdout
}

/// A source as these versions compile it for each of [`CPUS`], loaded for each engine: what it was made by, and the instance. The interpreter is slow; it
/// gets the newest instructions.
///
/// # Panics
///
/// If clang refuses or warns, or the object is not accepted.
pub fn instances(
    compilers: &[&str],
    source: &Path,
    flags: &[&str],
    options: &LoadOptions,
) -> Vec<(String, Instance)> {
    let mut all = Vec::new();
    for (compiler, cpu) in compilers.iter().flat_map(|compiler| CPUS.map(|cpu| (compiler, cpu))) {
        let object = compile(compiler, cpu, source, flags);
        let engines: &[Engine] =
            if cpu == "v3" { &[Engine::BpfJit, Engine::BpfInterp] } else { &[Engine::BpfJit] };
        for &engine in engines {
            let options = LoadOptions { engine: Some(engine), ..*options };
            let by = format!("{} {}, {compiler} -mcpu={cpu}, {engine}", source.display(), flags.join(" "));
            let instance = Instance::load(&object, &options);
            all.push((by.clone(), instance.unwrap_or_else(|e| panic!("{by}: {}", e.report()))));
        }
    }
    all
}
