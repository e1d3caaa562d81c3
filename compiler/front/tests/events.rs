//! Events: what they tell, and that their limits hold.

mod support;

use support::packets::{B, SYN, segment};
use support::{Fast, SECOND};

fn from(last: u8) -> Vec<u8> {
    segment([10, 0, 0, last], 4000, B, 80, SYN)
}

fn source(last: u8) -> u64 {
    u64::from(u32::from_be_bytes([10, 0, 0, last]))
}

/// The values of the events that wait.
fn told(filter: &mut Fast) -> Vec<Vec<u64>> {
    filter.store.take_events().into_iter().map(|event| event.values).collect()
}

#[test]
fn an_event_tells_its_fields_in_the_declared_order() {
    let text = "use std.net.{ipv4, tcp};
        enum Kind { Odd, Even }
        event seen { source: ip4, kind: Kind, port: u16?, both: (bool, u8) } limit 1_000 each 1s;
        filter f -> bool { match pkt { ipv4 / tcp => {
            let kind = Even;
            emit seen { kind, both: (true, 7), port: tcp.dst_port, source: ipv4.src };
            true
        }, _ => false } }";
    let mut filter = Fast::new(text, 1);
    filter.run(&from(1), SECOND);
    let events = filter.store.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].event.0, events[0].time), (0, SECOND));
    assert_eq!(events[0].values, [source(1), 1, 1, 80, 1, 7]);
}

#[test]
fn a_limit_holds_for_each_value_of_its_field() {
    let text = "use std.net.ipv4;
        event seen { source: ip4, length: u32 } limit 2 each 10s per source;
        filter f -> bool { match pkt { ipv4 => { emit seen { source: ipv4.src, length: pkt.len }; true }, _ => false } }";
    let mut filter = Fast::new(text, 1);
    let at = |filter: &mut Fast, last, seconds| {
        filter.run(&from(last), seconds * SECOND);
        told(filter).len()
    };
    assert_eq!([1, 2, 3, 4].map(|seconds| at(&mut filter, 1, seconds)), [1, 1, 0, 0]);
    assert_eq!(at(&mut filter, 2, 4), 1, "another source");
    assert_eq!(at(&mut filter, 1, 10), 0, "ten seconds after the first are not over");
    assert_eq!([11, 12, 13].map(|seconds| at(&mut filter, 1, seconds)), [1, 1, 0]);
}

#[test]
fn a_limit_without_a_field_holds_for_all() {
    let text = "use std.net.ipv4;
        param most: u32 in 1..=10 = 3;
        event seen { source: ip4 } limit most each 1min;
        filter f -> bool { match pkt { ipv4 => { emit seen { source: ipv4.src }; true }, _ => false } }";
    let mut filter = Fast::new(text, 1);
    for last in 1..10 {
        filter.run(&from(last), u64::from(last) * SECOND);
    }
    assert_eq!(told(&mut filter), [vec![source(1)], vec![source(2)], vec![source(3)]]);
    filter.run(&from(1), 61 * SECOND);
    assert_eq!(told(&mut filter).len(), 1);
}

#[test]
fn the_schema_says_how_events_and_hidden_states_look() {
    let text = "event seen { who: (ip4, u16), up: bool } limit 2 each 10s per who;
        filter f -> bool { emit seen { who: (10.0.0.1, 80), up: true }; true }";
    let output = support::compile("test.oko", text).output.expect("it compiles");
    let event = &output.schema.events[0];
    let names: Vec<&str> = event.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["who.0", "who.1", "up"]);
    assert_eq!((event.limit, event.each, event.per.as_deref()), (Some(2), Some(10 * SECOND), Some("who")));
    let limiter = &output.schema.states[0];
    assert!(limiter.hidden && limiter.name == "seen.limit" && output.module.states.len() == 1);
    assert_eq!(limiter.bytes, output.module.states[0].bytes());
}
