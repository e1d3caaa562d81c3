//! The states and params that compiled IR runs over, without the rest of an instance.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use oko_ir::interp::{EntryDump, EventRecord, Store, TableKey};
use oko_ir::seed::seed_words;
use oko_ir::testing::generate::{self, Arrival};
use oko_ir::{Checked, Event, Match, NEVER, State, StateDecl, StateKind, Width};
use oko_jit::abi::{Context, EVENT_HEADER_WORDS, Moment, Packet};
use oko_jit::{Code, Effort, compile_ir_with};
use oko_state::{Header, Kind, Map, Shape, Update, WhenFull};

/// The seed of what is [filled](Rig::filled).
const SEED: u64 = 0xfeed_f00d_dead_beef;

/// The interpreter's state beside a rig that is [filled](Rig::filled).
pub(crate) fn filled_store(checked: &Checked, entries: &[(State, TableKey, Vec<u64>)]) -> Store {
    let mut store = Store::new(checked);
    store.set_seed(SEED);
    generate::fill(&mut store, entries);
    store
}

/// A packet that arrives, as code takes it.
pub(crate) fn packet(arrival: &Arrival) -> Packet<'_> {
    Packet::new(&arrival.bytes, arrival.in_port).with_wire_len(arrival.wire_len)
}

pub(crate) struct Rig {
    checked: Checked,
    codes: Vec<Code>,
    maps: Vec<Map>,
    params: Vec<AtomicU64>,
    ring: Map,
    seed: AtomicU64,
}

impl Rig {
    pub(crate) fn new(checked: &Checked) -> Rig {
        Rig::with_effort(checked, Effort::Full)
    }

    pub(crate) fn with_effort(checked: &Checked, effort: Effort) -> Rig {
        let compile = |index| compile_ir_with(checked, index, effort).unwrap();
        Rig::of(checked, (0..checked.module().filters.len()).map(compile).collect())
    }

    /// With a seed, and these entries in its tables.
    pub(crate) fn filled(checked: &Checked, effort: Effort, entries: &[(State, TableKey, Vec<u64>)]) -> Rig {
        let rig = Rig::with_effort(checked, effort);
        rig.set_seed(SEED);
        for (state, key, fields) in entries {
            rig.put(state.index(), key, fields);
        }
        rig
    }

    /// With code that was compiled for the filters before.
    pub(crate) fn of(checked: &Checked, codes: Vec<Code>) -> Rig {
        let module = checked.module();
        Rig {
            codes,
            maps: module.states.iter().map(|decl| Map::new(shape(decl)).unwrap()).collect(),
            params: module.params.iter().map(|param| AtomicU64::new(param.default)).collect(),
            ring: Map::new(RING).unwrap(),
            seed: AtomicU64::new(0),
            checked: checked.clone(),
        }
    }

    pub(crate) fn run(&self, filter: usize, packets: &[Packet<'_>], now: u64) -> Vec<u32> {
        let params: Vec<u64> = self.params.iter().map(|param| param.load(Ordering::Relaxed)).collect();
        let maps: Vec<*const Map> = self.maps.iter().map(std::ptr::from_ref).collect();
        let first = |map: &Map| map.array_values().map_or(std::ptr::null_mut(), |(first, _)| first.as_ptr());
        let values: Vec<*mut u8> = self.maps.iter().map(first).collect();
        let _pin = oko_state::pin();
        let context = Context {
            params: params.as_ptr(),
            maps: maps.as_ptr(),
            values: values.as_ptr(),
            events: &raw const self.ring,
            seed: self.seed.load(Ordering::Relaxed),
            seed_words: seed_words(self.seed.load(Ordering::Relaxed)),
        };
        // The maps are the rig's own, so nobody else takes their locks. Both ways of doing so have their turn.
        let moment = Moment { now, alone: now.is_multiple_of(2) };
        let mut verdicts = vec![u32::MAX; packets.len()];
        // SAFETY: the tables were made from the module's own declarations.
        unsafe { self.codes[filter].run(&context, packets, moment, &mut verdicts) };
        verdicts
    }

    pub(crate) fn set_param(&self, name: &str, value: u64) {
        let index = self.checked.module().params.iter().position(|param| param.name == name).unwrap();
        self.params[index].store(value, Ordering::Relaxed);
    }

    pub(crate) fn set_seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// Writes an entry of a table, if there is room.
    pub(crate) fn put(&self, state: usize, key: &TableKey, fields: &[u64]) -> bool {
        let decl = &self.checked.module().states[state];
        let layout = decl.entry_layout();
        let mut value = vec![0; layout.size as usize];
        let mut fields = fields.iter();
        for (field, &at) in decl.fields.iter().zip(&layout.offsets) {
            for index in 0..field.count {
                let size = field.width.bytes();
                let at = (at + index * size) as usize;
                let bytes = fields.next().unwrap().to_le_bytes();
                value[at..at + size as usize].copy_from_slice(&bytes[..size as usize]);
            }
        }
        self.maps[state].update(&key_bytes(decl, key), &value, Update::Any, 0).is_ok()
    }

    pub(crate) fn remove(&self, state: usize, key: &TableKey) -> bool {
        self.maps[state].delete(&key_bytes(&self.checked.module().states[state], key))
    }

    /// The events that wait, and how many found no room.
    pub(crate) fn take_events(&self) -> (Vec<EventRecord>, u64) {
        let ring = self.ring.ring().unwrap();
        let records = ring.drain(usize::MAX).into_iter().map(|record| {
            let words: Vec<u64> =
                record.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
            let (event, time) = (Event(words[0] as u32), words[1]);
            EventRecord { event, time, values: words[EVENT_HEADER_WORDS..].to_vec() }
        });
        (records.collect(), ring.dropped())
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
        if decl.kind == StateKind::Words {
            let (first, _) = self.maps[state].array_values().unwrap();
            // SAFETY: the words are the values of the array, side by side, and nobody writes them now.
            let words =
                unsafe { std::slice::from_raw_parts(first.cast::<u64>().as_ptr(), decl.capacity as usize) };
            let there = (0..).zip(words).filter(|(_, word)| **word != 0);
            return there.map(|(index, &word)| forever(vec![index], vec![word])).collect();
        }
        let fields = |value: &[u8]| {
            let places = layout.offsets.iter().zip(&decl.fields);
            places
                .flat_map(|(&at, field)| (0..field.count).map(move |index| (at, field.width, index)))
                .map(|(at, width, index)| scalar(value, at + index * width.bytes(), width))
                .collect()
        };
        let mut entries: Vec<EntryDump> = self.maps[state]
            .snapshot()
            .iter()
            .map(|copy| {
                let prefix = decl.kind == StateKind::Table(Match::Prefix);
                let parts = key_layout.offsets.iter().zip(&decl.key).map(|(&at, part)| {
                    let bits = scalar(&copy.key, at, part.width);
                    if prefix { bits.swap_bytes() >> (64 - part.width.bits()) } else { bits }
                });
                let mut key: Vec<u64> = parts.collect();
                if !matches!(decl.kind, StateKind::Table(_)) {
                    return EntryDump {
                        key,
                        fields: fields(&copy.value),
                        expires: scalar(&copy.value, 8, Width::W64),
                        written: scalar(&copy.value, 16, Width::W64),
                    };
                }
                key.push(if prefix { scalar(&copy.key, 0, Width::W32) } else { decl.key_bits().into() });
                forever(key, fields(&copy.value))
            })
            .filter(|entry| entry.expires > now)
            .collect();
        entries.sort();
        entries
    }
}

fn forever(key: Vec<u64>, fields: Vec<u64>) -> EntryDump {
    EntryDump { key, fields, expires: NEVER, written: 0 }
}

fn key_bytes(decl: &StateDecl, key: &TableKey) -> Vec<u8> {
    let layout = decl.key_layout();
    let mut bytes = vec![0; layout.size as usize];
    let prefix = decl.kind == StateKind::Table(Match::Prefix);
    if prefix {
        bytes[..4].copy_from_slice(&key.bits.to_le_bytes());
    }
    for ((part, &at), &value) in decl.key.iter().zip(&layout.offsets).zip(&key.parts) {
        let size = part.width.bytes() as usize;
        let value = if prefix { value.swap_bytes() >> (64 - part.width.bits()) } else { value };
        bytes[at as usize..at as usize + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    bytes
}

fn scalar(bytes: &[u8], at: u32, width: Width) -> u64 {
    let mut word = [0; 8];
    let size = width.bytes() as usize;
    word[..size].copy_from_slice(&bytes[at as usize..at as usize + size]);
    u64::from_ne_bytes(word)
}

const RING: Shape = Shape {
    kind: Kind::Ring,
    capacity: 1 << 20,
    key_size: 0,
    value_size: 0,
    header: Header::Plain { lock_offset: None },
};

fn shape(decl: &StateDecl) -> Shape {
    let plain = Header::Plain { lock_offset: None };
    let (kind, key_size, value_size, header) = match decl.kind {
        StateKind::Hash(oko_ir::WhenFull::EvictOldest) => {
            (Kind::Hash(WhenFull::EvictOldest), decl.key_layout().size, decl.entry_layout().size, Header::Oko)
        }
        StateKind::Hash(oko_ir::WhenFull::Refuse) => {
            (Kind::Hash(WhenFull::Refuse), decl.key_layout().size, decl.entry_layout().size, Header::Oko)
        }
        StateKind::Array => (Kind::Array, decl.key_layout().size, decl.entry_layout().size, Header::Oko),
        StateKind::Words => (Kind::Array, 4, 8, plain),
        StateKind::Table(Match::Exact) => {
            (Kind::Exact, decl.key_layout().size, decl.entry_layout().size, plain)
        }
        StateKind::Table(Match::Prefix) => {
            (Kind::Prefix, decl.key_layout().size, decl.entry_layout().size, plain)
        }
    };
    Shape { kind, capacity: decl.capacity, key_size, value_size, header }
}
