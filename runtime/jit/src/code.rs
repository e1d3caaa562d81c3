//! Compiled code of one filter.

use crate::abi::{Context, Entry, Packet};
use crate::memory::ExecutableMemory;

/// Compiled code of one filter, and the memory it lies in.
#[derive(Debug)]
pub struct Code {
    _memory: ExecutableMemory,
    entry: Entry,
    bytes: usize,
}

impl Code {
    /// # Safety
    ///
    /// The first function in `memory` has the signature of [`Entry`].
    pub(crate) unsafe fn new(memory: ExecutableMemory, bytes: usize) -> Code {
        // SAFETY: the caller's promise.
        let entry = unsafe { std::mem::transmute::<*mut u8, Entry>(memory.base().as_ptr()) };
        Code { _memory: memory, entry, bytes }
    }

    /// Bytes of machine code.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of the code.
    pub fn address(&self) -> usize {
        self.entry as usize
    }

    /// Runs it over a burst.
    ///
    /// # Panics
    ///
    /// If there are fewer verdicts than packets.
    ///
    /// # Safety
    ///
    /// The context's tables have a row for everything that the module or program declares, and its maps have the shapes declared there.
    #[inline]
    pub unsafe fn run(&self, context: &Context, packets: &[Packet<'_>], verdicts: &mut [u32]) {
        assert!(verdicts.len() >= packets.len(), "a verdict for each packet");
        // SAFETY: the caller's promise, and the lengths were compared.
        unsafe { (self.entry)(context, packets.as_ptr(), packets.len() as u64, verdicts.as_mut_ptr()) }
    }
}
