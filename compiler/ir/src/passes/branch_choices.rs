//! Decides by a branch what hardly ever changes.

use super::renumber::renumber;
use crate::cfg::Cfg;
use crate::entities::{Block, Field, Value};
use crate::loops::definitions;
use crate::module::{
    BinaryOp, BlockCall, BlockData, CompareOp, Filter, Inst, Module, Op, Terminator, TerminatorKind,
};

/// Numbers that are chosen together are computed and written within so many instructions.
const NEAR: usize = 32;

/// Where several numbers depend on one comparison with the clock, makes a branch of it and parameters of them: which bucket of a window it is hardly ever changes,
/// and a processor foresees that. What is needed on the way only on which it does change, behind the `other` edge, is computed there; and what the likely way
/// leaves as it is in an entry is written there only.
///
/// It comes once, behind the passes that look at one block at a time, and leaves headers of loops alone.
pub fn branch_choices(module: &Module, filter: &mut Filter) {
    if !filter.blocks.iter().flat_map(|block| &block.insts).any(|inst| matches!(inst.op, Op::Select(..))) {
        return;
    }
    let Ok(cfg) = Cfg::of(filter) else { return };
    let is_timed = timed(filter, &cfg);
    branch_by(module, filter, &cfg, &is_timed);
}

/// Does it for comparisons with these values.
fn branch_by(module: &Module, filter: &mut Filter, cfg: &Cfg, is_timed: &[bool]) {
    let compared = comparisons(filter);
    let mut changed = false;
    for index in 0..filter.blocks.len() {
        if cfg.loop_at(Block::from_index(index)).is_some() {
            continue;
        }
        let mut block = index;
        while let Some(found) = find(&filter.blocks[block].insts, &compared, is_timed) {
            block = branch(filter, block, found);
            changed = true;
        }
    }
    if changed {
        renumber(module, filter);
    }
}

/// By value: whether it is computed from the instant and what is the same for all packets.
fn timed(filter: &Filter, cfg: &Cfg) -> Vec<bool> {
    let mut timed = vec![false; filter.values.len()];
    let mut is_same: Vec<bool> = filter.constants().iter().map(Option::is_some).collect();
    for inst in cfg.order().iter().flat_map(|block| &filter.blocks[block.index()].insts) {
        let Some(result) = inst.result.map(Value::index) else { continue };
        match inst.op {
            Op::Now => (timed[result], is_same[result]) = (true, true),
            Op::Param(_) | Op::Seed(_) => is_same[result] = true,
            Op::Binary(_, a, b) if is_same[a.index()] && is_same[b.index()] => {
                (timed[result], is_same[result]) = (timed[a.index()] || timed[b.index()], true);
            }
            _ => {}
        }
    }
    timed
}

/// By value: what is compared, if it is a comparison.
fn comparisons(filter: &Filter) -> Vec<Option<(CompareOp, Value, Value)>> {
    let compared = |definition: Option<&Op>| match definition {
        Some(&Op::Compare(by, a, b)) => Some((by, a, b)),
        _ => None,
    };
    definitions(filter).into_iter().map(compared).collect()
}

/// A number that is one or another by a condition.
struct Choice {
    value: Value,
    yes: Value,
    no: Value,
}

/// Choices by one condition.
struct Together {
    cond: Value,
    /// Where the first of them is.
    at: usize,
    choices: Vec<Choice>,
}

/// The first choices of a block that are made together.
fn find(
    insts: &[Inst],
    compared: &[Option<(CompareOp, Value, Value)>],
    is_timed: &[bool],
) -> Option<Together> {
    insts.iter().enumerate().find_map(|(at, first)| {
        let Op::Select(cond, ..) = first.op else { return None };
        let (by, a, b) = compared[cond.index()]?;
        if !is_timed[a.index()] && !is_timed[b.index()] {
            return None;
        }
        let is_there = |value: Value| !insts[at..].iter().any(|inst| inst.result == Some(value));
        let choices = insts[at..].iter().take(NEAR).filter_map(|inst| {
            let (yes, no) = match inst.op {
                Op::Select(of, yes, no) if of == cond => (yes, no),
                // The greater of two that are compared anyway.
                Op::Binary(BinaryOp::UMax, x, y)
                    if matches!(by, CompareOp::ULe | CompareOp::ULt)
                        && [(x, y), (y, x)].contains(&(a, b)) =>
                {
                    (b, a)
                }
                _ => return None,
            };
            (is_there(yes) && is_there(no)).then_some(Choice { value: inst.result?, yes, no })
        });
        let choices: Vec<Choice> = choices.collect();
        (choices.len() > 1).then_some(Together { cond, at, choices })
    })
}

/// Ends a block by the branch; gives the block where both ways meet, which has the rest.
fn branch(filter: &mut Filter, block: usize, found: Together) -> usize {
    let Together { cond, at, choices } = found;
    let loc = filter.blocks[block].insts[at].loc;
    // What is written on the way of change only, and where it was written, from there.
    let (places, writes): (Vec<usize>, Vec<Inst>) = (choices.iter())
        .filter_map(|choice| {
            let (entry, field, place) = write_of_change(&filter.blocks[block].insts, at, choice)?;
            Some((place, Inst { result: None, op: Op::Set(entry, field, choice.no), loc }))
        })
        .unzip();
    let (other, after) = (Block::from_index(filter.blocks.len()), filter.blocks.len() + 1);
    let meeting = |args| BlockCall { block: Block::from_index(after), args };
    let then = meeting(choices.iter().map(|choice| choice.yes).collect());
    let changed = meeting(choices.iter().map(|choice| choice.no).collect());
    let data = &mut filter.blocks[block];
    let rest = data.insts.split_off(at).into_iter().enumerate().filter(|(place, inst)| {
        let is_choice = choices.iter().any(|choice| inst.result == Some(choice.value));
        !is_choice && !places.contains(place)
    });
    let rest: Vec<Inst> = rest.map(|(_, inst)| inst).collect();
    let kind = TerminatorKind::Branch { cond, then, other: BlockCall { block: other, args: Vec::new() } };
    let term = std::mem::replace(&mut data.term, Terminator { kind, loc });
    let jump = Terminator { kind: TerminatorKind::Jump(changed), loc };
    let params = choices.into_iter().map(|choice| choice.value).collect();
    filter.blocks.push(BlockData { params: Vec::new(), insts: writes, term: jump });
    filter.blocks.push(BlockData { params, insts: rest, term });
    sink(filter, block, other.index());
    after
}

/// Moves what is needed in another block only to its begin.
fn sink(filter: &mut Filter, from: usize, to: usize) {
    let mut used = vec![0_u32; filter.values.len()];
    let mut needed = vec![0_u32; filter.values.len()];
    for (index, data) in filter.blocks.iter().enumerate() {
        let mut count = |value: Value| {
            used[value.index()] += 1;
            needed[value.index()] += u32::from(index == to);
        };
        data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut count));
        data.term.kind.for_each_operand(count);
    }
    for at in (0..filter.blocks[from].insts.len()).rev() {
        let inst = &filter.blocks[from].insts[at];
        let is_moved = inst.op.is_pure()
            && inst.result.is_some_and(|result| {
                let (used, needed) = (used[result.index()], needed[result.index()]);
                used == needed && used > 0
            });
        if is_moved {
            let inst = filter.blocks[from].insts.remove(at);
            inst.op.for_each_operand(|value| needed[value.index()] += 1);
            filter.blocks[to].insts.insert(0, inst);
        }
    }
}

/// The field that a number which is chosen at a place of a block is written to, if what it is unless it is chosen anew is what is there: then it need not
/// be written unless it is; and how far behind that place. All of that happens under one lock, and nobody looks at the field in between.
fn write_of_change(insts: &[Inst], at: usize, choice: &Choice) -> Option<(Value, Field, usize)> {
    let before = &insts[at.saturating_sub(NEAR)..at];
    let read = before.iter().position(|inst| inst.result == Some(choice.yes))?;
    let Op::Get(entry, field) = before[read].op else { return None };
    let write = Op::Set(entry, field, choice.value);
    let count = insts[at..].iter().take(NEAR).position(|inst| inst.op == write)?;
    let mut between = before[read + 1..].iter().chain(&insts[at..at + count]);
    let is_apart = |inst: &Inst| match inst.op {
        Op::Lock(_) | Op::Unlock(..) => false,
        Op::Get(of, other) | Op::GetAt(of, other, _) | Op::Set(of, other, _) | Op::SetAt(of, other, ..) => {
            (of, other) != (entry, field)
        }
        _ => true,
    };
    between.all(is_apart).then_some((entry, field, count))
}

#[cfg(test)]
mod tests {
    use super::super::duplicate_tails::tests::seen;
    use super::*;
    use crate::testing::generate::{self, Options, numbers};
    use crate::verify;

    /// Random filters seldom choose twice by one comparison with the clock, so any comparison counts here.
    #[test]
    fn what_is_branched_does_the_same() {
        let mut branched = 0;
        for seed in 0..600 {
            let before = verify(generate::module(&numbers(seed, 1_500), Options::ALL)).unwrap();
            let mut module = before.module().clone();
            for index in 0..module.filters.len() {
                let mut filter = module.filters[index].clone();
                let (cfg, all) = (Cfg::of(&filter).unwrap(), vec![true; filter.values.len()]);
                branch_by(&module, &mut filter, &cfg, &all);
                branched += usize::from(filter.blocks.len() > module.filters[index].blocks.len());
                module.filters[index] = filter;
            }
            let after = verify(module).unwrap();
            assert_eq!(seen(&before, seed), seen(&after, seed), "{}", after.module());
        }
        assert!(branched > 10, "{branched} filters are branched");
    }
}
