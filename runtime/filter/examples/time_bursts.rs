//! How long a filter takes by itself: a capture again and again in bursts of 32, in nanoseconds a packet.
//!
//! ```text
//! time_bursts OBJECT FILTER CAPTURE
//! ```

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use oko_filter::{Instance, LoadOptions, Packet, Verdict};
use pcap_file::pcap::PcapReader;

/// Packets of a burst: what a worker takes from a port at once.
const BURST: usize = 32;
/// How long each turn is, at least, and how many there are; the median counts.
const TURN: Duration = Duration::from_millis(50);
const TURNS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, object, name, capture] = &args[..] else { return Err("give OBJECT FILTER CAPTURE".into()) };
    let instance = Instance::load(&std::fs::read(object)?, &LoadOptions::default())?;
    let filter = instance.filter(name).ok_or_else(|| format!("{object} has no filter {name}"))?;
    let mut reader = PcapReader::new(std::fs::File::open(capture)?)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet?.data.into_owned());
    }
    let packets: Vec<Packet<'_>> = frames.iter().map(|frame| Packet::new(frame, 1)).collect();
    let mut verdicts = [Verdict::default(); BURST];
    let begin = Instant::now();
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let (turn, mut count) = (Instant::now(), 0);
        while turn.elapsed() < TURN {
            for burst in packets.chunks(BURST) {
                let now = begin.elapsed().as_nanos() as u64 + 1;
                instance.run_burst(filter, black_box(burst), now, &mut verdicts[..burst.len()]);
            }
            count += packets.len();
        }
        times.push(turn.elapsed().as_nanos() as f64 / count as f64);
    }
    times.sort_by(f64::total_cmp);
    println!("{:.2}", times[TURNS / 2]);
    Ok(())
}
