//! The sketches of the first Oko: sets and counts that are told of by look-ups, as programs for it expect.
//!
//! A *count-min sketch* has `hashes` rows of `capacity` counters of 32 bits (Cormode and Muthukrishnan, "An improved data stream summary"); an
//! element has one counter in each row, and how often it was put in is at most the least of them. A *Bloom filter* has `capacity` times 8
//! bits. The places of an element come from one keyed hash (Kirsch and Mitzenmacher, "Less hashing, same performance").
//!
//! A look-up answers by an address, where the answer then lies until the same worker looks the next element up. So each worker has a line for
//! answers; they would mix (and be no less answers to somebody) only among more than [`LINES`] workers at a time.

use std::ptr::NonNull;

use crate::entry::Found;
use crate::hash::Seed;
use crate::memory::Memory;
use crate::readers::worker;
use crate::shape::Summary;
use crate::sync::{AtomicU32, Ordering};

/// How many workers have a line of their own.
const LINES: u32 = 128;
/// Bytes of a line.
const LINE: usize = 64;

/// What a sketch takes in memory, answers included.
pub(crate) fn bytes(summary: Summary, capacity: u32, hashes: u32) -> u64 {
    words(summary, capacity, hashes) * 4 + u64::from(LINES) * LINE as u64
}

fn words(summary: Summary, capacity: u32, hashes: u32) -> u64 {
    match summary {
        Summary::Count => u64::from(hashes) * u64::from(capacity),
        Summary::Presence => u64::from(capacity).div_ceil(4),
    }
}

#[derive(Debug)]
pub(crate) struct Sketch {
    summary: Summary,
    memory: Memory,
    answers: Memory,
    capacity: u32,
    hashes: u32,
    seed: Seed,
}

impl Sketch {
    pub(crate) fn new(summary: Summary, capacity: u32, hashes: u32) -> Option<Sketch> {
        let memory = Memory::zeroed(words(summary, capacity, hashes) * 4)?;
        let answers = Memory::zeroed(u64::from(LINES) * LINE as u64)?;
        Some(Sketch { summary, memory, answers, capacity, hashes, seed: Seed::random() })
    }

    fn word(&self, index: u64) -> &AtomicU32 {
        debug_assert!(index < words(self.summary, self.capacity, self.hashes));
        // SAFETY: callers give an index below the number of words; all are only accessed atomically.
        unsafe { self.memory.at(index as usize * 4).cast::<AtomicU32>().as_ref() }
    }

    /// A number below `range` for each hash function.
    fn places(&self, element: &[u64], range: u64) -> impl Iterator<Item = u64> + use<> {
        let hash = self.seed.hash(element);
        // Odd, so that the places differ.
        let step = hash.rotate_left(32) | 1;
        (0..u64::from(self.hashes)).map(move |row| {
            let mixed = hash.wrapping_add(row.wrapping_mul(step));
            ((u128::from(mixed) * u128::from(range)) >> 64) as u64
        })
    }

    /// The counters of an element: one in each row, and rows do not overlap.
    fn counters(&self, element: &[u64]) -> impl Iterator<Item = &AtomicU32> {
        let width = u64::from(self.capacity);
        let places = self.places(element, width).enumerate();
        places.map(move |(row, place)| self.word(row as u64 * width + place))
    }

    /// The bits of an element: word and mask.
    fn bits(&self, element: &[u64]) -> impl Iterator<Item = (&AtomicU32, u32)> {
        let places = self.places(element, u64::from(self.capacity) * 8);
        places.map(|bit| (self.word(bit / 32), 1 << (bit % 32)))
    }

    /// Puts an element in. Counters stop at their greatest number.
    pub(crate) fn add(&self, element: &[u64]) {
        match self.summary {
            Summary::Count => {
                for counter in self.counters(element) {
                    let add = |count: u32| count.checked_add(1);
                    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
                }
            }
            Summary::Presence => {
                for (word, bit) in self.bits(element) {
                    if word.load(Ordering::Relaxed) & bit == 0 {
                        word.fetch_or(bit, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// What is known of an element: how often it was put in at most; 1 if it may have been, else 0.
    fn tell(&self, element: &[u64]) -> u32 {
        match self.summary {
            Summary::Count => {
                self.counters(element).map(|counter| counter.load(Ordering::Relaxed)).min().unwrap_or(0)
            }
            Summary::Presence => {
                let set = |(word, bit): (&AtomicU32, u32)| word.load(Ordering::Relaxed) & bit != 0;
                u32::from(self.bits(element).all(set))
            }
        }
    }

    /// What is known of an element, at the calling worker's address for answers.
    pub(crate) fn find(&self, element: &[u64]) -> Found {
        let answer: NonNull<u8> = self.answers.at((worker() % LINES) as usize * LINE);
        // SAFETY: the line lies in the memory, aligned; this crate accesses it atomically, and programs as memory of their own.
        let cell = unsafe { answer.cast::<AtomicU32>().as_ref() };
        cell.store(self.tell(element), Ordering::Relaxed);
        Found { value: answer.as_ptr(), generation: 0 }
    }

    /// Copies what is known of an element.
    pub(crate) fn read(&self, element: &[u64]) -> Box<[u8]> {
        self.tell(element).to_ne_bytes().into()
    }

    pub(crate) fn clear(&self) {
        for index in 0..words(self.summary, self.capacity, self.hashes) {
            self.word(index).store(0, Ordering::Relaxed);
        }
    }
}
