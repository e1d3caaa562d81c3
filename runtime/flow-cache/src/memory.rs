//! Zeroed arrays whose pages come when they are first touched, as huge pages where the system has them.
//!
//! A cache of a million keys takes some hundred megabytes, of which a switch with few flows touches little; and a lookup in it touches
//! places that nothing has touched lately, each of which would cost a walk through the page tables if pages were small.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::{alloc, slice};

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// What is valid if all its bytes are 0.
///
/// # Safety
///
/// So it is, and nothing needs to be dropped.
pub(crate) unsafe trait Zeroable: Copy {}

// SAFETY: an integer.
unsafe impl Zeroable for u32 {}

/// An array of fixed length.
#[derive(Debug)]
pub(crate) struct Zeroed<T> {
    start: NonNull<T>,
    len: usize,
    mapping: NonNull<u8>,
    mapped: usize,
}

// SAFETY: the array is owned by this value, as by a `Box<[T]>`.
unsafe impl<T: Send> Send for Zeroed<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Zeroed<T> {}

impl<T: Zeroable> Zeroed<T> {
    /// `len` elements of zeroes. Ends the process if there are no addresses for them, as an allocation would.
    pub(crate) fn new(len: usize) -> Zeroed<T> {
        let layout = alloc::Layout::array::<T>(len)
            .unwrap_or_else(|_| alloc::handle_alloc_error(alloc::Layout::new::<T>()));
        let size = layout.size().next_multiple_of(HUGE).max(HUGE);
        // Mappings start at small pages; one huge page more has a huge page's boundary in it.
        let mapped = size + HUGE;
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new anonymous mapping touches no memory that is in use.
        let mapping = unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0) };
        let Some(mapping) = NonNull::new(mapping.cast::<u8>()).filter(|_| mapping != libc::MAP_FAILED) else {
            alloc::handle_alloc_error(layout)
        };
        let skipped = (mapping.as_ptr() as usize).next_multiple_of(HUGE) - mapping.as_ptr() as usize;
        // SAFETY: less than a huge page is skipped, so this is in the mapping.
        let start = unsafe { mapping.add(skipped) };
        if layout.size() >= HUGE {
            // SAFETY: advice on the mapping that was just made. That the system has no huge pages is no failure.
            unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
        }
        Zeroed { start: start.cast(), len, mapping, mapped }
    }

    /// Makes all elements zeroes again, and gives the pages back.
    pub(crate) fn clear(&mut self) {
        let bytes = self.len * size_of::<T>();
        // SAFETY: the range is ours; private anonymous pages that are given back read as zeroes.
        if unsafe { libc::madvise(self.start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) } != 0 {
            // SAFETY: the array, of elements for which zero is valid.
            unsafe { self.start.as_ptr().write_bytes(0, self.len) };
        }
    }
}

impl<T> Deref for Zeroed<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements lie in the mapping, initialised with zeroes, which `T` allows.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Zeroed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Zeroed<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapped) };
    }
}

/// Asks for a line of memory to be brought near; no more than a hint.
#[inline]
pub fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and cannot fault, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_zeroed_and_can_be_zeroed_again() {
        for len in [3, HUGE / 4 - 1, HUGE / 4, HUGE + 17] {
            let mut array = Zeroed::<u32>::new(len);
            assert_eq!(array.len(), len);
            assert!((array.as_ptr() as usize).is_multiple_of(HUGE));
            for at in [0, len / 2, len - 1] {
                assert_eq!(array[at], 0);
                array[at] = 7;
            }
            array.clear();
            assert!([0, len / 2, len - 1].iter().all(|at| array[*at] == 0));
        }
    }
}
