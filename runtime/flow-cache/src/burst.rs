//! Looking up a burst: all packets go through a step before the first goes to the next, so that the memory that a step reads was asked for
//! a while before.
//!
//! Keys and what is found lie in arrays that are used again for each burst. Packets of one flow often come together; a burst whose keys
//! are all the same is looked up once.

use crate::exact::ExactCache;
use crate::gather::Layouts;
use crate::key::{Key, with_width};

/// Packets of a burst, at most.
pub const BURST: usize = 32;

/// What stands for nothing found.
const NOTHING: u32 = u32::MAX;

/// The keys of a burst's packets and what the cache has under them.
#[derive(Debug)]
pub struct Lookups {
    keys: [Key; BURST],
    hashes: [u64; BURST],
    /// Which packets have keys, a bit each.
    keyed: u32,
    places: [u32; BURST],
    values: [u32; BURST],
}

/// What a burst has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// All packets have the same key, and the cache has this value under it.
    Same(u32),
    /// Nothing, or it is not in the cache.
    Nothing,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::new()
    }
}

impl Lookups {
    /// For bursts to come.
    pub fn new() -> Lookups {
        Lookups {
            keys: [Key::ZERO; BURST],
            hashes: [0; BURST],
            keyed: 0,
            places: [NOTHING; BURST],
            values: [NOTHING; BURST],
        }
    }

    /// Looks up the first `count` packets of a port, of which `frame` gives the bytes; those without cannot be looked up. `fetch` is told of each
    /// value that will probably be found, to ask for the memory that this leads to.
    ///
    /// # Panics
    ///
    /// With more than [`BURST`] packets.
    #[inline]
    pub fn look_up<'f>(
        &mut self,
        layouts: &Layouts,
        cache: &mut ExactCache,
        count: usize,
        frame: impl Fn(usize) -> Option<&'f [u8]>,
        in_port: u32,
        fetch: impl FnMut(u32),
    ) -> Together {
        assert!(count <= BURST);
        with_width!(layouts.width(), N => self.look_up_by::<N>(layouts, cache, count, frame, in_port, fetch))
    }

    fn look_up_by<'f, const N: usize>(
        &mut self,
        layouts: &Layouts,
        cache: &mut ExactCache,
        count: usize,
        frame: impl Fn(usize) -> Option<&'f [u8]>,
        in_port: u32,
        mut fetch: impl FnMut(u32),
    ) -> Together {
        let Lookups { keys, hashes, places, values, .. } = self;
        let all = u32::MAX.checked_shr((BURST - count) as u32).unwrap_or(0);
        let (mut keyed, mut difference) = (0, 0);
        for at in 0..count {
            let has = frame(at).is_some_and(|frame| layouts.key_of::<N>(frame, in_port, &mut keys[at]));
            keyed |= u32::from(has) << at;
            difference |= keys[at].difference::<N>(&keys[0]);
        }
        self.keyed = keyed;
        if difference == 0 && keyed == all {
            let hash = cache.hash_of::<N>(&keys[0]);
            let found = cache.candidate(hash).filter(|(place, _)| cache.confirm::<N>(*place, &keys[0]));
            let value = found.map_or(NOTHING, |(_, value)| value);
            hashes[..count].fill(hash);
            values[..count].fill(value);
            return if value == NOTHING { Together::Nothing } else { Together::Same(value) };
        }
        for at in 0..count {
            hashes[at] = cache.hash_of::<N>(&keys[at]);
            cache.prefetch_set(hashes[at]);
        }
        for at in 0..count {
            (places[at], values[at]) = cache.candidate(hashes[at]).unwrap_or((NOTHING, NOTHING));
        }
        for at in 0..count {
            let is_there =
                keyed >> at & 1 != 0 && values[at] != NOTHING && cache.confirm::<N>(places[at], &keys[at]);
            if is_there {
                fetch(values[at]);
            } else {
                values[at] = NOTHING;
            }
        }
        Together::Nothing
    }

    /// The key of a packet and its hash.
    #[inline]
    pub fn key(&self, at: usize) -> Option<(&Key, u64)> {
        (self.keyed >> at & 1 != 0).then(|| (&self.keys[at], self.hashes[at]))
    }

    /// What packets have in common that have the same key; different packets have different ones but for a rare chance.
    #[inline]
    pub fn flow(&self, at: usize) -> Option<u64> {
        self.key(at).map(|(_, hash)| hash)
    }

    /// What the cache had under a packet's key.
    #[inline]
    pub fn value(&self, at: usize) -> Option<u32> {
        Some(self.values[at]).filter(|value| *value != NOTHING)
    }
}
