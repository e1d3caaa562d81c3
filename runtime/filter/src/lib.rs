//! Loads an artifact, proves it safe, compiles it, binds its state and runs it.
//!
//! [`Instance::load`] takes the bytes of an object file from anyone: one that `okoc` made, an XDP program that clang made, or (by [`LoadOptions::abi`]) a program of the first Oko. It
//! verifies the BPF and the IR in it, checks that these and the schema speak of the same filters, params and states, compiles
//! for the [`Engine`] asked for, and makes the states. What it gives is one [`Instance`]: all filters of the artifact over one
//! set of states. Any number of workers may run it at a time through a shared reference, beside one that reads and
//! writes params and states. Time comes in with each packet; nothing here reads a clock to answer it.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use oko_filter::{Instance, LoadOptions, Packet};
//!
//! let object = std::fs::read("syn_flood.o")?;
//! let instance = Instance::load(&object, &LoadOptions::default())?;
//! let flooding = instance.filter("flooding").ok_or("no such filter")?;
//! let frame = [0_u8; 60];
//! let verdict = instance.run(flooding, Packet::new(&frame, 1), 1_000_000_000);
//! println!("matches: {}", verdict.is_match());
//! # Ok(())
//! # }
//! ```

mod code;
mod error;
mod info;
mod instance;
mod operate;
mod options;
mod params;
mod plan;
mod ready;
mod state;
mod stats;

pub use error::{LoadError, ParamError, StateError};
pub use info::{Event, FilterId, FilterInfo, FilterStats, ParamInfo, Report, Verdict};
pub use instance::Instance;
pub use oko_artifact::{FilterSchema, NamedType, ParamSchema, ScalarType, Schema, StateSchema};
pub use oko_bpf::object::Abi;
pub use oko_ir::interp::{TableError, TableKey};
pub use oko_jit::abi::Packet;
pub use options::{Engine, LoadOptions};
pub use state::{Batches, Carried, Lost, NewEntry, Owner, StateEntry, StateInfo, StateSnapshot, Written};
