//! Several workers over the same ports, and ports that come and go under a running switch.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::path::Path;

use oko_openflow::message::Message;
use oko_openflow::oko::{OkoError, OkoErrorCode, Reply, Request};
use oko_openflow::port::{PortReason, PortStatus};
use oko_openflow::{Field, Match, PortNo};
use testbed::filters::operate_once;
use testbed::{Controller, TestSwitch, assert_same, output, pcap_device, read_pcap, udp, write_pcap};

/// The next change of ports that the switch tells of.
fn port_status(controller: &mut Controller) -> PortStatus {
    loop {
        match controller.try_receive().expect("the switch goes on").1 {
            Message::PortStatus(status) => return status,
            other => assert!(!matches!(other, Message::Error(_)), "{other:?}"),
        }
    }
}

fn operate(controller: &mut Controller, request: &Request) -> Result<(), OkoError> {
    let reply = operate_once(controller, request)?;
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    Ok(())
}

fn add(number: u32, name: &str, device: &str) -> Request {
    Request::PortAdd { number, up: true, name: name.to_owned(), device: device.to_owned() }
}

fn capture(input: &Path, output: &Path) -> String {
    format!("{},rx_pcap={},tx_pcap={}", pcap_device(), input.display(), output.display())
}

/// Two ports, whose queues two workers poll, send by the one queue of a third.
#[test]
fn workers_lose_no_packet_and_keep_the_order_of_each_port() {
    let frames = |from: u16| (0..3000).map(|i| udp(from, i)).collect::<Vec<_>>();
    let (first, second) = (frames(1), frames(2));
    let mut switch = TestSwitch::start_with(&[&first, &second, &[]], "", "[worker]\ncount = 2\n");
    let mut controller = switch.connect();
    // Some entries look at ports, so that there are as many keys as packets.
    let udp_match = || Match::any().with(Field::EthType, 0x0800).with(Field::IpProto, 17);
    controller.add_flow(20, udp_match().with(Field::UdpDst, 7), output(3));
    controller.add_flow(10, Match::any().with(Field::InPort, 1), output(3));
    controller.add_flow(10, Match::any().with(Field::InPort, 2), output(3));
    (1..=3).rev().for_each(|port| controller.up(port));
    controller.wait_for(1, 3000);
    controller.wait_for(2, 3000);
    let mut counts: Vec<_> = controller.flows().iter().map(|flow| flow.packets).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2999, 2999]);
    assert_eq!(controller.port_stats(3).tx_packets, 6000);
    switch.stop();
    let sent = switch.sent(3);
    let (of_first, of_second): (Vec<_>, Vec<_>) = sent.into_iter().partition(|frame| frame[35] == 1);
    assert_same(&of_first, &first);
    assert_same(&of_second, &second);
}

#[test]
fn ports_come_and_go_while_packets_flow() {
    for workers in ["", "[worker]\ncount = 2\n"] {
        let frames: Vec<_> = (0..500).map(|i| udp(9, i)).collect();
        let mut switch = TestSwitch::start_with(&[&frames], "", workers);
        let dir = switch.dir.path().to_owned();
        let (nothing, sent) = (dir.join("nothing.pcap"), dir.join("sent.pcap"));
        write_pcap(&nothing, &[]);
        let mut controller = switch.connect();
        operate(&mut controller, &add(0, "out", &capture(&nothing, &sent))).unwrap();
        let mut watcher = switch.connect();
        controller.add_flow(1, Match::any(), output(2));
        controller.up(1);
        controller.wait_for(1, 500);
        assert_eq!(controller.port_stats(2).tx_packets, 500);
        operate(&mut controller, &Request::PortRemove { number: 2 }).unwrap();
        assert_same(&read_pcap(&sent), &frames);
        let status = loop {
            let status = port_status(&mut watcher);
            if status.reason == PortReason::Delete {
                break status;
            }
        };
        assert_eq!((status.port.number, status.port.name.as_str()), (PortNo(2), "out"));

        // The entry is still there, and drops; another port can have the number.
        assert_eq!(controller.flows().len(), 1);
        let (more, again) = (dir.join("more.pcap"), dir.join("again.pcap"));
        write_pcap(&more, &frames[..50]);
        operate(&mut controller, &add(2, "again", &capture(&nothing, &again))).unwrap();
        operate(&mut controller, &add(7, "source", &capture(&more, &dir.join("back.pcap")))).unwrap();
        let added = [port_status(&mut watcher), port_status(&mut watcher)];
        let added = added.map(|status| (status.reason, status.port.number));
        assert_eq!(added, [(PortReason::Add, PortNo(2)), (PortReason::Add, PortNo(7))]);
        controller.wait_for(7, 50);
        switch.stop();
        assert_same(&read_pcap(&again), &frames[..50]);
    }
}

#[test]
fn what_cannot_be_added_or_removed_changes_nothing() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let mut refused = |request: &Request, code, words: &str| {
        let error = operate(&mut controller, request).unwrap_err();
        assert!(error.code == code && error.text.contains(words), "{error:?}");
    };
    refused(&add(0, "", "net_null8"), OkoErrorCode::BadValue, "1 to 15 bytes");
    refused(&add(0, "p1", "net_null8"), OkoErrorCode::BadValue, "port 1 has the name `p1`");
    refused(&add(1, "new", "net_null8"), OkoErrorCode::BadValue, "port 1 is there already");
    refused(&add(u32::MAX, "new", "net_null8"), OkoErrorCode::BadValue, "is no port number");
    refused(&add(0, "new", "net_nothing0"), OkoErrorCode::PortFailed, "net_nothing0");
    refused(&add(0, "new", ""), OkoErrorCode::PortFailed, "is no device");
    refused(&Request::PortRemove { number: 9 }, OkoErrorCode::NoSuchPort, "there are: 1");
    let reply = controller.ask(&Message::FeaturesRequest);
    assert!(matches!(reply, Message::FeaturesReply(_)));
    assert_eq!(controller.port_stats(1).rx_packets, 0);
}
