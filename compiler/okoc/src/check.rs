//! `okoc check`, and what all commands that compile share.

use std::path::Path;

use oko_compiler::{Artifact, Checked, Failed, Failure, Optimized, Options, PartKind, Source, Target, parse};

use crate::args::{CheckArgs, Emit};
use crate::build::bytes;
use crate::emit;
use crate::error::Error;
use crate::files::{self, Siblings};
use crate::terminal::Terminal;

/// Checks each file, and reports on all of them before it fails.
pub(crate) fn check(args: &CheckArgs, terminal: &Terminal) -> Result<(), Error> {
    let mut first = None;
    let mut refused = 0;
    for path in &args.files {
        match check_one(path, args, terminal) {
            Ok(()) => {}
            Err(error @ Error::Output { .. }) => return Err(error),
            Err(error) => {
                refused += 1;
                if args.files.len() > 1 {
                    terminal.report(error);
                } else {
                    first = Some(error);
                }
            }
        }
    }
    match (first, refused) {
        (Some(error), _) => Err(error),
        (None, 0) => Ok(()),
        (None, count) => {
            Err(Error::Refused { summary: format!("{count} of {} programs were refused", args.files.len()) })
        }
    }
}

fn check_one(path: &Path, args: &CheckArgs, terminal: &Terminal) -> Result<(), Error> {
    if args.emit == Some(Emit::Ast) {
        return print_tree(path, files::source(path)?, terminal);
    }
    let optimized = compile(path, files::source(path)?, terminal)?;
    // A program that is right may have a filter that does not fit, or only modules for others and no filter at all.
    let has_filters = !optimized.ir().module().filters.is_empty();
    let artifact =
        if has_filters { Some(assemble(path, optimized, Target::Switch, terminal)?) } else { None };
    let Some(artifact) = artifact else { return Ok(()) };
    if args.cost {
        terminal.print(&cost(path, &artifact))?;
    }
    match args.emit {
        Some(emit) => emit::emit(path, &artifact, emit, terminal),
        None => Ok(()),
    }
}

/// The most parts of a filter that are listed.
const MAX_PARTS: usize = 8;

/// What filters cost, how long they keep an entry locked, and which parts the steps go to.
fn cost(path: &Path, artifact: &Artifact) -> String {
    let mut text = format!("{}: {} of state when full\n", path.display(), bytes(artifact.cert.state_bytes));
    for (filter, parts) in artifact.cert.filters.iter().zip(&artifact.parts) {
        text += &format!(
            "  filter {}: at most {} and {} for a packet; {} BPF instructions, {} bytes of stack\n",
            filter.name,
            counted(filter.steps, "step", "steps"),
            counted(filter.state_ops, "state operation", "state operations"),
            filter.bpf_insns,
            filter.stack_bytes
        );
        for part in parts.iter().take(MAX_PARTS) {
            let what = match &part.kind {
                PartKind::Loop { turns } => {
                    format!("loop of up to {}", counted(u64::from(*turns), "turn", "turns"))
                }
                PartKind::Function { name } => format!("fn {name}"),
                PartKind::Locked => "an entry is locked".to_owned(),
            };
            let steps = counted(part.steps, "step", "steps");
            let state = match part.state_ops {
                0 => String::new(),
                ops => format!(" and {}", counted(ops, "state operation", "state operations")),
            };
            text += &format!("    {}:{}: {what}: up to {steps}{state}\n", part.file, part.line);
        }
    }
    text
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Prints the syntax tree, and what is wrong with the program as far as the parser sees it.
pub(crate) fn print_tree(path: &Path, source: Source, terminal: &Terminal) -> Result<(), Error> {
    let siblings = Siblings::of(path);
    let parsed = parse(source, &siblings);
    terminal.print(&parsed.dump())?;
    let checked = parsed.check();
    match (siblings.failure(), checked) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => Ok(()),
        (None, Err(failed)) => Err(failure(path, *failed, terminal)),
    }
}

/// Compiles a program to IR. Warnings are printed when it is assembled.
pub(crate) fn compile(path: &Path, source: Source, terminal: &Terminal) -> Result<Optimized, Error> {
    Ok(checked(path, source, terminal)?.optimize())
}

/// Checks a program. Warnings are not printed.
pub(crate) fn checked(path: &Path, source: Source, terminal: &Terminal) -> Result<Checked, Error> {
    let siblings = Siblings::of(path);
    let checked = parse(source, &siblings).check();
    match (siblings.failure(), checked) {
        (Some(error), _) => Err(error),
        (None, Ok(checked)) => Ok(checked),
        (None, Err(failed)) => Err(failure(path, *failed, terminal)),
    }
}

/// Makes the artifact and prints the warnings.
pub(crate) fn assemble(
    path: &Path,
    optimized: Optimized,
    target: Target,
    terminal: &Terminal,
) -> Result<Artifact, Error> {
    let compiler = concat!("okoc ", env!("CARGO_PKG_VERSION")).to_owned();
    let options = Options { compiler, target, ..Options::default() };
    let artifact = optimized.assemble(&options).map_err(|failed| failure(path, *failed, terminal))?;
    terminal.diagnostics(&artifact.warnings, &artifact.sources);
    Ok(artifact)
}

/// Prints the diagnostics of a failed compilation and gives the error that is left to tell.
pub(crate) fn failure(path: &Path, failed: Failed, terminal: &Terminal) -> Error {
    terminal.diagnostics(&failed.diagnostics, &failed.sources);
    match failed.failure {
        Failure::Source { count } => {
            let errors = if count == 1 { "error" } else { "errors" };
            Error::Refused { summary: format!("`{}` was refused: {count} {errors}", path.display()) }
        }
        other => Error::Compile { path: path.to_owned(), reason: other.to_string() },
    }
}
