//! Counters of a filter's answers, bumped once a burst and class.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::instance::{FilterStats, Verdict};

#[derive(Debug)]
pub(crate) struct Counters {
    classes: Box<[AtomicU64]>,
    faults: AtomicU64,
}

impl Counters {
    pub(crate) fn new(classes: u32) -> Counters {
        let classes = (0..classes).map(|_| AtomicU64::new(0)).collect();
        Counters { classes, faults: AtomicU64::new(0) }
    }

    /// Counts the verdicts of a burst. Runs of equal ones, which are common, cost one addition.
    pub(crate) fn count(&self, verdicts: &[Verdict], faults: u64) {
        if let [none, some] = &*self.classes {
            let matches = verdicts.iter().map(|verdict| u64::from(verdict.is_match())).sum::<u64>();
            let others = verdicts.len() as u64 - matches;
            for (counter, count) in [(none, others), (some, matches)] {
                if count != 0 {
                    counter.fetch_add(count, Ordering::Relaxed);
                }
            }
        } else {
            for run in verdicts.chunk_by(|a, b| a == b) {
                if let Some(counter) = self.classes.get(run[0].0 as usize) {
                    counter.fetch_add(run.len() as u64, Ordering::Relaxed);
                }
            }
        }
        if faults != 0 {
            self.faults.fetch_add(faults, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> FilterStats {
        let classes: Vec<u64> = self.classes.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        FilterStats { runs: classes.iter().sum(), classes, faults: self.faults.load(Ordering::Relaxed) }
    }
}
