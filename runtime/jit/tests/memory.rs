//! Code is never writable and executable at a time, and goes with its last user.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use oko_ir::{text, verify};
use oko_jit::compile_ir;

/// The permissions of the mapping that holds an address, such as `r-xp`.
fn permissions(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        (parse(start)? <= address && address < parse(end)?).then(|| rest[..4].to_owned())
    })
}

/// Whoever has this is the only one that makes code: where some was freed, another test's may be at once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn code_can_be_executed_and_not_written() {
    let _alone = alone();
    let module = text::read("oko.ir 1 filter f -> bool { block0: v0 = true return v0 }").unwrap();
    let code = compile_ir(&verify(module).unwrap(), 0).unwrap();
    let address = code.address();
    assert_eq!(permissions(address).as_deref(), Some("r-xp"));
    drop(code);
    assert_ne!(permissions(address).as_deref(), Some("r-xp"));
}

#[test]
fn a_write_to_code_faults() {
    let _alone = alone();
    let module = text::read("oko.ir 1 filter f -> bool { block0: v0 = true return v0 }").unwrap();
    let code = compile_ir(&verify(module).unwrap(), 0).unwrap();
    // SAFETY: the child does nothing but one store, which kills it, or exits.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            // No message of the test harness's own handler.
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            (code.address() as *mut u8).write_volatile(0xcc);
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        status
    };
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "status {status:#x}");
}
