//! Switches that are measured: fed by ports that repeat captures at memory speed, drained by one that drops everything.
//!
//! `net_pcap` with `infinite_rx=1` hands out copies of preloaded packets, and `net_null` frees them, so the rate is that of the one
//! core that forwards and always polls: its cycles a packet are the TSC's frequency over the rate. What both ports alone cost, the
//! *floor*, is the rate of `dpdk-testpmd` in its fastest mode, which looks at no packet. All programs forward on CPU 1; everything else runs on CPU 0.

pub(super) mod masks;
pub(super) mod okod;
pub(super) mod ovs;
pub(super) mod pages;
pub(super) mod process;
mod telemetry;
pub(super) mod traffic;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::pages::{Pages, runtime_folder};
use self::process::Process;
use self::telemetry::Telemetry;
use self::traffic::Traffic;
use super::Bench;
use super::stats::Samples;
use crate::run::shown;

/// The core that forwards.
pub(super) const CPU: usize = 1;
/// OpenFlow number of the port that drops; sources are numbered from 1.
pub(super) const SINK: u32 = 9;
const SINK_DEVICE: &str = "net_null0";
/// How long a program may take to start: it clears huge pages and preloads captures.
const START: Duration = Duration::from_secs(30);
/// How long caches are given to fill for each packet of the traffic: flow set-up takes about a microsecond.
const WARM_A_PACKET: Duration = Duration::from_micros(3);
/// Packet buffers beside those that hold a capture.
const SPARE_BUFFERS: usize = 32_767;

/// How long and how often a rate is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Before the first turn: caches fill.
    pub(super) warm: Duration,
    pub(super) turn: Duration,
    pub(super) turns: u32,
}

impl Pace {
    pub(super) fn new(quick: bool) -> Pace {
        let (warm, turn, turns) = if quick { (300, 150, 3) } else { (600, 300, 3) };
        Pace { warm: Duration::from_millis(warm), turn: Duration::from_millis(turn), turns }
    }
}

/// What all switches run on.
pub(super) struct Lab<'b> {
    pub(super) bench: &'b Bench,
    pages: Pages,
    /// For captures, configurations, sockets and logs: sockets need short paths.
    folder: tempfile::TempDir,
    tsc: OnceLock<f64>,
}

impl<'b> Lab<'b> {
    /// A lab with so many MiB of huge pages, if there are.
    pub(super) fn open(bench: &'b Bench, mebibytes: u64) -> Result<Lab<'b>> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        ensure!(cpus > CPU, "this takes two CPUs: one forwards, one does everything else");
        let folder = tempfile::Builder::new().prefix("oko-bench-").tempdir()?;
        Ok(Lab { bench, pages: Pages::reserve(mebibytes), folder, tsc: OnceLock::new() })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Compiles a source by `okoc`; the object file.
    pub(super) fn compile(&self, name: &str, source: &str) -> Result<PathBuf> {
        let file = self.folder().join(name).with_extension("oko");
        std::fs::write(&file, source)?;
        self.bench.compile(&file)
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.bench.quick)
    }

    pub(super) fn has_huge_pages(&self) -> bool {
        self.pages.are_huge()
    }

    /// What to say of memory under a table.
    pub(super) fn memory(&self) -> String {
        match &self.pages {
            Pages::Huge { .. } => "Huge pages.".to_owned(),
            Pages::Ordinary(why) => {
                format!("Ordinary memory, with which rates are lower; no huge pages: {why}.")
            }
        }
    }

    /// Cycles that the forwarding core had for each packet at a rate; NaN before a [`Self::floor`] told the frequency of the TSC.
    pub(super) fn cycles(&self, rate: f64) -> f64 {
        self.tsc.get().map_or(f64::NAN, |tsc| tsc / rate)
    }

    /// `dpdk-testpmd` on as many ports as the traffic needs, each with a sink of its own: what the ports alone cost.
    pub(super) fn floor(&self, traffic: &Traffic) -> Result<Samples> {
        let buffers = traffic.packets() + SPARE_BUFFERS;
        let mut command = Command::new("dpdk-testpmd");
        command.args(["-l", &format!("0,{CPU}"), "--no-pci", "-m", &memory(buffers).to_string()]);
        // As okod does.
        command.arg(if self.pages.are_huge() { "--in-memory" } else { "--no-huge" });
        let prefix = format!("oko-bench-{}", std::process::id());
        command.args(["--log-level", "lib.eal:debug", "--file-prefix", &prefix]);
        let mut sinks = Vec::new();
        for (n, file) in traffic.files().iter().enumerate() {
            sinks.push(format!("net_null{n}"));
            command.args(["--vdev", &source_device(n, file), "--vdev", &format!("net_null{n},no-rx=1")]);
        }
        command.args(["--", "--forward-mode=io", "--nb-cores=1", "--auto-start", "--stats-period=100"]);
        command.arg(format!("--total-num-mbufs={buffers}"));
        let process = Process::start(command, &self.folder().join("testpmd.log"))?;
        let mut program = Program { process, leftover: Some(runtime_folder().join(prefix)) };
        let meter = program.meter(&sinks)?;
        if let Some(tsc) = tsc_frequency(&program.process.log()) {
            self.tsc.get_or_init(|| tsc);
        }
        meter.rates(self.pace()).with_context(|| program.process.log())
    }

    /// Learns the frequency of the TSC for [`Self::cycles`] where no floor is shown.
    pub(super) fn learn_frequency(&self, traffic: &Traffic) {
        if let Err(error) = self.floor(traffic) {
            eprintln!("cycles are not told: {error:#}");
        }
    }

    /// Rates once packets of this traffic are forwarded and caches had the time to see each, in packets a second.
    pub(super) fn rates(&self, meter: &Meter, program: &Program, packets: usize) -> Result<Samples> {
        let Pace { warm, turn, turns } = self.pace();
        let warm = warm.max(WARM_A_PACKET * packets as u32);
        meter.rates(Pace { warm, turn, turns }).with_context(|| program.process.log())
    }
}

/// The name and arguments of a source.
fn source_device(number: usize, file: &Path) -> String {
    format!("net_pcap{number},rx_pcap={},infinite_rx=1", file.display())
}

fn sink_device() -> String {
    format!("{SINK_DEVICE},no-rx=1")
}

/// The MiB that a program needs for so many packet buffers: 2.4 KiB each, and what is not for packets.
fn memory(buffers: usize) -> usize {
    buffers * 5 / 2 / 1024 + 160
}

/// A DPDK program that is running.
pub(super) struct Program {
    pub(super) process: Process,
    /// Its run-time folder, which DPDK does not remove.
    leftover: Option<PathBuf>,
}

impl Program {
    /// Counts what leaves by ports, by the names of their devices; waits until packets do.
    pub(super) fn meter<S: AsRef<str>>(&mut self, sinks: &[S]) -> Result<Meter> {
        let meter = self.meter_of_idle(sinks)?;
        self.process.wait_for("packets", START, || meter.sent().ok().filter(|&sent| sent > 0))?;
        Ok(meter)
    }

    /// The same for ports that nothing may have left yet.
    pub(super) fn meter_of_idle<S: AsRef<str>>(&mut self, sinks: &[S]) -> Result<Meter> {
        let id = self.process.id();
        let telemetry = self.process.wait_for("telemetry socket", START, || Telemetry::of(id))?;
        let mut ports = Vec::new();
        for sink in sinks {
            let find = || telemetry.port(sink.as_ref()).ok();
            ports.push(self.process.wait_for("port", START, find)?);
        }
        Ok(Meter { telemetry, ports })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.end();
        if let Some(folder) = &self.leftover {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Counts what leaves by a program's ports.
pub(super) struct Meter {
    telemetry: Telemetry,
    ports: Vec<u64>,
}

impl Meter {
    /// Packets that have left.
    pub(super) fn sent(&self) -> Result<u64> {
        self.ports.iter().map(|&port| self.telemetry.sent(port)).sum()
    }

    /// Packets that came in by a device.
    pub(super) fn received(&self, device: &str) -> Result<u64> {
        self.telemetry.received(self.telemetry.port(device)?)
    }

    /// Packets a second over a while.
    pub(super) fn rate(&self, turn: Duration) -> Result<f64> {
        let (before, begin) = (self.sent()?, Instant::now());
        sleep(turn);
        let (after, time) = (self.sent()?, begin.elapsed());
        ensure!(after > before, "nothing is forwarded");
        Ok((after - before) as f64 / time.as_secs_f64())
    }

    /// Packets a second, turn by turn.
    pub(super) fn rates(&self, pace: Pace) -> Result<Samples> {
        sleep(pace.warm);
        let mut samples = Samples::default();
        for _ in 0..pace.turns {
            samples.add(self.rate(pace.turn)?);
        }
        Ok(samples)
    }
}

/// Runs a command to its end; what it prints.
fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the EAL says of the TSC at the log level `debug`, in Hz.
fn tsc_frequency(log: &str) -> Option<f64> {
    let (_, rest) = log.split_once("TSC frequency is ~")?;
    let kilohertz: f64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kilohertz * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequency_is_read_from_the_log() {
        let log =
            "EAL: Detected CPU lcores: 2\nEAL: TSC frequency is ~2595124 KHz\nEAL: Main lcore 0 is ready";
        assert_eq!(tsc_frequency(log), Some(2_595_124_000.0));
        assert_eq!(tsc_frequency("EAL: nothing of the kind"), None);
    }
}
