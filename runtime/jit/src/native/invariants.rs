//! What is the same for all packets of a burst: what depends on the instant alone, as numbers of time windows, shares of them, the end of a time to live; and on
//! params and the seed.
//!
//! Such a number is computed once for all and kept in the frame, if it takes more than an addition or two. A single packet pays for those that it does not
//! need; therefore there are few, those that take most. The control plane may change a param at any time: of one that is kept so, all packets of a burst see
//! what it began with.

use std::collections::{BTreeSet, HashMap, HashSet};

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

/// What a division by a constant costs: it is a multiplication and shifts.
const DIVISION: u32 = 4;

/// The numbers of a filter that are the same for a burst.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    terms: Vec<Term>,
    /// The term of each value that is one.
    of: HashMap<Value, usize>,
    /// Those of these that are needed beside what is kept.
    needed: HashSet<Value>,
    /// The terms that are needed and worth keeping.
    pays: BTreeSet<usize>,
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

impl Invariants {
    /// The numbers of a filter.
    pub(super) fn of(filter: &Filter, cfg: &Cfg) -> Invariants {
        let mut invariants = Invariants::default();
        let mut known = HashMap::new();
        let blocks = || cfg.order().iter().map(|block| &filter.blocks[block.index()]);
        for inst in blocks().flat_map(|block| &block.insts) {
            if let (Some(value), Some(term)) = (inst.result, invariants.term(&inst.op)) {
                let place = *known.entry(term.kind).or_insert_with(|| {
                    invariants.terms.push(term);
                    invariants.terms.len() - 1
                });
                invariants.of.insert(value, place);
            }
        }
        for block in blocks() {
            for inst in &block.insts {
                if inst.result.is_none_or(|value| !invariants.of.contains_key(&value)) {
                    inst.op.for_each_operand(|value| invariants.need(value));
                }
            }
            block.term.kind.for_each_operand(|value| invariants.need(value));
        }
        invariants.choose();
        let insts: Vec<_> = blocks().flat_map(|block| &block.insts).collect();
        for inst in insts.into_iter().rev() {
            // What is not kept is computed from the values that its operands are.
            if let Some(value) = inst.result
                && invariants.needed.contains(&value)
                && invariants.place(value).is_none()
            {
                inst.op.for_each_operand(|value| {
                    invariants.needed.insert(value);
                });
            }
        }
        invariants
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
                let own = if matches!(op, BinaryOp::UDiv | BinaryOp::URem) { DIVISION } else { 1 };
                let cost = x.cost.saturating_add(y.cost).saturating_add(own);
                let kind = TermKind::Binary(op, a, b);
                let (is_timed, varies) = (x.is_timed || y.is_timed, x.varies || y.varies);
                is_defined.then_some(Term { kind, is_timed, varies, cost })
            }
            _ => None,
        }
    }

    /// Takes down that a value is needed.
    fn need(&mut self, value: Value) {
        let Some(&place) = self.of.get(&value) else { return };
        self.needed.insert(value);
        let term = self.terms[place];
        if term.varies && (2..=MOST_COST).contains(&term.cost) {
            self.pays.insert(place);
        }
    }

    /// Keeps what pays, the most costly first. Params on which something depends that is kept are kept, too: else one packet could see a param as it is and
    /// what was computed of it as it was.
    fn choose(&mut self) {
        let mut pays: Vec<usize> = std::mem::take(&mut self.pays).into_iter().collect();
        pays.sort_by_key(|&place| std::cmp::Reverse(self.terms[place].cost));
        for place in pays {
            let mut more = BTreeSet::from([place]);
            self.add_params(place, &mut more);
            more.retain(|place| !self.kept.contains(place));
            if self.kept.len() + more.len() <= MOST {
                self.kept.extend(more);
            }
        }
    }

    /// Adds the params that a term depends on; its cost bounds how many steps that takes.
    fn add_params(&self, place: usize, params: &mut BTreeSet<usize>) {
        match self.terms[place].kind {
            TermKind::Param(_) => {
                params.insert(place);
            }
            TermKind::Binary(_, a, b) => {
                self.add_params(a, params);
                self.add_params(b, params);
            }
            TermKind::Const(_) | TermKind::Now | TermKind::Seed(_) => {}
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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The numbers of a filter that compares the packet's length with two params, ten multiples of each, and the second of the instant.
    fn invariants() -> Invariants {
        let mut text = String::from(
            "oko.ir 1 param p0 a: 1 to 9, default 3 param p1 b: 1 to 9, default 3 filter f -> bool {\n\
             block0: v0 = pkt.len v1 = param p0 v2 = param p1 v3 = now v4 = const 1000000000 v5 = udiv v3, v4\n\
             v6 = ult v0, v1 v7 = ult v0, v2 v8 = ult v0, v5 v9 = or_b v6, v7 v10 = or_b v8, v9\n",
        );
        let (mut next, mut all) = (11, 10);
        for round in 0..10 {
            for param in [1, 2] {
                let [factor, product, below, or] = [next, next + 1, next + 2, next + 3];
                writeln!(text, "v{factor} = const {}", 3 + 2 * round + param).expect("it is a string");
                writeln!(text, "v{product} = mul v{param}, v{factor} v{below} = ult v0, v{product}")
                    .expect("it is a string");
                writeln!(text, "v{or} = or_b v{all}, v{below}").expect("it is a string");
                (next, all) = (next + 4, or);
            }
        }
        writeln!(text, "return v{all} }}").expect("it is a string");
        let module = oko_ir::text::read(&text).expect("the text is a module");
        let checked = oko_ir::verify(module).expect("the module verifies");
        let filter = &checked.module().filters[0];
        Invariants::of(filter, &Cfg::of(filter).expect("it has a graph"))
    }

    #[test]
    fn what_is_kept_of_a_param_is_kept_with_it() {
        let invariants = invariants();
        assert_eq!(invariants.kept.len(), MOST);
        let mut params = BTreeSet::new();
        for &place in &invariants.kept {
            invariants.add_params(place, &mut params);
        }
        assert!(
            !params.is_empty() && params.iter().all(|param| invariants.kept.contains(param)),
            "{invariants:?}"
        );
    }

    #[test]
    fn the_most_costly_numbers_are_kept() {
        let invariants = invariants();
        let is_division =
            |place: &usize| matches!(invariants.terms[*place].kind, TermKind::Binary(BinaryOp::UDiv, ..));
        assert!(invariants.kept.iter().any(is_division), "{invariants:?}");
    }
}
