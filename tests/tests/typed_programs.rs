//! Programs that are well-typed by construction compile, are accepted by the kernel's verifier, and mean the same on all engines: equal
//! verdicts and equal state over random packets, truncated ones too.
//!
//! A few programs with each run of the tests; `OKO_TYPED_PROGRAMS=10000` for more, `OKO_TYPED_SEED=7` to begin elsewhere.

#![cfg(target_os = "linux")]

use oko_bpf_backend::NOW_VARIABLE;
use oko_compiler::{Clock, NoFiles, Options, Source, parse};
use oko_filter::{Engine, Instance, LoadOptions, Packet};
use oko_ir::layout::EXPIRES_OFFSET;
use oko_tests::kernel::{self, IN_PORT, MIN_PACKET};
use oko_tests::typed::{Random, program};

/// Programs of an ordinary run.
const PROGRAMS: u64 = 25;
/// Packets for each program.
const PACKETS: u64 = 60;
/// The longest packet.
const LONGEST: u64 = 64;
/// Where the part of an entry begins that all engines must agree on: behind the lock.
const UNLOCKED: usize = EXPIRES_OFFSET as usize;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn compile(seed: u64, source: &str, clock: Clock) -> Vec<u8> {
    let options = Options { clock, ..Options::default() };
    let checked = parse(Source::new("typed.oko", source), &NoFiles).check();
    let artifact = checked.and_then(|checked| checked.optimize().assemble(&options));
    match artifact {
        Ok(artifact) => artifact.bytes,
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
    let (mut matched, mut in_kernel, mut made) = (0u64, 0u64, [0u32; 3]);
    for seed in first..first + count {
        let typed = program(seed);
        made.iter_mut().zip(typed.constructs).for_each(|(sum, more)| *sum += more);
        let [object, injected] =
            [Clock::Helper, Clock::Injected].map(|clock| compile(seed, &typed.source, clock));
        let load = |engine| {
            let options = LoadOptions { engine: Some(engine), ..LoadOptions::default() };
            Instance::load(&object, &options).unwrap_or_else(|error| {
                panic!("seed {seed} on {engine}: {}\n{}", error.report(), typed.source)
            })
        };
        let engines: Vec<Instance> = Engine::ALL.iter().map(|&engine| load(engine)).collect();
        let loaded = kernel.then(|| {
            kernel::load(&injected)
                .unwrap_or_else(|error| panic!("seed {seed} in the kernel: {error}\n{}", typed.source))
        });
        let filter = engines[0].filters()[0].clone();
        let mut random = Random(seed);
        let mut now = 1_000_000_000u64;
        for _ in 0..PACKETS {
            now += random.below(10_000_000_000);
            let bytes = packet(&mut random);
            let verdicts: Vec<u32> = (engines.iter())
                .map(|engine| engine.run(filter.id, Packet::new(&bytes, IN_PORT), now).class())
                .collect();
            let verdict = verdicts[0];
            assert!(
                verdicts.iter().all(|other| *other == verdict),
                "seed {seed}: {:?} say {verdicts:?} about {bytes:02x?}\n{}",
                Engine::ALL,
                typed.source
            );
            matched += u64::from(verdict);
            if let Some(loaded) = loaded.as_ref().filter(|_| bytes.len() >= MIN_PACKET) {
                let returned = loaded.set_variable(NOW_VARIABLE, now).and_then(|()| loaded.run("f", &bytes));
                let returned = returned.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert_eq!(
                    returned,
                    verdict + 1,
                    "seed {seed}: the kernel differs about {bytes:02x?}\n{}",
                    typed.source
                );
                in_kernel += 1;
            }
        }
        for state in engines[0].states() {
            let live = |engine: &Instance| {
                let snapshot =
                    engine.state_snapshot(&state.name, now).expect("the engines have the same states");
                let entries = snapshot.entries.into_iter();
                let mut entries: Vec<_> = entries
                    .map(|entry| (entry.raw_key.to_vec(), entry.raw_value[UNLOCKED..].to_vec()))
                    .collect();
                entries.sort();
                entries
            };
            let expected = live(&engines[0]);
            for other in &engines[1..] {
                assert!(
                    live(other) == expected,
                    "seed {seed}: {} differs on {}\n{}",
                    state.name,
                    other.engine(),
                    typed.source
                );
            }
        }
    }
    eprintln!(
        "{count} programs with {} loops, {} arrays and calls, {} changes of state; {} packets on {} engines, {matched} matched, {in_kernel} in the kernel",
        made[0],
        made[1],
        made[2],
        count * PACKETS,
        Engine::ALL.len()
    );
    assert!(matched > 0 && matched < count * PACKETS, "all verdicts are alike");
}
