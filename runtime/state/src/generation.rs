//! The word in front of each value of a table: the generation of its record, and the lock word that the record had when it was given to its key.
//!
//! The low half counts: it is odd while the record belongs to a key, and moves when that begins or ends. The high half is the lock word of
//! when it began, or 0 of values without: if the record's lock word is still that, nobody has locked the entry yet. Of a record without key
//! it is 0.
//!
//! Both halves are written in one store, and the word stays as it is while the record belongs to its key. So it is compared as a whole: if it is
//! what it was before the key was read, the record was this key's all the while.

use crate::sync::{AtomicU64, Ordering, fence};

/// Zero at first.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Generation(AtomicU64);

impl Generation {
    /// The whole word. What is read after an `Acquire` is of this generation or a later one.
    #[inline]
    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering)
    }

    /// The whole word of a record that belongs to a key whose words `is_wanted` has read and compared.
    #[inline]
    pub(crate) fn of(&self, is_wanted: impl FnOnce() -> bool) -> Option<u64> {
        let word = self.load(Ordering::Acquire);
        if !is_begun(word) || !is_wanted() {
            return None;
        }
        fence(Ordering::Acquire);
        // If it has moved, the words may be of two keys.
        (self.load(Ordering::Relaxed) == word).then_some(word)
    }

    /// Gives a record without key to the one whose words were written to it. Nobody else does so with this record meanwhile.
    pub(crate) fn begin(&self, lock: u32) {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert!(!is_begun(word), "the record has a key already");
        let generation = word as u32 | 1;
        self.0.store(u64::from(lock) << 32 | u64::from(generation), Ordering::Release);
    }

    /// Takes a record from its key. Its lock word, if it has one, is held.
    pub(crate) fn end(&self) {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert!(is_begun(word), "the record had no key");
        self.0.store(u64::from((word as u32).wrapping_add(1)), Ordering::Relaxed);
        // Whoever reads a word of the next key must see that the generation has moved.
        fence(Ordering::Release);
    }
}

/// Whether a record with this word belongs to a key.
#[inline]
pub(crate) fn is_begun(word: u64) -> bool {
    word & 1 == 1
}

/// The lock word that a record with this word had when it was given to its key.
pub(crate) fn first_lock(word: u64) -> u32 {
    (word >> 32) as u32
}
