//! Biased locking: whether a thread is the only one that is at the maps, so that it may take lock words without a locked instruction.
//!
//! Each thread that is pinned has said so in its slot. At most one of them has the *bias*; while it has, nobody else is pinned, so it
//! writes lock words by plain stores. Another one that pins itself takes the bias away first and waits for the end of the burst that the
//! holder is in, if it is in one. The bias is asked for, never for free: a *claim* is answered by looking at all slots.
//!
//! A pin writes the slot, then fences, then reads the word; a claim and a revocation write the word, then fence, then read the slots. So of
//! two threads at least one sees the other. The fence of pins is the light one, for there are very many of these.
//!
//! What holds:
//! - A thread whose [`Bias::enter`] gave [`Mode::Alone`] is alone from then until it unpins: all others were seen unpinned after the
//!   claim, and who pinned itself later waits in [`Bias::enter`].
//! - [`Bias::enter`] waits for one burst of one other thread at most, and holds no lock word meanwhile.

use crate::sync::{AtomicU64, Ordering, heavy_fence, step_aside};

/// Nobody has it.
const NOBODY: u64 = 0;
/// Of a word: somebody asks for it and does not have it yet.
const CLAIMED: u64 = 1;
/// Of a word: somebody has it until his burst ends.
const REVOKED: u64 = 2;
/// Where the number of a thread is in a word.
const NUMBER_SHIFT: u32 = 2;

/// What a thread that is pinned may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody else is pinned.
    Alone,
    /// Others may be.
    Shared,
}

/// Who has the bias.
#[derive(Debug)]
pub(crate) struct Bias(AtomicU64);

/// The slots of the threads, by their numbers.
pub(crate) trait Slots {
    /// Whether any thread but this one is pinned.
    fn others_pinned(&self, number: u32) -> bool;

    /// A thread's burst: not 0 and another one in each, 0 while it is not pinned.
    fn burst(&self, number: u32) -> u64;
}

/// A thread as the one that has the bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder(u64);

impl Holder {
    /// The thread of this number.
    pub(crate) fn of(number: u32) -> Holder {
        Holder(word(number))
    }
}

fn word(number: u32) -> u64 {
    u64::from(number + 1) << NUMBER_SHIFT
}

impl Bias {
    /// From a word that is 0. (The model checker's cannot be made in constants.)
    pub(crate) const fn from(word: AtomicU64) -> Bias {
        Bias(word)
    }

    /// Whether a thread, which has just pinned itself and fenced, has the bias; for most pins this is all.
    #[inline]
    pub(crate) fn is_held_by(&self, thread: Holder) -> bool {
        self.0.load(Ordering::Acquire) == thread.0
    }

    /// Whether nobody has it or asks for it.
    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.0.load(Ordering::Acquire) == NOBODY
    }

    /// What a thread that has just pinned itself and fenced may rely on. Takes the bias away from another thread.
    pub(crate) fn enter(&self, number: u32, slots: &impl Slots) -> Mode {
        loop {
            let seen = self.0.load(Ordering::Acquire);
            let holder = (seen >> NUMBER_SHIFT).wrapping_sub(1) as u32;
            if seen == NOBODY {
                return Mode::Shared;
            }
            if seen == word(number) {
                return Mode::Alone;
            }
            if holder == number {
                // It is being taken away from us; who does that waits for us, not we for him.
                return Mode::Shared;
            }
            if seen & CLAIMED != 0 {
                // He does not have it before he has changed this word.
                let _ = self.change(seen, NOBODY);
            } else if seen & REVOKED != 0 || self.change(seen, seen | REVOKED) {
                heavy_fence();
                let burst = slots.burst(holder);
                while burst != 0 && slots.burst(holder) == burst {
                    step_aside();
                }
                let _ = self.change(word(holder) | REVOKED, NOBODY);
                return Mode::Shared;
            }
        }
    }

    /// Asks for the bias, for a thread that is pinned.
    pub(crate) fn claim(&self, number: u32, slots: &impl Slots) -> Mode {
        if !self.change(NOBODY, word(number) | CLAIMED) {
            return Mode::Shared;
        }
        heavy_fence();
        let wanted = if slots.others_pinned(number) { NOBODY } else { word(number) };
        // If this fails, another one has come and cancelled the claim.
        if self.change(word(number) | CLAIMED, wanted) && wanted != NOBODY {
            Mode::Alone
        } else {
            Mode::Shared
        }
    }

    /// Gives the bias back, for a thread that ends and is not pinned.
    pub(crate) fn give_back(&self, number: u32) {
        let _ = self.change(word(number), NOBODY);
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
