//! By which ports packets leave, and as what, when there is more than one way.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use oko_openflow::group::{Bucket, GroupMod, GroupModCommand, GroupType};
use oko_openflow::message::Message;
use oko_openflow::{Action, GroupId, Match, PortNo};
use testbed::{TestSwitch, assert_same, output, udp};

/// A frame that is shorter than Ethernet has it stays so where it leaves before it gets a tag.
#[test]
fn a_short_frame_leaves_as_it_came_before_it_is_tagged() {
    let short = udp(1, 2)[..58].to_vec();
    let mut switch = TestSwitch::start(&[std::slice::from_ref(&short), &[], &[]]);
    let mut controller = switch.connect();
    controller.add_flow(1, Match::any(), [output(2), vec![Action::PushVlan(0x8100)], output(3)].concat());
    (1..=3).rev().for_each(|port| controller.up(port));
    controller.wait_for(1, 1);
    switch.stop();
    assert_same(&switch.sent(2), std::slice::from_ref(&short));
    let tagged = [&short[..12], &[0x81, 0, 0, 0], &short[12..]].concat();
    assert_same(&switch.sent(3), &[tagged]);
}

/// Liveness goes by what an administrator sets, too, at once.
#[test]
fn fast_failover_leaves_a_port_that_is_taken_down() {
    let frames: Vec<_> = (0..10).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[], &[]]);
    let mut controller = switch.connect();
    controller.up(2);
    controller.up(3);
    let bucket = |id: u32, port: u32| Bucket {
        id,
        weight: 0,
        watch_port: PortNo(port),
        watch_group: GroupId::ANY,
        actions: output(port),
    };
    let group = GroupMod {
        command: GroupModCommand::Add,
        ty: GroupType::FastFailover,
        group: GroupId(1),
        buckets: vec![bucket(0, 2), bucket(1, 3)],
    };
    assert!(controller.tell(&Message::GroupMod(group)).is_empty());
    controller.add_flow(1, Match::any(), vec![Action::Group(GroupId(1))]);
    controller.down(2);
    controller.up(1);
    controller.wait_for(1, 10);
    switch.stop();
    assert_same(&switch.sent(3), &frames);
    assert!(switch.sent(2).is_empty());
}
