//! States, tables and events for C.

use std::ffi::{c_char, c_void};

use oko_filter::TableKey;

use crate::error::{Failure, Status, attempt, bad, c_text};
use crate::{OkoInstance, all, shared, text};

/// `oko_entry`.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    key: *const u64,
    key_count: usize,
    value: *const u64,
    value_count: usize,
    expires_at: u64,
    written_at: u64,
}

/// Called for an entry.
pub type EachEntry = unsafe extern "C" fn(entry: *const Entry, context: *mut c_void);

/// Called for an event.
pub type EachEvent = unsafe extern "C" fn(
    name: *const c_char,
    time: u64,
    values: *const u64,
    count: usize,
    context: *mut c_void,
);

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_state_read(
    instance: *const OkoInstance,
    name: *const c_char,
    now: u64,
    each: Option<EachEntry>,
    context: *mut c_void,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name) = unsafe { (shared(instance, "the instance")?, text(name, "the name")?) };
        let each = each.ok_or_else(|| bad("the function for entries is null"))?;
        for entry in instance.instance.state_snapshot(name, now)?.entries {
            let entry = Entry {
                key: entry.key.as_ptr(),
                key_count: entry.key.len(),
                value: entry.fields.as_ptr(),
                value_count: entry.fields.len(),
                expires_at: entry.expires_at,
                written_at: entry.written_at,
            };
            // SAFETY: as `oko.h` says; what the entry points to lives until the end of this turn.
            unsafe { each(&raw const entry, context) };
        }
        Ok(())
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_state_clear(instance: *const OkoInstance, name: *const c_char) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name) = unsafe { (shared(instance, "the instance")?, text(name, "the name")?) };
        Ok(instance.instance.state_clear(name)?)
    })
}

/// # Safety
///
/// The key leads to so many parts.
unsafe fn table_key(key: *const u64, count: usize, bits: u32) -> Result<TableKey, Failure> {
    // SAFETY: the caller's promise.
    let parts = unsafe { all(key, count, "the key")? };
    Ok(TableKey { parts: parts.to_vec(), bits })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_table_put(
    instance: *const OkoInstance,
    name: *const c_char,
    key: *const u64,
    key_count: usize,
    bits: u32,
    value: *const u64,
    value_count: usize,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name, key, value) = unsafe {
            (
                shared(instance, "the instance")?,
                text(name, "the name")?,
                table_key(key, key_count, bits)?,
                all(value, value_count, "the value")?,
            )
        };
        Ok(instance.instance.table_put(name, &key, value)?)
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_table_remove(
    instance: *const OkoInstance,
    name: *const c_char,
    key: *const u64,
    key_count: usize,
    bits: u32,
    was_there: *mut bool,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name, key) = unsafe {
            (shared(instance, "the instance")?, text(name, "the name")?, table_key(key, key_count, bits)?)
        };
        let had = instance.instance.table_remove(name, &key)?;
        if !was_there.is_null() {
            // SAFETY: as `oko.h` says.
            unsafe { was_there.write(had) };
        }
        Ok(())
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_events(
    instance: *const OkoInstance,
    limit: usize,
    each: Option<EachEvent>,
    context: *mut c_void,
    dropped: *mut u64,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let instance = unsafe { shared(instance, "the instance")? };
        let each = each.ok_or_else(|| bad("the function for events is null"))?;
        for event in instance.instance.take_events(limit) {
            let name = c_text(&event.name);
            // SAFETY: as `oko.h` says; what is given lives until the end of this turn.
            unsafe { each(name.as_ptr(), event.time, event.values.as_ptr(), event.values.len(), context) };
        }
        if !dropped.is_null() {
            // SAFETY: as `oko.h` says.
            unsafe { dropped.write(instance.instance.events_dropped()) };
        }
        Ok(())
    })
}
