//! Sets of packets of a burst, by their places in it.

use std::ops::Range;

use oko_flow_cache::BURST;

const _: () = assert!(BURST == u32::BITS as usize, "a bit for each place");

/// Some places of a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(u32);

impl Places {
    /// None.
    pub(crate) const NONE: Places = Places(0);

    /// The places of a range, which ends at the last place of a full burst at the latest.
    #[inline]
    pub(crate) fn range(range: Range<usize>) -> Places {
        let before = |end: usize| (1_u64 << end.min(BURST)) - 1;
        Places((before(range.end) & !before(range.start)) as u32)
    }

    /// One place.
    #[inline]
    pub(crate) fn one(at: usize) -> Places {
        Places::range(at..at + 1)
    }

    /// A bit for each.
    #[inline]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The first.
    #[inline]
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    #[inline]
    pub(crate) fn contains(self, at: usize) -> bool {
        at < BURST && self.0 >> at & 1 != 0
    }

    /// How many there are before a place.
    #[inline]
    pub(crate) fn before(self, at: usize) -> usize {
        self.and(Places::range(0..at)).len()
    }

    /// Those that are among others, too.
    #[inline]
    pub(crate) fn and(self, others: Places) -> Places {
        Places(self.0 & others.0)
    }

    /// These and others.
    #[inline]
    pub(crate) fn with(self, others: Places) -> Places {
        Places(self.0 | others.0)
    }

    /// Those that are not among others.
    #[inline]
    pub(crate) fn without(self, others: Places) -> Places {
        Places(self.0 & !others.0)
    }

    /// Those of which something is so.
    #[inline]
    pub(crate) fn filter(self, mut is_so: impl FnMut(usize) -> bool) -> Places {
        let bits = self.into_iter().fold(0, |bits, at| bits | u32::from(is_so(at)) << at);
        Places(bits)
    }
}

impl IntoIterator for Places {
    type Item = usize;
    type IntoIter = Iter;

    /// In order.
    #[inline]
    fn into_iter(self) -> Iter {
        Iter(self.0)
    }
}

pub(crate) struct Iter(u32);

impl Iterator for Iter {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let at = Places(self.0).first()?;
        self.0 &= self.0 - 1;
        Some(at)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = Places(self.0).len();
        (len, Some(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(places: Places) -> Vec<usize> {
        places.into_iter().collect()
    }

    #[test]
    fn sets_are_what_their_lists_are() {
        assert_eq!(listed(Places::range(0..BURST)), (0..BURST).collect::<Vec<_>>());
        assert_eq!(listed(Places::range(30..31)), [30]);
        assert!(listed(Places::range(7..7)).is_empty());
        let odd = Places::range(0..BURST).filter(|at| at % 2 == 1);
        assert_eq!((odd.len(), odd.first()), (16, Some(1)));
        assert_eq!(Places::NONE.first(), None);
        assert_eq!(listed(odd.and(Places::range(0..6))), [1, 3, 5]);
        assert_eq!(listed(Places::range(0..4).without(odd).with(Places::one(31))), [0, 2, 31]);
        assert_eq!((odd.before(0), odd.before(2), odd.before(31)), (0, 1, 15));
        assert!(odd.contains(31) && !odd.contains(30) && !odd.contains(32));
    }
}
