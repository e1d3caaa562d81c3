//! `okoc test`: the tests in programs, each on every engine.

use std::path::{Path, PathBuf};

use oko_compiler::Checked;
use oko_diagnostics::Span;
use oko_tester::{Captured, Captures, Engine, Report};

use crate::args::TestArgs;
use crate::capture::Capture;
use crate::check::checked;
use crate::error::Error;
use crate::files;
use crate::terminal::Terminal;

/// Runs the tests and prints what came of each.
pub(crate) fn test(args: &TestArgs, terminal: &Terminal) -> Result<(), Error> {
    let files = if args.files.is_empty() { programs_here()? } else { args.files.clone() };
    let (mut passed, mut failed, mut refused) = (0, 0, 0);
    for path in &files {
        match test_file(path, args, terminal) {
            Ok((good, bad)) => {
                passed += good;
                failed += bad;
            }
            Err(error @ Error::Output { .. }) => return Err(error),
            Err(error) if files.len() == 1 => return Err(error),
            Err(error) => {
                refused += 1;
                terminal.report(error);
            }
        }
    }
    if failed + refused > 0 {
        let mut summary = format!("{failed} of {} tests failed", passed + failed);
        if refused > 0 {
            summary += &format!(", and {refused} of {} programs were refused", files.len());
        }
        return Err(Error::TestsFailed { summary });
    }
    if passed == 0 {
        let place =
            args.filter.as_ref().map(|name| format!(" with `{name}` in its name")).unwrap_or_default();
        return Err(Error::NoTests { place });
    }
    let tests = if passed == 1 { "test" } else { "tests" };
    terminal.print(&format!("{passed} {tests} passed on {} engines\n", Engine::ALL.len()))
}

/// The programs in the current directory, by name.
fn programs_here() -> Result<Vec<PathBuf>, Error> {
    let wrong = |error| Error::Read { path: PathBuf::from("."), error };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(".").map_err(wrong)? {
        let path = PathBuf::from(entry.map_err(wrong)?.file_name());
        if path.extension().is_some_and(|extension| extension == "oko") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// How many tests of a file passed and failed.
fn test_file(path: &Path, args: &TestArgs, terminal: &Terminal) -> Result<(u32, u32), Error> {
    let program = checked(path, files::source(path)?, terminal)?;
    terminal.diagnostics(&program.warnings(), program.sources());
    let beside = Beside { folder: path.parent().map(Path::to_owned).unwrap_or_default() };
    let (mut passed, mut failed) = (0, 0);
    let mut arms: Vec<(Span, bool)> = Vec::new();
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let tests = program.tests().iter().enumerate().filter(|(_, plan)| wanted(&plan.name));
    for (at, _) in tests {
        if passed + failed == 0 {
            terminal.print(&format!("{}\n", path.display()))?;
        }
        let report = oko_tester::run(&program, at, &Engine::ALL, &beside);
        arms = merged(arms, &report.arms);
        terminal.print(&line(&report))?;
        if report.failures.is_empty() {
            passed += 1;
            continue;
        }
        failed += 1;
        for failure in &report.failures {
            terminal.diagnostics(std::slice::from_ref(&failure.diagnostic), program.sources());
            terminal.note(&failure.packets);
        }
    }
    if args.coverage && passed + failed > 0 {
        terminal.print(&coverage(&program, &arms))?;
    }
    Ok((passed, failed))
}

fn line(report: &Report) -> String {
    let word = if report.failures.is_empty() { "ok  " } else { "FAIL" };
    format!("  {word}  {}\n", report.name)
}

/// The arms that either took.
fn merged(before: Vec<(Span, bool)>, more: &[(Span, bool)]) -> Vec<(Span, bool)> {
    if before.is_empty() {
        return more.to_vec();
    }
    let taken = |span: Span| more.iter().any(|(other, taken)| *other == span && *taken);
    before.into_iter().map(|(span, was)| (span, was || taken(span))).collect()
}

/// How many arms were taken, and the places of those that were not.
fn coverage(program: &Checked, arms: &[(Span, bool)]) -> String {
    let taken = arms.iter().filter(|(_, taken)| *taken).count();
    let mut text = format!("  {taken} of {} arms of matches were taken\n", arms.len());
    for (span, _) in arms.iter().filter(|(_, taken)| !taken) {
        let Some(file) = program.sources().get(span.file) else { continue };
        let place = file.location(span.start);
        let source = file.line(place.line).unwrap_or_default().trim();
        text += &format!("    not taken: {}:{}:{}  {source}\n", file.name(), place.line, place.column);
    }
    text
}

/// Captures beside a program.
struct Beside {
    folder: PathBuf,
}

impl Captures for Beside {
    fn capture(&self, name: &str) -> Result<Vec<Captured>, String> {
        let capture = Capture::read(&self.folder.join(name)).map_err(|error| error.to_string())?;
        let packet = |frame| capture.bytes(frame).to_vec();
        Ok(capture
            .frames
            .iter()
            .map(|frame| Captured { bytes: packet(frame), wire_len: frame.wire_len, time: frame.now })
            .collect())
    }
}
