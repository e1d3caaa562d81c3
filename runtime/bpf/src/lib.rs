//! BPF: instructions, text form, object files, verifier and interpreter.

pub mod isa;
pub mod program;
