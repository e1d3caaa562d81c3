//! Cells: counters, sliding windows and token buckets, as arithmetic on the fields of a locked entry.
//!
//! All numbers are unsigned and have 64 bits; nothing below can wrap.
//!
//! **counter**: field `count`. `add(n)` makes it `min(count + n, 2^64 - 1)` and answers that; `total` is `count`.
//!
//! **window** of `W` nanoseconds: time is cut into buckets of `W`, numbered from the clock's zero; fields are the `number` of the
//! current bucket, the count `current` in it and the count `previous` in the one before. At `now`, with `n = now / W`:
//!
//! - if `number >= n`, the counts are as they are; if `number + 1 = n`, `previous` is what `current` was and `current` is 0;
//!   otherwise both are 0;
//! - the part of the bucket before that the window still covers, in 65,536ths, is `part = ((W - now mod W) * 65536) / W`, rounded down;
//! - `total = current + (previous * part) / 65536`, rounded down;
//! - `add(m)` makes `current` `min(current + m, 2^48 - 1)`, `number` the greater of `number` and `n`, and answers the total with it.
//!
//! So a burst is forgotten between `W` and `2 W` after it came, and steady traffic is counted exactly up to rounding.
//!
//! **tokens** with `rate` a second and `burst`: fields are the `level` in billionths of a token and the time `at` of the last
//! take. A bucket that was never taken from (`at = 0`; no packet comes at time 0) is full: `burst * 10^9`. `take(n)` at `now`:
//!
//! - `level` is first lowered to `burst * 10^9` if the burst was made smaller, then raised by `(now - at) * rate`, at most to
//!   `burst * 10^9`;
//! - if it is at least `n * 10^9`, it is lowered by that and the answer is true; otherwise it stays and the answer is false.
//!
//! The params count as they are when the packet comes. Every take is a write, also one that fails.
//!
//! **ewma** and **distinct** have files of their own.

use oko_ir::{BinaryOp, CompareOp, Op, Type, Unlock, Value};

use super::body::{Frame, Lowering};
use crate::check::WINDOW_COUNT_MAX;
use crate::hir::{CellKind, CellOp, StateDef, StateId};
use crate::types::Ty;

/// Billionths in a token, and nanoseconds in a second.
const BILLION: u64 = 1_000_000_000;

impl Lowering<'_> {
    /// An operation of the cell whose scalars begin at `start`; `of` is the type of what is given to it.
    #[expect(clippy::too_many_arguments, reason = "they are what an operation is")]
    pub(super) fn cell(
        &mut self,
        state: StateId,
        def: &StateDef,
        key: Vec<Value>,
        (start, kind): (usize, CellKind),
        of: &Ty,
        op: &CellOp,
        ty: &Ty,
    ) -> Option<Vec<Value>> {
        match op {
            CellOp::Total | CellOp::Average | CellOp::Rate => {
                self.read_cell(state, def, key, (start, kind), matches!(op, CellOp::Rate))
            }
            CellOp::Add(amount) | CellOp::Take(amount) => {
                let amount = self.one(amount)?;
                self.write_cell(state, def, key, (start, kind), amount, ty)
            }
            CellOp::Insert(value) => {
                let hash = self.hash_value(&def.name, value, of)?;
                self.write_cell(state, def, key, (start, kind), hash, ty)
            }
        }
    }

    /// What a cell says; 0 without an entry. The fields of a dead entry are zero, and so is what they say.
    fn read_cell(
        &mut self,
        state: StateId,
        def: &StateDef,
        key: Vec<Value>,
        (start, kind): (usize, CellKind),
        rate: bool,
    ) -> Option<Vec<Value>> {
        let (join, results) = self.block_of(&[Type::Int]);
        let (found, given) = self.block_of(&[Type::Entry(oko_ir::State(state.0))]);
        let absent = self.block();
        self.find(state, key, found, absent);
        self.builder.switch_to(absent);
        let zero = self.int(0);
        self.builder.jump(join, vec![zero]);
        self.builder.switch_to(found);
        let entry = *given.first()?;
        self.ins(Op::Lock(entry));
        let total = match kind {
            CellKind::Window => {
                let counts = self.window(def.window, entry, start);
                self.window_total(&counts)
            }
            CellKind::Ewma if rate => self.ewma_rate(def.time_constant, entry, start),
            CellKind::Ewma => self.ewma_average(def.time_constant, entry, start),
            CellKind::Distinct => self.distinct_total(entry, start),
            CellKind::Counter | CellKind::Tokens => self.get(entry, start),
        };
        self.effect(Op::Unlock(entry, Unlock::Keep));
        self.builder.jump(join, vec![total]);
        self.builder.switch_to(join);
        Some(results)
    }

    /// An operation that makes the entry if need be.
    fn write_cell(
        &mut self,
        state: StateId,
        def: &StateDef,
        key: Vec<Value>,
        (start, kind): (usize, CellKind),
        amount: Value,
        ty: &Ty,
    ) -> Option<Vec<Value>> {
        let optional = matches!(ty, Ty::Option(_));
        let types = self.types(ty);
        let (join, results) = self.block_of(&types);
        let (found, given) = self.block_of(&[Type::Entry(oko_ir::State(state.0))]);
        let full = self.block();
        self.slot(state, key, found, full);

        self.builder.switch_to(full);
        let without = if optional {
            self.zeros(ty)
        } else {
            // No room could be made at all: the answer is that of a new entry.
            match kind {
                CellKind::Tokens => vec![self.take_from_full(def, amount)?],
                CellKind::Distinct => vec![self.int(1)],
                CellKind::Counter | CellKind::Window => vec![amount],
                CellKind::Ewma => {
                    let most = self.int(crate::check::EWMA_MAX);
                    vec![self.binary(BinaryOp::UMin, amount, most)]
                }
            }
        };
        self.builder.jump(join, without);

        self.builder.switch_to(found);
        let entry = *given.first()?;
        self.ins(Op::Lock(entry));
        let result = match kind {
            CellKind::Counter => {
                let count = self.get(entry, start);
                let sum = self.add_saturating(count, amount);
                self.set(entry, start, sum);
                sum
            }
            CellKind::Window => self.window_add(def.window, entry, start, amount),
            CellKind::Tokens => self.take(def, entry, start, amount)?,
            CellKind::Ewma => self.ewma_add(def.time_constant, entry, start, amount),
            CellKind::Distinct => self.distinct_insert(def.registers, entry, start, amount),
        };
        self.touch(def, entry, &[]);
        let mut scalars = vec![result];
        if optional {
            scalars.insert(0, self.bool(true));
        }
        self.builder.jump(join, scalars);
        self.builder.switch_to(join);
        Some(results)
    }

    /// What a window counts at this instant.
    fn window(&mut self, length: u64, entry: Value, start: usize) -> Counts {
        let now = self.ins(Op::Now);
        let length = self.int(length);
        let number = self.binary(BinaryOp::UDiv, now, length);
        let (old, current, previous) =
            (self.get(entry, start), self.get(entry, start + 1), self.get(entry, start + 2));
        let same = self.compare(CompareOp::ULe, number, old);
        let one = self.int(1);
        let after_old = self.binary(BinaryOp::Add, old, one);
        let next = self.compare(CompareOp::Eq, after_old, number);
        let zero = self.int(0);
        let moved = self.select(next, current, zero);
        let previous = self.select(same, previous, moved);
        let current = self.select(same, current, zero);
        let part = self.covered(now, number, length);
        let number = self.binary(BinaryOp::UMax, old, number);
        Counts { number, current, previous, part }
    }

    /// How much of the bucket of time before number `number` a window still covers, in 65,536ths.
    pub(super) fn covered(&mut self, now: Value, number: Value, length: Value) -> Value {
        let begin = self.binary(BinaryOp::Mul, number, length);
        let elapsed = self.binary(BinaryOp::Sub, now, begin);
        let left = self.binary(BinaryOp::Sub, length, elapsed);
        let sixteen = self.int(16);
        let scaled = self.binary(BinaryOp::Shl, left, sixteen);
        self.binary(BinaryOp::UDiv, scaled, length)
    }

    fn window_total(&mut self, counts: &Counts) -> Value {
        let weighted = self.binary(BinaryOp::Mul, counts.previous, counts.part);
        let sixteen = self.int(16);
        let covered = self.binary(BinaryOp::UShr, weighted, sixteen);
        self.binary(BinaryOp::Add, counts.current, covered)
    }

    fn window_add(&mut self, length: u64, entry: Value, start: usize, amount: Value) -> Value {
        let mut counts = self.window(length, entry, start);
        // Both are below 2^48.
        let sum = self.binary(BinaryOp::Add, counts.current, amount);
        let most = self.int(WINDOW_COUNT_MAX);
        counts.current = self.binary(BinaryOp::UMin, sum, most);
        self.set(entry, start, counts.number);
        self.set(entry, start + 1, counts.current);
        self.set(entry, start + 2, counts.previous);
        self.window_total(&counts)
    }

    /// The rate of a token bucket and how much it holds, in billionths.
    fn bucket(&mut self, def: &StateDef) -> Option<(Value, Value)> {
        let init = def.tokens.as_ref()?;
        let frame = Frame::new(0, &[], None);
        let (rate, burst) = self.in_frame(frame, |lowering| {
            lowering.under_lock(|lowering| Some((lowering.one(&init.rate)?, lowering.one(&init.burst)?)))
        })?;
        let billion = self.int(BILLION);
        Some((rate, self.binary(BinaryOp::Mul, burst, billion)))
    }

    fn take_from_full(&mut self, def: &StateDef, amount: Value) -> Option<Value> {
        let (_, most) = self.bucket(def)?;
        let billion = self.int(BILLION);
        let needed = self.binary(BinaryOp::Mul, amount, billion);
        Some(self.compare(CompareOp::ULe, needed, most))
    }

    fn take(&mut self, def: &StateDef, entry: Value, start: usize, amount: Value) -> Option<Value> {
        let (rate, most) = self.bucket(def)?;
        let (level, at) = (self.get(entry, start), self.get(entry, start + 1));
        let now = self.ins(Op::Now);
        let zero = self.int(0);
        let fresh = self.compare(CompareOp::Eq, at, zero);
        let level = self.select(fresh, most, level);
        let level = self.binary(BinaryOp::UMin, level, most);
        let elapsed = self.sub_saturating(now, at);
        // `elapsed * rate` is only used where it is at most `missing`, so it does not wrap there.
        let missing = self.binary(BinaryOp::Sub, most, level);
        let until_full = self.binary(BinaryOp::UDiv, missing, rate);
        let fills = self.compare(CompareOp::ULt, until_full, elapsed);
        let gained = self.binary(BinaryOp::Mul, elapsed, rate);
        let gained = self.select(fills, missing, gained);
        let level = self.binary(BinaryOp::Add, level, gained);
        let billion = self.int(BILLION);
        let needed = self.binary(BinaryOp::Mul, amount, billion);
        let enough = self.compare(CompareOp::ULe, needed, level);
        let lower = self.binary(BinaryOp::Sub, level, needed);
        let level = self.select(enough, lower, level);
        let at = self.binary(BinaryOp::UMax, at, now);
        self.set(entry, start, level);
        self.set(entry, start + 1, at);
        Some(enough)
    }
}

/// The counts of a window at an instant.
struct Counts {
    number: Value,
    current: Value,
    previous: Value,
    /// How much of the bucket before the window covers, in 65,536ths.
    part: Value,
}
