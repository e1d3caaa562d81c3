//! The interface between generated code and those who call it. The only place where its layout stands.
//!
//! Code takes a burst: `entry(ctx, packets, end, verdicts, now, alone)` in the C calling convention of the host. It reads [`Packet`]s from one pointer to the other, at least one,
//! and writes as many `u32`s, each the class (IR) or the return value (BPF) of its packet, in order. Everything that
//! belongs to an instance comes by the [`Context`], so one piece of code serves any number of instances of an artifact. It stays as it is from burst
//! to burst; what does not is handed over in registers, so that a single packet costs no copy of it.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ops::Range;

use oko_ir::seed::SEED_WORDS;
use oko_state::Map;

/// A packet as generated code reads it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Packet<'a> {
    data: *const u8,
    captured: u32,
    wire_len: u32,
    in_port: u32,
    borrowed: PhantomData<&'a [u8]>,
}

// SAFETY: a packet is a shared borrow of bytes and a number.
unsafe impl Send for Packet<'_> {}
// SAFETY: as above.
unsafe impl Sync for Packet<'_> {}

impl<'a> Packet<'a> {
    /// A packet that came in by the port of this number, and is there as a whole, in one piece. Bytes beyond 2^32 - 1 are left out.
    pub fn new(data: &'a [u8], in_port: u32) -> Self {
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Packet { data: data.as_ptr(), captured, wire_len: captured, in_port, borrowed: PhantomData }
    }

    /// The same of a packet that was longer on the wire than what was captured of it. Only engines of the IR tell the two lengths apart;
    /// to BPF, what was captured is the packet.
    #[must_use]
    pub fn with_wire_len(self, wire_len: u32) -> Self {
        Packet { wire_len: wire_len.max(self.captured), ..self }
    }

    /// Its bytes.
    pub fn data(&self) -> &'a [u8] {
        // SAFETY: pointer and length are those of the slice that it was made from, or a prefix of it.
        unsafe { std::slice::from_raw_parts(self.data, self.captured as usize) }
    }

    /// Its length on the wire; at least that of its bytes.
    pub fn wire_len(&self) -> u32 {
        self.wire_len
    }

    /// The port it came in by.
    pub fn in_port(&self) -> u32 {
        self.in_port
    }
}

/// What a filter needs besides the packet and the instant: a view of an instance.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Context {
    /// The values of params, in the module's order: `AtomicU64`s that the control plane may change meanwhile.
    pub params: *const u64,
    /// The states (IR) or maps (BPF), in their order; of states that each worker has for itself, this worker's copy (IR).
    pub maps: *const *const Map,
    /// The first value of each of `maps` that is an array; null for the others.
    pub values: *const *mut u8,
    /// The ring buffer that events go to; null if the module has none.
    pub events: *const Map,
    /// What the instance drew.
    pub seed: u64,
    /// What `seed` gives: the [words](oko_ir::seed::seed_words) of that.
    pub seed_words: [u64; SEED_WORDS],
}

/// When a burst comes.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The instant, nanoseconds.
    pub now: u64,
    /// Whether no other thread is [pinned](oko_state::Pin::is_alone) while the code runs: then it takes lock words and counts by plain stores.
    pub alone: bool,
}

/// A loop over a burst that stores a result for each packet. `now` and `alone`, 0 or 1, are those of a [`Moment`].
type Loop<R> = unsafe extern "C" fn(
    ctx: *const Context,
    packets: *const Packet<'_>,
    end: *const Packet<'_>,
    results: *mut R,
    now: u64,
    alone: u32,
);

/// A compiled filter, whose results are verdicts. It is called by [`call`].
///
/// # Safety
///
/// To be called, it needs a context whose tables have a row for everything that the module or program declares, each map of the
/// declared shape, and a ring buffer if the module has events; a packet at least; and room for as many verdicts. The thread is pinned
/// ([`oko_state::pin`]), and alone if that is said; it need not be pinned if the module or program declares nothing but params and
/// events: nothing that such code finds could go away. Params are read, and a record is put into the ring buffer, without a lock and without an entry that
/// could be given away; both stay as long as the context that leads there.
pub type Entry = Loop<u32>;

/// Runs code over packets.
///
/// # Safety
///
/// As of [`Entry`]; there is room for a result of each packet.
#[inline(always)]
pub unsafe fn call<R>(
    code: Loop<R>,
    context: *const Context,
    packets: &[Packet<'_>],
    moment: Moment,
    results: *mut R,
) {
    let Range { start, end } = packets.as_ptr_range();
    // SAFETY: the caller's promise.
    unsafe { code(context, start, end, results, moment.now, u32::from(moment.alone)) }
}

/// Which map a filter will ask first about a packet, and the hash of the key.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Hint {
    /// Null if it will ask none, or that is not known.
    pub(crate) map: *const Map,
    pub(crate) hash: u64,
}

/// Code that goes with a filter's and gives hints for a burst.
///
/// # Safety
///
/// As of [`Entry`], with hints for verdicts.
pub(crate) type Ahead = Loop<Hint>;

pub(crate) const PACKET_DATA: i32 = offset_of!(Packet<'static>, data) as i32;
pub(crate) const PACKET_CAPTURED: i32 = offset_of!(Packet<'static>, captured) as i32;
pub(crate) const PACKET_WIRE_LEN: i32 = offset_of!(Packet<'static>, wire_len) as i32;
pub(crate) const PACKET_IN_PORT: i32 = offset_of!(Packet<'static>, in_port) as i32;
pub(crate) const PACKET_SIZE: i64 = size_of::<Packet<'static>>() as i64;
pub(crate) const CTX_PARAMS: i32 = offset_of!(Context, params) as i32;
pub(crate) const CTX_MAPS: i32 = offset_of!(Context, maps) as i32;
pub(crate) const CTX_VALUES: i32 = offset_of!(Context, values) as i32;
pub(crate) const CTX_EVENTS: i32 = offset_of!(Context, events) as i32;
pub(crate) const CTX_SEED: i32 = offset_of!(Context, seed) as i32;
pub(crate) const CTX_SEED_WORDS: i32 = offset_of!(Context, seed_words) as i32;

/// The words of an event's record in the ring buffer before its values: the event's index and the instant, each a `u64` in host order.
/// Each value is a `u64`, too.
pub const EVENT_HEADER_WORDS: usize = 2;
