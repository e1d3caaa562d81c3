//! What an Oko object file says besides code: its sections, schema and certificate.
//!
//! One ELF object holds BPF programs and maps with BTF, which any BPF loader understands, and three sections of our own.

pub mod cert;
mod footprint;
pub mod schema;
pub mod sketch;

pub use cert::{Cert, FilterCert};
pub use schema::{
    BloomSchema, Container, EventSchema, Ewma, FilterSchema, NamedType, ParamSchema, ScalarType, Schema,
    SketchSchema, StateSchema,
};

/// The section with the checked IR as text.
pub const IR_SECTION: &str = ".oko.ir";
/// The section with the [`Schema`] as JSON.
pub const SCHEMA_SECTION: &str = ".oko.schema";
/// The section with the [`Cert`] as JSON.
pub const CERT_SECTION: &str = ".oko.cert";

/// The array of spin locks for the entries of LRU hash maps, in which Linux allows none: an entry's lock is chosen by a hash of its key.
pub const LOCKS_MAP: &str = "oko_locks";
/// The variable of `.data` that stands for the clock, in objects made for tests.
pub const NOW_VARIABLE: &str = "oko_now";
/// The variable of `.data` that holds the seed; 0 until somebody sets it, or the first packet that needs it.
pub const SEED_VARIABLE: &str = "oko_seed";
/// The variable of `.data` that holds the [words](oko_ir::seed) of the seed; 0 until the first packet that needs them.
pub const SEED_WORDS_VARIABLE: &str = "oko_seed_words";
/// The ring buffer for events. A record is 64-bit words in host order: the event's index, the instant, then its values.
pub const EVENTS_MAP: &str = "oko_events";
/// The array for values that a stack frame has no room for; each worker has its own.
pub const SPILL_MAP: &str = "oko_spill";
/// The constant of `.rodata` that new entries are made of.
pub const ZERO_VARIABLE: &str = "oko_zero";
