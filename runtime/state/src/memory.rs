//! Zeroed memory at a fixed place.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Where records and index lines start: a cache line.
const ALIGN: usize = 64;

/// A zeroed block of memory, accessed through raw pointers and atomics only.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    layout: Layout,
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
        let layout = Layout::from_size_align(size, ALIGN).ok()?;
        // SAFETY: the size is at least 1.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Memory { base, layout })
    }

    /// The address `offset` bytes from the start, a multiple of 64.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.layout.size());
        // SAFETY: callers stay within the block, whose size fits in an `isize`.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with this layout and nobody uses it any more.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}
