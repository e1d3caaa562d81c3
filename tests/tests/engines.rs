//! All engines are one: on every packet of every capture, whole or damaged, each gives the verdict of the IR interpreter, and in the
//! end their states hold the same entries.
//!
//! The engines are those of `oko-filter` and, where `bpf(2)` is available, the Linux kernel. All get the time of
//! the capture; the kernel by a build whose programs read it from a variable.

#![cfg(target_os = "linux")]

use std::path::Path;

use oko_bpf_backend::{NOW_VARIABLE, SEED_VARIABLE};
use oko_compiler::Clock;
use oko_filter::{Engine, FilterInfo, Instance, LoadOptions, Packet};
use oko_ir::layout::EXPIRES_OFFSET;
use oko_tests::captures::{self, Recorded};
use oko_tests::examples;
use oko_tests::kernel::{self, IN_PORT, Loaded, MIN_PACKET};

/// The random number of all engines, so that sketches hash alike.
const SEED: u64 = 0x5eed;
/// The most kinds of packets of a capture that are damaged.
const KINDS: usize = 24;
/// Cut packets have up to this many bytes.
const LONGEST_CUT: usize = 80;
/// Bits are flipped in this many bytes: as far as the headers reach.
const HEADERS: usize = 80;
/// How often a packet gets a flipped bit.
const FLIPS: usize = 100;
/// Where the part of an entry begins that all engines must agree on: behind the lock.
const UNLOCKED: usize = EXPIRES_OFFSET as usize;

/// An example on all engines, with states that nothing was written to.
struct Rig {
    example: String,
    engines: Vec<Instance>,
    kernel: Option<Loaded>,
}

/// What a run over packets came to.
#[derive(Default)]
struct Tally {
    packets: u64,
    kernel: u64,
    matched: u64,
}

impl Rig {
    fn new(program: &Path, kernel: bool) -> Rig {
        // The builds differ in where BPF finds the time, and in nothing else.
        let [object, injected] =
            [Clock::Helper, Clock::Injected].map(|clock| examples::compile(program, clock).bytes);
        let load = |object: &[u8], engine| {
            let options = LoadOptions { engine: Some(engine), seed: Some(SEED), ..LoadOptions::default() };
            Instance::load(object, &options)
                .unwrap_or_else(|error| panic!("{} on {engine}: {}", program.display(), error.report()))
        };
        let mut engines: Vec<Instance> = Engine::ALL.iter().map(|&engine| load(&object, engine)).collect();
        engines.push(load(&injected, Engine::BpfJit));
        let into_kernel = || {
            let loaded = kernel::load(&injected)
                .unwrap_or_else(|error| panic!("{} in the kernel: {error}", program.display()));
            // Programs without hashes have no such variable.
            let _ = loaded.set_variable(SEED_VARIABLE, SEED);
            loaded
        };
        Rig { example: examples::name(program), engines, kernel: kernel.then(into_kernel) }
    }

    fn filters(&self) -> Vec<FilterInfo> {
        self.engines[0].filters().to_vec()
    }

    /// Asks all engines about a packet; they must agree.
    fn judge(
        &mut self,
        filter: &FilterInfo,
        bytes: &[u8],
        now: u64,
        place: &dyn Fn() -> String,
        tally: &mut Tally,
    ) {
        let packet = Packet::new(bytes, IN_PORT);
        let verdicts: Vec<u32> =
            self.engines.iter().map(|engine| engine.run(filter.id, packet, now).class()).collect();
        let verdict = verdicts[0];
        assert!(
            verdicts.iter().all(|other| *other == verdict),
            "{} on {}: {:?} say {verdicts:?} about {bytes:02x?}",
            filter.name,
            place(),
            self.engines.iter().map(Instance::engine).collect::<Vec<_>>(),
        );
        tally.packets += 1;
        tally.matched += u64::from(verdict != 0);
        if let Some(kernel) = &self.kernel
            && bytes.len() >= MIN_PACKET
        {
            let clock = kernel.set_variable(NOW_VARIABLE, now);
            let returned = clock.and_then(|()| kernel.run(&filter.name, bytes));
            let returned = returned.unwrap_or_else(|error| panic!("{}: {error}", place()));
            // XDP_DROP is class 0, XDP_PASS class 1, and so on.
            assert_eq!(
                returned,
                verdict + 1,
                "{} on {}: the kernel differs about {bytes:02x?}",
                filter.name,
                place()
            );
            tally.kernel += 1;
        }
    }

    /// Compares what the states hold.
    fn compare_states(&self, now: u64, place: &str) {
        let [first, others @ ..] = self.engines.as_slice() else { panic!("there are engines") };
        for state in first.states() {
            let live = |engine: &Instance| {
                let snapshot =
                    engine.state_snapshot(&state.name, now).expect("the engines have the same states");
                let entries = snapshot.entries.into_iter();
                let mut entries: Vec<_> = entries
                    .filter(|entry| is_live(&entry.raw_value, now))
                    .map(|entry| (entry.raw_key.to_vec(), shared(&entry.raw_value).to_vec()))
                    .collect();
                entries.sort();
                entries
            };
            let expected = live(first);
            for other in others {
                assert!(live(other) == expected, "{place}: {} differs on {}", state.name, other.engine());
            }
            if let Some(kernel) = &self.kernel {
                let entries = kernel.entries(&state.name).unwrap_or_else(|error| panic!("{place}: {error}"));
                let found: Vec<_> = entries
                    .into_iter()
                    .filter(|(_, value)| is_live(value, now))
                    .map(|(key, value)| (key, shared(&value).to_vec()))
                    .collect();
                assert!(found == expected, "{place}: {} differs in the kernel", state.name);
            }
        }
        for engine in &self.engines {
            for filter in self.filters() {
                assert_eq!(
                    engine.stats(filter.id).faults,
                    0,
                    "{place}: an interpreter met what the verifier excludes"
                );
            }
        }
    }
}

/// The part of a value that all engines must agree on: what is behind an entry's lock, or a whole word.
fn shared(value: &[u8]) -> &[u8] {
    value.get(UNLOCKED..).filter(|rest| !rest.is_empty()).unwrap_or(value)
}

/// Whether an entry is live, or a word is not 0.
fn is_live(value: &[u8], now: u64) -> bool {
    match value.get(UNLOCKED..).and_then(|rest| rest.first_chunk()) {
        Some(expires) => u64::from_le_bytes(*expires) > now,
        None => value.iter().any(|byte| *byte != 0),
    }
}

/// Damages some packets of a capture in all ways, each variant a microsecond after the one before.
fn damage(packets: &[Recorded]) -> Vec<Recorded> {
    let mut now = packets.last().map_or(1, |packet| packet.now);
    let variants = captures::assorted(packets, KINDS).into_iter().zip(1..).flat_map(|(packet, seed)| {
        captures::damaged(
            &packet.bytes,
            LONGEST_CUT,
            HEADERS,
            FLIPS,
            u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15),
        )
    });
    variants
        .map(|bytes| {
            now += 1_000;
            Recorded { now, bytes }
        })
        .collect()
}

#[test]
fn every_example_on_every_capture_whole_and_damaged() {
    let kernel = kernel::available()
        .inspect_err(|error| {
            eprintln!("SKIPPED: the Linux kernel as an engine; there is no bpf(2) here: {error}");
        })
        .is_ok();
    let (mut whole, mut damaged) = (Tally::default(), Tally::default());
    let mut silent = Vec::new();
    for program in examples::programs() {
        let before = whole.matched;
        for capture in examples::captures() {
            let mut rig = Rig::new(&program, kernel);
            let filters = rig.filters();
            let packets = captures::read(&capture);
            let variants = damage(&packets);
            // The damaged ones come last, onto states that the whole ones have filled.
            for (packets, kind, tally) in
                [(&packets, "packet", &mut whole), (&variants, "damaged packet", &mut damaged)]
            {
                for (number, Recorded { now, bytes }) in packets.iter().enumerate() {
                    for filter in &filters {
                        let place = || format!("{kind} {number} of {}", capture.display());
                        rig.judge(filter, bytes, *now, &place, tally);
                    }
                }
                let last = packets.last().expect("captures are not empty").now;
                rig.compare_states(last, &format!("{} after {}, {kind}s", rig.example, capture.display()));
            }
        }
        if whole.matched == before {
            silent.push(examples::name(&program));
        }
    }
    if !silent.is_empty() {
        println!("no packet of the captures matches these: {}", silent.join(", "));
    }
    // Some need what the captures do not have: routers, tunnels, entries of the control plane.
    assert!(
        silent.len() * 3 < examples::programs().len() * 2,
        "the captures show too little: {silent:?} never match"
    );
    println!(
        "whole packets: {} on each engine, {} in the kernel, {} matched; damaged: {}, {} and {}",
        whole.packets, whole.kernel, whole.matched, damaged.packets, damaged.kernel, damaged.matched
    );
    assert!(whole.matched < whole.packets && damaged.matched > 0 && damaged.matched < damaged.packets);
}
