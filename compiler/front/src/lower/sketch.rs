//! Sketches: count-min (Cormode, Muthukrishnan 2005), as steps on bare words.
//!
//! There are `rows` rows of `width` counters. Of the key's hashes ([`super::hash`]), the upper 32 bits `b` of one each choose a counter in a row: the one
//! number `b * width / 2^32`. `add(n)` adds `n` to the key's counter in each row; the estimate is the least of these
//! counters. Other keys can only have added to them, so it is never too low.
//!
//! With a window of length `W` each counter is two words side by side, in one cache line, for buckets of time of even and of odd number, as in a `window` cell. A word is then
//! the number of its bucket, modulo 2^20, in the high 20 bits and a count in the low 44; a word of another bucket counts as 0, so that
//! nobody has to clear a bucket. With `n = now / W`, the estimate is `current + previous * part / 65536`: the least of
//! the counters of bucket `n`, the least of those of bucket `n - 1`, and the part of that bucket which the window still covers. Who meets a word of another bucket
//! replaces it in one step; who is beaten to it adds to what is there then. A count of 2^43 or more stays.
//!
//! Every step is atomic, and nobody waits. All steps of one `add` together are not one step: meanwhile another core may see some rows with it and some without; both
//! are counts that there were.

use oko_ir::{BinaryOp, BlockCall, CompareOp, Op, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::check::SKETCH_COUNT_MAX;
use crate::geometry::SketchGeometry;
use crate::hir::StateId;

/// The bits of a word behind which the number of its bucket stands.
const COUNT_BITS: u64 = 44;

/// The bucket of time.
struct Bucket {
    /// Its number, modulo 2^20.
    tag: Value,
    /// The number of the one before.
    previous: Value,
    /// Which of the two words of a counter is its own.
    side: Value,
    /// Which is that of the one before.
    previous_side: Value,
    /// The part of the bucket before that the window covers, in 65,536ths.
    part: Value,
}

impl Lowering<'_> {
    /// Adds an amount to what is counted under a key's hash, if there is one; the new estimate.
    pub(super) fn sketch(
        &mut self,
        state: StateId,
        geometry: &SketchGeometry,
        hash: Value,
        amount: Option<Value>,
    ) -> Vec<Value> {
        let places = self.places(geometry, hash);
        let state = oko_ir::State(state.0);
        let Some(window) = geometry.window else {
            let mut least: Option<Value> = None;
            for place in places {
                let count = match amount {
                    Some(amount) => self.ins(Op::WordAdd(state, place, amount)),
                    None => self.ins(Op::WordGet(state, place)),
                };
                least = Some(self.least(least, count));
            }
            return least.into_iter().collect();
        };
        let bucket = self.bucket_of(window);
        let (mut current, mut previous) = (None, None);
        let one = self.int(1);
        for place in places {
            let pair = self.binary(BinaryOp::Shl, place, one);
            let old = self.binary(BinaryOp::Add, pair, bucket.previous_side);
            let old = self.ins(Op::WordGet(state, old));
            let old = self.count_of(old, bucket.previous);
            previous = Some(self.least(previous, old));
            let place = self.binary(BinaryOp::Add, pair, bucket.side);
            let count = match amount {
                Some(amount) => self.add_in_bucket(state, place, bucket.tag, amount),
                None => {
                    let word = self.ins(Op::WordGet(state, place));
                    self.count_of(word, bucket.tag)
                }
            };
            current = Some(self.least(current, count));
        }
        let (Some(current), Some(previous)) = (current, previous) else { return Vec::new() };
        let weighted = self.binary(BinaryOp::Mul, previous, bucket.part);
        let sixteen = self.int(16);
        let covered = self.binary(BinaryOp::UShr, weighted, sixteen);
        vec![self.binary(BinaryOp::Add, current, covered)]
    }

    fn least(&mut self, least: Option<Value>, count: Value) -> Value {
        match least {
            Some(least) => self.binary(BinaryOp::UMin, least, count),
            None => count,
        }
    }

    /// The number of a key's counter in each row.
    fn places(&mut self, geometry: &SketchGeometry, hash: Value) -> Vec<Value> {
        let mut places = Vec::new();
        let mut hash = hash;
        for row in 0..geometry.rows {
            if row > 0 {
                hash = self.next_hash(hash);
            }
            let column = self.choice(hash, u64::from(geometry.width));
            let start = self.int(u64::from(row) * u64::from(geometry.width));
            places.push(self.binary(BinaryOp::Add, column, start));
        }
        places
    }

    fn bucket_of(&mut self, window: u64) -> Bucket {
        let now = self.ins(Op::Now);
        let length = self.int(window);
        let number = self.binary(BinaryOp::UDiv, now, length);
        let (one, mask) = (self.int(1), self.int((1 << (64 - COUNT_BITS)) - 1));
        let before = self.binary(BinaryOp::Sub, number, one);
        let tag = self.binary(BinaryOp::And, number, mask);
        let previous = self.binary(BinaryOp::And, before, mask);
        let [side, previous_side] = [number, before].map(|number| self.binary(BinaryOp::And, number, one));
        let part = self.covered(now, number, length);
        Bucket { tag, previous, side, previous_side, part }
    }

    /// What a word counts for a bucket.
    fn count_of(&mut self, word: Value, tag: Value) -> Value {
        let (bits, mask, zero) = (self.int(COUNT_BITS), self.int(SKETCH_COUNT_MAX), self.int(0));
        let found = self.binary(BinaryOp::UShr, word, bits);
        let same = self.compare(CompareOp::Eq, found, tag);
        let count = self.binary(BinaryOp::And, word, mask);
        self.select(same, count, zero)
    }

    /// Adds to a counter of a bucket and gives what it counts then.
    fn add_in_bucket(&mut self, state: oko_ir::State, place: Value, tag: Value, amount: Value) -> Value {
        let (join, results) = self.block_of(&[Type::Int]);
        let (known, stale, add, lost) = (self.block(), self.block(), self.block(), self.block());
        let to = |block, args| BlockCall { block, args };
        let word = self.ins(Op::WordGet(state, place));
        let (bits, mask) = (self.int(COUNT_BITS), self.int(SKETCH_COUNT_MAX));
        let found = self.binary(BinaryOp::UShr, word, bits);
        let same = self.compare(CompareOp::Eq, found, tag);
        self.branch(same, known, stale);

        self.builder.switch_to(known);
        let count = self.binary(BinaryOp::And, word, mask);
        let half = self.int(1 << (COUNT_BITS - 1));
        let room = self.compare(CompareOp::ULt, count, half);
        let (then, other) = (to(add, Vec::new()), to(join, vec![count]));
        self.builder.end(TerminatorKind::Branch { cond: room, then, other });

        self.builder.switch_to(stale);
        let begun = self.binary(BinaryOp::Shl, tag, bits);
        let begun = self.binary(BinaryOp::Or, begun, amount);
        let before = self.ins(Op::WordCas(state, place, word, begun));
        let won = self.compare(CompareOp::Eq, before, word);
        let (then, other) = (to(join, vec![amount]), to(lost, Vec::new()));
        self.builder.end(TerminatorKind::Branch { cond: won, then, other });

        self.builder.switch_to(lost);
        let found = self.binary(BinaryOp::UShr, before, bits);
        let same = self.compare(CompareOp::Eq, found, tag);
        let (then, other) = (to(add, Vec::new()), to(join, vec![amount]));
        self.builder.end(TerminatorKind::Branch { cond: same, then, other });

        self.builder.switch_to(add);
        let word = self.ins(Op::WordAdd(state, place, amount));
        let count = self.binary(BinaryOp::And, word, mask);
        self.builder.jump(join, vec![count]);

        self.builder.switch_to(join);
        results.first().copied().unwrap_or(amount)
    }
}
