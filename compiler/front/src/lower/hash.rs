//! Hashing: keys become 64-bit numbers that nobody outside can foresee.
//!
//! A key's scalars are packed into as few words as they fit in: the widest first and those of a width in order, the first lowest. With `mix` the finaliser of
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014; the constants are Stafford's mix 13) and all arithmetic modulo 2^64:
//!
//! - with `s = seed + salt`, the hash `h` is the sum of `mix(w ^ s * (2 i + 1))` over the words `w` with their numbers `i = 0, 1, …`: none waits for another;
//! - where one hash is not enough, the further ones are `mix(h + i * GOLDEN)`, `i = 1, 2, …`
//!
//! `seed` is drawn at random when a filter is loaded, so senders cannot choose keys that collide; `salt` is different for each state, so that two states do not err
//! on the same keys. This is no cryptographic hash: who can watch many answers of a filter closely can learn about the seed.
//!
//! `mix` is a bijection, so keys of one word never collide in 64 bits. The control plane computes the same: [`oko_artifact::sketch`].

use std::cmp::Reverse;

use oko_artifact::sketch::{GOLDEN, MIX, salt};
use oko_ir::{BinaryOp, Op, Value, Width};

use super::body::Lowering;
use super::layout::key_parts;
use crate::hir::Expr;
use crate::types::Ty;

impl Lowering<'_> {
    /// The hash of a key of a state, from its scalars.
    pub(super) fn hash_key(&mut self, state: &str, key: &[Value], ty: &Ty) -> Value {
        let widths: Vec<Width> = key_parts(ty, self.program).into_iter().map(|(_, width)| width).collect();
        let words = self.packed(key, &widths);
        let seed = self.ins(Op::Seed);
        let salt = self.int(salt(state));
        let first = self.binary(BinaryOp::Add, seed, salt);
        let one = self.int(1);
        let step = self.binary(BinaryOp::Shl, first, one);
        let (mut secret, mut sum) = (first, None);
        for word in words {
            let mixed = self.binary(BinaryOp::Xor, secret, word);
            let mixed = self.mix(mixed);
            sum = Some(match sum {
                Some(sum) => self.binary(BinaryOp::Add, sum, mixed),
                None => mixed,
            });
            secret = self.binary(BinaryOp::Add, secret, step);
        }
        sum.unwrap_or(first)
    }

    /// The hash of a value that a cell of a state counts.
    pub(super) fn hash_value(&mut self, state: &str, value: &Expr, ty: &Ty) -> Option<Value> {
        let scalars = self.expr(value)?;
        let scalars: Vec<Value> = scalars.into_iter().map(|scalar| self.as_int(scalar)).collect();
        Some(self.hash_key(state, &scalars, ty))
    }

    /// The scalars in as few words as they fit in.
    fn packed(&mut self, scalars: &[Value], widths: &[Width]) -> Vec<Value> {
        let mut order: Vec<usize> = (0..scalars.len().min(widths.len())).collect();
        order.sort_by_key(|&at| Reverse(widths[at].bits()));
        let mut words = Vec::new();
        let mut open: Option<(Value, u32)> = None;
        for at in order {
            let (scalar, bits) = (scalars[at], widths[at].bits());
            open = Some(match open {
                Some((word, used)) if used + bits <= 64 => {
                    let shift = self.int(u64::from(used));
                    let shifted = self.binary(BinaryOp::Shl, scalar, shift);
                    (self.binary(BinaryOp::Or, word, shifted), used + bits)
                }
                Some((word, _)) => {
                    words.push(word);
                    (scalar, bits)
                }
                None => (scalar, bits),
            });
        }
        words.extend(open.map(|(word, _)| word));
        words
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

    /// Another hash of the same key.
    pub(super) fn hash_again(&mut self, hash: Value, number: u64) -> Value {
        let step = self.int(GOLDEN.wrapping_mul(number));
        let next = self.binary(BinaryOp::Add, hash, step);
        self.mix(next)
    }

    /// A number below `count`, at most 2^32, from a number of 32 bits.
    pub(super) fn below(&mut self, bits: Value, count: u64) -> Value {
        let count = self.int(count);
        let product = self.binary(BinaryOp::Mul, bits, count);
        let half = self.int(32);
        self.binary(BinaryOp::UShr, product, half)
    }

    /// The upper and the lower 32 bits.
    pub(super) fn halves(&mut self, word: Value) -> (Value, Value) {
        let (half, mask) = (self.int(32), self.int(u64::from(u32::MAX)));
        (self.binary(BinaryOp::UShr, word, half), self.binary(BinaryOp::And, word, mask))
    }
}
