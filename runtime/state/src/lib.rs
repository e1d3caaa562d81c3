//! Maps that filters keep their state in.
//!
//! A [`Map`] holds fixed-size values under fixed-size keys: a hash table, an array, a table that the control plane writes; or it is a
//! Bloom filter, a sketch or a ring buffer ([`Kind`]). All its memory is taken when it is made
//! and stays at its place until it is dropped, so generated code may hold pointers to values for as long as it holds the
//! map. Workers use a map concurrently with each other and with a control thread; nothing here reads a clock.
//!
//! # Values
//!
//! A value is either *owned by Oko* ([`Header::Oko`]: it starts with a lock word, an expiry and the time of the last
//! write, as `oko_ir::layout` lays out) or *plain* ([`Header::Plain`]: bytes whose meaning only a foreign BPF program
//! knows). Of an Oko value the map itself reads the header: it gives away the places of dead entries (those that do not
//! expire after `now`) before those of live ones, and among live ones that of the oldest write.
//!
//! # Lock words
//!
//! A lock word is a sequence lock: even is free, odd is held, and each release adds one. [`lock`] and [`unlock`]
//! do it, and generated code does the same inline. Writers exclude each other by it; the control plane copies values without taking
//! it and looks whether the word has moved, so no worker ever waits for a reader ([`Map::read`], [`Map::snapshot`]).
//!
//! # Entries that go away
//!
//! [`Map::find`] and [`Map::slot`] return a pointer together with the *generation* of the place. When a place is given to
//! another key its generation moves while its lock is held. A worker that locks an entry and finds another generation
//! than it was given has lost the race with an eviction and must not touch the entry; nothing that it then writes
//! elsewhere can be seen by anyone, as if its update had come just before the eviction.
//!
//! Entries of tables ([`Kind::Exact`], [`Kind::Prefix`]) have no locks: what was found stays as it was found while the thread is [pinned](pin),
//! which engines are for a run or burst.
//!
//! # Copies
//!
//! A map may be several, one for each worker ([`Map::per_core`]): each worker has the values that it wrote itself, and the control
//! plane sees them all.

mod array;
mod barrier;
mod bias;
mod bloom;
mod control;
pub mod direct;
mod entry;
mod epoch;
mod exact;
mod free_list;
mod generation;
mod hash;
mod index;
mod key;
mod lock_word;
mod map;
mod memory;
mod pool;
mod prefix;
pub mod probe;
mod readers;
mod recency;
mod record;
mod records;
mod ring;
mod ring_buffer;
mod shape;
mod sketch;
mod sync;
mod table;

pub use control::{Cursor, EntryCopy};
pub use entry::{Found, generation_of, lock, unlock};
pub use hash::hash_bytes;
pub use key::MAX_KEY_BYTES;
pub use map::{Map, Update, UpdateError};
pub use readers::{Pin, pin, pin_alone, worker, worker_if_known};
pub use ring_buffer::{Handed, RingBuffer};
pub use shape::{Header, Kind, MAX_VALUE_BYTES, Shape, ShapeError, Summary, WhenFull, array_stride};
