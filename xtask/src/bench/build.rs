//! How long `okoc build` takes, beside clang for the same filter in C. Whole processes, in turns.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use super::stats::Samples;
use super::{Bench, Section};
use crate::run::{root, shown};

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let turns = if bench.quick { 5 } else { 40 };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["example", "okoc build, ms", "clang -O2 -c, ms", "okoc : clang"]);
    let mut figures = Map::new();
    for example in examples()? {
        let folder = root().join("examples");
        let (mut okoc, mut clang) = (Command::new(bench.program("okoc")), Command::new("clang"));
        okoc.arg("build").arg(folder.join(format!("{example}.oko")));
        okoc.arg("-o").arg(bench.out.join(format!("{example}.o")));
        let source = folder.join("c").join(format!("{example}.c"));
        let has_peer = source.exists();
        clang.args(["-std=c11", "-O2", "-fPIC", "-c"]).arg(source);
        clang.arg("-o").arg(bench.out.join(format!("{example}-c.o")));
        let (mut ours, mut theirs) = (Samples::default(), Samples::default());
        // The first ones bring programs and sources to memory.
        time(&mut okoc)?;
        if has_peer {
            time(&mut clang)?;
        }
        for _ in 0..turns {
            ours.add(time(&mut okoc)?);
            if has_peer {
                theirs.add(time(&mut clang)?);
            }
        }
        let (our, their) = (ours.median(), theirs.median());
        let (peer, ratio) = if has_peer {
            (format!("{their:.1}"), format!("{:.2}×", our / their))
        } else {
            ("–".to_owned(), "–".to_owned())
        };
        table.add_row([example.clone(), format!("{our:.1}"), peer, ratio]);
        let clang = if has_peer { theirs.json() } else { Value::Null };
        figures.insert(example, json!({ "okoc_ms": ours.json(), "clang_ms": clang }));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok(Section::new(format!("{table}\n\nMedians of {turns} turns.\n"), Value::Object(figures)))
}

/// The names of all examples.
fn examples() -> Result<Vec<String>> {
    let folder = root().join("examples");
    let files = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "oko") {
            names
                .push(path.with_extension("").file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// How long a command takes, in milliseconds.
fn time(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    let time = begin.elapsed();
    ensure!(
        output.status.success(),
        "`{}` failed: {}",
        shown(command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(time.as_secs_f64() * 1e3)
}
