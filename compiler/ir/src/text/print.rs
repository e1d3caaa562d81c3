//! `Display` of modules, filters and their parts.

use std::fmt;

use super::lex::{is_word, write_quoted};
use crate::entities::{Block, Event, Param, State, Value};
use crate::module::{
    BlockCall, BlockData, EventDecl, EventField, FieldDecl, Filter, FilterResult, Inst, KeyPart, Loc, Module,
    Op, ParamDecl, StateDecl, StateKind, Terminator, TerminatorKind, Type, Unlock, WhenFull, Width,
};
use crate::operands::ResultType;

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "oko.ir 1")?;
        for (index, file) in self.files.iter().enumerate() {
            write!(f, "file {index} ")?;
            write_quoted(f, file)?;
            writeln!(f)?;
        }
        for (index, param) in self.params.iter().enumerate() {
            writeln!(f, "param {} {param}", Param::from_index(index))?;
        }
        for (index, state) in self.states.iter().enumerate() {
            writeln!(f, "state {} {state}", State::from_index(index))?;
        }
        for (index, event) in self.events.iter().enumerate() {
            writeln!(f, "event {} {event}", Event::from_index(index))?;
        }
        for filter in &self.filters {
            write!(f, "\n{filter}")?;
        }
        Ok(())
    }
}

/// A name, quoted if need be.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_word(self.0) { f.write_str(self.0) } else { write_quoted(f, self.0) }
    }
}

impl fmt::Display for ParamDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} to {}, default {}", Name(&self.name), self.min, self.max, self.default)
    }
}

impl fmt::Display for StateDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Name(&self.name))?;
        match self.kind {
            StateKind::Hash(WhenFull::EvictOldest) => write!(f, "hash evict_oldest")?,
            StateKind::Hash(WhenFull::Refuse) => write!(f, "hash refuse")?,
            StateKind::Array => write!(f, "array")?,
            StateKind::Words => write!(f, "words")?,
            StateKind::Table(by) => write!(f, "table {by}")?,
        }
        write!(f, ", capacity {}", self.capacity)?;
        // Words have neither; a module that is not checked may give them some.
        if self.kind != StateKind::Words || !self.key.is_empty() || !self.fields.is_empty() {
            write!(f, ", key(")?;
            write_list(f, &self.key)?;
            write!(f, "), fields(")?;
            write_list(f, &self.fields)?;
            write!(f, ")")?;
        }
        self.per_core.map_or(Ok(()), |merge| write!(f, ", per_core {merge}"))
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Name(&self.name), self.width)
    }
}

impl fmt::Display for FieldDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Name(&self.name), self.width)?;
        if self.count == 1 { Ok(()) } else { write!(f, "[{}]", self.count) }
    }
}

impl fmt::Display for EventDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", Name(&self.name))?;
        write_list(f, &self.fields)?;
        write!(f, ")")
    }
}

impl fmt::Display for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Name(&self.name), self.width)
    }
}

impl fmt::Display for FilterResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterResult::Bool => f.write_str("bool"),
            FilterResult::Classes(count) => write!(f, "classes {count}"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "filter {} -> {} {{", Name(&self.name), self.result)?;
        for (index, block) in self.blocks.iter().enumerate() {
            self.write_block(f, Block::from_index(index), block)?;
        }
        writeln!(f, "}}")
    }
}

impl Filter {
    fn write_block(&self, f: &mut fmt::Formatter<'_>, name: Block, block: &BlockData) -> fmt::Result {
        write!(f, "{name}")?;
        if !block.params.is_empty() {
            write!(f, "(")?;
            for (index, &param) in block.params.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{param}: {}", self.type_of(param).unwrap_or(Type::Int))?;
            }
            write!(f, ")")?;
        }
        writeln!(f, ":")?;
        for inst in &block.insts {
            write!(f, "    ")?;
            self.write_inst(f, inst)?;
            writeln!(f)?;
        }
        writeln!(f, "    {}", block.term)
    }

    /// The type is written where the reader would take another.
    fn write_inst(&self, f: &mut fmt::Formatter<'_>, inst: &Inst) -> fmt::Result {
        if let Some(result) = inst.result {
            write!(f, "{result}")?;
            let ty = self.type_of(result).unwrap_or(Type::Int);
            if ty != written_type(&inst.op) {
                write!(f, ": {ty}")?;
            }
            write!(f, " = ")?;
        }
        write!(f, "{}", inst.op)?;
        write_loc(f, inst.loc)
    }
}

/// The type that a result has in the text form unless another is written.
pub(super) fn written_type(op: &Op) -> Type {
    match op.result_type() {
        ResultType::Is(ty) => ty,
        ResultType::Same(_) | ResultType::None => Type::Int,
    }
}

fn write_loc(f: &mut fmt::Formatter<'_>, loc: Option<Loc>) -> fmt::Result {
    loc.map_or(Ok(()), |loc| write!(f, " @{}:{}", loc.file, loc.line))
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Const(value) => write!(f, "const {value}"),
            Op::ConstBool(value) => write!(f, "{value}"),
            Op::Binary(op, a, b) => write!(f, "{op} {a}, {b}"),
            Op::Compare(op, a, b) => write!(f, "{op} {a}, {b}"),
            Op::Bool(op, a, b) => write!(f, "{op} {a}, {b}"),
            Op::Not(a) => write!(f, "not {a}"),
            Op::Select(c, a, b) => write!(f, "select {c}, {a}, {b}"),
            Op::IntOfBool(a) => write!(f, "int {a}"),
            Op::Load(width, window, offset) => write!(f, "{} {window}, {offset}", load_mnemonic(*width)),
            Op::PacketLen => write!(f, "pkt.len"),
            Op::InPort => write!(f, "pkt.in_port"),
            Op::Now => write!(f, "now"),
            Op::Seed(word) => write!(f, "seed {word}"),
            Op::Param(param) => write!(f, "param {param}"),
            Op::Lock(entry) => write!(f, "lock {entry}"),
            Op::Get(entry, field) => write!(f, "get {entry}, {field}"),
            Op::GetAt(entry, field, index) => write!(f, "get.at {entry}, {field}, {index}"),
            Op::SetAt(entry, field, index, value) => write!(f, "set.at {entry}, {field}, {index}, {value}"),
            Op::Set(entry, field, value) => write!(f, "set {entry}, {field}, {value}"),
            Op::Unlock(entry, Unlock::Keep) => write!(f, "unlock.keep {entry}"),
            Op::Unlock(entry, Unlock::Touch(time)) => write!(f, "unlock.touch {entry}, {time}"),
            Op::Unlock(entry, Unlock::Clear) => write!(f, "unlock.clear {entry}"),
            Op::WordGet(state, index) => write!(f, "word.get {state}, {index}"),
            Op::WordAdd(state, index, value) => write!(f, "word.add {state}, {index}, {value}"),
            Op::WordOr(state, index, value) => write!(f, "word.or {state}, {index}, {value}"),
            Op::WordCas(state, index, expected, new) => {
                write!(f, "word.cas {state}, {index}, {expected}, {new}")
            }
            Op::Emit(event, values) => {
                write!(f, "emit {event}(")?;
                write_list(f, values)?;
                write!(f, ")")
            }
        }
    }
}

pub(super) fn load_mnemonic(width: Width) -> &'static str {
    match width {
        Width::W8 => "load.be8",
        Width::W16 => "load.be16",
        Width::W32 => "load.be32",
        Width::W64 => "load.be64",
    }
}

impl fmt::Display for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        write_loc(f, self.loc)
    }
}

impl fmt::Display for TerminatorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lookup = |f: &mut fmt::Formatter<'_>, name: &str, state: &State, key: &[Value]| {
            write!(f, "{name} {state}(")?;
            write_list(f, key)?;
            write!(f, ")")
        };
        match self {
            TerminatorKind::Jump(call) => write!(f, "jump {call}"),
            TerminatorKind::Branch { cond, then, other } => write!(f, "branch {cond}, {then}, {other}"),
            TerminatorKind::Window { offset, len, ok, short } => {
                write!(f, "window {offset}, {len}, {ok}, {short}")
            }
            TerminatorKind::Find { state, key, found, absent } => {
                lookup(f, "find", state, key)?;
                write!(f, ", {found}, {absent}")
            }
            TerminatorKind::Slot { state, key, found, full } => {
                lookup(f, "slot", state, key)?;
                write!(f, ", {found}, {full}")
            }
            TerminatorKind::Repeat { counter, count, body, done } => {
                write!(f, "repeat {counter}, {count}, {body}, {done}")
            }
            TerminatorKind::Return(value) => write!(f, "return {value}"),
        }
    }
}

impl fmt::Display for BlockCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.block)?;
        if self.args.is_empty() {
            return Ok(());
        }
        write!(f, "(")?;
        write_list(f, &self.args)?;
        write!(f, ")")
    }
}
