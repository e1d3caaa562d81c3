//! A peer that says nothing is asked whether it is there, and is gone if it does not answer.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::time::{Duration, Instant};

use oko_openflow::message::Message;
use testbed::TestSwitch;

#[test]
fn a_silent_peer_is_probed_and_then_cut_off() {
    let mut switch = TestSwitch::start_with(&[&[], &[]], "probe_interval = 1", "");
    let (mut lively, mut dead) = (switch.connect(), switch.connect());
    let start = Instant::now();
    assert_eq!(dead.event(), Message::EchoRequest(Vec::new()));
    assert!(start.elapsed() >= Duration::from_millis(900));
    for _ in 0..2 {
        let Message::EchoRequest(data) = lively.event() else { panic!("no echo request") };
        lively.send(&Message::EchoReply(data));
    }
    assert_eq!(dead.try_receive(), None, "it was cut off");
    assert_eq!(lively.ask(&Message::EchoRequest(vec![7])), Message::EchoReply(vec![7]));
    switch.stop();
}
