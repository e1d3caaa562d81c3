//! What the map helpers of BPF answer: the error numbers of Linux for what `oko_state` says.

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
        Kind::Bloom { .. } | Kind::Ring => -i64::from(libc::EOPNOTSUPP),
        _ if map.delete(key) => 0,
        _ => -i64::from(libc::ENOENT),
    }
}
