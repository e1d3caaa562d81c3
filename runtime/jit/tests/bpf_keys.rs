//! Keys that are in registers and in the stack frame: beside the interpreter.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use std::collections::BTreeSet;

use engines::{map, over_bytes, packets, same_answers, verified};
use oko_bpf::program::{MapDef, MapKind};

/// Looks up the lowest bits of a packet's first byte, inserts them if they are not there, counts, and then does more.
fn counting(kept: &str, absent: &str, found: &str) -> String {
    over_bytes(&format!(
        "ldxb %r6, [%r2+0]
         ldxb %r7, [%r2+1]
         and %r6, 7
         stxw [%r10-8], %r6
         stw [%r10-4], 0
         {kept}
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         call 1
         jne %r0, 0, found
         {absent}
         stdw [%r10-24], 5
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         mov %r3, %r10
         add %r3, -24
         mov %r4, 0
         call 2
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         call 1
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
    let again = "lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n jeq %r0, 0, out\n ldxdw %r4, [%r0+0]\n add %r8, %r4";
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

/// A test behind a look-up both ways of which are the same: nothing is known there.
#[test]
fn a_key_is_in_the_frame_where_ways_with_and_without_an_entry_are_one() {
    let programs = [
        "ldxb %r6, [%r2+0]
         and %r6, 7
         mov %r9, 0
         stxdw [%r10-8], %r6
         stdw [%r10-24], 5
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -8
         mov %r3, %r10
         add %r3, -24
         mov %r4, 0
         call 2
         ja next
         next: jeq %r9, 1, next2
         next2: stxdw [%r10-16], %r6
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -16
         call 1
         jeq %r0, 0, same
         same: ldxdw %r0, [%r10-16]",
        "ldxb %r6, [%r2+0]
         and %r6, 7
         stxdw [%r10-16], %r6
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -16
         call 1
         jne %r0, 0, same
         same: ldxdw %r8, [%r10-16]
         stdw [%r10-24], 5
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -16
         mov %r3, %r10
         add %r3, -24
         mov %r4, 0
         call 2
         mov %r0, %r8",
    ];
    for text in programs {
        let counts = MapDef { key_size: 8, ..map("counts", MapKind::Hash, 8, 64, None) };
        same_answers(&verified(&over_bytes(text), vec![counts]), &packets());
    }
}

/// A family and an address that were stored by words: a piece of three bytes is loaded from the frame.
#[test]
fn a_prefix_is_in_the_frame_where_a_piece_of_it_is_loaded() {
    let text = over_bytes(
        "ldxw %r6, [%r2+0]
         ldxdw %r7, [%r2+4]
         and %r6, 0xffffff
         lsh %r6, 8
         or %r6, 4
         stw [%r10-24], 136
         stxw [%r10-20], %r6
         stxdw [%r10-16], %r7
         stxdw [%r10-8], %r7
         stxdw [%r10-32], %r6
         stw [%r10-64], 32
         stxw [%r10-60], %r6
         stxdw [%r10-56], %r7
         stxdw [%r10-48], %r7
         mov %r3, %r10
         add %r3, -32
         mov %r4, 0
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -64
         call 2
         stw [%r10-64], 8
         stdw [%r10-32], 7
         mov %r3, %r10
         add %r3, -32
         mov %r4, 0
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -64
         call 2
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, -24
         call 1
         jne %r0, 0, there
         mov %r0, 1
         ja out
         there: ldxdw %r0, [%r0+0]",
    );
    let networks = MapDef { key_size: 21, ..map("networks", MapKind::LpmTrie, 8, 300, None) };
    same_answers(&verified(&text, vec![networks]), &packets());
}

/// Blocks that lie in the reverse order would take a turn each.
#[test]
fn code_that_jumps_back_again_and_again_compiles_in_time() {
    const BLOCKS: usize = 4_000;
    let look_up =
        "stxdw [%r10-8], %r6\n lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n jeq %r0, 0, out";
    let blocks: String =
        (0..BLOCKS).rev().map(|at| format!("b{at}: add %r6, 1\n ja b{}\n", at + 1)).collect();
    let text = over_bytes(&format!(
        "ldxb %r6, [%r2+0]\n {look_up}\n ja b0\n b{BLOCKS}: mov %r0, %r6\n ja out\n {blocks}"
    ));
    let counts = MapDef { key_size: 8, ..map("counts", MapKind::Hash, 8, 64, None) };
    same_answers(&verified(&text, vec![counts]), &packets()[..4]);
}
