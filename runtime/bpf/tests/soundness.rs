//! Whatever the verifier accepts runs on the checking interpreter without a violation, and behaves as it says.
//!
//! Programs and packets are random, named by a seed. For each accepted program: no run faults, none takes more steps than
//! the longest path, every executed instruction has a note that tells the truth about its memory, and neither
//! the result nor the maps depend on where the objects are (no address leaks).

mod env;
mod generator;

use env::{TestMaps, Watched, Watcher};
use generator::Rng;
use oko_bpf::{
    disasm,
    interp::{Interpreter, Options, PacketMeta, Place, Snapshot},
    verified::{Note, Region, Verified},
    verifier::{Limits, verify_within},
};

/// Loops that need not end are common among random programs: not much time is spent on each.
const LIMITS: Limits = Limits { slots: 1 << 16, steps: 1 << 13, bytes: 16 << 20 };

/// Compares what happens with the verifier's notes.
struct Notes<'v> {
    verified: &'v Verified,
    lie: Option<String>,
}

impl Watcher for Notes<'_> {
    fn before(&mut self, step: &Snapshot<'_>) {
        if self.verified.notes()[step.slot()] == Note::Dead {
            self.lie = Some(format!("slot {} is said to be dead", step.slot()));
        }
    }
    fn access(&mut self, slot: usize, place: Place, off: i64) {
        let note = self.verified.notes()[slot];
        let holds = match (note, place) {
            (Note::CtxLoad(field), Place::Context) => i64::from(field.offset()) == off,
            (Note::Access(Region::Frame { off: said }), Place::Frame(_)) => i64::from(said) == off,
            (Note::Access(Region::Stack), Place::Frame(_)) => true,
            (Note::Access(Region::Packet), Place::Packet) => true,
            (Note::Access(Region::MapValue(said)), Place::Value { map, .. }) => said == map,
            (Note::Access(Region::Record), Place::Record { .. }) => true,
            (Note::Access(Region::Mixed), place) => !matches!(place, Place::Context | Place::Map(_)),
            _ => false,
        };
        if !holds {
            self.lie = Some(format!("slot {slot}: {note:?}, but it accesses {place} at {off}"));
        }
    }
}

/// What went wrong with an accepted program, if anything.
fn violation(verified: &Verified, rng: &mut Rng) -> Option<String> {
    let mut worlds = [0u32, 0x1234_5678].map(|slide| {
        let maps = TestMaps::new(verified.maps());
        (slide, Watched { maps, watcher: Notes { verified, lie: None } })
    });
    for _ in 0..4 {
        let len = match rng.below(3) {
            0 => rng.below(16),
            1 => rng.below(80),
            _ => rng.below(200),
        };
        let packet: Vec<u8> = (0..len).map(|_| rng.next() as u8 & rng.next() as u8).collect();
        let meta = PacketMeta { ingress_ifindex: rng.next() as u32, rx_queue_index: rng.below(70) as u32 };
        let mut results = Vec::new();
        for (slide, watch) in &mut worlds {
            let options = Options { slide: *slide, ..Options::default() };
            watch.maps.now = watch.maps.now.wrapping_mul(3);
            match Interpreter::new(verified.program(), options).run(&packet, meta, watch) {
                Err(fault) => return Some(format!("{fault} (packet {packet:02x?}, {meta:?})")),
                Ok(outcome) if outcome.steps > verified.max_steps() => {
                    return Some(format!("{} steps, said at most {}", outcome.steps, verified.max_steps()));
                }
                Ok(outcome) => {
                    results.push((outcome, watch.maps.contents(), watch.maps.records.clone()));
                }
            }
            if let Some(lie) = watch.watcher.lie.take() {
                return Some(lie);
            }
        }
        if results[0] != results[1] {
            return Some(format!("depends on addresses: {results:x?}"));
        }
    }
    None
}

/// Runs the programs of some seeds; gives how many were accepted.
fn check(seeds: std::ops::Range<u64>) -> u64 {
    let mut accepted = 0;
    for seed in seeds {
        let program = generator::program(seed);
        let Ok(verified) = verify_within(program, &LIMITS) else { continue };
        accepted += 1;
        if let Some(what) = violation(&verified, &mut Rng(seed ^ 0xabcd)) {
            panic!("seed {seed}: {what}\n{}", disasm::listing(verified.insns()));
        }
    }
    accepted
}

#[test]
fn accepted_programs_keep_the_promises() {
    let programs = 12_000;
    let accepted = check(0..programs);
    assert!(accepted * 5 > programs, "the generator makes too few acceptable programs: {accepted}");
    assert!(accepted * 20 < programs * 19, "the generator makes too few mistakes: {accepted}");
}

/// `OKO_SOUNDNESS_PROGRAMS=10000000 cargo test --release -p oko-bpf --test soundness -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as it is told to"]
fn accepted_programs_keep_the_promises_for_long() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(default)
    };
    let (start, programs) =
        (number("OKO_SOUNDNESS_START", 1 << 32), number("OKO_SOUNDNESS_PROGRAMS", 1_000_000));
    let accepted = check(start..start + programs);
    println!("{programs} programs, {accepted} accepted");
}
