//! The system call `bpf(2)`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

pub(super) const MAP_CREATE: libc::c_long = 0;
pub(super) const MAP_LOOKUP_ELEM: libc::c_long = 1;
pub(super) const MAP_UPDATE_ELEM: libc::c_long = 2;
pub(super) const MAP_DELETE_ELEM: libc::c_long = 3;
pub(super) const MAP_GET_NEXT_KEY: libc::c_long = 4;
pub(super) const PROG_LOAD: libc::c_long = 5;
pub(super) const PROG_TEST_RUN: libc::c_long = 10;
pub(super) const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
pub(super) const BTF_LOAD: libc::c_long = 18;
pub(super) const MAP_FREEZE: libc::c_long = 22;
pub(super) const MAP_LOOKUP_BATCH: libc::c_long = 24;

/// The length of names of maps and programs, with the zero byte.
const NAME: usize = 16;

/// `union bpf_attr`, by byte offsets of `linux/bpf.h`.
#[derive(Default)]
pub(super) struct Attr {
    bytes: [u64; 20],
}

impl Attr {
    pub(super) fn u32(&mut self, offset: usize, value: u32) {
        let word = &mut self.bytes[offset / 8];
        let mut bytes = word.to_ne_bytes();
        bytes[offset % 8..][..4].copy_from_slice(&value.to_ne_bytes());
        *word = u64::from_ne_bytes(bytes);
    }

    pub(super) fn get_u32(&self, offset: usize) -> u32 {
        let bytes = self.bytes[offset / 8].to_ne_bytes();
        u32::from_ne_bytes(bytes[offset % 8..][..4].try_into().expect("a word has two halves"))
    }

    pub(super) fn pointer<T>(&mut self, offset: usize, pointer: *const T) {
        self.bytes[offset / 8] = pointer as u64;
    }

    pub(super) fn name(&mut self, offset: usize, name: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let name: Vec<u8> =
            name.chars().map(|c| if legal(c) { c as u8 } else { b'_' }).take(NAME - 1).collect();
        let mut padded = [0; NAME];
        padded[..name.len()].copy_from_slice(&name);
        for (index, word) in padded.chunks_exact(4).enumerate() {
            self.u32(offset + index * 4, u32::from_ne_bytes(word.try_into().expect("chunks of 4")));
        }
    }

    /// Calls `bpf(2)`. All pointers in the attribute must point at what the command reads or writes.
    pub(super) fn call(&mut self, command: libc::c_long) -> io::Result<libc::c_long> {
        loop {
            // SAFETY: the attribute is as large as said and lives through the call; every pointer in it was made by the callers in
            // this folder from a slice that is alive now and as long as the attribute says.
            let result = unsafe {
                libc::syscall(libc::SYS_bpf, command, self.bytes.as_mut_ptr(), size_of_val(&self.bytes))
            };
            match result {
                0.. => return Ok(result),
                _ => match io::Error::last_os_error() {
                    error if error.raw_os_error() == Some(libc::EAGAIN) => {}
                    error => return Err(error),
                },
            }
        }
    }

    /// The same for a command that gives a file descriptor.
    pub(super) fn call_for_fd(&mut self, command: libc::c_long) -> io::Result<OwnedFd> {
        let fd = self.call(command)?;
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the command gave a new file descriptor, which nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
