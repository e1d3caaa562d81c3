//! What it takes to prove an artifact safe and to compile it, beside what the kernel takes for the same BPF and clang for the same in C.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use comfy_table::{CellAlignment, Table, presets};
use oko_artifact::IR_SECTION;
use oko_bpf::object;
use oko_filter::{Engine, Instance, LoadOptions};
use oko_tests::kernel;
use serde_json::{Map, Value};

use crate::examples::Example;
use crate::measure::{Samples, ratio};

/// A step of loading, or a peer of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Read,
    VerifyBpf,
    VerifyIr,
    CompileBpf,
    CompileIr,
    LoadNative,
    LoadBpfJit,
    KernelProgram,
    KernelLoad,
    Clang,
}

const STEPS: [(Step, &str); 10] = [
    (Step::Read, "read"),
    (Step::VerifyBpf, "verify BPF"),
    (Step::VerifyIr, "verify IR"),
    (Step::CompileBpf, "compile BPF"),
    (Step::CompileIr, "compile IR"),
    (Step::LoadNative, "load, native"),
    (Step::LoadBpfJit, "load, bpf-jit"),
    (Step::KernelProgram, "kernel: verify + JIT"),
    (Step::KernelLoad, "kernel: load"),
    (Step::Clang, "clang -O2 -c"),
];

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(examples: &[Example], turns: usize) -> Result<Value> {
    let with_kernel = kernel::available().is_ok();
    println!("### Verification and compilation, in µs\n");
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let ratios = ["verify + compile BPF : kernel's", "load, native : kernel's load", "load, native : clang"];
    table.set_header(["filter"].into_iter().chain(STEPS.iter().map(|(_, name)| *name)).chain(ratios));
    let mut figures = Map::new();
    for example in examples {
        eprintln!("loading {}", example.name);
        let mut samples = vec![Samples::default(); STEPS.len()];
        for _ in 0..turns {
            for ((step, _), samples) in STEPS.iter().zip(&mut samples) {
                let of_kernel = matches!(step, Step::KernelProgram | Step::KernelLoad);
                if with_kernel || !of_kernel {
                    let time = take(*step, example).with_context(|| example.name.to_owned())?;
                    samples.add(time.as_nanos() as f64 / 1e3);
                }
            }
        }
        let of = |wanted| {
            let at = STEPS.iter().position(|(step, _)| *step == wanted);
            samples[at.expect("all steps are listed")].median()
        };
        let mut cells = vec![example.name.to_owned()];
        cells.extend(samples.iter().map(|samples| cell(samples.median())));
        // As the kernel: what proves and compiles BPF, without the reading of the object and without maps.
        cells.push(ratio(of(Step::VerifyBpf) + of(Step::CompileBpf), of(Step::KernelProgram)));
        cells.push(ratio(of(Step::LoadNative), of(Step::KernelLoad)));
        cells.push(ratio(of(Step::LoadNative), of(Step::Clang)));
        table.add_row(cells);
        let steps = STEPS.iter().map(|(_, name)| (*name).to_owned());
        let steps: Map<_, _> = steps.zip(samples.iter().map(Samples::json)).collect();
        figures.insert(example.name.to_owned(), Value::Object(steps));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}\n");
    Ok(Value::Object(figures))
}

fn cell(microseconds: f64) -> String {
    if microseconds.is_nan() { "–".to_owned() } else { format!("{microseconds:.0}") }
}

fn take(step: Step, example: &Example) -> Result<Duration> {
    let bytes = example.object.as_slice();
    match step {
        Step::Read => timed(|| {
            let file = object::read(bytes)?;
            oko_ir::text::read(ir_text(&file)?).map_err(|error| anyhow!("{error}"))
        }),
        Step::VerifyBpf => {
            let programs = object::read(bytes)?.programs;
            timed(|| {
                Ok(programs.into_iter().map(oko_bpf::verifier::verify).collect::<Result<Vec<_>, _>>()?)
            })
        }
        Step::VerifyIr => {
            let module = module(bytes)?;
            timed(|| oko_ir::verify(module).map_err(|errors| anyhow!("{} errors in the IR", errors.len())))
        }
        Step::CompileBpf => {
            let programs = object::read(bytes)?.programs;
            let verified =
                programs.into_iter().map(oko_bpf::verifier::verify).collect::<Result<Vec<_>, _>>()?;
            let compile = |program| oko_jit::compile_bpf(program, oko_jit::Answer::Class { of: 2 });
            timed(|| Ok(verified.iter().map(compile).collect::<Result<Vec<_>, _>>()?))
        }
        Step::CompileIr => {
            let checked =
                oko_ir::verify(module(bytes)?).map_err(|errors| anyhow!("{} errors", errors.len()))?;
            let filters = 0..checked.module().filters.len();
            timed(|| {
                Ok(filters
                    .map(|index| oko_jit::compile_ir(&checked, index))
                    .collect::<Result<Vec<_>, _>>()?)
            })
        }
        Step::LoadNative => load(bytes, Engine::Native),
        Step::LoadBpfJit => load(bytes, Engine::BpfJit),
        Step::KernelProgram => Ok(kernel::load(bytes)?.program_load_time()),
        Step::KernelLoad => timed(|| Ok(kernel::load(bytes)?)),
        Step::Clang => {
            let folder = tempfile::tempdir()?;
            example.peers[0].compile_time(&folder.path().join("peer.o"))
        }
    }
}

fn load(bytes: &[u8], engine: Engine) -> Result<Duration> {
    let options = LoadOptions { engine: Some(engine), ..LoadOptions::default() };
    timed(|| Ok(Instance::load(bytes, &options)?))
}

/// The IR in an artifact.
pub(crate) fn module(bytes: &[u8]) -> Result<oko_ir::Module> {
    let file = object::read(bytes)?;
    oko_ir::text::read(ir_text(&file)?).map_err(|error| anyhow!("{error}"))
}

fn ir_text<'f>(file: &object::ObjectFile<'f>) -> Result<&'f str> {
    let section = file.section(IR_SECTION).context("the artifact has no IR")?;
    Ok(std::str::from_utf8(section)?)
}

/// How long a step takes; what it makes is dropped afterwards.
fn timed<T>(step: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let begin = Instant::now();
    let made = black_box(step());
    let time = begin.elapsed();
    made.map(|_| time)
}
