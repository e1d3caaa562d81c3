//! The syntax tree: what was written, with the place of everything in it.
//!
//! What holds in a tree that [`crate::parse`] returns:
//! - Every span lies in the parsed file; a node's span holds the spans of its parts (documentation and attributes aside).
//! - No expression is deeper than [`MAX_DEPTH`], no bracket nested deeper than [`MAX_BRACKETS`], so recursion over a
//!   tree, dropping it included, needs a bounded stack.
//! - [`ExprKind::Error`], [`StmtKind::Error`] and [`PatternKind::Error`] stand where something could not be read; a tree that has one comes
//!   with at least one error, so whoever meets one may stay silent.
//! - Names are not resolved: `ip` in a pattern may be a header, a union or a variant.

use std::fmt;

use oko_diagnostics::Span;

/// The deepest nesting of expressions, as [`Expr::depth`] counts it.
pub const MAX_DEPTH: u16 = 256;

/// The deepest nesting of brackets of all kinds.
pub const MAX_BRACKETS: usize = 64;

/// One source file: a module.
#[derive(Clone, PartialEq, Debug)]
pub struct File {
    /// The `//!` lines at its top, joined by line breaks.
    pub docs: Option<Doc>,
    /// The declarations in source order.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

/// A name where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Its place.
    pub span: Span,
}

/// `std.net.ip`: one name or more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The names between the dots; never empty.
    pub parts: Vec<Ident>,
    /// From the first to the last.
    pub span: Span,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{}", part.name)?;
        }
        Ok(())
    }
}

/// The text of doc comments in a row, without `///` and one space behind it, joined by line breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doc {
    /// The text.
    pub text: String,
    /// The comments' place.
    pub span: Span,
}

/// `#[budget(steps = 500)]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Attribute {
    /// `budget`.
    pub name: Ident,
    /// What stands in the round brackets.
    pub args: Vec<AttributeArg>,
    /// From `#` to `]`.
    pub span: Span,
}

/// `steps = 500`, or `steps` alone.
#[derive(Clone, PartialEq, Debug)]
pub struct AttributeArg {
    /// `steps`.
    pub name: Ident,
    /// `500`.
    pub value: Option<Literal>,
    /// Both.
    pub span: Span,
}

/// A declaration.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// Its `#[…]` lines.
    pub attributes: Vec<Attribute>,
    /// What is declared.
    pub kind: ItemKind,
    /// From its first word to its end.
    pub span: Span,
}

/// The kinds of declarations.
#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    /// `use std.net.{ip, tcp};`
    Use(Use),
    /// `const size: u32 = 10;`
    Const(Const),
    /// `param limit: u32 in 1..=100 = 10;`
    Param(Param),
    /// `type ip.addr = ip4 | ip6;`
    TypeAlias(TypeAlias),
    /// `enum Conn { Open, Closed }`
    Enum(Enum),
    /// `bits tcp_flags: u8 { FIN, SYN }`
    Bits(Bits),
    /// `struct Balance { opened: window }`
    Struct(Struct),
    /// `header udp { … } next by dst_port { 53 => dns }`
    Header(Header),
    /// `extend udp next by dst_port { 4000 => telemetry }`
    Extend(Extend),
    /// `union ip = ipv4 | ipv6;`
    Union(Union),
    /// `state conns: map[session, Conn] { … };`
    State(State),
    /// `table inside: set[prefix] { … };`
    Table(Table),
    /// `event scan { source: ip.addr } limit 1 each 10s per source;`
    Event(Event),
    /// `fn limit(conn: Conn) -> duration { … }`
    Fn(Function),
    /// `filter tracked -> bool { … }`
    Filter(Filter),
    /// `test "…" { … }`
    Test(Test),
}

/// `use std.net.ip;`, `use std.net.{ip, tcp};`
#[derive(Clone, PartialEq, Debug)]
pub struct Use {
    /// `std.net.ip`, or the module in front of the braces.
    pub path: Path,
    /// The names in the braces; `None` where there are no braces.
    pub names: Option<Vec<Ident>>,
}

/// `const size: u32 = 10;`
#[derive(Clone, PartialEq, Debug)]
pub struct Const {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// Its value.
    pub value: Expr,
}

/// `param limit: u32 in 1..=100 = 10;`
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// The values that the control plane may give it.
    pub range: Option<Range>,
    /// The value it has at first.
    pub value: Expr,
}

/// `type ip.addr = ip4 | ip6;`: another name for a type, or for one of several.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeAlias {
    /// Its name; two parts put it into the scope of a header or union.
    pub name: Path,
    /// One type, or the alternatives.
    pub alternatives: Vec<Type>,
}

/// `enum Conn: u8 { Open = 1, Closed }`
#[derive(Clone, PartialEq, Debug)]
pub struct Enum {
    /// Its name.
    pub name: Ident,
    /// The type of its numbers.
    pub ty: Option<Type>,
    /// Its values.
    pub variants: Vec<Variant>,
}

/// `bits tcp_flags: u8 { FIN, SYN }`: the first name is the lowest bit where no number is given.
#[derive(Clone, PartialEq, Debug)]
pub struct Bits {
    /// Its name.
    pub name: Ident,
    /// The integer type that holds the bits.
    pub ty: Type,
    /// Its bits; a number given is the bit's position, counted from the lowest.
    pub variants: Vec<Variant>,
}

/// A value of an `enum` or a bit of a `bits` type.
#[derive(Clone, PartialEq, Debug)]
pub struct Variant {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// The number given to it.
    pub value: Option<IntLiteral>,
    /// All of it but the documentation.
    pub span: Span,
}

/// `struct Balance { opened: window }`; with round brackets its values are computed from others:
/// `struct flow(ip: ip, l4: l4) { src: ip.addr = ip.src, … }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Struct {
    /// Its name.
    pub name: Ident,
    /// What its values are computed from; `None` without round brackets.
    pub params: Option<Vec<Field>>,
    /// Its fields.
    pub fields: Vec<StructField>,
}

/// `src: ip.addr = ip.src`
#[derive(Clone, PartialEq, Debug)]
pub struct StructField {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// How it is computed.
    pub value: Option<Expr>,
    /// All of it but the documentation.
    pub span: Span,
}

/// `source: ip.addr`: a field of an event, a parameter of a function or filter.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// All of it but the documentation.
    pub span: Span,
}

/// `header udp { … } next by dst_port { 53 => dns }`
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Its name.
    pub name: Ident,
    /// Its fields, or its forms.
    pub body: HeaderBody,
    /// What follows it.
    pub next: Option<Next>,
}

/// `extend ethernet | vlan next by type { 0x88b5 => telemetry }`: what else can follow headers that are declared elsewhere.
#[derive(Clone, PartialEq, Debug)]
pub struct Extend {
    /// The headers, at least one.
    pub headers: Vec<Path>,
    /// What follows each of them.
    pub next: Next,
}

/// The two kinds of headers.
#[derive(Clone, PartialEq, Debug)]
pub enum HeaderBody {
    /// `{ field: u8, … }`: the fields in wire order.
    Fields(Vec<HeaderField>),
    /// `by kind: u8 { 0 => end, 2 => mss { length: u8 = 4, value: u16 }, … }`: a tag decides about the fields behind it.
    Tagged {
        /// The name of the tag field, which comes first on the wire.
        tag: Ident,
        /// Its type.
        ty: Type,
        /// The forms.
        forms: Vec<HeaderForm>,
    },
}

/// `2 => mss { length: u8 = 4, value: u16 }`
#[derive(Clone, PartialEq, Debug)]
pub struct HeaderForm {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// The tags that have this form.
    pub pattern: Pattern,
    /// Its name.
    pub name: Ident,
    /// The fields behind the tag.
    pub fields: Vec<HeaderField>,
    /// All of it but the documentation.
    pub span: Span,
}

/// `#[length] total_len: u16`, `ihl: u4 where ihl >= 5`
#[derive(Clone, PartialEq, Debug)]
pub struct HeaderField {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// Its `#[…]` lines.
    pub attributes: Vec<Attribute>,
    /// Its name.
    pub name: Ident,
    /// Its type; a region has the type [`TypeKind::Region`].
    pub ty: Type,
    /// What its value must be.
    pub rule: Option<FieldRule>,
    /// All of it but documentation and attributes.
    pub span: Span,
}

/// What a header requires of a field; a packet where it does not hold does not have the header.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldRule {
    /// `= 4`
    Fixed(Expr),
    /// `where ihl >= 5`
    Where(Expr),
}

/// `next by (protocol, frag_offset) { (6, 0) => tcp }`
#[derive(Clone, PartialEq, Debug)]
pub struct Next {
    /// A field, or a tuple of fields.
    pub by: Expr,
    /// The arms.
    pub arms: Vec<NextArm>,
    /// From `next` to `}`.
    pub span: Span,
}

/// `(6, 0) => tcp`
#[derive(Clone, PartialEq, Debug)]
pub struct NextArm {
    /// Its `#[…]` words.
    pub attributes: Vec<Attribute>,
    /// The values.
    pub pattern: Pattern,
    /// The header that follows.
    pub header: Path,
    /// Values and header.
    pub span: Span,
}

/// `union ip = ipv4 | ipv6;`
#[derive(Clone, PartialEq, Debug)]
pub struct Union {
    /// Its name.
    pub name: Ident,
    /// The headers, or unions of headers, that it stands for.
    pub members: Vec<Path>,
}

/// `state conns: map[session, Conn] per core { capacity: 1_024, … };`, `state total: counter;`
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// Its name.
    pub name: Ident,
    /// What it holds.
    pub ty: Type,
    /// The word behind `per`: `core`.
    pub per: Option<Ident>,
    /// Its capacity, policies and parameters; empty also where there are no braces.
    pub settings: Vec<Setting>,
}

/// `table inside: set[prefix] { capacity: 1_024 };`
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// Its name.
    pub name: Ident,
    /// What it holds.
    pub ty: Type,
    /// Its capacity.
    pub settings: Vec<Setting>,
}

/// `capacity: 1_024`
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Its `///` lines.
    pub docs: Option<Doc>,
    /// `capacity`.
    pub name: Ident,
    /// `1_024`.
    pub value: Expr,
    /// All of it but the documentation.
    pub span: Span,
}

/// `event scan { source: ip.addr } limit 1 each 10s per source;`
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its name.
    pub name: Ident,
    /// What it tells.
    pub fields: Vec<Field>,
    /// How many may be emitted …
    pub limit: Expr,
    /// … in how long a time …
    pub each: Expr,
    /// … for each value of this field.
    pub per: Option<Ident>,
}

/// `fn idle_limit(conn: Conn) -> duration { … }`
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Field>,
    /// The type of its value.
    pub result: Type,
    /// Its body.
    pub body: Block,
}

/// `filter tracked -> bool { … }`
#[derive(Clone, PartialEq, Debug)]
pub struct Filter {
    /// Its name.
    pub name: Ident,
    /// Its parameters; `None` without round brackets.
    pub params: Option<Vec<Field>>,
    /// The type of its answer.
    pub result: Option<Type>,
    /// Its body.
    pub body: Block,
}

/// `test "…" { … }`
#[derive(Clone, PartialEq, Debug)]
pub struct Test {
    /// What it shows.
    pub name: StrLiteral,
    /// Its steps.
    pub body: Block,
}

/// A type.
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of types.
#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// One that could not be read, or is missing; that was reported.
    Error,
    /// `u32`, `ip.addr`, `map[ip.addr, window]`.
    Named {
        /// The name.
        path: Path,
        /// The types in square brackets.
        args: Vec<Type>,
    },
    /// `T?`: a value or `none`.
    Optional(Box<Type>),
    /// `(ip.addr, u16)`
    Tuple(Vec<Type>),
    /// `[u8; 6]`: a number of elements that is known.
    Array {
        /// The element.
        element: Box<Type>,
        /// How many.
        count: Box<Expr>,
    },
    /// `[ipv4_option in ihl * 4 - 20]`: elements in a number of bytes that the packet says.
    Region {
        /// The element.
        element: Box<Type>,
        /// How many bytes.
        bytes: Box<Expr>,
    },
}

/// `1..=100`, `0..n`
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    /// The first value.
    pub start: Box<Expr>,
    /// The last value, or the one behind it.
    pub end: Box<Expr>,
    /// True for `..=`.
    pub inclusive: bool,
    /// All of it.
    pub span: Span,
}

/// `{ let a = 1; a + 1 }`
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// The statements.
    pub stmts: Vec<Stmt>,
    /// The expression at the end, without `;`: the block's value. A trailing `if`, `match` or block is one, too.
    pub value: Option<Box<Expr>>,
    /// From `{` to `}`.
    pub span: Span,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// With its `;`.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, PartialEq, Debug)]
pub enum StmtKind {
    /// Something that could not be read.
    Error,
    /// `let opened: u64 = …;`
    Let {
        /// The name.
        name: Ident,
        /// Its type.
        ty: Option<Type>,
        /// Its value.
        value: Expr,
    },
    /// `let (clients, _) = …;`: names for the parts of a tuple.
    LetParts {
        /// The names; `None` for `_`.
        names: Vec<Option<Ident>>,
        /// The tuple.
        value: Expr,
    },
    /// `return false;`
    Return(Expr),
    /// `emit scan { source: ip.src, services };`
    Emit {
        /// The event.
        event: Path,
        /// Its fields.
        fields: Vec<FieldInit>,
    },
    /// `break;`, or `break n;` with the value of the loop.
    Break(Option<Expr>),
    /// In a test: `expect tracked(p) == true;`
    Expect(Expr),
    /// In a test: `expect emitted scan { source: 10.0.0.1 };`, also with `not emitted`.
    ExpectEmitted {
        /// Whether there is to be one, or none.
        emitted: bool,
        /// The event.
        event: Path,
        /// The fields that must have these values.
        fields: Vec<FieldInit>,
    },
    /// In a test: `advance 10s;`
    Advance(Expr),
    /// An expression whose value is not used.
    Expr(Expr),
}

/// `source: ip.src`, or `services` for `services: services`.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldInit {
    /// The field.
    pub name: Ident,
    /// Its value; `None` for the short form.
    pub value: Option<Expr>,
    /// Both.
    pub span: Span,
}

/// What stands behind `in`: a range, or a value that has elements (a list, set, table, prefix or region).
#[derive(Clone, PartialEq, Debug)]
pub enum RangeOr {
    /// `1..=100`
    Range(Range),
    /// `inside`
    Expr(Box<Expr>),
}

impl RangeOr {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            RangeOr::Range(range) => range.span,
            RangeOr::Expr(expr) => expr.span,
        }
    }
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
    /// See [`Expr::depth`].
    pub(crate) depth: u16,
}

impl Expr {
    /// How many expressions lie within one another, at most: 1 for a name, 2 for `-a`; 3 for `1 + 2 + 3`.
    pub fn depth(&self) -> u16 {
        self.depth
    }
}

/// `match pkt { path => callee(args), _ => none }`, for what is made of other forms. All of it has the place `span`.
pub fn match_layers(path: Vec<Layer>, callee: Ident, args: Vec<Ident>, span: Span) -> Expr {
    let expr = |kind, depth| Expr { kind, span, depth };
    let args = (args.into_iter())
        .map(|name| Arg { name: None, value: expr(ExprKind::Name(name), 1), span })
        .collect();
    let call = expr(ExprKind::Call { callee: Box::new(expr(ExprKind::Name(callee), 1)), args }, 2);
    let arm = |kind, value| Arm { pattern: Pattern { kind, span }, guard: None, value, span };
    let pattern = match <[Layer; 1]>::try_from(path) {
        Ok([only]) => PatternKind::Path(only.header),
        Err(path) => PatternKind::Layers(path),
    };
    let arms = vec![arm(pattern, call), arm(PatternKind::Any, expr(ExprKind::None, 1))];
    let subject = expr(ExprKind::Name(Ident { name: "pkt".to_owned(), span }), 1);
    expr(ExprKind::Match { subject: Box::new(subject), arms }, 3)
}

/// The kinds of expressions.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// Something that could not be read.
    Error,
    /// `conn`
    Name(Ident),
    /// `10s`
    Literal(Literal),
    /// `true`
    Bool(bool),
    /// `none`
    None,
    /// `[1, 2, 3]`
    List(Vec<Expr>),
    /// `8000..=8999` as an element of a list.
    Range(Range),
    /// `(a, b)`; never of one element.
    Tuple(Vec<Expr>),
    /// `(a)`
    Paren(Box<Expr>),
    /// `not a`
    Unary {
        /// `not`
        op: UnaryOp,
        /// Its place.
        op_span: Span,
        /// `a`
        operand: Box<Expr>,
    },
    /// `a + b`
    Binary {
        /// `+`
        op: BinaryOp,
        /// Its place.
        op_span: Span,
        /// `a`
        left: Box<Expr>,
        /// `b`
        right: Box<Expr>,
    },
    /// `a in 1..=5`, `a not in inside`
    In {
        /// `a`
        value: Box<Expr>,
        /// True for `not in`.
        negated: bool,
        /// `1..=5`
        within: RangeOr,
    },
    /// `tcp.flags`
    Field {
        /// `tcp`
        base: Box<Expr>,
        /// `flags`
        name: Ident,
    },
    /// `session(ip, tcp)`, `out.with(flags: SYN)`, `tokens(rate: limit, burst: burst)`
    Call {
        /// `session`, `out.with`
        callee: Box<Expr>,
        /// The arguments.
        args: Vec<Arg>,
    },
    /// `conns[key]`
    Index {
        /// `conns`
        base: Box<Expr>,
        /// `key`
        index: Box<Expr>,
    },
    /// `ip.dst[0:16]`
    Slice {
        /// `ip.dst`
        base: Box<Expr>,
        /// `0`
        from: Box<Expr>,
        /// `16`
        to: Box<Expr>,
    },
    /// `update conns[key] |old| …`
    Update {
        /// `conns[key]`
        place: Box<Expr>,
        /// `old`
        old: Ident,
        /// The new value.
        value: Box<Expr>,
    },
    /// `if a { … } else { … }`
    If {
        /// `a`
        condition: Box<Expr>,
        /// The first block.
        then: Block,
        /// The second one: [`ExprKind::Block`], or [`ExprKind::If`] for `else if`.
        otherwise: Option<Box<Expr>>,
    },
    /// `match pkt { … }`
    Match {
        /// `pkt`
        subject: Box<Expr>,
        /// The arms.
        arms: Vec<Arm>,
    },
    /// `for opt in tcp.options { … }`, `for i in 0..4 with sum = 0 { sum + i }`
    For {
        /// The name of the element.
        name: Ident,
        /// What it goes over.
        over: RangeOr,
        /// The values that go from each turn to the next; with them the loop has a value.
        carried: Vec<Carried>,
        /// What is done: its value is that of the carried values in the next turn.
        body: Block,
    },
    /// `{ … }`
    Block(Block),
    /// In a test: `replay "syn.pcap"`
    Replay(StrLiteral),
}

/// `sum: u32 = 0`: a value that a loop carries from each turn to the next.
#[derive(Clone, PartialEq, Debug)]
pub struct Carried {
    /// Its name in the body.
    pub name: Ident,
    /// Its type.
    pub ty: Option<Type>,
    /// Its value in the first turn.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// An argument of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// `rate` in `rate: limit`.
    pub name: Option<Ident>,
    /// `limit`
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// `ip / tcp if tcp.flags == SYN => …`
#[derive(Clone, PartialEq, Debug)]
pub struct Arm {
    /// `ip / tcp`
    pub pattern: Pattern,
    /// The condition behind `if`.
    pub guard: Option<Expr>,
    /// What the arm answers.
    pub value: Expr,
    /// All of it, without the `,`.
    pub span: Span,
}

/// A pattern.
#[derive(Clone, PartialEq, Debug)]
pub struct Pattern {
    /// What it matches.
    pub kind: PatternKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of patterns.
#[derive(Clone, PartialEq, Debug)]
pub enum PatternKind {
    /// Something that could not be read.
    Error,
    /// `_`
    Any,
    /// `none`
    None,
    /// `true`
    Bool(bool),
    /// `6`, `10.0.0.0/8`
    Literal(Literal),
    /// `1..=5`
    Range {
        /// `1`
        start: IntLiteral,
        /// `5`
        end: IntLiteral,
    },
    /// `SynSent`, or `ip` as a layer path of one layer.
    Path(Path),
    /// `ip / tcp`, `ip as outer`: more than one layer, or an alias.
    Layers(Vec<Layer>),
    /// `let x`: any value, and names it.
    Bind(Ident),
    /// `Last(pause: 0s)`
    Parts {
        /// `Last`
        path: Path,
        /// What its parts must be.
        parts: Vec<PatternPart>,
    },
    /// `(6, 0)`
    Tuple(Vec<Pattern>),
    /// `SynSent | SynAcked`
    Or(Vec<Pattern>),
}

/// `pause: 0s`
#[derive(Clone, PartialEq, Debug)]
pub struct PatternPart {
    /// The field.
    pub name: Option<Ident>,
    /// What it must be.
    pub pattern: Pattern,
    /// Both.
    pub span: Span,
}

/// `ipv4 as outer`
#[derive(Clone, PartialEq, Debug)]
pub struct Layer {
    /// `ipv4`
    pub header: Path,
    /// `outer`
    pub alias: Option<Ident>,
    /// Both.
    pub span: Span,
}

/// A literal.
#[derive(Clone, PartialEq, Debug)]
pub struct Literal {
    /// Its value.
    pub kind: LiteralKind,
    /// Its place.
    pub span: Span,
}

/// An integer literal where only an integer may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntLiteral {
    /// Its value.
    pub value: u128,
    /// Its place.
    pub span: Span,
}

/// A string literal where only a string may stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StrLiteral {
    /// Its text, escapes resolved.
    pub text: String,
    /// Its place, quotes included.
    pub span: Span,
}

/// The values of literals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LiteralKind {
    /// `1_000`, `0xff`, `64Ki`
    Int(u128),
    /// `"text"`, escapes resolved.
    Str(String),
    /// `0.01%`, in millionths of one: `0.01%` is 100.
    Percent(u64),
    /// `10s`, in nanoseconds.
    Duration(u64),
    /// `1_000pps`, `10Mbps`
    Rate {
        /// How many a second; `k` is 1,000.
        per_second: u64,
        /// Of what.
        unit: RateUnit,
    },
    /// `10.0.0.1`, `10.0.0.0/8`
    Ip4 {
        /// The address; its first part is the highest byte.
        addr: u32,
        /// The prefix length, at most 32; bits beyond it are zero.
        prefix: Option<u8>,
    },
    /// `2001:db8::1`, `fe80::/10`
    Ip6 {
        /// The address; its first part is highest.
        addr: u128,
        /// The prefix length, at most 128; bits beyond it are zero.
        prefix: Option<u8>,
    },
    /// `02:00:00:00:00:01`, in wire order.
    Mac([u8; 6]),
}

/// What a rate counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateUnit {
    /// `pps`
    Packets,
    /// `bps`
    Bits,
}

/// Operators in front of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    /// `not`
    Not,
    /// `-`
    Neg,
    /// `~`
    BitNot,
}

/// Operators between two operands, the loosest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `has`: all bits of the right operand are set in the left one.
    Has,
    /// `??`: the left operand, or the right one where it is `none`.
    Coalesce,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `+|`: saturates
    AddSat,
    /// `-|`: saturates
    SubSat,
    /// `+%`: wraps
    AddWrap,
    /// `-%`: wraps
    SubWrap,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `mod`
    Mod,
}

impl UnaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Not => "not",
            UnaryOp::Neg => "-",
            UnaryOp::BitNot => "~",
        }
    }
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Has => "has",
            BinaryOp::Coalesce => "??",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::BitAnd => "&",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::AddSat => "+|",
            BinaryOp::SubSat => "-|",
            BinaryOp::AddWrap => "+%",
            BinaryOp::SubWrap => "-%",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "mod",
        }
    }
}
