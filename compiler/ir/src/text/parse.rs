//! The reader of the text form: a recursive-descent parser without recursion, so that no input can exhaust the stack.
//!
//! It checks syntax only; what the module means is the verifier's business. Memory is linear in the text: value tables are made
//! from what is defined, never from the numbers that a text contains.

use super::lex::{Lexer, Position, Token};
use super::print::{load_mnemonic, written_type};
use crate::entities::{Block, Event, Field, Param, State, Value};
use crate::mnemonics::{field_of, index_after, state_of};
use crate::module::{
    BinaryOp, BlockCall, BlockData, BoolOp, CompareOp, EventDecl, EventField, FieldDecl, Filter,
    FilterResult, Inst, KeyPart, Loc, Match, Merge, Module, Op, ParamDecl, StateDecl, StateKind, Terminator,
    TerminatorKind, Type, Unlock, WhenFull, Width,
};

/// Why a text is no module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: expected {expected}, found {found}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// What could have been there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// The lines that a module was read from, each from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Of each param.
    pub params: Vec<u32>,
    /// Of each state.
    pub states: Vec<u32>,
    /// Of each event.
    pub events: Vec<u32>,
    /// Of each filter.
    pub filters: Vec<FilterLines>,
}

/// The lines of a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterLines {
    /// Of its first line.
    pub line: u32,
    /// Of each block.
    pub blocks: Vec<BlockLines>,
}

/// The lines of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockLines {
    /// Of its label.
    pub line: u32,
    /// Of each instruction.
    pub insts: Vec<u32>,
    /// Of its terminator.
    pub term: u32,
}

/// Reads a module.
///
/// # Errors
///
/// The first place that is not as it should be.
pub fn read(text: &str) -> Result<Module, ParseError> {
    read_with_lines(text).map(|(module, _)| module)
}

/// Reads a module and notes where its parts are.
///
/// # Errors
///
/// The first place that is not as it should be.
pub fn read_with_lines(text: &str) -> Result<(Module, Lines), ParseError> {
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next();
    let mut parser = Parser { lexer, token, at };
    let mut module = Module::default();
    let mut lines = Lines::default();
    parser.keyword("oko.ir")?;
    let version = parser.at;
    if parser.number()? != 1 {
        return Err(error(version, "version 1", "another version"));
    }
    loop {
        let line = parser.at.line;
        let Token::Word(word) = parser.token else { break };
        match word {
            "file" => module.files.push(parser.file(module.files.len())?),
            "param" => {
                module.params.push(parser.param(module.params.len())?);
                lines.params.push(line);
            }
            "state" => {
                module.states.push(parser.state(module.states.len())?);
                lines.states.push(line);
            }
            "event" => {
                module.events.push(parser.event(module.events.len())?);
                lines.events.push(line);
            }
            "filter" => {
                let (filter, filter_lines) = parser.filter()?;
                module.filters.push(filter);
                lines.filters.push(filter_lines);
            }
            _ => break,
        }
    }
    match parser.token {
        Token::End => Ok((module, lines)),
        _ => Err(parser.unexpected("`file`, `param`, `state`, `event`, `filter` or the end")),
    }
}

fn error(at: Position, expected: impl Into<String>, found: impl Into<String>) -> ParseError {
    ParseError { line: at.line, column: at.column, expected: expected.into(), found: found.into() }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    at: Position,
}

/// The values that a filter defines as they are met.
#[derive(Default)]
struct Definitions {
    values: Vec<(Value, Type, Position)>,
}

impl Definitions {
    /// The table of types. Values are numbered without gaps, which also bounds the table by the text.
    fn table(self) -> Result<Vec<Type>, ParseError> {
        let mut table = vec![Type::Int; self.values.len()];
        for (value, ty, at) in self.values {
            let count = table.len();
            let Some(row) = table.get_mut(value.index()) else {
                let expected = format!("a value below v{count}, as many as the filter defines");
                return Err(error(at, expected, format!("`{value}`")));
            };
            *row = ty;
        }
        Ok(table)
    }
}

impl<'a> Parser<'a> {
    fn advance(&mut self) {
        (self.token, self.at) = self.lexer.next();
    }

    fn unexpected(&self, expected: impl Into<String>) -> ParseError {
        error(self.at, expected, self.token.to_string())
    }

    /// The word that comes, if `read` can make something of it.
    fn word<T>(&mut self, expected: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T, ParseError> {
        if let Token::Word(word) = self.token
            && let Some(value) = read(word)
        {
            self.advance();
            return Ok(value);
        }
        Err(self.unexpected(expected))
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), ParseError> {
        self.word(&format!("`{keyword}`"), |word| (word == keyword).then_some(()))
    }

    fn is_punct(&self, c: char) -> bool {
        self.token == Token::Punct(c)
    }

    /// Whether this word comes behind the token at hand.
    fn peeks(&self, word: &str) -> bool {
        self.lexer.clone().next().0 == Token::Word(word)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.is_punct(c);
        if found {
            self.advance();
        }
        found
    }

    fn punct(&mut self, c: char) -> Result<(), ParseError> {
        if self.eat(c) { Ok(()) } else { Err(self.unexpected(format!("`{c}`"))) }
    }

    fn number(&mut self) -> Result<u64, ParseError> {
        self.word("a number", |word| match word.strip_prefix("0x") {
            // from_str_radix would take a sign.
            Some(hex) if hex.bytes().all(|c| c.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
            Some(_) => None,
            None => word.bytes().all(|c| c.is_ascii_digit()).then(|| word.parse().ok())?,
        })
    }

    fn number32(&mut self) -> Result<u32, ParseError> {
        let at = self.at;
        let number = self.number()?;
        u32::try_from(number).map_err(|_| error(at, "a number below 2^32", number.to_string()))
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let name = match &self.token {
            Token::Word(word) => (*word).to_owned(),
            Token::String(text) => text.clone().into_owned(),
            _ => return Err(self.unexpected("a name")),
        };
        self.advance();
        Ok(name)
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        self.word("a value", |word| index_after("v", word).map(Value))
    }

    fn comma_value(&mut self) -> Result<Value, ParseError> {
        self.punct(',')?;
        self.value()
    }

    fn state_name(&mut self) -> Result<State, ParseError> {
        self.word("a state", state_of)
    }

    fn width(&mut self) -> Result<Width, ParseError> {
        self.word("`u8`, `u16`, `u32` or `u64`", Width::from_mnemonic)
    }

    /// `(item, item)`
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = Vec::new();
        self.punct('(')?;
        if self.eat(')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(')') {
                return Ok(items);
            }
            if !self.eat(',') {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    /// The reference that a declaration starts with: they are numbered in order.
    fn numbered(&mut self, name: &str) -> Result<(), ParseError> {
        self.word(&format!("`{name}`"), |word| (word == name).then_some(()))
    }

    fn file(&mut self, index: usize) -> Result<String, ParseError> {
        self.advance();
        self.numbered(&index.to_string())?;
        self.name()
    }

    fn param(&mut self, index: usize) -> Result<ParamDecl, ParseError> {
        self.advance();
        self.numbered(&Param::from_index(index).to_string())?;
        let name = self.name()?;
        self.punct(':')?;
        let min = self.number()?;
        self.keyword("to")?;
        let max = self.number()?;
        self.punct(',')?;
        self.keyword("default")?;
        let default = self.number()?;
        Ok(ParamDecl { name, min, max, default })
    }

    fn state(&mut self, index: usize) -> Result<StateDecl, ParseError> {
        self.advance();
        self.numbered(&State::from_index(index).to_string())?;
        let name = self.name()?;
        self.punct(':')?;
        let kind = match self.word("`hash`, `array`, `words` or `table`", |word| {
            matches!(word, "hash" | "array" | "words" | "table").then_some(word)
        })? {
            "hash" => StateKind::Hash(self.word("`evict_oldest` or `refuse`", |word| match word {
                "evict_oldest" => Some(WhenFull::EvictOldest),
                "refuse" => Some(WhenFull::Refuse),
                _ => None,
            })?),
            "table" => StateKind::Table(self.word("`exact` or `prefix`", Match::from_mnemonic)?),
            "words" => StateKind::Words,
            _ => StateKind::Array,
        };
        self.punct(',')?;
        self.keyword("capacity")?;
        let capacity = self.number32()?;
        let (mut key, mut fields, mut per_core) = (Vec::new(), Vec::new(), None);
        let is_next = |this: &Self, word| this.is_punct(',') && this.peeks(word);
        if kind != StateKind::Words || is_next(self, "key") {
            self.punct(',')?;
            self.keyword("key")?;
            key = self.list(|this| {
                let (name, width) = this.scalar()?;
                Ok(KeyPart { name, width })
            })?;
            self.punct(',')?;
            self.keyword("fields")?;
            fields = self.list(Self::field)?;
        }
        if self.eat(',') {
            self.keyword("per_core")?;
            per_core = Some(self.word("`sum`, `max`, `min` or `latest`", Merge::from_mnemonic)?);
        }
        Ok(StateDecl { name, kind, key, capacity, fields, per_core })
    }

    /// `name: u8` or `name: u8[16]`
    fn field(&mut self) -> Result<FieldDecl, ParseError> {
        let (name, width) = self.scalar()?;
        let mut count = 1;
        if self.eat('[') {
            count = self.number32()?;
            self.punct(']')?;
        }
        Ok(FieldDecl { name, width, count })
    }

    fn event(&mut self, index: usize) -> Result<EventDecl, ParseError> {
        self.advance();
        self.numbered(&Event::from_index(index).to_string())?;
        let name = self.name()?;
        let fields = self.list(|this| {
            let (name, width) = this.scalar()?;
            Ok(EventField { name, width })
        })?;
        Ok(EventDecl { name, fields })
    }

    fn scalar(&mut self) -> Result<(String, Width), ParseError> {
        let name = self.name()?;
        self.punct(':')?;
        Ok((name, self.width()?))
    }

    fn filter(&mut self) -> Result<(Filter, FilterLines), ParseError> {
        let mut lines = FilterLines { line: self.at.line, blocks: Vec::new() };
        self.advance();
        let name = self.name()?;
        if self.token != Token::Arrow {
            return Err(self.unexpected("`->`"));
        }
        self.advance();
        let classes = self.word("`bool` or `classes`", |word| match word {
            "bool" => Some(false),
            "classes" => Some(true),
            _ => None,
        })?;
        let result = if classes { FilterResult::Classes(self.number32()?) } else { FilterResult::Bool };
        self.punct('{')?;
        let mut definitions = Definitions::default();
        let mut blocks = Vec::new();
        while !self.eat('}') {
            let label = Block::from_index(blocks.len());
            let (block, block_lines) = self.block(label, &mut definitions)?;
            blocks.push(block);
            lines.blocks.push(block_lines);
        }
        Ok((Filter { name, result, values: definitions.table()?, blocks }, lines))
    }

    fn block(
        &mut self,
        label: Block,
        definitions: &mut Definitions,
    ) -> Result<(BlockData, BlockLines), ParseError> {
        let mut lines = BlockLines { line: self.at.line, ..BlockLines::default() };
        self.word(&format!("`{label}` or `}}`"), |word| (word == label.to_string()).then_some(()))?;
        let mut params = Vec::new();
        if self.is_punct('(') {
            params = self.list(|this| {
                let at = this.at;
                let value = this.value()?;
                this.punct(':')?;
                let ty = this.ty()?;
                definitions.values.push((value, ty, at));
                Ok(value)
            })?;
        }
        self.punct(':')?;
        let mut insts = Vec::new();
        loop {
            let line = self.at.line;
            if let Some(kind) = self.terminator()? {
                lines.term = line;
                let term = Terminator { kind, loc: self.loc()? };
                return Ok((BlockData { params, insts, term }, lines));
            }
            lines.insts.push(line);
            insts.push(self.inst(definitions)?);
        }
    }

    fn ty(&mut self) -> Result<Type, ParseError> {
        let word = self.word("`int`, `bool`, `window` or `entry`", |word| {
            matches!(word, "int" | "bool" | "window" | "entry").then_some(word)
        })?;
        Ok(match word {
            "int" => Type::Int,
            "bool" => Type::Bool,
            "window" => Type::Window(self.number32()?),
            _ => Type::Entry(self.state_name()?),
        })
    }

    /// `@0:12`
    fn loc(&mut self) -> Result<Option<Loc>, ParseError> {
        if !self.eat('@') {
            return Ok(None);
        }
        let file = self.number32()?;
        self.punct(':')?;
        Ok(Some(Loc { file, line: self.number32()? }))
    }

    fn inst(&mut self, definitions: &mut Definitions) -> Result<Inst, ParseError> {
        let at = self.at;
        let result = if let Token::Word(word) = self.token
            && let Some(index) = index_after("v", word)
        {
            self.advance();
            let ty = if self.eat(':') { Some(self.ty()?) } else { None };
            self.punct('=')?;
            Some((Value(index), ty))
        } else {
            None
        };
        let op = self.op()?;
        if let Some((value, ty)) = result {
            definitions.values.push((value, ty.unwrap_or_else(|| written_type(&op)), at));
        }
        Ok(Inst { result: result.map(|(value, _)| value), op, loc: self.loc()? })
    }

    fn op(&mut self) -> Result<Op, ParseError> {
        let Token::Word(word) = self.token else { return Err(self.unexpected("an instruction")) };
        if let Some(op) = BinaryOp::from_mnemonic(word) {
            self.advance();
            return Ok(Op::Binary(op, self.value()?, self.comma_value()?));
        }
        if let Some(op) = CompareOp::from_mnemonic(word) {
            self.advance();
            return Ok(Op::Compare(op, self.value()?, self.comma_value()?));
        }
        if let Some(op) = BoolOp::from_mnemonic(word) {
            self.advance();
            return Ok(Op::Bool(op, self.value()?, self.comma_value()?));
        }
        let widths = [Width::W8, Width::W16, Width::W32, Width::W64];
        if let Some(width) = widths.into_iter().find(|&width| load_mnemonic(width) == word) {
            self.advance();
            let window = self.value()?;
            self.punct(',')?;
            return Ok(Op::Load(width, window, self.number32()?));
        }
        let known = [
            "const",
            "true",
            "false",
            "not",
            "select",
            "int",
            "pkt.len",
            "pkt.in_port",
            "now",
            "seed",
            "param",
            "lock",
            "get",
            "get.at",
            "set",
            "set.at",
            "word.get",
            "word.add",
            "word.or",
            "word.cas",
            "emit",
            "unlock.keep",
            "unlock.touch",
            "unlock.clear",
        ];
        if !known.contains(&word) {
            return Err(self.unexpected("an instruction or terminator"));
        }
        self.advance();
        Ok(match word {
            "const" => Op::Const(self.number()?),
            "true" => Op::ConstBool(true),
            "false" => Op::ConstBool(false),
            "not" => Op::Not(self.value()?),
            "select" => Op::Select(self.value()?, self.comma_value()?, self.comma_value()?),
            "int" => Op::IntOfBool(self.value()?),
            "pkt.len" => Op::PacketLen,
            "pkt.in_port" => Op::InPort,
            "now" => Op::Now,
            "seed" => Op::Seed(self.number32()?),
            "param" => Op::Param(self.word("a param", |word| index_after("p", word).map(Param))?),
            "lock" => Op::Lock(self.value()?),
            "get" => Op::Get(self.value()?, self.comma_field()?),
            "get.at" => Op::GetAt(self.value()?, self.comma_field()?, self.comma_value()?),
            "set.at" => {
                Op::SetAt(self.value()?, self.comma_field()?, self.comma_value()?, self.comma_value()?)
            }
            "word.get" => Op::WordGet(self.state_name()?, self.comma_value()?),
            "word.add" => Op::WordAdd(self.state_name()?, self.comma_value()?, self.comma_value()?),
            "word.or" => Op::WordOr(self.state_name()?, self.comma_value()?, self.comma_value()?),
            "word.cas" => {
                Op::WordCas(self.state_name()?, self.comma_value()?, self.comma_value()?, self.comma_value()?)
            }
            "emit" => {
                let event = self.word("an event", |word| index_after("e", word).map(Event))?;
                Op::Emit(event, self.list(Self::value)?)
            }
            "set" => Op::Set(self.value()?, self.comma_field()?, self.comma_value()?),
            "unlock.keep" => Op::Unlock(self.value()?, Unlock::Keep),
            "unlock.touch" => Op::Unlock(self.value()?, Unlock::Touch(self.comma_value()?)),
            _ => Op::Unlock(self.value()?, Unlock::Clear),
        })
    }

    fn comma_field(&mut self) -> Result<Field, ParseError> {
        self.punct(',')?;
        self.word("a field", field_of)
    }

    /// The terminator that comes, if one does.
    fn terminator(&mut self) -> Result<Option<TerminatorKind>, ParseError> {
        let Token::Word(word @ ("jump" | "branch" | "window" | "find" | "slot" | "repeat" | "return")) =
            self.token
        else {
            return Ok(None);
        };
        self.advance();
        Ok(Some(match word {
            "jump" => TerminatorKind::Jump(self.call()?),
            "branch" => {
                let cond = self.value()?;
                TerminatorKind::Branch { cond, then: self.comma_call()?, other: self.comma_call()? }
            }
            "window" => {
                let offset = self.value()?;
                self.punct(',')?;
                let len = self.number32()?;
                TerminatorKind::Window { offset, len, ok: self.comma_call()?, short: self.comma_call()? }
            }
            "repeat" => {
                let counter = self.value()?;
                self.punct(',')?;
                let count = self.number32()?;
                TerminatorKind::Repeat { counter, count, body: self.comma_call()?, done: self.comma_call()? }
            }
            "find" => {
                let (state, key) = (self.state_name()?, self.list(Self::value)?);
                TerminatorKind::Find { state, key, found: self.comma_call()?, absent: self.comma_call()? }
            }
            "slot" => {
                let (state, key) = (self.state_name()?, self.list(Self::value)?);
                TerminatorKind::Slot { state, key, found: self.comma_call()?, full: self.comma_call()? }
            }
            _ => TerminatorKind::Return(self.value()?),
        }))
    }

    fn comma_call(&mut self) -> Result<BlockCall, ParseError> {
        self.punct(',')?;
        self.call()
    }

    fn call(&mut self) -> Result<BlockCall, ParseError> {
        let block = self.word("a block", |word| index_after("block", word).map(Block))?;
        let args = if self.is_punct('(') { self.list(Self::value)? } else { Vec::new() };
        Ok(BlockCall { block, args })
    }
}
