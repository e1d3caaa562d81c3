//! Executable memory, and BPF and IR compiled to native code by Cranelift.

pub mod abi;
