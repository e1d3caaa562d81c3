//! Reading the kernel's ring buffer (`linux/kernel/bpf/ringbuf.c`): a page with the consumer's position, a page with the producer's, then
//! the bytes, twice in a row, so that no record has to be read in two pieces.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const PAGE: usize = 4096;
/// In a record's header: it is being written, or to be skipped.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Bytes of a record's header.
const HEADER: usize = 8;

/// A part of the ring buffer in our memory.
struct Mapping {
    base: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    fn new(fd: &OwnedFd, offset: usize, len: usize, protection: i32) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapping { base, len }) }
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: each of the two position pages begins with a position, aligned, which all sides access atomically.
        unsafe { AtomicU64::from_ptr(self.base.cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base, self.len) };
    }
}

/// Takes all records out; `size` is that of the ring buffer.
pub(super) fn take(fd: &OwnedFd, size: usize) -> io::Result<Vec<Vec<u8>>> {
    let consumer = Mapping::new(fd, 0, PAGE, libc::PROT_READ | libc::PROT_WRITE)?;
    let producer = Mapping::new(fd, PAGE, PAGE + 2 * size, libc::PROT_READ)?;
    let (mut at, end) =
        (consumer.position().load(Ordering::Acquire), producer.position().load(Ordering::Acquire));
    let mut records = Vec::new();
    while at < end {
        let offset = PAGE + (at as usize & (size - 1));
        // SAFETY: the header lies in the mapping, 8-aligned, and the kernel writes it atomically.
        let header = unsafe { AtomicU32::from_ptr(producer.base.cast::<u8>().add(offset).cast()) };
        let header = header.load(Ordering::Acquire);
        if header & BUSY != 0 {
            break;
        }
        let len = (header & !(BUSY | DISCARDED)) as usize;
        if header & DISCARDED == 0 {
            // SAFETY: the record is whole and lies in the mapping; the kernel leaves it alone until the position moves on.
            let bytes =
                unsafe { std::slice::from_raw_parts(producer.base.cast::<u8>().add(offset + HEADER), len) };
            records.push(bytes.to_vec());
        }
        at += (HEADER + len).next_multiple_of(8) as u64;
        consumer.position().store(at, Ordering::Release);
    }
    Ok(records)
}
