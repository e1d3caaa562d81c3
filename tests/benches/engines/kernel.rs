//! Filters in the Linux kernel: verified and compiled by it, run by `BPF_PROG_TEST_RUN`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oko_artifact::{NOW_VARIABLE, SEED_VARIABLE};
use oko_bpf::xdp::XDP_PASS;
use oko_filter::{Packet, Verdict};
use oko_tests::kernel::{self, Attached, Loaded};
use oko_tests::peer::SEED;

use crate::examples::Example;
use crate::loading::module;
use crate::measure::median;

/// A filter that returns at once, and what running it in the kernel costs: the price of a test run itself.
const EMPTY: &str = "empty";
/// Packets that the price of a test run is measured on, in each pass.
const EMPTY_RUNS: usize = 5;

/// An artifact in the kernel.
pub(crate) struct KernelInstance {
    loaded: Loaded,
    empty: Loaded,
    filter: String,
    /// Whether the object has a variable for the clock.
    has_clock: bool,
    /// Both, so that test runs are quick.
    _attached: [Attached; 2],
}

impl KernelInstance {
    /// Loads an object of another compiler, which knows nothing of our clock.
    pub(crate) fn load_foreign(object: &[u8], filter: &str) -> Result<KernelInstance> {
        KernelInstance::new(kernel::load_untyped(object)?, filter, false)
    }

    /// Loads an example, with the clock in a variable.
    pub(crate) fn load(example: &Example) -> Result<KernelInstance> {
        let loaded = kernel::load(&example.object_for_kernel)?;
        // Programs without hashes have no such variable.
        let _ = loaded.set_variable(SEED_VARIABLE, SEED);
        let (table, keys) = &example.table;
        if !keys.is_empty() {
            let states = module(&example.object)?.states;
            let decl = states.iter().find(|state| state.name == *table).context("the table is a state")?;
            for key in keys {
                loaded.put(table, &kernel::table_key(decl, key), &kernel::table_value(decl, &[]))?;
            }
        }
        KernelInstance::new(loaded, &example.filter, true)
    }

    fn new(loaded: Loaded, filter: &str, has_clock: bool) -> Result<KernelInstance> {
        let empty = kernel::load_return(EMPTY, XDP_PASS as i32)?;
        let attached = [loaded.attach(filter)?, empty.attach(EMPTY)?];
        Ok(KernelInstance { loaded, empty, filter: filter.to_owned(), has_clock, _attached: attached })
    }

    /// Runs one packet so often in a row; gives the last verdict.
    pub(crate) fn run_repeated(&self, packet: Packet<'_>, repeats: u32) -> Result<Verdict> {
        let run = self.loaded.run_repeated(&self.filter, packet.data(), repeats)?;
        self.verdict(run.value)
    }

    /// The same with the empty program.
    pub(crate) fn run_empty(&self, packet: Packet<'_>, repeats: u32) -> Result<Verdict> {
        self.verdict(self.empty.run_repeated(EMPTY, packet.data(), repeats)?.value)
    }

    /// Classes are return values less 1.
    fn verdict(&self, value: u32) -> Result<Verdict> {
        ensure!(value != 0, "the kernel aborted {}", self.filter);
        Ok(Verdict(value - 1))
    }

    /// Runs all packets `repeats` times each; gives nanoseconds a run, less those of the empty program.
    pub(crate) fn run_all(
        &mut self,
        packets: &[(Packet<'_>, u64)],
        shift: u64,
        repeats: u32,
        verdicts: &mut [Verdict],
    ) -> Result<f64> {
        let mut total = Duration::ZERO;
        for ((packet, time), verdict) in packets.iter().zip(verdicts) {
            if self.has_clock {
                self.loaded.set_variable(NOW_VARIABLE, time + shift)?;
            }
            let run = self.loaded.run_repeated(&self.filter, packet.data(), repeats)?;
            *verdict = self.verdict(run.value)?;
            total += run.duration;
        }
        let mut empty = Vec::new();
        for (packet, _) in packets.iter().cycle().take(EMPTY_RUNS) {
            let run = self.empty.run_repeated(EMPTY, packet.data(), repeats)?;
            empty.push(run.duration.as_nanos() as f64);
        }
        let mean = total.as_nanos() as f64 / packets.len() as f64;
        Ok(mean - median(&mut empty))
    }
}
