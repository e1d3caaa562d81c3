//! Counting distinct values: `distinct`, as arithmetic on the fields of a locked entry.
//!
//! The registers are those of HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) with `m` registers, a power of two: of a value's hash, the high
//! `log2(m)` bits choose a register, and the register keeps the greatest rank seen, which is one more than the number of zeros
//! at the low end of the low 32 bits (32 at most). The count is not computed from all registers, which would take `m` steps for a packet,
//! but kept up to date: the historic inverse probability (Cohen 2015; Ting 2014). When a value changes a register, the probability
//! that a new value does so was `q = sum(2^-register) / m`, so this one stands for `1 / q` values. That is unbiased over the
//! whole range, needs no correction for small counts, and has the standard error `sqrt(ln(2) / m)`, less than
//! HyperLogLog's own `1.04 / sqrt(m)`.
//!
//! Fields are the `estimate` in 65,536ths, what of `m * 2^32`, the sum for empty registers in parts of 2^32, is `gone`, and the `registers`. With
//! the rank `r` of a value and the register's old value `o < r`:
//!
//! - `estimate` becomes `min(estimate + m * 2^48 / (m * 2^32 - gone), (2^47 - 1) * 2^16)`;
//! - `gone` becomes `gone + 2^(32 - o) - 2^(32 - r)`;
//! - the total is `estimate` rounded to the nearest. The first value counts exactly 1.

use oko_ir::{BinaryOp, BlockCall, CompareOp, Field, Op, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::check::DISTINCT_MAX;

impl Lowering<'_> {
    pub(super) fn distinct_total(&mut self, entry: Value, start: usize) -> Value {
        let estimate = self.get(entry, start);
        self.rounded(estimate)
    }

    fn rounded(&mut self, estimate: Value) -> Value {
        let (half, sixteen) = (self.int(1 << 15), self.int(16));
        let sum = self.binary(BinaryOp::Add, estimate, half);
        self.binary(BinaryOp::UShr, sum, sixteen)
    }

    /// Shows a value's hash to the cell; the new total.
    pub(super) fn distinct_insert(
        &mut self,
        registers: u32,
        entry: Value,
        start: usize,
        hash: Value,
    ) -> Value {
        let (estimate_field, gone_field) = (start, start + 1);
        let field = Field::from_index(start + 2);
        let shift = self.int(64 - u64::from(registers.ilog2()));
        let index = self.binary(BinaryOp::UShr, hash, shift);
        let old = self.ins(Op::GetAt(entry, field, index));
        let estimate = self.get(entry, estimate_field);
        let stopped = self.stopped(hash);
        let greater = self.ends_with_zeros(stopped, old);
        let (join, results) = self.block_of(&[Type::Int]);
        let change = self.block();
        let to = |block, args| BlockCall { block, args };
        self.builder.end(TerminatorKind::Branch {
            cond: greater,
            then: to(change, Vec::new()),
            other: to(join, vec![estimate]),
        });

        self.builder.switch_to(change);
        let rank = self.rank(stopped);
        let gone = self.get(entry, gone_field);
        let all = self.int(u64::from(registers) << 32);
        let left = self.binary(BinaryOp::Sub, all, gone);
        let scaled = self.int(u64::from(registers) << 48);
        let gained = self.binary(BinaryOp::UDiv, scaled, left);
        let sum = self.binary(BinaryOp::Add, estimate, gained);
        let most = self.int(DISTINCT_MAX << 16);
        let new = self.binary(BinaryOp::UMin, sum, most);
        self.set(entry, estimate_field, new);
        let (before, after) = (self.power(old), self.power(rank));
        let gone = self.binary(BinaryOp::Add, gone, before);
        let gone = self.binary(BinaryOp::Sub, gone, after);
        self.set(entry, gone_field, gone);
        self.effect(Op::SetAt(entry, field, index, rank));
        self.builder.jump(join, vec![new]);

        self.builder.switch_to(join);
        let estimate = results.first().copied().unwrap_or(estimate);
        self.rounded(estimate)
    }

    /// `2^(32 - rank)`
    fn power(&mut self, rank: Value) -> Value {
        let (one, most) = (self.int(1), self.int(32));
        let shift = self.binary(BinaryOp::Sub, most, rank);
        self.binary(BinaryOp::Shl, one, shift)
    }

    /// A hash with bit 31 as an end to the zeros at its low end: no bit above it is ever looked at.
    fn stopped(&mut self, hash: Value) -> Value {
        let stop = self.int(1 << 31);
        self.binary(BinaryOp::Or, hash, stop)
    }

    /// Whether a number's rank is greater than another one: whether as many bits as that says are 0 at its low end. Most values change
    /// nothing, and then their rank need not be known.
    fn ends_with_zeros(&mut self, number: Value, zeros: Value) -> Value {
        let (zero, one) = (self.int(0), self.int(1));
        let end = self.binary(BinaryOp::Shl, one, zeros);
        let below = self.binary(BinaryOp::Sub, end, one);
        let bits = self.binary(BinaryOp::And, number, below);
        self.compare(CompareOp::Eq, bits, zero)
    }

    /// One more than the number of zeros at the low end of the low 32 bits, of which one is set.
    fn rank(&mut self, number: Value) -> Value {
        // The lowest bit that is set is one of 32, and those below it are counted,
        // first two by two, then four by four, then the bytes (Warren: "Hacker's Delight", section 5-1).
        let (zero, one) = (self.int(0), self.int(1));
        let negative = self.binary(BinaryOp::Sub, zero, number);
        let lowest = self.binary(BinaryOp::And, number, negative);
        let below = self.binary(BinaryOp::Sub, lowest, one);
        let [pairs, nibbles, bytes, all] =
            [0x5555_5555, 0x3333_3333, 0x0f0f_0f0f, 0x0101_0101].map(|mask| self.int(mask));
        let (two, four, top) = (self.int(2), self.int(4), self.int(24));
        let halves = self.binary(BinaryOp::UShr, below, one);
        let halves = self.binary(BinaryOp::And, halves, pairs);
        let counts = self.binary(BinaryOp::Sub, below, halves);
        let high = self.binary(BinaryOp::UShr, counts, two);
        let (high, low) =
            (self.binary(BinaryOp::And, high, nibbles), self.binary(BinaryOp::And, counts, nibbles));
        let counts = self.binary(BinaryOp::Add, high, low);
        let high = self.binary(BinaryOp::UShr, counts, four);
        let counts = self.binary(BinaryOp::Add, counts, high);
        let counts = self.binary(BinaryOp::And, counts, bytes);
        let counts = self.binary(BinaryOp::Mul, counts, all);
        let counts = self.binary(BinaryOp::UShr, counts, top);
        // What is carried beyond 32 bits is no more than a byte of the product.
        let mask = self.int(63);
        let zeros = self.binary(BinaryOp::And, counts, mask);
        self.binary(BinaryOp::Add, zeros, one)
    }
}
