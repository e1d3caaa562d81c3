//! A builder that appends blocks and instructions to a filter.
//!
//! It keeps the tables consistent (every value has a type, every result a fresh value) and leaves the rest to the verifier.

use crate::entities::{Block, Value};
use crate::module::{
    BlockCall, BlockData, Filter, FilterResult, Inst, Loc, Op, Terminator, TerminatorKind, Type,
};
use crate::operands::ResultType;

/// Builds one [`Filter`].
#[derive(Debug)]
pub struct FilterBuilder {
    name: String,
    result: FilterResult,
    values: Vec<Type>,
    blocks: Vec<OpenBlock>,
    current: Block,
    loc: Option<Loc>,
}

#[derive(Debug, Default)]
struct OpenBlock {
    params: Vec<Value>,
    insts: Vec<Inst>,
    term: Option<Terminator>,
}

impl FilterBuilder {
    /// Starts a filter; instructions go to its entry block.
    pub fn new(name: impl Into<String>, result: FilterResult) -> Self {
        FilterBuilder {
            name: name.into(),
            result,
            values: Vec::new(),
            blocks: vec![OpenBlock::default()],
            current: Block(0),
            loc: None,
        }
    }

    /// The source place of the instructions to come.
    pub fn set_loc(&mut self, loc: Option<Loc>) {
        self.loc = loc;
    }

    /// Makes an empty block and does not go there.
    pub fn block(&mut self) -> Block {
        self.blocks.push(OpenBlock::default());
        Block::from_index(self.blocks.len() - 1)
    }

    /// Adds a parameter to a block.
    pub fn block_param(&mut self, block: Block, ty: Type) -> Value {
        let value = self.value(ty);
        self.blocks[block.index()].params.push(value);
        value
    }

    /// Where instructions go from now on.
    pub fn switch_to(&mut self, block: Block) {
        self.current = block;
    }

    /// Where instructions go now.
    pub fn current(&self) -> Block {
        self.current
    }

    /// Whether the current block has its terminator already.
    pub fn is_terminated(&self) -> bool {
        self.blocks[self.current.index()].term.is_some()
    }

    /// The type of a value.
    pub fn type_of(&self, value: Value) -> Type {
        self.values[value.index()]
    }

    /// Appends an instruction that has a result and returns it.
    ///
    /// # Panics
    ///
    /// If `op` is one of those without a result.
    pub fn ins(&mut self, op: Op) -> Value {
        let ty = match op.result_type() {
            ResultType::Is(ty) => ty,
            ResultType::Same(value) => self.type_of(value),
            ResultType::None => panic!("`{op}` has no result"),
        };
        let value = self.value(ty);
        self.push(Some(value), op);
        value
    }

    /// Appends an instruction that has none.
    pub fn effect(&mut self, op: Op) {
        debug_assert_eq!(op.result_type(), ResultType::None, "`{op}` has a result");
        self.push(None, op);
    }

    /// Ends the current block. The first terminator of a block stays.
    pub fn end(&mut self, kind: TerminatorKind) {
        let loc = self.loc;
        self.blocks[self.current.index()].term.get_or_insert(Terminator { kind, loc });
    }

    /// Ends the current block with a jump.
    pub fn jump(&mut self, block: Block, args: Vec<Value>) {
        self.end(TerminatorKind::Jump(BlockCall { block, args }));
    }

    /// The finished filter.
    ///
    /// # Errors
    ///
    /// A block that was never ended.
    pub fn finish(self) -> Result<Filter, Block> {
        let blocks = self
            .blocks
            .into_iter()
            .enumerate()
            .map(|(index, open)| match open.term {
                Some(term) => Ok(BlockData { params: open.params, insts: open.insts, term }),
                None => Err(Block::from_index(index)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Filter { name: self.name, result: self.result, values: self.values, blocks })
    }

    fn value(&mut self, ty: Type) -> Value {
        self.values.push(ty);
        Value::from_index(self.values.len() - 1)
    }

    fn push(&mut self, result: Option<Value>, op: Op) {
        let loc = self.loc;
        self.blocks[self.current.index()].insts.push(Inst { result, op, loc });
    }
}
