//! What proving and compiling costs by the size of a program, and how much memory the verifier takes.
//!
//! The programs: clang's, all examples, and one made to keep the verifier busy: a loop of branches that count a register up or not and write it to places on the
//! stack, so that states differ and the verifier goes on until its budget is spent. Memory is the rise of the process's peak (`VmHWM`, reset before).

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use comfy_table::{CellAlignment, Table, presets};
use oko_bpf::{asm, object, program::Program, verifier};
use oko_tests::examples::{self, Build};
use serde_json::{Map, Value, json};

use crate::foreign;
use crate::measure::Samples;

/// Branches of the busy program, each with a place of the stack of its own, and how often all are met at most.
const BRANCHES: usize = 60;
const ROUNDS: usize = 100;

/// Measures and prints; the figures with more detail.
pub(crate) fn measure(out: &Path, turns: usize) -> Result<Value> {
    println!("### Verification and compilation of BPF by size\n");
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["program", "instructions", "verify, µs", "compile, µs", "together, ms"]);
    let mut figures = Map::new();
    let mut objects = Vec::new();
    for (name, _) in foreign::PROGRAMS {
        objects.push((format!("{name}.c"), foreign::object(name, out)?));
    }
    objects.extend(examples());
    for (name, object) in &objects {
        eprintln!("proving {name}");
        let instructions: usize =
            object::read(object)?.programs.iter().map(|program| program.insns.len()).sum();
        let (mut verify, mut compile) = (Samples::default(), Samples::default());
        for _ in 0..turns {
            let programs = object::read(object)?.programs;
            let begin = Instant::now();
            let verified = programs
                .into_iter()
                .map(verifier::verify)
                .collect::<Result<Vec<_>, _>>()
                .with_context(|| name.clone())?;
            verify.add(begin.elapsed().as_nanos() as f64 / 1e3);
            let begin = Instant::now();
            let compile_one = |program| oko_jit::compile_bpf(program, oko_jit::Answer::Pass);
            let compiled = verified.iter().map(compile_one).collect::<Result<Vec<_>, _>>()?;
            compile.add(begin.elapsed().as_nanos() as f64 / 1e3);
            drop(compiled);
        }
        let sum = (verify.median() + compile.median()) / 1e3;
        table.add_row([
            name.clone(),
            instructions.to_string(),
            format!("{:.0}", verify.median()),
            format!("{:.0}", compile.median()),
            format!("{sum:.2}"),
        ]);
        figures.insert(
            name.clone(),
            json!({ "instructions": instructions, "verify_us": verify.json(), "compile_us": compile.json(), "together_ms": sum }),
        );
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}\n");

    let (mebibytes, seconds, answer) = busy()?;
    println!(
        "A loop of {BRANCHES} branches that make states differ keeps the verifier busy for {seconds:.2} s and {mebibytes:.1} MiB, then: {answer}.\n"
    );
    Ok(
        json!({ "programs": figures, "busy": { "mebibytes": mebibytes, "seconds": seconds, "answer": answer } }),
    )
}

/// All examples as objects.
fn examples() -> Vec<(String, Vec<u8>)> {
    let programs = examples::programs().into_iter();
    programs
        .map(|file| (examples::name(&file) + ".oko", examples::compile(&file, Build::Switch).bytes))
        .collect()
}

/// Peak memory in MiB, seconds, and what the verifier says of the busy program.
fn busy() -> Result<(f64, f64, String)> {
    let mut text = String::from(
        "ldxw %r2, [%r1+0]\nldxw %r3, [%r1+4]\nmov %r0, %r2\nadd %r0, 64\njgt %r0, %r3, out\nmov %r6, 0\n",
    );
    for branch in 0..BRANCHES {
        text += &format!("stdw [%r10-{}], 0\n", 8 * (branch + 1));
    }
    text += "round:\n";
    for branch in 0..BRANCHES {
        let place = 8 * (branch + 1);
        text += &format!(
            "ldxb %r4, [%r2+{branch}]\nstxdw [%r10-{place}], %r6\njeq %r4, {branch}, l{branch}\nadd %r6, 1\nl{branch}:\n"
        );
    }
    text += &format!("add %r6, 1\njlt %r6, {}, round\nmov %r0, 0\n", ROUNDS * BRANCHES);
    for branch in 0..BRANCHES {
        text += &format!("ldxdw %r4, [%r10-{}]\nadd %r0, %r4\n", 8 * (branch + 1));
    }
    text += "exit\nout:\nmov %r0, 1\nexit\n";
    let insns = asm::assemble(&text).map_err(|error| anyhow!("{error}"))?;
    let program = Program { name: "busy".into(), insns, ..Program::default() };
    // What was freed before goes back to the system, or it would be used again unseen.
    // SAFETY: it changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
    let before = status("VmRSS:")?;
    let begin = Instant::now();
    let answer = match verifier::verify(program) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("refused ({})", error.reason),
    };
    let seconds = begin.elapsed().as_secs_f64();
    Ok(((status("VmHWM:")? - before).max(0.0) / 1024.0, seconds, answer))
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}
