//! Open vSwitch as a second opinion: random flow tables and packets, traced by its `ofproto/trace`, and sent through a running `okod`. Each packet must
//! leave by the same ports.
//!
//! Entries of one priority that overlap may be tried in any order (OpenFlow 1.3.5, section 5.3), so here every entry of a table has a priority of its own.
//! Skipped, with a note, where Open vSwitch is not installed (`openvswitch-switch`).

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oko_tests::captures::{self, Recorded};
use oko_tests::network::Running;
use oko_tests::programs;
use oko_tests::random::Random;
use oko_tests::switch::{Folder, PATIENCE, Switch, sink_port, source_port};

/// Sets of tables, and packets for each.
const ROUNDS: u64 = 6;
const PACKETS: usize = 60;
/// The first is where packets come in.
const PORTS: u32 = 4;
const OVS: &str = "/usr/lib/openvswitch-switch/ovs-vswitchd";

fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

/// Tables 0 to 2 as text.
fn flows(random: &mut Random) -> String {
    let mut out = String::new();
    for table in 0..3_u64 {
        for priority in 1..=10 {
            let mut flow = format!("table={table},priority={priority}");
            let protocol = one(random, &["ip", "tcp", "udp", "udp", "tcp"]);
            let _ = write!(flow, ",{protocol}");
            for field in ["nw_src", "nw_dst"] {
                if random.below(2) == 0 {
                    let length = [8, 24, 30, 31, 32][random.below(5) as usize];
                    let last = random.below(4) & !((1 << (32 - length).min(2)) - 1);
                    let _ = write!(flow, ",{field}=10.0.0.{last}/{length}");
                }
            }
            if protocol != "ip" && random.below(2) == 0 {
                let _ = write!(flow, ",{}={}", one(random, &["tp_src", "tp_dst"]), 80 + random.below(3));
            }
            if random.below(4) == 0 {
                let _ = write!(flow, ",in_port={}", 1 + random.below(2));
            }
            flow.push_str(",actions=");
            let mut actions = Vec::new();
            for _ in 0..random.below(3) {
                actions.push(match random.below(6) {
                    0 if protocol != "ip" => format!("set_field:{}->{protocol}_dst", 80 + random.below(3)),
                    0 | 1 => format!("set_field:10.0.0.{}->ip_dst", random.below(4)),
                    2 => "in_port".to_owned(),
                    3 => "all".to_owned(),
                    _ => format!("output:{}", 1 + random.below(PORTS.into())),
                });
            }
            if random.below(4) == 0 {
                actions.push(format!("write_actions(output:{})", 1 + random.below(PORTS.into())));
            }
            if table < 2 && random.below(2) == 0 {
                actions.push(format!("goto_table:{}", table + 1 + random.below(2 - table)));
            }
            flow.push_str(&if actions.is_empty() { "drop".to_owned() } else { actions.join(",") });
            out.push_str(&flow);
            out.push('\n');
        }
    }
    out
}

/// A TCP segment or UDP datagram, with its number as the IP identification.
fn packet(number: usize, random: &mut Random) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    let tcp = random.below(2) == 0;
    frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, if tcp { 6 } else { 17 }]);
    frame[18..20].copy_from_slice(&(number as u16).to_be_bytes());
    let address = |random: &mut Random| [10, 0, random.below(5) as u8 / 4, random.below(4) as u8];
    frame[26..30].copy_from_slice(&address(random));
    frame[30..34].copy_from_slice(&address(random));
    let sum = frame[14..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    for at in [34, 36] {
        frame[at + 1] = 80 + random.below(3) as u8;
    }
    if tcp {
        frame[46..48].copy_from_slice(&[0x50, 0x02]);
    } else {
        frame[38..40].copy_from_slice(&26_u16.to_be_bytes());
    }
    frame
}

/// An Open vSwitch without a datapath of the kernel, that ends with this value.
struct OpenVSwitch {
    // Ended before the folder goes.
    children: Vec<Running>,
    folder: Folder,
    /// Its datapath's numbers of ports, to OpenFlow's.
    ports: BTreeMap<u32, u32>,
}

impl OpenVSwitch {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.folder.text(""));
        }
        command.stdin(Stdio::null());
        command
    }

    fn serve(&mut self, program: &str, words: &[&str], socket: &str) {
        let log = self.folder.file(socket).with_extension("log");
        self.children.push(Running::start(self.command(program).args(words), &log));
        let start = Instant::now();
        while !self.folder.file(socket).exists() {
            assert!(start.elapsed() < PATIENCE, "{program} does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn start() -> OpenVSwitch {
        let mut ovs = OpenVSwitch { children: Vec::new(), folder: Folder::new(), ports: BTreeMap::new() };
        let (database, socket) = (ovs.folder.text("conf.db"), ovs.folder.text("db.sock"));
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        programs::run(ovs.command("ovsdb-tool").args(["create", &database, schema])).succeeded();
        let remote = format!("--remote=punix:{socket}");
        let control = |name: &str, ovs: &OpenVSwitch| format!("--unixctl={}", ovs.folder.text(name));
        let unixctl = control("ovsdb.ctl", &ovs);
        ovs.serve("ovsdb-server", &[&database, &remote, &unixctl], "db.sock");
        let database = format!("unix:{socket}");
        let vsctl = |ovs: &OpenVSwitch, words: &[&str]| {
            programs::run(ovs.command("ovs-vsctl").arg(format!("--db={database}")).args(words)).succeeded()
        };
        vsctl(&ovs, &["--no-wait", "init"]);
        let unixctl = control("vswitchd.ctl", &ovs);
        ovs.serve(OVS, &[&database, "--enable-dummy=override", "--disable-system", &unixctl], "vswitchd.ctl");
        let bridge =
            ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail-mode=secure"];
        vsctl(&ovs, &bridge);
        for port in 1..=PORTS {
            let (name, wanted) = (format!("p{port}"), format!("ofport_request={port}"));
            vsctl(&ovs, &["add-port", "br0", &name, "--", "set", "interface", &name, "type=dummy", &wanted]);
        }
        let shown = ovs.control(&["dpif/show"]);
        for word in shown.lines().filter(|line| line.trim().starts_with('p')) {
            // `p1 1/5: (dummy)`
            let numbers =
                word.split_whitespace().nth(1).and_then(|word| word.trim_end_matches(':').split_once('/'));
            let (openflow, datapath) = numbers.expect("a port has two numbers");
            ovs.ports.insert(datapath.parse().expect("a number"), openflow.parse().expect("a number"));
        }
        assert_eq!(ovs.ports.len(), PORTS as usize, "{shown}");
        ovs
    }

    fn control(&self, words: &[&str]) -> String {
        programs::run(self.command("ovs-appctl").arg("-t").arg(self.folder.file("vswitchd.ctl")).args(words))
            .succeeded()
    }

    /// The ports that a packet leaves by, with how often.
    fn trace(&self, frame: &[u8]) -> Vec<u32> {
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = self.control(&["ofproto/trace", "br0", "in_port=1", &hex]);
        let actions = text.lines().find_map(|line| line.strip_prefix("Datapath actions: "));
        let mut ports = Vec::new();
        let (mut depth, mut word) = (0, String::new());
        for c in actions.unwrap_or_else(|| panic!("no actions: {text}")).chars().chain([',']) {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    if let Ok(number) = word.parse::<u32>() {
                        // The bridge's own port is none of `okod`'s.
                        ports.extend(self.ports.get(&number));
                    }
                    word.clear();
                }
                c => word.push(c),
            }
        }
        ports.sort_unstable();
        ports
    }
}

/// Which ports of `okod` sent each packet.
fn sent(folder: &Folder) -> BTreeMap<usize, Vec<u32>> {
    let mut all: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for port in 2..=PORTS {
        for Recorded { bytes, .. } in captures::read(&folder.file(&format!("out{port}.pcap"))) {
            all.entry(usize::from(u16::from_be_bytes([bytes[18], bytes[19]]))).or_default().push(port);
        }
    }
    all
}

#[test]
fn open_vswitch_sends_random_packets_the_same_way() {
    if !Path::new(OVS).exists() {
        eprintln!("SKIPPED: there is no {OVS} (`openvswitch-switch`)");
        return;
    }
    let ovs = OpenVSwitch::start();
    let bridge = format!("unix:{}", ovs.folder.text("br0.mgmt"));
    let mut seen = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut random = Random(round);
        let folder = Folder::new();
        let text = flows(&mut random);
        let file = folder.write("flows.txt", &text).display().to_string();
        let frames: Vec<Vec<u8>> = (0..PACKETS).map(|number| packet(number, &mut random)).collect();
        let recorded: Vec<Recorded> =
            frames.iter().map(|bytes| Recorded { now: 0, bytes: bytes.clone() }).collect();
        captures::write(&folder.file("in1.pcap"), &recorded);
        let mut config = source_port(&folder, 1, "p1");
        for port in 2..=PORTS {
            config += &sink_port(&folder, port, &format!("p{port}"));
        }
        let mut switch = Switch::start(folder, "", &config);
        let ours = format!("unix:{}", switch.folder().text("okod.sock"));
        for address in [&bridge, &ours] {
            for words in [["del-flows", address.as_str()].as_slice(), &["add-flows", address.as_str(), &file]]
            {
                programs::run(
                    Command::new("ovs-ofctl").args(["-O", "OpenFlow13", "--timeout=30"]).args(words),
                )
                .succeeded();
            }
        }
        switch.tell(&["port", "up", "p1"]);
        switch.wait_for("the packets", |switch| switch.port("p1", "rx_packets") == PACKETS as u64);
        let found = sent(&switch.stop());
        for (number, frame) in frames.iter().enumerate() {
            // Port 1 here only brings packets in; what goes back there is not recorded.
            let expected: Vec<u32> = ovs.trace(frame).into_iter().filter(|port| *port != 1).collect();
            let found = found.get(&number).cloned().unwrap_or_default();
            assert_eq!(found, expected, "round {round}, packet {number}: {frame:02x?}\n{text}");
            seen.insert(expected);
        }
    }
    assert!(seen.len() > 8, "the tables tell packets apart: {seen:?}");
}
