//! BPF that clang made, on our JIT, in the kernel and beside the same source as native code.
//!
//! The sources are in `foreign/`: parse and compare, loops, an array and a hash table. Each is compiled by `clang -O2` twice, to BPF (`-mcpu=v3`) and to a shared
//! object. Packets are run as test runs of the kernel do it, and, without the kernel, in bursts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use oko_filter::{Engine, Verdict};
use oko_tests::kernel as bpf;
use oko_tests::peer::Peer;
use serde_json::{Map, Value, json};

use crate::beyond::{self, Beyond, Pair, Run};
use crate::kernel::KernelInstance;
use crate::measure::{Samples, ratio};
use crate::running::{packets, take_turns};
use crate::subject::{Mode, OkoInstance, Subject, repeat};
use crate::traffic::Traffic;

/// The programs and what they do.
pub(crate) const PROGRAMS: [(&str, &str); 4] = [
    ("parse", "parse and compare"),
    ("loops", "loops of 10 and 64"),
    ("counters", "array of counters"),
    ("sources", "hash table of counters"),
];
/// The one that does nothing.
const EMPTY: &str = "empty";
const CAPTURE: &str = "mixed";

const BEYOND: &str = "\
What a program takes beyond an empty one, which says of each packet that it matches: what it costs to ask, in our library or in a test run of the kernel, is in both. Each
packet of a sample is run 4,000 times in a row by the program, the empty one, the empty one and the program, in the next round the other way round; all of it is
loaded anew for every ten rounds. Measured is the time that the thread has been on a CPU. `beyond it`: the difference, of each packet the median of all rounds, and of
these the mean; in brackets the same of the quartiles.";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engines/foreign")
}

/// Compiles a program to BPF; the object file's bytes.
pub(crate) fn object(name: &str, out: &Path) -> Result<Vec<u8>> {
    let (source, object) = (folder().join(name).with_extension("c"), out.join(format!("{name}-bpf.o")));
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-c"]);
    let output = clang.arg(&source).arg("-o").arg(&object).output().context("cannot start clang")?;
    ensure!(
        output.status.success(),
        "clang does not compile {} to BPF:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(&object).with_context(|| format!("cannot read {}", object.display()))
}

/// Turns of repeated runs. The kernel takes long for each, but the last column is made of differences of small figures.
fn repeated(turns: usize) -> usize {
    turns.div_ceil(4).max(5)
}

/// What a program takes beyond the empty one, in our JIT and, if it can be asked, in the kernel's; loaded so many times.
fn beyond(object: &[u8], empty: &[u8], name: &str, traffic: &Traffic, loads: usize) -> Result<Vec<Beyond>> {
    let ours = |object, name| -> Result<Run> {
        let mut instance = OkoInstance::load(object, name, Engine::BpfJit)?;
        Ok(Box::new(move |packet, time| {
            let mut verdict = [Verdict::default()];
            repeat(&mut instance, &packet, time, beyond::REPEATS, &mut verdict);
            Ok(verdict[0])
        }))
    };
    let with_kernel = bpf::available().is_ok();
    let load = || {
        let mut pairs = vec![Pair { program: ours(object, name)?, empty: ours(empty, EMPTY)? }];
        if with_kernel {
            let program = Rc::new(KernelInstance::load_foreign(object, name)?);
            let empty = Rc::clone(&program);
            pairs.push(Pair {
                program: Box::new(move |packet, _| program.run_repeated(packet, beyond::REPEATS)),
                empty: Box::new(move |packet, _| empty.run_empty(packet, beyond::REPEATS)),
            });
        }
        Ok(pairs)
    };
    beyond::measure(load, &packets(traffic, Mode::Repeated), loads).context(name.to_owned())
}

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(out: &Path, turns: usize, loads: usize) -> Result<Value> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/captures");
    let traffic = Traffic::read(&captures.join(format!("{CAPTURE}.pcap")))?;
    let headers = format!("-I{}", folder().join("../../../../examples/c").display());
    println!(
        "### BPF made by clang\n\nNanoseconds a packet of {CAPTURE}.pcap, medians. C is the same source by `clang -O2`. The kernel's figure is that of test runs less those of an empty program, in the order in which they come.\n"
    );
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "program",
        "in bursts: C ns",
        "bpf-jit ns",
        "repeated: C ns",
        "bpf-jit ns",
        "kernel ns",
    ]);
    let mut without_empty = Table::new();
    without_empty.load_style(presets::ASCII_MARKDOWN);
    without_empty.set_header([
        "program",
        "bpf-jit: empty, ns",
        "beyond it",
        "kernel: empty, ns",
        "beyond it",
        "bpf-jit : kernel",
    ]);
    let empty_object = object(EMPTY, out)?;
    let mut figures = Map::new();
    for (name, what) in PROGRAMS {
        eprintln!("running {name}.c");
        let object = object(name, out)?;
        let source = folder().join(name).with_extension("c");
        let peer = Peer::compile(&source, &[&headers], &out.join(format!("{name}.so")))?;
        let mut medians = Map::new();
        let mut row = vec![what.to_owned()];
        for mode in [Mode::Burst, Mode::Repeated] {
            let mut subjects: Vec<Box<dyn Subject + '_>> =
                vec![Box::new(peer.instance()?), Box::new(OkoInstance::load(&object, name, Engine::BpfJit)?)];
            let mut names = vec!["C".to_owned(), "bpf-jit".to_owned()];
            if mode == Mode::Repeated && bpf::available().is_ok() {
                subjects.push(Box::new(KernelInstance::load_foreign(&object, name)?));
                names.push("kernel".to_owned());
            }
            let turns = if mode == Mode::Repeated { repeated(turns) } else { turns };
            let found = take_turns(&mut subjects, &names, mode, &traffic, turns).context(name)?;
            let figures: Vec<f64> = found.samples.iter().map(Samples::median).collect();
            row.push(format!("{:.1}", figures[0]));
            row.extend(
                figures[1..].iter().map(|figure| format!("{figure:.1} ({})", ratio(*figure, figures[0]))),
            );
            let key = if mode == Mode::Burst { "burst" } else { "repeated" };
            let samples: Map<_, _> = names.into_iter().zip(found.samples.iter().map(Samples::json)).collect();
            medians.insert(key.to_owned(), Value::Object(samples));
        }
        row.resize(6, "–".to_owned());
        let found = beyond(&object, &empty_object, name, &traffic, loads)?;
        let mut less = vec![what.to_owned()];
        for beyond in &found {
            let (lower, upper) = beyond.quartiles();
            less.extend([
                format!("{:.2}", beyond.empty()),
                format!("{:.2} ({lower:.2} to {upper:.2})", beyond.more()),
            ]);
        }
        less.resize(5, "–".to_owned());
        let kernel = found.get(1).map_or(f64::NAN, Beyond::more);
        less.push(ratio(found[0].more(), kernel));
        without_empty.add_row(less);
        let beyond: Map<_, _> = ["bpf-jit", "kernel"]
            .map(str::to_owned)
            .into_iter()
            .zip(found.iter().map(Beyond::json))
            .collect();
        medians.insert("beyond".to_owned(), Value::Object(beyond));
        table.add_row(row);
        figures.insert(name.to_owned(), json!(medians));
    }
    for table in [&mut table, &mut without_empty] {
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}\n");
    println!("{BEYOND}\n\n{without_empty}\n");
    Ok(Value::Object(figures))
}
