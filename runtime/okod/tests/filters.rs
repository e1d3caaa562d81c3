//! Filters in a running switch: loaded, named by flow entries, judged, looked into, unloaded.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::process::Command;

use oko_openflow::message::Message;
use oko_openflow::oko::{
    Abi, FilterInfo, OkoError, OkoErrorCode, OkoPart, Operation, Reply, Request, StateEntry, Store,
};
use oko_openflow::{ErrorMsg, Field, FlowModCommand, Match, TableId};
use testbed::filters::{compile, load, matching, operate, operate_once};
use testbed::{Controller, TestSwitch, assert_same, flow, output, udp};

/// True for the datagrams to a port beyond the first few, by a count that it keeps.
const COUNTING: &str = r"
use std.net.{ipv4, udp};

/// Datagrams of a destination port that do not match.
param spared: u32 in 0..=1_000 = 2;

state seen: map[u16, counter] {
    capacity: 1_024,
    when_full: evict_oldest,
    expire: 60s,
};

filter excess -> bool {
    match pkt {
        ipv4 / udp => seen[udp.dst_port].add(1) > spared,
        _ => false,
    }
}
";

fn list(controller: &mut Controller) -> Vec<FilterInfo> {
    match operate_once(controller, &Request::List).unwrap() {
        Reply::Filters { operation: Operation::FilterList, filters } => filters,
        other => panic!("unexpected {other:?}"),
    }
}

fn state(controller: &mut Controller, filter: &str, state: &str) -> Vec<StateEntry> {
    let request = Request::Read { store: Store::State, filter: filter.to_owned(), name: state.to_owned() };
    let replies = operate(controller, &request).unwrap();
    replies
        .into_iter()
        .flat_map(|reply| match reply {
            Reply::Entries { entries, .. } => entries,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

/// A program of the first Oko, if it is said to be one.
#[test]
fn programs_of_the_first_oko_load_when_they_are_said_to_be() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/original/fingerprint.c");
    let clang = Command::new("clang").args(["-target", "bpf", "-O2", "-c", source, "-o", "-"]).output();
    let Some(object) = clang.ok().filter(|output| output.status.success()).map(|output| output.stdout) else {
        eprintln!("skipped: no clang here that makes BPF");
        return;
    };
    let switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    let refused = load(&mut controller, "old", object.clone()).unwrap_err();
    assert!(refused.text.contains("--abi original"), "{}", refused.text);
    let request = Request::Load { name: "old".to_owned(), abi: Abi::Original, artifact: object };
    operate(&mut controller, &request).unwrap();
    let loaded = list(&mut controller);
    assert_eq!((loaded[0].name.as_str(), loaded[0].boolean), ("old", true));
}

#[test]
fn a_filter_decides_which_packets_an_entry_drops() {
    let frames: Vec<_> = (0..40).map(|i| udp(i, [53, 80][usize::from(i) % 2])).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    let loaded = load(&mut controller, "", compile(COUNTING)).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!((loaded[0].name.as_str(), loaded[0].boolean), ("excess", true));
    controller.add_flow(20, matching(loaded[0].id, 1), vec![]);
    controller.add_flow(10, Match::any(), output(2));
    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 40);

    // The first two of each destination port go on.
    let expected: Vec<_> = frames[..4].to_vec();
    let flows = controller.flows();
    assert_eq!((flows[0].packets, flows[1].packets), (36, 4));
    let filter = list(&mut controller).remove(0);
    assert_eq!((filter.packets, filter.flows), (40, 1));
    assert_eq!(filter.classes.iter().map(|class| class.packets).collect::<Vec<_>>(), [4, 36]);
    let mut entries = state(&mut controller, "excess", "seen");
    entries.sort_by_key(|entry| entry.key.clone());
    let counts: Vec<_> = entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
    assert_eq!(counts, [(vec![53], vec![20]), (vec![80], vec![20])]);
    assert!(entries.iter().all(|entry| entry.expires_in == Some(60_000_000_000)), "{entries:?}");
    switch.stop();
    assert_same(&switch.sent(2), &expected);
}

#[test]
fn a_filter_runs_once_for_a_packet_however_many_entries_and_tables_ask() {
    let frames: Vec<_> = (0..10).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    // Asked in table 0 for both answers and in table 1 for both; all must agree.
    controller.add_flow(30, matching(filter.id, 1), vec![]);
    let mut on = flow(20, matching(filter.id, 0), vec![]);
    on.instructions.goto_table = Some(TableId(1));
    assert!(controller.tell(&Message::FlowMod(on)).is_empty());
    let mut wrong = flow(30, matching(filter.id, 1), vec![]);
    wrong.table = TableId(1);
    let mut right = flow(20, matching(filter.id, 0), output(2));
    right.table = TableId(1);
    for flow in [wrong, right] {
        assert!(controller.tell(&Message::FlowMod(flow)).is_empty());
    }
    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 10);
    assert_eq!(state(&mut controller, "excess", "seen")[0].value, [10], "each packet counts once");
    let packets: Vec<u64> = controller.flows().iter().map(|flow| flow.packets).collect();
    assert_eq!(packets, [8, 2, 0, 2]);
    switch.stop();
    assert_same(&switch.sent(2), &frames[..2]);
}

#[test]
fn the_same_match_with_another_answer_is_another_entry() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    for matching in [Match::any(), matching(filter.id, 0), matching(filter.id, 1)] {
        controller.add_flow(5, matching, vec![]);
    }
    assert_eq!(controller.flows().len(), 3);
    let mut delete = flow(5, matching(filter.id, 0), vec![]);
    delete.command = FlowModCommand::DeleteStrict;
    assert!(controller.tell(&Message::FlowMod(delete)).is_empty());
    let left: Vec<_> =
        controller.flows().into_iter().map(|flow| flow.matching.filter.map(|f| f.class)).collect();
    assert_eq!(left, [Some(1), None]);
}

#[test]
fn a_duplicate_load_is_refused_and_changes_nothing() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let first = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    let error = load(&mut controller, "", compile(COUNTING)).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NameInUse);
    assert!(error.text.contains("`excess`"), "{error}");
    assert_eq!(list(&mut controller).iter().map(|filter| filter.id).collect::<Vec<_>>(), [first.id]);
    let second = load(&mut controller, "other", compile(COUNTING)).unwrap().remove(0);
    assert_eq!(second.name, "other");
    assert_ne!(second.id, first.id);
}

#[test]
fn a_filter_in_use_stays() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    controller.add_flow(5, matching(filter.id, 1), vec![]);
    let unload = Request::Unload { name: String::from("excess") };
    let error = operate(&mut controller, &unload).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::FilterInUse);
    let mut delete = flow(0, Match::any(), vec![]);
    delete.command = FlowModCommand::Delete;
    assert!(controller.tell(&Message::FlowMod(delete)).is_empty());
    assert!(matches!(operate(&mut controller, &unload).unwrap()[..], [Reply::Done { .. }]));
    assert!(list(&mut controller).is_empty());
    let again = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    assert!(again.id > filter.id, "ids are not given again");
}

#[test]
fn a_class_that_the_filter_does_not_have_is_refused() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    let errors = controller.tell(&Message::FlowMod(flow(1, matching(filter.id, 2), vec![])));
    let [error @ ErrorMsg::Experimenter { .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(OkoError::from_message(error).unwrap().code, OkoErrorCode::NoSuchClass);
    assert!(controller.flows().is_empty());
}

#[test]
fn params_are_read_and_set_all_or_none() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    load(&mut controller, "", compile(COUNTING)).unwrap();
    let values = |replies: Vec<Reply>| match replies.into_iter().next() {
        Some(Reply::Params { params, .. }) => {
            params.into_iter().map(|param| (param.name, param.value)).collect::<Vec<_>>()
        }
        other => panic!("unexpected {other:?}"),
    };
    let filter = || String::from("excess");
    let get = Request::ParamGet { filter: filter() };
    assert_eq!(values(operate(&mut controller, &get).unwrap()), [(String::from("spared"), 2)]);
    let set = |name: &str, value| Request::ParamSet {
        filter: filter(),
        values: vec![(String::from("spared"), 7), (String::from(name), value)],
    };
    for (name, value, code) in
        [("spared", 1_001, OkoErrorCode::BadValue), ("spaced", 1, OkoErrorCode::NoSuchParam)]
    {
        let error = operate(&mut controller, &set(name, value)).unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.text.contains(name), "{error}");
    }
    assert_eq!(values(operate(&mut controller, &get).unwrap()), [(String::from("spared"), 2)]);
    let changed = operate(&mut controller, &set("spared", 9)).unwrap();
    assert_eq!(values(changed), [(String::from("spared"), 9)]);
}

#[test]
fn the_schema_is_that_of_the_artifact() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    load(&mut controller, "renamed", compile(COUNTING)).unwrap();
    let replies = operate(&mut controller, &Request::Schema { name: String::from("renamed") }).unwrap();
    let json: Vec<u8> = replies
        .into_iter()
        .flat_map(|reply| match reply {
            Reply::Schema(part) => part,
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    let schema: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(schema["states"][0]["name"], "seen");
    assert_eq!(schema["filters"][0]["name"], "excess");
}

#[test]
fn state_of_any_size_is_read_whole() {
    // More entries than fit into one message.
    let frames: Vec<_> = (0..1000).map(|i| udp(1, i)).collect();
    let mut switch = TestSwitch::start(&[&frames]);
    let mut controller = switch.connect();
    let filter = load(&mut controller, "", compile(COUNTING)).unwrap().remove(0);
    controller.add_flow(5, matching(filter.id, 1).with(Field::InPort, 1), vec![]);
    controller.up(1);
    controller.wait_for(1, 1000);
    let mut keys: Vec<u64> =
        state(&mut controller, "excess", "seen").iter().map(|entry| entry.key[0]).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..1000).collect::<Vec<_>>());
    let missing =
        Request::Read { store: Store::State, filter: String::from("excess"), name: String::from("sean") };
    let error = operate(&mut controller, &missing).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NoSuchState);
    assert!(error.text.contains("seen"), "{error}");
    switch.stop();
}

#[test]
fn a_request_in_parts_that_stops_half_way_changes_nothing() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let mut half = switch.connect();
    half.send(&Message::Oko(OkoPart {
        operation: Operation::FilterLoad,
        reply: false,
        more: true,
        body: vec![0; 1000],
    }));
    assert!(list(&mut controller).is_empty());
    drop(half);
    assert!(list(&mut controller).is_empty());
}
