//! Runs the benchmark of loading and running filters, which is a program of its own in `tests/benches/engines`.

use anyhow::Result;
use serde_json::Value;

use super::program::{Program, take_figures};
use super::table::Target;
use super::{Bench, Section};

pub(super) const PROGRAM: Program = Program { package: "oko-tests", name: "engines" };

/// Instructions of a small program.
const SMALL: f64 = 110.0;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let text = PROGRAM.run(bench, &["--out".as_ref(), bench.out.as_ref()])?;
    let figures = take_figures(&bench.out.join("engines.json"))?;
    let targets = targets(&figures);
    Ok(Section { targets, ..Section::new(text, figures) })
}

/// What the project is to reach, held against the figures of the program.
fn targets(figures: &Value) -> Vec<Target> {
    let median = |samples: &Value| samples["median"].as_f64().unwrap_or(f64::NAN);
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut bursts = fields(&figures["running"]);
    bursts.retain(|name, _| name.ends_with(", burst"));
    let of = |engine: &str| {
        let ratio =
            |case: &Value| median(&case["ns_per_packet"][engine]) / median(&case["ns_per_packet"]["C"]);
        bursts.values().map(ratio).collect::<Vec<_>>()
    };
    let foreign: Vec<Value> = fields(&figures["foreign"]).into_values().filter(Value::is_object).collect();
    let to_c =
        foreign.iter().map(|program| median(&program["burst"]["bpf-jit"]) / median(&program["burst"]["C"]));
    let to_kernel = foreign.iter().map(|program| {
        let more = |engine: &str| program["beyond"][engine]["more"].as_f64().unwrap_or(f64::NAN);
        more("bpf-jit") / more("kernel")
    });
    let programs: Vec<(f64, f64)> = fields(&figures["budget"]["programs"])
        .values()
        .map(|program| {
            (
                program["instructions"].as_f64().unwrap_or(f64::NAN),
                program["together_ms"].as_f64().unwrap_or(f64::NAN),
            )
        })
        .collect();
    let small = programs.iter().filter(|(instructions, _)| *instructions <= SMALL).map(|(_, time)| *time);
    let largest = programs.iter().copied().max_by(|one, other| one.0.total_cmp(&other.0));
    let mebibytes = figures["budget"]["busy"]["mebibytes"].as_f64().unwrap_or(f64::NAN);
    vec![
        Target::at_most("native : C, bursts of 32", 1.2, of("native")),
        Target::at_most("BPF of okoc on our JIT : C, bursts of 32", 1.3, of("bpf-jit")),
        Target::at_most("BPF of clang on our JIT : C, bursts of 32", 1.3, to_c),
        Target::at_most("BPF of clang on our JIT : the kernel's, without the empty program", 1.0, to_kernel),
        Target::at_most("ms to verify and compile BPF of up to 110 instructions", 2.0, small),
        Target::at_most(
            "ms to verify and compile BPF of the largest example",
            10.0,
            largest.map(|(_, time)| time),
        ),
        Target::at_most("MiB of memory of the verifier", 64.0, [mebibytes]),
    ]
}
