//! Tests as they were checked: what to do, step by step.
//!
//! Packets are described, not built: what is to be in which layer. Everything else that a test computes is an expression of
//! [`crate::hir`] over the test's locals, a `Value`. The front end does not evaluate them: [`crate::test_module`] makes of each
//! a filter that tells its value piece by piece (a *probe*), so tests compute as filters do, on the engine that is tested.
//!
//! What holds: a value's locals were given by steps before; layers follow one another as their headers say, the first is the root.

use oko_diagnostics::Span;

use crate::hir::{EventId, Expr, HeaderId, Local, LocalId, ParamId, StateId};

/// Which of a plan's values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ValueId(pub usize);

/// Which of a plan's packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PacketId(pub usize);

/// One `test`.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it shows.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
    /// The names for values, those of hidden ones among them.
    pub locals: Vec<Local>,
    /// The headers that packets are looked at by, for values of [`StepKind::LetOf`].
    pub layers: Vec<crate::hir::Layer>,
    /// The packets.
    pub packets: Vec<PacketDef>,
    /// What is computed.
    pub values: Vec<Expr>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// A packet of a test.
#[derive(Clone, Debug)]
pub struct PacketDef {
    /// Its name, or the text that makes it.
    pub name: String,
    /// Where it is made.
    pub span: Span,
    /// Its headers from the outermost; `None` if it is given as bytes.
    pub layers: Option<Vec<HeaderId>>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of steps.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Gives a local its value.
    Let(LocalId, ValueId),
    /// Makes a packet.
    Build(PacketId, Build),
    /// Asks a filter, by its index, about a packet; its answer goes to the local.
    Ask(usize, PacketId, LocalId),
    /// Asks a filter about all packets of a capture, at their times; how many match goes to the local.
    Replay(usize, String, LocalId),
    /// For each packet of a capture, at its time.
    ForPackets(String, PacketId, Vec<Step>),
    /// For each number from the first value to below the second.
    For(LocalId, ValueId, ValueId, Vec<Step>),
    /// If the value is true the first steps, else the second.
    If(ValueId, Vec<Step>, Vec<Step>),
    /// Lets so many nanoseconds pass.
    Advance(ValueId),
    /// Fails if the value is false.
    Expect(Expect),
    /// Sets a param.
    SetParam(ParamId, ValueId),
    /// Writes an entry of a table: its key, and its value unless the table is a set.
    TablePut(StateId, ValueId, Option<ValueId>),
    /// Takes an entry of a table away.
    TableRemove(StateId, ValueId),
    /// Takes the oldest event of a kind whose fields have these values; fails if there is none.
    ExpectEmitted(EventId, Vec<(usize, ValueId)>),
    /// Fails if an event of a kind whose fields have these values was emitted and not taken.
    ExpectNotEmitted(EventId, Vec<(usize, ValueId)>),
    /// Gives a local the number of events that were emitted and not taken.
    Emitted(LocalId),
    /// Gives a local what the value, an optional one, is for a packet; fails if there is none.
    LetOf(LocalId, ValueId, PacketId),
}

/// What an `expect` says.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Must be true.
    pub holds: ValueId,
    /// Both sides of a comparison.
    pub sides: Option<(ValueId, ValueId)>,
    /// The packets that filters were asked about in it.
    pub packets: Vec<PacketId>,
}

/// How a packet is made.
#[derive(Clone, Debug)]
pub enum Build {
    /// From its layers, the outermost first.
    Layers(Vec<Layer>, Payload),
    /// The layers of another packet and more behind them; what was behind its layers is left out.
    Upon(PacketId, Vec<Layer>, Payload),
    /// These bytes.
    Bytes(Vec<u8>),
    /// The answer to another packet: what is called `src…` and `dst…` changes places in every layer, and what the headers' attributes say.
    Reply(PacketId),
    /// Another packet with some differences.
    With(PacketId, Vec<Change>),
}

/// A layer of a packet.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its header.
    pub header: HeaderId,
    /// The fields that are given, by index.
    pub fields: Vec<(usize, ValueId)>,
    /// The bytes of its region, if given.
    pub region: Option<Vec<u8>>,
}

/// What lies behind the last header.
#[derive(Clone, Debug)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many zeros.
    Zeros(ValueId),
}

/// A difference between a packet and the one it is made from.
#[derive(Clone, Debug)]
pub enum Change {
    /// A field of a layer.
    Field(usize, usize, ValueId),
    /// The payload.
    Payload(Payload),
    /// The port it comes in by.
    InPort(ValueId),
}
