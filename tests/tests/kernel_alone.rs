//! Objects for the kernel alone: `ip link` and `tc` load them, and packets that match are dropped, or the only ones that pass. On a veth pair in a
//! network namespace of its own; skipped, with a note, where that cannot be made.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output};

use oko_tests::programs;

const NAMESPACE: &str = "oko-kernel-alone";

/// Matches short frames, of the EtherType for experiments.
const FILTER: &str = "\
use std.net.ethernet;

/// The frame is short.
filter small -> bool {
    match pkt {
        ethernet => ethernet.type == 0x88b5 and pkt.len < 64,
        _ => false,
    }
}
";

/// Matches the same frames, after more turns of a loop than the kernel goes through to prove that it ends.
const LONG_LOOP: &str = "\
use std.net.ethernet;

/// The frame is short.
filter small -> bool {
    match pkt {
        ethernet => {
            let bits = for i in 0..20_000 with bits: u32 = 0 { if i < pkt.len { bits +| 1 } else { bits } };
            ethernet.type == 0x88b5 and bits < 64
        }
        _ => false,
    }
}
";

/// Builds the object as a user does.
fn build(folder: &Path, filter: &str, target: &str, on_match: &str) -> String {
    let object = format!("{target}.o");
    std::fs::write(folder.join("small.oko"), filter).unwrap();
    let mut okoc = Command::new(programs::path("okoc"));
    okoc.current_dir(folder).args(["build", "small.oko", "-o", &object]);
    let printed = programs::run(okoc.args(["--target", target, "--on-match", on_match])).succeeded();
    assert!(printed.starts_with(&format!("{object}: ")) && printed.contains("filter small"), "{printed}");
    let late = printed.contains("takes Linux 6.9 or later");
    assert_eq!(late, filter == LONG_LOOP, "{printed}");
    folder.join(object).display().to_string()
}

fn run(words: &[&str]) -> io::Result<Output> {
    Command::new(words[0]).args(&words[1..]).output()
}

#[track_caller]
fn ip(words: &[&str]) {
    let all: Vec<&str> = ["ip", "-n", NAMESPACE].into_iter().chain(words.iter().copied()).collect();
    done(&all);
}

#[track_caller]
fn done(words: &[&str]) {
    let output = run(words).unwrap();
    assert!(output.status.success(), "`{}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}

/// The namespace with the pair `v0` and `v1`, gone when dropped.
struct Net;

impl Net {
    fn new() -> Option<Net> {
        let _ = run(&["ip", "netns", "del", NAMESPACE]);
        match run(&["ip", "netns", "add", NAMESPACE]) {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                eprintln!("SKIPPED: no namespaces here: {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
            Err(error) => {
                eprintln!("SKIPPED: no `ip` here: {error}");
                return None;
            }
        }
        let net = Net;
        ip(&["link", "add", "dev", "v0", "type", "veth", "peer", "name", "v1"]);
        for device in ["v0", "v1"] {
            ip(&["link", "set", "dev", device, "up"]);
        }
        Some(net)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "del", NAMESPACE]);
    }
}

/// A raw socket on a device of the namespace that this thread is in.
fn raw_socket(device: &str) -> io::Result<OwnedFd> {
    const EXPERIMENT: u16 = 0x88b5;
    let name = CString::new(device).unwrap();
    // SAFETY: plain calls with arguments that live through them; the new descriptor is owned by nobody else.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(EXPERIMENT.to_be()));
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = EXPERIMENT.to_be();
        address.sll_ifindex = libc::if_nametoindex(name.as_ptr()).cast_signed();
        let size = size_of_val(&address) as u32;
        if libc::bind(fd, (&raw const address).cast(), size) < 0 {
            return Err(io::Error::last_os_error());
        }
        let timeout = libc::timeval { tv_sec: 0, tv_usec: 300_000 };
        let size = size_of_val(&timeout) as u32;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const timeout).cast(), size);
        Ok(socket)
    }
}

fn send(socket: &OwnedFd, frame: &[u8]) {
    // SAFETY: the frame lives through the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    let error = io::Error::last_os_error();
    // Who sends is told so of a frame that traffic control drops.
    let dropped = sent < 0 && error.raw_os_error() == Some(libc::ENOBUFS);
    assert!(dropped || sent == frame.len() as isize, "{error}");
}

/// The numbers of the frames that arrive, until there is a pause.
fn received(socket: &OwnedFd) -> Vec<u8> {
    let mut numbers = Vec::new();
    loop {
        let mut frame = [0u8; 2048];
        // SAFETY: the buffer is as large as said.
        let len = unsafe { libc::recv(socket.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        if len < 15 {
            return numbers;
        }
        numbers.push(frame[14]);
    }
}

/// Sends frames with the numbers 0 to 7 from `v0` and gives those that come to `v1`.
fn passing() -> Vec<u8> {
    let thread = std::thread::spawn(|| {
        let namespace = File::open(Path::new("/run/netns").join(NAMESPACE)).unwrap();
        // SAFETY: moves this thread alone to the namespace.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        let (from, to) = (raw_socket("v0").unwrap(), raw_socket("v1").unwrap());
        for number in 0..8 {
            let mut frame = vec![0u8; 60 + usize::from(number)];
            frame[..6].fill(0xff);
            frame[6] = 2;
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            frame[14] = number;
            send(&from, &frame);
        }
        received(&to)
    });
    thread.join().unwrap()
}

#[test]
fn packets_are_dropped_by_the_kernel_alone() {
    let Some(_net) = Net::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(passing(), [0, 1, 2, 3, 4, 5, 6, 7], "nothing is loaded yet");

    let verdicts = [("drop", vec![4, 5, 6, 7]), ("pass", vec![0, 1, 2, 3])];
    for filter in [FILTER, LONG_LOOP] {
        for (on_match, expected) in &verdicts {
            let object = build(folder.path(), filter, "xdp", on_match);
            ip(&["link", "set", "dev", "v1", "xdp", "obj", &object, "sec", "xdp"]);
            assert_eq!(passing(), *expected, "XDP, {on_match}\n{filter}");
            ip(&["link", "set", "dev", "v1", "xdp", "off"]);
        }
        for (on_match, expected) in &verdicts {
            let object = build(folder.path(), filter, "tc", on_match);
            // On the way out of `v0`: sockets see what comes in to `v1` before traffic control does.
            let tc = |words: &[&str]| {
                let all: Vec<&str> =
                    ["tc", "-n", NAMESPACE].into_iter().chain(words.iter().copied()).collect();
                done(&all);
            };
            tc(&["qdisc", "add", "dev", "v0", "clsact"]);
            tc(&["filter", "add", "dev", "v0", "egress", "bpf", "da", "obj", &object, "sec", "tc"]);
            assert_eq!(passing(), *expected, "tc, {on_match}\n{filter}");
            tc(&["qdisc", "del", "dev", "v0", "clsact"]);
        }
    }
}
