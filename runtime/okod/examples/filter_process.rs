//! A filter in a process of its own, as one would have it without filters in the switch: packets come over shared memory from a switch, and those that
//! the filter does not match go back the same way.
//!
//! ```text
//! filter_process OBJECT FILTER DEVICE QUEUES CPU
//! ```
//!
//! `DEVICE` is a DPDK device, such as `net_memif0,role=client,socket=/tmp/s`, and `QUEUES` by how many queues packets come: as many as the switch sends by. It ends on SIGTERM, like any program that does nothing about it. The benchmark
//! (`cargo xtask bench --only process`) holds it against the same filter in the switch.

use std::error::Error;
use std::time::Instant;

use oko_dpdk::{
    BURST, Burst, Count, Eal, EalConfig, Memory, Pool, PoolConfig, Port, PortConfig, pin_current_thread,
};
use oko_filter::{Instance, LoadOptions, Packet, Verdict};

/// MiB of memory, and packet buffers in it.
const MEMORY: u32 = 128;
const BUFFERS: u32 = 32_767;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, object, name, device, queues, cpu] = &args[..] else {
        return Err("give OBJECT FILTER DEVICE QUEUES CPU".into());
    };
    let instance = Instance::load(&std::fs::read(object)?, &LoadOptions::default())?;
    let filter = instance.filter(name).ok_or_else(|| format!("{object} has no filter {name}"))?;
    let eal = Eal::init(&EalConfig {
        memory: Memory::HugePages { mebibytes: MEMORY },
        file_prefix: String::from("filter-process"),
        ..EalConfig::default()
    })?;
    let pool = Pool::create(&eal, PoolConfig { mbufs: BUFFERS, ..PoolConfig::default() })?;
    let config = PortConfig { rx_queues: Count::Exactly(queues.parse()?), ..PortConfig::default() };
    let (_port, mut queues) = Port::open(&eal, device, &pool, &config)?.start()?;
    let _registered = eal.register_thread()?;
    pin_current_thread(cpu.parse()?)?;

    let begin = Instant::now();
    let (mut taken, mut kept) = (Burst::new(), Burst::new());
    let mut verdicts = [Verdict::default(); BURST];
    for queue in (0..queues.rx.len()).cycle() {
        let count = queues.rx[queue].receive(&mut taken);
        if count == 0 {
            continue;
        }
        // Memory shared with a switch hands packets over in one piece.
        let packets: Vec<Packet<'_>> =
            taken.as_slice().iter().map(|mbuf| Packet::new(mbuf.first_segment(), 1)).collect();
        let now = begin.elapsed().as_nanos() as u64 + 1;
        instance.run_burst(filter, &packets, now, &mut verdicts[..count]);
        drop(packets);
        let mut packets = taken.take_out();
        for (at, verdict) in verdicts[..count].iter().enumerate() {
            if let Some(mbuf) = packets.take(at)
                && !verdict.is_match()
            {
                // There is room: it was sent or cleared after the burst before.
                let _ = kept.push(mbuf);
            }
        }
        drop(packets);
        // What the switch does not take is its loss.
        queues.tx[0].send(&mut kept);
        kept.clear();
    }
    Ok(())
}
