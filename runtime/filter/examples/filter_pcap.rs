//! Writes the packets of a capture that a filter matches to another one.

use std::error::Error;
use std::fs::{File, read};

use oko_filter::{Instance, LoadOptions, Packet};
use pcap_file::pcap::{PcapReader, PcapWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, object, input, output] = &args[..] else { return Err("give FILTER.o IN.pcap OUT.pcap".into()) };
    let instance = Instance::load(&read(object)?, &LoadOptions::default())?;
    let filter = instance.filters()[0].id;
    let mut reader = PcapReader::new(File::open(input)?)?;
    let mut writer = PcapWriter::with_header(File::create(output)?, reader.header())?;
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        let frame = Packet::new(&packet.data, 1).with_wire_len(packet.orig_len);
        if instance.run(filter, frame, packet.timestamp.as_nanos() as u64).is_match() {
            writer.write_packet(&packet)?;
        }
    }
    Ok(())
}
