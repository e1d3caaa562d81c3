//! The configuration file: TOML, checked as a whole before anything starts.
//!
//! ```toml
//! log = "info"                    # off, error, warn, info, debug, trace
//!
//! [dpdk]
//! huge_pages = false              # ordinary memory: no privileges needed
//! memory = 256                    # MiB
//!
//! [worker]
//! cpus = [1, 2]                   # two workers, each bound to a CPU; left out: one, on any
//! clock = "system"                # what time filters are told; "capture": when a packet was recorded
//!
//! [openflow]
//! datapath_id = "00:00:00:00:00:00:00:01"
//! socket = "/run/okod.sock"
//! listen = "127.0.0.1:6653"       # loopback only
//! controllers = ["tcp:127.0.0.1:6633", "unix:/run/controller.sock"]   # the switch connects to these
//! fail_mode = "secure"            # without a controller: tables as they are; "standalone": a learning bridge
//! max_backoff = 8                 # seconds between attempts to connect, at most
//! probe_interval = 60             # seconds of silence after which a peer is asked for an echo; 0: never
//!
//! [[port]]
//! number = 1
//! name = "p1"
//! device = "net_af_packet0,iface=veth1"
//! ```
//!
//! Every key has a default but those of a port. What is wrong is reported with its place in the file
//! ([`ConfigError`]); all wrong values are reported at once, after the first wrong key or type.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oko_dpdk::{EalConfig, Memory, PoolConfig};
use oko_openflow::PortNo;
use serde::Deserialize;
use toml::Spanned;

use crate::config_error::{ConfigError, Finding};

/// A configuration that can be started.
#[derive(Clone, Debug)]
pub struct Config {
    /// How much is logged.
    pub log: LogLevel,
    /// How DPDK starts.
    pub eal: EalConfig,
    /// The pool of packet buffers.
    pub pool: PoolConfig,
    /// The packet threads.
    pub worker: WorkerConfig,
    /// The control side.
    pub openflow: OpenFlowConfig,
    /// The ports, with distinct numbers, names and devices.
    pub ports: Vec<PortConfig>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The level's name, as in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The packet threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// For each, the CPU it is bound to; none: wherever the system puts it.
    pub cpus: Vec<Option<usize>>,
    /// Whether they poll without pause, for the lowest latency at the price of whole CPUs. Otherwise they sleep for
    /// fractions of a millisecond while there are no packets.
    pub busy_poll: bool,
    /// What time filters are told.
    pub clock: FilterClock,
    /// How many keys the flow cache of each grows to have room for, at most; rounded up to a power of two. Without room, all packets go through
    /// the tables.
    pub flow_cache: usize,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { cpus: vec![None], busy_poll: false, clock: FilterClock::default(), flow_cache: 1_048_576 }
    }
}

/// What time filters are told. Timeouts of flow entries always follow the system's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterClock {
    /// The system's monotonic clock, read once per burst.
    #[default]
    System,
    /// When the packet was recorded, for packets of `net_pcap` ports; a replay has then the same verdicts at any speed.
    Capture,
}

/// The control side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFlowConfig {
    /// Identifies the switch to its controllers.
    pub datapath_id: u64,
    /// Path of the unix socket that serves `okoctl` and `ovs-ofctl`.
    pub socket: Option<PathBuf>,
    /// Loopback address that serves OpenFlow over TCP.
    pub listen: Option<SocketAddr>,
    /// The controllers that the switch connects to.
    pub controllers: Vec<ControllerAddress>,
    /// Whether the switch is a learning bridge while none of them is connected.
    pub fail_standalone: bool,
    /// The longest pause between attempts to connect.
    pub max_backoff: Duration,
    /// After this long without a message a peer is asked for an echo, and after as long again it is gone.
    pub probe_interval: Duration,
    /// The most entries that each flow table takes.
    pub table_capacity: usize,
}

/// Where a controller listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerAddress {
    /// Over TCP, not encrypted.
    Tcp(SocketAddr),
    /// On a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ControllerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `OFPP_DEFAULT`: the port that controllers listen on when none is given.
const CONTROLLER_PORT: u16 = 6653;

impl std::str::FromStr for ControllerAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            Some(("tcp", address)) => match address.parse() {
                Ok(address) => Ok(Self::Tcp(address)),
                Err(_) => {
                    let address = address.trim_start_matches('[').trim_end_matches(']');
                    address.parse().map(|ip| Self::Tcp(SocketAddr::new(ip, CONTROLLER_PORT))).map_err(|_| ())
                }
            },
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(PathBuf::from(path))),
            _ => Err(()),
        }
    }
}

/// What becomes of packets while no controller is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FailMode {
    /// They go through the tables as always.
    #[default]
    Secure,
    /// The switch is an ordinary learning bridge.
    Standalone,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Its OpenFlow number: a physical one, or `LOCAL`.
    pub number: PortNo,
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// The DPDK device.
    pub device: String,
    /// Whether it carries packets from the start. A port that does not is brought up by a port-mod message; a capture
    /// file as device can so be held back until flows and filters are in place.
    pub up: bool,
    /// How many receive queues the device must have; none: one for each worker, or as many as it has.
    pub queues: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    log: LogLevel,
    #[serde(default)]
    dpdk: Dpdk,
    #[serde(default)]
    worker: Worker,
    #[serde(default)]
    openflow: OpenFlow,
    #[serde(default, rename = "port")]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dpdk {
    huge_pages: bool,
    memory: Spanned<u32>,
    packet_buffers: Spanned<u32>,
    pci: Vec<String>,
    telemetry: bool,
    extra: Vec<String>,
}

impl Default for Dpdk {
    fn default() -> Self {
        Self {
            huge_pages: false,
            memory: unplaced(256),
            packet_buffers: unplaced(16_383),
            pci: Vec::new(),
            telemetry: false,
            extra: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Worker {
    cpu: Option<Spanned<usize>>,
    cpus: Option<Spanned<Vec<usize>>>,
    count: Option<Spanned<usize>>,
    busy_poll: bool,
    clock: FilterClock,
    flow_cache: Spanned<usize>,
}

impl Default for Worker {
    fn default() -> Self {
        let WorkerConfig { busy_poll, clock, flow_cache, .. } = WorkerConfig::default();
        Self { cpu: None, cpus: None, count: None, busy_poll, clock, flow_cache: unplaced(flow_cache) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpenFlow {
    datapath_id: Spanned<String>,
    socket: Option<PathBuf>,
    listen: Option<Spanned<String>>,
    controllers: Vec<Spanned<String>>,
    fail_mode: FailMode,
    max_backoff: Spanned<u64>,
    probe_interval: Spanned<u64>,
    table_capacity: usize,
}

impl Default for OpenFlow {
    fn default() -> Self {
        Self {
            datapath_id: unplaced(String::from("00:00:00:00:00:00:00:01")),
            socket: None,
            listen: None,
            controllers: Vec::new(),
            fail_mode: FailMode::default(),
            max_backoff: unplaced(8),
            probe_interval: unplaced(60),
            table_capacity: 1_000_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    number: Spanned<Number>,
    name: Spanned<String>,
    device: Spanned<String>,
    #[serde(default = "yes")]
    up: bool,
    queues: Option<Spanned<u16>>,
}

/// A port's number as it is written.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a port's number, or \"local\"")]
enum Number {
    Plain(u32),
    Word(String),
}

impl Number {
    fn port(&self) -> Option<PortNo> {
        match self {
            Self::Plain(number) => Some(PortNo(*number)).filter(|number| number.is_physical()),
            Self::Word(word) => (word == "local").then_some(PortNo::LOCAL),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(number) => write!(f, "{number}"),
            Self::Word(word) => write!(f, "\"{word}\""),
        }
    }
}

fn yes() -> bool {
    true
}

/// A default, which has no place in the file.
fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when there is no such file, else whatever is wrong in it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses the text of a configuration; `name` stands for the file in messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ConfigError::invalid(name, text, vec![Finding::from_toml(text, &error)]))?;
        let mut findings = Vec::new();
        let config = Self {
            log: file.log,
            eal: eal(&file.dpdk, &mut findings),
            pool: pool(&file.dpdk, &mut findings),
            worker: worker(file.worker, &mut findings),
            openflow: openflow(file.openflow, &mut findings),
            ports: ports(file.ports, &mut findings),
        };
        if findings.is_empty() { Ok(config) } else { Err(ConfigError::invalid(name, text, findings)) }
    }
}

fn eal(dpdk: &Dpdk, findings: &mut Vec<Finding>) -> EalConfig {
    let mebibytes = *dpdk.memory.get_ref();
    if mebibytes < 64 {
        let help = "DPDK needs at least 64; `memory` is in MiB";
        findings.push(Finding::new(
            dpdk.memory.span(),
            format!("{mebibytes} MiB is too little memory"),
            help,
        ));
    }
    let memory = if dpdk.huge_pages { Memory::HugePages { mebibytes } } else { Memory::NoHuge { mebibytes } };
    EalConfig {
        memory,
        pci_devices: dpdk.pci.clone(),
        telemetry: dpdk.telemetry,
        file_prefix: String::from("okod"),
        extra: dpdk.extra.clone(),
    }
}

fn pool(dpdk: &Dpdk, findings: &mut Vec<Finding>) -> PoolConfig {
    let mbufs = *dpdk.packet_buffers.get_ref();
    if !(1024..=8_388_607).contains(&mbufs) {
        let help = "1024 to 8388607; each takes 2.4 KiB, with huge pages of `memory`; one less than a power of two wastes least";
        findings.push(Finding::new(dpdk.packet_buffers.span(), format!("{mbufs} packet buffers"), help));
    }
    PoolConfig { mbufs, ..PoolConfig::default() }
}

/// The most workers.
const MOST_WORKERS: usize = 64;
/// The most keys of a flow cache.
const MOST_KEYS: usize = 1 << 24;

fn worker(worker: Worker, findings: &mut Vec<Finding>) -> WorkerConfig {
    let Worker { cpu, cpus, count, busy_poll, clock, flow_cache } = worker;
    if *flow_cache.get_ref() > MOST_KEYS {
        let help = format!("at most {MOST_KEYS}; a key takes up to 250 bytes, for each worker");
        findings.push(Finding::new(flow_cache.span(), format!("{} keys", flow_cache.get_ref()), &help));
    }
    if let (Some(cpu), Some(other)) =
        (&cpu, cpus.as_ref().map(Spanned::span).or(count.as_ref().map(Spanned::span)))
    {
        let help = "`cpu` is for one worker; several have `cpus`, or `count` if they are not bound to CPUs";
        findings.push(
            Finding::new(cpu.span(), String::from("`cpu` beside `cpus` or `count`"), help)
                .beside(other, "here"),
        );
    }
    if let (Some(cpus), Some(count)) = (&cpus, &count) {
        let help = "there is a worker for each CPU of `cpus`; leave `count` out";
        findings.push(
            Finding::new(count.span(), String::from("`count` beside `cpus`"), help)
                .beside(cpus.span(), "here"),
        );
    }
    if let Some(cpus) = &cpus {
        let list = cpus.get_ref();
        if let Some(twice) =
            list.iter().enumerate().find_map(|(i, cpu)| list[..i].contains(cpu).then_some(cpu))
        {
            let what = format!("CPU {twice} is named twice");
            findings.push(Finding::new(cpus.span(), what, "every worker needs a CPU of its own"));
        }
    }
    let number = cpus.as_ref().map(|cpus| (cpus.get_ref().len(), cpus.span()));
    let number = number.or_else(|| count.as_ref().map(|count| (*count.get_ref(), count.span())));
    if let Some((number, span)) = number
        && !(1..=MOST_WORKERS).contains(&number)
    {
        let help = format!("1 to {MOST_WORKERS}");
        findings.push(Finding::new(span, format!("{number} workers"), &help));
    }
    let count = count.map_or(1, |count| (*count.get_ref()).min(MOST_WORKERS));
    let cpus = match (cpu, cpus) {
        (_, Some(cpus)) => cpus.into_inner().into_iter().map(Some).collect(),
        (Some(cpu), None) => vec![Some(cpu.into_inner())],
        (None, None) => vec![None; count],
    };
    WorkerConfig { cpus, busy_poll, clock, flow_cache: flow_cache.into_inner() }
}

fn openflow(openflow: OpenFlow, findings: &mut Vec<Finding>) -> OpenFlowConfig {
    let datapath_id = parse_datapath_id(openflow.datapath_id.get_ref()).unwrap_or_else(|| {
        findings.push(Finding::new(
            openflow.datapath_id.span(),
            format!("\"{}\" is no datapath id", openflow.datapath_id.get_ref()),
            "1 to 16 hexadecimal digits, with or without colons, not all 0: \"00:00:00:00:00:00:00:01\"",
        ));
        1
    });
    let listen = openflow.listen.and_then(|text| match text.get_ref().parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(address),
        Ok(address) => {
            let what = format!("{} is not a loopback address", address.ip());
            let help = "OpenFlow is not encrypted here: listen on 127.0.0.1 or [::1]";
            findings.push(Finding::new(text.span(), what, help));
            None
        }
        Err(_) => {
            let what = format!("\"{}\" is no address to listen on", text.get_ref());
            findings.push(Finding::new(text.span(), what, "address and port: \"127.0.0.1:6653\""));
            None
        }
    });
    let mut controllers = Vec::new();
    for text in openflow.controllers {
        match text.get_ref().parse() {
            Ok(address) => controllers.push(address),
            Err(()) => {
                let what = format!("\"{}\" is no controller", text.get_ref());
                let help =
                    "\"tcp:127.0.0.1:6653\" or \"unix:/path/of/socket\"; names of hosts are not looked up";
                findings.push(Finding::new(text.span(), what, help));
            }
        }
    }
    let max_backoff = *openflow.max_backoff.get_ref();
    if !(1..=3600).contains(&max_backoff) {
        let what = format!("{max_backoff} is no pause between attempts to connect");
        findings.push(Finding::new(openflow.max_backoff.span(), what, "1 to 3600 seconds"));
    }
    let probe_interval = *openflow.probe_interval.get_ref();
    if probe_interval > 86_400 {
        let what = format!("{probe_interval} s is no time after which a silent peer is probed");
        findings.push(Finding::new(
            openflow.probe_interval.span(),
            what,
            "1 to 86400 seconds, or 0 for never",
        ));
    }
    // A peer that is never probed has time until nobody cares any more.
    let probe_interval = if probe_interval == 0 { 100 * 365 * 86_400 } else { probe_interval };
    OpenFlowConfig {
        datapath_id,
        socket: openflow.socket,
        listen,
        controllers,
        fail_standalone: openflow.fail_mode == FailMode::Standalone,
        max_backoff: Duration::from_secs(max_backoff),
        probe_interval: Duration::from_secs(probe_interval),
        table_capacity: openflow.table_capacity,
    }
}

fn parse_datapath_id(text: &str) -> Option<u64> {
    let digits: String = text.trim_start_matches("0x").chars().filter(|&c| c != ':').collect();
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(&digits, 16).ok().filter(|&id| id != 0)
}

fn ports(ports: Vec<Port>, findings: &mut Vec<Finding>) -> Vec<PortConfig> {
    for (i, port) in ports.iter().enumerate() {
        let (number, name, device) = (&port.number, &port.name, &port.device);
        if number.get_ref().port().is_none() {
            let help = format!(
                "1 to {}, or \"local\" for the port by which packets reach this machine; the numbers above are reserved by OpenFlow",
                PortNo::MAX.0
            );
            findings.push(Finding::new(
                number.span(),
                format!("{} is no port number", number.get_ref()),
                help,
            ));
        }
        if !(1..=15).contains(&name.get_ref().len()) {
            let what = format!("\"{}\" is no port name", name.get_ref());
            findings.push(Finding::new(name.span(), what, "1 to 15 bytes: OpenFlow has no room for more"));
        }
        if instance(device.get_ref()).is_empty() {
            let what = format!("\"{}\" is no device", device.get_ref());
            let help =
                "a DPDK driver with an instance number and its arguments: \"net_pcap0,rx_pcap=in.pcap\"";
            findings.push(Finding::new(device.span(), what, help));
        }
        if let Some(queues) = &port.queues
            && !(1..=256).contains(queues.get_ref())
        {
            let what = format!("{} receive queues", queues.get_ref());
            findings.push(Finding::new(queues.span(), what, "1 to 256"));
        }
        for earlier in &ports[..i] {
            let mut same = |what: String, here: Range<usize>, there: Range<usize>, help: &str| {
                findings.push(Finding::new(here, what, help).beside(there, "first used here"));
            };
            if earlier.number.get_ref() == number.get_ref() {
                let what = format!("port number {} is used twice", number.get_ref());
                same(what, number.span(), earlier.number.span(), "every port needs a number of its own");
            }
            if earlier.name.get_ref() == name.get_ref() {
                let what = format!("port name \"{}\" is used twice", name.get_ref());
                same(what, name.span(), earlier.name.span(), "every port needs a name of its own");
            }
            let (a, b) = (instance(earlier.device.get_ref()), instance(device.get_ref()));
            if a == b && !a.is_empty() {
                let what = format!("device {a} is used twice");
                let help = "instances of a driver are told apart by the number behind its name: net_pcap0, net_pcap1";
                same(what, device.span(), earlier.device.span(), help);
            }
        }
    }
    ports
        .into_iter()
        .map(|port| PortConfig {
            // What is none was found above.
            number: port.number.get_ref().port().unwrap_or(PortNo::ANY),
            name: port.name.into_inner(),
            device: port.device.into_inner(),
            up: port.up,
            queues: port.queues.map(Spanned::into_inner),
        })
        .collect()
}

/// The part of a device string that names the device.
fn instance(device: &str) -> &str {
    device.split(',').next().unwrap_or_default()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
