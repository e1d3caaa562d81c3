//! Whatever runs a filter, driven over captures by one and the same loop.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use oko_filter::{Engine, FilterId, Instance, LoadOptions, Packet, Verdict};
use oko_ir::interp::TableKey;
use oko_tests::peer::{PeerInstance, SEED};

use crate::kernel::KernelInstance;

/// Packets of a burst: what a worker takes from a port at once.
pub(crate) const BURST: usize = 32;

/// How often each packet is run in a row in [`Mode::Repeated`].
pub(crate) const REPEATS: u32 = 1_000;
/// How many packets there are in [`Mode::Repeated`]: a call for repeated runs costs the kernel two grace periods of RCU.
pub(crate) const SAMPLE: usize = 32;

/// How packets are given to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// One a call, each at its own instant.
    Single,
    /// [`BURST`] a call, all at the instant of the first one.
    Burst,
    /// [`SAMPLE`] packets of the capture, each [`REPEATS`] times in a row at its instant, one a call: as the kernel does in test
    /// runs. The last verdict counts.
    Repeated,
}

/// Something that runs a filter.
pub(crate) trait Subject {
    /// Runs it over all packets, each `shift` nanoseconds later; gives nanoseconds a packet.
    fn pass(
        &mut self,
        mode: Mode,
        packets: &[(Packet<'_>, u64)],
        shift: u64,
        verdicts: &mut [Verdict],
    ) -> Result<f64>;
}

/// Something that runs a filter and is called like a function.
pub(crate) trait Callable {
    fn call(&mut self, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]);
}

// The loop is compiled once for each kind, so that none is called through more pointers than another.
impl<C: Callable> Subject for C {
    fn pass(
        &mut self,
        mode: Mode,
        packets: &[(Packet<'_>, u64)],
        shift: u64,
        verdicts: &mut [Verdict],
    ) -> Result<f64> {
        match mode {
            Mode::Single => {
                let begin = Instant::now();
                for ((packet, time), verdict) in packets.iter().zip(verdicts.chunks_exact_mut(1)) {
                    self.call(black_box(std::slice::from_ref(packet)), time + shift, verdict);
                }
                Ok(begin.elapsed().as_nanos() as f64 / packets.len() as f64)
            }
            Mode::Burst => {
                // What a receive function leaves in an array.
                let bursts: Vec<(Vec<Packet<'_>>, u64)> = packets
                    .chunks(BURST)
                    .map(|chunk| (chunk.iter().map(|(packet, _)| *packet).collect(), chunk[0].1 + shift))
                    .collect();
                let begin = Instant::now();
                for ((burst, time), verdicts) in bursts.iter().zip(verdicts.chunks_mut(BURST)) {
                    self.call(black_box(burst), *time, verdicts);
                }
                Ok(begin.elapsed().as_nanos() as f64 / packets.len() as f64)
            }
            Mode::Repeated => {
                let begin = Instant::now();
                for ((packet, time), verdict) in packets.iter().zip(verdicts.chunks_exact_mut(1)) {
                    repeat(self, packet, time + shift, REPEATS, verdict);
                }
                Ok(begin.elapsed().as_nanos() as f64 / packets.len() as f64 / f64::from(REPEATS))
            }
        }
    }
}

/// Runs one packet so often in a row.
pub(crate) fn repeat<C: Callable>(
    subject: &mut C,
    packet: &Packet<'_>,
    now: u64,
    times: u32,
    verdict: &mut [Verdict],
) {
    for _ in 0..times {
        subject.call(black_box(std::slice::from_ref(packet)), now, verdict);
    }
}

impl Callable for PeerInstance<'_> {
    #[inline]
    fn call(&mut self, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]) {
        self.run(packets, now, verdicts);
    }
}

/// An artifact on one of our engines.
pub(crate) struct OkoInstance {
    instance: Instance,
    filter: FilterId,
}

impl OkoInstance {
    pub(crate) fn load(object: &[u8], filter: &str, engine: Engine) -> Result<OkoInstance> {
        let options = LoadOptions { engine: Some(engine), seed: Some(SEED), ..LoadOptions::default() };
        let instance =
            Instance::load(object, &options).with_context(|| format!("{engine} does not load {filter}"))?;
        let filter = instance.filter(filter).with_context(|| format!("there is no filter {filter}"))?;
        Ok(OkoInstance { instance, filter })
    }

    /// Puts a key into a table that is a set.
    pub(crate) fn insert(&mut self, table: &str, key: &TableKey) -> Result<()> {
        self.instance.table_put(table, key, &[]).with_context(|| format!("cannot write to table {table}"))
    }
}

impl Callable for OkoInstance {
    #[inline]
    fn call(&mut self, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]) {
        match (packets, &mut *verdicts) {
            ([packet], [verdict]) => *verdict = self.instance.run(self.filter, *packet, now),
            _ => self.instance.run_burst(self.filter, packets, now, verdicts),
        }
    }
}

impl Subject for KernelInstance {
    fn pass(
        &mut self,
        mode: Mode,
        packets: &[(Packet<'_>, u64)],
        shift: u64,
        verdicts: &mut [Verdict],
    ) -> Result<f64> {
        anyhow::ensure!(mode == Mode::Repeated, "the kernel runs one packet repeatedly, nothing else");
        self.run_all(packets, shift, REPEATS, verdicts)
    }
}
