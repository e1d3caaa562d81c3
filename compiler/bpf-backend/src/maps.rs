//! What a module's states, params and the code's own needs are in an object: maps and variables, with the numbers by which
//! instructions refer to them.

use std::collections::BTreeMap;

use oko_artifact::{
    EVENTS_MAP as EVENTS, LOCKS_MAP as LOCKS, NOW_VARIABLE as NOW, SEED_VARIABLE as SEED,
    SEED_WORDS_VARIABLE as SEED_WORDS_NAME, SPILL_MAP as SPILL, ZERO_VARIABLE as ZERO,
};
use oko_bpf::isa::{Imm64, Size};
use oko_bpf::object::write::{MapSpec, Member, MemberKind, Struct, VariableSpec};
use oko_bpf::program::MapKind;
use oko_ir::layout::{EXPIRES_OFFSET, LOCK_OFFSET, WRITTEN_OFFSET};
use oko_ir::seed::SEED_WORDS;
use oko_ir::{
    Filter, Match, Module, Op, Param, State, StateDecl, StateKind, TerminatorKind, WhenFull, Width,
};

use crate::error::BackendError;
use crate::{Clock, Options};

/// How many locks there are: 2 to the power of this.
pub(crate) const LOCK_BITS: u32 = 10;

/// Bytes of the ring buffer for events.
const EVENTS_BYTES: u32 = 1 << 18;

/// Bytes before the bits in a key of a prefix table: how many bits there are.
pub(crate) const PREFIX_LENGTH_BYTES: u32 = 4;

/// Numbers of maps and offsets of variables.
#[derive(Clone, Debug)]
pub(crate) struct Maps {
    locks: Option<u32>,
    events: Option<u32>,
    spill: u32,
    /// Whether there is a spill map: it counts as a map before the variables then.
    spill_bytes: u32,
    has_data: bool,
    seed: u32,
    now: u32,
}

/// The kind of map that a state is.
pub(crate) fn kind(state: &StateDecl) -> MapKind {
    let percpu = state.per_core.is_some();
    match state.kind {
        StateKind::Hash(WhenFull::EvictOldest) if percpu => MapKind::LruPercpuHash,
        StateKind::Hash(WhenFull::EvictOldest) => MapKind::LruHash,
        StateKind::Hash(WhenFull::Refuse) if percpu => MapKind::PercpuHash,
        StateKind::Hash(WhenFull::Refuse) => MapKind::Hash,
        StateKind::Array | StateKind::Words if percpu => MapKind::PercpuArray,
        StateKind::Array | StateKind::Words => MapKind::Array,
        StateKind::Table(Match::Exact) => MapKind::Hash,
        StateKind::Table(Match::Prefix) => MapKind::LpmTrie,
    }
}

impl Maps {
    pub(crate) fn of(module: &Module, options: Options) -> Result<Maps, BackendError> {
        let reserved = |name: &&String| {
            [LOCKS, EVENTS, SPILL, NOW, SEED, SEED_WORDS_NAME, ZERO].contains(&name.as_str())
        };
        let mut names = (module.states.iter().map(|state| &state.name))
            .chain(module.params.iter().map(|param| &param.name))
            .chain(module.filters.iter().map(|filter| &filter.name));
        if let Some(name) = names.find(reserved) {
            return Err(BackendError::ReservedName { name: name.clone() });
        }
        let mut next = module.states.len() as u32;
        let mut number = |wanted: bool| {
            let this = next;
            next += u32::from(wanted);
            wanted.then_some(this)
        };
        let locks = number(module.states.iter().any(|state| kind(state) == MapKind::LruHash));
        let events = number(!module.events.is_empty());
        let seed = module.params.len() as u32 * 8;
        Ok(Maps {
            locks,
            events,
            spill: next,
            spill_bytes: 0,
            has_data: !data_variables(module, options).is_empty(),
            seed,
            now: seed + if uses_seed(module) { 8 * (1 + SEED_WORDS as u32) } else { 0 },
        })
    }

    /// Takes note that filters have so many bytes of values outside of their frames.
    pub(crate) fn spill_to(&mut self, bytes: u32) {
        self.spill_bytes = self.spill_bytes.max(bytes);
    }

    /// The number of the first map behind `.maps`.
    fn data(&self) -> u32 {
        self.spill + u32::from(self.spill_bytes > 0)
    }

    pub(crate) fn state(&self, state: State) -> Imm64 {
        Imm64::Map(state.0)
    }

    pub(crate) fn locks(&self) -> Imm64 {
        Imm64::Map(self.locks.expect("there is an array of locks where there is an LRU hash"))
    }

    pub(crate) fn events(&self) -> Imm64 {
        Imm64::Map(self.events.expect("there is a ring buffer where there are events"))
    }

    pub(crate) fn spill(&self) -> Imm64 {
        Imm64::Map(self.spill)
    }

    pub(crate) fn param(&self, param: Param) -> Imm64 {
        Imm64::MapValue { map: self.data(), off: param.0 * 8 }
    }

    pub(crate) fn seed(&self) -> Imm64 {
        Imm64::MapValue { map: self.data(), off: self.seed }
    }

    pub(crate) fn seed_words(&self) -> Imm64 {
        Imm64::MapValue { map: self.data(), off: self.seed + 8 }
    }

    pub(crate) fn now(&self) -> Imm64 {
        Imm64::MapValue { map: self.data(), off: self.now }
    }

    pub(crate) fn zero(&self) -> Imm64 {
        Imm64::MapValue { map: self.data() + u32::from(self.has_data), off: 0 }
    }

    /// The frame of a filter.
    pub(crate) fn frame(&self, module: &Module, filter: &Filter) -> Frame {
        let states = || {
            let lookups = filter.blocks.iter().filter_map(|block| block.term.kind.lookup());
            let insts = filter.blocks.iter().flat_map(|block| &block.insts);
            let words = insts.filter_map(|inst| match inst.op {
                Op::WordGet(state, ..)
                | Op::WordAdd(state, ..)
                | Op::WordOr(state, ..)
                | Op::WordCas(state, ..) => Some(state),
                _ => None,
            });
            lookups.map(|(state, _)| state).chain(words).map(|state| &module.states[state.index()])
        };
        let locks_apart = states().any(|state| kind(state) == MapKind::LruHash);
        let keys_end = if locks_apart { 16 } else { 0 };
        Frame { keys_end, top: keys_end + states().map(key_bytes).max().unwrap_or(0) }
    }
}

/// Whether any filter asks for the seed.
pub(crate) fn uses_seed(module: &Module) -> bool {
    module.filters.iter().any(|filter| last_seed_word(filter).is_some())
}

/// The last word of the seed that a filter asks for, if it asks for any.
pub(crate) fn last_seed_word(filter: &Filter) -> Option<u32> {
    let insts = filter.blocks.iter().flat_map(|block| &block.insts);
    let words = insts.filter_map(|inst| match inst.op {
        Op::Seed(word) => Some(word),
        _ => None,
    });
    words.max()
}

/// The part of a filter's stack frame that is not for values: at the top, if it meets an LRU hash, 8 bytes for the address of a lock and 8
/// for its index; then room for the largest key. The address has a place of its own because a pointer must not be overwritten in part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Bytes above the keys.
    keys_end: u32,
    /// Bytes of all this.
    pub(crate) top: u32,
}

impl Frame {
    /// Where the address of a lock is kept, from `r10`.
    pub(crate) const LOCK: i16 = -8;
    /// Where the index of a lock is built, from `r10`.
    pub(crate) const LOCK_INDEX: i16 = -16;

    /// Where the key of a state starts, from `r10`.
    pub(crate) fn key(&self, state: &StateDecl) -> i16 {
        let bytes = match state.kind {
            // It ends where an aligned number ends, so that the addresses that are last in such keys are aligned, whatever is before them.
            StateKind::Table(Match::Prefix) => prefix_key_size(state),
            _ => key_bytes(state),
        };
        // Keys are of at most oko_ir::limits::MAX_KEY_SIZE bytes.
        -((self.keys_end + bytes) as i16)
    }
}

/// Bytes of a key of a prefix table: the length, then the parts without gaps.
pub(crate) fn prefix_key_size(state: &StateDecl) -> u32 {
    PREFIX_LENGTH_BYTES + state.key_bits() / 8
}

/// Bytes of the frame for the key of a state: its size in the map, rounded up to 8.
fn key_bytes(state: &StateDecl) -> u32 {
    match state.kind {
        StateKind::Array | StateKind::Words => 8,
        StateKind::Table(Match::Prefix) => prefix_key_size(state).next_multiple_of(8),
        StateKind::Hash(_) | StateKind::Table(Match::Exact) => state.key_layout().size.next_multiple_of(8),
    }
}

/// The size of an access of this width.
pub(crate) fn size(width: Width) -> Size {
    match width {
        Width::W8 => Size::B,
        Width::W16 => Size::H,
        Width::W32 => Size::W,
        Width::W64 => Size::Dw,
    }
}

/// The maps of the section `.maps`, in the order of their numbers; `spill_bytes` are those of the largest area for values.
pub(crate) fn map_specs(module: &Module, spill_bytes: u32) -> Vec<MapSpec> {
    let mut specs: Vec<_> = module.states.iter().map(state_spec).collect();
    let map = |name: &str, kind, max_entries, key, value| {
        let name = name.into();
        MapSpec { name, kind, max_entries, key, value }
    };
    if specs.iter().any(|spec| spec.kind == MapKind::LruHash) {
        let value = Struct { size: 4, members: vec![member("lock", 0, MemberKind::SpinLock)] };
        specs.push(map(LOCKS, MapKind::Array, 1 << LOCK_BITS, index(), value));
    }
    if !module.events.is_empty() {
        specs.push(map(EVENTS, MapKind::RingBuf, EVENTS_BYTES, Struct::default(), Struct::default()));
    }
    if spill_bytes > 0 {
        let values = member("values", 0, MemberKind::Array(Size::Dw, spill_bytes / 8));
        let value = Struct { size: spill_bytes, members: vec![values] };
        specs.push(map(SPILL, MapKind::PercpuArray, 1, index(), value));
    }
    specs
}

fn member(name: &str, offset: u32, kind: MemberKind) -> Member {
    Member { name: name.into(), offset, kind }
}

fn uint(name: &str, offset: u32, size: Size) -> Member {
    member(name, offset, MemberKind::Uint(size))
}

fn index() -> Struct {
    Struct { size: 4, members: vec![uint("index", 0, Size::W)] }
}

fn state_spec(state: &StateDecl) -> MapSpec {
    let kind = kind(state);
    let key = match state.kind {
        StateKind::Array | StateKind::Words => index(),
        StateKind::Table(Match::Prefix) => {
            let bits = state.key_bits() / 8;
            let bits = member("bits", PREFIX_LENGTH_BYTES, MemberKind::Array(Size::B, bits));
            Struct { size: prefix_key_size(state), members: vec![uint("prefixlen", 0, Size::W), bits] }
        }
        StateKind::Hash(_) | StateKind::Table(Match::Exact) => {
            let layout = state.key_layout();
            let parts = state.key.iter().zip(&layout.offsets);
            let members = parts.map(|(part, &offset)| (offset, uint(&part.name, offset, size(part.width))));
            // BTF has members in the order in which they lie.
            let members: BTreeMap<u32, _> = members.collect();
            Struct { size: layout.size, members: members.into_values().collect() }
        }
    };
    let value = match state.kind {
        StateKind::Words => Struct { size: 8, members: vec![uint("word", 0, Size::Dw)] },
        _ => entry(state, kind),
    };
    MapSpec { name: state.name.clone(), kind, max_entries: state.capacity, key, value }
}

fn entry(state: &StateDecl, kind: MapKind) -> Struct {
    // Linux allows spin locks in these only.
    let lock = match kind {
        MapKind::Hash | MapKind::Array => member("lock", LOCK_OFFSET, MemberKind::SpinLock),
        _ => uint("lock", LOCK_OFFSET, Size::W),
    };
    let header =
        [lock, uint("expires_at", EXPIRES_OFFSET, Size::Dw), uint("written_at", WRITTEN_OFFSET, Size::Dw)];
    // A table's entries have no header: the control plane writes them, and they do not expire.
    let header = header.into_iter().filter(|_| !matches!(state.kind, StateKind::Table(_)));
    let layout = state.entry_layout();
    let fields = state.fields.iter().zip(&layout.offsets).map(|(field, &offset)| match field.count {
        1 => uint(&field.name, offset, size(field.width)),
        count => member(&field.name, offset, MemberKind::Array(size(field.width), count)),
    });
    Struct { size: layout.size, members: header.chain(fields).collect() }
}

/// The variables of `.data`: each param as a `u64` in host byte order, then `oko_seed` with `oko_seed_words`, and `oko_now`, if they are wanted.
pub fn data_variables(module: &Module, options: Options) -> Vec<VariableSpec> {
    let number = |value: u64| value.to_le_bytes().to_vec();
    let seed = [(SEED, number(0)), (SEED_WORDS_NAME, vec![0; 8 * SEED_WORDS])];
    let seed = seed.into_iter().filter(|_| uses_seed(module));
    let now = (options.clock == Clock::Injected).then(|| (NOW, number(1)));
    let params = module.params.iter().map(|param| (param.name.as_str(), number(param.default)));
    let mut end = 0;
    let variables = params.chain(seed).chain(now).map(|(name, init)| {
        let offset = end;
        end += init.len() as u32;
        VariableSpec { name: name.into(), offset, init }
    });
    variables.collect()
}

/// The constants of `.rodata`: `oko_zero`, as large as the largest entry that a filter makes.
pub(crate) fn rodata_variables(module: &Module) -> Vec<VariableSpec> {
    let made =
        module.filters.iter().flat_map(|filter| &filter.blocks).filter_map(|block| match block.term.kind {
            TerminatorKind::Slot { state, .. } => Some(&module.states[state.index()]),
            _ => None,
        });
    let hashes = made.filter(|state| state.kind != StateKind::Array);
    let size = hashes.map(|state| state.entry_layout().size).max();
    let init = size.map(|size| vec![0; size as usize]);
    init.map(|init| VariableSpec { name: ZERO.into(), offset: 0, init }).into_iter().collect()
}

/// Whether a filter needs `now`: it asks for it, it locks an entry, which is live or not at this instant, or it reports an event.
pub(crate) fn needs_now(op: &Op) -> bool {
    matches!(op, Op::Now | Op::Lock(_) | Op::Emit(..))
        || matches!(op, Op::Unlock(_, oko_ir::Unlock::Touch(_)))
}
