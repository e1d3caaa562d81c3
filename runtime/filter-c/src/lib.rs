//! Filters for C programs: the functions of `include/oko.h`, which says what each does.
//!
//! What holds here: no panic leaves a function, the last error of a thread is kept for `oko_error`, and out parameters are written only if a call
//! has gone well. Pointers are the caller's promise, as the header says; null is checked.

mod error;
mod state;

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::slice;

use error::{Failure, attempt, bad, c_text};
use oko_filter::{Abi, FilterId, Instance, LoadOptions, Packet, Verdict};

pub use error::{Status, oko_error};
pub use state::{
    EachEntry, EachEvent, Entry, oko_events, oko_state_clear, oko_state_read, oko_table_put, oko_table_remove,
};

/// `oko_instance`.
#[derive(Debug)]
pub struct OkoInstance {
    instance: Instance,
    filters: Vec<Names>,
}

/// The names of a filter and of its classes.
#[derive(Debug)]
struct Names {
    id: FilterId,
    name: CString,
    classes: Vec<CString>,
}

/// `oko_options`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Options {
    max_state_bytes: u64,
    workers: u32,
    event_bytes: u32,
    abi: u32,
}

/// `oko_packet`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct OkoPacket {
    data: *const u8,
    size: u32,
    wire_size: u32,
    in_port: u32,
}

/// How many packets are described at a time.
const BURST: usize = 32;

impl OkoInstance {
    fn boxed(instance: Instance) -> *mut OkoInstance {
        let filters = instance.filters().iter().map(|filter| Names {
            id: filter.id,
            name: c_text(&filter.name),
            classes: match &filter.classes[..] {
                [] => vec![c"false".to_owned(), c"true".to_owned()],
                names => names.iter().map(|name| c_text(name)).collect(),
            },
        });
        let filters = filters.collect();
        Box::into_raw(Box::new(OkoInstance { instance, filters }))
    }
}

/// # Safety
///
/// The pointer is null or leads to such a value.
unsafe fn shared<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| bad(format!("{what} is null")))
}

/// # Safety
///
/// The pointer is null or leads to so many values.
unsafe fn all<'a, T>(pointer: *const T, count: usize, what: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(bad(format!("{what} is null")));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// # Safety
///
/// The pointer is null or leads to a text that ends with a zero byte.
unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(bad(format!("{what} is null")));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| bad(format!("{what} is not UTF-8")))
}

/// # Safety
///
/// The pointer is null or may be written to.
unsafe fn give<T>(pointer: *mut T, value: T, what: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(bad(format!("{what} is null")));
    }
    // SAFETY: the caller's promise.
    unsafe { pointer.write(value) };
    Ok(())
}

fn options(options: Option<&Options>) -> Result<LoadOptions, Failure> {
    let Options { max_state_bytes, workers, event_bytes, abi } = options.copied().unwrap_or_default();
    let abi = match abi {
        0 => Abi::Linux,
        1 => Abi::Original,
        _ => return Err(bad(format!("abi {abi}: expected OKO_ABI_LINUX (0) or OKO_ABI_ORIGINAL (1)"))),
    };
    let mut all = LoadOptions { abi, ..LoadOptions::default() };
    if max_state_bytes != 0 {
        all.max_state_bytes = max_state_bytes;
    }
    if workers != 0 {
        all.workers = workers;
    }
    if event_bytes != 0 {
        all.event_bytes = event_bytes;
    }
    Ok(all)
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_load(
    object: *const u8,
    size: usize,
    load: *const Options,
    instance: *mut *mut OkoInstance,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (object, load) = unsafe { (all(object, size, "the object")?, load.as_ref()) };
        if instance.is_null() {
            return Err(bad("the place for the instance is null"));
        }
        let loaded = Instance::load(object, &options(load)?)?;
        // SAFETY: as `oko.h` says, and it is not null.
        unsafe { instance.write(OkoInstance::boxed(loaded)) };
        Ok(())
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_replace(
    old: *const OkoInstance,
    object: *const u8,
    size: usize,
    load: *const Options,
    instance: *mut *mut OkoInstance,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (old, object, load) =
            unsafe { (shared(old, "the old instance")?, all(object, size, "the object")?, load.as_ref()) };
        if instance.is_null() {
            return Err(bad("the place for the instance is null"));
        }
        let (new, _) = old.instance.replace(object, &options(load)?)?;
        // SAFETY: as `oko.h` says, and it is not null.
        unsafe { instance.write(OkoInstance::boxed(new)) };
        Ok(())
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_free(instance: *mut OkoInstance) {
    if !instance.is_null() {
        // SAFETY: it was made by `oko_load` or `oko_replace` and nobody uses it any more.
        drop(unsafe { Box::from_raw(instance) });
    }
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_filter_count(instance: *const OkoInstance) -> u32 {
    // SAFETY: as `oko.h` says.
    unsafe { instance.as_ref() }.map_or(0, |instance| instance.filters.len() as u32)
}

/// # Safety
///
/// As `oko.h` says.
unsafe fn names<'a>(instance: *const OkoInstance, filter: u32) -> Option<&'a Names> {
    // SAFETY: as `oko.h` says.
    unsafe { instance.as_ref() }?.filters.get(filter as usize)
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_filter_name(instance: *const OkoInstance, filter: u32) -> *const c_char {
    // SAFETY: as `oko.h` says.
    unsafe { names(instance, filter) }.map_or(ptr::null(), |names| names.name.as_ptr())
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_class_count(instance: *const OkoInstance, filter: u32) -> u32 {
    // SAFETY: as `oko.h` says.
    unsafe { names(instance, filter) }.map_or(0, |names| names.classes.len() as u32)
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_class_name(
    instance: *const OkoInstance,
    filter: u32,
    class_number: u32,
) -> *const c_char {
    // SAFETY: as `oko.h` says.
    let names = unsafe { names(instance, filter) };
    let class = names.and_then(|names| names.classes.get(class_number as usize));
    class.map_or(ptr::null(), |class| class.as_ptr())
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_filter_find(
    instance: *const OkoInstance,
    name: *const c_char,
    filter: *mut u32,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name) = unsafe { (shared(instance, "the instance")?, text(name, "the name")?) };
        let found = instance.instance.filter(name).ok_or_else(|| {
            let known: Vec<_> = instance.filters.iter().map(|names| names.name.to_string_lossy()).collect();
            Failure::new(Status::NoSuch, format!("no filter `{name}`; there are: {}", known.join(", ")))
        })?;
        // SAFETY: as `oko.h` says.
        unsafe { give(filter, found.index() as u32, "the place for the filter") }
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_run(
    instance: *const OkoInstance,
    filter: u32,
    packets: *const OkoPacket,
    count: usize,
    now: u64,
    classes: *mut u32,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, packets) =
            unsafe { (shared(instance, "the instance")?, all(packets, count, "the packets")?) };
        let names = instance.filters.get(filter as usize).ok_or_else(|| {
            bad(format!("no filter {filter}; there are {}, from 0", instance.filters.len()))
        })?;
        if now == 0 {
            return Err(bad("the time is 0: expected nanoseconds from 1 on"));
        }
        if classes.is_null() && count != 0 {
            return Err(bad("the place for the classes is null"));
        }
        for (burst, packets) in packets.chunks(BURST).enumerate() {
            let mut described = [Packet::new(&[], 0); BURST];
            for (place, packet) in described.iter_mut().zip(packets) {
                // SAFETY: as `oko.h` says.
                let data = unsafe { all(packet.data, packet.size as usize, "the bytes of a packet")? };
                *place = Packet::new(data, packet.in_port).with_wire_len(packet.wire_size);
            }
            let mut verdicts = [Verdict::default(); BURST];
            let verdicts = &mut verdicts[..packets.len()];
            instance.instance.run_burst(names.id, &described[..packets.len()], now, verdicts);
            for (at, verdict) in verdicts.iter().enumerate() {
                // SAFETY: as `oko.h` says, there is a place for each packet.
                unsafe { classes.add(burst * BURST + at).write(verdict.class()) };
            }
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
pub unsafe extern "C" fn oko_param_get(
    instance: *const OkoInstance,
    name: *const c_char,
    value: *mut u64,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name) = unsafe { (shared(instance, "the instance")?, text(name, "the name")?) };
        let is = instance.instance.param(name)?;
        // SAFETY: as `oko.h` says.
        unsafe { give(value, is, "the place for the value") }
    })
}

/// See `oko.h`.
///
/// # Safety
///
/// As `oko.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oko_param_set(
    instance: *const OkoInstance,
    name: *const c_char,
    value: u64,
) -> Status {
    attempt(|| {
        // SAFETY: as `oko.h` says.
        let (instance, name) = unsafe { (shared(instance, "the instance")?, text(name, "the name")?) };
        Ok(instance.instance.set_param(name, value)?)
    })
}
