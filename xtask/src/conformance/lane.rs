//! Where cases run: a network namespace with the switch under test, the tester's switch, and three wires between them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::suite::Suite;
use crate::run;

const NAMESPACE: &str = "oko-conform";
/// Of the switch under test, of the tester's.
const TARGET: (&str, u64) = ("target", 1);
const TESTER: (&str, u64) = ("tester", 2);
/// The switches run before other work of the machine, and the app whenever it wants to: in cases of groups and meters it sends every
/// hundredth of a second what is due then, and a packet rate of a tenth less than it is to be fails the case.
const SOON: [&str; 3] = ["nice", "-n", "-15"];
const AT_ONCE: [&str; 3] = ["chrt", "--rr", "1"];
/// How long the switches may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends with this value.
pub(crate) struct Lane {
    folder: PathBuf,
    switches: Vec<Child>,
    /// The namespace is this run's alone.
    _held: File,
}

impl Lane {
    pub(crate) fn start(okod: &Path) -> Result<Lane> {
        let _held = run::hold(NAMESPACE)?;
        let folder = run::root().join("target/conformance");
        fs::create_dir_all(&folder)?;
        let mut lane = Lane { folder, switches: Vec::new(), _held };
        lane.network()?;
        for (name, id) in [TARGET, TESTER] {
            lane.switch(okod, name, id)?;
        }
        Ok(lane)
    }

    /// One wire a port. Addresses and offloads are off: only what the app sends is on them, with the checksums that it made.
    fn network(&self) -> Result<()> {
        let _ = Command::new("ip").args(["netns", "del", NAMESPACE]).stderr(Stdio::null()).status();
        ip(&["netns", "add", NAMESPACE])?;
        ip(&["-n", NAMESPACE, "link", "set", "lo", "up"])?;
        for port in 1..=3 {
            let (target, tester) = (device(TARGET.0, port), device(TESTER.0, port));
            ip(&["-n", NAMESPACE, "link", "add", &target, "type", "veth", "peer", "name", &tester])?;
            for device in [&target, &tester] {
                inside(&["sysctl", "-qw", &format!("net.ipv6.conf.{device}.disable_ipv6=1")])?;
                ip(&["-n", NAMESPACE, "link", "set", device, "up", "promisc", "on"])?;
                let offloads = ["tx", "rx", "gro", "gso", "tso", "txvlan", "rxvlan"];
                for offload in offloads {
                    // Which of them a kernel has differs.
                    let _ = inside(&["ethtool", "-K", device, offload, "off"]);
                }
            }
        }
        Ok(())
    }

    fn switch(&mut self, okod: &Path, name: &str, id: u64) -> Result<()> {
        let socket = self.folder.join(format!("{name}.sock"));
        let mut config = format!(
            "[dpdk]\nmemory = 512\npacket_buffers = 32767\n[openflow]\ndatapath_id = \"{id:x}\"\nsocket = \"{}\"\n\
             controllers = [\"tcp:127.0.0.1:6653\"]\nmax_backoff = 1\n",
            socket.display()
        );
        for port in 1..=3 {
            // The tester's side is a packet socket. With AF_XDP on both ends of a wire, frames once stopped coming; why was not found.
            let driver = if name == TARGET.0 { "net_af_xdp" } else { "net_pcap" };
            config.push_str(&format!(
                "[[port]]\nnumber = {port}\nname = \"p{port}\"\ndevice = \"{driver}{port},iface={}\"\n",
                device(name, port)
            ));
        }
        let (file, log) = (self.folder.join(format!("{name}.toml")), self.folder.join(format!("{name}.log")));
        fs::write(&file, config)?;
        let out = File::create(&log)?;
        let child = Command::new("ip")
            .args(["netns", "exec", NAMESPACE])
            .args(SOON)
            .arg(okod)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot start okod")?;
        self.switches.push(child);
        let start = Instant::now();
        while !socket.exists() {
            let ended = self.switches.last_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended || start.elapsed() > PATIENCE {
                bail!("okod did not start; its log:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The log of a folder's run.
    pub(crate) fn log(&self, folder: &str) -> PathBuf {
        self.folder.join(format!("{folder}.log"))
    }

    /// Runs files of the suite, and gives what the app says of them.
    pub(crate) fn run(&self, suite: &Suite, folder: &str, files: &[PathBuf]) -> Result<String> {
        // The app takes one folder.
        let chosen = self.folder.join("chosen");
        let _ = fs::remove_dir_all(&chosen);
        fs::create_dir_all(&chosen)?;
        for (i, file) in files.iter().enumerate() {
            let name = file.file_name().context("a file has a name")?.to_string_lossy().into_owned();
            std::os::unix::fs::symlink(file, chosen.join(format!("{i:03}_{name}")))?;
        }
        let log = self.log(folder);
        let out = File::create(&log)?;
        // The app ends itself by a signal when it is through.
        Command::new("ip")
            .args(["netns", "exec", NAMESPACE])
            .args(AT_ONCE)
            .arg(suite.manager())
            .args(["--ofp-tcp-listen-port", "6653", "--ofp-listen-host", "127.0.0.1"])
            .args(["--test-switch-target", &format!("{:016x}", TARGET.1)])
            .args(["--test-switch-tester", &format!("{:016x}", TESTER.1)])
            .args(["--test-switch-interval", "0", "--test-switch-dir"])
            .arg(&chosen)
            .arg(suite.tester())
            .env("PYTHONUNBUFFERED", "1")
            // Of the ways in which its threads can wait, the one whose timeouts are no whole milliseconds: the app sends a hundred times a second.
            .env("EVENTLET_HUB", "selects")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .status()
            .context("cannot start osken-manager")?;
        Ok(fs::read_to_string(&log)?)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        for child in &mut self.switches {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("ip").args(["netns", "del", NAMESPACE]).status();
    }
}

fn device(switch: &str, port: u32) -> String {
    format!("oko-{switch}{port}")
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("cannot start `ip`")?;
    ensure!(output.status.success(), "`ip {}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn inside(words: &[&str]) -> Result<()> {
    ip(&[&["netns", "exec", NAMESPACE], words].concat())
}
