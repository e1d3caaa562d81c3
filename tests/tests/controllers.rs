//! Unmodified controllers operate a running `okod`, with `ping` between two network namespaces as the witness.
//!
//! Skipped, with a note, without root or where a controller is not installed (`openvswitch-testcontroller`, `faucet`).

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use oko_tests::programs;
use oko_tests::switch::{Folder, PATIENCE};

/// Whether something that the tests here need is missing.
fn is_missing() -> bool {
    // SAFETY: reads a number.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("SKIPPED: making network namespaces needs root");
    }
    !root
        || [("ip", "-V"), ("ovs-testcontroller", "--version"), ("ping", "-V")].iter().any(
            |(program, argument)| {
                let found = Command::new(program).arg(argument).output();
                found.inspect_err(|error| eprintln!("SKIPPED: {program} cannot be run: {error}")).is_err()
            },
        )
}

/// The hosts with their addresses. The first test of most: does the second answer the first?
const HOSTS: [(&str, &str); 3] = [("a", "192.0.2.1/24"), ("b", "192.0.2.2/24"), ("c", "192.0.2.3/24")];

/// Hosts and a namespace for the switch, joined by wires. All goes with this value.
struct Network {
    name: &'static str,
}

impl Network {
    fn create(name: &'static str) -> Network {
        let network = Network { name };
        network.delete();
        for place in ["s", "a", "b", "c"] {
            ip(&["netns", "add", &network.space(place)]);
            ip(&["-n", &network.space(place), "link", "set", "lo", "up"]);
        }
        for (host, address) in HOSTS {
            let (inside, wire) = (network.space(host), network.wire(host));
            ip(&[
                "-n",
                &network.space("s"),
                "link",
                "add",
                &wire,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                &inside,
            ]);
            ip(&["-n", &network.space("s"), "link", "set", &wire, "up", "promisc", "on"]);
            ip(&["-n", &inside, "addr", "add", address, "dev", "eth0"]);
            ip(&["-n", &inside, "link", "set", "eth0", "up"]);
            for (place, device) in [(network.space("s"), wire.as_str()), (inside, "eth0")] {
                // Checksums are to be in the packets, not left for a card that never comes.
                let _ = run_in(&place, &["ethtool", "-K", device, "tx", "off", "rx", "off"]).output();
            }
        }
        network
    }

    fn space(&self, place: &str) -> String {
        format!("oko-{}-{place}", self.name)
    }

    fn wire(&self, host: &str) -> String {
        format!("oko-{}-w{host}", self.name)
    }

    fn delete(&self) {
        for place in ["s", "a", "b", "c"] {
            let _ =
                Command::new("ip").args(["netns", "del", &self.space(place)]).stderr(Stdio::null()).status();
        }
    }

    /// Whether the second host answers the first.
    fn pings(&self) -> bool {
        self.reaches("192.0.2.2")
    }

    /// Whether an address answers the first host.
    fn reaches(&self, address: &str) -> bool {
        let ping = ["ping", "-c", "1", "-W", "1", address];
        run_in(&self.space("a"), &ping).output().expect("ping runs").status.success()
    }

    /// Waits until it does.
    fn wait_for_ping(&self, log: &Path) {
        let start = Instant::now();
        while !self.pings() {
            let text = || fs::read_to_string(log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "the hosts do not reach each other; okod says:\n{}", text());
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.delete();
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip runs");
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}

fn run_in(space: &str, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space]).args(words).stdin(Stdio::null());
    command
}

/// A program that ends with this value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, log: &Path) -> Running {
        let out = File::create(log).expect("a log can be written");
        let err = out.try_clone().expect("a file can be shared");
        Running(command.stdout(out).stderr(err).spawn().expect("it was found before"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The switch between the hosts, which connects to a controller on port 6653.
fn okod(network: &Network, folder: &Folder, openflow: &str) -> Running {
    let mut config = format!(
        "log = \"debug\"\n[dpdk]\nmemory = 128\npacket_buffers = 4095\n[openflow]\nsocket = \"{}\"\n\
         controllers = [\"tcp:127.0.0.1:6653\"]\nmax_backoff = 1\n{openflow}\n",
        folder.text("okod.sock")
    );
    for (number, (host, _)) in (1..).zip(HOSTS) {
        config.push_str(&format!(
            "[[port]]\nnumber = {number}\nname = \"{host}\"\ndevice = \"net_af_packet{number},iface={}\"\n",
            network.wire(host)
        ));
    }
    let config = folder.write("okod.toml", config);
    let program = programs::path("okod").display().to_string();
    let config = config.display().to_string();
    let words = [program.as_str(), "--config", config.as_str()];
    let running = Running::start(&mut run_in(&network.space("s"), &words), &folder.file("okod.log"));
    let start = Instant::now();
    while !folder.file("okod.sock").exists() {
        assert!(start.elapsed() < PATIENCE, "okod does not start");
        sleep(Duration::from_millis(20));
    }
    running
}

fn flows(folder: &Folder) -> String {
    let mut okoctl = Command::new(programs::path("okoctl"));
    programs::run(okoctl.arg("--switch").arg(folder.file("okod.sock")).args(["flow", "list"])).succeeded()
}

#[test]
fn the_controller_of_open_vswitch_makes_it_a_learning_switch() {
    if is_missing() {
        return;
    }
    let network = Network::create("learn");
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let folder = Folder::new();
        let words = ["ovs-testcontroller", "-O", version, "ptcp:6653:127.0.0.1"];
        let mut controller = run_in(&network.space("s"), &words);
        controller.env("OVS_RUNDIR", folder.text("")).env("OVS_LOGDIR", folder.text(""));
        let _controller = Running::start(&mut controller, &folder.file("controller.log"));
        let _switch = okod(&network, &folder, "");
        network.wait_for_ping(&folder.file("okod.log"));
        // The controller has put in flows with the addresses of the hosts.
        let listed = flows(&folder);
        assert!(listed.contains("dl_dst=") && listed.contains("idle_timeout=60"), "{version}: {listed}");
        assert!(network.pings(), "{version}");
    }
}

#[test]
fn without_a_controller_a_standalone_switch_is_a_bridge_and_a_secure_one_is_not() {
    if is_missing() {
        return;
    }
    let network = Network::create("alone");
    {
        let folder = Folder::new();
        let _switch = okod(&network, &folder, "fail_mode = \"secure\"");
        assert!(!network.pings());
    }
    let folder = Folder::new();
    let _switch = okod(&network, &folder, "fail_mode = \"standalone\"");
    network.wait_for_ping(&folder.file("okod.log"));
    // While there is a controller, its flows count; when it is gone, the bridge is back.
    let words = ["ovs-testcontroller", "-O", "OpenFlow13", "ptcp:6653:127.0.0.1"];
    let mut controller = run_in(&network.space("s"), &words);
    controller.env("OVS_RUNDIR", folder.text("")).env("OVS_LOGDIR", folder.text(""));
    let controller = Running::start(&mut controller, &folder.file("controller.log"));
    let start = Instant::now();
    while !flows(&folder).contains("dl_dst=") {
        assert!(start.elapsed() < PATIENCE, "the controller does not take over");
        let _ = network.pings();
    }
    drop(controller);
    network.wait_for_ping(&folder.file("okod.log"));
}

/// Where `faucet` is: in the path, or in a Python environment beside the conformance suite.
fn faucet() -> Option<std::path::PathBuf> {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance/faucet/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).chain([environment]).find(|folder| folder.join("faucet").exists());
    if found.is_none() {
        eprintln!("SKIPPED: there is no `faucet` (`pip install faucet==1.10.12`)");
    }
    found
}

#[test]
fn faucet_keeps_two_vlans_apart_and_its_access_list_holds() {
    if is_missing() {
        return;
    }
    let Some(bin) = faucet() else { return };
    let network = Network::create("faucet");
    // A second address of the second host, which the access list denies.
    ip(&["-n", &network.space("b"), "addr", "add", "192.0.2.4/24", "dev", "eth0"]);
    let folder = Folder::new();
    let config = folder.write(
        "faucet.yaml",
        "vlans: {office: {vid: 100}, guest: {vid: 200}}\n\
         acls:\n  no-second:\n\
         \x20   - rule: {dl_type: 0x800, nw_proto: 1, ipv4_dst: 192.0.2.4, actions: {allow: 0}}\n\
         \x20   - rule: {actions: {allow: 1}}\n\
         dps:\n  oko:\n    dp_id: 1\n    hardware: Open vSwitch\n    interfaces:\n\
         \x20     1: {native_vlan: office, acls_in: [no-second]}\n\
         \x20     2: {native_vlan: office}\n\
         \x20     3: {native_vlan: guest}\n",
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let mut controller = run_in(&network.space("s"), &["faucet", "--ryu-ofp-tcp-listen-port", "6653"]);
    controller
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("FAUCET_CONFIG", config)
        .env("FAUCET_LOG", folder.file("faucet.log"))
        .env("FAUCET_EXCEPTION_LOG", folder.file("faucet-exceptions.log"));
    // `ip netns exec` and the command become the manager's own process, so that it ends with this value.
    let _controller = Running::start(&mut controller, &folder.file("controller.log"));
    let _switch = okod(&network, &folder, "");
    network.wait_for_ping(&folder.file("okod.log"));
    assert!(!network.reaches("192.0.2.4"), "the access list: {}", flows(&folder));
    assert!(!network.reaches("192.0.2.3"), "another VLAN: {}", flows(&folder));
    assert!(network.pings());
    assert!(flows(&folder).contains("push_vlan:0x8100"));
}
