//! Looking up a burst: all packets go through a step before the first goes to the next, so that the memory that a step reads was asked for
//! a while before.
//!
//! Keys and what is found lie in arrays that are used again for each burst. Packets of one flow often come together, and tables that look at few bits
//! tell few flows apart; a burst whose keys are all the same is looked up once, and but for the first one no key is made.

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
    /// Whether all packets have the key of the first one, which stands for all, as does its hash.
    alike: bool,
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
            alike: false,
            places: [NOTHING; BURST],
            values: [NOTHING; BURST],
        }
    }

    /// Knows of no packet.
    pub fn clear(&mut self) {
        self.keyed = 0;
        self.values.fill(NOTHING);
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
        let Lookups { keys, hashes, keyed, alike, places, values } = self;
        let bits = |first: usize| u32::MAX.checked_shr((BURST - first) as u32).unwrap_or(0);
        let mut maker = layouts.maker::<N>(in_port);
        let has_first = frame(0).is_some_and(|frame| maker.make(frame, &mut keys[0]));
        // It takes less to see that frames are like the first one than to make their keys.
        let unlike = if has_first { maker.first_unlike(&keys[0], count, &frame) } else { 1 };
        *keyed = if has_first { bits(unlike) } else { 0 };
        if unlike < count {
            let (first, others) = keys.split_at_mut(1);
            others[..unlike - 1].fill(first[0]);
            for (at, key) in keys[..count].iter_mut().enumerate().skip(unlike) {
                let has = frame(at).is_some_and(|frame| maker.make(frame, key));
                *keyed |= u32::from(has) << at;
            }
        }
        // A key is read only some time after it was made, for that is done by other words than this.
        let is_first = |key: &Key| key.difference::<N>(&keys[0]) == 0;
        *alike = *keyed == bits(count) && keys[unlike..count].iter().all(is_first);
        if *alike {
            hashes[0] = cache.hash_of::<N>(&keys[0]);
            let found = cache.candidate(hashes[0]).filter(|(place, _)| cache.confirm::<N>(*place, &keys[0]));
            values[..count].fill(found.map_or(NOTHING, |(_, value)| value));
            return found.map_or(Together::Nothing, |(_, value)| Together::Same(value));
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
                *keyed >> at & 1 != 0 && values[at] != NOTHING && cache.confirm::<N>(places[at], &keys[at]);
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
        let place = if self.alike { 0 } else { at };
        (self.keyed >> at & 1 != 0).then(|| (&self.keys[place], self.hashes[place]))
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
