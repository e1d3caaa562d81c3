//! Quotients that are only compared: whether what a bucket of tokens lacks comes in within a time asks for less than a division.
//!
//! `m / r < e` is `m < e * r` if the product is not cut off, so a multiplication does, which is several times as fast. The
//! quotient itself is not computed then.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I128;
use cranelift_codegen::ir::{self, InstBuilder};
use oko_ir::cfg::Cfg;
use oko_ir::ranges::Ranges;
use oko_ir::{BinaryOp, CompareOp, Filter, Op, Value};

use super::Translator;
use super::invariants::Invariants;

/// The quotients of a filter of which it is only asked whether they are below something, with dividend and divisor. Those that are the same for a burst are none of
/// them: they are computed once for all, and their dividends perhaps nowhere else.
#[derive(Debug, Default)]
pub(super) struct Quotients(HashMap<Value, (Value, Value)>);

impl Quotients {
    pub(super) fn of(filter: &Filter, cfg: &Cfg, ranges: &Ranges, invariants: &Invariants) -> Quotients {
        let mut found = HashMap::new();
        for &block in cfg.order() {
            for inst in &filter.blocks[block.index()].insts {
                if let (Some(value), Op::Binary(BinaryOp::UDiv, dividend, divisor)) = (inst.result, &inst.op)
                    && ranges.at(block, *divisor).min > 0
                    && !invariants.has(value)
                {
                    found.insert(value, (*dividend, *divisor));
                }
            }
        }
        if found.is_empty() {
            return Quotients::default();
        }
        let mut needed = |value: Value| {
            found.remove(&value);
        };
        for block in &filter.blocks {
            for inst in &block.insts {
                match inst.op {
                    Op::Compare(CompareOp::ULt, _, other) => needed(other),
                    ref op => op.for_each_operand(&mut needed),
                }
            }
            block.term.kind.for_each_operand(&mut needed);
        }
        Quotients(found)
    }

    /// Whether a value need not be computed.
    pub(super) fn has(&self, value: Value) -> bool {
        self.0.contains_key(&value)
    }
}

impl Translator<'_, '_> {
    /// Whether a quotient that is not computed is below a number.
    pub(super) fn quotient_is_below(&mut self, quotient: Value, number: Value) -> Option<ir::Value> {
        let &(dividend, divisor) = self.source.quotients.0.get(&quotient)?;
        let [dividend, divisor, number] = [dividend, divisor, number].map(|value| self.value(value));
        let (wide, divisor) =
            (self.builder.ins().uextend(I128, number), self.builder.ins().uextend(I128, divisor));
        let product = self.builder.ins().imul(wide, divisor);
        let (low, high) = self.builder.ins().isplit(product);
        let is_less = self.builder.ins().icmp(IntCC::UnsignedLessThan, dividend, low);
        let is_cut = self.builder.ins().icmp_imm_u(IntCC::NotEqual, high, 0);
        Some(self.builder.ins().bor(is_less, is_cut))
    }
}
