//! BPF: instructions, text form, object files, verifier and interpreter.

pub mod helper;
pub mod isa;
pub mod program;
pub mod verified;
pub mod xdp;
