//! All engines are one: on every packet of every capture, whole or damaged, each gives the verdict of the IR interpreter, and in the
//! end their states hold the same entries, and the same events were told.
//!
//! The engines are those of `oko-filter` and, where `bpf(2)` is available, the Linux kernel. All get the time of
//! the capture; the kernel by a build whose programs read it from a variable.

#![cfg(target_os = "linux")]

use oko_tests::captures::{self, Recorded};
use oko_tests::examples::{self, Build};
use oko_tests::kernel;
use oko_tests::rig::{Rig, Tally};

/// The most kinds of packets of a capture that are damaged.
const KINDS: usize = 24;
/// Cut packets have up to this many bytes.
const LONGEST_CUT: usize = 80;
/// Bits are flipped in this many bytes: as far as the headers reach.
const HEADERS: usize = 80;
/// How often a packet gets a flipped bit.
const FLIPS: usize = 100;

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
        let builds = Build::ALL.map(|build| examples::compile(&program, build).bytes);
        for capture in examples::captures() {
            let mut rig = Rig::new(&examples::name(&program), &builds, kernel);
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
                rig.compare(last, &format!("{} after {}, {kind}s", rig.name(), capture.display()), tally);
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
        "whole packets: {} on each engine, {} in the kernel, {} matched, {} events; damaged: {}, {}, {} and {}",
        whole.packets,
        whole.kernel,
        whole.matched,
        whole.events,
        damaged.packets,
        damaged.kernel,
        damaged.matched,
        damaged.events
    );
    assert!(whole.matched < whole.packets && damaged.matched > 0 && damaged.matched < damaged.packets);
}
