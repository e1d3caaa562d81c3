//! The packets of a capture, or made ones, replayed as often as needed.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use oko_filter::Packet;
use oko_tests::captures::Recorded;
use oko_tests::made;
use pcap_file::TsResolution;
use pcap_file::pcap::PcapReader;

/// Time between the end of a replay and the begin of the next, in nanoseconds.
const GAP: u64 = 1_000_000;

/// Packets in memory.
pub(crate) struct Traffic {
    packets: Vec<Recorded>,
    /// From the first packet to the first packet of the next replay.
    period: u64,
}

impl Traffic {
    pub(crate) fn read(file: &Path) -> Result<Traffic> {
        let context = || format!("cannot read {}", file.display());
        let mut reader = PcapReader::new(File::open(file).with_context(context)?).with_context(context)?;
        let mut packets: Vec<Recorded> = Vec::new();
        let fraction = match reader.header().ts_resolution {
            TsResolution::MicroSecond => 1_000,
            TsResolution::NanoSecond => 1,
        };
        // Raw ones: the reader takes packets that were cut for damaged.
        while let Some(packet) = reader.next_raw_packet() {
            let packet = packet.with_context(context)?;
            let time = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * fraction;
            // Clocks of captures may step back a little; filters are told of no such thing.
            let time = packets.last().map_or(time, |before| time.max(before.now));
            packets.push(Recorded { now: time, bytes: packet.data.into_owned() });
        }
        let first = packets.first().with_context(|| format!("{} holds no packets", file.display()))?;
        ensure!(first.now > 0, "{} begins at time 0", file.display());
        Ok(Traffic::of(packets))
    }

    /// What [`made`] makes under a name.
    pub(crate) fn made(name: &str) -> Traffic {
        Traffic::of(made::traffic(name))
    }

    fn of(packets: Vec<Recorded>) -> Traffic {
        let ends = packets.first().zip(packets.last());
        let period = ends.map_or(0, |(first, last)| last.now - first.now) + GAP;
        Traffic { packets, period }
    }

    /// The packets and their instants in the first replay.
    pub(crate) fn packets(&self) -> Vec<(Packet<'_>, u64)> {
        self.packets.iter().map(|packet| (Packet::new(&packet.bytes, 1), packet.now)).collect()
    }

    /// How much later than in the first one everything comes in a replay.
    pub(crate) fn shift(&self, replay: u64) -> u64 {
        replay * self.period
    }
}
