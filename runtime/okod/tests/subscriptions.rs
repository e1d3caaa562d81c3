//! What subscribers to events are told, and from when on and until when.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::thread;
use std::time::{Duration, Instant};

use oko_openflow::message::Message;
use oko_openflow::oko::{Abi, Request};
use oko_openflow::{PacketOut, PortNo};
use testbed::filters::{compile, load, matching, operate_once, subscribe, told};
use testbed::{Controller, TestSwitch, output, udp};

/// Filters that tell of every datagram they see.
fn telling(filters: &[&str]) -> Vec<u8> {
    let mut text = String::from(
        "use std.net.{ipv4, udp};
event seen { port: u16 } limit 1_000_000 each 1s;
",
    );
    for filter in filters {
        text.push_str(&format!(
            "filter {filter} -> bool {{
    match pkt {{
        ipv4 / udp => {{ emit seen {{ port: udp.src_port }}; true }}
        _ => false,
    }}
}}
"
        ));
    }
    compile(&text)
}

/// Sends a datagram through the tables and waits until an entry of theirs has counted it.
fn let_through(controller: &mut Controller, src_port: u16) {
    let counted =
        |controller: &mut Controller| -> u64 { controller.flows().iter().map(|flow| flow.packets).sum() };
    let before = counted(controller);
    let message = Message::PacketOut(PacketOut {
        buffer: None,
        in_port: PortNo(1),
        actions: output(PortNo::TABLE.0),
        data: udp(src_port, 53),
    });
    assert!(controller.tell(&message).is_empty());
    let begin = Instant::now();
    while counted(controller) == before {
        assert!(begin.elapsed() < Duration::from_secs(10), "the datagram does not come");
        thread::yield_now();
    }
}

/// Reads until a datagram is told of; how many events were lost until then.
fn told_of(controller: &mut Controller, src_port: u16) -> u64 {
    let mut all_lost = 0;
    loop {
        let (events, lost) = told(controller);
        all_lost += lost;
        if events.iter().any(|event| event.values == [u64::from(src_port)]) {
            return all_lost;
        }
    }
}

#[test]
fn what_was_before_a_subscription_is_not_told() {
    let mut switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", telling(&["teller"])).unwrap()[0].id;
    controller.add_flow(20, matching(filter, 1), vec![]);
    let mut subscriber = switch.connect();
    for round in 0..50 {
        let_through(&mut controller, round);
        subscribe(&mut subscriber, "teller").unwrap();
        let unsubscribe = Request::EventUnsubscribe { filter: String::from("teller") };
        operate_once(&mut subscriber, &unsubscribe).unwrap();
        subscriber.send(&Message::EchoRequest(vec![1]));
        assert_eq!(subscriber.event(), Message::EchoReply(vec![1]), "round {round}");
    }
    switch.stop();
}

#[test]
fn a_subscription_ends_with_a_filter_that_the_new_version_has_not() {
    let mut switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    load(&mut controller, "", telling(&["first", "second"])).unwrap();
    let (mut subscriber, mut other) = (switch.connect(), switch.connect());
    subscribe(&mut subscriber, "first").unwrap();
    subscribe(&mut other, "").unwrap();
    let (name, artifact) = (String::from("second"), telling(&["second", "third"]));
    operate_once(&mut controller, &Request::Replace { name, abi: Abi::Linux, artifact }).unwrap();

    // Another filter of the name has nothing to do with it.
    let again = load(&mut controller, "", telling(&["first"])).unwrap()[0].id;
    controller.add_flow(20, matching(again, 1), vec![]);
    let_through(&mut controller, 7);
    assert_eq!(told_of(&mut other, 7), 0);
    subscriber.send(&Message::EchoRequest(vec![1]));
    assert_eq!(subscriber.event(), Message::EchoReply(vec![1]));
    switch.stop();
}

#[test]
fn lost_events_are_told_once_also_if_the_first_filter_of_the_artifact_goes() {
    let frames: Vec<_> = (0..60_000).map(|i| udp((i % 50_000) as u16, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames]);
    let mut controller = switch.connect();
    let filters = load(&mut controller, "", telling(&["first", "second"])).unwrap();
    controller.add_flow(20, matching(filters[1].id, 1), vec![]);
    let mut subscriber = switch.connect();
    subscribe(&mut subscriber, "second").unwrap();
    controller.up(1);
    controller.wait_for(1, 60_000);
    let (mut seen, mut all_lost) = (0, 0);
    while seen + all_lost < 60_000 {
        let (events, lost) = told(&mut subscriber);
        (seen, all_lost) = (seen + events.len() as u64, all_lost + lost);
    }
    assert!(all_lost > 0, "the ring holds less than that many at once");

    operate_once(&mut controller, &Request::Unload { name: String::from("first") }).unwrap();
    // Between the two there was time to tell of losses.
    for src_port in [60_001, 60_002] {
        let_through(&mut controller, src_port);
        assert_eq!(told_of(&mut subscriber, src_port), 0);
    }
    switch.stop();
}

/// A ring holds more than is taken out of it at once.
#[test]
fn however_much_was_before_a_subscription_is_not_told() {
    let frames: Vec<_> = (0..7_000).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", telling(&["teller"])).unwrap()[0].id;
    controller.add_flow(20, matching(filter, 1), vec![]);
    let mut subscriber = switch.connect();
    controller.up(1);
    controller.wait_for(1, 7_000);
    subscribe(&mut subscriber, "teller").unwrap();
    thread::sleep(Duration::from_millis(100));
    subscriber.send(&Message::EchoRequest(vec![1]));
    assert_eq!(subscriber.event(), Message::EchoReply(vec![1]));
    switch.stop();
}
