//! A map that evicts has room for the next key at once, if no other thread looks at what was evicted. So this test has a process of its own: those beside it
//! would be such threads, for as long as they wait for a processor.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use engines::{map, packets, same_answers};
use oko_bpf::program::{MapKind, Program};
use oko_bpf::{asm, isa, verifier};

#[test]
fn hash_maps_count_under_a_lock() {
    let text = "ldxw %r6, [%r1]
         ldxw %r3, [%r1+4]
         mov %r4, %r6
         add %r4, 1
         mov %r0, 0
         jgt %r4, %r3, out
         ldxb %r7, [%r6]
         and %r7, 7
         stxw [%r10-4], %r7
         lddw %r1, map 0
         mov %r2, %r10
         add %r2, -4
         call 1
         jne %r0, 0, found
         stdw [%r10-24], 0
         stdw [%r10-16], 0
         lddw %r1, map 0
         mov %r2, %r10
         add %r2, -4
         mov %r3, %r10
         add %r3, -24
         mov %r4, 1
         call 2
         mov %r8, %r0
         lddw %r1, map 0
         mov %r2, %r10
         add %r2, -4
         call 1
         jne %r0, 0, found
         mov %r0, %r8
         exit
         found: mov %r9, %r0
         mov %r1, %r9
         call 93
         ldxdw %r8, [%r9+8]
         add %r8, 1
         stxdw [%r9+8], %r8
         mov %r1, %r9
         call 94
         mov %r0, %r8
         out: exit";
    let assembled = asm::assemble(text);
    // The assembler's spelling of map references is its own business; build the reference by hand if it has none.
    let insns = assembled.unwrap_or_else(|_| {
        let mut insns = asm::assemble(&text.replace("map 0", "0")).unwrap();
        for insn in &mut insns {
            if let isa::Insn::LoadImm64 { imm, .. } = insn {
                *imm = isa::Imm64::Map(0);
            }
        }
        insns
    });
    for kind in [MapKind::Hash, MapKind::LruHash] {
        let maps = vec![map("counts", kind, 16, 4, Some(0))];
        let program = Program { name: "count".to_owned(), insns: insns.clone(), maps, lines: Vec::new() };
        let program = verifier::verify(program).unwrap_or_else(|error| panic!("{error}"));
        let answers = same_answers(&program, &packets());
        let refusals = answers.iter().filter(|answer| **answer == (-libc::E2BIG).cast_unsigned()).count();
        assert_eq!(refusals > 0, kind == MapKind::Hash, "{kind}: {refusals}");
        // Eight keys in turn: an LRU of four never has the one that comes.
        let most = answers.iter().filter(|answer| **answer < 1_000).max();
        assert_eq!(most > Some(&10), kind == MapKind::Hash, "{kind}: {most:?}");
    }
}
