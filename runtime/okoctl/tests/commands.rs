//! `okoctl` against a scripted switch: what it sends, what it prints, what it says when the switch refuses.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use oko_openflow::flow::FlowStats;
use oko_openflow::oko::*;
use oko_openflow::port::*;
use oko_openflow::*;
use tempfile::TempDir;

/// A switch that answers as it is told and reports every message that it got.
struct FakeSwitch {
    _dir: TempDir,
    socket: PathBuf,
    got: Receiver<Message>,
}

type Script = dyn Fn(u32, &Message) -> Vec<Vec<u8>> + Send + Sync;

impl FakeSwitch {
    /// A switch with two ports, one filter and one flow, on which `script` has the first say.
    fn new(script: impl Fn(&Message) -> Option<Vec<Message>> + Send + Sync + 'static) -> FakeSwitch {
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("okod.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (sender, got) = channel();
        let answer = move |xid: u32, message: &Message| -> Vec<Vec<u8>> {
            let _ = sender.send(message.clone());
            match script(message) {
                Some(messages) => messages.iter().map(|m| m.encode(xid).unwrap()).collect(),
                None => usual(xid, message),
            }
        };
        thread::spawn(move || {
            let answer: Arc<Script> = Arc::new(answer);
            for stream in listener.incoming() {
                let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        FakeSwitch { _dir: dir, socket, got }
    }

    fn plain() -> FakeSwitch {
        FakeSwitch::new(|_| None)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(&["--switch", self.socket.to_str().unwrap()], arguments)
    }

    fn flow_mods(&self) -> Vec<FlowMod> {
        let mods = self.got.try_iter().filter_map(|m| match m {
            Message::FlowMod(flow) => Some(flow),
            _ => None,
        });
        mods.collect()
    }
}

fn serve(mut stream: UnixStream, answer: &Script) {
    let mut received = Vec::new();
    loop {
        if let Frame::Whole(length) = frame(&received) {
            let bytes: Vec<u8> = received.drain(..length).collect();
            let xid = Header::read(&bytes).unwrap().xid;
            for reply in answer(xid, &Message::decode(&bytes).unwrap()) {
                if stream.write_all(&reply).is_err() {
                    return;
                }
            }
            continue;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(n) => received.extend_from_slice(&chunk[..n]),
        }
    }
}

fn usual(xid: u32, message: &Message) -> Vec<Vec<u8>> {
    let one = |message: Message| vec![message.encode(xid).unwrap()];
    let oko = |reply: Reply| reply.to_messages().iter().map(|m| m.encode(xid).unwrap()).collect();
    match message {
        // An echo request and an asynchronous message come in between, as from any switch.
        Message::Hello(_) => vec![
            Message::Hello(Hello::of(&[Version::V1_3])).encode(xid).unwrap(),
            Message::EchoRequest(vec![1]).encode(77).unwrap(),
            Message::PortStatus(PortStatus { reason: PortReason::Modify, port: ports().remove(0) })
                .encode(0)
                .unwrap(),
        ],
        Message::BarrierRequest => one(Message::BarrierReply),
        Message::MultipartRequest { request: MultipartRequest::PortDesc(_), .. } => {
            MultipartReply::PortDesc(ports()).encode_parts(xid)
        }
        Message::MultipartRequest { request: MultipartRequest::PortStats(_), .. } => {
            let stats = PortStats { rx_packets: 12, rx_bytes: 2_048, ..PortStats::unsupported(PortNo(1)) };
            MultipartReply::PortStats(vec![stats]).encode_parts(xid)
        }
        Message::MultipartRequest { request: MultipartRequest::Flow(_), .. } => {
            MultipartReply::Flow(flows()).encode_parts(xid)
        }
        Message::Oko(part) => match part.operation {
            Operation::FilterLoad if part.more => Vec::new(),
            Operation::FilterLoad | Operation::FilterList => {
                oko(Reply::Filters { operation: part.operation, filters: vec![filter()] })
            }
            Operation::FilterUnload => oko(Reply::Done { operation: part.operation }),
            Operation::FilterSchema => oko(Reply::Schema(SCHEMA.into())),
            Operation::StateList => oko(Reply::States(states())),
            Operation::StateRead | Operation::StateGet | Operation::TableRead | Operation::TableGet => {
                match Request::decode(part.operation, &part.body) {
                    Ok(Request::Read { name, .. }) if name == "servers" => oko(servers()),
                    Ok(Request::Read { .. }) => oko(pairs()),
                    Ok(Request::Get { keys, store, .. }) => {
                        let entries = if keys.is_empty() { Vec::new() } else { vec![pair()] };
                        oko(Reply::Entries { operation: store.get(), now: 500_000_000_000, entries })
                    }
                    other => panic!("{other:?}"),
                }
            }
            Operation::StateWrite => oko(Reply::Written { store: Store::State, written: 1, refused: 0 }),
            Operation::TableWrite => oko(Reply::Written { store: Store::Table, written: 0, refused: 1 }),
            Operation::StateDelete => oko(Reply::Deleted { store: Store::State, deleted: 2 }),
            Operation::TableDelete => oko(Reply::Deleted { store: Store::Table, deleted: 0 }),
            Operation::StateClear | Operation::TableClear => oko(Reply::Done { operation: part.operation }),
            Operation::EventSubscribe => {
                let event = |port| Event {
                    time: 499_999_000_000,
                    filter: FilterId(7),
                    filter_name: "syn_flood".to_owned(),
                    name: "flood".to_owned(),
                    values: vec![0x0a00_0001, port],
                };
                let events =
                    Reply::Events { now: 500_000_000_000, lost: 3, events: vec![event(80), event(443)] };
                let events = events.to_messages().into_iter().map(|m| m.encode(0).unwrap());
                [oko(Reply::Done { operation: part.operation }), events.collect()].concat()
            }
            Operation::ParamGet | Operation::ParamSet => oko(Reply::Params {
                operation: part.operation,
                params: vec![
                    ParamValue { name: "excess".to_owned(), value: 1_000 },
                    ParamValue { name: "hold".to_owned(), value: 2_500_000_000 },
                ],
            }),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

const SCHEMA: &str = r#"{
    "format": 1, "compiler": "okoc 0.1.0", "source_hash": "00",
    "filters": [{"name": "syn_flood", "classes": []}],
    "params": [
        {"name": "excess", "type": "uint", "min": 1, "max": 10000000, "default": 1000, "doc": "SYNs too many"},
        {"name": "hold", "type": "duration", "min": 1000000, "max": 60000000000, "default": 1000000000}
    ],
    "states": [{
        "name": "servers", "capacity": 65536, "when_full": "evict_oldest", "expire": 60000000000, "bytes": 4194304,
        "key": [{"name": "", "type": "ip4"}],
        "value": [{"name": "opened", "type": "counter"}, {"name": "busy", "type": "bool"}]
    }, {
        "name": "pairs", "capacity": 4, "when_full": "refuse", "bytes": 1024,
        "key": [{"name": "0", "type": "ip4"}, {"name": "1", "type": "uint"}],
        "value": [{"name": "", "type": {"enum": [["New", 0], ["Open", 1]]}}]
    }, {
        "name": "inside", "container": "prefix_table", "capacity": 4, "when_full": "refuse", "bytes": 1024,
        "key": [{"name": "", "type": "prefix"}], "value": []
    }],
    "events": [{"name": "flood", "fields": [{"name": "server", "type": "ip4"}, {"name": "port", "type": "uint"}]}]
}"#;

fn filter() -> FilterInfo {
    FilterInfo {
        id: FilterId(7),
        name: "syn_flood".to_owned(),
        boolean: true,
        classes: vec![
            ClassInfo { number: 0, name: "false".to_owned(), packets: 990 },
            ClassInfo { number: 1, name: "true".to_owned(), packets: 10 },
        ],
        packets: 1_000,
        state_bytes: 4_194_304,
        age: 90_000_000_000,
        flows: 1,
    }
}

fn pair() -> StateEntry {
    StateEntry { age: 0, expires_in: Some(1_000_000), key: vec![0x0a00_0001, 80], value: vec![1] }
}

fn pairs() -> Reply {
    Reply::Entries { operation: Operation::StateRead, now: 500_000_000_000, entries: vec![pair()] }
}

fn states() -> Vec<StateInfo> {
    let state = |store, name: &str, capacity, entries| StateInfo {
        store,
        name: name.to_owned(),
        capacity,
        entries,
        refused: 3,
        evicted: 0,
        bytes: 4_194_304,
    };
    vec![state(Store::State, "servers", 65_536, 12), state(Store::Table, "inside", 4, 1)]
}

fn servers() -> Reply {
    let entry = |address, opened, age, expires_in| StateEntry {
        age,
        expires_in,
        key: vec![address],
        value: vec![opened, 1],
    };
    Reply::Entries {
        operation: Operation::StateRead,
        now: 500_000_000_000,
        entries: vec![
            entry(0xc000_0207, 5, 2_000_000_000, None),
            entry(0x0a00_0001, 70_000, 500_000_000, Some(59_500_000_000)),
        ],
    }
}

fn ports() -> Vec<Port> {
    let down = PortConfig::PORT_DOWN;
    vec![
        Port::new(PortNo(1), [2, 0, 0, 0, 0, 1], "client"),
        Port { config: down, ..Port::new(PortNo(2), [2, 0, 0, 0, 0, 2], "server") },
    ]
}

fn flows() -> Vec<FlowStats> {
    let mut matching = Match::any().with(Field::EthType, 0x0800).with(Field::IpProto, 6);
    matching.filter = Some(FilterMatch { filter: FilterId(7), class: 1 });
    let flow = FlowStats {
        importance: 0,
        table: TableId(0),
        duration: Duration::from_millis(1_500),
        priority: 100,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowModFlags::empty(),
        cookie: 0,
        packets: 10,
        bytes: 600,
        matching,
        instructions: Instructions::none(),
    };
    let output = Instructions::apply(vec![Action::output(PortNo(2))]);
    let rest = FlowStats { priority: 1, matching: Match::any(), instructions: output, ..flow.clone() };
    vec![rest, flow]
}

struct Run {
    out: String,
    err: String,
    ok: bool,
}

impl Run {
    fn succeeded(self) -> String {
        assert!(self.ok, "{}", self.err);
        self.out
    }

    fn failed(self) -> String {
        assert!(!self.ok, "{}", self.out);
        assert_eq!(self.out, "", "nothing is printed beside the error");
        self.err
    }

    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.succeeded()).unwrap()
    }
}

fn run(before: &[&str], arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_okoctl"))
        .args(before)
        .args(arguments)
        .env_remove("OKO_SWITCH")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    Run {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        ok: output.status.success(),
    }
}

/// All of these, in this order.
fn assert_has(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} (in order) in:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

/// The words of each line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn refusal(error: OkoError) -> impl Fn(&Message) -> Option<Vec<Message>> + Send {
    move |message| match message {
        Message::Oko(part) if !part.more && part.operation != Operation::FilterList => {
            Some(vec![Message::Error(error.to_message())])
        }
        _ => None,
    }
}

#[test]
fn a_filter_is_loaded_whole_and_under_the_name_that_is_asked_for() {
    let switch = FakeSwitch::plain();
    let file = switch.socket.with_file_name("syn_flood.o");
    let artifact: Vec<u8> = (0..150_000_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&file, &artifact).unwrap();
    let out = switch.run(&["filter", "load", file.to_str().unwrap(), "--name", "flood"]).succeeded();
    assert_eq!(out, "loaded syn_flood (id 7, 4 MiB of state)\n");
    let mut assembler = Assembler::new(1 << 20);
    let requests: Vec<Request> = switch
        .got
        .try_iter()
        .filter_map(|m| match m {
            Message::Oko(part) => assembler.push(1, &part).unwrap(),
            _ => None,
        })
        .collect();
    assert_eq!(requests, [Request::Load { name: "flood".to_owned(), abi: Abi::Linux, artifact }]);
}

#[test]
fn filters_are_listed_with_what_they_answered() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["filter", "list"]).succeeded();
    assert_has(
        &out,
        &["ID", "NAME", "7", "syn_flood", "1000", "false 990, true 10", "1 flow", "4 MiB", "1m30s ago"],
    );
    let json = switch.run(&["--json", "filter", "list"]).json();
    assert_eq!(json[0]["name"], "syn_flood");
    assert_eq!(json[0]["classes"][1], serde_json::json!({ "name": "true", "number": 1, "packets": 10 }));
}

#[test]
fn the_verifiers_report_is_shown_as_it_is() {
    let report = "R1 may be null\n  at instruction 7: r2 = *(u32 *)(r1 + 0)\n  because `find` may miss";
    let switch = FakeSwitch::new(refusal(OkoError::new(OkoErrorCode::VerifierRefused, report)));
    let file = switch.socket.with_file_name("bad.o");
    std::fs::write(&file, b"not empty").unwrap();
    let err = switch.run(&["filter", "load", file.to_str().unwrap()]).failed();
    assert_has(
        &err,
        &["R1 may be null", "at instruction 7: r2 = *(u32 *)(r1 + 0)", "because `find` may miss"],
    );
    let err = switch.run(&["--json", "filter", "load", file.to_str().unwrap()]).failed();
    let json: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(json["error"]["kind"], "verifier_refused");
    assert_eq!(json["error"]["message"], report);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let switch = FakeSwitch::plain();
    let err = switch.run(&["filter", "load", "no/such/file.o"]).failed();
    assert_has(&err, &["cannot read no/such/file.o", "No such file"]);
}

#[test]
fn flows_are_added_with_the_filters_id_and_ports_by_name() {
    let switch = FakeSwitch::plain();
    let out = switch
        .run(&[
            "flow",
            "add",
            "priority=100,tcp,filter=syn_flood,actions=drop",
            "in_port=client,actions=output:server",
        ])
        .succeeded();
    assert_eq!(out, "added 2 flows\n");
    let mods = switch.flow_mods();
    assert_eq!(mods.len(), 2);
    assert_eq!(mods[0].command, FlowModCommand::Add);
    assert_eq!(mods[0].priority, 100);
    assert_eq!(mods[0].matching.filter, Some(FilterMatch { filter: FilterId(7), class: 1 }));
    assert_eq!(mods[1].instructions, Instructions::apply(vec![Action::output(PortNo(2))]));
}

#[test]
fn no_flow_is_sent_if_one_cannot_be_read_and_the_wrong_part_is_marked() {
    let switch = FakeSwitch::plain();
    let err = switch.run(&["flow", "add", "actions=drop", "tcp,filter=syn_flod,actions=drop"]).failed();
    assert_has(
        &err,
        &[
            "no filter is called `syn_flod`",
            "tcp,filter=syn_flod,actions=drop",
            "expected the name of a loaded filter",
            "did you mean `syn_flood`?",
        ],
    );
    assert_eq!(switch.flow_mods(), []);
}

#[test]
fn a_flow_that_the_switch_refuses_is_named_with_the_reason() {
    let switch = FakeSwitch::new(|message| match message {
        Message::FlowMod(flow) if flow.priority == 2 => {
            Some(vec![Message::Error(ErrorMsg::new(ErrorCode::FlowModTableFull, &[]))])
        }
        _ => None,
    });
    let err = switch.run(&["flow", "add", "priority=1,actions=drop", "priority=2,actions=drop"]).failed();
    assert_has(
        &err,
        &[
            "refused the flow: OFPFMFC_TABLE_FULL: the table is full",
            "priority=2,actions=drop",
            "the 1 before it is in effect",
        ],
    );
}

#[test]
fn flows_are_deleted_and_changed_loosely_or_strictly() {
    let cases: &[(&[&str], FlowModCommand)] = &[
        (&["flow", "del"], FlowModCommand::Delete),
        (&["flow", "del", "tcp", "--strict"], FlowModCommand::DeleteStrict),
        (&["flow", "mod", "tcp,actions=1"], FlowModCommand::Modify),
        (&["flow", "mod", "--strict", "tcp,actions=1"], FlowModCommand::ModifyStrict),
    ];
    let switch = FakeSwitch::plain();
    for (arguments, command) in cases {
        switch.run(arguments).succeeded();
        let mods = switch.flow_mods();
        assert_eq!(mods.iter().map(|m| m.command).collect::<Vec<_>>(), [*command], "{arguments:?}");
    }
}

#[test]
fn flows_are_listed_by_table_and_priority_and_can_be_read_back() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["flow", "list"]).succeeded();
    assert_eq!(
        out,
        "cookie=0x0, duration=1.500s, table=0, n_packets=10, n_bytes=600, priority=100,tcp,filter=syn_flood \
         actions=drop\n\
         cookie=0x0, duration=1.500s, table=0, n_packets=10, n_bytes=600, priority=1 actions=output:server\n"
    );
    let lines: Vec<&str> = out.lines().collect();
    switch.got.try_iter().for_each(drop);
    switch.run(&["flow", "add", lines[0]]).succeeded();
    assert_eq!(switch.flow_mods()[0].matching, flows()[1].matching);
    let json = switch.run(&["flow", "list", "tcp", "--json"]).json();
    assert_eq!(json[0]["match"], "tcp,filter=syn_flood");
    assert_eq!(json[0]["packets"], 10);
}

#[test]
fn state_is_printed_by_its_types_newest_first() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["state", "dump", "syn_flood"]).succeeded();
    assert_eq!(
        words(&out),
        [
            vec!["servers:", "2", "entries", "of", "at", "most", "65536"],
            vec!["KEY", "OPENED", "BUSY", "AGE", "EXPIRES", "IN"],
            vec!["10.0.0.1", "70000", "true", "500ms", "59.5s"],
            vec!["192.0.2.7", "5", "true", "2s", "never"],
            vec![],
            vec!["pairs:", "1", "entry", "of", "at", "most", "4"],
            vec!["KEY.0", "KEY.1", "VALUE", "AGE", "EXPIRES", "IN"],
            vec!["10.0.0.1", "80", "Open", "0ns", "1ms"],
        ]
    );
    let json = switch.run(&["--json", "state", "dump", "syn_flood", "servers"]).json();
    assert_eq!(
        json["servers"][1],
        serde_json::json!({
            "key": "192.0.2.7",
            "value": { "opened": 5, "busy": true },
            "age_ns": 2_000_000_000_u64,
            "expires_in_ns": null,
        })
    );
    let json = switch.run(&["--json", "state", "dump", "syn_flood", "pairs"]).json();
    assert_eq!(json["pairs"][0]["key"], serde_json::json!({ "0": "10.0.0.1", "1": 80 }));
    assert_eq!(json["pairs"][0]["value"], "Open");
    let err = switch.run(&["state", "dump", "syn_flood", "clients"]).failed();
    assert_has(&err, &["filter syn_flood has no state `clients`", "it has servers, pairs"]);
}

#[test]
fn params_are_read_and_set_with_their_units_and_within_their_ranges() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["param", "get", "syn_flood"]).succeeded();
    assert_has(&out, &["excess", "1000", "1 to 10000000", "SYNs too many", "hold", "2.5s", "1ms to 1m0s"]);
    switch.got.try_iter().for_each(drop);
    switch.run(&["param", "set", "syn_flood", "excess=5_000", "hold=20ms"]).succeeded();
    let sent = switch.got.try_iter().find_map(|m| match m {
        Message::Oko(part) if part.operation == Operation::ParamSet => {
            Some(Request::decode(part.operation, &part.body).unwrap())
        }
        _ => None,
    });
    let values = vec![("excess".to_owned(), 5_000), ("hold".to_owned(), 20_000_000)];
    assert_eq!(sent, Some(Request::ParamSet { filter: "syn_flood".to_owned(), values }));

    for (value, parts) in [
        ("excess=0", ["`0` is no value for excess", "expected 1 to 10000000"]),
        ("hold=5", ["`5` is no value for hold", "expected a duration"]),
        ("limit=5", ["filter syn_flood has no param `limit`", "it has excess, hold"]),
        ("excess", ["`excess` sets no param", "expected NAME=VALUE"]),
    ] {
        assert_has(&switch.run(&["param", "set", "syn_flood", value]).failed(), &parts);
    }
}

#[test]
fn ports_are_listed_and_brought_up() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["port", "list"]).succeeded();
    let lines = words(&out);
    assert_eq!(lines[1], ["1", "client", "02:00:00:00:00:01", "up", "12", "2", "KiB", "?", "?", "?"]);
    assert_eq!(lines[2][..4], ["2", "server", "02:00:00:00:00:02", "down"]);
    let json = switch.run(&["port", "list", "--json"]).json();
    assert_eq!((&json[0]["rx_packets"], &json[0]["tx_packets"]), (&12.into(), &serde_json::Value::Null));
    switch.got.try_iter().for_each(drop);
    assert_eq!(switch.run(&["port", "up", "server"]).succeeded(), "port server is up\n");
    let change = switch.got.try_iter().find_map(|m| match m {
        Message::PortMod(change) => Some(change),
        _ => None,
    });
    let change = change.unwrap();
    assert_eq!(
        (change.number, change.config, change.mask),
        (PortNo(2), PortConfig::empty(), PortConfig::PORT_DOWN)
    );
    assert_has(
        &switch.run(&["port", "up", "eth9"]).failed(),
        &["no port is called `eth9`", "client (1), server (2)"],
    );
}

#[test]
fn entries_are_read_written_and_deleted_by_keys_as_people_write_them() {
    let switch = FakeSwitch::plain();
    let asked = |switch: &FakeSwitch| {
        let parts = switch.got.try_iter().filter_map(|m| match m {
            Message::Oko(part) => Some(Request::decode(part.operation, &part.body).unwrap()),
            _ => None,
        });
        parts.filter(|request| !matches!(request, Request::Schema { .. })).collect::<Vec<_>>()
    };
    let out = switch.run(&["state", "list", "syn_flood"]).succeeded();
    assert_has(&out, &["servers", "12", "65536", "4 MiB"]);
    assert!(!out.contains("inside"), "{out}");
    assert_has(&switch.run(&["table", "list", "syn_flood"]).succeeded(), &["inside", "1", "4"]);
    asked(&switch);

    let out = switch.run(&["state", "get", "syn_flood", "pairs", "10.0.0.1,80"]).succeeded();
    assert_has(&out, &["10.0.0.1", "80", "Open", "1ms"]);
    let (filter, name) = ("syn_flood".to_owned(), "pairs".to_owned());
    let keys = vec![vec![0x0a00_0001, 80]];
    assert_eq!(asked(&switch), [Request::Get { store: Store::State, filter, name, keys }]);

    switch.run(&["state", "set", "syn_flood", "servers", "10.0.0.1", "opened=5,busy=true"]).succeeded();
    switch.run(&["state", "set", "syn_flood", "pairs", "10.0.0.1,80", "New", "--expire", "2s"]).succeeded();
    let written: Vec<StateEntry> = asked(&switch)
        .into_iter()
        .filter_map(|request| match request {
            Request::Write { entries, .. } => Some(entries),
            _ => None,
        })
        .flatten()
        .collect();
    let entry = |expires_in, key, value| StateEntry { age: 0, expires_in, key, value };
    assert_eq!(
        written,
        [
            // As the state declares.
            entry(Some(60_000_000_000), vec![0x0a00_0001], vec![5, 1]),
            entry(Some(2_000_000_000), vec![0x0a00_0001, 80], vec![0]),
        ]
    );
    assert_eq!(
        switch.run(&["state", "delete", "syn_flood", "servers", "10.0.0.1", "10.0.0.2"]).succeeded(),
        "2 entries deleted\n"
    );
    assert_eq!(
        switch.run(&["state", "clear", "syn_flood", "servers"]).succeeded(),
        "state servers is empty\n"
    );

    asked(&switch);
    let err = switch.run(&["table", "insert", "syn_flood", "inside", "10.0.0.0/8"]).failed();
    assert_has(&err, &["table inside is full: it holds 4 entries"]);
    let written = asked(&switch).into_iter().find_map(|request| match request {
        Request::Write { store: Store::Table, entries, .. } => Some(entries),
        _ => None,
    });
    assert_eq!(written.unwrap(), [entry(None, vec![4, 0x0a00_0000 << 32, 0, 8], Vec::new())]);
    let err = switch.run(&["table", "delete", "syn_flood", "inside", "10.0.0.0/8"]).failed();
    assert_has(&err, &["table inside has no entry under `10.0.0.0/8`"]);
}

#[test]
fn an_entry_that_cannot_be_read_is_not_sent() {
    let switch = FakeSwitch::plain();
    for (words, says) in [
        (
            vec!["state", "set", "syn_flood", "servers", "10.0.0.1"],
            "expected a key and a value (opened,busy)",
        ),
        (
            vec!["state", "set", "syn_flood", "servers", "ten", "5,true"],
            "`ten` is no key; expected an IPv4 address",
        ),
        (
            vec!["state", "set", "syn_flood", "servers", "10.0.0.1", "5"],
            "expected 2 parts with commas between: opened,busy",
        ),
        (
            vec!["state", "set", "syn_flood", "servers", "10.0.0.1", "5,maybe"],
            "`maybe` is no value part busy; expected true or false",
        ),
        (
            vec!["state", "set", "syn_flood", "servers", "10.0.0.1", "busy=true,opened=5"],
            "`busy` is no value; expected `opened`",
        ),
        (
            vec!["state", "set", "syn_flood", "pairs", "10.0.0.1,80", "New", "--expire", "5"],
            "`5` is no --expire; expected never, or a duration",
        ),
        (
            vec!["table", "insert", "syn_flood", "inside", "10.0.0.1/8"],
            "no bits behind the first 8 of the address",
        ),
        (vec!["table", "insert", "syn_flood", "inside", "10.0.0.0/8", "1"], "expected a key"),
        (vec!["table", "dump", "syn_flood", "servers"], "filter syn_flood has no table `servers`"),
        (vec!["state", "dump", "syn_flood", "inside"], "it has servers, pairs"),
    ] {
        assert_has(&switch.run(&words).failed(), &[says]);
    }
    let wrote = |m: Message| matches!(m, Message::Oko(part) if matches!(part.operation, Operation::StateWrite | Operation::TableWrite));
    assert!(!switch.got.try_iter().any(wrote));
}

#[test]
fn events_are_printed_as_they_come() {
    let switch = FakeSwitch::plain();
    let out = switch.run(&["events", "syn_flood", "--count", "2"]).succeeded();
    assert_has(
        &out,
        &[
            "3 events were lost",
            "syn_flood flood server=10.0.0.1 port=80",
            "syn_flood flood server=10.0.0.1 port=443",
        ],
    );
    let out = switch.run(&["--json", "events", "--count", "1"]).succeeded();
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["lost"], 3);
    assert_eq!(lines[1]["values"], serde_json::json!({ "server": "10.0.0.1", "port": 80 }));
    assert_eq!(lines[1]["age_ns"], 1_000_000);
    assert_eq!(lines.len(), 2, "{out}");
    // More than there are: it ends when the time is over.
    switch.run(&["events", "--for", "200ms", "--count", "9"]).succeeded();
}

/// A switch closes connections that are silent for long.
#[test]
fn who_waits_for_events_keeps_no_other_connection() {
    let subscribed = |message: &Message| {
        let Message::Oko(OkoPart { operation: Operation::EventSubscribe, .. }) = message else { return None };
        Some(Reply::Done { operation: Operation::EventSubscribe }.to_messages())
    };
    let switch = FakeSwitch::new(subscribed);
    switch.run(&["events", "--for", "200ms"]).succeeded();
    let connections = switch.got.try_iter().filter(|message| matches!(message, Message::Hello(_))).count();
    assert_eq!(connections, 1);
}

#[test]
fn a_switch_that_is_not_there_is_told_apart_from_one_that_refuses() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("none.sock");
    let socket = socket.to_str().unwrap();
    let err = run(&["--switch", socket], &["filter", "list"]).failed();
    assert_has(&err, &["cannot connect to the switch at", "is okod running?", "okod", "--config"]);
    // A socket that nobody listens on any more.
    drop(UnixListener::bind(socket).unwrap());
    let err = run(&["--json", "--switch", socket], &["filter", "list"]).failed();
    let json: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(json["error"]["kind"], "cannot_connect");
    assert_has(json["error"]["message"].as_str().unwrap(), &["Connection refused"]);
    assert_has(json["error"]["help"].as_str().unwrap(), &["Start it with `okod --config FILE`", socket]);

    let switch = FakeSwitch::new(refusal(OkoError::new(OkoErrorCode::FilterInUse, "1 flow entry names it")));
    assert_has(&switch.run(&["filter", "unload", "syn_flood"]).failed(), &["1 flow entry names it"]);
}

#[test]
fn a_switch_of_another_version_or_protocol_is_told() {
    let switch = FakeSwitch::new(|message| match message {
        Message::Hello(_) => Some(vec![Message::Hello(Hello::of(&[Version::V1_0]))]),
        _ => None,
    });
    let err = switch.run(&["filter", "list"]).failed();
    assert_has(&err, &["the switch speaks OpenFlow 1.0, not OpenFlow 1.3"]);
    let switch = FakeSwitch::new(|message| match message {
        Message::Oko(_) => Some(vec![Message::Error(ErrorMsg::new(ErrorCode::RequestBadExperimenter, &[]))]),
        _ => None,
    });
    let err = switch.run(&["filter", "list"]).failed();
    assert_has(&err, &["OFPBRC_BAD_EXPERIMENTER", "it is no Oko switch"]);
    assert_eq!(
        switch.run(&["flow", "add", "actions=drop"]).succeeded(),
        "added 1 flow\n",
        "flows work all the same"
    );
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_else() {
    let err = run(&["--switch", "tcp:nowhere"], &["port", "list"]).failed();
    assert_has(&err, &["`tcp:nowhere` is no address of a switch; expected a path, or tcp:HOST:PORT"]);
}
