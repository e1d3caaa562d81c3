//! What helpers of BPF answer: the error numbers of Linux for what `oko_state` says, and random numbers.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use oko_state::{Kind, Map, Update, UpdateError};

/// `bpf_map_update_elem`: 0 or a negative errno.
pub fn update(map: &Map, key: &[u8], value: &[u8], flags: u64, now: u64) -> i64 {
    let how = match flags {
        0 => Update::Any,
        1 => Update::Insert,
        2 => Update::Replace,
        _ => return -i64::from(libc::EINVAL),
    };
    match map.update(key, value, how, now) {
        Ok(()) => 0,
        Err(UpdateError::Exists) => -i64::from(libc::EEXIST),
        Err(UpdateError::Absent) => match map.shape().kind {
            // The kernel's array says so of an index that is not there.
            Kind::Array => -i64::from(libc::E2BIG),
            _ => -i64::from(libc::ENOENT),
        },
        // The kernel's trie says so when it is full.
        Err(UpdateError::Full) if map.shape().kind == Kind::Prefix => -i64::from(libc::ENOSPC),
        Err(UpdateError::Full) => -i64::from(libc::E2BIG),
        Err(UpdateError::Size { .. } | UpdateError::PrefixLength { .. }) => -i64::from(libc::EINVAL),
        Err(UpdateError::Kind) => -i64::from(libc::EOPNOTSUPP),
    }
}

/// `bpf_map_delete_elem`: 0 or a negative errno.
pub fn delete(map: &Map, key: &[u8]) -> i64 {
    match map.shape().kind {
        Kind::Array => -i64::from(libc::EINVAL),
        Kind::Bloom { .. } | Kind::Sketch { .. } | Kind::Ring => -i64::from(libc::EOPNOTSUPP),
        _ if map.delete(key) => 0,
        _ => -i64::from(libc::ENOENT),
    }
}

/// `bpf_map_push_elem` on a Bloom filter: 0 or a negative errno.
pub fn push(map: &Map, value: &[u8], flags: u64) -> i64 {
    if flags != 0 {
        return -i64::from(libc::EINVAL);
    }
    if map.push(value).is_ok() { 0 } else { -i64::from(libc::EOPNOTSUPP) }
}

/// `bpf_map_peek_elem` on a Bloom filter: 0 if the value may be in it, or a negative errno.
pub fn peek(map: &Map, value: &[u8]) -> i64 {
    match map.shape().kind {
        Kind::Bloom { .. } if map.holds(value) => 0,
        Kind::Bloom { .. } => -i64::from(libc::ENOENT),
        _ => -i64::from(libc::EOPNOTSUPP),
    }
}

/// `ubpf_map_add` on a sketch: 0 or a negative errno.
pub fn add(map: &Map, element: &[u8]) -> i64 {
    if map.add(element).is_ok() { 0 } else { -i64::from(libc::EOPNOTSUPP) }
}

/// `bpf_ringbuf_output`: 0 or a negative errno.
pub fn ring_output(map: &Map, record: &[u8]) -> i64 {
    match map.ring() {
        Some(ring) if ring.output(record) => 0,
        Some(_) => -i64::from(libc::EAGAIN),
        None => -i64::from(libc::EOPNOTSUPP),
    }
}

/// `bpf_get_prandom_u32`: a number that nobody can tell before, good enough for taking samples (xorshift64*, a state for each thread).
pub fn random() -> u32 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
    }
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    })
}
