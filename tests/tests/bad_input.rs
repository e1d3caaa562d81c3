//! What is wrong gets a clear error that names it, changes nothing, and leaves the switch running: tried as users would, by their
//! tools, against one running `okod`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oko_bpf::isa::{Insn, encode};
use oko_bpf::object;
use oko_ir::interp::{Packet, Store, run};
use oko_openflow::{FlowMod, FlowModCommand, Hello, Instructions, Match, Message, Version};
use oko_tests::captures::{self, Recorded};
use oko_tests::examples::{self, Build};
use oko_tests::programs::{self, Ran};
use oko_tests::switch::{Folder, Switch, okod, sink_port, source_port};
use serde_json::Value;

/// The room in each flow table.
const CAPACITY: usize = 6;

fn example() -> std::path::PathBuf {
    examples::folder().join("syn_flood.oko")
}

/// A switch with a filter, three flows, and frames that wait in front of port 1.
fn start(frames: &[Recorded]) -> Switch {
    let folder = Folder::new();
    captures::write(&folder.file("in1.pcap"), frames);
    let object = folder.build(&example()).display().to_string();
    let config = "[worker]\nclock = \"capture\"\n".to_owned()
        + &source_port(&folder, 1, "in")
        + &sink_port(&folder, 2, "out");
    let switch = Switch::start(folder, &format!("table_capacity = {CAPACITY}"), &config);
    switch.tell(&["filter", "load", &object]);
    switch.tell(&[
        "flow",
        "add",
        "priority=100,in_port=1,tcp,filter=syn_flood,actions=drop",
        "priority=10,in_port=1,actions=output:2",
        "priority=9,udp,actions=drop",
    ]);
    switch
}

/// All that an operator can see of the switch, but for ages.
fn everything(switch: &Switch) -> Value {
    let parts: [&[&str]; 5] = [
        &["filter", "list"],
        &["flow", "list"],
        &["param", "get", "syn_flood"],
        &["state", "dump", "syn_flood"],
        &["port", "list"],
    ];
    let mut all: Vec<Value> = parts.iter().map(|words| switch.ask(words)).collect();
    for row in all.iter_mut().filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        row.remove("age_ns");
        row.remove("duration_s");
    }
    Value::Array(all)
}

/// Does something wrong; nothing may change by it.
#[track_caller]
fn changes_nothing<T>(switch: &mut Switch, wrong: impl FnOnce(&Switch) -> T) -> T {
    let before = everything(switch);
    let result = wrong(switch);
    switch.assert_runs();
    assert_eq!(everything(switch), before);
    result
}

/// A command to the switch that must be refused with these words, and change nothing.
#[track_caller]
fn refused(switch: &mut Switch, words: &[&str], says: &[&str]) {
    changes_nothing(switch, |switch| switch.okoctl(words)).fails_with(says);
}

fn okoc(folder: &Folder, words: &[&str]) -> Ran {
    programs::run(Command::new(programs::path("okoc")).args(words).current_dir(folder.file(".")))
}

#[test]
fn a_wrong_program_is_not_built() {
    let folder = Folder::new();
    folder.write("names.oko", "use std.net.{ipv4};\n\nfilter f -> bool {\n    match pkt { ipv4 => ipv4.sorce == 10.0.0.1, _ => false }\n}\n");
    okoc(&folder, &["build", "names.oko", "-o", "f.o"]).fails_with(&["names.oko:4", "sorce", "E0"]);
    folder.write("syntax.oko", "filter f -> bool { pkt.len < }\nfilter g -> bool { pkt.len + }\n");
    okoc(&folder, &["build", "syntax.oko", "-o", "f.o"]).fails_with(&["syntax.oko:1", "syntax.oko:2"]);
    folder.write("object.oko", b"\x7fELF\x02\x01\x01");
    okoc(&folder, &["build", "object.oko", "-o", "f.o"]).fails_with(&["object.oko"]);
    okoc(&folder, &["build", "nowhere.oko", "-o", "f.o"]).fails_with(&["nowhere.oko", "No such file"]);
    assert!(!folder.file("f.o").exists(), "no object of a program that is refused");
}

#[test]
fn bad_objects_are_refused() {
    let mut switch = start(&[]);
    let good = fs::read(switch.folder().file("syn_flood.o")).unwrap();
    let mut load = |content: &[u8], says: &[&str]| {
        let path = switch.folder().write("bad.o", content).display().to_string();
        refused(&mut switch, &["filter", "load", &path, "--name", "bad"], says);
    };
    // No objects at all.
    load(b"", &["not a BPF object file", "expected an ELF file"]);
    load(b"filter f -> bool { true }\n", &["not a BPF object file", "okoc build"]);
    load(&fs::read(example()).unwrap(), &["expected an ELF file"]);
    // Cut off: every tenth of it, and its last byte.
    for tenth in 0..10 {
        let part = &good[..(good.len() * tenth / 10).max(4)];
        load(
            part,
            &[
                "the switch refused the filter",
                "not a BPF object file",
                "help: copy or build the file again: it ends too early",
            ],
        );
    }
    load(&good[..good.len() - 1], &["the switch refused the filter", "not a BPF object file"]);
    // For another machine.
    let mut foreign = good.clone();
    foreign[18..20].copy_from_slice(&62u16.to_le_bytes());
    load(&foreign, &["expected BPF", "62", "code: oko::load::foreign"]);
    // Larger than a message may be.
    let path = switch.folder().write("large.o", vec![0x7f; 20 << 20]).display().to_string();
    refused(&mut switch, &["filter", "load", &path], &["longer than"]);
    let missing = switch.folder().text("missing.o");
    refused(&mut switch, &["filter", "load", &missing], &["missing.o", "No such file"]);
}

/// The object with other bytes in the place of these, which must be there.
fn replaced(object: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = object.windows(old.len()).position(|window| window == old).expect("the bytes are there");
    [&object[..at], new, &object[at + old.len()..]].concat()
}

#[test]
fn objects_that_fail_verification_are_refused_with_the_reason_and_the_place() {
    let mut switch = start(&[]);
    let good = fs::read(switch.folder().file("syn_flood.o")).unwrap();
    let mut load = |content: &[u8], says: &[&str]| {
        let path = switch.folder().write("bad.o", content).display().to_string();
        refused(&mut switch, &["filter", "load", &path, "--name", "bad"], says);
    };
    let program = &object::read(&good).unwrap().programs[0];
    // Ends at once, with no result in r0.
    let start = encode(&program.insns[..4]);
    let no_result = replaced(&good, &start, &[&encode(&[Insn::Exit]), &start[8..]].concat());
    load(
        &no_result,
        &["program `syn_flood` was refused by the BPF verifier", "r0", "code: oko::load::bpf_refused"],
    );
    // The parts contradict each other.
    let capacity =
        replaced(&good, b"hash evict_oldest, capacity 65536", b"hash evict_oldest, capacity 65535");
    load(&capacity, &["capacity", "65535", "65536", "code: oko::load::mismatch"]);
    let policy = replaced(&good, b"\"when_full\": \"evict_oldest\"", b"\"when_full\": \"evict_newest\"");
    load(&policy, &["evict_newest"]);
    // The IR reads what nothing defines, and is no IR.
    let undefined = replaced(&good, b"= param p0 @", b"= param p7 @");
    load(&undefined, &["p7"]);
    let garbled = replaced(&good, b"filter syn_flood -> bool {", b"filter syn_flood -> bool [");
    load(&garbled, &[".oko.ir", "code: oko::load::section"]);
}

#[test]
fn commands_about_what_is_not_there_name_it_and_what_is() {
    let mut switch = start(&[]);
    let object = switch.folder().text("syn_flood.o");
    let cases: &[(&[&str], &[&str])] = &[
        (&["filter", "load", &object], &["`syn_flood` is loaded already"]),
        (&["filter", "unload", "nobody"], &["no filter `nobody` is loaded", "syn_flood"]),
        (&["filter", "unload", "syn_flood"], &["1 flow entry names the filter `syn_flood`"]),
        (&["flow", "add", "tcp,filter=nobody,actions=drop"], &["no filter is called `nobody`", "syn_flood"]),
        (&["flow", "add", "tcp,filter=syn_flood:Nothing,actions=drop"], &["Nothing"]),
        (&["flow", "add", "tcp,tpdst=3,actions=drop"], &["unknown field `tpdst`", "did you mean `tp_dst`?"]),
        (&["flow", "add", "tcp,actions=output:77"], &["a port that it does not have"]),
        (&["flow", "add", "tcp,actions=output:nowhere"], &["nowhere"]),
        (&["flow", "add", "tcp"], &["actions"]),
        // None of several flows if one of them cannot be read.
        (
            &["flow", "add", "priority=1,arp,actions=drop", "priority=2,arp,actions=frobnicate"],
            &["frobnicate"],
        ),
        (&["param", "set", "syn_flood", "excess=0"], &["excess", "1 to 10000000"]),
        (&["param", "set", "syn_flood", "excess=5", "limit=5"], &["no param `limit`", "excess"]),
        (&["state", "dump", "syn_flood", "srevers"], &["no state `srevers`", "servers"]),
        (&["state", "dump", "nobody"], &["nobody"]),
        (&["port", "up", "p7"], &["no port is called `p7`", "in (1)"]),
    ];
    for (words, says) in cases {
        refused(&mut switch, words, says);
    }
}

#[test]
fn a_full_table_takes_no_more_and_keeps_what_it_has() {
    let mut switch = start(&[]);
    for priority in 1..=3 {
        switch.tell(&["flow", "add", &format!("priority={priority},actions=drop")]);
    }
    refused(&mut switch, &["flow", "add", "priority=4,actions=drop"], &["the table is full", "priority=4"]);
    // Room is for entries, so one may take the place of its like, another table has its own, and a deletion makes room.
    switch.tell(&["flow", "add", "priority=3,actions=output:2"]);
    switch.tell(&["flow", "add", "table=1,priority=4,actions=drop"]);
    switch.tell(&["flow", "del", "--strict", "priority=3"]);
    switch.tell(&["flow", "add", "priority=4,actions=drop"]);
    assert_eq!(switch.ask(&["flow", "list", "table=0"]).as_array().unwrap().len(), CAPACITY);
}

#[test]
fn a_wrong_configuration_starts_nothing_and_is_shown_with_its_line() {
    let mut switch = start(&[]);
    let port = |device: &str| format!("[[port]]\nnumber = 1\nname = \"uplink\"\ndevice = \"{device}\"\n");
    let folder = Folder::new();
    let cases: &[(String, &[&str])] = &[
        (
            port("net_null0").replace("device", "devise"),
            &["unknown key `devise`", "okod.toml:4", "did you mean `device`?"],
        ),
        (port("net_null0") + "[wroker]\n", &["unknown key `wroker`", "okod.toml:5"]),
        ("log = 3\n".to_owned(), &["okod.toml:1"]),
        (port("net_null0") + &port("net_null0"), &["okod.toml:6", "used twice"]),
        ("[openflow]\nlisten = \"0.0.0.0:6653\"\n".to_owned(), &["okod.toml:2", "loopback"]),
        ("number = \n".to_owned(), &["okod.toml:1"]),
        // Well written, but not to be had here.
        (
            format!("[openflow]\nsocket = \"{}\"\n", folder.text("no/such/folder.sock")),
            &["no/such/folder.sock"],
        ),
        (format!("[openflow]\nsocket = \"{}\"\n", switch.folder().text("okod.sock")), &["okod.sock"]),
    ];
    for (config, says) in cases {
        let ran = changes_nothing(&mut switch, |_| programs::run(&mut okod(&folder, config)));
        ran.fails_with(says);
    }
    let missing = folder.text("missing.toml");
    programs::run(Command::new(programs::path("okod")).args(["--config", &missing]))
        .fails_with(&["missing.toml"]);
}

#[test]
fn ports_that_cannot_start_are_named_and_the_others_work() {
    let folder = Folder::new();
    let frames = captures::read(&examples::folder().join("captures/firewall.pcap"));
    captures::write(&folder.file("in1.pcap"), &frames);
    let bad = [
        (7, format!("net_pcap7,rx_pcap={}", folder.text("nowhere.pcap")), "No such file or directory"),
        (8, "net_frobnicate0".to_owned(), "net_frobnicate0"),
        (9, "net_af_packet0,iface=oko-no-such".to_owned(), "No such device"),
    ];
    let mut config = source_port(&folder, 1, "in");
    for (number, device, _) in &bad {
        config += &format!("[[port]]\nnumber = {number}\nname = \"bad{number}\"\ndevice = \"{device}\"\n");
    }
    config += &sink_port(&folder, 2, "out");
    let mut switch = Switch::start(folder, "", &config);
    switch.wait_for("three errors", |switch| switch.log().matches("ERROR").count() >= bad.len());
    let log = switch.log();
    for (number, device, reason) in &bad {
        let line =
            log.lines().find(|line| line.contains("ERROR") && line.contains(&format!("port={number}")));
        assert!(line.is_some_and(|line| line.contains(device) && line.contains(reason)), "{number}: {log}");
    }
    switch.tell(&["flow", "add", "in_port=1,actions=output:2"]);
    switch.tell(&["port", "up", "in"]);
    switch.wait_for("traffic", |switch| switch.port("out", "tx_packets") == frames.len() as u64);
}

/// What comes on a connection until the switch has nothing more to say; whether it has closed it.
fn rest(stream: &mut UnixStream) -> (Vec<u8>, bool) {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (received, true),
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(_) => return (received, false),
        }
    }
}

#[test]
fn half_a_message_is_no_message() {
    let mut switch = start(&[]);
    let hello = Message::Hello(Hello::of(&[Version::V1_3])).encode(1).unwrap();
    let flow = FlowMod {
        matching: Match::any(),
        instructions: Instructions::none(),
        ..FlowMod::new(FlowModCommand::Add)
    };
    let flow = Message::FlowMod(flow).encode(2).unwrap();
    let socket = switch.folder().file("okod.sock");
    let connect = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&hello).unwrap();
        stream
    };
    // Cut off at every byte, and then the connection breaks, or stays as it is.
    let mut open = Vec::new();
    changes_nothing(&mut switch, |_| {
        for len in 0..flow.len() {
            let mut stream = connect();
            stream.write_all(&flow[..len]).unwrap();
            if len % 2 == 0 {
                open.push((len, stream));
            }
        }
    });
    // One that waited for its second half goes on when that comes.
    let (len, stream) = open.last_mut().unwrap();
    stream.write_all(&flow[*len..]).unwrap();
    switch.wait_for("flow of a message in two parts", |switch| {
        switch.ask(&["flow", "list"]).as_array().unwrap().len() == 4
    });
    drop(open);

    // What can be no message ends its own connection at most.
    let wrong: [(&str, &[u8]); 4] = [
        ("a length below that of the header", &[4, 14, 0, 4, 0, 0, 0, 9]),
        ("noise", &[0xff; 70_000]),
        ("a type that is none", &[4, 200, 0, 8, 0, 0, 0, 9]),
        ("a flow-mod without a body", &[4, 14, 0, 8, 0, 0, 0, 9]),
    ];
    for (what, bytes) in wrong {
        let (received, closed) = changes_nothing(&mut switch, |_| {
            let mut stream = connect();
            stream.write_all(bytes).unwrap();
            rest(&mut stream)
        });
        // Behind the hello: an error message, type 1.
        let hello_len = usize::from(u16::from_be_bytes([received[2], received[3]]));
        let error = &received[hello_len..];
        assert!(closed || error.get(..2) == Some(&[4, 1]), "{what}: {error:02x?}");
    }
}

#[test]
fn damaged_packets_go_by_the_tables_and_disturb_no_filter() {
    // A SYN and a record with options, cut at every length; then the flood as it was recorded.
    let capture = |name: &str| captures::read(&examples::folder().join("captures").join(name));
    let flood = capture("syn_flood.pcap");
    let start_of_time = flood[0].now;
    let whole = [flood[100].bytes.clone(), capture("mixed.pcap")[200].bytes.clone()];
    let damaged = whole.iter().flat_map(|bytes| captures::damaged(bytes, 60, 60, 200, 42));
    let mut frames: Vec<Recorded> = damaged
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| Recorded { now: start_of_time, bytes })
        .collect();
    frames.extend(flood.iter().cloned());

    let artifact = examples::compile(&example(), Build::Switch);
    let mut store = Store::new(&artifact.ir);
    let matched: Vec<bool> = frames
        .iter()
        .map(|frame| {
            run(&artifact.ir, 0, &mut store, Packet::whole(&frame.bytes, 1), frame.now).unwrap().class != 0
        })
        .collect();
    let expected: Vec<&Recorded> =
        frames.iter().zip(&matched).filter(|(_, matched)| !**matched).map(|(frame, _)| frame).collect();
    assert!(matched.contains(&true) && frames.len() > flood.len() + 400);

    let mut switch = start(&frames);
    switch.tell(&["port", "up", "in"]);
    let total = frames.len() as u64;
    switch.wait_for("sign of all packets", |switch| {
        let flows = switch.ask(&["flow", "list"]);
        flows.as_array().unwrap().iter().map(|flow| flow["packets"].as_u64().unwrap()).sum::<u64>() == total
    });
    let dropped = matched.iter().filter(|matched| **matched).count();
    let sent = expected.len() as u64;
    switch.wait_for("last packet", |switch| switch.port("out", "tx_packets") == sent);
    assert_eq!(switch.ask(&["filter", "list"])[0]["classes"][1]["packets"], dropped);
    let folder = switch.stop();
    let out = captures::read(&folder.file("out2.pcap"));
    let differs = out.iter().zip(&expected).position(|(out, expected)| out.bytes != expected.bytes);
    assert_eq!((differs, out.len()), (None, expected.len()));
}

#[test]
fn a_bad_capture_is_named_by_okoc() {
    let folder = Folder::new();
    let program = example().display().to_string();
    let good = fs::read(examples::folder().join("captures/firewall.pcap")).unwrap();
    folder.write("cut.pcap", &good[..good.len() - 5]);
    folder.write("text.pcap", "no capture");
    for name in ["cut.pcap", "text.pcap", "nowhere.pcap"] {
        okoc(&folder, &["run", &program, "--pcap", name, "--matched", "out.pcap"]).fails_with(&[name]);
        assert!(!Path::new(&folder.file("out.pcap")).exists());
    }
}
