//! BPF that clang made, on our JIT, in the kernel and beside the same source as native code.
//!
//! The sources are in `foreign/`: parse and compare, loops, an array and a hash table. Each is compiled by `clang -O2` twice, to BPF (`-mcpu=v3`) and to a shared
//! object. Packets are run as test runs of the kernel do it, and, without the kernel, in bursts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use oko_filter::Engine;
use oko_tests::kernel as bpf;
use serde_json::{Map, Value, json};

use crate::kernel::KernelInstance;
use crate::measure::{Samples, ratio};
use crate::peer::Peer;
use crate::running::take_turns;
use crate::subject::{Mode, OkoInstance, Subject};
use crate::traffic::Traffic;

/// The programs and what they do.
pub(crate) const PROGRAMS: [(&str, &str); 4] = [
    ("parse", "parse and compare"),
    ("loops", "loops of 10 and 64"),
    ("counters", "array of counters"),
    ("sources", "hash table of counters"),
];
const CAPTURE: &str = "mixed";

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

/// Turns of the empty program: all of them take a fraction of a second.
const EMPTY_TURNS: usize = 200;

/// What our JIT takes for an empty program, in the way the kernel's test run does it. Asked anew beside each program, for this is subtracted from it, and the
/// machine may be slower a minute later.
fn empty(object: &[u8], traffic: &Traffic) -> Result<f64> {
    let mut subjects: Vec<Box<dyn Subject + '_>> =
        vec![Box::new(OkoInstance::load(object, "empty", Engine::BpfJit)?)];
    let names = ["empty".to_owned()];
    let found = take_turns(&mut subjects, &names, Mode::Repeated, traffic, EMPTY_TURNS)?;
    Ok(found.samples[0].median())
}

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(out: &Path, turns: usize) -> Result<Value> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/captures");
    let traffic = Traffic::read(&captures.join(format!("{CAPTURE}.pcap")))?;
    let headers = format!("-I{}", folder().join("../../../../examples/c").display());
    println!(
        "### BPF made by clang\n\nNanoseconds a packet of {CAPTURE}.pcap, medians. C is the same source by `clang -O2`. The last column is without what it costs to ask: both less the time of an empty program.\n"
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
        "bpf-jit : kernel",
    ]);
    let empty_object = object("empty", out)?;
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
            if mode == Mode::Repeated {
                let kernel = figures.get(2).copied().unwrap_or(f64::NAN);
                let empty = empty(&empty_object, &traffic)?;
                row.push(ratio(figures[1] - empty, kernel));
                medians.insert("empty".to_owned(), json!(empty));
            }
            let key = if mode == Mode::Burst { "burst" } else { "repeated" };
            let samples: Map<_, _> = names.into_iter().zip(found.samples.iter().map(Samples::json)).collect();
            medians.insert(key.to_owned(), Value::Object(samples));
        }
        row.resize(7, "–".to_owned());
        table.add_row(row);
        figures.insert(name.to_owned(), json!(medians));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}\n");
    Ok(Value::Object(figures))
}
