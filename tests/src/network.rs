//! Hosts in network namespaces, with a switch between them. Needs root.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::programs;
use crate::switch::{Folder, PATIENCE};

/// Whether something that a test needs is missing: root, or one of these programs, each with an argument with which it does nothing. Says so.
#[must_use]
pub fn is_missing(needs: &[(&str, &str)]) -> bool {
    // SAFETY: reads a number.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("SKIPPED: making network namespaces needs root");
    }
    !root || needs.iter().any(|(program, argument)| !can_run(program, argument))
}

/// Whether a program can be run, with an argument with which it does nothing; says so if not.
#[must_use]
pub fn can_run(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output();
    found.inspect_err(|error| eprintln!("SKIPPED: {program} cannot be run: {error}")).is_ok()
}

/// The hosts with their addresses. The first test of most: does the second answer the first?
const HOSTS: [(&str, &str); 3] = [("a", "192.0.2.1/24"), ("b", "192.0.2.2/24"), ("c", "192.0.2.3/24")];

/// Hosts and a namespace for the switch, joined by wires. All goes with this value.
#[derive(Debug)]
pub struct Network {
    name: &'static str,
}

impl Network {
    /// Makes it anew.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn create(name: &'static str) -> Network {
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

    /// The namespace of a host, or of the switch, `s`.
    #[must_use]
    pub fn space(&self, place: &str) -> String {
        format!("oko-{}-{place}", self.name)
    }

    /// The switch's end of a host's wire.
    #[must_use]
    pub fn wire(&self, host: &str) -> String {
        format!("oko-{}-w{host}", self.name)
    }

    fn delete(&self) {
        for place in ["s", "a", "b", "c"] {
            let _ =
                Command::new("ip").args(["netns", "del", &self.space(place)]).stderr(Stdio::null()).status();
        }
    }

    /// Whether the second host answers the first.
    #[must_use]
    pub fn pings(&self) -> bool {
        self.reaches("a", "192.0.2.2")
    }

    /// Whether an address answers a host, or the switch, `s`.
    ///
    /// # Panics
    ///
    /// If `ping` does not run.
    #[must_use]
    pub fn reaches(&self, place: &str, address: &str) -> bool {
        let ping = ["ping", "-c", "1", "-W", "1", address];
        run_in(&self.space(place), &ping).output().expect("ping runs").status.success()
    }

    /// Waits until the second host answers the first.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub fn wait_for_ping(&self, log: &Path) {
        self.wait_for("a", "192.0.2.2", log);
    }

    /// Waits until an address [answers](Self::reaches); if it does not, what the switch says is shown.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub fn wait_for(&self, place: &str, address: &str, log: &Path) {
        let start = Instant::now();
        while !self.reaches(place, address) {
            let text = || fs::read_to_string(log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "{address} does not answer {place}; okod says:\n{}", text());
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Runs `ip`, which must succeed.
///
/// # Panics
///
/// If it does not.
pub fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip runs");
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}

/// A command in a namespace.
#[must_use]
pub fn run_in(space: &str, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space]).args(words).stdin(Stdio::null());
    command
}

/// A program that ends with this value.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it; what it says goes into a file.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Running {
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

/// The switch between the hosts, which connects to a controller on port 6653. `openflow` is more of that section of its configuration, other
/// sections may follow.
///
/// # Panics
///
/// If it does not start.
#[must_use]
pub fn okod(network: &Network, folder: &Folder, openflow: &str) -> Running {
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

/// What `okoctl flow list` says.
#[must_use]
pub fn flows(folder: &Folder) -> String {
    let mut okoctl = Command::new(programs::path("okoctl"));
    programs::run(okoctl.arg("--switch").arg(folder.file("okod.sock")).args(["flow", "list"])).succeeded()
}
