//! Packets a second of `okod` from a port that repeats a capture to one that drops everything, beside `dpdk-testpmd` on the same ports.
//!
//! `net_pcap` with `infinite_rx=1` hands out copies of preloaded packets at memory speed, and `net_null` frees them, so the rate is that of
//! the one forwarding core, which always polls: its cycles a packet are the TSC's frequency over the rate. In each round every
//! subject is started anew, warmed up and measured. Filters decide, and packets go the same way whatever they decide.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use super::pages::{Pages, runtime_folder};
use super::process::Process;
use super::stats::Samples;
use super::telemetry::Telemetry;
use super::{Bench, Section};
use crate::run::{root, shown};

/// What both programs reserve, in MiB; and their packet buffers. The capture is kept in buffers.
const MEMORY: u32 = 512;
const PACKET_BUFFERS: u32 = 65_535;
/// The core that forwards.
const CPU: usize = 1;
/// The capture that is repeated.
const CAPTURE: &str = "syn_flood";
/// The device that drops.
const SINK: &str = "net_null0";
const START: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Copy)]
enum Subject {
    /// dpdk-testpmd in its fastest mode, which looks at no packet.
    Testpmd,
    /// okod with one flow, and perhaps a filter: its example and its name.
    Okod(Option<(&'static str, &'static str)>),
}

const SUBJECTS: [(&str, Subject); 5] = [
    ("dpdk-testpmd, io", Subject::Testpmd),
    ("okod, no filter", Subject::Okod(None)),
    ("okod, telnet (no state)", Subject::Okod(Some(("telnet", "telnet")))),
    ("okod, syn_flood (state)", Subject::Okod(Some(("syn_flood", "syn_flood")))),
    ("okod, rate_limit (state)", Subject::Okod(Some(("rate_limit", "over_rate")))),
];

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    ensure!(cpus > CPU, "this takes two CPUs: one forwards, one does everything else");
    let pages = Pages::reserve(u64::from(MEMORY) * 2);
    let folder = tempfile::tempdir()?;
    let setup = Setup { bench, pages, folder: folder.path().to_owned() };
    let (rounds, turns, turn) =
        if bench.quick { (1, 2, Duration::from_millis(300)) } else { (5, 3, Duration::from_secs(1)) };
    let mut rates = vec![Samples::default(); SUBJECTS.len()];
    let mut tsc = None;
    for round in 1..=rounds {
        for ((name, subject), rates) in SUBJECTS.iter().zip(&mut rates) {
            eprintln!("round {round} of {rounds}: {name}");
            let running = setup.start(*subject).with_context(|| (*name).to_owned())?;
            tsc = tsc.or_else(|| tsc_frequency(&running.process.log()));
            sleep(Duration::from_secs(1));
            for _ in 0..turns {
                rates.add(running.rate(turn).with_context(|| (*name).to_owned())?);
            }
            running.end();
        }
    }
    Ok(section(&setup.pages, &rates, tsc, rounds, turns))
}

fn section(pages: &Pages, rates: &[Samples], tsc: Option<f64>, rounds: u32, turns: u32) -> Section {
    let cycles = |rate: f64| tsc.map(|tsc| tsc / rate);
    let floor = rates[0].median();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "Mpps", "from … to", "cycles a packet", "of testpmd's rate"]);
    let mut figures = Map::new();
    for ((name, _), rates) in SUBJECTS.iter().zip(rates) {
        let (rate, (least, greatest)) = (rates.median(), rates.range());
        table.add_row([
            (*name).to_owned(),
            format!("{:.2}", rate / 1e6),
            format!("{:.2} … {:.2}", least / 1e6, greatest / 1e6),
            cycles(rate).map_or("–".to_owned(), |cycles| format!("{cycles:.0}")),
            format!("{:.3}", rate / floor),
        ]);
        figures.insert(
            (*name).to_owned(),
            json!({ "packets_per_second": rates.json(), "cycles_per_packet": cycles(rate), "of_testpmd": rate / floor }),
        );
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let memory = match pages {
        Pages::Huge { .. } => "Huge pages.".to_owned(),
        Pages::Ordinary(why) => {
            format!("Ordinary memory, which costs about two thirds of the rate; no huge pages: {why}.")
        }
    };
    let text = format!(
        "{CAPTURE}.pcap again and again (net_pcap, infinite_rx) to {SINK}, one forwarding core (CPU {CPU}). {memory}\n\n{table}\n\n\
         Medians of {turns} turns in each of {rounds} rounds.\n"
    );
    figures.insert("huge_pages".to_owned(), Value::Bool(pages.are_huge()));
    figures.insert("tsc_hz".to_owned(), json!(tsc));
    Section { text, figures: Value::Object(figures) }
}

/// What the EAL says of the TSC at the log level `debug`, in Hz.
fn tsc_frequency(log: &str) -> Option<f64> {
    let (_, rest) = log.split_once("TSC frequency is ~")?;
    let kilohertz: f64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kilohertz * 1e3)
}

/// Names testpmd's run-time folder.
fn prefix() -> String {
    format!("oko-bench-{}", std::process::id())
}

/// What all subjects run on.
struct Setup<'b> {
    bench: &'b Bench,
    pages: Pages,
    /// For configurations, sockets and logs: sockets need short paths.
    folder: PathBuf,
}

/// A program that forwards.
struct Running {
    process: Process,
    telemetry: Telemetry,
    sink: u64,
    /// Its run-time folder, which DPDK does not remove.
    leftover: PathBuf,
}

impl Running {
    /// Ends it, and removes what such programs leave behind.
    fn end(self) {
        let Running { process, telemetry, leftover, .. } = self;
        drop((telemetry, process));
        let _ = std::fs::remove_dir_all(leftover);
    }

    /// Packets a second over a while.
    fn rate(&self, turn: Duration) -> Result<f64> {
        let (before, begin) = (self.telemetry.sent(self.sink)?, Instant::now());
        sleep(turn);
        let (after, time) = (self.telemetry.sent(self.sink)?, begin.elapsed());
        ensure!(after > before, "nothing is forwarded:\n{}", self.process.log());
        Ok((after - before) as f64 / time.as_secs_f64())
    }
}

impl Setup<'_> {
    fn start(&self, subject: Subject) -> Result<Running> {
        let mut process = match subject {
            Subject::Testpmd => Process::start(self.testpmd(), &self.folder.join("testpmd.log"))?,
            Subject::Okod(filter) => self.okod(filter)?,
        };
        let id = process.id();
        let leftover = runtime_folder().join(match subject {
            Subject::Testpmd => prefix(),
            Subject::Okod(_) => format!("okod-{id}"),
        });
        let telemetry = process.wait_for("telemetry socket", START, || Telemetry::of(id))?;
        let sink = process.wait_for("port", START, || telemetry.port(SINK).ok())?;
        process.wait_for("packets", START, || telemetry.sent(sink).ok().filter(|&sent| sent > 0))?;
        Ok(Running { process, telemetry, sink, leftover })
    }

    fn source_device() -> String {
        let capture = root().join("examples/captures").join(format!("{CAPTURE}.pcap"));
        format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.display())
    }

    fn sink_device() -> String {
        format!("{SINK},no-rx=1")
    }

    fn testpmd(&self) -> Command {
        let mut command = Command::new("dpdk-testpmd");
        command.args(["-l", &format!("0,{CPU}"), "--no-pci", "-m", &MEMORY.to_string()]);
        // As okod does.
        command.arg(if self.pages.are_huge() { "--in-memory" } else { "--no-huge" });
        command.args(["--log-level", "lib.eal:debug", "--file-prefix", &prefix()]);
        command.args(["--vdev", &Self::source_device(), "--vdev", &Self::sink_device(), "--"]);
        command.args(["--forward-mode=io", "--nb-cores=1", "--auto-start", "--stats-period=100"]);
        command.arg(format!("--total-num-mbufs={PACKET_BUFFERS}"));
        command
    }

    /// Starts okod, tells it what to do, and brings the source up at last.
    fn okod(&self, filter: Option<(&str, &str)>) -> Result<Process> {
        let (config, socket) = (self.folder.join("okod.toml"), self.folder.join("okod.sock"));
        let text = format!(
            r#"log = "warn"

[dpdk]
huge_pages = {huge}
memory = {MEMORY}
packet_buffers = {PACKET_BUFFERS}
telemetry = true

[worker]
cpu = {CPU}
busy_poll = true

[openflow]
socket = "{socket}"

[[port]]
number = 1
name = "source"
device = "{source}"
up = false

[[port]]
number = 2
name = "sink"
device = "{sink}"
"#,
            huge = self.pages.are_huge(),
            socket = socket.display(),
            source = Self::source_device(),
            sink = Self::sink_device(),
        );
        std::fs::write(&config, text)?;
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(self.bench.program("okod"));
        command.arg("--config").arg(&config);
        let mut process = Process::start(command, &self.folder.join("okod.log"))?;
        process.wait_for("socket", START, || socket.exists().then_some(()))?;
        let tell = |words: &[&str]| self.tell(&socket, words).with_context(|| process.log());
        if let Some((example, name)) = filter {
            let object = self.bench.object(example)?;
            tell(&["filter", "load", &object.display().to_string()])?;
            tell(&["flow", "add", &format!("priority=100,in_port=1,filter={name},actions=output:2")])?;
        }
        tell(&["flow", "add", "priority=10,in_port=1,actions=output:2"])?;
        tell(&["port", "up", "source"])?;
        Ok(process)
    }

    fn tell(&self, socket: &Path, words: &[&str]) -> Result<()> {
        let mut okoctl = Command::new(self.bench.program("okoctl"));
        okoctl.arg("--switch").arg(socket).args(words);
        let output = okoctl.output().with_context(|| format!("cannot start `{}`", shown(&okoctl)))?;
        ensure!(
            output.status.success(),
            "`{}` failed: {}",
            shown(&okoctl),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
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
