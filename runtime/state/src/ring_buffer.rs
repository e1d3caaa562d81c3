//! The ring buffer of BPF (`BPF_MAP_TYPE_RINGBUF`) and of events: the queue of [`crate::ring`] in one block of memory.

use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::memory::Memory;
use crate::ring::{Cells, Reserved, Ring};
use crate::sync::{AtomicU64, Ordering};

/// The least and the greatest size of a ring buffer in bytes.
pub(crate) const SIZES: std::ops::RangeInclusive<u32> = 64..=1 << 30;

#[derive(Debug)]
struct Block {
    memory: Memory,
    count: usize,
}

impl Cells for Block {
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn cell(&self, number: usize) -> &AtomicU64 {
        assert!(number < self.count);
        // SAFETY: the cell lies in the block, aligned, zero at first; cells that a producer has not taken, and headers, are only accessed
        // atomically.
        unsafe { self.memory.at(number * 8).cast::<AtomicU64>().as_ref() }
    }
}

/// A bounded queue of records of bytes: many producers that never wait, and one consumer at a time. Records come out in the order in which
/// they were reserved. A record that finds no room is dropped and counted; one of up to half of the size always finds room if the buffer is empty.
#[derive(Debug)]
pub struct RingBuffer {
    ring: Ring<Block>,
    /// Held by the consumer: of how many dropped records it has been told.
    consumer: Mutex<u64>,
}

/// What became of a record of a ring buffer that was asked about by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// It is the consumer's now.
    Over,
    /// Its room was given back.
    Back,
}

impl RingBuffer {
    /// `bytes` is a power of two.
    pub(crate) fn new(bytes: u32) -> Option<RingBuffer> {
        let memory = Memory::zeroed(u64::from(bytes))?;
        Some(RingBuffer {
            ring: Ring::new(Block { memory, count: bytes as usize / 8 }),
            consumer: Mutex::new(0),
        })
    }

    /// Its size in bytes, headers of records (8 bytes each) included.
    pub fn size(&self) -> usize {
        self.ring.cells().count * 8
    }

    /// How many bytes are in use.
    pub fn used(&self) -> usize {
        self.ring.used() as usize * 8
    }

    /// How many records found no room.
    pub fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    /// How many records found no room since the consumer asked last.
    pub fn take_dropped(&self) -> u64 {
        let mut told = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.dropped();
        dropped - std::mem::replace(&mut *told, dropped)
    }

    /// Takes room for a record of `size` bytes, 8-aligned and zero; whoever has it must [hand it over](Self::hand). Gives none, and counts
    /// that, if there is none.
    #[inline]
    pub fn reserve(&self, size: usize) -> Option<NonNull<u8>> {
        let reserved = self.ring.reserve(size)?;
        // A record of no bytes at the end of the circle has its bytes behind the block.
        let first = reserved.first().min(self.ring.cells().count - 1);
        Some(self.ring.cells().memory.at(first * 8))
    }

    /// Hands a record over to the consumer, or gives its room back.
    ///
    /// # Safety
    ///
    /// `record` comes from [`reserve`](Self::reserve) of this ring buffer with this size, which is not 0, and was not handed over yet.
    pub unsafe fn hand(&self, record: NonNull<u8>, size: usize, how: Handed) {
        let offset = record.as_ptr() as usize - self.ring.cells().memory.at(0).as_ptr() as usize;
        if let Some(reserved) = Reserved::again(offset / 8, size) {
            self.ring.commit(reserved, how == Handed::Over);
        }
    }

    /// Queues a record of bytes; says whether there was room.
    pub fn output(&self, bytes: &[u8]) -> bool {
        let Some(reserved) = self.ring.reserve(bytes.len()) else { return false };
        for (cell, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let cell = self.ring.cells().cell(reserved.first() + cell);
            cell.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        self.ring.commit(reserved, true);
        true
    }

    /// As [`output`](Self::output), for a record of whole words.
    #[inline]
    pub fn output_words(&self, words: &[u64]) -> bool {
        let Some(reserved) = self.ring.reserve(words.len() * 8) else { return false };
        for (at, &word) in words.iter().enumerate() {
            self.ring.cells().cell(reserved.first() + at).store(word, Ordering::Relaxed);
        }
        self.ring.commit(reserved, true);
        true
    }

    /// Takes up to `limit` records out, oldest first.
    pub fn drain(&self, limit: usize) -> Vec<Box<[u8]>> {
        let _consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        while records.len() < limit {
            let next = self.ring.consume(|cells, first, size| {
                let words =
                    (first..first + size.div_ceil(8)).map(|at| cells.cell(at).load(Ordering::Relaxed));
                crate::key::bytes_of(words, size)
            });
            match next {
                Some(record) => records.push(record),
                None => break,
            }
        }
        records
    }
}
