//! BPF: instructions, text form, object files, verifier and interpreter.
//!
//! The way of a program: [`object::read`] gives [`program::Program`]s with their maps, [`verifier::verify`] turns one into a
//! [`verified::Verified`] or says why it is not safe, and an engine runs that. [`interp`] also runs programs that nobody
//! verified, checking every step; it is the oracle for the verifier and for the compiler of verified programs.
//!
//! What holds here:
//! - [`isa`] is all of RFC 9669, and `may_goto`, and decides alone what is an instruction; [`semantics`] decides alone what one computes.
//! - No bytes, text, program or packet make anything here panic or take unbounded memory or time.
//! - Nothing here generates code, holds maps, reads a clock or knows of a switch. Maps are reached through
//!   [`interp::Env`]; the `unsafe` accesses to their values are in one module.

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
