//! Programs that are attached to a device, for test runs that cost little beside the runs themselves.
//!
//! The kernel calls XDP programs by a dispatcher, code with a direct call of each program that is attached anywhere. A test run of a program that is not
//! has it written anew, before and after, and waits each time until nobody can be in the old one: tens of milliseconds.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::call::Attr;
use super::{KernelError, Loaded, fail};

const LINK_CREATE: libc::c_long = 28;
/// `BPF_XDP`, the place to attach to.
const XDP_PLACE: u32 = 37;
/// `XDP_FLAGS_SKB_MODE`: the loopback device has no other.
const SKB_MODE: u32 = 1 << 1;
/// The number of the loopback device, in each network namespace.
const LOOPBACK: u32 = 1;

/// A program that is attached as long as this lives.
#[derive(Debug)]
pub struct Attached {
    _link: OwnedFd,
    /// What the device lives in.
    _namespace: File,
}

impl Loaded {
    /// Attaches a program to the loopback device of a network namespace of its own, where no packets are.
    ///
    /// # Errors
    ///
    /// No such program, or the kernel does not let us.
    pub fn attach(&self, program: &str) -> Result<Attached, KernelError> {
        let fd = self.program(program)?.as_raw_fd().cast_unsigned();
        // A namespace is a thread's.
        let attached = std::thread::scope(|scope| scope.spawn(|| attach(fd)).join());
        let attached = attached.unwrap_or_else(|_| Err(io::Error::other("the thread for it panicked")));
        attached.map_err(|error| fail(format!("attaching of {program}"), error))
    }
}

fn attach(program: u32) -> io::Result<Attached> {
    // SAFETY: it changes nothing but which namespace this thread is in.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let namespace = File::open("/proc/thread-self/ns/net")?;
    let mut attr = Attr::default();
    for (offset, value) in [(0, program), (4, LOOPBACK), (8, XDP_PLACE), (12, SKB_MODE)] {
        attr.u32(offset, value);
    }
    Ok(Attached { _link: attr.call_for_fd(LINK_CREATE)?, _namespace: namespace })
}
