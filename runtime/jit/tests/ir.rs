//! Native code from the IR gives what the scripts of the IR say, and what its interpreter gives on random modules and traffic.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_ir::interp::{self, Store};
use oko_ir::testing::generate::{self, Options};
use oko_ir::testing::script::{self, Step};
use oko_ir::{text, verify};
use oko_jit::abi::Packet;
use proptest::prelude::*;
use rig::Rig;

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compiler/ir/filetests/run");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let rig = Rig::new(&verify(text::read(&source).unwrap()).unwrap());
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
    ) {
        let checked = verify(generate::module(&module, Options { roomy: true })).unwrap();
        let rig = Rig::new(&checked);
        let mut store = Store::new(&checked);
        let mut last = 1;
        for (number, arrival) in generate::traffic(&traffic).iter().enumerate() {
            let filter = number % checked.module().filters.len();
            let packet = interp::Packet {
                bytes: &arrival.bytes,
                wire_len: arrival.wire_len,
                in_port: arrival.in_port,
            };
            let expected = interp::run(&checked, filter, &mut store, packet, arrival.now).unwrap();
            let packet = Packet::new(&arrival.bytes, arrival.in_port).with_wire_len(arrival.wire_len);
            prop_assert_eq!(rig.run(filter, &[packet], arrival.now), [expected.class], "packet {}", number);
            last = arrival.now;
        }
        for (state, dump) in store.dump().into_iter().enumerate() {
            prop_assert_eq!(rig.live(state, last), dump.live(last).entries, "state {}", state);
        }
    }

    /// A burst is its packets one after the other.
    #[test]
    fn bursts_answer_as_single_packets_do(
        module in prop::collection::vec(any::<u32>(), 0..600),
        traffic in prop::collection::vec(any::<u32>(), 0..600),
    ) {
        let checked = verify(generate::module(&module, Options { roomy: true })).unwrap();
        let (single, burst) = (Rig::new(&checked), Rig::new(&checked));
        let arrivals = generate::traffic(&traffic);
        let packets: Vec<_> = arrivals
            .iter()
            .map(|arrival| Packet::new(&arrival.bytes, arrival.in_port).with_wire_len(arrival.wire_len))
            .collect();
        for chunk in packets.chunks(32) {
            let expected: Vec<u32> = chunk.iter().flat_map(|packet| single.run(0, &[*packet], 7)).collect();
            prop_assert_eq!(burst.run(0, chunk, 7), expected);
        }
    }
}
