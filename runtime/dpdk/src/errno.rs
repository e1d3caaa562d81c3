//! DPDK's error numbers: `errno` values and a few of its own, always positive here.

use std::ffi::CStr;
use std::fmt;

/// An error number of DPDK.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// The number of the last error of this thread (`rte_errno`).
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local variable.
        Self(unsafe { dpdk_sys::shim_rte_errno() })
    }

    /// From a return value in the "negative errno" convention.
    pub(crate) fn from_return(value: i32) -> Self {
        Self(value.wrapping_abs())
    }

    /// The number, as in `errno.h`.
    #[must_use]
    pub fn code(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: returns a constant or a thread-local buffer that lives until this thread's next call.
        let text = unsafe { dpdk_sys::rte_strerror(self.0) };
        if text.is_null() {
            return write!(f, "error {}", self.0);
        }
        // SAFETY: not null, so a NUL-terminated string, see above.
        f.write_str(&unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_return_value_reads_as_its_error() {
        let error = Errno::from_return(-libc::ENODEV);
        assert_eq!(error.code(), libc::ENODEV);
        assert_eq!(error.to_string(), "No such device");
    }
}
