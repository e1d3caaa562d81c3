//! Locks that lie apart from what they protect, indices that are kept in registers, and numbers that are computed once a burst: beside the interpreter.
//!
//! Every other packet comes while its thread is alone. A lock that was left taken would never be given back: the test would not end.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use engines::{Maps, look_up, map, over_bytes, packets, run, same_answers, verified};
use oko_bpf::program::{MapDef, MapKind};
use oko_jit::abi::Packet;
use oko_jit::{Answer, compile_bpf};

/// Locks and nothing else, and numbers with a lock beside each.
fn maps() -> Vec<MapDef> {
    vec![map("locks", MapKind::Array, 4, 8, Some(0)), map("numbers", MapKind::Array, 16, 8, Some(0))]
}

/// A program that counts in `numbers`, at the lowest bits of a packet's first byte, between `lock` and `unlock`: `r6` points to the lock apart, `r7` to the number with
/// its own, and the lowest bit of `r9` is any.
fn counting(lock: &str, unlock: &str) -> String {
    let [apart, number] = [0, 1].map(|map| look_up(map, -4));
    over_bytes(&format!(
        "ldxb %r9, [%r2+1]
         ldxb %r5, [%r2+0]
         and %r5, 7
         stxw [%r10-4], %r5
         {apart}
         jeq %r0, 0, out
         mov %r6, %r0
         {number}
         jeq %r0, 0, out
         mov %r7, %r0
         {lock}
         ldxdw %r5, [%r7+8]
         add %r5, 1
         stxdw [%r7+8], %r5
         {unlock}
         ldxdw %r0, [%r7+8]"
    ))
}

/// Either lock, chosen once for taking and giving back, or for each anew.
#[test]
fn a_lock_that_was_taken_is_given_back_whatever_led_to_it() {
    let one = |reg: &str, call: u32| format!("mov %r1, {reg}\n call {call}");
    let chosen = |name: &str, call: u32| {
        format!(
            "mov %r1, %r6
             jset %r9, 1, {name}
             mov %r1, %r7
             {name}: mov %r8, %r1
             call {call}"
        )
    };
    let programs = [
        counting(&one("%r6", 93), &one("%r6", 94)),
        counting(&one("%r7", 93), &one("%r7", 94)),
        counting(&chosen("taken", 93), &one("%r8", 94)),
        counting(&chosen("taken", 93), &chosen("given", 94)),
        counting(
            &format!(
                "jset %r9, 1, apart\n {}\n ja taken\n apart: {}\n taken: mov %r5, 0",
                one("%r7", 93),
                one("%r6", 93)
            ),
            &chosen("given", 94),
        ),
    ];
    for text in &programs {
        let answers = same_answers(&verified(text, maps()), &packets());
        assert!(answers.iter().any(|answer| *answer > 10 && *answer != 77), "{text}\n{answers:?}");
    }
}

/// Whoever is alone leaves it; who is not gives it back.
#[test]
fn a_lock_apart_is_written_only_beside_other_threads() {
    let program = verified(&counting("mov %r1, %r6\n call 93", "mov %r1, %r6\n call 94"), maps());
    let code = compile_bpf(&program, Answer::Value).unwrap();
    let maps = Maps::new(program.maps());
    let packet = [3_u8; 16];
    let word = || {
        let value = maps.0[0].find(&3_u32.to_ne_bytes()).get().unwrap();
        // SAFETY: the lock word of an entry that is there, which nobody writes now.
        unsafe { value.cast::<u32>().read() }
    };
    let before = word();
    // Even instants are those of a thread that is alone.
    assert_eq!(run(&code, &maps, &[Packet::new(&packet, 1); 2], 2), [1, 2]);
    assert_eq!(word(), before);
    assert_eq!(run(&code, &maps, &[Packet::new(&packet, 1); 2], 3), [3, 4]);
    assert_eq!((word() % 2, word() == before), (0, false));
    assert_eq!(run(&code, &maps, &[Packet::new(&packet, 1); 2], 4), [5, 6]);
}

/// What an index is after it was stored as a whole, in parts, of more bits, or over something else, and what is read of it.
#[test]
fn indices_are_what_was_stored() {
    let stores = [
        "stxw [%r10-4], %r5",
        // More bits than an index has.
        "lddw %r4, 0xffffffff00000000\n or %r5, %r4\n stxw [%r10-4], %r5",
        "stxdw [%r10-8], %r5\n stxw [%r10-4], %r5",
        "stdw [%r10-8], 0\n stxh [%r10-4], %r5",
        "stw [%r10-4], 0x500\n stxb [%r10-4], %r5\n stb [%r10-3], 0",
        "stw [%r10-4], 3\n jset %r5, 1, on\n stxw [%r10-4], %r5\n on: mov %r4, 0",
        "stw [%r10-8], 7\n stxw [%r10-4], %r5\n ldxdw %r4, [%r10-8]",
    ];
    let reads = [
        "ldxw %r5, [%r10-4]",
        "ldxsw %r5, [%r10-4]",
        "ldxb %r5, [%r10-3]",
        "mov %r5, 0",
        "ldxh %r5, [%r10-4]",
    ];
    for store in stores {
        for read in reads {
            for entries in [4, 300] {
                let text = over_bytes(&format!(
                    "ldxb %r5, [%r2+0]
                     {store}
                     lddw %r1, map[0]
                     mov %r2, %r10
                     add %r2, -4
                     call 1
                     {read}
                     mov %r6, %r5
                     jeq %r0, 0, absent
                     ldxdw %r5, [%r0+0]
                     add %r5, 1
                     stxdw [%r0+0], %r5
                     add %r6, %r5
                     absent: mov %r0, %r6"
                ));
                let maps = vec![map("numbers", MapKind::Array, 8, entries, None)];
                let answers = same_answers(&verified(&text, maps), &packets());
                assert!(answers.iter().any(|answer| *answer != 77), "{text}");
            }
        }
    }
}

/// Terms of the instant, dear and cheap, within one another, on all ways and on some, and more of them than are kept.
#[test]
fn what_depends_on_the_instant_is_what_it_was() {
    let number = |divisor: u64| {
        format!("call 5\n lddw %r4, {divisor}\n div %r0, %r4\n mul %r0, 7\n add %r6, %r0\n mov %r4, %r6\n")
    };
    let many: String = (3..14).map(number).collect();
    let terms = [
        "call 5\n div %r0, 10\n add %r6, %r0".to_owned(),
        "call 5\n mod %r0, 100\n mov %r5, 100\n sub %r5, %r0\n mul %r5, %r6\n mov %r6, %r5".to_owned(),
        "call 5\n add %r0, 5\n add %r6, %r0".to_owned(),
        // By a number of the packet, which may be 0.
        "call 5\n div %r0, %r6\n add %r6, %r0\n call 5\n mov %r5, %r0\n div %r5, %r0\n add %r6, %r5".to_owned(),
        // On one way only, and both on it and behind it.
        "jset %r6, 1, even\n call 5\n div %r0, 10\n mul %r0, %r0\n add %r6, %r0\n even: call 5\n div %r0, 10\n add %r6, %r0".to_owned(),
        "call 5\n mul %r0, 3\n div %r0, 7\n mov %r5, %r0\n mul %r5, 9\n add %r6, %r5\n add %r6, %r0".to_owned(),
        many,
    ];
    for term in terms {
        let text = over_bytes(&format!(
            "ldxb %r6, [%r2+0]
             {term}
             mov %r0, %r6"
        ));
        let program = verified(&text, Vec::new());
        let single = same_answers(&program, &packets());
        assert!(single.iter().any(|answer| *answer != 77), "{text}");
        // The packets of one instant together, too.
        let code = compile_bpf(&program, Answer::Value).unwrap();
        let maps = Maps::new(&[]);
        let packets = packets();
        let packets: Vec<Packet<'_>> = packets.iter().map(|packet| Packet::new(packet, 7)).collect();
        for now in [1_000, 987_654_321_012] {
            let together = run(&code, &maps, &packets, now);
            let alone: Vec<u32> =
                packets.iter().map(|packet| run(&code, &maps, &[*packet], now)[0]).collect();
            assert_eq!(together, alone, "{text}");
        }
    }
}

/// Taken by an address that is one or another, given back by one that is known.
#[test]
fn a_lock_is_given_back_by_an_address_of_which_more_is_known() {
    let look_up = look_up(0, -4);
    let text = over_bytes(&format!(
        "ldxb %r9, [%r2+1]
         and %r9, 1
         stw [%r10-4], 1
         {look_up}
         jeq %r0, 0, out
         mov %r6, %r0
         stw [%r10-4], 2
         {look_up}
         jeq %r0, 0, out
         mov %r7, %r0
         mov %r8, %r6
         jeq %r9, 0, taken
         mov %r8, %r7
         mov %r0, 0
         mov %r5, 0
         taken: mov %r1, %r8
         call 93
         jeq %r9, 0, one
         mov %r1, %r7
         call 94
         ja on
         one: mov %r1, %r6
         call 94
         on: mov %r0, 9"
    ));
    same_answers(&verified(&text, maps()), &packets());
}

/// Held already or not where a loop begins.
#[test]
fn a_lock_that_is_held_or_not_where_a_loop_begins_is_given_back() {
    let text = over_bytes(&format!(
        "ldxb %r9, [%r2+1]
         and %r9, 1
         mov %r7, 0
         mov %r8, %r9
         stw [%r10-4], 1
         {}
         jeq %r0, 0, out
         mov %r6, %r0
         jeq %r9, 0, head
         mov %r1, %r6
         call 93
         head: jne %r9, 0, held
         mov %r1, %r6
         call 93
         held: mov %r1, %r6
         call 94
         mov %r0, 5
         jne %r8, 0, out
         mov %r9, 0
         add %r7, 1
         jlt %r7, 3, head
         mov %r0, %r7",
        look_up(0, -4)
    ));
    same_answers(&verified(&text, maps()), &packets());
}
