//! Operations on ints and bools.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self};
use cranelift_frontend::FunctionBuilder;
use oko_ir::{BinaryOp, BoolOp, CompareOp, Op, Value};

use super::{Source, Translator};
use crate::order;

impl Source<'_> {
    /// The constant that a number was masked by, if it was.
    fn mask_of(&self, number: Value) -> Option<u64> {
        match self.definitions[number.index()] {
            Some(&Op::Binary(BinaryOp::And, a, b)) => self.constant(a).or_else(|| self.constant(b)),
            _ => None,
        }
    }
}

/// An operation as Cranelift has it: divisors are not 0.
pub(super) fn binary(
    builder: &mut FunctionBuilder<'_>,
    op: BinaryOp,
    x: ir::Value,
    y: ir::Value,
) -> ir::Value {
    let ins = builder.ins();
    match op {
        BinaryOp::Add => ins.iadd(x, y),
        BinaryOp::Sub => ins.isub(x, y),
        BinaryOp::Mul => ins.imul(x, y),
        BinaryOp::UDiv => ins.udiv(x, y),
        BinaryOp::URem => ins.urem(x, y),
        BinaryOp::And => ins.band(x, y),
        BinaryOp::Or => ins.bor(x, y),
        BinaryOp::Xor => ins.bxor(x, y),
        // Cranelift takes shift amounts modulo the width too.
        BinaryOp::Shl => ins.ishl(x, y),
        BinaryOp::UShr => ins.ushr(x, y),
        BinaryOp::SShr => ins.sshr(x, y),
        BinaryOp::UMin => ins.umin(x, y),
        BinaryOp::UMax => ins.umax(x, y),
    }
}

impl Translator<'_, '_> {
    pub(super) fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> ir::Value {
        let (x, y) = (self.value(a), self.value(b));
        match op {
            BinaryOp::UDiv | BinaryOp::URem
                if let Some(factor) = self.source.constant(b).and_then(Factor::of)
                    && self.source.ranges.at(self.place, a).max <= Factor::MOST =>
            {
                let quotient = factor.divide(&mut self.builder, x);
                if op == BinaryOp::UDiv {
                    return quotient;
                }
                let whole = self.builder.ins().imul(quotient, y);
                self.builder.ins().isub(x, whole)
            }
            BinaryOp::UDiv | BinaryOp::URem if self.source.ranges.at(self.place, b).min == 0 => {
                self.divide(op, x, y)
            }
            BinaryOp::And => self.mask(a, b),
            _ => binary(&mut self.builder, op, x, y),
        }
    }

    /// A division by what may be 0.
    fn divide(&mut self, op: BinaryOp, x: ir::Value, y: ir::Value) -> ir::Value {
        let (zero, one) = (self.int(0), self.int(1));
        let by_zero = self.builder.ins().icmp(IntCC::Equal, y, zero);
        let divisor = self.builder.ins().select(by_zero, one, y);
        let result = binary(&mut self.builder, op, x, divisor);
        let of_zero = if op == BinaryOp::UDiv { zero } else { x };
        self.builder.ins().select(by_zero, of_zero, result)
    }

    pub(super) fn compare(&mut self, op: CompareOp, a: Value, b: Value) -> ir::Value {
        if op == CompareOp::ULt
            && let Some(is_below) = self.quotient_is_below(a, b)
        {
            return is_below;
        }
        if let Some(is_set) = self.bit(op, a, b).or_else(|| self.bit(op, b, a)) {
            return is_set;
        }
        let (x, y) = (self.value(a), self.value(b));
        if let CompareOp::Eq | CompareOp::Ne = op
            && let Some((x, y)) = self.in_network_order(a, b).or_else(|| self.in_network_order(b, a))
        {
            let condition = if op == CompareOp::Eq { IntCC::Equal } else { IntCC::NotEqual };
            return self.builder.ins().icmp_imm_u(condition, x, y);
        }
        let condition = match op {
            CompareOp::Eq => IntCC::Equal,
            CompareOp::Ne => IntCC::NotEqual,
            CompareOp::ULt => IntCC::UnsignedLessThan,
            CompareOp::ULe => IntCC::UnsignedLessThanOrEqual,
            CompareOp::SLt => IntCC::SignedLessThan,
            CompareOp::SLe => IntCC::SignedLessThanOrEqual,
        };
        self.builder.ins().icmp(condition, x, y)
    }

    /// Whether a bit is that bit, or is not: whether it is not 0, or is.
    fn bit(&mut self, op: CompareOp, masked: Value, bit: Value) -> Option<ir::Value> {
        let condition = match op {
            CompareOp::Eq => IntCC::NotEqual,
            CompareOp::Ne => IntCC::Equal,
            _ => return None,
        };
        let bit = self.source.constant(bit)?;
        let is_masked_by_it = bit.is_power_of_two() && self.source.mask_of(masked) == Some(bit);
        let masked = self.value(masked);
        is_masked_by_it.then(|| self.builder.ins().icmp_imm_u(condition, masked, 0))
    }

    fn mask(&mut self, a: Value, b: Value) -> ir::Value {
        let (x, y) = (self.value(a), self.value(b));
        let result = self.builder.ins().band(x, y);
        // The masked number is compared most often, and then this is all that is left of it.
        if let Some((x, y)) = self.in_network_order(a, b).or_else(|| self.in_network_order(b, a)) {
            let masked = self.builder.ins().band_imm_u(x, y);
            self.network.insert(result, masked);
        }
        result
    }

    /// A number from a packet as it is there, and a constant as it would be there.
    fn in_network_order(&mut self, number: Value, constant: Value) -> Option<(ir::Value, i64)> {
        self.values.get(&number)?;
        let number = self.value(number);
        let there = *self.network.get(&number)?;
        let constant = self.source.constant(constant)?;
        let bits = self.builder.func.dfg.value_type(there).bits();
        Some((there, order::swapped(constant, bits)?))
    }

    pub(super) fn boolean(&mut self, op: BoolOp, a: Value, b: Value) -> ir::Value {
        let (x, y) = (self.value(a), self.value(b));
        let ins = self.builder.ins();
        match op {
            BoolOp::And => ins.band(x, y),
            BoolOp::Or => ins.bor(x, y),
            BoolOp::Xor => ins.bxor(x, y),
        }
    }
}

/// What to multiply by instead of dividing: the quotient is the product by `2^(64 + shift)`.
///
/// With `2^shift < divisor < 2^(shift + 1)`, the factor is `2^(64 + shift) / divisor` and at most 1. So the product is too large by at most as many times the number, which is not seen in
/// the quotient while that is less than `2^(64 + shift)`, less by the divisor: numbers below 2^63 need no correction, as others do.
struct Factor {
    factor: u64,
    shift: u32,
}

impl Factor {
    /// Up to this number it is exact.
    const MOST: u64 = u64::MAX >> 1;

    /// None for powers of two, by which there are shorter ways.
    fn of(divisor: u64) -> Option<Factor> {
        if divisor == 0 || divisor.is_power_of_two() {
            return None;
        }
        let shift = divisor.ilog2();
        let factor = u64::try_from((1_u128 << (64 + shift)) / u128::from(divisor) + 1).ok()?;
        Some(Factor { factor, shift })
    }

    fn divide(&self, builder: &mut FunctionBuilder<'_>, number: ir::Value) -> ir::Value {
        let factor = super::int(builder, self.factor);
        let high = builder.ins().umulhi(number, factor);
        builder.ins().ushr_imm_u(high, i64::from(self.shift))
    }
}
