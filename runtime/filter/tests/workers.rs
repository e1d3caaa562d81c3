//! One instance, several workers, and a control thread beside them.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use oko_filter::{Engine, Packet, Verdict};
use oko_ir::{text, verify};
use rig::{artifact, load};

const COUNT: &str = "
oko.ir 1
state m0 seen: hash refuse, capacity 64, key(port: u32), fields(n: u64, same: u64)
filter count -> bool {
block0:
    v0 = pkt.in_port
    slot m0(v0), block1, block2
block1(v1: entry m0):
    v2 = lock v1
    v3 = get v1, f0
    v4 = const 1
    v5 = add v3, v4
    set v1, f0, v5
    set v1, f1, v5
    v6 = const 0xffffffffffffffff
    unlock.touch v1, v6
    return v2
block2:
    v7 = false
    return v7
}
";

#[test]
fn no_update_is_lost_and_no_snapshot_torn() {
    const ROUNDS: u64 = 2_000;
    let object = artifact(&verify(text::read(COUNT).unwrap()).unwrap());
    for engine in [Engine::Native, Engine::BpfJit] {
        let instance = load(&object, engine);
        let filter = instance.filter("count").unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let packets: Vec<Packet<'_>> = (0..32).map(|port| Packet::new(&[], port)).collect();
                        let mut verdicts = [Verdict::default(); 32];
                        for now in 1..=ROUNDS {
                            instance.run_burst(filter, &packets, now, &mut verdicts);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut looked = 0;
                while !done.load(Ordering::Relaxed) || looked == 0 {
                    for entry in instance.state_snapshot("seen", 1).unwrap().entries {
                        assert_eq!(entry.fields[0], entry.fields[1], "{engine}: half an update");
                    }
                    looked += 1;
                }
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        let snapshot = instance.state_snapshot("seen", 1).unwrap();
        assert_eq!(snapshot.entries.len(), 32);
        assert!(snapshot.entries.iter().all(|entry| entry.fields[0] == 3 * ROUNDS), "{engine}");
        let stats = instance.stats(filter);
        assert_eq!((stats.runs, stats.classes[0]), (3 * 32 * ROUNDS, 32));
    }
}

/// A worker that is alone takes locks another way. Others come and go beside it: one that runs filters, and the control plane, which writes entries.
#[test]
fn no_update_is_lost_when_a_worker_is_alone_by_turns() {
    const VISITS: u64 = 200;
    let object = artifact(&verify(text::read(COUNT).unwrap()).unwrap());
    for engine in [Engine::Native, Engine::BpfJit] {
        let instance = load(&object, engine);
        let filter = instance.filter("count").unwrap();
        let packets: Vec<Packet<'_>> = (0..32).map(|port| Packet::new(&[], port)).collect();
        let done = AtomicBool::new(false);
        // Half of them one by one, which has a way of its own where a worker is alone.
        let burst = || {
            let (together, single) = packets.split_at(16);
            instance.run_burst(filter, together, 1, &mut [Verdict::default(); 16]);
            for packet in single {
                instance.run(filter, *packet, 1);
            }
        };
        let bursts: u64 = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut bursts = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    burst();
                    bursts += 1;
                }
                bursts
            });
            for visit in 0..VISITS {
                // Long enough that the worker becomes alone in between.
                thread::sleep(std::time::Duration::from_micros(500));
                if visit % 2 == 0 {
                    burst();
                } else {
                    instance.state_write("seen", &[1_000], &[visit, visit], u64::MAX, 1).unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
            worker.join().unwrap() + VISITS / 2
        });
        for port in [0, 31] {
            let entry = instance.state_snapshot("seen", 1).unwrap();
            let entry = entry.entries.iter().find(|entry| entry.key == [port]).unwrap();
            assert_eq!(entry.fields, [bursts, bursts], "{engine}");
        }
    }
}

/// Packets that come one by one are counted whoever brings them: more threads than have counters of their own, with filters of few and of many classes.
#[test]
fn single_packets_are_counted() {
    const THREADS: u64 = 20;
    const PACKETS: u64 = 500;
    for (classes, states) in [(2, true), (2, false), (16, false), (17, true), (70, false)] {
        let state =
            if states { "state m0 unused: array, capacity 1, key(at: u32), fields(n: u64)" } else { "" };
        let module = format!(
            "oko.ir 1
             {state}
             filter class -> classes {classes} {{
             block0:
                 v0 = pkt.in_port
                 v1 = const {classes}
                 v2 = urem v0, v1
                 return v2
             }}"
        );
        let object = artifact(&verify(text::read(&module).unwrap()).unwrap());
        for engine in [Engine::Native, Engine::BpfJit] {
            let instance = load(&object, engine);
            let filter = instance.filter("class").unwrap();
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for port in (0..classes).cycle().take(PACKETS as usize) {
                            let verdict = instance.run(filter, Packet::new(&[], port), 1);
                            assert_eq!(verdict.class(), port);
                        }
                    });
                }
            });
            let expected = (0..u64::from(classes)).map(|class| {
                THREADS * (PACKETS / u64::from(classes) + u64::from(class < PACKETS % u64::from(classes)))
            });
            assert_eq!(instance.stats(filter).classes, expected.collect::<Vec<_>>(), "{engine}");
        }
    }
}
