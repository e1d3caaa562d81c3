//! Filters that go by the time at which packets were recorded.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::time::{Duration, Instant};

use oko_openflow::oko::{Reply, Request, StateEntry, Store};
use testbed::filters::{compile, load, matching, operate_once};
use testbed::{TestSwitch, output, udp};

const COUNTING: &str = r"
use std.net.{ipv4, udp};

state seen: map[u16, counter] { capacity: 64, when_full: evict_oldest, expire: 60s };

filter counting -> bool {
    match pkt {
        ipv4 / udp => seen[udp.dst_port].add(1) > 5,
        _ => false,
    }
}
";

/// The system's clock stands still; what is over by the time of the packets goes nevertheless.
#[test]
fn what_expires_goes_by_the_time_of_recording() {
    // One in a millisecond.
    let frames: Vec<_> = (0..3_000).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start_with(&[&frames], "", "[worker]\nclock = \"capture\"\n");
    let mut controller = switch.connect();
    load(&mut controller, "", compile(COUNTING)).unwrap();
    let (filter, name) = (String::from("counting"), String::from("seen"));
    let entry = StateEntry { age: 0, expires_in: Some(10_000_000), key: vec![7], value: vec![1] };
    let write = Request::Write { store: Store::State, filter: filter.clone(), name, entries: vec![entry] };
    let written = operate_once(&mut controller, &write).unwrap();
    assert!(matches!(written, Reply::Written { written: 1, .. }), "{written:?}");

    controller.up(1);
    controller.wait_for(1, 3_000);
    let list = Request::StateList { filter };
    let begin = Instant::now();
    loop {
        match operate_once(&mut controller, &list).unwrap() {
            Reply::States(states) if states[0].entries == 0 => break,
            Reply::States(_) => assert!(begin.elapsed() < Duration::from_secs(10), "it is still there"),
            other => panic!("{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    switch.stop();
}

const TELLING: &str = r"
use std.net.{ipv4, udp};

state seen: map[u16, counter] { capacity: 64, when_full: evict_oldest, expire: never };

filter telling -> bool {
    match pkt {
        ipv4 / udp => {
            seen[udp.dst_port].add(1);
            udp.dst_port == 99
        }
        _ => false,
    }
}
";

/// Packets of a burst are sent by ports, not in their order: what time it is goes by the last that came.
#[test]
fn the_time_of_recording_does_not_go_back() {
    // The last burst has one for the other port, in the second place.
    let frames: Vec<_> = (0..96).map(|i| udp(i, if [1, 65].contains(&i) { 99 } else { 53 })).collect();
    let mut switch = TestSwitch::start_with(&[&frames, &[]], "", "[worker]\nclock = \"capture\"\n");
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(TELLING)).unwrap()[0].id;
    controller.add_flow(20, matching(filter, 1), output(2));
    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 96);
    let (filter, name) = (String::from("telling"), String::from("seen"));
    let read = Request::Read { store: Store::State, filter, name };
    let age = match operate_once(&mut controller, &read).unwrap() {
        Reply::Entries { entries, .. } => entries.iter().find(|e| e.key == [99]).map(|entry| entry.age),
        other => panic!("{other:?}"),
    };
    assert_eq!(age, Some(30_000_000), "one in a millisecond");
    switch.stop();
}
