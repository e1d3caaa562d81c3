//! Locks an entry once for what is done with it at once.

use std::collections::BTreeSet;

use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::loops::definitions;
use crate::module::{BinaryOp, Filter, Module, Op, Type, Unlock};
use crate::ranges::Ranges;

/// No more instructions than these are put between a `lock` and its `unlock`, so that other cores do not wait for long. A window and a
/// bucket of tokens take about 30.
const MAX_INSTS: usize = 160;
/// Instants are below this ([crate documentation](crate)).
const INSTANTS: u64 = 1 << 63;

/// Leaves out an `unlock` and the `lock` of the same entry that follows in the same block, if there is nothing in between that could be seen from outside: only
/// pure operations. So `servers[x].opened.add(1)` and then `servers[x].closed.total` are one step, which other cores might have
/// found to be one before, too.
///
/// The entry must be as live at the second `lock` as it is known to be at the first: it was touched and expires later than now, or it
/// was kept as it was and nothing was set. What the first `unlock` says of expiry is said by the next one, unless that says something else itself.
/// A section may end in several blocks, but it must begin in one only. It does not move a `lock`, and does not join sections on two ways.
pub fn join_sections(module: &Module, filter: &mut Filter) {
    let locks =
        filter.blocks.iter().flat_map(|block| &block.insts).filter(|inst| matches!(inst.op, Op::Lock(_)));
    if locks.count() < 2 {
        return;
    }
    let Ok(cfg) = Cfg::of(filter) else { return };
    let later = later_than_now(module, filter, &cfg);
    let mut replacements = Replacements::new(filter);
    let mut changed = false;
    for &block in cfg.order() {
        while let Some(joint) = joint(filter, &cfg, &later, block) {
            join(filter, block, joint, &mut replacements);
            changed = true;
        }
    }
    if changed {
        replacements.apply(filter);
        renumber(module, filter);
    }
}

/// Where two sections meet, in one block.
struct Joint {
    /// The place of the first one's `unlock`.
    unlock: usize,
    /// What it says.
    how: Unlock,
    /// The place of the second one's `lock`.
    lock: usize,
    /// Whether the entry is live there; what the first `lock` says if it is not known.
    live: Option<Value>,
    /// The ends of the second section.
    ends: Vec<(Block, usize)>,
}

/// The first two sections of a block that can be one.
fn joint(filter: &Filter, cfg: &Cfg, later: &[bool], block: Block) -> Option<Joint> {
    let insts = &filter.blocks[block.index()].insts;
    insts.iter().enumerate().find_map(|(unlock, inst)| {
        let Op::Unlock(entry, how) = inst.op else { return None };
        let between = insts[unlock + 1..].iter().take_while(|inst| inst.op.is_pure()).count();
        let lock = unlock + 1 + between;
        if !matches!(insts.get(lock)?.op, Op::Lock(other) if other == entry) {
            return None;
        }
        let first = before(filter, cfg, (block, unlock), entry);
        let live = match how {
            Unlock::Touch(expires) if later[expires.index()] => None,
            Unlock::Keep => Some(first.kept?),
            _ => return None,
        };
        let (second, ends) = behind(filter, cfg, (block, lock), entry)?;
        (first.count + between + second <= MAX_INSTS).then_some(Joint { unlock, how, lock, live, ends })
    })
}

/// Makes one section of two.
fn join(filter: &mut Filter, block: Block, joint: Joint, replacements: &mut Replacements) {
    for (place, at) in joint.ends {
        if let Op::Unlock(_, how @ Unlock::Keep) = &mut filter.blocks[place.index()].insts[at].op {
            *how = joint.how;
        }
    }
    let insts = &mut filter.blocks[block.index()].insts;
    match joint.live {
        None => insts[joint.lock].op = Op::ConstBool(true),
        Some(live) => {
            if let Some(result) = insts.remove(joint.lock).result {
                replacements.replace(result, live);
            }
        }
    }
    insts.remove(joint.unlock);
}

/// A section before a place where its entry is locked.
struct Before {
    /// How many instructions there are on the ways from its `lock`.
    count: usize,
    /// What its `lock` gives, if it is one and nothing is set behind it.
    kept: Option<Value>,
}

/// The section that an entry is locked in at a place.
fn before(filter: &Filter, cfg: &Cfg, (block, at): (Block, usize), entry: Value) -> Before {
    let (mut count, mut seen, mut waiting) = (0, BTreeSet::from([block]), vec![(block, at)]);
    let (mut locks, mut is_set) = (Vec::new(), false);
    while let Some((block, end)) = waiting.pop() {
        let insts = &filter.blocks[block.index()].insts[..end];
        let lock = insts.iter().rposition(|inst| inst.op == Op::Lock(entry));
        let section = &insts[lock.unwrap_or(0)..];
        count += section.len();
        is_set |= section.iter().any(|inst| matches!(inst.op, Op::Set(..) | Op::SetAt(..)));
        if let Some(lock) = lock {
            locks.extend(insts[lock].result);
            continue;
        }
        for &pred in cfg.preds(block) {
            if seen.insert(pred) {
                waiting.push((pred, filter.blocks[pred.index()].insts.len()));
            }
        }
    }
    let kept = match locks[..] {
        [lock] if !is_set => Some(lock),
        _ => None,
    };
    Before { count, kept }
}

/// How many instructions there are on the ways from a `lock` to the ends of its section, and these. None if the section begins elsewhere, too.
fn behind(
    filter: &Filter,
    cfg: &Cfg,
    (block, at): (Block, usize),
    entry: Value,
) -> Option<(usize, Vec<(Block, usize)>)> {
    let (mut count, mut ends) = (0, Vec::new());
    let (mut seen, mut waiting) = (BTreeSet::from([block]), vec![(block, at + 1)]);
    while let Some((place, start)) = waiting.pop() {
        let insts = &filter.blocks[place.index()].insts[start..];
        let end = insts.iter().position(|inst| matches!(inst.op, Op::Unlock(other, _) if other == entry));
        count += end.unwrap_or(insts.len());
        if let Some(end) = end {
            ends.push((place, start + end));
            continue;
        }
        for edge in filter.blocks[place.index()].term.kind.edges() {
            if !cfg.dominates(block, edge.call.block) {
                return None;
            }
            if seen.insert(edge.call.block) {
                waiting.push((edge.call.block, 0));
            }
        }
    }
    Some((count, ends))
}

/// Which values are times that have not come yet.
fn later_than_now(module: &Module, filter: &Filter, cfg: &Cfg) -> Vec<bool> {
    let ranges = Ranges::of_with(module, filter, cfg);
    let definitions = definitions(filter);
    let is_now = |value: Value| matches!(definitions[value.index()], Some(Op::Now));
    let some_time = |value: Value| {
        let range = ranges.of_value(value);
        range.min > 0 && range.max <= INSTANTS
    };
    (0..filter.values.len())
        .map(Value::from_index)
        .map(|value| match definitions[value.index()] {
            Some(&Op::Binary(BinaryOp::Add, a, b)) => {
                (is_now(a) && some_time(b)) || (is_now(b) && some_time(a))
            }
            _ => filter.values[value.index()] == Type::Int && ranges.of_value(value).min >= INSTANTS,
        })
        .collect()
}
