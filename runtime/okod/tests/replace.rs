//! A filter is replaced in a running switch: state goes on, flow entries stay, no packet is lost, and nothing changes if anything is wrong.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use oko_openflow::oko::{Abi, Fate, OkoError, OkoErrorCode, Replaced, Reply, Request, Store};
use oko_openflow::{FilterId, Match};
use testbed::filters::{compile, load, matching, operate_once};
use testbed::{Controller, TestSwitch, output, udp};

/// Counts the datagrams of a destination port, and matches beyond `spared` of them.
fn counting(spared: u32, capacity: u32) -> Vec<u8> {
    compile(&format!(
        "
use std.net.{{ipv4, udp}};

/// Datagrams of a destination port that do not match.
param spared: u32 in 0..=1_000_000 = {spared};

state seen: map[u16, counter] {{
    capacity: {capacity},
    when_full: evict_oldest,
    expire: 60s,
}};

filter excess -> bool {{
    match pkt {{
        ipv4 / udp => seen[udp.dst_port].add(1) > spared,
        _ => false,
    }}
}}
"
    ))
}

/// Loads an artifact; its first filter.
fn load_first(controller: &mut Controller, artifact: Vec<u8>) -> FilterId {
    load(controller, "", artifact).unwrap()[0].id
}

fn replace(controller: &mut Controller, name: &str, artifact: Vec<u8>) -> Result<Vec<Replaced>, OkoError> {
    match operate_once(controller, &Request::Replace { name: name.to_owned(), abi: Abi::Linux, artifact })? {
        Reply::Replaced(all) => Ok(all),
        other => panic!("unexpected {other:?}"),
    }
}

fn count(controller: &mut Controller) -> u64 {
    let request = Request::Read { store: Store::State, filter: "excess".to_owned(), name: "seen".to_owned() };
    match operate_once(controller, &request).unwrap() {
        Reply::Entries { entries, .. } => entries.iter().map(|entry| entry.value[0]).sum(),
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn replacing_under_traffic_loses_no_packet_and_keeps_the_state() {
    const PACKETS: u16 = 20_000;
    let frames: Vec<_> = (0..PACKETS).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    let filter = load_first(&mut controller, counting(1_000_000, 1_024));
    controller.add_flow(20, matching(filter, 1), vec![]);
    controller.add_flow(10, Match::any(), output(2));
    controller.up(2);
    controller.up(1);
    let mut versions = 0;
    while controller.flows()[1].packets < u64::from(PACKETS) {
        versions += 1;
        let kept = replace(&mut controller, "excess", counting(1_000_000 - versions, 1_024)).unwrap();
        assert_eq!(kept, [Replaced { fate: Fate::StateKept, name: "seen".into(), why: String::new() }]);
    }
    assert!(versions >= 1);
    assert_eq!(
        count(&mut controller),
        u64::from(PACKETS),
        "of {versions} versions, each counted its packets"
    );
    let flows = controller.flows();
    assert_eq!((flows[0].packets, flows[1].packets), (0, u64::from(PACKETS)));
    assert_eq!(flows[0].matching.filter.unwrap().filter, filter, "the filter's number stays");
    switch.stop();
    assert_eq!(switch.sent(2).len(), usize::from(PACKETS));
}

#[test]
fn what_cannot_be_kept_is_said_and_params_stay_set() {
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    load_first(&mut controller, counting(2, 1_024));
    let set = Request::ParamSet { filter: "excess".to_owned(), values: vec![("spared".to_owned(), 77)] };
    operate_once(&mut controller, &set).unwrap();
    let replaced = replace(&mut controller, "excess", counting(2, 2_048)).unwrap();
    let why = "its capacity was 1024 and is 2048; 0 of 0 entries were copied".to_owned();
    assert_eq!(
        replaced,
        [
            Replaced { fate: Fate::StateKept, name: "seen".into(), why },
            Replaced { fate: Fate::ParamKept, name: "spared".into(), why: String::new() },
        ]
    );
    match operate_once(&mut controller, &Request::ParamGet { filter: "excess".to_owned() }).unwrap() {
        Reply::Params { params, .. } => assert_eq!(params[0].value, 77),
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn a_version_that_flow_entries_do_not_fit_changes_nothing() {
    const CLASSES: &str = "
use std.net.{ipv4};
enum kind { NAMES }
filter sort -> kind {
    match pkt { ipv4 => kind.SECOND, _ => kind.FIRST }
}
";
    let classes = |names: &str| {
        let names: Vec<&str> = names.split(' ').collect();
        compile(
            &CLASSES
                .replace("NAMES", &names.join(", "))
                .replace("FIRST", names[0])
                .replace("SECOND", names[1]),
        )
    };
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let filter = load_first(&mut controller, classes("Small Large"));
    // Nobody names it: it may answer anything.
    assert_eq!(replace(&mut controller, "sort", classes("Big Small")), Ok(Vec::new()));
    controller.add_flow(5, matching(filter, 1), vec![]);
    assert_eq!(replace(&mut controller, "sort", classes("Big Small Huge")), Ok(Vec::new()));
    let error = replace(&mut controller, "sort", classes("Small Big")).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::FilterInUse);
    assert!(error.text.contains("were Big, Small, Huge and are Small, Big"), "{error}");
    let error = replace(&mut controller, "sort", counting(1, 16)).unwrap_err();
    assert!(error.text.contains("answers true or false"), "{error}");
    let error = replace(&mut controller, "sort", b"garbage".to_vec()).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::BadArtifact);
    let error = replace(&mut controller, "nobody", classes("Big Small")).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NoSuchFilter);
    match operate_once(&mut controller, &Request::List).unwrap() {
        Reply::Filters { filters, .. } => {
            assert_eq!((filters.len(), filters[0].id, filters[0].classes.len()), (1, filter, 3));
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn filters_of_an_artifact_are_replaced_together() {
    let two = |first: &str, second: &str| {
        compile(&format!(
            "use std.net.{{ipv4, udp}};
state seen: map[u16, counter] {{ capacity: 64, when_full: evict_oldest, expire: never }};
filter {first} -> bool {{ match pkt {{ ipv4 / udp => seen[udp.dst_port].add(1) > 5, _ => false }} }}
filter {second} -> bool {{ match pkt {{ ipv4 => true, _ => false }} }}
"
        ))
    };
    let switch = TestSwitch::start(&[&[]]);
    let mut controller = switch.connect();
    let first = load_first(&mut controller, two("alpha", "beta"));
    load_first(&mut controller, counting(1, 16));
    controller.add_flow(5, matching(first, 1), vec![]);
    let names = |controller: &mut Controller| match operate_once(controller, &Request::List).unwrap() {
        Reply::Filters { filters, .. } => filters.into_iter().map(|f| (f.name, f.id.0)).collect::<Vec<_>>(),
        other => panic!("unexpected {other:?}"),
    };
    let before = [("alpha".to_owned(), 1), ("beta".to_owned(), 2), ("excess".to_owned(), 3)];
    assert_eq!(names(&mut controller), before);
    let error = replace(&mut controller, "beta", two("excess", "alpha")).unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NameInUse, "the name of a filter of another artifact");
    let error = replace(&mut controller, "beta", two("beta", "gamma")).unwrap_err();
    assert!(error.text.contains("no filter `alpha`, which 1 flow entry names"), "{error}");
    assert_eq!(names(&mut controller), before);
    replace(&mut controller, "beta", two("alpha", "gamma")).unwrap();
    let after = [("alpha".to_owned(), 1), ("excess".to_owned(), 3), ("gamma".to_owned(), 4)];
    assert_eq!(names(&mut controller), after);
}
