//! The demo with live traffic: two hosts in network namespaces, the switch between them, `hping3` and `curl`.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::Programs;
use super::switch::Switch;
use crate::run::{hold, is_root};

const CLIENT: &str = "oko-demo-client";
const SERVER: &str = "oko-demo-server";
const SWITCH: &str = "oko-demo-switch";
/// SYNs in one flood, and microseconds between them.
const FLOOD: (u32, u32) = (20_000, 200);
/// Fetches during a flood.
const FETCHES: u32 = 8;

pub(crate) fn run(programs: &Programs) -> Result<()> {
    ensure!(is_root(), "`cargo xtask demo --live` makes network namespaces: run it as root");
    let object = programs.build_filter()?;
    let _held = hold("oko-demo")?;
    let network = Network::create()?;
    let switch = Switch::start(programs, &["ip", "netns", "exec", SWITCH], &config(programs))?;
    switch.tell(&["flow", "add", "priority=10,in_port=1,actions=output:2"])?;
    switch.tell(&["flow", "add", "priority=10,in_port=2,actions=output:1"])?;
    network.wait_for_server()?;

    println!("\n\x1b[1;36mWithout the filter\x1b[0m");
    let without = flood(&network)?;
    println!("\n\x1b[1;36mWith it\x1b[0m");
    switch.tell(&["filter", "load", &object.to_string_lossy()])?;
    switch.tell(&["flow", "add", "priority=100,in_port=1,tcp,filter=syn_flood,actions=drop"])?;
    network.fetch();
    let with = flood(&network)?;
    switch.tell(&["flow", "list"])?;
    switch.tell(&["state", "dump", "syn_flood", "servers"])?;
    switch.stop()?;
    drop(network);

    println!("\n                     sent   reached the server   curl");
    for (name, seen) in [("without the filter", &without), ("with the filter", &with)] {
        println!("{name:<18} {:>6} {:>20} {:>3} of {FETCHES}", FLOOD.0, seen.packets, seen.fetched);
    }
    ensure!(
        without.packets > u64::from(FLOOD.0) / 2,
        "the flood did not reach the server without the filter"
    );
    ensure!(with.packets < without.packets / 4, "the flood reached the server with the filter");
    ensure!(with.fetched == FETCHES, "curl did not work under the filter");
    println!(
        "\x1b[1;32mThe flood reaches the server without the filter and does not with it; curl keeps working.\x1b[0m"
    );
    Ok(())
}

/// What came of a flood.
struct Seen {
    /// Packets that reached the server: SYNs but for the few of the fetches.
    packets: u64,
    /// Fetches that succeeded meanwhile.
    fetched: u32,
}

fn flood(network: &Network) -> Result<Seen> {
    let before = network.server_packets()?;
    let (count, gap) = (FLOOD.0.to_string(), format!("u{}", FLOOD.1));
    let words = ["hping3", "-q", "-S", "-p", "80", "--rand-source", "-c", &count, "-i", &gap, "192.0.2.10"];
    println!("$ {}", words.join(" "));
    let mut hping = quiet(CLIENT, &words).spawn()?;
    let mut fetched = 0;
    for _ in 0..FETCHES {
        sleep(Duration::from_millis(400));
        let ok = network.fetch();
        println!("$ curl http://192.0.2.10/: {}", if ok { "200 OK" } else { "no answer" });
        fetched += u32::from(ok);
    }
    hping.wait()?;
    sleep(Duration::from_millis(500));
    Ok(Seen { packets: network.server_packets()? - before, fetched })
}

fn config(programs: &Programs) -> String {
    format!(
        r#"log = "warn"

[openflow]
socket = "{}"

[[port]]
number = 1
name = "outside"
device = "net_af_packet0,iface=client"

[[port]]
number = 2
name = "server"
device = "net_af_packet1,iface=server"
"#,
        programs.file("okod.sock").display()
    )
}

/// Three namespaces; the switch's has a veth to either host. Gone with this value.
struct Network {
    web: Child,
}

impl Network {
    fn create() -> Result<Network> {
        remove();
        for namespace in [CLIENT, SERVER, SWITCH] {
            ip(&["netns", "add", namespace])?;
            inside(namespace, &["ip", "link", "set", "lo", "up"])?;
        }
        for (namespace, name, address) in
            [(CLIENT, "client", "198.51.100.2/24"), (SERVER, "server", "192.0.2.10/24")]
        {
            ip(&[
                "link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", name, "netns",
                SWITCH,
            ])?;
            inside(namespace, &["ip", "addr", "add", address, "dev", "eth0"])?;
            for (namespace, name) in [(namespace, "eth0"), (SWITCH, name)] {
                // Whole packets with whole checksums, as on a wire.
                let off = ["tx", "off", "rx", "off", "gso", "off", "tso", "off", "gro", "off"];
                inside(namespace, &[&["ethtool", "-K", name][..], &off].concat())?;
                inside(namespace, &["ip", "link", "set", name, "up"])?;
            }
        }
        inside(SWITCH, &["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])?;
        // Each host sends everything to the other: random source addresses find their way to the client, which ignores them.
        for (namespace, peer_namespace, gateway) in
            [(CLIENT, SERVER, "198.51.100.1"), (SERVER, CLIENT, "192.0.2.1")]
        {
            let mac = inside(peer_namespace, &["cat", "/sys/class/net/eth0/address"])?;
            inside(namespace, &["ip", "route", "add", "default", "via", gateway, "dev", "eth0", "onlink"])?;
            inside(
                namespace,
                &["ip", "neigh", "add", gateway, "lladdr", mac.trim(), "dev", "eth0", "nud", "permanent"],
            )?;
        }
        let web = quiet(SERVER, &["python3", "-m", "http.server", "80"]).spawn()?;
        Ok(Network { web })
    }

    /// Waits until the client can fetch from the server through the switch.
    fn wait_for_server(&self) -> Result<()> {
        for _ in 0..40 {
            if self.fetch() {
                return Ok(());
            }
            sleep(Duration::from_millis(250));
        }
        bail!("the client cannot reach the server through the switch")
    }

    fn fetch(&self) -> bool {
        let words = ["curl", "-s", "-o", "/dev/null", "--max-time", "2", "http://192.0.2.10/"];
        quiet(CLIENT, &words).status().is_ok_and(|status| status.success())
    }

    /// How many packets the server's interface has received.
    fn server_packets(&self) -> Result<u64> {
        Ok(inside(SERVER, &["cat", "/sys/class/net/eth0/statistics/rx_packets"])?.trim().parse()?)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.web.kill();
        let _ = self.web.wait();
        remove();
    }
}

fn remove() {
    for namespace in [CLIENT, SERVER, SWITCH] {
        let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
    }
}

fn ip(words: &[&str]) -> Result<()> {
    output(Command::new("ip").args(words)).map(drop)
}

/// Runs a command in a namespace; what it printed.
fn inside(namespace: &str, words: &[&str]) -> Result<String> {
    output(Command::new("ip").args(["netns", "exec", namespace]).args(words))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let shown = crate::run::shown(command);
    ensure!(output.status.success(), "`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn quiet(namespace: &str, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
