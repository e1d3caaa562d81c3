//! The intermediate representation of Oko filters.
//!
//! A [`Module`] is what one artifact holds: params, states, events and filters. A [`Filter`] is a control-flow graph of basic
//! blocks in SSA form whose blocks take parameters (no phi instructions). It is the boundary between the front end and
//! both back ends, and it travels inside artifacts as text (section `.oko.ir`), so a switch reads it from strangers.
//!
//! # Values
//!
//! There are four [`Type`]s. `int` is a 64-bit word; whether it is signed is the operation's business. `bool` is what
//! comparisons give. `window N` proves that `N` packet bytes can be read at one place. `entry mI` proves that there is an
//! entry of state `mI`. Windows and entries cannot be stored, compared or made otherwise than by the terminators
//! below, so a program that type-checks cannot reach memory that is not there. Values wider than 64 bits (an IPv6 address)
//! are several ints; the front end splits them.
//!
//! # Arithmetic
//!
//! All integer operations wrap modulo 2^64. Shift amounts are taken modulo 64. `udiv x, 0` is 0 and `urem x, 0` is `x`, as in
//! RFC 9669, so that every operation is total: no input can make one trap.
//!
//! # Loops
//!
//! `repeat i, N, body, done` goes to `body` if the int `i` is below the constant `N`, and to `done` otherwise. Only a block that ends so can be
//! gone back to, the header of a loop; `i` is one of its parameters, and whoever goes back passes `add i, c` for it with a constant `c` that is
//! not 0. So a loop goes round at most `N` times for each time that it is come to ([`loops`]). Values that change from round to round are
//! parameters of the header. An edge out of the loop's middle is a `break`.
//!
//! # Packets
//!
//! `window OFF, N, ok, short` goes to `ok` with a window of `N` bytes at packet offset `OFF` if `OFF + N` (as a true sum, not a
//! wrapped one) is at most the packet's length, and to `short` otherwise. `load.beW w, off` reads `W` bits in network byte order;
//! `off + W/8` never exceeds the window. `pkt.len` is the length on the wire, below 2^32; windows cover the bytes that are there, which in a
//! truncated capture are fewer.
//!
//! # Time
//!
//! `now` is the packet's instant: nanoseconds on a monotonic clock, at least 1 and below 2^63, which is in 292 years. Passes rely on that
//! where they tell what is later; the verifier does not, so with instants beyond a filter may answer otherwise but does no harm.
//!
//! # State
//!
//! `find mI(key), some, none` goes to `some` with the entry under the key, or to `none`. `slot mI(key), some, full` makes the entry if need
//! be; it goes to `full` when the state holds its capacity and its policy is `refuse`. An entry has a header besides its
//! fields: when it expires and when it was written last. It is *live* if it expires after `now`; a slot that was just made is not.
//!
//! Fields are read and written only between `lock e` and `unlock e`, on every path, one entry at a time, with no other state
//! operation or window between. `lock` answers whether the entry is live and, if not, zeroes its fields, so that nothing of a
//! dead entry is ever seen. `unlock.keep` leaves the header alone, `unlock.touch e, t` says that the entry was written now and expires at `t`
//! (nanoseconds; [`NEVER`] is never), `unlock.clear` makes it dead.
//!
//! An entry of a hash table must not be locked after a later `slot` of the same table, which may have made room by taking its memory. A full
//! table first gives away entries that are dead, and only then evicts or refuses; when dead entries vanish otherwise is the engine's
//! business. So whether `find` gives a dead entry or none is not defined, and a filter must treat both alike.
//!
//! A field may have several scalars of one width; `get.at` and `set.at` name one by an index, which the verifier can prove to be below their
//! number.
//!
//! # Tables
//!
//! A table is written by the control plane alone. `find` gives the entry under the key ([`Match::Exact`]) or under its longest prefix
//! ([`Match::Prefix`]), and `get` and `get.at` read it without a lock: what `find` gave stays as it is until the filter is done with the packet.
//! Nothing expires there, and a filter cannot write it.
//!
//! # Words
//!
//! A state of words is so many 64-bit words without keys, locks or expiry, all 0 at first. `word.get`, `word.add`, `word.or` and `word.cas` are one step each
//! for all workers, at any place, also while an entry is locked. `word.add` gives what the word is afterwards, the others what it was before.
//!
//! # Copies
//!
//! Of a state with [`per_core`](StateDecl::per_core) each worker has a copy of its own, which its instructions work on. Who reads the state from
//! outside gets the copies put together as [`Merge`] says.
//!
//! # Events and the seed
//!
//! `emit eI(values)` puts an event, the packet's instant and the values into a queue of the instance that somebody else empties; if it is full,
//! the event is dropped and counted. `seed I` is one of sixteen odd random
//! numbers ([`seed`]) that stay the same for the whole life of an instance: what is hashed with them cannot be foreseen by who sends packets.
//!
//! # Results
//!
//! A filter answers with a class: 0 or 1 for a bool, and for a filter with classes an int that the verifier can prove to be below their
//! number ([`ranges`]): a constant, a `select` or block parameter of constants, a remainder, or what a comparison guards.
//!
//! # Checks
//!
//! [`verify`](crate::verify::verify) turns a [`Module`] into a [`Checked`] one, which is all that back ends and interpreter take.

pub mod build;
pub mod cfg;
pub mod cost;
pub mod entities;
pub mod features;
pub mod interp;
pub mod layout;
pub mod limits;
pub mod loops;
mod mnemonics;
pub mod module;
pub mod operands;
pub mod passes;
pub mod ranges;
pub mod seed;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod verify;

pub use cost::{Cost, cost};
pub use entities::{Block, Event, Field, Param, State, Value};
pub use module::{
    BinaryOp, BlockCall, BlockData, BoolOp, CompareOp, EventDecl, EventField, FieldDecl, Filter,
    FilterResult, Inst, KeyPart, Loc, Match, Merge, Module, Op, ParamDecl, StateDecl, StateKind, Terminator,
    TerminatorKind, Type, Unlock, WhenFull, Width,
};
pub use verify::{Checked, verify};

/// The expiry time of an entry that never expires.
pub const NEVER: u64 = u64::MAX;
