//! BPF: instructions, text form, object files, verifier and interpreter.

pub mod asm;
pub mod disasm;
pub mod helper;
pub mod interp;
pub mod isa;
pub mod object;
pub mod program;
pub mod semantics;
pub mod verified;
pub mod verifier;
pub mod xdp;

// The generator of random programs serves unit tests and integration tests, and names this crate by its name.
#[cfg(test)]
extern crate self as oko_bpf;
