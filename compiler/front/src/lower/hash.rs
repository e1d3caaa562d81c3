//! Hashing: keys become 64-bit numbers that nobody outside can foresee.
//!
//! A key's scalars are packed into *pieces* of 32 bits at most: the widest first and those of a width in order, the first lowest; a scalar of 64 bits is two, the low half first.
//! With the words `s_0, s_1, …` of the instance's [seed](oko_ir::seed), `mix` the finaliser of SplitMix64 and all arithmetic modulo 2^64:
//!
//! - the hash is `mix(salt + s_0 + s_1 p_0 + s_2 p_1 + …)` over the pieces `p_0, p_1, …` (multilinear hashing; Carter, Wegman: "Universal classes of hash functions", 1979; Lemire, Kaser:
//!   "Strongly universal string hashing is fast", 2014). A piece costs a multiplication and an addition, and one that is 0, as the high half of IPv4's address, nothing;
//! - of more than 15 pieces, the hash of the first 15 is two pieces that come before the others, and so on;
//! - where one hash is not enough, the further ones are `hash * ROW^i`, `i = 1, 2, …`, of which the high bits count ([`oko_artifact::sketch`]).
//!
//! **Two keys collide** never if they differ in one piece alone, and else with a probability of 2^-32 at most, whoever chose them, if the words of the seed are independent odd numbers. (They are outputs of
//! a generator from the one number of 64 bits that an instance draws: nobody is known to tell them from independent ones without it.) For let `p_j` be, of the pieces in which the keys
//! differ, one whose difference has the fewest zeros at the low end, `z < 32`. Whatever the other words of the seed are, the sums are equal for one value modulo `2^(64 - z)` of the odd number
//! `s_(j + 1)` at most: so with a probability of `2^(z - 63)`, which is 2^-63 for keys that differ in the lowest bit of some piece. (Beyond 15 pieces, each hash in between adds as much.) With pieces of 64 bits, the highest bits of two
//! would cancel out each other for every seed; and numbers that are multiples of one secret would collide for every seed where the sum of the multiples does.
//!
//! The seed is drawn at random when a filter is loaded, so senders cannot choose keys that collide; `salt` is different for each state, so that two states do not err
//! on the same keys: `mix` leads sums that differ by it to unrelated numbers. This is no cryptographic hash: who can watch many answers of a filter closely can learn about the seed.
//!
//! The control plane computes the same: [`oko_artifact::sketch`].

use std::cmp::Reverse;

use oko_artifact::sketch::{ROW, salt};
use oko_ir::seed::{MIX, SEED_WORDS};
use oko_ir::{BinaryOp, Op, Value, Width};

use super::body::Lowering;
use super::layout::key_parts;
use crate::hir::Expr;
use crate::types::Ty;

impl Lowering<'_> {
    /// The hash of a key of a state, from its scalars.
    pub(super) fn hash_key(&mut self, state: &str, key: &[Value], ty: &Ty) -> Value {
        let widths: Vec<Width> = key_parts(ty, self.program).into_iter().map(|(_, width)| width).collect();
        let pieces = self.key_pieces(key, &widths);
        let seed = self.ins(Op::Seed(0));
        let salt = self.int(salt(state));
        let start = self.binary(BinaryOp::Add, seed, salt);
        let mut rest = pieces.as_slice();
        let mut before = Vec::new();
        loop {
            let count = rest.len().min(SEED_WORDS - 1 - before.len());
            let (now, later) = rest.split_at(count);
            let mut sum = start;
            for (word, &piece) in (1..).zip(before.iter().chain(now)) {
                let factor = self.ins(Op::Seed(word));
                let product = self.binary(BinaryOp::Mul, factor, piece);
                sum = self.binary(BinaryOp::Add, sum, product);
            }
            let hash = self.mix(sum);
            if later.is_empty() {
                return hash;
            }
            let (high, low) = self.halves(hash);
            before = vec![low, high];
            rest = later;
        }
    }

    /// The hash of a value that a cell of a state counts.
    pub(super) fn hash_value(&mut self, state: &str, value: &Expr, ty: &Ty) -> Option<Value> {
        let scalars = self.expr(value)?;
        let scalars: Vec<Value> = scalars.into_iter().map(|scalar| self.as_int(scalar)).collect();
        Some(self.hash_key(state, &scalars, ty))
    }

    /// The scalars in as few numbers of 32 bits as they fit in.
    fn key_pieces(&mut self, scalars: &[Value], widths: &[Width]) -> Vec<Value> {
        let mut order: Vec<usize> = (0..scalars.len().min(widths.len())).collect();
        order.sort_by_key(|&at| Reverse(widths[at].bits()));
        let mut pieces = Vec::new();
        let mut open: Option<(Value, u32)> = None;
        for at in order {
            let (scalar, bits) = (scalars[at], widths[at].bits());
            if widths[at] == Width::W64 {
                let (high, low) = self.halves(scalar);
                pieces.extend([low, high]);
                continue;
            }
            open = Some(match open {
                Some((piece, used)) if used + bits <= 32 => {
                    let shift = self.int(u64::from(used));
                    let shifted = self.binary(BinaryOp::Shl, scalar, shift);
                    (self.binary(BinaryOp::Or, piece, shifted), used + bits)
                }
                Some((piece, _)) => {
                    pieces.push(piece);
                    (scalar, bits)
                }
                None => (scalar, bits),
            });
        }
        pieces.extend(open.map(|(piece, _)| piece));
        pieces
    }

    /// The finaliser of SplitMix64.
    fn mix(&mut self, value: Value) -> Value {
        let mut x = value;
        for (shift, factor) in MIX {
            let shift = self.int(u64::from(shift));
            let shifted = self.binary(BinaryOp::UShr, x, shift);
            x = self.binary(BinaryOp::Xor, x, shifted);
            if let Some(factor) = factor {
                let factor = self.int(factor);
                x = self.binary(BinaryOp::Mul, x, factor);
            }
        }
        x
    }

    /// The hash after this one, of the same key.
    pub(super) fn next_hash(&mut self, hash: Value) -> Value {
        let factor = self.int(ROW);
        self.binary(BinaryOp::Mul, hash, factor)
    }

    /// Which of `count` things, at most 2^32, a hash chooses, by its upper half.
    pub(super) fn choice(&mut self, hash: Value, count: u64) -> Value {
        let (count, half) = (self.int(count), self.int(32));
        let bits = self.binary(BinaryOp::UShr, hash, half);
        let product = self.binary(BinaryOp::Mul, bits, count);
        self.binary(BinaryOp::UShr, product, half)
    }

    /// The upper and the lower 32 bits.
    fn halves(&mut self, word: Value) -> (Value, Value) {
        let (half, mask) = (self.int(32), self.int(u64::from(u32::MAX)));
        (self.binary(BinaryOp::UShr, word, half), self.binary(BinaryOp::And, word, mask))
    }
}
