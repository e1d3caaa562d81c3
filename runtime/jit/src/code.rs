//! Compiled code of one filter.

use crate::abi::{Ahead, Context, Entry, Hint, Moment, Packet, call};
use crate::memory::ExecutableMemory;

/// Packets whose look-ups are prepared together.
const AHEAD: usize = 32;
/// Bursts of fewer packets are not worth it: there is nothing to do while memory answers.
const FEWEST: usize = 4;

/// Compiled code of one filter, and the memory it lies in.
#[derive(Debug)]
pub struct Code {
    memory: ExecutableMemory,
    entry: Entry,
    ahead: Option<AheadCode>,
    bytes: usize,
    /// Where its functions start in the memory.
    starts: Vec<usize>,
}

/// The code that prepares a burst.
#[derive(Debug)]
struct AheadCode {
    entry: Ahead,
    /// The maps that its hints are about, by their numbers.
    states: Vec<usize>,
}

impl Code {
    /// # Safety
    ///
    /// Functions start in `memory` where is said, and the first one has the signature of [`Entry`].
    pub(crate) unsafe fn new(memory: ExecutableMemory, bytes: usize, starts: Vec<usize>) -> Code {
        // SAFETY: the caller's promise.
        let start = unsafe { memory.base().add(starts[0]) };
        // SAFETY: the caller's promise.
        let entry = unsafe { std::mem::transmute::<*mut u8, Entry>(start.as_ptr()) };
        Code { memory, entry, ahead: None, bytes, starts }
    }

    /// The same with its function of this number for hints about look-ups in these states. That function was given the signature of an entry, and
    /// stores a [`Hint`] for each packet.
    pub(crate) fn with_ahead(self, function: usize, states: Vec<usize>) -> Code {
        // SAFETY: functions start within the memory.
        let start = unsafe { self.memory.base().add(self.starts[function]) };
        // SAFETY: the function was compiled with this signature.
        let entry = unsafe { std::mem::transmute::<*mut u8, Ahead>(start.as_ptr()) };
        Code { ahead: Some(AheadCode { entry, states }), ..self }
    }

    /// Bytes of machine code.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of the code.
    pub fn address(&self) -> usize {
        self.entry as usize
    }

    /// The code itself, which is there as long as this is.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// Runs it over a burst. If a map that it asks does not fit into the caches near the core, what the look-ups of all packets will read
    /// is fetched first.
    ///
    /// # Panics
    ///
    /// If there are fewer verdicts than packets.
    ///
    /// # Safety
    ///
    /// As of [`Entry`]: the context's tables have a row for everything that the module or program declares, and its maps have the shapes declared there.
    #[inline]
    pub unsafe fn run(
        &self,
        context: &Context,
        packets: &[Packet<'_>],
        moment: Moment,
        verdicts: &mut [u32],
    ) {
        assert!(verdicts.len() >= packets.len(), "a verdict for each packet");
        if packets.is_empty() {
            return;
        }
        if let Some(ahead) = &self.ahead
            && packets.len() >= FEWEST
            // SAFETY: the caller's promise.
            && unsafe { ahead.pays(context) }
        {
            // SAFETY: the caller's promise, and the lengths were compared.
            return unsafe { self.run_with(ahead, context, packets, moment, verdicts) };
        }
        // SAFETY: the caller's promise, the lengths were compared, and there are packets.
        unsafe { call(self.entry, context, packets, moment, verdicts.as_mut_ptr()) }
    }

    /// Runs it over a burst whose look-ups are prepared.
    ///
    /// # Safety
    ///
    /// As of [`run`](Self::run), there are packets, and there is a verdict for each.
    #[inline(never)]
    unsafe fn run_with(
        &self,
        ahead: &AheadCode,
        context: &Context,
        packets: &[Packet<'_>],
        moment: Moment,
        verdicts: &mut [u32],
    ) {
        for (packets, verdicts) in packets.chunks(AHEAD).zip(verdicts.chunks_mut(AHEAD)) {
            // SAFETY: the caller's promise; there are not more packets than that.
            unsafe { ahead.fetch(context, packets, moment) };
            // SAFETY: the caller's promise; there are as many verdicts as packets.
            unsafe { call(self.entry, context, packets, moment, verdicts.as_mut_ptr()) };
        }
    }
}

impl AheadCode {
    /// Whether one of the maps is too large to be near.
    ///
    /// # Safety
    ///
    /// As of [`Code::run`].
    #[inline]
    unsafe fn pays(&self, context: &Context) -> bool {
        // SAFETY: the context has a row for each state, and these maps live.
        self.states.iter().any(|&state| unsafe { (**context.maps.add(state)).is_far() })
    }

    /// Fetches what the first look-ups of a burst will read.
    ///
    /// # Safety
    ///
    /// As of [`Code::run`]; there are packets, and at most [`AHEAD`].
    unsafe fn fetch(&self, context: &Context, packets: &[Packet<'_>], moment: Moment) {
        let mut hints = [Hint { map: std::ptr::null(), hash: 0 }; AHEAD];
        let hints = &mut hints[..packets.len()];
        // SAFETY: the caller's promise; there is a hint for each packet.
        unsafe { call(self.entry, context, packets, moment, hints.as_mut_ptr()) };
        // SAFETY: each is null or a map of the context.
        let maps = || hints.iter().filter_map(|hint| Some((unsafe { hint.map.as_ref() }?, hint.hash)));
        for (map, hash) in maps() {
            map.fetch_bucket(hash);
        }
        for (map, hash) in maps() {
            map.fetch_record(hash);
        }
    }
}
