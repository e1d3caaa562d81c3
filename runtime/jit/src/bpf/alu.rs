//! Arithmetic (RFC 9669, section 4). In 32 bits only the lower halves count, and the result is zero-extended.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{self, InstBuilder, Type};
use oko_bpf::isa::{AluOp, ByteOrder, ExtBits, Operand, Reg, SwapBits, Width};

use super::Translator;
use crate::tidy;

impl Translator<'_, '_> {
    pub(super) fn alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        if let (AluOp::Mov, Operand::Imm(imm)) = (op, src) {
            let number = match width {
                Width::W64 => i64::from(imm),
                Width::W32 => i64::from(imm.cast_unsigned()),
            };
            let number = self.constant(number);
            return self.set(dst, number);
        }
        if let Some(number) = self.number_by(width, op, dst, src) {
            return self.set(dst, number);
        }
        let right = self.operand(src);
        let right = self.cut(width, right);
        if op == AluOp::Mov {
            return self.set_cut(dst, right);
        }
        let before = self.get(dst);
        let left = self.cut(width, before);
        let zero_known = match src {
            Operand::Imm(imm) => Some(imm == 0),
            Operand::Reg(_) => None,
        };
        let result = self.operation(op, left, right, zero_known);
        if let (Width::W64, AluOp::Add, Operand::Imm(by)) = (width, op, src) {
            self.note_moved(before, by, result);
        }
        self.set_cut(dst, result);
    }

    /// The first number if something is not 0, else the other one.
    pub(super) fn choose(&mut self, holds: ir::Value, one: ir::Value, other: ir::Value) -> ir::Value {
        let [first, second] = [one, other].map(|number| tidy::constant(self.builder.func, number));
        let code = match (first, second) {
            (Some(1), Some(0)) => IntCC::NotEqual,
            (Some(0), Some(1)) => IntCC::Equal,
            _ => return self.builder.ins().select(holds, one, other),
        };
        let ty = self.builder.func.dfg.value_type(one);
        let bit = self.builder.ins().icmp_imm_u(code, holds, 0);
        self.builder.ins().uextend(ty, bit)
    }

    /// The part of a register that counts.
    fn cut(&mut self, width: Width, value: ir::Value) -> ir::Value {
        match width {
            Width::W64 => value,
            Width::W32 => self.builder.ins().ireduce(I32, value),
        }
    }

    /// Sets a register to a result of 8 to 64 bits, zero-extended.
    fn set_cut(&mut self, dst: Reg, value: ir::Value) {
        let wide = self.builder.func.dfg.value_type(value) == I64;
        let value = if wide { value } else { self.builder.ins().uextend(I64, value) };
        self.set(dst, value);
    }

    fn operation(&mut self, op: AluOp, x: ir::Value, y: ir::Value, zero_known: Option<bool>) -> ir::Value {
        match op {
            AluOp::Add => self.builder.ins().iadd(x, y),
            AluOp::Sub => self.builder.ins().isub(x, y),
            AluOp::Mul => self.builder.ins().imul(x, y),
            AluOp::Or => self.builder.ins().bor(x, y),
            AluOp::And => self.builder.ins().band(x, y),
            AluOp::Xor => self.builder.ins().bxor(x, y),
            // Cranelift takes shift amounts modulo the width too.
            AluOp::Lsh => self.builder.ins().ishl(x, y),
            AluOp::Rsh => self.builder.ins().ushr(x, y),
            AluOp::Arsh => self.builder.ins().sshr(x, y),
            AluOp::Mov => y,
            AluOp::Div | AluOp::Mod => self.divide(op, x, y, zero_known),
            AluOp::Sdiv | AluOp::Smod => self.divide_signed(op, x, y),
        }
    }

    fn number(&mut self, like: ir::Value, value: i64) -> ir::Value {
        let ty = self.builder.func.dfg.value_type(like);
        let value = if ty == I32 { value & 0xffff_ffff } else { value };
        self.builder.ins().iconst(ty, value)
    }

    /// `x / 0` is 0 and `x % 0` is `x`.
    fn divide(&mut self, op: AluOp, x: ir::Value, y: ir::Value, zero_known: Option<bool>) -> ir::Value {
        let quotient = op == AluOp::Div;
        let zero = self.number(x, 0);
        let by_zero_result = if quotient { zero } else { x };
        if zero_known == Some(true) {
            return by_zero_result;
        }
        let by_zero = self.builder.ins().icmp(IntCC::Equal, y, zero);
        let divisor = if zero_known == Some(false) {
            y
        } else {
            let one = self.number(x, 1);
            self.builder.ins().select(by_zero, one, y)
        };
        let ins = self.builder.ins();
        let result = if quotient { ins.udiv(x, divisor) } else { ins.urem(x, divisor) };
        if zero_known == Some(false) {
            return result;
        }
        let result = self.builder.ins().select(by_zero, by_zero_result, result);
        // By a constant there is no division either.
        let is_constant = tidy::constant(self.builder.func, y).is_some();
        if quotient && !is_constant && self.builder.func.dfg.value_type(x) == I64 {
            let dividend = self.builder.ins().select(by_zero, zero, x);
            self.quotients.insert(result, (dividend, divisor));
        }
        result
    }

    /// Whether a quotient is below a number. It is if the dividend is below the product of number and divisor, which is much faster to find out: of quotients that
    /// are only compared, no division is left.
    pub(super) fn quotient_is_below(&mut self, quotient: ir::Value, number: ir::Value) -> Option<ir::Value> {
        let (dividend, divisor) = *self.quotients.get(&self.resolved(quotient))?;
        let low = self.builder.ins().imul(number, divisor);
        let high = self.builder.ins().umulhi(number, divisor);
        let is_below = self.builder.ins().icmp(IntCC::UnsignedLessThan, dividend, low);
        let is_cut = self.builder.ins().icmp_imm_u(IntCC::NotEqual, high, 0);
        Some(self.builder.ins().bor(is_below, is_cut))
    }

    /// As unsigned, and the least number divided by -1 is itself, its remainder 0.
    fn divide_signed(&mut self, op: AluOp, x: ir::Value, y: ir::Value) -> ir::Value {
        let quotient = op == AluOp::Sdiv;
        let (zero, one, minus_one) = (self.number(x, 0), self.number(x, 1), self.number(x, -1));
        let by_zero = self.builder.ins().icmp(IntCC::Equal, y, zero);
        let by_minus_one = self.builder.ins().icmp(IntCC::Equal, y, minus_one);
        let special = self.builder.ins().bor(by_zero, by_minus_one);
        let divisor = self.builder.ins().select(special, one, y);
        let ins = self.builder.ins();
        let (result, by_minus_one_result, by_zero_result) = if quotient {
            let result = ins.sdiv(x, divisor);
            (result, self.builder.ins().ineg(x), zero)
        } else {
            (ins.srem(x, divisor), zero, x)
        };
        let result = self.builder.ins().select(by_minus_one, by_minus_one_result, result);
        self.builder.ins().select(by_zero, by_zero_result, result)
    }

    pub(super) fn negate(&mut self, width: Width, dst: Reg) {
        let value = self.get(dst);
        let value = self.cut(width, value);
        let negated = self.builder.ins().ineg(value);
        self.set_cut(dst, negated);
    }

    pub(super) fn move_extended(&mut self, width: Width, from: ExtBits, dst: Reg, src: Reg) {
        let narrow = match from {
            ExtBits::B8 => I8,
            ExtBits::B16 => I16,
            ExtBits::B32 => I32,
        };
        let value = self.get(src);
        let value = self.builder.ins().ireduce(narrow, value);
        let wide = if width == Width::W64 { I64 } else { I32 };
        let value = if narrow == wide { value } else { self.builder.ins().sextend(wide, value) };
        self.set_cut(dst, value);
    }

    pub(super) fn swap(&mut self, order: ByteOrder, bits: SwapBits, dst: Reg) {
        let value = self.get(dst);
        let ty = match bits {
            SwapBits::B16 => I16,
            SwapBits::B32 => I32,
            SwapBits::B64 => I64,
        };
        let host_order = if cfg!(target_endian = "little") { ByteOrder::Le } else { ByteOrder::Be };
        if order == host_order {
            let value = if ty == I64 { value } else { self.builder.ins().ireduce(ty, value) };
            return self.set_cut(dst, value);
        }
        let swapped = self.swapped(ty, value);
        self.note_swapped(value, bits.bits(), swapped);
        self.set(dst, swapped);
    }

    /// The lower part of a number in the other byte order, zero-extended.
    pub(super) fn swapped(&mut self, ty: Type, number: ir::Value) -> ir::Value {
        if ty == I64 {
            return self.builder.ins().bswap(number);
        }
        let part = self.builder.ins().ireduce(ty, number);
        let swapped = self.builder.ins().bswap(part);
        let swapped = self.builder.ins().uextend(I64, swapped);
        // Constants of 16 bits are slow to decode.
        let before = if ty == I16 && self.is_of_bits(number, 16) { number } else { part };
        self.swapped.insert(swapped, (before, ty.bits()));
        swapped
    }
}
