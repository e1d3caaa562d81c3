//! Keys that are in registers and in the stack frame: beside the interpreter.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use std::collections::BTreeSet;

use engines::{Maps, interpret, look_up, map, over_bytes, packets, run, same_answers, update, verified};
use oko_bpf::program::{MapDef, MapKind};
use oko_jit::abi::Packet;
use oko_jit::{Answer, compile_bpf};
use oko_state::Update;

/// Looks up the lowest bits of a packet's first byte, inserts them if they are not there, counts, and then does more.
fn counting(kept: &str, absent: &str, found: &str) -> String {
    let (look_up, update) = (look_up(0, -8), update(0, -8, -24));
    over_bytes(&format!(
        "ldxb %r6, [%r2+0]
         ldxb %r7, [%r2+1]
         and %r6, 7
         stxw [%r10-8], %r6
         stw [%r10-4], 0
         {kept}
         {look_up}
         jne %r0, 0, found
         {absent}
         stdw [%r10-24], 5
         {update}
         {look_up}
         jeq %r0, 0, out
         found: ldxdw %r5, [%r0+0]
         add %r5, 1
         stxdw [%r0+0], %r5
         mov %r8, %r5
         {found}
         mov %r0, %r8"
    ))
}

#[test]
fn a_key_is_in_the_frame_for_whoever_reads_it() {
    let again = &format!("{}\n jeq %r0, 0, out\n ldxdw %r4, [%r0+0]\n add %r8, %r4", look_up(0, -8));
    let read = "ldxw %r4, [%r10-8]\n add %r8, %r4";
    let programs = [
        counting("", "", ""),
        // It is read where there is an entry, as it was and after a part of it was written anew.
        counting("", "", read),
        counting("", "", again),
        counting("", "", &format!("jset %r7, 1, other\n {read}\n other: add %r8, 3")),
        counting("", "", &format!("jset %r7, 1, other\n stb [%r10-8], 2\n other: {read}")),
        counting("", "", &format!("stb [%r10-8], 3\n {again}")),
        // Where there is none.
        counting("", "ldxw %r8, [%r10-8]\n jeq %r8, 3, out", ""),
        counting("", "stw [%r10-8], 1", read),
        // And before it is looked up, on one way and another.
        counting(
            "jset %r7, 1, other\n ldxdw %r8, [%r10-8]\n stxw [%r10-8], %r8\n other: stb [%r10-5], 0",
            "",
            "",
        ),
        counting("jset %r7, 1, other\n stw [%r10-8], 9\n other: mov %r8, 0", "", again),
    ];
    for text in &programs {
        let maps = vec![map("counts", MapKind::Hash, 8, 8, None)];
        let answers = same_answers(&verified(text, maps), &packets());
        let counted: BTreeSet<u32> = answers.iter().copied().filter(|answer| *answer != 77).collect();
        assert!(counted.len() > 1, "{text}\n{answers:?}");
    }
}

/// By the words that the keys here are.
fn counts() -> MapDef {
    MapDef { key_size: 8, ..map("counts", MapKind::Hash, 8, 64, None) }
}

/// A test behind a look-up both ways of which are the same: nothing is known there.
#[test]
fn a_key_is_in_the_frame_where_ways_with_and_without_an_entry_are_one() {
    let look_up = look_up(0, -16);
    let programs = [
        format!(
            "ldxb %r6, [%r2+0]
             and %r6, 7
             stxdw [%r10-8], %r6
             stdw [%r10-24], 5
             {}
             ja next
             next: stxdw [%r10-16], %r6
             {look_up}
             jeq %r0, 0, same
             same: ldxdw %r0, [%r10-16]",
            update(0, -8, -24)
        ),
        format!(
            "ldxb %r6, [%r2+0]
             and %r6, 7
             stxdw [%r10-16], %r6
             {look_up}
             jne %r0, 0, same
             same: ldxdw %r8, [%r10-16]
             stdw [%r10-24], 5
             {}
             mov %r0, %r8",
            update(0, -16, -24)
        ),
    ];
    for text in programs {
        same_answers(&verified(&over_bytes(&text), vec![counts()]), &packets());
    }
}

/// A family and an address that were stored by words: a piece of three bytes is loaded from the frame.
#[test]
fn a_prefix_is_in_the_frame_where_a_piece_of_it_is_loaded() {
    const KEY: usize = 21;
    let text = over_bytes(&format!(
        "ldxw %r6, [%r2+0]
         ldxdw %r7, [%r2+4]
         stw [%r10-24], 136
         stxw [%r10-20], %r6
         stxdw [%r10-16], %r7
         stxdw [%r10-8], %r7
         {}
         jne %r0, 0, there
         mov %r0, 1
         ja out
         there: ldxdw %r0, [%r0+0]",
        look_up(0, -24)
    ));
    let networks = MapDef { key_size: KEY as u32, ..map("networks", MapKind::LpmTrie, 8, 300, None) };
    let program = verified(&text, vec![networks]);
    let maps = Maps::new(program.maps());
    for first in 0..=255_u8 {
        let mut key = [0; KEY];
        key[..4].copy_from_slice(&16_u32.to_ne_bytes());
        key[4..6].copy_from_slice(&[4, first]);
        let value = 1_000 + u64::from(first);
        maps.0[0].update(&key, &value.to_ne_bytes(), Update::Any, 1).unwrap();
    }
    let code = compile_bpf(&program, Answer::Value).unwrap();
    for first in 0..=255_u8 {
        let mut packet = [9_u8; 16];
        packet[..2].copy_from_slice(&[4, first]);
        let found = run(&code, &maps, &[Packet::new(&packet, 1)], 2)[0];
        assert_eq!(found, interpret(&program, &maps, &packet, 2));
        assert_eq!(found, 1_000 + u32::from(first));
    }
}
