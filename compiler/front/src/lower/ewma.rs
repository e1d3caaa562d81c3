//! Averages that forget: `ewma`, as arithmetic on the fields of a locked entry.
//!
//! What was added `t` ago has the weight `exp(-t / time_constant)`. Fields are the `sum` of what was added and the sum of the `weight`s, both in
//! 65,536ths, and the time `at` which they are for. Then `average` is `sum / weight`, and `rate`, what is added in a second, is
//! `sum / time_constant`. One value alone is its own average; many at one instant count alike.
//!
//! Time goes in ticks of a 1,024th of a half-life, `time_constant * ln(2)`, cut off to nanoseconds. At `now`, with `d = now / tick - at` ticks since then:
//!
//! - if `d` is not 0, `sum` and `weight` are first multiplied by `2^-(d / 1024)`: shifted by the whole half-lives, and multiplied by a polynomial of the rest
//!   that is at most 0.004% off ([`HALVING`]), rounded to the nearest;
//! - `add(x)` adds `65_536 * x` and `65_536`, each at most up to `2^64 - 1`, and sets `at`.
//!
//! Nothing wraps: of `x`, what is more than `2^40 - 1` does not count. After 17 half-lives of silence nothing is left, and average and rate are 0.

use oko_ir::{BinaryOp, BlockCall, CompareOp, Op, TerminatorKind, Type, Value};

use super::body::Lowering;
use crate::check::EWMA_MAX;

/// Ticks in a half-life.
const TICKS: u64 = 1_024;

/// The factors of `1 - c1 f + c2 f^2 - c3 f^3 + c4 f^4`, which is `2^-f` from 0 to 1, as parts of 2^32. The first three are those of
/// Taylor's series; the last makes it exactly one half at 1, so that there is no step between half-lives.
const HALVING: [u64; 4] = [2_977_044_472, 1_031_764_991, 238_388_331, 36_184_164];

/// Parts in one.
const ONE: u64 = 65_536;

/// The length of a tick in nanoseconds.
fn tick(time_constant: u64) -> u64 {
    ((time_constant as f64 * std::f64::consts::LN_2) as u64 / TICKS).max(1)
}

impl Lowering<'_> {
    /// The sum and weight as they count now, and the number of the tick.
    fn ewma(&mut self, time_constant: u64, entry: Value, start: usize) -> (Value, Value, Value) {
        let now = self.ins(Op::Now);
        let length = self.int(tick(time_constant));
        let now = self.binary(BinaryOp::UDiv, now, length);
        let at = self.get(entry, start + 2);
        let values = [start, start + 1].map(|field| self.get(entry, field));
        let later = self.compare(CompareOp::ULt, at, now);
        let (join, faded) = self.block_of(&[Type::Int; 2]);
        let fade = self.block();
        // Most values come in the tick of the one before: nothing has faded.
        let (then, other) =
            (BlockCall { block: fade, args: Vec::new() }, BlockCall { block: join, args: values.to_vec() });
        self.builder.end(TerminatorKind::Branch { cond: later, then, other });

        self.builder.switch_to(fade);
        let elapsed = self.binary(BinaryOp::Sub, now, at);
        let ten = self.int(10);
        let halvings = self.binary(BinaryOp::UShr, elapsed, ten);
        let most = self.int(63);
        let halvings = self.binary(BinaryOp::UMin, halvings, most);
        let mask = self.int(TICKS - 1);
        let rest = self.binary(BinaryOp::And, elapsed, mask);
        let factor = self.halving(rest);
        let fading = values.map(|value| {
            let value = self.times(value, factor);
            self.binary(BinaryOp::UShr, value, halvings)
        });
        self.builder.jump(join, fading.to_vec());

        self.builder.switch_to(join);
        let at = self.binary(BinaryOp::UMax, at, now);
        let [sum, weight] = [0, 1].map(|index| faded.get(index).copied().unwrap_or(values[index]));
        (sum, weight, at)
    }

    /// `2^-(ticks / 1024)` as parts of 2^32, for less than 1,024 ticks.
    fn halving(&mut self, ticks: Value) -> Value {
        let ten = self.int(10);
        let [c1, c2, c3, c4] = HALVING.map(|factor| self.int(factor));
        let mut sum = c4;
        for factor in [c3, c2, c1] {
            let product = self.binary(BinaryOp::Mul, sum, ticks);
            let part = self.binary(BinaryOp::UShr, product, ten);
            sum = self.binary(BinaryOp::Sub, factor, part);
        }
        let product = self.binary(BinaryOp::Mul, sum, ticks);
        let part = self.binary(BinaryOp::UShr, product, ten);
        let one = self.int(1 << 32);
        self.binary(BinaryOp::Sub, one, part)
    }

    /// A number times a factor in parts of 2^32, at most one, rounded to the nearest.
    fn times(&mut self, value: Value, factor: Value) -> Value {
        let (half, low_bits) = (self.int(32), self.int(u64::from(u32::MAX)));
        let (high, low) =
            (self.binary(BinaryOp::UShr, value, half), self.binary(BinaryOp::And, value, low_bits));
        let high = self.binary(BinaryOp::Mul, high, factor);
        let low = self.binary(BinaryOp::Mul, low, factor);
        let round = self.int(1 << 31);
        let low = self.binary(BinaryOp::Add, low, round);
        let low = self.binary(BinaryOp::UShr, low, half);
        self.binary(BinaryOp::Add, high, low)
    }

    pub(super) fn ewma_add(
        &mut self,
        time_constant: u64,
        entry: Value,
        start: usize,
        amount: Value,
    ) -> Value {
        let (sum, weight, at) = self.ewma(time_constant, entry, start);
        let (one, most) = (self.int(ONE), self.int(EWMA_MAX));
        let amount = self.binary(BinaryOp::UMin, amount, most);
        let scaled = self.binary(BinaryOp::Mul, amount, one);
        let sum = self.add_saturating(sum, scaled);
        let weight = self.add_saturating(weight, one);
        self.set(entry, start, sum);
        self.set(entry, start + 1, weight);
        self.set(entry, start + 2, at);
        self.average(sum, weight)
    }

    pub(super) fn ewma_average(&mut self, time_constant: u64, entry: Value, start: usize) -> Value {
        let (sum, weight, _) = self.ewma(time_constant, entry, start);
        self.average(sum, weight)
    }

    /// `sum / weight`, rounded to the nearest; 0 without weight.
    fn average(&mut self, sum: Value, weight: Value) -> Value {
        let one = self.int(1);
        let half = self.binary(BinaryOp::UShr, weight, one);
        let sum = self.add_saturating(sum, half);
        let average = self.binary(BinaryOp::UDiv, sum, weight);
        // Rounding may lead beyond the greatest value that was added.
        let most = self.int(EWMA_MAX);
        self.binary(BinaryOp::UMin, average, most)
    }

    pub(super) fn ewma_rate(&mut self, time_constant: u64, entry: Value, start: usize) -> Value {
        let (sum, ..) = self.ewma(time_constant, entry, start);
        // The time constant in seconds, in the parts of the sum: 655 at least.
        let seconds = (time_constant as f64 * ONE as f64 / 1e9).round() as u64;
        let seconds = self.int(seconds.max(1));
        self.binary(BinaryOp::UDiv, sum, seconds)
    }
}
