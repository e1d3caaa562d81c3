//! Unmodified controllers operate a running `okod`, with `ping` between two network namespaces as the witness.
//!
//! Skipped, with a note, without root or where a controller is not installed (`openvswitch-testcontroller`, `faucet`).

#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::Instant;

use oko_tests::network::{Network, Running, can_run, flows, ip, is_missing, okod, run_in};
use oko_tests::switch::{Folder, PATIENCE};

/// What the tests here need.
const NEEDS: [(&str, &str); 3] = [("ip", "-V"), ("ovs-testcontroller", "--version"), ("ping", "-V")];

#[test]
fn the_controller_of_open_vswitch_makes_it_a_learning_switch() {
    if is_missing(&NEEDS) {
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
        if version == "OpenFlow13" {
            a_page_is_fetched(&network, &folder);
            a_stream_gets_through(&network, &folder);
        }
    }
}

/// The first host fetches a file from a web server on the second.
fn a_page_is_fetched(network: &Network, folder: &Folder) {
    if !can_run("curl", "--version") || !can_run("python3", "--version") {
        return;
    }
    folder.write("page.txt", "a page ".repeat(10_000));
    let place = folder.text("");
    let words = ["python3", "-m", "http.server", "8000", "--bind", "192.0.2.2", "--directory", &place];
    let _server = Running::start(&mut run_in(&network.space("b"), &words), &folder.file("server.log"));
    let start = Instant::now();
    let curl = ["curl", "--silent", "--fail", "--max-time", "5", "http://192.0.2.2:8000/page.txt"];
    loop {
        let fetched = run_in(&network.space("a"), &curl).output().expect("it ran before");
        if fetched.status.success() {
            assert_eq!(fetched.stdout.len(), 70_000);
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the page is not fetched: {fetched:?}");
    }
}

/// A second of TCP from the first host to the second.
fn a_stream_gets_through(network: &Network, folder: &Folder) {
    if !can_run("iperf3", "--version") {
        return;
    }
    let words = ["iperf3", "--server"];
    let _server = Running::start(&mut run_in(&network.space("b"), &words), &folder.file("iperf3.log"));
    let start = Instant::now();
    let client = ["iperf3", "--client", "192.0.2.2", "--time", "1", "--json", "--connect-timeout", "2000"];
    loop {
        let sent = run_in(&network.space("a"), &client).output().expect("it ran before");
        let report: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap_or_default();
        if let Some(bytes) = report["end"]["sum_received"]["bytes"].as_f64() {
            assert!(bytes > 100_000.0, "only {bytes} bytes came through in a second");
            return;
        }
        assert!(start.elapsed() < PATIENCE, "nothing comes through: {sent:?}");
    }
}

#[test]
fn without_a_controller_a_standalone_switch_is_a_bridge_and_a_secure_one_is_not() {
    if is_missing(&NEEDS) {
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
    if is_missing(&NEEDS) {
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
    assert!(!network.reaches("a", "192.0.2.4"), "the access list: {}", flows(&folder));
    assert!(!network.reaches("a", "192.0.2.3"), "another VLAN: {}", flows(&folder));
    assert!(network.pings());
    assert!(flows(&folder).contains("push_vlan:0x8100"));
}
