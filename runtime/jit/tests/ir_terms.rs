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
use proptest::prelude::*;
use rig::Rig;

const STATE: &str = "oko.ir 1\nstate m0 s: hash evict_oldest, capacity 64, key(k: u32), fields(a: u64, b: u32, c: u8)\nfilter f -> bool {\n";
const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

/// The text of a module with a state, whose values are numbered as they come.
struct Body {
    text: String,
    next: u32,
}

impl Body {
    fn new() -> Body {
        Body { text: format!("{STATE}block0:\n"), next: 0 }
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").unwrap();
    }

    /// Adds an instruction, or a parameter of a block that was written before; gives its value.
    fn push(&mut self, op: &str) -> u32 {
        writeln!(self.text, "    v{} = {op}", self.next).unwrap();
        self.param()
    }

    fn param(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Whether a number is in one of the ranges, each given by its first number and its length.
    fn push_list(&mut self, number: u32, ranges: &[(u64, u64)]) -> u32 {
        let mut any = None;
        for (first, length) in ranges {
            let first = self.push(&format!("const {first}"));
            let distance = self.push(&format!("sub v{number}, v{first}"));
            let length = self.push(&format!("const {length}"));
            let cond = self.push(&format!("ule v{distance}, v{length}"));
            any = Some(any.map_or(cond, |any: u32| self.push(&format!("or_b v{any}, v{cond}"))));
        }
        any.unwrap()
    }

    /// The module, whose last block returns a condition.
    fn returning(mut self, cond: u32) -> String {
        self.line(&format!("    return v{cond}\n}}"));
        self.text
    }
}

/// Runs a module as native code and by the interpreter, at instants and on packets of several kinds, and demands equal verdicts and states.
fn same(source: &str) {
    let checked = verify(text::read(source).unwrap()).unwrap_or_else(|error| panic!("{error:?}\n{source}"));
    let (rig, mut store) = (Rig::new(&checked), Store::new(&checked));
    for now in [1, 8, 1_000, MINUTE, MINUTE + 1, 7 * HOUR, 23 * HOUR + 5, 1 << 40, (1 << 62) + 5] {
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
        let mut body = Body::new();
        for op in ["now", "const 60000000000", "add v0, v1", &format!("udiv {dividend}, v1"), "pkt.len"] {
            body.push(op);
        }
        let cond = body.push("ult v3, v4");
        same(&body.returning(cond));
    }
}

/// Lists of ranges over numbers of the instant, which may be needed for nothing else, and over others; of ranges that begin or end beyond 32 bits, or wrap.
#[test]
fn numbers_in_modules_with_states_are_in_lists_of_ranges() {
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
            let mut body = Body::new();
            for op in ["now", "const 3600000000000", "udiv v0, v1", "const 24", number] {
                body.push(op);
            }
            let cond = body.push_list(4, ranges);
            same(&body.returning(cond));
        }
    }
}

/// A source of choices; the first ones of all when it is dry.
struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |&choice| choice as usize % count)
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of a list, often one of the last.
    fn recent(&mut self, from: &[u32]) -> u32 {
        match self.below(2) {
            0 => from[from.len() - 1 - self.below(from.len().min(4))],
            _ => self.of(from),
        }
    }
}

/// A module whose entry, under its lock, is read and written, and numbers of the instant, of packets and of the entry computed.
fn module(choices: &[u32]) -> String {
    const NUMBERS: [u64; 13] =
        [1, 2, 5, 24, 60, 255, 1_000, 0xffff_ffff, 1 << 32, MINUTE, HOUR, 1 << 63, u64::MAX];
    const ARITHMETIC: [&str; 10] = ["add", "sub", "mul", "and", "or", "xor", "umax", "umin", "shl", "ushr"];
    let mut choices = Choices(choices.iter());
    let mut body = Body::new();
    let [now, port, length] = ["now", "pkt.in_port", "pkt.len"].map(|op| body.push(op));
    let never = body.push("false");
    let minute = body.push(&format!("const {MINUTE}"));
    let minutes = body.push(&format!("udiv v{now}, v{minute}"));
    let one = body.push("const 1");
    let key = choices.of(&[port, minutes]);
    body.line(&format!("    slot m0(v{key}), block1, block2"));
    let entry = body.param();
    body.line(&format!("block1(v{entry}: entry m0):"));
    let live = body.push(&format!("lock v{entry}"));
    let mut ints = vec![now, port, length, minutes, one];
    let mut bools = vec![never, live];
    let mut divisors = vec![one, minute];
    while !choices.0.as_slice().is_empty() && body.next < 400 {
        let (a, b) = (choices.recent(&ints), choices.recent(&ints));
        match choices.below(14) {
            0 => {
                let number = body.push(&format!("const {}", choices.of(&NUMBERS)));
                ints.push(number);
                divisors.push(number);
            }
            1 => divisors.push(body.push(&format!("umax v{a}, v{one}"))),
            2 | 3 => ints.push(body.push(&format!("{} v{a}, v{b}", choices.of(&ARITHMETIC)))),
            4..=6 => {
                let dividend = choices.of(&[a, now]);
                let (op, divisor) = (choices.of(&["udiv", "udiv", "urem"]), choices.recent(&divisors));
                ints.push(body.push(&format!("{op} v{dividend}, v{divisor}")));
            }
            7 | 8 => {
                bools.push(
                    body.push(&format!("{} v{a}, v{b}", choices.of(&["ult", "ult", "ule", "eq", "ne"]))),
                );
            }
            9 => {
                let (x, y) = (choices.recent(&bools), choices.recent(&bools));
                bools.push(body.push(&format!("{} v{x}, v{y}", choices.of(&["or_b", "and_b", "xor_b"]))));
            }
            10 => {
                let cond = choices.recent(&bools);
                ints.push(body.push(&format!("select v{cond}, v{a}, v{b}")));
            }
            11 => ints.push(body.push(&format!("get v{entry}, f{}", choices.below(3)))),
            12 => body.line(&format!("    set v{entry}, f{}, v{a}", choices.below(3))),
            _ => {
                let range = |choices: &mut Choices<'_>| match choices.below(8) {
                    0 => (choices.of(&NUMBERS), choices.of(&NUMBERS)),
                    _ => (choices.below(70) as u64, choices.below(9) as u64),
                };
                let ranges: Vec<_> = (0..4 + choices.below(6)).map(|_| range(&mut choices)).collect();
                bools.push(body.push_list(a, &ranges));
            }
        }
    }
    let expires = body.push(&format!("const {}", 1_u64 << 63));
    body.line(&format!("    unlock.touch v{entry}, v{expires}"));
    let cond = choices.recent(&bools);
    body.line(&format!("    return v{cond}\nblock2:"));
    body.returning(never)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn numbers_of_the_instant_quotients_and_lists_are_as_interpreted(choices in prop::collection::vec(any::<u32>(), 0..200)) {
        same(&module(&choices));
    }
}

/// A number of 63 bits that is near a multiple of a divisor.
fn near_a_multiple() -> impl Strategy<Value = (u64, u64)> {
    let divisor = prop_oneof![
        3 => (0..63_u32).prop_flat_map(|bit| 1_u64 << bit..=u64::MAX >> (63 - bit)),
        1 => prop_oneof![Just(10_u64), Just(100_000), Just(1_000_000_000), Just(MINUTE), Just(u64::MAX)],
    ];
    (divisor, any::<u64>(), 0..3_u64).prop_map(|(divisor, number, from)| {
        let number = number >> 1;
        let multiple = number / divisor * divisor;
        (divisor, (multiple + from).saturating_sub(1).min(u64::MAX >> 1))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_division_by_a_constant_is_exact((divisor, number) in near_a_multiple(), others in proptest::collection::vec(any::<u64>(), 8)) {
        let source = format!(
            "oko.ir 1\nfilter f -> bool {{
block0:
    v0 = const 0
    window v0, 24, block1, block2
block1(v1: window 24):
    v2 = load.be64 v1, 0
    v3 = const 1
    v4 = ushr v2, v3
    v5 = const {divisor}
    v6 = udiv v4, v5
    v7 = urem v4, v5
    v8 = load.be64 v1, 8
    v9 = eq v6, v8
    v10 = load.be64 v1, 16
    v11 = eq v7, v10
    v12 = and_b v9, v11
    return v12
block2:
    v13 = false
    return v13
}}"
        );
        let rig = Rig::new(&verify(text::read(&source).unwrap()).unwrap());
        for number in others.iter().map(|other| other >> 1).chain([number, 0, u64::MAX >> 1]) {
            let words = [number << 1, number / divisor, number % divisor];
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            prop_assert_eq!(rig.run(0, &[Packet::new(&bytes, 1)], 1), [1], "{} by {}", number, divisor);
        }
    }
}
