//! Threads that DPDK knows, and where they run.

use std::io;
use std::marker::PhantomData;
use std::mem;

use crate::eal::Eal;
use crate::errno::Errno;

/// Why a thread could not be registered or pinned.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// No lcore id for this thread.
    #[error("the thread gets no lcore id: {errno}")]
    Register {
        /// DPDK's reason; `EINVAL` when the thread has an id already.
        errno: Errno,
    },
    /// The CPU is not there, or not for this process.
    #[error("the thread cannot run on CPU {cpu}: {source}")]
    Pin {
        /// The CPU asked for.
        cpu: usize,
        /// The system's reason.
        source: io::Error,
    },
}

/// The calling thread's lcore id, given back when dropped. It stays on its thread.
#[derive(Debug)]
pub struct RegisteredThread {
    _eal: Eal,
    _not_send: PhantomData<*const ()>,
}

impl RegisteredThread {
    pub(crate) fn new(eal: Eal) -> Result<Self, ThreadError> {
        // SAFETY: the EAL is initialised.
        if unsafe { dpdk_sys::rte_thread_register() } < 0 {
            return Err(ThreadError::Register { errno: Errno::last() });
        }
        Ok(Self { _eal: eal, _not_send: PhantomData })
    }

    /// The number of this thread's lcore.
    #[must_use]
    pub fn lcore(&self) -> u32 {
        // SAFETY: reads a thread-local variable.
        unsafe { dpdk_sys::shim_rte_lcore_id() }
    }
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // SAFETY: this thread was registered by `new`, and the guard cannot leave it.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// [`ThreadError::Pin`] when the CPU does not exist or the process may not use it.
pub fn pin_current_thread(cpu: usize) -> Result<(), ThreadError> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(ThreadError::Pin { cpu, source: io::Error::from_raw_os_error(libc::EINVAL) });
    }
    // SAFETY: a cpu_set_t is a plain bit mask for which zero is valid, the bit is within it, and 0 means this thread.
    let status = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if status != 0 {
        return Err(ThreadError::Pin { cpu, source: io::Error::last_os_error() });
    }
    Ok(())
}

/// The CPUs that this process may use; CPU 0 when the system does not say.
pub(crate) fn process_cpus() -> Vec<usize> {
    // SAFETY: a cpu_set_t is a plain bit mask for which zero is valid, and its own size is passed.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return vec![0];
        }
        set
    };
    // SAFETY: every index is within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_one_cpu_of_the_process() {
        let cpu = *process_cpus().last().expect("a process runs somewhere");
        std::thread::spawn(move || {
            pin_current_thread(cpu).unwrap();
            assert_eq!(process_cpus(), [cpu]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_named() {
        let error = pin_current_thread(100_000).unwrap_err();
        assert!(error.to_string().contains("CPU 100000"), "{error}");
    }
}
