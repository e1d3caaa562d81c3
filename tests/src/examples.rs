//! The examples of this repository, found and compiled.

use std::fs;
use std::path::{Path, PathBuf};

use oko_compiler::{Artifact, Clock, NoFiles, Options, Source, Verifier, parse};
use oko_ir::interp::TableKey;

/// The folder of the examples.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// All programs, by name.
///
/// # Panics
///
/// If there are none.
pub fn programs() -> Vec<PathBuf> {
    files(&folder(), "oko")
}

/// All captures, by name.
///
/// # Panics
///
/// If there are none.
pub fn captures() -> Vec<PathBuf> {
    files(&folder().join("captures"), "pcap")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .{extension} in {}", folder.display());
    found
}

/// The name of a file without folder and extension.
pub fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Who is to run a program.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// The switch.
    Switch,
    /// Who sets a variable to the time.
    Clocked,
    /// The same in the Linux kernel.
    Kernel,
}

impl Build {
    /// All of them.
    pub const ALL: [Build; 3] = [Build::Switch, Build::Clocked, Build::Kernel];

    /// How it is compiled.
    pub fn options(self) -> Options {
        let (clock, verifier) = match self {
            Build::Switch => (Clock::Helper, Verifier::Oko),
            Build::Clocked => (Clock::Injected, Verifier::Oko),
            Build::Kernel => (Clock::Injected, Verifier::Linux),
        };
        Options { clock, verifier, ..Options::default() }
    }
}

/// Compiles a program.
///
/// # Panics
///
/// If there is no such file, or the compiler refuses it.
pub fn compile(path: &Path, build: Build) -> Artifact {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    compile_text(&(name(path) + ".oko"), text, build)
}

/// Compiles the text of a program.
///
/// # Panics
///
/// If the compiler refuses it.
pub fn compile_text(name: &str, text: String, build: Build) -> Artifact {
    parse(Source::new(name.to_owned(), text), &NoFiles)
        .check()
        .and_then(|checked| checked.optimize().assemble(&build.options()))
        .unwrap_or_else(|failed| panic!("{name}: {failed}: {:?}", failed.diagnostics))
}

/// What the control plane writes for an example before there are packets: keys of its table, which is a set.
pub fn table_entries(example: &str) -> (&'static str, Vec<TableKey>) {
    // A prefix is a family, and an address from the most significant end on.
    let prefix = |family, high, length: u32| TableKey { parts: vec![family, high, 0], bits: 8 + length };
    match example {
        // 10.0.0.0/8, 2001:db8:1::/48.
        "perimeter" => ("inside", vec![prefix(4, 10 << 56, 8), prefix(6, 0x2001_0db8_0001 << 16, 48)]),
        "ra_guard" => ("routers", [7, 8].map(|port| TableKey { parts: vec![port], bits: 32 }).to_vec()),
        _ => ("", Vec::new()),
    }
}
