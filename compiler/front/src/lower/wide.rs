//! Integers of more than 64 bits, as two words, the high one first; and slices of bits. Products and quotients are in `long`.

use oko_ir::{BinaryOp, BoolOp, CompareOp, Op, Value};

use super::body::Lowering;
use crate::hir::{Arith, Expr};
use crate::types::{Range, Ty};

/// Two words.
pub(super) type Wide = (Value, Value);

impl Lowering<'_> {
    /// `bits` bits from bit `low` on of one or two words.
    pub(super) fn slice(&mut self, scalars: &[Value], low: u8, bits: u8) -> Vec<Value> {
        let (low, bits) = (u32::from(low), u32::from(bits));
        let (high_word, low_word) = match scalars {
            [high, low] => (Some(*high), *low),
            [only] => (None, *only),
            _ => return vec![self.int(0)],
        };
        let word = match high_word {
            // All of it lies in the high word.
            Some(high) if low >= 64 => self.word_down(high, low - 64),
            Some(high) if low > 0 && low + bits > 64 => {
                let above = self.word_up(high, 64 - low);
                let below = self.word_down(low_word, low);
                self.binary(BinaryOp::Or, above, below)
            }
            _ => self.word_down(low_word, low),
        };
        if bits <= 64 {
            return vec![self.masked(word, bits)];
        }
        let high = match high_word {
            Some(high) => self.word_down(high, low),
            None => self.int(0),
        };
        vec![self.masked(high, bits - 64), word]
    }

    pub(super) fn word_down(&mut self, word: Value, by: u32) -> Value {
        self.word_by(BinaryOp::UShr, word, by)
    }

    pub(super) fn word_up(&mut self, word: Value, by: u32) -> Value {
        self.word_by(BinaryOp::Shl, word, by)
    }

    fn word_by(&mut self, op: BinaryOp, word: Value, by: u32) -> Value {
        match by {
            0 => word,
            64.. => self.int(0),
            _ => {
                let by = self.int(u64::from(by));
                self.binary(op, word, by)
            }
        }
    }

    /// Arithmetic on wide integers.
    pub(super) fn wide_arith(&mut self, op: Arith, a: &Expr, b: &Expr) -> Option<Vec<Value>> {
        let left = self.expr(a)?;
        let left = wide(&left)?;
        if let (Arith::Shl, Some(by)) = (op, b.constant()) {
            return Some(self.wide_up(left, u32::try_from(by).unwrap_or(128)));
        }
        let right = self.expr(b)?;
        let right = wide(&right)?;
        let most = |expr: &Expr| match &expr.ty {
            Ty::Wide(wide) => wide.range.max,
            _ => u128::MAX,
        };
        let (high, low) = match op {
            Arith::And => self.both_words(BinaryOp::And, left, right),
            Arith::Or => self.both_words(BinaryOp::Or, left, right),
            Arith::Xor => self.both_words(BinaryOp::Xor, left, right),
            Arith::AddWrap(bits) => {
                let (high, low) = self.wide_add(left, right);
                (self.masked(high, u32::from(bits) - 64), low)
            }
            Arith::AddSat(bits) => self.wide_add_saturating(left, right, bits),
            Arith::SubWrap(bits) => {
                let (high, low) = self.wide_sub(left, right);
                (self.masked(high, u32::from(bits) - 64), low)
            }
            Arith::SubSat => {
                let (high, low) = self.wide_sub(left, right);
                let less = self.wide_less(left, right);
                let zero = self.int(0);
                (self.select(less, zero, high), self.select(less, zero, low))
            }
            Arith::Sub => self.wide_sub(left, right),
            Arith::Mul => self.wide_product(left, right, most(a), most(b)),
            Arith::Div => self.wide_quotient(left, right, most(b)).0,
            Arith::Mod => self.wide_quotient(left, right, most(b)).1,
            // Shifts are by constants, and those to the right are slices.
            Arith::Add | Arith::Shl | Arith::Shr => self.wide_add(left, right),
        };
        Some(vec![high, low])
    }

    fn both_words(&mut self, op: BinaryOp, a: Wide, b: Wide) -> Wide {
        (self.binary(op, a.0, b.0), self.binary(op, a.1, b.1))
    }

    fn wide_up(&mut self, (high, low): Wide, by: u32) -> Vec<Value> {
        match by {
            0 => vec![high, low],
            64.. => {
                let zero = self.int(0);
                vec![self.word_up(low, by - 64), zero]
            }
            _ => {
                let above = self.word_up(high, by);
                let over = self.word_down(low, 64 - by);
                vec![self.binary(BinaryOp::Or, above, over), self.word_up(low, by)]
            }
        }
    }

    fn wide_add(&mut self, a: Wide, b: Wide) -> Wide {
        let low = self.binary(BinaryOp::Add, a.1, b.1);
        let carry = self.compare(CompareOp::ULt, low, a.1);
        let carry = self.ins(Op::IntOfBool(carry));
        let high = self.binary(BinaryOp::Add, a.0, b.0);
        (self.binary(BinaryOp::Add, high, carry), low)
    }

    fn wide_sub(&mut self, a: Wide, b: Wide) -> Wide {
        let low = self.binary(BinaryOp::Sub, a.1, b.1);
        let borrow = self.compare(CompareOp::ULt, a.1, b.1);
        let borrow = self.ins(Op::IntOfBool(borrow));
        let high = self.binary(BinaryOp::Sub, a.0, b.0);
        (self.binary(BinaryOp::Sub, high, borrow), low)
    }

    fn wide_add_saturating(&mut self, a: Wide, b: Wide, bits: u8) -> Wide {
        let (high, low) = self.wide_add(a, b);
        let most = Range::of_bits(bits.saturating_sub(64)).max as u64;
        let most = self.int(most);
        let over = if bits < 128 {
            // The sum of two such numbers does not wrap.
            self.compare(CompareOp::ULt, most, high)
        } else {
            self.wide_less((high, low), a)
        };
        let all = self.int(u64::MAX);
        (self.select(over, most, high), self.select(over, all, low))
    }

    /// Whether `a` is less than `b`.
    pub(super) fn wide_less(&mut self, a: Wide, b: Wide) -> Value {
        let above = self.compare(CompareOp::ULt, a.0, b.0);
        let same = self.compare(CompareOp::Eq, a.0, b.0);
        let below = self.compare(CompareOp::ULt, a.1, b.1);
        let within = self.ins(Op::Bool(BoolOp::And, same, below));
        self.ins(Op::Bool(BoolOp::Or, above, within))
    }
}

fn wide(scalars: &[Value]) -> Option<Wide> {
    match scalars {
        [high, low] => Some((*high, *low)),
        _ => None,
    }
}
