//! `okoc run`: a filter on the packets of a capture, with the capture's clock.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use oko_compiler::Target;
use oko_filter::{Engine, FilterId, Instance, LoadOptions, Packet};

use crate::args::{EngineName, RunArgs};
use crate::capture::Capture;
use crate::check::{assemble, compile};
use crate::error::Error;
use crate::files;
use crate::terminal::Terminal;

/// Packets between two looks at the clock and the progress bar.
const CHUNK: usize = 1024;

/// Runs a filter and prints what it answered.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<(), Error> {
    let object = object(&args.file, terminal)?;
    let engine = args.engine.map(|engine| match engine {
        EngineName::Native => Engine::Native,
        EngineName::BpfJit => Engine::BpfJit,
        EngineName::Bpf => Engine::BpfInterp,
        EngineName::Ir => Engine::IrInterp,
    });
    let options = LoadOptions { engine, abi: args.abi.abi(), ..LoadOptions::default() };
    let instance = Instance::load(&object, &options)
        .map_err(|error| Error::Object { path: args.file.clone(), reason: error.to_string() })?;
    let filter = choose(args, &instance)?;
    for given in &args.params {
        set_param(given, &instance)?;
    }
    let capture = Capture::read(&args.pcap)?;
    let (classes, time) = run_all(&instance, filter, &capture, args.in_port);
    if let Some(path) = &args.matched {
        let matched =
            capture.frames.iter().zip(&classes).filter(|(_, class)| **class != 0).map(|(frame, _)| frame);
        files::write(path, &capture.of(matched))?;
    }
    let faults = instance.stats(filter).faults;
    if faults > 0 {
        terminal.note(&format!(
            "warning: the engine stopped at {faults} packets, which is a defect; they count as class 0"
        ));
    }
    terminal.print(&report(args, &instance, filter, &capture, &classes, time))
}

/// The object file, or the one made of a program.
fn object(path: &Path, terminal: &Terminal) -> Result<Vec<u8>, Error> {
    let bytes = files::read(path)?;
    if files::is_object(&bytes) {
        return Ok(bytes);
    }
    let source = files::text(path, bytes)?;
    Ok(assemble(path, compile(path, source, terminal)?, Target::Switch, terminal)?.bytes)
}

fn choose(args: &RunArgs, instance: &Instance) -> Result<FilterId, Error> {
    let known = || {
        instance.filters().iter().map(|filter| format!("`{}`", filter.name)).collect::<Vec<_>>().join(", ")
    };
    let path = args.file.clone();
    match (&args.filter, instance.filters()) {
        (Some(name), _) => {
            let unknown = || Error::UnknownFilter { path, name: name.clone(), known: known() };
            instance.filter(name).ok_or_else(unknown)
        }
        (None, [only]) => Ok(only.id),
        (None, _) => Err(Error::SeveralFilters { path, known: known() }),
    }
}

fn set_param(given: &str, instance: &Instance) -> Result<(), Error> {
    let wrong = |reason: String| Error::Param { given: given.to_owned(), reason };
    let (name, value) = given.split_once('=').ok_or_else(|| wrong("expected NAME=VALUE".into()))?;
    let value = value.replace('_', "").parse().map_err(|_| wrong(format!("`{value}` is no number")))?;
    instance.set_param(name, value).map_err(|error| wrong(error.to_string()))
}

/// The class of each packet, and how long the filter took for all of them.
fn run_all(instance: &Instance, filter: FilterId, capture: &Capture, in_port: u32) -> (Vec<u32>, Duration) {
    // Draws on stderr, and only if that is a terminal.
    let bar = ProgressBar::new(capture.frames.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} packets, {eta} left")
    {
        bar.set_style(style);
    }
    let mut classes = Vec::with_capacity(capture.frames.len());
    let mut time = Duration::ZERO;
    for chunk in capture.frames.chunks(CHUNK) {
        let start = Instant::now();
        for frame in chunk {
            let packet = Packet::new(capture.bytes(frame), in_port).with_wire_len(frame.wire_len);
            classes.push(instance.run(filter, packet, frame.now).class());
        }
        time += start.elapsed();
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    (classes, time)
}

fn report(
    args: &RunArgs,
    instance: &Instance,
    filter: FilterId,
    capture: &Capture,
    classes: &[u32],
    time: Duration,
) -> String {
    let info = &instance.filters()[filter.index()];
    let names: Vec<String> = match info.classes.as_slice() {
        [] => vec!["no match".into(), "match".into()],
        names => names.to_vec(),
    };
    let total = classes.len();
    let mut text = format!(
        "filter {} on {} packets ({} bytes) of {}\n",
        info.name,
        total,
        capture.total(),
        args.pcap.display()
    );
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (class, name) in names.iter().enumerate() {
        let count = classes.iter().filter(|&&found| found as usize == class).count();
        let share = if total == 0 { 0.0 } else { count as f64 * 100.0 / total as f64 };
        text += &format!("  {name:<width$}  {count:>10}  {share:>5.1} %\n");
    }
    if total > 0 {
        let nanos = time.as_nanos() as f64 / total as f64;
        let rate = total as f64 / time.as_secs_f64().max(1e-9);
        text +=
            &format!("  engine {}: {nanos:.1} ns a packet, {rate:.0} packets a second\n", instance.engine());
    }
    text
}
