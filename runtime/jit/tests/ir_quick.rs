//! Code that is compiled quickly takes bursts, too: of several packets, and of none, it answers as the interpreter does of one after the other.

#![allow(clippy::unwrap_used, dead_code)]

mod rig;

use oko_ir::interp::{self, Store};
use oko_ir::testing::generate::{self, Options};
use oko_ir::verify;
use oko_jit::Effort;
use oko_jit::abi::Packet;
use proptest::prelude::*;
use rig::Rig;

/// Not what fits into anything else.
const BURST: usize = 7;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn bursts_answer_as_the_interpreter_does(
        module in prop::collection::vec(any::<u32>(), 0..900),
        traffic in prop::collection::vec(any::<u32>(), 0..900),
        tables in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let checked = verify(generate::module(&module, Options::ALL.roomy())).unwrap();
        let rigs = [Rig::with_effort(&checked, Effort::Quick), Rig::new(&checked)];
        let mut store = Store::new(&checked);
        let entries = generate::table_entries(checked.module(), &tables);
        generate::fill(&mut store, &entries);
        store.set_seed(0xfeed);
        for rig in &rigs {
            entries.iter().for_each(|(state, key, fields)| { rig.put(state.index(), key, fields); });
            rig.set_seed(0xfeed);
            prop_assert!(rig.run(0, &[], 1).is_empty());
        }
        let arrivals = generate::traffic(&traffic);
        for (at, burst) in arrivals.chunks(BURST).enumerate() {
            let (filter, now) = (at % checked.module().filters.len(), 7 + at as u64);
            let expected = burst.iter().map(|arrival| {
                let packet = interp::Packet {
                    bytes: &arrival.bytes,
                    wire_len: arrival.wire_len,
                    in_port: arrival.in_port,
                };
                interp::run(&checked, filter, &mut store, packet, now).unwrap().class
            });
            let expected: Vec<u32> = expected.collect();
            let packets = burst.iter().map(|arrival| {
                Packet::new(&arrival.bytes, arrival.in_port).with_wire_len(arrival.wire_len)
            });
            let packets: Vec<Packet<'_>> = packets.collect();
            for rig in &rigs {
                prop_assert_eq!(&rig.run(filter, &packets, now), &expected);
            }
        }
    }
}
