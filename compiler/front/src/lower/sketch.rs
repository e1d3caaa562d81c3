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

use oko_ir::{BinaryOp, CompareOp, Op, Type, Value};

use super::body::Lowering;
use crate::check::SKETCH_COUNT_MAX;
use crate::geometry::SketchGeometry;
use crate::hir::StateId;

/// The bits of a word behind which the number of its bucket stands.
const COUNT_BITS: u64 = 44;

/// The bucket of time.
struct Bucket {
    /// What its words begin with, where they have it: its number, modulo 2^20.
    stamp: Value,
    /// The same of the one before.
    previous_stamp: Value,
    /// Which of the two words of a counter is its own.
    side: Value,
    /// Which is that of the one before.
    previous_side: Value,
    /// The part of the bucket before that the window covers, in 65,536ths.
    part: Value,
}

/// The least of words that belong to one bucket.
#[derive(Clone, Copy)]
struct Least {
    word: Value,
    /// What of any word is not as of the bucket.
    strange: Value,
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
        let (mut previous, mut current, mut added) = (None, None, None);
        let one = self.int(1);
        for place in places {
            let pair = self.binary(BinaryOp::Shl, place, one);
            let old = self.binary(BinaryOp::Add, pair, bucket.previous_side);
            previous = Some(self.least_of(previous, state, old, bucket.previous_stamp));
            let place = self.binary(BinaryOp::Add, pair, bucket.side);
            match amount {
                Some(amount) => added = Some(self.add_in_bucket(state, place, bucket.stamp, amount, added)),
                None => current = Some(self.least_of(current, state, place, bucket.stamp)),
            }
        }
        let Some(previous) = previous else { return Vec::new() };
        let previous = self.count_of(previous);
        let current = match (added, current) {
            (Some(word), _) => {
                let mask = self.int(SKETCH_COUNT_MAX);
                self.binary(BinaryOp::And, word, mask)
            }
            (None, Some(least)) => self.count_of(least),
            (None, None) => return Vec::new(),
        };
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
        let (one, bits) = (self.int(1), self.int(COUNT_BITS));
        let before = self.binary(BinaryOp::Sub, number, one);
        let [stamp, previous_stamp] = [number, before].map(|number| self.binary(BinaryOp::Shl, number, bits));
        let [side, previous_side] = [number, before].map(|number| self.binary(BinaryOp::And, number, one));
        let part = self.covered(now, number, length);
        Bucket { stamp, previous_stamp, side, previous_side, part }
    }

    /// The least of words, with one more.
    fn least_of(&mut self, least: Option<Least>, state: oko_ir::State, place: Value, stamp: Value) -> Least {
        let word = self.ins(Op::WordGet(state, place));
        let strange = self.binary(BinaryOp::Xor, word, stamp);
        match least {
            None => Least { word, strange },
            Some(least) => Least {
                word: self.binary(BinaryOp::UMin, least.word, word),
                strange: self.binary(BinaryOp::Or, least.strange, strange),
            },
        }
    }

    /// The least of what words count for their bucket: 0 if one is of another bucket. Of words with one stamp, the least is the one that counts least.
    fn count_of(&mut self, least: Least) -> Value {
        let (end, mask, zero) = (self.int(1 << COUNT_BITS), self.int(SKETCH_COUNT_MAX), self.int(0));
        let all_own = self.compare(CompareOp::ULt, least.strange, end);
        let count = self.binary(BinaryOp::And, least.word, mask);
        self.select(all_own, count, zero)
    }

    /// Adds to a counter of a bucket. Gives the word that it is then, or the least one so far if that is less. It is of the bucket, if no other core is in the next one
    /// already.
    fn add_in_bucket(
        &mut self,
        state: oko_ir::State,
        place: Value,
        stamp: Value,
        amount: Value,
        least: Option<Value>,
    ) -> Value {
        let (join, results) = self.block_of(&[Type::Int]);
        let [beyond, full, stale, begins, add, lost] = [(); 6].map(|()| self.block());
        let word = self.ins(Op::WordGet(state, place));
        let (half, end) = (self.int(1 << (COUNT_BITS - 1)), self.int(1 << COUNT_BITS));
        // What a word of the bucket counts; more than any count if it is of another one.
        let count = self.binary(BinaryOp::Sub, word, stamp);
        let room = self.compare(CompareOp::ULt, count, half);
        self.branch(room, add, beyond);

        self.builder.switch_to(beyond);
        let own = self.compare(CompareOp::ULt, count, end);
        self.branch(own, full, stale);

        self.builder.switch_to(stale);
        let begun = self.binary(BinaryOp::Or, stamp, amount);
        let before = self.ins(Op::WordCas(state, place, word, begun));
        let won = self.compare(CompareOp::Eq, before, word);
        self.branch(won, begins, lost);

        self.builder.switch_to(lost);
        let count = self.binary(BinaryOp::Sub, before, stamp);
        let own = self.compare(CompareOp::ULt, count, end);
        self.branch(own, add, begins);

        self.builder.switch_to(add);
        let sum = self.ins(Op::WordAdd(state, place, amount));
        for (block, word) in [(add, sum), (full, word), (begins, begun)] {
            if block != add {
                self.builder.switch_to(block);
            }
            let least = self.least(least, word);
            self.builder.jump(join, vec![least]);
        }

        self.builder.switch_to(join);
        results.first().copied().unwrap_or(sum)
    }
}
