//! Flow-mods about thousands of entries: others are served while they are done, and they end as if they had been done at once.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use oko_openflow::flow::{FlowRemoved, FlowRemovedReason};
use oko_openflow::message::Message;
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::{
    ErrorCode, ErrorMsg, Field, FlowMod, FlowModCommand, FlowModFlags, FlowStatsRequest, Match, TableId,
};
use testbed::{Controller, TestSwitch, flow, output};

const COUNT: u32 = 20_000;

fn address(number: u32) -> Match {
    Match::any().with(Field::EthType, 0x800).with(Field::Ipv4Dst, number.into())
}

fn fill(controller: &mut Controller, flags: FlowModFlags) {
    for number in 0..COUNT {
        let flow_mod = FlowMod { flags, ..flow(1, address(number), output(2)) };
        controller.send(&Message::FlowMod(flow_mod));
    }
    assert!(controller.tell(&Message::EchoReply(Vec::new())).is_empty());
}

fn of_all(command: FlowModCommand) -> FlowMod {
    FlowMod { command, ..flow(0, Match::any(), output(1)) }
}

/// How many entries there are, of those that output to a port.
fn count(controller: &mut Controller, port: u32) -> u32 {
    let request = FlowStatsRequest { out_port: oko_openflow::PortNo(port), ..FlowStatsRequest::default() };
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
    fill(&mut one, FlowModFlags::default());
    one.send(&Message::FlowMod(of_all(FlowModCommand::Modify)));
    let mut old = COUNT;
    while old > 0 {
        let now = count(&mut other, 2);
        assert!(now <= old, "{now} of {old} are old");
        old = now;
    }
    assert!(one.tell(&Message::EchoReply(Vec::new())).is_empty());
    assert_eq!(count(&mut one, 1), COUNT);
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
    fill(&mut controller, FlowModFlags::SEND_FLOW_REM);
    let xid = controller.send(&Message::FlowMod(of_all(FlowModCommand::Delete)));
    let barrier = controller.send(&Message::BarrierRequest);
    assert!(xid < barrier);
    let mut reported = 0;
    loop {
        match controller.try_receive().unwrap() {
            (_, Message::FlowRemoved(FlowRemoved { reason: FlowRemovedReason::Delete, .. })) => reported += 1,
            (_, Message::BarrierReply) => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    // A queue of asynchronous messages is bounded: what does not fit is lost, and nothing is said twice.
    assert!((1..=COUNT).contains(&reported), "{reported}");
    assert_eq!(count(&mut watcher, 2), 0);
    switch.stop();
}

#[test]
fn what_is_wrong_is_refused_before_anything_changes() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    fill(&mut controller, FlowModFlags::default());
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
