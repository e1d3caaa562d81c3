//! How large a module may be. The verifier refuses what is larger, so that neither it nor anything behind it can be made to
//! take unbounded time or memory by a module from a stranger.

/// Files that locations may refer to.
pub const MAX_FILES: usize = 4096;
/// Bytes in the name of a file.
pub const MAX_FILE_NAME: usize = 4096;
/// Bytes in the name of a param, state, filter, key part or field.
pub const MAX_NAME: usize = 255;
/// Params of a module.
pub const MAX_PARAMS: usize = 1024;
/// States of a module.
pub const MAX_STATES: usize = 256;
/// Filters of a module.
pub const MAX_FILTERS: usize = 256;
/// Events of a module.
pub const MAX_EVENTS: usize = 256;
/// Fields of an event.
pub const MAX_EVENT_FIELDS: usize = 32;
/// How often the body of a loop runs at most for each time that the loop is come to.
pub const MAX_REPEAT: u32 = 65_536;
/// Loops around one block.
pub const MAX_LOOP_DEPTH: usize = 8;
/// Instructions and terminators that one packet may cost at most ([`cost`](crate::cost())), so that no filter of a stranger can hold a worker
/// for longer than some milliseconds.
pub const MAX_STEPS: u64 = 1 << 22;
/// Classes of a filter.
pub const MAX_CLASSES: u32 = 65_536;
/// Blocks of a filter.
pub const MAX_BLOCKS: usize = 8192;
/// Values of a filter.
pub const MAX_VALUES: usize = 65_536;
/// Instructions of a filter, terminators not counted.
pub const MAX_INSTS: usize = 131_072;
/// Parameters of a block.
pub const MAX_BLOCK_PARAMS: usize = 256;
/// Bytes of a window.
pub const MAX_WINDOW: u32 = 65_535;
/// Parts of a key.
pub const MAX_KEY_PARTS: usize = 64;
/// Bytes of a key, gaps included.
pub const MAX_KEY_SIZE: u32 = 256;
/// Fields of an entry.
pub const MAX_FIELDS: usize = 1024;
/// Scalars of one field.
pub const MAX_FIELD_COUNT: u32 = 8192;
/// Bytes of an entry, header and gaps included.
pub const MAX_ENTRY_SIZE: u32 = 8192;
/// Bytes of keys and entries of all states together: 1 GiB.
pub const MAX_STATE_BYTES: u64 = 1 << 30;
/// Errors that the verifier collects before it stops.
pub const MAX_ERRORS: usize = 256;
/// The greatest length of a packet in bytes; longer ones cannot be given to a filter.
pub const MAX_PACKET: u64 = u32::MAX as u64;
