//! The interpreters, which check every step and answer slowly.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oko_artifact::StateSchema;
use oko_bpf::interp::{Env, Interpreter, MapMemory, Options, PacketMeta};
use oko_bpf::program::MapId;
use oko_bpf::verified::Verified;
use oko_ir::interp::{self, Store, TableError, TableKey};
use oko_ir::{Checked, Param, State, StateDecl};
use oko_jit::abi::Packet;
use oko_jit::map_calls;
use oko_state::{Handed, Map};

use crate::error::StateError;
use crate::info::Verdict;
use crate::params::Params;
use crate::state::{StateInfo, StateSnapshot, States, dump_info, from_dump, known};

/// Runs a verified program; `None` if it ends in a fault, which the verifier excludes.
pub(super) fn run_bpf(program: &Verified, packet: &Packet<'_>, now: u64, states: &States) -> Option<u32> {
    // Instructions are counted by the verifier too, so the budget is never what stops a program.
    let options = Options { max_steps: program.max_steps().saturating_add(1), ..Options::default() };
    let meta = PacketMeta { ingress_ifindex: packet.in_port(), rx_queue_index: 0 };
    let mut env = InstanceEnv { states, now };
    let outcome = Interpreter::new(program.program(), options).run(packet.data(), meta, &mut env);
    outcome.ok().map(|outcome| outcome.ret as u32)
}

/// The maps of an instance, as programs reach them.
struct InstanceEnv<'a> {
    states: &'a States,
    now: u64,
}

impl InstanceEnv<'_> {
    fn map(&self, map: MapId) -> Option<&Map> {
        self.states.map(map.index())
    }
}

impl Env for InstanceEnv<'_> {
    fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Option<MapMemory> {
        let map = self.map(map)?;
        let value = map.find(key).get()?;
        // SAFETY: the bytes of a value stay readable and writable as long as the map, which outlives the run, and are
        // accessed through atomics and raw pointers only.
        Some(unsafe { MapMemory::new(value, map.shape().value_size as usize) })
    }

    fn map_update(&mut self, map: MapId, key: &[u8], value: &[u8], flags: u64) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::update(map, key, value, flags, self.now))
    }

    fn map_delete(&mut self, map: MapId, key: &[u8]) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::delete(map, key))
    }

    fn bloom_push(&mut self, map: MapId, value: &[u8], flags: u64) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::push(map, value, flags))
    }

    fn bloom_peek(&mut self, map: MapId, value: &[u8]) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::peek(map, value))
    }

    fn sketch_add(&mut self, map: MapId, element: &[u8]) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::add(map, element))
    }

    fn hash(&mut self, bytes: &[u8]) -> u32 {
        oko_state::hash_bytes(self.states.seed(), bytes)
    }

    fn ring_output(&mut self, map: MapId, record: &[u8], _flags: u64) -> i64 {
        self.map(map).map_or(-22, |map| map_calls::ring_output(map, record))
    }

    fn ring_reserve(&mut self, map: MapId, size: u32) -> Option<MapMemory> {
        let record = self.map(map)?.ring().filter(|_| size > 0)?.reserve(size as usize)?;
        // SAFETY: nobody else touches the record until it is handed over, and the ring buffer outlives the run.
        Some(unsafe { MapMemory::new(record, size as usize) })
    }

    fn ring_hand(&mut self, map: MapId, record: MapMemory, submit: bool) {
        let how = if submit { Handed::Over } else { Handed::Back };
        let address = NonNull::new(record.address() as *mut u8);
        if let (Some(ring), Some(address)) = (self.map(map).and_then(Map::ring), address) {
            // SAFETY: the interpreter hands each record over that `ring_reserve` gave, once.
            unsafe { ring.hand(address, record.len(), how) }
        }
    }

    fn random(&mut self) -> u32 {
        map_calls::random()
    }

    fn ktime_ns(&mut self) -> u64 {
        self.now
    }

    fn processor_id(&mut self) -> u32 {
        oko_state::worker()
    }

    fn spin_lock(&mut self, lock: &AtomicU32) {
        // SAFETY: the word lies in a value of a map that outlives the run, where the map's definition has a lock.
        unsafe { oko_state::lock(lock.as_ptr()) }
    }

    fn spin_unlock(&mut self, lock: &AtomicU32) {
        // SAFETY: as above, and the program holds it.
        unsafe { oko_state::unlock(lock.as_ptr()) }
    }
}

/// The interpreter of the IR with the only state that it works on: its own.
#[derive(Debug)]
pub(crate) struct Oracle {
    module: Checked,
    store: Mutex<Store>,
    /// Of how many dropped events has been told.
    told: AtomicU64,
}

impl Oracle {
    pub(super) fn new(module: Checked, seed: u64) -> Oracle {
        let mut store = Store::new(&module);
        store.set_seed(seed);
        Oracle { module, store: Mutex::new(store), told: AtomicU64::new(0) }
    }

    /// One burst at a time.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(never)]
    pub(super) fn run(
        &self,
        filter: usize,
        packets: &[Packet<'_>],
        now: u64,
        params: &Params,
        verdicts: &mut [Verdict],
    ) -> u64 {
        let mut store = self.store();
        for (index, value) in params.values().iter().enumerate() {
            // Params are in range whenever they are set.
            let _ = store.set_param(Param::from_index(index), value.load(Ordering::Relaxed));
        }
        let mut faults = 0;
        for (packet, verdict) in packets.iter().zip(verdicts) {
            let asked = interp::Packet {
                bytes: packet.data(),
                wire_len: packet.wire_len(),
                in_port: packet.in_port(),
            };
            let outcome = interp::run(&self.module, filter, &mut store, asked, now);
            faults += u64::from(outcome.is_err());
            *verdict = Verdict(outcome.map_or(0, |outcome| outcome.class));
        }
        faults
    }

    /// The states that are no business of the compiler alone.
    fn visible(&self) -> impl Iterator<Item = (usize, &StateDecl)> {
        self.module.module().states.iter().enumerate().filter(|(_, decl)| !decl.name.contains('.'))
    }

    /// How full each state is.
    pub(crate) fn infos(&self) -> Vec<StateInfo> {
        let dumps = self.store().dump();
        self.visible().map(|(index, decl)| dump_info(&dumps[index], decl)).collect()
    }

    /// What a state holds.
    pub(crate) fn snapshot(
        &self,
        name: &str,
        schema: Option<&StateSchema>,
        now: u64,
    ) -> Result<StateSnapshot, StateError> {
        let state = self.state(name)?.index();
        let dump = self.store().merged(now).swap_remove(state);
        Ok(from_dump(dump, &self.module.module().states[state], schema, now))
    }

    pub(crate) fn put(&self, name: &str, key: &TableKey, fields: &[u64]) -> Result<(), StateError> {
        let state = self.state(name)?;
        self.store().put(state, key.clone(), fields).map_err(|error| table_error(name, error))
    }

    pub(crate) fn remove(&self, name: &str, key: &TableKey) -> Result<bool, StateError> {
        let state = self.state(name)?;
        self.store().remove(state, key).map_err(|error| table_error(name, error))
    }

    /// Events as the ring has them: number, time, values. Those beyond the limit stay.
    pub(crate) fn take_events(&self, limit: usize) -> Vec<Vec<u64>> {
        let events = self.store().take_oldest_events(limit).into_iter();
        events
            .map(|event| [&[event.event.index() as u64, event.time], event.values.as_slice()].concat())
            .collect()
    }

    pub(crate) fn events_dropped(&self) -> u64 {
        self.store().dropped_events()
    }

    pub(crate) fn take_dropped(&self) -> u64 {
        let store = self.store();
        let dropped = store.dropped_events();
        dropped - self.told.swap(dropped, Ordering::Relaxed)
    }

    fn state(&self, name: &str) -> Result<State, StateError> {
        self.module.module().state_named(name).ok_or_else(|| StateError::Unknown {
            name: name.to_owned(),
            known: known(self.visible().map(|(_, decl)| decl.name.as_str())),
        })
    }
}

fn table_error(name: &str, error: TableError) -> StateError {
    let name = name.to_owned();
    match error {
        TableError::NoTable { .. } => StateError::NoTable { name },
        source => StateError::Entry { name, source },
    }
}
