//! Frames, and captures of them that a `net_pcap` port repeats from memory.
//!
//! Everything is made from its number alone: the same cell of a table sees the same packets in every run.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use pcap_file::pcap::{PcapPacket, PcapWriter};

use super::SINK;

/// The most packets that a port is given. Open vSwitch's ports have pools of 262,144 packet buffers, and its driver of captures takes a buffer for
/// each packet; larger captures are spread over several ports.
const PORT_PACKETS: usize = 250_000;
/// The least packets of a capture: a shorter one would be in the first-level cache.
const LEAST_PACKETS: usize = 16_384;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// The transport of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    /// With its flags, sequence number and acknowledgement.
    Tcp {
        flags: u8,
        sequence: u32,
        acknowledgement: u32,
    },
}

/// An IPv4 packet over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// MAC addresses, of which the lower 48 bits count.
    pub(crate) eth: (u64, u64),
    /// Source and destination.
    pub(crate) ip: (u32, u32),
    /// Source and destination.
    pub(crate) ports: (u16, u16),
    pub(crate) transport: Transport,
    /// Bytes of the frame, without its check sequence; at least 60.
    pub(crate) length: usize,
}

impl Frame {
    /// The packet of 60 bytes that belongs to the flow of this number; up to 2³² flows differ in addresses or ports.
    pub(crate) fn of_flow(flow: usize) -> Frame {
        let n = flow as u32;
        Frame {
            eth: (0x0200_0000_0001, 0x0200_0000_0002),
            ip: (0x0a00_0000 | (n & 0xffff), 0x0a80_0000 | (n.wrapping_mul(7919) & 0xffff)),
            ports: (1024 + (n >> 16) as u16 % 64_000, 1 + (n.wrapping_mul(31) % 60_000) as u16),
            transport: Transport::Udp,
            length: 60,
        }
    }

    /// For `ovs-ofctl packet-out`: it comes in by the sink's port and goes through the bridge.
    pub(crate) fn packet_out(&self) -> String {
        let bytes: String = self.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("in_port={SINK} packet={bytes} actions=NORMAL")
    }

    /// The frame's bytes, with correct checksums (RFC 791, 768, 9293).
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (source, destination) = self.eth;
        let mut bytes = Vec::with_capacity(self.length);
        bytes.extend_from_slice(&destination.to_be_bytes()[2..]);
        bytes.extend_from_slice(&source.to_be_bytes()[2..]);
        bytes.extend_from_slice(&[0x08, 0x00]);
        let header = match self.transport {
            Transport::Udp => 8,
            Transport::Tcp { .. } => 20,
        };
        // A frame of minimal length is padded behind a TCP segment without data; larger ones carry data.
        let payload = if self.length > 60 { self.length - 34 - header } else { 0 };
        let total = (20 + header + payload) as u16;
        let protocol = if self.transport == Transport::Udp { 17 } else { 6 };
        let mut ip = vec![0x45, 0];
        ip.extend_from_slice(&total.to_be_bytes());
        ip.extend_from_slice(&[0, 0, 0, 0, 64, protocol, 0, 0]);
        ip.extend_from_slice(&self.ip.0.to_be_bytes());
        ip.extend_from_slice(&self.ip.1.to_be_bytes());
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum);
        bytes.extend_from_slice(&ip);

        let mut segment = Vec::with_capacity(header + payload);
        segment.extend_from_slice(&self.ports.0.to_be_bytes());
        segment.extend_from_slice(&self.ports.1.to_be_bytes());
        match self.transport {
            // A checksum of zero says that there is none.
            Transport::Udp => {
                segment.extend_from_slice(&(total - 20).to_be_bytes());
                segment.extend_from_slice(&[0, 0]);
            }
            Transport::Tcp { flags, sequence, acknowledgement } => {
                segment.extend_from_slice(&sequence.to_be_bytes());
                segment.extend_from_slice(&acknowledgement.to_be_bytes());
                segment.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            }
        }
        segment.resize(header + payload, 0);
        if protocol == 6 {
            let mut pseudo = ip[12..20].to_vec();
            pseudo.extend_from_slice(&[0, protocol]);
            pseudo.extend_from_slice(&(total - 20).to_be_bytes());
            let sum = checksum(&[&pseudo, &segment]);
            segment[16..18].copy_from_slice(&sum);
        }
        bytes.extend_from_slice(&segment);
        bytes.resize(self.length.max(60), 0);
        bytes
    }
}

/// The Internet checksum (RFC 1071) of parts of even length; an odd last part counts as padded by zero.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum >> 16 != 0 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Captures that are repeated at memory speed, each by a port; removed with this value.
pub(crate) struct Traffic {
    files: Vec<PathBuf>,
    packets: usize,
    /// Whether the files are somebody else's.
    kept: bool,
}

impl Traffic {
    /// One packet of each flow, in an order that is far from that of the numbers, as often as it takes to fill a capture.
    pub(crate) fn of_flows(folder: &Path, flows: usize, frame: impl Fn(usize) -> Frame) -> Result<Traffic> {
        let mut order: Vec<u32> = (0..(flows * (LEAST_PACKETS / flows).max(1)) as u32).collect();
        shuffle(&mut order);
        Self::of_frames(folder, order.len(), |n| frame(order[n] as usize % flows))
    }

    /// So many frames, in the order of their numbers.
    pub(crate) fn of_frames(folder: &Path, count: usize, frame: impl Fn(usize) -> Frame) -> Result<Traffic> {
        Self::of_parts(folder, count, count.div_ceil(PORT_PACKETS).max(1), frame)
    }

    /// The same for one port, however many they are: a capture that is played once takes no packet buffers.
    pub(crate) fn in_one_file(
        folder: &Path,
        count: usize,
        frame: impl Fn(usize) -> Frame,
    ) -> Result<Traffic> {
        Self::of_parts(folder, count, 1, frame)
    }

    /// So many frames, in equal parts for so many queues.
    pub(crate) fn of_parts(
        folder: &Path,
        count: usize,
        ports: usize,
        frame: impl Fn(usize) -> Frame,
    ) -> Result<Traffic> {
        static SERIAL: AtomicUsize = AtomicUsize::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut traffic = Traffic { files: Vec::new(), packets: count, kept: false };
        for port in 0..ports {
            let file = folder.join(format!("traffic-{serial}-{port}.pcap"));
            traffic.files.push(file.clone());
            let part = count * port / ports..count * (port + 1) / ports;
            write(&file, part.map(&frame)).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(traffic)
    }

    /// A capture that is there already.
    pub(crate) fn of_capture(file: PathBuf, packets: usize) -> Traffic {
        Traffic { files: vec![file], packets, kept: true }
    }

    /// Packets of all captures.
    pub(crate) fn packets(&self) -> usize {
        self.packets
    }

    /// The captures, one for each port.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !self.kept {
            for file in &self.files {
                // The folder goes at the end anyway.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

fn write(file: &Path, frames: impl Iterator<Item = Frame>) -> Result<()> {
    let mut writer = PcapWriter::new(BufWriter::with_capacity(1 << 20, File::create(file)?))?;
    for (n, frame) in frames.enumerate() {
        let bytes = frame.bytes();
        let time = Duration::from_secs(1) + Duration::from_micros(n as u64);
        writer.write_packet(&PcapPacket::new_owned(time, bytes.len() as u32, bytes))?;
    }
    Ok(())
}

/// The same pseudo-random order in every run (Fisher–Yates over a linear congruential generator).
fn shuffle(numbers: &mut [u32]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..numbers.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = ((u128::from(state) * (last as u128 + 1)) >> 64) as usize;
        numbers.swap(last, at);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_million_flows_differ_in_addresses_or_ports() {
        let flows: HashSet<_> =
            (0..1_000_000).map(Frame::of_flow).map(|frame| (frame.ip, frame.ports)).collect();
        assert_eq!(flows.len(), 1_000_000);
    }

    #[test]
    fn checksums_are_right_and_lengths_are_kept() {
        let transport = Transport::Tcp { flags: SYN, sequence: 7, acknowledgement: 0 };
        for length in [60, 64, 65, 1514] {
            let frame = Frame { length, transport, ..Frame::of_flow(5) };
            let bytes = frame.bytes();
            assert_eq!(bytes.len(), length);
            let (ip, total) = (&bytes[14..34], usize::from(u16::from_be_bytes([bytes[16], bytes[17]])));
            // The sum over a part with its checksum is zero.
            assert_eq!(checksum(&[ip]), [0, 0]);
            let mut pseudo = ip[12..20].to_vec();
            pseudo.extend_from_slice(&[0, 6]);
            pseudo.extend_from_slice(&(total as u16 - 20).to_be_bytes());
            assert_eq!(checksum(&[&pseudo, &bytes[34..14 + total]]), [0, 0]);
        }
    }

    #[test]
    fn a_capture_holds_each_flow_equally_often() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let traffic = Traffic::of_flows(folder.path(), 1000, Frame::of_flow)?;
        let mut reader = pcap_file::pcap::PcapReader::new(File::open(&traffic.files()[0])?)?;
        let mut counts = std::collections::HashMap::new();
        while let Some(packet) = reader.next_packet() {
            *counts.entry(packet?.data.into_owned()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 1000);
        assert!(counts.values().all(|&count| count == traffic.packets() / 1000));
        Ok(())
    }
}
