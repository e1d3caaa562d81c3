//! What is the same for all packets of a burst: what depends on the instant alone, as numbers of time windows, shares of them, the end of a time to live; and on
//! params and the seed.
//!
//! Such a number is computed once for all and kept in the frame, if it takes more than an addition or two. A single packet pays for those that it does not
//! need; therefore there are few. The control plane may change a param at any time: a burst goes on with what it began with.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use cranelift_frontend::FunctionBuilder;
use oko_ir::cfg::Cfg;
use oko_ir::{BinaryOp, Filter, Op, Param, Value};

use super::arithmetic::binary;
use super::int;
use crate::abi::{CTX_PARAMS, CTX_SEED_WORDS};
use crate::burst::constant_memory;

/// The most numbers that are kept.
const MOST: usize = 8;

/// Longer terms are computed where they are needed.
const MOST_COST: u32 = 64;

/// The numbers of a filter that are the same for a burst.
#[derive(Debug, Default)]
pub(super) struct Clock {
    terms: Vec<Term>,
    /// The term of each value that is one.
    of: HashMap<Value, usize>,
    /// Those of these that are needed beside what is kept.
    needed: HashSet<Value>,
    /// The terms that are kept.
    kept: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Term {
    kind: TermKind,
    /// Whether it depends on the instant.
    is_timed: bool,
    /// Whether it is no constant.
    varies: bool,
    /// About how many instructions it takes, what terms share counted again.
    cost: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum TermKind {
    Const(u64),
    Now,
    Seed(u32),
    Param(Param),
    Binary(BinaryOp, usize, usize),
}

impl Clock {
    /// The numbers of a filter.
    pub(super) fn of(filter: &Filter, cfg: &Cfg) -> Clock {
        let mut clock = Clock::default();
        let mut known = HashMap::new();
        let blocks = || cfg.order().iter().map(|block| &filter.blocks[block.index()]);
        for inst in blocks().flat_map(|block| &block.insts) {
            if let (Some(value), Some(term)) = (inst.result, clock.term(&inst.op)) {
                let place = *known.entry(term.kind).or_insert_with(|| {
                    clock.terms.push(term);
                    clock.terms.len() - 1
                });
                clock.of.insert(value, place);
            }
        }
        for block in blocks() {
            for inst in &block.insts {
                if inst.result.is_none_or(|value| !clock.of.contains_key(&value)) {
                    inst.op.for_each_operand(|value| clock.need(value));
                }
            }
            block.term.kind.for_each_operand(|value| clock.need(value));
        }
        let insts: Vec<_> = blocks().flat_map(|block| &block.insts).collect();
        for inst in insts.into_iter().rev() {
            // What is not kept is computed from the values that its operands are.
            if let Some(value) = inst.result
                && clock.needed.contains(&value)
                && clock.place(value).is_none()
            {
                inst.op.for_each_operand(|value| {
                    clock.needed.insert(value);
                });
            }
        }
        clock
    }

    /// What an operation computes, if that is a term over terms that come before it.
    fn term(&self, op: &Op) -> Option<Term> {
        match *op {
            Op::Const(number) => {
                let cost = u32::from(i32::try_from(number).is_err());
                Some(Term { kind: TermKind::Const(number), is_timed: false, varies: false, cost })
            }
            Op::Now => Some(Term { kind: TermKind::Now, is_timed: true, varies: true, cost: 0 }),
            // What is loaded besides what the frame has of it.
            Op::Seed(word) => {
                Some(Term { kind: TermKind::Seed(word), is_timed: false, varies: true, cost: 1 })
            }
            Op::Param(param) => {
                Some(Term { kind: TermKind::Param(param), is_timed: false, varies: true, cost: 2 })
            }
            Op::Binary(op, a, b) => {
                let (a, b) = (*self.of.get(&a)?, *self.of.get(&b)?);
                let (x, y) = (self.terms[a], self.terms[b]);
                let is_defined = match op {
                    BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Shl | BinaryOp::UShr => true,
                    BinaryOp::Xor | BinaryOp::Or | BinaryOp::And => true,
                    BinaryOp::UDiv | BinaryOp::URem => {
                        matches!(y.kind, TermKind::Const(divisor) if divisor != 0)
                    }
                    _ => false,
                };
                let cost = x.cost.saturating_add(y.cost).saturating_add(1);
                let kind = TermKind::Binary(op, a, b);
                let (is_timed, varies) = (x.is_timed || y.is_timed, x.varies || y.varies);
                is_defined.then_some(Term { kind, is_timed, varies, cost })
            }
            _ => None,
        }
    }

    /// Takes down that a value is needed, and keeps it if that pays.
    fn need(&mut self, value: Value) {
        let Some(&place) = self.of.get(&value) else { return };
        self.needed.insert(value);
        let term = self.terms[place];
        let pays = term.varies && (2..=MOST_COST).contains(&term.cost);
        if pays && self.kept.len() < MOST && !self.kept.contains(&place) {
            self.kept.push(place);
        }
    }

    /// Whether a value is one of the numbers.
    pub(super) fn has(&self, value: Value) -> bool {
        self.of.get(&value).is_some_and(|&term| self.terms[term].varies)
    }

    /// Whether a value is one of those that depend on the instant.
    pub(super) fn is_timed(&self, value: Value) -> bool {
        self.of.get(&value).is_some_and(|&term| self.terms[term].is_timed)
    }

    /// Whether a value is only needed for terms that are kept.
    pub(super) fn is_inner(&self, value: Value) -> bool {
        self.has(value) && !self.needed.contains(&value)
    }

    /// The place of a value among the numbers that are kept, if it is one.
    pub(super) fn place(&self, value: Value) -> Option<usize> {
        let term = self.of.get(&value)?;
        self.kept.iter().position(|kept| kept == term)
    }

    /// Computes the numbers that are kept, in their order.
    pub(super) fn compute(
        &self,
        builder: &mut FunctionBuilder<'_>,
        context: ir::Value,
        now: ir::Value,
    ) -> Vec<ir::Value> {
        let mut wanted = vec![false; self.terms.len()];
        self.kept.iter().for_each(|&place| wanted[place] = true);
        for place in (0..self.terms.len()).rev() {
            if let TermKind::Binary(_, a, b) = self.terms[place].kind
                && wanted[place]
            {
                (wanted[a], wanted[b]) = (true, true);
            }
        }
        // Terms come after those that they are made of.
        let mut values: Vec<Option<ir::Value>> = Vec::with_capacity(self.terms.len());
        for (term, wanted) in self.terms.iter().zip(wanted) {
            let value = wanted.then(|| match term.kind {
                TermKind::Const(number) => Some(int(builder, number)),
                TermKind::Now => Some(now),
                TermKind::Seed(word) => {
                    let offset = CTX_SEED_WORDS + 8 * word as i32;
                    Some(builder.ins().load(I64, constant_memory(), context, offset))
                }
                TermKind::Param(param) => {
                    let params = builder.ins().load(I64, constant_memory(), context, CTX_PARAMS);
                    Some(builder.ins().load(I64, MemFlagsData::trusted(), params, param.0 as i32 * 8))
                }
                TermKind::Binary(op, a, b) => Some(binary(builder, op, values[a]?, values[b]?)),
            });
            values.push(value.flatten());
        }
        self.kept.iter().filter_map(|&place| values[place]).collect()
    }
}
