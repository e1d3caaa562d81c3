//! Remembers what a branch has decided.

use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, BlockData, Filter, Inst, Module, Op, Terminator, TerminatorKind, Type};

/// Replaces the condition of a branch by a constant where one way of it has been taken for sure: in what only that way leads to, in what the way passes to a
/// block, and where it leads to a block that does nothing but return the condition. So the answer of `if found { emit … } found` need not be kept.
///
/// It does not know what else a condition says: that is the business of [`fold_constants`](super::fold_constants).
pub fn forward_conditions(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let constants = filter.constants();
    let is_open = |cond: Value| constants.get(cond.index()).is_some_and(Option::is_none);
    let mut known = AllKnown { stack: Vec::new(), of: vec![None; filter.values.len()] };
    let mut changed = false;
    for at in 0..cfg.order().len() {
        let block = cfg.order()[at];
        known.leave(at);
        if let Some(more) = known_from(filter, &cfg, block).filter(|known| is_open(known.cond)) {
            known.enter(more);
        }
        changed |= use_known(filter, block, &mut known);
        if matches!(filter.blocks[block.index()].term.kind, TerminatorKind::Branch { cond, .. } if is_open(cond))
        {
            changed |= decide_edges(filter, &cfg, block);
        }
    }
    if changed {
        renumber(module, filter);
    }
}

/// What is known in a block: of the blocks around it in the tree of dominators, the outermost first.
struct AllKnown {
    stack: Vec<Known>,
    /// The place of each value there, if it is known.
    of: Vec<Option<usize>>,
}

impl AllKnown {
    fn enter(&mut self, known: Known) {
        self.of[known.cond.index()] = Some(self.stack.len());
        self.stack.push(known);
    }

    /// Forgets what is not known any more at a place in the order.
    fn leave(&mut self, at: usize) {
        while let Some(last) = self.stack.pop_if(|last| last.until < at) {
            self.of[last.cond.index()] = None;
        }
    }

    fn of(&self, value: Value) -> Option<usize> {
        self.of.get(value.index()).copied().flatten()
    }
}

/// What a condition is in a block and all that it dominates.
struct Known {
    cond: Value,
    holds: bool,
    /// The block.
    from: Block,
    /// The last place in the order of what it dominates.
    until: usize,
    /// The constant at the block's begin, once it is needed.
    constant: Option<Value>,
}

/// What is known in a block because there is only one edge to it, and that is one of a branch.
fn known_from(filter: &Filter, cfg: &Cfg, block: Block) -> Option<Known> {
    let [pred] = *cfg.preds(block) else { return None };
    let TerminatorKind::Branch { cond, then, .. } = &filter.blocks[pred.index()].term.kind else {
        return None;
    };
    let until = cfg.last_dominated(block) as usize;
    Some(Known { cond: *cond, holds: then.block == block, from: block, until, constant: None })
}

/// Replaces what is known in a block.
fn use_known(filter: &mut Filter, block: Block, known: &mut AllKnown) -> bool {
    if known.stack.is_empty() {
        return false;
    }
    let mut used = Vec::new();
    let data = &filter.blocks[block.index()];
    let mut note = |value: Value| used.extend(known.of(value));
    data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut note));
    data.term.kind.for_each_operand(note);
    for &place in &used {
        let known = &mut known.stack[place];
        if known.constant.is_none() {
            known.constant = Some(define(filter, known.from, 0, known.holds));
        }
    }
    let rename = |value: &mut Value| {
        let constant = known.of(*value).and_then(|place| known.stack[place].constant);
        *value = constant.unwrap_or(*value);
    };
    let data = &mut filter.blocks[block.index()];
    data.insts.iter_mut().for_each(|inst| inst.op.for_each_operand_mut(rename));
    data.term.kind.for_each_operand_mut(rename);
    !used.is_empty()
}

/// Says on the edges of a branch, where others lead to the same block, what it has decided.
fn decide_edges(filter: &mut Filter, cfg: &Cfg, block: Block) -> bool {
    let Terminator { kind: TerminatorKind::Branch { cond, then, other }, loc } =
        filter.blocks[block.index()].term.clone()
    else {
        return false;
    };
    let mut changed = false;
    let mut decide = |filter: &mut Filter, mut call: BlockCall, holds: bool| {
        if cfg.preds(call.block).len() < 2 {
            return call;
        }
        let target = &filter.blocks[call.block.index()];
        if target.insts.is_empty() && target.term.kind == TerminatorKind::Return(cond) {
            let answers = Block::from_index(filter.blocks.len());
            let term = Terminator { kind: TerminatorKind::Return(cond), loc };
            filter.blocks.push(BlockData { params: Vec::new(), insts: Vec::new(), term });
            let constant = define(filter, answers, 0, holds);
            filter.blocks[answers.index()].term.kind = TerminatorKind::Return(constant);
            changed = true;
            return BlockCall { block: answers, args: Vec::new() };
        }
        if call.args.contains(&cond) {
            let end = filter.blocks[block.index()].insts.len();
            let constant = define(filter, block, end, holds);
            call.args.iter_mut().filter(|arg| **arg == cond).for_each(|arg| *arg = constant);
            changed = true;
        }
        call
    };
    let then = decide(filter, then, true);
    let other = decide(filter, other, false);
    filter.blocks[block.index()].term.kind = TerminatorKind::Branch { cond, then, other };
    changed
}

/// A constant at a place of a block.
fn define(filter: &mut Filter, block: Block, at: usize, holds: bool) -> Value {
    filter.values.push(Type::Bool);
    let result = Value::from_index(filter.values.len() - 1);
    let loc = filter.blocks[block.index()].term.loc;
    let inst = Inst { result: Some(result), op: Op::ConstBool(holds), loc };
    filter.blocks[block.index()].insts.insert(at, inst);
    result
}
