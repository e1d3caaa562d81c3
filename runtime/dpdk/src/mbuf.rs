//! Packets: owned chains of mbufs.

use std::fmt;
use std::mem;
use std::ptr::NonNull;
use std::slice;

use dpdk_sys::rte_mbuf;

use crate::pool::{Pool, PoolError};

/// Why a packet could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MbufError {
    /// Too little room before or behind the data.
    #[error("{needed} bytes do not fit: the buffer has too little room")]
    NoRoom {
        /// Bytes asked for.
        needed: u16,
    },
    /// More bytes to remove than the segment has.
    #[error("{needed} bytes cannot be removed from a segment of {present}")]
    TooShort {
        /// Bytes asked for.
        needed: u16,
        /// Bytes there.
        present: u16,
    },
    /// A chain would get more segments than DPDK allows.
    #[error("the packet has too many segments")]
    TooManySegments,
}

/// A packet that this value owns: one mbuf or a chain of them. Dropping it returns all segments to their pool.
///
/// Bytes are in wire order, from the start of the Ethernet header, without frame check sequence.
#[repr(transparent)]
pub struct Mbuf {
    raw: NonNull<rte_mbuf>,
}

// SAFETY: the owner is the only one to touch the chain, and pools take mbufs back from any thread.
unsafe impl Send for Mbuf {}
// SAFETY: through `&Mbuf` nothing is written.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// Takes ownership of a chain.
    ///
    /// # Safety
    /// `raw` is the head of a valid chain with reference counts of one that nobody else refers to.
    pub(crate) unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self { raw }
    }

    pub(crate) fn header(&self) -> &rte_mbuf {
        // SAFETY: owned and valid; changed only through `&mut self`.
        unsafe { self.raw.as_ref() }
    }

    /// Length of the packet in bytes, over all segments.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.header().pkt_len as usize
    }

    /// Whether the packet has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of segments, at least one.
    #[must_use]
    #[inline]
    pub fn segments(&self) -> u16 {
        self.header().nb_segs
    }

    /// The bytes of the first segment; of the packet if it has only one.
    #[must_use]
    #[inline]
    pub fn first_segment(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: `data_len` bytes from `buf_addr + data_off` are within the segment's buffer.
        unsafe {
            let start = header.buf_addr.cast::<u8>().add(usize::from(header.data_off));
            slice::from_raw_parts(start, usize::from(header.data_len))
        }
    }

    /// The bytes of the first segment, to change.
    #[must_use]
    pub fn first_segment_mut(&mut self) -> &mut [u8] {
        let header = self.header();
        // SAFETY: as in `first_segment`, and borrowed exclusively: received and copied packets are not shared.
        unsafe {
            let start = header.buf_addr.cast::<u8>().add(usize::from(header.data_off));
            slice::from_raw_parts_mut(start, usize::from(header.data_len))
        }
    }

    /// The whole buffer of a packet of one segment, with the room before and behind its bytes, and where these are. `None` for a chain.
    #[must_use]
    #[inline]
    pub fn buffer_mut(&mut self) -> Option<(&mut [u8], usize, usize)> {
        let header = self.header();
        if header.nb_segs != 1 {
            return None;
        }
        let start = usize::from(header.data_off);
        let end = start + usize::from(header.data_len);
        // SAFETY: a segment's buffer has `buf_len` initialised bytes from `buf_addr`, borrowed exclusively as in `first_segment_mut`.
        let buffer =
            unsafe { slice::from_raw_parts_mut(header.buf_addr.cast::<u8>(), usize::from(header.buf_len)) };
        Some((buffer, start, end))
    }

    /// Says where in its buffer the bytes of a packet of one segment are now.
    ///
    /// # Panics
    /// If the range is not within the buffer or the packet has several segments.
    #[inline]
    pub fn set_range(&mut self, start: usize, end: usize) {
        let header = self.header();
        assert!(
            header.nb_segs == 1 && start <= end && end <= usize::from(header.buf_len),
            "within the only buffer"
        );
        // SAFETY: owned; the range was checked.
        unsafe {
            let raw = self.raw.as_mut();
            raw.data_off = start as u16;
            raw.data_len = (end - start) as u16;
            raw.pkt_len = (end - start) as u32;
        }
    }

    /// All bytes, if they lie in one segment.
    #[must_use]
    #[inline]
    pub fn contiguous(&self) -> Option<&[u8]> {
        (self.segments() == 1).then(|| self.first_segment())
    }

    /// A contiguous view of the packet: its own bytes if it has one segment, else a copy in `scratch`.
    ///
    /// Of a packet longer than `scratch` only the start is seen; [`len`](Self::len) remains the true length.
    #[must_use]
    #[inline]
    pub fn frame<'a>(&'a self, scratch: &'a mut [u8]) -> &'a [u8] {
        match self.contiguous() {
            Some(bytes) => bytes,
            None => self.gather(scratch),
        }
    }

    #[cold]
    fn gather<'a>(&self, scratch: &'a mut [u8]) -> &'a [u8] {
        let mut filled = 0;
        let mut segment = self.raw.as_ptr();
        while !segment.is_null() && filled < scratch.len() {
            // SAFETY: every `next` of a valid chain is null or a valid segment, owned with the head.
            let bytes = unsafe {
                let start = (*segment).buf_addr.cast::<u8>().add(usize::from((*segment).data_off));
                slice::from_raw_parts(start, usize::from((*segment).data_len))
            };
            let n = bytes.len().min(scratch.len() - filled);
            scratch[filled..filled + n].copy_from_slice(&bytes[..n]);
            filled += n;
            // SAFETY: as above.
            segment = unsafe { (*segment).next };
        }
        &scratch[..filled]
    }

    /// The port it was received on, as DPDK numbers them.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.header().port
    }

    /// A deep copy in mbufs of `pool`.
    ///
    /// # Errors
    /// [`PoolError::Empty`].
    pub fn duplicate(&self, pool: &Pool) -> Result<Self, PoolError> {
        // SAFETY: reads the chain, which `self` owns, and allocates from a live pool.
        let raw = unsafe { dpdk_sys::rte_pktmbuf_copy(self.raw.as_ptr(), pool.as_ptr(), 0, u32::MAX) };
        // SAFETY: a fresh chain.
        NonNull::new(raw).map(|raw| unsafe { Self::from_raw(raw) }).ok_or(PoolError::Empty)
    }

    /// Grows the packet at its start and returns the new bytes, whose content is undefined but initialised memory.
    ///
    /// # Errors
    /// [`MbufError::NoRoom`] beyond the headroom.
    pub fn prepend(&mut self, len: u16) -> Result<&mut [u8], MbufError> {
        // SAFETY: the chain is owned; the function checks the headroom.
        let start = unsafe { dpdk_sys::shim_rte_pktmbuf_prepend(self.raw.as_ptr(), len) };
        if start.is_null() {
            return Err(MbufError::NoRoom { needed: len });
        }
        Ok(&mut self.first_segment_mut()[..usize::from(len)])
    }

    /// Removes bytes from the start.
    ///
    /// # Errors
    /// [`MbufError::TooShort`] if the first segment has fewer.
    pub fn adjust(&mut self, len: u16) -> Result<(), MbufError> {
        // SAFETY: the chain is owned; the function checks the length.
        if unsafe { dpdk_sys::shim_rte_pktmbuf_adj(self.raw.as_ptr(), len) }.is_null() {
            return Err(MbufError::TooShort { needed: len, present: self.header().data_len });
        }
        Ok(())
    }

    /// Removes bytes from the end.
    ///
    /// # Errors
    /// [`MbufError::TooShort`] if the last segment has fewer.
    pub fn trim(&mut self, len: u16) -> Result<(), MbufError> {
        // SAFETY: the chain is owned; the function checks the length.
        if unsafe { dpdk_sys::shim_rte_pktmbuf_trim(self.raw.as_ptr(), len) } != 0 {
            return Err(MbufError::TooShort { needed: len, present: self.header().data_len });
        }
        Ok(())
    }

    /// Appends bytes in the last segment.
    ///
    /// # Errors
    /// [`MbufError::NoRoom`], the packet is unchanged.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), MbufError> {
        let len = u16::try_from(bytes.len()).map_err(|_| MbufError::NoRoom { needed: u16::MAX })?;
        // SAFETY: the chain is owned; the function checks the room and returns the start of `len` new bytes.
        unsafe {
            let start = dpdk_sys::shim_rte_pktmbuf_append(self.raw.as_ptr(), len);
            if start.is_null() {
                return Err(MbufError::NoRoom { needed: len });
            }
            start.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(())
    }

    /// Appends as many of the bytes as the (only) segment has room for, and says how many.
    pub(crate) fn append_prefix(&mut self, bytes: &[u8]) -> usize {
        let header = self.header();
        let room = header.buf_len.saturating_sub(header.data_off).saturating_sub(header.data_len);
        let n = bytes.len().min(usize::from(room));
        match self.append(&bytes[..n]) {
            Ok(()) => n,
            Err(_) => 0,
        }
    }

    /// Puts `tail` behind this packet, as further segments.
    ///
    /// # Errors
    /// [`MbufError::TooManySegments`]; `tail` is then dropped.
    pub fn chain(&mut self, tail: Self) -> Result<(), MbufError> {
        // SAFETY: both chains are owned; on success `tail` belongs to the head.
        if unsafe { dpdk_sys::shim_rte_pktmbuf_chain(self.raw.as_ptr(), tail.raw.as_ptr()) } != 0 {
            return Err(MbufError::TooManySegments);
        }
        mem::forget(tail);
        Ok(())
    }

    /// Moves all bytes into the first segment.
    ///
    /// # Errors
    /// [`MbufError::NoRoom`] if they do not fit; the packet is unchanged.
    pub fn linearize(&mut self) -> Result<(), MbufError> {
        // SAFETY: the chain is owned; the function checks the room.
        if unsafe { dpdk_sys::shim_rte_pktmbuf_linearize(self.raw.as_ptr()) } != 0 {
            return Err(MbufError::NoRoom { needed: u16::try_from(self.len()).unwrap_or(u16::MAX) });
        }
        Ok(())
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: the chain is owned and not used after this.
        unsafe { dpdk_sys::shim_rte_pktmbuf_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf").field("len", &self.len()).field("segments", &self.segments()).finish()
    }
}
