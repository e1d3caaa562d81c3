//! Computes at once what is known beforehand.

use std::collections::HashSet;

use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::loops::steps;
use crate::module::{BinaryOp, BoolOp, CompareOp, Filter, Module, Op, TerminatorKind, Type};
use crate::ranges::{Range, Ranges};

/// Replaces results that can have one value only by that constant, operations that give back an operand by the operand
/// (`and x, 255` where `x <= 255`), and branches and `repeat`s that go one way only by jumps.
///
/// It knows what [`ranges`](crate::ranges) knows. It does not replace uses of a value that is constant only behind a branch, nor operations by
/// cheaper ones (a multiplication by a shift): that depends on the machine.
pub fn fold_constants(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let ranges = Ranges::of_with(module, filter, &cfg);
    let steps: HashSet<Value> = steps(filter, &cfg).into_iter().collect();
    let mut folder = Folder { definitions: vec![None; filter.values.len()], ranges };
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let Some(result) = inst.result {
            folder.definitions[result.index()] = Some(inst.op.clone());
        }
    }
    let mut replacements = Replacements::new(filter);
    for index in 0..filter.blocks.len() {
        let block = Block::from_index(index);
        let data = &mut filter.blocks[index];
        for inst in &mut data.insts {
            let Some(result) = inst.result else { continue };
            // What a loop goes on by stays a sum, whatever else is known of it.
            if !inst.op.is_pure() || steps.contains(&result) {
                continue;
            }
            if let Some(constant) = folder.ranges.at(block, result).constant() {
                inst.op = match filter.values[result.index()] {
                    Type::Bool => Op::ConstBool(constant != 0),
                    _ => Op::Const(constant),
                };
            } else {
                match folder.simpler(&inst.op, block) {
                    Some(Simpler::Operand(operand)) => replacements.replace(result, operand),
                    Some(Simpler::Op(op)) => inst.op = op,
                    None => {}
                }
            }
        }
        if let TerminatorKind::Branch { cond, then, other } = &data.term.kind
            && let Some(holds) = folder.ranges.at(block, *cond).constant()
        {
            data.term.kind = TerminatorKind::Jump(if holds != 0 { then.clone() } else { other.clone() });
        }
        // The header of a loop is come to again when it is counted out, so there it is never sure that it goes into the body.
        if let TerminatorKind::Repeat { counter, count, body, done } = &data.term.kind {
            let range = folder.ranges.at(block, *counter);
            if range.min >= u64::from(*count) {
                data.term.kind = TerminatorKind::Jump(done.clone());
            } else if range.max < u64::from(*count) && cfg.loop_at(block).is_none() {
                data.term.kind = TerminatorKind::Jump(body.clone());
            }
        }
    }
    replacements.apply(filter);
    renumber(module, filter);
}

enum Simpler {
    /// The result is this operand, which is defined before.
    Operand(Value),
    /// The result is that of a cheaper operation.
    Op(Op),
}

struct Folder {
    ranges: Ranges,
    /// The operations of the filter as it was.
    definitions: Vec<Option<Op>>,
}

impl Folder {
    fn simpler(&self, op: &Op, block: Block) -> Option<Simpler> {
        let range = |value| self.ranges.at(block, value);
        let operand = |value: Value| Some(Simpler::Operand(value));
        match *op {
            Op::Binary(op, a, b) => simpler_binary(op, (a, range(a)), (b, range(b))).map(Simpler::Operand),
            Op::Bool(BoolOp::And | BoolOp::Or, a, b) if a == b => operand(a),
            Op::Bool(op, a, b) => {
                let neutral = u64::from(op == BoolOp::And);
                if range(b).constant() == Some(neutral) {
                    operand(a)
                } else if range(a).constant() == Some(neutral) {
                    operand(b)
                } else {
                    None
                }
            }
            Op::Not(a) => match self.definitions[a.index()].as_ref()? {
                Op::Not(b) => operand(*b),
                Op::Compare(op, a, b) => Some(Simpler::Op(inverse(*op, *a, *b))),
                _ => None,
            },
            Op::Select(_, a, b) if a == b => operand(a),
            Op::Select(c, a, b) => match range(c).constant()? {
                0 => operand(b),
                _ => operand(a),
            },
            Op::Compare(op @ (CompareOp::Eq | CompareOp::Ne), a, b) => {
                let (int, constant) = match (range(a).constant(), range(b).constant()) {
                    (_, Some(constant)) => (a, constant),
                    (Some(constant), _) => (b, constant),
                    _ => return None,
                };
                let Op::IntOfBool(bool) = *self.definitions[int.index()].as_ref()? else { return None };
                // Other constants have been folded.
                match (op == CompareOp::Eq, constant) {
                    (true, 1) | (false, 0) => operand(bool),
                    (true, 0) | (false, 1) => Some(Simpler::Op(Op::Not(bool))),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn inverse(op: CompareOp, a: Value, b: Value) -> Op {
    match op {
        CompareOp::Eq => Op::Compare(CompareOp::Ne, a, b),
        CompareOp::Ne => Op::Compare(CompareOp::Eq, a, b),
        CompareOp::ULt => Op::Compare(CompareOp::ULe, b, a),
        CompareOp::ULe => Op::Compare(CompareOp::ULt, b, a),
        CompareOp::SLt => Op::Compare(CompareOp::SLe, b, a),
        CompareOp::SLe => Op::Compare(CompareOp::SLt, b, a),
    }
}

/// The operand that the operation gives back, if it does.
fn simpler_binary(op: BinaryOp, (a, a_range): (Value, Range), (b, b_range): (Value, Range)) -> Option<Value> {
    let is = |range: Range, constant| range.constant() == Some(constant);
    // `mask` keeps all bits that `range` can have.
    let covers = |mask: Range, range: Range| {
        mask.constant().is_some_and(|mask| mask.trailing_ones() >= 64 - range.max.leading_zeros())
    };
    match op {
        BinaryOp::Add | BinaryOp::Or | BinaryOp::Xor if is(b_range, 0) => Some(a),
        BinaryOp::Add | BinaryOp::Or | BinaryOp::Xor if is(a_range, 0) => Some(b),
        BinaryOp::Sub if is(b_range, 0) => Some(a),
        BinaryOp::Mul if is(b_range, 1) => Some(a),
        BinaryOp::Mul if is(a_range, 1) => Some(b),
        BinaryOp::UDiv if is(b_range, 1) => Some(a),
        BinaryOp::URem if a_range.max < b_range.min => Some(a),
        BinaryOp::Shl | BinaryOp::UShr | BinaryOp::SShr => {
            b_range.constant().filter(|amount| amount % 64 == 0).map(|_| a)
        }
        BinaryOp::And | BinaryOp::Or | BinaryOp::UMin | BinaryOp::UMax if a == b => Some(a),
        BinaryOp::And if covers(b_range, a_range) => Some(a),
        BinaryOp::And if covers(a_range, b_range) => Some(b),
        BinaryOp::UMin if a_range.max <= b_range.min => Some(a),
        BinaryOp::UMin if b_range.max <= a_range.min => Some(b),
        BinaryOp::UMax if a_range.min >= b_range.max => Some(a),
        BinaryOp::UMax if b_range.min >= a_range.max => Some(b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operand_stands_for_the_result_only_if_it_always_is() {
        const POINTS: [u64; 12] = [0, 1, 2, 7, 8, 15, 63, 64, 128, 255, u64::MAX - 1, u64::MAX];
        let ranges = POINTS.iter().flat_map(|&min| POINTS.iter().map(move |&max| Range { min, max }));
        let ranges: Vec<_> = ranges.filter(|range| range.min <= range.max).collect();
        let points = |range: Range| POINTS.into_iter().filter(move |point| range.contains(*point));
        let mut found = 0;
        for &op in BinaryOp::ALL {
            for &a in &ranges {
                for &b in &ranges {
                    let Some(same) = simpler_binary(op, (Value(0), a), (Value(1), b)) else { continue };
                    found += 1;
                    for x in points(a) {
                        for y in points(b) {
                            let operand = if same == Value(0) { x } else { y };
                            assert_eq!(op.eval(x, y), operand, "{op} {x}, {y} of {a:?}, {b:?}");
                        }
                    }
                }
            }
        }
        assert!(found > 1000, "something is found");
    }
}
