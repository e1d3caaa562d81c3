//! A set-associative table from keys to nodes of trees.
//!
//! A key's hash chooses a set of eight ways. The set is one cache line: eight signatures of 32 bits and eight node numbers; the
//! keys themselves lie apart, one line each. A lookup takes two steps, so that a burst can have all its lines on the way before
//! the first is needed: [`ExactCache::prefetch`], then [`ExactCache::find`].
//!
//! # Replacement
//!
//! A way carries a bit that says it was found since it was stored, or since its set was last aged. A new key takes the place of an
//! empty way, one of another epoch, or else one without the bit; only where all have it, and now and then besides, all lose
//! it. A new key starts without. So keys that come once push out each other and not those that are in use: a scan, or
//! traffic crafted to miss, cannot empty the cache.
//!
//! The hash is keyed with secrets of the instance, so nobody can choose packets that share a set.

/// Ways of a set.
pub const WAYS: usize = 8;

/// What is looked up: where a packet came from and what it looks like, and the relevant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub(crate) tag: u64,
    pub(crate) words: [u64; Key::WORDS],
}

impl Key {
    /// How many words of relevant bits a key has room for: with tag and epoch it fills a cache line.
    pub const WORDS: usize = 6;
}

/// Where a key was found, and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place in the cache.
    pub way: u32,
    /// What is stored there.
    pub value: u32,
}

/// Signatures and values of a set; a signature of 0 is an empty way.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Set {
    signatures: [u32; WAYS],
    values: [u32; WAYS],
}

/// A stored key.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Stored {
    key: Key,
    epoch: u64,
}

/// Replacements in a set after which its ways have to be found again to count as used.
const AGE_TURNS: usize = 256;
/// The bit of a signature that says that the way was found lately.
const USED: u32 = 1;
/// The bit of a signature that says that there is a key.
const TAKEN: u32 = 2;

/// The cache.
#[derive(Debug)]
pub struct ExactCache {
    sets: Box<[Set]>,
    stored: Box<[Stored]>,
    /// How often a key of each set was replaced: chooses among equals, and says when to age.
    turns: Box<[u8]>,
    /// The number of sets is one more.
    mask: u64,
    secrets: [u64; 4],
}

impl ExactCache {
    /// A cache of at least `entries` ways, with four secret random numbers.
    pub fn new(entries: usize, secrets: [u64; 4]) -> ExactCache {
        let sets = entries.div_ceil(WAYS).max(1).next_power_of_two();
        let nothing = Stored { key: Key { tag: 0, words: [0; Key::WORDS] }, epoch: 0 };
        ExactCache {
            sets: vec![Set::default(); sets].into_boxed_slice(),
            stored: vec![nothing; sets * WAYS].into_boxed_slice(),
            turns: vec![0; sets].into_boxed_slice(),
            mask: sets as u64 - 1,
            secrets,
        }
    }

    /// How many keys fit.
    pub fn capacity(&self) -> usize {
        self.stored.len()
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.sets) + size_of_val(&*self.stored) + self.turns.len()
    }

    /// A key's hash.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        // Pairs of words, each folded with two secrets as in wyhash; the products do not wait for each other.
        let [a, b, c, d] = self.secrets;
        let w = &key.words;
        fold(w[0] ^ a, w[1] ^ b)
            ^ fold(w[2] ^ b, w[3] ^ c).rotate_left(17)
            ^ fold(w[4] ^ c, w[5] ^ d).rotate_left(34)
            ^ fold(key.tag ^ d, a)
    }

    /// Asks for the memory that [`find`](Self::find) will read first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&raw const self.sets[self.set(hash)]);
    }

    /// Asks for the memory of the key that a hash most probably leads to.
    #[inline]
    pub fn prefetch_key(&self, hash: u64) {
        let set = self.set(hash);
        if let Some(way) = candidates(&self.sets[set], signature(hash)).next() {
            prefetch(&raw const self.stored[set * WAYS + way]);
        }
    }

    /// Looks a key up.
    #[inline]
    pub fn find(&mut self, key: &Key, hash: u64, epoch: u64) -> Option<Found> {
        let set = self.set(hash);
        let wanted = signature(hash);
        for way in candidates(&self.sets[set], wanted) {
            let stored = &self.stored[set * WAYS + way];
            if stored.key == *key && stored.epoch == epoch {
                let set_data = &mut self.sets[set];
                if set_data.signatures[way] & USED == 0 {
                    set_data.signatures[way] |= USED;
                }
                return Some(Found { way: (set * WAYS + way) as u32, value: set_data.values[way] });
            }
        }
        None
    }

    /// Stores a key that was not found. Where it lies comes back, and the value that was pushed out if it was of this epoch.
    pub fn insert(&mut self, key: &Key, hash: u64, epoch: u64, value: u32) -> (u32, Option<u32>) {
        let set = self.set(hash);
        let way = self.victim(set, epoch);
        let data = &mut self.sets[set];
        let was_there = data.signatures[way] != 0 && self.stored[set * WAYS + way].epoch == epoch;
        let old = was_there.then_some(data.values[way]);
        data.signatures[way] = signature(hash);
        data.values[way] = value;
        self.stored[set * WAYS + way] = Stored { key: *key, epoch };
        ((set * WAYS + way) as u32, old)
    }

    /// Gives a way another value.
    #[inline]
    pub fn set_value(&mut self, way: u32, value: u32) {
        self.sets[way as usize / WAYS].values[way as usize % WAYS] = value;
    }

    /// Which way makes room.
    fn victim(&mut self, set: usize, epoch: u64) -> usize {
        let data = &mut self.sets[set];
        if let Some(way) = (0..WAYS).find(|way| data.signatures[*way] == 0) {
            return way;
        }
        if let Some(way) = (0..WAYS).find(|way| self.stored[set * WAYS + way].epoch != epoch) {
            return way;
        }
        let turn = &mut self.turns[set];
        *turn = turn.wrapping_add(1);
        let start = usize::from(*turn);
        let unused =
            |data: &Set| (0..WAYS).map(|i| (start + i) % WAYS).find(|way| data.signatures[*way] & USED == 0);
        if let Some(way) = unused(data).filter(|_| start % AGE_TURNS != 0) {
            return way;
        }
        let way = unused(data).unwrap_or(start % WAYS);
        data.signatures.iter_mut().for_each(|signature| *signature &= !USED);
        way
    }

    #[inline]
    fn set(&self, hash: u64) -> usize {
        (hash & self.mask) as usize
    }
}

#[inline]
fn signature(hash: u64) -> u32 {
    (hash >> 32) as u32 & !USED | TAKEN
}

/// The ways of a set with a signature.
#[inline]
fn candidates(set: &Set, wanted: u32) -> impl Iterator<Item = usize> + use<> {
    let mut matches = 0_u32;
    for (way, signature) in set.signatures.iter().enumerate() {
        matches |= u32::from(*signature & !USED == wanted) << way;
    }
    std::iter::from_fn(move || {
        let way = matches.trailing_zeros() as usize;
        (way < WAYS).then(|| {
            matches &= matches - 1;
            way
        })
    })
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and cannot fault, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
