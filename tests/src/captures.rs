//! Captures as values: read from files, written to files, and damaged on purpose.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use pcap_file::TsResolution;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

/// A frame and when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Nanoseconds since 1970; not before the frame in front of it.
    pub now: u64,
    /// What there is of the frame. Captures may have cut it; here this counts as the whole frame.
    pub bytes: Vec<u8>,
}

/// The frames of a capture.
///
/// # Panics
///
/// If there is no such file, or it is no capture.
pub fn read(path: &Path) -> Vec<Recorded> {
    let bad = |error: &dyn std::error::Error| -> ! { panic!("{}: {error}", path.display()) };
    let file = File::open(path).unwrap_or_else(|error| bad(&error));
    let mut reader = PcapReader::new(file).unwrap_or_else(|error| bad(&error));
    let tick = match reader.header().ts_resolution {
        TsResolution::MicroSecond => 1_000,
        TsResolution::NanoSecond => 1,
    };
    let mut frames = Vec::new();
    let mut now = 1;
    // The raw reader: the other refuses captures that kept only the start of long packets.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.unwrap_or_else(|error| bad(&error));
        let time = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * tick;
        now = time.max(now);
        frames.push(Recorded { now, bytes: packet.data.into_owned() });
    }
    frames
}

/// Writes a capture.
///
/// # Panics
///
/// If the file cannot be written.
pub fn write<'a>(path: &Path, frames: impl IntoIterator<Item = &'a Recorded>) {
    let bad = |error: &dyn std::error::Error| -> ! { panic!("{}: {error}", path.display()) };
    let file = File::create(path).unwrap_or_else(|error| bad(&error));
    let mut writer = PcapWriter::new(file).unwrap_or_else(|error| bad(&error));
    for frame in frames {
        let len = u32::try_from(frame.bytes.len()).expect("frames are short");
        let packet = PcapPacket::new(Duration::from_nanos(frame.now), len, &frame.bytes);
        writer.write_packet(&packet).unwrap_or_else(|error| bad(&error));
    }
}

/// At most `most` frames that differ in length or in what their headers say, spread over the capture.
pub fn assorted(frames: &[Recorded], most: usize) -> Vec<&Recorded> {
    let mut seen = BTreeSet::new();
    let kinds: Vec<&Recorded> = frames
        .iter()
        .filter(|frame| {
            let bytes = &frame.bytes;
            let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default().to_vec();
            // EtherType and IP version, fragment and protocol, TCP flags where there are no IP options.
            seen.insert((bytes.len().min(128), part(12, 15), part(20, 24), part(47, 48)))
        })
        .collect();
    let step = kinds.len().div_ceil(most).max(1);
    kinds.into_iter().step_by(step).collect()
}

/// A frame cut at every length up to `longest`, and with one bit flipped: `flips` times within the first `header` bytes, at places
/// that depend on nothing but `seed`.
pub fn damaged(frame: &[u8], longest: usize, header: usize, flips: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut made: Vec<Vec<u8>> = (0..=frame.len().min(longest)).map(|len| frame[..len].to_vec()).collect();
    let bits = frame.len().min(header) * 8;
    let mut random = seed | 1;
    for _ in 0..flips {
        // Xorshift: enough to spread the flips.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let bit = (random % bits.max(1) as u64) as usize;
        let mut flipped = frame.to_vec();
        if let Some(byte) = flipped.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        made.push(flipped);
    }
    made
}
