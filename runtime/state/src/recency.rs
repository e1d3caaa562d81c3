//! Which foreign entries were used lately, so that a scan cannot drive out what is in use.
//!
//! Time is counted in insertions. An entry that is used again counts as used then; one that was only inserted counts as used a *probation*, twice the capacity,
//! before. So keys that come once, however many (a port scan, forged sources), make room for each other, and an entry that is used again within
//! about three times the capacity of insertions stays. The idea is that of midpoint insertion and of the two queues of 2Q (Johnson and Shasha, 1994), in
//! one number for each entry.
//!
//! A use is none for that purpose if nothing was inserted since the entry: programs look up what they have just inserted.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Recency {
    now: AtomicU64,
    probation: u64,
}

impl Recency {
    pub(crate) fn new(capacity: u32) -> Recency {
        let probation = 2 * u64::from(capacity);
        Recency { now: AtomicU64::new(probation + 1), probation }
    }

    /// The stamp of an entry that is inserted: even. Of two entries, the one with the lower stamp is older.
    pub(crate) fn inserted(&self) -> u64 {
        (self.now.fetch_add(1, Ordering::Relaxed) - self.probation) << 1
    }

    /// The stamp of an entry that is used: odd. None if it is to stay as it is.
    #[inline]
    pub(crate) fn used(&self, stamp: u64) -> Option<u64> {
        let now = self.now.load(Ordering::Relaxed);
        let again = stamp & 1 == 1 || now > (stamp >> 1) + self.probation + 1;
        // Between two insertions nothing is written, so that look-ups do not take the line from each other.
        (again && stamp != now << 1 | 1).then_some(now << 1 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_again_is_younger_than_what_came_once() {
        let recency = Recency::new(10);
        let first = recency.inserted();
        assert_eq!(recency.used(first), None, "looked up at once");
        let second = recency.inserted();
        let used = recency.used(first).unwrap();
        assert!(first < second && second < used);
        // For twice the capacity, all that come are older than the one that was used.
        assert!((0..20).all(|_| recency.inserted() < used));
        assert!((0..3).map(|_| recency.inserted()).last() > Some(used));
        assert!(recency.used(used) > Some(used));
    }
}
