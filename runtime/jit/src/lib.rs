//! Executable memory, and BPF and IR compiled to native code by Cranelift.
//!
//! Both compilers take only what its verifier has accepted ([`oko_ir::Checked`], [`oko_bpf::verified::Verified`]), so the code that they
//! emit checks nothing beyond what the program itself does. [`abi`] says how it is called. Code belongs to no instance: it
//! reaches params, states and time through a [`abi::Context`]. Memory is written first and then made executable, never both, and
//! goes when the last [`Code`] that lies in it does.

pub mod abi;
mod answer;
mod bpf;
mod burst;
mod code;
mod conditions;
mod detour;
mod direct;
mod error;
mod helpers;
mod host;
mod layout;
mod locks;
pub mod map_calls;
mod memory;
mod native;
mod order;
mod placement;
mod probe;
mod ranges;
mod shape;
mod tidy;

pub use answer::Answer;
pub use bpf::{compile_bpf, compile_bpf_over_memory};
pub use code::Code;
pub use error::CompileError;
pub use host::Effort;
pub use native::{clif, compile_ir, compile_ir_with};
pub use shape::map_shape;
