//! The `okod` command, and unmodified `ovs-ofctl` against it.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testbed::{read_pcap, udp, write_pcap};

/// A running `okod`, ended with this.
struct Okod {
    child: Child,
    dir: TempDir,
}

impl Okod {
    fn start(frames: &[Vec<u8>]) -> Self {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        write_pcap(Path::new(&path("in.pcap")), frames);
        let config = format!(
            "log = \"warn\"\n[openflow]\nsocket = \"{}\"\n\
             [[port]]\nnumber = 1\nname = \"in\"\nup = false\ndevice = \"net_pcap0,rx_pcap={}\"\n\
             [[port]]\nnumber = 2\nname = \"out\"\ndevice = \"net_pcap1,tx_pcap={}\"\n",
            path("okod.sock"),
            path("in.pcap"),
            path("out.pcap"),
        );
        fs::write(path("okod.toml"), config).unwrap();
        let child =
            Command::new(env!("CARGO_BIN_EXE_okod")).arg("--config").arg(path("okod.toml")).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !Path::new(&path("okod.sock")).exists() {
            assert!(Instant::now() < deadline, "okod does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, dir }
    }

    fn target(&self) -> String {
        format!("unix:{}", self.dir.path().join("okod.sock").display())
    }

    /// Runs `ovs-ofctl` and gets what it prints.
    fn ofctl(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.try_ofctl(command, arguments);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn try_ofctl(&self, command: &str, arguments: &[&str]) -> Output {
        let words = command.split(' ');
        Command::new("ovs-ofctl")
            .args(["-O", "OpenFlow13"])
            .args(words)
            .arg(self.target())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("ovs-ofctl is installed (openvswitch-common)")
    }

    /// Sends a signal and waits for the end.
    fn end(&mut self, signal: &str) -> bool {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "okod does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Okod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ovs_ofctl_works_unmodified() {
    let frames: Vec<_> = (0..100).map(|i| udp(i, if i < 30 { 53 } else { 80 })).collect();
    let mut okod = Okod::start(&frames);
    let shown = okod.ofctl("show", &[]);
    assert!(
        shown.contains("dpid:0000000000000001") && shown.contains("1(in)") && shown.contains("2(out)"),
        "{shown}"
    );
    okod.ofctl("probe", &[]);
    okod.ofctl("add-flow", &["priority=10,udp,tp_dst=53,actions=goto_table:1"]);
    okod.ofctl("add-flow", &["table=1,priority=10,in_port=1,cookie=0x5,actions=output:2"]);
    okod.ofctl("add-flow", &["priority=5,udp,actions=drop"]);
    let flows = okod.ofctl("dump-flows", &[]);
    assert!(flows.contains("priority=10,udp,tp_dst=53 actions=goto_table:1"), "{flows}");
    assert!(flows.contains("cookie=0x5") && flows.contains("in_port=1 actions=output:2"), "{flows}");
    okod.ofctl("mod-port", &["in", "up"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !okod.ofctl("dump-ports", &["out"]).contains("tx pkts=30,") {
        assert!(Instant::now() < deadline, "{}", okod.ofctl("dump-ports", &[]));
    }
    let flows = okod.ofctl("dump-flows", &["table=0"]);
    assert!(flows.contains("n_packets=30, n_bytes=1800") && flows.contains("n_packets=70"), "{flows}");
    let tables = okod.ofctl("dump-tables", &[]);
    assert!(tables.contains("active=2, lookup=100, matched=100"), "{tables}");
    assert!(okod.ofctl("dump-aggregate", &[]).contains("packet_count=130 byte_count=7800 flow_count=3"));
    okod.ofctl("mod-flows", &["udp,actions=in_port"]);
    let flows = okod.ofctl("dump-flows", &["table=0"]);
    assert_eq!(flows.matches("actions=IN_PORT").count(), 2, "{flows}");
    okod.ofctl("--strict mod-flows", &["priority=5,udp,actions=drop"]);
    okod.ofctl("--strict del-flows", &["priority=10,udp,tp_dst=53"]);
    let flows = okod.ofctl("dump-flows", &["table=0"]);
    assert!(!flows.contains("tp_dst") && flows.contains("actions=drop"), "{flows}");
    okod.ofctl("del-flows", &[]);
    assert!(!okod.ofctl("dump-flows", &[]).contains("actions"));
    assert!(okod.ofctl("dump-desc", &[]).contains("Oko"));
    assert!(okod.ofctl("dump-table-features", &[]).contains("instructions"));
    okod.ofctl("packet-out", &["in_port=controller,packet=ffffffffffff0200000000010800,actions=output:2"]);

    let refused = okod.try_ofctl("add-flow", &["actions=output:9"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("OFPBAC_BAD_OUT_PORT"), "{refused:?}");
    assert!(okod.end("-TERM"));
    let sent = read_pcap(&okod.dir.path().join("out.pcap"));
    assert_eq!(sent.len(), 31);
    assert!(sent[..30] == frames[..30], "what was to go out is there, byte by byte");
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let mut okod = Okod::start(&[udp(1, 2)]);
        okod.ofctl("add-flow", &["actions=output:2"]);
        okod.ofctl("mod-port", &["in", "up"]);
        while !okod.ofctl("dump-ports", &["out"]).contains("tx pkts=1,") {}
        assert!(okod.end(signal), "{signal}");
        assert_eq!(read_pcap(&okod.dir.path().join("out.pcap")), [udp(1, 2)], "the capture file is complete");
        assert!(!okod.dir.path().join("okod.sock").exists(), "the socket is gone");
    }
}

#[test]
fn a_wrong_configuration_is_shown_with_its_line_and_starts_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("okod.toml");
    fs::write(&file, "[[port]]\nnumber = 1\nname = \"p\"\ndevise = \"net_null0\"\n").unwrap();
    for check in [&["--check-config"][..], &[]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_okod")).arg("--config").arg(&file).args(check).output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        for expected in ["unknown key `devise`", "okod.toml:4:1", "did you mean `device`?"] {
            assert!(text.contains(expected), "{text}");
        }
    }
    fs::write(&file, "[[port]]\nnumber = 1\nname = \"p\"\ndevice = \"net_null0\"\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_okod"))
        .args(["--check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success());
}
