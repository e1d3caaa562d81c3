//! Zeroed arrays whose pages come when they are first touched, as huge pages where the system has them.
//!
//! A cache of a million keys takes some hundred megabytes, of which a switch with few flows touches little; and a lookup in it touches
//! places that nothing has touched lately, each of which would cost a walk through the page tables if pages were small.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::{alloc, slice};

use oko_pages::Pages;

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
    pages: Pages,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Zeroable> Zeroed<T> {
    /// `len` elements of zeroes. Ends the process if there are no addresses for them, as an allocation would.
    pub(crate) fn new(len: usize) -> Zeroed<T> {
        let layout = alloc::Layout::array::<T>(len)
            .unwrap_or_else(|_| alloc::handle_alloc_error(alloc::Layout::new::<T>()));
        let pages = Pages::map_sparse(layout.size()).unwrap_or_else(|_| alloc::handle_alloc_error(layout));
        Zeroed { pages, len, elements: PhantomData }
    }

    /// Makes all elements zeroes again, and gives the pages back.
    pub(crate) fn clear(&mut self) {
        self.pages.clear(self.len * size_of::<T>());
    }
}

impl<T> Deref for Zeroed<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements lie in the mapping, whose zeroes `T` allows and which is aligned to more than any element.
        unsafe { slice::from_raw_parts(self.pages.base().cast().as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Zeroed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.pages.base().cast().as_ptr(), self.len) }
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
    use oko_pages::HUGE;

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
