//! The text form of a module: what artifacts carry in `.oko.ir`, what `--emit ir` prints and what tests are written in.
//!
//! Printing and reading are exact inverses: [`read`] of a printed module gives the module again, locations, files and the
//! numbers of values included. Comments go from `;` to the end of the line; line ends and indents mean nothing.
//!
//! ```text
//! oko.ir 1
//! file 0 "flood.oko"
//! param p0 excess: 1 to 1000, default 10
//! state m0 servers: hash evict_oldest, capacity 1024, key(dst: u32), fields(count: u64)
//! state m1 ports: array, capacity 65536, key(port: u32), fields()
//!
//! filter flooding -> bool {
//! block0:
//!     v0 = const 0
//!     window v0, 34, block1, block2
//! block1(v1: window 34):
//!     v2 = load.be32 v1, 30 @0:12
//!     slot m0(v2), block3, block2 @0:12
//! block2:
//!     v3 = false
//!     return v3
//! block3(v4: entry m0):
//!     v5 = lock v4
//!     v6 = get v4, f0
//!     v7 = const 1
//!     v8 = add v6, v7
//!     set v4, f0, v8
//!     v9 = now
//!     v10 = const 60000000000
//!     v11 = add v9, v10
//!     unlock.touch v4, v11
//!     v12 = param p0
//!     v13 = ult v12, v8
//!     return v13
//! }
//! ```
//!
//! A state of words is `state m2 sketch: words, capacity 4096`, a table `table exact` or `table prefix` in place of `hash`; behind the fields may come `,
//! per_core sum`. A field of 16 scalars is `regs: u8[16]`, an event `event e0 scan(src: u32)` behind the states. `@0:12` is line 12 of file 0. A filter with classes is written `-> classes 3`. Results are ints or bools as the operation has
//! it; a bool `select` says so: `v3: bool = select v0, v1, v2`. Numbers may be written in hexadecimal (`0x1f`). A name that is not a
//! plain word of letters, digits, `_` and `.` is quoted. Blocks are in order, and so are declarations.

mod lex;
mod parse;
mod print;

pub use parse::{BlockLines, FilterLines, Lines, ParseError, read, read_with_lines};
