//! All engines give the same verdicts and leave the same state behind.

#![allow(clippy::unwrap_used)]

mod rig;

use oko_filter::{Engine, Instance, Packet, Verdict};
use oko_ir::testing::generate::{self, Options};
use oko_ir::verify;
use proptest::prelude::*;
use rig::{all_states, artifact, capture, example, examples, load};

const CAPTURES: [&str; 5] = ["syn_flood", "rate_limit", "firewall", "scan", "mixed"];

#[test]
fn examples_on_captures() {
    let mut matches = 0;
    for name in examples() {
        let object = example(&name);
        for capture_name in CAPTURES {
            let packets = capture(capture_name);
            let engines = Engine::ALL.map(|engine| load(&object, engine));
            for (number, (time, bytes)) in packets.iter().enumerate() {
                for filter in engines[0].filters() {
                    let packet = Packet::new(bytes, 1 + number as u32 % 2);
                    let verdicts = engines.each_ref().map(|engine| engine.run(filter.id, packet, *time));
                    assert!(
                        verdicts.iter().all(|verdict| *verdict == verdicts[0]),
                        "{name} on {capture_name}, packet {number}: {verdicts:?}",
                    );
                    matches += usize::from(verdicts[0].is_match());
                }
            }
            let last = packets.last().unwrap().0;
            let [native, others @ ..] = &engines;
            for other in others {
                assert_eq!(
                    all_states(other, last),
                    all_states(native, last),
                    "{name} on {capture_name}, {}",
                    other.engine()
                );
                for filter in native.filters() {
                    assert_eq!(other.stats(filter.id), native.stats(filter.id));
                }
            }
        }
    }
    assert!(matches > 1_000, "only {matches} matches: the captures do not show what they should");
}

#[test]
fn bursts_are_packets_one_after_the_other() {
    let object = example("syn_flood");
    let packets = capture("syn_flood");
    for engine in Engine::ALL {
        let (single, burst) = (load(&object, engine), load(&object, engine));
        let filter = single.filters()[0].id;
        for chunk in packets.chunks(32) {
            let now = chunk[0].0;
            let asked: Vec<Packet<'_>> = chunk.iter().map(|(_, bytes)| Packet::new(bytes, 1)).collect();
            let expected: Vec<Verdict> =
                asked.iter().map(|packet| single.run(filter, *packet, now)).collect();
            let mut found = vec![Verdict(7); asked.len()];
            burst.run_burst(filter, &asked, now, &mut found);
            assert_eq!(found, expected, "{engine}");
        }
        let stats = burst.stats(filter);
        assert_eq!(stats.runs, packets.len() as u64);
        assert_eq!((stats.runs, stats.faults), (stats.classes.iter().sum(), 0));
    }
}

#[test]
fn a_truncated_packet_is_no_error() {
    let object = example("syn_flood");
    let packets = capture("mixed");
    let engines = Engine::ALL.map(|engine| load(&object, engine));
    let filter = engines[0].filters()[0].id;
    for (time, bytes) in packets.iter().step_by(20) {
        for len in 0..=bytes.len().min(100) {
            // A copy of its own: a read behind its end would be one behind an allocation.
            let cut = bytes[..len].to_vec();
            let verdicts = engines.each_ref().map(|engine| engine.run(filter, Packet::new(&cut, 0), *time));
            assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{len} bytes: {verdicts:?}");
        }
    }
}

#[test]
fn a_param_is_seen_by_all_engines() {
    let object = example("syn_flood");
    let packets = capture("syn_flood");
    let count = |instance: &Instance| {
        let filter = instance.filters()[0].id;
        let matching =
            |(time, bytes): &&(u64, Vec<u8>)| instance.run(filter, Packet::new(bytes, 0), *time).is_match();
        packets.iter().filter(matching).count()
    };
    let mut counts = Vec::new();
    for engine in Engine::ALL {
        let instance = load(&object, engine);
        instance.set_param("excess", 2_000).unwrap();
        assert_eq!(instance.param("excess"), Ok(2_000));
        counts.push((count(&load(&object, engine)), count(&instance)));
    }
    assert!(counts.iter().all(|pair| *pair == counts[0]), "{counts:?}");
    assert!(counts[0].0 > counts[0].1, "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn random_modules_on_random_traffic(
        module in prop::collection::vec(any::<u32>(), 0..600),
        traffic in prop::collection::vec(any::<u32>(), 0..600),
    ) {
        let checked = verify(generate::module(&module, Options::default().roomy())).unwrap();
        let Ok(compiled) = oko_bpf_backend::compile(&checked, oko_bpf_backend::Options::default()) else {
            // Too much for a stack of 512 bytes: the back end says so.
            return Ok(());
        };
        drop(compiled);
        let object = artifact(&checked);
        let engines = Engine::ALL.map(|engine| load(&object, engine));
        let filters: Vec<_> = engines[0].filters().iter().map(|filter| filter.id).collect();
        let mut last = 1;
        for (number, arrival) in generate::traffic(&traffic).iter().enumerate() {
            let filter = filters[number % filters.len()];
            let packet = Packet::new(&arrival.bytes, arrival.in_port);
            let verdicts = engines.each_ref().map(|engine| engine.run(filter, packet, arrival.now));
            prop_assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "packet {}: {:?}", number, verdicts);
            last = arrival.now;
        }
        let [native, others @ ..] = &engines;
        for other in others {
            prop_assert_eq!(all_states(other, last), all_states(native, last), "{}", other.engine());
        }
    }
}
