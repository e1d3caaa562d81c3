//! A fence in two halves, for pairs of threads of which one fences far more often than the other.
//!
//! Where two threads each write one place and then read the other's, both need a full fence in between, or neither may see what the other
//! wrote. On Linux one of the two can fence for both: `membarrier(2)` makes every running thread of the process pass a full fence. Then
//! the [light](light_fence) half only keeps the compiler from moving things, and the [heavy](heavy_fence) half is a system call of some
//! microseconds. Where there is no such call, both are full fences.

use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};

/// Nobody has asked yet.
const UNKNOWN: u8 = 0;
const ASYMMETRIC: u8 = 1;
const SYMMETRIC: u8 = 2;

static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether the light half is free.
#[inline]
pub(crate) fn is_asymmetric() -> bool {
    match KIND.load(Ordering::Relaxed) {
        UNKNOWN => ask(),
        kind => kind == ASYMMETRIC,
    }
}

/// The half for those who fence often.
#[inline]
pub(crate) fn light_fence() {
    if is_asymmetric() {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The half for those who fence often and know that it is free.
#[inline]
pub(crate) fn free_fence() {
    debug_assert!(is_asymmetric());
    compiler_fence(Ordering::SeqCst);
}

/// The half for those who fence seldom.
pub(crate) fn heavy_fence() {
    fence(Ordering::SeqCst);
    if is_asymmetric() {
        assert!(system::everywhere(), "the kernel took this process's registration for `membarrier`");
    }
    fence(Ordering::SeqCst);
}

#[cold]
fn ask() -> bool {
    let kind = if system::register() { ASYMMETRIC } else { SYMMETRIC };
    // Two threads that ask at once get the same answer.
    KIND.store(kind, Ordering::Relaxed);
    kind == ASYMMETRIC
}

#[cfg(target_os = "linux")]
mod system {
    /// Registers the process for [`everywhere`]; whether the kernel can do that.
    pub(super) fn register() -> bool {
        membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    }

    /// A full fence in each running thread of this process.
    pub(super) fn everywhere() -> bool {
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three numbers and touches no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() -> bool {
        false
    }
}
