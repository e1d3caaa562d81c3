//! The intermediate representation of Oko filters.
//!
//! A [`Module`] is what one artifact holds: params, states and filters. A [`Filter`] is a control-flow graph of basic
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
//! # Packets
//!
//! `window OFF, N, ok, short` goes to `ok` with a window of `N` bytes at packet offset `OFF` if `OFF + N` (as a true sum, not a
//! wrapped one) is at most the packet's length, and to `short` otherwise. `load.beW w, off` reads `W` bits in network byte order;
//! `off + W/8` never exceeds the window. `pkt.len` is the length on the wire, below 2^32; windows cover the bytes that are there, which in a
//! truncated capture are fewer.
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
pub mod interp;
pub mod layout;
pub mod limits;
mod mnemonics;
pub mod module;
pub mod operands;
pub mod passes;
pub mod ranges;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod verify;

pub use cost::{Cost, cost};
pub use entities::{Block, Field, Param, State, Value};
pub use module::{
    BinaryOp, BlockCall, BlockData, BoolOp, CompareOp, FieldDecl, Filter, FilterResult, Inst, KeyPart, Loc,
    Module, Op, ParamDecl, StateDecl, StateKind, Terminator, TerminatorKind, Type, Unlock, WhenFull, Width,
};
pub use verify::{Checked, verify};

/// The expiry time of an entry that never expires.
pub const NEVER: u64 = u64::MAX;
