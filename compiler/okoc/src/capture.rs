//! Captures in the pcap format, read whole.

use std::ops::Range;
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapParser;
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

use crate::error::Error;
use crate::files;

/// Bytes of the header of a file, and of that of a packet.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The most bytes of a packet that tools write, `MAXIMUM_SNAPLEN` of libpcap: more is not a length.
const MAX_CAPTURED: u32 = 262_144;
/// The start of the newer format.
const PCAPNG: &[u8] = b"\x0a\x0d\x0d\x0a";

/// A capture in memory.
#[derive(Debug)]
pub(crate) struct Capture {
    content: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
}

/// A packet of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Its record in the file: header and bytes.
    record: Range<usize>,
    /// How long it was on the wire.
    pub(crate) wire_len: u32,
    /// When it came, in nanoseconds, at least 1 and not before the one in front of it.
    pub(crate) now: u64,
}

impl Capture {
    /// Reads a capture of Ethernet frames.
    pub(crate) fn read(path: &Path) -> Result<Capture, Error> {
        let content = files::read(path)?;
        let frames = frames(path, &content)?;
        Ok(Capture { content, frames })
    }

    /// The bytes of a frame.
    pub(crate) fn bytes(&self, frame: &Frame) -> &[u8] {
        &self.content[frame.record.start + RECORD_HEADER..frame.record.end]
    }

    /// The bytes of all frames together.
    pub(crate) fn total(&self) -> usize {
        self.frames.iter().map(|frame| self.bytes(frame).len()).sum()
    }

    /// A capture of these frames of this one, their records unchanged.
    pub(crate) fn of<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> Vec<u8> {
        let mut content = self.content[..FILE_HEADER].to_vec();
        for frame in frames {
            content.extend_from_slice(&self.content[frame.record.clone()]);
        }
        content
    }
}

fn frames(path: &Path, content: &[u8]) -> Result<Vec<Frame>, Error> {
    let wrong = |reason: String, help: Option<&str>| Error::Capture {
        path: PathBuf::from(path),
        reason,
        help: help.map(str::to_owned),
    };
    if content.starts_with(PCAPNG) {
        let help = "convert it: `editcap -F pcap IN OUT`, or capture with `tcpdump -w`";
        return Err(wrong("it is in the pcapng format".into(), Some(help)));
    }
    let (mut rest, parser) = PcapParser::new(content).map_err(|error| match error {
        PcapError::IncompleteBuffer => wrong(
            format!("it has {} bytes, and the header of a capture has {FILE_HEADER}", content.len()),
            None,
        ),
        _ => {
            let start = content.get(..4).unwrap_or_default();
            wrong(format!("its first bytes are {start:02x?}, not those of a capture"), None)
        }
    })?;
    let header = parser.header();
    if header.datalink != DataLink::ETHERNET {
        let reason = format!(
            "its packets are of link type {}, and filters read Ethernet frames (1)",
            u32::from(header.datalink)
        );
        return Err(wrong(reason, None));
    }
    let tick = match header.ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    let mut frames: Vec<Frame> = Vec::new();
    let mut now = 1;
    while !rest.is_empty() {
        let number = frames.len() + 1;
        let start = content.len() - rest.len();
        if let Some(claimed) = captured_len(rest, header.endianness).filter(|len| *len > MAX_CAPTURED) {
            let reason = format!(
                "packet {number}, at byte {start}, claims {claimed} bytes; the limit is {MAX_CAPTURED}"
            );
            return Err(wrong(reason, None));
        }
        let (after, packet) = parser.next_raw_packet(rest).map_err(|error| {
            let reason = match error {
                PcapError::IncompleteBuffer => {
                    format!("packet {number}, at byte {start}, is cut off by the end of the file")
                }
                error => format!("packet {number}, at byte {start}: {error}"),
            };
            let help =
                "the writer was interrupted, or the copy is incomplete; `editcap` can cut off what is broken";
            wrong(reason, Some(help))
        })?;
        let time = u64::from(packet.ts_sec).saturating_mul(1_000_000_000) + u64::from(packet.ts_frac) * tick;
        now = time.max(now);
        let wire_len = packet.orig_len.max(packet.incl_len);
        frames.push(Frame { record: start..content.len() - after.len(), wire_len, now });
        rest = after;
    }
    Ok(frames)
}

/// How many bytes of a packet its record claims to hold.
fn captured_len(record: &[u8], endianness: Endianness) -> Option<u32> {
    let bytes = record.get(8..12)?.try_into().ok()?;
    Some(match endianness {
        Endianness::Big => u32::from_be_bytes(bytes),
        Endianness::Little => u32::from_le_bytes(bytes),
    })
}
