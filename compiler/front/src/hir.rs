//! The typed program: names are resolved, every expression has its type and range, every coercion is written out.
//!
//! What holds in a program that was checked without errors (and is all that is ever lowered):
//! - No [`Ty::Error`], no [`ExprKind::Error`], no [`ExprKind::Nothing`] where a value is needed.
//! - Both operands of a comparison have the same shape; the branches of `if` and `match` have the type of the whole.
//! - A number of any expression fits in a 64-bit word: unsigned, or signed where its range has negative numbers.
//! - A divisor is never zero, and neither it nor the dividend negative; a shift is by less than 64.
//! - In the value of an `update`, and in a `fn`, there is no operation on state and no `match pkt`.
//! - Calls of functions are acyclic.
//! - A loop takes at most 65,536 turns, which follows from the ranges of its bounds; an index lies in its array.

use oko_diagnostics::Span;

use crate::cost::{Area, Budget};
use crate::geometry::{BloomGeometry, SketchGeometry};
use crate::types::{NumKind, Range, Ty};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The index into the table of its kind.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id for an index. Sources are shorter than 2^32 bytes, so their tables are, too.
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("no source has 2^32 declarations"))
            }
        }
    )*};
}

id! {
    /// An `enum`.
    EnumId;
    /// A `bits` type.
    BitsId;
    /// A `struct`.
    StructId;
    /// A `header`.
    HeaderId;
    /// A `union` of headers.
    UnionId;
    /// A `param`.
    ParamId;
    /// A `state` or `table`.
    StateId;
    /// An `event`.
    EventId;
    /// A `fn`.
    FnId;
    /// A name for a value in one body.
    LocalId;
    /// A header that an arm of a `match pkt` found, in one body. In the rules of a header itself, 0 is that header; in a struct
    /// that is computed, the first are its parameters.
    LayerId;
}

/// A whole program: everything declared in the root file and the modules it uses.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// All `enum`s.
    pub enums: Vec<EnumDef>,
    /// All `bits` types.
    pub bits: Vec<BitsDef>,
    /// All `struct`s.
    pub structs: Vec<StructDef>,
    /// All `header`s.
    pub headers: Vec<HeaderDef>,
    /// All `union`s.
    pub unions: Vec<UnionDef>,
    /// All `param`s.
    pub params: Vec<ParamDef>,
    /// All `state`s and `table`s.
    pub states: Vec<StateDef>,
    /// All `event`s.
    pub events: Vec<EventDef>,
    /// All `fn`s.
    pub fns: Vec<FnDef>,
    /// The `filter`s of the root file.
    pub filters: Vec<FilterDef>,
    /// The header that every packet begins with.
    pub root: Option<HeaderId>,
    /// The loops and functions.
    pub areas: Vec<Area>,
    /// The `test`s of the root file.
    pub tests: Vec<crate::plan::Plan>,
}

/// An `enum`.
#[derive(Clone, Debug)]
pub struct EnumDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// How many bits its numbers take: 8, 16, 32 or 64 unless declared otherwise.
    pub bits: u8,
    /// The names and numbers, in source order.
    pub variants: Vec<(String, u64)>,
}

/// A `bits` type.
#[derive(Clone, Debug)]
pub struct BitsDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// How wide it is.
    pub bits: u8,
    /// The names and masks, in source order.
    pub variants: Vec<(String, u64)>,
}

/// A `struct`.
#[derive(Clone, Debug)]
pub struct StructDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its fields.
    pub fields: Vec<StructField>,
    /// How many scalars its values consist of.
    pub scalars: usize,
    /// What its values are computed from, if they are.
    pub computed: Option<Computed>,
}

/// How the values of a struct are computed from headers.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The names of the headers; they are the first layers of the body.
    pub params: Vec<(String, Span)>,
    /// Computes the fields, as a tuple.
    pub body: Body,
}

/// A field of a `struct`.
#[derive(Clone, Debug)]
pub struct StructField {
    /// Its name.
    pub name: String,
    /// Where its declaration stands.
    pub span: Span,
    /// What it holds.
    pub kind: FieldKind,
}

impl StructField {
    /// The type of its values; a cell has none.
    pub fn value_type(&self) -> Ty {
        match &self.kind {
            FieldKind::Value(ty) => ty.clone(),
            FieldKind::Cell(_) => Ty::Unit,
        }
    }
}

/// What a field of a struct, or a state, holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// Plain values.
    Value(Ty),
    /// A cell.
    Cell(Cell),
}

/// A cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// What it does.
    pub kind: CellKind,
    /// What is given to it: the values that `distinct` counts, the numbers that `ewma` averages; `Unit` for the others.
    pub of: Ty,
}

/// The cells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CellKind {
    /// Counts for ever.
    Counter,
    /// Counts in a sliding window.
    Window,
    /// A token bucket.
    Tokens,
    /// Counts how many different values there were.
    Distinct,
    /// Averages, the latest values counting most.
    Ewma,
}

impl CellKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            CellKind::Counter => "counter",
            CellKind::Window => "window",
            CellKind::Tokens => "tokens",
            CellKind::Distinct => "distinct",
            CellKind::Ewma => "ewma",
        }
    }
}

/// A `header`: what it looks like on the wire.
#[derive(Clone, Debug)]
pub struct HeaderDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Whether it is marked `#[root]`.
    pub is_root: bool,
    /// Whether it is marked `#[extension]`: the layers of an arm may have it between them.
    pub extension: bool,
    /// Whether it is marked `#[peek]`: what follows begins where it begins.
    pub peek: bool,
    /// How many headers of its circle are passed in a row, if it says so.
    pub repeat: Option<u8>,
    /// The fields in wire order, the region not among them.
    pub fields: Vec<HeaderField>,
    /// How many bytes the fields take, at least 1.
    pub size: u32,
    /// What must hold for the packet to have this header, in order.
    pub rules: Vec<Rule>,
    /// What lies between the fields and the next header.
    pub region: Option<Region>,
    /// What may follow.
    pub next: Option<Next>,
    /// The second name of its builder in tests.
    pub builder: Option<String>,
    /// The header that it becomes in the answer to a packet that a test builds, if that is another.
    pub reply: Option<HeaderId>,
    /// Of a header with a tag, its forms; its own only field is the tag.
    pub forms: Vec<Form>,
    /// Whether it is a form of a header with a tag, and is known by its name there only.
    pub is_form: bool,
}

/// A form of a header with a tag.
#[derive(Clone, Debug)]
pub struct Form {
    /// The values of the tag; the first form that fits counts.
    pub tag: KeyPattern,
    /// The form as a header, which begins with the tag.
    pub header: HeaderId,
}

/// A `union`: one of several headers.
#[derive(Clone, Debug)]
pub struct UnionDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The headers, in source order; those of unions in it among them.
    pub headers: Vec<HeaderId>,
}

/// A field of a header.
#[derive(Clone, Debug)]
pub struct HeaderField {
    /// Its name.
    pub name: String,
    /// Where its declaration stands.
    pub span: Span,
    /// Its type; the range is what the header's own rules leave.
    pub ty: Ty,
    /// Where it begins, in bits from the header's start.
    pub bit: u32,
    /// How many bits it has.
    pub bits: u32,
    /// What packets that tests build have in it unless they say otherwise.
    pub fill: Fill,
    /// Whether checksums of headers further in cover it as part of a pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1).
    pub pseudo: bool,
    /// What becomes of it in the answer to a packet that a test builds.
    pub reply: InReply,
}

/// What becomes of a field in the answer to a packet.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum InReply {
    /// It stays, or changes places as its name says.
    #[default]
    AsNamed,
    /// `#[reply(target)]`: it changes places with the field of this name.
    Swapped(String),
    /// `#[reply(of = 8, value = 0)]`, perhaps several times: where it has the first number, it gets the second.
    Numbers(Vec<(u64, u64)>),
    /// `#[reply(value = 1)]`: it gets this number.
    Always(u64),
    /// `#[reply(sets, src)]`: what it has goes to the field of this name of the nearest header below that has one as wide.
    Sets(String),
    /// `#[reply(takes, src)]`: it gets what the field of this name has in the answer, of the nearest header below that has one as wide.
    Takes(String),
}

/// What packets that tests build have in a field, as attributes of the field say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fill {
    /// What selects the header behind it, or the least that the header's rules allow.
    #[default]
    Least,
    /// `#[initial(value = 64)]`: this number.
    Initial(u64),
    /// `#[length]`: the bytes from the header's start to the packet's end, less `after`, divided by `unit` and rounded up.
    Length {
        /// `after = 40`: so many of the header's bytes are not counted.
        after: u32,
        /// `unit = 4`: bytes for which one is counted.
        unit: u32,
    },
    /// `#[checksum]`: the Internet checksum (RFC 1071) of the header with its region.
    Checksum {
        /// `payload`: and of all that is behind it.
        payload: bool,
        /// `pseudo`: and of the pseudo header that the header below has: its fields marked `#[pseudo]`, the number that selected this
        /// header, the length of this header and all behind it.
        pseudo: bool,
    },
}

/// What a header requires.
#[derive(Clone, Debug)]
pub struct Rule {
    /// A bool over the header's fields, which are those of layer 0.
    pub condition: Expr,
}

/// The bytes of variable number behind the fields.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// How many bytes: a number over the header's fields, never negative, at most 65,535.
    pub bytes: Expr,
    /// The header that it consists of; `None` for bytes.
    pub element: Option<HeaderId>,
}

/// What follows a header.
#[derive(Clone, Default, Debug)]
pub struct Next {
    /// The fields that decide, by index.
    pub by: Vec<usize>,
    /// The values and what they say; the first that fits counts.
    pub arms: Vec<NextArm>,
}

/// One line of a `next by`.
#[derive(Clone, Debug)]
pub struct NextArm {
    /// For each deciding field, the values.
    pub keys: Vec<KeyPattern>,
    /// The header that follows.
    pub header: HeaderId,
    /// Whether it is marked `#[tunnel]`: what follows is a packet within the packet.
    pub tunnel: bool,
    /// Whether an `extend` added it.
    pub extends: bool,
    /// The values and the header.
    pub span: Span,
}

impl NextArm {
    /// Whether both lines take some of the same values.
    pub(crate) fn overlaps(&self, other: &NextArm) -> bool {
        self.keys.iter().zip(&other.keys).all(|(a, b)| match (a, b) {
            (KeyPattern::OneOf(a), KeyPattern::OneOf(b)) => {
                a.iter().any(|(low, high)| b.iter().any(|(first, last)| low <= last && first <= high))
            }
            _ => true,
        })
    }
}

/// The values of one deciding field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyPattern {
    /// All.
    Any,
    /// Those in these ranges, bounds included.
    OneOf(Vec<(u64, u64)>),
}

/// A `param`.
#[derive(Clone, Debug)]
pub struct ParamDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its documentation.
    pub doc: String,
    /// Its type, with the declared range.
    pub ty: Ty,
    /// The value it has at first.
    pub default: u64,
}

/// A `state` or `table`.
#[derive(Clone, Debug)]
pub struct StateDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its documentation.
    pub doc: String,
    /// How entries are found.
    pub shape: Shape,
    /// What an entry holds.
    pub content: Content,
    /// When an entry that is not written any more goes.
    pub expire: Expire,
    /// The length of windows, in nanoseconds; 1 where there is none.
    pub window: u64,
    /// What new token buckets are.
    pub tokens: Option<TokensInit>,
    /// How many registers a `distinct` has; 0 where there is none.
    pub registers: u32,
    /// The time constant of averages, in nanoseconds; 1 where there is none.
    pub time_constant: u64,
    /// With `per core`, what the control plane makes of the cores' entries.
    pub merge: Option<Merge>,
}

/// How entries are found.
#[derive(Clone, Debug)]
pub enum Shape {
    /// By key.
    Keyed {
        /// The type of the key.
        key: Ty,
        /// How many entries there can be.
        capacity: u32,
        /// Whether the oldest entry makes room; else a new key is refused.
        evict: bool,
    },
    /// By index, a number below the capacity.
    Array {
        /// How many entries there are.
        capacity: u32,
    },
    /// There is exactly one.
    Single,
    /// By key, and written by the control plane only. A key that ends in a `prefix` is looked up by an address there, and the longest
    /// prefix counts.
    Table {
        /// The type of the key.
        key: Ty,
        /// How many entries there can be.
        capacity: u32,
    },
    /// There are no entries, but estimates for every key (count-min).
    Sketch {
        /// The type of the key.
        key: Ty,
        /// Its size.
        geometry: SketchGeometry,
    },
    /// There are no entries, but an answer for every key that errs on one side (Bloom filter).
    Bloom {
        /// The type of the key.
        key: Ty,
        /// Its size.
        geometry: BloomGeometry,
    },
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing: the key is all.
    Nothing,
    /// A value.
    Value(Ty),
    /// A cell.
    Cell(Cell),
    /// The cells of a struct, in its order.
    Cells(StructId),
}

/// What the control plane makes of the entries that several cores have under one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merge {
    /// Each number is the sum.
    Sum,
    /// Each number is the greatest.
    Max,
    /// Each number is the least.
    Min,
    /// The entry that was written last.
    Latest,
}

/// When an entry goes.
#[derive(Clone, Debug)]
pub enum Expire {
    /// It stays.
    Never,
    /// So long after its last write; a constant or param.
    After(Expr),
    /// As long after its last write as this function of its value says.
    Of(FnId),
}

/// What a new token bucket is: `tokens(rate: limit, burst: burst)`.
#[derive(Clone, Debug)]
pub struct TokensInit {
    /// How many tokens come in a second: at least 1.
    pub rate: Expr,
    /// How many fit.
    pub burst: Expr,
}

/// An `event`.
#[derive(Clone, Debug)]
pub struct EventDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its documentation.
    pub doc: String,
    /// What it tells.
    pub fields: Vec<(String, Ty)>,
    /// How many are told at most, from 1 …
    pub limit: Expr,
    /// … in how long a time after the first of them …
    pub each: Expr,
    /// … for each value of this field.
    pub per: Option<usize>,
}

/// A `fn`.
#[derive(Clone, Debug)]
pub struct FnDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its parameters' types; they are the first locals of the body.
    pub params: Vec<(String, Ty)>,
    /// Its result's type.
    pub result: Ty,
    /// Its body.
    pub body: Body,
}

/// A `filter`.
#[derive(Clone, Debug)]
pub struct FilterDef {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its documentation.
    pub doc: String,
    /// `bool` or an enum.
    pub result: Ty,
    /// What it may cost.
    pub budget: Budget,
    /// Its body.
    pub body: Body,
}

/// A body: an expression and the names in it.
#[derive(Clone, Debug)]
pub struct Body {
    /// The names for values.
    pub locals: Vec<Local>,
    /// The headers that arms found.
    pub layers: Vec<Layer>,
    /// What it computes.
    pub value: Expr,
}

/// A header that an arm found, or that a struct is computed from.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Which one it is; several where an arm has alternatives or names a union.
    pub headers: Vec<HeaderId>,
    /// Of several headers, the fields that all of them have. [`ExprKind::Field`] is an index into this table then, else into the fields of
    /// the only header.
    pub common: Vec<CommonField>,
    /// Whether it matters where in the packet it begins: its region is looked into.
    pub placed: bool,
}

/// A field that several headers have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommonField {
    /// Its name, the same in all of them.
    pub name: String,
    /// The type that holds the values of all.
    pub ty: Ty,
}

/// A name for a value.
#[derive(Clone, Debug)]
pub struct Local {
    /// The name.
    pub name: String,
    /// Where it is given.
    pub span: Span,
    /// Its type.
    pub ty: Ty,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// The type of its value.
    pub ty: Ty,
    /// Its place.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// Something that was reported.
    Error,
    /// No value, of type `Unit`.
    Nothing,
    /// A constant: its scalars. Numbers are words, in two's complement; a `bool` is 0 or 1.
    Const(Vec<u64>),
    /// A named value.
    Local(LocalId),
    /// A field of a header.
    Field(LayerId, usize),
    /// A param.
    Param(ParamId),
    /// How many bytes the region of a layer has by its header.
    RegionLen(LayerId),
    /// A byte of the region of a layer, or `none`.
    RegionByte(LayerId, Box<Expr>),
    /// `pkt.len`
    PacketLen,
    /// `pkt.in_port`
    InPort,
    /// `now`
    Now,
    /// `none`, of an optional type.
    None,
    /// A value as an optional one.
    Some(Box<Expr>),
    /// An `ip4` or `ip6` as an address of either kind.
    Addr(Box<Expr>),
    /// Several values, or those of a struct.
    Tuple(Vec<Expr>),
    /// A part of a tuple or struct.
    Part(Box<Expr>, usize),
    /// `not a`
    Not(Box<Expr>),
    /// `a and b`; `b` is only looked at where `a` is true.
    And(Box<Expr>, Box<Expr>),
    /// `a or b`
    Or(Box<Expr>, Box<Expr>),
    /// Arithmetic; the result has the type of the whole. Both operands are words, or both are wide integers.
    Arith(Arith, Box<Expr>, Box<Expr>),
    /// A word as a wide integer.
    Widen(Box<Expr>),
    /// So many bits (at least 1) of the scalars of a value, from this bit on, counted from the lowest.
    Slice(Box<Expr>, u8, u8),
    /// An element of an array; the index lies in it.
    Index(Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(Compare, Box<Expr>, Box<Expr>),
    /// `a in …` with all the ranges of each scalar of `a`: any of the lists fits if all its scalars do.
    InRanges(Box<Expr>, Vec<Vec<(u64, u64)>>),
    /// `a ?? b`
    Coalesce(Box<Expr>, Box<Expr>),
    /// `if a { b } else { c }`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `match a { … }`, complete.
    Match(Box<Expr>, Vec<Arm>),
    /// `match pkt { … }`, complete.
    MatchPacket(Vec<PacketArm>),
    /// `match ip { … }`: which header a layer is, complete.
    MatchLayer(LayerId, Vec<LayerArm>),
    /// Statements and a value.
    Block(Vec<Stmt>, Box<Expr>),
    /// `for i in … with … { … }`; its value is that of what it carries, in the order of declaration.
    Loop(Box<Loop>),
    /// `break a`: leaves the innermost loop, whose value is `a`.
    Break(Box<Expr>),
    /// `return a`
    Return(Box<Expr>),
    /// A call of a function.
    Call(FnId, Vec<Expr>),
    /// The struct that is computed from these layers.
    Compute(StructId, Vec<LayerId>),
    /// An operation on state.
    State(Box<StateOp>),
}

/// A loop.
#[derive(Clone, Debug)]
pub struct Loop {
    /// What it goes over.
    pub over: Over,
    /// The names of the values that go from turn to turn, and the first ones. They have the types of the parts of the loop's
    /// own type.
    pub carried: Vec<(LocalId, Expr)>,
    /// For each of them, by how much more than the first value the last one can be, where all turns only add to it.
    pub moved: Vec<Option<Range>>,
    /// What is done in a turn; its value is what the next turn is given.
    pub body: Expr,
}

/// What a loop goes over.
#[derive(Clone, Debug)]
pub enum Over {
    /// The whole numbers of a range. They are never negative.
    Range {
        /// The name of the number.
        index: LocalId,
        /// The first number.
        start: Expr,
        /// The last number, or the one behind it.
        end: Expr,
        /// Whether `end` is the last one.
        inclusive: bool,
        /// How many turns there are at most: 1 to 65,536.
        most: u32,
    },
    /// The elements of an array.
    Elements {
        /// The name of the element.
        element: LocalId,
        /// The array.
        array: Expr,
        /// How many elements it has.
        count: u32,
    },
    /// The headers in a region.
    Region {
        /// The layer whose region it is.
        region: LayerId,
        /// The element, which is the header of the region or one of its forms.
        element: LayerId,
        /// The header that the region consists of.
        header: HeaderId,
        /// How many there are at most: 1 to 65,536.
        most: u32,
    },
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    /// `let a = …;`
    Let(LocalId, Expr),
    /// `let (a, _) = …;`: names for some parts of a tuple.
    LetParts(Vec<Option<LocalId>>, Expr),
    /// An expression whose value is not used.
    Expr(Expr),
    /// `emit scan { … };`: the event and the values of its fields, by index, in the order in which they are computed.
    Emit(EventId, Vec<(usize, Expr)>),
}

/// Arithmetic operators, of words. The checker has proved that the exact ones are exact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arith {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `mod`
    Mod,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `+|` at so many bits
    AddSat(u8),
    /// `-|`: not below 0
    SubSat,
    /// `+%` at so many bits
    AddWrap(u8),
    /// `-%` at so many bits
    SubWrap(u8),
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// `==` of all scalars
    Eq,
    /// `!=`
    Ne,
    /// `<` of numbers
    Lt(Order),
    /// `<=` of numbers
    Le(Order),
    /// `has`: all bits of the right are set in the left
    Has,
}

/// How words are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As numbers from 0 to 2^64 - 1.
    Unsigned,
    /// As numbers in two's complement.
    Signed,
    /// As 32-bit serial numbers: `a < b` if `b` lies less than 2^31 ahead of `a` (RFC 1982).
    Serial,
    /// Scalar by scalar, the first that differ decide.
    Scalars,
}

/// An arm of a `match`.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What it matches.
    pub pattern: Pattern,
    /// The condition behind `if`.
    pub guard: Option<Expr>,
    /// What it answers.
    pub value: Expr,
}

/// A pattern for values.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Everything.
    Any,
    /// Everything, and gives it a name.
    Bind(LocalId),
    /// `none`
    None,
    /// A value of an optional type.
    Some(Box<Pattern>),
    /// Values whose scalars are in these ranges, one for each.
    Ranges(Vec<(u64, u64)>),
    /// Several.
    Tuple(Vec<Pattern>),
    /// Any of these, which name nothing.
    Or(Vec<Pattern>),
}

/// An arm of a `match pkt`.
#[derive(Clone, Debug)]
pub struct PacketArm {
    /// The alternatives: headers that follow one another, and the layer that each is for the arm, if it can be named there. One without
    /// headers for `_`.
    pub chains: Vec<Chain>,
    /// The condition behind `if`.
    pub guard: Option<Expr>,
    /// What it answers.
    pub value: Expr,
}

/// Headers that follow one another, and the layer that each is for the arm, if it can be named there.
pub type Chain = Vec<(HeaderId, Option<LayerId>)>;

/// An arm of a `match` on a layer.
#[derive(Clone, Debug)]
pub struct LayerArm {
    /// The headers that it takes.
    pub headers: Vec<HeaderId>,
    /// The layer as one of these headers.
    pub layer: LayerId,
    /// What it answers.
    pub value: Expr,
}

/// An operation on one entry of a state.
#[derive(Clone, Debug)]
pub struct StateOp {
    /// The state.
    pub state: StateId,
    /// The key, of the key's type; a single state has none.
    pub key: Option<Expr>,
    /// What is done.
    pub op: Op,
}

/// What is done to an entry.
#[derive(Clone, Debug)]
pub enum Op {
    /// The value, or `none`: `T?`.
    Read,
    /// Whether there is an entry: `bool`.
    Contains,
    /// Makes the entry of a set; whether it was not there before: `bool`, with `refuse` `bool?`. The same for a Bloom filter.
    Insert,
    /// Adds a number to what a sketch counts for a key: the new estimate.
    SketchAdd(Expr),
    /// What a sketch has counted for a key.
    Estimate,
    /// Takes the entry away; whether there was one: `bool`.
    Remove,
    /// `update`: gives the entry the value of an expression over its old value. `T?`.
    Update {
        /// The name of the old value, a `T?`.
        old: LocalId,
        /// The new value, a `T?`.
        value: Expr,
    },
    /// An operation of a cell; the number of the cell in a struct of cells, else 0.
    Cell {
        /// Which one.
        cell: usize,
        /// Its kind.
        kind: CellKind,
        /// What is done.
        op: CellOp,
    },
}

/// What is done to a cell.
#[derive(Clone, Debug)]
pub enum CellOp {
    /// Adds to a counter or window: the new total. Adds to an `ewma`: the new average. With `refuse` `T?`.
    Add(Expr),
    /// The total of a counter, window or `distinct`; 0 without an entry.
    Total,
    /// Takes tokens: whether they were there; with `refuse` `bool?`.
    Take(Expr),
    /// Shows a value to a `distinct`: the new total; with `refuse` `T?`.
    Insert(Expr),
    /// The average of an `ewma`; 0 without an entry.
    Average,
    /// What is added to an `ewma` in a second; 0 without an entry.
    Rate,
}

impl Op {
    /// Whether it leaves everything as it is.
    pub fn is_read(&self) -> bool {
        let cell = |op: &CellOp| matches!(op, CellOp::Total | CellOp::Average | CellOp::Rate);
        match self {
            Op::Read | Op::Contains | Op::Estimate => true,
            Op::Cell { op, .. } => cell(op),
            _ => false,
        }
    }
}

impl Expr {
    /// An expression.
    pub fn new(kind: ExprKind, ty: Ty, span: Span) -> Expr {
        Expr { kind, ty, span }
    }

    /// Something that was reported.
    pub fn error(span: Span) -> Expr {
        Expr { kind: ExprKind::Error, ty: Ty::Error, span }
    }

    /// The value of a number or other single scalar that is constant.
    pub fn constant(&self) -> Option<u64> {
        match &self.kind {
            ExprKind::Const(words) if words.len() == 1 => Some(words[0]),
            _ => None,
        }
    }

    /// The range of a number.
    pub fn range(&self) -> Option<Range> {
        self.ty.num().map(|num| num.range)
    }

    /// What a number counts.
    pub fn num_kind(&self) -> Option<NumKind> {
        self.ty.num().map(|num| num.kind)
    }
}

/// How many scalars of the IR the values of a type consist of.
pub fn scalars(ty: &Ty, program: &Program) -> usize {
    match ty {
        Ty::Error | Ty::Never | Ty::Unit => 0,
        Ty::Bool | Ty::Num(_) | Ty::Seq | Ty::Ip4 | Ty::Mac | Ty::Enum(_) | Ty::Bits(_) => 1,
        Ty::Ip6 | Ty::Wide(_) => 2,
        Ty::Addr => 3,
        Ty::Prefix => 4,
        Ty::Array(element, count) => scalars(element, program).saturating_mul(*count as usize),
        Ty::Struct(id) => program.structs[id.index()].scalars,
        Ty::Tuple(parts) => parts.iter().map(|part| scalars(part, program)).sum(),
        Ty::Option(inner) => 1 + scalars(inner, program),
    }
}
