//! Open vSwitch with DPDK in the lab: a private instance, unmodified, with everything it writes in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::process::Process;
use super::traffic::{Frame, Traffic};
use super::{CPU, Lab, Meter, Program, SINK, SINK_DEVICE, START, output, sink_device, source_device};
use crate::bench::stats::{Cell, Samples};

const SWITCH: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const BRIDGE: &str = "br0";
/// Packet buffers come from pools by MTU, each of a fixed size: with an MTU of its own a port has a pool of its own.
const MTU: usize = 1500;
const MTU_STEP: usize = 1024;

/// Its caches in front of the megaflow classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caches {
    /// As installed: the exact-match cache, into which one of a hundred new flows goes.
    Default,
    /// Beside it the signature-match cache.
    Signatures,
    /// Neither: megaflows only.
    None,
}

impl Caches {
    pub(crate) const ALL: [Caches; 3] = [Caches::Default, Caches::Signatures, Caches::None];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Caches::Default => "OVS, EMC (default)",
            Caches::Signatures => "OVS, EMC and SMC",
            Caches::None => "OVS, megaflows only",
        }
    }
}

/// A running Open vSwitch with one bridge.
pub(crate) struct Ovs<'l> {
    lab: &'l Lab<'l>,
    // Ended in this order.
    switch: Program,
    _database: Process,
    folder: PathBuf,
    /// Packets of the sources.
    packets: usize,
}

impl<'l> Ovs<'l> {
    /// Starts it, with an empty bridge and a sink.
    pub(crate) fn new(lab: &'l Lab<'l>) -> Result<Ovs<'l>> {
        ensure!(lab.pages.are_huge(), "Open vSwitch with DPDK takes huge pages, and there are none");
        ensure!(Path::new(SWITCH).is_file(), "{SWITCH} is not installed (openvswitch-switch-dpdk)");
        let folder = lab.folder().join("ovs");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let command = |program: &str| {
            let mut command = Command::new(program);
            for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
                command.env(variable, &folder);
            }
            command
        };
        let (base, socket) = (folder.join("conf.db"), folder.join("db.sock"));
        output(command("ovsdb-tool").arg("create").arg(&base).arg(SCHEMA))?;
        let mut server = command("ovsdb-server");
        server.arg(&base).arg(format!("--remote=punix:{}", socket.display()));
        server.arg(format!("--unixctl={}", folder.join("ovsdb.ctl").display()));
        let mut database = Process::start(server, &folder.join("ovsdb.log"))?;
        database.wait_for("socket", START, || socket.exists().then_some(()))?;

        let remote = format!("unix:{}", socket.display());
        let mask = format!("other_config:pmd-cpu-mask={:#x}", 1 << CPU);
        let mut settings = command("ovs-vsctl");
        settings.arg(format!("--db={remote}")).args(["--no-wait", "init", "--"]);
        settings.args(["set", "Open_vSwitch", ".", "other_config:dpdk-init=true"]);
        settings.args(["other_config:dpdk-lcore-mask=0x1", &mask, "other_config:dpdk-socket-mem=64"]);
        settings.arg("other_config:dpdk-extra=--no-pci --file-prefix=oko-bench-ovs --in-memory");
        output(&mut settings)?;

        let control = folder.join("vswitchd.ctl");
        let mut vswitchd = command(SWITCH);
        vswitchd.arg(&remote).arg(format!("--unixctl={}", control.display()));
        vswitchd.arg("-vconsole:info");
        let process = Process::start(vswitchd, &folder.join("vswitchd.log"))?;
        let leftover = Some(super::runtime_folder().join("oko-bench-ovs"));
        let mut ovs =
            Ovs { lab, switch: Program { process, leftover }, _database: database, folder, packets: 0 };
        ovs.switch.process.wait_for("control socket", START, || control.exists().then_some(()))?;
        let ready = || ovs.vsctl(&["get", "Open_vSwitch", ".", "dpdk_initialized"]).ok();
        let begin = Instant::now();
        while ready().is_none_or(|answer| answer.trim() != "true") {
            ensure!(begin.elapsed() < START, "DPDK does not start:\n{}", ovs.switch.process.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        ovs.vsctl(&[
            "add-br",
            BRIDGE,
            "--",
            "set",
            "bridge",
            BRIDGE,
            "datapath_type=netdev",
            "fail_mode=secure",
        ])?;
        ovs.add_port("sink", SINK, &sink_device(), MTU)?;
        Ok(ovs)
    }

    fn vsctl(&self, words: &[&str]) -> Result<String> {
        let mut vsctl = Command::new("ovs-vsctl");
        // It waits until the switch has done what it says, unless it takes too long.
        vsctl.arg(format!("--db=unix:{}", self.folder.join("db.sock").display())).arg("--timeout=60");
        output(vsctl.args(words))
    }

    /// Sets `other_config` of the switch.
    pub(crate) fn set(&self, settings: &[&str]) -> Result<()> {
        let mut words = vec!["set", "Open_vSwitch", "."];
        let settings: Vec<String> =
            settings.iter().map(|setting| format!("other_config:{setting}")).collect();
        words.extend(settings.iter().map(String::as_str));
        self.vsctl(&words).map(drop)
    }

    pub(crate) fn use_caches(&self, caches: Caches) -> Result<()> {
        let (emc, smc) = match caches {
            Caches::Default => ("emc-insert-inv-prob=100", "smc-enable=false"),
            Caches::Signatures => ("emc-insert-inv-prob=100", "smc-enable=true"),
            Caches::None => ("emc-insert-inv-prob=0", "smc-enable=false"),
        };
        self.set(&[emc, smc])
    }

    /// Adds a port; packets are taken from it at once.
    pub(crate) fn add_port(&self, name: &str, number: u32, device: &str, mtu: usize) -> Result<()> {
        self.vsctl(&[
            "add-port",
            BRIDGE,
            name,
            "--",
            "set",
            "Interface",
            name,
            "type=dpdk",
            &format!("options:dpdk-devargs=\"{device}\""),
            &format!("ofport_request={number}"),
            &format!("mtu_request={mtu}"),
        ])?;
        let error = self.vsctl(&["get", "Interface", name, "error"])?;
        if error.trim() != "[]" {
            bail!("Open vSwitch cannot open {device}: {}", error.trim());
        }
        Ok(())
    }

    pub(crate) fn delete_port(&self, name: &str) -> Result<()> {
        self.vsctl(&["del-port", BRIDGE, name]).map(drop)
    }

    /// Adds flows, one a line.
    pub(crate) fn add_flows(&self, flows: &str) -> Result<()> {
        let file = self.folder.join("flows");
        std::fs::write(&file, flows)?;
        self.add_flows_from(&file)
    }

    pub(crate) fn add_flows_from(&self, file: &Path) -> Result<()> {
        output(self.ofctl(&["-O", "OpenFlow14", "--bundle", "add-flows"]).arg(file)).map(drop)
    }

    /// Adds a meter, as `ovs-ofctl` writes it.
    pub(crate) fn add_meter(&self, meter: &str) -> Result<()> {
        output(self.ofctl(&["-O", "OpenFlow13", "add-meter"]).arg(meter)).map(drop)
    }

    /// A station behind the sink sends something, which goes through the bridge.
    pub(crate) fn hear(&self, frame: &Frame) -> Result<()> {
        output(self.ofctl(&["-O", "OpenFlow13", "packet-out"]).arg(frame.packet_out())).map(drop)
    }

    /// `ovs-ofctl` with these words and the bridge.
    fn ofctl(&self, words: &[&str]) -> Command {
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl.env("OVS_RUNDIR", &self.folder).args(words);
        ofctl.arg(format!("unix:{}", self.socket().display()));
        ofctl
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!("{BRIDGE}.mgmt"))
    }

    /// Lets sources send.
    pub(crate) fn start(&mut self, traffic: &Traffic) -> Result<()> {
        self.packets = traffic.packets();
        for (n, file) in traffic.files().iter().enumerate() {
            let device = source_device(n, file);
            self.add_port(&format!("source{}", n + 1), n as u32 + 1, &device, MTU + n * MTU_STEP)?;
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.switch.process.id()
    }

    /// Counts what leaves, from before the first packet.
    pub(crate) fn meter(&mut self) -> Result<Meter> {
        self.switch.meter_of_idle(&[SINK_DEVICE])
    }

    /// The rates while sources send, in packets a second.
    pub(crate) fn rates_now(&mut self) -> Result<Samples> {
        let meter = self.switch.meter(&[SINK_DEVICE])?;
        self.lab.rates(&meter, &self.switch, self.packets)
    }
}

/// One with these flows, one a line, whose sources send.
pub(crate) fn started<'l>(lab: &'l Lab<'l>, traffic: &Traffic, flows: &str) -> Result<Ovs<'l>> {
    let mut ovs = Ovs::new(lab)?;
    ovs.add_flows(flows)?;
    ovs.start(traffic)?;
    Ok(ovs)
}

/// The rates with each configuration of the caches in turn, or why there are none; a cell for each of [`Caches::ALL`].
pub(crate) fn add_rates<'c>(started: Result<Ovs<'_>>, cells: impl IntoIterator<Item = &'c mut Cell>) {
    match started {
        Ok(mut ovs) => {
            for (cell, caches) in cells.into_iter().zip(Caches::ALL) {
                cell.add(ovs.use_caches(caches).and_then(|()| ovs.rates_now()));
            }
        }
        Err(error) => cells.into_iter().for_each(|cell| cell.fail(&error)),
    }
}
