//! Time as a value.
//!
//! Nothing in the switch but this file reads a clock: the worker takes one reading per burst, the control thread one
//! per event, and both pass it on. A manual clock makes expiry testable without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nanoseconds since an arbitrary moment before the switch started. Never 0, so that 0 can stand for "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

/// Where time comes from. Clones show the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's monotonic clock.
    Monotonic {
        /// The moment that counts as one second.
        origin: Instant,
    },
    /// Set by a test.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    const SECOND: u64 = 1_000_000_000;

    /// The system's clock, which starts at one second.
    #[must_use]
    pub fn monotonic() -> Self {
        Self::Monotonic { origin: Instant::now() }
    }

    /// A clock that stands at one second until it is advanced.
    #[must_use]
    pub fn manual() -> Self {
        Self::Manual(Arc::new(AtomicU64::new(Self::SECOND)))
    }

    /// The time. On Linux this reads a page shared with the kernel: no system call.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(match self {
            // 2^64 ns are 584 years.
            Self::Monotonic { origin } => Self::SECOND + origin.elapsed().as_nanos() as u64,
            Self::Manual(time) => time.load(Ordering::Relaxed),
        })
    }

    /// Lets time pass on a manual clock; a monotonic one passes by itself.
    pub fn advance(&self, nanos: u64) {
        if let Self::Manual(time) = self {
            time.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual();
        let start = clock.now();
        assert_eq!(clock.clone().now(), start);
        clock.advance(5);
        assert_eq!(clock.now(), Nanos(start.0 + 5));
    }

    #[test]
    fn the_monotonic_clock_starts_after_zero_and_goes_on() {
        let clock = Clock::monotonic();
        let first = clock.now();
        assert!(first.0 >= Clock::SECOND);
        assert!(clock.now() >= first);
    }
}
