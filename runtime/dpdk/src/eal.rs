//! The environment abstraction layer: DPDK's start-up, once per process.

use std::ffi::{CString, c_char, c_int};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::errno::Errno;
use crate::log;
use crate::thread::{RegisteredThread, ThreadError, process_cpus};

/// Where DPDK takes its memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Ordinary memory. Needs no privileges and no set-up of the machine; no devices that read memory by physical address.
    /// [Pools](crate::Pool) have memory of their own, in transparent huge pages where the system has them.
    NoHuge {
        /// MiB for all else that is DPDK's, reserved at start; all there will ever be.
        mebibytes: u32,
    },
    /// Huge pages that the administrator has reserved. Grows on demand and leaves no files behind.
    HugePages {
        /// MiB reserved at start.
        mebibytes: u32,
    },
}

/// How to start the EAL.
#[derive(Clone, Debug)]
pub struct EalConfig {
    /// Where memory comes from.
    pub memory: Memory,
    /// PCI addresses of the devices to take, such as `0000:03:00.0`. None: the PCI bus is not looked at.
    pub pci_devices: Vec<String>,
    /// Whether to open DPDK's telemetry socket.
    pub telemetry: bool,
    /// Names the folder for DPDK's run-time files; with telemetry the process id is added.
    pub file_prefix: String,
    /// Arguments passed on as they are, after all others.
    pub extra: Vec<String>,
}

impl Default for EalConfig {
    /// Unprivileged, without physical devices.
    fn default() -> Self {
        Self {
            memory: Memory::NoHuge { mebibytes: 256 },
            pci_devices: Vec::new(),
            telemetry: false,
            file_prefix: String::from("oko"),
            extra: Vec::new(),
        }
    }
}

impl EalConfig {
    /// The command line that says the same to the EAL.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![String::from("oko")];
        let mut arg = |text: &str| arguments.push(text.to_owned());
        let mebibytes = match self.memory {
            Memory::NoHuge { mebibytes } => {
                // Not with `--in-memory`, which DPDK 22.11 refuses beside `--no-huge`.
                arg("--no-huge");
                arg("--no-shconf");
                mebibytes
            }
            Memory::HugePages { mebibytes } => {
                arg("--in-memory");
                mebibytes
            }
        };
        arg("-m");
        arg(&mebibytes.to_string());
        if self.pci_devices.is_empty() {
            arg("--no-pci");
        }
        for device in &self.pci_devices {
            arg("-a");
            arg(device);
        }
        arg(if self.telemetry { "--telemetry" } else { "--no-telemetry" });
        arg("--file-prefix");
        // Without telemetry there are no files for two processes to quarrel about.
        if self.telemetry {
            arg(&format!("{}-{}", self.file_prefix, std::process::id()));
        } else {
            arg(&self.file_prefix);
        }
        // One lcore that floats over all CPUs of the process: the thread that calls init is not pinned.
        let mut lcores = String::from("0@(");
        for (i, cpu) in process_cpus().iter().enumerate() {
            let _ = write!(lcores, "{}{cpu}", if i == 0 { "" } else { "," });
        }
        lcores.push(')');
        arg("--lcores");
        arg(&lcores);
        for extra in &self.extra {
            arg(extra);
        }
        arguments
    }
}

/// Why the EAL could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// It can be started once in the life of a process, also after [`Eal::cleanup`].
    #[error("DPDK has already been initialised in this process, which is possible once")]
    AlreadyInitialised,
    /// An argument contains a zero byte.
    #[error("the EAL argument {argument:?} contains a zero byte")]
    ZeroByte {
        /// The argument.
        argument: String,
    },
    /// `rte_eal_init` failed.
    #[error("DPDK cannot be initialised: {errno}; DPDK says: {log}")]
    Init {
        /// DPDK's reason.
        errno: Errno,
        /// What DPDK logged.
        log: String,
    },
    /// Pools, ports, threads or packets are still there.
    #[error("DPDK cannot be ended: pools, ports, threads or packets are still in use")]
    InUse,
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Pools that could not be freed because packets of theirs were still about.
pub(crate) static LEAKED_POOLS: AtomicUsize = AtomicUsize::new(0);

/// The running EAL. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Eal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    _private: (),
}

impl Eal {
    /// Starts DPDK. From now on its log is captured, see [`set_log_sink`](crate::set_log_sink).
    ///
    /// # Errors
    /// [`EalError::AlreadyInitialised`] when called before in this process, whatever came of it.
    pub fn init(config: &EalConfig) -> Result<Self, EalError> {
        let mut arguments = Vec::new();
        for argument in config.arguments() {
            arguments.push(CString::new(argument.clone()).map_err(|_| EalError::ZeroByte { argument })?);
        }
        if INITIALISED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyInitialised);
        }
        log::redirect();
        let mark = log::mark();
        // The EAL permutes the array (getopt) and keeps pointers to the strings, which are therefore never freed.
        let mut argv: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
        let argc = c_int::try_from(argv.len()).expect("a handful of arguments");
        argv.push(std::ptr::null_mut());
        // SAFETY: argv has argc valid strings and a null behind them; this is the only call in the process.
        let status = unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) };
        if status < 0 {
            return Err(EalError::Init { errno: Errno::last(), log: log::since(mark) });
        }
        Ok(Self { inner: Arc::new(Inner { _private: () }) })
    }

    /// Gives the calling thread an lcore id until the guard is dropped; a worker does this once, at its start.
    ///
    /// # Errors
    /// When all lcore ids are taken, or the thread has one already.
    pub fn register_thread(&self) -> Result<RegisteredThread, ThreadError> {
        RegisteredThread::new(self.clone())
    }

    /// Ends DPDK and removes its run-time files.
    ///
    /// # Errors
    /// [`EalError::InUse`] while any pool, port, queue, registered thread or packet exists.
    pub fn cleanup(self) -> Result<(), EalError> {
        if Arc::try_unwrap(self.inner).is_err() || LEAKED_POOLS.load(Ordering::SeqCst) > 0 {
            return Err(EalError::InUse);
        }
        // SAFETY: this was the last handle, and every object of this crate that uses the EAL holds one; packets
        // outlive their pool only in leaked pools.
        unsafe { dpdk_sys::rte_eal_cleanup() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_needs_neither_privileges_nor_devices() {
        let arguments = EalConfig::default().arguments().join(" ");
        for expected in ["--no-huge", "--no-pci", "--no-telemetry", "-m 256", "--lcores 0@("] {
            assert!(arguments.contains(expected), "{expected} in {arguments}");
        }
    }

    #[test]
    fn huge_pages_and_pci_devices_are_passed_on() {
        let config = EalConfig {
            memory: Memory::HugePages { mebibytes: 1024 },
            pci_devices: vec![String::from("0000:03:00.0")],
            extra: vec![String::from("--legacy-mem")],
            ..EalConfig::default()
        };
        let arguments = config.arguments().join(" ");
        assert!(arguments.contains("--in-memory -m 1024 -a 0000:03:00.0"), "{arguments}");
        assert!(arguments.ends_with("--legacy-mem"), "{arguments}");
        assert!(!arguments.contains("--no-huge"), "{arguments}");
    }
}
