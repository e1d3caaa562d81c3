//! What was taken out of a table or a map is found by nobody any more, and what was put in its place is, whatever engine asks.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_filter::{Engine, Instance, Packet, Verdict};
use oko_ir::interp::TableKey;
use oko_ir::{text, verify};
use rig::{artifact, load};

/// As many as there are places of buckets, so that many are not in their own.
const CAPACITY: u32 = 64;

/// Matches if the value under a packet's port is the packet's length.
fn finder(state: &str, get: &str) -> Vec<u8> {
    let source = format!(
        "
oko.ir 1
{state}, capacity {CAPACITY}, key(port: u32), fields(n: u64)
filter there -> bool {{
block0:
    v0 = pkt.in_port
    find m0(v0), block1, block2
block1(v1: entry m0):
{get}
block2:
    v2 = false
    return v2
}}
"
    );
    artifact(&verify(text::read(&source).unwrap()).unwrap())
}

/// Which of the ports have which value, as a filter sees it; asked twice, for the code of a burst and that of a single packet.
fn seen(instance: &Instance, values: impl Fn(u32) -> usize) -> Vec<bool> {
    let filter = instance.filter("there").unwrap();
    let bytes = [0; 256];
    let packets: Vec<Packet<'_>> =
        (0..CAPACITY).map(|port| Packet::new(&bytes[..values(port)], port)).collect();
    let mut verdicts = vec![Verdict::default(); packets.len()];
    instance.run_burst(filter, &packets, 1, &mut verdicts);
    let burst: Vec<bool> = verdicts.iter().map(|verdict: &Verdict| verdict.is_match()).collect();
    let single: Vec<bool> =
        packets.iter().map(|packet| instance.run(filter, *packet, 1).is_match()).collect();
    assert_eq!(burst, single);
    burst
}

/// Whether a number comes up, by chance that is the same each time.
fn chance(number: u32, round: u32) -> bool {
    (number ^ round << 8).wrapping_mul(0x9e37_79b9) >> 30 == 0
}

/// Puts values under ports and removes them again, and demands that a filter sees what is there and nothing else.
fn change(instance: &Instance, put: impl Fn(&Instance, u32, u64), remove: impl Fn(&Instance, u32) -> bool) {
    let engine = instance.engine();
    let mut held = vec![None; CAPACITY as usize];
    for round in 0..200 {
        for (port, held) in (0..).zip(&mut held) {
            if chance(port, 2 * round) {
                let value = 1 + (port + round) % 100;
                put(instance, port, value.into());
                *held = Some(value as usize);
            } else if chance(port, 2 * round + 1) {
                assert_eq!(remove(instance, port), held.is_some(), "{engine}, round {round}");
                *held = None;
            }
        }
        let there = seen(instance, |port| held[port as usize].unwrap_or(0));
        let expected: Vec<bool> = held.iter().map(Option::is_some).collect();
        assert_eq!(there, expected, "{engine}, round {round}");
        let others = seen(instance, |port| held[port as usize].map_or(7, |value| value + 100));
        assert!(!others.contains(&true), "{engine}, round {round}");
    }
}

#[test]
fn entries_of_tables_that_were_removed_are_not_found() {
    let get = "    v3 = get v1, f0\n    v4 = pkt.len\n    v5 = eq v3, v4\n    return v5";
    let object = finder("state m0 s: table exact", get);
    let key = |port: u32| TableKey { parts: vec![port.into()], bits: 32 };
    for engine in Engine::ALL {
        change(
            &load(&object, engine),
            |instance, port, value| instance.table_put("s", &key(port), &[value]).unwrap(),
            |instance, port| instance.table_remove("s", &key(port)).unwrap(),
        );
    }
}

#[test]
fn entries_of_maps_that_were_deleted_are_not_found() {
    let get = "    v3 = lock v1\n    v4 = get v1, f0\n    unlock.keep v1\n    v5 = pkt.len\n    v6 = eq v4, v5\n    \
        v7 = and_b v3, v6\n    return v7";
    let object = finder("state m0 s: hash refuse", get);
    for engine in [Engine::Native, Engine::BpfJit, Engine::BpfInterp] {
        change(
            &load(&object, engine),
            |instance, port, value| instance.state_write("s", &[port.into()], &[value], u64::MAX, 1).unwrap(),
            |instance, port| instance.state_delete("s", &port.to_ne_bytes()).unwrap(),
        );
    }
}
