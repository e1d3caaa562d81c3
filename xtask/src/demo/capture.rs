//! The demo's capture: what comes from outside, for the switch to see, and a count of it without any of Oko.
//!
//! The count is the check on the whole chain, so it shares nothing with it: it reads addresses and flags at their fixed places in
//! plain Rust, and keeps its own books.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

/// The MAC address of the server in the capture.
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The length of the filter's window; the capture must be shorter for the count to be this simple.
const WINDOW: Duration = Duration::from_secs(10);

/// What to expect of the switch.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Packets to the server.
    pub(crate) packets: u64,
    /// SYNs among them.
    pub(crate) syns: u64,
    /// The packets that the filter must match, as indices among them.
    pub(crate) matched: HashSet<u64>,
    /// Sources whose packets must be dropped.
    pub(crate) dropped_sources: HashSet<Ipv4Addr>,
    /// Sources with connections, none of whose packets may be dropped.
    pub(crate) clients: HashSet<Ipv4Addr>,
}

/// A TCP packet, as far as the count looks.
struct Tcp {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    flags: u8,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Writes the packets of the capture that go to the server to a capture of their own, and counts what the filter must match.
pub(crate) fn take_and_count(capture: &Path, outside: &Path, excess: u64) -> Result<Expected> {
    let mut outside = create(outside)?;
    let mut expected = Expected::default();
    let (mut opened, mut closed) = (HashMap::<_, u64>::new(), HashMap::<_, u64>::new());
    let (mut first, mut last) = (None, Duration::ZERO);
    for_each_packet(capture, |packet| {
        first.get_or_insert(packet.timestamp);
        last = packet.timestamp;
        if packet.data.get(..6) != Some(&SERVER_MAC) {
            return Ok(());
        }
        let index = expected.packets;
        expected.packets += 1;
        outside.write_packet(packet)?;
        let Some(tcp) = read_tcp(&packet.data) else { return Ok(()) };
        if tcp.flags == SYN {
            expected.syns += 1;
            let opened = opened.entry(tcp.destination).or_default();
            *opened += 1;
            let closed = closed.get(&tcp.destination).copied().unwrap_or(0);
            if *opened > closed + excess && !expected.clients.contains(&tcp.source) {
                expected.matched.insert(index);
                expected.dropped_sources.insert(tcp.source);
            }
        } else if tcp.flags & (FIN | RST) != 0 {
            *closed.entry(tcp.destination).or_default() += 1;
        } else if tcp.flags & ACK != 0 && tcp.flags & SYN == 0 {
            expected.clients.insert(tcp.source);
        }
        Ok(())
    })?;
    let duration = last.saturating_sub(first.unwrap_or_default());
    ensure!(
        duration < WINDOW,
        "the capture lasts {duration:?}: longer than the filter's window, so this count is too simple for it"
    );
    Ok(expected)
}

/// Calls `f` with every packet of a capture.
pub(crate) fn for_each_packet(path: &Path, mut f: impl FnMut(&PcapPacket<'_>) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = PcapReader::new(file).with_context(|| format!("{} is not a capture", path.display()))?;
    while let Some(packet) = reader.next_packet() {
        f(&packet.with_context(|| format!("{} is damaged", path.display()))?)?;
    }
    Ok(())
}

/// The source of an IPv4 packet.
pub(crate) fn source(frame: &[u8]) -> Option<Ipv4Addr> {
    (frame.get(12..14)? == [8, 0]).then(|| address(frame, 26)).flatten()
}

fn create(path: &Path) -> Result<PcapWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(PcapWriter::new(file)?)
}

fn address(frame: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
    Some(bytes.into())
}

fn read_tcp(frame: &[u8]) -> Option<Tcp> {
    let source = source(frame)?;
    let header = usize::from(frame[14] & 15) * 4;
    let fragment = u16::from_be_bytes([*frame.get(20)?, *frame.get(21)?]) & 0x1fff;
    if frame.get(23) != Some(&6) || fragment != 0 {
        return None;
    }
    Some(Tcp { source, destination: address(frame, 30)?, flags: *frame.get(14 + header + 13)? })
}
