//! What is computed otherwise than the IR says it, in each other's company: numbers that depend on the instant alone, quotients, lists of ranges,
//! what is chosen and what is written, in modules with states.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod rig;

use std::fmt::Write;

use oko_ir::interp::{self, Store};
use oko_ir::{text, verify};
use oko_jit::abi::Packet;
use rig::Rig;

const STATE: &str = "oko.ir 1\nstate m0 s: hash evict_oldest, capacity 64, key(k: u32), fields(a: u64, b: u32, c: u8)\nfilter f -> bool {\n";

/// Runs a module as native code and by the interpreter, at instants and on packets of several kinds, and demands equal verdicts and states.
fn same(source: &str) {
    let checked = verify(text::read(source).unwrap()).unwrap_or_else(|error| panic!("{error:?}\n{source}"));
    let (rig, mut store) = (Rig::new(&checked), Store::new(&checked));
    let hour = 3_600_000_000_000;
    for now in [1, 8, 1_000, hour / 60, hour / 60 + 1, 7 * hour, 23 * hour + 5, 1 << 40, (1 << 62) + 5] {
        for in_port in 1..4 {
            let (bytes, wire_len) = ([0; 64], 64 + in_port);
            let packet = interp::Packet { bytes: &bytes, wire_len, in_port };
            let expected = interp::run(&checked, 0, &mut store, packet, now).unwrap();
            let found = rig.run(0, &[Packet::new(&bytes, in_port).with_wire_len(wire_len)], now);
            assert_eq!(found, [expected.class], "at {now}, port {in_port}\n{source}");
            for (state, dump) in store.dump().into_iter().enumerate() {
                assert_eq!(
                    rig.live(state, now),
                    dump.live(now).entries,
                    "at {now}, port {in_port}\n{source}"
                );
            }
        }
    }
}

/// A quotient of which it is only asked whether it is below something, and which is kept for the burst.
#[test]
fn a_quotient_of_the_instant_is_compared() {
    for dividend in ["v0", "v2"] {
        same(&format!(
            "{STATE}block0:\n    v0 = now\n    v1 = const 60000000000\n    v2 = add v0, v1\n    v3 = udiv {dividend}, v1\n    v4 = pkt.len\n    v5 = ult v3, v4\n    return v5\n}}\n"
        ));
    }
}

/// Adds to a filter whose next value is `next` whether a number is in one of the ranges, each given by its first number and its length; gives the value that
/// says so.
fn push_list(text: &mut String, next: &mut u32, number: &str, ranges: &[(u64, u64)]) -> u32 {
    let mut any = None;
    for (first, length) in ranges {
        let [a, b, c, d] = [*next, *next + 1, *next + 2, *next + 3];
        writeln!(text, "    v{a} = const {first}\n    v{b} = sub {number}, v{a}").unwrap();
        writeln!(text, "    v{c} = const {length}\n    v{d} = ule v{b}, v{c}").unwrap();
        *next += 4;
        any = Some(match any {
            None => d,
            Some(before) => {
                writeln!(text, "    v{next} = or_b v{before}, v{d}").unwrap();
                *next += 1;
                *next - 1
            }
        });
    }
    any.unwrap()
}

/// Lists of ranges over numbers of the instant, which may be needed for nothing else, and over others; of ranges that begin or end beyond 32 bits, or wrap.
#[test]
fn numbers_in_modules_with_states_are_in_lists_of_ranges() {
    let start =
        "block0:\n    v0 = now\n    v1 = const 3600000000000\n    v2 = udiv v0, v1\n    v3 = const 24\n";
    let far = 1_u64 << 32;
    let lists: [&[(u64, u64)]; 6] = [
        &[(2, 1), (6, 1), (10, 1), (14, 1), (18, 1)],
        &[(1, 0), (3, 0), (7, 0), (22, 1), (60, 5)],
        &[(far, 5), (far + 7, far), (u64::MAX, 0), (u64::MAX - 9, 3), (1 << 63, 1)],
        &[(7, far), (far, 1), (far + 1, 1), (30, 1), (40, 1)],
        &[(u64::MAX - 1, 3), (5, 1), (9, 1), (13, 1), (17, 1)],
        &[(7, u64::MAX), (30, u64::MAX - 31), (40, 1), (50, 1), (60, 1)],
    ];
    // The hour of the day, and others.
    for number in ["urem v2, v3", "udiv v2, v3", "sub v0, v1", "now", "pkt.in_port", "pkt.len"] {
        for ranges in lists {
            let mut next = 5;
            let mut text = format!("{STATE}{start}    v4 = {number}\n");
            let found = push_list(&mut text, &mut next, "v4", ranges);
            same(&format!("{text}    return v{found}\n}}\n"));
        }
    }
}
