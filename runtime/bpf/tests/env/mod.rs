//! Maps for tests: plain hash tables whose values stay where they are for the life of the environment; and runs that are watched.

use std::{collections::HashMap, ptr::NonNull};

use oko_bpf::{
    interp::{Env, MapMemory, Place, Snapshot},
    program::{MapDef, MapId},
};

/// Somebody who looks at each step of a run.
#[allow(dead_code, reason = "each test uses its part")]
pub(crate) trait Watcher {
    /// Told of each instruction before it is executed.
    fn before(&mut self, _step: &Snapshot<'_>) {}
    /// Told of each memory access.
    fn access(&mut self, _slot: usize, _place: Place, _off: i64) {}
}

/// Maps, and who watches what is done with them.
#[allow(dead_code, reason = "each test uses its part")]
pub(crate) struct Watched<W> {
    pub(crate) maps: TestMaps,
    pub(crate) watcher: W,
}

impl<W: Watcher> Env for Watched<W> {
    fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Option<MapMemory> {
        self.maps.map_lookup(map, key)
    }
    fn map_update(&mut self, map: MapId, key: &[u8], value: &[u8], flags: u64) -> i64 {
        self.maps.map_update(map, key, value, flags)
    }
    fn map_delete(&mut self, map: MapId, key: &[u8]) -> i64 {
        self.maps.map_delete(map, key)
    }
    fn bloom_push(&mut self, map: MapId, value: &[u8], flags: u64) -> i64 {
        self.maps.bloom_push(map, value, flags)
    }
    fn bloom_peek(&mut self, map: MapId, value: &[u8]) -> i64 {
        self.maps.bloom_peek(map, value)
    }
    fn sketch_add(&mut self, map: MapId, element: &[u8]) -> i64 {
        self.maps.sketch_add(map, element)
    }
    fn ring_output(&mut self, map: MapId, record: &[u8], flags: u64) -> i64 {
        self.maps.ring_output(map, record, flags)
    }
    fn ring_reserve(&mut self, map: MapId, size: u32) -> Option<MapMemory> {
        self.maps.ring_reserve(map, size)
    }
    fn ring_hand(&mut self, map: MapId, record: MapMemory, submit: bool) {
        self.maps.ring_hand(map, record, submit);
    }
    fn ktime_ns(&mut self) -> u64 {
        self.maps.ktime_ns()
    }
    fn before(&mut self, step: &Snapshot<'_>) {
        self.watcher.before(step);
    }
    fn access(&mut self, slot: usize, place: Place, off: i64) {
        self.watcher.access(slot, place, off);
    }
}

/// Maps by number, and a clock that stands still.
pub(crate) struct TestMaps {
    defs: Vec<MapDef>,
    tables: Vec<HashMap<Vec<u8>, usize>>,
    /// All values ever made; a deleted one stays readable, as in the switch until the burst ends.
    values: Vec<(*mut u64, usize)>,
    /// How often each element was put into a sketch.
    counts: HashMap<(usize, Vec<u8>), u32>,
    /// Records that were handed to the consumer, with their ring buffer.
    pub(crate) records: Vec<(usize, Vec<u8>)>,
    pub(crate) now: u64,
}

impl TestMaps {
    pub(crate) fn new(defs: &[MapDef]) -> TestMaps {
        let tables = vec![HashMap::new(); defs.len()];
        TestMaps {
            defs: defs.to_vec(),
            tables,
            values: Vec::new(),
            counts: HashMap::new(),
            records: Vec::new(),
            now: 1_000_000_007,
        }
    }

    fn memory(&self, value: usize, map: MapId) -> MapMemory {
        let (base, _) = self.values[value];
        let base = NonNull::new(base.cast()).expect("a box is not null");
        // SAFETY: `base` is a leaked box of at least `value_size` bytes, freed when the environment is dropped; it is
        // only accessed through such handles.
        unsafe { MapMemory::new(base, self.defs[map.index()].value_size as usize) }
    }

    fn insert(&mut self, map: MapId, key: &[u8], bytes: &[u8]) {
        let words = bytes.len().div_ceil(8).max(1);
        let value = match self.tables[map.index()].get(key) {
            Some(value) => *value,
            None => {
                self.values.push((Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr(), words));
                self.tables[map.index()].insert(key.to_vec(), self.values.len() - 1);
                self.values.len() - 1
            }
        };
        let memory = self.memory(value, map);
        let lock = self.defs[map.index()].lock_offset.map(|lock| lock as usize);
        for (index, byte) in bytes.iter().enumerate() {
            if lock.is_none_or(|lock| !(lock..lock + 4).contains(&index)) {
                memory.store(index, oko_bpf::isa::Size::B, u64::from(*byte)).expect("inside");
            }
        }
    }

    /// All entries in the order of their keys.
    #[allow(dead_code, reason = "each test uses its part")]
    pub(crate) fn contents(&self) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let has_entries = |map: &usize| self.defs[*map].kind.has_entries();
        for map in (0..self.tables.len()).filter(has_entries) {
            for (key, value) in &self.tables[map] {
                let memory = self.memory(*value, MapId(map as u32));
                let byte = |index| memory.load(index, oko_bpf::isa::Size::B).expect("inside") as u8;
                all.push((map, key.clone(), (0..memory.len()).map(byte).collect()));
            }
        }
        all.sort();
        all
    }
}

impl Drop for TestMaps {
    fn drop(&mut self) {
        for (base, words) in self.values.drain(..) {
            // SAFETY: leaked in `insert` with this length, and dropped only here.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(base, words)) });
        }
    }
}

impl Env for TestMaps {
    fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Option<MapMemory> {
        let def = self.defs[map.index()].clone();
        if def.kind.is_sketch() {
            // The answer is at the same place each time.
            let count = self.counts.get(&(map.index(), key.to_vec())).copied().unwrap_or(0);
            self.insert(map, &[], &count.to_ne_bytes());
            return Some(self.memory(self.tables[map.index()][&[][..]], map));
        }
        if def.kind.is_array() {
            let index = u32::from_le_bytes(key.try_into().expect("the key of an array has 4 bytes"));
            if index >= def.max_entries {
                return None;
            }
            if !self.tables[map.index()].contains_key(key) {
                let init = def.data.map_or(vec![0; def.value_size as usize], |data| data.init);
                self.insert(map, key, &init);
            }
        }
        let value = *self.tables[map.index()].get(key)?;
        Some(self.memory(value, map))
    }

    fn map_update(&mut self, map: MapId, key: &[u8], value: &[u8], _flags: u64) -> i64 {
        let def = &self.defs[map.index()];
        let full = self.tables[map.index()].len() >= def.max_entries as usize;
        if full && !self.tables[map.index()].contains_key(key) {
            return -7;
        }
        self.insert(map, key, value);
        0
    }

    fn map_delete(&mut self, map: MapId, key: &[u8]) -> i64 {
        match self.tables[map.index()].remove(key) {
            Some(_) => 0,
            None => -2,
        }
    }

    fn bloom_push(&mut self, map: MapId, value: &[u8], _flags: u64) -> i64 {
        self.tables[map.index()].insert(value.to_vec(), 0);
        0
    }

    fn bloom_peek(&mut self, map: MapId, value: &[u8]) -> i64 {
        if self.tables[map.index()].contains_key(value) { 0 } else { -2 }
    }

    fn sketch_add(&mut self, map: MapId, element: &[u8]) -> i64 {
        *self.counts.entry((map.index(), element.to_vec())).or_default() += 1;
        0
    }

    fn ring_output(&mut self, map: MapId, record: &[u8], _flags: u64) -> i64 {
        self.records.push((map.index(), record.to_vec()));
        0
    }

    fn ring_reserve(&mut self, map: MapId, size: u32) -> Option<MapMemory> {
        // Now and then there is no room.
        if size > self.defs[map.index()].max_entries || self.records.len() % 5 == 4 {
            self.records.push((map.index(), Vec::new()));
            return None;
        }
        let words = size.div_ceil(8) as usize;
        self.values.push((Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr(), words));
        let base = NonNull::new(self.values.last()?.0.cast())?;
        // SAFETY: as in `memory`.
        Some(unsafe { MapMemory::new(base, size as usize) })
    }

    fn ring_hand(&mut self, map: MapId, record: MapMemory, submit: bool) {
        let byte = |index| record.load(index, oko_bpf::isa::Size::B).expect("inside") as u8;
        let bytes = (0..record.len()).map(byte).collect();
        self.records.push((map.index(), if submit { bytes } else { Vec::new() }));
    }

    fn ktime_ns(&mut self) -> u64 {
        self.now
    }
}
