//! A switch in this process, and a controller to talk to it.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses what it needs")]

pub mod filters;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use oko_dpdk::{Eal, EalConfig};
use oko_openflow::message::{Frame, Header, Message, frame};
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::port::{PortConfig as PortBits, PortMod};
use oko_openflow::{
    Action, ErrorMsg, FlowMod, FlowModCommand, FlowStats, FlowStatsRequest, Hello, Instructions, Match,
    PortNo, PortStats, Version,
};
use okod::{Clock, Config, Switch, SwitchError};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// DPDK, which all switches of this process share.
pub fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| Eal::init(&EalConfig::default()).expect("DPDK starts without privileges"))
}

/// A running switch with ports 1, 2, ... over capture files, all down until [`Controller::up`].
pub struct TestSwitch {
    pub dir: TempDir,
    pub clock: Clock,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), SwitchError>>>,
}

impl TestSwitch {
    /// Starts a switch. Port n receives the frames `inputs[n - 1]`, and sends to [`sent`](Self::sent).
    pub fn start(inputs: &[&[Vec<u8>]]) -> Self {
        Self::start_with(inputs, "", "")
    }

    /// The same with more of configuration: `openflow` in its section, `more` at the end.
    pub fn start_with(inputs: &[&[Vec<u8>]], openflow: &str, more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut text =
            format!("[openflow]\nsocket = \"{}\"\n{openflow}\n", dir.path().join("okod.sock").display());
        text.push_str("[dpdk]\npacket_buffers = 2047\n");
        for (i, frames) in inputs.iter().enumerate() {
            let (input, output) =
                (dir.path().join(format!("in{}.pcap", i + 1)), sent_file(dir.path(), i + 1));
            write_pcap(&input, frames);
            text.push_str(&format!(
                "[[port]]\nnumber = {}\nname = \"p{}\"\nup = false\ndevice = \"{},rx_pcap={},tx_pcap={}\"\n",
                i + 1,
                i + 1,
                pcap_device(),
                input.display(),
                output.display()
            ));
        }
        text.push_str(more);
        let config = Config::parse("test.toml", &text).unwrap();
        let clock = Clock::manual();
        let switch = Switch::start(eal(), &config, clock.clone()).unwrap();
        let (shutdown, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            switch.run(async {
                let _ = ended.await;
            })
        });
        Self { dir, clock, shutdown: Some(shutdown), thread: Some(thread) }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("okod.sock")
    }

    /// A connection that has exchanged hellos.
    pub fn connect(&self) -> Controller {
        let mut controller = Controller::connect(&self.socket());
        controller.send(&Message::Hello(Hello::of(&[Version::V1_3])));
        assert!(matches!(controller.receive().1, Message::Hello(_)));
        controller
    }

    /// Stops the switch, so that all that was sent is in its files.
    pub fn stop(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            shutdown.send(()).unwrap();
            self.thread.take().unwrap().join().unwrap().unwrap();
        }
    }

    /// What a port has sent; of a stopped switch.
    pub fn sent(&self, port: usize) -> Vec<Vec<u8>> {
        assert!(self.thread.is_none(), "stop the switch first");
        read_pcap(&sent_file(self.dir.path(), port))
    }
}

impl Drop for TestSwitch {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

fn sent_file(dir: &Path, port: usize) -> PathBuf {
    dir.join(format!("out{port}.pcap"))
}

/// The name of a capture device that nobody else in this process uses.
pub fn pcap_device() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("net_pcap{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = PcapWriter::new(File::create(path).unwrap()).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let at = Duration::from_millis(i as u64);
        writer.write_packet(&PcapPacket::new(at, frame.len() as u32, frame)).unwrap();
    }
}

pub fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}

/// A UDP datagram over IPv4 between two ports.
pub fn udp(src_port: u16, dst_port: u16) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&src_port.to_be_bytes());
    frame[36..38].copy_from_slice(&dst_port.to_be_bytes());
    frame[38..40].copy_from_slice(&26_u16.to_be_bytes());
    frame
}

/// An OpenFlow controller.
pub struct Controller {
    pub stream: UnixStream,
    received: Vec<u8>,
    /// Asynchronous messages that came between replies.
    events: VecDeque<Message>,
    xid: u32,
}

impl Controller {
    /// A connection without hellos.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, received: Vec::new(), events: VecDeque::new(), xid: 100 }
    }

    pub fn send(&mut self, message: &Message) -> u32 {
        self.xid += 1;
        let bytes = message.encode(self.xid).unwrap();
        self.stream.write_all(&bytes).unwrap();
        self.xid
    }

    /// The transaction id of what is sent next.
    pub fn next_xid(&self) -> u32 {
        self.xid + 1
    }

    /// Sends the parts of one request.
    pub fn send_parts(&mut self, parts: &[Message]) -> u32 {
        self.xid += 1;
        for part in parts {
            self.stream.write_all(&part.encode(self.xid).unwrap()).unwrap();
        }
        self.xid
    }

    /// The next reply, with its transaction id.
    pub fn receive(&mut self) -> (u32, Message) {
        loop {
            match self.try_receive().expect("the switch has closed the connection") {
                (0, event) if !matches!(event, Message::Hello(_)) => self.events.push_back(event),
                reply => return reply,
            }
        }
    }

    /// The next asynchronous message but for changes of ports.
    pub fn event(&mut self) -> Message {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.try_receive().expect("the switch has closed the connection").1,
            };
            if !matches!(event, Message::PortStatus(_)) {
                return event;
            }
        }
    }

    /// The next message; none if the switch has closed the connection.
    pub fn try_receive(&mut self) -> Option<(u32, Message)> {
        loop {
            if let Frame::Whole(len) = frame(&self.received) {
                let bytes: Vec<u8> = self.received.drain(..len).collect();
                return Some((Header::read(&bytes).unwrap().xid, Message::decode(&bytes).unwrap()));
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer).expect("the switch answers") {
                0 => return None,
                n => self.received.extend_from_slice(&buffer[..n]),
            }
        }
    }

    /// Sends a request and gets its reply.
    pub fn ask(&mut self, message: &Message) -> Message {
        let sent = self.send(message);
        let (xid, reply) = self.receive();
        assert_eq!(xid, sent, "{reply:?}");
        reply
    }

    /// Sends a request and a barrier; the errors that came before the barrier's reply.
    pub fn tell(&mut self, message: &Message) -> Vec<ErrorMsg> {
        self.send(message);
        let barrier = self.send(&Message::BarrierRequest);
        let mut errors = Vec::new();
        loop {
            match self.receive() {
                (xid, Message::BarrierReply) if xid == barrier => return errors,
                (_, Message::Error(error)) => errors.push(error),
                (_, other) => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Adds an entry to table 0.
    pub fn add_flow(&mut self, priority: u16, matching: Match, actions: Vec<Action>) {
        let errors = self.tell(&Message::FlowMod(flow(priority, matching, actions)));
        assert!(errors.is_empty(), "{errors:?}");
    }

    /// Brings a port up.
    pub fn up(&mut self, port: u32) {
        self.configure(port, PortBits::empty());
    }

    /// Takes a port down.
    pub fn down(&mut self, port: u32) {
        self.configure(port, PortBits::PORT_DOWN);
    }

    fn configure(&mut self, port: u32, config: PortBits) {
        let Message::MultipartReply { reply: MultipartReply::PortDesc(ports), .. } =
            self.ask(&Message::request(MultipartRequest::PortDesc(PortNo::ANY)))
        else {
            panic!("no port description")
        };
        let desc = ports.into_iter().find(|desc| desc.number == PortNo(port)).expect("the port exists");
        let errors = self.tell(&Message::PortMod(PortMod {
            number: desc.number,
            hw_addr: desc.hw_addr,
            config,
            mask: PortBits::PORT_DOWN,
            advertise: oko_openflow::port::PortFeatures::empty(),
        }));
        assert!(errors.is_empty(), "{errors:?}");
    }

    pub fn flows(&mut self) -> Vec<FlowStats> {
        let xid = self.send(&Message::request(MultipartRequest::Flow(FlowStatsRequest::default())));
        let mut flows = Vec::new();
        loop {
            match self.receive() {
                (id, Message::MultipartReply { more, reply: MultipartReply::Flow(part) }) if id == xid => {
                    flows.extend(part);
                    if !more {
                        return flows;
                    }
                }
                (_, other) => panic!("unexpected {other:?}"),
            }
        }
    }

    pub fn port_stats(&mut self, port: u32) -> PortStats {
        match self.ask(&Message::request(MultipartRequest::PortStats(PortNo(port)))) {
            Message::MultipartReply { reply: MultipartReply::PortStats(stats), .. } => stats[0],
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Waits until a port has received a number of packets and the switch is done with them.
    pub fn wait_for(&mut self, port: u32, packets: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.port_stats(port).rx_packets < packets {
            assert!(Instant::now() < deadline, "{:?}", self.port_stats(port));
            thread::sleep(Duration::from_millis(2));
        }
        // A change makes a barrier wait for the packets under way.
        self.tell(&Message::FlowMod(flow(1, Match::any().with(oko_openflow::Field::InPort, 0xffff), vec![])));
        let mut delete = flow(1, Match::any().with(oko_openflow::Field::InPort, 0xffff), vec![]);
        delete.command = FlowModCommand::DeleteStrict;
        self.tell(&Message::FlowMod(delete));
    }
}

/// A flow-mod that adds an entry to table 0.
pub fn flow(priority: u16, matching: Match, actions: Vec<Action>) -> FlowMod {
    FlowMod {
        priority,
        matching,
        instructions: Instructions::apply(actions),
        ..FlowMod::new(FlowModCommand::Add)
    }
}

pub fn output(port: u32) -> Vec<Action> {
    vec![Action::output(PortNo(port))]
}

/// Compares frames, and shows only the first that differs.
pub fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>]) {
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "frame {i}");
    }
    assert_eq!(found.len(), expected.len());
}
