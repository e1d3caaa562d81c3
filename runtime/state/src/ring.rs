//! A bounded queue of records of bytes: many producers, one consumer, nobody waits.
//!
//! The queue is a circle of 64-bit cells. A record is a header cell and its bytes, rounded up to whole cells, never wrapped around: what is
//! left at the end of the circle is filled by a record that is skipped. A producer takes cells by moving `taken` on, writes its bytes, and then
//! its header, which was zero until then; so the consumer sees records in the order in which their cells were taken, each when it is whole. The consumer
//! zeroes what it has read before it gives the cells back by moving `freed` on. So `taken - freed` cells are in use, those from `freed` on,
//! and every cell outside of them is zero.

use crate::sync::{AtomicU64, Ordering};

/// In a header: the record is whole. The low half of a header is its size in bytes.
const READY: u64 = 1 << 63;
/// In a header: the record is to be skipped.
const SKIPPED: u64 = 1 << 62;
/// Bytes of a cell.
const CELL: usize = 8;

/// The circle: a power of two of cells, zero at first.
pub(crate) trait Cells {
    fn count(&self) -> usize;
    /// The cell of a number below the count.
    fn cell(&self, number: usize) -> &AtomicU64;
}

#[derive(Debug)]
pub(crate) struct Ring<C> {
    cells: C,
    /// Cells that producers have taken, ever.
    taken: AtomicU64,
    /// Cells that the consumer has given back, ever.
    freed: AtomicU64,
    dropped: AtomicU64,
}

/// Cells that a producer has taken and nobody sees yet. It must be [committed](Ring::commit), or the consumer stops there for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// The header.
    cell: usize,
    size: usize,
}

impl Reserved {
    /// The first cell of the bytes.
    pub(crate) fn first(self) -> usize {
        self.cell + 1
    }

    /// What the reservation of these bytes was: `first` is its first cell of bytes, and `size` what was asked for.
    pub(crate) fn again(first: usize, size: usize) -> Option<Reserved> {
        Some(Reserved { cell: first.checked_sub(1)?, size })
    }
}

/// Cells of a record of so many bytes.
fn cells_of(size: usize) -> u64 {
    1 + size.div_ceil(CELL) as u64
}

impl<C: Cells> Ring<C> {
    pub(crate) fn new(cells: C) -> Ring<C> {
        Ring { cells, taken: AtomicU64::new(0), freed: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    pub(crate) fn cells(&self) -> &C {
        &self.cells
    }

    /// How many records found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Cells in use.
    pub(crate) fn used(&self) -> u64 {
        let freed = self.freed.load(Ordering::Acquire);
        self.taken.load(Ordering::Relaxed).wrapping_sub(freed).min(self.cells.count() as u64)
    }

    /// Takes room for a record; counts it as dropped if there is none.
    pub(crate) fn reserve(&self, size: usize) -> Option<Reserved> {
        let reserved = self.take(size);
        if reserved.is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        reserved
    }

    fn take(&self, size: usize) -> Option<Reserved> {
        let count = self.cells.count() as u64;
        // The size must fit in the header and the record in the circle.
        let wanted =
            Some(size).filter(|&size| size < 1 << 30).map(cells_of).filter(|&cells| cells <= count)?;
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let offset = taken & (count - 1);
            let rest = count - offset;
            let filler = if rest < wanted { rest } else { 0 };
            let end = taken + filler + wanted;
            // What the consumer zeroed is seen with this.
            let freed = self.freed.load(Ordering::Acquire);
            if freed > taken {
                // `taken` was read before others took and the consumer freed.
                taken = self.taken.load(Ordering::Relaxed);
                continue;
            }
            if end - freed > count {
                return None;
            }
            match self.taken.compare_exchange_weak(taken, end, Ordering::Relaxed, Ordering::Relaxed) {
                Err(seen) => taken = seen,
                Ok(_) if filler == 0 => return Some(Reserved { cell: offset as usize, size }),
                Ok(_) => {
                    let bytes = (filler - 1) * CELL as u64;
                    self.cells.cell(offset as usize).store(READY | SKIPPED | bytes, Ordering::Release);
                    return Some(Reserved { cell: 0, size });
                }
            }
        }
    }

    /// Hands a record over, or gives its room back if it is not `kept`.
    pub(crate) fn commit(&self, reserved: Reserved, kept: bool) {
        let skipped = if kept { 0 } else { SKIPPED };
        self.cells.cell(reserved.cell).store(READY | skipped | reserved.size as u64, Ordering::Release);
    }

    /// Takes the next record, if it is whole: calls `read` with the ring's cells, the number of its first one and its size in bytes. One thread
    /// at a time.
    pub(crate) fn consume<T>(&self, mut read: impl FnMut(&C, usize, usize) -> T) -> Option<T> {
        loop {
            let freed = self.freed.load(Ordering::Relaxed);
            let at = (freed & (self.cells.count() as u64 - 1)) as usize;
            let header = self.cells.cell(at).load(Ordering::Acquire);
            if header & READY == 0 {
                return None;
            }
            let size = header as u32 as usize;
            let cells = cells_of(size) as usize;
            let result = (header & SKIPPED == 0).then(|| read(&self.cells, at + 1, size));
            for cell in at..at + cells {
                self.cells.cell(cell).store(0, Ordering::Relaxed);
            }
            self.freed.store(freed + cells as u64, Ordering::Release);
            if result.is_some() {
                return result;
            }
        }
    }
}
