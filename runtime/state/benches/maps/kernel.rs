//! The hash map of the Linux kernel, counted in by a BPF program that the kernel runs for a test.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Updates of one run of the program.
const UNROLLED: u64 = 64;

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;

/// A map of `BPF_MAP_TYPE_HASH` with all keys below its capacity, and the program.
pub(crate) struct Hash {
    map: OwnedFd,
    program: OwnedFd,
    capacity: u32,
}

/// `union bpf_attr`, by the words of `linux/bpf.h`.
type Attr = [u64; 20];

fn call(command: libc::c_long, attr: &mut Attr) -> io::Result<i32> {
    // SAFETY: the attribute lives through the call, and the pointers in it lead to what the callers below own.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn open(command: libc::c_long, attr: &mut Attr) -> io::Result<OwnedFd> {
    let fd = call(command, attr)?;
    // SAFETY: the command gave a new file descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// An instruction.
fn insn(code: u8, dst: u8, src: u8, offset: i16, imm: i32) -> u64 {
    u64::from(code)
        | u64::from(dst | src << 4) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(imm.cast_unsigned()) << 32
}

fn program(map: i32, mask: i32) -> Vec<u64> {
    let mut code = Vec::new();
    for _ in 0..UNROLLED {
        code.extend([
            insn(0x85, 0, 0, 0, 7),    // call bpf_get_prandom_u32
            insn(0x57, 0, 0, 0, mask), // r0 &= mask
            insn(0x7b, 10, 0, -8, 0),  // *(u64 *)(r10 - 8) = r0
            insn(0x18, 1, 1, 0, map),  // r1 = map
            0,
            insn(0xbf, 2, 10, 0, 0), // r2 = r10
            insn(0x07, 2, 0, 0, -8), // r2 += -8
            insn(0x85, 0, 0, 0, 1),  // call bpf_map_lookup_elem
            insn(0x15, 0, 0, 2, 0),  // if r0 == 0 goto +2
            insn(0xb7, 1, 0, 0, 1),  // r1 = 1
            insn(0xdb, 0, 1, 0, 0),  // lock *(u64 *)(r0 + 0) += r1
        ]);
    }
    code.extend([insn(0xb7, 0, 0, 0, 2), insn(0x95, 0, 0, 0, 0)]);
    code
}

impl Hash {
    pub(crate) fn new(capacity: u32) -> io::Result<Hash> {
        let mut attr = Attr::default();
        (attr[0], attr[1]) = (pair(1, 8), pair(16, capacity));
        let map = open(MAP_CREATE, &mut attr)?;
        for key in 0..u64::from(capacity) {
            let value = [0_u64; 2];
            let mut attr = Attr::default();
            attr[0] = pair(map.as_raw_fd().cast_unsigned(), 0);
            (attr[1], attr[2]) = (std::ptr::from_ref(&key) as u64, value.as_ptr() as u64);
            call(MAP_UPDATE_ELEM, &mut attr)?;
        }
        let code = program(map.as_raw_fd(), (capacity - 1).cast_signed());
        let licence = c"GPL";
        let mut attr = Attr::default();
        attr[0] = pair(6, code.len() as u32); // BPF_PROG_TYPE_XDP
        (attr[1], attr[2]) = (code.as_ptr() as u64, licence.as_ptr() as u64);
        let program = open(PROG_LOAD, &mut attr)?;
        Ok(Hash { map, program, capacity })
    }

    pub(crate) fn run(&self, updates: u64) -> Result<u64, String> {
        let packet = [0_u8; 64];
        let runs = updates / UNROLLED;
        let mut attr = Attr::default();
        attr[0] = pair(self.program.as_raw_fd().cast_unsigned(), 0);
        attr[1] = pair(packet.len() as u32, 0);
        attr[2] = packet.as_ptr() as u64;
        attr[4] = pair(runs as u32, 0);
        call(PROG_TEST_RUN, &mut attr).map_err(|error| format!("test run: {error}"))?;
        Ok(runs * UNROLLED)
    }

    pub(crate) fn total(&self) -> u64 {
        let count = |key: u64| {
            let mut value = [0_u64; 2];
            let mut attr = Attr::default();
            attr[0] = pair(self.map.as_raw_fd().cast_unsigned(), 0);
            (attr[1], attr[2]) = (std::ptr::from_ref(&key) as u64, value.as_mut_ptr() as u64);
            call(MAP_LOOKUP_ELEM, &mut attr).map_or(0, |_| value[0])
        };
        (0..u64::from(self.capacity)).map(count).sum()
    }
}
