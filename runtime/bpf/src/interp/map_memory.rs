//! Access to bytes of map values, which other threads may write at the same time.
//!
//! What holds here: a [`MapMemory`] is made by whoever owns the map, with the promise that its bytes stay readable and
//! writable while the handle is used. Every access is an atomic of the access's size, or of single bytes where the
//! address is not aligned, so a race gives an old or a new value and never undefined behaviour by itself; nobody may form
//! a reference to the bytes meanwhile.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use crate::{
    isa::{AtomicOp, Size, Width},
    semantics,
};

/// The bytes of one map value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapMemory {
    base: NonNull<u8>,
    len: usize,
}

impl MapMemory {
    /// A handle to `len` bytes at `base`.
    ///
    /// # Safety
    /// As long as the handle or a copy of it is used, all `len` bytes must be part of one allocation that is live and
    /// writable, and be accessed by anyone else through atomics or raw pointers only.
    pub const unsafe fn new(base: NonNull<u8>, len: usize) -> MapMemory {
        MapMemory { base, len }
    }

    /// Bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address, as the identity of the value.
    pub fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// The address of `bytes` bytes at `off`, if they are inside.
    fn at(&self, off: usize, bytes: usize) -> Option<*mut u8> {
        let end = off.checked_add(bytes)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `off <= len`, and all `len` bytes are in one allocation, by the promise of `new`.
        Some(unsafe { self.base.as_ptr().add(off) })
    }

    /// Loads a little-endian value, zero-extended; `None` if it is not inside.
    pub fn load(&self, off: usize, size: Size) -> Option<u64> {
        let at = self.at(off, size.bytes() as usize)?;
        if !(at as usize).is_multiple_of(size.bytes() as usize) {
            let mut value = 0;
            for index in 0..size.bytes() as usize {
                value |= self.load(off + index, Size::B)? << (8 * index);
            }
            return Some(value);
        }
        // SAFETY: the bytes are inside a live allocation (`at`), aligned (checked above), and others access them
        // atomically or through raw pointers (promise of `new`).
        let value = unsafe {
            match size {
                Size::B => u64::from(AtomicU8::from_ptr(at).load(Ordering::Relaxed)),
                Size::H => u64::from(AtomicU16::from_ptr(at.cast()).load(Ordering::Relaxed)),
                Size::W => u64::from(AtomicU32::from_ptr(at.cast()).load(Ordering::Relaxed)),
                Size::Dw => AtomicU64::from_ptr(at.cast()).load(Ordering::Relaxed),
            }
        };
        Some(value)
    }

    /// Stores the low bytes of a value; `None` if they are not inside.
    pub fn store(&self, off: usize, size: Size, value: u64) -> Option<()> {
        let at = self.at(off, size.bytes() as usize)?;
        if !(at as usize).is_multiple_of(size.bytes() as usize) {
            for index in 0..size.bytes() as usize {
                self.store(off + index, Size::B, value >> (8 * index))?;
            }
            return Some(());
        }
        // SAFETY: as in `load`.
        unsafe {
            match size {
                Size::B => AtomicU8::from_ptr(at).store(value as u8, Ordering::Relaxed),
                Size::H => AtomicU16::from_ptr(at.cast()).store(value as u16, Ordering::Relaxed),
                Size::W => AtomicU32::from_ptr(at.cast()).store(value as u32, Ordering::Relaxed),
                Size::Dw => AtomicU64::from_ptr(at.cast()).store(value, Ordering::Relaxed),
            }
        }
        Some(())
    }

    /// A read-modify-write; gives the old value. `None` if it is not inside or not aligned to its size.
    pub fn atomic(&self, off: usize, width: Width, op: AtomicOp, operand: u64, expected: u64) -> Option<u64> {
        match width {
            Width::W32 => {
                let cell = self.word(off)?;
                let update =
                    |old: u32| Some(modify(op, u64::from(old), operand, u64::from(expected as u32)) as u32);
                cell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update).ok().map(u64::from)
            }
            Width::W64 => {
                let at = self.at(off, 8).filter(|at| (*at as usize).is_multiple_of(8))?;
                // SAFETY: as in `load`, and aligned to 8 bytes.
                let cell = unsafe { AtomicU64::from_ptr(at.cast()) };
                let update = |old: u64| Some(modify(op, old, operand, expected));
                cell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update).ok()
            }
        }
    }

    /// The aligned 4-byte cell at `off`, for spin locks.
    pub fn word(&self, off: usize) -> Option<&AtomicU32> {
        let at = self.at(off, 4).filter(|at| (*at as usize).is_multiple_of(4))?;
        // SAFETY: as in `load`, and aligned to 4 bytes.
        Some(unsafe { AtomicU32::from_ptr(at.cast()) })
    }
}

/// The new value of an atomic operation; `expected` is `r0` of a compare-and-exchange, already in the operation's width.
pub(super) fn modify(op: AtomicOp, old: u64, operand: u64, expected: u64) -> u64 {
    use crate::isa::AluOp;
    let alu = |op| semantics::alu(Width::W64, op, old, operand);
    match op {
        AtomicOp::Add { .. } => alu(AluOp::Add),
        AtomicOp::Or { .. } => alu(AluOp::Or),
        AtomicOp::And { .. } => alu(AluOp::And),
        AtomicOp::Xor { .. } => alu(AluOp::Xor),
        AtomicOp::Xchg => operand,
        AtomicOp::Cmpxchg if old == expected => operand,
        AtomicOp::Cmpxchg => old,
    }
}
