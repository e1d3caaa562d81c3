//! Zeroed memory at a fixed place, all of it there from the start.
//!
//! Large blocks are mapped apart, in huge pages if the system has them: a look-up in a large table touches two places that nothing has
//! touched lately, and with small pages would miss the TLB at both. Pages are taken when the block is made, so no packet waits for
//! the kernel to zero one.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use oko_pages::{HUGE, Pages};

/// Where records and index lines start: a cache line.
const ALIGN: usize = 64;
/// Blocks from this size on are mapped: the index of a hundred thousand entries is one huge page.
const LARGE: usize = HUGE;

/// A zeroed block of memory, accessed through raw pointers and atomics only.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    size: usize,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Allocated(Layout),
    /// Unmapped when it is dropped.
    Mapped(#[expect(dead_code, reason = "owned, not read")] Pages),
}

// SAFETY: the block is owned by this value and does not move; it hands out raw pointers only, and those who use them answer for
// their accesses.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Takes `bytes` of zeroed memory, or `None` if there is not so much.
    pub(crate) fn zeroed(bytes: u64) -> Option<Memory> {
        let size = usize::try_from(bytes.max(1)).ok()?;
        if size >= LARGE { Memory::mapped(size) } else { Memory::allocated(size) }
    }

    fn allocated(size: usize) -> Option<Memory> {
        let layout = Layout::from_size_align(size, ALIGN).ok()?;
        // SAFETY: the size is at least 1. With this alignment the allocator writes the zeroes, so the pages are there.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Memory { base, size, origin: Origin::Allocated(layout) })
    }

    fn mapped(size: usize) -> Option<Memory> {
        let pages = Pages::map(size).ok()?;
        pages.populate().ok()?;
        Some(Memory { base: pages.base(), size: pages.size(), origin: Origin::Mapped(pages) })
    }

    /// The address `offset` bytes from the start, a multiple of 64.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.size);
        // SAFETY: callers stay within the block, whose size fits in an `isize`.
        unsafe { self.base.add(offset) }
    }
}

/// Asks for a line of memory to be brought near; no more than a hint.
#[inline]
pub(crate) fn fetch(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which no address makes fail.
    unsafe {
        std::arch::x86_64::_mm_prefetch(line.cast(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Origin::Allocated(layout) = self.origin {
            // SAFETY: the block was allocated with this layout and nobody uses it any more.
            unsafe { dealloc(self.base.as_ptr(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_zeroed_aligned_and_as_large_as_asked_for() {
        for bytes in [1, 63, 4096, LARGE as u64 - 1, LARGE as u64, LARGE as u64 + 1, 3 * HUGE as u64 + 17] {
            let memory = Memory::zeroed(bytes).expect("there is so much");
            let (first, last) = (memory.at(0), memory.at(bytes as usize - 1));
            assert!((first.as_ptr() as usize).is_multiple_of(ALIGN));
            // SAFETY: both lie in the block, which nobody else knows.
            unsafe {
                assert_eq!((first.read_volatile(), last.read_volatile()), (0, 0));
                first.write_volatile(1);
                last.write_volatile(1);
            }
        }
    }

    #[test]
    fn what_there_is_not_is_refused() {
        assert!(Memory::zeroed(u64::MAX).is_none());
        assert!(Memory::zeroed(1 << 55).is_none());
    }
}
