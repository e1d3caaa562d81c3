//! A new version takes over from a running one: what it keeps, what it reports, and that nothing happens if anything is wrong.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;

use oko_filter::{Engine, Instance, LoadError, LoadOptions, Lost, Packet, Verdict};
use oko_ir::{text, verify};
use rig::{artifact, load};

/// Counts packets by port, `step` at a time, up to `limit`; matches beyond.
fn version(state: &str, param: &str, step: u32) -> Vec<u8> {
    let source = format!(
        "
oko.ir 1
{param}
{state}
filter count -> bool {{
block0:
    v0 = pkt.in_port
    slot m0(v0), block1, block2
block1(v1: entry m0):
    v2 = lock v1
    v3 = get v1, f0
    v4 = const {step}
    v5 = add v3, v4
    set v1, f0, v5
    v6 = const 0xffffffffffffffff
    unlock.touch v1, v6
    v8 = param p0
    v9 = ult v8, v5
    return v9
block2:
    v7 = false
    return v7
}}
"
    );
    artifact(&verify(text::read(&source).unwrap()).unwrap())
}

const STATE: &str = "state m0 seen: hash refuse, capacity 64, key(port: u32), fields(n: u64)";
const PARAM: &str = "param p0 limit: 10 to 1000, default 100";

fn options(engine: Engine) -> LoadOptions {
    LoadOptions { engine: Some(engine), ..LoadOptions::default() }
}

fn run(instance: &Instance, port: u32, now: u64) -> bool {
    instance.run(instance.filter("count").unwrap(), Packet::new(&[], port), now).is_match()
}

fn counted(instance: &Instance, port: u32) -> Option<u64> {
    let entries = instance.state_snapshot("seen", 1).unwrap().entries;
    entries.iter().find(|entry| entry.key == [u64::from(port)]).map(|entry| entry.fields[0])
}

const MAPS: [Engine; 3] = [Engine::Native, Engine::BpfJit, Engine::BpfInterp];

#[test]
fn state_that_fits_goes_on_and_params_keep_their_values() {
    for engine in MAPS {
        let old = load(&version(STATE, PARAM, 1), engine);
        (0..5).for_each(|_| assert!(!run(&old, 7, 1)));
        old.set_param("limit", 50).unwrap();
        let (new, carried) = old.replace(&version(STATE, PARAM, 10), &options(engine)).unwrap();
        assert_eq!(
            (&carried.states[..], &carried.params[..]),
            (&["seen".to_owned()][..], &["limit".to_owned()][..])
        );
        assert!(carried.reset_states.is_empty() && carried.reset_params.is_empty(), "{carried:?}");
        assert_eq!(counted(&new, 7), Some(5), "{engine}");
        run(&new, 7, 2);
        // The memory is one: the old version, which may still run somewhere, sees it, and adds to it.
        assert_eq!(counted(&old, 7), Some(15));
        run(&old, 7, 3);
        drop(old);
        assert_eq!(counted(&new, 7), Some(16));
        assert_eq!(new.param("limit"), Ok(50));
        (0..3).for_each(|_| assert!(!run(&new, 7, 4)));
        assert!(run(&new, 7, 4), "56 is beyond 50");
        let stats = new.stats(new.filter("count").unwrap());
        assert_eq!((stats.runs, stats.classes), (11, vec![10, 1]), "counters go on");
    }
}

#[test]
fn what_does_not_fit_starts_anew_and_is_reported() {
    let cases = [
        ("state m0 seen: hash evict_oldest, capacity 64, key(port: u32), fields(n: u64)", "its kind was"),
        (
            "state m0 seen: hash refuse, capacity 64, key(port: u16), fields(n: u64)",
            "its key has other parts",
        ),
        (
            "state m0 seen: hash refuse, capacity 64, key(port: u32), fields(n: u32)",
            "its value has other parts",
        ),
        (
            "state m0 seen: hash refuse, capacity 64, key(port: u32), fields(m: u64)",
            "its value has other parts",
        ),
    ];
    for engine in MAPS {
        let old = load(&version(STATE, PARAM, 1), engine);
        run(&old, 7, 1);
        for (state, why) in cases {
            let (new, carried) = old.replace(&version(state, PARAM, 1), &options(engine)).unwrap();
            let [lost] = &carried.reset_states[..] else { panic!("{carried:?}") };
            assert!(lost.name == "seen" && lost.why.contains(why), "{lost}");
            assert!(carried.states.is_empty());
            assert_eq!(counted(&new, 7), None);
        }
        let other = "state m0 others: hash refuse, capacity 64, key(port: u32), fields(n: u64)";
        let (_, carried) = old.replace(&version(other, PARAM, 1), &options(engine)).unwrap();
        assert_eq!(carried.new_states, ["others"]);
        assert_eq!(carried.gone_states, ["seen"]);
        assert_eq!(counted(&old, 7), Some(1), "the old version is as it was");
    }
}

/// A larger state has all entries of the smaller one; a smaller one those that were written last.
#[test]
fn entries_are_copied_to_a_state_of_another_capacity() {
    for engine in MAPS {
        let old = load(&version(STATE, PARAM, 1), engine);
        for port in 1..=40 {
            run(&old, port, u64::from(port));
        }
        for (capacity, kept) in [(128, 40), (41, 40), (8, 8)] {
            let state =
                format!("state m0 seen: hash refuse, capacity {capacity}, key(port: u32), fields(n: u64)");
            let (new, carried) = old.replace(&version(&state, PARAM, 1), &options(engine)).unwrap();
            let why = format!("its capacity was 64 and is {capacity}; {kept} of 40 entries were copied");
            assert_eq!(carried.copied_states, [Lost { name: "seen".to_owned(), why }], "{engine}");
            assert!(carried.states.is_empty() && carried.reset_states.is_empty());
            let there = (1..=40).filter(|port| counted(&new, *port) == Some(1));
            assert_eq!(
                there.collect::<Vec<_>>(),
                (41 - kept..=40).collect::<Vec<_>>(),
                "the youngest, {engine}"
            );
            run(&new, 40, 50);
            assert_eq!(
                (counted(&new, 40), counted(&old, 40)),
                (Some(2), Some(1)),
                "it goes on, the old one as it was"
            );
        }
    }
}

#[test]
fn a_param_that_does_not_fit_any_more_is_reported_and_one_that_was_never_set_is_not() {
    let old = load(&version(STATE, PARAM, 1), Engine::Native);
    let narrow = version(STATE, "param p0 limit: 10 to 20, default 15", 1);
    let (new, carried) = old.replace(&narrow, &options(Engine::Native)).unwrap();
    assert!(carried.params.is_empty() && carried.reset_params.is_empty(), "it was at its default");
    assert_eq!(new.param("limit"), Ok(15));
    old.set_param("limit", 500).unwrap();
    let (new, carried) = old.replace(&narrow, &options(Engine::Native)).unwrap();
    assert_eq!(carried.reset_params[0].to_string(), "limit: it was set to 500, which is not in 10..=20");
    assert_eq!(new.param("limit"), Ok(15));
    let (_, carried) = old
        .replace(&version(STATE, "param p0 most: 0 to 9, default 5", 1), &options(Engine::Native))
        .unwrap();
    assert_eq!(carried.reset_params[0].to_string(), "limit: it was set to 500, and is no param any more");
    // Set after the new version was made, before it takes over.
    old.set_param("limit", 18).unwrap();
    assert_eq!(new.take_params(&old), (vec!["limit".to_owned()], Vec::new()));
    assert_eq!(new.param("limit"), Ok(18));
}

#[test]
fn nothing_changes_if_the_new_version_is_refused() {
    let old = load(&version(STATE, PARAM, 1), Engine::Native);
    run(&old, 7, 1);
    old.set_param("limit", 60).unwrap();
    let good = version(STATE, PARAM, 1);
    let garbage = old.replace(&good[..good.len() / 2], &options(Engine::Native)).unwrap_err();
    assert!(matches!(garbage, LoadError::Object(_)), "{garbage}");
    // The last step that can fail: there is too much state.
    let tight = LoadOptions { max_state_bytes: 100, ..options(Engine::Native) };
    assert!(matches!(old.replace(&good, &tight).unwrap_err(), LoadError::TooMuchState { .. }));
    assert_eq!((counted(&old, 7), old.param("limit")), (Some(1), Ok(60)));
    assert!(!run(&old, 7, 2));
    assert_eq!(counted(&old, 7), Some(2));
}

#[test]
fn engines_that_lock_differently_do_not_share_state() {
    let old = load(&version(STATE, PARAM, 1), Engine::Native);
    run(&old, 7, 1);
    let (new, carried) = old.replace(&version(STATE, PARAM, 1), &options(Engine::BpfJit)).unwrap();
    assert_eq!(carried.reset_states[0].to_string(), "seen: the engine was native and is bpf-jit");
    assert_eq!(counted(&new, 7), None);
    let (_, carried) = old.replace(&version(STATE, PARAM, 1), &options(Engine::IrInterp)).unwrap();
    assert!(carried.reset_states[0].why.contains("keeps state of its own"));
}

/// Tells of every packet.
fn telling(event: &str) -> Vec<u8> {
    let source = format!(
        "
oko.ir 1
event e0 {event}
filter tell -> bool {{
block0:
    v0 = pkt.in_port
    emit e0(v0)
    v1 = false
    return v1
}}
"
    );
    artifact(&verify(text::read(&source).unwrap()).unwrap())
}

#[test]
fn each_event_that_finds_no_room_is_told_once() {
    for engine in Engine::ALL {
        let options = LoadOptions { event_bytes: 64, ..options(engine) };
        let emit = |instance: &Instance, count: usize| {
            let filter = instance.filter("tell").unwrap();
            for _ in 0..count {
                instance.run(filter, Packet::new(&[], 1), 1);
            }
        };
        let old = Instance::load(&telling("seen(port: u32)"), &options).unwrap();
        // An event takes 32 bytes; the interpreter of the IR counts them.
        let room = if engine == Engine::IrInterp { oko_ir::interp::EVENT_ROOM } else { 2 };
        emit(&old, room);
        assert_eq!(old.take_dropped(), 0, "{engine}");
        emit(&old, 3);
        assert_eq!((old.take_dropped(), old.take_dropped()), (3, 0), "{engine}");
        emit(&old, 1);
        assert_eq!((old.take_dropped(), old.events_dropped()), (1, 4), "{engine}");

        emit(&old, 2);
        let (same, _) = old.replace(&telling("seen(port: u32)"), &options).unwrap();
        let (other, _) = old.replace(&telling("other(port: u32)"), &options).unwrap();
        emit(&other, room + 3);
        assert_eq!((other.take_dropped(), other.events_dropped()), (3, 3), "it has room of its own");
        if engine != Engine::IrInterp {
            emit(&same, 5);
            assert_eq!((same.take_dropped(), same.take_dropped()), (7, 0), "of both versions, {engine}");
            assert_eq!((old.take_dropped(), same.events_dropped()), (0, 11), "{engine}");
            assert_eq!(same.take_events(9).len(), 2);
        }
    }
}

/// Workers run whatever version is published, as the switch's do, while versions replace each other.
#[test]
fn replacing_under_traffic_loses_no_packet_and_no_update() {
    const VERSIONS: u32 = 12;
    for engine in [Engine::Native, Engine::BpfJit] {
        let published = RwLock::new(Arc::new(load(&version(STATE, PARAM, 1), engine)));
        let (done, packets) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut first = Arc::downgrade(&published.read().unwrap());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let burst: Vec<Packet<'_>> = (0..32).map(|port| Packet::new(&[], port)).collect();
                    let mut verdicts = [Verdict::default(); 32];
                    while !done.load(Ordering::Relaxed) {
                        let instance = Arc::clone(&published.read().unwrap());
                        instance.run_burst(instance.filter("count").unwrap(), &burst, 5, &mut verdicts);
                        packets.fetch_add(32, Ordering::Relaxed);
                    }
                });
            }
            for n in 0..VERSIONS {
                let before = packets.load(Ordering::Relaxed);
                while packets.load(Ordering::Relaxed) < before + 320 {
                    thread::yield_now();
                }
                let old = Arc::clone(&published.read().unwrap());
                // Another filter each time, that counts alike.
                let param = format!("param p0 limit: 10 to 1000, default {}", 100 + n);
                let (new, carried) = old.replace(&version(STATE, &param, 1), &options(engine)).unwrap();
                assert_eq!(carried.states, ["seen"]);
                *published.write().unwrap() = Arc::new(new);
            }
            done.store(true, Ordering::Relaxed);
        });
        let last = published.into_inner().unwrap();
        let all: u64 = (0..32).map(|port| counted(&last, port).unwrap()).sum();
        assert_eq!(all, packets.load(Ordering::Relaxed), "{engine}");
        assert_eq!(last.stats(last.filter("count").unwrap()).runs, all);
        assert!(std::mem::take(&mut first).upgrade().is_none(), "the old versions are gone");
    }
}
