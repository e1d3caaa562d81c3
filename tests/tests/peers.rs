//! The examples in C that the benchmark measures beside the engines say of every packet what native code says, as filters for one core, with locks, and with
//! the other hash: over whole captures and all made traffic.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Command;

use oko_filter::{Engine, Instance, LoadOptions, Packet, Verdict};
use oko_tests::captures::Recorded;
use oko_tests::examples::{self, Build};
use oko_tests::peer::{Peer, PeerInstance, SEED, VARIANTS};
use oko_tests::{captures, made};

/// Packets of a burst.
const BURST: usize = 32;
/// How often each capture is replayed: some things take time.
const REPLAYS: usize = 10;
/// Time between two replays.
const GAP: u64 = 1_000_000;

/// Every so many packets of the first replay one is cut short, at another place each time.
const CUT: usize = 5;

/// Nobody lies, floods by pings or knocks in what there is.
const NEVER: [&str; 3] = ["arp_guard", "icmp_flood", "port_knock"];

/// All captures and all made traffic.
fn traffic() -> Vec<Vec<Recorded>> {
    // The way through headers in C knows neither MPLS nor tunnels, of which `headers.pcap` is full.
    let captures = examples::captures();
    let captures = captures.iter().filter(|capture| examples::name(capture) != "headers");
    let recorded = captures.map(|capture| captures::read(capture));
    recorded.chain(made::NAMES.map(made::traffic)).collect()
}

#[test]
fn the_examples_in_c_say_what_native_code_says() {
    if !Command::new("clang").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no clang here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let traffic = traffic();
    for program in examples::programs() {
        let name = examples::name(&program);
        let source = examples::folder().join("c").join(&name).with_extension("c");
        if !source.exists() {
            eprintln!("there is no {name}.c");
            continue;
        }
        let object = examples::compile(&program, Build::Switch).bytes;
        let options =
            LoadOptions { engine: Some(Engine::Native), seed: Some(SEED), ..LoadOptions::default() };
        let peers = VARIANTS.map(|(_, flags)| {
            Peer::compile(&source, flags, &folder.path().join(format!("{name}{}.so", flags.len()))).unwrap()
        });
        let (table, keys) = examples::table_entries(&name);
        let (mut asked, mut matched, mut now) = (0, 0, 0);
        for frames in &traffic {
            // State is new for each: sketches err a little where much has come together, each in its own way.
            let oko = Instance::load(&object, &options).unwrap();
            let filter = oko.filters()[0].id;
            let mut instances: Vec<PeerInstance<'_>> =
                peers.iter().map(|peer| peer.instance().unwrap()).collect();
            for key in &keys {
                oko.table_put(table, key, &[]).unwrap();
                instances.iter_mut().for_each(|instance| instance.insert(key).unwrap());
            }
            for replay in 0..REPLAYS {
                let begin = now + GAP;
                for burst in frames.chunks(BURST) {
                    now = begin + (burst[0].now - frames[0].now);
                    let packets = burst.iter().enumerate().map(|(number, frame)| {
                        let len = frame.bytes.len();
                        let cut = replay == 0 && number.is_multiple_of(CUT);
                        let len = if cut { (asked + number) / CUT % (len + 1) } else { len };
                        Packet::new(&frame.bytes[..len], 1)
                    });
                    let packets: Vec<Packet<'_>> = packets.collect();
                    let mut expected = vec![Verdict::default(); packets.len()];
                    oko.run_burst(filter, &packets, now, &mut expected);
                    asked += packets.len();
                    matched += expected.iter().filter(|verdict| verdict.is_match()).count();
                    for (instance, (variant, _)) in instances.iter_mut().zip(VARIANTS) {
                        let mut verdicts = vec![Verdict(u32::MAX); packets.len()];
                        instance.run(&packets, now, &mut verdicts);
                        assert_eq!(verdicts, expected, "{name}, {variant}: replay {replay}, at {now}");
                    }
                }
            }
        }
        eprintln!("{name}: {matched} of {asked} match");
        assert!(matched > 0 || NEVER.contains(&name.as_str()), "no packet matches {name}: it was not tested");
    }
}
