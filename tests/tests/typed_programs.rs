//! Programs that are well-typed by construction compile, are accepted by the kernel's verifier, and mean the same on all engines: equal
//! verdicts, state and events over random packets, truncated ones too.
//!
//! A few programs with each run of the tests; `OKO_TYPED_PROGRAMS=10000` for more, `OKO_TYPED_SEED=7` to begin elsewhere.

#![cfg(target_os = "linux")]

use oko_compiler::{NoFiles, Source, parse};
use oko_ir::Module;
use oko_ir::testing::generate::table_entries;
use oko_tests::examples::Build;
use oko_tests::kernel;
use oko_tests::random::Random;
use oko_tests::rig::{Rig, Tally};
use oko_tests::typed::{CONSTRUCTS, program};

/// Programs of an ordinary run.
const PROGRAMS: u64 = 12;
/// Packets for each program.
const PACKETS: u64 = 60;
/// The longest packet.
const LONGEST: u64 = 64;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The module as the front end made it, and the object.
fn compile(seed: u64, source: &str, build: Build) -> (Module, Vec<u8>) {
    let checked = parse(Source::new("typed.oko", source), &NoFiles).check();
    let built = checked.and_then(|checked| {
        let module = checked.ir().module().clone();
        Ok((module, checked.optimize().assemble(&build.options())?.bytes))
    });
    match built {
        Ok(built) => built,
        Err(failed) => {
            let shown = oko_diagnostics::render_all(
                &failed.diagnostics.iter().filter(|found| found.is_error()).cloned().collect::<Vec<_>>(),
                &failed.sources,
                oko_diagnostics::Colour::None,
            );
            panic!("seed {seed}: {failed}\n{shown}\n{source}")
        }
    }
}

/// A packet: often with a short header, few different keys, and any length.
fn packet(random: &mut Random) -> Vec<u8> {
    let length = if random.below(4) == 0 { random.below(LONGEST) } else { 46 + random.below(LONGEST - 46) };
    let small = random.below(2) == 0;
    (0..length).map(|_| if small { random.below(4) as u8 } else { random.word() as u8 }).collect()
}

#[test]
fn typed_programs_mean_the_same_everywhere() {
    let kernel = kernel::available().inspect_err(|error| eprintln!("SKIPPED the kernel: {error}")).is_ok();
    let (first, count) = (setting("OKO_TYPED_SEED", 0), setting("OKO_TYPED_PROGRAMS", PROGRAMS));
    let (mut tally, mut made) = (Tally::default(), [0u32; CONSTRUCTS.len()]);
    for seed in first..first + count {
        let typed = program(seed);
        made.iter_mut().zip(typed.constructs).for_each(|(sum, more)| *sum += more);
        let [(module, switch), (_, clocked), (_, for_kernel)] =
            Build::ALL.map(|build| compile(seed, &typed.source, build));
        let name = format!("seed {seed}\n{}", typed.source);
        let mut rig = Rig::new(&name, &[switch, clocked, for_kernel], kernel);
        let filter = rig.filters()[0].clone();
        let mut random = Random(seed);
        let choices: Vec<u32> = (0..200).map(|_| random.word() as u32).collect();
        for (state, key, fields) in table_entries(&module, &choices) {
            rig.put(&module, state, &key, &fields);
        }
        let mut now = 1_000_000_000u64;
        for number in 0..PACKETS {
            now += random.below(10_000_000_000);
            let bytes = packet(&mut random);
            rig.judge(&filter, &bytes, now, &|| format!("packet {number} of {name}"), &mut tally);
        }
        rig.compare(now, &name, &mut tally);
    }
    let made: Vec<String> =
        made.iter().zip(CONSTRUCTS).map(|(count, construct)| format!("{count} {construct}")).collect();
    eprintln!(
        "{count} programs with {}; {} packets on each engine, {} matched, {} in the kernel; {} entries and {} events alike",
        made.join(", "),
        tally.packets,
        tally.matched,
        tally.kernel,
        tally.entries,
        tally.events
    );
    assert!(tally.matched > 0 && tally.matched < tally.packets, "all verdicts are alike");
    assert!(tally.entries > 0 && tally.events > 0, "nothing is remembered or told");
}
