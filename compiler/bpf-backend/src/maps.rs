//! What a module's states, params and the code's own needs are in an object: maps and variables, with the numbers by which
//! instructions refer to them.

use oko_artifact::{LOCKS_MAP as LOCKS, NOW_VARIABLE as NOW, ZERO_VARIABLE as ZERO};
use oko_bpf::isa::{Imm64, Size};
use oko_bpf::object::write::{MapSpec, Member, MemberKind, Struct, VariableSpec};
use oko_bpf::program::MapKind;
use oko_ir::layout::{EXPIRES_OFFSET, LOCK_OFFSET, WRITTEN_OFFSET};
use oko_ir::{Filter, Module, Op, Param, State, StateDecl, StateKind, TerminatorKind, WhenFull, Width};

use crate::error::BackendError;
use crate::{Clock, Options};

/// How many locks there are: 2 to the power of this.
pub(crate) const LOCK_BITS: u32 = 10;

/// Numbers of maps and offsets of variables.
#[derive(Clone, Debug)]
pub(crate) struct Maps {
    locks: Option<u32>,
    data: u32,
    rodata: u32,
    now: u32,
}

/// The kind of map that a state is.
pub(crate) fn kind(state: &StateDecl) -> MapKind {
    match state.kind {
        StateKind::Hash(WhenFull::EvictOldest) => MapKind::LruHash,
        StateKind::Hash(WhenFull::Refuse) => MapKind::Hash,
        StateKind::Array | StateKind::Words => MapKind::Array,
        StateKind::Table(_) => MapKind::Hash,
    }
}

impl Maps {
    pub(crate) fn of(module: &Module, options: Options) -> Result<Maps, BackendError> {
        let reserved = |name: &&String| [LOCKS, NOW, ZERO].contains(&name.as_str());
        let mut names = (module.states.iter().map(|state| &state.name))
            .chain(module.params.iter().map(|param| &param.name))
            .chain(module.filters.iter().map(|filter| &filter.name));
        if let Some(name) = names.find(reserved) {
            return Err(BackendError::ReservedName { name: name.clone() });
        }
        let states = module.states.len() as u32;
        let locks = module.states.iter().any(|state| kind(state) == MapKind::LruHash);
        let data = states + u32::from(locks);
        let has_data = !data_variables(module, options).is_empty();
        Ok(Maps {
            locks: locks.then_some(states),
            data,
            rodata: data + u32::from(has_data),
            now: module.params.len() as u32 * 8,
        })
    }

    pub(crate) fn state(&self, state: State) -> Imm64 {
        Imm64::Map(state.0)
    }

    pub(crate) fn locks(&self) -> Imm64 {
        Imm64::Map(self.locks.expect("there is an array of locks where there is an LRU hash"))
    }

    pub(crate) fn param(&self, param: Param) -> Imm64 {
        Imm64::MapValue { map: self.data, off: param.0 * 8 }
    }

    pub(crate) fn now(&self) -> Imm64 {
        Imm64::MapValue { map: self.data, off: self.now }
    }

    pub(crate) fn zero(&self) -> Imm64 {
        Imm64::MapValue { map: self.rodata, off: 0 }
    }

    /// The frame of a filter.
    pub(crate) fn frame(&self, module: &Module, filter: &Filter) -> Frame {
        let states = || {
            let lookups = filter.blocks.iter().filter_map(|block| block.term.kind.lookup());
            lookups.map(|(state, _)| &module.states[state.index()])
        };
        let locks_apart = states().any(|state| kind(state) == MapKind::LruHash);
        let keys_end = if locks_apart { 16 } else { 0 };
        Frame { keys_end, top: keys_end + states().map(key_bytes).max().unwrap_or(0) }
    }
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
        // Keys are of at most oko_ir::limits::MAX_KEY_SIZE bytes.
        -((self.keys_end + key_bytes(state)) as i16)
    }
}

/// Bytes of the frame for the key of a state: its size in the map, rounded up to 8.
fn key_bytes(state: &StateDecl) -> u32 {
    match state.kind {
        StateKind::Array | StateKind::Words => 8,
        StateKind::Hash(_) | StateKind::Table(_) => state.key_layout().size.next_multiple_of(8),
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

/// The maps of the section `.maps`, in the order of their numbers.
pub(crate) fn map_specs(module: &Module) -> Vec<MapSpec> {
    let member = |name: &str, offset, kind| Member { name: name.into(), offset, kind };
    let uint = |name: &str, offset, size| member(name, offset, MemberKind::Uint(size));
    let index = || Struct { size: 4, members: vec![uint("index", 0, Size::W)] };
    let mut specs: Vec<_> = module
        .states
        .iter()
        .map(|state| {
            // Linux allows spin locks in these only.
            let lock = match kind(state) {
                MapKind::Hash | MapKind::Array => member("lock", LOCK_OFFSET, MemberKind::SpinLock),
                _ => uint("lock", LOCK_OFFSET, Size::W),
            };
            let header = [
                lock,
                uint("expires_at", EXPIRES_OFFSET, Size::Dw),
                uint("written_at", WRITTEN_OFFSET, Size::Dw),
            ];
            let layout = state.entry_layout();
            let fields = state.fields.iter().zip(&layout.offsets);
            let fields = fields.map(|(field, &offset)| uint(&field.name, offset, size(field.width)));
            let value = Struct { size: layout.size, members: header.into_iter().chain(fields).collect() };
            let key = match state.kind {
                StateKind::Array | StateKind::Words => index(),
                StateKind::Hash(_) | StateKind::Table(_) => {
                    let layout = state.key_layout();
                    let parts = state.key.iter().zip(&layout.offsets);
                    let members =
                        parts.map(|(part, &offset)| uint(&part.name, offset, size(part.width))).collect();
                    Struct { size: layout.size, members }
                }
            };
            MapSpec { name: state.name.clone(), kind: kind(state), max_entries: state.capacity, key, value }
        })
        .collect();
    if specs.iter().any(|spec| spec.kind == MapKind::LruHash) {
        specs.push(MapSpec {
            name: LOCKS.into(),
            kind: MapKind::Array,
            max_entries: 1 << LOCK_BITS,
            key: index(),
            value: Struct { size: 4, members: vec![member("lock", 0, MemberKind::SpinLock)] },
        });
    }
    specs
}

/// The variables of `.data`: each param as a `u64` in host byte order, then `oko_now` if it is wanted.
pub fn data_variables(module: &Module, options: Options) -> Vec<VariableSpec> {
    let now = (options.clock == Clock::Injected).then_some((NOW, 1));
    let params = module.params.iter().map(|param| (param.name.as_str(), param.default));
    (0..)
        .zip(params.chain(now))
        .map(|(index, (name, value))| VariableSpec {
            name: name.into(),
            offset: index * 8,
            init: value.to_le_bytes().to_vec(),
        })
        .collect()
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

/// Whether a filter needs `now`: it asks for it, or it locks an entry, which is live or not at this instant.
pub(crate) fn needs_now(op: &Op) -> bool {
    matches!(op, Op::Now | Op::Lock(_)) || matches!(op, Op::Unlock(_, oko_ir::Unlock::Touch(_)))
}
