//! Keys that are in registers and in the stack frame: beside the interpreter.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use std::collections::BTreeSet;

use engines::{map, over_bytes, packets, same_answers, verified};
use oko_bpf::program::MapKind;

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
