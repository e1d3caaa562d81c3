//! What native code does otherwise than BPF says it, with the same answers: each shape on packets of all kinds, beside the interpreter.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use std::collections::BTreeSet;
use std::ops::Range;

use engines::{Maps, look_up, map, over_bytes, packets, run, same_answers, update, verified};
use oko_bpf::program::MapKind;
use oko_jit::abi::Packet;
use oko_jit::{Answer, compile_bpf};

/// Packets with a number of some size that is 0 or all ones, between others.
fn packets_with_extremes() -> Vec<Vec<u8>> {
    let numbers = [0..1, 1..2, 2..3, 0..4, 4..8, 0..8, 4..12, 8..16, 1..16, 0..24];
    let packet = |number: &Range<usize>, byte| {
        let mut packet: Vec<u8> = (1..=24).collect();
        packet[number.clone()].fill(byte);
        packet
    };
    numbers.iter().flat_map(|number| [packet(number, 0), packet(number, 0xff)]).collect()
}

/// Answers of both engines, of which at least some are not the one for short packets.
fn same(body: &str) -> Vec<u32> {
    let packets = [packets(), packets_with_extremes()].concat();
    let answers = same_answers(&verified(&over_bytes(body), Vec::new()), &packets);
    assert!(answers.iter().any(|answer| *answer != 77), "{body}");
    answers
}

/// Bytes that are joined to a number, in whatever order, width and by whatever operation; some of them to none.
#[test]
fn bytes_that_are_joined_are_the_number_that_they_were() {
    let joins: [(u8, &[(u8, u8)]); 9] = [
        // Network order, of two, four and eight bytes, the lowest first and last.
        (32, &[(0, 8), (1, 0)]),
        (32, &[(3, 0), (2, 8), (1, 16), (0, 24)]),
        (64, &[(0, 56), (1, 48), (2, 40), (3, 32), (4, 24), (5, 16), (6, 8), (7, 0)]),
        // The other order.
        (64, &[(4, 0), (5, 8), (6, 16), (7, 24)]),
        // Shifted as a whole, with a gap, with a byte twice, and across the sign.
        (64, &[(0, 24), (1, 16)]),
        (64, &[(0, 8), (2, 0)]),
        (64, &[(0, 8), (0, 0)]),
        (32, &[(0, 24), (1, 16), (2, 8)]),
        (64, &[(0, 60), (1, 52)]),
    ];
    for (bits, bytes) in joins {
        for operation in ["or", "add", "xor"] {
            let suffix = if bits == 32 { "32" } else { "" };
            let mut body = "mov %r0, 0\n".to_owned();
            for (number, (at, shift)) in bytes.iter().enumerate() {
                body += &format!("ldxb %r5, [%r2+{at}]\n");
                body += &format!("lsh{suffix} %r5, {shift}\n");
                body += &if number == 0 {
                    format!("mov{suffix} %r0, %r5\n")
                } else {
                    format!("{operation}{suffix} %r0, %r5\n")
                };
            }
            // A verdict has 32 bits only.
            same(&format!("{body} mov %r5, %r0\n rsh %r5, 32\n xor %r0, %r5"));
            // Compared with a constant, and masked.
            same(&format!("{body} mov %r5, %r0\n mov %r0, 1\n jeq %r5, 31, out\n mov %r0, 2"));
            same(&format!("{body} and{suffix} %r0, 65535"));
            same(&format!("{body} and{suffix} %r0, 255"));
        }
    }
}

/// Numbers of two bytes that were swapped and joined to one of four.
#[test]
fn numbers_that_were_swapped_are_joined() {
    same(
        "ldxh %r5, [%r2+4]
         be16 %r5
         ldxh %r0, [%r2+2]
         be16 %r0
         lsh %r0, 16
         or %r0, %r5",
    );
    // Each is swapped, and they are put together the other way round.
    same(
        "ldxh %r5, [%r2+2]
         be16 %r5
         ldxh %r0, [%r2+4]
         be16 %r0
         lsh %r0, 16
         or %r0, %r5",
    );
}

/// The end of the packet, compared from both sides with places before, at and behind it.
#[test]
fn places_are_compared_with_the_end_of_the_packet() {
    for distance in [0, 1, 15, 16, 17, 39, 200] {
        for test in ["jgt", "jge", "jlt", "jle", "jeq", "jne"] {
            for (a, b) in [("%r4", "%r3"), ("%r3", "%r4")] {
                let text = format!(
                    "ldxw %r2, [%r1]
                     ldxw %r3, [%r1+4]
                     mov %r4, %r2
                     add %r4, {distance}
                     mov %r0, 1
                     {test} {a}, {b}, out
                     mov %r0, 2
                     out: exit"
                );
                same_answers(&verified(&text, Vec::new()), &packets());
            }
        }
    }
}

/// A branch that leaves out a move, of numbers and of pointers into the frame, taken and not.
#[test]
fn a_move_that_is_left_out_changes_nothing() {
    for test in ["jeq %r5, 31", "jset %r5, 1", "jgt32 %r5, 90", "jsgt %r5, 7"] {
        for (before, moved) in
            [("mov %r0, 1", "mov %r0, 0"), ("mov %r0, 0", "mov %r0, 1"), ("mov %r0, 9", "mov32 %r0, %r5")]
        {
            same(&format!("ldxb %r5, [%r2+0]\n {before}\n {test}, on\n {moved}\n on: add %r0, 3"));
        }
        same(&format!(
            "ldxb %r5, [%r2+0]
             stdw [%r10-8], 5
             stdw [%r10-16], 6
             mov %r4, %r10
             add %r4, -8
             mov %r3, %r10
             add %r3, -16
             {test}, on
             mov %r4, %r3
             on: stxdw [%r4+0], %r5
             ldxdw %r0, [%r10-8]
             ldxdw %r3, [%r10-16]
             lsh %r3, 8
             add %r0, %r3"
        ));
    }
}

/// The same behind a look-up, which knows already where the test would go; of an index that is certainly in an array, also that there is an entry.
#[test]
fn a_move_that_is_left_out_behind_a_look_up_changes_nothing() {
    let maps = [(MapKind::Hash, 15), (MapKind::LruHash, 15), (MapKind::Array, 15), (MapKind::Array, 3)];
    let moves =
        [("mov %r6, 0", "mov %r6, 1"), ("mov %r6, 9", "mov32 %r6, %r7"), ("mov %r6, %r7", "mov %r6, 2")];
    for (kind, mask) in maps {
        for test in ["jeq", "jne"] {
            for (before, moved) in moves {
                // Each key is put into the map now and then, behind the look-up.
                let text = over_bytes(&format!(
                    "ldxb %r7, [%r2+0]
                     ldxb %r8, [%r2+1]
                     {before}
                     and %r7, {mask}
                     stxw [%r10-4], %r7
                     jgt %r8, 200, on
                     lddw %r1, map[0]
                     mov %r2, %r10
                     add %r2, -4
                     call 1
                     {test} %r0, 0, on
                     {moved}
                     on: stdw [%r10-16], 5
                     jset %r8, 3, done
                     lddw %r1, map[0]
                     mov %r2, %r10
                     add %r2, -4
                     mov %r3, %r10
                     add %r3, -16
                     mov %r4, 0
                     call 2
                     done: mov %r0, %r6
                     add %r0, 3"
                ));
                same_answers(&verified(&text, vec![map("m", kind, 8, 8, None)]), &packets());
            }
        }
    }
}

/// The same where the program ends behind it, with a number that is known on both ways.
#[test]
fn a_move_that_is_left_out_behind_a_look_up_may_be_the_last() {
    let ends = [
        "mov %r6, 4\n call 1\n jeq %r0, 0, on\n mov %r6, 5\n on: mov %r0, %r6",
        "mov %r6, 4\n call 1\n jne %r0, 0, on\n mov %r6, 5\n on: mov %r0, %r6",
        "call 1\n jeq %r0, 0, out\n mov %r0, 6",
    ];
    for kind in [MapKind::Hash, MapKind::LruHash, MapKind::Array] {
        for end in ends {
            // Some packets put their keys into the map, the others ask for theirs.
            let text = over_bytes(&format!(
                "ldxb %r7, [%r2+0]
                 ldxb %r8, [%r2+1]
                 rsh %r7, 2
                 stxw [%r10-4], %r7
                 stdw [%r10-16], 5
                 mov %r2, %r10
                 add %r2, -4
                 lddw %r1, map[0]
                 jset %r8, 3, ask
                 mov %r3, %r10
                 add %r3, -16
                 mov %r4, 0
                 call 2
                 mov %r0, 3
                 ja out
                 ask: {end}"
            ));
            let answers = same_answers(&verified(&text, vec![map("m", kind, 8, 48, None)]), &packets());
            let asked: BTreeSet<u32> =
                answers.into_iter().filter(|answer| ![3, 77].contains(answer)).collect();
            assert_eq!(asked.len(), 2, "{kind}: {asked:?}");
        }
    }
}

/// Quotients that are compared, by 0 and where the product is cut off, and those that are needed besides.
#[test]
fn quotients_are_compared_as_such() {
    for divisor in ["mov %r4, 0", "ldxb %r4, [%r2+1]", "ldxdw %r4, [%r2+4]"] {
        for number in ["mov %r3, 0", "ldxb %r3, [%r2+2]", "ldxdw %r3, [%r2+8]"] {
            for test in ["jge %r5, %r3", "jlt %r5, %r3", "jgt %r5, %r3", "jle %r5, %r3", "jlt32 %r5, %r3"] {
                let compared = format!(
                    "ldxdw %r5, [%r2+0]
                     {divisor}
                     {number}
                     div %r5, %r4
                     mov %r0, 1
                     {test}, on
                     mov %r0, 0
                     on: "
                );
                same(&format!("{compared} add %r0, 5"));
                same(&format!("{compared} add %r0, %r5"));
            }
        }
    }
}

/// Words of the frame: written on ways that come together, in loops, in parts, and shown to helpers in between.
#[test]
fn words_of_the_frame_hold_what_was_written() {
    same(
        "ldxb %r5, [%r2+0]
         stdw [%r10-8], 11
         jset %r5, 1, odd
         stxdw [%r10-8], %r5
         odd: ldxb %r5, [%r2+1]
         jset %r5, 1, again
         ldxdw %r4, [%r10-8]
         add %r4, 100
         stxdw [%r10-8], %r4
         again: ldxdw %r0, [%r10-8]",
    );
    same(
        "stdw [%r10-16], 0
         mov %r5, 0
         next: ldxdw %r4, [%r10-16]
         mov %r3, %r2
         add %r3, %r5
         ldxb %r3, [%r3+0]
         add %r4, %r3
         stxdw [%r10-16], %r4
         add %r5, 1
         jne %r5, 16, next
         ldxdw %r0, [%r10-16]",
    );
    same(
        "ldxdw %r5, [%r2+0]
         stxdw [%r10-8], %r5
         ldxb %r4, [%r2+9]
         stxb [%r10-5], %r4
         ldxdw %r0, [%r10-8]
         mov %r5, %r0
         rsh %r5, 32
         add %r0, %r5",
    );
    let counters = vec![map("counters", MapKind::Hash, 8, 64, None)];
    let text = over_bytes(&format!(
        "ldxb %r6, [%r2+0]
         and %r6, 15
         stxdw [%r10-16], %r6
         stxw [%r10-20], %r6
         ldxb %r7, [%r2+1]
         stxdw [%r10-8], %r7
         {}
         stdw [%r10-8], 1
         {}
         jeq %r0, 0, out
         ldxdw %r0, [%r0+0]
         ldxdw %r5, [%r10-16]
         lsh %r5, 8
         add %r0, %r5
         ldxdw %r5, [%r10-8]
         add %r0, %r5",
        update(0, -20, -8),
        look_up(0, -20)
    ));
    let answers = same_answers(&verified(&text, counters), &packets());
    assert!(answers.iter().any(|answer| *answer > 256));
}

/// What return values mean, whether they are known where the program ends or not, and however many jumps lead there.
#[test]
fn verdicts_are_what_the_answer_says_of_return_values() {
    let body = "ldxb %r5, [%r2+0]
         mov %r0, 2
         jset %r5, 1, out
         mov %r0, 1
         jset %r5, 2, out
         mov %r0, %r5
         jset %r5, 4, on
         ja far
         on: ldxb %r0, [%r2+1]
         and %r0, 3
         far: mov32 %r6, %r0
         mov %r0, %r6";
    let program = verified(&over_bytes(body), Vec::new());
    let values = same_answers(&program, &packets());
    for answer in [Answer::Value, Answer::Pass, Answer::Class { of: 2 }, Answer::Class { of: 3 }] {
        let code = compile_bpf(&program, answer).unwrap();
        let maps = Maps::new(&[]);
        let owned = packets();
        let burst: Vec<Packet<'_>> = owned.iter().map(|packet| Packet::new(packet, 7)).collect();
        let expected: Vec<u32> = values.iter().map(|&value| answer.verdict(value)).collect();
        assert_eq!(run(&code, &maps, &burst, 1_000), expected, "{answer:?}");
    }
    assert_eq!(Answer::Pass.verdict(2), 1);
    assert_eq!([0, 1, 2, 3].map(|value| Answer::Class { of: 2 }.verdict(value)), [0, 0, 1, 0]);
}

/// Bits of numbers that were swapped before, or not: whether any is set, and what they are.
#[test]
fn bits_of_numbers_are_what_they_are_in_either_order() {
    let numbers = [("ldxh", "be16"), ("ldxw", "be32"), ("ldxdw", "be64"), ("ldxw", "le32"), ("ldxb", "be16")];
    for (load, swap) in numbers {
        for mask in [1, 2, 0x80, 0xff, 0x1fff, 0x4000, 0x8000, 0xff00, 0x10_0000, 0x7fff_ffff, -2, -256] {
            let begin = format!("{load} %r5, [%r2+1]\n {swap} %r5\n mov %r0, 1\n");
            for suffix in ["", "32"] {
                same(&format!("{begin} jset{suffix} %r5, {mask}, out\n mov %r0, 2"));
                for wanted in [0, 1, 2, mask, 0x300, 0x102_0304, -1] {
                    for test in ["jeq", "jne"] {
                        same(&format!(
                            "{begin} and %r5, {mask}\n {test}{suffix} %r5, {wanted}, out\n mov %r0, 2"
                        ));
                    }
                }
            }
        }
    }
}

/// Comparisons with many ranges that are joined, each written in some way that compilers have; with few, with other numbers among them and with numbers of 64 bits.
#[test]
fn lists_of_ranges_hold_what_they_held_one_by_one() {
    let within = |first: i64, length: i64| {
        format!("mov %r4, %r5\n lddw %r3, {first}\n sub %r4, %r3\n lddw %r3, {length}\n")
    };
    let written: [&dyn Fn(i64, i64) -> String; 5] = [
        &|first, length| format!("mov %r1, 1\n {} jle %r4, %r3, +1\n mov %r1, 0\n", within(first, length)),
        &|first, length| format!("mov %r1, 0\n {} jgt %r4, %r3, +1\n mov %r1, 1\n", within(first, length)),
        &|first, length| {
            format!("mov %r1, 1\n {} jlt %r4, %r3, +1\n mov %r1, 0\n", within(first, length + 1))
        },
        &|first, _| format!("lddw %r3, {first}\n mov %r1, 1\n jeq %r5, %r3, +1\n mov %r1, 0\n"),
        &|first, _| format!("lddw %r3, {first}\n mov %r1, 1\n jge %r5, %r3, +1\n mov %r1, 0\n"),
    ];
    // The bytes of packets count up, so that these are the numbers there and next to them.
    let around =
        [(0x0403_0201, 0), (0x0403_0202, 9), (0x0403_01f0, 16), (0x0403_01f0, 17), (0, 0), (0, 0x0403_0200)];
    let far = [
        (0xffff_ff00, 0xff),
        (0x8000_0000, 0x7fff_ffff),
        (0x7fff_fff0, 0x20),
        (0xffff_ffff, 0),
        (1, 1),
        (77, 0),
        (0x100, 0xff),
    ];
    let (mut yes, mut no) = (0, 0);
    for load in ["ldxw %r5, [%r2]", "ldxw %r5, [%r2]\n be32 %r5", "ldxh %r5, [%r2]", "ldxdw %r5, [%r2]"] {
        for (number, write) in written.iter().enumerate() {
            for one in around {
                for count in [2, 5, 7] {
                    let mut body = format!("{load}\n mov %r0, 0\n");
                    let ranges = far.iter().cycle().skip(number).take(count).chain([&one]);
                    for (at, &(first, length)) in ranges.enumerate() {
                        // The last way holds of nearly all numbers that are not small.
                        let write = if at == count { write } else { &written[at % 4] };
                        body += &format!("{} or %r0, %r1\n", write(first, length));
                    }
                    for answer in same(&body) {
                        yes += u32::from(answer == 1);
                        no += u32::from(answer == 0);
                    }
                }
            }
        }
    }
    assert!(yes > 100 && no > 100, "{yes} times in a range, {no} times in none");
}
