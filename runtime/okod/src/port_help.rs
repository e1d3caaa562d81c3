//! What helps when a device cannot be opened. DPDK's own reason is in the error; it seldom says what to do.

use std::fs::{self, OpenOptions};

/// `CAP_NET_ADMIN` in the sets of `/proc/self/status`.
const NET_ADMIN: u64 = 1 << 12;

/// What is missing for a device, if that can be told.
pub(crate) fn help(device: &str) -> Option<String> {
    match device {
        tap if tap.starts_with("net_tap") => tap_help(),
        interface if ["net_af_packet", "net_af_xdp"].iter().any(|name| interface.starts_with(name)) => {
            (!may_administer())
                .then(|| String::from("Linux interfaces need root, or CAP_NET_RAW and CAP_NET_ADMIN"))
        }
        _ => None,
    }
}

fn tap_help() -> Option<String> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        return Some(format!("making an interface needs /dev/net/tun, which cannot be opened: {error}"));
    }
    (!may_administer()).then(|| String::from("making an interface needs root, or CAP_NET_ADMIN"))
}

/// Whether this process may make and change interfaces; true if that cannot be told.
fn may_administer() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_none_or(|set| set & NET_ADMIN != 0)
}
