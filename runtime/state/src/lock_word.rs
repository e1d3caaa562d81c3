//! Lock words: sequence locks. Even is free, odd is held, taking and releasing add one each.
//!
//! Who copies a value takes no lock: the copy is of one moment if the word was even before and is the same after.

use crate::sync::{AtomicU32, Ordering, fence, pause};

pub(crate) fn lock_word(word: &AtomicU32) {
    while !try_lock_word(word) {
        pause();
    }
}

pub(crate) fn try_lock_word(word: &AtomicU32) -> bool {
    let seen = word.load(Ordering::Relaxed);
    let taken =
        seen & 1 == 0 && word.compare_exchange(seen, seen | 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if taken {
        // Whoever reads one of our writes must see the word odd.
        fence(Ordering::Release);
    }
    taken
}

pub(crate) fn unlock_word(word: &AtomicU32) {
    let held = word.load(Ordering::Relaxed);
    word.store(held.wrapping_add(1), Ordering::Release);
}

/// Before a copy: the word, if nobody holds it.
pub(crate) fn begin_copy(word: &AtomicU32) -> Option<u32> {
    Some(word.load(Ordering::Acquire)).filter(|word| word & 1 == 0)
}

/// After a copy: whether it is of one moment.
pub(crate) fn end_copy(word: &AtomicU32, begun: u32) -> bool {
    fence(Ordering::Acquire);
    word.load(Ordering::Relaxed) == begun
}
