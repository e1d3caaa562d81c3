//! The direct table of a prefix table: where generated code finds the longest prefix of an address in a few steps of its own.
//!
//! The trie has all prefixes and answers any question. Most prefix tables are of addresses, though, and most of these are told by their first bits. So tables
//! whose keys are [addresses](Form) have besides the trie, by their first [`slot_bits`](Form::slot_bits) bits, what the trie answers: one answer, if it is the same for
//! all addresses that begin so, or else the *ranges* of addresses in which it is the same, in order. Whoever changes the trie makes the slots that the prefix concerns anew.
//!
//! A [`Probe`](crate::probe::Probe) leads code there. In steps, for an address whose first 64 bits, filled up with 0 behind, are `high`:
//!
//! 1. The slot: a word at `index + 8 * (high >> 64 - slot_bits)`; if keys tell the family, those of family 6 lie behind all those of family 4, and of other
//!    families there are none, so that the trie is asked.
//! 2. If the slot's bit [`RANGES`] is not set, it is the *answer*. If it is, the word less that bit is the address of their number, and two words for each range follow: its first
//!    `high` and its answer. The last range that begins at `high` or before has it; there is always one.
//! 3. An answer is the address of the value, 0 for none, or [`UNKNOWN`], which only ranges have: the trie is to be asked, for an address of more than 64 bits counts
//!    as a whole, or the ranges are too many.
//!
//! Ranges never change; they are freed after a grace period. So all this is for threads that are [pinned](crate::pin). The memory of slots is there from the start, that of ranges is
//! allocated by whoever changes the table, and besides what is in use up to a megabyte may wait for readers, and what one change has replaced.
//!
//! It is the control plane that pays for all this, which changes a table seldom. A program that changes one while it has a packet does not: with its first change, all slots
//! are left to the trie, for good.

use std::collections::{BTreeMap, VecDeque};

use crate::epoch::Ticket;
use crate::memory::Memory;
use crate::readers;
use crate::sync::{AtomicU64, Ordering};

/// The bit of a slot that is set if it leads to ranges.
pub const RANGES: u64 = 1;
/// The answer that the trie is to be asked.
pub const UNKNOWN: u64 = 2;
/// Bytes of a range: its first address and its answer.
pub const RANGE_BYTES: u32 = 16;
/// The family whose slots come first, and the other one.
pub const FAMILIES: [u8; 2] = [4, 6];

/// Bits of a family in a key.
const FAMILY_BITS: u32 = 8;
/// So many slots there are at least, and at most, as a power of two.
const SLOT_BITS: (u32, u32) = (8, 16);
/// A slot with more ranges is left to the trie: so changes stay cheap.
const MOST_RANGES: usize = 1_024;
/// So many words of ranges that may still be looked at wait for one ticket, and so many wait in all.
const TOGETHER: usize = 1 << 13;
const MOST_WAITING: usize = 1 << 17;
/// What a slot leads to that is left to the trie.
static LEFT: [u64; 3] = [1, 0, UNKNOWN];

/// How the keys lie of a table that has a direct table: perhaps a byte that tells the family, and an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether a byte before the address tells its family.
    pub has_family: bool,
    /// Bytes of the address: 4, 8 or 16.
    pub address_bytes: u32,
    /// How many bits number a slot.
    pub slot_bits: u32,
}

impl Form {
    /// That of a prefix table of this capacity with keys of this size, their length of 4 bytes included; `None` if it has no direct table.
    pub fn of(capacity: u32, key_size: u32) -> Option<Form> {
        let (has_family, address_bytes) = match key_size.checked_sub(crate::prefix::LENGTH_BYTES)? {
            bytes @ (4 | 8 | 16) => (false, bytes),
            17 => (true, 16),
            _ => return None,
        };
        let (least, most) = SLOT_BITS;
        // Some four for each prefix: most have it for themselves then.
        let slot_bits = (capacity.max(1).ilog2() + 2).clamp(least, most);
        Some(Form { has_family, address_bytes, slot_bits })
    }

    /// Bits of a key before the address.
    pub(crate) fn lead(self) -> u32 {
        if self.has_family { FAMILY_BITS } else { 0 }
    }

    /// How many slots there are.
    pub(crate) fn slots(self) -> u32 {
        1 << (self.slot_bits + u32::from(self.has_family))
    }

    /// What the table takes in memory with so many prefixes at most. A prefix that is longer than a slot begins a range and ends it, where another one begins, behind the first of
    /// the slot and the number of all; a shorter one is whole slots.
    pub(crate) fn bytes(self, capacity: u32) -> u64 {
        8 * u64::from(self.slots()) + u64::from(capacity) * 4 * u64::from(RANGE_BYTES)
    }
}

/// From an address on, the answer is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) answer: u64,
}

/// Ranges that are put together, in the order of their addresses.
#[derive(Debug)]
pub(crate) struct Ranges {
    ranges: Vec<Range>,
    /// No more than these are wanted, and one.
    most: usize,
}

impl Ranges {
    /// For slots of addresses of which so many bits are known.
    pub(crate) fn of(form: Form, bits: u32) -> Ranges {
        Ranges { ranges: Vec::new(), most: if bits < form.slot_bits { usize::MAX } else { MOST_RANGES } }
    }

    /// From an address on that is not before the last one, the answer is another one.
    pub(crate) fn begin(&mut self, first: u64, answer: u64) {
        if self.ranges.last().is_some_and(|last| last.first == first) {
            self.ranges.pop();
        }
        if self.ranges.last().is_none_or(|last| last.answer != answer) {
            self.ranges.push(Range { first, answer });
        }
    }

    /// Whether there are more than a slot may have, so that the rest does not matter.
    pub(crate) fn are_too_many(&self) -> bool {
        self.ranges.len() > self.most
    }
}

#[derive(Debug)]
pub(crate) struct Direct {
    pub(crate) form: Form,
    slots: Memory,
}

/// What belongs to the one who changes the table.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// The ranges of slots that have any.
    ranges: BTreeMap<u32, Vec<u64>>,
    /// Those that were taken out lately and have no ticket yet, and how many words they have.
    untimed: (Vec<Vec<u64>>, usize),
    /// Those that are waited for, in the order of their tickets.
    waiting: VecDeque<(Ticket, Vec<u64>)>,
    /// How many words all these have.
    words: usize,
    /// Whether all slots are left to the trie.
    is_left: bool,
}

/// The ranges of a slot whose addresses begin at `start`, as code reads them; `None` if they are left to the trie: they are too many, or there is no memory.
fn made(ranges: &[Range], start: u64) -> Option<Vec<u64>> {
    if ranges.len() > MOST_RANGES {
        return None;
    }
    let mut words = Vec::new();
    words.try_reserve_exact(1 + 2 * ranges.len()).ok()?;
    words.push(ranges.len() as u64);
    words.extend(words_of(ranges, start));
    Some(words)
}

fn words_of(ranges: &[Range], start: u64) -> impl Iterator<Item = u64> {
    ranges.iter().flat_map(move |range| [range.first.max(start), range.answer])
}

impl Owned {
    /// Takes ranges back that no slot leads to any more.
    fn retire(&mut self, ranges: Vec<u64>) {
        self.words += ranges.len();
        self.untimed.1 += ranges.len();
        self.untimed.0.push(ranges);
    }

    /// After a change: frees what nobody looks at any more. If too much waits, gives the ticket that the caller is to [wait for](readers::wait_for) before the next
    /// change, when it has no lock that a reader may want.
    pub(crate) fn settle(&mut self) -> Option<Ticket> {
        if self.untimed.1 > TOGETHER {
            self.time();
            self.reclaim();
        }
        if self.words <= MOST_WAITING {
            return None;
        }
        self.time();
        self.waiting.back().map(|&(latest, _)| latest)
    }

    /// Gets a ticket for what has none yet.
    fn time(&mut self) {
        let (untimed, _) = std::mem::take(&mut self.untimed);
        if !untimed.is_empty() {
            let ticket = readers::ticket();
            self.waiting.extend(untimed.into_iter().map(|ranges| (ticket, ranges)));
        }
    }

    /// Frees what nobody looks at any more.
    pub(crate) fn reclaim(&mut self) {
        let passed = readers::passed();
        while let Some((_, ranges)) = self.waiting.pop_front_if(|(ticket, _)| *ticket <= passed) {
            self.words -= ranges.len();
        }
    }
}

impl Direct {
    pub(crate) fn new(form: Form) -> Option<Direct> {
        let slots = Memory::zeroed(8 * u64::from(form.slots()))?;
        Some(Direct { form, slots })
    }

    /// Where the first slot is.
    pub(crate) fn first(&self) -> *const u8 {
        self.slots.at(0).as_ptr()
    }

    /// Whether slots are to be written after a change by this thread. If it is pinned, they all are left to the trie, from now on.
    pub(crate) fn is_kept(&self, owned: &mut Owned) -> bool {
        if readers::is_pinned() {
            if !std::mem::replace(&mut owned.is_left, true) {
                (0..self.form.slots()).for_each(|number| self.store(number, left()));
            }
        } else if owned.is_left {
            // Whoever left them frees nothing while it has a packet.
            std::mem::take(&mut owned.ranges).into_values().for_each(|ranges| owned.retire(ranges));
        }
        !owned.is_left
    }

    fn store(&self, number: u32, word: u64) {
        // SAFETY: slots have numbers below their count and are words; all are only accessed atomically.
        let slot = unsafe { self.slots.at(number as usize * 8).cast::<AtomicU64>().as_ref() };
        // Release: who finds the ranges reads them.
        slot.store(word, Ordering::Release);
    }

    /// Writes the slots of so many first bits of an address, of a family by its place among the [`FAMILIES`]. The ranges begin where these slots do, or before.
    pub(crate) fn write(&self, owned: &mut Owned, family: usize, (high, bits): (u64, u32), ranges: &Ranges) {
        let slot_bits = self.form.slot_bits;
        let first = (high >> (64 - slot_bits)) as u32;
        let mut rest = &ranges.ranges[..];
        for number in first..first + (1 << (slot_bits - bits)) {
            let start = u64::from(number) << (64 - slot_bits);
            let last = start | u64::MAX >> slot_bits;
            while rest.get(1).is_some_and(|next| next.first <= start) {
                rest = &rest[1..];
            }
            let own = rest.iter().take_while(|range| range.first <= last).count();
            let number = (family as u32) << slot_bits | number;
            self.write_slot(owned, (number, start), &rest[..own]);
            rest = &rest[own.saturating_sub(1)..];
        }
    }

    /// Writes one slot, whose addresses begin at `start`. What stays as it is needs no new memory, and the old needs no grace.
    fn write_slot(&self, owned: &mut Owned, (number, start): (u32, u64), ranges: &[Range]) {
        let old = match *ranges {
            [Range { answer, .. }] => {
                self.store(number, if answer == UNKNOWN { left() } else { answer });
                owned.ranges.remove(&number)
            }
            _ if owned
                .ranges
                .get(&number)
                .is_some_and(|old| words_of(ranges, start).eq(old[1..].iter().copied())) =>
            {
                None
            }
            _ => match made(ranges, start) {
                Some(made) => {
                    self.store(number, made.as_ptr().expose_provenance() as u64 | RANGES);
                    owned.ranges.insert(number, made)
                }
                None => {
                    self.store(number, left());
                    owned.ranges.remove(&number)
                }
            },
        };
        if let Some(old) = old {
            owned.retire(old);
        }
    }
}

/// What a slot has that is left to the trie.
fn left() -> u64 {
    LEFT.as_ptr().expose_provenance() as u64 | RANGES
}
