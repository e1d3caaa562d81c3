//! The threads of this process that look at structures which a control thread changes: their numbers, and their slots for [grace
//! periods](crate::epoch).

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::epoch::{Epoch, Ticket, UNPINNED};
use crate::sync::{AtomicU64, Ordering};

static EPOCH: Epoch = Epoch::from(AtomicU64::new(1));
static READERS: Mutex<Vec<Arc<Slot>>> = Mutex::new(Vec::new());

/// A reader's slot, so far from others that no two share a line or a pair of lines that is fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    pinned: AtomicU64,
    /// Whether a thread has it; slots and numbers of threads that have ended go to new ones.
    taken: AtomicU64,
}

#[derive(Debug)]
struct Reader {
    slot: Arc<Slot>,
    number: u32,
    /// How many pins there are in each other.
    depth: Cell<u32>,
}

impl Reader {
    fn register() -> Reader {
        let mut readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
        let free = readers.iter().position(|slot| slot.taken.load(Ordering::Acquire) == 0);
        let number = free.unwrap_or(readers.len());
        if free.is_none() {
            readers.push(Arc::new(Slot { pinned: AtomicU64::new(UNPINNED), taken: AtomicU64::new(0) }));
        }
        let slot = Arc::clone(&readers[number]);
        slot.taken.store(1, Ordering::Relaxed);
        Reader { slot, number: number as u32, depth: Cell::new(0) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.slot.taken.store(0, Ordering::Release);
    }
}

thread_local! {
    static READER: OnceCell<Reader> = const { OnceCell::new() };
}

fn with_reader<T>(body: impl FnOnce(&Reader) -> T) -> T {
    READER.with(|reader| body(reader.get_or_init(Reader::register)))
}

/// The number of this thread among those that use maps, from 0; numbers of threads that have ended are given again.
#[inline]
pub fn worker() -> u32 {
    with_reader(|reader| reader.number)
}

/// While it lives, nothing that this thread finds in a table of the control plane changes or goes away.
#[derive(Debug)]
pub struct Pin {
    /// It belongs to its thread.
    here: PhantomData<*const ()>,
}

/// Pins this thread; cheap, and may be done in each other.
#[inline]
pub fn pin() -> Pin {
    with_reader(|reader| {
        let depth = reader.depth.get();
        if depth == 0 {
            EPOCH.pin(&reader.slot.pinned);
        }
        reader.depth.set(depth + 1);
    });
    Pin { here: PhantomData }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        with_reader(|reader| {
            let depth = reader.depth.get() - 1;
            reader.depth.set(depth);
            if depth == 0 {
                EPOCH.unpin(&reader.slot.pinned);
            }
        });
    }
}

/// A ticket for what was taken out of a structure before.
pub(crate) fn ticket() -> Ticket {
    EPOCH.ticket()
}

/// The latest ticket that has passed.
pub(crate) fn passed() -> Ticket {
    let readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
    EPOCH.passed(readers.iter().map(|slot| &slot.pinned))
}

/// Waits until a ticket has passed; `false` at once if this thread itself is pinned, for then it never would.
pub(crate) fn wait_for(ticket: Ticket) -> bool {
    if with_reader(|reader| reader.depth.get()) != 0 {
        return false;
    }
    let mut rounds = 0_u32;
    while passed() < ticket {
        rounds += 1;
        // A burst takes microseconds, unless the worker's thread was put aside.
        if rounds < 100 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    true
}
