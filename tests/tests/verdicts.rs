//! Programs on which our BPF verifier and the kernel's differ, and some on which they agree: the table of the book's chapter on the verifiers.
//! The kernel is asked as root; without `bpf(2)` only our side is checked, with a note. `OKO_WRITE_VERDICTS=FOLDER` has the objects written, to ask others: the book's column
//! on PREVAIL was made so.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_bpf::object::write::{MapSpec, Member, MemberKind, ProgramSpec, Spec, Struct};
use oko_bpf::object::{read, write};
use oko_bpf::program::MapKind;
use oko_bpf::{asm, isa::Size, verifier};
use oko_tests::kernel;

struct Case {
    /// As in the book's table.
    what: &'static str,
    program: &'static str,
    ours: bool,
    kernel: bool,
    /// What PREVAIL said when it was asked, see the book.
    prevail: &'static str,
}

const CASES: &[Case] = &[
    Case {
        what: "a byte of the packet behind a test of its end",
        program: "ldxw %r2, [%r1+0]\n ldxw %r3, [%r1+4]\n mov %r0, 0\n mov %r4, %r2\n add %r4, 14\n jgt %r4, %r3, out\n ldxb %r0, [%r2+13]\n out: exit",
        ours: true,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "a stack byte that was never written",
        program: "ldxdw %r0, [%r10-8]\n exit",
        ours: false,
        kernel: true,
        prevail: "no",
    },
    Case {
        what: "a key that was never written",
        program: "lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n mov %r0, 0\n exit",
        ours: false,
        kernel: true,
        prevail: "no",
    },
    Case {
        what: "an address in a map",
        program: "stdw [%r10-8], 0\n lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n jeq %r0, 0, out\n stxdw [%r0+8], %r0\n out: mov %r0, 0\n exit",
        ours: false,
        kernel: true,
        prevail: "no",
    },
    Case {
        what: "an address as the result",
        program: "mov %r0, %r10\n exit",
        ours: false,
        kernel: true,
        prevail: "no",
    },
    Case {
        what: "a store into the packet",
        program: "ldxw %r2, [%r1+0]\n ldxw %r3, [%r1+4]\n mov %r0, 0\n mov %r4, %r2\n add %r4, 14\n jgt %r4, %r3, out\n stb [%r2+0], 1\n out: exit",
        ours: false,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "a packet byte behind offset 65,535",
        program: "ldxw %r2, [%r1+0]\n ldxw %r3, [%r1+4]\n mov %r0, 0\n mov %r4, %r2\n add %r4, 70000\n jgt %r4, %r3, out\n ldxb %r0, [%r4-1]\n out: exit",
        ours: true,
        kernel: false,
        prevail: "no",
    },
    Case {
        what: "a loop with a constant number of rounds",
        program: "mov %r0, 0\n l: add %r0, 1\n jlt %r0, 1000, l\n exit",
        ours: true,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "a loop that need not end",
        program: "mov %r0, 0\n l: ja l\n exit",
        ours: false,
        kernel: false,
        prevail: "if asked, no",
    },
    Case {
        what: "a loop with a way in past its beginning",
        program: "ldxw %r2, [%r1+12]\n mov %r0, 0\n jeq %r2, 0, m\n l: add %r0, 1\n m: add %r0, 1\n jlt %r0, 20, l\n exit",
        ours: false,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "a helper that prints",
        program: "stdw [%r10-8], 0\n mov %r1, %r10\n add %r1, -8\n mov %r2, 8\n call 6\n mov %r0, 0\n exit",
        ours: false,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "an untested result of a look-up",
        program: "stdw [%r10-8], 0\n lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n ldxdw %r0, [%r0+8]\n exit",
        ours: false,
        kernel: false,
        prevail: "no",
    },
    Case {
        what: "a spin lock that is kept",
        program: "stdw [%r10-8], 0\n lddw %r1, map[0]\n mov %r2, %r10\n add %r2, -8\n call 1\n jeq %r0, 0, out\n mov %r1, %r0\n call 93\n out: mov %r0, 0\n exit",
        ours: false,
        kernel: false,
        prevail: "no (knows no locks)",
    },
    Case {
        what: "the packet's length by subtraction",
        program: "ldxw %r2, [%r1+0]\n ldxw %r3, [%r1+4]\n mov %r0, %r3\n sub %r0, %r2\n exit",
        ours: true,
        kernel: true,
        prevail: "yes",
    },
    Case {
        what: "a byte of the packet behind a test of that length",
        program: "ldxw %r2, [%r1+0]\n ldxw %r3, [%r1+4]\n mov %r0, 0\n sub %r3, %r2\n jlt %r3, 14, out\n ldxb %r0, [%r2+13]\n out: exit",
        ours: true,
        kernel: false,
        prevail: "yes",
    },
    Case {
        what: "another pointer compared with the end of the packet",
        program: "ldxw %r3, [%r1+4]\n mov %r0, 0\n jgt %r10, %r3, out\n mov %r0, 1\n out: exit",
        ours: false,
        kernel: true,
        prevail: "no",
    },
];

/// The object with a program and a hash map with a spin lock.
fn object(program: &str) -> Vec<u8> {
    let uint = |name: &str, offset| Member { name: name.into(), offset, kind: MemberKind::Uint(Size::Dw) };
    let lock = Member { name: "lock".into(), offset: 0, kind: MemberKind::SpinLock };
    let map = MapSpec {
        name: "m".into(),
        kind: MapKind::Hash,
        max_entries: 16,
        key: Struct { size: 8, members: vec![uint("key", 0)] },
        value: Struct { size: 16, members: vec![lock, uint("value", 8)] },
    };
    let insns = asm::assemble(program).unwrap();
    let programs = vec![ProgramSpec { name: "f".into(), insns, lines: Vec::new() }];
    write(&Spec { programs, maps: vec![map], license: "GPL".into(), ..Spec::default() }).unwrap()
}

#[test]
fn both_verifiers_judge_as_the_book_says() {
    let chapter = include_str!("../../book/src/inside/verifiers.md");
    let asked = !kernel::is_missing();
    let mut wrong = Vec::new();
    let folder = std::env::var_os("OKO_WRITE_VERDICTS").map(std::path::PathBuf::from);
    for Case { what, program, ours, kernel, prevail } in CASES {
        let object = object(program);
        if let Some(folder) = &folder {
            std::fs::write(folder.join(what.replace([' ', '/'], "_")).with_extension("o"), &object).unwrap();
        }
        let verdict = verifier::verify(read(&object).unwrap().programs[0].clone());
        if verdict.is_ok() != *ours {
            wrong.push(format!("{what}: we say {verdict:?}"));
        }
        if asked {
            let verdict = kernel::load(&object);
            if verdict.is_ok() != *kernel {
                wrong.push(format!(
                    "{what}: the kernel says {:?}",
                    verdict.err().map(|error| error.to_string())
                ));
            }
        }
        let word = |accepted: &bool| if *accepted { "yes" } else { "no" };
        let row = format!("| {what} | {} | {} | {prevail} |", word(ours), word(kernel));
        if !chapter.contains(&row) {
            wrong.push(format!("the book has no row {row:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
