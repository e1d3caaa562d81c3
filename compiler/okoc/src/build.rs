//! `okoc build`.

use std::path::{Path, PathBuf};

use oko_compiler::{Artifact, Linux, OnMatch, Target};

use crate::args::{BuildArgs, Emit, OnMatchName, TargetName};
use crate::check::{assemble, compile, print_tree};
use crate::emit;
use crate::error::Error;
use crate::files;
use crate::terminal::Terminal;

/// Compiles a program and writes the object.
pub(crate) fn build(args: &BuildArgs, terminal: &Terminal) -> Result<(), Error> {
    let source = files::source(&args.file)?;
    if args.emit == Some(Emit::Ast) {
        print_tree(&args.file, source.clone(), terminal)?;
    }
    let target = target(args)?;
    let artifact = assemble(&args.file, compile(&args.file, source, terminal)?, target, terminal)?;
    let output = args.output.clone().unwrap_or_else(|| default_output(&args.file));
    files::write(&output, &artifact.bytes)?;
    match args.emit {
        Some(what) => emit::emit(&args.file, &artifact, what, terminal),
        None => terminal.print(&summary(&output, &artifact, target)),
    }
}

fn target(args: &BuildArgs) -> Result<Target, Error> {
    let on_match = args.on_match.map(|on_match| match on_match {
        OnMatchName::Drop => OnMatch::Drop,
        OnMatchName::Pass => OnMatch::Pass,
    });
    match (args.target, on_match) {
        (TargetName::Switch, None) => Ok(Target::Switch),
        (TargetName::Switch, Some(_)) => Err(Error::OnMatch),
        // The command line asks for it with these targets.
        (TargetName::Xdp, on_match) => Ok(Target::Xdp(on_match.unwrap_or(OnMatch::Drop))),
        (TargetName::Tc, on_match) => Ok(Target::Tc(on_match.unwrap_or(OnMatch::Drop))),
    }
}

/// `examples/flood.oko` becomes `flood.o`.
fn default_output(file: &Path) -> PathBuf {
    Path::new(file.file_stem().unwrap_or(file.as_os_str())).with_extension("o")
}

fn summary(output: &Path, artifact: &Artifact, target: Target) -> String {
    let mut text = format!(
        "{}: {} bytes, {} of state\n",
        output.display(),
        artifact.bytes.len(),
        bytes(artifact.cert.state_bytes)
    );
    for (filter, linux) in artifact.cert.filters.iter().zip(&artifact.linux) {
        text += &format!(
            "  filter {}: at most {} steps and {} state operations a packet; {} BPF instructions, {} bytes of stack\n",
            filter.name, filter.steps, filter.state_ops, filter.bpf_insns, filter.stack_bytes
        );
        if let Some(linux) = linux
            && target != Target::Switch
        {
            text += match linux {
                Linux::V6_6 => "    takes Linux 6.6 or later: it is long\n",
                Linux::V6_9 => "    takes Linux 6.9 or later: its loops are long\n",
            };
        }
        if !filter.fields_read.is_empty() {
            text += &format!("    reads {}\n", filter.fields_read.join(", "));
        }
    }
    text
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
