//! How long `okoc check` and `okoc build` take: for the examples, beside clang for the same filter in C; and for generated sources of up to 100,000
//! lines, where the time must grow no faster than the source. Whole processes, in turns.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::plot::{self, Line, Panel};
use super::stats::Samples;
use super::table::{Grid, Target, figure, ratio};
use super::{Bench, Section};
use crate::run::{root, shown};

/// Lines of generated sources.
const LINES: [usize; 7] = [1_000, 3_000, 10_000, 20_000, 30_000, 60_000, 100_000];
/// Lines of a block of such a source.
const BLOCK: usize = 400;
/// Milliseconds that checking and building the largest example may take.
const CHECK: f64 = 20.0;
const BUILD: f64 = 50.0;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let mut section = examples(bench)?;
    let Section { text, figures, targets, plots } = growth(bench)?;
    section.text += &text;
    section.targets.extend(targets);
    section.plots.extend(plots);
    Ok(Section { figures: json!({ "examples": section.figures, "growth": figures }), ..section })
}

/// `okoc` with what it is to do.
fn okoc(bench: &Bench, task: &str, source: &Path) -> Command {
    let mut command = Command::new(bench.program("okoc"));
    command.arg(task).arg(source);
    if task == "build" {
        command.arg("-o").arg(bench.out.join("built.o"));
    }
    command
}

fn examples(bench: &Bench) -> Result<Section> {
    let turns = if bench.quick { 5 } else { 30 };
    let heads =
        ["example", "lines", "okoc check, ms", "okoc build, ms", "clang -O2 -c, ms", "okoc build : clang"];
    let mut grid = Grid::new(1, heads);
    let (mut figures, mut largest) = (Map::new(), (0, f64::NAN, f64::NAN));
    for file in sources()? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let lines = std::fs::read_to_string(&file)?.lines().count();
        let (mut check, mut build) = (okoc(bench, "check", &file), okoc(bench, "build", &file));
        let peer = root().join("examples/c").join(&name).with_extension("c");
        let mut clang = Command::new("clang");
        clang.args(["-std=c11", "-O2", "-fPIC", "-c"]).arg(&peer).arg("-o").arg(bench.out.join("built-c.o"));
        let mut commands = vec![&mut check, &mut build];
        if peer.exists() {
            commands.push(&mut clang);
        }
        let mut samples = vec![Samples::default(); 3];
        for turn in 0..=turns {
            for (command, samples) in commands.iter_mut().zip(&mut samples) {
                let time = time(command)?;
                // The first one brings programs and sources to memory.
                if turn > 0 {
                    samples.add(time);
                }
            }
        }
        let [check, build, clang] = [0, 1, 2].map(|n| samples[n].median());
        if lines > largest.0 {
            largest = (lines, check, build);
        }
        let times = [check, build, clang].map(|time| figure(time, 1));
        grid.row([name.clone(), lines.to_string()].into_iter().chain(times).chain([ratio(build / clang)]));
        let samples: Vec<Value> = samples.iter().map(Samples::json).collect();
        figures
            .insert(name, json!({ "check_ms": samples[0], "build_ms": samples[1], "clang_ms": samples[2] }));
    }
    let text =
        format!("{}Medians of {turns} turns; clang where the filter was written in C, too.\n\n", grid.text());
    let targets = vec![
        Target::at_most("ms of `okoc check`, largest example", CHECK, [largest.1]),
        Target::at_most("ms of `okoc build`, largest example", BUILD, [largest.2]),
    ];
    Ok(Section { text, figures: figures.into(), targets, plots: Vec::new() })
}

fn growth(bench: &Bench) -> Result<Section> {
    let turns = if bench.quick { 1 } else { 3 };
    let sizes: Vec<usize> = LINES.iter().copied().filter(|&lines| !bench.quick || lines <= 10_000).collect();
    let mut grid = Grid::new(0, ["lines", "okoc check, ms", "µs a line", "okoc build, ms", "µs a line"]);
    let (mut figures, mut checks, mut builds) = (Vec::new(), Vec::new(), Vec::new());
    for &size in &sizes {
        eprintln!("{size} lines");
        let file = bench.out.join("generated.oko");
        let source = generated(size);
        let lines = source.lines().count() as f64;
        std::fs::write(&file, source)?;
        let (mut check, mut build) = (Samples::default(), Samples::default());
        for _ in 0..turns {
            check.add(time(&mut okoc(bench, "check", &file))?);
            build.add(time(&mut okoc(bench, "build", &file))?);
        }
        let (check, build) = (check.median(), build.median());
        let each = |time: f64| figure(time * 1e3 / lines, 2);
        grid.row([lines.to_string(), figure(check, 0), each(check), figure(build, 0), each(build)]);
        figures.push(json!({ "lines": lines, "check_ms": check, "build_ms": build }));
        checks.push((lines, check));
        builds.push((lines, build));
    }
    // How many times as long the largest source takes a line as the one of 10,000 lines, where starting the process no longer counts.
    let growth = |points: &[(f64, f64)]| {
        let of = |wanted: usize| {
            let at = sizes.iter().position(|&size| size == wanted);
            at.map_or(f64::NAN, |at| points[at].1 / points[at].0)
        };
        of(LINES[LINES.len() - 1]) / of(10_000)
    };
    let text = format!("Generated sources, medians of {turns} turns:\n\n{}", grid.text());
    let mut targets = Vec::new();
    if !bench.quick {
        targets.push(Target::at_most(
            "time a line at 100,000 lines : at 10,000, check and build",
            1.5,
            [growth(&checks), growth(&builds)],
        ));
    }
    let line = |name: &str, points| Line { name: name.to_owned(), points };
    let panel = Panel {
        title: "generated sources".to_owned(),
        lines: vec![line("okoc check", checks), line("okoc build", builds)],
    };
    let plots = vec![("growth", plot::lines(&[panel], "lines", "ms")?)];
    Ok(Section { text, figures: figures.into(), targets, plots })
}

/// A program of about so many lines: for every 400 lines a param, a map, and a filter that weighs packets by many rules.
fn generated(lines: usize) -> String {
    let mut text = String::from("use std.net.{ipv4, tcp};\n");
    for block in 0..lines.div_ceil(BLOCK) {
        write!(
            text,
            "
/// From which weight on a source counts.
param limit{block}: u32 in 1..=1_000_000 = 1_000;

/// How much each source weighs.
state seen{block}: map[ip4, u32] {{
    capacity: 64,
    when_full: evict_oldest,
    expire: 30s,
}};

/// A source weighs too much.
filter busy{block} -> bool {{
    match pkt {{
        ipv4 / tcp => {{
            let w0: u32 = {block};
"
        )
        .expect("strings take everything");
        let rules = BLOCK - 28;
        for rule in 1..=rules {
            let (before, port) = (rule - 1, (block * 397 + rule * 89) % 65_536);
            writeln!(
                text,
                "            let w{rule}: u32 = if tcp.dst_port == {port} {{ w{before} +| {rule} }} else {{ w{before} }};"
            )
            .expect("strings take everything");
        }
        write!(
            text,
            "            let sum = update seen{block}[ipv4.src] |old| match old {{
                none => w{rules},
                let sum => sum +| w{rules},
            }};
            (sum ?? 0) > limit{block}
        }}
        _ => false,
    }}
}}
"
        )
        .expect("strings take everything");
    }
    text
}

/// All examples.
fn sources() -> Result<Vec<PathBuf>> {
    let folder = root().join("examples");
    let files = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "oko") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
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
