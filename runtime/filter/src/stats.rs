//! Counters of a filter's answers.
//!
//! They are bumped for every burst, so workers must not fight over their cache lines, and even an atomic addition to a line of one's own costs
//! more than a small filter. Each of the threads with the lowest [numbers](oko_state::worker) has counters that only it
//! writes, by plain loads and stores, and all others share the last set, by atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::info::{FilterStats, Verdict};

/// How many threads have counters of their own.
const OWNERS: usize = 15;
/// Filters with more classes have one set for all, to bound what they take.
const MOST_CLASSES_IN_SETS: usize = 64;
/// Counters in a line.
const LINE: usize = 16;
/// How many verdicts are summed in 32 bits.
const SUMMED: usize = 1 << 16;
/// As few classes are counted one after the other.
const FEW: usize = 8;

/// Lines are so far apart that no two share a cache line, or a pair of these that is fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Line([AtomicU64; LINE]);

impl Line {
    /// Counts a verdict of a filter with [as few classes](Counters::are_few) as there are counters here, for the thread that alone writes them.
    #[inline]
    pub(crate) fn count(&self, verdict: Verdict) {
        add(&self.0[verdict.0 as usize % LINE], 1, false);
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    /// So many lines for each thread that has its own.
    own: Box<[Line]>,
    lines: usize,
    /// What all other threads share.
    shared: Box<[Line]>,
    classes: usize,
    faults: AtomicU64,
}

impl Counters {
    pub(crate) fn new(classes: u32) -> Counters {
        let classes = classes as usize;
        let lines = classes.div_ceil(LINE);
        let owners = if classes > MOST_CLASSES_IN_SETS { 0 } else { OWNERS };
        let zero = |lines: usize| (0..lines).map(|_| Line::default()).collect();
        Counters { own: zero(owners * lines), lines, shared: zero(lines), classes, faults: AtomicU64::new(0) }
    }

    /// Whether each thread that has counters of its own has one line of them.
    pub(crate) fn are_few(&self) -> bool {
        self.lines == 1
    }

    /// The [few](Self::are_few) counters of the worker of a number, if it has its own.
    #[inline]
    pub(crate) fn own(&self, worker: u32) -> Option<&Line> {
        self.own.get(worker as usize)
    }

    /// Counts the verdicts of a burst of the worker of a number: classes below the number of these.
    #[inline]
    pub(crate) fn count(&self, worker: u32, verdicts: &[Verdict], faults: u64) {
        let start = worker as usize * self.lines;
        let own = self.own.get(start..start + self.lines);
        let (lines, shared) = (own.unwrap_or(&self.shared), own.is_none());
        match lines {
            // Of two classes the sum is how many there are of the second one.
            [Line([none, some, ..])] if self.classes == 2 => {
                let matches: u64 = verdicts.chunks(SUMMED).map(sum).sum();
                add(none, (verdicts.len() as u64).wrapping_sub(matches), shared);
                add(some, matches, shared);
            }
            [Line([rest, others @ ..])] if (1..=FEW).contains(&self.classes) => {
                count_few(rest, &others[..self.classes - 1], verdicts, shared);
            }
            _ => count_classes(lines, verdicts, shared),
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
        let mut classes = vec![0_u64; self.classes];
        for set in self.own.chunks(self.lines.max(1)).chain([&*self.shared]) {
            for (sum, counter) in classes.iter_mut().zip(set.iter().flat_map(|line| &line.0)) {
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
fn count_classes(lines: &[Line], verdicts: &[Verdict], shared: bool) {
    for run in verdicts.chunk_by(|a, b| a == b) {
        let class = run[0].0 as usize;
        if let Some(line) = lines.get(class / LINE) {
            add(&line.0[class % LINE], run.len() as u64, shared);
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
        for classes in [2, 3, 8, 9, 16, 17, 64, 1_000] {
            let counters = Counters::new(classes);
            std::thread::scope(|scope| {
                for _ in 0..3 * OWNERS {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            counters.count(oko_state::worker(), &[Verdict(1), Verdict(0), Verdict(1)], 0);
                        }
                    });
                }
            });
            let bursts = 3 * OWNERS as u64 * 100;
            let stats = counters.read();
            assert_eq!((stats.classes[0], stats.classes[1], stats.runs), (bursts, 2 * bursts, 3 * bursts));
        }
    }
}
