//! Unmodified `ovs-ofctl` operates a running `okod`, over the unix socket and over TCP, and sees what `okoctl` sees.
//!
//! Skipped, with a note, where `ovs-ofctl` is not installed (`openvswitch-common`).

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Command;

use oko_tests::network::Running;
use oko_tests::programs::{self, Ran};
use oko_tests::switch::{Folder, Switch, sink_port, source_port};
use oko_tests::{captures, examples};

fn is_missing() -> bool {
    let found = Command::new("ovs-ofctl").arg("--version").output();
    found.inspect_err(|error| eprintln!("SKIPPED: ovs-ofctl cannot be run: {error}")).is_err()
}

/// A switch with two ports, reached by both of its addresses.
struct Rig {
    switch: Switch,
    addresses: [String; 2],
    packets: usize,
}

impl Rig {
    /// Port 1 receives a capture once it is brought up.
    fn start(capture: &str) -> Rig {
        let folder = Folder::new();
        let packets = captures::read(&examples::folder().join("captures").join(capture));
        captures::write(&folder.file("in1.pcap"), &packets);
        // A port that is free now; nobody else here takes ports at random.
        let free = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("there is a free port");
        let config = source_port(&folder, 1, "in") + &sink_port(&folder, 2, "out");
        let addresses = [format!("unix:{}", folder.text("okod.sock")), format!("tcp:{free}")];
        let switch = Switch::start(folder, &format!("listen = \"{free}\""), &config);
        Rig { switch, addresses, packets: packets.len() }
    }

    fn at(address: &str, command: &str, arguments: &[&str]) -> Ran {
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl
            .args(["-O", "OpenFlow13", "--timeout=30"])
            .args(command.split(' '))
            .arg(address)
            .args(arguments);
        programs::run(&mut ofctl)
    }

    fn ofctl(&self, command: &str, arguments: &[&str]) -> Ran {
        Rig::at(&self.addresses[0], command, arguments)
    }

    /// What a command prints, which must succeed and be the same over both connections, but for times.
    #[track_caller]
    fn says(&self, command: &str, arguments: &[&str]) -> String {
        let [unix, tcp] =
            self.addresses.each_ref().map(|address| Rig::at(address, command, arguments).succeeded());
        assert_eq!(timeless(&unix), timeless(&tcp), "{command} {arguments:?}");
        unix
    }

    #[track_caller]
    fn tell(&self, command: &str, arguments: &[&str]) {
        let out = self.ofctl(command, arguments).succeeded();
        assert_eq!(out, "", "{command} {arguments:?}");
    }

    /// The flows as both tools list them, which must be the same.
    #[track_caller]
    fn flows(&self) -> BTreeSet<Flow> {
        let ours = flows(&self.switch.okoctl(&["flow", "list"]).succeeded());
        let theirs = flows(&self.ofctl("--names dump-flows", &[]).succeeded());
        assert_eq!(ours, theirs, "okoctl, ovs-ofctl");
        ours
    }

    fn wait_for_traffic(&mut self) {
        self.switch.tell(&["port", "up", "in"]);
        let packets = self.packets as u64;
        self.switch.wait_for("traffic", |switch| switch.port("in", "rx_packets") == packets);
    }
}

/// A line without what changes from one second to the next.
fn timeless(text: &str) -> String {
    let line = |line: &str| {
        let words =
            line.split([' ', ',']).filter(|word| !word.starts_with("duration=") && !word.contains("xid="));
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A flow of a listing: what it says in front of its actions in no order, and its actions.
type Flow = (BTreeSet<String>, String);

/// The flows of a listing of either tool.
fn flows(listing: &str) -> BTreeSet<Flow> {
    let flow = |line: &str| {
        let (front, actions) = line.trim().split_once(" actions=")?;
        // ovs-ofctl takes the switch's names of tables for names.
        let plain =
            |word: &str| word.replace("table=table", "table=").replace("goto_table:table", "goto_table:");
        let words = front.split(',').map(|word| plain(word.trim()));
        let mut words: BTreeSet<String> =
            words.filter(|word| !word.is_empty() && !word.starts_with("duration=")).collect();
        // ovs-ofctl does not print the default priority.
        if !words.iter().any(|word| word.starts_with("priority=")) {
            words.insert("priority=32768".to_owned());
        }
        if !words.iter().any(|word| word.starts_with("table=")) {
            words.insert("table=0".to_owned());
        }
        Some((words, plain(actions)))
    };
    listing.lines().filter_map(flow).collect()
}

fn has(flows: &BTreeSet<Flow>, words: &[&str], actions: &str) -> bool {
    flows.iter().any(|(front, found)| found == actions && words.iter().all(|word| front.contains(*word)))
}

#[test]
fn it_shows_probes_and_describes() {
    if is_missing() {
        return;
    }
    let rig = Rig::start("mixed.pcap");
    let shown = rig.says("show", &[]);
    for expected in ["OFPT_FEATURES_REPLY (OF1.3)", "dpid:0000000000000001", "1(in)", "2(out)", "PORT_DOWN"] {
        assert!(shown.contains(expected), "no {expected}: {shown}");
    }
    rig.says("probe", &[]);
    assert!(rig.says("dump-desc", &[]).contains("Oko"));
    assert!(rig.says("dump-tables", &[]).contains("active=0"));
    let ports = rig.says("dump-ports", &[]);
    assert!(ports.contains("2 ports") && ports.contains("rx pkts=0"), "{ports}");
    assert!(rig.says("dump-ports-desc", &[]).contains("2(out)"));
    assert!(rig.says("dump-table-features", &[]).contains("instructions"));
    assert!(flows(&rig.says("dump-flows", &[])).is_empty());
}

#[test]
fn flows_of_every_syntax_are_listed_alike_by_both_tools() {
    if is_missing() {
        return;
    }
    const FLOWS: [&str; 16] = [
        "actions=drop",
        "priority=0,actions=CONTROLLER:128",
        "in_port=1,actions=output:2",
        "in_port=2,actions=in_port",
        "priority=7,cookie=0x2a,idle_timeout=60,hard_timeout=600,tcp,nw_src=10.0.0.0/8,tp_dst=80,actions=2",
        "priority=7,udp,nw_dst=192.0.2.0/24,tp_src=53,actions=goto_table:5",
        "table=5,priority=9,icmp,icmp_type=8,icmp_code=0,actions=output:out",
        "ipv6,ipv6_src=2001:db8::/32,actions=drop",
        "tcp6,ipv6_dst=2001:db8::1,tp_dst=443,actions=output:1",
        "udp6,tp_src=53,actions=drop",
        "icmp6,icmp_type=135,actions=drop",
        "arp,arp_tpa=192.0.2.10,arp_op=1,actions=output:2",
        "dl_vlan=5,dl_vlan_pcp=3,actions=drop",
        "dl_type=0x88cc,actions=CONTROLLER:65535",
        "dl_src=02:00:00:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
        "ip,nw_proto=47,nw_tos=32,actions=output:1,output:2",
    ];
    // Once by each tool into the same switch, and then from a file over TCP.
    let rig = Rig::start("mixed.pcap");
    for flow in FLOWS {
        rig.tell("add-flow", &[flow]);
    }
    let by_ofctl = rig.flows();
    assert_eq!(by_ofctl.len(), FLOWS.len(), "{by_ofctl:?}");
    assert!(has(
        &by_ofctl,
        &["cookie=0x2a", "idle_timeout=60", "hard_timeout=600", "tcp", "tp_dst=80"],
        "output:out"
    ));

    rig.tell("del-flows", &[]);
    assert!(rig.flows().is_empty());
    rig.switch.tell(&[&["flow", "add"], &FLOWS[..]].concat());
    assert_eq!(rig.flows(), by_ofctl, "okoctl reads what ovs-ofctl reads");

    rig.tell("del-flows", &[]);
    let file = rig.switch.folder().write("flows.txt", FLOWS.join("\n"));
    Rig::at(&rig.addresses[1], "add-flows", &[&file.display().to_string()]).succeeded();
    assert_eq!(rig.flows(), by_ofctl);

    // What is printed can be read.
    let printed: String = (rig.ofctl("--no-stats --no-names dump-flows", &[]).succeeded().lines())
        .filter(|line| line.contains("actions="))
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    rig.tell("del-flows", &[]);
    let file = rig.switch.folder().write("printed.txt", printed);
    rig.tell("add-flows", &[&file.display().to_string()]);
    assert_eq!(rig.flows(), by_ofctl);
}

#[test]
fn flows_are_changed_and_deleted_loosely_and_strictly() {
    if is_missing() {
        return;
    }
    let rig = Rig::start("mixed.pcap");
    for flow in [
        "priority=5,tcp,actions=drop",
        "priority=6,tcp,tp_dst=80,actions=drop",
        "priority=5,udp,actions=drop",
    ] {
        rig.tell("add-flow", &[flow]);
    }
    rig.tell("mod-flows", &["tcp,actions=output:2"]);
    let flows = rig.flows();
    assert!(has(&flows, &["tcp", "priority=5"], "output:out") && has(&flows, &["tp_dst=80"], "output:out"));
    assert!(has(&flows, &["udp"], "drop"));

    rig.tell("--strict mod-flows", &["priority=5,tcp,actions=in_port"]);
    let flows = rig.flows();
    assert!(has(&flows, &["tcp", "priority=5"], "IN_PORT") && has(&flows, &["tp_dst=80"], "output:out"));

    rig.tell("--strict del-flows", &["priority=6,tcp"]);
    assert_eq!(rig.flows().len(), 3, "there is none of just this match and priority");
    rig.tell("--strict del-flows", &["priority=5,tcp"]);
    assert_eq!(rig.flows().len(), 2);
    rig.tell("del-flows", &["ip"]);
    assert!(rig.flows().is_empty());

    // The same match and priority again takes the place of the first.
    rig.tell("add-flow", &["priority=5,tcp,actions=drop"]);
    rig.tell("add-flow", &["priority=5,tcp,actions=output:1"]);
    assert!(has(&rig.flows(), &["tcp"], "output:in") && rig.flows().len() == 1);

    for (flow, error) in [
        ("actions=output:99", "OFPBAC_BAD_OUT_PORT"),
        ("table=3,actions=goto_table:2", "OFPBIC_BAD_TABLE_ID"),
        ("actions=group:1", "OFPBAC_BAD_OUT_GROUP"),
    ] {
        let refused = rig.ofctl("add-flow", &[flow]);
        let said = refused.out + &refused.err;
        assert!(refused.code != Some(0) && said.contains(error), "{flow}: {:?}: {said}", refused.code);
    }
    assert_eq!(rig.flows().len(), 1, "what was refused changed nothing");
}

#[test]
fn counters_move_with_traffic() {
    if is_missing() {
        return;
    }
    let mut rig = Rig::start("mixed.pcap");
    for flow in [
        "priority=9,arp,actions=drop",
        "priority=9,ipv6,actions=drop",
        "priority=9,udp,actions=goto_table:1",
        "table=1,actions=output:2",
        "priority=9,tcp,actions=output:2",
        "priority=1,actions=drop",
    ] {
        rig.tell("add-flow", &[flow]);
    }
    rig.wait_for_traffic();
    let packets = rig.packets as u64;
    let table_0 = |rig: &Rig| -> u64 {
        let flows = flows(&rig.ofctl("dump-flows", &["table=0"]).succeeded());
        flows
            .iter()
            .flat_map(|(words, _)| {
                words.iter().filter_map(|word| word.strip_prefix("n_packets=")?.parse::<u64>().ok())
            })
            .sum()
    };
    let addresses = rig.addresses.clone();
    rig.switch.wait_for("sign of all packets", |_| {
        let tables = Rig::at(&addresses[0], "dump-tables", &[]).succeeded();
        tables.contains(&format!("lookup={packets}, matched={packets}"))
    });
    assert_eq!(table_0(&rig), packets, "each packet is counted by one flow of table 0");
    let listed = rig.flows();
    let count = |words: &[&str]| -> u64 {
        let found = listed.iter().find(|(front, _)| words.iter().all(|word| front.contains(*word)));
        let (front, _) = found.unwrap_or_else(|| panic!("no {words:?} in {listed:?}"));
        front
            .iter()
            .find_map(|word| word.strip_prefix("n_packets=")?.parse().ok())
            .expect("flows count packets")
    };
    // By EtherType and protocol at their fixed places: there are no VLAN tags in this capture, and fragments count as their protocol.
    let folder = rig.switch.folder();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for packet in captures::read(&folder.file("in1.pcap")) {
        let kind = match (&packet.bytes[12..14], packet.bytes[23]) {
            ([0x08, 0x06], _) => "arp",
            ([0x86, 0xdd], _) => "ipv6",
            ([0x08, 0x00], 17) => "udp",
            ([0x08, 0x00], 6) => "tcp",
            _ => "other",
        };
        *expected.entry(kind).or_default() += 1;
    }
    for kind in ["arp", "ipv6", "udp", "tcp"] {
        assert!(expected[kind] > 0, "the capture has {kind}");
        assert_eq!(count(&[kind, "priority=9"]), expected[kind], "{kind}");
    }
    assert_eq!(count(&["table=1"]), expected["udp"]);
    let sent = expected["udp"] + expected["tcp"];
    assert!(rig.says("dump-ports", &["out"]).contains(&format!("tx pkts={sent},")));
    assert!(rig.says("dump-ports", &["in"]).contains(&format!("rx pkts={packets},")));
    let aggregate = rig.says("dump-aggregate", &["table=0"]);
    assert!(
        aggregate.contains(&format!("packet_count={packets}")) && aggregate.contains("flow_count=5"),
        "{aggregate}"
    );
}

#[test]
fn flows_with_filters_are_there_for_it_too() {
    if is_missing() {
        return;
    }
    let rig = Rig::start("syn_flood.pcap");
    let object = rig.switch.folder().build(&examples::folder().join("telnet.oko")).display().to_string();
    rig.switch.tell(&["filter", "load", &object]);
    rig.tell("add-flow", &["priority=10,in_port=1,actions=output:2"]);
    rig.switch.tell(&[
        "flow",
        "add",
        "priority=100,cookie=0x51,tcp,filter=telnet,actions=drop",
        "priority=100,tcp,actions=output:1",
    ]);
    rig.tell("add-flow", &["priority=20,arp,actions=drop"]);

    // It does not know the condition: it is shown the filter's number and class as a field that it knows.
    for address in &rig.addresses {
        let listing = Rig::at(address, "dump-flows", &[]).succeeded();
        let shown = flows(&listing);
        assert!(has(&shown, &["priority=10", "in_port=1"], "output:2"), "{listing}");
        assert!(has(&shown, &["priority=20", "arp"], "drop"), "{listing}");
        assert!(has(&shown, &["priority=100", "tcp"], "output:1"), "{listing}");
        assert!(has(&shown, &["priority=100", "tcp", "pkt_mark=0x101"], "drop"), "{listing}");
        assert_eq!(shown.len(), 4, "{listing}");
    }
    assert!(rig.says("dump-aggregate", &[]).contains("flow_count=4"));

    // It changes and deletes such a flow by its other conditions.
    rig.tell("mod-flows", &["tcp,actions=output:2"]);
    let ours = rig.switch.okoctl(&["flow", "list", "tcp"]).succeeded();
    assert!(has(&flows(&ours), &["filter=telnet", "cookie=0x51", "tcp"], "output:out"), "{ours}");
    rig.tell("--strict del-flows", &["priority=100,tcp"]);
    let ours = flows(&rig.switch.okoctl(&["flow", "list"]).succeeded());
    assert!(
        ours.iter().any(|(words, _)| words.contains("filter=telnet")),
        "without the filter it is another flow: {ours:?}"
    );
    assert_eq!(ours.len(), 3);
    rig.tell("del-flows", &["tcp"]);
    assert_eq!(rig.flows().len(), 2);
    // The field means the same when it comes.
    rig.tell("add-flow", &["priority=9,udp,pkt_mark=0x100,actions=drop"]);
    let ours = rig.switch.okoctl(&["flow", "list", "udp"]).succeeded();
    assert!(ours.contains("filter=telnet"), "{ours}");
    rig.tell("del-flows", &["udp"]);
    rig.switch.tell(&["filter", "unload", "telnet"]);
}

/// Commands of `ovs-ofctl` with their arguments behind the switch, in the order in which a session would give them.
const SESSION: &[(&str, &[&str])] = &[
    ("show", &[]),
    ("dump-desc", &[]),
    ("dump-tables", &[]),
    ("dump-ports", &[]),
    ("dump-ports-desc", &[]),
    ("get-frags", &[]),
    ("set-frags", &["normal"]),
    ("mod-port", &["in", "no-flood"]),
    ("mod-port", &["in", "flood"]),
    ("add-flow", &["priority=5,in_port=1,actions=output:2"]),
    ("add-flow", &["tcp,tp_dst=22,actions=drop"]),
    ("add-flow", &["table=1,ipv6,ipv6_src=::1,actions=set_field:02:00:00:00:00:01->eth_dst,output:1"]),
    ("add-flow", &["reg0=1,actions=output:1"]),
    ("add-flow", &["in_port=2,actions=resubmit(,1)"]),
    ("add-flow", &["priority=3,tcp,tcp_flags=+syn-ack,actions=NORMAL"]),
    (
        "add-flow",
        &["priority=1,udp,actions=load:0x5->NXM_NX_REG1[],mod_tp_dst:99,mod_nw_tos:32,dec_ttl,output:2"],
    ),
    ("add-flow", &["priority=2,udp,actions=move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[8..23],output:2"]),
    ("mod-flows", &["priority=5,in_port=1,actions=output:1"]),
    ("--strict mod-flows", &["priority=5,in_port=1,actions=output:1"]),
    ("dump-flows", &[]),
    ("dump-flows", &["table=0"]),
    ("dump-aggregate", &[]),
    ("queue-stats", &[]),
    ("queue-get-config", &[]),
    ("add-group", &["group_id=1,type=all,bucket=output:1,bucket=output:2"]),
    ("mod-group", &["group_id=1,type=select,bucket=weight:1,output:1"]),
    ("--may-create mod-group", &["group_id=2,type=select,bucket=output:1"]),
    ("dump-groups", &[]),
    ("dump-group-stats", &[]),
    ("dump-group-features", &[]),
    ("packet-out", &["in_port=1,packet=ffffffffffff0200000000010800,actions=output:2"]),
    ("del-groups", &[]),
    ("--strict del-flows", &["priority=5,in_port=1"]),
    ("del-flows", &["tcp"]),
    ("probe", &[]),
];

/// What OpenFlow 1.0 does not have.
const METERS: &[(&str, &[&str])] = &[
    ("add-meter", &["meter=1,kbps,band=type=drop,rate=1000"]),
    ("dump-meters", &[]),
    ("meter-stats", &[]),
    ("meter-features", &[]),
    ("add-flow", &["priority=77,icmp,actions=meter:1,output:1"]),
    ("dump-flows", &["icmp"]),
    ("del-meters", &[]),
    ("dump-table-features", &[]),
];

/// What OpenFlow 1.4 brought.
const TABLES: &[(&str, &[&str])] =
    &[("dump-table-desc", &[]), ("mod-table", &["0", "evict"]), ("mod-table", &["0", "noevict"])];

#[test]
fn a_session_works_in_every_version() {
    if is_missing() {
        return;
    }
    let rig = Rig::start("syn_flood.pcap");
    let folder = rig.switch.folder();
    let first = folder.write(
        "first.txt",
        "priority=7,udp,actions=output:1\npriority=8,ip,nw_dst=10.0.0.0/8,actions=output:2\n",
    );
    let second =
        folder.write("second.txt", "priority=7,udp,actions=output:2\npriority=9,arp,actions=FLOOD\n");
    let (first, second) = (first.display().to_string(), second.display().to_string());
    let files: [(&str, &[&str]); 4] = [
        ("add-flows", &[&first]),
        ("--bundle add-flows", &[&first]),
        ("replace-flows", &[&second]),
        ("--bundle replace-flows", &[&first]),
    ];
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let meters = if version == "OpenFlow10" { &[] } else { METERS };
        let tables = if version >= "OpenFlow14" { TABLES } else { &[] };
        for (command, arguments) in SESSION.iter().chain(meters).chain(tables).chain(&files) {
            let mut ofctl = Command::new("ovs-ofctl");
            ofctl.args(["-O", version, "--timeout=30"]).args(command.split(' ')).arg(&rig.addresses[0]);
            let out = programs::run(ofctl.args(*arguments)).succeeded();
            for word in ["decode error", "OFPT_ERROR", "***"] {
                assert!(!out.contains(word), "{version} {command} {arguments:?}: {out}");
            }
        }
        let listed = Command::new("ovs-ofctl")
            .args(["-O", version, "dump-flows", &rig.addresses[0]])
            .output()
            .expect("it ran before");
        let listed = flows(&String::from_utf8_lossy(&listed.stdout));
        assert_eq!(listed.len(), 2, "{version}: what the last command put in place: {listed:?}");
        let diff = |file: &str| {
            let mut ofctl = Command::new("ovs-ofctl");
            ofctl.args(["-O", version, "--timeout=30", "diff-flows", &rig.addresses[0], file]);
            ofctl.output().expect("it ran before")
        };
        assert_eq!(diff(&first).status.code(), Some(0), "{version}: {:?}", diff(&first));
        let other = diff(&second);
        let text = String::from_utf8_lossy(&other.stdout);
        // Those of the switch with `-`, those of the file with `+`.
        assert_eq!(other.status.code(), Some(2), "{version}: {other:?}");
        assert!(text.contains("+priority=9,arp") || text.contains("+ priority=9,arp"), "{version}: {text}");
        rig.tell("del-flows", &[]);
    }
}

#[test]
fn a_monitor_sees_what_others_change() {
    if is_missing() {
        return;
    }
    let mut rig = Rig::start("syn_flood.pcap");
    let address = rig.addresses[0].clone();
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        rig.tell("add-flow", &["priority=3,table=4,icmp,actions=drop"]);
        let log = rig.switch.folder().file(&format!("{version}.log"));
        let mut monitor = Command::new("ovs-ofctl");
        // Under 1.4 and later, `ovs-ofctl` asks for nothing but its own changes unless it is told not to.
        let watch = if version >= "OpenFlow14" { "watch:!own" } else { "watch:" };
        monitor.args(["-O", version, "--timeout=120", "monitor", &address, watch]);
        let _monitor = Running::start(monitor.env("OVS_RUNDIR", rig.switch.folder().text("")), &log);
        let says = |words: &'static [&'static str]| {
            let log = log.clone();
            move |_: &Switch| {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                text.lines().any(|line| words.iter().all(|word| line.contains(word)))
            }
        };
        let first: &[&str] = match version {
            "OpenFlow10" | "OpenFlow13" => &["event=ADDED", "table=4", "icmp"],
            _ => &["event=INITIAL", "table=4", "icmp"],
        };
        rig.switch.wait_for("what is there", says(first));
        // What comes while `ovs-ofctl` waits for the reply to a barrier of its own, it drops; so this is done until it was seen.
        let added = says(&["event=ADDED", "cookie=0x1234", "udp", "actions=output:"]);
        rig.switch.wait_for("an addition", |switch| {
            let at = format!("unix:{}", switch.folder().text("okod.sock"));
            Rig::at(&at, "del-flows", &["udp"]).succeeded();
            Rig::at(&at, "add-flow", &["priority=7,udp,cookie=0x1234,actions=output:2"]).succeeded();
            added(switch)
        });
        rig.tell("mod-flows", &["udp,actions=output:1"]);
        rig.switch.wait_for("a change", says(&["event=MODIFIED", "udp", "actions=output:"]));
        rig.tell("del-flows", &["udp"]);
        rig.switch.wait_for("a removal", says(&["event=DELETED", "reason=delete", "udp"]));
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.contains("***") && !text.contains("decode error"), "{version}: {text}");
        rig.tell("del-flows", &[]);
    }
}

#[test]
fn a_bundle_is_done_as_a_whole_or_not_at_all() {
    if is_missing() {
        return;
    }
    let rig = Rig::start("syn_flood.pcap");
    rig.tell("add-flow", &["priority=1,actions=drop"]);
    // The second names a group that is not there.
    let bad = rig.switch.folder().write(
        "bad.txt",
        "delete_strict priority=1\nadd priority=7,udp,actions=output:1\nadd priority=8,tcp,actions=group:9\n",
    );
    for version in ["OpenFlow13", "OpenFlow14"] {
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl.args(["-O", version, "--timeout=30", "--bundle", "add-flows", &rig.addresses[0]]);
        programs::run(ofctl.arg(&bad)).fails_with(&["OFPBAC_BAD_OUT_GROUP", "OFPBFC_MSG_FAILED"]);
        let flows = rig.flows();
        assert!(flows.len() == 1 && has(&flows, &["priority=1"], "drop"), "{version}: {flows:?}");
    }
    let good = rig.switch.folder().write("good.txt", "delete\nadd priority=7,udp,actions=output:2\n");
    rig.tell("--bundle add-flows", &[&good.display().to_string()]);
    let flows = rig.flows();
    assert!(flows.len() == 1 && has(&flows, &["priority=7", "udp"], "output:out"), "{flows:?}");
}
