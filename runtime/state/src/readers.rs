//! The threads of this process that look at maps: their numbers, and their slots for [grace periods](crate::epoch) and for
//! [biased locking](crate::bias).

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, compiler_fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::barrier::{free_fence, is_asymmetric};
use crate::bias::{Bias, Holder, Mode, Slots};
use crate::epoch::{Epoch, Ticket, UNPINNED};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

static EPOCH: Epoch = Epoch::from(AtomicU64::new(1));
static BIAS: Apart<Bias> = Apart(Bias::from(AtomicU64::new(0)));
static SLOTS: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

/// How many bursts a thread waits before it asks for the bias the first time, and at most. Asking and losing it again cost some
/// microseconds each, so who loses it soon waits longer the next time.
const PATIENCE: u32 = 16;
const MOST_PATIENCE: u32 = 1 << 20;
/// Who keeps the bias for so many bursts has not lost it soon.
const LONG: u64 = 1 << 14;

/// So far from others that no two share a line or a pair of lines that is fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// What there is of a thread. Only the thread itself writes it, but for `taken`; slots are never freed, those of threads that have ended go
/// to new ones.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    /// For grace periods.
    pinned: AtomicU64,
    /// Counts bursts, from 1.
    burst: AtomicU64,
    /// How many pins there are beside the first one. Most bursts leave it at 0: it costs them no store.
    further: AtomicU32,
    /// Whether the thread was alone when it pinned itself last.
    alone: AtomicBool,
    /// Whether a thread has the slot.
    taken: AtomicBool,
    /// Its place among the slots.
    number: u32,
    /// The thread as the one that has the bias.
    holder: Holder,
    /// After so many bursts without the bias the thread asks for it.
    patience: AtomicU32,
    /// What its patience was at first.
    patience_begun: AtomicU32,
    /// The burst since which it has the bias.
    alone_since: AtomicU64,
}

impl Slot {
    /// A slot for the calling thread.
    #[cold]
    fn register() -> &'static Slot {
        let mut slots = slots();
        let free = slots.iter().find(|slot| !slot.taken.load(Ordering::Acquire)).copied();
        let slot = free.unwrap_or_else(|| {
            let slot: &'static Slot = Box::leak(Box::new(Slot {
                pinned: AtomicU64::new(UNPINNED),
                burst: AtomicU64::new(1),
                further: AtomicU32::new(0),
                alone: AtomicBool::new(false),
                taken: AtomicBool::new(false),
                number: slots.len() as u32,
                holder: Holder::of(slots.len() as u32),
                patience: AtomicU32::new(0),
                patience_begun: AtomicU32::new(0),
                alone_since: AtomicU64::new(0),
            }));
            slots.push(slot);
            slot
        });
        slot.taken.store(true, Ordering::Relaxed);
        slot.alone.store(false, Ordering::Relaxed);
        slot.be_patient(PATIENCE);
        MINE.set(Some(slot));
        // A thread that is about to end keeps its slot.
        let _ = LEASE.try_with(|lease| lease.0.set(Some(slot)));
        slot
    }

    #[inline]
    fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed) != UNPINNED
    }

    /// The first pin; says whether the thread is alone.
    #[inline]
    fn pin(&self) -> bool {
        if self.alone.load(Ordering::Relaxed) {
            EPOCH.mark(&self.pinned);
            // The bias is given where that is free.
            free_fence();
            if BIAS.0.is_held_by(self.holder) {
                return true;
            }
        } else {
            EPOCH.pin(&self.pinned);
        }
        self.pin_beside_others()
    }

    #[inline]
    fn unpin(&self) {
        EPOCH.unpin(&self.pinned);
        self.burst.store(self.burst.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// The rest of a pin if the thread had not got the bias, or has it no more; says whether it is alone.
    fn pin_beside_others(&self) -> bool {
        if self.alone.load(Ordering::Relaxed) {
            self.alone.store(false, Ordering::Relaxed);
            self.bias_is_lost();
        }
        let patience = self.patience.load(Ordering::Relaxed);
        let free = BIAS.0.is_free();
        if free && (patience > 0 || !is_asymmetric() || !cfg!(target_arch = "x86_64")) {
            self.patience.store(patience.saturating_sub(1), Ordering::Relaxed);
            return false;
        }
        let mode = if free { BIAS.0.claim(self.number, &All) } else { BIAS.0.enter(self.number, &All) };
        if mode == Mode::Alone {
            self.alone.store(true, Ordering::Relaxed);
            self.alone_since.store(self.burst.load(Ordering::Relaxed), Ordering::Relaxed);
        } else if free {
            self.be_patient(self.patience_begun.load(Ordering::Relaxed).saturating_mul(2));
            // The claim may have failed because another one has the bias.
            let mode = BIAS.0.enter(self.number, &All);
            debug_assert_eq!(mode, Mode::Shared, "nobody gives the bias away");
        }
        mode == Mode::Alone
    }

    #[cold]
    fn bias_is_lost(&self) {
        let burst = self.burst.load(Ordering::Relaxed);
        let soon = burst.wrapping_sub(self.alone_since.load(Ordering::Relaxed)) < LONG;
        let patience = self.patience_begun.load(Ordering::Relaxed).saturating_mul(4);
        self.be_patient(if soon { patience } else { PATIENCE });
    }

    fn be_patient(&self, bursts: u32) {
        let bursts = bursts.min(MOST_PATIENCE);
        self.patience.store(bursts, Ordering::Relaxed);
        self.patience_begun.store(bursts, Ordering::Relaxed);
    }
}

/// Gives a slot back when its thread ends.
struct Lease(Cell<Option<&'static Slot>>);

impl Drop for Lease {
    fn drop(&mut self) {
        MINE.set(None);
        // A thread that ends pinned, because a pin outlives it in another thread-local variable, keeps its slot.
        if let Some(slot) = self.0.get().filter(|slot| !slot.is_pinned()) {
            BIAS.0.give_back(slot.number);
            slot.taken.store(false, Ordering::Release);
        }
    }
}

/// The slots of all threads. Who gets one later pins itself later.
struct All;

impl Slots for All {
    fn others_pinned(&self, number: u32) -> bool {
        let slots = slots();
        let mut others = slots.iter().filter(|slot| slot.number != number);
        others.any(|slot| slot.pinned.load(Ordering::Acquire) != UNPINNED)
    }

    fn burst(&self, number: u32) -> u64 {
        let Some(&slot) = slots().get(number as usize) else { return 0 };
        if slot.pinned.load(Ordering::Acquire) == UNPINNED { 0 } else { slot.burst.load(Ordering::Acquire) }
    }
}

fn slots() -> MutexGuard<'static, Vec<&'static Slot>> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static MINE: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

#[inline]
fn mine() -> &'static Slot {
    match MINE.get() {
        Some(slot) => slot,
        None => Slot::register(),
    }
}

/// The number of this thread among those that use maps, from 0; numbers of threads that have ended are given again.
#[inline]
pub fn worker() -> u32 {
    mine().number
}

/// The same if the thread has used maps before.
#[inline]
pub fn worker_if_known() -> Option<u32> {
    MINE.get().map(|slot| slot.number)
}

/// While it lives, nothing that this thread finds in a table of the control plane changes or goes away, and it may take lock words.
#[derive(Debug)]
pub struct Pin {
    slot: &'static Slot,
    alone: bool,
    /// It belongs to its thread.
    here: PhantomData<*const ()>,
}

/// Pins this thread if that is quick: if it has used maps before, is not pinned, and is [alone](Pin::is_alone) without having to ask for it.
#[inline]
pub fn pin_alone() -> Option<Pin> {
    let slot = MINE.get().filter(|slot| !slot.is_pinned())?;
    EPOCH.mark(&slot.pinned);
    // Whoever has the bias was given it where that is free, and if not, nothing comes of it.
    compiler_fence(Ordering::SeqCst);
    if !BIAS.0.is_held_by(slot.holder) {
        EPOCH.unpin(&slot.pinned);
        return None;
    }
    Some(Pin { slot, alone: true, here: PhantomData })
}

/// Pins this thread; cheap, and may be done in each other. It may have to wait for the end of one burst of one other thread.
#[inline]
pub fn pin() -> Pin {
    let slot = mine();
    let alone = if slot.is_pinned() {
        slot.further.store(slot.further.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        slot.alone.load(Ordering::Relaxed)
    } else {
        slot.pin()
    };
    Pin { slot, alone, here: PhantomData }
}

impl Pin {
    /// The number of this thread: [`worker`].
    #[inline]
    pub fn worker(&self) -> u32 {
        self.slot.number
    }

    /// Whether no other thread is pinned or will be before this one is unpinned: then lock words may be taken and given back by plain stores.
    /// Never so where plain stores may be seen in another order than they were made.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Takes a lock word as [`lock`](crate::lock) does, by a plain store if this thread is [alone](Self::is_alone).
    ///
    /// # Safety
    ///
    /// As of [`lock`](crate::lock).
    #[inline]
    pub unsafe fn lock(&self, word: *mut u32) {
        if self.alone {
            // SAFETY: the caller's promise; lock words are accessed atomically by everybody.
            let word = unsafe { AtomicU32::from_ptr(word) };
            // Nobody else takes lock words, so it is free.
            word.store(word.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
            fence(Ordering::Release);
        } else {
            // SAFETY: the caller's promise.
            unsafe { crate::lock(word) }
        }
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        // Whichever of several ends last is the last one.
        match self.slot.further.load(Ordering::Relaxed) {
            0 => self.slot.unpin(),
            further => self.slot.further.store(further - 1, Ordering::Relaxed),
        }
    }
}

/// Whether this thread is pinned.
pub(crate) fn is_pinned() -> bool {
    mine().is_pinned()
}

/// A ticket for what was taken out of a structure before.
pub(crate) fn ticket() -> Ticket {
    EPOCH.ticket()
}

/// The latest ticket that has passed.
pub(crate) fn passed() -> Ticket {
    let slots = slots();
    EPOCH.passed(slots.iter().map(|slot| &slot.pinned))
}

/// Waits until a ticket has passed; `false` at once if this thread itself is pinned, for then it never would.
pub(crate) fn wait_for(ticket: Ticket) -> bool {
    if is_pinned() {
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
