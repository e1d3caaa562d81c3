//! The maps of a BPF program, and its runs by native code and by the interpreter.

use oko_bpf::interp::{Env, Interpreter, MapMemory, Options, PacketMeta};
use oko_bpf::program::{MapDef, MapId, MapKind, Program};
use oko_bpf::verified::Verified;
use oko_bpf::{asm, verifier};
use oko_ir::seed::seed_words;
use oko_jit::abi::{Context, Moment, Packet};
use oko_jit::{Answer, Code, compile_bpf, map_calls, map_shape};
use oko_state::{Handed, Map, Update};

/// Maps of a program, for both engines.
pub(crate) struct Maps(pub(crate) Vec<Map>);

impl Maps {
    pub(crate) fn new(defs: &[MapDef]) -> Maps {
        let map = |def: &MapDef| {
            let map = Map::new(map_shape(def)).unwrap();
            if let Some(data) = &def.data {
                map.update(&[0; 4], &data.init, Update::Any, 1).unwrap();
            }
            map
        };
        Maps(defs.iter().map(map).collect())
    }

    pub(crate) fn with_context<T>(&self, now: u64, body: impl FnOnce(&Context, Moment) -> T) -> T {
        let maps: Vec<*const Map> = self.0.iter().map(std::ptr::from_ref).collect();
        let first = |map: &Map| map.array_values().map_or(std::ptr::null_mut(), |(first, _)| first.as_ptr());
        let values: Vec<*mut u8> = self.0.iter().map(first).collect();
        let params = std::ptr::null();
        let _pin = oko_state::pin();
        let context = Context {
            params,
            maps: maps.as_ptr(),
            values: values.as_ptr(),
            events: std::ptr::null(),
            seed: 0,
            seed_words: seed_words(0),
        };
        // The maps are the test's own, so nobody else takes their locks. Both ways of doing so have their turn.
        body(&context, Moment { now, alone: now.is_multiple_of(2) })
    }
}

pub(crate) struct InterpEnv<'a> {
    maps: &'a Maps,
    now: u64,
    _pin: oko_state::Pin,
}

impl Env for InterpEnv<'_> {
    fn map_lookup(&mut self, map: MapId, key: &[u8]) -> Option<MapMemory> {
        let map = &self.maps.0[map.index()];
        // SAFETY: a value of a map that outlives the run.
        map.find(key).get().map(|value| unsafe { MapMemory::new(value, map.shape().value_size as usize) })
    }
    fn map_update(&mut self, map: MapId, key: &[u8], value: &[u8], flags: u64) -> i64 {
        map_calls::update(&self.maps.0[map.index()], key, value, flags, self.now)
    }
    fn map_delete(&mut self, map: MapId, key: &[u8]) -> i64 {
        map_calls::delete(&self.maps.0[map.index()], key)
    }
    fn bloom_push(&mut self, map: MapId, value: &[u8], flags: u64) -> i64 {
        map_calls::push(&self.maps.0[map.index()], value, flags)
    }
    fn bloom_peek(&mut self, map: MapId, value: &[u8]) -> i64 {
        map_calls::peek(&self.maps.0[map.index()], value)
    }
    fn sketch_add(&mut self, map: MapId, element: &[u8]) -> i64 {
        map_calls::add(&self.maps.0[map.index()], element)
    }
    fn hash(&mut self, bytes: &[u8]) -> u32 {
        oko_state::hash_bytes(0, bytes)
    }
    fn ring_output(&mut self, map: MapId, record: &[u8], _flags: u64) -> i64 {
        map_calls::ring_output(&self.maps.0[map.index()], record)
    }
    fn ring_reserve(&mut self, map: MapId, size: u32) -> Option<MapMemory> {
        let record = self.maps.0[map.index()].ring()?.reserve(size as usize)?;
        // SAFETY: it is the program's until it is handed over.
        Some(unsafe { MapMemory::new(record, size as usize) })
    }
    fn ring_hand(&mut self, map: MapId, record: MapMemory, submit: bool) {
        let how = if submit { Handed::Over } else { Handed::Back };
        let address = std::ptr::NonNull::new(record.address() as *mut u8).unwrap();
        // SAFETY: a record that was reserved, handed over once.
        unsafe { self.maps.0[map.index()].ring().unwrap().hand(address, record.len(), how) }
    }
    fn ktime_ns(&mut self) -> u64 {
        self.now
    }
    fn processor_id(&mut self) -> u32 {
        oko_state::worker()
    }
    fn spin_lock(&mut self, lock: &std::sync::atomic::AtomicU32) {
        // SAFETY: the lock word of a value of a map that outlives the run.
        unsafe { oko_state::lock(lock.as_ptr()) }
    }
    fn spin_unlock(&mut self, lock: &std::sync::atomic::AtomicU32) {
        // SAFETY: as above.
        unsafe { oko_state::unlock(lock.as_ptr()) }
    }
}

pub(crate) fn run(code: &Code, maps: &Maps, packets: &[Packet<'_>], now: u64) -> Vec<u32> {
    let mut verdicts = vec![u32::MAX; packets.len()];
    // SAFETY: the maps were made from the program's own definitions.
    maps.with_context(now, |context, moment| unsafe { code.run(context, packets, moment, &mut verdicts) });
    verdicts
}

pub(crate) fn verified(text: &str, maps: Vec<MapDef>) -> Verified {
    let program =
        Program { name: "test".to_owned(), insns: asm::assemble(text).unwrap(), maps, lines: Vec::new() };
    verifier::verify(program).unwrap_or_else(|error| panic!("{error}"))
}

/// A program that looks at the first 16 bytes of packets: `r2` points to them. Of shorter ones it says 77.
pub(crate) fn over_bytes(body: &str) -> String {
    over(16, body)
}

/// The same, of so many bytes.
pub(crate) fn over(bytes: u32, body: &str) -> String {
    format!(
        "ldxw %r2, [%r1]
         ldxw %r3, [%r1+4]
         mov %r4, %r2
         add %r4, {bytes}
         mov %r0, 77
         jgt %r4, %r3, out
         {body}
         out: exit"
    )
}

/// Looks the key at a distance from the frame pointer up in a map.
pub(crate) fn look_up(map: u32, key: i32) -> String {
    format!("lddw %r1, map[{map}]\n mov %r2, %r10\n add %r2, {key}\n call 1")
}

/// Inserts the key at a distance from the frame pointer into a map, or changes what is there, with the value at another one.
pub(crate) fn update(map: u32, key: i32, value: i32) -> String {
    format!(
        "lddw %r1, map[{map}]\n mov %r2, %r10\n add %r2, {key}\n mov %r3, %r10\n add %r3, {value}\n mov %r4, 0\n call 2"
    )
}

/// What the interpreter says of a packet.
pub(crate) fn interpret(program: &Verified, maps: &Maps, packet: &[u8], now: u64) -> u32 {
    let mut env = InterpEnv { maps, now, _pin: oko_state::pin() };
    let meta = PacketMeta { ingress_ifindex: 7, rx_queue_index: 0 };
    let interpreter = Interpreter::new(program.program(), Options::default());
    interpreter.run(packet, meta, &mut env).unwrap().ret as u32
}

/// Runs a program over packets with both engines, each over maps of its own, and demands equal answers and maps.
pub(crate) fn same_answers(program: &Verified, packets: &[Vec<u8>]) -> Vec<u32> {
    let code = compile_bpf(program, Answer::Value).unwrap();
    let (native, interpreted) = (Maps::new(program.maps()), Maps::new(program.maps()));
    let mut answers = Vec::new();
    for (now, packet) in (1_000..).zip(packets) {
        let found = run(&code, &native, &[Packet::new(packet, 7)], now)[0];
        assert_eq!(found, interpret(program, &interpreted, packet, now), "packet {packet:02x?}");
        answers.push(found);
    }
    for (a, b) in native.0.iter().zip(&interpreted.0) {
        let sorted = |map: &Map| {
            let mut entries = map.snapshot();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            entries
        };
        assert_eq!(sorted(a), sorted(b));
        let records = |map: &Map| map.ring().map(|ring| ring.drain(usize::MAX));
        assert_eq!(records(a), records(b));
    }
    answers
}

pub(crate) fn map(
    name: &str,
    kind: MapKind,
    value_size: u32,
    max_entries: u32,
    lock_offset: Option<u32>,
) -> MapDef {
    MapDef {
        name: name.to_owned(),
        kind,
        key_size: 4,
        value_size,
        max_entries,
        lock_offset,
        ..MapDef::default()
    }
}

pub(crate) fn packets() -> Vec<Vec<u8>> {
    (0..200_u32)
        .map(|n| (0..n % 40).map(|at| (n.wrapping_mul(31) ^ at.wrapping_mul(7)) as u8).collect())
        .collect()
}
