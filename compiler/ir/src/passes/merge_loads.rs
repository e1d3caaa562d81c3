//! Reads at once what lies side by side.

use super::renumber::renumber;
use crate::entities::Value;
use crate::loops::definitions;
use crate::module::{BinaryOp, BoolOp, CompareOp, Filter, Inst, Module, Op, Type, Width};

/// Replaces what is put together from adjacent loads by one wide load: `or (shl a, 16), b` where `b` is what follows `a` in the packet, and
/// `and_b (eq a, 5), (eq b, 7)` (or `or_b` of `ne`) of two such fields. A number of bytes that no load has is read by a wider one and shifted, if that lies
/// within the window.
///
/// It pays only there: adjacent fields that are used one by one stay loads of their own, which cost as much as the shift and the mask that would
/// take them out of a wide one.
pub fn merge_loads(module: &Module, filter: &mut Filter) {
    let mut spans = vec![None; filter.values.len()];
    let mut plans = Vec::new();
    {
        let definitions = definitions(filter);
        // Definitions come before uses in dominator order, but spans of operands are needed only if they are of blocks above or of this one.
        let Ok(cfg) = crate::cfg::Cfg::of(filter) else { return };
        let constant = |value: Value| match definitions[value.index()] {
            Some(&Op::Const(constant)) => Some(constant),
            _ => None,
        };
        for &block in cfg.order() {
            for (at, inst) in filter.blocks[block.index()].insts.iter().enumerate() {
                let Some(result) = inst.result else { continue };
                match inst.op {
                    Op::Load(width, window, offset) => {
                        spans[result.index()] = Some(Span { window, offset, bytes: width.bytes() });
                    }
                    Op::Binary(BinaryOp::Or | BinaryOp::Add | BinaryOp::Xor, a, b) => {
                        let joined = [(a, b), (b, a)].into_iter().find_map(|(high, low)| {
                            let low = spans[low.index()]?;
                            let Some(&Op::Binary(BinaryOp::Shl, high, amount)) = definitions[high.index()]
                            else {
                                return None;
                            };
                            let shifted = constant(amount)? == u64::from(low.bytes) * 8;
                            let high: Span = spans[high.index()]?;
                            high.followed_by(low).filter(|_| shifted)
                        });
                        if let Some(span) = joined {
                            spans[result.index()] = Some(span);
                            plans.push((block, at, Plan::Number(span)));
                        }
                    }
                    Op::Bool(op, a, b) => {
                        let wanted = if op == BoolOp::And { CompareOp::Eq } else { CompareOp::Ne };
                        let tested = |bool: Value| -> Option<(Span, u64)> {
                            match *definitions[bool.index()]? {
                                Op::Compare(compare, x, y) if compare == wanted => {
                                    let (span, constant) = spans[x.index()]
                                        .zip(constant(y))
                                        .or(spans[y.index()].zip(constant(x)))?;
                                    (constant <= span.max()).then_some((span, constant))
                                }
                                _ => None,
                            }
                        };
                        let pair = (op != BoolOp::Xor).then(|| tested(a).zip(tested(b))).flatten();
                        let joined = pair.and_then(|(a, b)| {
                            let [(high, first), (low, second)] =
                                if a.0.offset < b.0.offset { [a, b] } else { [b, a] };
                            let span = high.followed_by(low)?;
                            Some((span, first << (low.bytes * 8) | second))
                        });
                        if let Some((span, number)) = joined {
                            plans.push((block, at, Plan::Test(wanted, span, number)));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    // From the last on, so that places stay right.
    plans.sort_by_key(|(block, at, _)| (block.index(), *at));
    for (block, at, plan) in plans.into_iter().rev() {
        let (span, test) = match plan {
            Plan::Number(span) => (span, None),
            Plan::Test(op, span, number) => (span, Some((op, number))),
        };
        let Some(Type::Window(len)) = filter.type_of(span.window) else { continue };
        let Some(mut ops) = span.ops(len) else { continue };
        let mut before = Vec::new();
        let loc = filter.blocks[block.index()].insts[at].loc;
        let mut define = |values: &mut Vec<Type>, op: Op| {
            values.push(Type::Int);
            let result = Value::from_index(values.len() - 1);
            before.push(Inst { result: Some(result), op, loc });
            result
        };
        let last = ops.pop().expect("a span is read by something");
        let mut wide = None;
        for part in ops {
            wide = Some(define(&mut filter.values, part.op(wide, None)));
        }
        let amount = match last {
            Part::Shift(amount) => Some(define(&mut filter.values, Op::Const(amount))),
            Part::Mask(mask) => Some(define(&mut filter.values, Op::Const(mask))),
            Part::Load(..) => None,
        };
        let op = last.op(wide, amount);
        let op = match test {
            None => op,
            Some((compare, number)) => {
                let loaded = define(&mut filter.values, op);
                let number = define(&mut filter.values, Op::Const(number));
                Op::Compare(compare, loaded, number)
            }
        };
        let insts = &mut filter.blocks[block.index()].insts;
        insts[at].op = op;
        insts.splice(at..at, before);
    }
    renumber(module, filter);
}

/// What an instruction becomes.
enum Plan {
    /// The bytes of the span as a number.
    Number(Span),
    /// A comparison of that number.
    Test(CompareOp, Span, u64),
}

/// Bytes of a window, in network order.
#[derive(Clone, Copy)]
struct Span {
    window: Value,
    offset: u32,
    bytes: u32,
}

/// A step of reading a span.
#[derive(Clone, Copy)]
enum Part {
    Load(Width, Value, u32),
    Shift(u64),
    Mask(u64),
}

impl Part {
    fn op(self, wide: Option<Value>, amount: Option<Value>) -> Op {
        match (self, wide, amount) {
            (Part::Shift(_), Some(wide), Some(amount)) => Op::Binary(BinaryOp::UShr, wide, amount),
            (Part::Mask(_), Some(wide), Some(amount)) => Op::Binary(BinaryOp::And, wide, amount),
            (Part::Load(width, window, offset), ..) => Op::Load(width, window, offset),
            (Part::Shift(_) | Part::Mask(_), ..) => unreachable!("a load comes first"),
        }
    }
}

impl Span {
    fn max(self) -> u64 {
        u64::MAX >> (64 - self.bytes * 8)
    }

    /// Both together, if the other one comes right behind.
    fn followed_by(self, next: Span) -> Option<Span> {
        let adjacent = self.window == next.window && self.offset + self.bytes == next.offset;
        let bytes = self.bytes + next.bytes;
        (adjacent && bytes <= 8).then_some(Span { bytes, ..self })
    }

    /// How it is read from a window of this length, if one load can.
    fn ops(self, len: u32) -> Option<Vec<Part>> {
        if let Some(width) = Width::from_bits(self.bytes * 8) {
            return Some(vec![Part::Load(width, self.window, self.offset)]);
        }
        let width = if self.bytes < 4 { Width::W32 } else { Width::W64 };
        let more = width.bytes() - self.bytes;
        if self.offset + width.bytes() <= len {
            let load = Part::Load(width, self.window, self.offset);
            return Some(vec![load, Part::Shift(u64::from(more) * 8)]);
        }
        let start = self.offset.checked_sub(more)?;
        Some(vec![Part::Load(width, self.window, start), Part::Mask(self.max())])
    }
}
