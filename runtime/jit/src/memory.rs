//! Executable memory: written while it is not executable, executable once it is not written any more.

use std::io;
use std::ptr::NonNull;

/// Pages with machine code: readable and executable, never writable.
#[derive(Debug)]
pub(crate) struct ExecutableMemory {
    base: NonNull<u8>,
    mapped: usize,
}

// SAFETY: the pages are owned by this value and nobody writes to them.
unsafe impl Send for ExecutableMemory {}
// SAFETY: as above.
unsafe impl Sync for ExecutableMemory {}

impl ExecutableMemory {
    /// Maps pages of its own for `len` bytes, lets `fill` write the code (given the address where it will run), and makes
    /// them executable.
    pub(crate) fn new<E: From<io::Error>>(
        len: usize,
        fill: impl FnOnce(&mut [u8], usize) -> Result<(), E>,
    ) -> Result<ExecutableMemory, E> {
        // SAFETY: `sysconf` has no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let mapped = len
            .max(1)
            .checked_next_multiple_of(page)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping touches no memory that is in use.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        let base =
            NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let memory = ExecutableMemory { base, mapped };
        // SAFETY: the mapping is readable, writable, zeroed, at least `len` bytes long, and not shared yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(base.as_ptr(), len) };
        fill(bytes, base.as_ptr() as usize)?;
        // SAFETY: the range is the whole mapping; the slice above is not used any more.
        let done = unsafe { libc::mprotect(base.as_ptr().cast(), mapped, libc::PROT_READ | libc::PROT_EXEC) };
        if done != 0 {
            return Err(io::Error::last_os_error().into());
        }
        #[cfg(target_arch = "aarch64")]
        synchronise(base.as_ptr(), len);
        Ok(memory)
    }

    /// The first byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for ExecutableMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and who runs code in it holds this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

/// Makes the instruction cache see what was written.
#[cfg(target_arch = "aarch64")]
fn synchronise(base: *const u8, len: usize) {
    use std::arch::asm;
    const LINE: usize = 16;
    for at in (0..len).step_by(LINE) {
        // SAFETY: cache maintenance by address on memory that is mapped.
        unsafe { asm!("dc cvau, {0}", "ic ivau, {0}", in(reg) base.wrapping_add(at)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb") };
}
