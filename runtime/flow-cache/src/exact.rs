//! A set-associative table from keys to nodes of trees.
//!
//! A key's hash chooses a set of eight ways. The set is one cache line: eight signatures of 32 bits and eight values; the
//! keys themselves lie apart, a line each, or two if they are long. A lookup takes two steps, so that a burst can have all its lines on the way before
//! the first is needed: see [`Lookups`](crate::Lookups).
//!
//! # Epochs
//!
//! A key carries the *epoch* of the tables that its value was found or confirmed under. The user of the cache moves on to the next epoch
//! ([`advance`](ExactCache::advance)) and decides for each key of an earlier one whether it still holds, or lets go of all at once
//! ([`begin`](ExactCache::begin)), which costs nothing either.
//!
//! # Replacement
//!
//! A new key goes to its set, or where that is full to the neighbour, which is asked only if this has happened. Where both are full, it
//! takes the place of another. A way carries a bit that says it was found since it was stored, or since its set was last aged; one without it
//! goes first. Where all have it, all lose it, and now and then one does besides. A new key starts without. So keys that come once push out each
//! other and not those that are in use: a scan, or traffic crafted to miss, cannot empty the cache.
//!
//! # Size
//!
//! The cache begins with few sets, which lie close together, and doubles their number when keys push each other out, up to its capacity. Nothing is
//! moved then: half the keys are not found where they are looked for from now on, and are learned anew. What their ways hold is known by
//! the signature, which has the bits that choose a set, and is the first to go.
//!
//! The hash is keyed with secrets of the instance, so nobody can choose packets that share a set.

use crate::gather::Layouts;
use crate::key::{Key, with_width};
use crate::memory::{Zeroable, Zeroed, prefetch};

/// Ways of a set.
pub const WAYS: usize = 8;

/// Where a key was found, and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place in the cache.
    pub way: u32,
    /// What is stored there.
    pub value: u32,
    /// The epoch in which that held.
    pub epoch: u64,
}

/// Signatures and values of a set; a signature of 0 is an empty way.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Set {
    signatures: [u32; WAYS],
    values: [u32; WAYS],
}

// SAFETY: integers.
unsafe impl Zeroable for Set {}

/// A line of a stored key: epoch, tag and the first words; the further words of a long key fill a second line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u64; 8]);

// SAFETY: integers.
unsafe impl Zeroable for Line {}

/// Words of a key that the first line has room for.
const FIRST_WORDS: usize = 6;
/// Sets that a cache begins with.
const FIRST_SETS: usize = 1024;
/// Replacements in a set after which the next of its ways has to be found again to count as used.
const AGE_TURNS: u32 = 32;
/// One of so many ways may be pushed out before the cache grows.
const PRESSURE: usize = 32;
/// The bit of a signature that says that the way was found lately.
const USED: u32 = 1;
/// The bit of a signature that says that there is a key.
const TAKEN: u32 = 2;
/// The bit of the first signature of a set that says that keys of it are with the neighbour.
const SPILLED: u32 = 4;
/// The bits of a signature that are a hash's, of which the lowest choose the set.
const HASH: u32 = !(USED | TAKEN | SPILLED);
const HASH_SHIFT: u32 = HASH.trailing_zeros();

/// The cache.
#[derive(Debug)]
pub struct ExactCache {
    sets: Zeroed<Set>,
    lines: Zeroed<Line>,
    /// By set, how often a key was replaced: chooses among equals, and says when to age.
    turns: Zeroed<u32>,
    /// By set, the era of its keys: those of another are bygone, all of them.
    eras: Zeroed<u32>,
    era: u32,
    /// The number of sets in use is one more.
    mask: u64,
    /// Words of a key that count.
    width: usize,
    epoch: u64,
    /// Keys of an earlier epoch are bygone.
    oldest: u64,
    /// Keys that were pushed out since the cache grew.
    pushed_out: usize,
    secrets: [u64; Key::WORDS + 2],
}

impl ExactCache {
    /// A cache that grows until it has room for at least so many keys, with four secret random numbers. It has twice as many ways then, so that
    /// few keys have to share sets that are full.
    pub fn new(keys: usize, secrets: [u64; 4]) -> ExactCache {
        let sets = (keys * 2).div_ceil(WAYS).max(1).next_power_of_two();
        ExactCache {
            sets: Zeroed::new(sets),
            // Room for one set of long keys at least.
            lines: Zeroed::new((sets * WAYS).max(2 * WAYS)),
            turns: Zeroed::new(sets),
            eras: Zeroed::new(sets),
            era: 0,
            mask: sets.min(FIRST_SETS) as u64 - 1,
            width: 1,
            epoch: 0,
            oldest: 0,
            pushed_out: 0,
            secrets: std::array::from_fn(|i| {
                let secret = secrets[i % 4].wrapping_add(i as u64);
                fold(secret ^ 0xa076_1d64_78bd_642f, secrets[(i + 1) % 4] ^ 0xe703_7ed1_a0b4_28db) ^ secret
            }),
        }
    }

    /// How many ways there are now.
    pub fn ways(&self) -> usize {
        (self.mask as usize + 1) * WAYS
    }

    /// The epoch of the keys that are stored now.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Lets go of all keys. Those of the new epoch, which must be later than all before, are made by these layouts.
    pub fn begin(&mut self, epoch: u64, layouts: &Layouts) {
        let width = layouts.width();
        if (width > FIRST_WORDS) != self.is_wide() {
            // What is left in the lines does not look like keys any more.
            self.sets.clear();
            self.lines.clear();
            self.mask = self.mask.min(self.most_sets(width) as u64 - 1);
        }
        self.width = width;
        (self.epoch, self.oldest) = (epoch, epoch);
        self.era = self.era.wrapping_add(1);
        self.pushed_out = 0;
    }

    /// Keys that are stored from now on are of a later epoch; the others can be found still.
    pub fn advance(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// A key's hash.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        with_width!(self.width, N => self.hash_of::<N>(key))
    }

    /// The hash of a key of `N` words, the cache's width.
    #[inline]
    pub(crate) fn hash_of<const N: usize>(&self, key: &Key) -> u64 {
        // Pairs of words, each folded with two secrets as in wyhash; the products do not wait for each other.
        let (w, s) = (&key.words, &self.secrets);
        let mut hash = fold(key.tag ^ s[0], w[0] ^ s[1]);
        let mut i = 1;
        while i < N {
            let second = if i + 1 < N { w[i + 1] } else { 0 };
            hash ^= fold(w[i] ^ s[i + 1], second ^ s[i + 2]).rotate_left(11 * i as u32 % 64);
            i += 2;
        }
        // Keys that differ in few bits would share sets otherwise.
        fold(hash ^ s[0], s[1])
    }

    /// Asks for the memory that [`candidate`](Self::candidate) will read.
    #[inline]
    pub(crate) fn prefetch_set(&self, hash: u64) {
        prefetch(&raw const self.sets[self.set(hash)]);
    }

    /// The place where the key of a hash most probably is and the value there, whose memory is asked for. None if it is nowhere.
    #[inline]
    pub(crate) fn candidate(&self, hash: u64) -> Option<(u32, u32)> {
        let (mut set, wanted) = (self.set(hash), signature(hash));
        let mut matches = matches(&self.sets[set], wanted);
        if matches == 0 {
            if self.sets[set].signatures[0] & SPILLED == 0 {
                return None;
            }
            set = self.neighbour(set);
            matches = self::matches(&self.sets[set], wanted);
            if matches == 0 {
                return None;
            }
        }
        let way = matches.trailing_zeros() as usize % WAYS;
        let place = set * WAYS + way;
        prefetch(&raw const self.lines[self.line(place)]);
        Some((place as u32, self.sets[set].values[way]))
    }

    /// Whether a key of `N` words of this epoch is at a place.
    #[inline]
    pub(crate) fn confirm<const N: usize>(&mut self, place: u32, key: &Key) -> bool {
        let place = place as usize;
        let line = if N > FIRST_WORDS { place * 2 } else { place };
        let mut difference = self.lines[line].0[0] ^ self.epoch;
        difference |= self.difference::<N>(line, key);
        if difference != 0 {
            return false;
        }
        let signature = &mut self.sets[place / WAYS].signatures[place % WAYS];
        if *signature & USED == 0 {
            *signature |= USED;
        }
        true
    }

    /// Looks a key up.
    pub fn find(&mut self, key: &Key, hash: u64) -> Option<Found> {
        let set = self.set(hash);
        let found = self.find_in(set, key, hash);
        if found.is_some() || self.sets[set].signatures[0] & SPILLED == 0 {
            return found;
        }
        self.find_in(self.neighbour(set), key, hash)
    }

    fn find_in(&mut self, set: usize, key: &Key, hash: u64) -> Option<Found> {
        let mut matches = matches(&self.sets[set], signature(hash));
        while matches != 0 {
            let way = matches.trailing_zeros() as usize;
            matches &= matches - 1;
            let place = set * WAYS + way;
            let line = self.line(place);
            let epoch = self.lines[line].0[0];
            if epoch >= self.oldest && with_width!(self.width, N => self.difference::<N>(line, key)) == 0 {
                self.sets[set].signatures[way] |= USED;
                return Some(Found { way: place as u32, value: self.sets[set].values[way], epoch });
            }
        }
        None
    }

    /// Stores a key that was not found. The value that was pushed out comes back, unless it was of a bygone epoch.
    pub fn insert(&mut self, key: &Key, hash: u64, value: u32) -> Option<u32> {
        if self.pushed_out > self.ways() / PRESSURE && (self.mask as usize + 1) < self.most_sets(self.width) {
            self.mask = self.mask * 2 + 1;
            self.pushed_out = 0;
        }
        let home = self.set(hash);
        let (set, way) = match self.free_way(home) {
            Some(way) => (home, way),
            None => {
                let next = self.neighbour(home);
                match self.free_way(next) {
                    Some(way) => {
                        self.sets[home].signatures[0] |= SPILLED;
                        (next, way)
                    }
                    None => {
                        self.pushed_out += 1;
                        (home, self.victim(home))
                    }
                }
            }
        };
        let line = self.line(set * WAYS + way);
        let data = &mut self.sets[set];
        let old = (data.signatures[way] & TAKEN != 0).then_some(data.values[way]);
        data.signatures[way] = signature(hash) | data.signatures[way] & SPILLED;
        data.values[way] = value;
        let first = &mut self.lines[line].0;
        (first[0], first[1]) = (self.epoch, key.tag);
        first[2..].copy_from_slice(&key.words[..FIRST_WORDS]);
        if self.is_wide() {
            self.lines[line + 1].0.copy_from_slice(&key.words[FIRST_WORDS..]);
        }
        old
    }

    /// What is stored at a place holds in this epoch, too, with another value perhaps.
    pub fn renew(&mut self, way: u32, value: u32) {
        let (way, line) = (way as usize, self.line(way as usize));
        self.sets[way / WAYS].values[way % WAYS] = value;
        self.lines[line].0[0] = self.epoch;
    }

    /// The bits in which the first `N` words that are stored from a line on differ from a key's.
    #[inline]
    fn difference<const N: usize>(&self, line: usize, key: &Key) -> u64 {
        let first = &self.lines[line].0;
        let mut difference = first[1] ^ key.tag;
        for i in 0..N.min(FIRST_WORDS) {
            difference |= first[2 + i] ^ key.words[i];
        }
        if N > FIRST_WORDS {
            let second = &self.lines[line + 1].0;
            for i in FIRST_WORDS..N {
                difference |= second[i - FIRST_WORDS] ^ key.words[i];
            }
        }
        difference
    }

    /// A way of a set that is empty, or whose key is looked for elsewhere since the cache has grown.
    fn free_way(&mut self, set: usize) -> Option<usize> {
        let data = &mut self.sets[set];
        if self.eras[set] != self.era {
            self.eras[set] = self.era;
            data.signatures = [0; WAYS];
        }
        let pair = set as u64 >> 1;
        let is_free = |signature: u32| {
            signature & TAKEN == 0 || (u64::from(signature >> HASH_SHIFT) & self.mask) >> 1 != pair
        };
        data.signatures.iter().position(|signature| is_free(*signature))
    }

    /// Which way of a full set makes room.
    fn victim(&mut self, set: usize) -> usize {
        let data = &mut self.sets[set];
        let turn = &mut self.turns[set];
        *turn = turn.wrapping_add(1);
        let start = *turn as usize;
        if turn.is_multiple_of(AGE_TURNS) {
            data.signatures[(*turn / AGE_TURNS) as usize % WAYS] &= !USED;
        }
        let unused = (0..WAYS).map(|i| (start + i) % WAYS).find(|way| data.signatures[*way] & USED == 0);
        unused.unwrap_or_else(|| {
            data.signatures.iter_mut().for_each(|signature| *signature &= !USED);
            start % WAYS
        })
    }

    #[inline]
    fn set(&self, hash: u64) -> usize {
        (u64::from(signature(hash) >> HASH_SHIFT) & self.mask) as usize
    }

    /// Where keys go that a set has no room for.
    #[inline]
    fn neighbour(&self, set: usize) -> usize {
        set ^ (self.mask & 1) as usize
    }

    /// The first line of a place.
    #[inline]
    fn line(&self, place: usize) -> usize {
        if self.is_wide() { place * 2 } else { place }
    }

    #[inline]
    fn is_wide(&self) -> bool {
        self.width > FIRST_WORDS
    }

    /// How many sets there is room for.
    fn most_sets(&self, width: usize) -> usize {
        if width > FIRST_WORDS { (self.sets.len() / 2).max(1) } else { self.sets.len() }
    }
}

#[inline]
fn signature(hash: u64) -> u32 {
    (hash >> 32) as u32 & HASH | TAKEN
}

/// The ways of a set with a signature, a bit each.
#[inline]
fn matches(set: &Set, wanted: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m128i, _mm_and_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_load_si128, _mm_movemask_ps,
            _mm_set1_epi32,
        };
        // SAFETY: every x86-64 has SSE2; the signatures are 32 bytes at the start of a line.
        unsafe {
            let halves = set.signatures.as_ptr().cast::<__m128i>();
            let (wanted, bits) = (_mm_set1_epi32(wanted as i32), _mm_set1_epi32((HASH | TAKEN) as i32));
            let half = |i| {
                let same = _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(halves.add(i)), bits), wanted);
                _mm_movemask_ps(_mm_castsi128_ps(same)) as u32
            };
            half(0) | half(1) << 4
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut matches = 0;
        for (way, signature) in set.signatures.iter().enumerate() {
            matches |= u32::from(*signature & (HASH | TAKEN) == wanted) << way;
        }
        matches
    }
}

#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
