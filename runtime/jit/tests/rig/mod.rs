//! The states and params that compiled IR runs over, without the rest of an instance.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use oko_ir::interp::EntryDump;
use oko_ir::{Checked, StateDecl, StateKind, Width};
use oko_jit::abi::{Context, Packet};
use oko_jit::{Code, compile_ir};
use oko_state::{Header, Kind, Map, Shape, WhenFull};

pub(crate) struct Rig {
    checked: Checked,
    codes: Vec<Code>,
    maps: Vec<Map>,
    params: Vec<AtomicU64>,
}

impl Rig {
    pub(crate) fn new(checked: &Checked) -> Rig {
        let module = checked.module();
        Rig {
            codes: (0..module.filters.len()).map(|index| compile_ir(checked, index).unwrap()).collect(),
            maps: module.states.iter().map(|decl| Map::new(shape(decl)).unwrap()).collect(),
            params: module.params.iter().map(|param| AtomicU64::new(param.default)).collect(),
            checked: checked.clone(),
        }
    }

    pub(crate) fn run(&self, filter: usize, packets: &[Packet<'_>], now: u64) -> Vec<u32> {
        let params: Vec<u64> = self.params.iter().map(|param| param.load(Ordering::Relaxed)).collect();
        let maps: Vec<*const Map> = self.maps.iter().map(std::ptr::from_ref).collect();
        let first = |map: &Map| map.array_values().map_or(std::ptr::null_mut(), |(first, _)| first.as_ptr());
        let values: Vec<*mut u8> = self.maps.iter().map(first).collect();
        let context =
            Context { now, params: params.as_ptr(), maps: maps.as_ptr(), values: values.as_ptr(), worker: 0 };
        let mut verdicts = vec![u32::MAX; packets.len()];
        // SAFETY: the tables were made from the module's own declarations.
        unsafe { self.codes[filter].run(&context, packets, &mut verdicts) };
        verdicts
    }

    pub(crate) fn set_param(&self, name: &str, value: u64) {
        let index = self.checked.module().params.iter().position(|param| param.name == name).unwrap();
        self.params[index].store(value, Ordering::Relaxed);
    }

    pub(crate) fn map(&self, name: &str) -> &Map {
        &self.maps[self.state(name)]
    }

    pub(crate) fn state(&self, name: &str) -> usize {
        self.checked.module().states.iter().position(|state| state.name == name).unwrap()
    }

    pub(crate) fn filter(&self, name: &str) -> usize {
        self.checked.module().filters.iter().position(|filter| filter.name == name).unwrap()
    }

    /// The live entries of a state in the order of their keys.
    pub(crate) fn live(&self, state: usize, now: u64) -> Vec<EntryDump> {
        let decl = &self.checked.module().states[state];
        let (key_layout, layout) = (decl.key_layout(), decl.entry_layout());
        let mut entries: Vec<EntryDump> = self.maps[state]
            .snapshot()
            .iter()
            .map(|copy| EntryDump {
                key: (key_layout.offsets.iter().zip(&decl.key))
                    .map(|(&at, part)| scalar(&copy.key, at, part.width))
                    .collect(),
                fields: (layout.offsets.iter().zip(&decl.fields))
                    .map(|(&at, field)| scalar(&copy.value, at, field.width))
                    .collect(),
                expires: scalar(&copy.value, 8, Width::W64),
                written: scalar(&copy.value, 16, Width::W64),
            })
            .filter(|entry| entry.expires > now)
            .collect();
        entries.sort();
        entries
    }
}

fn scalar(bytes: &[u8], at: u32, width: Width) -> u64 {
    let mut word = [0; 8];
    let size = width.bytes() as usize;
    word[..size].copy_from_slice(&bytes[at as usize..at as usize + size]);
    u64::from_ne_bytes(word)
}

fn shape(decl: &StateDecl) -> Shape {
    Shape {
        kind: match decl.kind {
            StateKind::Hash(oko_ir::WhenFull::EvictOldest) => Kind::Hash(WhenFull::EvictOldest),
            StateKind::Hash(oko_ir::WhenFull::Refuse) => Kind::Hash(WhenFull::Refuse),
            StateKind::Array => Kind::Array,
            kind => unreachable!("{kind:?} is not compiled"),
        },
        capacity: decl.capacity,
        key_size: decl.key_layout().size,
        value_size: decl.entry_layout().size,
        header: Header::Oko,
    }
}
