//! Bloom filters (Bloom 1970), as steps on bare words.
//!
//! A key has `k` bits among `bits`. Of its hashes ([`super::hash`]), the upper 32 bits `b` of one each choose a bit: the one number `b * bits / 2^32`. A key that was inserted has all its bits set; one that was not has them
//! all set by others at the declared rate.
//!
//! With `expire: E`, time is cut into generations of length `E`, and there are two sets of bits, for generations of even and of odd
//! number. A key is set in the current one and found in the current or the one before: so it is remembered for `E` at least and `2 E`
//! at most. A word is the number of its generation, modulo 2^16, in the high 16 bits, and 48 bits for keys; a word of another generation counts as
//! empty, so that nobody has to clear one. Who meets such a word replaces it in one step; who is beaten to it sets its bit in what
//! is there then.

use oko_ir::{BinaryOp, BlockCall, BoolOp, CompareOp, Op, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::geometry::{AGEING_BITS, BloomGeometry};
use crate::hir::StateId;

/// A key's bit: the number of its word, and the bit in it.
type Place = (Value, Value);

/// The generation of time.
struct Generation {
    /// Its number, modulo 2^16, where a word has it.
    tag: Value,
    /// The same of the one before.
    previous: Value,
    /// Where its words begin.
    base: Value,
    /// Where those of the one before begin.
    previous_base: Value,
}

impl Lowering<'_> {
    /// Whether the key of a hash was inserted, as a bool; with `insert`, it is from now on.
    pub(super) fn bloom(
        &mut self,
        state: StateId,
        geometry: &BloomGeometry,
        hash: Value,
        insert: bool,
    ) -> Value {
        let places = self.bits_of(geometry, hash);
        let state = oko_ir::State(state.0);
        let Some(expire) = geometry.expire else {
            let mut all = None;
            for (word, bit) in places {
                let there =
                    if insert { self.set_bit(state, word, bit) } else { self.has_bit(state, word, bit) };
                all = Some(self.both(all, there));
            }
            return all.unwrap_or_else(|| self.bool(false));
        };
        let generation = self.generation(geometry, expire);
        let (mut now, mut before) = (None, None);
        for (word, bit) in places {
            let old = self.binary(BinaryOp::Add, generation.previous_base, word);
            let there = self.has_bit_of(state, old, bit, generation.previous);
            before = Some(self.both(before, there));
            let word = self.binary(BinaryOp::Add, generation.base, word);
            let there = if insert {
                self.set_bit_of(state, word, bit, generation.tag)
            } else {
                self.has_bit_of(state, word, bit, generation.tag)
            };
            now = Some(self.both(now, there));
        }
        match (now, before) {
            (Some(now), Some(before)) => self.ins(Op::Bool(BoolOp::Or, now, before)),
            _ => self.bool(false),
        }
    }

    fn both(&mut self, all: Option<Value>, one: Value) -> Value {
        match all {
            Some(all) => self.ins(Op::Bool(BoolOp::And, all, one)),
            None => one,
        }
    }

    /// The key's bits, within one generation.
    fn bits_of(&mut self, geometry: &BloomGeometry, hash: Value) -> Vec<Place> {
        let mut places = Vec::new();
        let mut next = hash;
        for at in 0..geometry.hashes {
            if at > 0 {
                next = self.next_hash(next);
            }
            let bit = self.choice(next, geometry.bits);
            let in_word = self.int(u64::from(geometry.word_bits()));
            let word = self.binary(BinaryOp::UDiv, bit, in_word);
            let number = self.binary(BinaryOp::URem, bit, in_word);
            let one = self.int(1);
            places.push((word, self.binary(BinaryOp::Shl, one, number)));
        }
        places
    }

    fn generation(&mut self, geometry: &BloomGeometry, expire: u64) -> Generation {
        let now = self.ins(Op::Now);
        let (length, one) = (self.int(expire), self.int(1));
        let number = self.binary(BinaryOp::UDiv, now, length);
        let before = self.binary(BinaryOp::Sub, number, one);
        let (shift, words) =
            (self.int(u64::from(AGEING_BITS)), self.int(u64::from(geometry.generation_words())));
        let [(tag, base), (previous, previous_base)] = [number, before].map(|number| {
            let tag = self.binary(BinaryOp::Shl, number, shift);
            let parity = self.binary(BinaryOp::And, number, one);
            (tag, self.binary(BinaryOp::Mul, parity, words))
        });
        Generation { tag, previous, base, previous_base }
    }

    /// Whether a word has a bit.
    fn has(&mut self, word: Value, bit: Value) -> Value {
        let found = self.binary(BinaryOp::And, word, bit);
        self.compare(CompareOp::Eq, found, bit)
    }

    /// Whether a word is of a generation.
    fn is_of(&mut self, word: Value, tag: Value) -> Value {
        let differ = self.binary(BinaryOp::Xor, word, tag);
        let least = self.int(1 << AGEING_BITS);
        self.compare(CompareOp::ULt, differ, least)
    }

    fn has_bit(&mut self, state: oko_ir::State, place: Value, bit: Value) -> Value {
        let word = self.ins(Op::WordGet(state, place));
        self.has(word, bit)
    }

    fn has_bit_of(&mut self, state: oko_ir::State, place: Value, bit: Value, tag: Value) -> Value {
        let word = self.ins(Op::WordGet(state, place));
        let (same, has) = (self.is_of(word, tag), self.has(word, bit));
        self.ins(Op::Bool(BoolOp::And, same, has))
    }

    /// Sets a bit; whether it was set. A bit that is set already costs no write.
    fn set_bit(&mut self, state: oko_ir::State, place: Value, bit: Value) -> Value {
        let (join, results) = self.block_of(&[Type::Bool]);
        let missing = self.block();
        let has = self.has_bit(state, place, bit);
        let (then, other) =
            (BlockCall { block: join, args: vec![has] }, BlockCall { block: missing, args: Vec::new() });
        self.builder.end(TerminatorKind::Branch { cond: has, then, other });
        self.builder.switch_to(missing);
        let before = self.ins(Op::WordOr(state, place, bit));
        let had = self.has(before, bit);
        self.builder.jump(join, vec![had]);
        self.builder.switch_to(join);
        results.first().copied().unwrap_or(has)
    }

    /// Sets a bit in a generation; whether it was set.
    fn set_bit_of(&mut self, state: oko_ir::State, place: Value, bit: Value, tag: Value) -> Value {
        let (join, results) = self.block_of(&[Type::Bool]);
        let (known, stale, lost, set) = (self.block(), self.block(), self.block(), self.block());
        let to = |block, args| BlockCall { block, args };
        let word = self.ins(Op::WordGet(state, place));
        let same = self.is_of(word, tag);
        self.branch(same, known, stale);

        self.builder.switch_to(known);
        let has = self.has(word, bit);
        let (then, other) = (to(join, vec![has]), to(set, Vec::new()));
        self.builder.end(TerminatorKind::Branch { cond: has, then, other });

        self.builder.switch_to(stale);
        let begun = self.binary(BinaryOp::Or, tag, bit);
        let before = self.ins(Op::WordCas(state, place, word, begun));
        let won = self.compare(CompareOp::Eq, before, word);
        let no = self.bool(false);
        let (then, other) = (to(join, vec![no]), to(lost, Vec::new()));
        self.builder.end(TerminatorKind::Branch { cond: won, then, other });

        self.builder.switch_to(lost);
        let same = self.is_of(before, tag);
        let no = self.bool(false);
        let (then, other) = (to(set, Vec::new()), to(join, vec![no]));
        self.builder.end(TerminatorKind::Branch { cond: same, then, other });

        self.builder.switch_to(set);
        let before = self.ins(Op::WordOr(state, place, bit));
        let had = self.has(before, bit);
        self.builder.jump(join, vec![had]);

        self.builder.switch_to(join);
        results.first().copied().unwrap_or(same)
    }
}
