//! Anonymous memory that begins at a huge page's boundary.
//!
//! What touches large memory at random misses the TLB at nearly every touch while pages are small. Huge pages that the administrator
//! reserves need privileges; transparent ones do not: Linux backs a mapping by them where it is aligned and asked to
//! (`madvise(2)`, `MADV_HUGEPAGE`), unless `/sys/kernel/mm/transparent_hugepage/enabled` says `never`. Without them the memory is there all the same, in small pages.

use std::io;
use std::ptr::NonNull;

/// The size of a huge page, in bytes.
pub const HUGE: usize = 2 << 20;

/// A mapping of our own: private, zeroed, at [`HUGE`] bytes' alignment. Pages come when they are first touched.
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    size: usize,
    /// The whole mapping, which is larger than what is handed out.
    mapped: NonNull<u8>,
    mapped_len: usize,
}

// SAFETY: the mapping is owned by this value and does not move; it hands out raw pointers only, and those who use them answer for
// their accesses.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps at least `bytes` bytes that will be used, a whole number of huge pages. They are asked for from `HUGE` bytes on: less would
    /// take more memory than it was to hold.
    ///
    /// # Errors
    /// What `mmap(2)` says, mostly that the system has not so much (`ENOMEM`).
    pub fn map(bytes: usize) -> io::Result<Pages> {
        Pages::with_flags(bytes, 0)
    }

    /// The same for memory of which little may be used: the system need not have so much, unless `vm.overcommit_memory` is 2, with which it is counted
    /// all the same.
    ///
    /// # Errors
    /// As [`Pages::map`].
    pub fn map_sparse(bytes: usize) -> io::Result<Pages> {
        Pages::with_flags(bytes, libc::MAP_NORESERVE)
    }

    fn with_flags(bytes: usize, flags: libc::c_int) -> io::Result<Pages> {
        let too_much = || io::Error::from_raw_os_error(libc::ENOMEM);
        let size = bytes.max(1).checked_next_multiple_of(HUGE).ok_or_else(too_much)?;
        // Mappings start at small pages; one huge page more has a huge page's boundary in it.
        let mapped_len = size.checked_add(HUGE).ok_or_else(too_much)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        // SAFETY: a new anonymous mapping touches no memory that is in use.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), mapped_len, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapped = NonNull::new(mapped.cast::<u8>()).ok_or_else(too_much)?;
        let skipped = mapped.addr().get().next_multiple_of(HUGE) - mapped.addr().get();
        // SAFETY: less than a huge page is skipped, so this is in the mapping.
        let base = unsafe { mapped.add(skipped) };
        if bytes >= HUGE {
            // SAFETY: advice on the mapping that was just made. That the system has no huge pages is no failure.
            unsafe { libc::madvise(base.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
        }
        Ok(Pages { base, size, mapped, mapped_len })
    }

    /// Takes all pages now, so that nobody waits for the kernel to zero one later.
    ///
    /// # Errors
    /// When the system has not so many.
    pub fn populate(&self) -> io::Result<()> {
        // SAFETY: advice on a mapping of our own.
        if unsafe { libc::madvise(self.base.as_ptr().cast(), self.size, libc::MADV_POPULATE_WRITE) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        // Kernels before 5.14 do not know this advice.
        for offset in (0..self.size).step_by(4096) {
            // SAFETY: the byte lies in the mapping, and adding nothing changes none; others may be at it at the same time.
            unsafe {
                let byte = std::sync::atomic::AtomicU8::from_ptr(self.base.as_ptr().add(offset));
                byte.fetch_add(0, std::sync::atomic::Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Makes the first `bytes` bytes zeroes again, and gives their pages back. Nobody else may be using them.
    pub fn clear(&mut self, bytes: usize) {
        assert!(bytes <= self.size, "{bytes} of {} bytes", self.size);
        // SAFETY: the range is ours, exclusively; private anonymous pages that are given back read as zeroes.
        if unsafe { libc::madvise(self.base.as_ptr().cast(), bytes, libc::MADV_DONTNEED) } != 0 {
            // SAFETY: as above.
            unsafe { self.base.as_ptr().write_bytes(0, bytes) };
        }
    }

    /// Where it begins.
    #[inline]
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes there are: a multiple of [`HUGE`].
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more.
        unsafe { libc::munmap(self.mapped.as_ptr().cast(), self.mapped_len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_zeroed_and_as_large_as_asked_for() {
        for bytes in [0, 1, 4096, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE + 17] {
            let mut pages = Pages::map_sparse(bytes).expect("there is so much");
            pages.populate().expect("there is so much");
            assert!(pages.base().addr().get().is_multiple_of(HUGE));
            assert!(pages.size() >= bytes && pages.size() < bytes + 2 * HUGE);
            let places = [pages.base().as_ptr(), pages.base().as_ptr().wrapping_add(pages.size() - 1)];
            // SAFETY: both lie in the mapping, which nobody else knows.
            let read = || places.map(|at| unsafe { at.read_volatile() });
            assert_eq!(read(), [0, 0]);
            // SAFETY: as above.
            places.iter().for_each(|at| unsafe { at.write_volatile(1) });
            assert_eq!(read(), [1, 1]);
            pages.clear(pages.size());
            assert_eq!(read(), [0, 0]);
        }
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for bytes in [usize::MAX, usize::MAX - 2 * HUGE, 1 << 55] {
            assert_eq!(Pages::map(bytes).expect_err("too much").raw_os_error(), Some(libc::ENOMEM));
        }
    }
}
