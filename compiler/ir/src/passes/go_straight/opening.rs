//! What is put in front of a filter that gets a straight way: the tests, and what packets that pass them bring along.

use std::collections::HashMap;

use super::super::copies::Copy;
use super::super::pass_on::pass_on;
use super::known::{Given, Number};
use super::{MOST_SHARED, Straight, reach};
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::limits::MAX_BLOCK_PARAMS;
use crate::module::{
    BinaryOp, BlockCall, BlockData, CompareOp, Filter, Inst, Op, Terminator, TerminatorKind, Type, Width,
};

/// Makes the tests and the way, in front of everything else.
pub(super) fn open(filter: &mut Filter, cfg: &Cfg, way: &Straight) {
    let mut behind = vec![false; filter.blocks.len()];
    let reached = reach(filter, way.target, &mut behind);
    if reached.iter().any(|block| filter.blocks[block.index()].params.len() > MAX_BLOCK_PARAMS - MOST_SHARED)
    {
        return;
    }
    let mut opening = Opening::of(filter);
    let start = opening.int(0);
    let all = opening.window(start, way.least);
    for (offset, mask, value) in way.words() {
        let word = opening.load(Number { offset, width: Width::W32 }, all);
        let mask = opening.int(mask.into());
        let bits = opening.push(Op::Binary(BinaryOp::And, word, mask), Type::Int);
        let value = opening.int(value.into());
        opening.go_on_if(Op::Compare(CompareOp::Eq, bits, value));
    }
    for length in &way.lengths {
        let least = opening.int(length.least);
        let found = opening.load(length.number, all);
        opening.go_on_if(Op::Compare(CompareOp::ULe, least, found));
    }
    let windows: HashMap<(u64, u32), Value> = way
        .windows(opening.filter)
        .into_iter()
        .map(|(offset, len)| {
            let start = opening.int(offset);
            ((offset, len), opening.window(start, len))
        })
        .collect();
    let params = opening.filter.blocks[way.target.index()].params.clone();
    let mut give = |value: Value, given: Given| match (given, opening.filter.values[value.index()]) {
        (Given::Load(number), _) => opening.load(number, all),
        (Given::Constant(offset), Type::Window(len)) => windows[&(offset, len)],
        (Given::Constant(bit), Type::Bool) => opening.push(Op::ConstBool(bit != 0), Type::Bool),
        (Given::Constant(number), _) => opening.int(number),
    };
    let args = params.iter().zip(&way.args).map(|(&param, &given)| give(param, given)).collect();
    let instead = way.behind.iter().map(|&(value, given)| (value, give(value, given))).collect();
    let block = opening.jump(way.target, args);
    let values: Vec<Value> = way.behind.iter().map(|(value, _)| *value).collect();
    pass_on(filter, cfg, &values, &behind, vec![Copy { block, instead }]);
}

/// Blocks in front of the first one, one after the other.
struct Opening<'a> {
    filter: &'a mut Filter,
    /// What was the first block.
    first: Block,
    /// The one that is not ended yet.
    block: Block,
}

impl Opening<'_> {
    /// Begins with nothing in the new first block.
    fn of(filter: &mut Filter) -> Opening<'_> {
        let first = Block::from_index(filter.blocks.len());
        let term = Terminator { kind: TerminatorKind::Jump(call(first)), loc: None };
        let new = BlockData { params: Vec::new(), insts: Vec::new(), term };
        let old = std::mem::replace(&mut filter.blocks[0], new);
        filter.blocks.push(old);
        Opening { filter, first, block: Block(0) }
    }

    fn push(&mut self, op: Op, ty: Type) -> Value {
        let result = self.value(ty);
        self.filter.blocks[self.block.index()].insts.push(Inst { result: Some(result), op, loc: None });
        result
    }

    fn value(&mut self, ty: Type) -> Value {
        let value = Value::from_index(self.filter.values.len());
        self.filter.values.push(ty);
        value
    }

    fn int(&mut self, number: u64) -> Value {
        self.push(Op::Const(number), Type::Int)
    }

    fn load(&mut self, number: Number, window: Value) -> Value {
        self.push(Op::Load(number.width, window, number.offset), Type::Int)
    }

    /// Ends the block; gives the next one, which leads to the first one as long as it has no other end.
    fn end(&mut self, kind: TerminatorKind, params: Vec<Value>) {
        self.filter.blocks[self.block.index()].term.kind = kind;
        let term = Terminator { kind: TerminatorKind::Jump(call(self.first)), loc: None };
        self.block = Block::from_index(self.filter.blocks.len());
        self.filter.blocks.push(BlockData { params, insts: Vec::new(), term });
    }

    /// Goes on in the next block if the packet has so many bytes.
    fn window(&mut self, offset: Value, len: u32) -> Value {
        let next = Block::from_index(self.filter.blocks.len());
        let window = self.value(Type::Window(len));
        let kind = TerminatorKind::Window { offset, len, ok: call(next), short: call(self.first) };
        self.end(kind, vec![window]);
        window
    }

    /// Goes on in the next block if something holds.
    fn go_on_if(&mut self, op: Op) {
        let cond = self.push(op, Type::Bool);
        let next = Block::from_index(self.filter.blocks.len());
        self.end(TerminatorKind::Branch { cond, then: call(next), other: call(self.first) }, Vec::new());
    }

    /// Ends the last block.
    fn jump(self, block: Block, args: Vec<Value>) -> Block {
        self.filter.blocks[self.block.index()].term.kind = TerminatorKind::Jump(BlockCall { block, args });
        self.block
    }
}

fn call(block: Block) -> BlockCall {
    BlockCall { block, args: Vec::new() }
}
