//! The helper functions that programs may call, with Linux's numbers and signatures.
//!
//! Three more are for programs of the first Oko, which [`crate::object::Abi::Original`] translates; Linux will never have their numbers.

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
    /// `u32 bpf_get_prandom_u32()`: a number that nobody can tell before.
    GetPrandomU32,
    /// `u32 bpf_get_smp_processor_id()`: the number of the worker, which no other one has at the same time.
    GetSmpProcessorId,
    /// `long bpf_map_push_elem(map, value, flags)`: puts a value into a Bloom filter; 0, or a negative errno.
    MapPushElem,
    /// `long bpf_map_peek_elem(map, value)`: 0 if the value may be in a Bloom filter, else -ENOENT.
    MapPeekElem,
    /// `void bpf_spin_lock(lock)`.
    SpinLock,
    /// `void bpf_spin_unlock(lock)`.
    SpinUnlock,
    /// `u64 bpf_ktime_get_boot_ns()`: here the same as `bpf_ktime_get_ns`.
    KtimeGetBootNs,
    /// `long bpf_ringbuf_output(ringbuf, data, size, flags)`: queues a copy of the bytes; 0, or a negative errno.
    RingbufOutput,
    /// `void *bpf_ringbuf_reserve(ringbuf, size, flags)`: the address of a new record, or null. The record must be submitted or discarded.
    RingbufReserve,
    /// `void bpf_ringbuf_submit(record, flags)`.
    RingbufSubmit,
    /// `void bpf_ringbuf_discard(record, flags)`.
    RingbufDiscard,
    /// `u64 bpf_ktime_get_coarse_ns()`: here the same as `bpf_ktime_get_ns`.
    KtimeGetCoarseNs,
    /// `u64 bpf_xdp_get_buff_len(ctx)`: bytes of the packet.
    XdpGetBuffLen,
    /// `long bpf_xdp_load_bytes(ctx, offset, buffer, size)`: copies bytes of the packet; 0, or a negative errno and the buffer is zeroes.
    XdpLoadBytes,
    /// `int ubpf_map_update(map, key, value)`: as `bpf_map_update_elem` without flags.
    OriginalMapUpdate,
    /// `int ubpf_map_add(map, element)`: puts an element into a sketch; 0.
    OriginalMapAdd,
    /// `uint32_t ubpf_hash(bytes, size)`: a hash that is another one in each instance.
    OriginalHash,
}

/// What an argument of a helper must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arg {
    /// A map of the program with entries.
    Map,
    /// A Bloom filter of the program.
    Bloom,
    /// A ring buffer of the program.
    Ring,
    /// A sketch of the program.
    Sketch,
    /// Readable, initialised memory of the map's key size.
    Key,
    /// Readable, initialised memory of the map's value size.
    Value,
    /// Readable, initialised memory; the next argument is its size.
    Memory,
    /// Memory of the stack or of a map value that the helper writes; the next argument is its size.
    Buffer,
    /// A number: the size of the memory that the argument before points to.
    Size,
    /// A constant: the size of a record.
    RecordSize,
    /// Any initialised scalar.
    Scalar,
    /// The address of the spin lock of a map value.
    Lock,
    /// The start of a record that was reserved and not handed over yet.
    Record,
    /// The context.
    Context,
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
    /// The address of a new record of the size in the second argument, or null.
    RecordOrNull,
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

/// Number, name, arguments and result of each helper, in the order of the numbers. The only place where they stand.
const TABLE: [(Helper, u32, &str, &[Arg], Return); 21] = {
    use Arg::{
        Bloom, Buffer, Context, Key, Lock, Map, Memory, Record, RecordSize, Ring, Scalar, Size, Sketch, Value,
    };
    [
        (Helper::MapLookupElem, 1, "bpf_map_lookup_elem", &[Map, Key], Return::ValueOrNull),
        (Helper::MapUpdateElem, 2, "bpf_map_update_elem", &[Map, Key, Value, Scalar], Return::Scalar),
        (Helper::MapDeleteElem, 3, "bpf_map_delete_elem", &[Map, Key], Return::Scalar),
        (Helper::KtimeGetNs, 5, "bpf_ktime_get_ns", &[], Return::Scalar),
        (Helper::GetPrandomU32, 7, "bpf_get_prandom_u32", &[], Return::Scalar32),
        (Helper::GetSmpProcessorId, 8, "bpf_get_smp_processor_id", &[], Return::Scalar32),
        (Helper::MapPushElem, 87, "bpf_map_push_elem", &[Bloom, Value, Scalar], Return::Scalar),
        (Helper::MapPeekElem, 89, "bpf_map_peek_elem", &[Bloom, Value], Return::Scalar),
        (Helper::SpinLock, 93, "bpf_spin_lock", &[Lock], Return::Nothing),
        (Helper::SpinUnlock, 94, "bpf_spin_unlock", &[Lock], Return::Nothing),
        (Helper::KtimeGetBootNs, 125, "bpf_ktime_get_boot_ns", &[], Return::Scalar),
        (Helper::RingbufOutput, 130, "bpf_ringbuf_output", &[Ring, Memory, Size, Scalar], Return::Scalar),
        (
            Helper::RingbufReserve,
            131,
            "bpf_ringbuf_reserve",
            &[Ring, RecordSize, Scalar],
            Return::RecordOrNull,
        ),
        (Helper::RingbufSubmit, 132, "bpf_ringbuf_submit", &[Record, Scalar], Return::Nothing),
        (Helper::RingbufDiscard, 133, "bpf_ringbuf_discard", &[Record, Scalar], Return::Nothing),
        (Helper::KtimeGetCoarseNs, 160, "bpf_ktime_get_coarse_ns", &[], Return::Scalar),
        (Helper::XdpGetBuffLen, 188, "bpf_xdp_get_buff_len", &[Context], Return::Scalar32),
        (Helper::XdpLoadBytes, 189, "bpf_xdp_load_bytes", &[Context, Scalar, Buffer, Size], Return::Scalar),
        (Helper::OriginalMapUpdate, 0x4f4b_0002, "ubpf_map_update", &[Map, Key, Value], Return::Scalar),
        (Helper::OriginalMapAdd, 0x4f4b_0004, "ubpf_map_add", &[Sketch, Key], Return::Scalar),
        (Helper::OriginalHash, 0x4f4b_0006, "ubpf_hash", &[Memory, Size], Return::Scalar32),
    ]
};

impl Helper {
    /// All helpers, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Helper> {
        TABLE.iter().map(|row| row.0)
    }

    /// The helper with this number, if it is provided.
    pub fn from_number(number: u32) -> Option<Helper> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    fn row(self) -> &'static (Helper, u32, &'static str, &'static [Arg], Return) {
        TABLE.iter().find(|row| row.0 == self).expect("the table has all helpers")
    }

    /// Its number in Linux's `enum bpf_func_id`.
    pub fn number(self) -> u32 {
        self.row().1
    }

    /// Its name in Linux's headers, `bpf_` included.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Its arguments and result.
    pub fn signature(self) -> Signature {
        let row = self.row();
        Signature { args: row.3, ret: row.4 }
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
        88 => "bpf_map_pop_elem",
        134 => "bpf_ringbuf_query",
        164 => "bpf_for_each_map_elem",
        181 => "bpf_loop",
        195 => "bpf_map_lookup_percpu_elem",
        _ => return None,
    })
}
