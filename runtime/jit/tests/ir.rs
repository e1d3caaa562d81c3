//! Native code from the IR gives what the scripts of the IR say, and what its interpreter gives on random modules and traffic.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_ir::interp::{self, Store, TableKey};
use oko_ir::testing::generate::{self, Arrival, Options};
use oko_ir::testing::script::{self, Step};
use oko_ir::{text, verify};
use oko_jit::abi::Packet;
use oko_jit::{CompileError, Effort, compile_ir};
use proptest::prelude::*;
use rig::{Rig, filled_store, packet};

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compiler/ir/filetests/run");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let checked = verify(text::read(&source).unwrap()).unwrap();
        let module = checked.module();
        let whole = |state: usize, key: TableKey| TableKey {
            bits: key.bits.min(module.states[state].key_bits()),
            ..key
        };
        let rig = Rig::new(&checked);
        for line in script::read(&source).unwrap() {
            let place = format!("{}:{}", path.display(), line.number);
            match line.step {
                Step::Run { filter, packet, wire_len, in_port, now, class } => {
                    let packet = Packet::new(&packet, in_port).with_wire_len(wire_len);
                    assert_eq!(rig.run(rig.filter(&filter), &[packet], now), [class], "{place}");
                }
                Step::Param { name, value } => rig.set_param(&name, value),
                Step::Live { state, now, entries } => {
                    assert_eq!(rig.live(rig.state(&state), now), entries, "{place}");
                }
                Step::Refused { state, count } => assert_eq!(rig.map(&state).refused(), count, "{place}"),
                Step::Evicted { state, count } => assert_eq!(rig.map(&state).evicted(), count, "{place}"),
                Step::Seed { seed } => rig.set_seed(seed),
                Step::Put { state, key, fields } => {
                    let state = rig.state(&state);
                    assert!(rig.put(state, &whole(state, key), &fields), "{place}");
                }
                Step::Remove { state, key } => {
                    let state = rig.state(&state);
                    assert!(rig.remove(state, &whole(state, key)), "{place}");
                }
                Step::Events { events } => {
                    let found = rig.take_events().0.into_iter();
                    let found = found.map(|record| {
                        (module.events[record.event.index()].name.clone(), record.time, record.values)
                    });
                    assert_eq!(found.collect::<Vec<_>>(), events, "{place}");
                }
                Step::Dropped { count } => assert_eq!(rig.take_events().1, count, "{place}"),
            }
            count += 1;
        }
    }
    assert!(count > 20, "only {count} lines were run");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// State by state and verdict by verdict, one packet at a time.
    #[test]
    fn random_modules_run_as_interpreted(
        module in prop::collection::vec(any::<u32>(), 0..600),
        traffic in prop::collection::vec(any::<u32>(), 0..600),
        tables in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let checked = verify(generate::module(&module, Options::ALL.roomy())).unwrap();
        let entries = generate::table_entries(checked.module(), &tables);
        let rig = Rig::filled(&checked, Effort::Full, &entries);
        let mut store = filled_store(&checked, &entries);
        let mut last = 1;
        for (number, arrival) in generate::traffic(&traffic).iter().enumerate() {
            let filter = number % checked.module().filters.len();
            let expected = interp::run(&checked, filter, &mut store, arrival.packet(), arrival.now).unwrap();
            let found = rig.run(filter, &[packet(arrival)], arrival.now);
            prop_assert_eq!(found, [expected.class], "packet {}", number);
            last = arrival.now;
        }
        for (state, dump) in store.dump().into_iter().enumerate() {
            prop_assert_eq!(rig.live(state, last), dump.live(last).entries, "state {}", state);
        }
        prop_assert_eq!(rig.take_events(), (store.take_events(), store.dropped_events()));
    }

    /// A burst is its packets one after the other, whatever was done for fast code.
    #[test]
    fn bursts_answer_as_single_packets_do(
        module in prop::collection::vec(any::<u32>(), 0..600),
        traffic in prop::collection::vec(any::<u32>(), 0..600),
    ) {
        let checked = verify(generate::module(&module, Options::ALL.roomy())).unwrap();
        let (single, burst) = (Rig::with_effort(&checked, Effort::Quick), Rig::new(&checked));
        let arrivals = generate::traffic(&traffic);
        let packets: Vec<_> = arrivals.iter().map(packet).collect();
        for chunk in packets.chunks(32) {
            let expected: Vec<u32> = chunk.iter().flat_map(|packet| single.run(0, &[*packet], 7)).collect();
            prop_assert_eq!(burst.run(0, chunk, 7), expected);
        }
    }

    /// Whatever was done for fast code, a burst is answered as the interpreter answers one packet after the other, by filters in turn; of no packets, nothing.
    #[test]
    fn bursts_answer_as_interpreted(
        module in prop::collection::vec(any::<u32>(), 0..900),
        traffic in prop::collection::vec(any::<u32>(), 0..900),
        tables in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let checked = verify(generate::module(&module, Options::ALL.roomy())).unwrap();
        let entries = generate::table_entries(checked.module(), &tables);
        let rigs = [Effort::Quick, Effort::Full].map(|effort| Rig::filled(&checked, effort, &entries));
        let mut store = filled_store(&checked, &entries);
        for rig in &rigs {
            prop_assert!(rig.run(0, &[], 1).is_empty());
        }
        // Not of a length that fits into anything else.
        for (at, burst) in generate::traffic(&traffic).chunks(7).enumerate() {
            let (filter, now) = (at % checked.module().filters.len(), 7 + at as u64);
            let mut class =
                |arrival: &Arrival| interp::run(&checked, filter, &mut store, arrival.packet(), now).unwrap().class;
            let expected: Vec<u32> = burst.iter().map(&mut class).collect();
            let packets: Vec<Packet<'_>> = burst.iter().map(packet).collect();
            for rig in &rigs {
                prop_assert_eq!(&rig.run(filter, &packets, now), &expected);
            }
        }
    }
}

/// What modules begin with, without a state and with one: then a frame holds what the packets of a burst have in common.
const BEGINS: [&str; 2] =
    ["oko.ir 1\n", "oko.ir 1\nstate m0 s: array, capacity 1, key(a: u8), fields(n: u64)\n"];

/// A filter that matches packets whose first four bytes are in one of these ranges.
fn list_of(begin: &str, ranges: &[(u32, u32)]) -> String {
    use std::fmt::Write;
    let mut text = begin.to_owned();
    text += "filter f -> bool {\nblock0:\n    v0 = const 0\n    v1 = false\n    window v0, 4, block1, block2\n\
        block1(v2: window 4):\n    v3 = load.be32 v2, 0\n";
    let (mut next, mut last) = (4, None);
    for (number, &(first, end)) in ranges.iter().enumerate() {
        // In each of the ways in which ranges are asked about.
        let [a, b, c, d] = [next, next + 1, next + 2, next + 3];
        let cond = match (number % 2, first, end) {
            (_, first, end) if first == end => {
                writeln!(text, "    v{a} = const {first}\n    v{b} = eq v3, v{a}").unwrap();
                b
            }
            (0, 0, end) => {
                writeln!(text, "    v{a} = const {end}\n    v{b} = ule v3, v{a}").unwrap();
                b
            }
            (0, first, u32::MAX) => {
                writeln!(text, "    v{a} = const {first}\n    v{b} = ule v{a}, v3").unwrap();
                b
            }
            _ => {
                writeln!(text, "    v{a} = const {first}\n    v{b} = sub v3, v{a}").unwrap();
                writeln!(text, "    v{c} = const {}\n    v{d} = ule v{b}, v{c}", end - first).unwrap();
                d
            }
        };
        next = cond + 1;
        last = Some(match last {
            None => cond,
            Some(before) => {
                writeln!(text, "    v{next} = or_b v{before}, v{cond}").unwrap();
                next += 1;
                next - 1
            }
        });
    }
    writeln!(text, "    return v{}\nblock2:\n    return v1\n}}", last.unwrap()).unwrap();
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Lists are compared with several ranges at once, short and very long ones are not.
    #[test]
    fn numbers_are_in_lists_of_ranges(
        ranges in prop::collection::vec(
            (
                prop_oneof![Just(0), Just(1 << 31), Just(u32::MAX), any::<u32>()],
                prop_oneof![Just(0), Just(1), Just(u32::MAX), 0..=0xffff_u32, any::<u32>()],
            )
                .prop_map(|(first, length)| (first, first.saturating_add(length))),
            1..40,
        ),
        others in prop::collection::vec(any::<u32>(), 8),
    ) {
        let rigs = BEGINS.map(|begin| Rig::new(&verify(text::read(&list_of(begin, &ranges)).unwrap()).unwrap()));
        let ends = ranges.iter().flat_map(|&(first, end)| [first.wrapping_sub(1), first, end, end.wrapping_add(1)]);
        for number in ends.chain(others) {
            let expected = ranges.iter().any(|&(first, end)| (first..=end).contains(&number));
            for rig in &rigs {
                let found = rig.run(0, &[Packet::new(&number.to_be_bytes(), 0)], 1);
                prop_assert_eq!(found, [u32::from(expected)], "{} in {:?}", number, ranges);
            }
        }
    }
}

/// A filter that matches if the first number of a packet, divided by the second one, is below the third.
const QUOTIENT: &str = "filter f -> bool {
block0:
    v0 = const 0
    v1 = false
    window v0, 24, block1, block3
block1(v2: window 24):
    v3 = load.be64 v2, 0
    v4 = load.be64 v2, 8
    v5 = load.be64 v2, 16
    v6 = ult v0, v4
    branch v6, block2, block3
block2:
    v7 = udiv v3, v4
    v8 = ult v7, v5
    return v8
block3:
    return v1
}
";

proptest! {
    /// Of numbers of any size, where the product of divisor and bound is cut off, too.
    #[test]
    fn quotients_are_compared_as_they_are(
        divisor in prop_oneof![1..10_u64, any::<u64>(), Just(u64::MAX)],
        bound in prop_oneof![0..10_u64, any::<u64>(), Just(u64::MAX), (0..64_u32).prop_map(|bit| 1 << bit)],
        dividend in prop_oneof![0..10_u64, any::<u64>(), Just(u64::MAX)],
    ) {
        let rigs = BEGINS.map(|begin| Rig::new(&verify(text::read(&format!("{begin}{QUOTIENT}")).unwrap()).unwrap()));
        let product = divisor.wrapping_mul(bound);
        for dividend in [dividend, product, product.wrapping_sub(1), product.wrapping_add(1)] {
            let packet: Vec<u8> = [dividend, divisor, bound].into_iter().flat_map(u64::to_be_bytes).collect();
            let expected = dividend.checked_div(divisor).is_some_and(|quotient| quotient < bound);
            for rig in &rigs {
                let found = rig.run(0, &[Packet::new(&packet, 0)], 1);
                prop_assert_eq!(found, [u32::from(expected)], "{} / {} < {}", dividend, divisor, bound);
            }
        }
    }
}

/// A filter that keeps count, of a packet's first number, by the bucket of time that it comes in, of the bucket before, and of each first bucket; and matches
/// if the counts that it writes are those that it then reads.
const BUCKETS: &str = "oko.ir 1
state m0 s: hash evict_oldest, capacity 8, key(k: u32), fields(number: u64, current: u64, previous: u64, length: u64)
filter f -> bool {
block0:
    v0 = const 0
    v1 = false
    window v0, 4, block1, block3
block1(v2: window 4):
    v3 = load.be32 v2, 0
    slot m0(v3), block2, block3
block2(v4: entry m0):
    v5 = lock v4
    v6 = now
    v7 = const 1000000
    v8 = udiv v6, v7
    v9 = get v4, f0
    v10 = get v4, f1
    v11 = get v4, f2
    v12 = ule v8, v9
    v13 = const 1
    v14 = umax v9, v8
    v15 = select v12, v10, v0
    v16 = select v12, v11, v10
    v17 = add v15, v13
    v18 = mul v8, v7
    v19 = sub v6, v18
    set v4, f0, v14
    set v4, f1, v17
    set v4, f2, v16
    set v4, f3, v19
    v20 = get v4, f0
    v21 = get v4, f2
    v22 = eq v20, v14
    v23 = eq v21, v16
    v24 = and_b v22, v23
    v25 = const 5000000000
    v26 = add v6, v25
    set v4, f2, v16
    unlock.touch v4, v26
    return v24
block3:
    return v1
}
";

proptest! {
    /// What depends on the instant alone, what is chosen by it, and what of that need not be written.
    #[test]
    fn buckets_of_time_are_as_interpreted(
        arrivals in prop::collection::vec((0..3_u32, prop_oneof![0..10_u64, 0..3_000_000_u64, Just(6_000_000_000)]), 1..40),
    ) {
        let checked = verify(text::read(BUCKETS).unwrap()).unwrap();
        let (rig, mut store) = (Rig::new(&checked), Store::new(&checked));
        let mut now = 1;
        for (key, later) in arrivals {
            now += later;
            let bytes = key.to_be_bytes();
            let packet = interp::Packet { bytes: &bytes, wire_len: 4, in_port: 0 };
            let expected = interp::run(&checked, 0, &mut store, packet, now).unwrap();
            prop_assert_eq!(expected.class, 1);
            prop_assert_eq!(rig.run(0, &[Packet::new(&bytes, 0)], now), [1]);
            for (state, dump) in store.dump().into_iter().enumerate() {
                prop_assert_eq!(rig.live(state, now), dump.live(now).entries);
            }
        }
    }
}

/// A module at the limits of the verifier: thousands of look-ups under the largest keys, each entry locked and written.
fn large_module(blocks: usize) -> String {
    use std::fmt::Write;
    let parts: Vec<String> = (0..32).map(|part| format!("k{part}: u64")).collect();
    let mut text = format!(
        "oko.ir 1\nstate m0 s: hash evict_oldest, capacity 4, key({}), fields(n: u64)\nfilter f -> bool {{\nblock0:\n    v0 = pkt.len\n    v1 = now\n",
        parts.join(", ")
    );
    let key = vec!["v0"; 32].join(", ");
    let mut value = 2;
    for block in (0..blocks).map(|index| index * 2) {
        writeln!(text, "    slot m0({key}), block{}(), block{}()", block + 1, block + 2).unwrap();
        let (entry, live, old, new) = (value, value + 1, value + 2, value + 3);
        value += 4;
        writeln!(text, "block{}(v{entry}: entry m0):", block + 1).unwrap();
        writeln!(text, "    v{live} = lock v{entry}\n    v{old} = get v{entry}, f0").unwrap();
        writeln!(text, "    v{new} = add v{old}, v1\n    set v{entry}, f0, v{new}").unwrap();
        writeln!(text, "    unlock.touch v{entry}, v{new}\n    jump block{}()", block + 2).unwrap();
        writeln!(text, "block{}:", block + 2).unwrap();
    }
    writeln!(text, "    v{value} = true\n    return v{value}\n}}").unwrap();
    text.replace("()", "")
}

#[test]
fn a_module_at_the_limits_compiles_and_runs_on_an_ordinary_stack() {
    let checked = verify(text::read(&large_module(1_000)).unwrap()).unwrap();
    let rig = Rig::new(&checked);
    assert_eq!(rig.run(0, &[Packet::new(&[0; 20], 0), Packet::new(&[0; 21], 0)], 5), [1, 1]);
    assert_eq!(rig.map("s").len(), 2);
}

/// Of a filter with so many operations, each of which depends on the one before.
fn long_module(operations: usize) -> String {
    use std::fmt::Write;
    let mut text = "oko.ir 1\nfilter f -> bool {\nblock0:\n    v0 = pkt.len\n".to_owned();
    for value in 1..operations {
        let op = ["add", "xor", "mul", "sub"][value % 4];
        writeln!(text, "    v{value} = {op} v{}, v{}", value - 1, value / 2).unwrap();
    }
    writeln!(text, "    v{operations} = eq v{}, v0\n    return v{operations}\n}}", operations - 1).unwrap();
    text
}

#[test]
fn large_filters_are_compiled_quickly_or_refused() {
    let checked = verify(text::read(&long_module(60_000)).unwrap()).unwrap();
    let start = std::time::Instant::now();
    let code = compile_ir(&checked, 0).unwrap();
    println!("60,000 operations: {:?}, {} bytes", start.elapsed(), code.bytes());
    let text = large_module(2_500);
    let checked = verify(text::read(&text).unwrap()).unwrap();
    assert!(compile_ir(&checked, 0).is_ok());

    let mut text = "oko.ir 1\nstate m0 s: array, capacity 1, key(a: u8), fields()\nfilter f -> bool {\n\
        block0:\n    v0 = true\n    v1 = pkt.len\n    find m0(v1), block1, block8000\n"
        .to_owned();
    for block in 1..8_000 {
        let next = if block == 7_999 {
            "return v0".to_owned()
        } else {
            format!("find m0(v1), block{}, block8000", block + 1)
        };
        text.push_str(&format!("block{block}(v{}: entry m0):\n    {next}\n", block + 1));
    }
    text.push_str("block8000:\n    return v0\n}\n");
    let refused = compile_ir(&verify(text::read(&text).unwrap()).unwrap(), 0);
    assert!(matches!(refused, Err(CompileError::TooLarge { found: 135_987, limit: 98_304 })), "{refused:?}");
}

/// What look-ups of a burst will read is fetched ahead of use in maps of this size; packets whose way does not lead to a look-up are among them.
#[test]
fn bursts_over_a_large_map_answer_as_over_a_small_one() {
    const COUNT: &str = "
oko.ir 1
state m0 seen: hash refuse, capacity 65536, key(port: u32, len: u64), fields(n: u64)
filter count -> classes 1000 {
block0:
    v0 = pkt.in_port
    v1 = pkt.len
    v2 = const 3
    v3 = urem v0, v2
    v4 = const 0
    v5 = eq v3, v4
    v6 = const 999
    branch v5, block3, block1
block1:
    slot m0(v0, v1), block2, block3
block2(v7: entry m0):
    v8 = lock v7
    v9 = get v7, f0
    v10 = const 1
    v11 = add v9, v10
    set v7, f0, v11
    v12 = const 0xffffffffffffffff
    unlock.touch v7, v12
    v13 = umin v11, v6
    return v13
block3:
    return v6
}
";
    let checked = verify(text::read(COUNT).unwrap()).unwrap();
    let rig = Rig::new(&checked);
    let ports: Vec<u32> = (0..60_000).collect();
    for round in 1..=3 {
        for ports in ports.chunks(100) {
            let packets: Vec<_> = ports.iter().map(|&port| Packet::new(&[], port)).collect();
            let expected: Vec<u32> =
                ports.iter().map(|port| if port % 3 == 0 { 999 } else { round }).collect();
            assert_eq!(rig.run(0, &packets, 1), expected);
        }
    }
    assert!(rig.map("seen").is_far(), "the map must be large for this");
}
