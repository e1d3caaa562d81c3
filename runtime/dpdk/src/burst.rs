//! Bursts: what is received, judged and sent at once.

use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use dpdk_sys::rte_mbuf;

use crate::mbuf::Mbuf;

/// Packets in a full burst.
pub const BURST: usize = 32;

/// Up to [`BURST`] owned packets in order of arrival, in place.
///
/// Invariant: the first `len` elements are initialised, the others are not.
pub struct Burst {
    len: usize,
    mbufs: [MaybeUninit<Mbuf>; BURST],
}

impl Burst {
    /// A burst without packets.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: 0, mbufs: [const { MaybeUninit::uninit() }; BURST] }
    }

    /// Number of packets.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no packet.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is no room.
    #[must_use]
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == BURST
    }

    /// The packets.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: the first `len` elements are initialised, and `MaybeUninit` has the layout of its content.
        unsafe { slice::from_raw_parts(self.mbufs.as_ptr().cast(), self.len) }
    }

    /// Adds a packet, or gives it back when the burst is full.
    ///
    /// # Errors
    /// The packet, if there is no room.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.mbufs.get_mut(self.len) {
            Some(slot) => {
                slot.write(mbuf);
                self.len += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Takes all packets out, in order. Those that are not taken from the iterator are dropped with it.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let end = self.len;
        self.len = 0;
        Drain { burst: self, next: 0, end }
    }

    /// Drops all packets, at the cost of one call.
    pub fn clear(&mut self) {
        let len = std::mem::take(&mut self.len);
        if len > 0 {
            // SAFETY: `len` owned chains, which the burst no longer counts as its own.
            unsafe { dpdk_sys::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr().cast(), len as u32) };
        }
    }

    /// The unused elements, for a driver to write mbufs to, with their number.
    pub(crate) fn spare(&mut self) -> (*mut *mut rte_mbuf, u16) {
        (self.mbufs[self.len..].as_mut_ptr().cast(), (BURST - self.len) as u16)
    }

    /// Takes over what was written to the spare elements.
    ///
    /// # Safety
    /// The first `n` spare elements were set to owned packets, and `n` is at most their number.
    pub(crate) unsafe fn added(&mut self, n: u16) {
        debug_assert!(usize::from(n) <= BURST - self.len);
        self.len += usize::from(n);
    }

    /// The packets, for a driver to take from the front, with their number.
    pub(crate) fn filled(&mut self) -> (*mut *mut rte_mbuf, u16) {
        (self.mbufs.as_mut_ptr().cast(), self.len as u16)
    }

    /// Forgets the first `n` packets and moves the others to the front.
    ///
    /// # Safety
    /// A driver has taken ownership of the first `n` packets, and `n` is at most their number.
    pub(crate) unsafe fn removed(&mut self, n: u16) {
        let n = usize::from(n);
        debug_assert!(n <= self.len);
        self.len -= n;
        if self.len > 0 && n > 0 {
            // SAFETY: `len` initialised elements from `n` on; the regions may overlap and both are in the array.
            unsafe { ptr::copy(self.mbufs.as_ptr().add(n), self.mbufs.as_mut_ptr(), self.len) };
        }
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The packets taken out of a burst.
#[derive(Debug)]
pub struct Drain<'a> {
    burst: &'a mut Burst,
    next: usize,
    end: usize,
}

impl Drain<'_> {
    /// The packets that were not taken yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &[Mbuf] {
        // SAFETY: elements `next..end` are initialised, and `MaybeUninit` has the layout of its content.
        unsafe {
            slice::from_raw_parts(self.burst.mbufs.as_ptr().add(self.next).cast(), self.end - self.next)
        }
    }
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.end {
            return None;
        }
        let i = self.next;
        self.next += 1;
        // SAFETY: elements `next..end` are initialised, the burst (len 0) does not count them, and each is read once.
        Some(unsafe { self.burst.mbufs[i].assume_init_read() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        for _ in self.by_ref() {}
    }
}
