//! Writes small loops out.

use std::collections::{HashMap, HashSet};

use super::copies::new_like;
use super::renumber::renumber;
use crate::cfg::{Cfg, Loop};
use crate::entities::{Block, Value};
use crate::limits::MAX_BLOCKS;
use crate::loops::{counted, definitions};
use crate::module::{BlockCall, BlockData, Filter, Module, Op, Terminator, TerminatorKind};

/// How often the body of a loop may be written.
const MOST_ROUNDS: u32 = 8;
/// How many instructions and terminators all rounds of a loop may have together.
const MOST_OPERATIONS: usize = 128;
/// How many operations a filter may have for loops to be unrolled in it.
const LARGE_FILTER: usize = 4_096;

/// Replaces an innermost loop that counts from a constant to a small number by its rounds, one after the other, so that what each counts is
/// known to the passes that come after.
///
/// The header of each round is a copy that ends in a `repeat` of its own, which leads back nowhere; `fold_constants` decides it. It leaves
/// alone loops whose values are used behind them unless all ways out lead to one block, and loops that are left by what gives a window or entry.
pub fn unroll_loops(module: &Module, filter: &mut Filter) {
    // One at a time: each changes the graph.
    for _ in 0..MAX_BLOCKS {
        let operations: usize = filter.blocks.iter().map(|block| block.insts.len() + 1).sum();
        if operations > LARGE_FILTER {
            return;
        }
        let Ok(cfg) = Cfg::of(filter) else { return };
        let Some(plan) =
            cfg.loops().iter().enumerate().find_map(|(index, this)| plan(filter, &cfg, index, this))
        else {
            return;
        };
        unroll(filter, &plan);
        renumber(module, filter);
    }
}

struct Plan {
    header: Block,
    blocks: Vec<Block>,
    rounds: u32,
    /// Values of the loop that are used behind it.
    escaping: Vec<Value>,
    /// The only block that the ways out lead to, if there are such values.
    exit: Option<Block>,
}

fn plan(filter: &Filter, cfg: &Cfg, index: usize, this: &Loop) -> Option<Plan> {
    let index = index as u32;
    let counted = counted(filter, this)?;
    let position = counted.position?;
    if counted.count > MOST_ROUNDS || cfg.loops().iter().any(|inner| inner.parent == Some(index)) {
        return None;
    }
    let inside = |block: Block| cfg.loop_of(block) == Some(index);
    let blocks: Vec<Block> = cfg.order().iter().copied().filter(|&block| inside(block)).collect();
    let size: usize = blocks.iter().map(|block| filter.blocks[block.index()].insts.len() + 1).sum();
    if size * (counted.count as usize + 1) > MOST_OPERATIONS {
        return None;
    }
    // It starts from a constant on every way in.
    let definitions = definitions(filter);
    for &pred in cfg.preds(this.header).iter().filter(|&&pred| !inside(pred)) {
        for edge in
            filter.blocks[pred.index()].term.kind.edges().filter(|edge| edge.call.block == this.header)
        {
            let start = position.checked_sub(usize::from(edge.gives.is_some()))?;
            let start = edge.call.args.get(start)?;
            matches!(definitions[start.index()], Some(Op::Const(_))).then_some(())?;
        }
    }
    let mut exits = HashSet::new();
    for &block in &blocks {
        for edge in filter.blocks[block.index()].term.kind.edges().filter(|edge| !inside(edge.call.block)) {
            if edge.gives.is_some() {
                return None;
            }
            exits.insert(edge.call.block);
        }
    }
    let mut defined = HashSet::new();
    for &block in &blocks {
        let data = &filter.blocks[block.index()];
        defined.extend(data.params.iter().copied());
        defined.extend(data.insts.iter().filter_map(|inst| inst.result));
    }
    let mut escaping = HashSet::new();
    let outside = filter.blocks.iter().enumerate().filter(|(at, _)| !inside(Block::from_index(*at)));
    for (_, data) in outside {
        let mut used = |value: Value| {
            if defined.contains(&value) {
                escaping.insert(value);
            }
        };
        data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut used));
        data.term.kind.for_each_operand(used);
    }
    let mut escaping: Vec<Value> = escaping.into_iter().collect();
    escaping.sort_unstable();
    let exit = match (escaping.is_empty(), exits.len()) {
        (true, _) => None,
        (false, 1) => exits.into_iter().next(),
        (false, _) => return None,
    };
    // Every way out must have them.
    let everywhere = |value: &Value| {
        let home = blocks.iter().find(|block| {
            let data = &filter.blocks[block.index()];
            data.params.contains(value) || data.insts.iter().any(|inst| inst.result == Some(*value))
        });
        let ways_out = blocks.iter().filter(|block| {
            filter.blocks[block.index()].term.kind.edges().any(|edge| !inside(edge.call.block))
        });
        home.is_some_and(|&home| ways_out.into_iter().all(|&way| cfg.dominates(home, way)))
    };
    if !escaping.iter().all(everywhere) {
        return None;
    }
    Some(Plan { header: this.header, blocks, rounds: counted.count, escaping, exit })
}

fn unroll(filter: &mut Filter, plan: &Plan) {
    if let Some(exit) = plan.exit {
        gather(filter, plan, exit);
    }
    // The loop itself is the first round; then come the others, and a last header that only leads out.
    let originals: Vec<BlockData> =
        plan.blocks.iter().map(|block| filter.blocks[block.index()].clone()).collect();
    let inside: HashSet<Block> = plan.blocks.iter().copied().collect();
    let mut headers = vec![plan.header];
    let mut rounds: Vec<HashMap<Block, Block>> =
        vec![plan.blocks.iter().map(|&block| (block, block)).collect()];
    for _ in 0..plan.rounds {
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        for (&block, data) in plan.blocks.iter().zip(&originals) {
            names.insert(block, Block::from_index(filter.blocks.len()));
            let mut copy = data.clone();
            let mut define = |value: &mut Value| {
                let new = new_like(filter, *value);
                values.insert(*value, new);
                *value = new;
            };
            copy.params.iter_mut().for_each(&mut define);
            copy.insts.iter_mut().filter_map(|inst| inst.result.as_mut()).for_each(&mut define);
            filter.blocks.push(copy);
        }
        let rename = |value: &mut Value| {
            if let Some(&new) = values.get(value) {
                *value = new;
            }
        };
        for copy in names.values() {
            let data = &mut filter.blocks[copy.index()];
            data.insts.iter_mut().for_each(|inst| inst.op.for_each_operand_mut(rename));
            data.term.kind.for_each_operand_mut(rename);
        }
        headers.push(names[&plan.header]);
        rounds.push(names);
    }
    for (round, names) in rounds.iter().enumerate() {
        for &block in names.values() {
            let term = &mut filter.blocks[block.index()].term;
            if let TerminatorKind::Repeat { done, .. } = &term.kind
                && round == plan.rounds as usize
                && block == headers[round]
            {
                term.kind = TerminatorKind::Jump(done.clone());
                continue;
            }
            for call in term.kind.calls_mut() {
                if call.block == plan.header {
                    // The last round's blocks but its header cannot be reached; they must only lead somewhere.
                    call.block = headers[(round + 1).min(plan.rounds as usize)];
                } else if inside.contains(&call.block) {
                    call.block = names[&call.block];
                }
            }
        }
    }
}

/// Lets all ways out of a loop go through a new block that takes what is used behind the loop as parameters.
fn gather(filter: &mut Filter, plan: &Plan, exit: Block) {
    let inside: HashSet<Block> = plan.blocks.iter().copied().collect();
    let new = Block::from_index(filter.blocks.len());
    let mut params = filter.blocks[exit.index()].params.clone();
    params.extend(&plan.escaping);
    params.iter_mut().for_each(|value| *value = new_like(filter, *value));
    let passed = params.len() - plan.escaping.len();
    let by: HashMap<Value, Value> =
        plan.escaping.iter().copied().zip(params[passed..].iter().copied()).collect();
    for (index, data) in filter.blocks.iter_mut().enumerate() {
        if inside.contains(&Block::from_index(index)) {
            for call in data.term.kind.calls_mut().filter(|call| call.block == exit) {
                call.block = new;
                call.args.extend(&plan.escaping);
            }
            continue;
        }
        let rename = |value: &mut Value| {
            if let Some(&new) = by.get(value) {
                *value = new;
            }
        };
        data.insts.iter_mut().for_each(|inst| inst.op.for_each_operand_mut(rename));
        data.term.kind.for_each_operand_mut(rename);
    }
    let call = BlockCall { block: exit, args: params[..passed].to_vec() };
    let term = Terminator { kind: TerminatorKind::Jump(call), loc: None };
    filter.blocks.push(BlockData { params, insts: Vec::new(), term });
}
