//! Elements of arrays.
//!
//! A constant array becomes code: its elements are packed into words as tightly as powers of two allow, the word is
//! chosen by comparing the index, and the element is shifted out of it. So a table of 64 flags is one word, and one of 256
//! bytes is 32 words behind five comparisons.

use oko_ir::{BinaryOp, CompareOp, Op, Type, Value};

use super::body::Lowering;
use crate::hir::{Expr, ExprKind};
use crate::types::Ty;

/// Up to how many words are chosen from without a branch.
const BRANCHLESS: usize = 4;

impl Lowering<'_> {
    /// `array[index]`; the index lies in the array.
    pub(super) fn element(&mut self, array: &Expr, index: &Expr) -> Option<Vec<Value>> {
        let Ty::Array(element, _) = &array.ty else { return None };
        if let ExprKind::Const(words) = &array.kind {
            let index = self.one(index)?;
            return Some(self.element_of_words(words, element, index));
        }
        let scalars = self.expr(array)?;
        if let Some(at) = index.constant().and_then(|at| usize::try_from(at).ok()) {
            let width = self.types(element).len();
            return Some(scalars.into_iter().skip(at * width).take(width).collect());
        }
        let index = self.one(index)?;
        Some(self.element_of_values(&scalars, element, index))
    }

    /// An element of a constant array.
    pub(super) fn element_of_words(&mut self, words: &[u64], element: &Ty, index: Value) -> Vec<Value> {
        let types = self.types(element);
        let width = types.len().max(1);
        let column = |at: usize| words.iter().skip(at).step_by(width).copied().collect::<Vec<u64>>();
        types.iter().enumerate().map(|(at, ty)| self.looked_up(&column(at), *ty, index)).collect()
    }

    fn looked_up(&mut self, column: &[u64], ty: Type, index: Value) -> Value {
        let greatest = column.iter().copied().max().unwrap_or(0);
        if column.iter().all(|word| *word == greatest) {
            return if ty == Type::Bool { self.bool(greatest != 0) } else { self.int(greatest) };
        }
        let bits = (64 - greatest.leading_zeros()).max(1).next_power_of_two();
        let packed: Vec<u64> = (column.chunks((64 / bits) as usize))
            .map(|chunk| {
                chunk.iter().rev().fold(0u64, |word, value| word.checked_shl(bits).unwrap_or(0) | value)
            })
            .collect();
        let per_word = (64 / bits).trailing_zeros();
        let word = if per_word == 0 { index } else { self.shifted_down(index, per_word) };
        let word = self.chosen(&packed, 0, word);
        let value = if bits == 64 {
            word
        } else {
            let at = self.masked(index, per_word);
            let by = self.int(u64::from(bits.trailing_zeros()));
            let by = self.binary(BinaryOp::Shl, at, by);
            let shifted = self.binary(BinaryOp::UShr, word, by);
            self.masked(shifted, bits)
        };
        if ty == Type::Bool {
            let zero = self.int(0);
            return self.compare(CompareOp::Ne, value, zero);
        }
        value
    }

    fn shifted_down(&mut self, value: Value, by: u32) -> Value {
        let by = self.int(u64::from(by));
        self.binary(BinaryOp::UShr, value, by)
    }

    /// `words[at - first]`, by halves.
    fn chosen(&mut self, words: &[u64], first: usize, at: Value) -> Value {
        let (Some(&only), middle) = (words.first(), words.len() / 2) else { return self.int(0) };
        if words.iter().all(|word| *word == only) {
            return self.int(only);
        }
        let (low, high) = words.split_at(middle);
        let border = self.int((first + middle) as u64);
        let is_low = self.compare(CompareOp::ULt, at, border);
        if words.len() <= BRANCHLESS {
            let low = self.chosen(low, first, at);
            let high = self.chosen(high, first + middle, at);
            return self.select(is_low, low, high);
        }
        let (join, result) = self.block_of(&[Type::Int]);
        let (yes, no) = (self.block(), self.block());
        self.branch(is_low, yes, no);
        for (block, half, first) in [(yes, low, first), (no, high, first + middle)] {
            self.builder.switch_to(block);
            let value = self.chosen(half, first, at);
            self.builder.jump(join, vec![value]);
        }
        self.builder.switch_to(join);
        match result.first() {
            Some(value) => *value,
            None => self.int(0),
        }
    }

    /// An element of an array that was computed: the scalars of both halves are compared by index until one is left.
    pub(super) fn element_of_values(&mut self, scalars: &[Value], element: &Ty, index: Value) -> Vec<Value> {
        let width = self.types(element).len().max(1);
        self.chosen_values(scalars, width, 0, index)
    }

    fn chosen_values(&mut self, scalars: &[Value], width: usize, first: usize, index: Value) -> Vec<Value> {
        let count = scalars.len() / width;
        if count <= 1 {
            return scalars.to_vec();
        }
        let middle = count / 2;
        let (low, high) = scalars.split_at(middle * width);
        let low = self.chosen_values(low, width, first, index);
        let high = self.chosen_values(high, width, first + middle, index);
        let border = self.int((first + middle) as u64);
        let is_low = self.compare(CompareOp::ULt, index, border);
        low.into_iter().zip(high).map(|(low, high)| self.ins(Op::Select(is_low, low, high))).collect()
    }
}
