//! When a packet was recorded: the time stamp that capture devices put into the mbuf.
//!
//! DPDK keeps time stamps in a dynamic field of the mbuf whose place is known only at run time, once a device has registered
//! it. The unit is the device's; `net_pcap`, whose packets these are, gives microseconds since the epoch.

use dpdk_sys::{rte_mbuf_dynfield_lookup, rte_mbuf_dynflag_lookup};

use crate::mbuf::Mbuf;

/// Reads the time of recording of packets from `net_pcap` devices.
#[derive(Clone, Copy, Debug)]
pub struct RecordedTime {
    /// Offset of the field from the start of the mbuf, in bytes.
    offset: usize,
    /// The bit of `ol_flags` that says that the field holds something.
    flag: u64,
}

impl RecordedTime {
    /// Where the time stamp lies; none if no device has registered one, which capture devices do when they are configured.
    #[must_use]
    pub fn lookup() -> Option<Self> {
        // SAFETY: both names are terminated strings, and a null parameter structure means that only the place is asked for.
        let (offset, bit) = unsafe {
            (
                rte_mbuf_dynfield_lookup(c"rte_dynfield_timestamp".as_ptr(), std::ptr::null_mut()),
                rte_mbuf_dynflag_lookup(c"rte_dynflag_rx_timestamp".as_ptr(), std::ptr::null_mut()),
            )
        };
        let (offset, bit) = (usize::try_from(offset).ok()?, u32::try_from(bit).ok()?);
        Some(Self { offset, flag: 1_u64.checked_shl(bit)? })
    }

    /// When the packet was recorded, in nanoseconds since the epoch; none if its device does not say.
    #[must_use]
    #[inline]
    pub fn of(self, packet: &Mbuf) -> Option<u64> {
        let header = packet.header();
        if header.ol_flags & self.flag == 0 {
            return None;
        }
        // SAFETY: DPDK gave `offset` as that of a field of eight bytes within the mbuf.
        let micros =
            unsafe { std::ptr::from_ref(header).byte_add(self.offset).cast::<u64>().read_unaligned() };
        micros.checked_mul(1_000)
    }
}
