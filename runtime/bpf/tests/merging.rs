//! Where paths meet, what only some of them know is not known: whatever the order in which they come, and whether their
//! states are pruned, kept apart, or merged because there are many.
//!
//! Each fact is established on six paths that meet. If all establish it, the program is accepted; if one does not, at any
//! of the six places, it is refused.

#![allow(clippy::unwrap_used, reason = "a program that does not assemble fails the test")]

use oko_bpf::{
    asm,
    program::{MapDef, MapKind, Program},
    verifier::verify,
};

struct Fact {
    name: &'static str,
    before: &'static str,
    /// Establishes the fact, and goes on or to `out`.
    good: &'static str,
    /// Does not establish it.
    bad: &'static str,
    /// Relies on it.
    after: &'static str,
}

const PACKET: &str = "ldxw %r2, [%r1+0]\nldxw %r3, [%r1+4]";
const VARIABLE: &str = "ldxw %r2, [%r1+0]\nldxw %r3, [%r1+4]\nldxw %r5, [%r1+16]\nand %r5, 63\nadd %r2, %r5";
const LOOKUP: &str = "stw [%r10-4], 1\nlddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\nmov %r9, %r0";
const TWO_ENTRIES: &str =
    "stw [%r10-4], 1\nlddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\njeq %r0, 0, out\nmov %r9, %r0
stw [%r10-4], 2\nlddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\njeq %r0, 0, out\nmov %r8, %r0";
const ENTRY: &str =
    "stw [%r10-4], 1\nlddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\njeq %r0, 0, out\nmov %r9, %r0";

const TWO_RECORDS: &str = "lddw %r1, map[1]\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, out\nmov %r9, %r0
lddw %r1, map[1]\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, one\nmov %r8, %r0";

const FACTS: [Fact; 19] = [
    Fact { name: "a register is written", before: "", good: "mov %r8, 1", bad: "", after: "mov %r0, %r8" },
    Fact {
        name: "a stack slot is written",
        before: "",
        good: "stdw [%r10-8], 1",
        bad: "",
        after: "ldxdw %r0, [%r10-8]",
    },
    Fact {
        name: "all bytes of a word are written",
        before: "",
        good: "stw [%r10-8], 1",
        bad: "sth [%r10-8], 1",
        after: "ldxw %r0, [%r10-8]",
    },
    Fact {
        name: "a stack slot holds a number",
        before: "mov %r9, %r1",
        good: "stdw [%r10-8], 1",
        bad: "stxdw [%r10-8], %r9",
        after: "ldxw %r0, [%r10-8]",
    },
    Fact {
        name: "a stack slot holds a pointer",
        before: "mov %r9, %r1",
        good: "stxdw [%r10-8], %r9",
        bad: "stdw [%r10-8], 1",
        after: "ldxdw %r1, [%r10-8]\nldxw %r0, [%r1+12]",
    },
    Fact {
        name: "a number is small",
        before: "",
        good: "mov %r8, 3",
        bad: "mov %r8, 512",
        after: "mov %r4, %r10\nadd %r4, -512\nadd %r4, %r8\nstb [%r4+0], 1\nmov %r0, 0",
    },
    Fact {
        name: "a number on the stack is small",
        before: "",
        good: "stw [%r10-8], 3",
        bad: "stw [%r10-8], 512",
        after: "ldxw %r8, [%r10-8]\nmov %r4, %r10\nadd %r4, -512\nadd %r4, %r8\nstb [%r4+0], 1\nmov %r0, 0",
    },
    Fact {
        name: "a register is a pointer",
        before: "",
        good: "mov %r8, %r10",
        bad: "mov %r8, 5",
        after: "stb [%r8-1], 1\nmov %r0, 0",
    },
    Fact {
        name: "a pointer is inside of its frame",
        before: "",
        good: "mov %r8, %r10",
        bad: "mov %r8, %r10\nadd %r8, 8",
        after: "stdw [%r8-8], 1\nmov %r0, 0",
    },
    Fact {
        name: "two registers are equal",
        before: "ldxw %r5, [%r1+16]\nldxw %r9, [%r1+16]",
        good: "mov %r8, %r5",
        bad: "mov %r8, %r9",
        after: "mov %r0, 0\njgt %r5, 15, out\nmov %r4, %r10\nadd %r4, -16\nadd %r4, %r8\nstb [%r4+0], 1",
    },
    Fact {
        name: "a register and a stack slot are equal",
        before: "ldxw %r5, [%r1+16]\nldxw %r9, [%r1+16]",
        good: "stxdw [%r10-32], %r5",
        bad: "stxdw [%r10-32], %r9",
        after: "mov %r0, 0\njgt %r5, 15, out\nldxdw %r8, [%r10-32]\nmov %r4, %r10\nadd %r4, -16\nadd %r4, %r8\nstb [%r4+0], 1",
    },
    Fact {
        name: "the packet is long enough",
        before: PACKET,
        good: "mov %r4, %r2\nadd %r4, 8\njgt %r4, %r3, out",
        bad: "",
        after: "ldxb %r0, [%r2+0]",
    },
    Fact {
        name: "the packet is long enough behind a variable offset",
        before: VARIABLE,
        good: "mov %r4, %r2\nadd %r4, 8\njgt %r4, %r3, out",
        bad: "mov %r4, %r2\nadd %r4, 4\njgt %r4, %r3, out",
        after: "ldxdw %r0, [%r2+0]",
    },
    Fact {
        name: "the packet is long enough behind a number that is added later",
        before: "ldxw %r2, [%r1+0]\nldxw %r3, [%r1+4]\nldxw %r5, [%r1+16]\nand %r5, 63",
        good: "mov %r4, %r2\nadd %r4, %r5\nadd %r4, 8\njgt %r4, %r3, out",
        bad: "mov %r4, %r2\nadd %r4, %r5",
        after: "add %r2, %r5\nldxb %r0, [%r2+0]",
    },
    Fact {
        name: "an entry is there",
        before: LOOKUP,
        good: "jeq %r9, 0, out",
        bad: "",
        after: "ldxb %r0, [%r9+8]",
    },
    Fact {
        name: "a lock is held",
        before: ENTRY,
        good: "mov %r1, %r9\ncall 93",
        bad: "",
        after: "mov %r1, %r9\ncall 94\nmov %r0, 0",
    },
    Fact {
        name: "this entry's lock is held",
        before: TWO_ENTRIES,
        good: "mov %r1, %r8\ncall 93",
        bad: "mov %r1, %r9\ncall 93",
        after: "mov %r1, %r8\ncall 94\nmov %r0, 0",
    },
    Fact {
        name: "it is the other record, which is not handed over yet",
        before: TWO_RECORDS,
        good: "mov %r5, %r8",
        bad: "mov %r5, %r9",
        after: "stxdw [%r10-8], %r5\nmov %r1, %r9\nmov %r2, 0\ncall 132\nldxdw %r5, [%r10-8]\nstdw [%r5+0], 7
mov %r1, %r8\nmov %r2, 0\ncall 132\nmov %r0, 0\nja done\none: mov %r1, %r9\nmov %r2, 0\ncall 132\nja out\ndone:",
    },
    Fact {
        name: "it is one of the records that are handed over later",
        before: TWO_RECORDS,
        good: "mov %r5, %r8",
        bad: "mov %r5, %r10",
        after: "stdw [%r5+8], 7\nmov %r1, %r9\nmov %r2, 0\ncall 132\nmov %r1, %r8\nmov %r2, 0\ncall 132
mov %r0, 0\nja done\none: mov %r1, %r9\nmov %r2, 0\ncall 132\nja out\ndone:",
    },
];

const PATHS: usize = 6;

/// Six paths to `after`, of which the one at `odd`, if any, does not establish the fact. If `distinct`, the paths also
/// leave different numbers in a register that is read at the end, so that no state covers another one.
fn program(fact: &Fact, odd: Option<usize>, distinct: bool) -> Program {
    let mut text = format!("ldxw %r6, [%r1+12]\nmov %r0, 0\nmov %r7, 0\n{}\n", fact.before);
    for path in 0..PATHS - 1 {
        text.push_str(&format!("jeq %r6, {path}, path{path}\n"));
    }
    for path in (0..PATHS).rev() {
        let arm = if odd == Some(path) { fact.bad } else { fact.good };
        let number = if distinct { 1 << path } else { 0 };
        text.push_str(&format!("path{path}:\nmov %r7, {number}\n{arm}\n"));
        if path > 0 {
            text.push_str("ja meet\n");
        }
    }
    text.push_str(&format!("meet:\n{}\nadd %r0, %r7\nexit\nout: mov %r0, 0\nexit\n", fact.after));
    if !text.replace("out: ", "").contains("out") {
        text = text.replace("out: mov %r0, 0\nexit\n", "");
    }
    let entries = MapDef {
        name: "m".to_owned(),
        kind: MapKind::Hash,
        key_size: 4,
        value_size: 16,
        max_entries: 4,
        hashes: 0,
        lock_offset: Some(0),
        data: None,
    };
    let ring =
        MapDef { name: "ring".to_owned(), kind: MapKind::RingBuf, max_entries: 4096, ..MapDef::default() };
    let maps = vec![entries, ring];
    Program { name: fact.name.to_owned(), insns: asm::assemble(&text).unwrap(), maps, lines: Vec::new() }
}

#[test]
fn what_all_paths_establish_is_known() {
    for fact in &FACTS {
        for distinct in [false, true] {
            if let Err(error) = verify(program(fact, None, distinct)) {
                panic!("{}, distinct {distinct}: {error}", fact.name);
            }
        }
    }
}

#[test]
fn what_one_path_does_not_establish_is_not_known() {
    for fact in &FACTS {
        for distinct in [false, true] {
            for odd in 0..PATHS {
                let verdict = verify(program(fact, Some(odd), distinct));
                assert!(verdict.is_err(), "{}, path {odd}, distinct {distinct}: accepted", fact.name);
            }
        }
    }
}

/// More paths than states are kept apart for, each with a pointer at another distance from a place that no one knows, which it shows to be
/// in the packet or at its end. Where they meet, the bytes in front of the pointer are read.
fn distances(paths: usize, odd: Option<(usize, &str)>) -> Program {
    let mut text = format!("ldxw %r6, [%r1+12]\nmov %r0, 0\nmov %r7, 0\n{VARIABLE}\n");
    for path in 0..paths - 1 {
        text.push_str(&format!("jeq %r6, {path}, path{path}\n"));
    }
    for path in (0..paths).rev() {
        let distance = 8 + path;
        let usual = format!("mov %r4, %r2\nadd %r4, {distance}\njgt %r4, %r3, out");
        let arm = odd.filter(|(at, _)| *at == path).map_or(usual.as_str(), |(_, arm)| arm);
        text.push_str(&format!("path{path}:\nmov %r7, {path}\n{arm}\n"));
        if path > 0 {
            text.push_str("ja meet\n");
        }
    }
    text.push_str("meet:\nldxdw %r0, [%r4-8]\nadd %r0, %r7\nexit\nout: mov %r0, 0\nexit\n");
    let insns = asm::assemble(&text).unwrap();
    Program { name: "distances".to_owned(), insns, maps: Vec::new(), lines: Vec::new() }
}

#[test]
fn pointers_at_different_distances_keep_what_lies_in_front_of_all_of_them() {
    const PATHS: usize = 300;
    if let Err(error) = verify(distances(PATHS, None)) {
        panic!("{error}");
    }
    let nearer = "mov %r4, %r2\nadd %r4, 7\njgt %r4, %r3, out";
    let unproven = "mov %r4, %r2\nadd %r4, 20";
    let backwards = "mov %r4, %r2\nadd %r4, -20\nmov %r8, %r2\nadd %r8, 40\njgt %r8, %r3, out";
    let beyond = "mov %r4, %r2\nadd %r4, 60\nmov %r8, %r2\nadd %r8, 50\njgt %r8, %r3, out";
    for arm in [nearer, unproven, backwards, beyond] {
        for path in [0, 1, 150, PATHS - 1] {
            let verdict = verify(distances(PATHS, Some((path, arm))));
            assert!(verdict.is_err(), "path {path} with {arm}: accepted");
        }
    }
}
