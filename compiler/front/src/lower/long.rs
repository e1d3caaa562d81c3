//! Products and quotients of integers of more than 64 bits, by the methods of paper: digit by digit.

use oko_ir::{BinaryOp, CompareOp, Type, Value};

use super::body::Lowering;
use super::wide::Wide;

/// The bits of a digit in a product, or in a quotient by one digit.
const DIGIT: u32 = 32;

impl Lowering<'_> {
    /// `a * b`, of which nothing is above 128 bits; the greatest values that they can have are given.
    pub(super) fn wide_product(&mut self, a: Wide, b: Wide, a_most: u128, b_most: u128) -> Wide {
        let word = |most: u128| most <= u128::from(u64::MAX);
        let (mut high, low) = self.product(a.1, b.1);
        // The products with a high word lie above the low one; that of both high words would be above 128 bits.
        if !word(a_most) {
            let above = self.binary(BinaryOp::Mul, a.0, b.1);
            high = self.binary(BinaryOp::Add, high, above);
        }
        if !word(b_most) {
            let above = self.binary(BinaryOp::Mul, a.1, b.0);
            high = self.binary(BinaryOp::Add, high, above);
        }
        (high, low)
    }

    /// The whole product of two words.
    fn product(&mut self, a: Value, b: Value) -> Wide {
        let (a_high, a_low) = self.digits(a);
        let (b_high, b_low) = self.digits(b);
        let low = self.binary(BinaryOp::Mul, a_low, b_low);
        let cross = self.binary(BinaryOp::Mul, a_high, b_low);
        let other = self.binary(BinaryOp::Mul, a_low, b_high);
        let high = self.binary(BinaryOp::Mul, a_high, b_high);
        // What lies above the lowest digit: less than three times 2^32, so it does not wrap.
        let (cross_high, cross_low) = self.digits(cross);
        let (other_high, other_low) = self.digits(other);
        let (carry, lowest) = self.digits(low);
        let middle = self.binary(BinaryOp::Add, carry, cross_low);
        let middle = self.binary(BinaryOp::Add, middle, other_low);
        let (carry, _) = self.digits(middle);
        let middle = self.word_up(middle, DIGIT);
        let low = self.binary(BinaryOp::Or, middle, lowest);
        let high = self.binary(BinaryOp::Add, high, cross_high);
        let high = self.binary(BinaryOp::Add, high, other_high);
        (self.binary(BinaryOp::Add, high, carry), low)
    }

    /// A word's two digits, the high one first.
    fn digits(&mut self, word: Value) -> Wide {
        (self.word_down(word, DIGIT), self.masked(word, DIGIT))
    }

    /// `a / b` and `a mod b`, where `b` is not 0 and at most `most`.
    pub(super) fn wide_quotient(&mut self, a: Wide, b: Wide, most: u128) -> (Wide, Wide) {
        if most < 1 << DIGIT { self.by_digit(a, b.1) } else { self.by_bits(a, b) }
    }

    /// The same by a number of one digit: a remainder and the next digit fit in a word.
    fn by_digit(&mut self, a: Wide, by: Value) -> (Wide, Wide) {
        let high = self.binary(BinaryOp::UDiv, a.0, by);
        let rest = self.binary(BinaryOp::URem, a.0, by);
        let (first, second) = self.digits(a.1);
        let (upper, rest) = self.next_digit(rest, first, by);
        let (lower, rest) = self.next_digit(rest, second, by);
        let upper = self.word_up(upper, DIGIT);
        let low = self.binary(BinaryOp::Or, upper, lower);
        let zero = self.int(0);
        ((high, low), (zero, rest))
    }

    fn next_digit(&mut self, rest: Value, digit: Value, by: Value) -> (Value, Value) {
        let rest = self.word_up(rest, DIGIT);
        let part = self.binary(BinaryOp::Or, rest, digit);
        (self.binary(BinaryOp::UDiv, part, by), self.binary(BinaryOp::URem, part, by))
    }

    /// The same by any number: the high word at once, the bits of the low one by one.
    fn by_bits(&mut self, a: Wide, by: Wide) -> (Wide, Wide) {
        let zero = self.int(0);
        let one = self.int(1);
        // A number of two words is more than the high word, which is the first remainder then.
        let is_word = self.compare(CompareOp::Eq, by.0, zero);
        // Only used if it is the whole number, which is not 0.
        let word = self.binary(BinaryOp::UMax, by.1, one);
        let quotient = self.binary(BinaryOp::UDiv, a.0, word);
        let remainder = self.binary(BinaryOp::URem, a.0, word);
        let high = self.select(is_word, quotient, zero);
        let rest = self.select(is_word, remainder, a.0);
        let (rest_high, rest_low, low) = self.bit_by_bit((zero, rest), a.1, by);
        ((high, low), (rest_high, rest_low))
    }

    /// 64 turns: each takes a bit of the low word to the remainder and puts a bit of the quotient in its place.
    fn bit_by_bit(&mut self, rest: Wide, low: Value, by: Wide) -> (Value, Value, Value) {
        const TURNS: u32 = 64;
        if !self.may_loop() {
            let mut at = (rest.0, rest.1, low);
            for _ in 0..TURNS {
                at = self.one_bit(at, by);
            }
            return at;
        }
        let types = [Type::Int; 3];
        let (exit, results) = self.block_of(&types);
        self.repeated(TURNS, vec![rest.0, rest.1, low], &types, exit, |lowering, _, at| {
            let next = lowering.one_bit((at[0], at[1], at[2]), by);
            Some(vec![next.0, next.1, next.2])
        });
        self.builder.switch_to(exit);
        (results[0], results[1], results[2])
    }

    /// One turn, without a branch: the kernel's verifier follows each of them, in each turn, and gives up.
    fn one_bit(&mut self, (high, low, digits): (Value, Value, Value), by: Wide) -> (Value, Value, Value) {
        let over = self.word_down(high, 63);
        let up = self.word_down(low, 63);
        let high = self.word_up(high, 1);
        let high = self.binary(BinaryOp::Or, high, up);
        let next = self.word_down(digits, 63);
        let low = self.word_up(low, 1);
        let low = self.binary(BinaryOp::Or, low, next);
        let digits = self.word_up(digits, 1);
        // The remainder before was less than the divisor, so twice that is at most once too large, if need be by its bit above 128.
        let zero = self.int(0);
        let one = self.int(1);
        let (low_less, borrow) = self.borrowing(low, by.1, zero);
        let (high_less, borrow) = self.borrowing(high, by.0, borrow);
        let fits = self.binary(BinaryOp::Xor, borrow, one);
        let bit = self.binary(BinaryOp::Or, over, fits);
        let digits = self.binary(BinaryOp::Or, digits, bit);
        let all = self.binary(BinaryOp::Sub, zero, bit);
        (self.blend(all, high_less, high), self.blend(all, low_less, low), digits)
    }

    /// `a - b - borrow`, and whether that is negative, as 0 or 1 (Warren, *Hacker's Delight*, section 2-16).
    fn borrowing(&mut self, a: Value, b: Value, borrow: Value) -> (Value, Value) {
        let difference = self.binary(BinaryOp::Sub, a, b);
        let difference = self.binary(BinaryOp::Sub, difference, borrow);
        let ones = self.int(u64::MAX);
        let not_a = self.binary(BinaryOp::Xor, a, ones);
        let less = self.binary(BinaryOp::And, not_a, b);
        let alike = self.binary(BinaryOp::Or, not_a, b);
        let alike = self.binary(BinaryOp::And, alike, difference);
        let sign = self.binary(BinaryOp::Or, less, alike);
        (difference, self.word_down(sign, 63))
    }

    /// `a` where the bits of `which` are set, `b` elsewhere.
    fn blend(&mut self, which: Value, a: Value, b: Value) -> Value {
        let differ = self.binary(BinaryOp::Xor, a, b);
        let chosen = self.binary(BinaryOp::And, differ, which);
        self.binary(BinaryOp::Xor, b, chosen)
    }
}
