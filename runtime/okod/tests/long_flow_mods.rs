//! Flow-mods about thousands of entries: others are served while they are done, and they end as if they had been done at once.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use oko_openflow::flow::{FlowRemoved, FlowRemovedReason};
use oko_openflow::group::{GroupMod, GroupModCommand, GroupType};
use oko_openflow::message::Message;
use oko_openflow::monitor::{FlowUpdate, MonitorCommand, MonitorFlags, MonitorRequest};
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::{
    Action, ErrorCode, ErrorMsg, Field, FlowMod, FlowModCommand, FlowModFlags, FlowStatsRequest, GroupId,
    Instructions, Match, PortNo, TableId,
};
use testbed::{Controller, TestSwitch, flow, output};

const COUNT: u32 = 20_000;
/// More than are changed at once, and few enough to be told of all.
const SOME: u32 = 5_000;

fn address(number: u32) -> Match {
    Match::any().with(Field::EthType, 0x800).with(Field::Ipv4Dst, number.into())
}

fn fill(controller: &mut Controller, count: u32, flags: FlowModFlags) {
    for number in 0..count {
        let flow_mod = FlowMod { flags, ..flow(1, address(number), output(2)) };
        controller.send(&Message::FlowMod(flow_mod));
    }
    assert!(controller.tell(&Message::EchoReply(Vec::new())).is_empty());
}

fn to_port(port: u32) -> Instructions {
    Instructions::apply(output(port))
}

fn of_all(command: FlowModCommand) -> FlowMod {
    FlowMod { command, ..flow(0, Match::any(), output(1)) }
}

/// How many entries there are, of those that output to a port.
fn count(controller: &mut Controller, port: u32) -> u32 {
    count_of(controller, FlowStatsRequest { out_port: PortNo(port), ..FlowStatsRequest::default() })
}

/// All messages up to the answer to a barrier.
fn until_barrier(controller: &mut Controller) -> Vec<Message> {
    let messages = std::iter::from_fn(|| Some(controller.try_receive().expect("the connection lasts").1));
    messages.take_while(|message| *message != Message::BarrierReply).collect()
}

fn count_of(controller: &mut Controller, request: FlowStatsRequest) -> u32 {
    match controller.ask(&Message::request(MultipartRequest::Aggregate(request))) {
        Message::MultipartReply { reply: MultipartReply::Aggregate(sum), .. } => sum.flows,
        other => panic!("unexpected {other:?}"),
    }
}

fn codes(errors: &[ErrorMsg]) -> Vec<ErrorCode> {
    let code = |error: &ErrorMsg| match error {
        ErrorMsg::Standard { ty, code, .. } => ErrorCode::from_wire(*ty, *code).unwrap(),
        other => panic!("unexpected {other:?}"),
    };
    errors.iter().map(code).collect()
}

#[test]
fn others_are_served_while_thousands_of_entries_change() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut one, mut other) = (switch.connect(), switch.connect());
    fill(&mut one, COUNT, FlowModFlags::default());
    // Whether somebody else saw some of the entries changed and others not.
    let mut between = false;
    let mut port = 2;
    for _ in 0..10 {
        let (from, to) = (port, 3 - port);
        one.send(&Message::FlowMod(FlowMod { instructions: to_port(to), ..of_all(FlowModCommand::Modify) }));
        let mut old = COUNT;
        while old > 0 {
            let now = count(&mut other, from);
            assert!(now <= old, "{now} of {old} are old");
            between |= now > 0 && now < COUNT;
            old = now;
        }
        assert!(one.tell(&Message::EchoReply(Vec::new())).is_empty());
        assert_eq!(count(&mut one, to), COUNT);
        port = to;
        if between {
            break;
        }
    }
    assert!(between, "ten modifications were done without a turn for others");
    // What comes behind a deletion on the same connection finds it done, and what it adds stays.
    one.send(&Message::FlowMod(FlowMod { table: TableId::ALL, ..of_all(FlowModCommand::Delete) }));
    one.send(&Message::FlowMod(flow(5, address(7), output(1))));
    assert_eq!(count(&mut one, 1), 1);
    switch.stop();
}

#[test]
fn every_entry_that_goes_is_reported() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    let mut watcher = switch.connect();
    fill(&mut controller, SOME, FlowModFlags::SEND_FLOW_REM);
    let xid = controller.send(&Message::FlowMod(of_all(FlowModCommand::Delete)));
    let barrier = controller.send(&Message::BarrierRequest);
    assert!(xid < barrier);
    let reported = until_barrier(&mut controller);
    let is_it = |message: &Message| {
        matches!(message, Message::FlowRemoved(FlowRemoved { reason: FlowRemovedReason::Delete, .. }))
    };
    assert!(reported.iter().all(is_it));
    assert_eq!(reported.len(), SOME as usize);
    assert_eq!(count(&mut watcher, 2), 0);
    switch.stop();
}

#[test]
fn who_watches_is_told_of_every_entry() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    fill(&mut controller, SOME, FlowModFlags::default());
    let monitor = MonitorRequest {
        id: 1,
        command: MonitorCommand::Add,
        flags: MonitorFlags::REMOVED,
        out_port: PortNo::ANY,
        out_group: GroupId::ANY,
        table: TableId::ALL,
        matching: Match::any(),
    };
    controller.ask(&Message::request(MultipartRequest::FlowMonitor(vec![monitor])));
    controller.send(&Message::FlowMod(of_all(FlowModCommand::Delete)));
    controller.send(&Message::BarrierRequest);
    let mut told = 0;
    for message in until_barrier(&mut controller) {
        let Message::MultipartReply { reply: MultipartReply::FlowUpdates(updates), .. } = message else {
            panic!("unexpected {message:?}")
        };
        // One word for all of it would also stand for what others change in between.
        assert!(updates.iter().all(|update| matches!(update, FlowUpdate::Full { .. })));
        told += updates.len();
    }
    assert_eq!(told, SOME as usize);
    switch.stop();
}

#[test]
fn nothing_uses_a_group_that_went_meanwhile() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut one, mut other) = (switch.connect(), switch.connect());
    fill(&mut one, COUNT, FlowModFlags::default());
    let group = |command| GroupMod { command, ty: GroupType::All, group: GroupId(5), buckets: Vec::new() };
    assert!(other.tell(&Message::GroupMod(group(GroupModCommand::Add))).is_empty());
    let instructions = Instructions::apply(vec![Action::Group(GroupId(5))]);
    let modify = FlowMod { instructions, ..of_all(FlowModCommand::Modify) };
    one.send(&Message::FlowMod(modify));
    assert!(other.tell(&Message::GroupMod(group(GroupModCommand::Delete))).is_empty());
    // It was done before the group went, or it ends there.
    let errors = codes(&one.tell(&Message::EchoReply(Vec::new())));
    assert!(errors.is_empty() || errors == [ErrorCode::ActionBadOutGroup], "{errors:?}");
    let request = FlowStatsRequest { out_group: GroupId(5), ..FlowStatsRequest::default() };
    assert_eq!(count_of(&mut one, request), 0);
    switch.stop();
}

#[test]
fn what_is_wrong_is_refused_before_anything_changes() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    fill(&mut controller, COUNT, FlowModFlags::default());
    let modify = of_all(FlowModCommand::Modify);
    let bad_table = FlowMod { table: TableId::ALL, ..modify.clone() };
    let errors = controller.tell(&Message::FlowMod(bad_table));
    assert_eq!(codes(&errors), [ErrorCode::FlowModBadTableId]);
    let mut bad_port = modify;
    bad_port.instructions.apply = output(77);
    let errors = controller.tell(&Message::FlowMod(bad_port));
    assert_eq!(codes(&errors), [ErrorCode::ActionBadOutPort]);
    assert_eq!(count(&mut controller, 2), COUNT);
    switch.stop();
}
