//! The functions that generated code calls.

use std::cell::RefCell;
use std::ptr::NonNull;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Signature};
use cranelift_codegen::isa::CallConv;
use oko_state::{Found, Handed, Map};

use crate::abi::Packet;
use crate::map_calls;

/// A function that generated code calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Helper {
    /// `find(map, key words) -> (value, generation)`
    Find,
    /// `slot(map, key words, now) -> (value, generation)`
    Slot,
    /// `lock(word)`, when it was not free
    Lock,
    /// `lookup(map, key bytes) -> value`
    Lookup,
    /// `update(map, key bytes, value bytes, flags, now) -> 0 or negative errno`
    Update,
    /// `delete(map, key bytes) -> 0 or negative errno`
    Delete,
    /// `emit(ring, words, count)`
    Emit,
    /// `zero(bytes, count)`
    Zero,
    /// `random() -> a number below 2^32`
    Random,
    /// `worker() -> the number of the thread`
    Worker,
    /// `load_bytes(packet, offset, to, size) -> 0 or negative errno`
    LoadBytes,
    /// `push(map, value bytes, flags) -> 0 or negative errno`
    Push,
    /// `peek(map, value bytes) -> 0 or negative errno`
    Peek,
    /// `ring_output(ring, bytes, size) -> 0 or negative errno`
    RingOutput,
    /// `ring_reserve(ring, size) -> record`
    RingReserve,
    /// `ring_hand(record, whether it is submitted)`
    RingHand,
    /// `add(sketch, element bytes) -> 0 or negative errno`
    Add,
    /// `hash(bytes, size, seed) -> a number below 2^32`
    Hash,
}

impl Helper {
    pub(crate) const ALL: [Helper; 18] = [
        Helper::Find,
        Helper::Slot,
        Helper::Lock,
        Helper::Lookup,
        Helper::Update,
        Helper::Delete,
        Helper::Emit,
        Helper::Zero,
        Helper::Random,
        Helper::Worker,
        Helper::LoadBytes,
        Helper::Push,
        Helper::Peek,
        Helper::RingOutput,
        Helper::RingReserve,
        Helper::RingHand,
        Helper::Add,
        Helper::Hash,
    ];

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) fn place(self) -> u32 {
        Helper::ALL.iter().position(|other| *other == self).expect("`ALL` has all helpers") as u32
    }

    pub(crate) fn address(self) -> usize {
        match self {
            Helper::Find => find as *const () as usize,
            Helper::Slot => slot as *const () as usize,
            Helper::Lock => lock as *const () as usize,
            Helper::Lookup => lookup as *const () as usize,
            Helper::Update => update as *const () as usize,
            Helper::Delete => delete as *const () as usize,
            Helper::Emit => emit as *const () as usize,
            Helper::Zero => zero as *const () as usize,
            Helper::Random => random as *const () as usize,
            Helper::Worker => worker as *const () as usize,
            Helper::LoadBytes => load_bytes as *const () as usize,
            Helper::Push => push as *const () as usize,
            Helper::Peek => peek as *const () as usize,
            Helper::RingOutput => ring_output as *const () as usize,
            Helper::RingReserve => ring_reserve as *const () as usize,
            Helper::RingHand => ring_hand as *const () as usize,
            Helper::Add => add as *const () as usize,
            Helper::Hash => hash as *const () as usize,
        }
    }

    pub(crate) fn signature(self, convention: CallConv) -> Signature {
        let (params, returns) = match self {
            Helper::Find => (2, 2),
            Helper::Slot => (3, 2),
            Helper::Lock => (1, 0),
            Helper::Lookup | Helper::Delete => (2, 1),
            Helper::Update => (5, 1),
            Helper::Emit => (3, 0),
            Helper::Zero => (2, 0),
            Helper::Random | Helper::Worker => (0, 1),
            Helper::LoadBytes => (4, 1),
            Helper::Push | Helper::RingOutput | Helper::Hash => (3, 1),
            Helper::Peek | Helper::RingReserve | Helper::Add => (2, 1),
            Helper::RingHand => (2, 0),
        };
        let mut signature = Signature::new(convention);
        signature.params = vec![AbiParam::new(I64); params];
        signature.returns = vec![AbiParam::new(I64); returns];
        signature
    }
}

/// # Safety
///
/// `map` lives, and `key` has as many words as its keys take.
unsafe extern "C" fn find(map: *const Map, key: *const u64) -> Found {
    // SAFETY: the caller's promise.
    let (map, key) = unsafe { (&*map, std::slice::from_raw_parts(key, (*map).key_word_count())) };
    map.find_words(key)
}

/// # Safety
///
/// As of [`find`].
unsafe extern "C" fn slot(map: *const Map, key: *const u64, now: u64) -> Found {
    // SAFETY: the caller's promise.
    let (map, key) = unsafe { (&*map, std::slice::from_raw_parts(key, (*map).key_word_count())) };
    map.slot_words(key, now)
}

/// # Safety
///
/// `word` is the lock word of a value of a map that lives.
unsafe extern "C" fn lock(word: *mut u32) {
    // SAFETY: the caller's promise.
    unsafe { oko_state::lock(word) }
}

/// # Safety
///
/// `map` lives, and `key` has the bytes of one of its keys.
unsafe extern "C" fn lookup(map: *const Map, key: *const u8) -> *mut u8 {
    // SAFETY: the caller's promise.
    let (map, key) = unsafe { (&*map, std::slice::from_raw_parts(key, (*map).shape().key_size as usize)) };
    map.find(key).value
}

/// # Safety
///
/// As of [`lookup`], and `value` has the bytes of one of its values.
unsafe extern "C" fn update(map: *const Map, key: *const u8, value: *const u8, flags: u64, now: u64) -> i64 {
    // SAFETY: the caller's promise.
    let (map, key, value) = unsafe {
        let shape = (*map).shape();
        (
            &*map,
            std::slice::from_raw_parts(key, shape.key_size as usize),
            std::slice::from_raw_parts(value, shape.value_size as usize),
        )
    };
    map_calls::update(map, key, value, flags, now)
}

/// # Safety
///
/// As of [`lookup`].
unsafe extern "C" fn delete(map: *const Map, key: *const u8) -> i64 {
    // SAFETY: the caller's promise.
    let (map, key) = unsafe { (&*map, std::slice::from_raw_parts(key, (*map).shape().key_size as usize)) };
    map_calls::delete(map, key)
}

/// # Safety
///
/// `ring` is a ring buffer that lives, and `words` are so many.
unsafe extern "C" fn emit(ring: *const Map, words: *const u64, count: u64) {
    // SAFETY: the caller's promise.
    let (ring, words) = unsafe { (&*ring, std::slice::from_raw_parts(words, count as usize)) };
    if let Some(ring) = ring.ring() {
        // What finds no room is dropped and counted.
        ring.output_words(words);
    }
}

/// # Safety
///
/// There are `count` bytes that may be written, and nobody reads them meanwhile but by atomics.
unsafe extern "C" fn zero(bytes: *mut u8, count: u64) {
    // SAFETY: the caller's promise.
    unsafe { bytes.write_bytes(0, count as usize) }
}

/// # Safety
///
/// `packet` describes a packet that lives, and `to` has `size` bytes that may be written.
unsafe extern "C" fn load_bytes(packet: *const Packet<'_>, offset: u64, to: *mut u8, size: u64) -> i64 {
    // SAFETY: the caller's promise.
    let data = unsafe { (*packet).data() };
    // Linux takes both as 32-bit numbers.
    let (offset, size) = (offset as u32 as usize, size as u32 as usize);
    let bytes = offset.checked_add(size).and_then(|end| data.get(offset..end));
    match bytes {
        // SAFETY: the caller's promise; the verifier keeps packets read only, so the two do not overlap.
        Some(bytes) => unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, size) },
        // SAFETY: the caller's promise.
        None => unsafe { std::ptr::write_bytes(to, 0, size) },
    }
    match bytes {
        Some(_) => 0,
        None if offset > 0xffff || size > 0xffff => -i64::from(libc::EFAULT),
        None => -i64::from(libc::EINVAL),
    }
}

extern "C" fn random() -> u64 {
    u64::from(map_calls::random())
}

extern "C" fn worker() -> u64 {
    u64::from(oko_state::worker())
}

/// # Safety
///
/// `map` is a Bloom filter that lives, and `value` has the bytes of one of its values.
unsafe extern "C" fn push(map: *const Map, value: *const u8, flags: u64) -> i64 {
    // SAFETY: the caller's promise.
    let (map, value) =
        unsafe { (&*map, std::slice::from_raw_parts(value, (*map).shape().value_size as usize)) };
    map_calls::push(map, value, flags)
}

/// # Safety
///
/// As of [`push`].
unsafe extern "C" fn peek(map: *const Map, value: *const u8) -> i64 {
    // SAFETY: the caller's promise.
    let (map, value) =
        unsafe { (&*map, std::slice::from_raw_parts(value, (*map).shape().value_size as usize)) };
    map_calls::peek(map, value)
}

/// # Safety
///
/// As of [`lookup`].
unsafe extern "C" fn add(map: *const Map, element: *const u8) -> i64 {
    // SAFETY: the caller's promise.
    let (map, element) =
        unsafe { (&*map, std::slice::from_raw_parts(element, (*map).shape().key_size as usize)) };
    map_calls::add(map, element)
}

/// # Safety
///
/// `bytes` are so many.
unsafe extern "C" fn hash(bytes: *const u8, size: u64, seed: u64) -> u64 {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, size as usize) };
    u64::from(oko_state::hash_bytes(seed, bytes))
}

/// # Safety
///
/// `ring` is a ring buffer that lives, and `bytes` are so many.
unsafe extern "C" fn ring_output(ring: *const Map, bytes: *const u8, size: u64) -> i64 {
    // SAFETY: the caller's promise.
    let (ring, bytes) = unsafe { (&*ring, std::slice::from_raw_parts(bytes, size as usize)) };
    map_calls::ring_output(ring, bytes)
}

/// A record that was reserved, and the ring buffer that it is of.
struct Outstanding {
    record: NonNull<u8>,
    ring: *const Map,
    size: usize,
}

thread_local! {
    /// The records that programs of this thread have and did not hand over yet: none between two runs.
    static OUTSTANDING: RefCell<Vec<Outstanding>> = const { RefCell::new(Vec::new()) };
}

/// # Safety
///
/// `ring` is a ring buffer that lives until the record is handed over by [`ring_hand`].
unsafe extern "C" fn ring_reserve(ring: *const Map, size: u64) -> *mut u8 {
    let size = size as usize;
    // SAFETY: the caller's promise.
    let record = unsafe { &*ring }.ring().filter(|_| size > 0).and_then(|ring| ring.reserve(size));
    let Some(record) = record else { return std::ptr::null_mut() };
    OUTSTANDING.with(|all| all.borrow_mut().push(Outstanding { record, ring, size }));
    record.as_ptr()
}

/// # Safety
///
/// `record` was reserved by [`ring_reserve`] on this thread, and was not handed over yet.
unsafe extern "C" fn ring_hand(record: *mut u8, submit: u64) {
    let found = OUTSTANDING.with(|all| {
        let mut all = all.borrow_mut();
        let at = all.iter().position(|outstanding| outstanding.record.as_ptr() == record)?;
        Some(all.swap_remove(at))
    });
    let Some(Outstanding { record, ring, size }) = found else { return };
    let how = if submit != 0 { Handed::Over } else { Handed::Back };
    // SAFETY: the ring buffer lives, by the promise that its record was reserved with; the record is one of it and was not handed over, or it were
    // not outstanding.
    unsafe {
        if let Some(ring) = (*ring).ring() {
            ring.hand(record, size, how);
        }
    }
}
