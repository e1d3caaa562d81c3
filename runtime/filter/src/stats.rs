//! Counters of a filter's answers.
//!
//! They are bumped for every burst, so workers must not fight over their cache lines, and even an atomic addition to a line of one's own costs
//! more than a small filter. Each of the threads with the lowest [numbers](oko_state::worker) has counters that only it
//! writes, by plain loads and stores, and all others share the last set, by atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::instance::{FilterStats, Verdict};

/// How many sets of counters there are.
const SETS: usize = 16;
/// Filters with more classes have one set, to bound what they take.
const MOST_CLASSES_IN_SETS: usize = 64;
/// Counters in 128 bytes: sets are so far apart that no two share a line, or a pair of lines that is fetched together.
const LINE: usize = 16;
/// How many verdicts are summed in 32 bits.
const SUMMED: usize = 1 << 16;
/// Fewer classes than that are counted one after the other.
const FEW: usize = 8;

#[derive(Debug)]
pub(crate) struct Counters {
    counters: Box<[AtomicU64]>,
    classes: usize,
    /// From one set to the next.
    stride: usize,
    /// The number of the set that threads share.
    shared: usize,
    faults: AtomicU64,
}

impl Counters {
    pub(crate) fn new(classes: u32) -> Counters {
        let classes = classes as usize;
        let sets = if classes > MOST_CLASSES_IN_SETS { 1 } else { SETS };
        let stride = classes.next_multiple_of(LINE) + LINE;
        let counters = (0..sets * stride).map(|_| AtomicU64::new(0)).collect();
        Counters { counters, classes, stride, shared: sets - 1, faults: AtomicU64::new(0) }
    }

    /// Counts the verdicts of a burst of the worker of a number: classes below the number of these.
    #[inline]
    pub(crate) fn count(&self, worker: u32, verdicts: &[Verdict], faults: u64) {
        let set = (worker as usize).min(self.shared);
        let shared = set == self.shared;
        let start = set * self.stride;
        if let [verdict] = verdicts {
            if let Some(counter) = self.counters.get(start + verdict.0 as usize) {
                add(counter, 1, shared);
            }
            return self.count_faults(faults);
        }
        let counters = &self.counters[start..];
        if let (2, [none, some, ..]) = (self.classes, counters) {
            // Of two classes the sum is how many there are of the second one.
            let matches: u64 = verdicts.chunks(SUMMED).map(sum).sum();
            add(none, (verdicts.len() as u64).wrapping_sub(matches), shared);
            add(some, matches, shared);
        } else {
            let counters = &counters[..self.classes];
            match counters {
                [rest, counters @ ..] if counters.len() < FEW => count_few(rest, counters, verdicts, shared),
                _ => count_classes(counters, verdicts, shared),
            }
        }
        self.count_faults(faults);
    }

    #[inline]
    fn count_faults(&self, faults: u64) {
        if faults != 0 {
            self.faults.fetch_add(faults, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> FilterStats {
        let sets = self.counters.chunks(self.stride);
        let mut classes = vec![0_u64; self.classes];
        for set in sets {
            for (sum, counter) in classes.iter_mut().zip(set) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        FilterStats { runs: classes.iter().sum(), classes, faults: self.faults.load(Ordering::Relaxed) }
    }
}

/// The sum of so few classes that it does not overflow.
#[inline]
fn sum(verdicts: &[Verdict]) -> u64 {
    u64::from(verdicts.iter().map(|verdict| verdict.0).fold(0, u32::wrapping_add))
}

/// Goes through the verdicts once for each class but the first, several verdicts at a time.
#[inline(never)]
fn count_few(rest: &AtomicU64, counters: &[AtomicU64], verdicts: &[Verdict], shared: bool) {
    for verdicts in verdicts.chunks(SUMMED) {
        let mut left = verdicts.len() as u64;
        for (class, counter) in (1_u32..).zip(counters) {
            let is_of = |verdict: &Verdict| u32::from(verdict.0 == class);
            let count = u64::from(verdicts.iter().map(is_of).fold(0, u32::wrapping_add));
            add(counter, count, shared);
            left -= count;
        }
        add(rest, left, shared);
    }
}

#[inline(never)]
fn count_classes(counters: &[AtomicU64], verdicts: &[Verdict], shared: bool) {
    for run in verdicts.chunk_by(|a, b| a == b) {
        if let Some(counter) = counters.get(run[0].0 as usize) {
            add(counter, run.len() as u64, shared);
        }
    }
}

#[inline]
fn add(counter: &AtomicU64, count: u64, shared: bool) {
    if count == 0 {
        return;
    }
    if shared {
        counter.fetch_add(count, Ordering::Relaxed);
    } else {
        // Only this thread writes it.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        for classes in [2, 3, 8, 9, 1_000] {
            let counters = Counters::new(classes);
            std::thread::scope(|scope| {
                for _ in 0..3 * SETS {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            counters.count(oko_state::worker(), &[Verdict(1), Verdict(0), Verdict(1)], 0);
                        }
                    });
                }
            });
            let bursts = 3 * SETS as u64 * 100;
            let stats = counters.read();
            assert_eq!((stats.classes[0], stats.classes[1], stats.runs), (bursts, 2 * bursts, 3 * bursts));
        }
    }
}
