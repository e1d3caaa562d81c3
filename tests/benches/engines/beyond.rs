//! What a program takes beyond an empty one, in our JIT and in the kernel's: differences of a nanosecond between figures of ten.
//!
//! So small a difference drowns in whatever the machine does between two measurements, so program and empty program take turns on each packet, for some
//! ten microseconds each: program, empty, empty, program, and the other way round in the next round. What counts is the median of these
//! differences; their quartiles are shown beside it. The two engines take turns in the same way and are measured by the same clock, the time that this thread has
//! spent on a CPU, in user space or in the kernel: a test run of the kernel says itself how long it took, but in whole nanoseconds a run.
//! What a call for a test run costs is the same for both programs. Where the kernel puts a program is left to chance, and a loop may take a quarter longer
//! at one place than at another; so all programs are loaded anew many times.

use std::mem::MaybeUninit;

use anyhow::{Result, ensure};
use oko_filter::{Packet, Verdict};
use serde_json::{Value, json};

use crate::measure::Samples;

/// How often a packet is run in a row.
pub(crate) const REPEATS: u32 = 4_000;
/// Rounds with what was loaded at once.
pub(crate) const ROUNDS: usize = 10;

/// An engine with a program and the empty one.
pub(crate) struct Pair {
    pub(crate) program: Run,
    pub(crate) empty: Run,
}

/// Runs a packet [`REPEATS`] times in a row at an instant; gives the last verdict.
pub(crate) type Run = Box<dyn FnMut(Packet<'_>, u64) -> Result<Verdict>>;

/// Nanoseconds of an engine: of each packet a sample a round.
pub(crate) struct Beyond {
    empty: Vec<Samples>,
    more: Vec<Samples>,
}

impl Beyond {
    fn of(packets: usize) -> Beyond {
        let samples = || vec![Samples::default(); packets];
        Beyond { empty: samples(), more: samples() }
    }

    /// A run of the empty program: the mean over all packets of the median.
    pub(crate) fn empty(&self) -> f64 {
        mean(&self.empty, 0.5)
    }

    /// What a run of the program takes more: the same.
    pub(crate) fn more(&self) -> f64 {
        mean(&self.more, 0.5)
    }

    /// The same of the quartiles.
    pub(crate) fn quartiles(&self) -> (f64, f64) {
        (mean(&self.more, 0.25), mean(&self.more, 0.75))
    }

    /// All of them.
    pub(crate) fn json(&self) -> Value {
        let (lower, upper) = self.quartiles();
        let rounds = self.more.first().map_or(0, Samples::count);
        json!({
            "empty": self.empty(),
            "more": self.more(),
            "lower_quartile": lower,
            "upper_quartile": upper,
            "rounds": rounds,
        })
    }
}

fn mean(packets: &[Samples], share: f64) -> f64 {
    packets.iter().map(|samples| samples.quantile(share)).sum::<f64>() / packets.len() as f64
}

/// Lets engines take turns on all packets, so many rounds with what is loaded anew so often; all must give the same verdicts.
pub(crate) fn measure(
    mut load: impl FnMut() -> Result<Vec<Pair>>,
    packets: &[(Packet<'_>, u64)],
    loads: usize,
) -> Result<Vec<Beyond>> {
    let mut found: Vec<Beyond> = Vec::new();
    for _ in 0..loads {
        let mut pairs = load()?;
        found.resize_with(pairs.len(), || Beyond::of(packets.len()));
        for round in 0..ROUNDS {
            for (index, &(packet, time)) in packets.iter().enumerate() {
                let mut expected = None;
                for step in 0..pairs.len() {
                    let which = (round + step) % pairs.len();
                    let mut verdicts = Vec::new();
                    let (empty, more) = pairs[which].take_turns(packet, time, round, &mut verdicts)?;
                    found[which].empty[index].add(empty);
                    found[which].more[index].add(more);
                    let same = *expected.get_or_insert_with(|| verdicts.clone()) == verdicts;
                    ensure!(same, "engines differ on packet {} of round {}", index + 1, round + 1);
                }
            }
        }
    }
    Ok(found)
}

impl Pair {
    /// Runs both twice; gives nanoseconds a run of the empty one, and how many more one of the program took.
    fn take_turns(
        &mut self,
        packet: Packet<'_>,
        time: u64,
        round: usize,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(f64, f64)> {
        let (mut of_program, mut of_empty) = (0.0, 0.0);
        for is_outer in [true, false, false, true] {
            let is_program = is_outer == round.is_multiple_of(2);
            let run = if is_program { &mut self.program } else { &mut self.empty };
            let begin = cpu_time()?;
            let verdict = run(packet, time)?;
            let each = (cpu_time()? - begin) / f64::from(REPEATS);
            if is_program {
                of_program += each / 2.0;
                verdicts.push(verdict);
            } else {
                of_empty += each / 2.0;
            }
        }
        Ok((of_empty, of_program - of_empty))
    }
}

/// How long this thread has run, in nanoseconds.
fn cpu_time() -> Result<f64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: there is room for a time.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    ensure!(result == 0, "no clock of this thread: {}", std::io::Error::last_os_error());
    // SAFETY: the call succeeded, so it was written.
    let time = unsafe { time.assume_init() };
    Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}
