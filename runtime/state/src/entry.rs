//! Values seen from outside: pointers, generations and lock words.

use std::ptr::NonNull;

use crate::generation::Generation;
use crate::lock_word::{lock_word, unlock_word};
use crate::probe::GENERATION;
use crate::readers::is_pinned;
use crate::sync::{AtomicU32, Ordering};

/// The generation of a place is in the word at this offset from its value.
pub(crate) const GENERATION_OFFSET: isize = GENERATION as isize;

/// What a look-up answers: two words, returned in registers to generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Found {
    /// The value, 8-byte aligned; null if there is none.
    pub value: *mut u8,
    /// The generation of its place ([`generation_of`]).
    pub generation: u64,
}

impl Found {
    /// There is none.
    pub const NONE: Found = Found { value: std::ptr::null_mut(), generation: 0 };

    /// The value, if there is one.
    pub fn get(self) -> Option<NonNull<u8>> {
        NonNull::new(self.value)
    }
}

/// The present generation of the place of a value of a hash table.
///
/// # Safety
///
/// `value` comes from a look-up in a map that still lives.
pub unsafe fn generation_of(value: NonNull<u8>) -> u64 {
    // SAFETY: the word lies before each value of a hash table, aligned to 8, and is only accessed atomically.
    let generation = unsafe { &*value.as_ptr().offset(GENERATION_OFFSET).cast::<Generation>() };
    generation.load(Ordering::Acquire)
}

/// Takes a lock word: waits until it is even, then makes it odd.
///
/// # Safety
///
/// `word` is a 4-byte aligned lock word in a value of a map that still lives, and the thread is [pinned](crate::pin) until it gives it back.
pub unsafe fn lock(word: *mut u32) {
    debug_assert!(is_pinned(), "who takes lock words is pinned");
    // SAFETY: the caller's promise; lock words are accessed atomically by everybody.
    let word = unsafe { AtomicU32::from_ptr(word) };
    lock_word(word);
}

/// Gives a lock word back that the caller holds.
///
/// # Safety
///
/// As of [`lock`], and the caller holds it.
pub unsafe fn unlock(word: *mut u32) {
    // SAFETY: the caller's promise; lock words are accessed atomically by everybody.
    let word = unsafe { AtomicU32::from_ptr(word) };
    unlock_word(word);
}
