//! One filter, end to end: a program becomes an object, a running switch takes it, a flow names it, and of a capture just the
//! packets come out that the IR interpreter lets through.
//!
//! `okod` runs without privileges and without huge pages; its ports are capture files. Its filters go by the capture's clock, so what
//! comes out does not depend on how fast the machine is.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use oko_compiler::Artifact;
use oko_ir::features::{Feature, features};
use oko_ir::interp::{Packet, StateDump, Store, run};
use oko_tests::captures::{self, Recorded};
use oko_tests::examples::{self, Build};
use oko_tests::switch::{Folder, Switch, sink_port, source_port};
use serde_json::Value;

/// The configuration's part that sets the filters' clock.
const CLOCK: &str = "[worker]\nclock = \"capture\"\n";

fn example(name: &str) -> PathBuf {
    examples::folder().join(format!("{name}.oko"))
}

fn capture(name: &str) -> Vec<Recorded> {
    captures::read(&examples::folder().join("captures").join(format!("{name}.pcap")))
}

/// The class of a match; of a filter with classes of its own, the second.
const MATCH: u32 = 1;

/// Which packets that come in by port 1 the interpreter says match, and what its states hold in the end.
fn expected(artifact: &Artifact, packets: &[&Recorded]) -> (Vec<bool>, Vec<StateDump>) {
    let mut store = Store::new(&artifact.ir);
    let verdicts = packets
        .iter()
        .map(|packet| {
            let asked = Packet::whole(&packet.bytes, 1);
            run(&artifact.ir, 0, &mut store, asked, packet.now).expect("checked IR has no faults").class
                == MATCH
        })
        .collect();
    (verdicts, store.dump())
}

/// Compares what a port sent with what it should have sent, and shows only the first difference.
#[track_caller]
fn assert_sent(sent: &[Recorded], expected: &[&Recorded], what: &str) {
    let differs = sent.iter().zip(expected).position(|(sent, expected)| sent.bytes != expected.bytes);
    assert_eq!(differs, None, "{what}: the first packet that should be another");
    assert_eq!(sent.len(), expected.len(), "{what}: packets");
}

/// The packets of all flows, by the flows' actions.
fn packets_by_actions(flows: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for flow in flows.as_array().expect("a list of flows") {
        let actions = flow["actions"].as_str().expect("a flow has actions").to_owned();
        *counts.entry(actions).or_default() += flow["packets"].as_u64().expect("a flow counts packets");
    }
    counts
}

/// Waits until all flows together have seen this many packets.
fn wait_for_packets(switch: &mut Switch, total: usize) {
    switch.wait_for(&format!("sign of {total} packets in the flows' counters"), |switch| {
        packets_by_actions(&switch.ask(&["flow", "list"])).values().sum::<u64>() == total as u64
    });
}

/// The fields of IPv4 TCP packets that say who talks to whom.
struct Tcp {
    source: Ipv4Addr,
    flags: u8,
}

fn ipv4_source(bytes: &[u8]) -> Option<Ipv4Addr> {
    let address = (bytes.get(12..14)? == [8, 0]).then(|| bytes.get(26..30))??;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(address).expect("4 bytes")))
}

fn tcp(bytes: &[u8]) -> Option<Tcp> {
    let source = ipv4_source(bytes)?;
    let header_len = usize::from(bytes[14] & 0xf) * 4;
    (bytes[23] == 6).then(|| Some(Tcp { source, flags: *bytes.get(14 + header_len + 13)? }))?
}

#[test]
fn a_syn_flood_is_dropped_and_its_server_goes_on_serving() {
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const SYN: u8 = 2;
    const ACK: u8 = 16;

    // The capture as seen by a switch in front of the server: port 1 leads outside, port 2 to the server.
    let all = capture("syn_flood");
    let is_servers = |packet: &&Recorded| ipv4_source(&packet.bytes) == Some(SERVER);
    let server_mac = all.iter().find(is_servers).expect("the server answers").bytes[6..12].to_vec();
    let (from_server, from_outside): (Vec<_>, Vec<_>) =
        all.iter().partition(|packet| packet.bytes[6..12] == server_mac);

    let program = example("syn_flood");
    let folder = Folder::new();
    captures::write(&folder.file("in1.pcap"), from_outside.iter().copied());
    captures::write(&folder.file("in2.pcap"), from_server.iter().copied());
    let object = folder.build(&program).display().to_string();
    // Each direction has its own two devices: a port must not be down when the first packet comes to it.
    let config = [
        source_port(&folder, 1, "outside"),
        source_port(&folder, 2, "server"),
        sink_port(&folder, 3, "to_server"),
        sink_port(&folder, 4, "to_outside"),
    ];
    let config = CLOCK.to_owned() + &config.concat();
    let mut switch = Switch::start(folder, "", &config);
    assert_ne!(switch.user(), 0, "the switch needs no root");

    switch.tell(&["filter", "load", &object]);
    switch.tell(&["flow", "add", "priority=100,in_port=1,tcp,filter=syn_flood,actions=drop"]);
    switch.tell(&["flow", "add", "priority=10,in_port=1,actions=output:to_server"]);
    switch.tell(&["flow", "add", "priority=10,in_port=2,actions=output:to_outside"]);
    switch.tell(&["port", "up", "outside"]);
    switch.tell(&["port", "up", "server"]);
    wait_for_packets(&mut switch, all.len());

    let (verdicts, states) = expected(&examples::compile(&program, Build::Switch), &from_outside);
    let by_verdict = |wanted: bool| -> Vec<&Recorded> {
        from_outside
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict == wanted)
            .map(|(packet, _)| *packet)
            .collect()
    };
    let (dropped, passed) = (by_verdict(true), by_verdict(false));

    // The counters of flows, filter and ports.
    let flows = switch.ask(&["flow", "list"]);
    let counts = packets_by_actions(&flows);
    let count = |actions: &str| {
        *counts
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(actions))
            .unwrap_or_else(|| panic!("no {actions}: {counts:?}"))
            .1
    };
    assert_eq!(count("drop"), dropped.len() as u64, "{flows}");
    let filters = switch.ask(&["filter", "list"]);
    let tcp_packets = from_outside.iter().filter(|packet| tcp(&packet.bytes).is_some()).count();
    assert_eq!(
        filters[0]["packets"], tcp_packets,
        "the filter is asked once about each TCP packet: {filters}"
    );
    assert_eq!(filters[0]["classes"][1]["packets"], dropped.len(), "{filters}");
    for (port, counter, packets) in [
        ("outside", "rx_packets", from_outside.len()),
        ("to_outside", "tx_packets", from_server.len()),
        ("server", "rx_packets", from_server.len()),
        ("to_server", "tx_packets", passed.len()),
    ] {
        let what = format!("{packets} {counter} of {port}");
        switch.wait_for(&what, |switch| switch.port(port, counter) == packets as u64);
    }

    // The state, as the operator sees it: clients and their counts are those of the interpreter.
    let dump = switch.ask(&["state", "dump", "syn_flood"]);
    let seen: BTreeMap<String, u64> = dump["clients"]
        .as_array()
        .expect("a list of clients")
        .iter()
        .map(|entry| {
            (entry["key"].as_str().expect("an address").to_owned(), entry["value"].as_u64().expect("a count"))
        })
        .collect();
    let clients: BTreeMap<String, u64> = (states[1].entries.iter())
        .map(|entry| {
            (Ipv4Addr::from(u32::try_from(entry.key[0]).expect("an address")).to_string(), entry.fields[0])
        })
        .collect();
    assert_eq!(seen, clients);
    assert_eq!(dump["servers"][0]["key"], SERVER.to_string(), "{}", dump["servers"]);

    // What came out, packet by packet.
    let folder = switch.stop();
    assert_sent(&captures::read(&folder.file("out3.pcap")), &passed, "to the server");
    assert_sent(&captures::read(&folder.file("out4.pcap")), &from_server, "from the server");

    // What a person wants of it, without any of our code: only SYNs of sources that never answered are dropped, and most of the flood is.
    let answered: BTreeSet<Ipv4Addr> = (from_outside.iter().filter_map(|packet| tcp(&packet.bytes)))
        .filter(|tcp| tcp.flags & ACK != 0 && tcp.flags & SYN == 0)
        .map(|tcp| tcp.source)
        .collect();
    assert!(!answered.is_empty(), "the capture has honest clients");
    for packet in &dropped {
        let tcp = tcp(&packet.bytes).expect("only TCP is dropped");
        assert_eq!(tcp.flags, SYN);
        assert!(!answered.contains(&tcp.source), "a packet of {} is dropped", tcp.source);
    }
    assert!(dropped.len() > 1_000, "of 2,500 SYNs only {} are dropped", dropped.len());
}

/// Every example's filter in front of a port, on the capture of which it drops most.
#[test]
fn every_example_drops_what_the_interpreter_says() {
    let all: Vec<Vec<Recorded>> =
        examples::captures().iter().map(|capture| captures::read(capture)).collect();
    for program in examples::programs() {
        let name = examples::name(&program);
        let artifact = examples::compile(&program, Build::Switch);
        if features(artifact.ir.module()).contains(&Feature::Seed) {
            // What it answers depends on random numbers, and the switch has others.
            continue;
        }
        let schema = &artifact.schema.filters[0];
        let class = schema.classes.get(MATCH as usize).map(|class| format!(":{class}")).unwrap_or_default();
        let filter = format!("{}{class}", schema.name);
        let judged =
            all.iter().map(|packets| (packets, expected(&artifact, &packets.iter().collect::<Vec<_>>()).0));
        let dropped = |verdicts: &[bool]| verdicts.iter().filter(|verdict| **verdict).count();
        let (packets, verdicts) =
            judged.max_by_key(|(_, verdicts)| dropped(verdicts)).expect("there are captures");
        let passed: Vec<&Recorded> = packets
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| !**verdict)
            .map(|(packet, _)| packet)
            .collect();

        let folder = Folder::new();
        captures::write(&folder.file("in1.pcap"), packets);
        let object = folder.build(&program).display().to_string();
        let config = CLOCK.to_owned() + &source_port(&folder, 1, "in") + &sink_port(&folder, 2, "out");
        let mut switch = Switch::start(folder, "", &config);
        switch.tell(&["filter", "load", &object]);
        let guarded = format!("priority=2,in_port=1,filter={filter},actions=drop");
        switch.tell(&["flow", "add", &guarded, "priority=1,in_port=1,actions=output:2"]);
        switch.tell(&["port", "up", "in"]);
        wait_for_packets(&mut switch, packets.len());
        switch.wait_for("last packet sent", |switch| switch.port("out", "tx_packets") == passed.len() as u64);
        let folder = switch.stop();
        assert_sent(&captures::read(&folder.file("out2.pcap")), &passed, &name);
        println!("{name}: {} of {} packets dropped", dropped(&verdicts), packets.len());
    }
}
