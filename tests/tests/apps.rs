//! Unmodified apps of os-ken (once Ryu's) operate a running `okod`: learning switches of three versions of OpenFlow, a firewall and a router with REST
//! interfaces. `ping` between network namespaces is the witness.
//!
//! The apps are those of os-ken 1.0.0, which is installed into a Python environment of its own. Skipped, with a note, without root and where it cannot be had.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use oko_tests::network::{Network, Running, flows, ip, is_missing, okod, run_in};
use oko_tests::switch::{Folder, PATIENCE};

/// The last release with these apps.
const PACKAGE: &str = "os-ken==1.0.0";
/// What the tests here need.
const NEEDS: [(&str, &str); 4] = [("ip", "-V"), ("ping", "-V"), ("python3", "-V"), ("curl", "--version")];
/// The package is older than its dependencies: it imports a name that today's eventlet has no more, and that only web sockets use.
const BRIDGE: &str = "import eventlet.wsgi\neventlet.wsgi.ALREADY_HANDLED = []\n";
/// The switch, as the apps call it.
const SWITCH: &str = "0000000000000001";

/// The command that runs apps, installed once; none, and a note, where something that the tests need is missing.
fn manager() -> Option<&'static Path> {
    if is_missing(&NEEDS) {
        return None;
    }
    static MANAGER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance/apps");
        let manager = environment.join("bin/osken-manager");
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let there = manager.exists()
            || done(Command::new("python3").args(["-m", "venv"]).arg(&environment))
                && done(Command::new(environment.join("bin/pip")).args(["install", "--quiet", PACKAGE]));
        if !there {
            eprintln!("SKIPPED: `pip install {PACKAGE}` fails in a new environment");
        }
        there.then_some(manager)
    };
    MANAGER.get_or_init(install).as_deref()
}

/// A running app and a switch that is connected to it.
struct Operated {
    network: Network,
    folder: Folder,
    _controller: Running,
    _switch: Running,
}

impl Operated {
    /// `name` is that of the network.
    fn by(manager: &Path, app: &str, name: &'static str) -> Operated {
        let (network, folder) = (Network::create(name), Folder::new());
        folder.write("sitecustomize.py", BRIDGE);
        let path = manager.to_string_lossy();
        let words = [&*path, "--ofp-tcp-listen-port", "6653", "--ofp-listen-host", "127.0.0.1", app];
        let mut controller = run_in(&network.space("s"), &words);
        controller.env("PYTHONPATH", folder.text(""));
        let controller = Running::start(&mut controller, &folder.file("controller.log"));
        let switch = okod(&network, &folder, "");
        Operated { network, folder, _controller: controller, _switch: switch }
    }

    /// Asks the app's REST interface until it does what it is asked.
    fn ask(&self, method: &str, path: &str, body: &str) {
        let url = format!("http://127.0.0.1:8080/{path}/{SWITCH}");
        let words = ["curl", "--silent", "--max-time", "5", "--request", method, "--data", body, &url];
        let start = Instant::now();
        loop {
            let answer = run_in(&self.network.space("s"), &words).output().expect("curl runs");
            let text = String::from_utf8_lossy(&answer.stdout);
            if text.contains("success") {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{method} {url} {body}: {text}\n{}", self.says());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn says(&self) -> String {
        std::fs::read_to_string(self.folder.file("controller.log")).unwrap_or_default()
    }

    fn wait_for(&self, place: &str, address: &str) {
        self.network.wait_for(place, address, &self.folder.file("okod.log"));
    }
}

#[test]
fn learning_switches_of_os_ken_learn() {
    let Some(manager) = manager() else { return };
    for app in ["simple_switch_13", "simple_switch_14", "simple_switch_15"] {
        let operated = Operated::by(manager, &format!("os_ken.app.{app}"), "learns");
        operated.wait_for("a", "192.0.2.2");
        operated.wait_for("c", "192.0.2.1");
        let listed = flows(&operated.folder);
        // What is unknown goes to the controller, and each direction has an entry of its own.
        assert!(
            listed.contains("actions=controller") || listed.contains("actions=CONTROLLER"),
            "{app}: {listed}"
        );
        assert!(listed.matches("dl_dst=").count() >= 4, "{app}: {listed}\n{}", operated.says());
    }
}

#[test]
fn a_firewall_of_os_ken_lets_through_what_its_rules_say() {
    let Some(manager) = manager() else { return };
    let operated = Operated::by(manager, "os_ken.app.rest_firewall", "fire");
    operated.ask("PUT", "firewall/module/enable", "");
    assert!(!operated.network.pings(), "nothing is allowed: {}", flows(&operated.folder));
    for (from, to) in [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1")] {
        let rule = format!("{{\"nw_src\": \"{from}/32\", \"nw_dst\": \"{to}/32\", \"nw_proto\": \"ICMP\"}}");
        operated.ask("POST", "firewall/rules", &rule);
    }
    operated.wait_for("a", "192.0.2.2");
    assert!(!operated.network.reaches("a", "192.0.2.3"), "another host: {}", flows(&operated.folder));
    assert!(!operated.network.reaches("c", "192.0.2.2"), "from another host: {}", flows(&operated.folder));
}

#[test]
fn a_router_of_os_ken_routes() {
    let Some(manager) = manager() else { return };
    let operated = Operated::by(manager, "os_ken.app.rest_router", "route");
    for (host, address, gateway) in [("a", "198.18.1.10", "198.18.1.1"), ("b", "198.18.2.10", "198.18.2.1")] {
        let space = operated.network.space(host);
        ip(&["-n", &space, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", &space, "route", "add", "default", "via", gateway]);
        operated.ask("POST", "router", &format!("{{\"address\": \"{gateway}/24\"}}"));
    }
    // The router itself, then through it.
    operated.wait_for("a", "198.18.1.1");
    operated.wait_for("a", "198.18.2.10");
    operated.wait_for("b", "198.18.1.10");
    let listed = flows(&operated.folder);
    assert!(listed.contains("dec_ttl") && listed.contains("set_field"), "{listed}");
}
