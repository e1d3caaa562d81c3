//! How the time of a packet depends on the number of entries that a filter keeps: one look-up and update of a random entry a packet, beside
//! the same in C.
//!
//! The packets are a burst's worth of frames whose source address is written anew each time, so their bytes stay in the cache and what is
//! measured is the state. Writing them is part of every figure.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use oko_filter::{Engine, Packet, Verdict};
use oko_tests::examples::{Build, compile_text};
use oko_tests::peer::Peer;
use serde_json::{Map, Value};

use crate::measure::{Samples, ratio};
use crate::subject::{BURST, Callable, OkoInstance};

const SOURCE: &str = include_str!("entries/entries.oko");

/// How many entries there are.
const SIZES: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Bursts of a turn.
const BURSTS: usize = 20_000;

/// An IPv4 packet without more than its header; the source address is at [`SOURCE_ADDRESS`].
const FRAME: [u8; 34] = [
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 0, 0,
    1,
];
const SOURCE_ADDRESS: usize = 26;

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(out: &Path, turns: usize, quick: bool) -> Result<Value> {
    println!("### Time per packet by the number of entries\n");
    println!(
        "Each packet looks a random entry up and updates it; bursts of {BURST}, in nanoseconds a packet.\n"
    );
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["entries", "C ns", "native ns", "bpf-jit ns"]);
    let mut figures = Map::new();
    let mut first: Option<Vec<f64>> = None;
    for size in SIZES.into_iter().filter(|&size| !quick || size != 10_000_000) {
        eprintln!("running with {size} entries");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engines/entries/entries.c");
        let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c");
        let flags = [format!("-DCAPACITY={size}"), format!("-I{}", headers.display())];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let peer = Peer::compile(&source, &flags, &out.join(format!("entries-{size}.so")))?;
        let text = SOURCE.replace("CAPACITY", &size.to_string());
        let object = compile_text("entries.oko", text, Build::Switch).bytes;
        let mut medians = Vec::new();
        let mut samples = vec![Samples::default(); 3];
        // One after the other: ten million entries thrice at once are too much for small machines.
        for (index, samples) in samples.iter_mut().enumerate() {
            match index {
                0 => run(&mut peer.instance()?, size, turns, samples)?,
                1 => run(&mut OkoInstance::load(&object, "busy", Engine::Native)?, size, turns, samples)?,
                _ => run(&mut OkoInstance::load(&object, "busy", Engine::BpfJit)?, size, turns, samples)?,
            }
            medians.push(samples.median());
        }
        let of_first = first.get_or_insert_with(|| medians.clone());
        let cells = medians.iter().zip(of_first.iter()).enumerate().map(|(index, (median, of_first))| {
            let to_first = format!("{} of the first", ratio(*median, *of_first));
            match index {
                0 => format!("{median:.1} ({to_first})"),
                _ => format!("{median:.1} ({}, {to_first})", ratio(*median, medians[0])),
            }
        });
        table.add_row([size.to_string()].into_iter().chain(cells));
        let names = ["C", "native", "bpf-jit"].map(str::to_owned);
        let of_size: Map<_, _> = names.into_iter().zip(samples.iter().map(Samples::json)).collect();
        figures.insert(size.to_string(), Value::Object(of_size));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}\n");
    Ok(Value::Object(figures))
}

/// Fills the map and lets random packets come; a figure for each turn.
fn run(subject: &mut impl Callable, size: u32, turns: usize, samples: &mut Samples) -> Result<()> {
    let mut frames = [FRAME; BURST];
    let mut verdicts = [Verdict::default(); BURST];
    let mut now = 1_000_000_000;
    let mut burst = |addresses: &mut dyn FnMut() -> u32| {
        for frame in &mut frames {
            frame[SOURCE_ADDRESS..SOURCE_ADDRESS + 4].copy_from_slice(&addresses().to_be_bytes());
        }
        let packets = frames.each_ref().map(|frame| Packet::new(frame, 1));
        now += 1_000;
        subject.call(black_box(&packets), now, &mut verdicts);
        verdicts.iter().filter(|verdict| verdict.is_match()).count()
    };
    let mut next = 0;
    let mut matches = 0;
    for _ in 0..size.div_ceil(BURST as u32) {
        matches += burst(&mut || {
            next += 1;
            next % size
        });
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((u128::from(state) * u128::from(size)) >> 64) as u32
    };
    for turn in 0..=turns {
        let begin = Instant::now();
        for _ in 0..BURSTS {
            matches += burst(&mut random);
        }
        // The first turn warms up.
        if turn > 0 {
            samples.add(begin.elapsed().as_nanos() as f64 / (BURSTS * BURST) as f64);
        }
    }
    ensure!(matches == 0, "{matches} packets matched");
    Ok(())
}
