//! What operators do with a filter while packets go through it: its states, its tables, its events.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use oko_openflow::message::Message;
use oko_openflow::oko::{
    Event, FilterInfo, OkoError, OkoErrorCode, Reply, Request, StateEntry, StateInfo, Store,
};
use oko_openflow::switch::{Role, RoleMsg};
use oko_openflow::{ErrorCode, ErrorMsg, Match};
use testbed::filters::{compile, load, matching, operate, operate_once, subscribe, told};
use testbed::{Controller, TestSwitch, output, udp};

/// True for what the control plane has forbidden; counts and tells.
const GUARD: &str = r"
use std.net.{ipv4, udp};

/// Sources that may not.
table blocked: set[prefix] { capacity: 4 };

/// Ports and what they are called.
table names: map[u16, u32] { capacity: 2 };

/// Packets by their port.
state seen: map[u16, counter] {
    capacity: 1_024,
    when_full: evict_oldest,
    expire: 60s,
};

/// At most two.
state few: map[u16, u32] { capacity: 2, when_full: refuse, expire: never };

/// Every packet that is forbidden.
event forbidden { source: ip4, port: u16 } limit 1_000_000 each 1s;

filter guard -> bool {
    match pkt {
        ipv4 / udp => {
            seen[udp.dst_port].add(1);
            let is = ipv4.src in blocked;
            if is { emit forbidden { source: ipv4.src, port: udp.src_port }; }
            is
        }
        _ => false,
    }
}
";

/// Loads the filter.
fn load_guard(controller: &mut Controller) -> FilterInfo {
    load(controller, "", compile(GUARD)).unwrap().remove(0)
}

/// Loads the filter and drops what it matches.
fn drop_guarded(controller: &mut Controller) -> FilterInfo {
    let filter = load_guard(controller);
    controller.add_flow(20, matching(filter.id, 1), vec![]);
    filter
}

/// A state or table of the filter.
struct Kept<'a> {
    controller: &'a mut Controller,
    store: Store,
    name: &'static str,
}

impl Kept<'_> {
    fn names(&self) -> (String, String) {
        ("guard".to_owned(), self.name.to_owned())
    }

    fn write(&mut self, entries: Vec<StateEntry>) -> Result<(u32, u32), OkoError> {
        let (filter, name) = self.names();
        match operate_once(self.controller, &Request::Write { store: self.store, filter, name, entries })? {
            Reply::Written { written, refused, .. } => Ok((written, refused)),
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, keys: &[&[u64]]) -> Result<Vec<StateEntry>, OkoError> {
        let (filter, name) = self.names();
        let keys = keys.iter().map(|key| key.to_vec()).collect();
        entries(operate(self.controller, &Request::Get { store: self.store, filter, name, keys })?)
    }

    fn read(&mut self) -> Result<Vec<StateEntry>, OkoError> {
        let (filter, name) = self.names();
        entries(operate(self.controller, &Request::Read { store: self.store, filter, name })?)
    }

    fn delete(&mut self, keys: &[&[u64]]) -> Result<u32, OkoError> {
        let (filter, name) = self.names();
        let keys = keys.iter().map(|key| key.to_vec()).collect();
        match operate_once(self.controller, &Request::Delete { store: self.store, filter, name, keys })? {
            Reply::Deleted { deleted, .. } => Ok(deleted),
            other => panic!("{other:?}"),
        }
    }

    fn clear(&mut self) -> Result<(), OkoError> {
        let (filter, name) = self.names();
        operate(self.controller, &Request::Clear { store: self.store, filter, name }).map(|_| ())
    }
}

fn entries(replies: Vec<Reply>) -> Result<Vec<StateEntry>, OkoError> {
    let entries = replies.into_iter().flat_map(|reply| match reply {
        Reply::Entries { entries, .. } => entries,
        other => panic!("{other:?}"),
    });
    Ok(entries.collect())
}

fn state<'a>(controller: &'a mut Controller, name: &'static str) -> Kept<'a> {
    Kept { controller, store: Store::State, name }
}

fn table<'a>(controller: &'a mut Controller, name: &'static str) -> Kept<'a> {
    Kept { controller, store: Store::Table, name }
}

fn entry(expires_in: Option<u64>, key: &[u64], value: &[u64]) -> StateEntry {
    StateEntry { age: 0, expires_in, key: key.to_vec(), value: value.to_vec() }
}

/// The prefix of an IPv4 address as a key: family, address in the upper bits, length.
fn prefix(address: [u8; 4], length: u64) -> [u64; 4] {
    [4, u64::from(u32::from_be_bytes(address)) << 32, 0, length]
}

#[test]
fn what_an_operator_writes_a_filter_goes_by() {
    let frames: Vec<_> = (0..40).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    drop_guarded(&mut controller);
    controller.add_flow(10, Match::any(), output(2));

    let blocked = prefix([10, 0, 0, 0], 8);
    assert_eq!(table(&mut controller, "blocked").write(vec![entry(None, &blocked, &[])]).unwrap(), (1, 0));
    assert_eq!(table(&mut controller, "blocked").read().unwrap(), [entry(None, &blocked, &[])]);
    // The filter counts on from what the operator has written.
    let written = entry(Some(5_000_000_000), &[53], &[100]);
    assert_eq!(state(&mut controller, "seen").write(vec![written.clone()]).unwrap(), (1, 0));
    assert_eq!(state(&mut controller, "seen").get(&[&[53], &[54]]).unwrap(), [written]);

    controller.up(2);
    controller.up(1);
    controller.wait_for(1, 40);
    let flows = controller.flows();
    assert_eq!((flows[0].packets, flows[1].packets), (40, 0), "all are forbidden");
    let counted = state(&mut controller, "seen").get(&[&[53]]).unwrap();
    assert_eq!((counted[0].value.as_slice(), counted[0].expires_in), (&[140][..], Some(60_000_000_000)));

    assert_eq!(table(&mut controller, "blocked").delete(&[&blocked, &prefix([10, 0, 0, 0], 9)]).unwrap(), 1);
    assert_eq!(state(&mut controller, "seen").delete(&[&[53], &[54]]).unwrap(), 1);
    assert_eq!(state(&mut controller, "seen").read().unwrap(), []);
    state(&mut controller, "few").write(vec![entry(None, &[1], &[1])]).unwrap();
    state(&mut controller, "few").clear().unwrap();
    assert_eq!(state(&mut controller, "few").read().unwrap(), []);
    switch.stop();
}

#[test]
fn a_large_state_is_read_to_its_end_and_written_back() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    load_guard(&mut controller);
    let all: Vec<StateEntry> =
        (0..1_000).map(|port| entry(Some(60_000_000_000), &[port], &[port * 7])).collect();
    assert_eq!(state(&mut controller, "seen").write(all.clone()).unwrap(), (1_000, 0));
    let mut read = state(&mut controller, "seen").read().unwrap();
    read.sort_by_key(|entry| entry.key.clone());
    assert_eq!(read, all);
    state(&mut controller, "seen").clear().unwrap();
    state(&mut controller, "seen").write(read).unwrap();
    assert_eq!(state(&mut controller, "seen").read().unwrap().len(), 1_000);
    let listed = operate_once(&mut controller, &Request::StateList { filter: "guard".to_owned() }).unwrap();
    let Reply::States(listed) = listed else { panic!("{listed:?}") };
    let brief = |info: &StateInfo| (info.store, info.name.clone(), info.capacity, info.entries);
    let listed: Vec<_> = listed.iter().map(brief).collect();
    assert!(listed.contains(&(Store::State, "seen".to_owned(), 1_024, 1_000)), "{listed:?}");
    assert!(listed.contains(&(Store::Table, "names".to_owned(), 2, 0)), "{listed:?}");
    // What expires while the clock goes on is not told.
    switch.clock.advance(60_000_000_000);
    assert_eq!(state(&mut controller, "seen").read().unwrap(), []);
    switch.stop();
}

#[test]
fn an_entry_that_does_not_fit_changes_nothing_and_says_why() {
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    load_guard(&mut controller);
    let good = entry(None, &[1], &[1]);
    for (bad, says) in [
        (entry(None, &[1, 2], &[1]), "expected 1 parts of a key, found 2"),
        (entry(None, &[70_000], &[1]), "expected at most 65535 for part 0, found 70000"),
        (entry(None, &[1], &[]), "expected 1 scalars, found 0"),
        (entry(None, &[1], &[1 << 40]), "expected at most 4294967295 for scalar 0"),
    ] {
        for kept in ["few", "names"] {
            let store = if kept == "few" { Store::State } else { Store::Table };
            let mut kept = Kept { controller: &mut controller, store, name: kept };
            let error = kept.write(vec![good.clone(), bad.clone()]).unwrap_err();
            assert_eq!(error.code, OkoErrorCode::BadValue);
            assert!(error.text.contains(says), "{}", error.text);
            assert_eq!(kept.read().unwrap(), [], "not even the good one");
        }
    }
    let long = [4, 0, 0, 129];
    let error = table(&mut controller, "blocked").write(vec![entry(None, &long, &[])]).unwrap_err();
    assert!(error.text.contains("expected a prefix of 128 bits, found 129"), "{}", error.text);
    let behind = prefix([10, 0, 0, 1], 8);
    let error = table(&mut controller, "blocked").get(&[&behind]).unwrap_err();
    assert!(error.text.contains("bits behind"), "{}", error.text);
    // No room is told entry by entry.
    let three = (1..=3).map(|port| entry(None, &[port], &[1])).collect();
    assert_eq!(state(&mut controller, "few").write(three).unwrap(), (2, 1));
    let three = (1..=3).map(|port| entry(None, &[port], &[1])).collect();
    assert_eq!(table(&mut controller, "names").write(three).unwrap(), (2, 1));
    let error = state(&mut controller, "names").read().unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NoSuchState);
    assert!(error.text.contains("`names` is a table"), "{}", error.text);
    let error = table(&mut controller, "few").clear().unwrap_err();
    assert!(error.text.contains("`few` is a state"), "{}", error.text);
    let error = table(&mut controller, "nothing").clear().unwrap_err();
    assert!(error.text.contains("no state `nothing`; there are:"), "{}", error.text);
    assert_eq!(state(&mut controller, "few").read().unwrap().len(), 2);
    // A slave may look and not touch.
    let slave = Message::RoleRequest(RoleMsg { role: Role::Slave, generation_id: 1 });
    controller.ask(&slave);
    assert_eq!(state(&mut controller, "few").read().unwrap().len(), 2);
    let (filter, name) = ("guard".to_owned(), "few".to_owned());
    let sent = controller.send_parts(&Request::Clear { store: Store::State, filter, name }.to_messages());
    let (xid, reply) = controller.receive();
    let Message::Error(ErrorMsg::Standard { ty, code, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!((xid, ErrorCode::from_wire(ty, code)), (sent, Some(ErrorCode::RequestIsSlave)));
    switch.stop();
}

/// Reads events until there were so many, told or lost.
fn events(controller: &mut Controller, until: u64) -> (Vec<Event>, u64) {
    let (mut all, mut all_lost) = (Vec::new(), 0);
    while all.len() as u64 + all_lost < until {
        let (events, lost) = told(controller);
        all.extend(events);
        all_lost += lost;
    }
    (all, all_lost)
}

#[test]
fn who_asked_for_events_gets_them_and_nobody_else() {
    let frames: Vec<_> = (0..300).map(|i| udp(i, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    let filter = drop_guarded(&mut controller);
    table(&mut controller, "blocked").write(vec![entry(None, &prefix([10, 0, 0, 0], 8), &[])]).unwrap();

    let (mut one, mut all, mut none) = (switch.connect(), switch.connect(), switch.connect());
    subscribe(&mut one, "guard").unwrap();
    subscribe(&mut one, "guard").unwrap();
    subscribe(&mut all, "").unwrap();
    subscribe(&mut none, "guard").unwrap();
    operate(&mut none, &Request::EventUnsubscribe { filter: "guard".to_owned() }).unwrap();
    let error = subscribe(&mut none, "gard").unwrap_err();
    assert_eq!(error.code, OkoErrorCode::NoSuchFilter);

    controller.up(1);
    controller.wait_for(1, 300);
    for subscriber in [&mut one, &mut all] {
        let (events, lost) = events(subscriber, 300);
        assert_eq!(lost, 0);
        let ports: Vec<u64> = events.iter().map(|event| event.values[1]).collect();
        assert_eq!(ports, (0..300).collect::<Vec<_>>());
        assert!(events.iter().all(|e| (e.name.as_str(), e.filter_name.as_str()) == ("forbidden", "guard")));
        assert_eq!((events[0].values[0], events[0].filter), (0x0a00_0001, filter.id));
    }
    // To the third nothing was sent: its echo is the next thing it gets.
    none.send(&Message::EchoRequest(vec![1]));
    assert_eq!(none.event(), Message::EchoReply(vec![1]), "changes of ports passed over");
    switch.stop();
}

#[test]
fn a_subscriber_that_does_not_read_loses_events_and_is_told_how_many() {
    let frames: Vec<_> = (0..60_000).map(|i| udp((i % 50_000) as u16, 53)).collect();
    let mut switch = TestSwitch::start(&[&frames, &[]]);
    let mut controller = switch.connect();
    drop_guarded(&mut controller);
    table(&mut controller, "blocked").write(vec![entry(None, &prefix([10, 0, 0, 0], 8), &[])]).unwrap();
    let mut slow = switch.connect();
    subscribe(&mut slow, "guard").unwrap();
    controller.up(1);
    controller.wait_for(1, 60_000);
    let (events, lost) = events(&mut slow, 60_000);
    assert_eq!(events.len() as u64 + lost, 60_000);
    assert!(lost > 0, "the ring holds less than that many at once");
    switch.stop();
}

/// Nothing ever sees an expired entry; but how full a state is said to be is what is there, and that goes down by itself.
#[test]
fn expired_entries_go_without_anybody_asking() {
    let switch = TestSwitch::start(&[&[], &[]]);
    let mut controller = switch.connect();
    load_guard(&mut controller);
    let entries: Vec<StateEntry> = (0..1_000)
        .map(|port| entry(Some(if port == 7 { 60_000_000_000 } else { 10_000_000 }), &[port], &[1]))
        .collect();
    assert_eq!(state(&mut controller, "seen").write(entries).unwrap(), (1_000, 0));
    let held = |controller: &mut Controller| {
        let request = Request::StateList { filter: "guard".to_owned() };
        match operate_once(controller, &request).unwrap() {
            Reply::States(states) => states.into_iter().find(|state| state.name == "seen").unwrap().entries,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(held(&mut controller), 1_000, "none has expired yet");
    switch.clock.advance(5_000_000_000);
    let begin = std::time::Instant::now();
    while held(&mut controller) > 1 {
        assert!(begin.elapsed().as_secs() < 20, "{} are still there", held(&mut controller));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(state(&mut controller, "seen").get(&[&[7]]).unwrap().len(), 1, "what lives stays");
}
