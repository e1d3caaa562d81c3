//! The helper functions that programs may call, with Linux's numbers and signatures.

use std::fmt;

/// A helper function. The number is that of Linux's `enum bpf_func_id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Helper {
    /// `void *bpf_map_lookup_elem(map, key)`: the address of the value, or null.
    MapLookupElem,
    /// `long bpf_map_update_elem(map, key, value, flags)`: 0, or a negative errno.
    MapUpdateElem,
    /// `long bpf_map_delete_elem(map, key)`: 0, or a negative errno.
    MapDeleteElem,
    /// `u64 bpf_ktime_get_ns()`: the packet's instant in nanoseconds.
    KtimeGetNs,
    /// `u32 bpf_get_smp_processor_id()`: the number of the worker.
    GetSmpProcessorId,
    /// `void bpf_spin_lock(lock)`.
    SpinLock,
    /// `void bpf_spin_unlock(lock)`.
    SpinUnlock,
}

/// What an argument of a helper must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arg {
    /// A map of the program.
    Map,
    /// Readable, initialised memory of the map's key size.
    Key,
    /// Readable, initialised memory of the map's value size.
    Value,
    /// Any initialised scalar.
    Scalar,
    /// The address of the spin lock of a map value.
    Lock,
}

/// What a helper leaves in `r0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Return {
    /// Any 64-bit number.
    Scalar,
    /// A number below 2^32.
    Scalar32,
    /// The address of a value of the map in the first argument, or null.
    ValueOrNull,
    /// Nothing: `r0` is not readable.
    Nothing,
}

/// A helper's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Arguments `r1`, `r2`, ….
    pub args: &'static [Arg],
    /// The result in `r0`.
    pub ret: Return,
}

impl Helper {
    /// All helpers, in the order of their numbers.
    pub const ALL: [Helper; 7] = [
        Helper::MapLookupElem,
        Helper::MapUpdateElem,
        Helper::MapDeleteElem,
        Helper::KtimeGetNs,
        Helper::GetSmpProcessorId,
        Helper::SpinLock,
        Helper::SpinUnlock,
    ];

    /// The helper with this number, if it is supported.
    pub fn from_number(number: u32) -> Option<Helper> {
        Helper::ALL.into_iter().find(|helper| helper.number() == number)
    }

    /// Its number in Linux's `enum bpf_func_id`.
    pub const fn number(self) -> u32 {
        match self {
            Helper::MapLookupElem => 1,
            Helper::MapUpdateElem => 2,
            Helper::MapDeleteElem => 3,
            Helper::KtimeGetNs => 5,
            Helper::GetSmpProcessorId => 8,
            Helper::SpinLock => 93,
            Helper::SpinUnlock => 94,
        }
    }

    /// Its name in Linux's headers, `bpf_` included.
    pub const fn name(self) -> &'static str {
        match self {
            Helper::MapLookupElem => "bpf_map_lookup_elem",
            Helper::MapUpdateElem => "bpf_map_update_elem",
            Helper::MapDeleteElem => "bpf_map_delete_elem",
            Helper::KtimeGetNs => "bpf_ktime_get_ns",
            Helper::GetSmpProcessorId => "bpf_get_smp_processor_id",
            Helper::SpinLock => "bpf_spin_lock",
            Helper::SpinUnlock => "bpf_spin_unlock",
        }
    }

    /// Its arguments and result.
    pub const fn signature(self) -> Signature {
        match self {
            Helper::MapLookupElem => Signature { args: &[Arg::Map, Arg::Key], ret: Return::ValueOrNull },
            Helper::MapUpdateElem => {
                Signature { args: &[Arg::Map, Arg::Key, Arg::Value, Arg::Scalar], ret: Return::Scalar }
            }
            Helper::MapDeleteElem => Signature { args: &[Arg::Map, Arg::Key], ret: Return::Scalar },
            Helper::KtimeGetNs => Signature { args: &[], ret: Return::Scalar },
            Helper::GetSmpProcessorId => Signature { args: &[], ret: Return::Scalar32 },
            Helper::SpinLock | Helper::SpinUnlock => Signature { args: &[Arg::Lock], ret: Return::Nothing },
        }
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a helper number that Linux knows but Oko does not provide, for messages.
pub fn linux_name(number: u32) -> Option<&'static str> {
    if let Some(helper) = Helper::from_number(number) {
        return Some(helper.name());
    }
    Some(match number {
        4 => "bpf_probe_read",
        6 => "bpf_trace_printk",
        7 => "bpf_get_prandom_u32",
        9 => "bpf_skb_store_bytes",
        10 => "bpf_l3_csum_replace",
        11 => "bpf_l4_csum_replace",
        12 => "bpf_tail_call",
        13 => "bpf_clone_redirect",
        14 => "bpf_get_current_pid_tgid",
        15 => "bpf_get_current_uid_gid",
        16 => "bpf_get_current_comm",
        23 => "bpf_redirect",
        25 => "bpf_perf_event_output",
        26 => "bpf_skb_load_bytes",
        28 => "bpf_csum_diff",
        44 => "bpf_xdp_adjust_head",
        51 => "bpf_redirect_map",
        54 => "bpf_xdp_adjust_meta",
        65 => "bpf_xdp_adjust_tail",
        69 => "bpf_fib_lookup",
        125 => "bpf_ktime_get_boot_ns",
        130 => "bpf_ringbuf_output",
        131 => "bpf_ringbuf_reserve",
        132 => "bpf_ringbuf_submit",
        133 => "bpf_ringbuf_discard",
        160 => "bpf_ktime_get_coarse_ns",
        164 => "bpf_for_each_map_elem",
        181 => "bpf_loop",
        189 => "bpf_xdp_load_bytes",
        195 => "bpf_map_lookup_percpu_elem",
        _ => return None,
    })
}
