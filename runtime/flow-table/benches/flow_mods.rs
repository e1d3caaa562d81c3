//! How many flow-mods a second the tables take, from the bytes of the messages to what workers look up in, up to a million entries; and what an
//! entry takes in memory. Or, with a socket, how many a running switch takes over one connection, barriers included, and how long another connection waits for
//! an echo while all entries are deleted. Prints JSON, one object a line.
//!
//! `cargo bench -p oko-flow-table --bench flow_mods`, `cargo bench -p oko-flow-table --bench flow_mods -- --socket /run/okod.sock`.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails is no figure")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use oko_flow_table::{FlowTables, Limits, Snapshot};
use oko_openflow::message::Message;
use oko_openflow::{
    Action, Field, FlowMod, FlowModCommand, Frame, Hello, Instructions, Match, PortNo, TableId, Version,
    frame,
};

/// Entries in the end.
const MOST: u32 = 1_000_000;
/// Flow-mods between two snapshots: so many come in the pause that the switch makes between two.
const BETWEEN: u32 = 1_000;

/// The bytes of a flow-mod of an exact 5-tuple, with an action that any switch can do.
fn flow_mod(number: u32, command: FlowModCommand) -> Vec<u8> {
    let matching = Match::any()
        .with(Field::EthType, 0x0800)
        .with(Field::IpProto, 17)
        .with(Field::Ipv4Src, (0x0a00_0000 | number & 0xffff).into())
        .with(Field::Ipv4Dst, (0xc0a8_0000 | number >> 16).into())
        .with(Field::UdpSrc, (number % 50_021).into())
        .with(Field::UdpDst, 53);
    let instructions = Instructions::apply(vec![Action::output(PortNo::IN_PORT)]);
    let flow_mod = FlowMod { priority: 100, matching, instructions, ..FlowMod::new(command) };
    Message::FlowMod(flow_mod).encode(number).unwrap()
}

/// Resident memory in bytes.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: u64| pages * 4096)
}

/// What takes flow-mods.
trait Taker {
    /// Takes all of these, each the bytes of a message.
    fn take(&mut self, messages: &[Vec<u8>]);
}

/// Tables, and the last snapshot of them: a worker holds it until it takes the next.
struct Tables(FlowTables, Snapshot);

impl Taker for Tables {
    fn take(&mut self, messages: &[Vec<u8>]) {
        for (i, bytes) in (0..).zip(messages) {
            let Ok(Message::FlowMod(flow_mod)) = Message::decode(bytes) else { panic!("no flow-mod") };
            self.0.apply(&flow_mod, 0).unwrap();
            if i % BETWEEN == BETWEEN - 1 {
                self.1 = self.0.snapshot();
            }
        }
    }
}

/// A connection to a switch.
struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Connection {
    fn open(socket: &Path) -> Connection {
        let stream = UnixStream::connect(socket).unwrap();
        let mut connection = Connection { stream, received: Vec::new() };
        connection.send(&Message::Hello(Hello::of(&[Version::V1_3])));
        connection.wait_for(|message| matches!(message, Message::Hello(_)));
        connection
    }

    fn send(&mut self, message: &Message) {
        self.stream.write_all(&message.encode(0).unwrap()).unwrap();
    }

    /// Reads up to a message that is waited for. An error is none.
    fn wait_for(&mut self, is_it: impl Fn(&Message) -> bool) {
        loop {
            while let Frame::Whole(len) = frame(&self.received) {
                let message = Message::decode(&self.received[..len]);
                self.received.drain(..len);
                match message {
                    Ok(Message::Error(error)) => panic!("the switch refuses: {error:?}"),
                    Ok(Message::EchoRequest(data)) => self.send(&Message::EchoReply(data)),
                    Ok(message) if is_it(&message) => return,
                    _ => {}
                }
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the switch has closed the connection");
            self.received.extend_from_slice(&buffer[..read]);
        }
    }

    fn barrier(&mut self) {
        self.send(&Message::BarrierRequest);
        self.wait_for(|message| *message == Message::BarrierReply);
    }

    /// How long an echo takes.
    fn echo(&mut self) -> Duration {
        let start = Instant::now();
        self.send(&Message::EchoRequest(Vec::new()));
        self.wait_for(|message| matches!(message, Message::EchoReply(_)));
        start.elapsed()
    }
}

impl Taker for Connection {
    fn take(&mut self, messages: &[Vec<u8>]) {
        self.stream.write_all(&messages.concat()).unwrap();
        self.barrier();
    }
}

/// Has the flow-mods of these numbers taken; the rate.
fn take(taker: &mut impl Taker, numbers: std::ops::Range<u32>, command: FlowModCommand) -> f64 {
    let messages: Vec<Vec<u8>> = numbers.map(|number| flow_mod(number, command)).collect();
    let start = Instant::now();
    taker.take(&messages);
    messages.len() as f64 / start.elapsed().as_secs_f64()
}

/// Adds so many entries a tenth at a time, and modifies and deletes one tenth.
fn take_all(taker: &mut impl Taker, most: u32, memory: impl Fn() -> u64) {
    let step = most / 10;
    for first in (0..most).step_by(step as usize) {
        let before = memory();
        let rate = take(taker, first..first + step, FlowModCommand::Add);
        let bytes = memory().saturating_sub(before) / u64::from(step);
        println!(
            "{{\"did\": \"add\", \"entries\": {}, \"per_second\": {rate:.0}, \"bytes\": {bytes}}}",
            first + step
        );
    }
    for (did, command) in [("modify", FlowModCommand::ModifyStrict), ("delete", FlowModCommand::DeleteStrict)]
    {
        let rate = take(taker, 0..step, command);
        println!("{{\"did\": \"{did}\", \"entries\": {most}, \"per_second\": {rate:.0}}}");
    }
}

/// Deletes all entries of a switch by one message; how long another connection waits for an echo meanwhile.
fn delete_all(connection: &mut Connection, mut other: Connection, most: u32) {
    let delete = FlowMod { table: TableId::ALL, ..FlowMod::new(FlowModCommand::Delete) };
    let start = Instant::now();
    connection.send(&Message::FlowMod(delete));
    let done = AtomicBool::new(false);
    let (longest, seconds) = thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !done.load(Relaxed) {
                longest = longest.max(other.echo());
                thread::sleep(Duration::from_millis(1));
            }
            longest
        });
        connection.barrier();
        let seconds = start.elapsed().as_secs_f64();
        // What was deleted is freed behind the barrier.
        thread::sleep(Duration::from_secs(1));
        done.store(true, Relaxed);
        (asks.join().unwrap(), seconds)
    });
    println!(
        "{{\"did\": \"delete by one\", \"entries\": {most}, \"per_second\": {:.0}, \"echo_ms\": {:.2}}}",
        f64::from(most - most / 10) / seconds,
        longest.as_secs_f64() * 1e3
    );
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let most = if words.iter().any(|word| word == "--quick") { MOST / 5 } else { MOST };
    let socket = words.iter().position(|word| word == "--socket").and_then(|at| words.get(at + 1));
    match socket {
        None => {
            let mut tables = FlowTables::new(Limits { entries_per_table: most as usize });
            let held = tables.snapshot();
            take_all(&mut Tables(tables, held), most, memory);
        }
        Some(socket) => {
            let mut connection = Connection::open(Path::new(socket));
            take_all(&mut connection, most, || 0);
            delete_all(&mut connection, Connection::open(Path::new(socket)), most);
        }
    }
}
