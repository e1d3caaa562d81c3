//! Makes ways through a filter shorter.

use super::copies::{end_by, lead_to_copy};
use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::entities::{Block, Value};
use crate::module::{BlockCall, Filter, Module, Op, Terminator, TerminatorKind};

/// How often the filter is gone through; each round shortens a chain of blocks at least by half.
const MAX_ROUNDS: usize = 16;
/// Blocks with more instructions are not copied.
const MAX_COPIED: usize = 2;
/// So many copies are made of blocks with instructions: without a bound, a copy could lead to two more.
const MAX_COPIES: usize = 32;

/// Leads jumps past blocks that do nothing but go on, appends a block to its only predecessor if that jumps there, turns a branch with
/// two equal ways into a jump, and a branch by what is not so into one by what is.
///
/// A block with one or two pure instructions, or none, that ends in a branch or return is copied to where it is jumped to, so that `a and b`
/// tests `a` and then `b` and not the result, and `a == 0` is known where `a` is. Where a look-up, window or branch leads to such a block with a constant, it is
/// led by a block of its own. Lookups and windows are never copied, nor are blocks with more instructions.
pub fn simplify_branches(module: &Module, filter: &mut Filter) {
    let mut copies = 0;
    branch_by_what_is_so(filter);
    for _ in 0..MAX_ROUNDS {
        let before = copies;
        let threaded = thread(filter);
        copy_short(filter, &mut copies);
        let changed = threaded || copies > before;
        renumber(module, filter);
        let joined = join(filter);
        renumber(module, filter);
        if !changed && !joined {
            return;
        }
    }
}

/// Exchanges the ways of branches by a negation.
fn branch_by_what_is_so(filter: &mut Filter) {
    let mut negated = vec![None; filter.values.len()];
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::Not(of)) = (inst.result, &inst.op) {
            negated[result.index()] = Some(*of);
        }
    }
    for block in &mut filter.blocks {
        if let TerminatorKind::Branch { cond, then, other } = &mut block.term.kind {
            while let Some(of) = negated[cond.index()] {
                *cond = of;
                std::mem::swap(then, other);
            }
        }
    }
}

/// Copies blocks with few instructions to where they are jumped to, and counts the copies.
fn copy_short(filter: &mut Filter, copies: &mut usize) {
    let escaping = escaping(filter);
    let mut is_short: Vec<bool> = filter
        .blocks
        .iter()
        .map(|block| {
            let ends = matches!(block.term.kind, TerminatorKind::Branch { .. } | TerminatorKind::Return(_));
            ends && (1..=MAX_COPIED).contains(&block.insts.len())
                && block.insts.iter().all(|inst| inst.op.is_pure())
                && block.defined().all(|value| !escaping[value.index()])
        })
        .collect();
    if !is_short.contains(&true) {
        return;
    }
    let constants = filter.constants();
    for index in 0..filter.blocks.len() {
        if *copies >= MAX_COPIES {
            return;
        }
        if let TerminatorKind::Jump(call) = &filter.blocks[index].term.kind {
            let call = call.clone();
            if is_short[call.block.index()] && call.block.index() != index {
                end_by(filter, Block::from_index(index), &call);
                *copies += 1;
            }
            continue;
        }
        let edges = filter.blocks[index].term.kind.edges().map(|edge| {
            let known = edge.call.args.iter().any(|arg| constants[arg.index()].is_some());
            edge.gives.is_none() && known && is_short[edge.call.block.index()]
        });
        let edges: Vec<bool> = edges.collect();
        for (edge, _) in edges.into_iter().enumerate().filter(|(_, led)| *led) {
            lead_to_copy(filter, Block::from_index(index), edge);
            *copies += 1;
            // What it passed is used in the copy now.
            is_short[index] = false;
        }
    }
}

/// Redirects edges past empty blocks. A value that was defined there must not be used elsewhere: the block would not dominate
/// that place any more. All that dominates the block dominates its predecessors and stays in force.
fn thread(filter: &mut Filter) -> bool {
    let escaping = escaping(filter);
    let mut constants = vec![None; filter.values.len()];
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::ConstBool(value)) = (inst.result, &inst.op) {
            constants[result.index()] = Some(*value);
        }
    }
    let mut changed = false;
    for index in 0..filter.blocks.len() {
        let mut term = filter.blocks[index].term.clone();
        if let TerminatorKind::Jump(call) = &term.kind
            && let Some(copy) = bypass(filter, &escaping, call)
            && matches!(
                copy.kind,
                TerminatorKind::Jump(_) | TerminatorKind::Branch { .. } | TerminatorKind::Return(_)
            )
        {
            term = copy;
            changed = true;
        }
        let given: Vec<bool> = term.kind.edges().map(|edge| edge.gives.is_some()).collect();
        let decided = match &term.kind {
            TerminatorKind::Branch { cond, .. } => Some(*cond),
            _ => None,
        };
        for ((call, given), way) in term.kind.calls_mut().zip(given).zip([true, false]) {
            if given {
                continue;
            }
            let next = match bypass(filter, &escaping, call).map(|term| term.kind) {
                Some(TerminatorKind::Jump(next)) => next,
                // The same question again, or one with a known answer.
                Some(TerminatorKind::Branch { cond, then, other }) => {
                    let known = if decided == Some(cond) { Some(way) } else { constants[cond.index()] };
                    match known {
                        Some(true) => then,
                        Some(false) => other,
                        None => continue,
                    }
                }
                _ => continue,
            };
            *call = next;
            changed = true;
        }
        if let TerminatorKind::Branch { then, other, .. } = &term.kind
            && then == other
        {
            term.kind = TerminatorKind::Jump(then.clone());
            changed = true;
        }
        filter.blocks[index].term = term;
    }
    changed
}

/// The values that are used outside the block that defines them.
fn escaping(filter: &Filter) -> Vec<bool> {
    let mut defined_in = vec![Block(0); filter.values.len()];
    for (index, block) in filter.blocks.iter().enumerate() {
        for value in block.defined() {
            defined_in[value.index()] = Block::from_index(index);
        }
    }
    let mut escaping = vec![false; filter.values.len()];
    for (index, block) in filter.blocks.iter().enumerate() {
        let mut used = |value: Value| escaping[value.index()] |= defined_in[value.index()].index() != index;
        block.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut used));
        block.term.kind.for_each_operand(used);
    }
    escaping
}

/// What the block called does in the end, in terms of the call, if it does nothing else.
fn bypass(filter: &Filter, escaping: &[bool], call: &BlockCall) -> Option<Terminator> {
    let block = &filter.blocks[call.block.index()];
    let simple = block.insts.is_empty() && block.params.iter().all(|param| !escaping[param.index()]);
    // A block that also gets a window or entry from a terminator does not go on with it.
    if !simple || block.params.len() != call.args.len() {
        return None;
    }
    let mut term = block.term.clone();
    term.kind.for_each_operand_mut(|value| {
        if let Some(index) = block.params.iter().position(|param| param == value) {
            *value = call.args[index];
        }
    });
    Some(term)
}

/// Appends blocks to their only predecessors.
fn join(filter: &mut Filter) -> bool {
    let mut edges = vec![0; filter.blocks.len()];
    for block in &filter.blocks {
        for edge in block.term.kind.edges() {
            edges[edge.call.block.index()] += 1;
        }
    }
    let mut replacements = Replacements::new(filter);
    let mut changed = false;
    for index in 0..filter.blocks.len() {
        while let TerminatorKind::Jump(call) = &filter.blocks[index].term.kind
            && edges[call.block.index()] == 1
        {
            let call = call.clone();
            let next = &mut filter.blocks[call.block.index()];
            // What is left behind cannot be reached, and `renumber` takes it away.
            let (params, insts) = (std::mem::take(&mut next.params), std::mem::take(&mut next.insts));
            let term = next.term.clone();
            next.term.kind = TerminatorKind::Return(Value(0));
            for (param, arg) in params.into_iter().zip(call.args) {
                replacements.replace(param, arg);
            }
            filter.blocks[index].insts.extend(insts);
            filter.blocks[index].term = term;
            changed = true;
        }
    }
    replacements.apply(filter);
    changed
}
