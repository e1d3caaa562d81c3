//! What the verifier says.

use std::fmt;

use crate::cfg::CfgError;
use crate::entities::{Block, Event, Field, Param, State, Value};
use crate::module::Type;

/// One thing that is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{place}{problem}", InFilter(.filter.as_ref()))]
pub struct VerifyError {
    /// The filter by index and name, unless it is a declaration that is wrong.
    pub filter: Option<(usize, String)>,
    /// Where.
    pub place: Place,
    /// What.
    #[source]
    pub problem: Problem,
}

/// Where in a module or, if there is one, in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As such.
    Whole,
    /// A param of the module.
    Param(Param),
    /// A state of the module.
    State(State),
    /// An event of the module.
    Event(Event),
    /// A block's parameters.
    Block(Block),
    /// An instruction, by its index in the block.
    Inst(Block, usize),
    /// A block's terminator.
    Terminator(Block),
}

impl Place {
    pub(super) fn terminator(block: Block) -> Place {
        Place::Terminator(block)
    }
}

struct InFilter<'a>(Option<&'a (usize, String)>);

impl fmt::Display for InFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug form: the name comes from a stranger.
        self.0.map_or(Ok(()), |(_, name)| write!(f, "filter {name:?}: "))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Param(param) => write!(f, "param {param}: "),
            Place::State(state) => write!(f, "state {state}: "),
            Place::Event(event) => write!(f, "event {event}: "),
            Place::Block(block) => write!(f, "{block}: "),
            Place::Inst(block, index) => write!(f, "{block}, instruction {index}: "),
            Place::Terminator(block) => write!(f, "{block}, terminator: "),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    #[error("expected at most {limit} {what}, found {found}")]
    TooMany { what: &'static str, limit: u64, found: u64 },
    #[error("expected at least one of {what}, found none")]
    None { what: &'static str },
    #[error("the name {name:?} of a {what} is not a symbol of letters, digits, `_` and `.`")]
    BadName { what: &'static str, name: String },
    #[error("the name {name:?} is taken twice")]
    DuplicateName { name: String },
    #[error("the name of a {what} is empty or contains control characters")]
    BadText { what: &'static str },
    #[error("expected min <= default <= max, found {min}, {default}, {max}")]
    BadParamRange { min: u64, default: u64, max: u64 },
    #[error("the key of an array has one part, found {found}")]
    ArrayKey { found: usize },
    #[error("words have no key and no fields")]
    WordsWithEntries,
    #[error("a table is written by the control plane only, so workers have no copies of it")]
    TablePerCore,
    #[error(transparent)]
    Cfg(CfgError),
    #[error("the entry block has parameters")]
    EntryParams,
    #[error("no such {what}: {name}, there are {count}")]
    NoSuch { what: &'static str, name: String, count: usize },
    #[error("a window shows 1 to {limit} bytes, found {found}")]
    BadWindow { limit: u32, found: u32 },
    #[error("{value} is defined more than once")]
    DefinedTwice { value: Value },
    #[error("{value} is never defined")]
    NeverDefined { value: Value },
    #[error("`{op}` gives a result, but no value is defined")]
    NoResult { op: String },
    #[error("`{op}` gives no result, but {value} is defined")]
    UnexpectedResult { op: String, value: Value },
    #[error("{value} is used where its definition in {defined} does not reach")]
    NotDominated { value: Value, defined: Block },
    #[error("expected {value} to be {expected}, found {found}")]
    WrongType { value: Value, expected: Expected, found: Type },
    #[error("{block} takes {expected} values, found {found}")]
    WrongArgCount { block: Block, expected: usize, found: usize },
    #[error("{block} must take {expected} as its first parameter")]
    NoToken { block: Block, expected: Type },
    #[error("the key of {state} has {expected} parts, found {found}")]
    WrongKeyCount { state: State, expected: usize, found: usize },
    #[error("a load of {bytes} bytes at {offset} is not within a window of {len}")]
    LoadOutside { bytes: u32, offset: u32, len: u32 },
    #[error("{state} has {count} fields, found {field}")]
    NoSuchField { state: State, field: Field, count: usize },
    #[error("{state} is {found}, so `{op}` is not possible")]
    WrongState { state: State, op: &'static str, found: &'static str },
    #[error("{field} of {state} has {count} scalars, so it is named with an index")]
    NoScalar { state: State, field: Field, count: u32 },
    #[error("{event} has {expected} fields, found {found}")]
    WrongFieldCount { event: Event, expected: usize, found: usize },
    #[error("a `repeat` counts to 1 to {limit}, found {found}")]
    BadRepeat { limit: u32, found: u32 },
    #[error("{counter} is counted by the loop here, so it must be a parameter of this block")]
    CounterElsewhere { counter: Value },
    #[error(
        "{found} comes round to {header} for {counter}; it must be the sum of {counter} and a constant from 1 to 2^32"
    )]
    BadStep { header: Block, counter: Value, found: Value },
    #[error("{counter} of {header} is given by the terminator, so it cannot be counted")]
    GivenCounter { header: Block, counter: Value },
    #[error("{done}, where the loop goes when it is counted out, leads back to it")]
    DoneInside { done: Block },
    #[error("{locked} is locked on the way into a loop")]
    LockedAtLoop { locked: Value },
    #[error("expected {value} to be below {count}, the number of {what}; it may be {max}")]
    IndexOutOfRange { value: Value, what: &'static str, count: u32, max: u64 },
    #[error("expected {value} to be below {count}, the number of classes; it may be {max}")]
    ClassOutOfRange { value: Value, count: u32, max: u64 },
    #[error("{entry} is not locked here")]
    NotLocked { entry: Value },
    #[error("{entry} cannot be locked while {locked} is")]
    LockedTwice { entry: Value, locked: Value },
    #[error("{locked} is locked, so no `{what}` is possible")]
    WhileLocked { locked: Value, what: &'static str },
    #[error("{locked} is passed to {block} while it is locked")]
    PassedLocked { locked: Value, block: Block },
    #[error("the paths to this block disagree: {} on one and {} on another", LockState(.one), LockState(.other))]
    LocksDisagree { one: Option<Value>, other: Option<Value> },
    #[error("{entry} may be gone: there was a `slot` of {state} since it was found")]
    Stale { entry: Value, state: State },
}

/// What type an operand must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this.
    Type(Type),
    /// A window of any size.
    Window,
    /// An entry of any state.
    Entry,
    /// An int or a bool.
    Scalar,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Type(ty) => write!(f, "{ty}"),
            Expected::Window => f.write_str("a window"),
            Expected::Entry => f.write_str("an entry"),
            Expected::Scalar => f.write_str("int or bool"),
        }
    }
}

struct LockState<'a>(&'a Option<Value>);

impl fmt::Display for LockState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value} is locked"),
            None => f.write_str("nothing is locked"),
        }
    }
}
