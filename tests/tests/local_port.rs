//! The port by which packets reach the machine that the switch runs on: hosts and the switch's own interface `ping` each other.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::Instant;

use oko_tests::network::{Network, ip, is_missing, okod, run_in};
use oko_tests::programs;
use oko_tests::switch::{Folder, PATIENCE, Switch, sink_port};

#[test]
fn hosts_reach_the_switch_and_the_switch_reaches_hosts() {
    if is_missing(&[("ip", "-V"), ("ping", "-V")]) {
        return;
    }
    let network = Network::create("local");
    let folder = Folder::new();
    let local = "[[port]]\nnumber = \"local\"\nname = \"oko-local\"\ndevice = \"net_tap7,iface=oko-local\"";
    let _switch = okod(&network, &folder, local);
    let space = network.space("s");
    let log = folder.file("okod.log");
    // The switch listens before it opens its ports.
    let start = Instant::now();
    while !run_in(&space, &["ip", "link", "show", "oko-local"]).output().expect("ip runs").status.success() {
        let text = || fs::read_to_string(&log).unwrap_or_default();
        assert!(start.elapsed() < PATIENCE, "there is no interface; okod says:\n{}", text());
    }
    // Linux answers for an address by whatever interface it is asked; the switch's ends of the cables shall not.
    let alone = "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore";
    assert!(run_in(&space, &["sh", "-c", alone]).status().expect("sh runs").success());
    ip(&["-n", &space, "addr", "add", "192.0.2.10/24", "dev", "oko-local"]);
    ip(&["-n", &space, "link", "set", "oko-local", "up"]);
    let okoctl = |words: &[&str]| {
        let mut okoctl = Command::new(programs::path("okoctl"));
        programs::run(okoctl.arg("--switch").arg(folder.file("okod.sock")).args(words)).succeeded()
    };
    okoctl(&["flow", "add", "priority=1,actions=normal"]);
    network.wait_for("a", "192.0.2.10", &log);
    network.wait_for("s", "192.0.2.2", &log);
    let ports = okoctl(&["port", "list"]);
    assert!(ports.contains("LOCAL") && ports.contains("oko-local"), "{ports}");

    // By its name in matches and actions, too: from here on only the first host.
    okoctl(&["flow", "del"]);
    okoctl(&["flow", "add", "in_port=1,actions=output:LOCAL", "in_port=LOCAL,actions=output:1"]);
    network.wait_for("a", "192.0.2.10", &log);
    network.wait_for("s", "192.0.2.1", &log);
    assert!(!network.reaches("b", "192.0.2.10"));
    assert!(okoctl(&["flow", "list"]).contains("in_port=oko-local"));
}

#[test]
fn without_permission_the_log_says_what_is_missing() {
    let folder = Folder::new();
    let local = "[[port]]\nnumber = \"local\"\nname = \"l\"\ndevice = \"net_tap7,iface=oko-none\"\n";
    let config = format!("{}{local}", sink_port(&folder, 1, "out"));
    // As a user without privileges. The switch runs without the port.
    let mut switch = Switch::start(folder, "", &config);
    if switch.user() == 0 {
        eprintln!("SKIPPED: the switch runs as root here");
        return;
    }
    switch.wait_for("a word about the port", |switch| {
        let log = switch.log();
        log.contains("the port does not work") && log.contains("CAP_NET_ADMIN")
    });
    let ports = switch.ask(&["port", "list"]);
    assert_eq!((&ports[0]["up"], &ports[1]["up"]), (&true.into(), &false.into()), "{ports}");
}
