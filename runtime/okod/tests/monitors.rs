//! Controllers that watch flow entries are told of every change, and a slow one costs nobody else anything.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::collections::BTreeMap;

use oko_openflow::message::Message;
use oko_openflow::monitor::{FlowUpdate, MonitorCommand, MonitorFlags, MonitorRequest, UpdateEvent};
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::{
    ErrorCode, ErrorMsg, Field, FlowModCommand, FlowRemovedReason, GroupId, Instructions, Match, PortNo,
    TableId,
};
use testbed::{Controller, TestSwitch, flow, output};

/// Everything of everybody but what one does oneself.
fn watch(id: u32) -> MonitorRequest {
    let flags = MonitorFlags::INITIAL | MonitorFlags::ADD | MonitorFlags::REMOVED | MonitorFlags::MODIFY;
    MonitorRequest {
        id,
        command: MonitorCommand::Add,
        flags: flags | MonitorFlags::INSTRUCTIONS,
        out_port: PortNo::ANY,
        out_group: GroupId::ANY,
        table: TableId::ALL,
        matching: Match::any(),
    }
}

/// The updates of a message.
fn updates(message: Message) -> Vec<FlowUpdate> {
    match message {
        Message::MultipartReply { reply: MultipartReply::FlowUpdates(updates), .. } => updates,
        other => panic!("unexpected {other:?}"),
    }
}

/// Asks for monitors; what is there.
fn ask(controller: &mut Controller, monitors: Vec<MonitorRequest>) -> Vec<FlowUpdate> {
    updates(controller.ask(&Message::request(MultipartRequest::FlowMonitor(monitors))))
}

/// Event, priority and whether it says what the entry does.
fn brief(update: &FlowUpdate) -> (UpdateEvent, u16, Option<Instructions>) {
    match update {
        FlowUpdate::Full { event, priority, instructions, .. } => (*event, *priority, instructions.clone()),
        other => panic!("unexpected {other:?}"),
    }
}

fn port(number: u32) -> Match {
    Match::any().with(Field::InPort, number.into())
}

#[test]
fn every_change_is_told_in_order_and_before_the_reply_to_a_barrier() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut watcher, mut other) = (switch.connect(), switch.connect());
    other.add_flow(5, port(1), output(2));
    let there = ask(&mut watcher, vec![watch(1)]);
    // Before OpenFlow 1.4, what is there is told as added.
    let does = |actions| Some(Instructions::apply(actions));
    assert_eq!(there.iter().map(brief).collect::<Vec<_>>(), [(UpdateEvent::Added, 5, does(output(2)))]);

    other.add_flow(6, port(2), vec![]);
    let mut modify = flow(6, port(2), output(1));
    modify.command = FlowModCommand::ModifyStrict;
    assert!(other.tell(&Message::FlowMod(modify)).is_empty());
    let mut delete = flow(0, Match::any(), vec![]);
    delete.command = FlowModCommand::Delete;
    delete.table = TableId::ALL;
    assert!(other.tell(&Message::FlowMod(delete)).is_empty());
    let mut told = Vec::new();
    while told.len() < 4 {
        told.extend(updates(watcher.event()).iter().map(brief));
    }
    told[2..].sort_by_key(|told| told.1);
    let gone = UpdateEvent::Removed(FlowRemovedReason::Delete);
    assert_eq!(
        told,
        [
            (UpdateEvent::Added, 6, None),
            (UpdateEvent::Modified, 6, does(output(1))),
            (gone, 5, does(output(2))),
            (gone, 6, does(output(1)))
        ]
    );

    // Its own changes are told by their transaction ids, one word for each message, before the reply to a barrier.
    let xid = watcher.send(&Message::FlowMod(flow(7, port(1), vec![])));
    let barrier = watcher.send(&Message::BarrierRequest);
    let (first, message) = watcher.try_receive().unwrap();
    assert_eq!((first, updates(message)), (0, vec![FlowUpdate::Abbrev { xid }]));
    assert_eq!(watcher.try_receive().unwrap(), (barrier, Message::BarrierReply));

    // Taken back, nothing is told any more.
    let cancel = |id: u32| Message::Experimenter {
        experimenter: 0x4f4e_4600,
        exp_type: 1870,
        data: id.to_be_bytes().to_vec(),
    };
    assert!(watcher.tell(&cancel(1)).is_empty());
    other.add_flow(8, port(2), vec![]);
    let errors = watcher.tell(&cancel(1));
    let [ErrorMsg::Standard { ty, code, .. }] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(ErrorCode::from_wire(*ty, *code), Some(ErrorCode::MonitorUnknownId));
    switch.stop();
}

#[test]
fn a_monitor_tells_only_of_what_it_watches() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut watcher, mut other) = (switch.connect(), switch.connect());
    let narrow = MonitorRequest { matching: port(1), out_port: PortNo(2), ..watch(1) };
    let full = MonitorFlags::ADD | MonitorFlags::NO_ABBREV;
    let own = MonitorRequest { matching: port(9), flags: full, ..watch(2) };
    assert_eq!(ask(&mut watcher, vec![narrow.clone(), own]), []);
    other.add_flow(1, port(1), output(1));
    other.add_flow(2, port(2), output(2));
    other.add_flow(3, port(1), output(2));
    assert_eq!(updates(watcher.event()).iter().map(|u| brief(u).1).collect::<Vec<_>>(), [3]);
    // In full, for it was asked for, and without what the entry does, for that was not.
    watcher.send(&Message::FlowMod(flow(4, port(9), output(2))));
    assert_eq!(
        updates(watcher.event()).iter().map(brief).collect::<Vec<_>>(),
        [(UpdateEvent::Added, 4, None)]
    );

    // All of a request or none.
    let sent = watcher.send(&Message::request(MultipartRequest::FlowMonitor(vec![watch(3), narrow])));
    let (xid, Message::Error(ErrorMsg::Standard { ty, code, .. })) = watcher.receive() else { panic!() };
    assert_eq!((xid, ErrorCode::from_wire(ty, code)), (sent, Some(ErrorCode::MonitorExists)));
    assert_eq!(ask(&mut watcher, vec![watch(3)]).len(), 4);
    switch.stop();
}

#[test]
fn a_slow_watcher_is_paused_and_then_told_what_there_is() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut slow, mut other) = (switch.connect(), switch.connect());
    ask(&mut slow, vec![watch(1)]);
    let count = 12_000_u16;
    for priority in 1..=count {
        other.send(&Message::FlowMod(flow(priority, port(1), output(2))));
        if priority % 1_000 == 0 {
            other.tell(&Message::EchoReply(Vec::new()));
        }
    }
    // Every third is gone again before the watcher reads anything.
    for priority in (1..=count).step_by(3) {
        let mut delete = flow(priority, port(1), vec![]);
        delete.command = FlowModCommand::DeleteStrict;
        other.send(&Message::FlowMod(delete));
    }
    other.tell(&Message::EchoReply(Vec::new()));
    let mut there: Vec<u16> = other.flows().iter().map(|flow| flow.priority).collect();
    there.sort_unstable();
    let mut known = BTreeMap::new();
    let (mut paused, mut resumed) = (false, false);
    while !resumed || !known.keys().eq(&there) {
        match slow.event() {
            Message::Experimenter { exp_type: 1871, .. } => paused = true,
            Message::Experimenter { exp_type: 1872, .. } => resumed = true,
            message => {
                for update in updates(message) {
                    match brief(&update) {
                        (UpdateEvent::Removed(_), priority, _) => drop(known.remove(&priority)),
                        (_, priority, does) => drop(known.insert(priority, does)),
                    }
                }
            }
        }
    }
    assert!(paused);
    switch.stop();
}
