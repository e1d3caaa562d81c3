//! Maps of the kernel: made, read and written.
//!
//! Of those that each CPU has for itself, the values of the first one.

use std::os::fd::{AsRawFd, OwnedFd};
use std::{fs, io};

use oko_bpf::object::ObjectFile;
use oko_bpf::program::{MapDef, MapKind};

use super::call::{
    Attr, MAP_CREATE, MAP_FREEZE, MAP_GET_NEXT_KEY, MAP_LOOKUP_BATCH, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM,
};
use super::{Entry, KernelError, fail};

/// `BPF_F_NO_PREALLOC`, which an LPM trie demands.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_RDONLY_PROG`.
const RDONLY_PROG: u32 = 1 << 7;
/// Makes a map of an object, with the types of its keys and values, and fills it if it is a section of variables.
pub(super) fn create(
    file: &ObjectFile<'_>,
    index: usize,
    btf: Option<&OwnedFd>,
) -> Result<OwnedFd, KernelError> {
    let def = &file.maps[index];
    let mut attr = Attr::default();
    for (offset, value) in
        [(0, def.kind.number()), (4, def.key_size), (8, def.value_size), (12, def.max_entries)]
    {
        attr.u32(offset, value);
    }
    attr.name(28, &def.name);
    let readonly = def.data.as_ref().is_some_and(|data| data.readonly);
    if readonly {
        attr.u32(16, RDONLY_PROG);
    } else if def.kind == MapKind::LpmTrie {
        attr.u32(16, NO_PREALLOC);
    }
    attr.u32(64, def.hashes);
    let types = file.map_types[index];
    if let (Some(btf), Some(key), Some(value)) = (btf, types.key, types.value) {
        attr.u32(48, btf.as_raw_fd().cast_unsigned());
        attr.u32(52, key);
        attr.u32(56, value);
    }
    let error = |error| fail(format!("creation of map {}", def.name), error);
    let fd = attr.call_for_fd(MAP_CREATE).map_err(error)?;
    if let Some(data) = &def.data {
        update(&fd, &0u32.to_ne_bytes(), &data.init).map_err(error)?;
    }
    if readonly {
        let mut attr = Attr::default();
        attr.u32(0, fd.as_raw_fd().cast_unsigned());
        attr.call(MAP_FREEZE).map_err(error)?;
    }
    Ok(fd)
}

/// Writes an entry.
pub(super) fn update(map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = Attr::default();
    attr.u32(0, map.as_raw_fd().cast_unsigned());
    attr.pointer(8, key.as_ptr());
    attr.pointer(16, value.as_ptr());
    attr.call(MAP_UPDATE_ELEM).map(drop)
}

/// The value of a key, if there is an entry.
pub(super) fn lookup(map: &OwnedFd, def: &MapDef, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let size = def.value_size as usize;
    let copies = if def.kind.is_percpu() { possible_cpus()? } else { 1 };
    // The kernel rounds values of arrays up to 8 bytes.
    let mut value = vec![0u8; size.next_multiple_of(8) * copies];
    let mut attr = Attr::default();
    attr.u32(0, map.as_raw_fd().cast_unsigned());
    attr.pointer(8, key.as_ptr());
    attr.pointer(16, value.as_mut_ptr());
    match attr.call(MAP_LOOKUP_ELEM) {
        Ok(_) => {
            value.truncate(size);
            Ok(Some(value))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All elements of an array, by one call: large ones have a million.
pub(super) fn array(map: &OwnedFd, def: &MapDef) -> io::Result<Vec<Entry>> {
    let (key_size, value_size) = (def.key_size as usize, def.value_size as usize);
    // The kernel rounds values of arrays up to 8 bytes.
    let stride = value_size.next_multiple_of(8);
    let count = def.max_entries as usize;
    let (mut keys, mut values) = (vec![0u8; key_size * count], vec![0u8; stride * count]);
    let mut next = 0u32;
    let mut attr = Attr::default();
    attr.pointer(8, &raw mut next);
    attr.pointer(16, keys.as_mut_ptr());
    attr.pointer(24, values.as_mut_ptr());
    attr.u32(32, def.max_entries);
    attr.u32(36, map.as_raw_fd().cast_unsigned());
    match attr.call(MAP_LOOKUP_BATCH) {
        Ok(_) => {}
        // That was the last of them.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let found = attr.get_u32(32) as usize;
    // Values lie one behind the other as the kernel rounds them.
    let pairs = keys.chunks_exact(key_size).zip(values.chunks_exact(stride)).take(found);
    let mut entries: Vec<Entry> =
        pairs.map(|(key, value)| (key.to_vec(), value[..value_size].to_vec())).collect();
    entries.sort();
    Ok(entries)
}

/// The key behind one, or the first; none behind the last.
pub(super) fn next_key(map: &OwnedFd, key: Option<&[u8]>, size: usize) -> io::Result<Option<Vec<u8>>> {
    let mut next = vec![0u8; size];
    let mut attr = Attr::default();
    attr.u32(0, map.as_raw_fd().cast_unsigned());
    if let Some(key) = key {
        attr.pointer(8, key.as_ptr());
    }
    attr.pointer(16, next.as_mut_ptr());
    match attr.call(MAP_GET_NEXT_KEY) {
        Ok(_) => Ok(Some(next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many CPUs there may be: as many values has each entry of a map that each has for itself.
fn possible_cpus() -> io::Result<usize> {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    last.map(|last| last + 1).ok_or_else(|| io::Error::other(format!("possible CPUs: {text:?}")))
}
