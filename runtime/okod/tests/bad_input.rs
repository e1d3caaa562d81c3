//! What is wrong gets a clear error or a closed connection, changes nothing, and leaves the switch running.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::io::Write;
use std::time::{Duration, Instant};

use oko_openflow::message::Message;
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::oko::{Abi, OkoError, OkoErrorCode, Request};
use oko_openflow::{Action, ErrorCode, ErrorMsg, Field, FilterId, Hello, Match, PortNo, Version};
use testbed::filters::matching;
use testbed::{Controller, TestSwitch, flow, output};

fn code(error: &ErrorMsg) -> ErrorCode {
    match error {
        ErrorMsg::Standard { ty, code, .. } => {
            ErrorCode::from_wire(*ty, *code).expect("a code of OpenFlow 1.3")
        }
        other @ ErrorMsg::Experimenter { .. } => panic!("unexpected {other:?}"),
    }
}

fn oko_error(errors: &[ErrorMsg]) -> OkoError {
    match errors {
        [error] => OkoError::from_message(error).expect("an error of ours"),
        other => panic!("one error expected: {other:?}"),
    }
}

#[test]
fn a_flow_with_an_unknown_filter_is_refused_by_name() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let errors = controller.tell(&Message::FlowMod(flow(1, matching(FilterId(42), 1), vec![])));
    let error = oko_error(&errors);
    assert_eq!(error.code, OkoErrorCode::NoSuchFilter);
    assert!(error.text.contains("42"), "{error}");
    assert!(controller.flows().is_empty());
}

#[test]
fn a_file_that_is_no_artifact_is_refused() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(40, 0);
    for artifact in [b"filter f -> bool { true }".to_vec(), Vec::new(), elf, vec![0xff; 200_000]] {
        let mut errors = Vec::new();
        let load = Request::Load { name: String::new(), abi: Abi::Linux, artifact };
        controller.send_parts(&load.to_messages());
        match controller.receive() {
            (_, Message::Error(error)) => errors.push(error),
            (_, other) => panic!("unexpected {other:?}"),
        }
        assert_eq!(oko_error(&errors).code, OkoErrorCode::BadArtifact);
    }
    let unload = Request::Unload { name: String::from("nobody") };
    let errors = controller.tell(&unload.to_messages()[0]);
    let error = oko_error(&errors);
    assert_eq!(error.code, OkoErrorCode::NoSuchFilter);
    assert!(error.text.contains("nobody"), "{error}");
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    let switch = TestSwitch::start_with(&[&[]], "table_capacity = 2", "");
    let mut controller = switch.connect();
    let add = |priority| Message::FlowMod(flow(priority, Match::any(), vec![]));
    assert!(controller.tell(&add(1)).is_empty() && controller.tell(&add(2)).is_empty());
    let errors = controller.tell(&add(3));
    assert_eq!(errors.iter().map(code).collect::<Vec<_>>(), [ErrorCode::FlowModTableFull]);
    assert!(controller.tell(&add(2)).is_empty(), "the same entry again takes no room");
    let priorities: Vec<u16> = controller.flows().iter().map(|flow| flow.priority).collect();
    assert_eq!(priorities, [2, 1]);
}

#[test]
fn flow_mods_that_cannot_be_done_say_why() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let with = |action| flow(1, Match::any(), vec![action]);
    let mut backwards = flow(1, Match::any(), vec![]);
    (backwards.table, backwards.instructions.goto_table) =
        (oko_openflow::TableId(5), Some(oko_openflow::TableId(5)));
    let mut metered = flow(1, Match::any(), vec![]);
    metered.instructions.meter = Some(oko_openflow::MeterId(1));
    let mut buffered = flow(1, Match::any(), vec![]);
    buffered.buffer = Some(7);
    let cases = [
        (with(Action::output(PortNo(9))), ErrorCode::ActionBadOutPort),
        (with(Action::output(PortNo::LOCAL)), ErrorCode::ActionBadOutPort),
        (with(Action::output(PortNo::TABLE)), ErrorCode::ActionBadOutPort),
        (with(Action::PushVlan(0x0800)), ErrorCode::ActionBadArgument),
        (with(Action::Group(oko_openflow::GroupId(1))), ErrorCode::ActionBadOutGroup),
        (with(Action::SetQueue(1)), ErrorCode::ActionBadQueue),
        (backwards, ErrorCode::InstructionBadTableId),
        (metered, ErrorCode::MeterUnknown),
        (buffered, ErrorCode::RequestBufferUnknown),
    ];
    for (flow_mod, expected) in cases {
        let errors = controller.tell(&Message::FlowMod(flow_mod.clone()));
        assert_eq!(errors.iter().map(code).collect::<Vec<_>>(), [expected], "{flow_mod:?}");
    }
    assert!(controller.flows().is_empty());
}

#[test]
fn half_a_message_changes_nothing() {
    let switch = TestSwitch::start(&[&[]]);
    let whole = Message::FlowMod(flow(1, Match::any(), output(1))).encode(1).unwrap();
    for sent in 1..whole.len() {
        let mut controller = switch.connect();
        controller.stream.write_all(&whole[..sent]).unwrap();
    }
    let mut waiting = switch.connect();
    waiting.stream.write_all(&whole[..20]).unwrap();
    let mut other = switch.connect();
    assert!(other.flows().is_empty());
    waiting.stream.write_all(&whole[20..]).unwrap();
    assert_eq!(waiting.flows().len(), 1, "the other half completes it");
}

#[test]
fn messages_that_make_no_sense_are_answered_with_errors() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let cases: [(&[u8], ErrorCode); 5] = [
        // A type that does not exist.
        (&[4, 99, 0, 8, 0, 0, 0, 5], ErrorCode::RequestBadType),
        // Another version after the negotiation.
        (&[1, 2, 0, 8, 0, 0, 0, 5], ErrorCode::RequestBadVersion),
        // A flow-mod that ends after its header.
        (&[4, 14, 0, 8, 0, 0, 0, 5], ErrorCode::RequestBadLen),
        // A multipart request of a type that does not exist.
        (&[4, 18, 0, 16, 0, 0, 0, 5, 0x77, 0, 0, 0, 0, 0, 0, 0], ErrorCode::RequestBadMultipart),
        // An unknown experimenter.
        (&[4, 4, 0, 16, 0, 0, 0, 5, 1, 2, 3, 4, 0, 0, 0, 1], ErrorCode::RequestBadExperimenter),
    ];
    for (bytes, expected) in cases {
        controller.stream.write_all(bytes).unwrap();
        match controller.receive() {
            (5, Message::Error(error)) => assert_eq!(code(&error), expected),
            (_, other) => panic!("unexpected {other:?}"),
        }
    }
    assert!(controller.flows().is_empty(), "the connection goes on");
}

#[test]
fn a_length_that_cannot_be_ends_the_connection_with_an_error() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    controller.stream.write_all(&[4, 2, 0, 3, 0, 0, 0, 9]).unwrap();
    match controller.receive() {
        (9, Message::Error(error)) => assert_eq!(code(&error), ErrorCode::RequestBadLen),
        (_, other) => panic!("unexpected {other:?}"),
    }
    assert!(controller.try_receive().is_none());
    switch.connect();
}

#[test]
fn a_controller_of_another_version_is_told_which_are_spoken() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = Controller::connect(&switch.socket());
    controller.send(&Message::Hello(Hello { version: Version(2), bitmap: None }));
    assert!(matches!(controller.receive().1, Message::Hello(_)));
    match controller.receive().1 {
        Message::Error(ErrorMsg::Standard { ty: 0, code: 0, data }) => {
            assert!(String::from_utf8(data).unwrap().contains("1.0, 1.3, 1.4 and 1.5"));
        }
        other => panic!("unexpected {other:?}"),
    }
    assert!(controller.try_receive().is_none());
}

#[test]
fn a_controller_that_does_not_read_holds_up_nobody() {
    let switch = TestSwitch::start(&[&[]]);
    let mut busy = switch.connect();
    for priority in 0..2000 {
        busy.send(&Message::FlowMod(flow(priority, Match::any().with(Field::InPort, 1), output(1))));
    }
    assert_eq!(busy.flows().len(), 2000);
    let mut slow = switch.connect();
    slow.stream.set_nonblocking(true).unwrap();
    // Far more requests than replies fit into the socket; the switch stops reading them.
    let request = Message::request(MultipartRequest::Flow(oko_openflow::FlowStatsRequest::default()));
    let bytes = request.encode(1).unwrap();
    let mut sent = 0;
    while sent < 100_000 && slow.stream.write_all(&bytes).is_ok() {
        sent += 1;
    }
    assert!(sent < 100_000, "the switch takes any number of requests");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(busy.flows().len(), 2000);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_slave_may_look_and_not_touch() {
    use oko_openflow::switch::{Role, RoleMsg};
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let role = Message::RoleRequest(RoleMsg { role: Role::Slave, generation_id: 1 });
    assert!(matches!(controller.ask(&role), Message::RoleReply(RoleMsg { role: Role::Slave, .. })));
    let errors = controller.tell(&Message::FlowMod(flow(1, Match::any(), vec![])));
    assert_eq!(errors.iter().map(code).collect::<Vec<_>>(), [ErrorCode::RequestIsSlave]);
    assert!(controller.flows().is_empty());
}

#[test]
fn what_we_do_not_have_is_refused_and_empty_things_are_empty() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let mut ask = |request| controller.ask(&Message::request(request));
    assert!(matches!(
        ask(MultipartRequest::Meter(oko_openflow::MeterId(1))),
        Message::Error(error) if code(&error) == ErrorCode::MeterUnknown
    ));
    assert!(matches!(
        ask(MultipartRequest::GroupDesc(oko_openflow::GroupId::ALL)),
        Message::MultipartReply { reply: MultipartReply::GroupDesc(groups), .. } if groups.is_empty()
    ));
    assert!(matches!(
        ask(MultipartRequest::PortStats(PortNo(77))),
        Message::Error(error) if code(&error) == ErrorCode::RequestBadPort
    ));
}
