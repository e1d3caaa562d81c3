//! Computes once what is computed again.

use std::collections::HashMap;

use super::forward_fields::is_table;
use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::Value;
use crate::module::{Filter, Module, Op, Type};

/// Replaces a pure operation by an equal one that dominates it. Loads are pure, because packets do not change, and so is what tables
/// hold.
///
/// It does not touch what is read under a lock, and does not move anything: two equal operations of which neither
/// dominates the other both stay. The first one's source place wins.
pub fn merge_common(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let mut replacements = Replacements::new(filter);
    let mut known: HashMap<Op, Value> = HashMap::new();
    // What to forget behind which place of the dominator order.
    let mut scopes: Vec<(u32, Op)> = Vec::new();
    for &block in cfg.order() {
        while let Some((last, op)) = scopes.last()
            && *last < cfg.place(block)
        {
            known.remove(op);
            scopes.pop();
        }
        let types = &filter.values;
        let insts = &mut filter.blocks[block.index()].insts;
        insts.retain_mut(|inst| {
            inst.op.for_each_operand_mut(|value| *value = replacements.get(*value));
            let Some(result) = inst.result.filter(|_| stays_the_same(module, types, &inst.op)) else {
                return true;
            };
            let op = in_order(inst.op.clone());
            if let Some(&first) = known.get(&op) {
                replacements.replace(result, first);
                return false;
            }
            known.insert(op.clone(), result);
            scopes.push((cfg.last_dominated(block), op));
            true
        });
    }
    replacements.apply(filter);
    renumber(module, filter);
}

/// Whether an operation gives the same however often it is done while one packet is looked at.
fn stays_the_same(module: &Module, types: &[Type], op: &Op) -> bool {
    match *op {
        Op::Get(entry, _) | Op::GetAt(entry, ..) => is_table(module, types, entry),
        _ => op.is_pure(),
    }
}

/// The same operation with its operands in order, if they can be exchanged.
fn in_order(op: Op) -> Op {
    match op {
        Op::Binary(op, a, b) if op.is_commutative() => Op::Binary(op, a.min(b), a.max(b)),
        Op::Bool(op, a, b) => Op::Bool(op, a.min(b), a.max(b)),
        op => op,
    }
}
