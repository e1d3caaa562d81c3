//! `okod` in the lab.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::pages::runtime_folder;
use super::process::Process;
use super::traffic::{Frame, Traffic};
use super::{
    CPU, Lab, Meter, Program, SINK, SINK_DEVICE, SPARE_BUFFERS, START, memory, output, sink_device,
    source_device,
};
use crate::bench::stages;
use crate::bench::stats::Samples;

/// Flows that one command line carries.
const FLOWS_A_CALL: usize = 400;

/// How `okod` starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Further ports, down at first: number, name and device.
    pub(crate) ports: Vec<(u32, String, String)>,
    /// Further packets that ports hold.
    pub(crate) buffers: usize,
    /// CPUs of its workers, for each of which the only source has a queue; none: the one that all forward on.
    pub(crate) cpus: Option<Vec<usize>>,
    /// Ordinary memory even where there are huge pages.
    pub(crate) ordinary: bool,
    /// No flow cache: each packet goes through the tables.
    pub(crate) no_cache: bool,
    /// The switch that counts the cycles of its stages.
    pub(crate) stages: bool,
}

/// A running `okod`, whose sources are down until [`Okod::start`].
pub(crate) struct Okod<'l> {
    lab: &'l Lab<'l>,
    program: Program,
    socket: PathBuf,
    sources: usize,
    packets: usize,
}

impl<'l> Okod<'l> {
    pub(crate) fn new(lab: &'l Lab<'l>, traffic: &Traffic, options: &Options) -> Result<Okod<'l>> {
        let (config, socket) = (lab.folder().join("okod.toml"), lab.folder().join("okod.sock"));
        std::fs::write(&config, configuration(lab, &socket, traffic, options))?;
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(if options.stages {
            lab.bench.out.join(stages::PROGRAM)
        } else {
            lab.bench.program("okod")
        });
        command.arg("--config").arg(&config);
        if options.stages {
            // What it tells of them.
            command.env("RUST_LOG", "info");
        }
        let process = Process::start(command, &lab.folder().join("okod.log"))?;
        let leftover = Some(runtime_folder().join(format!("okod-{}", process.id())));
        let mut okod = Okod {
            lab,
            program: Program { process, leftover },
            socket,
            sources: sources(traffic, options).len(),
            packets: traffic.packets(),
        };
        let socket = okod.socket.clone();
        okod.program.process.wait_for("socket", START, || socket.exists().then_some(()))?;
        Ok(okod)
    }

    /// Runs `okoctl`; what it prints.
    pub(crate) fn tell<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<String> {
        let mut okoctl = Command::new(self.lab.bench.program("okoctl"));
        okoctl.arg("--switch").arg(&self.socket).args(words);
        output(&mut okoctl).with_context(|| self.program.process.log())
    }

    /// Loads a filter, perhaps under another name.
    pub(crate) fn load(&self, object: &Path, name: Option<&str>) -> Result<()> {
        let mut words = vec!["filter".to_owned(), "load".to_owned(), object.display().to_string()];
        if let Some(name) = name {
            words.extend(["--name".to_owned(), name.to_owned()]);
        }
        self.tell(&words).map(drop)
    }

    /// Adds flows, one a line.
    pub(crate) fn add_flows(&self, flows: &str) -> Result<()> {
        let lines: Vec<&str> = flows.lines().collect();
        for lines in lines.chunks(FLOWS_A_CALL) {
            let mut words = vec!["flow", "add"];
            words.extend(lines);
            self.tell(&words)?;
        }
        Ok(())
    }

    /// Adds flows without filters from a file, by `ovs-ofctl`: for many.
    pub(crate) fn add_flows_from(&self, file: &Path) -> Result<()> {
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl.args(["-O", "OpenFlow14", "--bundle", "add-flows"]);
        ofctl.arg(format!("unix:{}", self.socket.display())).arg(file);
        output(&mut ofctl).map(drop)
    }

    /// Adds a meter, as `ovs-ofctl` writes it.
    pub(crate) fn add_meter(&self, meter: &str) -> Result<()> {
        output(self.ofctl("add-meter").arg(meter)).map(drop)
    }

    /// `ovs-ofctl` with a command and the switch.
    fn ofctl(&self, command: &str) -> Command {
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl.args(["-O", "OpenFlow13", command]).arg(format!("unix:{}", self.socket.display()));
        ofctl
    }

    /// A station behind the sink sends something, which goes through the bridge.
    pub(crate) fn hear(&self, frame: &Frame) -> Result<()> {
        output(self.ofctl("packet-out").arg(frame.packet_out())).map(drop)
    }

    /// Lets the sources send.
    pub(crate) fn start(&self) -> Result<()> {
        for source in 1..=self.sources {
            self.tell(&["port".to_owned(), "up".to_owned(), format!("source{source}")])?;
        }
        Ok(())
    }

    /// Ends it; what it has written to its log.
    pub(crate) fn end(mut self) -> String {
        self.program.process.end();
        self.program.process.log()
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.process.id()
    }

    /// Counts what leaves, from before the first packet.
    pub(crate) fn meter(&mut self) -> Result<Meter> {
        self.program.meter_of_idle(&[SINK_DEVICE])
    }

    /// Starts the sources; rates in packets a second.
    pub(crate) fn rates(&mut self) -> Result<Samples> {
        self.start()?;
        self.rates_now()
    }

    /// The rates while the sources send.
    pub(crate) fn rates_now(&mut self) -> Result<Samples> {
        let meter = self.program.meter(&[SINK_DEVICE])?;
        self.lab.rates(&meter, &self.program, self.packets)
    }
}

/// Rates with these flows, one a line, in packets a second.
pub(crate) fn rates_of(lab: &Lab<'_>, traffic: &Traffic, options: &Options, flows: &str) -> Result<Samples> {
    let mut okod = Okod::new(lab, traffic, options)?;
    okod.add_flows(flows)?;
    okod.rates()
}

fn configuration(lab: &Lab<'_>, socket: &Path, traffic: &Traffic, options: &Options) -> String {
    let huge = lab.has_huge_pages() && !options.ordinary;
    let buffers = traffic.packets() + options.buffers + SPARE_BUFFERS;
    let cpus = options.cpus.as_ref().map_or(format!("cpu = {CPU}"), |cpus| format!("cpus = {cpus:?}"));
    let mut text = format!(
        "log = \"warn\"\n\n[dpdk]\nhuge_pages = {huge}\nmemory = {}\npacket_buffers = {buffers}\ntelemetry = true\n\n\
         [worker]\n{cpus}\nbusy_poll = true\n",
        memory(buffers),
    );
    if options.no_cache {
        text += "flow_cache = 0\n";
    }
    text += &format!("\n[openflow]\nsocket = \"{}\"\n", socket.display());
    let sources = sources(traffic, options)
        .into_iter()
        .enumerate()
        .map(|(n, device)| (n as u32 + 1, format!("source{}", n + 1), device));
    for (number, name, device) in sources.chain(options.ports.iter().cloned()) {
        port(&mut text, number, &name, &device, false);
    }
    port(&mut text, SINK, "sink", &sink_device(), true);
    text
}

/// The devices of the sources: one for each capture, or one that has a queue for each.
fn sources(traffic: &Traffic, options: &Options) -> Vec<String> {
    if options.cpus.is_some() {
        let queues = traffic.files().iter().map(|file| format!(",rx_pcap={}", file.display()));
        return vec![format!("net_pcap0{},infinite_rx=1", queues.collect::<String>())];
    }
    traffic.files().iter().enumerate().map(|(n, file)| source_device(n, file)).collect()
}

fn port(text: &mut String, number: u32, name: &str, device: &str, up: bool) {
    writeln!(text, "\n[[port]]\nnumber = {number}\nname = \"{name}\"\ndevice = \"{device}\"\nup = {up}")
        .expect("strings take everything");
}
