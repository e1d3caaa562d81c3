//! Clang as a producer of BPF objects: which of its versions are here, and what they make of a source.

use std::path::Path;
use std::process::Command;

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
