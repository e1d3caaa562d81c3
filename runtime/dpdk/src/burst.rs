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

    /// Lets packets be taken out, after which the burst is empty.
    #[inline]
    pub fn take_out(&mut self) -> Taking<'_> {
        let count = std::mem::take(&mut self.len);
        let left = u32::MAX.checked_shr((BURST - count) as u32).unwrap_or(0);
        Taking { burst: self, count, left }
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

/// Packets that are taken out of a burst, one by one or some at once, in any order. Those that are not taken are dropped with it.
///
/// Invariant: exactly the elements whose bit is set in `left` are initialised, all of them before `count`.
#[derive(Debug)]
pub struct Taking<'a> {
    burst: &'a mut Burst,
    count: usize,
    left: u32,
}

const _: () = assert!(BURST <= u32::BITS as usize, "a bit for each packet");

impl Taking<'_> {
    /// How many packets there were.
    #[must_use]
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// A packet, by its place in the burst, if it was not taken yet.
    #[must_use]
    #[inline]
    pub fn get(&self, at: usize) -> Option<&Mbuf> {
        // SAFETY: the element is initialised, as its bit says.
        self.is_left(at).then(|| unsafe { self.burst.mbufs[at].assume_init_ref() })
    }

    /// The same packet, to change.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Mbuf> {
        // SAFETY: the element is initialised, as its bit says.
        self.is_left(at).then(|| unsafe { self.burst.mbufs[at].assume_init_mut() })
    }

    /// Whether there is a packet at a place.
    #[inline]
    fn is_left(&self, at: usize) -> bool {
        at < BURST && self.left >> at & 1 != 0
    }

    /// Takes a packet, by its place in the burst.
    #[inline]
    pub fn take(&mut self, at: usize) -> Option<Mbuf> {
        if !self.is_left(at) {
            return None;
        }
        self.left &= !(1 << at);
        // SAFETY: the element was initialised, as its bit said, and is not any more.
        Some(unsafe { self.burst.mbufs[at].assume_init_read() })
    }

    /// Takes packets by their places, of which each has a bit, and adds them to another burst in their order, as far as they are there and it has
    /// room.
    #[inline]
    pub fn take_some(&mut self, places: u32, into: &mut Burst) {
        let mut places = places & self.left;
        let whole = places.count_ones() as usize == self.count;
        if whole && into.len + self.count <= BURST {
            self.left = 0;
            // SAFETY: all elements before `count` are initialised and given up with `left`; the other burst has room for them.
            unsafe {
                let (from, to) = (self.burst.mbufs.as_ptr(), into.mbufs.as_mut_ptr().add(into.len));
                ptr::copy_nonoverlapping(from, to, self.count);
            }
            into.len += self.count;
            return;
        }
        while places != 0 && !into.is_full() {
            let at = places.trailing_zeros() as usize;
            places &= places - 1;
            if let Some(packet) = self.take(at)
                && into.push(packet).is_err()
            {
                unreachable!("there was room");
            }
        }
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if self.left == 0 {
            return;
        }
        let left = std::mem::take(&mut self.left);
        for at in (0..self.count).filter(|at| left >> at & 1 != 0) {
            // SAFETY: the element is initialised, as its bit said, and its place is not beyond those that it leaves behind.
            let packet = unsafe { self.burst.mbufs[at].assume_init_read() };
            self.burst.mbufs[self.burst.len].write(packet);
            self.burst.len += 1;
        }
        self.burst.clear();
    }
}
