//! Packets from port to port, as flow entries say.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::time::{Duration, Instant};

use oko_openflow::flow::FlowModFlags;
use oko_openflow::message::Message;
use oko_openflow::{
    Action, ErrorMsg, Field, FlowRemovedReason, Match, MatchField, PacketInReason, PacketOut, PortNo,
};
use testbed::{TestSwitch, flow, output, pcap_device, udp, write_pcap};

fn udp_match() -> Match {
    Match::any().with(Field::EthType, 0x0800).with(Field::IpProto, 17)
}

#[test]
fn entries_decide_what_goes_where_and_what_is_dropped() {
    let frames: Vec<_> = (0..1000).map(|i| udp(1000 + i, [53, 80, 443][usize::from(i) % 3])).collect();
    let mut switch = TestSwitch::start(&[&frames, &[], &[]]);
    let mut controller = switch.connect();
    controller.add_flow(20, udp_match().with(Field::UdpDst, 53), output(2));
    controller.add_flow(20, udp_match().with(Field::UdpDst, 80), vec![]);
    let odd = MatchField::masked(Field::UdpSrc, 1, 1).unwrap();
    let mut odd_match = udp_match();
    odd_match.set(odd);
    controller.add_flow(10, odd_match, [output(2), output(3)].concat());
    controller.up(2);
    controller.up(3);
    controller.up(1);
    controller.wait_for(1, 1000);

    let port_of = |frame: &Vec<u8>, at| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let is_odd = |frame: &&Vec<u8>| port_of(frame, 36) == 443 && port_of(frame, 34) % 2 == 1;
    let to_3: Vec<_> = frames.iter().filter(is_odd).cloned().collect();
    let to_2: Vec<_> = frames.iter().filter(|f| port_of(f, 36) == 53 || is_odd(f)).cloned().collect();
    let counts: Vec<_> = controller.flows().iter().map(|flow| (flow.packets, flow.bytes)).collect();
    assert_eq!(counts.iter().map(|(packets, _)| packets).sum::<u64>(), 667 + to_3.len() as u64);
    assert!(counts.iter().all(|(packets, bytes)| *bytes == packets * 60), "{counts:?}");
    assert_eq!(controller.port_stats(2).tx_packets, to_2.len() as u64);
    assert_eq!(controller.port_stats(3).tx_packets, to_3.len() as u64);
    assert_eq!(controller.port_stats(1).rx_packets, 1000);
    switch.stop();
    assert!(switch.sent(1).is_empty());
    assert!(switch.sent(2) == to_2);
    assert!(switch.sent(3) == to_3);
}

#[test]
fn long_and_truncated_packets_arrive_as_they_are() {
    // Down to one byte, and up to what takes several buffers.
    let mut frames: Vec<Vec<u8>> = (1..60).map(|len| udp(1, 2)[..len].to_vec()).collect();
    frames.push([udp(1, 2), vec![7; 8000]].concat());
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    controller.add_flow(1, Match::any(), output(2));
    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 60);
    assert_eq!(controller.flows()[0].bytes, frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
    switch.stop();
    testbed::assert_same(&switch.sent(2), &frames);
}

#[test]
fn a_port_that_is_down_sends_nothing_and_counts_it() {
    let frames = [udp(1, 2), udp(3, 4)];
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    controller.add_flow(1, Match::any(), output(2));
    controller.up(1);
    controller.wait_for(1, 2);
    let stats = controller.port_stats(2);
    assert_eq!((stats.tx_packets, stats.tx_dropped), (0, 2));
    switch.stop();
    assert!(switch.sent(2).is_empty());
}

#[test]
fn flood_reaches_all_ports_but_the_first() {
    let frames = [udp(1, 2)];
    let mut switch = TestSwitch::start(&[&frames, &[], &[]]);
    let mut controller = switch.connect();
    controller.add_flow(1, Match::any(), vec![Action::output(PortNo::FLOOD)]);
    for port in [2, 3, 1] {
        controller.up(port);
    }
    controller.wait_for(1, 1);
    switch.stop();
    assert!(switch.sent(1).is_empty());
    assert!(switch.sent(2) == frames && switch.sent(3) == frames);
}

#[test]
fn a_controller_gets_the_start_of_a_packet_and_sends_one() {
    let frames = [udp(1, 2)];
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    controller.add_flow(0, Match::any(), vec![Action::Output { port: PortNo::CONTROLLER, max_len: 20 }]);
    controller.up(2);
    controller.up(1);
    let Message::PacketIn(packet_in) = controller.event() else { panic!("a packet was to come") };
    assert_eq!(packet_in.reason, PacketInReason::NoMatch);
    assert_eq!((packet_in.total_len, packet_in.data.as_slice()), (60, &frames[0][..20]));
    assert_eq!(packet_in.matching.get(Field::InPort).map(MatchField::value), Some(1));

    let packet_out = |actions| {
        let data = udp(5, 6);
        Message::PacketOut(PacketOut { buffer: None, in_port: PortNo::CONTROLLER, actions, data })
    };
    assert!(controller.tell(&packet_out(output(2))).is_empty());
    assert_eq!(controller.tell(&packet_out(output(77))).len(), 1, "there is no port 77");
    switch.stop();
    assert!(switch.sent(2) == [udp(5, 6)]);
}

#[test]
fn a_packet_out_can_go_through_the_tables() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    controller.up(2);
    controller.add_flow(1, Match::any().with(Field::InPort, 1), output(2));
    let message = Message::PacketOut(PacketOut {
        buffer: None,
        in_port: PortNo(1),
        actions: vec![Action::output(PortNo::TABLE)],
        data: udp(5, 6),
    });
    assert!(controller.tell(&message).is_empty());
    switch.stop();
    assert!(switch.sent(2) == [udp(5, 6)]);
}

#[test]
fn entries_expire_and_are_reported_to_those_who_asked() {
    const SECOND: u64 = 1_000_000_000;
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let mut idle = flow(1, Match::any().with(Field::InPort, 1), vec![]);
    (idle.idle_timeout, idle.flags, idle.cookie) = (5, FlowModFlags::SEND_FLOW_REM, 11);
    let mut hard = flow(2, Match::any().with(Field::InPort, 1), vec![]);
    (hard.hard_timeout, hard.flags, hard.cookie) = (8, FlowModFlags::SEND_FLOW_REM, 22);
    let mut silent = flow(3, Match::any().with(Field::InPort, 1), vec![]);
    silent.hard_timeout = 5;
    for flow in [idle, hard, silent] {
        assert!(controller.tell(&Message::FlowMod(flow)).is_empty());
    }
    switch.clock.advance(4 * SECOND);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(controller.flows().len(), 3, "nothing is due yet");
    let mut removed = || match controller.event() {
        Message::FlowRemoved(removed) => (removed.cookie, removed.reason, removed.duration.as_secs()),
        other => panic!("unexpected {other:?}"),
    };
    switch.clock.advance(SECOND);
    assert_eq!(removed(), (11, FlowRemovedReason::IdleTimeout, 5));
    switch.clock.advance(3 * SECOND);
    assert_eq!(removed(), (22, FlowRemovedReason::HardTimeout, 8));
    assert!(controller.flows().is_empty());
}

#[test]
fn a_port_that_cannot_start_is_down_and_the_others_work() {
    let frames = [udp(1, 2)];
    let more = format!(
        "[[port]]\nnumber = 3\nname = \"broken\"\ndevice = \"{},rx_pcap=no/such/file.pcap\"\n",
        pcap_device()
    );
    let mut switch = TestSwitch::start_with(&[&frames, &[]], "", &more);
    let mut controller = switch.connect();
    controller.add_flow(1, Match::any(), [output(3), output(2)].concat());
    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 1);
    assert_eq!(controller.port_stats(3).tx_dropped, 1);
    switch.stop();
    testbed::assert_same(&switch.sent(2), &frames);
}

#[test]
fn changes_apply_to_packets_after_the_barrier() {
    // Each round: a change, a barrier, a packet; the packet must see the change.
    let mut switch = TestSwitch::start(&[&[], &[], &[]]);
    let mut controller = switch.connect();
    controller.up(2);
    controller.up(3);
    for round in 0..50 {
        controller.add_flow(1, Match::any(), output(2 + round % 2));
        let message = Message::PacketOut(PacketOut {
            buffer: None,
            in_port: PortNo(1),
            actions: vec![Action::output(PortNo::TABLE)],
            data: udp(round as u16, 1),
        });
        let errors: Vec<ErrorMsg> = controller.tell(&message);
        assert!(errors.is_empty(), "{errors:?}");
        // The packet must be judged before the next change: it is when port statistics show it.
        while controller.port_stats(2 + round % 2).tx_packets < u64::from(round / 2 + 1) {
            std::thread::yield_now();
        }
    }
    switch.stop();
    assert_eq!((switch.sent(2).len(), switch.sent(3).len()), (25, 25));
}

/// What a worker remembers of the tables that it began with says nothing of the first entries that come.
#[test]
fn the_first_entry_is_for_packets_that_were_dropped_before_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let input = dir.path().join("again.pcap");
    write_pcap(&input, &[udp(1, 2)]);
    // Up from the start: nothing but the entry changes what workers work from.
    let ports = format!(
        "[[port]]\nnumber = 1\nname = \"again\"\ndevice = \"{},rx_pcap={},infinite_rx=1\"\n\
         [[port]]\nnumber = 2\nname = \"nowhere\"\ndevice = \"net_null9,no-rx=1\"\n",
        pcap_device(),
        input.display()
    );
    let mut switch = TestSwitch::start_with(&[], "", &ports);
    let mut controller = switch.connect();
    let begin = Instant::now();
    while controller.port_stats(1).rx_packets < 1_000 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", controller.port_stats(1));
    }
    controller.add_flow(1, Match::any(), output(2));
    while controller.port_stats(2).tx_packets == 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "still dropped: {:?}", controller.port_stats(1));
    }
    switch.stop();
}
