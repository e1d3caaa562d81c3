//! Nanoseconds a packet of each engine, beside C.

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use oko_filter::{Engine, Packet, Verdict};
use oko_tests::kernel as bpf;
use oko_tests::peer::VARIANTS;
use serde_json::{Map, Value, json};

use crate::examples::Example;
use crate::kernel::KernelInstance;
use crate::measure::{Samples, ratio};
use crate::subject::{BURST, Mode, OkoInstance, REPEATS, SAMPLE, Subject};
use crate::traffic::Traffic;

/// Passes of a turn that are not counted: they bring the subject's state back to the caches.
const WARM: usize = 1;

/// Passes of a turn that are counted.
fn timed(mode: Mode) -> usize {
    match mode {
        Mode::Single | Mode::Burst => 3,
        Mode::Repeated => 1,
    }
}

/// What runs in a mode.
fn engines(mode: Mode) -> &'static [Engine] {
    match mode {
        Mode::Single => &Engine::ALL,
        Mode::Burst | Mode::Repeated => &[Engine::Native, Engine::BpfJit],
    }
}

const LEGEND: &str = "\
Nanoseconds a packet, medians; in brackets the ratio to C. C: the filter by hand, `clang -O2`, state for one core. C, locks: the same with
each entry locked by an atomic instruction while it is used. C, locks and hash: that with a second multiplication behind each hash, as the
engines have it, so that no keys lie side by side, and sketches that hash as the language does; it is what their promises cost by hand, but for evictions beside other cores. Engines of Oko lock entries too, without such instructions while one thread is
alone at them, as here; and they count verdicts. The kernel's figure is that of test runs less those of an empty program, with the clock
read from a variable. `match` is how many packets match in the first pass, with empty state; every verdict of every pass was compared and
is the same for all. Captures are those of `examples/captures`; neighbors, dns, quic, wireguard, vxlan and flows are made (`tests/src/made.rs`), since nobody recorded
the like. Tables hold what `table_entries` in `tests/src/examples.rs` says.
";

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(examples: &[Example], modes: &[Mode], turns: usize) -> Result<Value> {
    let kernel = bpf::available();
    let mut figures = Map::new();
    println!("### Time per packet\n\n{LEGEND}");
    for &mode in modes {
        let with_kernel = mode == Mode::Repeated && kernel.is_ok();
        let mut names = VARIANTS.map(|(name, _)| name.to_owned()).to_vec();
        names.extend(engines(mode).iter().map(|engine| engine.name().to_owned()));
        if with_kernel {
            names.push("kernel".to_owned());
        }
        println!("{}\n", title(mode));
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let heads = ["filter", "traffic", "packets", "match"].map(str::to_owned);
        table.set_header(heads.into_iter().chain(names.iter().map(|name| format!("{name} ns"))));
        for example in examples {
            for (capture, traffic) in &example.captures {
                let mut subjects = subjects(example, mode)?;
                if with_kernel {
                    subjects.push(Box::new(KernelInstance::load(example)?));
                }
                eprintln!("running {} on {capture}, {}", example.name, name(mode));
                let turns = if mode == Mode::Repeated { turns.div_ceil(4) } else { turns };
                let found = take_turns(&mut subjects, &names, mode, traffic, turns)
                    .map_err(|error| error.context(format!("{} on {capture}", example.name)))?;
                let peer = found.samples[0].median();
                let mut row = vec![
                    example.name.to_owned(),
                    (*capture).to_owned(),
                    found.packets.to_string(),
                    found.matches.to_string(),
                    format!("{peer:.1}"),
                ];
                row.extend(found.samples[1..].iter().map(|samples| {
                    let median = samples.median();
                    format!("{median:.1} ({})", ratio(median, peer))
                }));
                table.add_row(row);
                let subjects: Map<_, _> =
                    names.iter().cloned().zip(found.samples.iter().map(Samples::json)).collect();
                let key = format!("{} on {capture}, {}", example.name, name(mode));
                figures.insert(
                    key,
                    json!({
                        "packets": found.packets,
                        "matches_of_first_pass": found.matches,
                        "matches_of_all_passes": found.all_matches,
                        "passes": found.passes,
                        "ns_per_packet": subjects,
                    }),
                );
            }
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}\n");
    }
    if let Err(error) = kernel {
        println!("The kernel is not among them: no bpf(2) here ({}).\n", error.to_string().trim());
    }
    Ok(Value::Object(figures))
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Single => "single",
        Mode::Burst => "burst",
        Mode::Repeated => "repeated",
    }
}

fn title(mode: Mode) -> String {
    match mode {
        Mode::Single => "#### One packet a call".to_owned(),
        Mode::Burst => format!("#### Bursts of {BURST}, one instant a burst"),
        Mode::Repeated => {
            format!("#### {SAMPLE} packets, each {REPEATS} times in a row, as in test runs of the kernel")
        }
    }
}

fn subjects<'e>(example: &'e Example, mode: Mode) -> Result<Vec<Box<dyn Subject + 'e>>> {
    let mut subjects: Vec<Box<dyn Subject + 'e>> = Vec::new();
    let (table, keys) = &example.table;
    for peer in &example.peers {
        let mut instance = peer.instance()?;
        keys.iter().try_for_each(|key| instance.insert(key))?;
        subjects.push(Box::new(instance));
    }
    for &engine in engines(mode) {
        let mut instance = OkoInstance::load(&example.object, &example.filter, engine)?;
        keys.iter().try_for_each(|key| instance.insert(table, key))?;
        subjects.push(Box::new(instance));
    }
    Ok(subjects)
}

/// What the subjects took and answered.
pub(crate) struct Turns {
    packets: usize,
    /// Of each subject, in their order.
    pub(crate) samples: Vec<Samples>,
    passes: u64,
    /// Matches in the first pass, with empty state.
    matches: usize,
    all_matches: usize,
}

/// What is run in a mode.
pub(crate) fn packets(traffic: &Traffic, mode: Mode) -> Vec<(Packet<'_>, u64)> {
    let all = traffic.packets();
    let step = if mode == Mode::Repeated { all.len().div_ceil(SAMPLE) } else { 1 };
    all.into_iter().step_by(step).collect()
}

/// Lets all subjects replay a capture again and again, in turns. All see the same packets at the same instants, so their states and
/// verdicts must stay the same.
pub(crate) fn take_turns(
    subjects: &mut [Box<dyn Subject + '_>],
    names: &[String],
    mode: Mode,
    traffic: &Traffic,
    turns: usize,
) -> Result<Turns> {
    let packets = packets(traffic, mode);
    let mut found = Turns {
        packets: packets.len(),
        samples: vec![Samples::default(); subjects.len()],
        passes: 0,
        matches: 0,
        all_matches: 0,
    };
    let mut verdicts = vec![Verdict::default(); packets.len()];
    for turn in 0..turns {
        let mut expected: Vec<Vec<Verdict>> = Vec::new();
        // Who comes first changes, so that nobody always has the same neighbours.
        for step in 0..subjects.len() {
            let index = (turn + step) % subjects.len();
            for pass in 0..WARM + timed(mode) {
                verdicts.fill(Verdict(u32::MAX));
                let shift = traffic.shift(found.passes + pass as u64);
                let time = subjects[index].pass(mode, &packets, shift, &mut verdicts)?;
                if pass >= WARM {
                    found.samples[index].add(time);
                }
                match expected.get(pass) {
                    None => expected.push(verdicts.clone()),
                    Some(expected) => {
                        let other = expected.iter().zip(&verdicts).position(|(one, other)| one != other);
                        ensure!(
                            other.is_none(),
                            "different work: {} and {} differ on packet {} of pass {}",
                            names[turn % names.len()],
                            names[index],
                            other.unwrap_or_default() + 1,
                            found.passes + pass as u64 + 1,
                        );
                    }
                }
            }
        }
        let matches = |verdicts: &Vec<Verdict>| verdicts.iter().filter(|verdict| verdict.is_match()).count();
        if turn == 0 {
            found.matches = expected.first().map_or(0, matches);
        }
        found.all_matches += expected.iter().map(matches).sum::<usize>();
        found.passes += (WARM + timed(mode)) as u64;
    }
    Ok(found)
}
