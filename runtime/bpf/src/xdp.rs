//! The context of a filter: Linux's `struct xdp_md` as a program sees it, and its return values.
//!
//! All fields are `u32` in the object's layout and are read by aligned 4-byte loads; a load of `data`, `data_end` or
//! `data_meta` yields a 64-bit pointer in the register, as the kernel's rewriting of context accesses does.

/// A field of `struct xdp_md` that programs may read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CtxField {
    /// Pointer to the first byte of the packet.
    Data,
    /// Pointer to one past the last byte of the packet.
    DataEnd,
    /// Pointer to metadata before the packet; there is none, so it equals `data`.
    DataMeta,
    /// Number of the port that the packet came in by, a `u32`.
    IngressIfindex,
    /// Receive queue of that port, a `u32`.
    RxQueueIndex,
}

impl CtxField {
    /// Bytes of the context that may be addressed.
    pub const CONTEXT_BYTES: u32 = 20;

    /// The field at this offset in `struct xdp_md`.
    pub const fn at(offset: i64) -> Option<CtxField> {
        match offset {
            0 => Some(CtxField::Data),
            4 => Some(CtxField::DataEnd),
            8 => Some(CtxField::DataMeta),
            12 => Some(CtxField::IngressIfindex),
            16 => Some(CtxField::RxQueueIndex),
            _ => None,
        }
    }

    /// Its offset in `struct xdp_md`, bytes.
    pub const fn offset(self) -> u32 {
        match self {
            CtxField::Data => 0,
            CtxField::DataEnd => 4,
            CtxField::DataMeta => 8,
            CtxField::IngressIfindex => 12,
            CtxField::RxQueueIndex => 16,
        }
    }
}

/// Return value of a filter that does not match.
pub const XDP_DROP: u64 = 1;
/// Return value of a filter that matches.
pub const XDP_PASS: u64 = 2;
