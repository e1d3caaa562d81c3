//! What a module is made of. The crate's documentation says what it means.

use crate::entities::{Block, Event, Field, Param, State, Value};

/// Everything that one artifact holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The source files that [`Loc`]s refer to by index.
    pub files: Vec<String>,
    /// What the control plane may set.
    pub params: Vec<ParamDecl>,
    /// What filters remember.
    pub states: Vec<StateDecl>,
    /// What filters report.
    pub events: Vec<EventDecl>,
    /// The filters, with names that differ.
    pub filters: Vec<Filter>,
}

impl Module {
    /// The index of the filter of this name.
    pub fn filter_named(&self, name: &str) -> Option<usize> {
        self.filters.iter().position(|filter| filter.name == name)
    }

    /// The param of this name.
    pub fn param_named(&self, name: &str) -> Option<Param> {
        self.params.iter().position(|param| param.name == name).map(Param::from_index)
    }

    /// The event of this name.
    pub fn event_named(&self, name: &str) -> Option<Event> {
        self.events.iter().position(|event| event.name == name).map(Event::from_index)
    }

    /// The state of this name.
    pub fn state_named(&self, name: &str) -> Option<State> {
        self.states.iter().position(|state| state.name == name).map(State::from_index)
    }
}

/// A number that the control plane may change while filters run. Always within `min..=max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamDecl {
    /// Its name in the source.
    pub name: String,
    /// The least value it may have.
    pub min: u64,
    /// The greatest value it may have.
    pub max: u64,
    /// What it is until somebody sets it.
    pub default: u64,
}

/// What filters remember from packet to packet: entries, or bare words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDecl {
    /// Its name in the source.
    pub name: String,
    /// How entries are found.
    pub kind: StateKind,
    /// The scalars that a key consists of, in order. An array has exactly one, words have none.
    pub key: Vec<KeyPart>,
    /// How many entries or words it holds.
    pub capacity: u32,
    /// The scalars of an entry, in order. Words have none.
    pub fields: Vec<FieldDecl>,
    /// How the copies of workers are put together for whoever reads the state from outside, if each worker has a copy of its own.
    /// `None`: all workers share the state.
    pub per_core: Option<Merge>,
}

/// How the entries of a state are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// By key, in a hash table.
    Hash(WhenFull),
    /// By index. Every index below the capacity has an entry, others have none; a `slot` never makes one.
    Array,
    /// There are no entries but 64-bit words, by index, each changed in single atomic steps.
    Words,
    /// By key, in a table that the control plane writes and filters only read.
    Table(Match),
}

/// Which entry of a table belongs to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    /// The one under this very key.
    Exact,
    /// The one under the longest prefix of the key, which is taken as one string of bits: the parts in their order, the most significant
    /// bit of each first.
    Prefix,
}

/// How the copies that workers have of one entry or word become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merge {
    /// Scalar by scalar the sum, cut to the scalar's width.
    Sum,
    /// Scalar by scalar the greatest.
    Max,
    /// Scalar by scalar the least.
    Min,
    /// The entry that was written last.
    Latest,
}

impl Merge {
    /// What two scalars become. By [`Latest`](Merge::Latest) an entry is taken as a whole, so there the second is taken.
    pub fn of(self, first: u64, second: u64) -> u64 {
        match self {
            Merge::Sum => first.wrapping_add(second),
            Merge::Max => first.max(second),
            Merge::Min => first.min(second),
            Merge::Latest => second,
        }
    }
}

/// What happens when a new key comes and there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// The entry whose last write is longest ago makes room.
    EvictOldest,
    /// The new key gets no entry.
    Refuse,
}

/// One scalar of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// What it is in the source, for people: `src`, `0`.
    pub name: String,
    /// How many bits of the value count; the others must be zero, or are cut off.
    pub width: Width,
}

/// One scalar of an entry, or several of the same width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDecl {
    /// What it is in the source, for people: `opened.current`.
    pub name: String,
    /// How many bits are kept, of each.
    pub width: Width,
    /// How many there are: 1 for a scalar, which `get` and `set` name; others are named with an index by `get.at` and `set.at`.
    pub count: u32,
}

/// What a filter may report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDecl {
    /// Its name in the source.
    pub name: String,
    /// The scalars of a report, in order.
    pub fields: Vec<EventField>,
}

/// One scalar of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventField {
    /// What it is in the source, for people.
    pub name: String,
    /// How many bits of the value count; the others are cut off.
    pub width: Width,
}

/// The size of a scalar in memory or on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte.
    W8,
    /// Two bytes.
    W16,
    /// Four bytes.
    W32,
    /// Eight bytes.
    W64,
}

impl Width {
    /// How many bytes it takes.
    pub fn bytes(self) -> u32 {
        match self {
            Width::W8 => 1,
            Width::W16 => 2,
            Width::W32 => 4,
            Width::W64 => 8,
        }
    }

    /// How many bits it takes.
    pub fn bits(self) -> u32 {
        self.bytes() * 8
    }

    /// The greatest value that fits.
    pub fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The width of so many bits, if there is one.
    pub fn from_bits(bits: u32) -> Option<Width> {
        match bits {
            8 => Some(Width::W8),
            16 => Some(Width::W16),
            32 => Some(Width::W32),
            64 => Some(Width::W64),
            _ => None,
        }
    }
}

/// One filter: a predicate over packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its name in the source.
    pub name: String,
    /// What it answers.
    pub result: FilterResult,
    /// The type of each value, by [`Value`].
    pub values: Vec<Type>,
    /// The blocks, by [`Block`]. The first is the entry and takes no parameters.
    pub blocks: Vec<BlockData>,
}

/// What a filter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterResult {
    /// `return` takes a `bool`; the class is 0 or 1.
    Bool,
    /// `return` takes an `int`, the class, which is below this number.
    Classes(u32),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A 64-bit word.
    Int,
    /// True or false.
    Bool,
    /// So many packet bytes that can be read.
    Window(u32),
    /// An entry of this state.
    Entry(State),
}

/// A basic block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockData {
    /// The values that predecessors give.
    pub params: Vec<Value>,
    /// What it computes, in order.
    pub insts: Vec<Inst>,
    /// Where it goes.
    pub term: Terminator,
}

/// A place in the source, for messages and line tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loc {
    /// Index into [`Module::files`].
    pub file: u32,
    /// The line, from 1.
    pub line: u32,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inst {
    /// The value it defines; `None` for those that only have an effect.
    pub result: Option<Value>,
    /// What it does.
    pub op: Op,
    /// Where it comes from.
    pub loc: Option<Loc>,
}

/// What an instruction does. Operands are ints unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `const N`: an int.
    Const(u64),
    /// `true`, `false`.
    ConstBool(bool),
    /// `add a, b` and so on: an int.
    Binary(BinaryOp, Value, Value),
    /// `eq a, b` and so on: a bool.
    Compare(CompareOp, Value, Value),
    /// `and_b a, b` and so on, of bools: a bool.
    Bool(BoolOp, Value, Value),
    /// `not a`, of a bool: a bool.
    Not(Value),
    /// `select c, a, b`: `a` if the bool `c` is true, else `b`; both ints or both bools.
    Select(Value, Value, Value),
    /// `int b`: 1 for true, 0 for false.
    IntOfBool(Value),
    /// `load.beW w, off`: the `W` bits at byte `off` of window `w`, in network byte order.
    Load(Width, Value, u32),
    /// `pkt.len`: the whole length of the packet in bytes.
    PacketLen,
    /// `pkt.in_port`: the port the packet came in by.
    InPort,
    /// `now`: the packet's instant, nanoseconds on a monotonic clock, the same all through one packet. Never 0, and below 2^63.
    Now,
    /// `seed I`: word `I` of the [seed](crate::seed), an odd random number, the same for the whole life of an instance.
    Seed(u32),
    /// `param pI`.
    Param(Param),
    /// `lock e`: a bool, whether the entry is live.
    Lock(Value),
    /// `get e, fI`: a field of a locked entry or of a table's entry, zero-extended.
    Get(Value, Field),
    /// `get.at e, fI, i`: the scalar number `i` of such a field.
    GetAt(Value, Field, Value),
    /// `set e, fI, v`: stores the low bits of `v` in a field of a locked entry. No result.
    Set(Value, Field, Value),
    /// `set.at e, fI, i, v`: the same for the scalar number `i` of a field. No result.
    SetAt(Value, Field, Value, Value),
    /// `unlock.keep e` and so on. No result.
    Unlock(Value, Unlock),
    /// `word.get mI, i`: the word number `i` of a state of words.
    WordGet(State, Value),
    /// `word.add mI, i, v`: adds `v` to a word, modulo 2^64, and gives what it is then.
    WordAdd(State, Value, Value),
    /// `word.or mI, i, v`: sets the bits of `v` in a word and gives what it was before.
    WordOr(State, Value, Value),
    /// `word.cas mI, i, e, v`: makes a word `v` if it is `e`, and gives what it was before.
    WordCas(State, Value, Value, Value),
    /// `emit eI(values)`: reports an event, an int for each of its fields. No result.
    Emit(Event, Vec<Value>),
}

/// How a locked entry is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unlock {
    /// `unlock.keep e`: as it was: its expiry and last write stay.
    Keep,
    /// `unlock.touch e, t`: written now, expires at `t`.
    Touch(Value),
    /// `unlock.clear e`: dead.
    Clear,
}

/// Operations on two ints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `add`
    Add,
    /// `sub`
    Sub,
    /// `mul`
    Mul,
    /// `udiv`, 0 for a divisor of 0
    UDiv,
    /// `urem`, the dividend for a divisor of 0
    URem,
    /// `and`
    And,
    /// `or`
    Or,
    /// `xor`
    Xor,
    /// `shl`
    Shl,
    /// `ushr`, zeros come in
    UShr,
    /// `sshr`, copies of the sign come in
    SShr,
    /// `umin`
    UMin,
    /// `umax`
    UMax,
}

/// Comparisons of two ints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `eq`
    Eq,
    /// `ne`
    Ne,
    /// `ult`
    ULt,
    /// `ule`
    ULe,
    /// `slt`
    SLt,
    /// `sle`
    SLe,
}

/// Operations on two bools; both are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BoolOp {
    /// `and_b`
    And,
    /// `or_b`
    Or,
    /// `xor_b`
    Xor,
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminator {
    /// Where it goes.
    pub kind: TerminatorKind,
    /// Where it comes from.
    pub loc: Option<Loc>,
}

/// Where a block goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminatorKind {
    /// `jump b(args)`
    Jump(BlockCall),
    /// `branch c, b1(args), b2(args)`: to `b1` if the bool `c` is true.
    Branch {
        /// What decides.
        cond: Value,
        /// Where to go if it is true.
        then: BlockCall,
        /// Where to go if it is false.
        other: BlockCall,
    },
    /// `window OFF, N, b1(args), b2(args)`: `b1` gets the window as its first parameter, before `args`.
    Window {
        /// Where the window starts, in bytes from the start of the packet.
        offset: Value,
        /// How many bytes it shows, at least 1.
        len: u32,
        /// Where to go with the window.
        ok: BlockCall,
        /// Where to go if the packet is too short.
        short: BlockCall,
    },
    /// `find mI(key), b1(args), b2(args)`: `b1` gets the entry as its first parameter, before `args`.
    Find {
        /// Where to look.
        state: State,
        /// One int for each part of the key.
        key: Vec<Value>,
        /// Where to go with the entry.
        found: BlockCall,
        /// Where to go if there is none.
        absent: BlockCall,
    },
    /// `slot mI(key), b1(args), b2(args)`: `b1` gets the entry as its first parameter, before `args`.
    Slot {
        /// Where to look.
        state: State,
        /// One int for each part of the key.
        key: Vec<Value>,
        /// Where to go with the entry, found or made.
        found: BlockCall,
        /// Where to go if there is none and no room for one.
        full: BlockCall,
    },
    /// `repeat i, N, b1(args), b2(args)`: to `b1` if `i` is below `N`, else to `b2`. Only through a block that ends so can a loop lead.
    Repeat {
        /// What is counted.
        counter: Value,
        /// How often the body runs at most, from 1 to [`MAX_REPEAT`](crate::limits::MAX_REPEAT).
        count: u32,
        /// Where to go if the counter is below `count`.
        body: BlockCall,
        /// Where to go if it is not.
        done: BlockCall,
    },
    /// `return v`
    Return(Value),
}

/// A block with the values for its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCall {
    /// Where to go.
    pub block: Block,
    /// The values for its parameters; those that a terminator supplies itself are not among them.
    pub args: Vec<Value>,
}
